//! Codex by its `exec --json`, the simple mode: it is told its prompt once and prints what it does, one JSON message a line.
//!
//! Nobody is asked, nothing is said to it while it works, and it does not tell when its model has answered, so that no turns are counted; a
//! later round goes on with `resume`. It is given work in Muster's sandbox alone, and its own is left out. How it went is what it says last:
//! whatever it calls an error before that it may have got over.

use std::{
    collections::HashSet,
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitStatus,
};

use domain::{
    Backend, Failure, FailureCode, SessionEventKind as Event,
    approval::Answer,
    session::{FileChange, SessionEnd, kept_text, kept_value},
};
use serde_json::{Value, json};

use super::{MOST_ITEMS, settings::settings};
use crate::backend::{
    Beginning, Dialogue, Heard, Opening, Spent, how, in_the_worktree,
    json::{message, number, shortened, some_text, text},
    own::is_a_name,
};

pub(crate) struct Exec {
    worktree: PathBuf,
    version: String,
    model: Option<String>,
    /// The thread, once it is known; at first one of an earlier round.
    thread: Option<String>,
    /// Things that it has begun to do.
    begun: HashSet<String>,
    /// Tokens of the thread, in all rounds.
    spent: Spent,
    denied: Vec<String>,
    /// How it went, as it says; when badly, why.
    last: Option<Result<(), String>>,
}

pub(crate) fn open(place: Beginning<'_>, prompt: &str, version: &str) -> (Opening, Exec) {
    let mut arguments = settings(&place);
    arguments.extend(["exec", "--json", "--skip-git-repo-check", "-s", "danger-full-access", "-C"].map(OsString::from));
    arguments.push(place.worktree.clone().into());
    if let Some(model) = &place.terms.model {
        arguments.extend(["-m".into(), model.into()]);
    }
    // what it has called its thread itself is not to be something else to it
    let thread = place.session.filter(|thread| is_a_name(thread));
    if let Some(thread) = &thread {
        arguments.extend(["resume".into(), thread.into()]);
    }
    // it reads the prompt from its standard input, where nobody else does
    arguments.push("-".into());
    let dialogue = Exec {
        worktree: place.worktree,
        version: version.to_owned(),
        model: place.terms.model.clone(),
        thread,
        begun: HashSet::new(),
        spent: place.spent,
        denied: vec![],
        last: None,
    };
    let variables = vec![("CODEX_HOME", place.config.into())];
    (Opening { arguments, variables, files: vec![], lines: vec![prompt.to_owned()] }, dialogue)
}

impl Dialogue for Exec {
    fn hear(&mut self, line: &str) -> Heard {
        let Some(message) = message(line) else { return Heard::output() };
        if self.last.is_some() {
            // it has said all
            return Heard::default();
        }
        let item = &message["item"];
        match text(&message, "/type") {
            "thread.started" => {
                self.thread = some_text(&message, "/thread_id").filter(|thread| is_a_name(thread)).or(self.thread.take());
                Heard::events(vec![Event::Started {
                    backend: Backend::Codex,
                    version: Some(kept_text(&self.version)),
                    model: self.model.clone(),
                    session: self.thread.clone(),
                }])
            }
            "item.started" => Heard::events(plan(item).or_else(|| self.begins(item)).into_iter().collect()),
            "item.updated" => Heard::events(plan(item).into_iter().collect()),
            "item.completed" => Heard::events(self.completes(item)),
            "error" => Heard::events(error(text(&message, "/message")).into_iter().collect()),
            "turn.completed" => {
                let used = self.uses(&message["usage"]);
                self.ends(used, Ok(()))
            }
            "turn.failed" => self.ends(None, Err(text(&message, "/error/message").to_owned())),
            "" => Heard::output(),
            // others come with later versions, and say nothing that has to be known
            _ => Heard::default(),
        }
    }

    fn answer(&mut self, _: &str, _: &Answer) -> Heard {
        Heard::default()
    }

