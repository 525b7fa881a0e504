//! Values that what a judge says and does must not hold where others read it: those of the variables that agents are given, keys among them.
//!
//! A judge knows its own environment, and the change can ask it to say it. This takes out what stands there as it is. What was turned around,
//! encoded or said in pieces is not found: that is no barrier against one who wants to tell.

use std::{borrow::Cow, ffi::OsString};

use domain::SessionEventKind;
use memchr::memmem::Finder;
use serde_json::Value;

/// Bytes. What is shorter is a switch or a number, and hides nothing.
const SHORTEST: usize = 8;
const INSTEAD: &str = "[removed]";

#[derive(Default)]
pub(crate) struct Secrets(Vec<Secret>);

struct Secret {
    value: String,
    /// Made once: every piece of what is printed is gone through for each of them.
    finder: Finder<'static>,
}

impl Secrets {
    pub fn of(given: &[(OsString, OsString)]) -> Self {
        let mut values: Vec<_> = given.iter().filter_map(|(_, value)| value.to_str()).filter(|value| value.len() >= SHORTEST).collect();
        // one that begins as another does goes as a whole
        values.sort_unstable_by_key(|value| std::cmp::Reverse(value.len()));
        Self(values.into_iter().map(Secret::new).collect())
    }

    pub fn out_of(&self, text: &mut String) {
        for Secret { value, .. } in &self.0 {
            if text.contains(value.as_str()) {
                *text = text.replace(value.as_str(), INSTEAD);
            }
        }
    }

    /// Out of a piece of what a program has printed.
    pub fn out_of_output<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if !self.0.iter().any(|secret| secret.finder.find(bytes).is_some()) {
            return Cow::Borrowed(bytes);
        }
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        self.out_of(&mut text);
        Cow::Owned(text.into_bytes())
    }

    /// Out of every text of an event.
    pub fn out_of_event(&self, event: SessionEventKind) -> SessionEventKind {
        if self.0.is_empty() {
            return event;
        }
        let cleaned = serde_json::to_value(&event).ok().and_then(|mut value| {
            self.out_of_value(&mut value);
            serde_json::from_value(value).ok()
        });
        cleaned.unwrap_or_else(|| SessionEventKind::Error { message: "an event could not be read, and is left out here".into() })
    }

    fn out_of_value(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.out_of(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.out_of_value(value)),
            Value::Object(values) => {
                let all = std::mem::take(values).into_iter().map(|(mut name, mut value)| {
                    self.out_of(&mut name);
                    self.out_of_value(&mut value);
                    (name, value)
                });
                *values = all.collect();
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

impl Secret {
    fn new(value: &str) -> Self {
        Self { value: value.to_owned(), finder: Finder::new(value).into_owned() }
    }
}

#[cfg(test)]
mod tests {
    use domain::SessionEventKind as Event;
    use serde_json::json;

    use super::*;

    fn secrets() -> Secrets {
        let given = [("KEY", "key-of-the-agents"), ("LONGER", "key-of-the-agents-too"), ("SWITCH", "1")];
        Secrets::of(&given.map(|(name, value)| (OsString::from(name), OsString::from(value))))
    }

    #[test]
    fn no_text_of_an_event_holds_them() {
        let call = |command: &str| Event::ToolCall { call: "a".into(), tool: "Bash".into(), input: json!({"command": [command], "n": 1}) };
        assert_eq!(secrets().out_of_event(call("echo key-of-the-agents 1")), call("echo [removed] 1"));
        let result = |output: &str| Event::ToolResult { call: "a".into(), output: output.into(), is_error: false };
        assert_eq!(secrets().out_of_event(result("KEY=key-of-the-agents-too\n")), result("KEY=[removed]\n"));
        let used = Event::Usage { model: None, input: u64::MAX, cached: 0, cache_written: 0, output: 1, cost: None, is_part: false };
        assert_eq!(secrets().out_of_event(used.clone()), used);
    }

    #[test]
    fn output_that_holds_none_is_left_as_it_is() {
        assert_eq!(secrets().out_of_output(b"\xffkey-of-nobody").as_ref(), b"\xffkey-of-nobody");
        assert_eq!(secrets().out_of_output(b"it is key-of-the-agents!").as_ref(), b"it is [removed]!");
        assert_eq!(Secrets::default().out_of_output(b"key-of-the-agents").as_ref(), b"key-of-the-agents");
    }
}
