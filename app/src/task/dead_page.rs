//! Tasks that were set aside for a person to look at: why each was, and what can be done about it.

use domain::{Page, TaskFilter, TaskId, TaskStateName, TaskSummary, page::PAGE_LIMIT_MAX, task::BulkAct};
use leptos::{form::ActionForm, prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::LazyRoute;

use super::{
    DiscardTask, RetryTask,
    bulk::{change_action, change_form},
    list_tasks,
};
use crate::{
    components::{Button, ButtonKind, DataTable, Empty, Icon, Time},
    fetched::fetched,
    live::use_live,
    page_json::fetch,
    part::{NotLoaded, part},
    text::capitalised,
};

pub struct DeadPage;

impl LazyRoute for DeadPage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("dead_page", dead_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

fn dead() -> TaskFilter {
    TaskFilter { state: Some(TaskStateName::Dead), ..TaskFilter::default() }
}

#[wasm_split(dead_page, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn dead_page() -> Result<AnyView, NotLoaded> {
    let tasks = fetch(|| (), |()| list_tasks(TaskFilter { limit: Some(PAGE_LIMIT_MAX), ..dead() }));
    use_live(tasks, |_| true);
    let refresh = Callback::new(move |()| tasks.refetch());
    Ok(view! {
        <Title text="Set aside · Muster" />
        {fetched(tasks, 8, move |page| view! { <Content page=page refresh=refresh /> })}
    }
    .into_any())
}

#[component]
fn Content(page: Signal<Page<TaskSummary>>, refresh: Callback<()>) -> impl IntoView {
    let change = change_action(refresh);
    let (retry, discard) = (ServerAction::<RetryTask>::new(), ServerAction::<DiscardTask>::new());
    for value in [retry.value(), discard.value()] {
        Effect::new(move |first: Option<()>| {
            let answered = value.with(Option::is_some);
            if first.is_some() && answered {
                refresh.run(());
            }
        });
    }
    let count = Memo::new(move |_| page.with(|page| page.items.len() as i64));
    let has_more = move || page.with(|page| page.next_cursor.is_some());
    view! {
        <div class="l-head">
            <div class="l-head__text">
                <h1 class="l-head__title">"Set aside"</h1>
                <p class="u-quiet">"Tasks that Muster gave up on by itself. Each waits for a person to bring it back or let it go."</p>
            </div>
            <div class="l-head__acts">
                {move || (count.get() > 0 && !has_more()).then(|| view! {
                    {change_form(change, BulkAct::Retry, &dead(), count.get())}
                    {change_form(change, BulkAct::Discard, &dead(), count.get())}
                })}
            </div>
        </div>
        {move || {
            let tasks = page.with(|page| page.items.clone());
            if tasks.is_empty() {
                view! { <Empty title="Nothing was set aside" shape=Icon::Check><p>"A task comes here when it loses its runner three times, or when no runner takes it in the time it was given."</p></Empty> }.into_any()
            } else {
                view! {
                    <DataTable caption="Tasks that were set aside, newest first" columns=COLUMNS>
                        {tasks.into_iter().map(|task| row(task, retry, discard)).collect_view()}
                    </DataTable>
                }
                    .into_any()
            }
        }}
    }
}

const COLUMNS: &[(&str, &str)] = &[("Task", ""), ("Why", ""), ("Since", "c-table__time"), ("Decide", "c-table__acts")];

fn row(task: TaskSummary, retry: ServerAction<RetryTask>, discard: ServerAction<DiscardTask>) -> impl IntoView {
    let failure = task.state.failure().cloned();
    let code = failure.as_ref().map(|failure| failure.code);
    let why = failure.map(|failure| capitalised(&failure.message)).unwrap_or_default();
    view! {
        <tr class="c-table__row">
            <td class="c-table__main" data-label="Task">
                <a class="c-table__link" href=format!("/tasks/{}", task.id)>{task.title.clone()}</a>
                <span class="c-table__id">{task.id.short()}</span>
            </td>
            <td data-label="Why">
                {why} ". "
                {code.map(|code| view! { <span class="u-quiet">{code.cause()} " " {code.advice()} " " <code>{code.name()}</code></span> })}
            </td>
            <td class="c-table__time" data-label="Since">{task.state.ended_at().map(|at| view! { <Time at=at /> })}</td>
            <td class="c-table__act">
                <ActionForm action=retry>
                    {subject(task.id)}
                    <Button text="Retry" kind=ButtonKind::Quiet shape=Icon::Retry busy=retry.pending() />
                </ActionForm>
                <ActionForm action=discard>
                    {subject(task.id)}
                    <Button text="Discard" kind=ButtonKind::Quiet shape=Icon::Close busy=discard.pending() />
                </ActionForm>
            </td>
        </tr>
    }
}

fn subject(id: TaskId) -> impl IntoView {
    view! { <input type="hidden" name="id" value=id.to_string() /> }
}
