//! The `claude-code` backend: Claude Code in its headless mode, one JSON message a line in and out.
//!
//! It is started with leave to do nothing by itself, so that it asks for each thing over its control protocol, and is answered here or by
//! people. In a sandbox it may do all that the sandbox lets it, unless the task says what it asks. What people say to it while it works it
//! hears between two steps, and says so. The message that ends its last turn says how it went, and is believed before the exit code, which is
//! 0 for some failures and 1 for some that come back.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsString,
    path::PathBuf,
    process::ExitStatus,
};

use domain::{
    AskedKind, Backend, Decision, Failure, FailureCode, SessionEventKind as Event,
    approval::Answer,
    session::{FileChange, SessionEnd, kept_text, subject},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Beginning, Dialogue, Heard, Opening, Spent, how, in_the_worktree, input_in_the_worktree,
    json::{message, micros, number, shortened, some_text, text},
    question::{Fate, Leave, Question, fate},
    where_it_is,
};

/// How often it asks its provider again by itself. Longer waits are the task's own to say.
const RETRIES: &str = "3";
/// Tools whose success is a file that is changed.
const WRITES: [(&str, &str, FileChange); 4] = [
    ("Write", "file_path", FileChange::Written),
    ("Edit", "file_path", FileChange::Edited),
    ("MultiEdit", "file_path", FileChange::Edited),
    ("NotebookEdit", "notebook_path", FileChange::Edited),
];

/// Tools that only read. Of these it has those that its build knows.
const READS: &str = "Read,Grep,Glob";

/// Other tools of its own, with what they are used on.
const KNOWN: [(&str, &str); 3] = [("WebFetch", "url"), ("WebSearch", "query"), ("Read", "file_path")];

pub(crate) struct ClaudeCode {
    session: String,
    worktree: PathBuf,
    leave: Leave,
    /// Calls of tools that have not been answered.
    calls: HashMap<String, Call>,
    /// What the session has cost so far, earlier rounds included.
    spent_micros: u64,
    /// The last total that it has told, and what was spent before it began to count that.
    total_micros: u64,
    before_micros: u64,
    /// What the answer that is being written has used so far.
    usage: Usage,
    denied: Vec<String>,
    /// What it asks people, by its own names.
    asked: HashMap<String, Asking>,
    /// Calls that somebody has denied: they know what comes of that.
    waived: HashSet<String>,
    /// What was said to it and it has not heard.
    unheard: HashSet<String>,
    last: Option<Last>,
}

/// What has to be known of a question when its answer comes.
struct Asking {
    id: Value,
    input: Value,
    tool: String,
    subject: String,
    call: String,
}

/// What has to be known of a call when its answer comes.
struct Call {
    subject: String,
    /// What it changes when all goes well.
    change: Option<(String, FileChange)>,
}

/// One that begins more and waits for none of it is not followed any further.
const MOST_CALLS: usize = 1000;

#[derive(Default)]
struct Usage {
    model: Option<String>,
    input: u64,
    cached: u64,
    cache_written: u64,
}

/// What counts of the last message.
struct Last {
    end: SessionEnd,
    status: Option<u64>,
    message: String,
}

