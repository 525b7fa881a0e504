//! Reaching Postgres: one pool for actors, one for Muster itself, each in its own role.

use std::time::Duration;

use futures::future::join_all;
use sqlx::{Connection, PgConnection, PgPool, postgres::PgConnectOptions, postgres::PgPoolOptions};
use thiserror::Error;

/// Connections for requests. A page asks for several things at once, the frame around it among them.
pub const APP_CONNECTIONS: u32 = 16;
/// Connections for sign-in, the runner protocol and the background services.
const SYSTEM_CONNECTIONS: u32 = 8;
/// A request waits this long for a connection, then it is told to come back.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// A connection that nobody has used for so long is tried before it is used again. One that came back a moment ago was tried then.
const FRESH: Duration = Duration::from_secs(1);
/// Of each pool, connections that are not opened ahead.
const LEFT_FREE: u32 = 3;
const OLDEST_MAJOR: i32 = 15;

/// Enforced by the server on every connection (reliability: statement 10 s, lock 3 s, idle in transaction 11 s).
const SETTINGS: [(&str, &str); 4] =
    [("statement_timeout", "10s"), ("lock_timeout", "3s"), ("idle_in_transaction_session_timeout", "11s"), ("jit", "off")];

/// What Muster does by itself goes by keys, from one row to the next in the order in which its statements say it. So the plans are settled:
/// one that was made while a table was small reads all of it, and is kept while it grows; and planning anew costs more than most statements.
const AS_WRITTEN: [(&str, &str); 5] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("join_collapse_limit", "1"),
];

#[derive(Clone, Debug)]
pub struct Database {
    /// As `muster_app`: sees one workspace, and nothing at all before one is set.
    pub(crate) app: PgPool,
    /// As `muster_system`: sees every workspace.
    pub(crate) system: PgPool,
}

#[derive(Debug, Error)]
pub enum DatabaseError {
    #[error("DATABASE_URL cannot be read: {0}")]
    Url(#[source] sqlx::Error),
    #[error("DATABASE_URL must begin with postgres://")]
    NotPostgres,
    #[error("the database cannot be reached: {0}")]
    Unreachable(#[source] sqlx::Error),
    #[error("this is Postgres {found}; Muster needs {OLDEST_MAJOR} or newer")]
    TooOld { found: String },
    #[error("the database runs with {setting}=off, so a crash could lose what Muster has accepted; turn it on")]
    NotDurable { setting: &'static str },
    #[error("the tables could not be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}

impl Database {
    /// Connects, refuses what is too old or not durable, and brings the tables up to date.
    pub async fn open(url: &str) -> Result<Self, DatabaseError> {
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(DatabaseError::NotPostgres);
        }
        let options: PgConnectOptions = url.parse().map_err(DatabaseError::Url)?;
        let mut connection = PgConnection::connect_with(&options).await.map_err(DatabaseError::Unreachable)?;
        check_server(&mut connection).await?;
        crate::MIGRATOR.run(&mut connection).await?;
        connection.close().await.map_err(DatabaseError::Unreachable)?;
        Ok(Self::pools(options))
    }

    /// The two pools of a database that is up to date.
    pub(crate) fn pools(options: PgConnectOptions) -> Self {
        let options = options.application_name("muster").options(SETTINGS);
        Self {
            app: pool(options.clone(), APP_CONNECTIONS, "set role muster_app"),
            system: pool(options.options(AS_WRITTEN), SYSTEM_CONNECTIONS, "set role muster_system"),
        }
    }

    /// Opens connections before they are needed, but for a few, which are for whoever needs one meanwhile. To prove a password takes 4,096
    /// rounds, in which the driver gives way to everything else that waits for a processor: on a server that is busy already it takes longer
    /// than a request waits. What cannot be opened now is opened when it is needed.
    pub async fn open_ahead(&self) {
        for (pool, most) in [(&self.app, APP_CONNECTIONS), (&self.system, SYSTEM_CONNECTIONS)] {
            // held until all are there, or the same one would do for each
            drop(join_all((LEFT_FREE..most).map(|_| pool.acquire())).await);
        }
    }

    pub async fn close(&self) {
        self.app.close().await;
        self.system.close().await;
    }
}

fn pool(options: PgConnectOptions, most: u32, role: &'static str) -> PgPool {
    PgPoolOptions::new()
        .max_connections(most)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, idle| {
            Box::pin(async move {
                if idle.idle_for > FRESH {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(move |connection, _| {
            Box::pin(async move {
                sqlx::raw_sql(role).execute(connection).await?;
                Ok(())
            })
        })
        .connect_lazy_with(options)
}

async fn check_server(connection: &mut PgConnection) -> Result<(), DatabaseError> {
    let setting = sqlx::query!(
        r#"select current_setting('server_version_num')::int as "version!", current_setting('server_version') as "name!",
                  current_setting('fsync') = 'on' as "fsync!", current_setting('full_page_writes') = 'on' as "full_page_writes!",
                  current_setting('synchronous_commit') <> 'off' as "synchronous_commit!""#
    )
    .fetch_one(connection)
    .await
    .map_err(DatabaseError::Unreachable)?;
    let durable =
        [("fsync", setting.fsync), ("full_page_writes", setting.full_page_writes), ("synchronous_commit", setting.synchronous_commit)];
    judge_server(setting.version, setting.name, durable)
}

/// `version` as Postgres numbers it, such as 170004; each setting with whether it is on.
fn judge_server(version: i32, name: String, durable: [(&'static str, bool); 3]) -> Result<(), DatabaseError> {
    if version / 10_000 < OLDEST_MAJOR {
        return Err(DatabaseError::TooOld { found: name });
    }
    match durable.into_iter().find(|(_, on)| !on) {
        Some((setting, _)) => Err(DatabaseError::NotDurable { setting }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_too_old_is_named() {
        let durable = [("fsync", true), ("full_page_writes", true), ("synchronous_commit", true)];
        let refused = judge_server(140_018, "14.18 (Debian 14.18-1)".into(), durable).unwrap_err();
        assert_eq!(refused.to_string(), "this is Postgres 14.18 (Debian 14.18-1); Muster needs 15 or newer");
        assert!(judge_server(150_000, "15.0".into(), durable).is_ok());
    }
}
