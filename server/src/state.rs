//! Opening the state of an installation: its database, Muster's own or the one that was named.

use std::time::Duration;

use engine::{Clock, Database, DatabaseError, Engine};
use thiserror::Error;
use tokio::time::timeout;
use tracing::warn;

use crate::{
    config::StateConfig,
    postgres::{KeptCluster, PostgresError, PrivateCluster},
};

#[derive(Debug, Error)]
pub enum StateError {
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error("the database does not answer: {0}")]
    Engine(#[from] engine::Error),
}

/// For the connections to be closed. They wait for what uses them, which a database that is gone may never answer.
const CONNECTIONS_CLOSE: Duration = Duration::from_secs(5);

/// The engine on its database. Close it, or a private cluster that this process started is left running.
pub struct State {
    pub engine: Engine,
    database: Database,
    cluster: Option<KeptCluster>,
}

impl State {
    pub async fn open(config: &StateConfig) -> Result<Self, StateError> {
        let (cluster, url) = match &config.database_url {
            Some(url) => (None, url.clone()),
            None => {
                let cluster = PrivateCluster::start(&config.state_dir).await?;
                let url = cluster.url();
                (Some(KeptCluster::keep(cluster)), url)
            }
        };
        match open_engine(&url).await {
            Ok((engine, database)) => Ok(Self { engine, database, cluster }),
            Err(error) => {
                if let Some(cluster) = cluster {
                    cluster.stop().await?;
                }
                Err(error)
            }
        }
    }

    /// Closes the connections, and stops a private cluster that nobody else uses.
    pub async fn close(self) -> Result<(), StateError> {
        if timeout(CONNECTIONS_CLOSE, self.database.close()).await.is_err() {
            warn!("The database did not let go of every connection within {CONNECTIONS_CLOSE:?}");
        }
        match self.cluster {
            Some(cluster) => Ok(cluster.stop().await?),
            None => Ok(()),
        }
    }
}

async fn open_engine(url: &str) -> Result<(Engine, Database), StateError> {
    let database = Database::open(url).await?;
    let engine = Engine::new(database.clone(), Clock::Database).await?;
    Ok((engine, database))
}
