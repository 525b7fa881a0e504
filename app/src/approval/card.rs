//! One question: what an agent wants to do, exactly and whole, and the answer. Everything in it is data: nothing that an agent says looks
//! like something else here.

use domain::{Approval, ApprovalId, AskedKind, Isolation, Role, exact_text::visible};
use leptos::prelude::*;

use super::{
    acts::{ApprovalActs, answers},
    called_with::CalledWith,
    words::wants,
};
use crate::{
    components::{CopyButton, Icon, Notice, Time, Tone, change_lines::piece, icon, tool_changes::Change},
    text::short_location,
};

/// Where a question is shown, and so what need not be said about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    InList,
    AtTask,
    /// By itself, to somebody who may not see anything else.
    Alone,
}

/// The card of a question on its page.
pub fn anchor(id: ApprovalId) -> String {
    format!("approval-{id}")
}

pub fn card(approval: Approval, shown: Shown, role: Signal<Option<Role>>, acts: ApprovalActs) -> impl IntoView {
    let (id, title, body) = (approval.id, wants(&approval), body(&approval, shown));
    let heading = format!("{}-title", anchor(id));
    let labelled_by = heading.clone();
    view! {
        <article class="c-approval" id=anchor(id) aria-labelledby=labelled_by>
            <h3 class="c-approval__title" id=heading>{icon(Icon::Ask)} <span>{title}</span></h3>
            {body}
            {move || role.get().map(|role| answers(&approval, role, acts))}
            {move || acts.made_link(id)}
        </article>
    }
}

/// All that it takes to answer.
pub fn body(approval: &Approval, shown: Shown) -> impl IntoView + use<> {
    let subject = (!approval.subject.is_empty()).then(|| subject(approval.kind, &approval.subject));
    let (asked_at, deadline) = (approval.asked_at, approval.deadline);
    view! {
        {about(approval, shown)}
        {subject}
        {(approval.isolation == Isolation::None).then(without_sandbox)}
        {all_of_it(approval)}
        <p class="c-approval__times">
            "Asked " <Time at=asked_at /> ". When nobody answers, it is denied by itself " <Time at=deadline /> "."
        </p>
    }
}

/// Where it is asked.
fn about(approval: &Approval, shown: Shown) -> impl IntoView + use<> {
    let (title, repository) = (approval.task.clone(), approval.repository.clone());
    let task = match shown {
        Shown::InList => view! { <a href=format!("/tasks/{}", approval.task_id)>{title}</a> " in " }.into_any(),
        Shown::Alone => view! { <strong>{title}</strong> " in " }.into_any(),
        Shown::AtTask => ().into_any(),
    };
    let name = short_location(&repository);
    let attempt = format!("attempt {}", approval.attempt);
    let attempt = match shown {
        // what led to it
        Shown::InList => {
            let href = format!("/tasks/{}?view=session&attempt={}", approval.task_id, approval.attempt);
            view! { <a href=href>{attempt}</a> }.into_any()
        }
        Shown::AtTask | Shown::Alone => attempt.into_any(),
    };
    let runner = format!(" on {}", approval.runner);
    view! { <p class="c-approval__about">{task} <span title=repository>{name}</span> ", " {attempt} {runner}</p> }
}

/// The very characters, in the order in which they are.
fn subject(kind: AskedKind, subject: &str) -> impl IntoView + use<> {
    let label = match kind {
        AskedKind::Command => "Copy the command",
        AskedKind::Edit => "Copy the names of the files",
        AskedKind::Tool => "Copy what it is used on",
    };
    view! {
        <div class="c-approval__subject">
            <pre class="c-output"><code class="c-approval__exact">{visible(subject)}</code></pre>
            <CopyButton text=subject.to_owned() label=label />
        </div>
    }
}

fn without_sandbox() -> impl IntoView {
    view! {
        <Notice tone=Tone::Warn title="Outside a sandbox, as the runner's user">
            <p>"What is allowed here can read, change and reach whatever the user can that runs the runner."</p>
        </Notice>
    }
}

/// What is to be changed is opened, as the names of files say little.
fn all_of_it(approval: &Approval) -> Option<impl IntoView + use<>> {
    let CalledWith { changes, rest } = CalledWith::read(approval.kind, &approval.input);
    let is_open = approval.kind == AskedKind::Edit || approval.subject.is_empty();
    let says_something = !changes.is_empty() || rest.is_some();
    says_something.then(|| {
        view! {
            <details class="c-approval__all" open=is_open>
                <summary>"All of it"</summary>
                <div class="c-approval__inside">
                    {changes.into_iter().map(change).collect_view()}
                    {rest.map(|rest| view! { <pre class="c-output c-approval__exact" tabindex="0" role="group" aria-label="Input">{rest}</pre> })}
                </div>
            </details>
        }
    })
}

fn change(change: Change) -> impl IntoView {
    let label = format!("Change of {}", change.file);
    let more = change.more.map(|more| view! { <code class="c-approval__exact u-quiet">{more}</code> });
    let lines = match change.pieces.is_empty() {
        true => view! { <p class="u-quiet">"Nothing is in it."</p> }.into_any(),
        false => view! {
            <pre class="c-output c-change-lines c-approval__exact" tabindex="0" role="group" aria-label=label>
                {change.pieces.into_iter().map(piece).collect_view()}
            </pre>
        }
        .into_any(),
    };
    view! {
        <p class="c-approval__file">{icon(Icon::File)} <code class="c-approval__exact">{change.file}</code> {more}</p>
        {lines}
    }
}
