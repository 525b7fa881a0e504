//! Plays the server over one link after the other: answers what it is told, and keeps all of it, each thing once.

mod machine;
mod report;
mod repository;

use std::{
    collections::{HashMap, HashSet},
    fs,
    future::ready,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use domain::{
    AttemptId, AttemptKey, LogStream, RunnerId,
    protocol::{Assignment, AttemptReport, Heard, Hello, PART_BYTES, Said, ToRunner, ToServer, VERSION},
};
use runner::{AgentConfig, AgentNetwork, LandingConfig, Limits, Link, NotLinked, Paths, RunnerConfig, RunnerError, SandboxConfig};
use tempfile::TempDir;
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinHandle},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

pub use machine::{is_alive, pids, until, until_away, until_gone, until_there};
pub use report::{check_output, diff, failure_code, outcome, statuses};
pub use repository::{Repository, checks, without_a_sandbox};

/// Long for a busy machine, and never reached when all is well.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits so short that a test can sit them out, on a disk that may be as full as it likes.
pub fn short() -> Limits {
    let brief = Duration::from_millis(300);
    Limits {
        interrupt: brief,
        terminate: brief,
        pipes: brief,
        goodbye: brief,
        last_report: brief,
        reconnect: brief,
        left_free: 0,
        look: brief,
        ..Limits::default()
    }
}

/// What the played server asks of the runner's signs of life.
#[derive(Clone, Copy)]
pub struct Terms {
    pub heartbeat_seconds: u32,
    pub lease_seconds: u32,
}

impl Default for Terms {
    fn default() -> Self {
        Self { heartbeat_seconds: 1, lease_seconds: 120 }
    }
}

/// How the played server behaves.
#[derive(Clone, Default)]
struct Manners {
    /// Answers nothing from now on.
    mute: bool,
    /// Hears nothing from now on.
    deaf: bool,
    /// Cannot be reached.
    away: bool,
    /// Holds up whoever dials, with the thread that it does it on.
    holds_up: bool,
    stale: HashSet<AttemptId>,
    terms: Terms,
}

struct Floor {
    heard: watch::Sender<Vec<ToServer>>,
    /// Reports that came while nobody heard them.
    unheard: watch::Sender<usize>,
    manners: Mutex<Manners>,
    /// How much there is of what was said about each attempt.
    known: Mutex<HashMap<AttemptId, Heard>>,
    /// The link of now.
    link: Mutex<Option<Open>>,
    tracker: TaskTracker,
}

struct Open {
    to_runner: mpsc::Sender<ToRunner>,
    answering: AbortHandle,
}

/// A runner, and the server it talks to.
pub struct Server {
    floor: Arc<Floor>,
    stop: CancellationToken,
    runner: JoinHandle<Result<(), RunnerError>>,
    pub state: PathBuf,
}

/// A state folder that outlives the runners in it.
pub struct State(TempDir);

impl State {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> PathBuf {
        self.0.path().join("runner")
    }
}

pub fn config(state_dir: PathBuf) -> RunnerConfig {
    RunnerConfig {
        name: "local".into(),
        state_dir,
        slots: 4,
        agent_command: None,
        agents: AgentConfig::default(),
        capabilities: vec![],
        paths: Paths::All,
        // a list takes Muster's own program, which these tests have not
        sandbox: SandboxConfig { may_be_left_out: true, agent_network: AgentNetwork::Open, ..SandboxConfig::default() },
        landing: LandingConfig::default(),
    }
}

impl Server {
    pub async fn with(state: &State) -> Self {
        Self::with_config(config(state.path()), short()).await
    }

    pub async fn with_config(config: RunnerConfig, limits: Limits) -> Self {
        Self::with_terms(config, limits, Terms::default()).await
    }

    /// One that has given this attempt to somebody else before the runner comes.
    pub async fn that_took_back(state: &State, attempt: AttemptKey) -> Self {
        let manners = Manners { stale: HashSet::from([attempt.attempt_id]), ..Manners::default() };
        Self::with_manners(config(state.path()), short(), manners).await
    }

