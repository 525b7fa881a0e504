//! One task: where it stands and why, and one view at a time of what it did. The view is in the address (`?view=diff`), so each has
//! a link, and only what is looked at is fetched.

use std::time::Duration;

use domain::{
    Failure, FailureCode, TaskId, TaskState, TaskView, Work,
    endpoint::AwaitedPull,
    task::{RunnerWait, Stop},
};
use leptos::{prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::{
    LazyRoute,
    hooks::{use_params_map, use_query_map},
};

use super::{
    detail::{
        acts::Acts,
        attempts::attempts,
        checks::checks,
        chosen::chosen,
        definition::definition,
        diff::Diff,
        facts::facts,
        gate::{GateActs, gate_form, question},
        landing::Landing,
        log::Log,
        session::Session,
        steps::Steps,
        timeline::Timeline,
    },
    find_task,
    handed::take_handed,
    state_badge::{asks_badge, priority_badge, proof_badge, state_badge},
};
use crate::{
    approval::at_task::Questions,
    components::{CopyButton, Notice, Time, Tone},
    document_title::document_title,
    fetched::fetched,
    live::{look_while, use_live},
    page_json::fetch,
    part::{NotLoaded, part},
    text::capitalised,
    workflow::kind::kind_badge,
};

/// Between two looks at a pull that is waited for.
const PULL_LOOK: Duration = Duration::from_secs(5);

pub struct TaskDetailPage;

impl LazyRoute for TaskDetailPage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("task", task_detail_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

#[wasm_split(task, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn task_detail_page() -> Result<AnyView, NotLoaded> {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|params| params.get_str("id").map(str::to_owned)));
    // Keyed, so that another task gets a page of its own and nothing is left of the last one.
    Ok(view! {
        <Title text="Task · Muster" />
        <For each=move || id.get() key=String::clone let:id>
            <TaskDetail id=id />
        </For>
    }
    .into_any())
}

#[component]
fn TaskDetail(id: String) -> impl IntoView {
    let known = id.parse::<TaskId>().ok();
    let handed = take_handed(&id);
    let may_be_old = handed.is_some();
    let handed = StoredValue::new(handed);
    let task = fetch(
        || (),
        move |()| {
            let (id, handed) = (id.clone(), handed.try_update_value(Option::take).flatten());
            async move {
                match handed {
                    Some(task) => Ok(task),
                    None => find_task(id).await,
                }
            }
        },
    );
    if may_be_old {
        Effect::new(move || request_idle_callback(move || task.refetch()));
    }
    // Its neighbours' states are shown too.
    let neighbours = RwSignal::new(Vec::<TaskId>::new());
    use_live(task, move |event| Some(event.task_id) == known || neighbours.with_untracked(|ids| ids.contains(&event.task_id)));
    let refresh = Callback::new(move |()| task.refetch());
    fetched(task, 12, move |task: Signal<TaskView>| {
        Effect::new(move |_| neighbours.set(task.with(neighbour_ids)));
        view! { <TaskContent task=task refresh=refresh /> }
    })
}

fn neighbour_ids(task: &TaskView) -> Vec<TaskId> {
    task.depends_on.iter().map(|dependency| &dependency.link).chain(&task.dependents).map(|link| link.id).collect()
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    Session,
    Log,
    Checks,
    Diff,
    Attempts,
    Timeline,
    Definition,
}

impl View {
    /// Of a prompt.
    const PROMPT: &'static [Self] = &[Self::Session, Self::Log, Self::Checks, Self::Diff, Self::Attempts, Self::Timeline, Self::Definition];
    const COMMAND: &'static [Self] = &[Self::Log, Self::Checks, Self::Diff, Self::Attempts, Self::Timeline, Self::Definition];
    /// Of a task that no runner does: a gate, or one that becomes several.
    const UNEXECUTED: &'static [Self] = &[Self::Definition, Self::Timeline];

    fn of(work: &Work) -> &'static [Self] {
        match work {
            Work::Prompt(_) => Self::PROMPT,
            Work::Command(_) => Self::COMMAND,
            Work::Gate(_) | Work::Group(_) => Self::UNEXECUTED,
        }
    }

    /// What is looked at unless another is asked for: the session where there is one.
    fn usual(task: &TaskView) -> Self {
        let has_session = task.attempt_list.iter().any(|attempt| attempt.session_events > 0);
        match Self::of(&task.work)[0] {
            Self::Session if !has_session => Self::Log,
            first => first,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Log => "log",
            Self::Checks => "checks",
            Self::Diff => "diff",
            Self::Attempts => "attempts",
            Self::Timeline => "timeline",
            Self::Definition => "definition",
        }
    }

    fn parse(name: &str, views: &[Self]) -> Option<Self> {
        views.iter().copied().find(|view| view.name() == name)
    }
}

