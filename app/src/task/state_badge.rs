//! How a state looks: one colour, one shape and one word for each, everywhere.

use domain::{AttemptState, CheckStatus, Priority, TaskStateName};
use leptos::prelude::*;

use crate::components::{Badge, Icon, Tone};

pub fn state_badge(state: TaskStateName) -> impl IntoView {
    view! { <Badge tone=state_tone(state) shape=state_shape(state) text=state_label(state) /> }
}

pub fn state_tone(state: TaskStateName) -> Tone {
    match state {
        TaskStateName::Blocked | TaskStateName::Scheduled | TaskStateName::Queued => Tone::Neutral,
        TaskStateName::Running => Tone::Busy,
        TaskStateName::Verifying => Tone::Info,
        TaskStateName::Succeeded => Tone::Good,
        TaskStateName::Partial => Tone::Warn,
        TaskStateName::Failed | TaskStateName::Dead => Tone::Bad,
        TaskStateName::Cancelled | TaskStateName::Skipped => Tone::Dim,
    }
}

pub fn state_shape(state: TaskStateName) -> Icon {
    match state {
        TaskStateName::Blocked => Icon::Pause,
        TaskStateName::Scheduled => Icon::Clock,
        TaskStateName::Queued => Icon::Dots,
        TaskStateName::Running => Icon::Ring,
        TaskStateName::Verifying => Icon::Scan,
        TaskStateName::Succeeded => Icon::Check,
        TaskStateName::Partial => Icon::Half,
        TaskStateName::Failed => Icon::Cross,
        TaskStateName::Cancelled => Icon::Ban,
        TaskStateName::Skipped => Icon::Skip,
        TaskStateName::Dead => Icon::Square,
    }
}

pub fn state_label(state: TaskStateName) -> &'static str {
    match state {
        TaskStateName::Blocked => "Blocked",
        TaskStateName::Scheduled => "Scheduled",
        TaskStateName::Queued => "Queued",
        TaskStateName::Running => "Running",
        TaskStateName::Verifying => "Verifying",
        TaskStateName::Succeeded => "Succeeded",
        TaskStateName::Partial => "Partial",
        TaskStateName::Failed => "Failed",
        TaskStateName::Cancelled => "Cancelled",
        TaskStateName::Skipped => "Skipped",
        TaskStateName::Dead => "Dead",
    }
}

pub fn attempt_badge(state: AttemptState) -> impl IntoView {
    let (tone, shape, text) = match state {
        AttemptState::Claimed => (Tone::Neutral, Icon::Dots, "Claimed"),
        AttemptState::Running => (Tone::Busy, Icon::Ring, "Running"),
        AttemptState::Verifying => (Tone::Info, Icon::Scan, "Verifying"),
        AttemptState::Succeeded => (Tone::Good, Icon::Check, "Succeeded"),
        AttemptState::Failed => (Tone::Bad, Icon::Cross, "Failed"),
        AttemptState::TimedOut => (Tone::Bad, Icon::Clock, "Timed out"),
        AttemptState::Lost => (Tone::Bad, Icon::Square, "Lost"),
        AttemptState::Cancelled => (Tone::Dim, Icon::Ban, "Cancelled"),
    };
    view! { <Badge tone=tone shape=shape text=text /> }
}

/// That its agent waits for somebody's leave; nothing where it does not.
pub fn asks_badge(asks: bool) -> impl IntoView {
    asks.then(|| {
        view! {
            <span class="c-badge-box" title="Its agent waits for an answer">
                <Badge tone=Tone::Warn shape=Icon::Ask text="Asks" />
            </span>
        }
    })
}

/// `None` for a check that has not run.
pub fn check_badge(status: Option<CheckStatus>) -> impl IntoView {
    let (tone, shape, text) = match status {
        None => (Tone::Neutral, Icon::Dots, "Not run yet"),
        Some(CheckStatus::Passed) => (Tone::Good, Icon::Check, "Passed"),
        Some(CheckStatus::Failed) => (Tone::Bad, Icon::Cross, "Failed"),
        Some(CheckStatus::TimedOut) => (Tone::Bad, Icon::Clock, "Timed out"),
        Some(CheckStatus::Error) => (Tone::Bad, Icon::Alert, "Error"),
        Some(CheckStatus::Skipped) => (Tone::Dim, Icon::Skip, "Skipped"),
    };
    view! { <Badge tone=tone shape=shape text=text /> }
}

/// Only what is not as usual is worth a badge.
pub fn priority_badge(priority: Priority) -> impl IntoView {
    let (tone, shape, text) = match priority {
        Priority::Urgent => (Tone::Bad, Icon::Fast, "Urgent"),
        Priority::High => (Tone::Warn, Icon::Fast, "High"),
        Priority::Normal => return view! { <span class="u-quiet">"Normal"</span> }.into_any(),
        Priority::Low => (Tone::Dim, Icon::ArrowDown, "Low"),
    };
    view! { <Badge tone=tone shape=shape text=text /> }.into_any()
}

/// Whether success was proven: said only of tasks that succeeded.
pub fn proof_badge(checks: usize) -> impl IntoView {
    if checks == 0 {
        view! { <Badge tone=Tone::Warn shape=Icon::Alert text="Unverified" /> }
    } else {
        view! { <Badge tone=Tone::Good shape=Icon::Shield text="Verified" /> }
    }
}
