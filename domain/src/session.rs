//! The conversation inside an attempt, in one vocabulary whatever backend has it.
//!
//! The runner makes the events of what the agent program says and numbers them; the server keeps them as they come and never acts on them:
//! what an agent says is data. Where they come into being, texts are cut to [`TEXT_MAX`], and files below the worktree are named as in the
//! repository.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Backend, Invalid, StepCost, error::Errors};

/// One thing that happened in a session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionEvent {
    /// From 1 on, within its attempt.
    pub number: i64,
    /// By the runner's clock.
    pub at: DateTime<Utc>,
    #[serde(flatten)]
    pub kind: SessionEventKind,
}

/// A part of a session, in its order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionPart {
    /// The attempt whose session it is; absent when none has begun.
    pub attempt: Option<i32>,
    /// The agent whose session it is, where that was said before these events. An older server leaves it out.
    #[serde(default)]
    pub backend: Option<Backend>,
    pub events: Vec<SessionEvent>,
    /// What was said to its agent and has not come to it.
    pub on_its_way: Vec<OnItsWay>,
    /// There are later ones already: ask for those after the last of these.
    pub more: bool,
}

/// Something that somebody tells an agent while it works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TellAgent {
    /// Empty with an interrupt alone: it is told then to say where it stands, and to end its turn.
    #[serde(default)]
    pub text: String,
    /// What it does is to end at once. Otherwise it hears of it between two steps.
    #[serde(default)]
    pub interrupt: bool,
}

/// What an agent is told that is interrupted without a word. Its turn ends with its answer to that, and what it has done is checked.
pub const INTERRUPTED: &str = "Leave off what you are doing. Say in a few words where you stand, and end your turn.";

/// Characters of what somebody tells an agent.
pub const TOLD_MAX: usize = 20_000;

impl TellAgent {
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut errors = Errors::default();
        errors.required_text("/text", self.words(), TOLD_MAX);
        errors.finish()
    }

    /// What it is told.
    pub fn words(&self) -> &str {
        if self.interrupt && self.text.trim().is_empty() { INTERRUPTED } else { &self.text }
    }
}

