//! What an agent and its tools say, as a page may show it, and figures as people read them. Pure.

use domain::session;
use serde_json::Value;

use crate::{
    components::{
        html::is_shown,
        log_view::ansi::{Style, parse_line},
    },
    text::grouped,
};

/// Characters of what a tool is about, in the line of its call.
const SUBJECT: usize = 200;

/// Control characters become visible, so that nothing can hide in them.
pub fn legible(text: &str) -> String {
    let shown = |c: char| if is_shown(c) || matches!(c, '\n' | '\t') { c } else { '\u{fffd}' };
    text.replace("\r\n", "\n").trim_matches('\n').chars().map(shown).collect()
}

/// What a program printed, as its terminal would show it, without colours.
pub fn printed(text: &str) -> String {
    let steers = |line: &str| line.contains(['\x1b', '\r', '\x08']);
    let line = |line: &str| match line.trim_end_matches('\r') {
        line if steers(line) => parse_line(line, Style::default()).0.into_iter().map(|span| span.text).collect(),
        line => line.to_owned(),
    };
    legible(text.trim_end().split('\n').map(line).collect::<Vec<String>>().join("\n").as_str())
}

/// What a call is about, in one line.
pub fn subject(input: &Value) -> Option<String> {
    let text = session::subject(input).map(legible).or_else(|| match input {
        Value::Null => None,
        Value::Object(fields) if fields.is_empty() => None,
        other => Some(legible(&other.to_string())),
    })?;
    let line = text.replace('\n', " ⏎ ");
    Some(match line.char_indices().nth(SUBJECT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    })
}

/// `1,200 in (1,000 cached), 40 out`
pub fn tokens(input: u64, cached: u64, output: u64) -> String {
    let cached = if cached > 0 { format!(" ({} cached)", grouped(cached)) } else { String::new() };
    format!("{} in{cached}, {} out", grouped(input), grouped(output))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_hides_in_what_is_said() {
        assert_eq!(legible("a\r\n\tb\u{202e}c\u{7}\n"), "a\n\tb\u{fffd}c\u{fffd}");
        assert_eq!(printed("\x1b[32mok\x1b[0m\r\n10 %\r99 %\n<b>\n\n"), "ok\n99 %\n<b>");
        assert_eq!(printed("\n"), "");
    }

    #[test]
    fn a_call_is_about_something() {
        assert_eq!(subject(&json!({"command": "make\ntest", "description": "x"})).as_deref(), Some("make ⏎ test"));
        assert_eq!(subject(&json!({"file_path": "/a/b.rs", "content": "x"})).as_deref(), Some("/a/b.rs"));
        assert_eq!(subject(&json!({"todos": []})).as_deref(), Some(r#"{"todos":[]}"#));
        assert_eq!(subject(&json!({})), None);
        assert_eq!(subject(&json!({"url": "é".repeat(1000)})).map(|text| text.chars().count()), Some(SUBJECT + 1));
    }

    #[test]
    fn figures_are_read_by_people() {
        assert_eq!(tokens(1200, 1000, 40), "1,200 in (1,000 cached), 40 out");
        assert_eq!(tokens(5, 0, 1), "5 in, 1 out");
    }
}
