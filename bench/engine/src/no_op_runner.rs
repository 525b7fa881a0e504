//! A runner that speaks the whole protocol and does nothing: no git, no processes, no checks. What is left is what the engine does.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use anyhow::Context;
use domain::{
    RunnerId, TaskId, Timestamp, VerificationReport,
    protocol::{Assignment, AttemptReport, Hello, Said, ToRunner, ToServer, VERSION, WorkOutcome},
};
use engine::{Engine, Entrance};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::readings;

/// Messages that may wait on either side. A runner's slots times what it says of an attempt stays below, so neither side waits for the
/// other for ever.
const WAITING: usize = 256;
pub const SLOTS_MAX: u32 = 64;
/// The number of the last thing that is said about each attempt.
pub const REPORT: u64 = 3;

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
    let runner = NoOpRunner { to_server, tally, given };
    tracker.spawn(async move {
        if let Err(error) = runner.work(number, slots, from_server).await {
            eprintln!("runner {number} has stopped: {error:#}");
        }
    });
    tracker.spawn(async move {
        if let Err(error) = engine::serve_runner(engine, Entrance::Here, from_runner, to_runner).await {
            eprintln!("runner {number} was refused: {error}");
        }
    });
}

/// All that a runner says about work that succeeds.
pub fn life(assignment: &Assignment) -> [Said; REPORT as usize] {
    let attempt = assignment.attempt;
    let branch = format!("muster/{}-{}", attempt.task_id, attempt.number);
    let started = Said::Started { base_commit: "0123456789abcdef0123456789abcdef01234567".into(), branch, continues: None };
    let verification = VerificationReport { checks: vec![], started_at: Timestamp::default(), duration_ms: 0, checked: vec![] };
    let report = AttemptReport {
        findings: vec![],
        outcome: WorkOutcome::Completed,
        exit_code: Some(0),
        branch: None,
        commit: None,
        repositories: vec![],
        verification: Some(verification),
        artifacts: vec![],
        output: None,
    };
    [started, Said::Verifying, Said::Report { log_end: 0, report: Box::new(report) }]
}

struct NoOpRunner {
    to_server: mpsc::Sender<ToServer>,
    tally: Arc<Tally>,
    given: Option<Given>,
}

impl NoOpRunner {
    async fn work(self, number: u32, slots: u32, mut from_server: mpsc::Receiver<ToRunner>) -> anyhow::Result<()> {
        let runner_id = RunnerId(uuid::Uuid::from_u128(u128::from(number) + 1));
        let name = format!("no-op {number}");
        let hello = Hello {
            version: VERSION,
            runner_id,
            name,
            slots,
            capabilities: vec![],
            attempts: vec![],
            lost: vec![],
            proof: String::new(),
            no_sandbox: None,
            lands: false,
            backends: vec![],
            rooms: None,
            left_behind: None,
            takes_slots: false,
            keeps: vec![],
        };
        self.say(ToServer::Hello(hello)).await?;
        let (mut moments, mut read) = (readings::moments(number), 0);
        loop {
            let message = tokio::select! {
                message = from_server.recv() => message,
                _ = moments.tick() => {
                    read += 1;
                    // all that it is given ends at once
                    self.say(readings::reading(read, 0, slots)).await?;
                    continue;
                }
            };
            let Some(message) = message else { return Ok(()) };
            match message {
                ToRunner::Assign { assignment } => self.carry_out(*assignment).await?,
                ToRunner::Stored { sequence: REPORT, .. } => drop(self.tally.ended.fetch_add(1, Ordering::Relaxed)),
                ToRunner::Stale { attempt } => anyhow::bail!("attempt {} was taken away, so the figures mean nothing", attempt.number),
                ToRunner::Missing(heard) => anyhow::bail!("something of attempt {} has not arrived", heard.attempt.number),
                ToRunner::NotUnderstood { message } => anyhow::bail!("it is not understood: {message}"),
                ToRunner::Refused { message, .. } => anyhow::bail!("it is refused: {message}"),
                // Every attempt is over long before its lease is, so no heartbeat is needed; nobody cancels, and nobody asks.
                ToRunner::Opened { .. }
                | ToRunner::Welcome { .. }
                | ToRunner::Stored { .. }
                | ToRunner::Logged { .. }
                | ToRunner::Renewed { .. }
                | ToRunner::Tell(_)
                | ToRunner::Pulls { .. }
                | ToRunner::Land { .. }
                | ToRunner::Drain { .. }
                | ToRunner::Config { .. }
                | ToRunner::Forget { .. }
                | ToRunner::Left
                | ToRunner::Cancel { .. } => {}
            }
        }
    }

    /// Says all that a runner says about work that succeeds.
    async fn carry_out(&self, assignment: Assignment) -> anyhow::Result<()> {
        let attempt = assignment.attempt;
        if let Some(given) = &self.given {
            given.send((attempt.task_id, crate::serve::now_nanos()))?;
        }
        for (sequence, said) in (1..).zip(life(&assignment)) {
            self.say(ToServer::Said { attempt, sequence, said }).await?;
        }
        Ok(())
    }

    async fn say(&self, message: ToServer) -> anyhow::Result<()> {
        self.to_server.send(message).await.context("the server does not hear it any more")
    }
}