    fn tell(&mut self, _: &str, _: bool) -> Option<Heard> {
        None
    }

    fn listens(&self) -> bool {
        false
    }

    fn may_be_the_last(&self, ends: &str) -> bool {
        ends.contains(r#""turn.completed""#) || ends.contains(r#""turn.failed""#)
    }

    fn session(&self) -> Option<String> {
        self.thread.clone()
    }

    fn spent(&self) -> Spent {
        self.spent
    }

    fn verdict(&self, ended: Option<ExitStatus>) -> Result<(), Failure> {
        let failed = |code, message: String| Err(Failure::new(code, message));
        match &self.last {
            None => failed(FailureCode::CommandFailed, format!("Codex {} without saying how it went", how(ended))),
            Some(Err(why)) => {
                let (code, start) = match answered(why) {
                    Some(429 | 503 | 529) => (FailureCode::ProviderLimit, "Codex was told to come back later"),
                    Some(400..=404 | 413) => (FailureCode::ProviderRefused, "Codex was refused by its provider"),
                    _ => (FailureCode::CommandFailed, "Codex failed"),
                };
                let why = shortened(why);
                failed(code, if why.is_empty() { start.to_owned() } else { format!("{start}: {why}") })
            }
            Some(Ok(())) => match self.denied.first() {
                Some(first) => failed(FailureCode::AgentDenied, format!("Codex was not allowed: {first}")),
                None if ended.is_none_or(|ended| ended.success()) => Ok(()),
                None => failed(FailureCode::CommandFailed, format!("Codex {} after it had said that all went well", how(ended))),
            },
        }
    }
}

impl Exec {
    /// What it does, when it begins with it. What it says comes whole when it is said.
    fn begins(&mut self, item: &Value) -> Option<Event> {
        let (tool, input) = match text(item, "/type") {
            "command_execution" => ("command".to_owned(), json!({"command": item["command"]})),
            "file_change" => ("apply_patch".to_owned(), json!({"changes": item["changes"]})),
            "mcp_tool_call" => (format!("{} {}", text(item, "/server"), text(item, "/tool")), item["arguments"].clone()),
            "collab_tool_call" => (text(item, "/tool").to_owned(), json!({"prompt": item["prompt"]})),
            "web_search" => ("web_search".to_owned(), json!({"query": item["query"]})),
            // what it says, thinks and means to do
            "agent_message" | "reasoning" | "todo_list" | "error" | "" => return None,
            other => (other.to_owned(), item.clone()),
        };
        let call = kept_text(text(item, "/id"));
        if self.begun.len() >= MOST_ITEMS {
            self.begun.clear();
        }
        self.begun.insert(call.clone()).then(|| Event::ToolCall { call, tool: kept_text(&tool), input: kept_value(&input) })
    }

    fn completes(&mut self, item: &Value) -> Vec<Event> {
        let said = text(item, "/text");
        match text(item, "/type") {
            "agent_message" | "reasoning" if said.trim().is_empty() => vec![],
            "agent_message" => vec![Event::Message { text: kept_text(said) }],
            "reasoning" => vec![Event::Thinking { text: kept_text(said) }],
            "error" => error(text(item, "/message")).into_iter().collect(),
            // it has been told with each change
            "todo_list" | "" => vec![],
            "command_execution" => {
                let status = text(item, "/status");
                let exit = item["exit_code"].as_i64().filter(|code| *code != 0);
                let mut output = text(item, "/aggregated_output").trim_end().to_owned();
                if let Some(code) = exit {
                    output.push_str(&format!("\n[exit code {code}]"));
                }
                if status == "declined" {
                    output.push_str("\n[declined]");
                    self.note_denied(text(item, "/command"));
                }
                self.outcome(item, output.trim_start(), status != "completed" || exit.is_some())
            }
            "file_change" => {
                let status = text(item, "/status");
                if status == "declined" {
                    self.note_denied("a change of files");
                }
                let mut events = self.outcome(item, status, status != "completed");
                if status == "completed" {
                    events.extend(item["changes"].as_array().into_iter().flatten().map(|one| change(&self.worktree, one)));
                }
                events
            }
            _ => {
                let (result, error) = (&item["result"], &item["error"]);
                let shown = if error.is_null() { result } else { error };
                let output = if shown.is_null() { String::new() } else { shown.to_string() };
                self.outcome(item, &output, !error.is_null() || text(item, "/status") == "failed")
            }
        }
    }

