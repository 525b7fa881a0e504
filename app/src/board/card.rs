//! A task on the board.

use domain::{Priority, TaskState, board::Card};
use leptos::prelude::*;

use crate::{
    components::{Icon, Time, icon},
    task::{
        row::tags,
        state_badge::{asks_badge, priority_badge},
    },
    text::{count, short_location},
};

pub fn card(card: Card) -> impl IntoView {
    let Card { task, dependents, first_dependent } = card;
    let is_queued = task.state == TaskState::Queued;
    // what the age is counted from is what a person asks about in this column
    let (since, at) = match (task.state.ended_at(), task.started_at) {
        (Some(at), _) => ("Ended ", at),
        (None, Some(at)) if matches!(task.state, TaskState::Running { .. } | TaskState::Verifying { .. }) => ("Started ", at),
        _ => ("Created ", task.created_at),
    };
    let held = match (task.paused, task.awaits_model, task.parked) {
        (true, ..) => Some("paused"),
        (false, true, _) => Some("waits for its model"),
        (false, false, true) => Some("waits for a shared key"),
        (false, false, false) => None,
    };
    let attempt = (task.attempts > 0).then(|| format!("Attempt {} of {}", task.attempts, task.max_attempts));
    let waiting = first_dependent.map(|first| {
        let others = match dependents {
            1 => String::new(),
            more => format!(" and {}", count(usize::try_from(more - 1).unwrap_or(0), "other")),
        };
        let verb = if dependents == 1 { "waits" } else { "wait" };
        view! { <p class="c-card__waiting">{icon(Icon::Pause)} <span>{first} {others} " " {verb} " for it"</span></p> }
    });
    view! {
        <li class="c-card">
            <a class="c-card__title" href=format!("/tasks/{}", task.id) data-row="">{task.title.clone()}</a>
            <p class="c-card__facts">
                // in the queue the lane is the heading
                {(!is_queued && task.priority != Priority::Normal).then(|| priority_badge(task.priority))}
                {asks_badge(task.asks)}
                <span title=task.repository.clone()>{short_location(&task.repository)}</span>
                {attempt.map(|text| view! { <span>{text}</span> })}
                <span>{since} <Time at=at /></span>
                {held.map(|why| view! { <span class="c-card__held">{why}</span> })}
            </p>
            {(!task.tags.is_empty()).then(|| tags(&task.tags))}
            {waiting}
        </li>
    }
}
