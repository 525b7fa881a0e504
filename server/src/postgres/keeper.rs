//! Starts Postgres again when it ends while somebody uses it: killed by a person, by the kernel for its memory, by a fault.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::{error, warn};

use super::{PostgresError, PrivateCluster};

/// Between two looks at the process.
const EVERY: Duration = Duration::from_millis(500);

/// Before the next try when it cannot be started: a full disk does not get better by hammering on it.
const PAUSE: Duration = Duration::from_secs(5);

/// A cluster that is looked after. Dropping it ends that, and leaves Postgres running as a dropped [`PrivateCluster`] does.
pub struct KeptCluster {
    stop: CancellationToken,
    keeper: AbortOnDropHandle<PrivateCluster>,
}

impl KeptCluster {
    pub fn keep(cluster: PrivateCluster) -> Self {
        let stop = CancellationToken::new();
        let keeper = AbortOnDropHandle::new(TaskTracker::new().spawn(keep_running(cluster, stop.clone())));
        Self { stop, keeper }
    }

    /// As [`PrivateCluster::stop`].
    ///
    /// # Errors
    /// Those of [`PrivateCluster::stop`].
    pub async fn stop(self) -> Result<(), PostgresError> {
        self.stop.cancel();
        match self.keeper.await {
            Ok(cluster) => cluster.stop().await,
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }
}

async fn keep_running(mut cluster: PrivateCluster, stop: CancellationToken) -> PrivateCluster {
    let mut pause = EVERY;
    while stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_some() {
        pause = EVERY;
        if !cluster.has_ended().await {
            continue;
        }
        warn!("Muster's own Postgres has ended by itself; starting it again");
        if let Err(error) = cluster.start_again().await {
            error!("Muster's own Postgres could not be started again, the next try is in {} s: {error}", PAUSE.as_secs());
            pause = PAUSE;
        }
    }
    cluster
}
