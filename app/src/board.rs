//! The board: what the page asks the server for.

pub mod board_page;
pub mod card;

use domain::{Board, TaskFilter};
use leptos::prelude::*;

use crate::problem::Problem;

#[server(prefix = "/_fn", endpoint = "get_board")]
pub async fn get_board(#[server(default)] filter: TaskFilter) -> Result<Board, Problem> {
    crate::ssr::call(async |engine, actor| engine.board(&actor, filter).await).await
}
