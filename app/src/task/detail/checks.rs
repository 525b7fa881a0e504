//! What was proven: every check of an attempt with its output, and the definitions while they have not run.

use domain::{Attempt, CheckResult, CheckSpec, CheckStatus, TaskId, TaskView, VerificationReport};
use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::session::judge::{Spot, judgement};
use crate::{
    components::{CopyButton, Empty, Icon, facts::wide_fact, log_view::output_html, time::span},
    task::state_badge::check_badge,
    text::duration,
};

/// `?judge=2.3` unfolds what the judge of the third check did in round 2.
pub fn checks(id: TaskId, task: Signal<TaskView>, attempt: Memo<i32>) -> impl IntoView {
    let query = use_query_map();
    let unfolded = Memo::new(move |_| query.with(|query| query.get_str("judge").and_then(read_spot)));
    move || {
        let place = Place { id, attempt: attempt.get(), unfolded: unfolded.get() };
        task.with(|task| {
            let shown = task.attempt_list.iter().find(|one| one.number == attempt.get());
            if task.check_specs.is_empty() {
                return view! {
                    <Empty title="This task defines no check" shape=Icon::Alert>
                        <p>"It can succeed, but not as verified: nothing could have said otherwise. Duplicate it and say what counts as done."</p>
                    </Empty>
                }
                .into_any();
            }
            let heading = format!("Attempt {}", attempt.get());
            match shown.and_then(|shown| shown.verification.clone()) {
                Some(report) => {
                    let total = span(i64::try_from(report.duration_ms).unwrap_or(i64::MAX));
                    let passed = report.passed();
                    let all = report.checks.len();
                    view! {
                        <p class="p-task__lead">{heading}": "{passed}" of "{all}" passed in "{total}</p>
                        {results(&report, shown.map_or(1, |shown| shown.earlier_rounds.len() + 1), place)}
                        {shown.and_then(|shown| hash(task, shown))}
                        {shown.map(|shown| earlier_rounds(shown, place))}
                    }
                    .into_any()
                }
                None => {
                    let specs = task.check_specs.clone();
                    view! {
                        <p class="p-task__lead">"Not run yet. They run when the work has ended, whatever it left behind."</p>
                        <ul class="c-checks">{specs.into_iter().map(waiting).collect_view()}</ul>
                        {shown.map(|shown| earlier_rounds(shown, place))}
                    }
                    .into_any()
                }
            }
        })
    }
}

/// Which attempt is shown, and of which of its judges all that it did.
#[derive(Clone, Copy)]
struct Place {
    id: TaskId,
    attempt: i32,
    unfolded: Option<(usize, usize)>,
}

/// `2.3`
fn read_spot(text: &str) -> Option<(usize, usize)> {
    let (round, check) = text.split_once('.')?;
    Some((round.parse().ok()?, check.parse().ok()?))
}

fn results(report: &VerificationReport, round: usize, place: Place) -> impl IntoView + use<> {
    let results = report.checks.iter().cloned().enumerate().map(|(index, check)| {
        let Place { id, attempt, unfolded } = place;
        let spot = Spot { id, attempt, round, check: index + 1, is_open: unfolded == Some((round, index + 1)) };
        result(check, spot)
    });
    view! { <ul class="c-checks">{results.collect_view()}</ul> }
}

/// By what the report can be known again, and how.
fn hash(task: &TaskView, attempt: &Attempt) -> Option<impl IntoView + use<>> {
    let hash = attempt.report_hash.clone()?;
    let command = format!("muster task report {} --attempt {} | sha256sum", task.summary.id.short(), attempt.number);
    Some(view! {
        <dl class="c-facts p-task__hash">
            {wide_fact("SHA-256 of the report", view! { <code class="c-facts__long">{hash.clone()}</code> <CopyButton text=hash label="Copy the report's hash" /> })}
            {wide_fact("To check the hash", view! { <code class="c-facts__long">{command.clone()}</code> <CopyButton text=command label="Copy the command" /> })}
        </dl>
    })
}

/// What the checks said before the agent went on, the latest round first.
fn earlier_rounds(attempt: &Attempt, place: Place) -> impl IntoView + use<> {
    let rounds = attempt.earlier_rounds.iter().enumerate().rev().map(|(index, report)| {
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

fn result(check: CheckResult, spot: Spot) -> impl IntoView {
    let is_open = check.status != CheckStatus::Passed || spot.is_open;
    let took = span(i64::try_from(check.duration_ms).unwrap_or(i64::MAX));
    let judged = check.judgement.as_ref().map(|judged| judgement(&check, judged, spot));
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
        <li>
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
