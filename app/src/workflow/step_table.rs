//! The steps of a definition: as nodes of its graph, and as a table.

use std::collections::HashMap;

use domain::{
    task::On,
    workflow::{Definition, Drawing, Kind, Need, Step},
};
use leptos::prelude::*;

use super::{
    graph::{Label, Mark},
    kind::{kind_badge, kind_of, kind_shape, kind_word},
};
use crate::{
    components::{DataTable, Tone},
    text::{count, duration, query_value},
};

/// The nodes of a drawing as its definition describes them.
pub fn labels(drawing: &Drawing, definition: &Definition, href: impl Fn(&str) -> String) -> Vec<Label> {
    let steps: HashMap<&str, &Step> = definition.steps.iter().map(|step| (step.id.as_str(), step)).collect();
    let label = |key: &str| {
        let step = steps.get(key);
        let title = step.map_or(key, |step| step.title()).to_owned();
        Label { title, kind: step.map_or("", |step| kind_of(step)).to_owned(), href: href(key) }
    };
    drawing.nodes.iter().map(|node| label(&node.key)).collect()
}

/// A step that is only defined shows what it is.
pub fn marks(labels: &[Label]) -> Vec<Mark> {
    let mark = |label: &Label| Mark { tone: Tone::Neutral, shape: kind_shape(&label.kind), word: kind_word(&label.kind).to_owned() };
    labels.iter().map(mark).collect()
}

/// The address of a row of the table, on the same page.
pub fn anchor(key: &str) -> String {
    format!("#step-{}", query_value(key))
}

const COLUMNS: &[(&str, &str)] = &[("Step", ""), ("Kind", "c-table__state"), ("Does", ""), ("Needs", ""), ("Checks", "c-table__short")];

pub fn step_table(definition: &Definition) -> impl IntoView + use<> {
    let rows: Vec<_> = definition.steps.iter().map(row).collect();
    view! { <DataTable caption="The steps" columns=COLUMNS>{rows}</DataTable> }
}

fn row(step: &Step) -> impl IntoView + use<> {
    let needs = step.all_needs();
    let needs: Vec<_> = needs.iter().map(|need| view! { <li>{need_link(need)}</li> }).collect();
    let checks = if step.checks.is_empty() { "–".to_owned() } else { step.checks.len().to_string() };
    view! {
        <tr class="c-table__row" id=format!("step-{}", step.id)>
            <th class="c-table__main" scope="row" data-label="Step">
                {step.title().to_owned()}
                {step.title.is_some().then(|| view! { <span class="c-table__id">{step.id.clone()}</span> })}
            </th>
            <td class="c-table__state" data-label="Kind">{kind_badge(kind_of(step))}</td>
            <td class="c-table__wide" data-label="Does">{does(step)} {conditions(step)}</td>
            <td data-label="Needs"><ul class="c-table__list">{needs}</ul></td>
            <td class="c-table__short" data-label="Checks">{checks}</td>
        </tr>
    }
}

fn need_link(need: &Need) -> impl IntoView + use<> {
    let on = match &need.on {
        On::Success => ().into_any(),
        On::End => view! { <span class="u-quiet">" to end"</span> }.into_any(),
        On::Condition(condition) => view! { <span class="u-quiet">" with " <code>{condition.clone()}</code></span> }.into_any(),
    };
    view! { <a href=anchor(&need.step) rel="external">{need.step.clone()}</a> {on} }
}

fn does(step: &Step) -> AnyView {
    match step.kind() {
        Some(Kind::Command(text)) => view! { <code class="c-table__work">{first_line(text)}</code> }.into_any(),
        Some(Kind::Prompt(text)) => first_line(text).into_any(),
        Some(Kind::Approval(approval)) => approval.message.clone().unwrap_or_else(|| "Waits for an approval".into()).into_any(),
        Some(Kind::Event(event)) => format!("Waits for the event “{}”", event.name).into_any(),
        Some(Kind::Wait) => "Waits".into_any(),
        Some(Kind::Workflow(sub)) => {
            let version = sub.version.map(|version| format!(", version {version}"));
            view! { "Runs " <a href=format!("/workflows/{}", sub.name)>{sub.name.clone()}</a> {version} }.into_any()
        }
        None => ().into_any(),
    }
}

/// How often it is done, and when.
fn conditions(step: &Step) -> impl IntoView + use<> {
    let several = match (&step.matrix, &step.for_each, &step.candidates) {
        (Some(matrix), ..) => {
            let combinations = matrix.values().map(Vec::len).product();
            let names: Vec<&str> = matrix.keys().map(String::as_str).collect();
            Some(format!("{}, by {}", count(combinations, "combination"), names.join(" and ")))
        }
        (_, Some(each), _) => Some(format!("Once for every item of {}", each.list)),
        (.., Some(candidates)) => Some(format!("{} tries, of which one is chosen {}", candidates.count, candidates.judge.phrase())),
        _ => None,
    };
    let delay = step.delay_seconds.map(|seconds| format!("After {}", duration(seconds)));
    let needs = (!step.capabilities.is_empty()).then(|| format!("On a runner with {}", step.capabilities.join(", ")));
    let agent = step.agent.in_words().map(|words| format!("Agent: {words}"));
    let facts: Vec<_> =
        several.into_iter().chain(delay).chain(needs).chain(agent).map(|fact| view! { <p class="u-quiet">{fact}</p> }).collect();
    let when = step.when.clone().map(|when| view! { <p class="u-quiet">"Only when " <code>{when}</code></p> });
    view! { {facts} {when} }
}

fn first_line(text: &str) -> String {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let first = lines.next().unwrap_or_default().trim().to_owned();
    if lines.next().is_some() { format!("{first} …") } else { first }
}
