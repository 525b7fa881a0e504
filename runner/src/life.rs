//! One life of a runner: clear up after the last one, say hello, take assignments, and leave nothing behind.

use std::{sync::Arc, time::Duration};

use domain::{
    AttemptKey,
    protocol::{Assignment, Numbered, ToRunner, ToServer, VERSION},
};
use tokio::{
    sync::{Notify, Semaphore, mpsc, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    Limits, Link, RunnerConfig, RunnerError, attempt,
    backend::shell,
    folders::Folders,
    git::Git,
    heartbeat,
    held::{Held, Order, Why},
    journal::Journal,
    mirror::Mirrors,
    outbox::{Closed, Outbox},
    recover,
};

/// What all attempts share.
pub(crate) struct Runner {
    pub config: RunnerConfig,
    pub limits: Limits,
    pub folders: Folders,
    pub journal: Journal,
    pub mirrors: Mirrors,
    pub git: Git,
    /// What git in the work signs with when this machine's user has no name of their own.
    pub identity: Vec<(&'static str, &'static str)>,
    pub outbox: Arc<Outbox>,
    pub held: Held,
    /// When the last heartbeat that the server has stored was sent.
    pub renewed: watch::Sender<Instant>,
    pub slots: Semaphore,
    pub tracker: TaskTracker,
    pub stop: CancellationToken,
}

impl Runner {
    pub async fn open(
        config: RunnerConfig,
        limits: Limits,
        to_server: mpsc::Sender<Numbered>,
        stop: CancellationToken,
    ) -> Result<Self, RunnerError> {
        let folders = Folders::open(&config.state_dir).await?;
        Ok(Self {
            journal: Journal::new(folders.journal.clone()),
            mirrors: Mirrors::new(folders.mirrors.clone()),
            git: Git::new(folders.gitconfig.clone()),
            identity: shell::identity().await.map_err(RunnerError::GitMissing)?,
            outbox: Arc::new(Outbox::new(to_server)),
            held: Held::default(),
            renewed: watch::Sender::new(Instant::now()),
            slots: Semaphore::new(config.slots.max(1) as usize),
            tracker: TaskTracker::new(),
            stop,
            folders,
            limits,
            config,
        })
    }
}

/// What the server asks of a runner's signs of life.
struct Terms {
    heartbeat: Duration,
    lease: Duration,
}

pub(crate) async fn run(config: RunnerConfig, limits: Limits, link: Link, stop: CancellationToken) -> Result<(), RunnerError> {
    let Link { to_server, mut from_server } = link;
    let runner = Arc::new(Runner::open(config, limits, to_server, stop).await?);
    let lost = recover::earlier_lives(&runner).await;
    let Some(terms) = hello(&runner, &lost, &mut from_server).await? else { return Ok(()) };
    for key in &lost {
        runner.journal.remove(key.attempt_id).await;
    }
    info!(runner = runner.config.name, lost = lost.len(), "Runner {} is ready", runner.config.name);
    serve(&runner, terms, &mut from_server).await;
    leave(&runner, &mut from_server).await;
    Ok(())
}

/// Nothing when the runner is stopped before it is welcome.
async fn hello(runner: &Runner, lost: &[AttemptKey], from_server: &mut mpsc::Receiver<ToRunner>) -> Result<Option<Terms>, RunnerError> {
    let name = runner.config.name.clone();
    let runner_id = runner.folders.identity;
    let (slots, capabilities) = (runner.config.slots.max(1), runner.config.all_capabilities());
    let hello = ToServer::Hello { version: VERSION, runner_id, name, slots, capabilities, lost: lost.to_vec() };
    let welcome = async {
        runner.outbox.send(hello).await.map_err(|Closed| RunnerError::NotWelcome)?;
        loop {
            match from_server.recv().await {
                Some(ToRunner::Welcome { heartbeat_seconds, lease_seconds, .. }) => {
                    runner.renewed.send_replace(Instant::now());
                    let heartbeat = Duration::from_secs(heartbeat_seconds.max(1).into());
                    return Ok(Terms { heartbeat, lease: Duration::from_secs(lease_seconds.into()) });
                }
                Some(ToRunner::Stored { sequence }) => drop(runner.outbox.stored(sequence)),
                Some(other) => warn!("Before its welcome, the runner was told {other:?}; not done"),
                None => return Err(RunnerError::NotWelcome),
            }
        }
    };
    tokio::select! {
        terms = welcome => terms.map(Some),
        () = runner.stop.cancelled() => Ok(None),
    }
}

/// Takes what the server sends, until the runner is to stop or the link closes.
async fn serve(runner: &Arc<Runner>, terms: Terms, from_server: &mut mpsc::Receiver<ToRunner>) {
    let taken = Notify::new();
    let beat = heartbeat::beat(&runner.outbox, &runner.held, terms.heartbeat, &taken);
    let fence = heartbeat::fence(&runner.held, terms.lease, runner.renewed.subscribe());
    tokio::pin!(beat, fence);
    loop {
        tokio::select! {
            () = runner.stop.cancelled() => return,
            Closed = &mut beat => return,
            () = &mut fence => return,
            message = from_server.recv() => match message {
                None => return,
                Some(ToRunner::Assign { assignment }) => take(runner, *assignment, &taken),
                Some(ToRunner::Cancel { attempt }) => runner.held.order(attempt.attempt_id, Order::Cancel),
                Some(answer) => hear(runner, answer),
            },
        }
    }
}

fn take(runner: &Arc<Runner>, assignment: Assignment, taken: &Notify) {
    let key = assignment.attempt;
    let Some(orders) = runner.held.take(key) else {
        warn!(attempt.id = %key.attempt_id, "Attempt {} of task {} was assigned twice", key.number, key.task_id);
        return;
    };
    // Every heartbeat from now on names it; the first is sent at once.
    let taken_at = Instant::now();
    taken.notify_one();
    runner.tracker.spawn(attempt::carry_out(Arc::clone(runner), assignment, orders, taken_at));
}

fn hear(runner: &Runner, answer: ToRunner) {
    match answer {
        ToRunner::Stored { sequence } => {
            if let Some(sent_at) = runner.outbox.stored(sequence) {
                runner.renewed.send_if_modified(|renewed| {
                    let later = sent_at > *renewed;
                    *renewed = sent_at.max(*renewed);
                    later
                });
            }
        }
        ToRunner::Stale { sequence, attempt } => {
            runner.outbox.stale(sequence);
            runner.held.order(attempt.attempt_id, Order::Abandon(Why::Stale));
        }
        ToRunner::Welcome { .. } | ToRunner::Assign { .. } | ToRunner::Cancel { .. } => {}
    }
}

/// Ends what still runs. What has only its report left to say has a moment to hear that it is stored.
async fn leave(runner: &Runner, from_server: &mut mpsc::Receiver<ToRunner>) {
    // The link may have closed by itself; then this ends the attempts all the same.
    runner.stop.cancel();
    runner.held.order_all(Order::Abandon(Why::Stopping));
    runner.tracker.close();
    let mut open = true;
    loop {
        tokio::select! {
            () = runner.tracker.wait() => break,
            message = from_server.recv(), if open => match message {
                Some(ToRunner::Assign { assignment }) => attempt::leave_to_the_next_life(runner, &assignment).await,
                Some(answer) => hear(runner, answer),
                None => {
                    open = false;
                    runner.outbox.close();
                }
            },
        }
    }
    from_server.close();
    while let Some(message) = from_server.recv().await {
        if let ToRunner::Assign { assignment } = message {
            attempt::leave_to_the_next_life(runner, &assignment).await;
        }
    }
}
