//! Repositories: a row for every place that a task has named.

use std::collections::HashMap;

use domain::{Actor, Permission, Repository, RepositoryId, Timestamp, WorkspaceId};
use sqlx::PgConnection;

use crate::{Engine, Error, Result};

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
        self.find_all(conn, workspace, [location], now).await?;
        self.0.get(location).copied().ok_or_else(|| Error::inconsistent("repository", location, "it cannot be seen"))
    }

    /// Finds those that are not known yet, so that [`find`](Self::find) asks nobody.
    pub(crate) async fn find_all<'a>(
        &mut self,
        conn: &mut PgConnection,
        workspace: WorkspaceId,
        locations: impl IntoIterator<Item = &'a str>,
        now: Timestamp,
    ) -> Result<()> {
        let mut unknown: Vec<_> = locations.into_iter().filter(|location| !self.0.contains_key(*location)).map(str::to_owned).collect();
        // in one order for everybody: two who store the same new ones must not wait for each other
        unknown.sort_unstable();
        unknown.dedup();
        if unknown.is_empty() {
            return Ok(());
        }
        self.0.extend(store::find(conn, workspace, &unknown).await?);
        unknown.retain(|location| !self.0.contains_key(location));
        if !unknown.is_empty() {
            store::insert(conn, workspace, &unknown, now).await?;
            self.0.extend(store::find(conn, workspace, &unknown).await?);
        }
        Ok(())
    }
}

pub(crate) mod store {
    use domain::{Repository, RepositoryId, Timestamp, WorkspaceId};
    use sqlx::PgConnection;

    use crate::{Result, new_id};

    pub(super) async fn find(conn: &mut PgConnection, workspace: WorkspaceId, locations: &[String]) -> Result<Vec<(String, RepositoryId)>> {
        let rows =
            sqlx::query!("select id, location from repository where workspace_id = $1 and location = any($2)", workspace.0, locations)
                .fetch_all(conn)
                .await?;
        Ok(rows.into_iter().map(|row| (row.location, row.id)).collect())
    }

    /// Those that somebody else has stored a moment ago stay as they are.
    pub(super) async fn insert(conn: &mut PgConnection, workspace: WorkspaceId, locations: &[String], now: Timestamp) -> Result<()> {
        let ids: Vec<_> = locations.iter().map(|_| new_id()).collect();
        sqlx::query!(
            "insert into repository (id, workspace_id, location, created_at)
             select id, $1, location, $2 from unnest($3::uuid[], $4::text[]) as new (id, location) on conflict do nothing",
            workspace.0,
            now,
            &ids,
            locations
        )
        .execute(conn)
        .await?;
        Ok(())
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