    pub async fn with_terms(config: RunnerConfig, limits: Limits, terms: Terms) -> Self {
        Self::with_manners(config, limits, Manners { terms, ..Manners::default() }).await
    }

    /// Returns when the runner is welcome.
    async fn with_manners(config: RunnerConfig, limits: Limits, manners: Manners) -> Self {
        let stop = CancellationToken::new();
        let state = config.state_dir.clone();
        let tracker = TaskTracker::new();
        let floor = Arc::new(Floor {
            heard: watch::Sender::new(vec![]),
            unheard: watch::Sender::new(0),
            manners: Mutex::new(manners),
            known: Mutex::default(),
            link: Mutex::default(),
            tracker: tracker.clone(),
        });
        let dialed = Arc::clone(&floor);
        let dial = move || ready(Floor::open(&dialed));
        let runner = tracker.spawn(runner::run_with(config, limits, dial, stop.clone()));
        let server = Self { floor, stop, runner, state };
        server.until("the runner is there", |heard| heard.iter().any(|message| matches!(message, ToServer::Heartbeat { .. }))).await;
        server
    }

    pub async fn tell(&self, message: ToRunner) {
        let to_runner = self.floor.link.lock().unwrap().as_ref().unwrap().to_runner.clone();
        to_runner.send(message).await.unwrap();
    }

    /// Closes the link of now.
    pub fn cut(&self) {
        self.floor.link.lock().unwrap().take().unwrap().answering.abort();
    }

    /// Closes the link of now, and opens no other.
    pub fn go_away(&self) {
        self.floor.manners.lock().unwrap().away = true;
        self.cut();
    }

    /// Closes the link of now, and lets nobody who dials go on.
    pub fn hold_up(&self) {
        self.floor.manners.lock().unwrap().holds_up = true;
        self.cut();
    }

    pub fn let_go_on(&self) {
        self.floor.manners.lock().unwrap().holds_up = false;
    }

    pub fn come_back(&self) {
        self.floor.manners.lock().unwrap().away = false;
    }

    pub async fn assign(&self, assignment: &Assignment) -> AttemptKey {
        self.tell(ToRunner::Assign { assignment: Box::new(assignment.clone()) }).await;
        assignment.attempt
    }

    pub async fn cancel(&self, attempt: AttemptKey) {
        self.tell(ToRunner::Cancel { attempt }).await;
    }

    /// Assigns, and waits for the report.
    pub async fn carry_out(&self, assignment: &Assignment) -> AttemptReport {
        let attempt = self.assign(assignment).await;
        self.report(attempt).await
    }

    pub async fn report(&self, attempt: AttemptKey) -> AttemptReport {
        self.until("the report", |heard| report_of(heard, attempt).is_some()).await;
        report_of(&self.heard(), attempt).unwrap()
    }

    pub fn has_report(&self, attempt: AttemptKey) -> bool {
        report_of(&self.heard(), attempt).is_some()
    }

    /// What every later message about the attempt is answered with.
    pub fn take_back(&self, attempt: AttemptKey) {
        self.floor.manners.lock().unwrap().stale.insert(attempt.attempt_id);
    }

    pub fn fall_silent(&self) {
        self.floor.manners.lock().unwrap().mute = true;
    }

    pub fn go_deaf(&self) {
        self.floor.manners.lock().unwrap().deaf = true;
    }

    pub fn hear_again(&self) {
        self.floor.manners.lock().unwrap().deaf = false;
    }

    /// Until a report has come that nobody heard.
    pub async fn until_a_report_is_unheard(&self) {
        let mut unheard = self.floor.unheard.subscribe();
        let came = tokio::time::timeout(PATIENCE, unheard.wait_for(|unheard| *unheard > 0)).await;
        came.expect("a report comes").unwrap();
    }

    pub fn speak_again(&self) {
        self.floor.manners.lock().unwrap().mute = false;
    }

    pub fn ask_to_stop(&self) {
        self.stop.cancel();
    }

