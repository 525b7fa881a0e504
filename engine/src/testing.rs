//! The harness that tests drive the engine with: a database of their own, a clock that they move, services that they step.

use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use domain::{
    Actor, AttemptKey, LogStream, NewTask, RunnerId, TaskId, TaskView,
    account::NewOwner,
    agent::words::AGENT_WORDS,
    approval::Asked,
    judgement::{Judgement, Ruling, Verdict},
    protocol::{Assignment, AttemptReport, Landed, LandingOrder, Telling, ToRunner, WorkOutcome},
};
use sqlx::PgPool;
use tokio::{sync::mpsc, time::Instant};

use crate::{
    ApprovalKeeper, Chronicler, Clock, Database, Dispatcher, Engine, Lander, Overseer, Rescuer, Result, RunnerSession, Service, Tailer,
    Timekeeper,
    attempt::batch::{Message, Said},
    runner::Connection,
    service::PassedOver,
};

pub const PASSWORD: &str = "a quiet morning walk";
/// Where every test's clock starts.
pub const START: &str = "2026-11-20T09:00:00Z";

/// An engine on a test's own database.
pub struct TestEngine {
    pub engine: Engine,
    pub tailer: Tailer,
}

impl TestEngine {
    /// On the database of `#[sqlx::test]`, with a clock that stands still.
    pub async fn new(pool: &PgPool) -> Self {
        let start = DateTime::parse_from_rfc3339(START).expect("the start is a time").to_utc();
        Self::with_clock(pool, Clock::manual(start)).await
    }

    pub async fn with_clock(pool: &PgPool, clock: Clock) -> Self {
        let options = PgPool::connect_options(pool).as_ref().clone();
        let engine = Engine::new(Database::pools(options), clock).await.expect("the test's database answers");
        Self { engine, tailer: Tailer::default() }
    }

    pub fn advance(&self, by: TimeDelta) {
        self.engine.clock.advance(by);
    }

    /// The first owner of the first workspace.
    pub async fn owner(&self) -> Actor {
        let new = NewOwner { name: "Ada".into(), email: "ada@example.org".into(), password: PASSWORD.into() };
        let user = self.engine.create_owner_here(new).await.expect("there is no owner yet");
        self.engine.actor_of_user(user).await.expect("the database answers").expect("the owner is a member")
    }

    /// A member of another workspace, who must never see anything of the first.
    pub async fn stranger(&self) -> Actor {
        let workspace_id = domain::WorkspaceId(self.engine.new_id());
        let slug = format!("w-{}", workspace_id.short());
        // never the first, wherever the hand of the clock stands
        let made = "insert into workspace (id, slug, name, created_at)
                    select $1, $2, 'Other', coalesce(max(created_at), now()) + interval '1 second' from workspace";
        sqlx::query(made).bind(workspace_id.0).bind(slug).execute(&self.engine.database.system).await.expect("a workspace can be made");
        Actor::new(workspace_id, domain::ActorKind::User { id: domain::UserId(self.engine.new_id()), role: domain::Role::Owner })
    }

    /// The same name is the same runner.
    fn runner_id(&self, name: &str) -> RunnerId {
        RunnerId(uuid::Uuid::from_u128(name.bytes().fold(0, |id, byte| id << 8 | u128::from(byte))))
    }

    /// A link of this runner, the newest.
    async fn session(&self, name: &str, slots: u32, capabilities: &[String]) -> RunnerSession {
        let ticket = self.engine.draw_runner_ticket().await.expect("the database answers");
        let id = self.runner_id(name);
        self.engine.register_runner(id, ticket, name, slots, capabilities).await.expect("a runner can be registered")
    }

    /// A runner that the test plays itself. It takes every prompt that names no agent.
    pub async fn runner(&self, name: &str) -> TestRunner {
        self.runner_with(name, &AGENT_WORDS).await
    }

    /// As [`runner`](Self::runner), with what tasks may need.
    pub async fn runner_with(&self, name: &str, capabilities: &[&str]) -> TestRunner {
        let capabilities: Vec<_> = capabilities.iter().map(|&one| one.to_owned()).collect();
        let session = self.session(name, 100, &capabilities).await;
        TestRunner { engine: self.engine.clone(), session }
    }

    /// A runner that is registered already.
    pub fn playing(&self, session: RunnerSession) -> TestRunner {
        TestRunner { engine: self.engine.clone(), session }
    }

    /// As [`runner`](Self::runner), connected and with so many slots.
    pub async fn connected_runner(&self, name: &str, slots: u32) -> ConnectedRunner {
        self.connected_runner_with(name, slots, &AGENT_WORDS).await
    }

