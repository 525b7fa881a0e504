//! The steps of a run as a table. It says all that the graph and the timeline show.

use domain::{
    TaskStateName, Timestamp,
    workflow::{RunStep, RunView},
};
use leptos::prelude::*;

use super::{
    acts::RESTART_FORM,
    state_badge::step_badge,
    tree::{Part, Row, Show, rows},
};
use crate::{
    components::{DataTable, Elapsed, Icon, icon},
    text::{capitalised, count},
    workflow::kind::kind_word,
};

const COLUMNS: &[(&str, &str)] = &[
    ("State", "c-table__state"),
    ("Step", ""),
    ("Kind", "c-table__short"),
    ("Attempts", "c-table__short"),
    ("Took", "c-table__time"),
    ("Go on", "c-table__acts"),
];

/// With so many steps it helps to look at some of them only.
const CHOICES_FROM: usize = 12;

#[component]
pub fn Steps(run: Signal<RunView>, show: Memo<Show>) -> impl IntoView {
    let shown = Memo::new(move |_| run.with(|run| rows(&run.steps, show.get())));
    let can_restart = Memo::new(move |_| run.with(|run| run.summary.state.is_final()));
    let keyed = move || {
        let can_restart = can_restart.get();
        shown.with(|(rows, _)| rows.iter().map(|row| (Print::of(row, can_restart), row.clone())).collect::<Vec<_>>())
    };
    let id = run.with_untracked(|run| run.summary.id);
    view! {
        <section class="l-part" aria-labelledby="steps">
            <h2 class="l-part__title" id="steps">"Steps"</h2>
            {move || run.with(|run| choices(run, show.get()))}
            <DataTable caption="The steps of this run" columns=COLUMNS>
                <For each=keyed key=|(print, _)| print.clone() let:row>
                    {cells(row.1, can_restart.get_untracked())}
                </For>
            </DataTable>
            {move || {
                let more = shown.with(|(_, more)| *more);
                (more > 0).then(|| view! {
                    <p><a class="c-button" href=format!("/runs/{id}?show=all") data-noscroll="">{format!("Show {} more", count(more, "step"))}</a></p>
                })
            }}
        </section>
    }
}

/// All that a row shows: a row that shows something else is another one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Print {
    key: String,
    depth: usize,
    state: TaskStateName,
    is_open: bool,
    paused: bool,
    can_restart: bool,
    attempts: i32,
    times: (Option<Timestamp>, Option<Timestamp>),
    reason: Option<String>,
}

impl Print {
    fn of(row: &Row, can_restart: bool) -> Self {
        let step = &row.step;
        Self {
            key: step.key.clone(),
            depth: row.depth,
            state: step.state,
            is_open: step.open_gate.is_some(),
            paused: step.paused,
            can_restart,
            attempts: step.attempts,
            times: (step.started_at, step.ended_at),
            reason: step.reason.clone(),
        }
    }
}

/// How many stand where, as links to those alone.
fn choices(run: &RunView, show: Show) -> impl IntoView + use<> {
    let id = run.summary.id;
    let link = |href: String, text: String, is_current: bool| {
        view! { <a class="c-chip" href=href data-noscroll="" aria-current=is_current.then_some("true")>{text}</a> }
    };
    let parts = Part::ALL.map(|part| {
        let steps = run.steps.iter().filter(|step| Part::of(step) == part).count();
        let text = format!("{} {steps}", capitalised(part.name()));
        (steps > 0).then(|| link(format!("/runs/{id}?show={}", part.name()), text, show == Show::Only(part)))
    });
    let all = link(format!("/runs/{id}"), format!("All {}", run.steps.len()), matches!(show, Show::First | Show::All));
    (run.steps.len() >= CHOICES_FROM).then(|| view! { <nav class="p-tasks__states" aria-label="Steps by state">{all} {parts}</nav> })
}

fn cells(row: Row, can_restart: bool) -> impl IntoView {
    let Row { depth, step } = row;
    let took = step.started_at.map(|from| view! { <Elapsed from=from to=step.ended_at /> });
    let attempts = (step.attempts > 0).then_some(step.attempts);
    let attempts_class = if step.attempts > 0 { "c-table__short" } else { "c-table__short c-table__usual" };
    view! {
        <tr class="c-table__row" id=format!("step-{}", step.key)>
            <td class="c-table__state" data-label="State">{step_badge(&step)}</td>
            <th class="c-table__main" scope="row" data-label="Step" data-depth=depth.min(3).to_string()>
                <a class="c-table__link" href=format!("/tasks/{}", step.task) data-row="">{step.title.clone()}</a>
                {(step.key != step.title).then(|| view! { <span class="c-table__id">{step.key.clone()}</span> })}
                {step.reused.then(|| view! { <span class="c-table__note">"taken over"</span> })}
                {step.reason.clone().map(|reason| view! { <p class="c-table__about">{capitalised(&reason)}</p> })}
            </th>
            <td class="c-table__short c-table__plain" data-label="Kind">{kind_word(&step.kind)}</td>
            <td class=attempts_class data-label="Attempts">{attempts}</td>
            <td class="c-table__time" data-label="Took">{took}</td>
            <td class="c-table__act">{(can_restart && step.group.is_none()).then(|| restart_button(&step))}</td>
        </tr>
    }
}

/// Belongs to the form beside the title, so that a thousand rows need no form each.
fn restart_button(step: &RunStep) -> impl IntoView + use<> {
    view! {
        <button class="c-button c-button--quiet" type="submit" form=RESTART_FORM name="from" value=step.key.clone()>
            {icon(Icon::Retry)}
            <span class="c-button__text">"Restart from here"</span>
            <span class="u-unseen">{format!(": {}", step.title)}</span>
        </button>
    }
}
