//! The Postgres that ours, the peers and the bare statements share: a private cluster as `muster serve` makes it, fsync on.

use std::{fs::Permissions, os::unix::fs::PermissionsExt, path::Path};

use anyhow::Context;
use server::postgres::PrivateCluster;
use sqlx::{Connection, PgConnection};

pub struct Cluster {
    cluster: PrivateCluster,
    folder: tempfile::TempDir,
}

impl Cluster {
    /// Below `parent`, which should lie on a disk: a sync of a file in memory measures nothing.
    pub async fn start(parent: &Path) -> anyhow::Result<Self> {
        // Root's Postgres runs as another user, who must be able to reach the folder.
        let open = Permissions::from_mode(0o755);
        let folder = tempfile::Builder::new().prefix("muster-bench-").permissions(open).tempdir_in(parent)?;
        let cluster = PrivateCluster::start(&folder.path().join("state")).await.context("Postgres cannot be started")?;
        Ok(Self { cluster, folder })
    }

    /// For what belongs to the run, on the disk that Postgres writes to.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A new database's address.
    pub async fn database(&self, name: &str) -> anyhow::Result<String> {
        let mut connection = PgConnection::connect(&self.cluster.url()).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("create database {name}"))).execute(&mut connection).await?;
        connection.close().await?;
        Ok(self.cluster.url().replacen("/postgres?", &format!("/{name}?"), 1))
    }

    /// What earlier figures have left to be written must not be paid for by the next one, and a database knows its tables, as it does
    /// once autovacuum has been there for the first time.
    pub async fn settle(&self, database_url: &str) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(database_url).await?;
        sqlx::raw_sql("analyze").execute(&mut connection).await?;
        sqlx::raw_sql("checkpoint").execute(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }

    /// With `keep`, what the servers logged stays for a person to look at.
    pub async fn stop(mut self, keep: bool) -> anyhow::Result<()> {
        self.folder.disable_cleanup(keep);
        if keep {
            eprintln!("kept in {}", self.folder.path().display());
        }
        Ok(self.cluster.stop().await?)
    }
}
