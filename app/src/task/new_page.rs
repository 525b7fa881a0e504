//! A new task: from nothing, like another one (`?from=`), or after another one (`?depends_on=`).

use domain::TaskId;
use leptos::{form::ActionForm, html, prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::{LazyRoute, hooks::use_query_map};
use serde::{Deserialize, Serialize};

use super::{
    CreateTask,
    agents::Agents,
    form::{TaskForm, messages},
    get_task,
    handed::hand_over,
    new_checks::CheckRows,
    new_more::More,
};
use crate::{
    components::{Button, ButtonKind, LinkButton, Notice, TextAreaField, TextField, Tone},
    fetched::fetched,
    page_json::{fetch, read},
    part::{NotLoaded, part},
    problem::Problem,
    repository::list_repositories,
    runner::list_runners,
    text::capitalised,
};

pub struct NewTaskPage;

impl LazyRoute for NewTaskPage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("forms", new_task_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

#[wasm_split(forms, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn new_task_page() -> Result<AnyView, NotLoaded> {
    let query = use_query_map();
    let asked = move || query.with(|query| ["from", "depends_on", "draft"].map(|name| query.get_str(name).map(str::to_owned)));
    let start = fetch(asked, |[from, depends_on, draft]| what_it_opens_with(from, depends_on, draft));
    Ok(view! {
        <Title text="New task · Muster" />
        <div class="l-head">
            <h1 class="l-head__title">"New task"</h1>
        </div>
        {fetched(start, 8, |start| {
            let Start { form, agents } = start.get_untracked();
            view! { <NewTaskForm form=form agents=agents /> }
        })}
    }
    .into_any())
}

/// With what the form is opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Start {
    form: TaskForm,
    agents: Agents,
}

async fn what_it_opens_with(from: Option<String>, depends_on: Option<String>, draft: Option<String>) -> Result<Start, Problem> {
    let form = start_form(from, depends_on, draft).await?;
    // the form is of use without them
    let agents = list_runners().await.map(|runners| Agents::of(&runners)).unwrap_or_default();
    Ok(Start { form, agents })
}

/// What the form holds when it is opened.
async fn start_form(from: Option<String>, depends_on: Option<String>, draft: Option<String>) -> Result<TaskForm, Problem> {
    if let Some(draft) = draft.and_then(|draft| read(&draft)) {
        return Ok(draft);
    }
    let mut form = match from.and_then(|from| from.parse::<TaskId>().ok()) {
        Some(from) => TaskForm::like(&get_task(from).await?),
        None => TaskForm::default(),
    };
    if let Some(depends_on) = depends_on {
        form.depends_on = depends_on;
    }
    Ok(form)
}

#[component]
fn NewTaskForm(form: TaskForm, agents: Agents) -> impl IntoView {
    let create = ServerAction::<CreateTask>::new();
    let problem = Memo::new(move |_| create.value().get().and_then(Result::err));
    let errors = move |pointer: &'static str| Signal::derive(move || problem.with(|problem| messages(problem.as_ref(), pointer)));
    Effect::new(move || {
        if let Some(Ok(task)) = create.value().get() {
            hand_over(task);
        }
    });
    let said = NodeRef::<html::Div>::new();
    // The button is at the end of the form and what is wrong at its beginning.
    Effect::new(move |first: Option<()>| {
        let is_wrong = problem.with(Option::is_some);
        if let (Some(()), true, Some(said)) = (first, is_wrong, said.get_untracked()) {
            _ = said.focus();
        }
    });
    view! {
        <ActionForm action=create attr:class="p-new" attr:id="new-task">
            <div node_ref=said tabindex="-1">{move || problem.get().map(summary)}</div>
            <section class="p-new__part">
                <TextField
                    id="title"
                    label="Title"
                    name="form[title]"
                    value=form.title.clone()
                    required=true
                    autofocus=true
                    max=200_u32
                    placeholder="What is to be done, in a few words"
                    errors=errors("/title")
                />
                <WorkFields form=form.clone() problem=problem />
            </section>
            <section class="p-new__part" aria-labelledby="where">
                <h2 class="p-new__heading" id="where">"Where"</h2>
                <div class="p-new__pair">
                    <TextField
                        id="repository"
                        label="Repository"
                        name="form[repository]"
                        value=form.repository.clone()
                        required=true
                        code=true
                        max=2000_u32
                        list="repositories"
                        hint="An absolute path on the runner's machine, or a git URL."
                        errors=errors("/repository")
                    />
                    <TextField
                        id="base-ref"
                        label="Base"
                        name="form[base_ref]"
                        value=form.base_ref.clone()
                        optional=true
                        code=true
                        max=250_u32
                        hint="A branch, tag or commit; the default branch if empty."
                        errors=errors("/base_ref")
                    />
                </div>
                <TextAreaField
                    id="more-repositories"
                    label="More repositories"
                    name="form[repositories]"
                    value=form.repositories.clone()
                    optional=true
                    code=true
                    rows=2
                    hint="One per line, such as https://example.org/api.git or api=/srv/git/server#v2. Each has a worktree beside that of the first."
                    errors=errors("/repositories")
                />
                <KnownRepositories />
            </section>
            <section class="p-new__part" aria-labelledby="done">
                <h2 class="p-new__heading" id="done">"What counts as done"</h2>
                <p class="u-quiet">
                    "Muster runs the checks itself, after the work has ended. Without a check a task can succeed, but never as verified."
                </p>
                <CheckRows rows=form.checks.clone() problem=problem />
                <TextAreaField
                    id="criteria"
                    label="Success criteria in words"
                    name="form[success_criteria]"
                    value=form.success_criteria.clone()
                    optional=true
                    rows=2
                    hint="One per line. Handed to the work, and shown beside the result."
                    errors=errors("/success_criteria")
                />
            </section>
            <More form=form agents=agents errors=errors />
            <div class="p-new__acts">
                <Button text="Create task" kind=ButtonKind::Primary busy=create.pending() />
                <LinkButton href="/tasks" text="Back to the list" kind=ButtonKind::Quiet />
            </div>
        </ActionForm>
    }
}

