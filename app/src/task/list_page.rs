//! All tasks, newest first. What is shown is in the address: the state, the text and the place, so every view has a link.

use std::time::Duration;

use domain::{Page, TaskFilter, TaskStateName, TaskSummary};
use leptos::{html, leptos_dom::helpers::debounce, prelude::*};
use leptos_meta::Title;
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_query_map},
};

use super::{
    list_tasks,
    row::task_rows,
    state_badge::{state_label, state_shape},
};
use crate::{
    components::{ButtonKind, Empty, Icon, LinkButton, icon},
    fetched::fetched,
    live::use_live,
    page_json::fetch,
    text::query_value,
};

/// How long a person pauses before what they type is looked for.
const TYPING_PAUSE: Duration = Duration::from_millis(250);

#[component]
pub fn TaskListPage() -> impl IntoView {
    let query = use_query_map();
    let filter = Memo::new(move |_| query.with(|query| read_filter(|name| query.get_str(name))));
    let tasks = fetch(move || filter.get(), list_tasks);
    use_live(tasks, |_| true);
    view! {
        <Title text="Tasks · Muster" />
        <div class="l-head">
            <h1 class="l-head__title">"Tasks"</h1>
            <div class="l-head__acts">
                <LinkButton href="/tasks/new" text="New task" kind=ButtonKind::Primary shape=Icon::Plus />
            </div>
        </div>
        <div class="p-tasks__bar">
            <Search filter=filter />
            <States filter=filter />
        </div>
        {move || filter.with(change_link)}
        {fetched(tasks, 10, move |page| content(filter, page))}
    }
}

fn content(filter: Memo<TaskFilter>, page: Signal<Page<TaskSummary>>) -> impl IntoView {
    let tasks = Signal::derive(move || page.with(|page| page.items.clone()));
    let is_empty = Memo::new(move |_| page.with(|page| page.items.is_empty()));
    view! {
        {move || {
            if is_empty.get() {
                nothing(&filter.get()).into_any()
            } else {
                task_rows(tasks, "Tasks, newest first", "").into_any()
            }
        }}
        {move || pages(&filter.get(), page.with(|page| page.next_cursor.clone()))}
    }
}

fn nothing(filter: &TaskFilter) -> impl IntoView + use<> {
    if filter.state.is_none() && filter.text.is_none() && filter.tag.is_none() {
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

/// A form that asks for another address: with scripts while one types, without them when it is sent.
#[component]
fn Search(filter: Memo<TaskFilter>) -> impl IntoView {
    let input = NodeRef::<html::Input>::new();
    let navigate = use_navigate();
    let text = move || filter.with(|filter| filter.text.clone().unwrap_or_default());
    let state = move || filter.with(|filter| filter.state.map(TaskStateName::name));
    let mut look = debounce(TYPING_PAUSE, move |typed: String| {
        let state = filter.with_untracked(|filter| filter.state);
        let text = Some(typed.trim().to_owned()).filter(|text| !text.is_empty());
        let path = list_path(&TaskFilter { state, text, tag: filter.with_untracked(|filter| filter.tag.clone()), ..TaskFilter::default() });
        navigate(&path, NavigateOptions { replace: true, scroll: false, ..Default::default() });
    });
    // Another link may change the text; what a person is typing is left alone.
    Effect::new(move |_| {
        let text = text();
        let Some(input) = input.get() else { return };
        let is_focused = document().active_element().as_ref() == Some(input.as_ref());
        if !is_focused {
            input.set_value(&text);
        }
    });
    view! {
        <form class="p-tasks__search" method="get" action="/tasks" role="search" on:submit=move |event| event.prevent_default()>
            {move || state().map(|state| view! { <input type="hidden" name="state" value=state /> })}
            <label class="u-unseen" for="search">"Search tasks"</label>
            <span class="p-tasks__lens">{icon(Icon::Search)}</span>
            <input
                class="c-input"
                id="search"
                type="search"
                name="text"
                placeholder="Search titles, work and tags"
                maxlength="200"
                autocomplete="off"
                value=text
                data-search=""
                node_ref=input
                on:input=move |event| look(event_target_value(&event))
            />
            <button class="c-button u-no-js" type="submit">"Search"</button>
        </form>
    }
}

#[component]
fn States(filter: Memo<TaskFilter>) -> impl IntoView {
    let link = move |state: Option<TaskStateName>| {
        let href = move || filter.with(|filter| list_path(&TaskFilter { state, cursor: None, ..filter.clone() }));
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

/// The way to one act on everything that the filter shows.
fn change_link(filter: &TaskFilter) -> impl IntoView + use<> {
    let is_narrow = filter.state.is_some() || filter.text.is_some() || filter.tag.is_some();
    let href = list_path(&TaskFilter { cursor: None, ..filter.clone() }).replacen("/tasks", "/tasks/change", 1);
    is_narrow.then(|| view! { <p class="p-tasks__change"><a href=href>"Change all of these…"</a></p> })
}

fn pages(filter: &TaskFilter, next_cursor: Option<String>) -> impl IntoView + use<> {
    let first = filter.cursor.is_some().then(|| list_path(&TaskFilter { cursor: None, ..filter.clone() }));
    let next = next_cursor.map(|cursor| list_path(&TaskFilter { cursor: Some(cursor), ..filter.clone() }));
    (first.is_some() || next.is_some()).then(|| {
        view! {
            <nav class="p-tasks__pages" aria-label="Pages">
                {first.map(|href| view! { <a class="c-button" href=href>"Newest"</a> })}
                {next.map(|href| view! { <a class="c-button" href=href rel="next">"Older"</a> })}
            </nav>
        }
    })
}

/// What an address asks for. What makes no sense is passed over.
pub(super) fn read_filter<T: AsRef<str>>(query: impl Fn(&'static str) -> Option<T>) -> TaskFilter {
    let text = |name| query(name).map(|value| value.as_ref().trim().to_owned()).filter(|value| !value.is_empty());
    TaskFilter {
        state: text("state").and_then(|name| TaskStateName::parse(&name)),
        text: text("text"),
        tag: text("tag"),
        cursor: text("cursor"),
        limit: None,
    }
}

/// The address of a filter.
pub(super) fn list_path(filter: &TaskFilter) -> String {
    let state = filter.state.map(|state| state.name().to_owned());
    let parts = [("state", state), ("text", filter.text.clone()), ("tag", filter.tag.clone()), ("cursor", filter.cursor.clone())];
    let query: Vec<String> =
        parts.into_iter().filter_map(|(name, value)| value.map(|value| format!("{name}={}", query_value(&value)))).collect();
    if query.is_empty() { "/tasks".to_owned() } else { format!("/tasks?{}", query.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_and_its_address_are_the_same() {
        let filter = TaskFilter {
            state: Some(TaskStateName::Failed),
            text: Some("a & b".into()),
            tag: Some("team/web".into()),
            cursor: Some("x=".into()),
            limit: None,
        };
        assert_eq!(list_path(&filter), "/tasks?state=failed&text=a%20%26%20b&tag=team%2Fweb&cursor=x%3D");
        assert_eq!(list_path(&TaskFilter::default()), "/tasks");
        let read = read_filter(|name| match name {
            "state" => Some("failed"),
            "text" => Some(" a & b "),
            "tag" => Some("team/web"),
            "cursor" => Some("x="),
            _ => None,
        });
        assert_eq!(read, filter);
    }

    #[test]
    fn an_address_that_makes_no_sense_shows_everything() {
        let read = read_filter(|name| (name == "state").then_some("sleeping"));
        assert_eq!(read, TaskFilter::default());
    }
}
