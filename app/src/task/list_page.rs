//! All tasks, newest first. What is shown is in the address: the filters and the place, so every view has a link.

use domain::{Page, TaskFilter, TaskStateName, TaskSummary};
use leptos::prelude::*;
use leptos_meta::Title;

use super::{
    filter::{LIST, is_narrow, list_path, path_of, without_place},
    filter_bar::{Looking, Looks, Search, Views},
    list_tasks,
    row::{Picks, pick_rows},
    state_badge::{state_label, state_shape},
};
use crate::{
    components::{ButtonKind, Empty, Icon, LinkButton, icon, page_links::page_links},
    fetched::fetched,
    live::use_live,
    page_json::fetch,
};

#[component]
pub fn TaskListPage() -> impl IntoView {
    let looking = Looking::at(LIST);
    let tasks = fetch(move || looking.filter.get(), list_tasks);
    use_live(tasks, |_| true);
    view! {
        <Title text="Tasks · Muster" />
        <div class="l-head">
            <h1 class="l-head__title">"Tasks"</h1>
            <Looks looking=looking />
            <div class="l-head__acts">
                <LinkButton href="/tasks/new" text="New task" kind=ButtonKind::Primary shape=Icon::Plus />
            </div>
        </div>
        <div class="p-tasks__bar">
            <Search looking=looking />
            <States looking=looking />
            <Views looking=looking />
        </div>
        {fetched(tasks, 10, move |page| content(looking, page))}
    }
}

fn content(looking: Looking, page: Signal<Page<TaskSummary>>) -> impl IntoView {
    let filter = looking.filter;
    let tasks = Signal::derive(move || page.with(|page| page.items.clone()));
    let is_empty = Memo::new(move |_| page.with(|page| page.items.is_empty()));
    let picks = Picks::default();
    // What is no longer in sight is not meant any more.
    Effect::new(move |before: Option<()>| {
        filter.track();
        if before.is_some() {
            picks.set(vec![]);
        }
    });
    view! {
        {move || {
            if is_empty.get() {
                return nothing(&filter.get()).into_any();
            }
            view! {
                <form method="get" action="/tasks/change">
                    {change_bar(filter, picks)}
                    {pick_rows(tasks, "Tasks, newest first", picks)}
                </form>
            }
            .into_any()
        }}
        {move || pages(looking, page.with(|page| page.next_cursor.clone()))}
    }
}

fn nothing(filter: &TaskFilter) -> impl IntoView + use<> {
    if !is_narrow(filter) {
        return view! {
            <Empty title="No task yet" shape=Icon::List>
                <p>"Say what to do and what counts as done."</p>
                <p><LinkButton href="/tasks/new" text="New task" kind=ButtonKind::Primary shape=Icon::Plus /></p>
            </Empty>
        }
        .into_any();
    }
    view! {
        <Empty title="No task like that" shape=Icon::Search>
            <p>"Nothing matches what you look for."</p>
            <p><a class="c-button" href="/tasks">"Show all tasks"</a></p>
        </Empty>
    }
    .into_any()
}

#[component]
fn States(looking: Looking) -> impl IntoView {
    let filter = looking.filter;
    let link = move |state: Option<TaskStateName>| {
        let href = move || filter.with(|filter| path_of(LIST, &TaskFilter { state, ..without_place(filter) }, looking.view.get()));
        let current = move || filter.with(|filter| filter.state == state).then_some("true");
        view! {
            <a class="c-chip" href=href aria-current=current>
                {state.map(|state| icon(state_shape(state)))}
                {state.map_or("All", state_label)}
            </a>
        }
    };
    view! {
        <nav class="p-tasks__states" aria-label="States">
            {link(None)}
            {TaskStateName::ALL.map(|state| link(Some(state)))}
        </nav>
    }
}

/// The way to one act on the rows that are picked, or on everything that the filter shows. Without scripts a button sends the form.
fn change_bar(filter: Memo<TaskFilter>, picks: Picks) -> impl IntoView {
    let picked = move || {
        let ids = picks.get();
        let query: Vec<_> = ids.iter().map(|id| format!("id={id}")).collect();
        let href = format!("/tasks/change?{}", query.join("&"));
        (!ids.is_empty()).then(|| view! { <a class="c-button" href=href>{format!("Change {} picked…", ids.len())}</a> })
    };
    let all = move || {
        let filter = filter.with(without_place);
        let href = list_path(&filter).replacen(LIST, "/tasks/change", 1);
        is_narrow(&filter).then(|| view! { <a href=href>"Change all of these…"</a> })
    };
    view! {
        <p class="p-tasks__change">
            {picked}
            <button class="c-button u-no-js" type="submit">"Change those picked…"</button>
            {all}
        </p>
    }
}

fn pages(looking: Looking, next_cursor: Option<String>) -> impl IntoView + use<> {
    let path = |filter| path_of(LIST, &filter, looking.view.get());
    let (first, next) = looking.filter.with(|filter| {
        let first = filter.cursor.is_some().then(|| path(without_place(filter)));
        let next = next_cursor.map(|cursor| path(TaskFilter { cursor: Some(cursor), ..filter.clone() }));
        (first, next)
    });
    page_links("Pages", first.map(|href| (href, "Newest")), next.map(|href| (href, "Older")))
}
