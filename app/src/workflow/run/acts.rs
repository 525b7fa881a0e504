//! What a person can do with a run: pause, resume, change, cancel, restart. Forms, so they work without scripts; with scripts a cancellation
//! is asked about first.

use domain::{
    WorkflowRunId,
    workflow::{RunState, RunView},
};
use leptos::{form::ActionForm, prelude::*};

use super::{CancelRun, PauseRun, RestartFrom, ResumeRun};
use crate::{
    components::{Button, Dialog, Icon, LinkButton, Notice, Tone, icon, toast::tell},
    problem::Problem,
    text::capitalised,
};

/// The buttons in the table of steps belong to it, too.
pub const RESTART_FORM: &str = "restart-form";
const CANCEL_FORM: &str = "cancel-form";

#[component]
pub fn Acts(id: WorkflowRunId, run: Signal<RunView>, refresh: Callback<()>) -> impl IntoView {
    let cancel = ServerAction::<CancelRun>::new();
    let pause = ServerAction::<PauseRun>::new();
    let resume = ServerAction::<ResumeRun>::new();
    let restart = ServerAction::<RestartFrom>::new();
    let answers = [
        (cancel.value(), "Cancellation asked for"),
        (pause.value(), "The run is paused"),
        (resume.value(), "The run goes on"),
        (restart.value(), "A new run goes on from it"),
    ];
    for (value, success) in answers {
        tell(value, move |_| success.into(), refresh);
    }
    let is_over = Memo::new(move |_| run.with(|run| run.summary.state.is_final()));
    let is_paused = Memo::new(move |_| run.with(|run| run.summary.paused_by.is_some()));
    let has_succeeded = Memo::new(move |_| run.with(|run| run.summary.state == RunState::Succeeded));
    view! {
        <div class="l-head__acts">
            {move || (!is_over.get() && is_paused.get()).then(|| view! {
                <ActionForm action=resume>
                    {subject(id)}
                    <Button text="Resume" shape=Icon::Play busy=resume.pending() />
                </ActionForm>
            })}
            {move || (!is_over.get() && !is_paused.get()).then(|| view! {
                <ActionForm action=pause>
                    {subject(id)}
                    <Button text="Pause" shape=Icon::Pause busy=pause.pending() />
                </ActionForm>
            })}
            {move || (!is_over.get()).then(|| view! {
                <LinkButton href=format!("/runs/{id}/change") text="Change" shape=Icon::Flow />
                <CancelForm id=id cancel=cancel />
            })}
            {move || is_over.get().then(|| view! {
                <ActionForm action=restart attr:id=RESTART_FORM>
                    {subject(id)}
                    {move || (!has_succeeded.get()).then(|| view! { <Button text="Restart" shape=Icon::Retry busy=restart.pending() /> })}
                </ActionForm>
            })}
        </div>
        {move || answers.into_iter().find_map(|(value, _)| refusal(value.get()))}
    }
}

fn subject(id: WorkflowRunId) -> impl IntoView {
    view! { <input type="hidden" name="id" value=id.to_string() /> }
}

/// The server's no, at its place in the page.
fn refusal(answer: Option<Result<RunView, Problem>>) -> Option<impl IntoView> {
    let problem = answer?.err()?;
    let detail = format!("{}.", capitalised(problem.detail.trim_end_matches('.')));
    Some(view! { <div class="l-head__below"><Notice tone=Tone::Bad title=problem.title><p>{detail}</p></Notice></div> })
}

#[component]
fn CancelForm(id: WorkflowRunId, cancel: ServerAction<CancelRun>) -> impl IntoView {
    let asks = RwSignal::new(false);
    view! {
        <ActionForm action=cancel attr:id=CANCEL_FORM>
            {subject(id)}
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
        <Dialog id="cancel-dialog" title="Cancel this run?" open=asks>
            <p>"What still runs is ended, and what has not begun never begins. A restart can go on from it later."</p>
            <div class="c-dialog__acts">
                <Button text="Keep it" on_press=Callback::new(move |()| asks.set(false)) />
                <button class="c-button c-button--danger" type="submit" form=CANCEL_FORM on:click=move |_| asks.set(false)>
                    <span class="c-button__text">"Cancel the run"</span>
                </button>
            </div>
        </Dialog>
    }
}
