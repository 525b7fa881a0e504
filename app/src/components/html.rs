//! HTML that is built as text where thousands of lines make a view too dear. Everything that goes into it goes through
//! [`escape_into`]; nothing else in the app writes HTML by hand.

/// Appends text so that a browser shows exactly that text, in an element or in a quoted attribute.
pub fn escape_into(html: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
}

/// What stands in a text area: the framework writes its children as they are.
pub fn in_a_text_area(text: &str) -> String {
    // a browser leaves out a line end right after the tag
    let mut html = if text.starts_with('\n') { "\n".to_owned() } else { String::new() };
    escape_into(&mut html, text);
    html
}

/// Whether a character may be shown: not a control character, and none that turns the reading direction around, with which text
/// can be made to look like other text.
pub fn is_shown(character: char) -> bool {
    !character.is_control() && !matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_html_stays_text() {
        let mut html = String::new();
        escape_into(&mut html, r#"<img src=x onerror="alert('1')"> & more"#);
        assert_eq!(html, "&lt;img src=x onerror=&quot;alert(&#39;1&#39;)&quot;&gt; &amp; more");
    }

    #[test]
    fn what_was_typed_stays_in_its_field() {
        assert_eq!(in_a_text_area("</textarea><b>"), "&lt;/textarea&gt;&lt;b&gt;");
        assert_eq!(in_a_text_area("\na"), "\n\na");
    }

    #[test]
    fn nothing_turns_the_reading_direction_around() {
        assert!(is_shown('ä') && is_shown('→') && is_shown('א'));
        for hidden in ['\u{202e}', '\u{2066}', '\u{7f}', '\u{9b}', '\0', '\u{feff}'] {
            assert!(!is_shown(hidden), "{hidden:?}");
        }
    }
}
