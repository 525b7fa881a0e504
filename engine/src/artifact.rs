//! Files that attempts left.

use std::fmt::Write;

use domain::{
    Actor, Artifact, ArtifactId, ArtifactKind, AttemptId, AttemptKey, Permission, TaskId, Timestamp, WorkspaceId,
    artifact::{ARTIFACT_LIMIT, diff_name},
    protocol::NewArtifact,
};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use crate::{Engine, Error, Result, new_id};

impl Engine {
    /// An artifact with its content.
    pub async fn artifact(&self, actor: &Actor, id: ArtifactId) -> Result<(Artifact, Vec<u8>)> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        let row = sqlx::query!(
            r#"select artifact.id, number, kind, name, length(content) as "size!", sha256, created_at, content
               from artifact join attempt on attempt.id = artifact.attempt_id where artifact.id = $1"#,
            id.0
        )
        .fetch_optional(&mut *tx)
        .await?
        .ok_or_else(|| Error::not_found("artifact", id))?;
        let artifact = Artifact {
            id: row.id,
            attempt: row.number,
            kind: row.kind,
            name: row.name,
            size: row.size.into(),
            sha256: row.sha256,
            created_at: row.created_at,
        };
        tx.commit((artifact, row.content)).await
    }

    /// What an attempt changed, as a unified diff for each repository, that of the first one first; none when it changed nothing.
    pub async fn task_diffs(&self, actor: &Actor, task: TaskId, attempt: i32) -> Result<Vec<(Artifact, String)>> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        crate::task::store::exists(&mut tx, task).await?;
        let rows = sqlx::query!(
            r#"select artifact.id, number, kind, name, length(content) as "size!", sha256, created_at, content
               from artifact join attempt on attempt.id = artifact.attempt_id
               where task_id = $1 and number = $2 and kind = 'diff' order by name <> $3, artifact.id"#,
            task.0,
            attempt,
            diff_name(None)
        )
        .fetch_all(&mut *tx)
        .await?;
        let diffs = rows.into_iter().map(|row| {
            let artifact = Artifact {
                id: row.id,
                attempt: row.number,
                kind: row.kind,
                name: row.name,
                size: row.size.into(),
                sha256: row.sha256,
                created_at: row.created_at,
            };
            (artifact, String::from_utf8_lossy(&row.content).into_owned())
        });
        let diffs = diffs.collect();
        tx.commit(diffs).await
    }
}

/// Stores what attempts left.
pub(crate) async fn insert(conn: &mut PgConnection, new: &[(WorkspaceId, AttemptKey, &NewArtifact)], now: Timestamp) -> Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = new.iter().map(|_| new_id()).collect();
    let workspaces: Vec<_> = new.iter().map(|(workspace, ..)| workspace.0).collect();
    let attempts: Vec<_> = new.iter().map(|(_, key, _)| key.attempt_id.0).collect();
    let kinds: Vec<_> = new.iter().map(|(.., new)| kind_name(new.kind).to_owned()).collect();
    let names: Vec<_> = new.iter().map(|(.., new)| new.name.clone()).collect();
    let contents: Vec<_> = new.iter().map(|(.., new)| new.content[..new.content.len().min(ARTIFACT_LIMIT)].to_vec()).collect();
    let sums: Vec<_> = contents.iter().map(|content| hex(&Sha256::digest(content))).collect();
    sqlx::query!(
        "insert into artifact (id, workspace_id, attempt_id, kind, name, sha256, content, created_at)
         select id, workspace_id, attempt_id, kind, name, sha256, content, $8
         from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::bytea[])
                as new (id, workspace_id, attempt_id, kind, name, sha256, content)",
        &ids,
        &workspaces,
        &attempts,
        &kinds,
        &names,
        &sums,
        &contents,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn kind_name(kind: ArtifactKind) -> &'static str {
    match kind {
        ArtifactKind::Diff => "diff",
        ArtifactKind::Patch => "patch",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The artifacts of a task's attempts, without their content.
pub(crate) async fn of_task(conn: &mut PgConnection, task: TaskId) -> Result<Vec<(AttemptId, Artifact)>> {
    let rows = sqlx::query!(
        r#"select artifact.id, attempt_id, number, kind, name, length(content) as "size!", sha256, created_at
           from artifact join attempt on attempt.id = artifact.attempt_id where task_id = $1 order by artifact.id"#,
        task.0
    )
    .fetch_all(conn)
    .await?;
    let artifacts = rows.into_iter().map(|row| {
        let artifact = Artifact {
            id: row.id,
            attempt: row.number,
            kind: row.kind,
            name: row.name,
            size: row.size.into(),
            sha256: row.sha256,
            created_at: row.created_at,
        };
        (row.attempt_id, artifact)
    });
    Ok(artifacts.collect())
}
