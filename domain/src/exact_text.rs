//! Text that people decide about: nothing in it may hide, or look like something else.

/// Exactly these characters, for eyes: one that cannot be seen, or makes others look like what they are not, is written as its code, as in
/// `\u{202e}`. Tabs and ends of lines stay.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_seen(character) || matches!(character, '\n' | '\t') {
            shown.push(character);
        } else {
            shown.extend(character.escape_unicode());
        }
    }
    shown
}

/// As [`visible`], in one line.
pub fn in_a_line(text: &str) -> String {
    visible(text).replace('\n', " ⏎ ").replace('\t', "\\u{9}")
}

/// As [`in_a_line`], at most so many characters of it.
pub fn beginning(text: &str, most: usize) -> String {
    let line = in_a_line(text);
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Whether it is drawn as what it is, by itself. Of spaces that is the usual one, as others only look like it.
fn is_seen(character: char) -> bool {
    match character {
        ' ' | '\'' | '"' | '\\' => true,
        // what has no shape of its own, though Unicode counts it among what has: fillers, variations, blanks
        '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2800}' | '\u{3164}' => false,
        '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}' => false,
        // what is spelled out for whoever debugs: controls, turns of the reading direction, other spaces, what joins another character
        other => !other.is_whitespace() && other.escape_debug().count() == 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_stays() {
        for text in ["cargo test --release", r#"printf 'a\nb' "$HOME""#, "grep ü日本 файл 🦀", "a\n\tb", "א"] {
            assert_eq!(visible(text), text);
        }
    }

    #[test]
    fn a_line_is_one() {
        assert_eq!(in_a_line("ls\n\trm -r /"), "ls ⏎ \\u{9}rm -r /");
        assert_eq!([beginning("0123456789", 10), beginning("0123456789", 4)], ["0123456789", "0123…"]);
    }

    #[test]
    fn nothing_hides() {
        for hidden in [
            '\u{202e}',
            '\u{2066}',
            '\u{200b}',
            '\u{200d}',
            '\u{feff}',
            '\u{ad}',
            '\u{61c}',
            '\u{a0}',
            '\u{3000}',
            '\u{3164}',
            '\u{2800}',
            '\u{ffa0}',
            '\u{fe0f}',
            '\u{e0061}',
            '\u{336}',
            '\u{20dd}',
            '\r',
            '\u{1b}',
            '\0',
            '\u{7f}',
            '\u{85}',
            '\u{2028}',
            '\u{1d173}',
        ] {
            assert_eq!(visible(&format!("a{hidden}b")), format!("a\\u{{{:x}}}b", u32::from(hidden)));
        }
    }
}
