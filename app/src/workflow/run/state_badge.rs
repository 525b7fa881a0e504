//! How the state of a run and of its steps looks: one colour, one shape and one word for each, everywhere.

use domain::{
    TaskStateName,
    workflow::{RunState, RunStep},
};
use leptos::prelude::*;

use crate::{
    components::{Badge, Icon, Tone},
    task::state_badge::{state_label, state_shape, state_tone},
};

pub fn run_badge(state: RunState) -> impl IntoView {
    let (tone, shape, text) = match state {
        RunState::Running => (Tone::Busy, Icon::Ring, "Running"),
        RunState::Waiting => (Tone::Warn, Icon::Pause, "Waiting"),
        RunState::Succeeded => (Tone::Good, Icon::Check, "Succeeded"),
        RunState::Failed => (Tone::Bad, Icon::Cross, "Failed"),
        RunState::Cancelled => (Tone::Dim, Icon::Ban, "Cancelled"),
    };
    view! { <Badge tone=tone shape=shape text=text /> }
}

/// A step stands as its task does, but for what a task does not say: that a gate waits for somebody, and that a group is at work.
pub fn step_look(step: &RunStep) -> (Tone, Icon, &'static str) {
    let is_group = matches!(step.kind.as_str(), "each" | "candidates" | "workflow");
    let is_gate = matches!(step.kind.as_str(), "approval" | "event" | "wait");
    match step.state {
        _ if step.removed => (Tone::Dim, Icon::Ban, "Removed"),
        _ if step.open_gate.is_some() => (Tone::Warn, Icon::Alert, "Open"),
        state if step.paused && !state.is_final() => (Tone::Warn, Icon::Pause, "Paused"),
        TaskStateName::Blocked if is_group && step.started_at.is_some() => (Tone::Busy, Icon::Ring, "Running"),
        TaskStateName::Succeeded if is_gate => (Tone::Good, Icon::Check, "Passed"),
        TaskStateName::Blocked => (Tone::Neutral, Icon::Dots, "Waits"),
        state => (state_tone(state), state_shape(state), state_label(state)),
    }
}

pub fn step_badge(step: &RunStep) -> impl IntoView + use<> {
    let (tone, shape, text) = step_look(step);
    view! { <Badge tone=tone shape=shape text=text /> }
}
