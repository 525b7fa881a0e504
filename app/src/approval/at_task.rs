//! What the agent of a task waits for, on the task's own page.

use domain::{Approval, Page, TaskId, TaskView, approval::ApprovalFilter};
use leptos::prelude::*;

use super::{
    acts::{ApprovalActs, use_role},
    card::{Shown, card},
    is_about_approvals, list_approvals,
};
use crate::{fetched::fetched, live::use_live, page_json::fetch};

/// Stays while its task is fetched again, so that nothing that is typed is lost.
#[component]
pub fn Questions(id: TaskId, task: Signal<TaskView>, refresh: Callback<()>) -> impl IntoView {
    let asks = Memo::new(move |_| task.with(|task| task.summary.asks));
    let questions = fetch(
        move || asks.get(),
        move |asks| async move { if asks { list_approvals(pending_of(id)).await } else { Ok(Page { items: vec![], next_cursor: None }) } },
    );
    use_live(questions, move |event| event.task_id == id && is_about_approvals(event));
    let acts = ApprovalActs::new(
        None,
        Callback::new(move |()| {
            questions.refetch();
            refresh.run(());
        }),
    );
    let role = use_role();
    let content = move |page: Signal<Page<Approval>>| {
        let is_empty = Memo::new(move |_| page.with(|page| page.items.is_empty()));
        move || {
            (!is_empty.get()).then(|| {
                view! {
                    <section class="c-approvals c-approvals--at-task" aria-labelledby="questions">
                        <h2 class="l-part__title" id="questions">"Waits for an answer"</h2>
                        <For each=move || page.get().items key=|approval| approval.id let:approval>{card(approval, Shown::AtTask, role, acts)}</For>
                    </section>
                }
            })
        }
    };
    view! {
        {acts.refusal()}
        {fetched(questions, 0, content)}
    }
}

/// The oldest first, as it stops the agent for longest.
fn pending_of(task: TaskId) -> ApprovalFilter {
    ApprovalFilter { pending: Some(true), oldest_first: Some(true), task: Some(task), ..ApprovalFilter::default() }
}
