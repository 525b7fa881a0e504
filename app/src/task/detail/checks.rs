//! What was proven: every check of an attempt with its output, and the definitions while they have not run.

use domain::{CheckResult, CheckSpec, CheckStatus, TaskId, TaskView, VerificationReport};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::session::judge::{Spot, judgement};
use crate::{
    components::{CopyButton, Empty, Icon, facts::wide_fact, log_view::output_html, time::span},
    task::state_badge::check_badge,
    text::duration,
};

/// What is shown of a task here. Whatever else happens to it, a reader's place in this stays as it is.
#[derive(Clone, PartialEq)]
struct Shown {
    specs: Vec<CheckSpec>,
    attempt: i32,
    report: Option<VerificationReport>,
    hash: Option<String>,
    earlier_rounds: Vec<VerificationReport>,
}

impl Shown {
    fn of(task: &TaskView, attempt: i32) -> Self {
        let found = task.attempt_list.iter().find(|one| one.number == attempt);
        Self {
            specs: task.check_specs.clone(),
            attempt,
            report: found.and_then(|found| found.verification.clone()),
            hash: found.and_then(|found| found.report_hash.clone()),
            earlier_rounds: found.map(|found| found.earlier_rounds.clone()).unwrap_or_default(),
        }
    }
}

/// `?judge=2.3` unfolds what the judge of the third check did in round 2.
pub fn checks(id: TaskId, task: Signal<TaskView>, attempt: Memo<i32>) -> impl IntoView {
    let query = use_query_map();
    let unfolded = Memo::new(move |_| query.with(|query| query.get_str("judge").and_then(read_spot)));
    let shown = Memo::new(move |_| task.with(|task| Shown::of(task, attempt.get())));
    move || shown.with(|shown| content(shown, Place { id, attempt: shown.attempt, unfolded }))
}

fn content(shown: &Shown, place: Place) -> AnyView {
    if shown.specs.is_empty() {
        return view! {
            <Empty title="This task defines no check" shape=Icon::Alert>
                <p>"It can succeed, but not as verified: nothing could have said otherwise. Duplicate it and say what counts as done."</p>
            </Empty>
        }
        .into_any();
    }
    let Some(report) = &shown.report else {
        let specs = shown.specs.clone();
        return view! {
            <p class="p-task__lead">"Not run yet. They run when the work has ended, whatever it left behind."</p>
            <ul class="c-checks">{specs.into_iter().map(waiting).collect_view()}</ul>
            {earlier_rounds(shown, place)}
        }
        .into_any();
    };
    let heading = format!("Attempt {}", shown.attempt);
    let total = span(i64::try_from(report.duration_ms).unwrap_or(i64::MAX));
    let (passed, all) = (report.passed(), report.checks.len());
    view! {
        <p class="p-task__lead">{heading}": "{passed}" of "{all}" passed in "{total}</p>
        {results(report, shown.earlier_rounds.len() + 1, place)}
        {shown.hash.clone().map(|hash| hash_of(hash, place))}
        {earlier_rounds(shown, place)}
    }
    .into_any()
}

/// Which attempt is shown, and of which of its judges all that it did.
#[derive(Clone, Copy)]
struct Place {
    id: TaskId,
    attempt: i32,
    unfolded: Memo<Option<(usize, usize)>>,
}

/// `2.3`
fn read_spot(text: &str) -> Option<(usize, usize)> {
    let (round, check) = text.split_once('.')?;
    Some((round.parse().ok()?, check.parse().ok()?))
}

fn results(report: &VerificationReport, round: usize, place: Place) -> impl IntoView + use<> {
    let results = report.checks.iter().cloned().enumerate().map(|(index, check)| {
        let Place { id, attempt, unfolded } = place;
        let spot = Spot { id, attempt, round, check: index + 1 };
        result(check, spot, unfolded)
    });
    view! { <ul class="c-checks">{results.collect_view()}</ul> }
}

/// By what the report can be known again, and how.
fn hash_of(hash: String, place: Place) -> impl IntoView + use<> {
    let command = format!("muster task report {} --attempt {} | sha256sum", place.id.short(), place.attempt);
    view! {
        <dl class="c-facts p-task__hash">
            {wide_fact("SHA-256 of the report", view! { <code class="c-facts__long">{hash.clone()}</code> <CopyButton text=hash label="Copy the report's hash" /> })}
            {wide_fact("To check the hash", view! { <code class="c-facts__long">{command.clone()}</code> <CopyButton text=command label="Copy the command" /> })}
        </dl>
    }
}

/// What the checks said before the agent went on, the latest round first.
fn earlier_rounds(shown: &Shown, place: Place) -> impl IntoView + use<> {
    let rounds = shown.earlier_rounds.iter().enumerate().rev().map(|(index, report)| {
        let (round, passed, all) = (index + 1, report.passed(), report.checks.len());
        view! {
            <section class="p-task__round">
                <h3 class="p-task__lead">"Round "{round}": "{passed}" of "{all}" passed; the agent was told so and went on"</h3>
                {results(report, round, place)}
            </section>
        }
    });
    rounds.collect_view()
}

fn result(check: CheckResult, spot: Spot, unfolded: Memo<Option<(usize, usize)>>) -> impl IntoView {
    let shows_all = Memo::new(move |_| unfolded.get() == Some((spot.round, spot.check)));
    let is_open = check.status != CheckStatus::Passed || shows_all.get_untracked();
    let took = span(i64::try_from(check.duration_ms).unwrap_or(i64::MAX));
    let judged = check.judgement.as_ref().map(|judged| judgement(&check, judged, spot, shows_all));
    let command = check.command.filter(|command| Some(command) != check.spec.target.as_ref());
    let body = if let Some(judged) = judged {
        judged.into_any()
    } else if check.output.trim().is_empty() {
        view! { <p class="c-checks__note">"It printed nothing."</p> }.into_any()
    } else {
        let label = format!("Output of {}", check.spec.kind.label());
        view! { <pre class="c-output" tabindex="0" role="region" aria-label=label inner_html=output_html(&check.output)></pre> }.into_any()
    };
    view! {
        <li id=spot.name()>
            <details class="c-checks__check" open=is_open>
                <summary class="c-checks__head">
                    {check_badge(Some(check.status))}
                    {name(&check.spec)}
                    <span class="c-checks__took">{took}</span>
                </summary>
                {command.map(|command| view! { <p class="c-checks__note">"Ran " <code>{command}</code></p> })}
                {body}
            </details>
        </li>
    }
}

fn waiting(spec: CheckSpec) -> impl IntoView {
    view! {
        <li class="c-checks__check">
            <div class="c-checks__head">
                {check_badge(None)}
                {name(&spec)}
                <span class="c-checks__took">"at most " {duration(spec.timeout_seconds)}</span>
            </div>
        </li>
    }
}

fn name(spec: &CheckSpec) -> impl IntoView + use<> {
    view! {
        <span class="c-checks__name">
            {spec.kind.label()}
            {spec.target.clone().map(|target| view! { <code>{target}</code> })}
            {spec.judge.in_words().map(|words| view! { <span class="c-checks__optional">{words}</span> })}
            {(!spec.required).then(|| view! { <span class="c-checks__optional">"does not decide"</span> })}
        </span>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_judge_is_found_by_its_round_and_its_check() {
        assert_eq!(read_spot("2.3"), Some((2, 3)));
        assert!(["", "2", "2.", ".3", "a.b", "2.3.4"].into_iter().all(|bad| read_spot(bad).is_none()));
    }
}
