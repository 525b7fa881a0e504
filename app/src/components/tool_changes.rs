//! What a tool that changes files is called with, as the agents that are known name it: each file with the lines that go and come. Pure.

use serde_json::Value;

use super::change_lines::{self, Piece};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub file: String,
    /// Whatever else is said of this place alone.
    pub more: Option<String>,
    pub pieces: Vec<Piece>,
}

/// How it is to be read: so many lines around a change that stay, and how a text is shown.
#[derive(Clone, Copy)]
pub struct Reading {
    pub around: usize,
    pub shown: fn(&str) -> String,
}

/// What is to be changed, and the names of what has been told with it.
pub type Changes = (Vec<Change>, &'static [&'static str]);

/// The file, the text that goes and the one that comes, by the names of one agent.
type Names = [&'static str; 3];

const NAMES: [Names; 2] = [["file_path", "old_string", "new_string"], ["filePath", "oldString", "newString"]];
const SEVERAL: &[&str] = &["file_path", "edits"];
const WRITTEN: [&[&str]; 2] = [&["file_path", "content"], &["filePath", "content"]];
const LISTED: &[&str] = &["changes"];

impl Reading {
    /// Nothing when it is no change, or is told in a way that is not known.
    pub fn changes(self, input: &Value) -> Option<Changes> {
        let edit = || NAMES.iter().find_map(|names| self.edit(input, names));
        let written = || WRITTEN.iter().find_map(|names| self.written(input, names));
        edit().or_else(|| self.several(input)).or_else(written).or_else(|| self.listed(input))
    }

    fn edit(self, input: &Value, names: &'static Names) -> Option<Changes> {
        let [file, old, new] = names;
        let pieces = self.pieces(text(input, old)?, text(input, new)?);
        Some((vec![Change { file: (self.shown)(text(input, file)?), more: None, pieces }], names))
    }

    fn several(self, input: &Value) -> Option<Changes> {
        let [file, old, new] = NAMES[0];
        let file = (self.shown)(text(input, file)?);
        let change = |one: &Value| {
            let pieces = self.pieces(text(one, old)?, text(one, new)?);
            Some(Change { file: file.clone(), more: self.more(one, &NAMES[0]), pieces })
        };
        let changes = input.get("edits")?.as_array()?.iter().map(change).collect::<Option<Vec<_>>>()?;
        (!changes.is_empty()).then_some((changes, SEVERAL))
    }

    /// A file anew.
    fn written(self, input: &Value, names: &'static [&'static str]) -> Option<Changes> {
        let [file, content] = names else { return None };
        let pieces = self.pieces("", text(input, content)?);
        Some((vec![Change { file: (self.shown)(text(input, file)?), more: None, pieces }], names))
    }

    /// Each with its file, its kind and its diff. Of a file that comes or goes the diff is all that is in it.
    fn listed(self, input: &Value) -> Option<Changes> {
        let change = |one: &Value| {
            let (path, diff) = (text(one, "path")?, text(one, "diff")?);
            let kind = one.get("kind").and_then(|kind| kind.as_str().or_else(|| text(kind, "type")));
            let pieces = match kind {
                Some("add") => self.pieces("", diff),
                Some("delete") => self.pieces(diff, ""),
                _ => change_lines::of_diff(diff, self.shown),
            };
            Some(Change { file: (self.shown)(path), more: self.more(one, &["path", "diff"]), pieces })
        };
        let changes = input.get("changes")?.as_array()?.iter().map(change).collect::<Option<Vec<_>>>()?;
        (!changes.is_empty()).then_some((changes, LISTED))
    }

    fn more(self, one: &Value, told: &[&str]) -> Option<String> {
        without(one, told).map(|rest| (self.shown)(&rest.to_string()))
    }

    fn pieces(self, old: &str, new: &str) -> Vec<Piece> {
        change_lines::pieces(old, new, self.around, self.shown)
    }
}

fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

/// What is left of a value without the fields of these names; nothing when that says nothing.
pub fn without(value: &Value, told: &[&str]) -> Option<Value> {
    let mut rest = value.clone();
    if let Value::Object(fields) = &mut rest {
        fields.retain(|name, _| !told.contains(&name.as_str()));
    }
    let is_empty = rest.is_null() || rest.as_object().is_some_and(serde_json::Map::is_empty);
    (!is_empty).then_some(rest)
}
