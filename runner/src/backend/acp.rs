//! Agents that speak the Agent Client Protocol: JSON-RPC 2.0 over their standard input and output, one message a line.
//!
//! What is said is the same whichever of them it is. What differs is in a [`Description`]: how it is started, how a session of an earlier
//! round goes on, and how it names things. It is offered neither files nor terminals of Muster's, so that it works in its own sandbox and asks
//! leave for what it does there. Once in a turn it cannot be told anything: what people say waits for the turn's end, or ends it.

mod asked;
mod calls;
mod diff;
mod outcome;
mod pieces;
mod waiting;

use std::{path::PathBuf, process::ExitStatus};

use domain::{
    Ask, AskedKind, Backend, Decision, Failure, FailureCode, SessionEventKind as Event,
    approval::{Answer, pattern},
    session::{SessionEnd, kept_text},
};
use serde_json::{Value, json};

use super::{
    Beginning, Dialogue, Heard, Spent, how,
    json::{message, shortened, some_text, text},
    prompt::no_command,
    question::{Fate, Leave, Question, fate},
};
use calls::Calls;
use outcome::{Last, Money};
use pieces::Pieces;
use waiting::{Asking, Gone, Options, Waiting, chosen};

/// The version of the protocol that is spoken.
const VERSION: u64 = 1;

/// What each request is about is told by its number.
const INITIALIZE: u64 = 0;
const SESSION: u64 = 1;
const MODE: u64 = 2;
/// From here on, one for each turn.
const TURN: u64 = 10;

/// Of what it was not allowed, as far as that is remembered.
const MOST_DENIED: usize = 100;

/// What there is to know of a program that speaks the protocol, beside how it is started.
pub(super) struct Description {
    pub backend: Backend,
    pub resumes: Resumes,
    /// The mode in which it asks before it does something, where it has others.
    pub mode: Option<String>,
    /// With these begins what it would take for one of its commands.
    pub commands: Vec<char>,
    /// The title of a command that it asks for is that command, to the letter.
    pub title_is_the_command: bool,
    /// Where a command runs is not in what it asks for, but in what it tells of the call, at that time or soon after.
    pub tells_more_of_a_command: bool,
    /// A turn that ends without a word after what it has done is one that has broken off.
    pub ends_with_words: bool,
    /// What it would do that it is not allowed; then it is not told anything.
    pub refused: Option<&'static str>,
    /// The model that it uses where the task names none, as far as that is known.
    pub model: Option<String>,
    /// Nobody has measured how it asks: what it has told of a call belongs to what it asks leave for, and nothing that stands there is left
    /// unshown.
    pub is_unmeasured: bool,
}

/// How a session of an earlier round goes on. What it tells of that session until the next turn begins was told before.
#[derive(Clone, Copy)]
pub(super) enum Resumes {
    By {
        method: &'static str,
        /// What it is called then, where not by its own name.
        called: Option<&'static str>,
    },
    /// As it says itself that it can, before the session begins; perhaps not at all.
    AsItSays,
}

pub(crate) struct Acp {
    about: Description,
    worktree: PathBuf,
    model: Option<String>,
    max_turns: Option<u32>,
    prompt: String,
    leave: Leave,
    /// The session, once it is known; at first one of an earlier round.
    session: Option<String>,
    resumed: bool,
    /// The request by which the session goes on in a later round.
    resume: Option<&'static str>,
    version: Option<String>,
    /// The request that its turn is the answer to.
    turn: Option<u64>,
    turns: u64,
    money: Money,
    pieces: Pieces,
    /// It has said something since it last did something.
    has_spoken: bool,
    calls: Calls,
    waiting: Waiting,
    denied: Vec<String>,
    /// What its next turn begins with.
    next: Vec<String>,
    /// It was stopped, as somebody wants to say something.
    makes_way: bool,
    /// What it was told in place of a turn that was stopped. The order to stop may come to it late, and stop this one.
    told_instead: Option<String>,
    last: Option<Last>,
}

