//! Whether an endpoint answers and how a model is there, in a word and a colour: the same wherever it is shown.

use domain::{
    Endpoint,
    endpoint::{EndpointHealth, ModelState},
};
use leptos::prelude::*;

use crate::{
    components::{Badge, Icon, Tone},
    text::count,
};

pub(super) fn health_badge(health: EndpointHealth) -> impl IntoView {
    let (tone, shape, word) = match health {
        EndpointHealth::Healthy => (Tone::Good, Icon::Check, "Healthy"),
        EndpointHealth::Unhealthy => (Tone::Bad, Icon::Cross, "Unhealthy"),
        EndpointHealth::Stale => (Tone::Warn, Icon::Clock, "Stale"),
        EndpointHealth::Unknown => (Tone::Neutral, Icon::Dots, "Not looked at"),
    };
    view! { <Badge tone=tone shape=shape text=word /> }
}

pub(super) fn model_badge(state: ModelState) -> impl IntoView {
    let (tone, shape, word) = match state {
        ModelState::Warm => (Tone::Good, Icon::Fast, "Warm"),
        ModelState::Cold => (Tone::Dim, Icon::Half, "Cold"),
    };
    view! { <Badge tone=tone shape=shape text=word /> }
}

/// Through whom it is here.
pub(super) fn origin(endpoint: &Endpoint) -> String {
    match &endpoint.registered_by {
        Some(by) => format!("registered by {by}"),
        None if endpoint.is_confirmed => "found by the runner on its machine".to_owned(),
        None => "found by the runner on its machine, not confirmed".to_owned(),
    }
}

/// `3 models, 1 warm`
pub(super) fn models_words(endpoint: &Endpoint) -> String {
    let models = usize::try_from(endpoint.model_count).unwrap_or(0);
    format!("{}, {} warm", count(models, "model"), endpoint.warm_count)
}

/// `2 attempts, its machine is 30 % busy`
pub(super) fn load_words(endpoint: &Endpoint) -> String {
    let attempts = match endpoint.attempts {
        1 => "1 attempt".to_owned(),
        many => format!("{many} attempts"),
    };
    match endpoint.busy_percent {
        Some(percent) => format!("{attempts}, its machine is {percent} % busy"),
        None => attempts,
    }
}
