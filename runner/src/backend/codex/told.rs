//! How it is told what Codex does: that it begins with something, what came of that, and what it was not allowed. Its two modes say the same of
//! it by names of their own, which are both understood here.

use std::{collections::HashSet, path::Path};

use domain::{
    SessionEventKind as Event,
    session::{FileChange, kept_text, kept_value},
};
use serde_json::{Value, json};

use crate::backend::{
    in_the_worktree,
    json::{shortened, text},
};

/// Of those it has begun and not ended; then they are forgotten, and an end is told with its beginning.
pub(super) const MOST_ITEMS: usize = 1000;
/// The first ones say enough.
const MOST_DENIED: usize = 100;

/// What it does, as far as that was told.
#[derive(Default)]
pub(super) struct Items {
    begun: HashSet<String>,
    denied: Vec<String>,
    /// What somebody has denied: they know what comes of that.
    waived: HashSet<String>,
}

impl Items {
    /// What it does, when it begins with it. What it says comes whole when it is said.
    pub fn begins(&mut self, item: &Value) -> Option<Event> {
        let (tool, input) = tool(item)?;
        let call = kept_text(text(item, "/id"));
        if self.begun.len() >= MOST_ITEMS {
            self.begun.clear();
        }
        self.begun.insert(call.clone()).then(|| Event::ToolCall { call, tool: kept_text(&tool), input: kept_value(&input) })
    }

    /// What came of something that it did.
    pub fn completes(&mut self, item: &Value, worktree: &Path) -> Vec<Event> {
        let status = text(item, "/status");
        match text(item, "/type") {
            "commandExecution" | "command_execution" => {
                let exit = item["exitCode"].as_i64().or_else(|| item["exit_code"].as_i64()).filter(|code| *code != 0);
                let mut output = either(item, "/aggregatedOutput", "/aggregated_output").trim_end().to_owned();
                if let Some(code) = exit {
                    output.push_str(&format!("\n[exit code {code}]"));
                }
                if status == "declined" {
                    output.push_str("\n[declined]");
                    self.note_denied(item, text(item, "/command"));
                }
                self.outcome(item, output.trim_start(), status != "completed" || exit.is_some())
            }
            "fileChange" | "file_change" => {
                if status == "declined" {
                    self.note_denied(item, "a change of files");
                }
                let mut events = self.outcome(item, status, status != "completed");
                if status == "completed" {
                    events.extend(item["changes"].as_array().into_iter().flatten().map(|one| change(worktree, one)));
                }
                events
            }
            _ => {
                let (result, error) = (&item["result"], &item["error"]);
                let shown = if error.is_null() { result } else { error };
                let output = if shown.is_null() { String::new() } else { shown.to_string() };
                self.outcome(item, &output, !error.is_null() || status == "failed")
            }
        }
    }

    /// And before it what it was, when that was not told.
    fn outcome(&mut self, item: &Value, output: &str, is_error: bool) -> Vec<Event> {
        let mut events: Vec<_> = self.begins(item).into_iter().collect();
        let call = kept_text(text(item, "/id"));
        self.begun.remove(&call);
        events.push(Event::ToolResult { call, output: kept_text(output), is_error });
        events
    }

    /// That this is declined is known to whoever has declined it.
    pub fn waive(&mut self, item: String) {
        if !item.is_empty() && self.waived.len() < MOST_ITEMS {
            self.waived.insert(item);
        }
    }

    fn note_denied(&mut self, item: &Value, what: &str) {
        if self.waived.contains(text(item, "/id")) {
            return;
        }
        let what = shortened(what);
        if self.denied.len() < MOST_DENIED && !self.denied.contains(&what) {
            self.denied.push(what);
        }
    }

    /// The first thing that it was not allowed and nobody knows of.
    pub fn denied(&self) -> Option<&str> {
        self.denied.first().map(String::as_str)
    }
}

/// What it is and what it is given, for whatever it does beside what it says, thinks, means to do and is told.
fn tool(item: &Value) -> Option<(String, Value)> {
    let told = match text(item, "/type") {
        "commandExecution" | "command_execution" => ("command".to_owned(), json!({"command": item["command"]})),
        "fileChange" | "file_change" => ("apply_patch".to_owned(), json!({"changes": item["changes"]})),
        "mcpToolCall" | "mcp_tool_call" => (format!("{} {}", text(item, "/server"), text(item, "/tool")), item["arguments"].clone()),
        "collab_tool_call" => (text(item, "/tool").to_owned(), json!({"prompt": item["prompt"]})),
        "webSearch" | "web_search" => ("web_search".to_owned(), json!({"query": item["query"]})),
        "agentMessage" | "agent_message" | "userMessage" | "reasoning" | "plan" | "todo_list" | "hookPrompt" | "error" | "" => return None,
        other => (other.to_owned(), item.clone()),
    };
    Some(told)
}

fn change(worktree: &Path, change: &Value) -> Event {
    let path = in_the_worktree(worktree, text(change, "/path"));
    let change = match either(change, "/kind/type", "/kind") {
        "add" => FileChange::Written,
        "delete" => FileChange::Deleted,
        _ => FileChange::Edited,
    };
    Event::FileChange { path, change, diff: None }
}

/// Whichever of the two is there.
fn either<'a>(value: &'a Value, one: &str, other: &str) -> &'a str {
    match text(value, one) {
        "" => text(value, other),
        found => found,
    }
}
