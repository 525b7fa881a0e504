//! One life of a runner: clear up after the last one, talk to the server over one link after the other, and leave nothing behind.
//!
//! Attempts live beside the links: one that closes changes nothing for them.

use std::{
    ffi::OsString,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use domain::{AttemptKey, protocol::Credentials};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    AgentNetwork, Limits, Link, NotLinked, RunnerConfig, RunnerError,
    backend::{found::Found, identity::Identity, known::Known, manifest::folder::Folder},
    clock::Moment,
    credentials,
    dial::Backoff,
    folders::Folders,
    git::{self, Git},
    heartbeat::Fence,
    held::{Held, Order, Why},
    interrupted::Interrupted,
    journal::Journal,
    key::Key,
    landing::Landings,
    mirror::Mirrors,
    outbox::Outbox,
    pulls::Pulls,
    reading::{self, Seen},
    recover,
    rejections::Rejections,
    remains::LeftBehind,
    sandbox::Sandbox,
    slots::Slots,
    talk::{Ended, Talk},
};

/// The proxy of a room asks no other one.
fn goes_past_its_proxy(config: &RunnerConfig) -> bool {
    let is_a_proxy = |name: &OsString| name.eq_ignore_ascii_case("https_proxy");
    let has_a_list = matches!(config.sandbox.agent_network, AgentNetwork::Provider | AgentNetwork::Listed(_));
    has_a_list && config.agents.environment.iter().any(|(name, _)| is_a_proxy(name))
}

/// What all attempts share.
pub(crate) struct Runner {
    pub config: RunnerConfig,
    pub limits: Limits,
    pub folders: Folders,
    /// Of a runner that has joined its server.
    pub key: Option<Key>,
    pub journal: Journal,
    pub mirrors: Mirrors,
    pub git: Git,
    /// What git in the work signs with when this machine's user has no name of their own.
    pub identity: Identity,
    /// The agents that Muster knows by itself, those of them that were found, and whether one is missed that was there before. Whoever follows
    /// those that were found hears of what the server has to be told.
    programs: tokio::sync::Mutex<Known>,
    pub known: watch::Sender<Arc<[Found]>>,
    is_one_missed: AtomicBool,
    /// The folder of manifests, and the agents that were found by them. The same holds for these.
    manifests: Option<tokio::sync::Mutex<Folder>>,
    pub others: watch::Sender<Arc<[Found]>>,
    pub landings: Landings,
    pub rejections: Rejections,
    /// What is kept of attempts that were interrupted.
    pub interrupted: Arc<Interrupted>,
    /// Where the work runs.
    pub sandbox: Arc<Sandbox>,
    pub outbox: Arc<Outbox>,
    pub held: Held,
    /// What attempts have left on this machine that should be gone.
    pub left_behind: LeftBehind,
    /// When the last heartbeat that the server has answered was sent.
    pub renewed: watch::Sender<Moment>,
    /// How long a lease lasts, once the server has said so.
    pub lease: watch::Sender<Option<Duration>>,
    /// What was read of the machine last.
    pub reading: watch::Sender<Option<Seen>>,
    pub pulls: Pulls,
    /// Everything was given up for want of an answer, and none has come since.
    pub has_given_up: AtomicBool,
    /// The server has said that it is given nothing new.
    is_drained: AtomicBool,
    /// A heartbeat is due before its time.
    pub beat_now: Notify,
    pub slots: Arc<Slots>,
    pub tracker: TaskTracker,
    pub stop: CancellationToken,
}

/// What there is on the machine of a runner when its life begins.
pub(crate) struct Machine {
    pub folders: Folders,
    pub key: Option<Key>,
    pub identity: Identity,
    pub sandbox: Arc<Sandbox>,
}

impl Runner {
    pub async fn open(config: RunnerConfig, limits: Limits, stop: CancellationToken) -> Result<Self, RunnerError> {
        git::version::is_new_enough().await?;
        let folders = Folders::open(&config.state_dir).await?;
        let tokens = config.landing.tokens.as_deref();
        let written =
            credentials::write(&folders.credentials, tokens).and_then(|()| credentials::write_for_guests(&folders.guests, tokens));
        written.map_err(|source| RunnerError::State { path: config.state_dir.clone(), source })?;
        let mut rooms = config.sandbox.clone();
        rooms.hidden.extend(tokens.map(Path::to_owned));
        let sandbox = Arc::new(Sandbox::new(rooms, folders.state_dir.clone()));
        if let Err(reason) = sandbox.is_there().await {
            warn!("There is no sandbox on this machine, so that this runner is given only work that is to run without: {reason}");
        }
        if goes_past_its_proxy(&config) {
            warn!(
                "HTTPS_PROXY is set, and what agents reach by a list is reached past it: where their models are reached by that proxy \
                 alone, set MUSTER_SANDBOX_AGENT_NETWORK=open"
            );
        }
        let key = Key::open(&config.state_dir).map_err(|source| RunnerError::State { path: config.state_dir.clone(), source })?;
        let identity = Identity::find().await.map_err(RunnerError::GitMissing)?;
        let runner = Self::on(Machine { folders, key, identity, sandbox }, config, limits, stop);
        runner.look_at_programs().await;
        runner.look_at_manifests().await;
        Ok(runner)
    }

