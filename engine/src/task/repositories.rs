//! The repositories of tasks beside their first.

use domain::{RepositoryId, TaskId, WorkspaceId, task::TaskRepository};
use serde::Serialize;
use sqlx::{PgConnection, types::Json};

use crate::{Result, repository::Repositories, tx::Tx};

/// A row of `task_repository`. Its names are those of the columns.
#[derive(Serialize)]
struct NewRow<'a> {
    workspace_id: WorkspaceId,
    task_id: TaskId,
    position: usize,
    repository_id: RepositoryId,
    base_ref: Option<&'a str>,
    folder: &'a str,
}

/// Of tasks that were just stored.
pub(super) async fn insert(tx: &mut Tx, workspace: WorkspaceId, beside: &[(TaskId, Vec<TaskRepository>)]) -> Result<()> {
    if beside.iter().all(|(_, all)| all.is_empty()) {
        return Ok(());
    }
    let now = tx.now();
    let mut known = Repositories::default();
    let named: Vec<_> = beside.iter().flat_map(|(_, all)| all).map(|one| one.url.as_str()).collect();
    known.find_all(tx, workspace, named, now).await?;
    let mut rows = vec![];
    for (task, all) in beside {
        for (index, one) in all.iter().enumerate() {
            let repository_id = known.find(tx, workspace, &one.url, now).await?;
            let (base_ref, folder) = (one.base_ref.as_deref(), one.folder.as_str());
            rows.push(NewRow { workspace_id: workspace, task_id: *task, position: index + 1, repository_id, base_ref, folder });
        }
    }
    sqlx::query!(
        "insert into task_repository (workspace_id, task_id, position, repository_id, base_ref, folder)
         select workspace_id, task_id, position, repository_id, base_ref, folder
         from jsonb_to_recordset($1) as new (workspace_id uuid, task_id uuid, position int, repository_id uuid, base_ref text, folder text)",
        Json(&rows) as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// In their order.
pub(super) async fn of_task(conn: &mut PgConnection, task: TaskId) -> Result<Vec<TaskRepository>> {
    let all = sqlx::query_as!(
        TaskRepository,
        "select location as url, base_ref, folder from task_repository join repository on repository.id = repository_id
         where task_id = $1 order by position",
        task.0
    )
    .fetch_all(conn)
    .await?;
    Ok(all)
}
