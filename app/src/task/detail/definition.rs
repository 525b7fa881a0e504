//! What was asked for, word for word.

use domain::{
    CheckSpec, TaskView, Work,
    task::{RetryPolicy, RetryStrategy},
};
use leptos::prelude::*;

use crate::{
    components::CopyButton,
    task::state_badge::state_badge,
    text::{count, duration},
};

pub fn definition(task: Signal<TaskView>) -> impl IntoView {
    move || task.with(content)
}

fn content(task: &TaskView) -> impl IntoView + use<> {
    let (kind, work) = match &task.work {
        Work::Command(text) => ("Command", text.clone()),
        Work::Prompt(text) => ("Prompt", text.clone()),
    };
    let class = if kind == "Prompt" { "c-output c-output--prose" } else { "c-output" };
    view! {
        <section class="p-task__part">
            <h2 class="p-task__heading">{kind} <CopyButton text=work.clone() label="Copy the work's text" /></h2>
            <pre class=class tabindex="0" role="region" aria-label=kind>{work.clone()}</pre>
        </section>
        {list("Success criteria", &task.success_criteria, false)}
        {list("Files of interest", &task.files, true)}
        <section class="p-task__part">
            <h2 class="p-task__heading">"Checks"</h2>
            {if task.check_specs.is_empty() {
                view! { <p class="u-quiet">"None: its success cannot be verified."</p> }.into_any()
            } else {
                view! { <ul class="c-checks">{task.check_specs.iter().map(check).collect_view()}</ul> }.into_any()
            }}
        </section>
        {neighbours("Waits for", &task.depends_on)}
        {neighbours("Waited for by", &task.dependents)}
        <section class="p-task__part">
            <h2 class="p-task__heading">"Limits"</h2>
            <p>
                {count(usize::try_from(task.summary.max_attempts).unwrap_or_default(), "attempt")} " at most, each of at most "
                {duration(u32::try_from(task.timeout_seconds).unwrap_or_default())} ". " {(task.summary.max_attempts > 1).then(|| waits(task.retry))}
            </p>
        </section>
    }
}

fn waits(retry: RetryPolicy) -> String {
    let growing = match retry.strategy {
        RetryStrategy::None => return "A failure is final.".into(),
        RetryStrategy::Exponential => "doubling",
        RetryStrategy::Linear => "growing evenly",
        RetryStrategy::Fibonacci => "growing as Fibonacci's numbers do",
    };
    format!("Between attempts it waits up to {}, {growing} to {} at most.", duration(retry.base_seconds), duration(retry.cap_seconds))
}

fn list(title: &'static str, items: &[String], code: bool) -> impl IntoView + use<> {
    let item = |text: &String| {
        let text = text.clone();
        if code { view! { <li><code>{text}</code></li> }.into_any() } else { view! { <li>{text}</li> }.into_any() }
    };
    (!items.is_empty()).then(|| {
        view! {
            <section class="p-task__part">
                <h2 class="p-task__heading">{title}</h2>
                <ul class="p-task__list">{items.iter().map(item).collect_view()}</ul>
            </section>
        }
    })
}

fn check(spec: &CheckSpec) -> impl IntoView + use<> {
    view! {
        <li class="c-checks__check">
            <div class="c-checks__head">
                <span class="c-checks__name">
                    {spec.kind.label()}
                    {spec.target.clone().map(|target| view! { <code>{target}</code> })}
                </span>
                <span class="c-checks__took">
                    {if spec.required { "has to pass, " } else { "does not decide, " }} "at most " {duration(spec.timeout_seconds)}
                </span>
            </div>
        </li>
    }
}

fn neighbours(title: &'static str, links: &[domain::task::TaskLink]) -> impl IntoView + use<> {
    let items: Vec<_> = links
        .iter()
        .map(|link| view! { <li>{state_badge(link.state)} " " <a href=format!("/tasks/{}", link.id)>{link.title.clone()}</a></li> })
        .collect();
    (!items.is_empty()).then(|| {
        view! {
            <section class="p-task__part">
                <h2 class="p-task__heading">{title}</h2>
                <ul class="p-task__list p-task__list--plain">{items}</ul>
            </section>
        }
    })
}