/// What was said to an agent and has not come to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OnItsWay {
    pub text: String,
    pub interrupt: bool,
    /// The person's or key's name.
    pub by: String,
    pub at: DateTime<Utc>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SessionEventKind {
    /// The agent is there.
    Started {
        backend: Backend,
        version: Option<String>,
        model: Option<String>,
        /// The agent's own name for the session.
        session: Option<String>,
    },
    /// What it is told.
    Prompt {
        text: String,
        /// Who said it while it was at work; the task itself when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// What it says.
    Message { text: String },
    /// What it says to itself.
    Thinking { text: String },
    /// It uses a tool.
    ToolCall {
        /// The agent's own name for this call; its result carries the same.
        call: String,
        tool: String,
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        input: Value,
    },
    /// What the tool answered.
    ToolResult { call: String, output: String, is_error: bool },
    /// A tool has changed a file.
    FileChange {
        path: String,
        change: FileChange,
        /// As `diff -u` tells it, where what the tool was called with does not say it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        diff: Option<String>,
    },
    /// It asked for leave to do something, and was answered.
    Permission {
        tool: String,
        /// The command, the file or whatever else it was to be done with.
        subject: String,
        allowed: bool,
        /// Who or what answered.
        by: String,
    },
    /// What one answer of the model used, in tokens.
    Usage {
        model: Option<String>,
        input: u64,
        /// Of the input, read from a cache.
        cached: u64,
        /// Of the input, written to a cache, as far as the agent tells that. Who does not know this field or the next leaves them out, and reads
        /// the rest as before.
        #[serde(default, skip_serializing_if = "is_zero")]
        cache_written: u64,
        output: u64,
        /// What it cost: as the agent has told with it, or else by the price of its model in the workspace at that time. Absent where neither
        /// says so, which is not the same as nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cost: Option<StepCost>,
        /// There was more before it that the agent does not tell: in all it is at least this.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_part: bool,
    },
    /// Something went wrong. The agent may go on.
    Error { message: String },
    /// Its turn is over.
    Ended {
        how: SessionEnd,
        /// Answers of the model, as the agent counts them.
        turns: Option<u64>,
        /// Millionths of a dollar, at list prices, as the agent counts them: for the whole session, earlier rounds included. What came to it since
        /// the turn before is the difference between the two.
        cost_micros: Option<u64>,
    },
    /// So many events were left out from here on: a session holds [`EVENTS_MAX`] events and [`SESSION_MAX`] bytes.
    LeftOut { events: u64 },
    /// What a judge was told, said and did, in a session of its own, of which the agent that does the work knows nothing.
    Judge {
        /// Of the attempt, from 1: what was judged is what it had come to then.
        round: i32,
        /// Which of the task's checks it is, from 1.
        check: i32,
        #[cfg_attr(feature = "openapi", schema(value_type = Object))]
        event: Box<SessionEventKind>,
    },
}

fn is_zero(tokens: &u64) -> bool {
    *tokens == 0
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FileChange {
    Written,
    Edited,
    Deleted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SessionEnd {
    Completed,
    Failed,
    /// The turns that it was allowed are used up.
    TurnsUsedUp,
    /// The money that it was allowed is used up.
    MoneyUsedUp,
}

/// Bytes of one text; what is longer is cut in the middle.
pub const TEXT_MAX: usize = 64 * 1024;
/// Bytes of one event, as JSON: it has to fit into a message, whatever its texts are made of.
pub const EVENT_MAX: usize = 512 * 1024;
/// Bytes of one attempt's events, as JSON.
pub const SESSION_MAX: usize = 16 * 1024 * 1024;
/// Events of one attempt.
pub const EVENTS_MAX: i64 = 20_000;

impl SessionEventKind {
    /// As the database and the API name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Started { .. } => "started",
            Self::Prompt { .. } => "prompt",
            Self::Message { .. } => "message",
            Self::Thinking { .. } => "thinking",
            Self::ToolCall { .. } => "tool_call",
            Self::ToolResult { .. } => "tool_result",
            Self::FileChange { .. } => "file_change",
            Self::Permission { .. } => "permission",
            Self::Usage { .. } => "usage",
            Self::Error { .. } => "error",
            Self::Ended { .. } => "ended",
            Self::LeftOut { .. } => "left_out",
            Self::Judge { .. } => "judge",
        }
    }

    /// Fit to be kept, whoever made it, with its length as JSON: an event that is too long, or holds what no database takes, is replaced or
    /// cleaned.
    pub fn kept(self) -> (Self, usize) {
        let text = serde_json::to_string(&self).unwrap_or_default();
        if text.is_empty() || text.len() > EVENT_MAX {
            return Self::instead(format!("an event of {} bytes is left out here", text.len()));
        }
        if !text.contains("\\u0000") {
            return (self, text.len());
        }
        let cleaned = serde_json::from_str(&text).ok().and_then(|value| serde_json::from_value::<Self>(kept_value(&value)).ok());
        match cleaned {
            Some(kept) => {
                let length = serde_json::to_string(&kept).map_or(0, |text| text.len());
                (kept, length)
            }
            None => Self::instead("an event could not be read".into()),
        }
    }

    fn instead(message: String) -> (Self, usize) {
        let error = Self::Error { message };
        let length = serde_json::to_string(&error).map_or(0, |text| text.len());
        (error, length)
    }
}

/// What a tool is used on, as far as what it is called with says so in a way that is common.
pub fn subject(input: &Value) -> Option<&str> {
    const KNOWN: [&str; 10] =
        ["command", "cmd", "file_path", "filePath", "notebook_path", "path", "url", "pattern", "query", "description"];
    KNOWN.iter().find_map(|name| input.get(name)?.as_str())
}

/// Millionths of a dollar, as people read them: small amounts to a hundredth of a cent.
pub fn dollars(micros: u64) -> String {
    let (whole, rest) = (micros / 1_000_000, micros % 1_000_000);
    if whole == 0 { format!("$0.{:04}", rest / 100) } else { format!("${whole}.{:02}", rest / 10_000) }
}

/// Fit to be kept: without NUL characters, which no database takes, and cut in the middle when it is too long. The ends say most.
pub fn kept_text(text: &str) -> String {
    let cut = if text.len() <= TEXT_MAX { text.to_owned() } else { without_the_middle(text) };
    if cut.contains('\0') { cut.replace('\0', "\u{fffd}") } else { cut }
}

fn without_the_middle(text: &str) -> String {
    // room for what is said about it
    let half = (TEXT_MAX - 64) / 2;
    let start = &text[..text.floor_char_boundary(half)];
    let end = &text[text.ceil_char_boundary(text.len() - half)..];
    format!("{start}\n[{} bytes are left out here]\n{end}", text.len() - start.len() - end.len())
}

/// As [`kept_text`], of every text in it; what is too long as a whole, or nested too deep, is not kept.
pub fn kept_value(value: &Value) -> Value {
    let mut kept = cleaned(value, 0);
    let length = kept.to_string().len();
    if length > 2 * TEXT_MAX {
        kept = Value::String(format!("[{length} bytes are left out here]"));
    }
    kept
}

/// How deep values may be nested: they travel inside messages that have levels of their own.
const DEEPEST: usize = 60;

fn cleaned(value: &Value, depth: usize) -> Value {
    match value {
        Value::String(text) => Value::String(kept_text(text)),
        Value::Array(_) | Value::Object(_) if depth >= DEEPEST => Value::String("[left out: nested too deep]".into()),
        Value::Array(values) => Value::Array(values.iter().map(|value| cleaned(value, depth + 1)).collect()),
        Value::Object(values) => Value::Object(values.iter().map(|(name, value)| (kept_text(name), cleaned(value, depth + 1))).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_reads_as_it_was_written() {
        let event = SessionEvent {
            number: 3,
            at: DateTime::UNIX_EPOCH,
            kind: SessionEventKind::ToolCall { call: "a".into(), tool: "Bash".into(), input: json!({"command": "ls"}) },
        };
        let text = serde_json::to_value(&event).unwrap();
        assert_eq!((&text["type"], &text["number"], &text["input"]["command"]), (&json!("tool_call"), &json!(3), &json!("ls")));
        assert_eq!(text["type"], event.kind.name());
        assert_eq!(serde_json::from_value::<SessionEvent>(text).unwrap(), event);
    }

    #[test]
    fn what_a_judge_did_reads_as_it_was_written() {
        let message = SessionEventKind::Message { text: "I look.\0".into() };
        let (kept, _) = SessionEventKind::Judge { round: 1, check: 2, event: Box::new(message) }.kept();
        let event = SessionEvent { number: 3, at: DateTime::UNIX_EPOCH, kind: kept };
        let text = serde_json::to_value(&event).unwrap();
        assert_eq!(
            (&text["type"], &text["event"]["type"], &text["event"]["text"]),
            (&json!("judge"), &json!("message"), &json!("I look.\u{fffd}"))
        );
        assert_eq!(serde_json::from_value::<SessionEvent>(text).unwrap(), event);
    }

    #[test]
    fn an_interrupt_needs_no_words_and_is_told_with_some() {
        let tell = |text: &str, interrupt| TellAgent { text: text.into(), interrupt };
        assert!(tell(" \n", false).validate().is_err(), "there is nothing to be told");
        for empty in ["", " \n"] {
            let interrupt = tell(empty, true);
            assert_eq!((interrupt.validate().is_ok(), interrupt.words()), (true, INTERRUPTED));
        }
        assert_eq!(tell("Stop", true).words(), "Stop");
        assert_eq!(serde_json::from_value::<TellAgent>(json!({"interrupt": true})).unwrap(), tell("", true));
    }

    #[test]
    fn a_long_text_keeps_its_ends() {
        let long = format!("{}{}{}", "é".repeat(TEXT_MAX), "middle", "z".repeat(TEXT_MAX));
        let kept = kept_text(&long);
        assert!(kept.len() <= TEXT_MAX);
        assert!(kept.starts_with('é') && kept.ends_with('z') && kept.contains("bytes are left out here"));
        assert_eq!(kept_text("a\0b"), "a\u{fffd}b");
    }

    #[test]
    fn an_event_is_kept_whoever_made_it() {
        let message = |text: String| SessionEventKind::Message { text };
        let length = |event: &SessionEventKind| serde_json::to_string(event).unwrap().len();
        for (text, expected) in [("well", "well"), ("a\0b", "a\u{fffd}b")] {
            let (kept, bytes) = message(text.into()).kept();
            assert_eq!((&kept, bytes), (&message(expected.into()), length(&kept)));
        }
        let control = "\u{1}".repeat(TEXT_MAX);
        assert!(matches!(message(control.repeat(3)).kept().0, SessionEventKind::Error { .. }), "six times as long as JSON");
        assert_eq!(message(control.clone()).kept().0, message(control));
    }

    #[test]
    fn money_and_subjects_read_well() {
        assert_eq!([0, 1305, 999_999, 1_000_000, 12_345_678].map(dollars), ["$0.0000", "$0.0013", "$0.9999", "$1.00", "$12.34"]);
        assert_eq!(subject(&json!({"description": "look", "command": "ls"})), Some("ls"));
        assert_eq!(subject(&json!({"other": 1})), None);
    }

    #[test]
    fn a_value_stays_small_and_flat() {
        let deep = (0..200).fold(json!(1), |inner, _| json!([inner]));
        assert!(kept_value(&deep).to_string().contains("nested too deep"));
        assert_eq!(kept_value(&json!({"a\0": ["b\0"]})), json!({"a\u{fffd}": ["b\u{fffd}"]}));
        let long = json!((0..10).map(|_| "x".repeat(TEXT_MAX)).collect::<Vec<_>>());
        assert!(kept_value(&long).is_string());
    }
}
