//! One link of a runner after the other: what is said again, what is missing, and which link is believed.

use domain::{
    Actor, ArtifactKind, AttemptKey, CheckStatus, LogStream, RunnerId, TaskId, TaskStateName,
    protocol::{Assignment, Heard, Hello, NewArtifact, PART_BYTES, REPORT_BYTES, Said, ToRunner, ToServer, VERSION},
    runner::{Rooms, RunnerFilter},
};
use engine::{
    Entrance, Error, RunnerSession,
    testing::{TestEngine, report},
};
use sqlx::PgPool;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::task::TaskTracker;

use crate::scenario::checked;

/// A link of a runner that the test plays.
pub struct Link {
    to_server: mpsc::Sender<ToServer>,
    pub told: mpsc::Receiver<ToRunner>,
    pub served: JoinHandle<engine::Result<Option<RunnerSession>>>,
}

impl Link {
    /// Nothing is said over it yet.
    pub fn open(test: &TestEngine) -> Self {
        let (to_server, from_runner) = mpsc::channel(64);
        let (to_runner, told) = mpsc::channel(64);
        let served = TaskTracker::new().spawn(engine::serve_runner(test.engine.clone(), Entrance::Here, from_runner, to_runner));
        Self { to_server, told, served }
    }

    /// It has its ticket.
    pub async fn opened(test: &TestEngine) -> Self {
        let mut link = Self::open(test);
        assert!(matches!(link.hears().await, ToRunner::Opened { .. }));
        link
    }

    /// Opened, and welcome with what it holds: how much the server has heard of that, and what is stale.
    pub async fn welcome(test: &TestEngine, slots: u32, attempts: &[AttemptKey]) -> (Self, Vec<Heard>, Vec<AttemptKey>) {
        let mut link = Self::opened(test).await;
        link.says(hello(slots, attempts, &[])).await;
        match link.hears().await {
            ToRunner::Welcome { heard, stale, .. } => (link, heard, stale),
            other => panic!("{other:?}"),
        }
    }

    /// Welcome with one slot and nothing in it, and a hello that says something else of its machine.
    pub async fn of_machine(test: &TestEngine, says: impl FnOnce(Hello) -> Hello) -> Self {
        let mut link = Self::opened(test).await;
        let ToServer::Hello(usual) = hello(1, &[], &[]) else { panic!("it is one") };
        let answer = link.asks(ToServer::Hello(says(usual))).await;
        assert!(matches!(answer, ToRunner::Welcome { .. }), "{answer:?}");
        link
    }

    /// Welcome with one slot, and given the one task there is.
    pub async fn at_work(test: &TestEngine, ada: &Actor) -> (Self, TaskId, Assignment) {
        let id = task(test, ada, "one").await;
        let (mut link, ..) = Self::welcome(test, 1, &[]).await;
        test.dispatch().await;
        let assignment = link.is_assigned().await;
        (link, id, assignment)
    }

    pub async fn says(&self, message: ToServer) {
        self.to_server.send(message).await.unwrap();
    }

    pub async fn hears(&mut self) -> ToRunner {
        self.told.recv().await.unwrap()
    }

    pub async fn asks(&mut self, message: ToServer) -> ToRunner {
        self.says(message).await;
        self.hears().await
    }

    pub async fn is_assigned(&mut self) -> Assignment {
        match self.hears().await {
            ToRunner::Assign { assignment } => *assignment,
            other => panic!("{other:?}"),
        }
    }

    /// Closes it, without waiting for an answer.
    pub async fn breaks(self) {
        drop((self.to_server, self.told));
        self.served.await.unwrap().unwrap();
    }
}

/// The harness's runner of the name "r1".
pub const FAR_AWAY: u128 = 0x7231;

fn hello(slots: u32, attempts: &[AttemptKey], lost: &[AttemptKey]) -> ToServer {
    let runner_id = RunnerId(uuid::Uuid::from_u128(FAR_AWAY));
    let (attempts, lost) = (attempts.to_vec(), lost.to_vec());
    ToServer::Hello(Hello {
        version: VERSION,
        runner_id,
        name: "r1".into(),
        slots,
        capabilities: vec![],
        attempts,
        lost,
        proof: String::new(),
        no_sandbox: None,
        lands: false,
        backends: vec![],
        rooms: None,
        left_behind: None,
        takes_slots: false,
        keeps: vec![],
    })
}