    /// As its life begins.
    pub fn on(machine: Machine, config: RunnerConfig, limits: Limits, stop: CancellationToken) -> Self {
        let Machine { folders, key, identity, sandbox } = machine;
        let most = config.most_manifests();
        Self {
            journal: Journal::new(folders.journal.clone()),
            mirrors: Mirrors::new(folders.mirrors.clone()),
            git: Git::new(folders.gitconfig.clone()),
            identity,
            programs: tokio::sync::Mutex::new(Known::new(&config.agents)),
            known: watch::Sender::new(Arc::default()),
            is_one_missed: AtomicBool::new(false),
            manifests: config.agents.manifests.clone().map(|folder| tokio::sync::Mutex::new(Folder::new(folder, most))),
            others: watch::Sender::new(Arc::default()),
            landings: Landings::default(),
            rejections: Rejections::default(),
            interrupted: Arc::new(Interrupted::new(folders.kept.clone(), limits.kept)),
            sandbox,
            outbox: Arc::new(Outbox::new(folders.outbox.clone(), limits.left_free)),
            held: Held::default(),
            left_behind: LeftBehind::default(),
            renewed: watch::Sender::new(Moment::now()),
            lease: watch::Sender::new(None),
            reading: watch::Sender::new(None),
            pulls: Pulls::default(),
            has_given_up: AtomicBool::new(false),
            is_drained: AtomicBool::new(false),
            beat_now: Notify::new(),
            slots: Slots::new(config.slots),
            tracker: TaskTracker::new(),
            stop,
            folders,
            key,
            limits,
            config,
        }
    }
}

impl Runner {
    /// Git, with what it may prove who it is with.
    pub fn git_for(&self, credentials: &Credentials) -> Git {
        match credentials {
            Credentials::Machine => self.git.clone(),
            Credentials::Workspace { slug } => self.git.for_guest(credentials::of_guest(&self.folders.guests, slug)),
        }
    }

    /// As the server says. Whether that is news.
    pub fn note_drained(&self, on: bool) -> bool {
        self.is_drained.swap(on, Ordering::Relaxed) != on
    }

    /// Whether anything may be said but signs of life. Whoever stood still for longer than a lease hears first what is still its own, or
    /// ends it: what it has would be another's word about the same task.
    pub fn may_speak(&self) -> bool {
        let is_over = self.lease.borrow().is_some_and(|lease| self.renewed.borrow().elapsed() >= lease);
        !is_over || self.has_given_up.load(Ordering::Relaxed)
    }

    /// The leases of what was held then last from then on.
    pub fn renew(&self, sent_at: Moment) {
        let is_news = self.renewed.send_if_modified(|renewed| {
            let is_later = sent_at > *renewed;
            if is_later {
                *renewed = sent_at;
                self.has_given_up.store(false, Ordering::Relaxed);
            }
            is_later
        });
        if is_news {
            self.outbox.wake();
        }
    }

    /// Everything that is held, unless the last heartbeat that was answered was sent later than that after all: nothing is renewed while that is
    /// looked at and done. Says whether it was.
    pub fn give_up(&self, patience: Duration) -> bool {
        let mut is_over = false;
        self.renewed.send_if_modified(|renewed| {
            is_over = renewed.elapsed() >= patience;
            if is_over {
                self.held.order_all(Order::Abandon(Why::Fenced));
                self.has_given_up.store(true, Ordering::Relaxed);
            }
            false
        });
        is_over
    }

    /// The agent programs that there are, those of manifests last. When one has gone, as in an update, they are looked for at once, and again the
    /// next time when it is not there yet.
    pub async fn agents(&self) -> Arc<[Found]> {
        let has_gone = self.known.borrow().iter().any(|found| !found.program.exists());
        if has_gone || self.is_one_missed.load(Ordering::Relaxed) {
            self.look_at_programs().await;
        }
        self.agents_last_seen()
    }