#[component]
fn TaskContent(task: Signal<TaskView>, refresh: Callback<()>) -> impl IntoView {
    let id = task.with_untracked(|task| task.summary.id);
    // how far a pull has come makes no event
    let awaits_model = Memo::new(move |_| task.with(|task| task.summary.awaits_model));
    look_while(awaits_model, move || refresh.run(()), PULL_LOOK);
    let query = use_query_map();
    // The usual view is told once: nobody is taken away from a log because a session has begun.
    let (views, usual, is_executed) = task.with_untracked(|task| (View::of(&task.work), View::usual(task), task.work.is_executed()));
    let view = Memo::new(move |_| query.with(|query| View::parse(query.get_str("view").unwrap_or_default(), views)).unwrap_or(usual));
    let asked_attempt = Memo::new(move |_| query.with(|query| query.get_str("attempt").and_then(|number| number.parse::<i32>().ok())));
    let attempt = Memo::new(move |_| asked_attempt.get().unwrap_or_else(|| task.with(|task| task.summary.attempts)));
    let title = Memo::new(move |_| task.with(|task| task.summary.title.clone()));
    view! {
        <Title text=document_title(title) />
        <div class="p-task">
            <div class="l-head">
                <div class="l-head__text">
                    <p class="p-task__crumb"><a href="/tasks">"Tasks"</a></p>
                    <h1 class="l-head__title">{title}</h1>
                    <div class="p-task__badges">
                        <span class="p-task__state" role="status">{move || badges(task)}</span>
                        <span class="p-task__id">
                            <code>{id.short()}</code>
                            <CopyButton text=id.to_string() label="Copy the task's id" />
                        </span>
                        <span class="u-quiet">
                            {move || task.with(|task| task.created_by.clone())} ", "
                            {move || view! { <Time at=task.with(|task| task.summary.created_at) /> }}
                        </span>
                    </div>
                </div>
                <Acts id=id task=task refresh=refresh />
            </div>
            <Steps task=task />
            <OpenGate task=task refresh=refresh />
            <Questions id=id task=task refresh=refresh />
            {move || notice(id, task)}
            <Landing id=id task=task refresh=refresh />
            {move || task.with(findings)}
            {move || task.with(chosen)}
            <div class="p-task__columns">
                <div class="p-task__main">
                    {tabs(id, task, views, usual, view)}
                    {move || match view.get() {
                        View::Session => view! { <Session id=id task=task attempt=attempt /> }.into_any(),
                        View::Log => view! { <Log id=id task=task /> }.into_any(),
                        View::Checks => checks(id, task, attempt).into_any(),
                        View::Diff => view! { <Diff id=id task=task attempt=attempt /> }.into_any(),
                        View::Attempts => attempts(id, task).into_any(),
                        View::Timeline => view! { <Timeline id=id /> }.into_any(),
                        View::Definition => definition(task).into_any(),
                    }}
                </div>
                <aside class="p-task__facts" aria-label="Facts">{facts(id, task, Signal::derive(move || is_executed && view.get() != View::Checks))}</aside>
            </div>
        </div>
    }
}

fn badges(task: Signal<TaskView>) -> impl IntoView {
    task.with(|task| {
        let succeeded = matches!(task.summary.state, TaskState::Succeeded { .. });
        view! {
            {state_badge(task.summary.state.name())}
            {asks_badge(task.summary.asks)}
            {(!task.work.is_executed()).then(|| kind_badge(task.work.kind()))}
            {(succeeded && task.work.is_executed()).then(|| proof_badge(task.summary.checks))}
            {(task.summary.priority != domain::Priority::Normal).then(|| priority_badge(task.summary.priority))}
        }
    })
}

