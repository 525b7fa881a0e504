//! One entry of a session.

use domain::{
    CostSource, SessionEventKind as Kind, StepCost,
    price::UNKNOWN,
    session::{SessionEnd, dollars},
};
use leptos::prelude::*;

use super::{
    call::{answered, call, changed},
    given::Given,
    script::{Answer, Changed, Entry, Later, TurnCost, Used},
    told::says,
    words::{legible, tokens},
};
use crate::{
    components::{CopyButton, Icon, icon, time::exact},
    text::{count, grouped},
};

/// Characters of thoughts that are shown unfolded.
const FOLD_AT: usize = 300;

pub fn entry(entry: Entry, is_open: Signal<bool>) -> AnyView {
    let Entry { event, later, turn } = entry;
    let (number, usage) = (event.number, later.usage.clone());
    let copied = copied(&event.kind);
    view! {
        <li class="c-session__entry" id=format!("e{number}") data-kind=event.kind.name()>
            <div class="c-session__main">{content(&event.kind, number, &later, turn, is_open)}</div>
            <div class="c-session__side">
                {move || usage.get().map(used)}
                {copied.map(|(text, label)| view! { <CopyButton text=text label=label /> })}
                <a class="c-session__number" href=format!("#e{number}") rel="external" title=exact(event.at)>
                    <span class="u-unseen">"Event "</span>
                    {number}
                </a>
            </div>
        </li>
    }
    .into_any()
}

/// What a person may want to have: the words, and the name of it.
fn copied(kind: &Kind) -> Option<(String, &'static str)> {
    match kind {
        Kind::Prompt { text, by: None } => Some((text.clone(), "Copy the prompt")),
        Kind::Prompt { text, by: Some(_) } | Kind::Message { text } => Some((text.clone(), "Copy the message")),
        Kind::ToolCall { input, .. } => Given::read(input).command.map(|command| (command, "Copy the command")),
        _ => None,
    }
}

fn content(kind: &Kind, number: i64, later: &Later, turn: TurnCost, is_open: Signal<bool>) -> AnyView {
    match kind {
        Kind::Started { backend, version, model, .. } => {
            let version = version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
            let model = model.as_ref().map(|model| format!(" with {model}")).unwrap_or_default();
            line("u-quiet", Icon::Play, legible(&format!("{}{version}{model}", backend.title())))
        }
        Kind::Prompt { text, by } => {
            let (text, who) = (legible(text), by.as_deref().map_or_else(|| "Prompt".to_owned(), says));
            view! {
                <p class="c-session__who">{who.clone()}</p>
                <div class="c-session__text c-session__text--long" tabindex="0" role="region" aria-label=who>{text}</div>
            }
            .into_any()
        }
        Kind::Message { text } => {
            let text = legible(text);
            view! { <p class="c-session__who">"Agent"</p> <div class="c-session__text">{text}</div> }.into_any()
        }
        Kind::Thinking { text } => thinking(text),
        Kind::ToolCall { tool, input, .. } => call(tool, input, later, is_open),
        // the call is on an earlier page
        Kind::ToolResult { output, is_error, .. } => answered(&Answer { number, output: output.clone(), is_error: *is_error }, None),
        Kind::FileChange { path, change, diff } => {
            changed(Changed { number, path: path.clone(), change: *change, diff: diff.clone() }, None)
        }
        Kind::Permission { tool, subject, allowed, by } => permission(tool, subject, *allowed, by),
        Kind::Usage { input, cached, output, cost, .. } => {
            let cost = cost.map_or_else(|| UNKNOWN.to_owned(), StepCost::in_words);
            line("u-quiet", Icon::Gauge, format!("{}, {cost}", tokens(*input, *cached, *output)))
        }
        Kind::Error { message } => line("u-bad", Icon::Alert, legible(message)),
        Kind::Ended { how, turns, cost_micros } => ended(*how, *turns, cost_micros.map(|so_far| cost_of_turn(so_far, turn))),
        Kind::LeftOut { events } => {
            let are = if *events == 1 { "event is" } else { "events are" };
            line("u-quiet", Icon::Dots, format!("{} {are} left out", grouped(*events)))
        }
        Kind::Judge { round, check, .. } => {
            line("u-quiet", Icon::Scan, format!("A judge was asked, in round {round} for check {check}. What it did is with the checks."))
        }
    }
}