pub(crate) fn open(place: Beginning<'_>, prompt: &str) -> (Opening, ClaudeCode) {
    let mut arguments: Vec<OsString> = [
        "-p",
        "--output-format=stream-json",
        "--input-format=stream-json",
        "--verbose",
        "--include-partial-messages",
        "--permission-prompt-tool=stdio",
        "--strict-mcp-config",
    ]
    .map(OsString::from)
    .into();
    let mode = match place.leave {
        Leave::Anything | Leave::Ask(_) | Leave::Look | Leave::Speak => "manual",
        Leave::Nothing => "acceptEdits",
    };
    // a judge does not even have what it would not be allowed
    match place.leave {
        Leave::Look => arguments.extend(["--tools".into(), READS.into()]),
        Leave::Speak => arguments.extend(["--tools".into(), "".into()]),
        Leave::Anything | Leave::Nothing | Leave::Ask(_) => {}
    }
    if let Some(more) = &place.more {
        // not each of them: of a folder that is added so it takes more than files, such as skills
        arguments.extend(["--add-dir".into(), more.into()]);
    }
    let (option, session) = match place.session {
        None => ("--session-id", Uuid::now_v7().to_string()),
        Some(session) => ("--resume", session),
    };
    arguments.extend(["--permission-mode".into(), mode.into(), option.into(), OsString::from(&session)]);
    if place.leave != Leave::Anything || !place.in_sandbox {
        // or the repository's own settings give it leave
        arguments.push("--setting-sources=user".into());
    }
    let terms = place.terms;
    if let Some(model) = &terms.model {
        arguments.extend(["--model".into(), model.into()]);
    }
    if let Some(turns) = terms.max_turns {
        arguments.extend(["--max-turns".into(), turns.to_string().into()]);
    }
    if let Some(cents) = terms.max_cost_cents {
        // it counts anew whenever it is started
        let spent = place.spent.micros.saturating_sub(place.spent.earlier_micros);
        let left = (u64::from(cents) * 10_000).saturating_sub(spent);
        arguments.extend(["--max-budget-usd".into(), format!("{}.{:06}", left / 1_000_000, left % 1_000_000).into()]);
    }
    let variables = vec![
        ("CLAUDE_CONFIG_DIR", place.config.into()),
        ("CLAUDE_CODE_MAX_RETRIES", RETRIES.into()),
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1".into()),
        ("DISABLE_AUTOUPDATER", "1".into()),
    ];
    let lines = [
        json!({"type": "control_request", "request_id": "begin", "request": {"subtype": "initialize"}}),
        json!({"type": "user", "message": {"role": "user", "content": no_command(prompt)}}),
    ];
    let dialogue = ClaudeCode {
        session,
        worktree: place.worktree,
        leave: place.leave,
        calls: HashMap::new(),
        spent_micros: place.spent.micros,
        total_micros: place.spent.micros,
        before_micros: 0,
        usage: Usage::default(),
        denied: vec![],
        asked: HashMap::new(),
        waived: HashSet::new(),
        unheard: HashSet::new(),
        last: None,
    };
    (Opening { arguments, variables, files: vec![], lines: lines.map(|line| line.to_string()).into() }, dialogue)
}

/// What begins with a slash it would take for one of its commands.
fn no_command(prompt: &str) -> String {
    if prompt.trim_start().starts_with('/') { format!("This is to be done:\n\n{prompt}") } else { prompt.to_owned() }
}

impl Dialogue for ClaudeCode {
    fn hear(&mut self, line: &str) -> Heard {
        let Some(message) = message(line) else { return Heard::output() };
        match text(&message, "/type") {
            "system" => Heard::events(self.system(&message)),
            "assistant" => Heard::events(self.assistant(&message)),
            "user" => Heard::events(self.user(&message)),
            "stream_event" => Heard::events(self.stream(&message["event"])),
            "control_request" => self.asks(&message),
            "control_cancel_request" => {
                let key = text(&message, "/request_id").to_owned();
                let withdrawn = self.asked.remove(&key);
                // it counts the call among those that were denied, though nobody has denied it
                withdrawn.iter().for_each(|asking| self.waive(asking.call.clone()));
                Heard { withdrawn: withdrawn.map(|_| key).into_iter().collect(), ..Heard::default() }
            }
            "command_lifecycle" if text(&message, "/state") != "queued" => {
                self.unheard.remove(text(&message, "/command_uuid"));
                Heard::default()
            }
            "control_response" if text(&message, "/response/subtype") == "error" => {
                Heard::events(vec![Event::Error { message: kept_text(text(&message, "/response/error")) }])
            }
            "result" => self.result(&message),
            // others come with later versions, and say nothing that has to be known
            _ => Heard::default(),
        }
    }

    fn answer(&mut self, key: &str, answer: &Answer) -> Heard {
        let Some(asking) = self.asked.remove(key) else { return Heard::default() };
        let Asking { id, input, tool, subject, call } = asking;
        let allowed = answer.decision == Decision::Allow;
        let response = if allowed {
            json!({"behavior": "allow", "updatedInput": input})
        } else {
            if answer.unanswered {
                self.note_denied(&tool);
            } else {
                self.waive(call);
            }
            json!({"behavior": "deny", "message": answer.message.as_deref().unwrap_or("This is not allowed.")})
        };
        let line = json!({"type": "control_response", "response": {"subtype": "success", "request_id": id, "response": response}});
        let event = Event::Permission { tool, subject, allowed, by: answer.by.clone() };
        Heard { answers: vec![line.to_string()], ..Heard::events(vec![event]) }
    }

