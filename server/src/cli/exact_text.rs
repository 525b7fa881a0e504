//! Text that a person decides about, on a terminal: nothing in it may hide, or look like something else.

use domain::exact_text::is_seen;

/// Line by line as it is, with every character spelled out that steers a terminal, or is not seen as what it is: `\u{202e}`.
pub fn exact_lines(text: &str) -> Vec<String> {
    text.split('\n').map(spelled_out).collect()
}

/// As [`exact_lines`], in one line.
pub fn exact_line(text: &str) -> String {
    exact_lines(text).join(" ⏎ ")
}

/// As [`exact_line`], at most so many characters of it.
pub fn beginning(text: &str, most: usize) -> String {
    let line = exact_line(text);
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn spelled_out(line: &str) -> String {
    let mut spelled = String::with_capacity(line.len());
    for c in line.chars() {
        if is_seen(c) {
            spelled.push(c);
        } else {
            spelled.extend(c.escape_unicode());
        }
    }
    spelled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_seen_stays() {
        for text in ["cargo test --release", r#"printf 'a\nb' "$HOME""#, "grep ü日本 файл 🦀"] {
            assert_eq!(exact_line(text), text);
        }
    }

    #[test]
    fn nothing_hides() {
        for (text, expected) in [
            ("rm \u{202e}gpj.x", r"rm \u{202e}gpj.x"),
            ("a\u{1b}[2Kb", r"a\u{1b}[2Kb"),
            ("a\rb", r"a\u{d}b"),
            ("a\tb", r"a\u{9}b"),
            ("a\u{200b}b\u{feff}", r"a\u{200b}b\u{feff}"),
            ("a\u{a0}b\u{3164}", r"a\u{a0}b\u{3164}"),
            ("a\u{e0061}", r"a\u{e0061}"),
        ] {
            assert_eq!(exact_line(text), expected);
        }
    }

    #[test]
    fn lines_stay_apart() {
        assert_eq!(exact_lines("ls\nrm -r /"), ["ls", "rm -r /"]);
        assert_eq!(exact_line("ls\nrm -r /"), "ls ⏎ rm -r /");
        assert_eq!([beginning("0123456789", 10), beginning("0123456789", 4)], ["0123456789", "0123…"]);
    }
}
