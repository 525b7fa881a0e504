//! Known repositories, as suggestions for new tasks.

use domain::Repository;
use leptos::prelude::*;

use crate::problem::Problem;

#[server(prefix = "/_fn", endpoint = "list_repositories")]
pub async fn list_repositories() -> Result<Vec<Repository>, Problem> {
    crate::ssr::call(async |engine, actor| engine.list_repositories(&actor).await).await
}
