//! The facts about a runner: how it stands, and what its machine has.

use domain::{Runner, runner::Draining};
use leptos::prelude::*;

use super::{
    has::{agents, others},
    state::{slots_meter, state_badge},
};
use crate::components::{CopyButton, Time};

pub(super) fn facts(runner: &Runner) -> impl IntoView + use<> {
    let (agents, others) = (agents(runner), others(runner));
    view! {
        <dl class="c-facts p-runner__facts">
            {fact("Id", view! { <code>{runner.id.short()}</code> <CopyButton text=runner.id.to_string() label="Copy the runner's id" /> })}
            {fact("State", state(runner))}
            {fact("Slots", view! { <span class="p-runners__slots">{slots_meter(runner)}</span> })}
            {fact("Last seen", view! { <Time at=runner.last_seen_at /> })}
            {(!agents.is_empty()).then(|| fact("Agents", agents))}
            {(!others.is_empty()).then(|| fact("Has", others))}
            {runner.no_sandbox.clone().map(|why| fact("Makes no sandbox", view! { <span class="u-warn">{why}</span> }))}
        </dl>
    }
}

fn fact(name: &'static str, value: impl IntoView + 'static) -> impl IntoView {
    view! { <div class="c-facts__fact"><dt>{name}</dt><dd>{value.into_any()}</dd></div> }
}

/// With who wants it to take nothing new, as that may stand behind another word.
fn state(runner: &Runner) -> impl IntoView + use<> {
    let drained = runner.draining.clone().map(|Draining { since, by }| {
        view! { <p class="u-quiet">"takes nothing new since " <Time at=since /> ", by " {by}</p> }
    });
    view! { {state_badge(runner)} {drained} }
}
