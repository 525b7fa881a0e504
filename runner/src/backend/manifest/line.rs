//! What a line of an agent means that prints a JSON object a line: a table of its manifest says which lines it is about, and where in them
//! there is what.

use std::{collections::BTreeMap, path::Path};

use domain::{
    CostSource, SessionEventKind as Event, StepCost,
    session::{FileChange, kept_text},
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::backend::{in_the_worktree, input_in_the_worktree, json::micros};

/// A place in a message, as a JSON pointer: `/message/text`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
struct Pointer(String);

impl TryFrom<String> for Pointer {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        if text.starts_with('/') { Ok(Self(text)) } else { Err("must be a JSON pointer, such as /message/text") }
    }
}

/// What stands there when a table is about the line.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
struct Literal(Value);

impl TryFrom<Value> for Literal {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, &'static str> {
        let is_plain = value.is_string() || value.is_number() || value.is_boolean();
        if is_plain { Ok(Self(value)) } else { Err("must be a text, a number, true or false") }
    }
}

/// One table `[[line]]`. It is about the lines in which all of `when` holds, and says what they mean.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    #[serde(default)]
    when: BTreeMap<Pointer, Literal>,
    started: Option<Started>,
    message: Option<Text>,
    thinking: Option<Text>,
    tool_call: Option<ToolCall>,
    tool_result: Option<ToolResult>,
    file_change: Option<Change>,
    usage: Option<Usage>,
    error: Option<Text>,
    end: Option<End>,
    failure: Option<Text>,
}

/// What it calls its session, and its model.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Started {
    session: Option<Pointer>,
    model: Option<Pointer>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    text: Pointer,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolCall {
    /// Its own name for the call; where it has none, calls are counted.
    call: Option<Pointer>,
    tool: Pointer,
    input: Option<Pointer>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ToolResult {
    /// As in [`ToolCall`]: without it, of the last call.
    call: Option<Pointer>,
    output: Pointer,
    /// As [`has_failed`] reads it.
    failed: Option<Pointer>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    path: Pointer,
    #[serde(default = "edited")]
    change: FileChange,
}

fn edited() -> FileChange {
    FileChange::Edited
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Usage {
    model: Option<Pointer>,
    input: Option<Pointer>,
    cached: Option<Pointer>,
    cache_written: Option<Pointer>,
    output: Option<Pointer>,
    /// What that cost, in dollars. That it cost nothing is said by agents that know no price.
    cost: Option<Pointer>,
}

/// It has said all.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    /// As [`has_failed`] reads it.
    failed: Option<Pointer>,
    /// Why it did; else what stands at `failed` says so, when that is more than a yes or a number.
    text: Option<Pointer>,
}

/// What a line comes to.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    Started {
        session: Option<String>,
        model: Option<String>,
    },
    Event(Event),
    /// How it went, as it says; when badly, why.
    Ended(Result<(), String>),
}

impl Line {
    pub fn says_nothing(&self) -> bool {
        let said = [
            self.started.is_some(),
            self.message.is_some(),
            self.thinking.is_some(),
            self.tool_call.is_some(),
            self.tool_result.is_some(),
            self.file_change.is_some(),
            self.usage.is_some(),
            self.error.is_some(),
            self.end.is_some(),
            self.failure.is_some(),
        ];
        !said.contains(&true)
    }

    /// Whether it may be the end of work that went well: who says only when it went badly has nothing to say otherwise.
    pub fn may_end_well(&self) -> bool {
        self.end.is_some()
    }

    pub fn may_call_a_tool(&self) -> bool {
        self.tool_call.is_some()
    }

    pub fn may_name_a_session(&self) -> bool {
        self.started.as_ref().is_some_and(|started| started.session.is_some())
    }

    /// Nothing of a line that it is not about. `calls` counts those that have no name.
    pub fn read(&self, message: &Value, worktree: &Path, calls: &mut u64) -> Vec<Said> {
        let holds = |(pointer, literal): (&Pointer, &Literal)| message.pointer(&pointer.0) == Some(&literal.0);
        if !self.when.iter().all(holds) {
            return vec![];
        }
        let started = self.started.as_ref().map(|started| Said::Started {
            session: optional_text(message, started.session.as_ref()),
            model: optional_text(message, started.model.as_ref()),
        });
        let said = |text: &Text| Some(text_at(message, &text.text)).filter(|text| !text.trim().is_empty());
        let events = [
            self.thinking.as_ref().and_then(said).map(|text| Event::Thinking { text }),
            self.message.as_ref().and_then(said).map(|text| Event::Message { text }),
            self.tool_call.as_ref().map(|call| call.read(message, worktree, calls)),
            self.tool_result.as_ref().map(|result| result.read(message, *calls)),
            self.file_change.as_ref().and_then(|change| change.read(message, worktree)),
            self.usage.as_ref().and_then(|usage| usage.read(message)),
            self.error.as_ref().and_then(said).map(|message| Event::Error { message }),
        ];
        let badly = self.failure.as_ref().map(|failure| Err(text_at(message, &failure.text)));
        let ended = badly.or_else(|| self.end.as_ref().map(|end| end.read(message)));
        started.into_iter().chain(events.into_iter().flatten().map(Said::Event)).chain(ended.map(Said::Ended)).collect()
    }
}

