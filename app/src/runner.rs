//! Runners: what the page asks the server for. Each server function is one call of the engine's method of the same name.

pub mod isolation;
pub mod runners_page;
pub mod state;

use chrono::{DateTime, Utc};
use domain::{Isolation, Runner, RunnerId};
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

#[server(prefix = "/_fn", endpoint = "list_runners")]
pub async fn list_runners() -> Result<Vec<Runner>, Problem> {
    crate::ssr::call(async |engine, actor| engine.list_runners(&actor).await).await
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