/// The dialogue, and the first lines for its standard input.
pub(super) fn begin(about: Description, place: Beginning<'_>, prompt: &str) -> (Vec<String>, Acp) {
    let client = json!({"name": "muster", "title": "Muster", "version": env!("CARGO_PKG_VERSION")});
    let offered = json!({"fs": {"readTextFile": false, "writeTextFile": false}, "terminal": false});
    let params = json!({"protocolVersion": VERSION, "clientCapabilities": offered, "clientInfo": client});
    let lines = vec![request(INITIALIZE, "initialize", params)];
    let dialogue = Acp {
        prompt: no_command(prompt, &about.commands),
        resume: match about.resumes {
            Resumes::By { method, .. } => Some(method),
            Resumes::AsItSays => None,
        },
        model: place.terms.model.clone().or_else(|| about.model.clone()),
        about,
        max_turns: place.terms.max_turns,
        leave: place.leave,
        resumed: place.session.is_some(),
        session: place.session,
        version: None,
        turn: None,
        turns: 0,
        money: Money::after(place.spent.micros),
        pieces: Pieces::default(),
        has_spoken: false,
        calls: Calls::of(place.worktree.clone()),
        worktree: place.worktree,
        waiting: Waiting::default(),
        denied: vec![],
        next: vec![],
        makes_way: false,
        told_instead: None,
        last: None,
    };
    (lines, dialogue)
}

fn request(id: u64, method: &str, params: Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}

impl Dialogue for Acp {
    fn hear(&mut self, line: &str) -> Heard {
        let Some(message) = message(line) else { return Heard::output() };
        self.calls.are_in_a_line_of(line.len());
        match (message.get("method").and_then(Value::as_str), message.get("id")) {
            (Some("session/request_permission"), Some(id)) => self.asks(id, &message["params"]),
            (Some(_), Some(id)) => {
                // it was offered nothing that it could ask for
                let error = json!({"code": -32601, "message": "Muster has no answer to this"});
                let answer = json!({"jsonrpc": "2.0", "id": id, "error": error});
                Heard { answers: vec![answer.to_string()], ..Heard::default() }
            }
            (Some("session/update"), None) => self.told(&message["params"]),
            (Some(_), None) => Heard::default(),
            (None, Some(id)) => self.answered(id.as_u64(), &message),
            (None, None) => Heard::output(),
        }
    }

    fn answer(&mut self, key: &str, answer: &Answer) -> Heard {
        let Some(Asking { id, tool, subject, options, .. }) = self.waiting.answered(key) else { return Heard::default() };
        let allowed = answer.decision == Decision::Allow;
        if !allowed {
            match &answer.message {
                _ if answer.unanswered => self.note_denied(&subject, &tool),
                // its answer has no room for the reason, and its turn none for more
                Some(message) => self.next.push(format!("{} says:\n\n{message}", answer.by)),
                None => {}
            }
        }
        let option = if allowed { options.allow } else { options.reject };
        let event = Event::Permission { tool, subject, allowed, by: answer.by.clone() };
        Heard { answers: vec![chosen(&id, option.as_deref())], ..Heard::events(vec![event]) }
    }

    fn tell(&mut self, text: &str, interrupt: bool) -> Option<Heard> {
        self.turn?;
        self.next.push(text.to_owned());
        if !interrupt || self.makes_way {
            return Some(Heard::default());
        }
        self.makes_way = true;
        let stop = json!({"jsonrpc": "2.0", "method": "session/cancel", "params": {"sessionId": self.called()}});
        let Gone { withdrawn, mut answers } = self.waiting.drop_all();
        answers.insert(0, stop.to_string());
        Some(Heard { answers, withdrawn, ..Heard::default() })
    }

    fn may_be_the_last(&self, ends: &str) -> bool {
        ends.contains("\"stopReason\"")
    }

    fn session(&self) -> Option<String> {
        self.session.clone().filter(|_| self.resume.is_some())
    }

    fn spent(&self) -> Spent {
        Spent { micros: self.money.so_far(), ..Spent::default() }
    }

