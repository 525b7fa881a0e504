//! What becomes of what an agent asks: it is allowed, it is not, or people are asked.

use domain::{
    Ask, AskedKind,
    approval::{Asked, pattern},
};
use serde_json::Value;

/// What an agent may do when it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leave {
    /// Whatever it asks for: a sandbox is around it.
    Anything,
    /// What it may without asking, and nothing more.
    Nothing,
    /// What people say, as far as they are asked.
    Ask(Ask),
    /// A judge's: it may look at what is there, and whatever it asks for is denied.
    Look,
    /// A judge's that only answers.
    Speak,
}

impl Leave {
    pub fn is_a_judges(self) -> bool {
        matches!(self, Self::Look | Self::Speak)
    }

    pub fn of(ask: Option<Ask>, in_sandbox: bool) -> Self {
        match ask.filter(|ask| *ask != Ask::Nothing) {
            // a link in the repository leads an edit anywhere
            Some(_) if !in_sandbox => Self::Ask(Ask::Everything),
            Some(ask) => Self::Ask(ask),
            None if in_sandbox => Self::Anything,
            None => Self::Nothing,
        }
    }
}

/// What people are asked, with the agent's own name for it.
#[derive(Debug, PartialEq)]
pub(crate) struct Question {
    pub key: String,
    pub asked: Asked,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Fate {
    Allowed,
    /// With what the agent is told.
    Denied(&'static str),
    Asked(Asked),
}

pub(crate) fn fate(leave: Leave, kind: AskedKind, tool: &str, subject: &str, input: &Value) -> Fate {
    let ask = match leave {
        Leave::Anything => return Fate::Allowed,
        Leave::Nothing => return Fate::Denied("Without a sandbox around it, this is not allowed."),
        Leave::Look | Leave::Speak => return Fate::Denied("You judge: you change nothing and run nothing. Read, and give your verdict."),
        Leave::Ask(ask) => ask,
    };
    // what leads out of the repository is more than a change of its files
    let is_more = kind == AskedKind::Edit && !pattern::matches(kind, "*", subject);
    if !ask.includes(kind) && !is_more {
        return Fate::Allowed;
    }
    match Asked::new(kind, tool, subject, input) {
        Some(asked) => Fate::Asked(asked),
        None => Fate::Denied("This cannot be shown whole to whoever would have to allow it. Take smaller steps."),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn people_are_asked_what_the_task_says_and_about_whatever_leads_out() {
        let of = |leave, kind, subject: &str| match fate(leave, kind, "Tool", subject, &json!({})) {
            Fate::Allowed => "allowed",
            Fate::Denied(_) => "denied",
            Fate::Asked(_) => "asked",
        };
        use AskedKind::{Command, Edit, Tool};
        let (commands, everything) = (Leave::Ask(Ask::Commands), Leave::Ask(Ask::Everything));
        assert_eq!([Command, Edit, Tool].map(|kind| of(Leave::Anything, kind, "x")), ["allowed"; 3]);
        for leave in [Leave::Nothing, Leave::Look, Leave::Speak] {
            assert_eq!([Command, Edit, Tool].map(|kind| of(leave, kind, "x")), ["denied"; 3], "{leave:?}");
        }
        assert_eq!([Command, Edit, Tool].map(|kind| of(commands, kind, "x")), ["asked", "allowed", "asked"]);
        assert_eq!([Command, Edit, Tool].map(|kind| of(everything, kind, "x")), ["asked"; 3]);
        for outside in ["/etc/passwd", "../x", ".git/hooks/pre-commit", "a\n/b"] {
            assert_eq!(of(commands, Edit, outside), "asked", "{outside}");
        }
        assert_eq!(of(commands, Command, &"x".repeat(100_000)), "denied", "nobody could read it");
    }

    #[test]
    fn nothing_is_asked_unless_the_task_says_so() {
        assert_eq!([true, false].map(|sandbox| Leave::of(None, sandbox)), [Leave::Anything, Leave::Nothing]);
        assert_eq!([true, false].map(|sandbox| Leave::of(Some(Ask::Nothing), sandbox)), [Leave::Anything, Leave::Nothing]);
        let asks = [Leave::Ask(Ask::Commands), Leave::Ask(Ask::Everything)];
        assert_eq!([true, false].map(|sandbox| Leave::of(Some(Ask::Commands), sandbox)), asks, "without one, about edits as well");
    }
}
