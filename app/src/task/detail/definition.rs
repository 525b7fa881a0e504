//! What was asked for, word for word, and what it was given and left.

use domain::{
    AgentTerms, CheckSpec, TaskView, Work,
    task::{Group, Inputs, Judge, RetryPolicy, RetryStrategy, plain},
    workflow::{Otherwise, Step},
};
use leptos::prelude::*;

use crate::{
    components::CopyButton,
    task::{
        detail::{facts::dependency, gate::question},
        state_badge::state_badge,
    },
    text::{count, duration},
    workflow::kind::kind_word,
};

pub fn definition(task: Signal<TaskView>) -> impl IntoView {
    move || task.with(content)
}

fn content(task: &TaskView) -> impl IntoView + use<> {
    view! {
        {what(&task.work)}
        {agent(&task.agent)}
        {task.when.clone().map(|when| text_part("Only when", when, false))}
        {inputs(&task.inputs)}
        {task.output.as_ref().map(|output| text_part("Output", readable(output), false))}
        {list("Success criteria", &task.success_criteria, false)}
        {list("Files of interest", &task.files, true)}
        {task.work.is_executed().then(|| checks(task))}
        {neighbours("Waits for", task.depends_on.iter().map(dependency).collect())}
        {neighbours("Waited for by", task.dependents.iter().map(dependent).collect())}
        {task.work.is_executed().then(|| limits(task))}
    }
}

fn what(work: &Work) -> AnyView {
    match work {
        Work::Command(text) => text_part("Command", text.clone(), false).into_any(),
        Work::Prompt(text) => text_part("Prompt", text.clone(), true).into_any(),
        Work::Gate(gate) => {
            let question = question(gate);
            view! { <section class="p-task__part"><h2 class="p-task__heading">{kind_word(work.kind())}</h2><p class="p-task__message">{question}</p></section> }
                .into_any()
        }
        Work::Group(Group::Each { step }) => group("Becomes one task for every item of its list", step),
        Work::Group(Group::Candidates { step }) => {
            let judge = step.candidates.as_ref().map(|asked| judge(&asked.judge));
            view! { {group("Becomes several tries, of which one is chosen", step)} {judge} }.into_any()
        }
        Work::Group(Group::Workflow { name, version }) => {
            let href = match version {
                Some(version) => format!("/workflows/{name}?version={version}"),
                None => format!("/workflows/{name}"),
            };
            view! {
                <section class="p-task__part">
                    <h2 class="p-task__heading">{kind_word(work.kind())}</h2>
                    <p>"Becomes the steps of " <a href=href>{name.clone()}</a> {version.map(|version| format!(", version {version}"))} "."</p>
                </section>
            }
            .into_any()
        }
    }
}

/// What each of its tasks does.
fn group(sentence: &'static str, step: &Step) -> AnyView {
    let work = step.command.clone().or_else(|| step.prompt.clone());
    let sub = step.workflow.as_ref().map(|sub| sub.name.clone());
    view! {
        <section class="p-task__part">
            <h2 class="p-task__heading">{sentence}</h2>
            {sub.map(|name| view! { <p>"Each is a run of " <a href=format!("/workflows/{name}")>{name.clone()}</a> "."</p> })}
        </section>
        {work.map(|work| text_part("What each of them does", work, step.prompt.is_some()))}
        {agent(&step.agent)}
    }
    .into_any()
}

/// Who chooses among them.
fn judge(judge: &Judge) -> AnyView {
    match judge {
        Judge::First => view! { <p>"The first that passes is taken."</p> }.into_any(),
        Judge::Score(score) => text_part("The highest score is taken", score.clone(), false).into_any(),
        Judge::Task(task) => {
            let otherwise = match task.otherwise {
                Otherwise::Fail => "When the judge names none that passed, this step fails.",
                Otherwise::First => "When the judge names none that passed, the first that did is taken.",
            };
            let work = task.command.clone().or_else(|| task.prompt.clone()).unwrap_or_default();
            view! { {text_part("What the judge does", work, task.prompt.is_some())} <p>{otherwise}</p> }.into_any()
        }
    }
}

fn text_part(heading: &'static str, text: String, prose: bool) -> impl IntoView {
    let class = if prose { "c-output c-output--prose" } else { "c-output" };
    view! {
        <section class="p-task__part">
            <h2 class="p-task__heading">{heading} <CopyButton text=text.clone() label=format!("Copy: {heading}") /></h2>
            <pre class=class tabindex="0" role="region" aria-label=heading>{text}</pre>
        </section>
    }
}

/// Who is given the prompt.
fn agent(terms: &AgentTerms) -> impl IntoView + use<> {
    terms.in_words().map(|words| view! { <section class="p-task__part"><h2 class="p-task__heading">"Agent"</h2><p>{words}</p></section> })
}

fn inputs(inputs: &Inputs) -> impl IntoView + use<> {
    let rows: Vec<_> =
        inputs.iter().map(|(name, value)| view! { <div><dt><code>{name.clone()}</code></dt><dd>{plain(value)}</dd></div> }).collect();
    (!rows.is_empty()).then(|| {
        view! {
            <section class="p-task__part">
                <h2 class="p-task__heading">"Inputs"</h2>
                <dl class="c-values">{rows}</dl>
            </section>
        }
    })
}

fn readable(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        other => serde_json::to_string_pretty(other).unwrap_or_default(),
    }
}

fn checks(task: &TaskView) -> impl IntoView + use<> {
    view! {
        <section class="p-task__part">
            <h2 class="p-task__heading">"Checks"</h2>
            {if task.check_specs.is_empty() {
                view! { <p class="u-quiet">"None: its success cannot be verified."</p> }.into_any()
            } else {
                view! { <ul class="c-checks">{task.check_specs.iter().map(check).collect_view()}</ul> }.into_any()
            }}
        </section>
    }
}

fn limits(task: &TaskView) -> impl IntoView + use<> {
    view! {
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
    let usual =
        format!("Between attempts it waits up to {}, {growing} to {} at most.", duration(retry.base_seconds), duration(retry.cap_seconds));
    let own = retry.by_class.write(duration);
    if own.is_empty() { usual } else { format!("{usual} By class of failure: {}.", own.join("; ")) }
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
                    {spec.judge.in_words().map(|words| view! { <span class="c-checks__optional">{words}</span> })}
                </span>
                <span class="c-checks__took">
                    {if spec.required { "has to pass, " } else { "does not decide, " }} "at most " {duration(spec.timeout_seconds)}
                </span>
            </div>
        </li>
    }
}

fn dependent(link: &domain::task::TaskLink) -> AnyView {
    view! { {state_badge(link.state)} " " <a href=format!("/tasks/{}", link.id)>{link.title.clone()}</a> }.into_any()
}

fn neighbours(title: &'static str, links: Vec<AnyView>) -> impl IntoView {
    (!links.is_empty()).then(|| {
        view! {
            <section class="p-task__part">
                <h2 class="p-task__heading">{title}</h2>
                <ul class="p-task__list p-task__list--plain">{links.into_iter().map(|link| view! { <li>{link}</li> }).collect_view()}</ul>
            </section>
        }
    })
}
