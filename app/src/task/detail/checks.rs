//! What was proven: every check of an attempt with its output, and the definitions while they have not run.

use domain::{Attempt, CheckResult, CheckSpec, CheckStatus, TaskView};
use leptos::prelude::*;

use crate::{
    components::{CopyButton, Empty, Icon, facts::wide_fact, log_view::output_html, time::span},
    task::state_badge::check_badge,
    text::duration,
};

pub fn checks(task: Signal<TaskView>, attempt: Memo<i32>) -> impl IntoView {
    move || {
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
                        <ul class="c-checks">{report.checks.into_iter().map(result).collect_view()}</ul>
                        {shown.and_then(|shown| hash(task, shown))}
                        {shown.map(earlier_rounds)}
                    }
                    .into_any()
                }
                None => {
                    let specs = task.check_specs.clone();
                    view! {
                        <p class="p-task__lead">"Not run yet. They run when the work has ended, whatever it left behind."</p>
                        <ul class="c-checks">{specs.into_iter().map(waiting).collect_view()}</ul>
                        {shown.map(earlier_rounds)}
                    }
                    .into_any()
                }
            }
        })
    }
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
fn earlier_rounds(attempt: &Attempt) -> impl IntoView + use<> {
    let rounds = attempt.earlier_rounds.iter().enumerate().rev().map(|(index, report)| {
        let (round, passed, all) = (index + 1, report.passed(), report.checks.len());
        view! {
            <section class="p-task__round">
                <h3 class="p-task__lead">"Round "{round}": "{passed}" of "{all}" passed; the agent was told so and went on"</h3>
                <ul class="c-checks">{report.checks.iter().cloned().map(result).collect_view()}</ul>
            </section>
        }
    });
    rounds.collect_view()
}

fn result(check: CheckResult) -> impl IntoView {
    let passed = check.status == CheckStatus::Passed;
    let took = span(i64::try_from(check.duration_ms).unwrap_or(i64::MAX));
    let command = check.command.filter(|command| Some(command) != check.spec.target.as_ref());
    let body = if check.output.trim().is_empty() {
        view! { <p class="c-checks__note">"It printed nothing."</p> }.into_any()
    } else {
        let label = format!("Output of {}", check.spec.kind.label());
        view! { <pre class="c-output" tabindex="0" role="region" aria-label=label inner_html=output_html(&check.output)></pre> }.into_any()
    };
    view! {
        <li>
            <details class="c-checks__check" open=!passed>
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
            {(!spec.required).then(|| view! { <span class="c-checks__optional">"does not decide"</span> })}
        </span>
    }
}
