//! A gate: what it waits for, and the answer that a person gives. On the task's own page and on its run's.

use domain::{TaskId, WorkflowRunId, task::Gate};
use leptos::{form::ActionForm, prelude::*};

use crate::{
    components::{Button, Icon, Notice, TextAreaField, TextField, Tone, icon, toast::tell},
    problem::Problem,
    text::capitalised,
    workflow::run::{AnswerGate, SendEvent},
};

/// What a person can do about a gate.
#[derive(Clone, Copy)]
pub struct GateActs {
    answer: ServerAction<AnswerGate>,
    send: ServerAction<SendEvent>,
}

impl GateActs {
    /// Tells how it went and has the page fetched again.
    pub fn new(refresh: Callback<()>) -> Self {
        let acts = Self { answer: ServerAction::new(), send: ServerAction::new() };
        tell(acts.answer.value(), |_| "The answer is taken".into(), refresh);
        tell(acts.send.value(), |_| "The event is taken".into(), refresh);
        acts
    }

    /// The server's no, at its place in the page.
    pub fn refusal(self) -> impl IntoView {
        move || {
            let answer = self.answer.value().with(|answer| answer.as_ref().and_then(|answer| answer.as_ref().err().cloned()));
            let problem: Option<Problem> =
                answer.or_else(|| self.send.value().with(|answer| answer.as_ref().and_then(|answer| answer.as_ref().err().cloned())));
            problem.map(|problem| view! { <Notice tone=Tone::Bad title=problem.title><p>{capitalised(&problem.detail)}</p></Notice> })
        }
    }
}

/// What is asked of a person, in the words of the definition.
pub fn question(gate: &Gate) -> String {
    match gate {
        Gate::Approval { message: Some(message) } => message.clone(),
        Gate::Approval { message: None } => "May it go on?".into(),
        Gate::Event { name } => format!("Something outside has to say that “{name}” has happened."),
        Gate::Wait => "It goes on by itself when its time has come.".into(),
    }
}

/// The answer to an open gate.
pub fn gate_form(task: TaskId, run: Option<WorkflowRunId>, gate: &Gate, acts: GateActs) -> AnyView {
    match (gate, run) {
        (Gate::Approval { .. }, _) => answer_form(task, acts.answer).into_any(),
        (Gate::Event { name }, Some(run)) => event_form(run, name.clone(), acts.send).into_any(),
        _ => ().into_any(),
    }
}

fn answer_form(id: TaskId, action: ServerAction<AnswerGate>) -> impl IntoView {
    view! {
        <ActionForm action=action attr:class="c-gate">
            <input type="hidden" name="id" value=id.to_string() />
            <TextField id=format!("comment-{id}") label="Comment" name="comment" optional=true max=2000_u32 />
            <div class="c-gate__acts">
                <button class="c-button c-button--primary" type="submit" name="verdict" value="approve" disabled=action.pending()>
                    {icon(Icon::Check)}
                    <span class="c-button__text">"Approve"</span>
                </button>
                <button class="c-button" type="submit" name="verdict" value="reject" disabled=action.pending()>
                    {icon(Icon::Cross)}
                    <span class="c-button__text">"Reject"</span>
                </button>
            </div>
        </ActionForm>
    }
}

/// Says it by hand, in place of whatever was to say it.
fn event_form(run: WorkflowRunId, name: String, action: ServerAction<SendEvent>) -> impl IntoView {
    view! {
        <details class="c-gate__more">
            <summary>"Say it by hand"</summary>
            <ActionForm action=action attr:class="c-gate">
                <input type="hidden" name="id" value=run.to_string() />
                <input type="hidden" name="name" value=name.clone() />
                <TextAreaField
                    id=format!("payload-{name}")
                    label="What it carries"
                    name="payload"
                    optional=true
                    code=true
                    rows=2
                    hint="JSON. The steps after it can take values from it."
                />
                <div class="c-gate__acts">
                    <Button text="Send the event" shape=Icon::Play busy=action.pending() />
                </div>
            </ActionForm>
        </details>
    }
}
