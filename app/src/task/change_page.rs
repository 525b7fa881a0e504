//! One act on all tasks that a filter shows, or on those that were picked in the list: how many each act is about, and which tasks
//! those are.

use domain::{TaskFilter, TaskId, task::BulkAct};
use leptos::{prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::{LazyRoute, hooks::use_query_map};

use super::{
    bulk::{change_action, change_form},
    count_changes,
    filter::{list_path, read_filter, without_place},
    row::task_rows,
    tasks_to_change,
};
use crate::{
    fetched::fetched,
    live::use_live,
    page_json::fetch,
    part::{NotLoaded, part},
};

pub struct ChangePage;

impl LazyRoute for ChangePage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("task", change_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

#[wasm_split(task, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn change_page() -> Result<AnyView, NotLoaded> {
    let query = use_query_map();
    let about = Memo::new(move |_| -> (Vec<TaskId>, TaskFilter) {
        query.with(|query| {
            let ids = query.get_all("id").unwrap_or_default();
            (ids.iter().filter_map(|id| id.parse().ok()).collect(), without_place(&read_filter(|name| query.get_str(name))))
        })
    });
    let counts = fetch(move || about.get(), |(ids, filter)| count_changes(ids, filter));
    let tasks = fetch(move || about.get(), |(ids, filter)| tasks_to_change(ids, filter));
    use_live(counts, |_| true);
    use_live(tasks, |_| true);
    let action = change_action(Callback::new(move |()| {
        counts.refetch();
        tasks.refetch();
    }));
    let forms = move |counts: Vec<(BulkAct, i64)>| match counts.is_empty() {
        true => view! { <p class="u-quiet">"Nothing can be done with these."</p> }.into_any(),
        false => about.with(|(ids, filter)| {
            counts.into_iter().map(|(act, count)| change_form(action, act, ids, filter, count).into_any()).collect_view().into_any()
        }),
    };
    let back = move || about.with(|(_, filter)| list_path(filter));
    Ok(view! {
        <Title text="Change tasks · Muster" />
        <div class="l-head">
            <div class="l-head__text">
                <p><a href=back>"Tasks"</a></p>
                <h1 class="l-head__title">"Change these tasks"</h1>
                <p class="u-quiet">"All at once, at most 1000. When they have become others meanwhile, nothing happens."</p>
            </div>
        </div>
        <section class="p-tasks__changes" aria-label="What can be done">
            {fetched(counts, 1, move |counts| move || forms(counts.get()))}
        </section>
        {fetched(tasks, 8, move |page| {
            let tasks = Signal::derive(move || page.with(|page| page.items.clone()));
            let has_more = move || page.with(|page| page.next_cursor.is_some());
            view! {
                {task_rows(tasks, "The tasks that are changed, newest first", "There is none any more.")}
                {move || has_more().then(|| view! { <p class="u-quiet">"These are the newest; there are more."</p> })}
            }
        })}
    }
    .into_any())
}