    /// As [`connected_runner`](Self::connected_runner), with what tasks may need.
    pub async fn connected_runner_with(&self, name: &str, slots: u32, capabilities: &[&str]) -> ConnectedRunner {
        let capabilities: Vec<_> = capabilities.iter().map(|&one| one.to_owned()).collect();
        let session = self.session(name, slots, &capabilities).await;
        self.connect(&session)
    }

    /// A link of this runner from now on, whatever came after it was opened.
    pub fn connect(&self, session: &RunnerSession) -> ConnectedRunner {
        self.connect_as(session, true)
    }

    /// As [`connected_runner`](Self::connected_runner), of a version that lands nothing.
    pub async fn connected_older_runner(&self, name: &str) -> ConnectedRunner {
        self.connect_as(&self.session(name, 9, &[]).await, false)
    }

    fn connect_as(&self, session: &RunnerSession, lands: bool) -> ConnectedRunner {
        let (outgoing, told) = mpsc::channel(100);
        let connection = self.engine.hub.connect(session.clone(), outgoing, [], session.standing(), lands);
        ConnectedRunner { runner: self.playing(session.clone()), told, _connection: connection }
    }

    /// What the dispatcher does with what it has claimed for this link.
    pub async fn gives(&self, runner: &ConnectedRunner, assignment: Assignment) {
        self.engine.give(&runner.runner.session, assignment).await.expect("it is given or goes back");
    }

    /// Moves what is due into the queue, as the dispatcher does.
    pub async fn dispatch(&self) {
        Dispatcher::default().tick(&self.engine).await.expect("the dispatcher works");
    }

    /// One round of the timekeeper, and of whoever keeps the deadlines of questions.
    pub async fn keep_time(&self) {
        Timekeeper::default().tick(&self.engine).await.expect("the timekeeper works");
        ApprovalKeeper::default().tick(&self.engine).await.expect("the approval keeper works");
    }

    /// One round of the lander, of a server that people reach at <http://muster.test>.
    pub async fn land(&self) {
        Lander::new("http://muster.test").tick(&self.engine).await.expect("the lander works");
    }

    /// One round of a rescuer that has looked a moment ago.
    pub async fn rescue(&self) {
        let now = self.engine.clock.now(&self.engine.database).await.expect("the clock goes");
        Rescuer::that_looked_at(now).tick(&self.engine).await.expect("the rescuer works");
    }

    /// One round of an overseer that has looked a moment ago.
    pub async fn oversee(&self) {
        let now = self.engine.clock.now(&self.engine.database).await.expect("the clock goes");
        Overseer::that_looked_at(now).tick(&self.engine).await.expect("the overseer works");
    }

    /// One round of whoever keeps how runners stood.
    pub async fn chronicle(&self) {
        Chronicler.tick(&self.engine).await.expect("the chronicler works");
    }

    /// What the rescuer does about an attempt that it found expired a moment ago.
    pub async fn take_back(&self, attempt: AttemptKey) {
        let now = self.engine.clock.now(&self.engine.database).await.expect("the clock goes");
        assert!(self.engine.leases_expired(&mut PassedOver::default(), now, &[attempt]).await.expect("the rescuer works"));
    }

    /// One round of the event tailer.
    pub async fn tail(&mut self) {
        self.tailer.tick(&self.engine).await.expect("the tailer works");
    }

    /// A task's timeline as sentences.
    pub async fn timeline(&self, actor: &Actor, task: TaskId) -> Vec<String> {
        let events = self.engine.task_events(actor, task).await.expect("the timeline can be read");
        events.into_iter().map(|event| event.kind.sentence()).collect()
    }

    pub async fn create(&self, actor: &Actor, new: NewTask) -> TaskView {
        self.engine.create_task(actor, new).await.expect("the task is accepted")
    }
}

/// Cancels what waits for a lock, as the database does when that takes too long; whether there was anything.
pub async fn cancel_what_waits(pool: &PgPool) -> bool {
    let waits = "select pg_cancel_backend(pid) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    sqlx::query_scalar::<_, bool>(waits).fetch_all(pool).await.expect("the database answers").contains(&true)
}

/// A runner played by a test: it says what a runner says, and does nothing by itself.
pub struct TestRunner {
    engine: Engine,
    pub session: RunnerSession,
}

impl TestRunner {
    /// Takes what is queued, up to `most`.
    pub async fn claims(&self, most: usize) -> Vec<Assignment> {
        self.engine.look_around().await.expect("what waits can be seen");
        let claimed = self.engine.claim(self.session.taker(), &vec![self.session.clone(); most]).await.expect("claiming works");
        claimed.into_iter().map(|(_, assignment)| assignment).collect()
    }

