//! Changing what may still be changed of a task. The form says which version it shows; when somebody was faster, the page says who did
//! what, keeps what was typed, and saving again changes the task as it is now.

use domain::TaskView;
use leptos::{form::ActionForm, html, prelude::*, task::spawn_local, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::{
    LazyRoute,
    hooks::{use_params_map, use_query_map},
};

use super::{
    EditTask,
    edit_form::{EditForm, Terms},
    find_task,
    form::messages,
    get_task,
    handed::hand_over,
    terms_fields::In,
};
use crate::{
    components::{Button, ButtonKind, LinkButton, Notice, TextField, Tone},
    fetched::fetched,
    page_json::{fetch, read},
    part::{NotLoaded, part},
    problem::Problem,
    text::capitalised,
};

pub struct EditTaskPage;

impl LazyRoute for EditTaskPage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("forms", edit_task_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

#[wasm_split(forms, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn edit_task_page() -> Result<AnyView, NotLoaded> {
    let (params, query) = (use_params_map(), use_query_map());
    let id = Memo::new(move |_| params.with(|params| params.get_str("id").map(str::to_owned).unwrap_or_default()));
    let draft = Memo::new(move |_| query.with(|query| query.get_str("draft").and_then(read::<EditForm>)));
    let task = fetch(move || id.get(), find_task);
    Ok(view! {
        <Title text="Edit task · Muster" />
        <div class="l-head">
            <div class="l-head__text">
                <p class="p-task__crumb"><a href=move || format!("/tasks/{}", id.get())>"Task"</a></p>
                <h1 class="l-head__title">"Edit task"</h1>
                <p class="u-quiet">"What it does, where, and what counts as done stay: for another task, duplicate it."</p>
            </div>
        </div>
        {fetched(task, 8, move |task| {
            let task = task.get_untracked();
            if task.summary.state.is_final() {
                return ended(&task).into_any();
            }
            let form = draft.get_untracked().filter(|draft| draft.id == task.summary.id.to_string()).unwrap_or_else(|| EditForm::of(&task));
            view! { <EditTaskForm task=task form=form /> }.into_any()
        })}
    }
    .into_any())
}

fn ended(task: &TaskView) -> impl IntoView + use<> {
    let href = format!("/tasks/{}", task.summary.id);
    view! {
        <Notice tone=Tone::Info title="It has ended">
            <p>"Nothing of it can be changed any more. " <a href=href>"Back to the task"</a></p>
        </Notice>
    }
}

#[component]
fn EditTaskForm(task: TaskView, form: EditForm) -> impl IntoView {
    let edit = ServerAction::<EditTask>::new();
    let (id, is_executed) = (task.summary.id, task.work.is_executed());
    let problem = Memo::new(move |_| edit.value().get().and_then(Result::err));
    let form = RwSignal::new(form);
    // An action forgets what was sent when the answer is there.
    let sent = StoredValue::new(None::<EditForm>);
    Effect::new(move || {
        if let Some(input) = edit.input().get() {
            sent.set_value(Some(input.form));
        }
    });
    Effect::new(move || match edit.value().get() {
        Some(Ok(task)) => hand_over(task),
        Some(Err(Problem { status: 412, .. })) => {
            let Some(sent) = sent.get_value() else { return };
            // What is there now is shown where nothing was typed, and the next time it is that which is changed.
            spawn_local(async move {
                if let Ok(task) = get_task(id).await {
                    form.try_set(sent.onto(&task));
                }
            });
        }
        _ => {}
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
        <ActionForm action=edit attr:class="p-new" attr:id="edit-task">
            <div node_ref=said tabindex="-1">{move || problem.get().map(notice)}</div>
            {move || fields(form.get(), is_executed, problem)}
            <div class="p-new__acts">
                <Button text="Save" kind=ButtonKind::Primary busy=edit.pending() />
                <LinkButton href=format!("/tasks/{id}") text="Back to the task" kind=ButtonKind::Quiet />
            </div>
        </ActionForm>
    }
}

fn fields(form: EditForm, is_executed: bool, problem: Memo<Option<Problem>>) -> impl IntoView {
    let errors = move |pointer: &'static str| Signal::derive(move || problem.with(|problem| messages(problem.as_ref(), pointer)));
    let EditForm { id, version, before, terms } = form;
    let field = In { form: "form[terms]", errors: &errors };
    let runs = is_executed.then(|| {
        let Terms { queue_time, timeout, max_attempts, retry, retry_base, retry_cap, retry_by_class, .. } = terms.clone();
        view! {
            <div class="p-new__trio">
                {field.queue_time(queue_time)}
                {field.timeout(timeout, "For one attempt, such as 90s or 1h 30m. Not while one works.")}
                {field.max_attempts(max_attempts, "1 to 10, and more than have failed.")}
            </div>
            {field.retry([retry, retry_base, retry_cap, retry_by_class])}
        }
    });
    let hidden = (!is_executed).then(|| {
        // what no runner does has none of these, and what is sent back as it was is not asked for
        let unused = [
            ("queue_time", terms.queue_time.clone()),
            ("timeout", terms.timeout.clone()),
            ("max_attempts", terms.max_attempts.clone()),
            ("retry", terms.retry.clone()),
            ("retry_base", terms.retry_base.clone()),
            ("retry_cap", terms.retry_cap.clone()),
            ("retry_by_class", terms.retry_by_class.clone()),
        ];
        unused.map(|(name, value)| view! { <input type="hidden" name=format!("form[terms][{name}]") value=value /> }).collect_view()
    });
    view! {
        <section class="p-new__part">
            <input type="hidden" name="form[id]" value=id />
            <input type="hidden" name="form[version]" value=version />
            <input type="hidden" name="form[before]" value=before />
            {hidden}
            <TextField
                id="title"
                label="Title"
                name="form[terms][title]"
                value=terms.title
                required=true
                max=200_u32
                errors=errors("/title")
            />
            <div class="p-new__trio">
                {field.priority(terms.priority)}
                {field.tags(terms.tags)}
                {field.complete_by(terms.complete_by)}
            </div>
            {runs}
        </section>
    }
}

fn notice(problem: Problem) -> impl IntoView {
    let title = if problem.status == 422 { "The task was not changed".to_owned() } else { problem.title };
    let detail = format!("{}.", capitalised(problem.detail.trim_end_matches('.')));
    let again = (problem.status == 412).then(|| {
        view! {
            <p>
                "What you typed is still here; what you had not touched shows what it is now. Save once more to change the task as it is now."
            </p>
        }
    });
    view! { <Notice tone=Tone::Bad title=title><p>{detail}</p>{again}</Notice> }
}