impl ToolCall {
    fn read(&self, message: &Value, worktree: &Path, calls: &mut u64) -> Event {
        let call = optional_text(message, self.call.as_ref()).unwrap_or_else(|| {
            *calls += 1;
            calls.to_string()
        });
        let input = self.input.as_ref().and_then(|input| message.pointer(&input.0)).cloned().unwrap_or_else(|| json!({}));
        let input = match input {
            // some put what a tool is called with into a text
            Value::String(text) => match serde_json::from_str(&text) {
                Ok(inner @ Value::Object(_)) => inner,
                _ => json!({"input": text}),
            },
            inner @ Value::Object(_) => inner,
            other => json!({"input": other}),
        };
        let tool = Some(text_at(message, &self.tool)).filter(|tool| !tool.is_empty()).unwrap_or_else(|| "tool".into());
        Event::ToolCall { call, tool, input: input_in_the_worktree(worktree, &input) }
    }
}

impl ToolResult {
    fn read(&self, message: &Value, calls: u64) -> Event {
        let call = optional_text(message, self.call.as_ref()).unwrap_or_else(|| calls.to_string());
        Event::ToolResult { call, output: text_at(message, &self.output), is_error: has_failed(message, self.failed.as_ref()) }
    }
}

impl Change {
    fn read(&self, message: &Value, worktree: &Path) -> Option<Event> {
        let path = text_at(message, &self.path);
        (!path.is_empty()).then(|| Event::FileChange { path: in_the_worktree(worktree, &path), change: self.change, diff: None })
    }
}

impl Usage {
    fn read(&self, message: &Value) -> Option<Event> {
        let number = |pointer: &Option<Pointer>| pointer.as_ref().and_then(|pointer| message.pointer(&pointer.0)?.as_u64()).unwrap_or(0);
        let (input, cached, output) = (number(&self.input), number(&self.cached), number(&self.output));
        let cost = self.cost.as_ref().and_then(|cost| micros(message.pointer(&cost.0)?)).filter(|micros| *micros > 0);
        (input > 0 || output > 0).then(|| Event::Usage {
            model: optional_text(message, self.model.as_ref()),
            input,
            cached,
            cache_written: number(&self.cache_written),
            output,
            cost: cost.map(|micros| StepCost { micros, source: CostSource::Agent }),
            is_part: false,
        })
    }
}

impl End {
    fn read(&self, message: &Value) -> Result<(), String> {
        if !has_failed(message, self.failed.as_ref()) {
            return Ok(());
        }
        let says_why = |at: &&Pointer| message.pointer(&at.0).is_some_and(|failed| !failed.is_boolean() && !failed.is_number());
        let in_its_place = || optional_text(message, self.failed.as_ref().filter(says_why));
        Err(optional_text(message, self.text.as_ref()).or_else(in_its_place).unwrap_or_default())
    }
}

/// What is no text is told as JSON; what is not there, or nothing, is empty.
fn text_at(message: &Value, pointer: &Pointer) -> String {
    match message.pointer(&pointer.0) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => kept_text(text),
        Some(other) => kept_text(&other.to_string()),
    }
}

fn optional_text(message: &Value, pointer: Option<&Pointer>) -> Option<String> {
    pointer.map(|pointer| text_at(message, pointer)).filter(|text| !text.is_empty())
}

/// Whether there is anything that speaks of a failure: `true`, a number other than 0, or an error in words, as a list or as an object.
fn has_failed(message: &Value, pointer: Option<&Pointer>) -> bool {
    match pointer.and_then(|pointer| message.pointer(&pointer.0)) {
        None | Some(Value::Null) => false,
        Some(Value::Bool(failed)) => *failed,
        Some(Value::Number(code)) => code.as_f64() != Some(0.0),
        Some(Value::String(text)) => !["", "0", "false"].contains(&text.trim()),
        Some(Value::Array(errors)) => !errors.is_empty(),
        Some(Value::Object(_)) => true,
    }
}
