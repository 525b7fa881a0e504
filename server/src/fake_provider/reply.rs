//! What a model says in one response, whatever the wire.

use serde_json::Value;

use super::scenario::Usage;

#[derive(Clone, Debug)]
pub struct Reply {
    /// Of the request; every id comes from it.
    pub number: u64,
    pub model: String,
    pub blocks: Vec<Block>,
    pub usage: Usage,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    Thinking(String),
    Text(String),
    Call(Call),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub id: String,
    pub tool: String,
    pub input: Value,
}

impl Reply {
    pub fn text(&self) -> String {
        let texts = self.blocks.iter().filter_map(|block| if let Block::Text(text) = block { Some(text.as_str()) } else { None });
        texts.collect()
    }

    pub fn thinking(&self) -> String {
        let texts = self.blocks.iter().filter_map(|block| if let Block::Thinking(text) = block { Some(text.as_str()) } else { None });
        texts.collect()
    }

    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.blocks.iter().filter_map(|block| if let Block::Call(call) = block { Some(call) } else { None })
    }

    pub fn calls_a_tool(&self) -> bool {
        self.calls().next().is_some()
    }
}

/// The deltas in which a text is streamed: its words.
pub fn deltas(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive(' ')
}

/// A server-sent event that is named as its data say.
pub fn named_event(data: &Value) -> String {
    format!("event: {}\n{}", data["type"].as_str().unwrap_or_default(), event(data))
}

pub fn event(data: &Value) -> String {
    format!("data: {data}\n\n")
}
