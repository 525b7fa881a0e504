//! How a runner stands, in a word and a colour: the same wherever it is shown.

use domain::Runner;
use leptos::prelude::*;

use crate::components::{Badge, Icon, Tone};

pub fn state_badge(runner: &Runner) -> impl IntoView + use<> {
    let (tone, shape, word) = match (runner.online, runner.busy > 0) {
        (false, _) => (Tone::Bad, Icon::Cross, "Offline"),
        (true, true) => (Tone::Busy, Icon::Ring, "Working"),
        (true, false) => (Tone::Good, Icon::Check, "Ready"),
    };
    view! { <Badge tone=tone shape=shape text=word /> }
}

/// How many of its slots are taken, as a bar and in words.
pub fn slots_meter(runner: &Runner) -> impl IntoView + use<> {
    let (busy, slots) = (runner.busy, i64::from(runner.slots));
    let label = format!("{busy} of {slots} slot{} busy", if slots == 1 { "" } else { "s" });
    view! {
        <meter class="c-meter" min="0" max=slots.max(1) value=busy aria-label=label.clone()></meter>
        <span class="u-quiet">{label}</span>
    }
}
