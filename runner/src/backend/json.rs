//! What agent programs say, looked into without trust: whatever is not there is empty.

use domain::session::kept_text;
use serde_json::Value;

/// What a message of ours may quote.
const QUOTED: usize = 500;

/// A message, or nothing. Half of a pair of surrogates, which some programs write where they have cut a text, is no reason not to
/// understand the rest.
pub(super) fn message(line: &str) -> Option<Value> {
    let parsed = serde_json::from_str(line)
        .or_else(|error| if line.contains("\\u") { serde_json::from_str(&without_surrogates(line)) } else { Err(error) });
    parsed.ok().filter(Value::is_object)
}

fn without_surrogates(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("\\u") {
        let (before, escape) = rest.split_at(at);
        text.push_str(before);
        let is_one = escape.get(2..4).is_some_and(|start| {
            start.starts_with(['d', 'D']) && start[1..].starts_with(['8', '9', 'a', 'b', 'c', 'd', 'e', 'f', 'A', 'B', 'C', 'D', 'E', 'F'])
        });
        let escaped = before.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1;
        let length = escape.len().min(6);
        match escape.get(..length) {
            Some(_) if is_one && !escaped => {
                text.push_str("\\ufffd");
                rest = escape.get(length..).unwrap_or_default();
            }
            _ => {
                text.push_str("\\u");
                rest = escape.get(2..).unwrap_or_default();
            }
        }
    }
    text.push_str(rest);
    text
}

pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn some_text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer).and_then(Value::as_str).map(kept_text)
}

pub(super) fn number(value: &Value, pointer: &str) -> Option<u64> {
    value.pointer(pointer).and_then(Value::as_u64)
}

/// Dollars, in millionths: a float, as it comes; no more than a hint for people.
pub(super) fn micros(dollars: &Value) -> Option<u64> {
    dollars.as_f64().filter(|cost| cost.is_finite() && *cost >= 0.0).map(|cost| (cost * 1e6).round() as u64)
}

/// For a message of ours.
pub(super) fn shortened(text: &str) -> String {
    let text = kept_text(text.trim());
    if text.len() <= QUOTED { text } else { format!("{}…", &text[..text.floor_char_boundary(QUOTED)]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_pair_of_surrogates_spoils_nothing() {
        let read = |line: &str| message(line).map(|message| text(&message, "/a").to_owned());
        assert_eq!(read(r#"{"a": "x\ud83d"}"#).as_deref(), Some("x\u{fffd}"));
        assert_eq!(read(r#"{"a": "\ud83d\ude00"}"#).as_deref(), Some("😀"));
        assert_eq!(read(r#"{"a": "\udead é \\ud83d"}"#).as_deref(), Some("\u{fffd} é \\ud83d"));
        for bad in ["", "[]", "1", r#"{"a": "\ud8"}"#, r#"{"a": "\u"#] {
            assert_eq!(message(bad), None, "{bad}");
        }
    }
}
