//! Runs of workflows: what the pages ask the server for. Each server function is one call of the engine's method of the same name.

pub mod acts;
pub mod bars;
pub mod change;
pub mod change_page;
pub mod changes;
pub mod detail_page;
pub mod gates;
pub mod list_page;
pub mod progress;
pub mod row;
pub mod state_badge;
pub mod steps;
pub mod tree;

use domain::{
    Page, TaskId, TaskView, WorkflowRunId,
    workflow::{ChangeOutcome, RunFilter, RunSummary, RunView},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use change::Changing;

#[server(prefix = "/_fn", endpoint = "list_runs")]
pub async fn list_runs(#[server(default)] filter: RunFilter) -> Result<Page<RunSummary>, Problem> {
    crate::ssr::call(async |engine, actor| engine.list_runs(&actor, filter).await).await
}

/// The run of a page, by what stands in its address.
#[server(prefix = "/_fn", endpoint = "find_run")]
pub async fn find_run(id: String) -> Result<RunView, Problem> {
    match id.parse() {
        Ok(id) => crate::ssr::call(async |engine, actor| engine.get_run(&actor, id).await).await,
        Err(_) => Err(Problem::not_found("There is no run of that id.")),
    }
    .inspect_err(crate::ssr::answer_with_status)
}

#[server(prefix = "/_fn", endpoint = "cancel_run")]
pub async fn cancel_run(id: WorkflowRunId) -> Result<RunView, Problem> {
    crate::ssr::call(async |engine, actor| engine.cancel_run(&actor, id).await).await
}

#[server(prefix = "/_fn", endpoint = "pause_run")]
pub async fn pause_run(id: WorkflowRunId) -> Result<RunView, Problem> {
    crate::ssr::call(async |engine, actor| engine.pause_run(&actor, id).await).await
}

#[server(prefix = "/_fn", endpoint = "resume_run")]
pub async fn resume_run(id: WorkflowRunId) -> Result<RunView, Problem> {
    crate::ssr::call(async |engine, actor| engine.resume_run(&actor, id).await).await
}

/// Goes on in a new run, and to its page: from a step, or with everything that did not succeed.
#[server(name = RestartFrom, prefix = "/_fn", endpoint = "restart_run")]
pub async fn restart_run(id: WorkflowRunId, #[server(default)] from: Option<String>) -> Result<RunView, Problem> {
    let from = from.filter(|step| !step.is_empty());
    let run = crate::ssr::call(async |engine, actor| engine.restart_run(&actor, id, domain::workflow::RestartRun { from }).await).await?;
    leptos_axum::redirect(&format!("/runs/{}", run.summary.id));
    Ok(run)
}

/// What the page of a change begins with: the steps that have not begun, or what a browser without scripts has sent.
#[server(prefix = "/_fn", endpoint = "start_change")]
pub async fn start_change(id: String) -> Result<Changing, Problem> {
    let run = find_run(id).await?;
    let id = run.summary.id;
    let graph = crate::ssr::call(async |engine, actor| engine.run_definition(&actor, id).await).await?;
    let draft = use_context::<http::request::Parts>().and_then(|request| request.extensions.get::<change::ChangeDraft>().cloned());
    let is_draft = draft.is_some();
    let (source, expected, problem) = match draft {
        Some(draft) => (draft.source, draft.expected, draft.problem),
        None => (change::first_text(&graph), Some(graph.changes), None),
    };
    let said = match problem {
        Some(problem) => change::Said::Refused(problem),
        None => match change::Said::of(preview_change(id, source.clone(), expected).await) {
            // a text that nobody has written yet is not wrong
            change::Said::Refused(problem) if !is_draft && !problem.errors.is_empty() => change::Said::Nothing,
            said => said,
        },
    };
    Ok(Changing { id, title: run.summary.title, source, expected, said })
}

#[server(name = PreviewChange, prefix = "/_fn", endpoint = "preview_change")]
pub async fn preview_change(id: WorkflowRunId, source: String, #[server(default)] expected: Option<i32>) -> Result<ChangeOutcome, Problem> {
    let change = domain::workflow::ChangeRun { source, preview: true, expected };
    crate::ssr::call(async |engine, actor| engine.change_run(&actor, id, change).await).await
}

/// Changes the run and goes on to its page.
#[server(name = ChangeGraph, prefix = "/_fn", endpoint = "change_run")]
pub async fn change_run(id: WorkflowRunId, source: String, #[server(default)] expected: Option<i32>) -> Result<ChangeOutcome, Problem> {
    let change = domain::workflow::ChangeRun { source, preview: false, expected };
    let outcome = crate::ssr::call(async |engine, actor| engine.change_run(&actor, id, change).await).await?;
    leptos_axum::redirect(&format!("/runs/{id}"));
    Ok(outcome)
}

/// What a person says at an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Approve,
    Reject,
}

/// One form with two buttons, so that what is typed into it goes with either.
#[server(prefix = "/_fn", endpoint = "answer_gate")]
pub async fn answer_gate(id: TaskId, verdict: Verdict, #[server(default)] comment: Option<String>) -> Result<TaskView, Problem> {
    let answer = domain::workflow::GateAnswer { comment: comment.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) };
    crate::ssr::call(async |engine, actor| match verdict {
        Verdict::Approve => engine.approve_task(&actor, id, answer).await,
        Verdict::Reject => engine.reject_task(&actor, id, answer).await,
    })
    .await
}

#[server(prefix = "/_fn", endpoint = "send_event")]
pub async fn send_event(id: WorkflowRunId, name: String, #[server(default)] payload: Option<String>) -> Result<RunView, Problem> {
    let text = payload.filter(|text| !text.trim().is_empty()).unwrap_or_else(|| "null".into());
    let payload = serde_json::from_str(&text).map_err(|wrong| Problem::bad_request(format!("What it carries is not JSON: {wrong}.")))?;
    crate::ssr::call(async |engine, actor| engine.send_event(&actor, id, domain::workflow::GateEvent { name, payload }).await).await
}
