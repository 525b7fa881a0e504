//! All that a tool would be called with, as people read it: what is to be changed as lines that go and come, and the rest as it came. Nothing
//! of it is left out, and nothing hides in it. Pure.

use domain::{AskedKind, exact_text::visible};
use serde_json::Value;

use crate::components::change_lines::{self, Piece};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CalledWith {
    /// One for each place that is changed.
    pub changes: Vec<Change>,
    pub rest: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub file: String,
    /// Whatever else is said of this place alone.
    pub more: Option<String>,
    pub pieces: Vec<Piece>,
}

impl CalledWith {
    pub fn read(kind: AskedKind, input: &Value) -> Self {
        let known = if kind == AskedKind::Edit { changes(input) } else { None };
        let (changes, told) = known.unwrap_or_default();
        let rest = without(input, told).and_then(|rest| serde_json::to_string_pretty(&rest).ok());
        Self { changes, rest: rest.map(|rest| visible(&rest)) }
    }
}

/// What is to be changed, and the names of what has been told with it.
type Changes = (Vec<Change>, &'static [&'static str]);

const EDIT: &[&str] = &["file_path", "old_string", "new_string"];
const SEVERAL: &[&str] = &["file_path", "edits"];
const WRITTEN: &[&str] = &["file_path", "content"];
const LISTED: &[&str] = &["changes"];

fn changes(input: &Value) -> Option<Changes> {
    edit(input).or_else(|| several(input)).or_else(|| written(input)).or_else(|| listed(input))
}

fn edit(input: &Value) -> Option<Changes> {
    let pieces = pieces(text(input, "old_string")?, text(input, "new_string")?);
    Some((vec![Change { file: visible(text(input, "file_path")?), more: None, pieces }], EDIT))
}

fn several(input: &Value) -> Option<Changes> {
    let file = visible(text(input, "file_path")?);
    let change = |one: &Value| {
        let pieces = pieces(text(one, "old_string")?, text(one, "new_string")?);
        Some(Change { file: file.clone(), more: more(one, EDIT), pieces })
    };
    let changes = input.get("edits")?.as_array()?.iter().map(change).collect::<Option<Vec<_>>>()?;
    (!changes.is_empty()).then_some((changes, SEVERAL))
}

/// A file anew.
fn written(input: &Value) -> Option<Changes> {
    let pieces = pieces("", text(input, "content")?);
    Some((vec![Change { file: visible(text(input, "file_path")?), more: None, pieces }], WRITTEN))
}

/// Each with its file, its kind and its diff. Of a file that comes or goes the diff is all that is in it.
fn listed(input: &Value) -> Option<Changes> {
    let change = |one: &Value| {
        let (path, diff) = (text(one, "path")?, text(one, "diff")?);
        let kind = one.get("kind").and_then(|kind| kind.as_str().or_else(|| text(kind, "type")));
        let pieces = match kind {
            Some("add") => pieces("", diff),
            Some("delete") => pieces(diff, ""),
            _ => change_lines::of_diff(diff, visible),
        };
        Some(Change { file: visible(path), more: more(one, &["path", "diff"]), pieces })
    };
    let changes = input.get("changes")?.as_array()?.iter().map(change).collect::<Option<Vec<_>>>()?;
    (!changes.is_empty()).then_some((changes, LISTED))
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

/// What is left of a value without the fields of these names; nothing when that says nothing.
fn without(value: &Value, told: &[&str]) -> Option<Value> {
    let mut rest = value.clone();
    if let Value::Object(fields) = &mut rest {
        fields.retain(|name, _| !told.contains(&name.as_str()));
    }
    let is_empty = rest.is_null() || rest.as_object().is_some_and(serde_json::Map::is_empty);
    (!is_empty).then_some(rest)
}

fn more(one: &Value, told: &[&str]) -> Option<String> {
    without(one, told).map(|rest| visible(&rest.to_string()))
}

/// All of the lines, as whoever is asked has to see them.
fn pieces(old: &str, new: &str) -> Vec<Piece> {
    change_lines::pieces(old, new, usize::MAX, visible)
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
