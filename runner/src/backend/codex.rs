//! The `codex` backend: Codex's app server, JSON-RPC over its standard input and output, one message a line.
//!
//! It is given work in Muster's sandbox alone, and its own is left out: whatever it asks for is allowed there, unless the task says what it
//! asks people. It counts no money and knows no limit of turns: the answers of its model are counted here, and the turn is interrupted once
//! there are more than it is allowed. What people say to it while it works goes into its turn, or begins another. Its simple mode is in [`exec`].

pub(crate) mod exec;
mod settings;
mod told;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::ExitStatus,
};

use domain::{
    AgentTerms, AskedKind, Backend, Decision, Failure, FailureCode, SessionEventKind as Event,
    approval::Answer,
    session::{SessionEnd, kept_text},
};
use serde_json::{Value, json};

use super::{
    Beginning, Dialogue, Heard, Opening, how, in_the_worktree,
    json::{message, number, shortened, some_text, text},
    question::{Fate, Leave, Question, fate},
    where_it_is,
};
use settings::settings;
use told::{Items, MOST_ITEMS};

/// Where its models are unless the environment of the agents says otherwise.
pub(super) const PROVIDER: &str = "https://api.openai.com/v1";

/// What each request is about is told by its number.
const INITIALIZE: u64 = 0;
const THREAD: u64 = 1;
const TURN: u64 = 2;
const INTERRUPT: u64 = 3;
/// From here on, each about something that was said to it.
const STEER: u64 = 10;

pub(crate) struct Codex {
    worktree: PathBuf,
    model: Option<String>,
    max_turns: Option<u32>,
    prompt: String,
    /// The thread, once it is known; at first one of an earlier round.
    thread: Option<String>,
    resumes: bool,
    version: Option<String>,
    turn: Option<String>,
    /// What it does.
    items: Items,
    /// Answers of its model, as far as they were counted.
    answers: u64,
    /// Tokens of each thread, as far as they were counted.
    used: HashMap<String, u64>,
    interrupted: bool,
    leave: Leave,
    /// What it asks people, by its own names.
    asked: HashMap<String, Asking>,
    /// The changes of files that it has begun, by its names for them.
    changes: HashMap<String, Value>,
    /// What was said to it and it has not taken, by the numbers of the requests.
    steering: HashMap<u64, String>,
    next_steer: u64,
    /// What its next turn begins with.
    next: Vec<String>,
    /// It was stopped, as somebody wants to say something.
    makes_way: bool,
    /// How its turn has ended, while it is open whether what was said to it has come in time.
    over: Option<(SessionEnd, Value)>,
    last: Option<Last>,
}

/// What has to be known of a question when its answer comes.
struct Asking {
    id: Value,
    item: String,
    tool: &'static str,
    subject: String,
}

struct Last {
    end: SessionEnd,
    error: Value,
}

pub(crate) fn open(place: Beginning<'_>, prompt: &str) -> (Opening, Codex) {
    let mut arguments = settings(&place);
    arguments.push("app-server".into());
    let variables = vec![("CODEX_HOME", place.config.into())];
    let about = json!({"name": "muster", "title": "Muster", "version": env!("CARGO_PKG_VERSION")});
    let lines = vec![request(INITIALIZE, "initialize", json!({"clientInfo": about}))];
    let AgentTerms { model, max_turns, .. } = place.terms;
    let dialogue = Codex {
        worktree: place.worktree,
        model: model.clone(),
        max_turns: *max_turns,
        prompt: prompt.to_owned(),
        resumes: place.session.is_some(),
        thread: place.session,
        version: None,
        turn: None,
        items: Items::default(),
        answers: 0,
        used: HashMap::new(),
        interrupted: false,
        leave: place.leave,
        asked: HashMap::new(),
        changes: HashMap::new(),
        steering: HashMap::new(),
        next_steer: STEER,
        next: vec![],
        makes_way: false,
        over: None,
        last: None,
    };
    (Opening { arguments, variables, files: vec![], lines }, dialogue)
}

fn request(id: u64, method: &str, params: Value) -> String {
    json!({"id": id, "method": method, "params": params}).to_string()
}

