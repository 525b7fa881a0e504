//! A runner that speaks the whole protocol and does nothing: no git, no processes, no checks. What is left is what the engine does.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::Context;
use domain::{
    RunnerId, TaskId, Timestamp, VerificationReport,
    protocol::{Assignment, AttemptReport, Numbered, ToRunner, ToServer, VERSION, WorkOutcome},
};
use engine::Engine;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// Messages that may wait on either side. A runner's slots times what it says of an attempt stays below, so neither side waits for the
/// other for ever.
const WAITING: usize = 256;
pub const SLOTS_MAX: u32 = 64;

/// What the runners have come to.
#[derive(Default)]
pub struct Tally {
    /// Attempts whose end is committed.
    pub ended: AtomicU64,
}

/// Whoever wants to know when a task was given to a runner: the task, and nanoseconds since 1970.
pub type Given = mpsc::UnboundedSender<(TaskId, u128)>;

/// Connects one to the engine, as the server connects its local runner.
pub fn attach(engine: Engine, number: u32, slots: u32, tally: Arc<Tally>, given: Option<Given>, tracker: &TaskTracker) {
    let (to_server, from_runner) = mpsc::channel(WAITING);
    let (to_runner, from_server) = mpsc::channel(WAITING);
    let runner = NoOpRunner { to_server, sequence: 0, reports: HashSet::new(), tally, given };
    tracker.spawn(async move {
        if let Err(error) = runner.work(number, slots, from_server).await {
            eprintln!("runner {number} has stopped: {error:#}");
        }
    });
    tracker.spawn(async move {
        if let Err(error) = engine::serve_runner(engine, from_runner, to_runner).await {
            eprintln!("runner {number} was refused: {error}");
        }
    });
}

struct NoOpRunner {
    to_server: mpsc::Sender<Numbered>,
    sequence: u64,
    /// The sequence numbers of reports that are not stored yet.
    reports: HashSet<u64>,
    tally: Arc<Tally>,
    given: Option<Given>,
}

impl NoOpRunner {
    async fn work(mut self, number: u32, slots: u32, mut from_server: mpsc::Receiver<ToRunner>) -> anyhow::Result<()> {
        let runner_id = RunnerId(uuid::Uuid::from_u128(u128::from(number) + 1));
        self.say(ToServer::Hello {
            version: VERSION,
            runner_id,
            name: format!("no-op {number}"),
            slots,
            capabilities: vec![],
            lost: vec![],
        })
        .await?;
        while let Some(message) = from_server.recv().await {
            match message {
                ToRunner::Assign { assignment } => self.carry_out(*assignment).await?,
                ToRunner::Stored { sequence } if self.reports.remove(&sequence) => {
                    self.tally.ended.fetch_add(1, Ordering::Relaxed);
                }
                ToRunner::Stale { attempt, .. } => anyhow::bail!("attempt {} was taken away, so the figures mean nothing", attempt.number),
                // Every attempt is over long before its lease is, so no heartbeat is needed; and nobody cancels.
                ToRunner::Welcome { .. } | ToRunner::Stored { .. } | ToRunner::Cancel { .. } => {}
            }
        }
        Ok(())
    }

    /// Says all that a runner says about work that succeeds.
    async fn carry_out(&mut self, assignment: Assignment) -> anyhow::Result<()> {
        let attempt = assignment.attempt;
        if let Some(given) = &self.given {
            given.send((attempt.task_id, crate::serve::now_nanos()))?;
        }
        let branch = format!("muster/{}-{}", attempt.task_id, attempt.number);
        self.say(ToServer::Started { attempt, base_commit: "0123456789abcdef0123456789abcdef01234567".into(), branch }).await?;
        self.say(ToServer::Verifying { attempt }).await?;
        let verification = VerificationReport { checks: vec![], started_at: Timestamp::default(), duration_ms: 0 };
        let report = AttemptReport {
            outcome: WorkOutcome::Completed,
            exit_code: Some(0),
            branch: None,
            commit: None,
            verification: Some(verification),
            artifacts: vec![],
            output: None,
        };
        let sequence = self.say(ToServer::Report { attempt, report: Box::new(report) }).await?;
        self.reports.insert(sequence);
        Ok(())
    }

    async fn say(&mut self, message: ToServer) -> anyhow::Result<u64> {
        let sequence = self.sequence;
        self.sequence += 1;
        self.to_server.send(Numbered { sequence, message }).await.context("the server does not hear it any more")?;
        Ok(sequence)
    }
}