/// What deserves to be said before everything else: why it failed, was skipped, or still goes on.
fn notice(id: TaskId, task: Signal<TaskView>) -> AnyView {
    let state = task.with(|task| task.summary.state.clone());
    match &state {
        TaskState::Partial { failure, .. } => failure_notice(id, Tone::Warn, "Only some of the required checks passed", failure),
        TaskState::Failed { failure, .. } => failure_notice(id, Tone::Bad, "This task failed", failure),
        TaskState::Dead { failure, .. } => failure_notice(id, Tone::Bad, "This task was set aside", failure),
        TaskState::Skipped { reason, because_of, .. } => {
            let reason = format!("{}.", capitalised(reason));
            let other = (*because_of != id).then(|| format!("/tasks/{because_of}"));
            view! {
                <Notice tone=Tone::Dim title="This task never ran">
                    <p>{reason} {other.map(|href| view! { " " <a href=href>"See that task"</a> })}</p>
                </Notice>
            }
            .into_any()
        }
        TaskState::Cancelled { .. } => ().into_any(),
        running if running.stop().is_some() => stop_notice(running.stop()),
        _ if task.with(|task| task.summary.paused) => {
            let who = task.with(|task| task.paused_by.clone()).unwrap_or_default();
            view! { <Notice tone=Tone::Warn title=format!("{who} paused this task")><p>"No runner takes it until it is resumed."</p></Notice> }
                .into_any()
        }
        TaskState::Queued if task.with(|task| task.summary.awaits_model) => model_notice(&task.with(|task| task.awaited_pull.clone())),
        TaskState::Queued if task.with(|task| task.summary.parked) => parked_notice(task),
        TaskState::Queued => runner_notice(task.with(|task| task.runner_wait.clone())),
        TaskState::Scheduled { run_at } => waiting_notice(task, *run_at),
        _ => ().into_any(),
    }
}

/// What speaks against the latest result, whatever its checks say.
fn findings(task: &TaskView) -> AnyView {
    let found = task.attempt_list.last().map(|attempt| attempt.findings.clone()).unwrap_or_default();
    if found.is_empty() {
        return ().into_any();
    }
    view! {
        <Notice tone=Tone::Warn title="Worth a look">
            <ul>{found.into_iter().map(|finding| view! { <li>{capitalised(&finding.detail)}</li> }).collect_view()}</ul>
            <p>"Muster found this in what the attempt left. It does not decide; the checks do."</p>
        </Notice>
    }
    .into_any()
}

/// A gate that waits, and the answer to it. It stays while the task is fetched again, so that nothing that is typed is lost.
#[component]
fn OpenGate(task: Signal<TaskView>, refresh: Callback<()>) -> impl IntoView {
    let acts = GateActs::new(refresh);
    let gate = Memo::new(move |_| {
        task.with(|task| match &task.work {
            Work::Gate(gate) if task.open_gate => Some((task.summary.id, task.workflow_run, gate.clone())),
            _ => None,
        })
    });
    view! {
        {acts.refusal()}
        {move || gate.get().map(|(id, run, gate)| view! {
            <Notice tone=Tone::Warn title=capitalised(&gate.phrase())>
                <p class="p-task__message">{question(&gate)}</p>
                {gate_form(id, run, &gate, acts)}
            </Notice>
        })}
    }
}

/// Why what runs is being ended.
fn stop_notice(stop: Option<&Stop>) -> AnyView {
    let (title, text) = match stop {
        Some(Stop::Cancel { .. }) | None => ("Cancellation asked for", "The runner is ending what still runs."),
        Some(Stop::Deadline) => {
            ("Its deadline has passed", "The runner is ending what still runs. What was done so far stays on its branch.")
        }
        Some(Stop::Pause { .. }) => {
            ("Being paused", "The runner is ending what still runs. The task goes back into the queue and waits there.")
        }
        Some(Stop::PreEmpt { for_task }) => {
            let href = format!("/tasks/{for_task}");
            return view! {
                <Notice tone=Tone::Info title="Makes room for an urgent task">
                    <p>"The runner is ending what still runs. The task goes back into the queue, and no attempt is charged. " <a href=href>"See the urgent one"</a></p>
                </Notice>
            }
            .into_any();
        }
    };
    view! { <Notice tone=Tone::Info title=title><p>{text}</p></Notice> }.into_any()
}

fn parked_notice(task: Signal<TaskView>) -> AnyView {
    let shared = task.with(|task| task.concurrency.clone());
    let text = shared.map(|shared| {
        format!("At most {} at once run with the key “{}”. It is taken when one of them has ended.", shared.limit, shared.key)
    });
    view! { <Notice tone=Tone::Info title="Waits for others"><p>{text}</p></Notice> }.into_any()
}

