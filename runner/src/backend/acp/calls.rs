//! What an agent does, as far as it tells: some say that a call begins, some only what it wants leave for or what came of it.

use std::{
    collections::{HashMap, VecDeque},
    path::PathBuf,
};

use domain::{
    SessionEventKind as Event,
    session::{FileChange, kept_text, kept_value},
};
use serde_json::{Map, Value, json};

use super::diff::diff;
use crate::backend::{in_the_worktree, json::text};

/// Of those that have begun and not ended; then they are forgotten, and an end is told with its beginning.
const MOST_CALLS: usize = 1000;
/// Bytes of the lines that told of them. Then those that have begun are forgotten as well.
const MOST_TOLD: usize = 64 * 1024 * 1024;
/// Of those that have ended, as far as they are known as that.
const MOST_ENDED: usize = 1000;
/// Bytes of the name of one; of one with a longer name nothing is told.
const LONGEST_NAME: usize = 1024;
/// Files of one call.
const MOST_FILES: usize = 1000;
/// Bytes: no system has longer ones.
const LONGEST_PATH: usize = 4096;

/// A file that a call has changed, and how as far as it was told.
struct Changed {
    path: String,
    change: FileChange,
    diff: Option<String>,
}

#[derive(Default)]
pub(super) struct Call {
    kind: String,
    /// The tool, where the agent has a word for it.
    name: String,
    title: String,
    pub input: Value,
    /// What is kept of that is not all.
    input_is_cut: bool,
    places: Vec<String>,
    changes: Vec<Changed>,
    /// What it has printed, or has answered.
    output: String,
    exit: Option<i64>,
    is_begun: bool,
    /// Of the longest line that told of it, in bytes.
    line: usize,
}

/// What leave is asked for, with what was told of that call before.
pub(super) struct Laid {
    pub request: Value,
    /// Not all that was told is kept, and the request does not say it again.
    pub is_cut: bool,
}

pub(super) struct Calls {
    worktree: PathBuf,
    all: HashMap<String, Call>,
    ended: VecDeque<String>,
    /// Of the line that is heard, in bytes.
    line: usize,
}

impl Calls {
    pub fn of(worktree: PathBuf) -> Self {
        Self { worktree, all: HashMap::new(), ended: VecDeque::new(), line: 0 }
    }

    /// What is told next is in a line of so many bytes.
    pub fn are_in_a_line_of(&mut self, bytes: usize) {
        self.line = bytes;
    }

    /// Whether it has told the command that a call is.
    pub fn has_command(&self, id: &str) -> bool {
        self.get(id).is_some_and(|call| call.input.get("command").is_some())
    }

    /// Nobody need be asked about it any more.
    pub fn has_ended(&self, id: &str) -> bool {
        self.ended.iter().any(|ended| ended == id)
    }

    pub fn get(&self, id: &str) -> Option<&Call> {
        self.all.get(id)
    }