    fn tell(&mut self, text: &str, interrupt: bool) -> Option<Heard> {
        let id = Uuid::now_v7().to_string();
        let mut lines = vec![];
        if interrupt {
            let request = json!({"type": "control_request", "request_id": format!("interrupt {id}"), "request": {"subtype": "interrupt"}});
            lines.push(request.to_string());
        }
        lines.push(json!({"type": "user", "uuid": id, "message": {"role": "user", "content": no_command(text)}}).to_string());
        self.unheard.insert(id);
        Some(Heard { answers: lines, ..Heard::default() })
    }

    fn may_be_the_last(&self, ends: &str) -> bool {
        ends.contains(r#""type":"result""#)
    }

    fn session(&self) -> Option<String> {
        Some(self.session.clone())
    }

    fn spent(&self) -> Spent {
        Spent { micros: self.spent_micros, ..Spent::default() }
    }

    fn verdict(&self, ended: Option<ExitStatus>) -> Result<(), Failure> {
        let failed = |code, message: String| Err(Failure::new(code, message));
        let Some(last) = &self.last else {
            return failed(FailureCode::CommandFailed, format!("Claude Code {} without saying how it went", how(ended)));
        };
        let why = |start: &str| if last.message.is_empty() { start.to_owned() } else { format!("{start}: {}", last.message) };
        match (last.end, last.status) {
            (SessionEnd::TurnsUsedUp, _) => {
                failed(FailureCode::AgentCapped, "Claude Code has used up the turns that it was allowed".into())
            }
            (SessionEnd::MoneyUsedUp, _) => {
                failed(FailureCode::AgentCapped, "Claude Code has used up the money that it was allowed".into())
            }
            (_, Some(429 | 503 | 529)) => failed(FailureCode::ProviderLimit, why("Claude Code was told to come back later")),
            (_, Some(400..=404 | 413)) => failed(FailureCode::ProviderRefused, why("Claude Code was refused by its provider")),
            (SessionEnd::Failed, _) => failed(FailureCode::CommandFailed, why("Claude Code failed")),
            (SessionEnd::Completed, _) => match self.denied.first() {
                Some(first) => failed(FailureCode::AgentDenied, format!("Claude Code was not allowed to use {first}")),
                None if ended.is_none_or(|ended| ended.success()) => Ok(()),
                None => failed(FailureCode::CommandFailed, format!("Claude Code {} after it had said that all went well", how(ended))),
            },
        }
    }
}

impl ClaudeCode {
    fn system(&mut self, message: &Value) -> Vec<Event> {
        match text(message, "/subtype") {
            "init" => vec![Event::Started {
                backend: Backend::ClaudeCode,
                version: some_text(message, "/claude_code_version"),
                model: some_text(message, "/model"),
                session: some_text(message, "/session_id"),
            }],
            "api_retry" => {
                let (attempt, most) = (number(message, "/attempt").unwrap_or(1), number(message, "/max_retries").unwrap_or(1));
                let status = number(message, "/error_status").map(|status| format!(" {status}")).unwrap_or_default();
                let error = text(message, "/error");
                let seconds = number(message, "/retry_delay_ms").unwrap_or(0) as f64 / 1000.0;
                let message = format!("the provider answered{status} ({error}); asked again in {seconds:.1} s, {attempt} of {most} times");
                vec![Event::Error { message: kept_text(&message) }]
            }
            "permission_denied" => {
                let (tool, call) = (kept_text(text(message, "/tool_name")), text(message, "/tool_use_id"));
                if self.waived.contains(call) {
                    return vec![];
                }
                let subject = self.calls.get(call).map(|call| call.subject.clone()).unwrap_or_default();
                self.note_denied(&tool);
                vec![Event::Permission { tool, subject, allowed: false, by: "Claude Code".into() }]
            }
            _ => vec![],
        }
    }

    fn assistant(&mut self, message: &Value) -> Vec<Event> {
        // what it says itself instead of the model is about an error
        let is_its_own = text(message, "/message/model") == "<synthetic>";
        blocks(message)
            .filter_map(|block| match text(block, "/type") {
                "text" if is_its_own => Some(Event::Error { message: kept_text(text(block, "/text")) }),
                "text" => Some(Event::Message { text: kept_text(text(block, "/text")) }),
                "thinking" => {
                    Some(Event::Thinking { text: kept_text(text(block, "/thinking")) }).filter(|_| !text(block, "/thinking").is_empty())
                }
                "tool_use" => {
                    let (call, tool) = (kept_text(text(block, "/id")), kept_text(text(block, "/name")));
                    self.follows(&call, &tool, &block["input"]);
                    Some(Event::ToolCall { call, tool, input: input_in_the_worktree(&self.worktree, &block["input"]) })
                }
                _ => None,
            })
            .collect()
    }