/// What a change is about, and the folder that is to be free from then on, if any.
fn with_root(changes: Value, root: &Value) -> Value {
    if root.is_null() { json!({"changes": changes}) } else { json!({"changes": changes, "grantRoot": root}) }
}

fn decision(id: &Value, decision: &str) -> String {
    json!({"id": id, "result": {"decision": decision}}).to_string()
}

impl Dialogue for Codex {
    fn hear(&mut self, line: &str) -> Heard {
        let Some(message) = message(line) else { return Heard::output() };
        match (message.get("method").and_then(Value::as_str), message.get("id")) {
            (Some(method), Some(id)) => self.asks(method, id, &message["params"]),
            (Some(method), None) => self.told(method, &message["params"]),
            (None, Some(id)) => self.answered(id.as_u64(), &message),
            (None, None) => Heard::output(),
        }
    }

    fn answer(&mut self, key: &str, answer: &Answer) -> Heard {
        let Some(asking) = self.asked.remove(key) else { return Heard::default() };
        let Asking { id, item, tool, subject } = asking;
        let allowed = answer.decision == Decision::Allow;
        let mut heard = Heard::default();
        heard.answers.push(decision(&id, if allowed { "accept" } else { "decline" }));
        if !allowed {
            if !answer.unanswered {
                self.items.waive(item);
            }
            // its answer has no room for the reason
            if let Some(message) = &answer.message {
                let words = format!("{} says:\n\n{message}", answer.by);
                match self.steer(&words) {
                    Some(line) => heard.answers.push(line),
                    None => self.next.push(words),
                }
            }
        }
        heard.events.push(Event::Permission { tool: tool.into(), subject, allowed, by: answer.by.clone() });
        heard
    }

    fn tell(&mut self, text: &str, interrupt: bool) -> Option<Heard> {
        self.turn.as_ref()?;
        if !interrupt {
            return Some(Heard { answers: self.steer(text).into_iter().collect(), ..Heard::default() });
        }
        self.next.push(text.to_owned());
        self.makes_way = true;
        let stop = request(INTERRUPT, "turn/interrupt", json!({"threadId": self.thread, "turnId": self.turn}));
        Some(Heard { answers: vec![stop], ..Heard::default() })
    }

    fn may_be_the_last(&self, ends: &str) -> bool {
        ends.contains("turn/completed")
    }

    fn session(&self) -> Option<String> {
        self.thread.clone()
    }

    fn verdict(&self, ended: Option<ExitStatus>) -> Result<(), Failure> {
        let failed = |code, message: String| Err(Failure::new(code, message));
        let Some(last) = &self.last else {
            return failed(FailureCode::CommandFailed, format!("Codex {} without saying how it went", how(ended)));
        };
        let why = |start: &str| match shortened(text(&last.error, "/message")) {
            message if message.is_empty() => start.to_owned(),
            message => format!("{start}: {message}"),
        };
        match last.end {
            SessionEnd::TurnsUsedUp => failed(FailureCode::AgentCapped, "Codex has used up the turns that it was allowed".into()),
            SessionEnd::MoneyUsedUp => failed(FailureCode::AgentCapped, "Codex has used up what its session may use".into()),
            SessionEnd::Failed => match provider_says(&last.error) {
                Some(FailureCode::ProviderLimit) => failed(FailureCode::ProviderLimit, why("Codex was told to come back later")),
                Some(code) => failed(code, why("Codex was refused by its provider")),
                None => failed(FailureCode::CommandFailed, why("Codex failed")),
            },
            SessionEnd::Completed => match self.items.denied() {
                Some(first) => failed(FailureCode::AgentDenied, format!("Codex was not allowed: {first}")),
                None if ended.is_none_or(|ended| ended.success()) => Ok(()),
                None => failed(FailureCode::CommandFailed, format!("Codex {} after it had said that all went well", how(ended))),
            },
        }
    }
}

