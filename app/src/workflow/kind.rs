//! What a step is: one word and one shape for each kind, everywhere.

use domain::workflow::{Kind, Step};
use leptos::prelude::*;

use crate::components::{Badge, Icon, Tone};

/// The kind of a step as a run names it: `each` and `candidates` stand for what they are made of.
pub fn kind_of(step: &Step) -> &'static str {
    if step.candidates.is_some() {
        return "candidates";
    }
    if step.for_each.is_some() {
        return "each";
    }
    match step.kind() {
        Some(Kind::Command(_)) => "command",
        Some(Kind::Prompt(_)) => "prompt",
        Some(Kind::Approval(_)) => "approval",
        Some(Kind::Event(_)) => "event",
        Some(Kind::Wait) => "wait",
        Some(Kind::Workflow(_)) => "workflow",
        None => "",
    }
}

pub fn kind_word(kind: &str) -> &'static str {
    match kind {
        "command" => "Command",
        "prompt" => "Prompt",
        "approval" => "Approval",
        "event" => "Event",
        "wait" => "Wait",
        "each" => "For each",
        "candidates" => "Candidates",
        "workflow" => "Workflow",
        _ => "Step",
    }
}

pub fn kind_shape(kind: &str) -> Icon {
    match kind {
        "command" => Icon::Terminal,
        "prompt" => Icon::File,
        "approval" => Icon::Shield,
        "event" => Icon::Fast,
        "wait" => Icon::Clock,
        "each" => Icon::List,
        "candidates" => Icon::Half,
        _ => Icon::Flow,
    }
}

pub fn kind_badge(kind: &str) -> impl IntoView + use<> {
    view! { <Badge tone=Tone::Dim shape=kind_shape(kind) text=kind_word(kind) /> }
}
