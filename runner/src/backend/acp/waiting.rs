//! What it waits for leave for: what people are asked, and what nobody can be asked yet, as it has not said all of it.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::backend::json::{some_text, text};

/// Of what it has not said enough about. More at once is refused.
const MOST_HELD: usize = 100;

/// What has to be known of a question when its answer comes.
pub(super) struct Asking {
    pub id: Value,
    /// What it is about, as the agent calls it.
    pub call: String,
    pub tool: String,
    pub subject: String,
    pub options: Options,
}

/// What a request for leave can be answered with. Of those that allow, only the one that allows it once is ever chosen.
pub(super) struct Options {
    pub allow: Option<String>,
    pub reject: Option<String>,
}

impl Options {
    pub fn of(params: &Value) -> Self {
        let all = params["options"].as_array().map(Vec::as_slice).unwrap_or_default();
        let called = |kind: &str| all.iter().find(|option| text(option, "/kind") == kind).and_then(|option| some_text(option, "/optionId"));
        Self { allow: called("allow_once"), reject: called("reject_once") }
    }
}

/// The answer to a request for leave; without an option that was offered, it was cancelled.
pub(super) fn chosen(id: &Value, option: Option<&str>) -> String {
    let outcome = match option {
        Some(option) => json!({"outcome": "selected", "optionId": option}),
        None => json!({"outcome": "cancelled"}),
    };
    json!({"jsonrpc": "2.0", "id": id, "result": {"outcome": outcome}}).to_string()
}

#[derive(Default)]
pub(super) struct Waiting {
    /// What people are asked, by the agent's own names.
    asked: HashMap<String, Asking>,
    /// By what they are about: the number of the request, and what it says.
    held: HashMap<String, (Value, Value)>,
}

/// What nobody has denied, and it waits for no more.
#[derive(Default)]
pub(super) struct Gone {
    /// Those that people were asked, by the agent's own names.
    pub withdrawn: Vec<String>,
    /// What the agent is told about all of them.
    pub answers: Vec<String>,
}

impl Waiting {
    pub fn has(&self, id: &Value) -> bool {
        self.asked.contains_key(&id.to_string()) || self.held.values().any(|(held, _)| held == id)
    }

    /// With the agent's own name for it.
    pub fn ask(&mut self, asking: Asking) -> String {
        let key = asking.id.to_string();
        self.asked.insert(key.clone(), asking);
        key
    }

    pub fn answered(&mut self, key: &str) -> Option<Asking> {
        self.asked.remove(key)
    }

    /// Until more is said about this call. False when that cannot be.
    pub fn hold(&mut self, call: &str, id: &Value, params: &Value) -> bool {
        if self.held.len() >= MOST_HELD || self.held.contains_key(call) {
            return false;
        }
        self.held.insert(call.to_owned(), (id.clone(), params.clone()));
        true
    }

    pub fn release(&mut self, call: &str) -> Option<(Value, Value)> {
        self.held.remove(call)
    }

    /// This call is over.
    pub fn drop_call(&mut self, call: &str) -> Gone {
        let keys: Vec<_> = self.asked.iter().filter(|(_, asking)| asking.call == call).map(|(key, _)| key.clone()).collect();
        let mut gone = Gone::default();
        for key in keys {
            if let Some(asking) = self.asked.remove(&key) {
                gone.answers.push(chosen(&asking.id, None));
                gone.withdrawn.push(key);
            }
        }
        gone.answers.extend(self.held.remove(call).map(|(id, _)| chosen(&id, None)));
        gone
    }

    pub fn drop_all(&mut self) -> Gone {
        let held = std::mem::take(&mut self.held);
        let mut gone = Gone { withdrawn: vec![], answers: held.values().map(|(id, _)| chosen(id, None)).collect() };
        for (key, asking) in self.asked.drain() {
            gone.answers.push(chosen(&asking.id, None));
            gone.withdrawn.push(key);
        }
        gone
    }
}
