//! The editor of workflows for browsers without scripts: its form comes here, and what was typed goes back with the page, however long
//! it is.

use app::{problem::Problem, workflow::edit::Draft};
use axum::{
    Form,
    body::Body,
    extract::{FromRequest, Request},
    response::{IntoResponse, Redirect, Response},
};
use domain::{Actor, workflow::SaveWorkflow};
use engine::Engine;
use serde::Deserialize;

#[derive(Deserialize)]
struct Posted {
    source: String,
    /// Only to be looked at.
    #[serde(default)]
    only_check: Option<String>,
}

/// Saves what was typed and goes on to its page, or renders the editor again with what is wrong.
pub async fn posted<P: Future<Output = Response>>(engine: Engine, request: Request, page: impl FnOnce(Request) -> P) -> Response {
    let (mut parts, body) = request.into_parts();
    let Form(posted) = match Form::<Posted>::from_request(Request::from_parts(parts.clone(), body), &()).await {
        Ok(form) => form,
        Err(wrong) => return wrong.into_response(),
    };
    // A text area sends the line ends of a network.
    let source = posted.source.replace("\r\n", "\n");
    let mut problem = None;
    if posted.only_check.is_none() {
        match save(&engine, parts.extensions.get::<Actor>(), &source).await {
            Ok(name) => return Redirect::to(&format!("/workflows/{name}")).into_response(),
            Err(refusal) => problem = Some(refusal),
        }
    }
    parts.extensions.insert(Draft { source, problem });
    page(Request::from_parts(parts, Body::empty())).await
}

async fn save(engine: &Engine, actor: Option<&Actor>, source: &str) -> Result<String, Problem> {
    let actor = actor.ok_or_else(Problem::unauthorized)?;
    Ok(engine.save_workflow(actor, SaveWorkflow { source: source.to_owned() }).await?.name)
}