fn line(tone: &'static str, shape: Icon, text: String) -> AnyView {
    view! { <p class=format!("c-session__line {tone}")>{icon(shape)} <span>{text}</span></p> }.into_any()
}

fn thinking(text: &str) -> AnyView {
    let is_long = text.chars().nth(FOLD_AT).is_some();
    let text = view! { <div class="c-session__text">{legible(text)}</div> };
    if is_long {
        return view! { <details class="c-session__fold"><summary class="c-session__call">"Thinking"</summary>{text}</details> }.into_any();
    }
    view! { <p class="c-session__who">"Thinking"</p> {text} }.into_any()
}

fn permission(tool: &str, subject: &str, allowed: bool, by: &str) -> AnyView {
    let (tone, shape, word) = if allowed { ("u-good", Icon::Check, "allowed") } else { ("u-warn", Icon::Ban, "denied") };
    let (tool, subject, by) = (legible(tool), legible(subject), legible(by));
    let subject = (!subject.is_empty()).then(|| view! { " on " <code>{subject}</code> });
    view! {
        <p class="c-session__line">
            <span class=tone>{icon(shape)}</span>
            <span>"Asked to use " {tool} {subject} ": " <strong class=tone>{word}</strong> " by " {by}</span>
        </p>
    }
    .into_any()
}

/// What the turn has cost, and the session with it where the turn is not the first.
fn cost_of_turn(so_far: u64, turn: TurnCost) -> String {
    let by = CostSource::Agent.in_words();
    match turn {
        TurnCost::Since(turn) => format!(", for {} {by} ({} with all before)", dollars(turn), dollars(so_far)),
        TurnCost::WithAllBefore => format!(", for {} with all before, {by}", dollars(so_far)),
        TurnCost::AsTold => format!(", for {} {by}", dollars(so_far)),
    }
}

fn ended(how: SessionEnd, turns: Option<u64>, cost: Option<String>) -> AnyView {
    let (tone, shape, how) = match how {
        SessionEnd::Completed => ("u-good", Icon::Check, "Done"),
        SessionEnd::Failed => ("u-bad", Icon::Cross, "Failed"),
        SessionEnd::TurnsUsedUp => ("u-warn", Icon::Alert, "Stopped: the turns that it was allowed are used up"),
        SessionEnd::MoneyUsedUp => ("u-warn", Icon::Alert, "Stopped: the money that it was allowed is used up"),
    };
    let turns =
        turns.map(|turns| format!(", after {}", count(u32::try_from(turns).unwrap_or(u32::MAX) as usize, "turn"))).unwrap_or_default();
    let cost = cost.unwrap_or_default();
    line(tone, shape, format!("{how}{turns}{cost}"))
}

fn used(used: Used) -> impl IntoView {
    let cost = used.cost_in_words().map(|cost| view! { <span class="c-session__cost">{cost}</span> });
    view! {
        <span class="c-session__usage" id=format!("e{}", used.number)>{tokens(used.input, used.cached, used.output)}</span>
        {cost}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_that_is_not_the_first_says_what_it_has_cost_itself() {
        assert_eq!(cost_of_turn(1300, TurnCost::AsTold), ", for $0.0013 at list price, as the agent counts it");
        assert_eq!(cost_of_turn(2000, TurnCost::WithAllBefore), ", for $0.0020 with all before, at list price, as the agent counts it");
        assert_eq!(
            cost_of_turn(2000, TurnCost::Since(700)),
            ", for $0.0007 at list price, as the agent counts it ($0.0020 with all before)"
        );
    }
}