    /// Takes up to `most` of what is known to wait, and of what drew a number after this one.
    pub async fn claims_what_joined_after(&self, number: i64, most: usize) -> Vec<TaskId> {
        self.engine.look_at_what_joined_after(number).await.expect("what waits can be seen");
        let taken = self.engine.take(self.session.taker(), &vec![self.session.clone(); most]).await.expect("claiming works");
        taken.into_iter().map(|taken| taken.attempt.task_id).collect()
    }

    /// Takes the one task that is queued.
    pub async fn claims_one(&self) -> Assignment {
        let mut claimed = self.claims(1).await;
        claimed.pop().expect("a task is queued")
    }

    pub async fn starts(&self, attempt: AttemptKey) -> Result<()> {
        self.says(attempt, Said::Started { base_commit: "0123456789abcdef", branch: "muster/test-1", continues: None }).await
    }

    /// Begins by going on from the attempt with this number.
    pub async fn goes_on(&self, attempt: AttemptKey, earlier: i32) -> Result<()> {
        self.says(attempt, Said::Started { base_commit: "0123456789abcdef", branch: "muster/test-2", continues: Some(earlier) }).await
    }

    pub async fn verifies(&self, attempt: AttemptKey) -> Result<()> {
        self.says(attempt, Said::Verifying).await
    }

    pub async fn logs(&self, attempt: AttemptKey, offset: u64, text: &str) -> Result<()> {
        self.engine.append_log(&self.session, attempt, offset, LogStream::Stdout, text.as_bytes()).await
    }

    /// Renews; says whether the attempt is still held, and whether it is to be ended.
    pub async fn renews(&self, attempt: AttemptKey) -> Result<(bool, bool)> {
        let answer = self.engine.heartbeat(&self.session, &[attempt], Instant::now()).await?;
        Ok((answer.stale.is_empty(), !answer.cancel.is_empty()))
    }

    /// What its next heartbeat brings for an attempt.
    pub async fn is_told(&self, attempt: AttemptKey) -> Vec<Telling> {
        self.engine.heartbeat(&self.session, &[attempt], Instant::now()).await.expect("the runner is known").tell
    }

    /// A sign of life of one who works on nothing.
    pub async fn is_idle(&self) -> Result<()> {
        self.engine.heartbeat(&self.session, &[], Instant::now()).await.map(drop)
    }

    /// The same, of which nobody knows whether it has waited for the server for so long.
    pub async fn was_idle(&self, before: Duration) -> Result<()> {
        let heard_after = Instant::now().checked_sub(before).expect("this machine has run for longer");
        self.engine.heartbeat(&self.session, &[], heard_after).await.map(drop)
    }

    pub async fn reports(&self, attempt: AttemptKey, report: AttemptReport) -> Result<()> {
        self.says(attempt, Said::Report { report: &report, log_end: 0 }).await
    }

    async fn says(&self, attempt: AttemptKey, said: Said<'_>) -> Result<()> {
        let carried = self.engine.carry_out(Some(&self.session), &[Message::inferred(attempt, said)]).await;
        carried.all()?.pop().expect("one message has one outcome")
    }

    /// Says several things about attempts at once; the outcome of each.
    pub async fn says_together(&self, said: &[(AttemptKey, Words)]) -> Vec<Result<()>> {
        let messages: Vec<_> = said.iter().map(|(attempt, words)| Message::inferred(*attempt, words.said())).collect();
        self.engine.carry_out(Some(&self.session), &messages).await.all().expect("the database answers")
    }

    /// Says what it had before it went away.
    pub async fn comes_back_without(&self, attempt: AttemptKey) -> Result<()> {
        self.engine.attempts_lost(&self.session, &[attempt]).await.map(drop)
    }

    /// Says what came of what it was told to land.
    pub async fn has_landed(&self, landed: &Landed) -> Result<()> {
        self.engine.landed(&self.session, landed).await
    }

    /// Says hello over a new link, as far as landings are concerned.
    pub fn asks_what_is_to_land(&self) {
        self.engine.hub.asks_what_is_to_land(&self.session);
    }

    /// Carries an attempt to a successful end, with every check passed.
    pub async fn succeeds(&self, assignment: &Assignment) -> Result<()> {
        self.starts(assignment.attempt).await?;
        self.verifies(assignment.attempt).await?;
        self.reports(assignment.attempt, report(assignment, domain::CheckStatus::Passed)).await
    }

    /// Ends an attempt with a failing command.
    pub async fn fails(&self, assignment: &Assignment) -> Result<()> {
        self.starts(assignment.attempt).await?;
        let failure = domain::Failure::new(domain::FailureCode::CommandFailed, "the command ended with exit status 1");
        let outcome = WorkOutcome::Failed { failure };
        self.reports(assignment.attempt, AttemptReport { outcome, verification: None, ..report(assignment, domain::CheckStatus::Passed) })
            .await
    }
}

