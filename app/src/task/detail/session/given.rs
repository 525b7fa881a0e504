//! What a tool is called with, as far as it can be told from the names of it: a command, what is to be changed in a file, and the rest as it
//! came. Pure.

use serde_json::Value;

use super::words::legible;
use crate::components::change_lines::{Piece, pieces};

/// Lines around a change that stay as they are.
const AROUND: usize = 3;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    pub command: Option<String>,
    /// One for each place that is changed.
    pub changes: Vec<Vec<Piece>>,
    pub rest: Option<String>,
}

impl Given {
    pub fn read(input: &Value) -> Self {
        let command = text(input, "command").map(legible);
        let changes = changes(input);
        let mut rest = input.clone();
        if let Value::Object(fields) = &mut rest {
            let is_told = |name: &str| match name {
                "command" => command.is_some(),
                "file_path" | "old_string" | "new_string" | "content" | "edits" => !changes.is_empty(),
                _ => false,
            };
            fields.retain(|name, _| !is_told(name));
        }
        let rest = match &rest {
            Value::Null => None,
            Value::Object(fields) if fields.is_empty() => None,
            Value::String(text) => Some(legible(text)),
            other => serde_json::to_string_pretty(other).ok().map(|text| legible(&text)),
        };
        Self { command, changes, rest }
    }
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

/// Of tools that edit a text in one place or in several, and of those that write a file anew.
fn changes(input: &Value) -> Vec<Vec<Piece>> {
    let edit = |value: &Value| Some(change(text(value, "old_string")?, text(value, "new_string")?));
    let several = || input.get("edits")?.as_array()?.iter().map(edit).collect::<Option<Vec<_>>>();
    let written = || text(input, "file_path").and_then(|_| text(input, "content")).map(|new| change("", new));
    edit(input).or_else(written).map(|change| vec![change]).or_else(several).unwrap_or_default()
}

fn change(old: &str, new: &str) -> Vec<Piece> {
    // how a line ends is of no interest here
    pieces(old, new, AROUND, |line| legible(line.strip_suffix('\r').unwrap_or(line)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::components::change_lines::Sign;

    fn pieces_of(given: &Given) -> Vec<(Sign, &str)> {
        given.changes.iter().flatten().map(|piece| (piece.sign, piece.text.as_str())).collect()
    }

    #[test]
    fn an_edit_is_what_goes_and_what_comes() {
        let input = json!({"file_path": "a.rs", "old_string": "1\n2\n3\n4\nold\n5\n", "new_string": "1\n2\n3\n4\nnew\nmore\n5\n"});
        let given = Given::read(&input);
        let expected = [(Sign::Same, "  2\n  3\n  4\n"), (Sign::Minus, "- old\n"), (Sign::Plus, "+ new\n+ more\n"), (Sign::Same, "  5\n")];
        assert_eq!(pieces_of(&given), expected);
        assert_eq!(given.rest, None);
        let all = Given::read(&json!({"old_string": "a", "new_string": "a", "replace_all": true}));
        assert_eq!((pieces_of(&all), all.rest.as_deref()), (vec![(Sign::Same, "  a\n")], Some("{\n  \"replace_all\": true\n}")));
    }

    #[test]
    fn several_edits_and_whole_files() {
        let several = json!({"file_path": "a", "edits": [{"old_string": "a", "new_string": ""}, {"old_string": "", "new_string": "b"}]});
        assert_eq!(pieces_of(&Given::read(&several)), [(Sign::Minus, "- a\n"), (Sign::Plus, "+ b\n")]);
        assert_eq!(pieces_of(&Given::read(&json!({"file_path": "a", "content": "x\r\ny"}))), [(Sign::Plus, "+ x\n+ y\n")]);
    }

    #[test]
    fn the_rest_is_as_it_came() {
        let given = Given::read(&json!({"command": "make", "timeout": 5}));
        assert_eq!((given.command.as_deref(), given.rest.as_deref()), (Some("make"), Some("{\n  \"timeout\": 5\n}")));
        assert_eq!(Given::read(&json!({})), Given::default());
        assert_eq!(Given::read(&json!("[9 bytes are left out here]")).rest.as_deref(), Some("[9 bytes are left out here]"));
        assert!(Given::read(&json!({"content": "no file"})).changes.is_empty());
    }
}
