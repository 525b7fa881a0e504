//! What an attempt costs before its command runs: from the assignment to the first byte that the command writes, and to the report, with
//! the real runner, in a sandbox and without one, on a repository of 1,000 files. Its server is played here and answers at once, so that the
//! runner alone is measured. The limit is what has to be done by whoever does it: `git worktree add`, and `sh`.

use std::{
    future::ready,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use domain::{
    AttemptId, AttemptKey, Isolation, LogStream, RunnerId, TaskId, Work,
    protocol::{Assignment, Said, ToRunner, ToServer, VERSION},
};
use runner::{AgentConfig, LandingConfig, Link, Paths, RunnerConfig, SandboxConfig};
use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use crate::{
    figures::Figure,
    repository::{self, git},
};

const FILES: usize = 1_000;
/// The first ones are not counted: they fill caches and make the mirror.
const WARM_UP: usize = 3;
const ROUNDS: usize = 30;

/// How long after its assignment.
struct Times {
    first_byte: Duration,
    report: Duration,
}

pub async fn figures(folder: &Path) -> anyhow::Result<Vec<Figure>> {
    eprintln!("  overhead of an attempt");
    // not below a folder that sandboxes replace by one of their own
    let folder = tempfile::tempdir_in(folder)?;
    let repository = repository::make(folder.path(), FILES)?;
    let limit = median(by_hand(folder.path(), &repository)?);
    let open = measure(&folder.path().join("open"), &repository, Isolation::None).await?;
    let closed = measure(&folder.path().join("closed"), &repository, Isolation::Sandbox).await?;
    let name = |what: &str| format!("assigned to {what}, {FILES} files, one attempt at a time, p50");
    let of = |times: &[Times], pick: fn(&Times) -> Duration| median(times.iter().map(pick).collect());
    let beside = |name: String, pick: fn(&Times) -> Duration| {
        Figure::below(name, "ms", of(&closed, pick)).beside([("without a sandbox", of(&open, pick))], limit)
    };
    Ok(vec![beside(name("the command's first byte"), |one| one.first_byte).goal(250.0), beside(name("its report"), |one| one.report)])
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

/// The least that somebody has to do.
fn by_hand(folder: &Path, repository: &Path) -> anyhow::Result<Vec<Duration>> {
    let mut times = vec![];
    for round in 0..WARM_UP + ROUNDS {
        let worktree = folder.join(format!("by-hand-{round}"));
        let began = Instant::now();
        git(repository, &["worktree", "add", "--quiet", "--detach", worktree.to_str().context("a path of text")?])?;
        let said = Command::new("sh").args(["-c", "echo ready"]).current_dir(&worktree).output()?;
        ensure!(said.stdout == b"ready\n", "sh says nothing");
        times.push(began.elapsed());
    }
    Ok(times.split_off(WARM_UP))
}

async fn measure(state_dir: &Path, repository: &Path, isolation: Isolation) -> anyhow::Result<Vec<Times>> {
    let config = RunnerConfig {
        name: "bench".into(),
        state_dir: state_dir.to_owned(),
        capabilities: vec![],
        slots: 1,
        agent_command: None,
        agents: AgentConfig::default(),
        paths: Paths::All,
        sandbox: SandboxConfig { may_be_left_out: true, ..SandboxConfig::default() },
        landing: LandingConfig::default(),
    };
    let (to_runner, from_server) = mpsc::channel(64);
    let (to_server, from_runner) = mpsc::channel(64);
    let mut link = Some(Link { to_server, from_server });
    let stop = CancellationToken::new();
    let dial = move || ready(link.take().ok_or_else(|| runner::NotLinked("there is one link".into())));
    let running = TaskTracker::new().spawn(runner::run(config, dial, stop.clone()));
    let mut server = Server { to_runner, from_runner };
    if let Err(gone) = server.greets().await {
        drop(server);
        return match running.await? {
            Err(error) => Err(error).context("the runner has not begun"),
            Ok(()) => Err(gone),
        };
    }
    let mut times = vec![];
    for _ in 0..WARM_UP + ROUNDS {
        times.push(server.gives(repository, isolation).await?);
    }
    stop.cancel();
    drop(server);
    running.await??;
    Ok(times.split_off(WARM_UP))
}

struct Server {
    to_runner: mpsc::Sender<ToRunner>,
    from_runner: mpsc::Receiver<ToServer>,
}

impl Server {
    async fn tells(&self, message: ToRunner) -> anyhow::Result<()> {
        self.to_runner.send(message).await.context("the runner is gone")
    }

    /// Until it is known to have heard the welcome.
    async fn greets(&mut self) -> anyhow::Result<()> {
        self.tells(ToRunner::Opened { nonce: String::new(), version: VERSION }).await?;
        loop {
            let message = self.from_runner.recv().await.context("the runner is gone")?;
            let is_welcome = matches!(message, ToServer::Heartbeat { .. });
            self.answers(message).await?;
            if is_welcome {
                return Ok(());
            }
        }
    }

    async fn gives(&mut self, repository: &Path, isolation: Isolation) -> anyhow::Result<Times> {
        let attempt = AttemptKey { task_id: TaskId(Uuid::now_v7()), attempt_id: AttemptId(Uuid::now_v7()), number: 1 };
        let assignment = Assignment {
            attempt,
            title: "Say that you are there".into(),
            correlation_id: None,
            work: Work::Command("echo ready".into()),
            agent: Default::default(),
            repository: repository.to_str().context("a path of text")?.into(),
            base_ref: None,
            repositories: vec![],
            submodules: false,
            lfs: false,
            files: vec![],
            success_criteria: vec![],
            checks: vec![],
            inputs: Default::default(),
            timeout_seconds: 60,
            tier: Default::default(),
            failed_checks: vec![],
            isolation,
            credentials: Default::default(),
            endpoint: None,
            continues: None,
        };
        let began = Instant::now();
        self.tells(ToRunner::Assign { assignment: Box::new(assignment) }).await?;
        let mut first_byte = None;
        loop {
            let message = self.from_runner.recv().await.context("the runner is gone")?;
            if matches!(message, ToServer::Log { stream: LogStream::Stdout, .. }) {
                first_byte.get_or_insert(began.elapsed());
            }
            let ended = matches!(message, ToServer::Said { said: Said::Report { .. }, .. });
            self.answers(message).await?;
            if ended {
                let first_byte = first_byte.context("the command said nothing; is there a sandbox?")?;
                return Ok(Times { first_byte, report: began.elapsed() });
            }
        }
    }

    async fn answers(&self, message: ToServer) -> anyhow::Result<()> {
        let answer = match message {
            ToServer::Hello(hello) => ToRunner::Welcome {
                runner_id: RunnerId(hello.runner_id.0),
                heartbeat_seconds: 10,
                lease_seconds: 60,
                heard: vec![],
                stale: vec![],
                cancel: vec![],
                tell: vec![],
            },
            ToServer::Heartbeat { beat, .. } => ToRunner::Renewed { beat, stale: vec![], cancel: vec![], tell: vec![], believed: vec![] },
            ToServer::Said { attempt, sequence, .. } => ToRunner::Stored { attempt, sequence },
            ToServer::Log { attempt, offset, bytes, .. } => ToRunner::Logged { attempt, end: offset + bytes.len() as u64 },
            // so that whoever measures sees that something is wrong
            ToServer::Rejects { reason, .. } => anyhow::bail!("what is measured was not taken: {reason}"),
            // these have no answer
            ToServer::Reading { .. } | ToServer::Pulling { .. } | ToServer::Keeps { .. } => return Ok(()),
            ToServer::Leave | ToServer::Stops { .. } | ToServer::Lacks { .. } | ToServer::Landed { .. } => ToRunner::Left,
        };
        self.tells(answer).await
    }
}
