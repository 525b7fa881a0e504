//! The facts about a runner: how much it carries out, and what its machine has.

use domain::Runner;
use leptos::prelude::*;

use super::{
    has::{agents, others},
    state::slots_meter,
};
use crate::components::{
    CopyButton, Time,
    facts::{fact, wide_fact},
};

pub(super) fn facts(runner: &Runner) -> impl IntoView + use<> {
    let (agents, others) = (agents(runner), others(runner));
    // where that is not what was set, the page says so above
    let why_so_many = runner.slots_in_words().filter(|_| runner.slots_to_come().is_none());
    let why_so_many = why_so_many.map(|words| view! { <span class="u-quiet">{words}</span> });
    view! {
        <dl class="c-facts p-runner__facts">
            {fact("Id", view! { <code>{runner.id.short()}</code> <CopyButton text=runner.id.to_string() label="Copy the runner's id" /> })}
            {fact("Slots", view! { <span class="p-runners__slots">{slots_meter(runner)}</span> {why_so_many} })}
            {fact("Last seen", view! { <Time at=runner.last_seen_at /> })}
            {(!agents.is_empty()).then(|| fact("Agents", agents))}
            {(!others.is_empty()).then(|| fact("Has", others))}
            {runner.no_sandbox.clone().map(|why| fact("Makes no sandbox", view! { <span class="u-warn">{why}</span> }))}
            {runner.rooms.as_ref().map(|rooms| wide_fact("Limits of an attempt", rooms.limits_in_words()))}
            {runner.rooms.as_ref().map(|rooms| wide_fact("Network", rooms.network_in_words()))}
            {runner.rooms.as_ref().filter(|rooms| rooms.may_be_left_out).map(|_| fact("Without a sandbox", "where a workspace wants that"))}
            {runner.left_behind.clone().map(|what| wide_fact("Left behind", view! { <span class="u-warn">{what}</span> }))}
        </dl>
    }
}
