//! What agents ask people for: what waits for an answer, what was answered, and what need not be asked.

use domain::{Approval, ApprovalStateName, Page, Role, approval::ApprovalFilter, page::PAGE_LIMIT_MAX};
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
    components::{Empty, Icon, LinkButton},
    fetched::fetched,
    live::use_live,
    page_json::fetch,
    part::{NotLoaded, part},
    repository::list_repositories,
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
    let pending = fetch(|| (), |()| list_approvals(pending_filter()));
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
        {fetched(pending, 6, move |page| waiting(page, role, acts))}
        {fetched(answered, 4, move |page| answered_part(page, cursor))}
        {fetched(rules, 2, move |rules| rules_part(rules, repositories, role, rule_acts))}
    }
    .into_any())
}

fn pending_filter() -> ApprovalFilter {
    ApprovalFilter { state: Some(ApprovalStateName::Pending), limit: Some(PAGE_LIMIT_MAX), ..ApprovalFilter::default() }
}

/// What was asked first stands first: what is new comes below, and not under the finger of whoever is about to answer.
fn by_age(mut approvals: Vec<Approval>) -> Vec<Approval> {
    approvals.sort_by_key(|approval| approval.id);
    approvals
}

fn waiting(page: Signal<Page<Approval>>, role: Signal<Option<Role>>, acts: ApprovalActs) -> impl IntoView {
    let is_empty = Memo::new(move |_| page.with(|page| page.items.is_empty()));
    let questions = move || by_age(page.get().items);
    let has_more = Memo::new(move |_| page.with(|page| page.next_cursor.is_some()));
    view! {
        <section class="l-part" aria-labelledby="waiting">
            <h2 class="l-part__title" id="waiting">"Waiting for an answer"</h2>
            {move || {
                if is_empty.get() {
                    return nothing().into_any();
                }
                view! {
                    <div class="c-approvals">
                        <For each=questions key=|approval| approval.id let:approval>{card(approval, Shown::InList, role, acts)}</For>
                    </div>
                }
                .into_any()
            }}
            {move || has_more.get().then(|| view! {
                <p class="u-quiet">{format!("These are the latest {PAGE_LIMIT_MAX}. The others show up as they are answered.")}</p>
            })}
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

#[cfg(test)]
mod tests {
    use domain::{ApprovalId, AskedKind, Isolation, TaskId};
    use serde_json::Value;

    use super::*;

    fn approval(id: u32, deadline: i64) -> Approval {
        let nil = "00000000-0000-0000-0000-000000000000";
        Approval {
            id: format!("00000000-0000-0000-0000-{id:012}").parse::<ApprovalId>().unwrap(),
            task_id: nil.parse::<TaskId>().unwrap(),
            task: "Tidy up".into(),
            repository: "/srv/app".into(),
            attempt: 1,
            runner: "r1".into(),
            isolation: Isolation::Sandbox,
            backend: None,
            kind: AskedKind::Command,
            tool: "Bash".into(),
            subject: "ls".into(),
            input: Value::Null,
            asked_at: chrono::DateTime::UNIX_EPOCH,
            deadline: chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(deadline),
            answered_by_role: Role::Member,
            patterns: vec![],
            state: ApprovalStateName::Pending,
            closed: None,
        }
    }

    #[test]
    fn what_was_asked_first_stands_first() {
        let sorted = by_age(vec![approval(2, 10), approval(3, 5), approval(1, 30)]);
        assert_eq!(sorted.iter().map(|approval| approval.deadline.timestamp()).collect::<Vec<_>>(), [30, 10, 5]);
    }
}
