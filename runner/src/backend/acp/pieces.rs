//! What an agent says comes in pieces, and is told whole: once it says something else, does something, or its turn is over.

use domain::{
    SessionEventKind as Event,
    session::{TEXT_MAX, kept_text},
};
use serde_json::Value;

use crate::backend::json::text;

/// What is longer is told in parts, each of which is cut.
const MOST_GATHERED: usize = 4 * TEXT_MAX;

#[derive(Default)]
pub(super) struct Pieces {
    is_thought: bool,
    /// The agent's own name for the message, where it has names.
    name: String,
    gathered: String,
}

impl Pieces {
    pub fn says(&mut self, update: &Value) -> Vec<Event> {
        self.gather(false, update)
    }

    pub fn thinks(&mut self, update: &Value) -> Vec<Event> {
        self.gather(true, update)
    }

    /// What was gathered, if anything.
    pub fn whole(&mut self) -> Vec<Event> {
        let gathered = std::mem::take(&mut self.gathered);
        let text = gathered.trim_end();
        if text.is_empty() {
            return vec![];
        }
        let text = kept_text(text);
        vec![if self.is_thought { Event::Thinking { text } } else { Event::Message { text } }]
    }

    fn gather(&mut self, is_thought: bool, update: &Value) -> Vec<Event> {
        let (name, piece) = (text(update, "/messageId"), text(update, "/content/text"));
        let is_other = self.is_thought != is_thought || self.name != name;
        let events = if is_other || self.gathered.len() + piece.len() > MOST_GATHERED { self.whole() } else { vec![] };
        self.is_thought = is_thought;
        name.clone_into(&mut self.name);
        // thoughts that come whole, each under its title
        if is_thought && piece.starts_with("**") && !self.gathered.is_empty() {
            self.gathered.push_str("\n\n");
        }
        self.gathered.push_str(piece);
        events
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn piece(name: &str, text: &str) -> Value {
        json!({"messageId": name, "content": {"type": "text", "text": text}})
    }

    fn message(text: &str) -> Event {
        Event::Message { text: text.into() }
    }

    #[test]
    fn pieces_are_one_message_until_something_else_comes() {
        let mut pieces = Pieces::default();
        assert!(pieces.says(&piece("", "I ")).is_empty() && pieces.says(&piece("", "look.")).is_empty());
        assert_eq!(pieces.thinks(&piece("", "Hm.")), [message("I look.")]);
        assert_eq!(pieces.says(&piece("m1", "Done.\n")), [Event::Thinking { text: "Hm.".into() }]);
        assert_eq!(pieces.says(&piece("m2", "And more.")), [message("Done.")], "another message");
        assert_eq!(pieces.whole(), [message("And more.")]);
        assert!(pieces.whole().is_empty(), "it is told once");
    }

    #[test]
    fn thoughts_with_titles_stand_apart() {
        let mut pieces = Pieces::default();
        for thought in ["**Look**\nAround.", "**See**\nThat."] {
            assert!(pieces.thinks(&piece("", thought)).is_empty());
        }
        assert_eq!(pieces.whole(), [Event::Thinking { text: "**Look**\nAround.\n\n**See**\nThat.".into() }]);
    }

    #[test]
    fn one_that_never_ends_is_told_in_parts() {
        let mut pieces = Pieces::default();
        let long = piece("", &"x".repeat(MOST_GATHERED));
        assert!(pieces.says(&long).is_empty());
        assert_eq!(pieces.says(&long).len(), 1);
        assert!(matches!(pieces.whole().as_slice(), [Event::Message { text }] if text.len() <= TEXT_MAX));
    }
}
