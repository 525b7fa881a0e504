//! How a question stands, in a word and a colour: the same wherever it is shown.

use domain::ApprovalStateName;
use leptos::prelude::*;

use crate::components::{Badge, Icon, Tone};

pub fn state_badge(state: ApprovalStateName) -> impl IntoView {
    let (tone, shape) = match state {
        ApprovalStateName::Pending => (Tone::Warn, Icon::Ask),
        ApprovalStateName::Allowed => (Tone::Good, Icon::Check),
        ApprovalStateName::Denied => (Tone::Bad, Icon::Cross),
        ApprovalStateName::Expired => (Tone::Warn, Icon::Clock),
        ApprovalStateName::Withdrawn => (Tone::Dim, Icon::Skip),
    };
    view! { <Badge tone=tone shape=shape text=state_word(state) /> }
}

pub fn state_word(state: ApprovalStateName) -> &'static str {
    match state {
        ApprovalStateName::Pending => "Waits",
        ApprovalStateName::Allowed => "Allowed",
        ApprovalStateName::Denied => "Denied",
        ApprovalStateName::Expired => "Expired",
        ApprovalStateName::Withdrawn => "Withdrawn",
    }
}
