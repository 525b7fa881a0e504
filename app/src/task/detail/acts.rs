//! What a person can do with a task: pause, resume, cancel, edit, retry, discard, duplicate, follow up. Forms, so they work without scripts; with scripts a
//! cancellation is asked about first.

use domain::{TaskId, TaskState, TaskView};
use leptos::{form::ActionForm, prelude::*};

use crate::{
    components::{Button, ButtonKind, Dialog, Icon, LinkButton, Notice, Tone, icon, toast::tell},
    problem::Problem,
    task::{CancelTask, DiscardTask, PauseTask, ResumeTask, RetryTask},
    text::capitalised,
};

const CANCEL_FORM: &str = "cancel-form";

#[component]
pub fn Acts(id: TaskId, task: Signal<TaskView>, refresh: Callback<()>) -> impl IntoView {
    let cancel = ServerAction::<CancelTask>::new();
    let retry = ServerAction::<RetryTask>::new();
    let pause = ServerAction::<PauseTask>::new();
    let resume = ServerAction::<ResumeTask>::new();
    let discard = ServerAction::<DiscardTask>::new();
    let answers = [
        (cancel.value(), "Cancellation asked for"),
        (retry.value(), "The task was brought back"),
        (pause.value(), "The task is paused"),
        (resume.value(), "The task goes on"),
        (discard.value(), "The task was let go"),
    ];
    for (value, success) in answers {
        tell(value, move |_| success.into(), refresh);
    }
    let can_cancel = Memo::new(move |_| task.with(|task| can_cancel(&task.summary.state)));
    let can_edit = Memo::new(move |_| task.with(|task| !task.summary.state.is_final()));
    let is_paused = Memo::new(move |_| task.with(|task| task.summary.paused));
    let can_pause = Memo::new(move |_| task.with(can_pause));
    let is_dead = Memo::new(move |_| task.with(|task| matches!(task.summary.state, TaskState::Dead { .. })));
    let can_retry = Memo::new(move |_| task.with(|task| can_retry(&task.summary.state)));
    let is_executed = task.with_untracked(|task| task.work.is_executed());
    view! {
        <div class="l-head__acts">
            {move || can_retry.get().then(|| view! {
                <ActionForm action=retry>
                    <input type="hidden" name="id" value=id.to_string() />
                    <Button text="Retry" shape=Icon::Retry busy=retry.pending() />
                </ActionForm>
            })}
            {move || is_dead.get().then(|| view! {
                <ActionForm action=discard>
                    <input type="hidden" name="id" value=id.to_string() />
                    <Button text="Discard" shape=Icon::Close busy=discard.pending() />
                </ActionForm>
            })}
            {move || is_paused.get().then(|| view! {
                <ActionForm action=resume>
                    <input type="hidden" name="id" value=id.to_string() />
                    <Button text="Resume" shape=Icon::Play busy=resume.pending() />
                </ActionForm>
            })}
            {move || can_pause.get().then(|| view! {
                <ActionForm action=pause>
                    <input type="hidden" name="id" value=id.to_string() />
                    <Button text="Pause" shape=Icon::Pause busy=pause.pending() />
                </ActionForm>
            })}
            {move || can_cancel.get().then(|| view! { <CancelForm id=id cancel=cancel /> })}
            {move || can_edit.get().then(|| view! { <LinkButton href=format!("/tasks/{id}/edit") text="Edit" shape=Icon::Pen /> })}
            {is_executed.then(|| view! { <LinkButton href=format!("/tasks/new?from={id}") text="Duplicate" shape=Icon::Copy /> })}
            <LinkButton href=format!("/tasks/new?depends_on={id}") text="Follow up" shape=Icon::Plus />
        </div>
        {move || answers.into_iter().find_map(|(value, _)| refusal(value.get()))}
    }
}

fn can_cancel(state: &TaskState) -> bool {
    !state.is_final() && state.cancel_requested().is_none()
}

fn can_pause(task: &TaskView) -> bool {
    task.work.is_executed() && !task.summary.paused && !task.summary.state.is_final() && task.summary.state.stop().is_none()
}

fn can_retry(state: &TaskState) -> bool {
    state.is_final() && !matches!(state, TaskState::Succeeded { .. })
}

/// The server's no, at its place in the page.
fn refusal(answer: Option<Result<TaskView, Problem>>) -> Option<impl IntoView> {
    let problem = answer?.err()?;
    let detail = format!("{}.", capitalised(problem.detail.trim_end_matches('.')));
    Some(view! { <div class="l-head__below"><Notice tone=Tone::Bad title=problem.title><p>{detail}</p></Notice></div> })
}

#[component]
fn CancelForm(id: TaskId, cancel: ServerAction<CancelTask>) -> impl IntoView {
    let asks = RwSignal::new(false);
    view! {
        <ActionForm action=cancel attr:id=CANCEL_FORM>
            <input type="hidden" name="id" value=id.to_string() />
            <button
                class="c-button"
                type="submit"
                disabled=cancel.pending()
                on:click=move |event| {
                    event.prevent_default();
                    asks.set(true);
                }
            >
                {icon(Icon::Ban)}
                <span class="c-button__text">"Cancel"</span>
            </button>
        </ActionForm>
        <Dialog id="cancel-dialog" title="Cancel this task?" open=asks>
            <p>"What still runs is ended. What was changed so far stays on its branch, and the task can be brought back later."</p>
            <div class="c-dialog__acts">
                <Button text="Keep it" kind=ButtonKind::Plain on_press=Callback::new(move |()| asks.set(false)) />
                <button class="c-button c-button--danger" type="submit" form=CANCEL_FORM on:click=move |_| asks.set(false)>
                    <span class="c-button__text">"Cancel the task"</span>
                </button>
            </div>
        </Dialog>
    }
}