    fn follows(&mut self, call: &str, tool: &str, input: &Value) {
        if self.calls.len() >= MOST_CALLS {
            return;
        }
        let changes = WRITES.iter().find(|(name, ..)| *name == tool);
        let change = changes.and_then(|(_, file, change)| Some((in_the_worktree(&self.worktree, input[*file].as_str()?), *change)));
        self.calls.insert(call.to_owned(), Call { subject: subject_of(&input_in_the_worktree(&self.worktree, input)), change });
    }

    /// That this call is denied is known to whoever has denied it.
    fn waive(&mut self, call: String) {
        if !call.is_empty() && self.waived.len() < MOST_CALLS {
            self.waived.insert(call);
        }
    }

    /// The first ones say enough.
    fn note_denied(&mut self, tool: &str) {
        let tool = shortened(tool);
        if self.denied.len() < 100 && !self.denied.contains(&tool) {
            self.denied.push(tool);
        }
    }

    fn user(&mut self, message: &Value) -> Vec<Event> {
        let mut events = vec![];
        for block in blocks(message).filter(|block| text(block, "/type") == "tool_result") {
            let call = text(block, "/tool_use_id");
            let is_error = block["is_error"].as_bool().unwrap_or(false);
            events.push(Event::ToolResult { call: kept_text(call), output: kept_text(&output(&block["content"])), is_error });
            let call = self.calls.remove(call).filter(|_| !is_error);
            if let Some((path, change)) = call.and_then(|call| call.change) {
                events.push(Event::FileChange { path, change, diff: None });
            }
        }
        events
    }

    /// The answer as it is being written: only what it uses is of interest, as the whole of it comes as well.
    fn stream(&mut self, event: &Value) -> Vec<Event> {
        match text(event, "/type") {
            "message_start" => {
                let of = |name: &str| number(&event["message"]["usage"], name).unwrap_or(0);
                let cached = of("/cache_read_input_tokens");
                let cache_written = of("/cache_creation_input_tokens");
                let input = of("/input_tokens").saturating_add(cache_written).saturating_add(cached);
                self.usage = Usage { model: some_text(event, "/message/model"), input, cached, cache_written };
                vec![]
            }
            "message_delta" => {
                let Usage { model, input, cached, cache_written } = std::mem::take(&mut self.usage);
                let output = number(event, "/usage/output_tokens").unwrap_or(0);
                if input == 0 && output == 0 {
                    return vec![];
                }
                // it tells what that cost with the end of the turn
                vec![Event::Usage { model, input, cached, cache_written, output, cost: None, is_part: false }]
            }
            _ => vec![],
        }
    }

    fn asks(&mut self, message: &Value) -> Heard {
        let request = &message["request"];
        let answer = |response: Value| json!({"type": "control_response", "response": response}).to_string();
        let id = &message["request_id"];
        if text(request, "/subtype") != "can_use_tool" {
            let refused = json!({"subtype": "error", "request_id": id, "error": "Muster has no answer to this"});
            return Heard { answers: vec![answer(refused)], ..Heard::default() };
        }
        let input = &request["input"];
        let (tool, shown) = (kept_text(text(request, "/tool_name")), input_in_the_worktree(&self.worktree, input));
        let (kind, subject) = self.about(&tool, input, &shown);
        let answered = |response: Value| answer(json!({"subtype": "success", "request_id": id, "response": response}));
        let key = text(message, "/request_id").to_owned();
        if key.is_empty() || self.asked.contains_key(&key) {
            // an answer would be for another question than the one that was shown
            let refused = json!({"subtype": "error", "request_id": id, "error": "this is asked already"});
            return Heard { answers: vec![answer(refused)], ..Heard::default() };
        }
        match fate(self.leave, kind, &tool, &subject, input) {
            Fate::Allowed => Heard { answers: vec![answered(json!({"behavior": "allow", "updatedInput": input}))], ..Heard::default() },
            Fate::Denied(why) => {
                self.note_denied(&tool);
                let denied = Event::Permission { tool, subject: kept_text(&subject), allowed: false, by: "Muster".into() };
                Heard { answers: vec![answered(json!({"behavior": "deny", "message": why}))], ..Heard::events(vec![denied]) }
            }
            Fate::Asked(asked) => {
                let call = kept_text(text(request, "/tool_use_id"));
                self.asked.insert(key.clone(), Asking { id: id.clone(), input: input.clone(), tool, subject, call });
                Heard { questions: vec![Question { key, asked }], ..Heard::default() }
            }
        }
    }

