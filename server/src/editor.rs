//! The editors of workflows and of runs for browsers without scripts: their forms come here, and what was typed goes back with the page,
//! however long it is.

use app::{
    problem::Problem,
    workflow::{
        edit::{Draft, Opened},
        run::change::ChangeDraft,
    },
};
use axum::{
    Form,
    body::Body,
    extract::{FromRequest, Request},
    response::{IntoResponse, Redirect, Response},
};
use domain::{Actor, WorkflowRunId, workflow::ChangeRun};
use engine::Engine;
use serde::Deserialize;

#[derive(Deserialize)]
struct Posted {
    source: String,
    /// What the editor of a workflow was opened with.
    #[serde(default)]
    opened_name: String,
    #[serde(default)]
    opened_version: i32,
    /// Only to be looked at.
    #[serde(default)]
    only_check: Option<String>,
    /// How often a run had been changed when its page was made.
    #[serde(default)]
    expected: Option<String>,
}

impl Posted {
    /// A text area sends the line ends of a network.
    fn text(&self) -> String {
        self.source.replace("\r\n", "\n")
    }
}

/// Saves what was typed and goes on to its page, or renders the editor again with what is wrong.
pub async fn posted<P: Future<Output = Response>>(engine: Engine, request: Request, page: impl FnOnce(Request) -> P) -> Response {
    let (mut parts, body) = request.into_parts();
    let Form(posted) = match Form::<Posted>::from_request(Request::from_parts(parts.clone(), body), &()).await {
        Ok(form) => form,
        Err(wrong) => return wrong.into_response(),
    };
    let source = posted.text();
    let opened = Opened { name: posted.opened_name, version: posted.opened_version };
    let mut problem = None;
    if posted.only_check.is_none() {
        match save(&engine, parts.extensions.get::<Actor>(), &source, &opened).await {
            Ok(name) => return Redirect::to(&format!("/workflows/{name}")).into_response(),
            Err(refusal) => problem = Some(refusal),
        }
    }
    parts.extensions.insert(Draft { source, opened, problem });
    page(Request::from_parts(parts, Body::empty())).await
}

async fn save(engine: &Engine, actor: Option<&Actor>, source: &str, opened: &Opened) -> Result<String, Problem> {
    let actor = actor.cloned().ok_or_else(Problem::unauthorized)?;
    Ok(app::ssr::save_workflow(engine, actor, source.to_owned(), opened).await?.name)
}

/// Changes a run as it was typed and goes on to its page, or renders the page again with what is wrong or would come of it.
pub async fn change_posted<P: Future<Output = Response>>(engine: Engine, request: Request, page: impl FnOnce(Request) -> P) -> Response {
    let (mut parts, body) = request.into_parts();
    let Form(posted) = match Form::<Posted>::from_request(Request::from_parts(parts.clone(), body), &()).await {
        Ok(form) => form,
        Err(wrong) => return wrong.into_response(),
    };
    let source = posted.text();
    let expected = posted.expected.as_deref().and_then(|number| number.parse().ok());
    let mut problem = None;
    if posted.only_check.is_none() {
        let id = parts.uri.path().split('/').nth(2).and_then(|id| id.parse().ok());
        match change(&engine, parts.extensions.get::<Actor>(), id, &source, expected).await {
            Ok(id) => return Redirect::to(&format!("/runs/{id}")).into_response(),
            Err(refusal) => problem = Some(refusal),
        }
    }
    parts.extensions.insert(ChangeDraft { source, expected, problem });
    page(Request::from_parts(parts, Body::empty())).await
}

async fn change(
    engine: &Engine,
    actor: Option<&Actor>,
    id: Option<WorkflowRunId>,
    source: &str,
    expected: Option<i32>,
) -> Result<WorkflowRunId, Problem> {
    let actor = actor.ok_or_else(Problem::unauthorized)?;
    let id = id.ok_or_else(|| Problem::not_found("There is no run of that id."))?;
    engine.change_run(actor, id, ChangeRun { source: source.to_owned(), preview: false, expected }).await?;
    Ok(id)
}
