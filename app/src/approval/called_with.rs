//! All that a tool would be called with, as people read it: what is to be changed as lines that go and come, and the rest as it came. Nothing
//! of it is left out, and nothing hides in it. Pure.

use domain::{AskedKind, exact_text::visible};
use serde_json::Value;

use crate::components::tool_changes::{Change, Reading, without};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CalledWith {
    /// One for each place that is changed.
    pub changes: Vec<Change>,
    pub rest: Option<String>,
}

/// All of the lines, as whoever is asked has to see them.
const EXACTLY: Reading = Reading { around: usize::MAX, shown: visible };

impl CalledWith {
    pub fn read(kind: AskedKind, input: &Value) -> Self {
        let known = if kind == AskedKind::Edit { EXACTLY.changes(input) } else { None };
        let (changes, told) = known.unwrap_or_default();
        let rest = without(input, told).and_then(|rest| serde_json::to_string_pretty(&rest).ok());
        Self { changes, rest: rest.map(|rest| visible(&rest)) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::components::change_lines::Sign;

    fn read(input: &Value) -> CalledWith {
        CalledWith::read(AskedKind::Edit, input)
    }

    fn pieces_of(called: &CalledWith) -> Vec<(Sign, &str)> {
        called.changes.iter().flat_map(|change| &change.pieces).map(|piece| (piece.sign, piece.text.as_str())).collect()
    }

    #[test]
    fn an_edit_is_what_goes_and_what_comes() {
        let called =
            read(&json!({"file_path": "a.rs", "old_string": "1\nold\n2", "new_string": "1\nnew\u{200b}\r\n2", "replace_all": true}));
        let expected = [(Sign::Same, "  1\n"), (Sign::Minus, "- old\n"), (Sign::Plus, "+ new\\u{200b}\\u{d}\n"), (Sign::Same, "  2\n")];
        assert_eq!(pieces_of(&called), expected);
        assert_eq!((called.changes[0].file.as_str(), called.changes[0].more.as_deref()), ("a.rs", None));
        assert_eq!(called.rest.as_deref(), Some("{\n  \"replace_all\": true\n}"), "nothing is left out");
    }

    #[test]
    fn whole_files_and_several_places() {
        assert_eq!(pieces_of(&read(&json!({"file_path": "a", "content": "x\ny\n"}))), [(Sign::Plus, "+ x\n+ y\n")]);
        let edits = json!([{"old_string": "a", "new_string": ""}, {"old_string": "", "new_string": "b", "replace_all": true}]);
        let called = read(&json!({"file_path": "a", "edits": edits}));
        assert_eq!(pieces_of(&called), [(Sign::Minus, "- a\n"), (Sign::Plus, "+ b\n")]);
        assert_eq!(called.changes[1].more.as_deref(), Some(r#"{"replace_all":true}"#));
        assert_eq!(called.rest, None);
    }

    #[test]
    fn files_with_their_diffs() {
        let called = read(&json!({"reason": "so", "changes": [
            {"path": "new", "kind": "add", "diff": "- x\n"},
            {"path": "old", "kind": {"type": "delete"}, "diff": "y\n"},
            {"path": "both", "kind": {"type": "update", "move_path": "to"}, "diff": "@@ -1 +1 @@\n-a\n+b\n c\n"},
        ]}));
        let of_both = [(Sign::Same, "@@ -1 +1 @@\n"), (Sign::Minus, "-a\n"), (Sign::Plus, "+b\n"), (Sign::Same, " c\n")];
        let expected = [[(Sign::Plus, "+ - x\n"), (Sign::Minus, "- y\n")].as_slice(), &of_both].concat();
        assert_eq!(pieces_of(&called), expected);
        assert!(called.changes[2].more.as_deref().is_some_and(|more| more.contains("to")));
        assert_eq!(called.rest.as_deref(), Some("{\n  \"reason\": \"so\"\n}"));
    }

    #[test]
    fn whatever_is_not_known_is_as_it_came() {
        for unknown in [json!({"edits": "x"}), json!({"file_path": 1, "content": "x"}), json!({"changes": []}), json!("x")] {
            let called = read(&unknown);
            assert_eq!((called.changes, called.rest), (vec![], serde_json::to_string_pretty(&unknown).ok()));
        }
        let command = CalledWith::read(AskedKind::Command, &json!({"command": "a\u{202e}", "content": "x"}));
        assert!(command.rest.is_some_and(|rest| rest.contains("\"command\": \"a\\u{202e}\"")));
        assert_eq!(read(&json!({})), CalledWith::default());
    }
}