/// What is wrong, before the fields that say it again at their place.
fn summary(problem: Problem) -> impl IntoView {
    let title = if problem.status == 422 { "The task was not created".to_owned() } else { problem.title };
    let details = if problem.errors.is_empty() {
        vec![problem.detail]
    } else {
        problem.errors.iter().map(|error| format!("{}: {}.", field_name(&error.pointer), error.message)).collect()
    };
    view! {
        <Notice tone=Tone::Bad title=title>
            <ul class="c-notice__list">{details.into_iter().map(|detail| view! { <li>{capitalised(&detail)}</li> }).collect_view()}</ul>
        </Notice>
    }
}

/// `/checks/2/target` is the third check.
fn field_name(pointer: &str) -> String {
    match pointer {
        "/timeout_seconds" => return "time limit".into(),
        "/retry/strategy" => return "waits between attempts".into(),
        "/retry/base_seconds" => return "first wait".into(),
        "/retry/cap_seconds" => return "longest wait".into(),
        "/retry/by_class" => return "waits by class of failure".into(),
        "/capabilities" => return "needs".into(),
        "/tier" => return "how hard it is".into(),
        "/agent/model" => return "model".into(),
        "/agent/max_turns" => return "most turns".into(),
        "/agent/ask" => return "asks people for".into(),
        "/agent/answer_minutes" => return "waits for an answer".into(),
        "/agent/max_verification_retries" => return "rounds after failed checks".into(),
        "/agent/max_cost_cents" => return "most cost".into(),
        "/estimate_seconds" => return "expected to take".into(),
        "/land" => return "when it has passed".into(),
        "/run_at" => return "not before".into(),
        "/queue_seconds" => return "longest wait in the queue".into(),
        "/concurrency" => return "shared key".into(),
        "/correlation_id" => return "belongs to".into(),
        _ => {}
    }
    let mut parts = pointer.split('/').skip(1);
    let field = parts.next().unwrap_or_default().replace('_', " ");
    match (field.as_str(), parts.next().and_then(|row| row.parse::<usize>().ok())) {
        ("checks", Some(row)) => format!("check {}", row + 1),
        _ => field,
    }
}

/// A command or a prompt. Both fields are in the document, and the style sheet shows the chosen one, so it works without scripts.
#[component]
fn WorkFields(form: TaskForm, problem: Memo<Option<Problem>>) -> impl IntoView {
    let errors = move |pointer: &'static str| Signal::derive(move || problem.with(|problem| messages(problem.as_ref(), pointer)));
    let is_prompt = form.work == "prompt";
    view! {
        <fieldset class="p-new__work">
            <legend class="c-field__label">"Work"</legend>
            <div class="c-segments">
                <label class="c-segments__choice">
                    <input type="radio" name="form[work]" value="command" checked=!is_prompt />
                    <span>"Command"</span>
                </label>
                <label class="c-segments__choice">
                    <input type="radio" name="form[work]" value="prompt" checked=is_prompt />
                    <span>"Prompt"</span>
                </label>
            </div>
            <div class="p-new__command">
                <TextAreaField
                    id="command"
                    label="Shell command"
                    name="form[command]"
                    value=form.command
                    code=true
                    rows=4
                    max=100_000_u32
                    placeholder="make test"
                    hint="Runs in a fresh worktree of the repository, on a branch of its own."
                    errors=errors("/command")
                />
            </div>
            <div class="p-new__prompt">
                <TextAreaField
                    id="prompt"
                    label="Prompt for an agent"
                    name="form[prompt]"
                    value=form.prompt
                    rows=6
                    max=100_000_u32
                    hint="In words. The runner hands it to its agent, which works in a fresh worktree."
                    errors=errors("/prompt")
                />
            </div>
        </fieldset>
    }
}

/// Suggestions for the repository field; the form does not wait for them and works without.
#[component]
fn KnownRepositories() -> impl IntoView {
    let known = fetch(|| (), |()| list_repositories());
    view! {
        <datalist id="repositories">
            <Suspense>
                {move || {
                    known
                        .get()
                        .and_then(Result::ok)
                        .map(|known| known.into_iter().map(|one| view! { <option value=one.location></option> }).collect_view())
                }}
            </Suspense>
        </datalist>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_read_as_names() {
        assert_eq!(field_name("/checks/1/target"), "check 2");
        assert_eq!(field_name("/success_criteria"), "success criteria");
        assert_eq!(field_name("/timeout_seconds"), "time limit");
        assert_eq!((field_name("/agent"), field_name("/agent/max_cost_cents")), ("agent".into(), "most cost".into()));
        assert_eq!(field_name(""), "");
    }
}