    fn verdict(&self, ended: Option<ExitStatus>) -> Result<(), Failure> {
        let title = self.about.backend.title();
        let Some(last) = &self.last else {
            return Err(Failure::new(FailureCode::CommandFailed, format!("{title} {} without saying how it went", how(ended))));
        };
        last.verdict(&title)?;
        if let Some(first) = self.denied.first() {
            return Err(Failure::new(FailureCode::AgentDenied, format!("{title} was not allowed: {first}")));
        }
        if ended.is_none_or(|ended| ended.success()) {
            return Ok(());
        }
        let message = format!("{title} {} after it had said that all went well", how(ended));
        Err(Failure::new(FailureCode::CommandFailed, message))
    }
}

impl Acp {
    /// The session as it is called in this round.
    fn called(&self) -> Option<&str> {
        match self.about.resumes {
            Resumes::By { called: Some(called), .. } if self.resumed => Some(called),
            Resumes::By { .. } | Resumes::AsItSays => self.session.as_deref(),
        }
    }

    /// Its answer to something that it was asked.
    fn answered(&mut self, id: Option<u64>, message: &Value) -> Heard {
        let error = message.get("error").filter(|error| !error.is_null());
        match id {
            Some(id) if self.turn == Some(id) => self.turn_ends(&message["result"], error),
            Some(INITIALIZE | SESSION | MODE) if self.turns == 0 => match error {
                // without it there is no turn
                Some(error) => self.ends(Last::failed(error.clone()), vec![]),
                None => self.opens(id, &message["result"]),
            },
            _ => Heard::default(),
        }
    }

    fn opens(&mut self, id: Option<u64>, result: &Value) -> Heard {
        let answers = match id {
            Some(INITIALIZE) => {
                if result["protocolVersion"] != VERSION {
                    let message = format!("it speaks version {} of the protocol, and Muster {VERSION}", result["protocolVersion"]);
                    return self.ends(Last::failed(json!({"message": message})), vec![]);
                }
                if let Some(what) = self.about.refused {
                    self.note_denied(what, "");
                    return self.ends(Last::refused(), vec![]);
                }
                self.version = some_text(result, "/agentInfo/version");
                if matches!(self.about.resumes, Resumes::AsItSays) {
                    self.resume = way_back(result);
                }
                match self.session_request() {
                    Some(request) => vec![request],
                    None => return self.ends(Last::failed(json!({"message": "it can go on with a session no more"})), vec![]),
                }
            }
            Some(SESSION) => {
                if !self.resumed {
                    self.session = some_text(result, "/sessionId");
                }
                if self.session.is_none() {
                    return self.ends(Last::failed(json!({"message": "it has not said what its session is called"})), vec![]);
                }
                self.model = self.model.take().or_else(|| own_model(result));
                let started = Event::Started {
                    backend: self.about.backend.clone(),
                    version: self.version.clone(),
                    model: self.model.clone(),
                    session: self.session.clone(),
                };
                let line = match &self.about.mode {
                    // what it tells of an earlier round comes before its answer to this
                    Some(mode) => request(MODE, "session/set_mode", json!({"sessionId": self.called(), "modeId": mode})),
                    None => self.turn_request(&self.prompt.clone()),
                };
                return Heard { answers: vec![line], ..Heard::events(vec![started]) };
            }
            _ => vec![self.turn_request(&self.prompt.clone())],
        };
        Heard { answers, ..Heard::default() }
    }

    /// Nothing when it is to go on with one, and cannot.
    fn session_request(&self) -> Option<String> {
        let mut params = json!({"cwd": self.worktree, "mcpServers": []});
        if !self.resumed {
            return Some(request(SESSION, "session/new", params));
        }
        params["sessionId"] = json!(self.called());
        Some(request(SESSION, self.resume?, params))
    }

    fn turn_request(&mut self, text: &str) -> String {
        let id = TURN + self.turns;
        self.turns += 1;
        self.turn = Some(id);
        self.has_spoken = false;
        request(id, "session/prompt", json!({"sessionId": self.called(), "prompt": [{"type": "text", "text": text}]}))
    }