    /// Asks the runner to stop, and waits until it has.
    pub async fn stop(mut self) -> Vec<ToServer> {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, &mut self.runner).await.expect("the runner stops").unwrap().unwrap();
        self.floor.heard.borrow().clone()
    }

    pub fn heard(&self) -> Vec<ToServer> {
        self.floor.heard.borrow().clone()
    }

    pub async fn until(&self, what: &str, is_there: impl Fn(&[ToServer]) -> bool) {
        let mut heard = self.floor.heard.subscribe();
        let found = tokio::time::timeout(PATIENCE, heard.wait_for(|heard| is_there(heard))).await.is_ok();
        assert!(found, "{what} did not come; heard was {:#?}", self.heard());
    }

    pub async fn until_output(&self, attempt: AttemptKey, text: &str) {
        self.until(text, |heard| log_of(heard, attempt, Some(LogStream::Stdout)).contains(text)).await;
    }

    pub async fn until_muster_says(&self, attempt: AttemptKey, text: &str) {
        self.until(text, |heard| log_of(heard, attempt, Some(LogStream::Muster)).contains(text)).await;
    }

    /// In any of its streams.
    pub async fn until_log(&self, attempt: AttemptKey, text: &str) {
        self.until(text, |heard| log_of(heard, attempt, None).contains(text)).await;
    }

    /// The attempt's log so far, all streams together.
    pub fn log(&self, attempt: AttemptKey) -> String {
        log_of(&self.heard(), attempt, None)
    }

    pub fn output(&self, attempt: AttemptKey, stream: LogStream) -> String {
        log_of(&self.heard(), attempt, Some(stream))
    }

    /// Until an attempt of an earlier life is known to be lost: by the hello, or after all that was said about it.
    pub async fn until_lost(&self, attempt: AttemptKey) {
        let is_lost = |message: &ToServer| match message {
            ToServer::Hello(hello) => hello.lost.contains(&attempt),
            ToServer::Said { attempt: spoken_of, said: Said::GivenUp { .. }, .. } => *spoken_of == attempt,
            _ => false,
        };
        self.until("that it is lost", |heard| heard.iter().any(is_lost)).await;
    }

    /// What the first hello says that this life holds.
    pub fn held(&self) -> Vec<AttemptKey> {
        self.hellos().remove(0).attempts
    }

    /// What the first hello says that an earlier life left.
    pub fn lost(&self) -> Vec<AttemptKey> {
        self.hellos().remove(0).lost
    }

    /// What the runner says it has.
    pub fn capabilities(&self) -> Vec<String> {
        self.hellos().remove(0).capabilities
    }

    pub fn hellos(&self) -> Vec<Hello> {
        let hello = |message| if let ToServer::Hello(hello) = message { Some(hello) } else { None };
        self.heard().into_iter().filter_map(hello).collect()
    }

    /// What was said about the attempt beside its log.
    pub fn said(&self, attempt: AttemptKey) -> Vec<Said> {
        let said = |message| match message {
            ToServer::Said { attempt: spoken_of, said, .. } if spoken_of == attempt => Some(said),
            _ => None,
        };
        self.heard().into_iter().filter_map(said).collect()
    }

    /// What it was given up with, as it had changed it.
    pub fn left(&self, attempt: AttemptKey) -> String {
        let artifacts = self.said(attempt).into_iter().find_map(|said| match said {
            Said::GivenUp { artifacts } => Some(artifacts),
            _ => None,
        });
        artifacts.unwrap().iter().map(|artifact| String::from_utf8_lossy(&artifact.content).into_owned()).collect()
    }

    /// The attempt's folder, worktree included.
    pub fn folder(&self, attempt: AttemptKey) -> PathBuf {
        self.state.join("attempts").join(attempt.attempt_id.to_string())
    }

    /// What the runner has written down of what it says about the attempt.
    pub fn written(&self, attempt: AttemptKey) -> Vec<u8> {
        fs::read(said_about(&self.state, attempt)).unwrap_or_default()
    }

    pub async fn until_written(&self, attempt: AttemptKey, text: &str) {
        machine::until(text, || self.written(attempt).windows(text.len()).any(|part| part == text.as_bytes())).await;
    }

    pub fn journal(&self) -> usize {
        fs::read_dir(self.state.join("journal")).unwrap().count()
    }

    /// The journal forgets an attempt right after its report is stored.
    pub async fn until_the_journal_is_empty(&self) {
        machine::until("an empty journal", || self.journal() == 0).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Floor {
    fn open(floor: &Arc<Self>) -> Result<Link, NotLinked> {
        let deadline = Instant::now() + PATIENCE;
        while floor.manners.lock().unwrap().holds_up && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        if floor.manners.lock().unwrap().away {
            return Err(NotLinked("nobody listens there".into()));
        }
        let (to_server, from_runner) = mpsc::channel(64);
        let (to_runner, from_server) = mpsc::channel(64);
        let answering = floor.tracker.spawn(answer(Arc::clone(floor), from_runner, to_runner.clone())).abort_handle();
        *floor.link.lock().unwrap() = Some(Open { to_runner, answering });
        Ok(Link { to_server, from_server })
    }

    /// Whether it is new. Insists on the order that the protocol promises.
    fn takes_in(&self, message: &ToServer) -> bool {
        let mut known = self.known.lock().unwrap();
        let nothing = |attempt: AttemptKey| Heard { attempt, sequence: 0, log: 0 };
        match message {
            ToServer::Hello(_)
            | ToServer::Heartbeat { .. }
            | ToServer::Leave
            | ToServer::Stops { .. }
            | ToServer::Reading { .. }
            | ToServer::Pulling { .. }
            | ToServer::Lacks { .. }
            | ToServer::Landed { .. }
            | ToServer::Rejects { .. }
            | ToServer::Keeps { .. } => true,
            ToServer::Said { attempt, sequence, said } => {
                let known = known.entry(attempt.attempt_id).or_insert_with(|| nothing(*attempt));
                assert!(*sequence <= known.sequence + 1, "numbers rise by one");
                let is_new = *sequence > known.sequence;
                known.sequence = known.sequence.max(*sequence);
                if let Said::Report { log_end, .. } | Said::ReportInParts { log_end, .. } = said {
                    assert_eq!(*log_end, known.log, "the log comes before the report");
                }
                is_new
            }
            ToServer::Log { attempt, offset, bytes, .. } => {
                let known = known.entry(attempt.attempt_id).or_insert_with(|| nothing(*attempt));
                assert!(*offset <= known.log, "a log has no gaps");
                let is_new = *offset == known.log;
                known.log = known.log.max(offset + bytes.len() as u64);
                is_new
            }
        }
    }
}

/// Answers every message that comes over one link.
async fn answer(floor: Arc<Floor>, mut from_runner: mpsc::Receiver<ToServer>, to_runner: mpsc::Sender<ToRunner>) {
    let _ = to_runner.send(ToRunner::Opened { nonce: String::new(), version: VERSION }).await;
    while let Some(message) = from_runner.recv().await {
        if floor.manners.lock().unwrap().deaf {
            floor.unheard.send_modify(|unheard| *unheard += usize::from(is_report(&message)));
            continue;
        }
        let is_new = floor.takes_in(&message);
        // none of these has an answer that is always the same
        if matches!(
            message,
            ToServer::Stops { .. }
                | ToServer::Reading { .. }
                | ToServer::Pulling { .. }
                | ToServer::Lacks { .. }
                | ToServer::Landed { .. }
                | ToServer::Rejects { .. }
                | ToServer::Keeps { .. }
        ) {
            floor.heard.send_modify(|heard| heard.push(message));
            continue;
        }
        let manners = floor.manners.lock().unwrap().clone();
        let is_stale = |attempt: &&AttemptKey| manners.stale.contains(&attempt.attempt_id);
        let answer = match &message {
            ToServer::Hello(hello) => {
                let known = floor.known.lock().unwrap();
                ToRunner::Welcome {
                    runner_id: RunnerId(Uuid::now_v7()),
                    heartbeat_seconds: manners.terms.heartbeat_seconds,
                    lease_seconds: manners.terms.lease_seconds,
                    heard: hello.attempts.iter().filter_map(|attempt| known.get(&attempt.attempt_id).copied()).collect(),
                    stale: hello.attempts.iter().filter(is_stale).copied().collect(),
                    cancel: vec![],
                    tell: vec![],
                }
            }
            ToServer::Heartbeat { beat, attempts, .. } => {
                let stale = attempts.iter().filter(is_stale).copied().collect();
                let mut believed = at_work(&floor.heard.borrow());
                believed.retain(|attempt| !attempts.contains(attempt) && !is_stale(&attempt));
                ToRunner::Renewed { beat: *beat, stale, cancel: vec![], tell: vec![], believed }
            }
            ToServer::Leave
            | ToServer::Stops { .. }
            | ToServer::Reading { .. }
            | ToServer::Pulling { .. }
            | ToServer::Lacks { .. }
            | ToServer::Landed { .. }
            | ToServer::Rejects { .. }
            | ToServer::Keeps { .. } => ToRunner::Left,
            ToServer::Said { attempt, .. } | ToServer::Log { attempt, .. } if is_stale(&attempt) => ToRunner::Stale { attempt: *attempt },
            ToServer::Said { attempt, sequence, .. } => ToRunner::Stored { attempt: *attempt, sequence: *sequence },
            ToServer::Log { attempt, offset, bytes, .. } => ToRunner::Logged { attempt: *attempt, end: offset + bytes.len() as u64 },
        };
        if is_new {
            floor.heard.send_modify(|heard| heard.push(message));
        }
        if !manners.mute && to_runner.send(answer).await.is_err() {
            return;
        }
    }
}

/// What was said to have begun, and not to have ended or to be missing.
fn at_work(heard: &[ToServer]) -> Vec<AttemptKey> {
    let mut at_work = vec![];
    for message in heard {
        match message {
            ToServer::Said { attempt, said: Said::Started { .. }, .. } => at_work.push(*attempt),
            ToServer::Said { attempt, said: Said::Report { .. } | Said::ReportInParts { .. } | Said::GivenUp { .. }, .. } => {
                at_work.retain(|one| one != attempt);
            }
            ToServer::Lacks { attempts, .. } => at_work.retain(|one| !attempts.contains(one)),
            _ => {}
        }
    }
    at_work
}

/// Where a runner with this state folder keeps what it says about an attempt.
pub fn said_about(state: &Path, attempt: AttemptKey) -> PathBuf {
    state.join("outbox").join(format!("{}.said", attempt.attempt_id))
}

fn is_report(message: &ToServer) -> bool {
    matches!(message, ToServer::Said { said: Said::Report { .. } | Said::ReportInParts { .. }, .. })
}

fn report_of(heard: &[ToServer], wanted: AttemptKey) -> Option<AttemptReport> {
    let mut parts = vec![];
    heard.iter().find_map(|message| match message {
        ToServer::Said { attempt, said, .. } if *attempt == wanted => match said {
            Said::Part { bytes } => {
                assert!(bytes.len() <= PART_BYTES);
                parts.extend_from_slice(bytes);
                None
            }
            Said::ReportInParts { length, .. } => {
                assert_eq!(*length, parts.len() as u64);
                Some(serde_json::from_slice(&parts).unwrap())
            }
            Said::Report { report, .. } => Some((**report).clone()),
            _ => None,
        },
        _ => None,
    })
}

fn log_of(heard: &[ToServer], wanted: AttemptKey, only: Option<LogStream>) -> String {
    let bytes: Vec<u8> = heard
        .iter()
        .flat_map(|message| match message {
            ToServer::Log { attempt, stream, bytes, .. } if *attempt == wanted && only.is_none_or(|only| only == *stream) => bytes.clone(),
            _ => vec![],
        })
        .collect();
    String::from_utf8_lossy(&bytes).into_owned()
}
