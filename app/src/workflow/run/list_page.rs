//! All runs, newest first, or those of one workflow (`?workflow=`).

use domain::workflow::{RunFilter, RunSummary, WorkflowSummary};
use leptos::{prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::{LazyRoute, hooks::use_query_map};

use super::{list_runs, row::run_rows};
use crate::{
    components::{Empty, Icon, LinkButton, page_links::page_links},
    fetched::fetched,
    live::use_live,
    page_json::fetch,
    part::{NotLoaded, part},
    text::query_value,
    workflow::list_workflows,
};

pub struct RunListPage;

impl LazyRoute for RunListPage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("workflows", run_list_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

#[wasm_split(workflows, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn run_list_page() -> Result<AnyView, NotLoaded> {
    let query = use_query_map();
    let filter = Memo::new(move |_| query.with(|query| read_filter(|name| query.get_str(name))));
    let runs = fetch(move || filter.get(), list_runs);
    let workflows = fetch(|| (), |()| list_workflows());
    use_live(runs, |_| true);
    Ok(view! {
        <Title text="Runs · Muster" />
        <div class="l-head">
            <h1 class="l-head__title">"Runs"</h1>
            <div class="l-head__acts"><LinkButton href="/workflows" text="Workflows" shape=Icon::Flow /></div>
        </div>
        {fetched(workflows, 1, move |workflows| move || workflows.with(|workflows| chooser(workflows, &filter.get())))}
        {fetched(runs, 8, move |page| {
            let runs = Signal::derive(move || page.with(|page| page.items.clone()));
            let next = move || page.with(|page| page.next_cursor.clone());
            let is_empty = Memo::new(move |_| page.with(|page| page.items.is_empty()) && filter.with(|filter| filter.cursor.is_none()));
            view! {
                {move || list(runs, is_empty.get())}
                {move || pages(&filter.get(), next())}
            }
        })}
    }
    .into_any())
}

fn list(runs: Signal<Vec<RunSummary>>, is_empty: bool) -> AnyView {
    if is_empty {
        return view! {
            <Empty title="No run yet" shape=Icon::Play>
                <p>"Open a workflow and press “Run”."</p>
                <p><a class="c-button" href="/workflows">"Workflows"</a></p>
            </Empty>
        }
        .into_any();
    }
    run_rows(runs, "Runs, newest first", "There is none beyond this.").into_any()
}

/// The workflows as links, so that every choice has an address.
fn chooser(workflows: &[WorkflowSummary], filter: &RunFilter) -> impl IntoView + use<> {
    let link = |name: Option<&str>| {
        let href = path(&RunFilter { workflow: name.map(str::to_owned), ..RunFilter::default() });
        let current = (filter.workflow.as_deref() == name).then_some("true");
        view! { <a class="c-chip" href=href aria-current=current>{name.unwrap_or("All").to_owned()}</a> }
    };
    let links: Vec<_> = std::iter::once(None).chain(workflows.iter().map(|one| Some(one.name.as_str()))).map(link).collect();
    (!workflows.is_empty()).then(|| view! { <nav class="p-tasks__bar p-tasks__states" aria-label="Workflows">{links}</nav> })
}

fn pages(filter: &RunFilter, next_cursor: Option<String>) -> impl IntoView + use<> {
    let first = filter.cursor.is_some().then(|| path(&RunFilter { cursor: None, ..filter.clone() }));
    let next = next_cursor.map(|cursor| path(&RunFilter { cursor: Some(cursor), ..filter.clone() }));
    page_links("Pages", first.map(|href| (href, "Newest")), next.map(|href| (href, "Older")))
}

fn read_filter<T: AsRef<str>>(query: impl Fn(&'static str) -> Option<T>) -> RunFilter {
    let text = |name| query(name).map(|value| value.as_ref().trim().to_owned()).filter(|value| !value.is_empty());
    RunFilter { workflow: text("workflow"), cursor: text("cursor"), limit: None }
}

/// The address of a filter.
fn path(filter: &RunFilter) -> String {
    let parts = [("workflow", &filter.workflow), ("cursor", &filter.cursor)];
    let query: Vec<String> =
        parts.into_iter().filter_map(|(name, value)| value.as_ref().map(|value| format!("{name}={}", query_value(value)))).collect();
    if query.is_empty() { "/runs".to_owned() } else { format!("/runs?{}", query.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_and_its_address_are_the_same() {
        let filter = RunFilter { workflow: Some("release".into()), cursor: Some("x=".into()), limit: None };
        assert_eq!(path(&filter), "/runs?workflow=release&cursor=x%3D");
        let read = read_filter(|name| match name {
            "workflow" => Some("release"),
            "cursor" => Some("x="),
            _ => Some(" "),
        });
        assert_eq!(read, filter);
        assert_eq!(path(&RunFilter::default()), "/runs");
    }
}