impl Codex {
    /// Its answer to something that it was asked.
    fn answered(&mut self, id: Option<u64>, message: &Value) -> Heard {
        let steered = id.and_then(|id| self.steering.remove(&id));
        if let Some(text) = steered {
            // its turn was over by then
            if message.get("error").is_some() {
                self.next.push(text);
            }
            return if self.turn.is_none() { self.next_turn() } else { Heard::default() };
        }
        if message.get("error").is_some() {
            // without it there is no turn; an interrupt that comes too late is none
            return if id == Some(INTERRUPT) { Heard::default() } else { self.ends(SessionEnd::Failed, message["error"].clone()) };
        }
        let result = &message["result"];
        match id {
            Some(INITIALIZE) => {
                // "muster/0.169.0 (Debian …)"
                let version = text(result, "/userAgent").split_once('/').and_then(|(_, rest)| rest.split_whitespace().next());
                self.version = version.map(kept_text);
                Heard { answers: vec![json!({"method": "initialized"}).to_string(), self.thread_request()], ..Heard::default() }
            }
            Some(THREAD) => {
                self.thread = some_text(result, "/thread/id");
                self.model = some_text(result, "/thread/model").or(self.model.take());
                let started = Event::Started {
                    backend: Backend::Codex,
                    version: self.version.clone(),
                    model: self.model.clone(),
                    session: self.thread.clone(),
                };
                Heard { answers: vec![self.turn_request(&self.prompt)], ..Heard::events(vec![started]) }
            }
            Some(TURN) => {
                self.turn = some_text(result, "/turn/id");
                Heard::default()
            }
            _ => Heard::default(),
        }
    }

    fn turn_request(&self, text: &str) -> String {
        let input = json!([{"type": "text", "text": text}]);
        request(TURN, "turn/start", json!({"threadId": self.thread, "input": input, "sandboxPolicy": {"type": "dangerFullAccess"}}))
    }

    /// Says something within the turn that is going on.
    fn steer(&mut self, text: &str) -> Option<String> {
        let turn = self.turn.as_ref()?;
        let id = self.next_steer;
        self.next_steer += 1;
        self.steering.insert(id, text.to_owned());
        let input = json!({"threadId": self.thread, "expectedTurnId": turn, "input": [{"type": "text", "text": text}]});
        Some(request(id, "turn/steer", input))
    }

    /// With what was said to it and no turn has heard; its turn is over.
    fn next_turn(&mut self) -> Heard {
        if self.next.is_empty() {
            // all that was said had come in time
            return match self.over.take().filter(|_| self.steering.is_empty()) {
                Some((end, error)) => self.ends(end, error),
                None => Heard::default(),
            };
        }
        self.over = None;
        let words = std::mem::take(&mut self.next).join("\n\n");
        Heard { answers: vec![self.turn_request(&words)], ..Heard::default() }
    }

    fn thread_request(&self) -> String {
        // A thread that may write takes its folder for one that it may trust, and its settings name programs and what needs no leave. So its
        // turns alone are told that no sandbox of its own is wanted.
        let mut params = json!({"cwd": self.worktree, "approvalPolicy": "untrusted", "sandbox": "read-only"});
        if let Some(model) = &self.model {
            params["model"] = json!(model);
        }
        match &self.thread {
            Some(thread) if self.resumes => {
                params["threadId"] = json!(thread);
                params["excludeTurns"] = json!(true);
                request(THREAD, "thread/resume", params)
            }
            _ => request(THREAD, "thread/start", params),
        }
    }

