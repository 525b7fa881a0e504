//! Repositories: a row for every place that a task has named.

use std::collections::HashMap;

use domain::{Actor, Permission, Repository, RepositoryId, Timestamp, WorkspaceId};
use sqlx::PgConnection;

use crate::{Engine, Result, new_id};

impl Engine {
    /// The repositories of the workspace, the newest first.
    pub async fn list_repositories(&self, actor: &Actor) -> Result<Vec<Repository>> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        let list = store::newest(&mut tx).await?;
        tx.commit(list).await
    }
}

/// The repositories that one use case has found already, by their locations.
#[derive(Default)]
pub(crate) struct Repositories(HashMap<String, RepositoryId>);

impl Repositories {
    /// Its id; a location that nobody has named before becomes one.
    pub(crate) async fn find(
        &mut self,
        conn: &mut PgConnection,
        workspace: WorkspaceId,
        location: &str,
        now: Timestamp,
    ) -> Result<RepositoryId> {
        if let Some(id) = self.0.get(location) {
            return Ok(*id);
        }
        let id = store::find_or_insert(conn, workspace, new_id(), location, now).await?;
        self.0.insert(location.to_owned(), id);
        Ok(id)
    }
}

pub(crate) mod store {
    use domain::{Repository, RepositoryId, Timestamp, WorkspaceId};
    use sqlx::PgConnection;
    use uuid::Uuid;

    use crate::Result;

    pub(crate) async fn find_or_insert(
        conn: &mut PgConnection,
        workspace: WorkspaceId,
        new_id: Uuid,
        location: &str,
        now: Timestamp,
    ) -> Result<RepositoryId> {
        let find = || sqlx::query_scalar!("select id from repository where workspace_id = $1 and location = $2", workspace.0, location);
        if let Some(id) = find().fetch_optional(&mut *conn).await? {
            return Ok(id);
        }
        sqlx::query!(
            "insert into repository (id, workspace_id, location, created_at) values ($1, $2, $3, $4) on conflict do nothing",
            new_id,
            workspace.0,
            location,
            now
        )
        .execute(&mut *conn)
        .await?;
        Ok(find().fetch_one(conn).await?)
    }

    pub(crate) async fn newest(conn: &mut PgConnection) -> Result<Vec<Repository>> {
        let list = sqlx::query_as!(
            Repository,
            "select id, location, created_at from repository where workspace_id = (select current_workspace()) order by id desc limit 200"
        )
        .fetch_all(conn)
        .await?;
        Ok(list)
    }
}
