//! What a tool is called with, as far as it can be told from the names of it: a command, what is to be changed in a file, and the rest as it
//! came. Pure.

use serde_json::Value;

use super::words::legible;
use crate::components::tool_changes::{Change, Reading, without};

/// How a change is read in passing: what stays is told by three lines around it.
const READING: Reading = Reading { around: 3, shown: line };

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    pub command: Option<String>,
    /// One for each place that is changed.
    pub changes: Vec<Change>,
    pub rest: Option<String>,
}

impl Given {
    pub fn read(input: &Value) -> Self {
        let command = input.get("command").and_then(Value::as_str).map(legible);
        let (changes, told) = READING.changes(input).unwrap_or_default();
        let told: Vec<_> = told.iter().copied().chain(command.is_some().then_some("command")).collect();
        let rest = match without(input, &told) {
            None => None,
            Some(Value::String(text)) => Some(legible(&text)),
            Some(other) => serde_json::to_string_pretty(&other).ok().map(|text| legible(&text)),
        };
        Self { command, changes, rest }
    }
}

/// How a line ends is of no interest here.
fn line(text: &str) -> String {
    legible(text.strip_suffix('\r').unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::components::change_lines::Sign;

    fn pieces_of(given: &Given) -> Vec<(Sign, &str)> {
        given.changes.iter().flat_map(|change| &change.pieces).map(|piece| (piece.sign, piece.text.as_str())).collect()
    }

    #[test]
    fn an_edit_is_what_goes_and_what_comes() {
        let input = json!({"file_path": "a.rs", "old_string": "1\n2\n3\n4\nold\n5\n", "new_string": "1\n2\n3\n4\nnew\nmore\n5\n"});
        let given = Given::read(&input);
        let expected = [(Sign::Same, "  2\n  3\n  4\n"), (Sign::Minus, "- old\n"), (Sign::Plus, "+ new\n+ more\n"), (Sign::Same, "  5\n")];
        assert_eq!(pieces_of(&given), expected);
        assert_eq!(given.rest, None);
        let all = Given::read(&json!({"file_path": "a.rs", "old_string": "a", "new_string": "a", "replace_all": true}));
        assert_eq!((pieces_of(&all), all.rest.as_deref()), (vec![(Sign::Same, "  a\n")], Some("{\n  \"replace_all\": true\n}")));
    }

    #[test]
    fn several_edits_and_whole_files() {
        let several = json!({"file_path": "a", "edits": [{"old_string": "a", "new_string": ""}, {"old_string": "", "new_string": "b"}]});
        assert_eq!(pieces_of(&Given::read(&several)), [(Sign::Minus, "- a\n"), (Sign::Plus, "+ b\n")]);
        assert_eq!(pieces_of(&Given::read(&json!({"file_path": "a", "content": "x\r\ny"}))), [(Sign::Plus, "+ x\n+ y\n")]);
    }

    #[test]
    fn what_other_agents_call_a_change_is_one() {
        let camel = json!({"filePath": "a.rs", "oldString": "old\n", "newString": "new\n"});
        assert_eq!(pieces_of(&Given::read(&camel)), [(Sign::Minus, "- old\n"), (Sign::Plus, "+ new\n")]);
        let written = Given::read(&json!({"filePath": "a.rs", "content": "x\n"}));
        assert_eq!((pieces_of(&written), written.rest.as_deref()), (vec![(Sign::Plus, "+ x\n")], None));
        let changes = json!([{"path": "a.rs", "kind": "update", "diff": "-old\n+new\n"}, {"path": "b.rs", "kind": "add", "diff": "x\n"}]);
        let listed = Given::read(&json!({"changes": changes}));
        assert_eq!(pieces_of(&listed), [(Sign::Minus, "-old\n"), (Sign::Plus, "+new\n"), (Sign::Plus, "+ x\n")]);
        let files: Vec<_> = listed.changes.iter().map(|change| change.file.as_str()).collect();
        assert_eq!((files, listed.rest.as_deref()), (vec!["a.rs", "b.rs"], None));
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