    /// What it asks. Whatever nobody can answer is refused, so that it does not wait for ever.
    fn asks(&mut self, method: &str, id: &Value, params: &Value) -> Heard {
        let item = text(params, "/itemId").to_owned();
        let (kind, tool, subject, input) = match method {
            "item/commandExecution/requestApproval" if params["kind"].is_null() || params["kind"] == "command" => {
                let (mut command, folder) = (text(params, "/command").to_owned(), text(params, "/cwd"));
                if Path::new(folder) != self.worktree && !folder.is_empty() && !command.is_empty() {
                    command.push_str(&format!("\nin {}", in_the_worktree(&self.worktree, folder)));
                }
                (AskedKind::Command, "command", command, json!({"command": params["command"], "cwd": params["cwd"]}))
            }
            "item/fileChange/requestApproval" => {
                let changes = self.changes.get(&item).cloned().unwrap_or_default();
                // what is moved is written elsewhere
                let places =
                    changes.as_array().into_iter().flatten().flat_map(|change| [text(change, "/path"), text(change, "/kind/move_path")]);
                let files = places.filter(|path| !path.is_empty()).map(|path| where_it_is(&self.worktree, path));
                let files = files.collect::<Vec<_>>().join("\n");
                (AskedKind::Edit, "apply_patch", files, with_root(changes, &params["grantRoot"]))
            }
            _ => {
                let answer = json!({"id": id, "error": {"code": -32601, "message": "Muster has no answer to this"}});
                return Heard { answers: vec![answer.to_string()], ..Heard::default() };
            }
        };
        let key = id.to_string();
        if self.asked.contains_key(&key) {
            return Heard { answers: vec![decision(id, "decline")], ..Heard::default() };
        }
        match fate(self.leave, kind, tool, &subject, &input) {
            Fate::Allowed => Heard { answers: vec![decision(id, "accept")], ..Heard::default() },
            Fate::Denied(_) => {
                let denied = Event::Permission { tool: tool.into(), subject: kept_text(&subject), allowed: false, by: "Muster".into() };
                Heard { answers: vec![decision(id, "decline")], ..Heard::events(vec![denied]) }
            }
            Fate::Asked(asked) => {
                self.asked.insert(key.clone(), Asking { id: id.clone(), item, tool, subject });
                Heard { questions: vec![Question { key, asked }], ..Heard::default() }
            }
        }
    }

    fn told(&mut self, method: &str, params: &Value) -> Heard {
        let thread = text(params, "/threadId");
        let is_others = !thread.is_empty() && self.thread.as_deref().is_some_and(|own| own != thread);
        match method {
            "thread/tokenUsage/updated" => self.uses(params),
            // by itself, as with an interrupt
            "serverRequest/resolved" => {
                let key = params["requestId"].to_string();
                let withdrawn = self.withdraw(&key).into_iter().collect();
                Heard { withdrawn, ..Heard::default() }
            }
            // a helper that it has begun asks for its changes as well
            "item/started" if is_others => {
                self.note_changes(&params["item"]);
                Heard::default()
            }
            // of a helper that it has begun
            _ if is_others => Heard::default(),
            "turn/started" if self.turn.is_none() => {
                self.turn = some_text(params, "/turn/id");
                Heard::default()
            }
            "thread/closed" => self.ends(SessionEnd::Failed, json!({"message": "its thread was closed"})),
            "error" if params["willRetry"] == false && self.turn.is_none() => self.ends(SessionEnd::Failed, params["error"].clone()),
            "item/started" => {
                self.note_changes(&params["item"]);
                Heard::events(self.items.begins(&params["item"]).into_iter().collect())
            }
            "item/completed" => Heard::events(self.completes(&params["item"])),
            "error" => {
                let (message, more) = (text(params, "/error/message"), text(params, "/error/additionalDetails"));
                let message = if more.is_empty() { message.to_owned() } else { format!("{message}: {more}") };
                Heard::events(vec![Event::Error { message: kept_text(&message) }])
            }
            "turn/completed" if self.is_ours(text(params, "/turn/id")) => {
                let end = match text(params, "/turn/status") {
                    "completed" => SessionEnd::Completed,
                    _ if self.interrupted => SessionEnd::TurnsUsedUp,
                    _ if text(params, "/turn/error/codexErrorInfo") == "sessionBudgetExceeded" => SessionEnd::MoneyUsedUp,
                    _ => SessionEnd::Failed,
                };
                let error = params["turn"]["error"].clone();
                let makes_way = std::mem::take(&mut self.makes_way) && !self.interrupted;
                let goes_on = !(self.next.is_empty() && self.steering.is_empty());
                if goes_on && (makes_way || end == SessionEnd::Completed) {
                    self.turn = None;
                    let open: Vec<_> = self.asked.keys().cloned().collect();
                    let withdrawn = open.iter().filter_map(|key| self.withdraw(key)).collect();
                    if self.next.is_empty() {
                        self.over = Some((end, error));
                        return Heard { withdrawn, ..Heard::default() };
                    }
                    return Heard { withdrawn, ..self.next_turn() };
                }
                self.ends(end, error)
            }
            // others are for those who draw it, or come with later versions
            _ => Heard::default(),
        }
    }