fn hello_without_a_sandbox(why: Option<&str>) -> ToServer {
    match hello(1, &[], &[]) {
        ToServer::Hello(hello) => ToServer::Hello(Hello { no_sandbox: why.map(str::to_owned), ..hello }),
        other => other,
    }
}

fn started(attempt: AttemptKey) -> ToServer {
    let said = Said::Started { base_commit: "0123456789abcdef".into(), branch: "muster/one-1".into(), continues: None };
    ToServer::Said { attempt, sequence: 1, said }
}

fn verifying(attempt: AttemptKey) -> ToServer {
    ToServer::Said { attempt, sequence: 2, said: Said::Verifying }
}

fn reported(assignment: &Assignment, log_end: u64) -> ToServer {
    let report = Box::new(report(assignment, CheckStatus::Passed));
    ToServer::Said { attempt: assignment.attempt, sequence: 3, said: Said::Report { log_end, report } }
}

fn log(attempt: AttemptKey, offset: u64, text: &str) -> ToServer {
    ToServer::Log { attempt, offset, stream: LogStream::Stdout, bytes: text.as_bytes().to_vec() }
}

async fn task(test: &TestEngine, ada: &Actor, title: &str) -> TaskId {
    test.create(ada, checked(title)).await.summary.id
}

/// The state of a task, and how many runners it has lost.
async fn standing(pool: &PgPool, id: TaskId) -> (String, i32) {
    sqlx::query_as("select state, losses from task where id = $1").bind(id.0).fetch_one(pool).await.unwrap()
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_says_why_its_machine_makes_no_sandbox_until_it_does(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let long = "x".repeat(2000);
    for (said, shown) in
        [(Some("there is no bwrap\0"), Some("there is no bwrap\u{fffd}")), (Some(&*long), Some(&long[..1000])), (None, None)]
    {
        let mut link = Link::opened(&test).await;
        assert!(matches!(link.asks(hello_without_a_sandbox(said)).await, ToRunner::Welcome { .. }));
        assert_eq!(test.engine.list_runners(&ada, RunnerFilter::default()).await.unwrap()[0].no_sandbox.as_deref(), shown);
        link.breaks().await;
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_says_what_attempts_may_use_and_what_they_have_left_until_it_is_gone(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let rooms = Rooms {
        memory: Some(4 << 30),
        processes: Some(4096),
        processors: None,
        file: None,
        by_kernel: true,
        network: "example.org,*.example.net:8443".into(),
        agent_network: "open".into(),
        may_be_left_out: false,
    };
    let shown = async || {
        let runner = test.engine.list_runners(&ada, RunnerFilter::default()).await.unwrap().remove(0);
        (runner.rooms, runner.left_behind)
    };
    let left = |text: &str| Some(format!("attempt 1: {text}"));
    let says = |left_behind| ToServer::Heartbeat { beat: 1, attempts: vec![], left_behind };
    let ToServer::Hello(first) = hello(1, &[], &[]) else { panic!("it is one") };
    let mut link = Link::opened(&test).await;
    let message = ToServer::Hello(Hello { rooms: Some(rooms.clone()), left_behind: left("process 4711\0"), ..first });
    assert!(matches!(link.asks(message).await, ToRunner::Welcome { .. }));
    assert_eq!(shown().await, (Some(rooms.clone()), left("process 4711\u{fffd}")));
    for (said, kept) in [(None, left("process 4711\u{fffd}")), (left("a mount"), left("a mount")), (Some(String::new()), None)] {
        assert!(matches!(link.asks(says(said)).await, ToRunner::Renewed { .. }));
        assert_eq!(shown().await, (Some(rooms.clone()), kept));
    }
    link.asks(says(left("a folder"))).await;
    link.breaks().await;

    // a life that has nothing to say of it, or an older program
    let mut link = Link::opened(&test).await;
    assert!(matches!(link.asks(hello(1, &[], &[])).await, ToRunner::Welcome { .. }));
    assert_eq!(shown().await, (None, None));
    link.breaks().await;
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_said_again_over_the_next_link_counts_once(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (mut link, id, assignment) = Link::at_work(&test, &ada).await;
    let attempt = assignment.attempt;
    for message in [started(attempt), log(attempt, 0, "first "), verifying(attempt)] {
        link.asks(message).await;
    }
    link.breaks().await;

    let (mut link, heard, stale) = Link::welcome(&test, 1, &[attempt]).await;
    assert_eq!((heard, stale), (vec![Heard { attempt, sequence: 2, log: 6 }], vec![]));
    assert_eq!(link.asks(started(attempt)).await, ToRunner::Stored { attempt, sequence: 1 });
    assert_eq!(link.asks(log(attempt, 0, "first ")).await, ToRunner::Logged { attempt, end: 6 });
    assert_eq!(link.asks(log(attempt, 6, "second")).await, ToRunner::Logged { attempt, end: 12 });
    assert_eq!(link.asks(verifying(attempt)).await, ToRunner::Stored { attempt, sequence: 2 });
    assert_eq!(link.asks(reported(&assignment, 12)).await, ToRunner::Stored { attempt, sequence: 3 });
    link.breaks().await;

    // the answer to its last word was lost with the link
    let (mut link, heard, stale) = Link::welcome(&test, 1, &[attempt]).await;
    assert_eq!((heard, stale), (vec![Heard { attempt, sequence: 3, log: 12 }], vec![attempt]));
    assert_eq!(link.asks(log(attempt, 6, "second")).await, ToRunner::Logged { attempt, end: 12 });
    assert_eq!(link.asks(reported(&assignment, 12)).await, ToRunner::Stored { attempt, sequence: 3 });
    link.breaks().await;
    assert_eq!(standing(&pool, id).await, ("succeeded".into(), 0));
    let text: String = test.engine.task_log(&ada, id, 0).await.unwrap().into_iter().map(|chunk| chunk.text).collect();
    assert_eq!(text, "first second");
    let timeline = test.timeline(&ada, id).await;
    assert_eq!(timeline.len(), 6, "each fact once: {timeline:#?}");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_comes_too_early_waits_for_what_is_missing(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (mut link, id, assignment) = Link::at_work(&test, &ada).await;
    let attempt = assignment.attempt;
    let missing = |sequence, log| ToRunner::Missing(Heard { attempt, sequence, log });
    assert_eq!(link.asks(verifying(attempt)).await, missing(0, 0));
    assert_eq!(link.asks(log(attempt, 6, "second")).await, missing(0, 0));
    link.asks(started(attempt)).await;
    link.asks(verifying(attempt)).await;
    link.asks(log(attempt, 0, "first ")).await;
    assert_eq!(
        link.asks(log(attempt, 3, "st second")).await,
        missing(2, 6),
        "a piece that is there in part is asked for from where it ends"
    );
    assert_eq!(link.asks(reported(&assignment, 12)).await, missing(2, 6), "the outcome is never known before the log");
    assert_eq!(standing(&pool, id).await.0, "verifying");
    link.asks(log(attempt, 6, "second")).await;
    assert_eq!(link.asks(reported(&assignment, 12)).await, ToRunner::Stored { attempt, sequence: 3 });
    assert_eq!(test.engine.task_state(&ada, id).await.unwrap(), TaskStateName::Succeeded);
    link.breaks().await;
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_late_hello_takes_nothing_from_a_newer_link(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let id = task(&test, &ada, "one").await;
    let late = Link::opened(&test).await;
    let (mut newer, ..) = Link::welcome(&test, 1, &[]).await;
    test.dispatch().await;
    let attempt = newer.is_assigned().await.attempt;
    late.says(hello(1, &[], &[attempt])).await;
    assert!(matches!(late.served.await.unwrap(), Err(Error::Conflict(_))));
    assert_eq!(newer.asks(started(attempt)).await, ToRunner::Stored { attempt, sequence: 1 });
    assert_eq!(standing(&pool, id).await, ("running".into(), 0));
    newer.breaks().await;
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn who_has_a_newer_link_gives_nothing_back_over_the_older(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let id = task(&test, &ada, "one").await;
    let (older, newer) = (test.runner("r1").await, test.runner("r1").await);
    let attempt = newer.claims_one().await.attempt;
    assert_eq!(test.engine.give_back(&older.session).await.unwrap(), 0);
    older.comes_back_without(attempt).await.unwrap();
    assert_eq!(standing(&pool, id).await, ("running".into(), 0));
    assert_eq!(test.engine.give_back(&newer.session).await.unwrap(), 1);
    assert_eq!(standing(&pool, id).await, ("queued".into(), 0));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_newer_link_ends_the_older_and_what_was_on_its_way_is_given_again_uncharged(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let id = task(&test, &ada, "one").await;
    let (older, ..) = Link::welcome(&test, 1, &[]).await;
    test.dispatch().await;
    // the assignment is on its way over the older link, which is cut without either side having noticed
    assert_eq!(standing(&pool, id).await, ("running".into(), 0));
    let (mut newer, ..) = Link::welcome(&test, 1, &[]).await;
    older.served.await.unwrap().unwrap();
    assert_eq!(standing(&pool, id).await, ("queued".into(), 0));
    test.dispatch().await;
    let again = newer.is_assigned().await;
    assert_eq!((again.attempt.task_id, again.attempt.number), (id, 2));
    newer.breaks().await;
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_slots_of_a_runner_that_comes_back_are_taken(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (link, _, held) = Link::at_work(&test, &ada).await;
    link.breaks().await;
    let second = task(&test, &ada, "two").await;
    let (mut link, ..) = Link::welcome(&test, 1, &[held.attempt]).await;
    test.dispatch().await;
    assert_eq!(standing(&pool, second).await.0, "queued");
    let diff = NewArtifact { kind: ArtifactKind::Diff, name: "changes.diff".into(), content: b"+half\n".to_vec() };
    let given_up = ToServer::Said { attempt: held.attempt, sequence: 1, said: Said::GivenUp { artifacts: vec![diff] } };
    for time in ["it is heard", "its answer was lost"] {
        assert_eq!(link.asks(given_up.clone()).await, ToRunner::Stored { attempt: held.attempt, sequence: 1 }, "{time}");
    }
    assert_eq!(standing(&pool, held.attempt.task_id).await, ("queued".into(), 1), "what is given up is charged as a lost runner");
    let left = test.engine.task_diffs(&ada, held.attempt.task_id, 1).await.unwrap();
    assert_eq!(left.into_iter().map(|(_, text)| text).collect::<Vec<_>>(), ["+half\n"], "what it had changed is there to look at, once");
    test.dispatch().await;
    link.is_assigned().await;
    link.breaks().await;
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_is_asked_for_what_it_does_not_name_and_what_it_lacks_is_taken_back(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (mut link, id, assignment) = Link::at_work(&test, &ada).await;
    let attempt = assignment.attempt;
    let beat = |beat, attempts: &[AttemptKey]| ToServer::Heartbeat { beat, attempts: attempts.to_vec(), left_behind: None };
    let renewed = |beat, believed| ToRunner::Renewed { beat, stale: vec![], cancel: vec![], tell: vec![], believed };
    assert_eq!(link.asks(beat(1, &[])).await, renewed(1, vec![]), "it may be on its way");
    link.asks(started(attempt)).await;
    assert_eq!(link.asks(beat(2, &[attempt])).await, renewed(2, vec![]));
    assert_eq!(link.asks(beat(3, &[])).await, renewed(3, vec![attempt]));
    assert_eq!(standing(&pool, id).await, ("running".into(), 0), "that it was not named takes nothing back");
    link.says(ToServer::Lacks { attempts: vec![attempt], optional: true }).await;
    assert_eq!(link.asks(beat(4, &[])).await, renewed(4, vec![]));
    assert_eq!(standing(&pool, id).await, ("queued".into(), 1), "it is charged as what a runner comes back without");
    test.dispatch().await;
    assert_eq!(link.is_assigned().await.attempt.number, 2, "its slot is free");
    link.breaks().await;
}

/// Welcome with one slot, and the one task there is another runner has begun.
async fn beside_another_at_work(test: &TestEngine, ada: &Actor) -> (Link, TaskId, AttemptKey) {
    let id = task(test, ada, "one").await;
    let holder = test.runner("another").await;
    let held = holder.claims_one().await.attempt;
    holder.starts(held).await.unwrap();
    let (link, ..) = Link::welcome(test, 1, &[]).await;
    (link, id, held)
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn nobody_says_that_another_runner_lacks_something(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (mut link, id, held) = beside_another_at_work(&test, &ada).await;
    link.says(ToServer::Lacks { attempts: vec![held], optional: true }).await;
    let answer = link.asks(ToServer::Heartbeat { beat: 1, attempts: vec![], left_behind: None }).await;
    assert!(matches!(&answer, ToRunner::Renewed { believed, .. } if believed.is_empty()), "{answer:?}");
    assert_eq!(standing(&pool, id).await, ("running".into(), 0));
    link.breaks().await;
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn nobody_rejects_what_another_runner_holds(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (mut link, id, held) = beside_another_at_work(&test, &ada).await;
    link.says(ToServer::Rejects { attempt: held, reason: "it is another's".into(), optional: true }).await;
    link.asks(ToServer::Heartbeat { beat: 1, attempts: vec![], left_behind: None }).await;
    assert_eq!(standing(&pool, id).await, ("running".into(), 0));
    let next = task(&test, &ada, "two").await;
    test.dispatch().await;
    assert_eq!(link.is_assigned().await.attempt.task_id, next, "whoever rejects nothing of its own is given work as before");
    link.breaks().await;
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_missing_over_an_older_link_is_with_the_newer_one(pool: PgPool) {
    // of two servers: in one the newer link would have ended the older
    let (test, other) = (TestEngine::new(&pool).await, TestEngine::new(&pool).await);
    let ada = test.owner().await;
    let (mut older, id, assignment) = Link::at_work(&test, &ada).await;
    let attempt = assignment.attempt;
    older.asks(started(attempt)).await;
    let (newer, ..) = Link::welcome(&other, 1, &[attempt]).await;
    older.says(ToServer::Lacks { attempts: vec![attempt], optional: true }).await;
    older.says(ToServer::Heartbeat { beat: 1, attempts: vec![], left_behind: None }).await;
    assert_eq!(older.told.recv().await, None, "it is over");
    assert_eq!(standing(&pool, id).await, ("running".into(), 0));
    newer.breaks().await;
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn nobody_loses_what_another_runner_holds(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let id = task(&test, &ada, "one").await;
    let holder = test.runner("another").await;
    let held = holder.claims_one().await;
    let mut link = Link::opened(&test).await;
    link.says(hello(1, &[held.attempt], &[held.attempt])).await;
    let welcome = link.hears().await;
    assert!(matches!(&welcome, ToRunner::Welcome { heard, stale, .. } if heard.is_empty() && *stale == [held.attempt]), "{welcome:?}");
    for message in [started(held.attempt), log(held.attempt, 0, "x"), reported(&held, 0)] {
        assert_eq!(link.asks(message).await, ToRunner::Stale { attempt: held.attempt });
    }
    let given_up = ToServer::Said { attempt: held.attempt, sequence: 1, said: Said::GivenUp { artifacts: vec![] } };
    assert_eq!(link.asks(given_up).await, ToRunner::Stale { attempt: held.attempt });
    assert_eq!(standing(&pool, id).await, ("running".into(), 0));
    holder.succeeds(&held).await.unwrap();
    link.breaks().await;
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_link_that_is_connected_after_a_newer_one_was_opened_is_given_nothing(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let older = test.runner("r1").await;
    let (newer, ..) = Link::welcome(&test, 1, &[]).await;
    // the newer one has come and gone before the older one was through with its hello
    newer.breaks().await;
    let mut late = test.connect(&older.session);
    let id = task(&test, &ada, "one").await;
    test.dispatch().await;
    assert_eq!(late.told(), []);
    assert_eq!(standing(&pool, id).await, ("queued".into(), 0));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_was_claimed_for_an_older_link_is_not_given_over_a_newer(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (older, newer) = (test.connected_runner("r1", 1).await, test.runner("r1").await);
    let id = task(&test, &ada, "one").await;
    let assignment = older.runner.claims_one().await;
    let mut newer = test.connect(&newer.session);
    test.gives(&older, assignment).await;
    assert_eq!(newer.told(), []);
    assert_eq!(standing(&pool, id).await, ("queued".into(), 0), "nobody is charged");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_link_may_be_registered_again_as_its_answer_may_be_lost(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let id = RunnerId(uuid::Uuid::from_u128(1));
    for _ in 0..2 {
        test.engine.register_runner(id, 5, "r", 1, &[]).await.unwrap();
    }
    assert!(matches!(test.engine.register_runner(id, 4, "r", 1, &[]).await, Err(Error::Conflict(_))));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_row_that_cannot_be_taken_back_keeps_no_runner_from_coming(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (spoiled, good) = (task(&test, &ada, "spoiled").await, task(&test, &ada, "good").await);
    let runner = test.runner("r1").await;
    let held = runner.claims(2).await;
    sqlx::query("update task set checks = '[{}]' where id = $1").bind(spoiled.0).execute(&pool).await.unwrap();
    let lost: Vec<_> = held.iter().map(|one| one.attempt).collect();
    let mut link = Link::opened(&test).await;
    link.says(hello(1, &[], &lost)).await;
    let welcome = link.hears().await;
    assert!(matches!(welcome, ToRunner::Welcome { .. }), "{welcome:?}");
    assert_eq!(standing(&pool, good).await, ("queued".into(), 1));
    link.breaks().await;
}

/// A report as the parts of it that a runner sends, and how long it is.
fn parts(assignment: &Assignment, of: usize) -> (Vec<Vec<u8>>, u64) {
    let text = serde_json::to_vec(&report(assignment, CheckStatus::Passed)).unwrap();
    (text.chunks(text.len().div_ceil(of)).map(<[u8]>::to_vec).collect(), text.len() as u64)
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_report_in_parts_counts_when_it_is_whole_and_once(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (mut link, id, assignment) = Link::at_work(&test, &ada).await;
    let attempt = assignment.attempt;
    link.asks(started(attempt)).await;
    link.asks(verifying(attempt)).await;
    let (parts, length) = parts(&assignment, 3);
    let part = |place: usize| ToServer::Said { attempt, sequence: 3 + place as u64, said: Said::Part { bytes: parts[place].clone() } };
    let last = ToServer::Said { attempt, sequence: 6, said: Said::ReportInParts { log_end: 4, length } };
    let missing = |sequence, log| ToRunner::Missing(Heard { attempt, sequence, log });
    link.asks(part(0)).await;
    assert_eq!(link.asks(part(2)).await, missing(3, 0));
    assert_eq!(link.asks(last.clone()).await, missing(3, 0), "it is not whole");
    link.breaks().await;

    let (mut link, heard, _) = Link::welcome(&test, 1, &[attempt]).await;
    assert_eq!(heard, [Heard { attempt, sequence: 3, log: 0 }], "what is there of it is there over the next link");
    for place in 0..3 {
        assert_eq!(link.asks(part(place)).await, ToRunner::Stored { attempt, sequence: 3 + place as u64 });
    }
    assert_eq!(link.asks(last.clone()).await, missing(5, 0), "the log comes first");
    link.asks(log(attempt, 0, "done")).await;
    for _ in 0..2 {
        assert_eq!(link.asks(last.clone()).await, ToRunner::Stored { attempt, sequence: 6 });
    }
    assert_eq!(standing(&pool, id).await, ("succeeded".into(), 0));
    let left: i64 = sqlx::query_scalar("select count(*) from report_part").fetch_one(&pool).await.unwrap();
    assert_eq!(left, 0);
    link.breaks().await;
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn parts_that_are_no_report_end_nothing(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (mut link, id, assignment) = Link::at_work(&test, &ada).await;
    let attempt = assignment.attempt;
    let (parts, length) = parts(&assignment, 1);
    link.asks(started(attempt)).await;
    link.asks(ToServer::Said { attempt, sequence: 2, said: Said::Part { bytes: parts[0].clone() } }).await;
    let said = |length| ToServer::Said { attempt, sequence: 3, said: Said::ReportInParts { log_end: 0, length } };
    assert_eq!(link.asks(said(length + 1)).await, ToRunner::Stale { attempt }, "it is longer");
    sqlx::query("update report_part set content = overlay(content placing 'xx' from 1)").execute(&pool).await.unwrap();
    assert_eq!(link.asks(said(length)).await, ToRunner::Stale { attempt }, "it is no JSON");
    assert_eq!(standing(&pool, id).await, ("running".into(), 0));
    assert_eq!(test.engine.delete_spent_report_parts().await.unwrap(), 0, "its attempt goes on");
    assert_eq!(test.engine.give_back(&test.runner("r1").await.session).await.unwrap(), 1);
    assert_eq!(test.engine.delete_spent_report_parts().await.unwrap(), 1);
    link.breaks().await;
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_report_may_be_so_long_and_no_longer(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let (mut link, _, assignment) = Link::at_work(&test, &ada).await;
    let attempt = assignment.attempt;
    link.asks(started(attempt)).await;
    sqlx::query(
        "insert into report_part (workspace_id, attempt_id, sequence, content)
         select workspace_id, id, 1000 + n, convert_to(repeat('x', 196608), 'utf8') from attempt, generate_series(1, 170) as n",
    )
    .execute(&pool)
    .await
    .unwrap();
    let part = |sequence, length| ToServer::Said { attempt, sequence, said: Said::Part { bytes: vec![b'x'; length] } };
    let room = REPORT_BYTES as usize - 170 * PART_BYTES;
    assert_eq!(link.asks(part(2, room)).await, ToRunner::Stored { attempt, sequence: 2 });
    assert_eq!(link.asks(part(3, 1)).await, ToRunner::Stale { attempt });
    link.breaks().await;
}
