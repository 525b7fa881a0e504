//! Tasks that were set aside for a person to look at: why each was, and what can be done about it.

use domain::{Page, TaskFilter, TaskId, TaskStateName, TaskSummary, page::PAGE_LIMIT_MAX, task::BulkAct};
use leptos::{form::ActionForm, prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::LazyRoute;

use super::{
    DiscardTask, RetryTask,
    bulk::{ChangeAction, change_action, change_form},
    count_changes,
    filter::list_path,
    list_tasks,
};
use crate::{
    components::{Button, ButtonKind, DataTable, Empty, Icon, Reveal, Time, toast::tell},
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
        part("task", dead_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

fn dead() -> TaskFilter {
    TaskFilter { state: Some(TaskStateName::Dead), ..TaskFilter::default() }
}

#[wasm_split(task, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn dead_page() -> Result<AnyView, NotLoaded> {
    let tasks = fetch(|| (), |()| list_tasks(TaskFilter { limit: Some(PAGE_LIMIT_MAX), ..dead() }));
    use_live(tasks, |_| true);
    let counts = fetch(|| (), |()| count_changes(vec![], dead()));
    use_live(counts, |_| true);
    let refresh = Callback::new(move |()| {
        tasks.refetch();
        counts.refetch();
    });
    let change = change_action(refresh);
    Ok(view! {
        <Title text="Set aside · Muster" />
        <div class="l-head">
            <div class="l-head__text">
                <h1 class="l-head__title">"Set aside"</h1>
                <p class="u-quiet">"Tasks that Muster gave up on by itself. Each waits for a person to bring it back or let it go."</p>
            </div>
            <div class="l-head__acts">
                {fetched(counts, 0, move |counts| move || counts.with(|counts| bulk_acts(counts, change)))}
            </div>
        </div>
        {fetched(tasks, 8, move |page| view! { <Content page=page refresh=refresh /> })}
    }
    .into_any())
}

/// What can be done with all of them at once. To let go of all is asked about first.
fn bulk_acts(counts: &[(BulkAct, i64)], change: ChangeAction) -> impl IntoView + use<> {
    let of = |act| counts.iter().find(|(other, _)| *other == act).map(|(_, count)| *count);
    let retry = of(BulkAct::Retry).map(|count| change_form(change, BulkAct::Retry, &[], &dead(), count));
    let discard = of(BulkAct::Discard).map(|count| {
        view! {
            <Reveal text="Discard all…" shape=Icon::Close about="tasks that were set aside" danger=true>
                <p>"They end as cancelled. Each can still be brought back from its own page."</p>
                {change_form(change, BulkAct::Discard, &[], &dead(), count)}
            </Reveal>
        }
    });
    view! { {retry} {discard} }
}

#[component]
fn Content(page: Signal<Page<TaskSummary>>, refresh: Callback<()>) -> impl IntoView {
    let (retry, discard) = (ServerAction::<RetryTask>::new(), ServerAction::<DiscardTask>::new());
    tell(retry.value(), |task| format!("{} was brought back", task.summary.title), refresh);
    tell(discard.value(), |task| format!("{} was let go; its page can bring it back", task.summary.title), refresh);
    let has_more = move || page.with(|page| page.next_cursor.is_some());
    let is_empty = Memo::new(move |_| page.with(|page| page.items.is_empty()));
    view! {
        {move || {
            if is_empty.get() {
                return view! { <Empty title="Nothing was set aside" shape=Icon::Check><p>"A task comes here when it loses its runner three times, or when no runner takes it in the time it was given."</p></Empty> }.into_any();
            }
            // keyed, so that what is asked about one task is not asked about the next when that one goes
            view! {
                <DataTable caption="Tasks that were set aside, newest first" columns=COLUMNS>
                    <For each=move || page.get().items key=|task| (task.id, task.state.ended_at()) let:task>{row(task, retry, discard)}</For>
                </DataTable>
            }
            .into_any()
        }}
        {move || has_more().then(|| view! {
            <p class="u-quiet">{format!("These are the newest {PAGE_LIMIT_MAX}. ")} <a href=list_path(&dead())>"All of them are in the task list"</a>"."</p>
        })}
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
                <Reveal text="Discard…" shape=Icon::Close about=task.title.clone()>
                    <p>"It ends as cancelled. Its own page can still bring it back."</p>
                    <ActionForm action=discard>
                        {subject(task.id)}
                        <Button text="Discard it" kind=ButtonKind::Danger busy=discard.pending() />
                    </ActionForm>
                </Reveal>
            </td>
        </tr>
    }
}

fn subject(id: TaskId) -> impl IntoView {
    view! { <input type="hidden" name="id" value=id.to_string() /> }
}