    /// As the last look has found them.
    pub fn agents_last_seen(&self) -> Arc<[Found]> {
        let (known, others) = (Arc::clone(&self.known.borrow()), Arc::clone(&self.others.borrow()));
        if others.is_empty() { known } else { known.iter().chain(others.iter()).cloned().collect() }
    }

    /// What has been installed, updated or taken away of the agents that Muster knows by itself.
    async fn look_at_programs(&self) {
        let mut programs = self.programs.lock().await;
        let now = programs.look(Instant::now()).await;
        // while it is held: what was seen later is not replaced by what was seen before
        keep(&self.known, now);
        self.is_one_missed.store(programs.misses_one(), Ordering::Relaxed);
    }

    /// What has come into the folder of manifests, has changed in it or has gone.
    async fn look_at_manifests(&self) {
        let Some(folder) = &self.manifests else { return };
        let now = folder.lock().await.look(&self.sandbox, Instant::now()).await;
        keep(&self.others, now);
    }

    /// Whoever makes none is given nothing that needs one, so that only a new hello helps once it does.
    async fn look_for_a_sandbox(&self) {
        if !self.sandbox.is_known_to_be_there() && self.sandbox.is_there().await.is_ok() {
            info!("This machine makes sandboxes now");
            self.others.send_modify(|_| {});
        }
    }
}

/// Whoever follows them hears of it where the server has to be told.
fn keep(agents: &watch::Sender<Arc<[Found]>>, now: Vec<Found>) {
    agents.send_if_modified(|agents| {
        let is_news = !agents.iter().map(Found::about).eq(now.iter().map(Found::about));
        *agents = now.into();
        is_news
    });
}

pub(crate) async fn run<D, F>(config: RunnerConfig, limits: Limits, dial: D, stop: CancellationToken) -> Result<(), RunnerError>
where
    D: FnMut() -> F,
    F: Future<Output = Result<Link, NotLinked>>,
{
    let runner = Arc::new(Runner::open(config, limits, stop).await?);
    let lost = recover::earlier_lives(&runner).await;
    let fence = Fence::put_up(Arc::clone(&runner)).map_err(RunnerError::NoFence)?;
    let ended = live(&runner, lost, dial, fence.gone()).await;
    drop(fence);
    leave(&runner).await;
    if matches!(ended, Err(RunnerError::Unknown(_))) {
        // it is a runner no longer, and there may be no life that would find it too old
        runner.interrupted.forget_all().await;
    }
    ended
}

/// As long as there is a server that wants it and a fence that keeps it, until it is to stop.
pub(crate) async fn live<D, F>(
    runner: &Arc<Runner>,
    lost: Vec<AttemptKey>,
    dial: D,
    fence_fell: impl Future<Output = ()>,
) -> Result<(), RunnerError>
where
    D: FnMut() -> F,
    F: Future<Output = Result<Link, NotLinked>>,
{
    tokio::select! {
        biased;
        () = fence_fell => Err(RunnerError::FenceGone),
        ended = links(runner, dial, Talk::new(lost)) => ended,
        () = look_around(runner) => Ok(()),
        never = runner.left_behind.look_again(runner.limits.gone) => match never {},
        never = reading::keep_looking(runner) => match never {},
    }
}

/// Looks at manifests between two looks at whether the machine makes sandboxes by now, where it made none.
const LOOKS_FOR_A_SANDBOX: u32 = 20;

/// Never ends by itself.
async fn look_around(runner: &Runner) {
    let mut looks = 0_u32;
    loop {
        if runner.manifests.is_none() && runner.sandbox.is_known_to_be_there() && runner.programs.lock().await.is_empty() {
            std::future::pending::<()>().await;
        }
        sleep(runner.limits.look).await;
        // neither waits for a program of the other's that does not answer
        tokio::join!(runner.look_at_programs(), runner.look_at_manifests());
        runner.interrupted.keep_within_bounds().await;
        looks = looks.wrapping_add(1);
        if looks.is_multiple_of(LOOKS_FOR_A_SANDBOX) {
            runner.look_for_a_sandbox().await;
        }
    }
}