    /// What came of something that it did, and before it what it was, when that was not told.
    fn outcome(&mut self, item: &Value, output: &str, is_error: bool) -> Vec<Event> {
        let mut events: Vec<_> = self.begins(item).into_iter().collect();
        let call = kept_text(text(item, "/id"));
        self.begun.remove(&call);
        events.push(Event::ToolResult { call, output: kept_text(output), is_error });
        events
    }

    /// The first ones say enough.
    fn note_denied(&mut self, what: &str) {
        let what = shortened(what);
        if self.denied.len() < 100 && !self.denied.contains(&what) {
            self.denied.push(what);
        }
    }

    /// It tells what the whole thread has used, earlier rounds included; where it is less than before, this turn alone.
    fn uses(&mut self, usage: &Value) -> Option<Event> {
        let of = |name: &str| number(usage, name).unwrap_or(0);
        let told =
            Spent { input: of("/input_tokens"), cached: of("/cached_input_tokens"), output: of("/output_tokens"), ..Spent::default() };
        let before = self.spent;
        let is_of_all = told.input >= before.input && told.output >= before.output;
        let (input, cached, output) = if is_of_all {
            (told.input - before.input, told.cached.saturating_sub(before.cached), told.output - before.output)
        } else {
            (told.input, told.cached, told.output)
        };
        self.spent = Spent {
            input: before.input.saturating_add(input),
            cached: before.cached.saturating_add(cached),
            output: before.output.saturating_add(output),
            ..before
        };
        (input > 0 || output > 0).then(|| Event::Usage { model: self.model.clone(), input, cached, output, is_part: false })
    }

    fn ends(&mut self, used: Option<Event>, end: Result<(), String>) -> Heard {
        let how = if end.is_ok() { SessionEnd::Completed } else { SessionEnd::Failed };
        self.last = Some(end);
        let ended = Event::Ended { how, turns: None, cost_micros: None };
        Heard { is_over: true, ..Heard::events(used.into_iter().chain([ended]).collect()) }
    }
}

/// What it means to do, with what of that is done.
fn plan(item: &Value) -> Option<Event> {
    let steps = item["items"].as_array().filter(|_| text(item, "/type") == "todo_list")?;
    let step = |step: &Value| format!("[{}] {}", if step["completed"] == true { "x" } else { " " }, text(step, "/text"));
    let steps: Vec<_> = steps.iter().map(step).collect();
    (!steps.is_empty()).then(|| Event::Thinking { text: kept_text(&steps.join("\n")) })
}

fn change(worktree: &Path, change: &Value) -> Event {
    let path = in_the_worktree(worktree, text(change, "/path"));
    let change = match text(change, "/kind") {
        "add" => FileChange::Written,
        "delete" => FileChange::Deleted,
        _ => FileChange::Edited,
    };
    Event::FileChange { path, change, diff: None }
}

fn error(message: &str) -> Option<Event> {
    (!message.trim().is_empty()).then(|| Event::Error { message: kept_text(message) })
}

/// The status that its provider has answered with: an error of that begins so, and tells it in no other way.
fn answered(message: &str) -> Option<u16> {
    const BEGINNINGS: [&str; 2] = ["unexpected status ", "exceeded retry limit, last status: "];
    let rest = BEGINNINGS.iter().find_map(|beginning| message.strip_prefix(beginning))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests;
