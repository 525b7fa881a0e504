//! Workflows: what the pages ask the server for. Each server function is one call of the engine's method of the same name.

pub mod detail_page;
pub mod edit;
pub mod edit_page;
pub mod graph;
pub mod graph_view;
pub mod kind;
pub mod list_page;
pub mod run;
pub mod start_form;
pub mod start_page;
pub mod step_table;

use domain::workflow::{RunView, Validation, WorkflowSummary, WorkflowView};
use leptos::prelude::*;

use crate::problem::Problem;
use edit::{Editing, Opened};
use start_form::StartForm;

#[server(prefix = "/_fn", endpoint = "list_workflows")]
pub async fn list_workflows() -> Result<Vec<WorkflowSummary>, Problem> {
    crate::ssr::call(async |engine, actor| engine.list_workflows(&actor).await).await
}

/// The newest version unless another is asked for.
#[server(prefix = "/_fn", endpoint = "find_workflow")]
pub async fn find_workflow(name: String, #[server(default)] version: Option<i32>) -> Result<WorkflowView, Problem> {
    crate::ssr::call(async |engine, actor| engine.get_workflow(&actor, &name, version).await)
        .await
        .inspect_err(crate::ssr::answer_with_status)
}

#[server(name = CheckSource, prefix = "/_fn", endpoint = "check_workflow")]
pub async fn check_workflow(source: String) -> Result<Validation, Problem> {
    crate::ssr::call(async |engine, actor| engine.check_workflow(&actor, domain::workflow::CheckWorkflow { source }).await).await
}

/// Saves a new version, unless somebody else has saved one since, and goes on to its page.
#[server(name = SaveSource, prefix = "/_fn", endpoint = "save_workflow")]
pub async fn save_workflow(source: String, #[server(default)] opened: Opened) -> Result<WorkflowView, Problem> {
    let saved = crate::ssr::call(async |engine, actor| crate::ssr::save_workflow(&engine, actor, source, &opened).await).await?;
    leptos_axum::redirect(&format!("/workflows/{}", saved.name));
    Ok(saved)
}

/// What the editor holds when it is opened: a workflow's source, an example, or what a browser without scripts has sent.
#[server(prefix = "/_fn", endpoint = "start_editor")]
pub async fn start_editor(#[server(default)] name: Option<String>) -> Result<Editing, Problem> {
    let draft = use_context::<http::request::Parts>().and_then(|request| request.extensions.get::<edit::Draft>().cloned());
    let (source, mut opened, problem) = match (draft, name) {
        (Some(draft), _) => (draft.source, draft.opened, draft.problem),
        (None, Some(name)) => {
            let view = find_workflow(name, None).await?;
            (view.source, Opened { name: view.name, version: view.version }, None)
        }
        (None, None) => (edit::EXAMPLE.to_owned(), Opened::default(), None),
    };
    let validation = check_workflow(source.clone()).await?;
    // Whoever has been told of the newest version and saves once more means it.
    if let Some(Problem { status: 412, .. }) = &problem {
        opened = newest(&validation).await;
    }
    Ok(Editing { source, opened, validation, problem })
}

/// What an editor would be opened with now that holds a text of which this was said.
async fn newest(said: &Validation) -> Opened {
    let name = said.definition.as_ref().map(|definition| definition.name.clone()).unwrap_or_default();
    let version = find_workflow(name.clone(), None).await.map_or(0, |view| view.version);
    Opened { name, version }
}

/// Starts a run and goes on to its page.
#[server(prefix = "/_fn", endpoint = "start_run")]
pub async fn start_run(#[server(default)] form: StartForm) -> Result<RunView, Problem> {
    let started = async {
        let version = form.version()?;
        let workflow = crate::ssr::call(async |engine, actor| engine.get_workflow(&actor, &form.workflow, version).await).await?;
        let new = form.to_new_run(&workflow)?;
        crate::ssr::call(async |engine, actor| engine.start_run(&actor, &form.workflow, new).await).await
    };
    match started.await {
        Ok(run) => {
            leptos_axum::redirect(&format!("/runs/{}", run.summary.id));
            Ok(run)
        }
        Err(problem) => {
            crate::ssr::go_back(form.back_path(&problem));
            Err(problem)
        }
    }
}
