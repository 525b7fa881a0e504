//! How a runner stood in the last day: one line from each change to the next, and of one with several slots what each of them does.

use std::collections::HashMap;

use domain::{
    TaskId,
    runner::{RunnerDetail, RunnerPeriod, RunnerSlot, RunnerState},
};
use leptos::prelude::*;

use super::state::state_look;
use crate::components::{Badge, DataTable, Elapsed, Time};

const COLUMNS: &[(&str, &str)] = &[("Stood", ""), ("Since", "c-table__time"), ("For", "c-table__short")];
const SLOT_COLUMNS: &[(&str, &str)] =
    &[("Slot", "c-table__number"), ("Stands", "c-table__state"), ("Task", ""), ("Since", "c-table__time"), ("For", "c-table__short")];

/// What tasks are called that it carries out or has carried out lately.
type Titles = HashMap<TaskId, String>;

pub(super) fn day_part(runner: Signal<RunnerDetail>) -> impl IntoView {
    let periods = Memo::new(move |_| runner.with(|detail| detail.day.periods.clone()));
    let slots = Memo::new(move |_| runner.with(|detail| (detail.day.slots.clone(), titles(detail))));
    view! {
        <section class="l-part" aria-labelledby="day">
            <h2 class="l-part__title" id="day">"How it stood"</h2>
            {move || {
                let (slots, titles) = slots.get();
                (!slots.is_empty()).then(|| view! {
                    <DataTable caption="What each of its slots does" columns=SLOT_COLUMNS>
                        {slots.into_iter().filter_map(|slot| slot_row(slot, &titles)).collect_view()}
                    </DataTable>
                })
            }}
            <DataTable caption="How this runner stood, newest first" columns=COLUMNS>
                <For each=move || periods.get() key=|period| (period.since, period.until, period.state.name()) let:period>{row(period)}</For>
            </DataTable>
        </section>
    }
}

fn titles(detail: &RunnerDetail) -> Titles {
    let attempts = detail.current.iter().chain(&detail.history);
    attempts.map(|attempt| (attempt.task_id, attempt.task.clone())).collect()
}

fn row(period: RunnerPeriod) -> impl IntoView {
    view! {
        <tr class="c-table__row">
            <td class="c-table__main" data-label="Stood">{badge(period.state)}</td>
            <td class="c-table__time" data-label="Since"><Time at=period.since /></td>
            <td class="c-table__short" data-label="For"><Elapsed from=period.since to=period.until /></td>
        </tr>
    }
}

/// As it stands now.
fn slot_row(slot: RunnerSlot, titles: &Titles) -> Option<impl IntoView + use<>> {
    let now = slot.periods.into_iter().next()?;
    let task = now.task_id.map(|id| {
        let title = titles.get(&id).cloned().unwrap_or_else(|| id.short());
        view! { <a class="c-table__link" href=format!("/tasks/{id}")>{title}</a> }
    });
    Some(view! {
        <tr class="c-table__row">
            <td class="c-table__number" data-label="Slot">{slot.number}</td>
            <td class="c-table__state" data-label="Stands">{badge(now.state)}</td>
            <td class="c-table__main" data-label="Task">{task}</td>
            <td class="c-table__time" data-label="Since"><Time at=now.since /></td>
            <td class="c-table__short" data-label="For"><Elapsed from=now.since to=now.until /></td>
        </tr>
    })
}

pub(super) fn badge(state: RunnerState) -> impl IntoView {
    let (tone, shape, word) = state_look(state, 1);
    view! { <Badge tone=tone shape=shape text=word /> }
}
