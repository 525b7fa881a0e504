//! How a runner stands, in a word and a colour: the same wherever it is shown.

use domain::{Runner, runner::RunnerState};
use leptos::prelude::*;

use crate::components::{Badge, Icon, Tone};

pub fn state_badge(runner: &Runner) -> impl IntoView + use<> {
    let (tone, shape, word) = state_look(runner.state, runner.busy);
    view! { <Badge tone=tone shape=shape text=word /> }
}

/// `busy` counts what it carries out.
pub(super) fn state_look(state: RunnerState, busy: i64) -> (Tone, Icon, &'static str) {
    match state {
        RunnerState::Offline => (Tone::Bad, Icon::Cross, "Offline"),
        RunnerState::Draining if busy > 0 => (Tone::Warn, Icon::Pause, "Draining"),
        RunnerState::Draining => (Tone::Warn, Icon::Pause, "Drained"),
        RunnerState::Blocked => (Tone::Warn, Icon::Ask, "Blocked"),
        RunnerState::Working => (Tone::Busy, Icon::Ring, "Working"),
        RunnerState::Idle => (Tone::Good, Icon::Check, "Ready"),
    }
}

/// How many of its slots are taken, as a bar and in words, and how many of them only wait for people.
pub fn slots_meter(runner: &Runner) -> impl IntoView + use<> {
    let (busy, slots) = (runner.busy, i64::from(runner.slots));
    let label = format!("{busy} of {slots} slot{} busy", if slots == 1 { "" } else { "s" });
    let waiting = waiting(busy, runner.blocked).map(|words| view! { <span class="u-warn">{words}</span> });
    view! {
        <meter class="c-meter" min="0" max=slots.max(1) value=busy aria-label=label.clone()></meter>
        <span class="u-quiet">{label}</span>
        {waiting}
    }
}

/// What deserves a look beside its state.
pub fn takes_nothing(runner: &Runner) -> Option<&'static str> {
    runner.takes_nothing_since().map(|_| "Does not take what it is given")
}

/// Nothing where no agent waits.
fn waiting(busy: i64, blocked: i64) -> Option<String> {
    let verb = if blocked == 1 { "waits" } else { "wait" };
    (blocked > 0).then(|| format!("{blocked} of {busy} {verb} for an answer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runner_drains_until_nothing_is_left() {
        assert_eq!(state_look(RunnerState::Draining, 1).2, "Draining");
        assert_eq!(state_look(RunnerState::Draining, 0).2, "Drained");
        assert_eq!(state_look(RunnerState::Offline, 1).2, "Offline");
    }

    #[test]
    fn who_waits_is_counted() {
        assert_eq!(waiting(3, 0), None);
        assert_eq!(waiting(3, 1).as_deref(), Some("1 of 3 waits for an answer"));
        assert_eq!(waiting(2, 2).as_deref(), Some("2 of 2 wait for an answer"));
    }
}
