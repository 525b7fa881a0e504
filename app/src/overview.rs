//! The start page's data.

pub mod overview_page;

use domain::Overview;
use leptos::prelude::*;

use crate::problem::Problem;

#[server(name = GetOverview, prefix = "/_fn", endpoint = "overview")]
pub async fn overview() -> Result<Overview, Problem> {
    crate::ssr::call(async |engine, actor| engine.overview(&actor).await).await
}
