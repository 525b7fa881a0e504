//! Every attempt, newest first.

use domain::{ArtifactKind, Attempt, TaskId, TaskView};
use leptos::prelude::*;

use crate::{
    components::{DataTable, Elapsed, Empty, Icon, Time, TimeOfDay},
    task::state_badge::attempt_badge,
    text::{capitalised, short_commit},
};

const COLUMNS: &[(&str, &str)] = &[
    ("Attempt", "c-table__number"),
    ("State", "c-table__state"),
    ("Runner", "c-table__place"),
    ("Started", "c-table__time"),
    ("Took", "c-table__short"),
    ("Checks", "c-table__short"),
    ("Result", ""),
];

pub fn attempts(id: TaskId, task: Signal<TaskView>) -> impl IntoView {
    move || {
        let attempts = task.with(|task| task.attempt_list.clone());
        if attempts.is_empty() {
            return view! { <Empty title="No attempt yet" shape=Icon::Clock><p>"It begins when a runner takes the task."</p></Empty> }
                .into_any();
        }
        view! {
            <DataTable caption="Attempts, newest first" columns=COLUMNS>
                {attempts.into_iter().rev().map(|attempt| row(id, attempt)).collect_view()}
            </DataTable>
        }
        .into_any()
    }
}

/// Which endpoint would be chosen for this model now. No endpoint has one with other letters in its name.
fn choice_of(model: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-:/".contains(c);
    if model.chars().all(fits) { format!("/endpoints?model={model}") } else { "/endpoints".to_owned() }
}

fn row(id: TaskId, attempt: Attempt) -> impl IntoView {
    let number = attempt.number;
    let checks = match &attempt.verification {
        Some(report) if report.checks.is_empty() => "none".to_owned(),
        Some(report) => format!("{} of {}", report.passed(), report.checks.len()),
        None => "–".to_owned(),
    };
    let has_run = attempt.verification.is_some();
    let has_diff = attempt.artifacts.iter().any(|artifact| artifact.kind == ArtifactKind::Diff);
    let patches = attempt.artifacts.iter().filter(|artifact| artifact.kind == ArtifactKind::Patch).map(|patch| {
        let (href, name) = (format!("/api/v1/artifacts/{}", patch.id), patch.name.clone());
        view! { " " <a href=href rel="external" download>{name}</a> }
    });
    let patches = patches.collect_view();
    let has_session = attempt.session_events > 0;
    let failure = attempt.failure.as_ref().map(|failure| (capitalised(&failure.message), failure.code));
    let endpoint = attempt.endpoint.map(|endpoint| {
        let why = format!(", as {}", endpoint.reasons.join("; "));
        let href = format!("/endpoints/{}", endpoint.id);
        view! { <p>"Model at " <a class="c-table__other" href=href>{endpoint.name}</a> <span class="u-quiet">{why}</span></p> }
    });
    let no_endpoint = attempt.no_endpoint.map(|none| {
        let (why, href) = (format!("{}. ", capitalised(&none.reasons.join("; "))), choice_of(&none.model));
        view! { <p>{why} <a class="c-table__other" href=href>"Where it could be pulled"</a></p> }
    });
    let commit = attempt.commit.as_deref().map(short_commit);
    let beside = attempt.repositories.iter().filter_map(|one| Some((one.folder.clone(), short_commit(one.commit.as_deref()?))));
    let beside = beside.map(|(folder, commit)| view! { {folder} " " <code>{commit}</code> " " }).collect_view();
    view! {
        <tr class="c-table__row">
            <th class="c-table__number" scope="row" data-label="Attempt">{number}</th>
            <td class="c-table__state" data-label="State">{attempt_badge(attempt.state)}</td>
            <td class="c-table__place" data-label="Runner">{attempt.runner} {endpoint} {no_endpoint}</td>
            <td class="c-table__time" data-label="Started"><Time at=attempt.started_at.unwrap_or(attempt.claimed_at) /></td>
            <td class="c-table__short" data-label="Took"><Elapsed from=attempt.claimed_at to=attempt.ended_at /></td>
            <td class="c-table__short" data-label="Checks">
                {if has_run {
                    let label = format!("Checks of attempt {number}: {checks}");
                    let href = format!("/tasks/{id}?view=checks&attempt={number}");
                    view! { <a href=href data-noscroll="" aria-label=label>{checks}</a> }.into_any()
                } else {
                    checks.into_any()
                }}
            </td>
            <td class="c-table__main" data-label="Result">
                {attempt
                    .taken_away
                    .then(|| view! { <p class="u-warn">"Its runner has not ended it in time, and loses it within two minutes"</p> })}
                {attempt
                    .ends_by
                    .filter(|_| !attempt.taken_away)
                    .map(|by| view! { <p class="u-warn">"Its runner is asked to end it, and loses it after " <TimeOfDay at=by /></p> })}
                {attempt.blocked_since.map(|since| view! { <p class="u-warn">"Its agent waits for an answer since " <TimeOfDay at=since /></p> })}
                {failure.map(|(message, code)| view! { <p>{message} " " <code title=code.cause()>{code.name()}</code></p> })}
                {commit.map(|commit| view! { <code>{commit}</code> " " })}
                {beside}
                {has_session
                    .then(|| {
                        let label = format!("Session of attempt {number}");
                        view! { <a href=format!("/tasks/{id}?view=session&attempt={number}") data-noscroll="" aria-label=label>"Session"</a> " " }
                    })}
                {has_diff
                    .then(|| {
                        let label = format!("Diff of attempt {number}");
                        view! { <a href=format!("/tasks/{id}?view=diff&attempt={number}") data-noscroll="" aria-label=label>"Diff"</a> }
                    })}
                {patches}
            </td>
        </tr>
    }
}
