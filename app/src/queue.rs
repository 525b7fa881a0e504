//! The queue: what the page asks the server for. Each server function is one call of the engine's method of the same name.

pub mod chart;
pub mod queue_page;

use domain::{RepositoryId, queue::Queue};
use leptos::prelude::*;

use crate::problem::Problem;

#[server(prefix = "/_fn", endpoint = "get_queue")]
pub async fn get_queue() -> Result<Queue, Problem> {
    crate::ssr::call(async |engine, actor| engine.get_queue(&actor).await).await
}

#[server(prefix = "/_fn", endpoint = "pause_queue")]
pub async fn pause_queue(#[server(default)] repository: Option<RepositoryId>) -> Result<Queue, Problem> {
    crate::ssr::call(async |engine, actor| engine.pause_queue(&actor, domain::queue::QueueName { repository }).await).await
}

#[server(prefix = "/_fn", endpoint = "resume_queue")]
pub async fn resume_queue(#[server(default)] repository: Option<RepositoryId>) -> Result<Queue, Problem> {
    crate::ssr::call(async |engine, actor| engine.resume_queue(&actor, domain::queue::QueueName { repository }).await).await
}