    /// A request for leave need not say again what was told of its call: what it leaves out counts as it was told. What it says itself goes
    /// before that, and its files are added to those that are known.
    pub fn laid_under(&self, request: &Value) -> Laid {
        let mut whole = request.clone();
        let Some(call) = self.get(text(request, "/toolCallId")) else { return Laid { request: whole, is_cut: false } };
        for (name, known) in [("kind", &call.kind), ("title", &call.title)] {
            if whole[name].as_str().is_none_or(str::is_empty) && !known.is_empty() {
                whole[name] = json!(known);
            }
        }
        let mut is_cut = call.input_is_cut;
        let own = &mut whole["rawInput"];
        if own.is_null() {
            *own = call.input.clone();
        } else if let (Some(own), Some(known)) = (own.as_object_mut(), call.input.as_object()) {
            is_cut &= known.keys().any(|name| !own.contains_key(name));
            for (name, value) in known {
                own.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        // too many to be shown stay too many
        if let Some(mut all) = places(&whole) {
            let more: Vec<_> = call.places.iter().filter(|place| !all.contains(place)).cloned().collect();
            all.extend(more);
            whole["locations"] = all.into_iter().map(|path| json!({"path": path})).collect();
        }
        Laid { request: whole, is_cut }
    }

    /// An update about a call.
    pub fn told(&mut self, update: &Value) -> Vec<Event> {
        let is_new = text(update, "/sessionUpdate") == "tool_call";
        if is_new {
            // another one of the same name
            self.ended.retain(|ended| ended != text(update, "/toolCallId"));
        }
        let Some(call) = self.note(update) else { return vec![] };
        match text(update, "/status") {
            // what it is called with may still come
            "pending" | "" if is_new => {
                let title = text(update, "/title");
                if is_word(title) {
                    call.name = kept_text(title);
                }
                vec![]
            }
            "pending" | "" => vec![],
            status @ ("completed" | "failed") => self.ends(text(update, "/toolCallId"), status == "failed"),
            _ => self.begins(update).into_iter().collect(),
        }
    }

    /// It is about to do something, and that was not told yet. It is looked at for what is not known of it.
    pub fn begins(&mut self, update: &Value) -> Option<Event> {
        self.note(update)?;
        let id = text(update, "/toolCallId");
        let call = self.all.get_mut(id)?;
        if std::mem::replace(&mut call.is_begun, true) {
            return None;
        }
        let call = self.all.get(id)?;
        Some(Event::ToolCall { call: kept_text(id), tool: call.tool().to_owned(), input: self.shown(call) })
    }

    fn note(&mut self, update: &Value) -> Option<&mut Call> {
        let id = text(update, "/toolCallId");
        if id.is_empty() || id.len() > LONGEST_NAME {
            return None;
        }
        let others = self.all.iter().filter(|(other, _)| *other != id).map(|(_, call)| call.line).sum::<usize>();
        if others + self.line > MOST_TOLD || (!self.all.contains_key(id) && self.all.len() >= MOST_CALLS) {
            self.all.retain(|other, _| other == id);
        }
        let line = self.line;
        let call = self.all.entry(id.to_owned()).or_default();
        call.line = call.line.max(line);
        call.note(update);
        Some(call)
    }

    /// What came of it, and before that what it was, when that was not told.
    fn ends(&mut self, id: &str, has_failed: bool) -> Vec<Event> {
        let Some(call) = self.all.remove(id) else { return vec![] };
        self.ended.push_back(id.to_owned());
        if self.ended.len() > MOST_ENDED {
            self.ended.pop_front();
        }
        let mut events = vec![];
        if !call.is_begun {
            events.push(Event::ToolCall { call: kept_text(id), tool: call.tool().to_owned(), input: self.shown(&call) });
        }
        let exit = call.exit.filter(|code| *code != 0);
        let mut output = call.output.trim_end().to_owned();
        if let Some(code) = exit {
            output.push_str(&format!("\n[exit code {code}]"));
        }
        let is_error = has_failed || exit.is_some();
        events.push(Event::ToolResult { call: kept_text(id), output: kept_text(output.trim_start()), is_error });
        if !has_failed {
            let changed = call.changed().into_iter();
            events.extend(changed.map(|Changed { path, change, diff }| {
                let path = in_the_worktree(&self.worktree, &path);
                Event::FileChange { path, change, diff }
            }));
        }
        events
    }

    /// What it is called with, under the names by which sessions are read.
    fn shown(&self, call: &Call) -> Value {
        let mut input = call.input.as_object().cloned().unwrap_or_default();
        for name in ["filePath", "filepath", "file_path", "path", "workdir", "cwd"] {
            if let Some(Value::String(path)) = input.get_mut(name) {
                *path = in_the_worktree(&self.worktree, path);
            }
        }
        // the worktree itself goes without saying
        input.retain(|name, value| *value != "" || !["workdir", "cwd"].contains(&name.as_str()));
        match (call.kind.as_str(), call.places.first()) {
            ("execute", _) => tell(&mut input, "command", &call.title),
            ("edit" | "delete" | "move" | "read", Some(place)) => tell(&mut input, "path", &in_the_worktree(&self.worktree, place)),
            _ if input.is_empty() => tell(&mut input, "description", &call.title),
            _ => {}
        }
        kept_value(&Value::Object(input))
    }
}

/// Unless it says so itself.
fn tell(input: &mut Map<String, Value>, name: &str, what: &str) {
    if !what.is_empty() {
        input.entry(name.to_owned()).or_insert_with(|| json!(what));
    }
}

impl Call {
    /// As the agent calls it, or what kind of tool it is.
    pub fn tool(&self) -> &str {
        [self.name.as_str(), self.kind.as_str()].into_iter().find(|name| !name.is_empty()).unwrap_or("tool")
    }

    fn note(&mut self, update: &Value) {
        for (own, name) in [(&mut self.kind, "/kind"), (&mut self.title, "/title")] {
            let said = text(update, name);
            if !said.is_empty() {
                *own = kept_text(said);
            }
        }
        let input = &update["rawInput"];
        // what it asks leave for may say it in other words, and less of it
        let is_more = |input: &Map<String, Value>| {
            let has_more =
                |known: &Map<String, Value>| known.len() < input.len() || (!known.contains_key("command") && input.contains_key("command"));
            self.input.as_object().is_none_or(has_more)
        };
        if input.as_object().is_some_and(is_more) {
            self.input = kept_value(input);
            self.input_is_cut |= self.input != *input;
        }
        let places = places(update).unwrap_or_default();
        if !places.is_empty() {
            self.places = places;
        }
        let content = update["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        let changes: Vec<_> = content.iter().filter(|part| text(part, "/type") == "diff").take(MOST_FILES).map(change).collect();
        if !changes.is_empty() {
            self.changes = changes;
        }
        let said = content.iter().map(|part| text(part, "/content/text")).filter(|said| !said.is_empty());
        let said = said.collect::<Vec<_>>().join("\n");
        // before that it is about the call, and not what came of it
        if !said.is_empty() && text(update, "/sessionUpdate") == "tool_call_update" {
            self.output = kept_text(&said);
        }
        self.exit = update.pointer("/rawOutput/metadata/exit").and_then(Value::as_i64).or(self.exit);
    }

    /// What it has changed when all went well.
    fn changed(self) -> Vec<Changed> {
        let of_all = match self.kind.as_str() {
            "edit" => FileChange::Edited,
            "delete" => FileChange::Deleted,
            "move" => FileChange::Written,
            _ => return vec![],
        };
        if !self.changes.is_empty() {
            return self.changes;
        }
        self.places.into_iter().map(|path| Changed { path, change: of_all, diff: None }).collect()
    }
}

/// The files that it is about, each once; nothing when they are more than anybody could be shown, or one has no name that a file can have.
pub(super) fn places(update: &Value) -> Option<Vec<String>> {
    let of = |name: &str| update[name].as_array().into_iter().flatten().map(|one| text(one, "/path"));
    let mut all: Vec<String> = vec![];
    for path in of("content").chain(of("locations")) {
        note_place(&mut all, path)?;
    }
    if all.is_empty() {
        // of several files these are one word
        for name in ["/rawInput/filePath", "/rawInput/filepath", "/rawInput/file_path"] {
            note_place(&mut all, text(update, name))?;
        }
    }
    Some(all)
}

fn note_place(all: &mut Vec<String>, path: &str) -> Option<()> {
    if path.is_empty() || all.iter().any(|known| known == path) {
        return Some(());
    }
    if all.len() >= MOST_FILES || path.len() > LONGEST_PATH {
        return None;
    }
    all.push(kept_text(path));
    Some(())
}

/// A part of the content that is a difference.
fn change(part: &Value) -> Changed {
    let (was, is) = (text(part, "/oldText"), text(part, "/newText"));
    let change = match text(part, "/_meta/kind") {
        "delete" => FileChange::Deleted,
        "modify" => FileChange::Edited,
        _ if was.is_empty() => FileChange::Written,
        _ => FileChange::Edited,
    };
    let diff = Some(diff(was, is)).filter(|diff| !diff.is_empty()).map(|diff| kept_text(&diff));
    Changed { path: kept_text(text(part, "/path")), change, diff }
}

/// A name for a tool, and no sentence about it.
fn is_word(title: &str) -> bool {
    !title.is_empty() && title.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c))
}
