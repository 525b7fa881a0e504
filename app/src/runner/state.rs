//! How a runner stands, in a word and a colour: the same wherever it is shown.

use domain::Runner;
use leptos::prelude::*;

use crate::components::{Badge, Icon, Tone};

pub fn state_badge(runner: &Runner) -> impl IntoView + use<> {
    let (tone, shape, word) = match (runner.online, runner.busy > 0) {
        (false, _) => (Tone::Bad, Icon::Cross, "Offline"),
        (true, true) if runner.blocked == runner.busy => (Tone::Warn, Icon::Ask, "Blocked"),
        (true, true) => (Tone::Busy, Icon::Ring, "Working"),
        (true, false) => (Tone::Good, Icon::Check, "Ready"),
    };
    view! { <Badge tone=tone shape=shape text=word /> }
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

/// Nothing where no agent waits.
fn waiting(busy: i64, blocked: i64) -> Option<String> {
    let verb = if blocked == 1 { "waits" } else { "wait" };
    (blocked > 0).then(|| format!("{blocked} of {busy} {verb} for an answer"))
}

#[cfg(test)]
mod tests {
    use super::waiting;

    #[test]
    fn who_waits_is_counted() {
        assert_eq!(waiting(3, 0), None);
        assert_eq!(waiting(3, 1).as_deref(), Some("1 of 3 waits for an answer"));
        assert_eq!(waiting(2, 2).as_deref(), Some("2 of 2 wait for an answer"));
    }
}
