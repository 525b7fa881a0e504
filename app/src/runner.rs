//! Runners: what the page asks the server for. Each server function is one call of the engine's method of the same name.

pub mod acts;
pub mod current;
mod day;
pub mod facts;
mod fleet;
pub mod has;
pub mod history;
pub mod isolation;
mod log;
pub mod look;
mod machine;
mod periods;
pub mod remove_form;
pub mod runner_page;
pub mod runners_page;
pub mod slots_form;
pub mod state;
pub mod tally;

use chrono::{DateTime, Utc};
use domain::{
    Isolation, Page, Runner, RunnerId,
    runner::{RunnerDetail, RunnerLogEntry, RunnerTransition},
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// What makes a machine a runner, shown once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinCommand {
    /// To be run on the machine.
    pub command: String,
    pub expires_at: DateTime<Utc>,
}

/// The first of them, by name.
#[server(prefix = "/_fn", endpoint = "list_runners")]
pub async fn list_runners() -> Result<Vec<Runner>, Problem> {
    crate::ssr::call(async |engine, actor| engine.list_runners(&actor, Default::default()).await).await
}

/// The runner of a page, by what stands in its address. When there is none, the answer's status says so as well.
#[server(prefix = "/_fn", endpoint = "find_runner")]
pub async fn find_runner(id: String) -> Result<RunnerDetail, Problem> {
    match id.parse() {
        Ok(id) => crate::ssr::call(async |engine, actor| engine.find_runner(&actor, id).await).await,
        Err(_) => Err(Problem::not_found("There is no runner of that id.")),
    }
    .inspect_err(crate::ssr::answer_with_status)
}

/// What has happened to the runner of a page; a page of it.
#[server(prefix = "/_fn", endpoint = "runner_log")]
pub async fn runner_log(id: String, #[server(default)] cursor: Option<String>) -> Result<Page<RunnerLogEntry>, Problem> {
    let filter = domain::runner::RunnerLogFilter { cursor, ..Default::default() };
    match id.parse() {
        Ok(id) => crate::ssr::call(async |engine, actor| engine.runner_log(&actor, id, &filter).await).await,
        Err(_) => Err(Problem::not_found("There is no runner of that id.")),
    }
}

/// How the runner of a page and its slots stood before; a page of it.
#[server(prefix = "/_fn", endpoint = "runner_periods")]
pub async fn runner_periods(id: String, #[server(default)] cursor: Option<String>) -> Result<Page<RunnerTransition>, Problem> {
    let filter = domain::runner::RunnerLogFilter { cursor, ..Default::default() };
    match id.parse() {
        Ok(id) => crate::ssr::call(async |engine, actor| engine.runner_periods(&actor, id, &filter).await).await,
        Err(_) => Err(Problem::not_found("There is no runner of that id.")),
    }
}

/// A browser without scripts finds it on the page that it is sent back to.
#[server(prefix = "/_fn", endpoint = "create_runner_token")]
pub async fn create_runner_token() -> Result<JoinCommand, Problem> {
    let made = crate::ssr::call(async |engine, actor| engine.create_runner_token(&actor.without_idempotency()).await).await?;
    let command = format!("muster runner join {} {}", crate::ssr::origin()?, made.token);
    crate::ssr::show_once(JoinCommand { command, expires_at: made.expires_at }, "/runners").await
}

/// What [`create_runner_token`] has left for this browser to show.
#[server(prefix = "/_fn", endpoint = "made_runner_token")]
pub async fn made_runner_token() -> Result<Option<JoinCommand>, Problem> {
    crate::ssr::shown_once().await
}

#[server(prefix = "/_fn", endpoint = "drain_runner")]
pub async fn drain_runner(id: RunnerId) -> Result<Runner, Problem> {
    let runner = crate::ssr::call(async |engine, actor| engine.drain_runner(&actor, id).await).await?;
    leptos_axum::redirect(&format!("/runners/{id}"));
    Ok(runner)
}

#[server(prefix = "/_fn", endpoint = "resume_runner")]
pub async fn resume_runner(id: RunnerId) -> Result<Runner, Problem> {
    let runner = crate::ssr::call(async |engine, actor| engine.resume_runner(&actor, id).await).await?;
    leptos_axum::redirect(&format!("/runners/{id}"));
    Ok(runner)
}

/// Empty for as many as its machine says.
#[server(prefix = "/_fn", endpoint = "change_runner")]
pub async fn change_runner(id: RunnerId, slots: String) -> Result<Runner, Problem> {
    let change = slots_form::read(&slots)?;
    let runner = crate::ssr::call(async |engine, actor| engine.change_runner(&actor, id, &change).await).await?;
    leptos_axum::redirect(&format!("/runners/{id}"));
    Ok(runner)
}

#[server(prefix = "/_fn", endpoint = "remove_runner")]
pub async fn remove_runner(id: RunnerId) -> Result<(), Problem> {
    crate::ssr::call(async |engine, actor| engine.remove_runner(&actor, id).await).await?;
    leptos_axum::redirect("/runners");
    Ok(())
}

#[server(prefix = "/_fn", endpoint = "set_isolation")]
pub async fn set_isolation(isolation: Isolation) -> Result<(), Problem> {
    crate::ssr::call(async |engine, actor| engine.set_isolation(&actor, isolation).await).await?;
    leptos_axum::redirect("/runners");
    Ok(())
}