    /// A thread that goes on tells of its earlier turns as well.
    fn is_ours(&self, turn: &str) -> bool {
        self.turn.as_deref().is_some_and(|own| own == turn)
    }

    fn ends(&mut self, end: SessionEnd, error: Value) -> Heard {
        self.last = Some(Last { end, error });
        let ended = Event::Ended { how: end, turns: Some(self.answers), cost_micros: None };
        Heard { is_over: true, ..Heard::events(vec![ended]) }
    }

    fn completes(&mut self, item: &Value) -> Vec<Event> {
        match text(item, "/type") {
            "agentMessage" if !text(item, "/text").is_empty() => vec![Event::Message { text: kept_text(text(item, "/text")) }],
            "reasoning" => {
                let parts =
                    ["/summary", "/content"].into_iter().find_map(|name| item.pointer(name)?.as_array().filter(|parts| !parts.is_empty()));
                let said = parts.into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join("\n\n");
                if said.is_empty() { vec![] } else { vec![Event::Thinking { text: kept_text(&said) }] }
            }
            "agentMessage" | "userMessage" | "plan" | "hookPrompt" | "" => vec![],
            _ => {
                self.changes.remove(text(item, "/id"));
                self.items.completes(item, &self.worktree)
            }
        }
    }

    /// It no longer waits for this, and nobody has denied it.
    fn withdraw(&mut self, key: &str) -> Option<String> {
        let asking = self.asked.remove(key)?;
        self.items.waive(asking.item);
        Some(key.to_owned())
    }

    /// So that it can be shown what a change is about when it asks.
    fn note_changes(&mut self, item: &Value) {
        if text(item, "/type") != "fileChange" {
            return;
        }
        if self.changes.len() >= MOST_ITEMS {
            self.changes.clear();
        }
        self.changes.insert(text(item, "/id").to_owned(), item["changes"].clone());
    }

    /// Each answer of its model is told once, however often it is said.
    fn uses(&mut self, params: &Value) -> Heard {
        let of = |which: &str, name: &str| number(params, &format!("/tokenUsage/{which}/{name}")).unwrap_or(0);
        let (thread, total) = (text(params, "/threadId"), of("total", "totalTokens"));
        // a helper's turns count as well; of its own thread it tells of earlier ones
        let is_own = thread.is_empty() || self.thread.as_deref() == Some(thread);
        let known = self.used.get(thread).copied().unwrap_or(0);
        if is_own && !self.is_ours(text(params, "/turnId")) || total <= known || self.used.len() >= MOST_ITEMS {
            return Heard::default();
        }
        self.used.insert(thread.to_owned(), total);
        self.answers += 1;
        let used = Event::Usage {
            // which one a helper has nobody says
            model: self.model.clone().filter(|_| is_own),
            input: of("last", "inputTokens"),
            cached: of("last", "cachedInputTokens"),
            cache_written: of("last", "cacheWriteInputTokens"),
            output: of("last", "outputTokens"),
            cost: None,
            is_part: false,
        };
        let mut heard = Heard::events(vec![used]);
        if self.max_turns.is_some_and(|most| self.answers > most.into()) && !self.interrupted {
            self.interrupted = true;
            heard.answers.push(request(INTERRUPT, "turn/interrupt", json!({"threadId": self.thread, "turnId": self.turn})));
        }
        heard
    }
}

/// Whether an error is its provider's, and what it says.
fn provider_says(error: &Value) -> Option<FailureCode> {
    let about = &error["codexErrorInfo"];
    let status = about.as_object().into_iter().flatten().find_map(|(_, more)| more["httpStatusCode"].as_u64());
    match (about.as_str().unwrap_or_default(), status) {
        ("usageLimitExceeded" | "rateLimitExceeded" | "flexUnavailable" | "serverOverloaded", _) | (_, Some(429 | 503 | 529)) => {
            Some(FailureCode::ProviderLimit)
        }
        ("unauthorized" | "badRequest" | "modelNotFound" | "contextWindowExceeded" | "cyberPolicy" | "inferenceHookDenied", _)
        | (_, Some(400..=404 | 413)) => Some(FailureCode::ProviderRefused),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
