//! Codex by its `exec --json`, the simple mode: it is told its prompt once and prints what it does, one JSON message a line.
//!
//! Nobody is asked, nothing is said to it while it works, and it does not tell when its model has answered, so that no turns are counted; a
//! later round goes on with `resume`. It is given work in Muster's sandbox alone, and its own is left out. How it went is what it says last:
//! whatever it calls an error before that it may have got over.

use std::{ffi::OsString, path::PathBuf, process::ExitStatus};

use domain::{
    Backend, Failure, FailureCode, SessionEventKind as Event,
    approval::Answer,
    session::{SessionEnd, kept_text},
};
use serde_json::Value;

use super::{settings::settings, told::Items};
use crate::backend::{
    Beginning, Dialogue, Heard, Opening, Spent, how,
    json::{message, number, shortened, some_text, text},
    own::is_a_name,
};

pub(crate) struct Exec {
    worktree: PathBuf,
    version: String,
    model: Option<String>,
    /// The thread, once it is known; at first one of an earlier round.
    thread: Option<String>,
    /// What it does.
    items: Items,
    /// Tokens of the thread, in all rounds.
    spent: Spent,
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
        items: Items::default(),
        spent: place.spent,
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
            "item.started" => Heard::events(plan(item).or_else(|| self.items.begins(item)).into_iter().collect()),
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
            Some(Ok(())) => match self.items.denied() {
                Some(first) => failed(FailureCode::AgentDenied, format!("Codex was not allowed: {first}")),
                None if ended.is_none_or(|ended| ended.success()) => Ok(()),
                None => failed(FailureCode::CommandFailed, format!("Codex {} after it had said that all went well", how(ended))),
            },
        }
    }
}

impl Exec {
    fn completes(&mut self, item: &Value) -> Vec<Event> {
        let said = text(item, "/text");
        match text(item, "/type") {
            "agent_message" | "reasoning" if said.trim().is_empty() => vec![],
            "agent_message" => vec![Event::Message { text: kept_text(said) }],
            "reasoning" => vec![Event::Thinking { text: kept_text(said) }],
            "error" => error(text(item, "/message")).into_iter().collect(),
            // it has been told with each change
            "todo_list" | "" => vec![],
            _ => self.items.completes(item, &self.worktree),
        }
    }

    /// It tells what the whole thread has used, earlier rounds included; where it is less than before, this turn alone.
    fn uses(&mut self, usage: &Value) -> Option<Event> {
        let of = |name: &str| number(usage, name).unwrap_or(0);
        let told = Spent {
            input: of("/input_tokens"),
            cached: of("/cached_input_tokens"),
            cache_written: of("/cache_write_input_tokens"),
            output: of("/output_tokens"),
            ..Spent::default()
        };
        let before = self.spent;
        let is_of_all = told.input >= before.input && told.output >= before.output;
        let since = |told: u64, before: u64| if is_of_all { told.saturating_sub(before) } else { told };
        let (input, output) = (since(told.input, before.input), since(told.output, before.output));
        let (cached, cache_written) = (since(told.cached, before.cached), since(told.cache_written, before.cache_written));
        self.spent = Spent {
            input: before.input.saturating_add(input),
            cached: before.cached.saturating_add(cached),
            cache_written: before.cache_written.saturating_add(cache_written),
            output: before.output.saturating_add(output),
            ..before
        };
        let model = self.model.clone();
        (input > 0 || output > 0).then_some(Event::Usage { model, input, cached, cache_written, output, cost: None, is_part: false })
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