    /// What it tells by itself. Before its first turn that is about an earlier one.
    fn told(&mut self, params: &Value) -> Heard {
        if self.turn.is_none() || self.called() != Some(text(params, "/sessionId")) {
            return Heard::default();
        }
        let update = &params["update"];
        match text(update, "/sessionUpdate") {
            "agent_message_chunk" => {
                self.has_spoken |= !text(update, "/content/text").trim().is_empty();
                Heard::events(self.pieces.says(update))
            }
            "agent_thought_chunk" => Heard::events(self.pieces.thinks(update)),
            // of the session that goes on, and told in its own round; what it does now it tells while it does it
            "tool_call" if self.resumed && is_over(update) => Heard::default(),
            "tool_call" | "tool_call_update" => self.does(update),
            "usage_update" => {
                self.money.told(update);
                Heard::default()
            }
            // its plans and what it offers are for those who draw it, or come with later versions
            _ => Heard::default(),
        }
    }

    /// What it could not be asked about before can be now, and what it asks for no more is withdrawn.
    fn does(&mut self, update: &Value) -> Heard {
        self.has_spoken = false;
        let mut events = self.pieces.whole();
        events.extend(self.calls.told(update));
        let call = text(update, "/toolCallId");
        if is_over(update) {
            let Gone { withdrawn, answers } = self.waiting.drop_call(call);
            return Heard { withdrawn, answers, ..Heard::events(events) };
        }
        if !self.calls.has_command(call) {
            return Heard::events(events);
        }
        let Some((id, params)) = self.waiting.release(call) else { return Heard::events(events) };
        let mut heard = self.asks(&id, &params);
        events.append(&mut heard.events);
        Heard { events, ..heard }
    }

    /// What it asks leave for. Whatever nobody can answer is refused, so that it does not wait for ever.
    fn asks(&mut self, id: &Value, params: &Value) -> Heard {
        let refused = |option: Option<&str>| Heard { answers: vec![chosen(id, option)], ..Heard::default() };
        if self.turn.is_none() || self.makes_way {
            return refused(None);
        }
        let (options, call) = (Options::of(params), &params["toolCall"]);
        let name = text(call, "/toolCallId");
        if self.waiting.has(id) {
            return refused(options.reject.as_deref());
        }
        if self.calls.has_ended(name) {
            return refused(None);
        }
        let mut events = self.pieces.whole();
        if self.has_more_to_say(call) && self.waiting.hold(name, id, params) {
            return Heard::events(events);
        }
        let laid = self.about.is_unmeasured.then(|| self.calls.laid_under(call));
        let call = laid.as_ref().map_or(call, |laid| &laid.request);
        events.extend(self.calls.begins(call));
        let asked::Wanted { kind, tool, subject, input, is_cut } = self.wanted(call);
        let is_cut = is_cut || laid.as_ref().is_some_and(|laid| laid.is_cut);
        let fate = match fate(self.leave_for(kind, &subject), kind, &tool, &subject, &input) {
            // for this time alone, or not at all
            Fate::Allowed | Fate::Asked(_) if options.allow.is_none() => Fate::Denied("It cannot be allowed for this time alone."),
            Fate::Asked(_) if is_cut => Fate::Denied("This cannot be shown whole to whoever would have to allow it."),
            fate => fate,
        };
        match fate {
            Fate::Allowed => Heard { answers: vec![chosen(id, options.allow.as_deref())], ..Heard::events(events) },
            Fate::Denied(_) => {
                self.note_denied(&subject, &tool);
                events.push(Event::Permission { tool, subject: kept_text(&subject), allowed: false, by: "Muster".into() });
                Heard { answers: vec![chosen(id, options.reject.as_deref())], ..Heard::events(events) }
            }
            Fate::Asked(asked) => {
                let key = self.waiting.ask(Asking { id: id.clone(), call: kept_text(name), tool, subject, options });
                Heard { questions: vec![Question { key, asked }], ..Heard::events(events) }
            }
        }
    }

    /// Before it has, what people were shown could be another command than the one that runs.
    fn has_more_to_say(&self, call: &Value) -> bool {
        let is_asked = matches!(self.leave, Leave::Ask(_)) && asked::kind(text(call, "/kind")) == AskedKind::Command;
        self.about.tells_more_of_a_command && is_asked && !self.calls.has_command(text(call, "/toolCallId"))
    }