/// One link after the other, until the runner is to stop or is not wanted.
async fn links<D, F>(runner: &Arc<Runner>, mut dial: D, mut talk: Talk) -> Result<(), RunnerError>
where
    D: FnMut() -> F,
    F: Future<Output = Result<Link, NotLinked>>,
{
    let mut backoff = Backoff::new(runner.limits.reconnect);
    loop {
        let dialed = tokio::select! {
            biased;
            () = runner.stop.cancelled() => return Ok(()),
            dialed = dial() => dialed,
        };
        let mut opened = None;
        match dialed {
            Ok(link) => {
                opened = Some(Instant::now());
                match talk.over(runner, link).await? {
                    Ended::Left => return Ok(()),
                    Ended::Closed | Ended::Outdated if runner.stop.is_cancelled() => return Ok(()),
                    // at most once for each look around, and for each attempt that was given for what is gone
                    Ended::Outdated => {
                        info!("What this runner has said of its agents or its sandboxes is so no more, and it says so over a new link");
                        continue;
                    }
                    Ended::Closed => info!("The link to the server is closed; {} attempts go on", runner.held.keys().len()),
                }
            }
            Err(NotLinked(reason)) => warn!("The server cannot be reached, and is tried again: {reason}"),
        }
        tokio::select! {
            biased;
            () = runner.stop.cancelled() => return Ok(()),
            () = sleep(backoff.next(opened.map(|at| at.elapsed()))) => {}
        }
    }
}

/// Clears up after earlier lives, says what they have left to be said, and that this machine is a runner no longer. Tries for so long.
pub(crate) async fn leave_for_good<D, F>(config: RunnerConfig, mut dial: D, patience: Duration) -> Result<(), RunnerError>
where
    D: FnMut() -> F,
    F: Future<Output = Result<Link, NotLinked>>,
{
    let runner = Arc::new(Runner::open(config, Limits::default(), CancellationToken::new()).await?);
    let mut talk = Talk::new(recover::earlier_lives(&runner).await);
    let mut backoff = Backoff::new(runner.limits.reconnect);
    // the other half is for the server to take back what is left
    let rest_until = Instant::now() + patience / 2;
    let says = async {
        loop {
            match dial().await {
                Ok(link) => {
                    if talk.leave(&runner, link, rest_until).await? {
                        runner.interrupted.forget_all().await;
                        return Ok(());
                    }
                    warn!("The link closed before the server had answered, and is opened again");
                }
                Err(NotLinked(reason)) => warn!("The server cannot be reached, and is tried again: {reason}"),
            }
            sleep(backoff.next(None)).await;
        }
    };
    let said = tokio::time::timeout(patience, says).await;
    leave(&runner).await;
    said.unwrap_or(Err(RunnerError::NotHeard(patience)))
}

/// Ends what still runs. Nobody hears of it any more: the journal tells it to the next life.
pub(crate) async fn leave(runner: &Runner) {
    runner.stop.cancel();
    runner.held.order_all(Order::Abandon(Why::Stopping));
    runner.outbox.close();
    runner.tracker.close();
    runner.tracker.wait().await;
}

#[cfg(test)]
mod tests {
    use domain::{AttemptId, AttemptKey, TaskId};
    use uuid::Uuid;

    use super::*;
    use crate::{AgentConfig, LandingConfig, Paths, SandboxConfig};

    async fn opened(folder: &Path) -> Runner {
        let config = RunnerConfig {
            name: "local".into(),
            state_dir: folder.to_owned(),
            slots: 1,
            agent_command: None,
            agents: AgentConfig::default(),
            capabilities: vec![],
            paths: Paths::All,
            sandbox: SandboxConfig { program: "/nowhere/bwrap".into(), ..SandboxConfig::default() },
            landing: LandingConfig::default(),
        };
        Runner::open(config, Limits::default(), CancellationToken::new()).await.unwrap()
    }

    #[tokio::test]
    async fn that_a_runner_is_drained_is_news_once() {
        let folder = tempfile::tempdir().unwrap();
        let runner = opened(folder.path()).await;
        let news = [false, true, true, false, false].map(|on| runner.note_drained(on));
        assert_eq!(news, [false, true, false, true, false]);
    }

    #[tokio::test]
    async fn whoever_was_answered_meanwhile_gives_nothing_up() {
        let folder = tempfile::tempdir().unwrap();
        let runner = opened(folder.path()).await;
        let key = AttemptKey { task_id: TaskId(Uuid::nil()), attempt_id: AttemptId(Uuid::nil()), number: 1 };
        let (orders, _tellings) = runner.held.take(key).unwrap();
        let stands = || (orders.current(), runner.has_given_up.load(Ordering::Relaxed));
        runner.renew(Moment::now());
        assert!(!runner.give_up(Duration::from_secs(3600)));
        assert_eq!(stands(), (Order::Work, false));
        assert!(runner.give_up(Duration::ZERO));
        assert_eq!(stands(), (Order::Abandon(Why::Fenced), true));
        runner.renew(Moment::now());
        assert_eq!(stands(), (Order::Abandon(Why::Fenced), false), "what was given up stays so, and what is taken now is held");
    }
}
