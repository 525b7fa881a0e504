//! What agents ask people for: what waits for an answer, what was answered, and what need not be asked.

use domain::{Approval, Page, Role, approval::ApprovalFilter};
use leptos::{prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::{LazyRoute, hooks::use_query_map};

use super::{
    acts::{ApprovalActs, use_role},
    answered::answered_part,
    answered_approvals,
    card::{Shown, card},
    is_about_approvals, list_approval_rules, list_approvals, made_approval_link,
    rules::{RuleActs, rules_part},
};
use crate::{
    components::{Empty, Icon, LinkButton, page_links::page_links},
    fetched::fetched,
    live::use_live,
    page_json::fetch,
    part::{NotLoaded, part},
    repository::list_repositories,
    text::address,
};

pub struct ApprovalsPage;

impl LazyRoute for ApprovalsPage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("places", approvals_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

#[wasm_split(places, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn approvals_page() -> Result<AnyView, NotLoaded> {
    let query = use_query_map();
    let cursor = Memo::new(move |_| query.with(|query| query.get_str("cursor").map(str::to_owned)));
    let waiting_from = Memo::new(move |_| query.with(|query| query.get_str("waiting").map(str::to_owned)));
    let pending = fetch(move || waiting_from.get(), |cursor| list_approvals(pending_filter(cursor)));
    let answered = fetch(move || cursor.get(), answered_approvals);
    let rules = fetch(|| (), |()| list_approval_rules());
    let repositories = fetch(|| (), |()| list_repositories());
    let left = fetch(|| (), |()| made_approval_link());
    use_live(pending, is_about_approvals);
    use_live(answered, is_about_approvals);
    // what a rule answers is no event: how often it has is as of the last one
    use_live(rules, is_about_approvals);
    let refresh = Callback::new(move |()| {
        pending.refetch();
        answered.refetch();
        rules.refetch();
    });
    let (acts, rule_acts) = (ApprovalActs::new(Some(left), refresh), RuleActs::new(Callback::new(move |()| rules.refetch())));
    let role = use_role();
    Ok(view! {
        <Title text="Approvals · Muster" />
        <div class="l-head">
            <div class="l-head__text">
                <h1 class="l-head__title">"Approvals"</h1>
                <p class="u-quiet">"What agents may not do by themselves and ask people for. Each waits until it is answered or its time is up."</p>
            </div>
            <div class="l-head__acts">
                <LinkButton href="#rules" text="Rules" shape=Icon::Shield external=true />
            </div>
        </div>
        {acts.refusal()}
        {rule_acts.refusal()}
        {fetched(pending, 6, move |page| waiting(page, (waiting_from, cursor), role, acts))}
        {fetched(answered, 4, move |page| answered_part(page, cursor, waiting_from))}
        {fetched(rules, 2, move |rules| rules_part(rules, repositories, role, rule_acts))}
    }
    .into_any())
}

/// What was asked first stands first: what is new comes below, and not under the finger of whoever is about to answer.
fn pending_filter(cursor: Option<String>) -> ApprovalFilter {
    ApprovalFilter { pending: Some(true), oldest_first: Some(true), cursor, ..ApprovalFilter::default() }
}

/// `from` is where this page of it begins, `answered` where that of what was answered does, which stays there.
fn waiting(
    page: Signal<Page<Approval>>,
    (from, answered): (Memo<Option<String>>, Memo<Option<String>>),
    role: Signal<Option<Role>>,
    acts: ApprovalActs,
) -> impl IntoView {
    let is_empty = Memo::new(move |_| page.with(|page| page.items.is_empty()));
    let way = move |from: Option<String>| address("/approvals", [("waiting", from), ("cursor", answered.get())], "");
    let first = move || from.with(Option::is_some).then(|| (way(None), "What waits the longest"));
    let next = move || page.with(|page| page.next_cursor.clone()).map(|from| (way(Some(from)), "What was asked later"));
    view! {
        <section class="l-part" aria-labelledby="waiting">
            <h2 class="l-part__title" id="waiting">"Waiting for an answer"</h2>
            {move || {
                if is_empty.get() && from.get().is_some() {
                    return view! { <p class="u-quiet">"Nothing that was asked later waits any more."</p> }.into_any();
                }
                if is_empty.get() {
                    return nothing().into_any();
                }
                view! {
                    <div class="c-approvals">
                        <For each=move || page.get().items key=|approval| approval.id let:approval>{card(approval, Shown::InList, role, acts)}</For>
                    </div>
                }
                .into_any()
            }}
            {move || page_links("Pages of what waits", first(), next())}
        </section>
    }
}

fn nothing() -> impl IntoView {
    view! {
        <Empty title="Nobody is asked anything" shape=Icon::Ask>
            <p>"When an agent wants to do what it may not do by itself, that shows up here, and the agent waits for somebody to allow or deny it."</p>
            <p>"An agent asks when its task says so: as what it asks people for, choose commands or everything."</p>
            <p><LinkButton href="/tasks/new" text="New task" shape=Icon::Plus /></p>
        </Empty>
    }
}