/// What a runner says about an attempt.
pub enum Words {
    Started,
    Session(Vec<domain::SessionEvent>),
    /// With the runner's number for it.
    Asks(i32, domain::Isolation, Asked),
    /// The same of this agent, in a sandbox.
    AsksOf(domain::Backend, i32, Asked),
    AsksNoMore(i32),
    Heard(i64),
    WorksAgain(i32, domain::VerificationReport),
    Verifying,
    Report(Box<AttemptReport>),
}

impl Words {
    fn said(&self) -> Said<'_> {
        match self {
            Self::Started => Said::Started { base_commit: "0123456789abcdef", branch: "muster/test-1", continues: None },
            Self::WorksAgain(round, verification) => Said::WorksAgain { round: *round, verification },
            Self::Session(events) => Said::Session { events },
            Self::Asks(question, isolation, asked) => {
                Said::Asks { question: *question, isolation: *isolation, backend: &domain::Backend::ClaudeCode, asked }
            }
            Self::AsksOf(backend, question, asked) => {
                Said::Asks { question: *question, isolation: domain::Isolation::Sandbox, backend, asked }
            }
            Self::AsksNoMore(question) => Said::AsksNoMore { question: *question },
            Self::Heard(telling) => Said::Heard { telling: *telling },
            Self::Verifying => Said::Verifying,
            Self::Report(report) => Said::Report { report, log_end: 0 },
        }
    }
}

/// A report of work that completed, in which every check of the assignment came out alike.
pub fn report(assignment: &Assignment, status: domain::CheckStatus) -> AttemptReport {
    let checks = assignment.checks.iter().map(|spec| domain::CheckResult {
        spec: spec.clone(),
        status,
        output: "what the check printed".into(),
        command: None,
        duration_ms: 12,
        judgement: spec.kind.is_judge().then(|| judgement(status)),
    });
    let started_at = DateTime::parse_from_rfc3339(START).expect("the start is a time").to_utc();
    AttemptReport {
        outcome: WorkOutcome::Completed,
        exit_code: Some(0),
        branch: Some("muster/test-1".into()),
        commit: Some("fedcba9876543210".into()),
        repositories: vec![],
        verification: Some(domain::VerificationReport { checks: checks.collect(), started_at, duration_ms: 34, checked: vec![] }),
        artifacts: vec![],
        output: None,
        findings: vec![],
    }
}

/// What came of a judge whose check came out like this.
pub fn judgement(status: domain::CheckStatus) -> Judgement {
    let verdict = |verdict| Verdict { verdict, confidence: 90, reasons: vec!["what the judge said".into()], findings: vec![] };
    Judgement {
        backend: domain::Backend::ClaudeCode,
        version: Some("2.1.328".into()),
        model: Some("opus".into()),
        verdict: match status {
            domain::CheckStatus::Passed => Some(verdict(Ruling::Pass)),
            domain::CheckStatus::Failed => Some(verdict(Ruling::Fail)),
            _ => None,
        },
        turns: Some(3),
        input: 1200,
        cached: 1000,
        output: 40,
        cost_micros: Some(1305),
        events: None,
    }
}

/// A runner that is connected to this process, so that the dispatcher gives it work.
pub struct ConnectedRunner {
    pub runner: TestRunner,
    told: mpsc::Receiver<ToRunner>,
    _connection: Connection,
}

impl ConnectedRunner {
    /// What it has been told since the last time.
    pub fn told(&mut self) -> Vec<ToRunner> {
        std::iter::from_fn(|| self.told.try_recv().ok()).collect()
    }

    /// What it has been told to land since the last time; the rest is forgotten.
    pub fn told_to_land(&mut self) -> Vec<LandingOrder> {
        self.told().into_iter().filter_map(|message| if let ToRunner::Land { order, .. } = message { Some(*order) } else { None }).collect()
    }

    /// Says that it can go on from these attempts; what it is to forget of them.
    pub async fn keeps(&self, attempts: &[AttemptKey]) -> Vec<AttemptKey> {
        match self.runner.engine.note_kept(&self.runner.session, attempts).await {
            Some(ToRunner::Forget { attempts, .. }) => attempts,
            _ => vec![],
        }
    }

    /// Reports that the work was stopped, as it was told to.
    pub async fn has_stopped(&self, assignment: &Assignment) {
        let stopped =
            AttemptReport { outcome: WorkOutcome::Cancelled, verification: None, ..report(assignment, domain::CheckStatus::Passed) };
        self.runner.reports(assignment.attempt, stopped).await.expect("the report is taken");
        self.runner.engine.hub.release(&self.runner.session, assignment.attempt);
    }
}