    fn wanted(&self, call: &Value) -> asked::Wanted {
        let known = self.calls.get(text(call, "/toolCallId"));
        let title = if self.about.title_is_the_command { text(call, "/title") } else { "" };
        match asked::kind(text(call, "/kind")) {
            // it had its time to say more
            AskedKind::Command if self.has_more_to_say(call) => asked::untold(call),
            AskedKind::Command if self.about.is_unmeasured && asked::is_more_than_a_command(call) => asked::whole(call, known, title),
            AskedKind::Command => asked::command(&self.worktree, call, known, title),
            AskedKind::Edit => asked::edit(&self.worktree, call),
            AskedKind::Tool => asked::tool(call, known),
        }
    }

    /// What an agent takes its orders from often lies at the root of a repository behind a dot. Of one that nobody has measured a change there
    /// is more than a change of files.
    fn leave_for(&self, kind: AskedKind, subject: &str) -> Leave {
        match self.leave {
            Leave::Ask(_) if self.about.is_unmeasured && !pattern::matches_unmeasured(kind, "*", subject) => Leave::Ask(Ask::Everything),
            leave => leave,
        }
    }

    fn turn_ends(&mut self, result: &Value, error: Option<&Value>) -> Heard {
        self.turn = None;
        let mut events = self.pieces.whole();
        events.extend(outcome::usage(result, self.model.as_deref()));
        let last = match error {
            Some(error) => Last::failed(error.clone()),
            None => Last::of(text(result, "/stopReason"), self.max_turns.is_some()),
        };
        let (makes_way, told_instead) = (std::mem::take(&mut self.makes_way), self.told_instead.take());
        if makes_way && let Some(message) = last.error() {
            events.push(Event::Error { message });
        }
        let words = match told_instead {
            _ if !self.next.is_empty() && (makes_way || last.end == SessionEnd::Completed) => std::mem::take(&mut self.next).join("\n\n"),
            Some(words) if last.was_cancelled() => words,
            _ if self.about.ends_with_words && !self.has_spoken && last.end == SessionEnd::Completed => {
                let broken = Last::failed(json!({"message": "it has ended its turn without a word"}));
                return self.ends(broken, events);
            }
            _ => return self.ends(last, events),
        };
        self.told_instead = makes_way.then(|| words.clone());
        let Gone { withdrawn, mut answers } = self.waiting.drop_all();
        answers.push(self.turn_request(&words));
        Heard { answers, withdrawn, ..Heard::events(events) }
    }

    fn ends(&mut self, last: Last, mut events: Vec<Event>) -> Heard {
        events.push(Event::Ended { how: last.end, turns: None, cost_micros: self.money.spent() });
        self.last = Some(last);
        Heard { is_over: true, withdrawn: self.waiting.drop_all().withdrawn, ..Heard::events(events) }
    }

    fn note_denied(&mut self, subject: &str, tool: &str) {
        let what = shortened(if subject.trim().is_empty() { tool } else { subject });
        if self.denied.len() < MOST_DENIED && !self.denied.contains(&what) {
            self.denied.push(what);
        }
    }
}

/// How one that says what it can goes on with a session: without telling all of it again, where it can.
fn way_back(result: &Value) -> Option<&'static str> {
    let can = |pointer: &str| result.pointer(pointer).is_some_and(|can| !can.is_null() && can != false);
    match (can("/agentCapabilities/sessionCapabilities/resume"), can("/agentCapabilities/loadSession")) {
        (true, _) => Some("session/resume"),
        (false, true) => Some("session/load"),
        (false, false) => None,
    }
}

fn is_over(update: &Value) -> bool {
    matches!(text(update, "/status"), "completed" | "failed")
}

/// The model of a session, in one of the ways that are in use.
fn own_model(session: &Value) -> Option<String> {
    let options = session["configOptions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let chosen = options.iter().find(|option| text(option, "/id") == "model").and_then(|option| some_text(option, "/currentValue"));
    some_text(session, "/models/currentModelId").or(chosen)
}

#[cfg(test)]
mod tests;