/// How far its model has come.
fn model_notice(awaited: &Option<AwaitedPull>) -> AnyView {
    let Some(awaited) = awaited else {
        return view! {
            <Notice tone=Tone::Info title="Waits for its model"><p>"It is being pulled, and the task begins when it is there."</p></Notice>
        }
        .into_any();
    };
    let href = format!("/endpoints/{}#pulls", awaited.pull.endpoint_id);
    // it begins with a name
    let words = format!("{}.", awaited.in_words());
    view! {
        <Notice tone=Tone::Info title="Waits for its model">
            <p>{words} " The task begins when it is there." " " <a href=href>"See the pull"</a></p>
        </Notice>
    }
    .into_any()
}

/// It waits for a runner, and perhaps for ever.
fn runner_notice(wait: Option<RunnerWait>) -> AnyView {
    let Some(wait) = wait else { return ().into_any() };
    let tone = if wait.code.passes() { Tone::Info } else { Tone::Warn };
    view! {
        <Notice tone=tone title=capitalised(&wait.message)>
            <p>{format!("{}.", capitalised(&wait.next))} " " <a href="/runners">"See the runners"</a></p>
        </Notice>
    }
    .into_any()
}

fn failure_notice(id: TaskId, tone: Tone, title: &'static str, failure: &Failure) -> AnyView {
    let code = failure.code;
    let message = capitalised(&failure.message);
    let see = match code {
        FailureCode::ChecksFailed => Some(("checks", "See the checks")),
        FailureCode::AgentDenied | FailureCode::AgentCapped | FailureCode::ProviderRefused => Some(("session", "See the session")),
        _ => None,
    };
    let see = see.map(|(name, text)| view! { " " <a href=format!("/tasks/{id}?view={name}") data-noscroll="">{text}</a> });
    view! {
        <Notice tone=tone title=title>
            <p class="p-task__message">{message}</p>
            <p>{code.cause()} " " <code>{code.name()}</code></p>
            <p>{code.advice()} {see}</p>
        </Notice>
    }
    .into_any()
}

/// Why it waits: for the time that was asked for, or after an attempt that failed.
fn waiting_notice(task: Signal<TaskView>, run_at: domain::Timestamp) -> AnyView {
    let last =
        task.with(|task| task.attempt_list.last().and_then(|attempt| attempt.failure.clone().map(|failure| (attempt.number, failure))));
    let Some((number, failure)) = last else {
        return view! { <Notice tone=Tone::Info title="Not yet"><p>"It was asked for later, and starts " <Time at=run_at /> "."</p></Notice> }.into_any();
    };
    let title = format!("Attempt {number} failed; the next one is on its way");
    view! {
        <Notice tone=Tone::Warn title=title>
            <p class="p-task__message">{capitalised(&failure.message)}</p>
            <p>"It starts " <Time at=run_at /> "."</p>
        </Notice>
    }
    .into_any()
}

/// The usual view is at the address of the task, unless another may be the usual one when the page is opened again.
fn tabs(id: TaskId, task: Signal<TaskView>, views: &'static [View], usual: View, current: Memo<View>) -> impl IntoView {
    let label = move |view| {
        task.with(|task| match view {
            View::Session => ("Session", None),
            View::Log => ("Log", None),
            View::Checks => ("Checks", checks_count(task)),
            View::Diff => ("Diff", None),
            View::Attempts => ("Attempts", Some(task.attempt_list.len().to_string())),
            View::Timeline => ("Timeline", None),
            View::Definition => ("Definition", None),
        })
    };
    let tab = move |view: View| {
        let is_at_task = view == usual && views[0] != View::Session;
        let href = if is_at_task { format!("/tasks/{id}") } else { format!("/tasks/{id}?view={}", view.name()) };
        view! {
            <a class="c-tabs__tab" href=href data-noscroll="" aria-current=move || (current.get() == view).then_some("page")>
                {move || label(view).0}
                {move || label(view).1.map(|count| view! { <span class="c-tabs__count">{count}</span> })}
            </a>
        }
    };
    view! { <nav class="c-tabs" aria-label="Views of this task">{views.iter().copied().map(tab).collect_view()}</nav> }
}

fn checks_count(task: &TaskView) -> Option<String> {
    match (task.summary.checks, task.summary.checks_passed) {
        (0, _) => None,
        (all, Some(passed)) => Some(format!("{passed}/{all}")),
        (all, None) => Some(all.to_string()),
    }
}
