//! What attempts start from in repositories, and what they have come to in those beside the first: written with the reports that say so.

use domain::{
    AttemptId, AttemptKey, Failure, FailureCode, TaskId, WorkspaceId,
    repository::check_ref,
    task::{Inputs, RepositoryResult, fill},
};
use serde::Serialize;
use sqlx::{PgConnection, types::Json};

use crate::{
    Result,
    landing::{can_be_pushed, is_commit},
};

/// A row of `attempt_repository`, with its task. Its names are those of the columns.
#[derive(Serialize)]
struct NewRow<'a> {
    workspace_id: WorkspaceId,
    task_id: TaskId,
    attempt_id: AttemptId,
    position: usize,
    base_commit: &'a str,
    branch: Option<&'a str>,
    commit_id: Option<&'a str>,
}

/// Whatever a runner says, what is of no repository of the task is left out, and so is what cannot be.
pub(super) async fn insert(conn: &mut PgConnection, results: &[(WorkspaceId, AttemptKey, &[RepositoryResult])]) -> Result<()> {
    let rows = results.iter().flat_map(|(workspace, attempt, all)| {
        let sound = all.iter().enumerate().filter(|(_, one)| is_commit(&one.base_commit));
        sound.map(|(index, one)| {
            let changed = one.branch.as_deref().zip(one.commit.as_deref()).filter(|(branch, commit)| can_be_pushed(branch, commit));
            NewRow {
                workspace_id: *workspace,
                task_id: attempt.task_id,
                attempt_id: attempt.attempt_id,
                position: index + 1,
                base_commit: &one.base_commit,
                branch: changed.map(|(branch, _)| branch),
                commit_id: changed.map(|(_, commit)| commit),
            }
        })
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into attempt_repository (workspace_id, attempt_id, position, base_commit, branch, commit_id)
         select new.workspace_id, attempt_id, new.position, base_commit, branch, commit_id
         from jsonb_to_recordset($1) as new (workspace_id uuid, task_id uuid, attempt_id uuid, position int, base_commit text, branch text,
                                             commit_id text)
         join task_repository beside on beside.task_id = new.task_id and beside.position = new.position",
        Json(&rows) as _
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Of these attempts, in order.
pub(super) async fn of(conn: &mut PgConnection, attempts: &[AttemptId]) -> Result<Vec<(AttemptId, RepositoryResult)>> {
    let ids: Vec<_> = attempts.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"select result.attempt_id as "attempt_id: AttemptId", folder, result.base_commit, result.branch, result.commit_id
           from attempt_repository result
           join attempt on attempt.id = result.attempt_id
           join task_repository beside on beside.task_id = attempt.task_id and beside.position = result.position
           where result.attempt_id = any($1) order by result.attempt_id, result.position"#,
        &ids
    )
    .fetch_all(conn)
    .await?;
    let results = rows.into_iter().map(|row| {
        let result = RepositoryResult { folder: row.folder, base_commit: row.base_commit, branch: row.branch, commit: row.commit_id };
        (row.attempt_id, result)
    });
    Ok(results.collect())
}

/// What is to be started from, with the task's inputs in their places.
pub(super) fn base_ref(name: Option<String>, inputs: &Inputs) -> std::result::Result<Option<String>, Failure> {
    let name = name.map(|name| fill(&name, inputs).trim().to_owned()).filter(|name| !name.is_empty());
    match name.as_deref().map(check_ref) {
        Some(Err(reason)) => {
            let name = name.unwrap_or_default();
            Err(Failure::new(FailureCode::RefMalformed, format!("“{name}”, from which it was to start, {reason}")))
        }
        _ => Ok(name),
    }
}