    /// What leave is asked for: exactly the command, or the file.
    fn about(&self, tool: &str, input: &Value, shown: &Value) -> (AskedKind, String) {
        if tool == "Bash"
            && let Some(command) = input["command"].as_str()
        {
            return (AskedKind::Command, command.to_owned());
        }
        let file = WRITES.iter().find(|(name, ..)| *name == tool).and_then(|(_, file, _)| input[*file].as_str());
        if let Some(file) = file {
            return (AskedKind::Edit, where_it_is(&self.worktree, file));
        }
        // of others all counts, as nobody knows here what they do
        let known = KNOWN.iter().find(|(name, _)| *name == tool).and_then(|(_, subject)| shown[*subject].as_str());
        (AskedKind::Tool, known.map_or_else(|| input.to_string(), str::to_owned))
    }

    fn result(&mut self, message: &Value) -> Heard {
        let is_error = message["is_error"].as_bool().unwrap_or(true);
        let end = match text(message, "/subtype") {
            "error_max_turns" => SessionEnd::TurnsUsedUp,
            "error_max_budget_usd" => SessionEnd::MoneyUsedUp,
            // "success" says nothing by itself
            "success" if !is_error => SessionEnd::Completed,
            _ => SessionEnd::Failed,
        };
        // nobody has denied what it no longer waits for
        let open: Vec<_> = self.asked.drain().collect();
        let withdrawn: Vec<_> = open.into_iter().map(|(key, asking)| (key, self.waive(asking.call)).0).collect();
        for denial in message["permission_denials"].as_array().into_iter().flatten() {
            if !self.waived.contains(text(denial, "/tool_use_id")) {
                self.note_denied(text(denial, "/tool_name"));
            }
        }
        let said = [text(message, "/result").to_owned(), errors(message)].into_iter().find(|text| !text.is_empty()).unwrap_or_default();
        let message_of_end = if end == SessionEnd::Completed { String::new() } else { shortened(&said) };
        self.last = Some(Last { end, status: number(message, "/api_error_status"), message: message_of_end });
        let cost_micros = self.costs(message);
        // what was said to it begins another turn
        let goes_on = !self.unheard.is_empty() && !matches!(end, SessionEnd::TurnsUsedUp | SessionEnd::MoneyUsedUp);
        if goes_on {
            return Heard { withdrawn, ..Heard::default() };
        }
        let ended = Event::Ended { how: end, turns: number(message, "/num_turns"), cost_micros };
        Heard { is_over: true, withdrawn, ..Heard::events(vec![ended]) }
    }

    /// What the session has cost by now. Some versions count that in all its processes, others anew in each: there the total is below the one
    /// before, or less than what was spent then with what they say has come to it since.
    fn costs(&mut self, message: &Value) -> Option<u64> {
        let total = micros(&message["total_cost_usd"])?;
        if total < self.total_micros {
            self.before_micros = self.before_micros.saturating_add(self.total_micros);
        }
        self.total_micros = total;
        let since = message["model_usage_since_last_result"].as_object().into_iter().flatten();
        let since = since.filter_map(|(_, of_a_model)| micros(&of_a_model["costUSD"])).fold(0, u64::saturating_add);
        self.spent_micros = self.before_micros.saturating_add(total).max(self.spent_micros.saturating_add(since));
        Some(self.spent_micros)
    }
}

fn blocks(message: &Value) -> impl Iterator<Item = &Value> {
    message["message"]["content"].as_array().into_iter().flatten()
}

/// A tool answers with a text, or with pieces.
fn output(content: &Value) -> String {
    let Value::Array(pieces) = content else { return content.as_str().unwrap_or_default().to_owned() };
    let piece = |piece: &Value| match text(piece, "/type") {
        "text" => text(piece, "/text").to_owned(),
        kind => format!("[{kind}]"),
    };
    pieces.iter().map(piece).collect::<Vec<_>>().join("\n")
}

/// What a tool is to be used on, in one line.
fn subject_of(input: &Value) -> String {
    shortened(&subject(input).map_or_else(|| input.to_string(), str::to_owned))
}

fn errors(message: &Value) -> String {
    let all = message["errors"].as_array().into_iter().flatten();
    all.map(|error| error.as_str().map_or_else(|| error.to_string(), str::to_owned)).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests;
