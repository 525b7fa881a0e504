//! What the server keeps, in memory. Which way a task goes and what a number means `domain` decides here as it does in the engine; what the
//! engine does in SQL is done by hand: `attempt/batch.rs`, `attempt/store.rs`, `log.rs` and `runner/serve.rs` there.

mod heard;

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use domain::{
    AgentTerms, AttemptId, AttemptKey, AttemptState, Isolation, Land, LogStream, Priority, RepositoryId, RunnerId, Task, TaskId, TaskState,
    Timestamp, Work, WorkspaceId,
    protocol::{Assignment, Credentials, Heard, Said, Tell, Telling},
    task::{AttemptEnd, Complexity, Inferred, Inputs, RetryPolicy, Tier},
};
use uuid::Uuid;

use super::LEASE_SECONDS;

/// A runner over one of its links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Session {
    pub runner: RunnerId,
    pub ticket: i64,
}

pub(super) struct Attempt {
    pub key: AttemptKey,
    pub runner: RunnerId,
    pub state: AttemptState,
    pub end: Option<End>,
    lease_until: Timestamp,
    /// All that had its effect, the last word included: as many as the number of the last.
    pub said: Vec<Said>,
    pub log: Vec<(LogStream, Vec<u8>)>,
    log_bytes: u64,
    told: Vec<Telling>,
    unheard: BTreeSet<i64>,
}

/// How an attempt came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// By the last word about it.
    Said,
    /// By what its runner said that it does not have, or did not say that it has.
    Absent,
    /// By its runner, which was stopped and had ended it.
    Stopped,
    /// By its lease.
    Expired,
}

/// What there was in a run, to see that it was worth something.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Messages that came once more.
    pub again: usize,
    pub given_up: usize,
    pub absent: usize,
    pub stopped: usize,
    pub expired: usize,
    pub reports: usize,
}

#[derive(Default)]
pub(super) struct Store {
    tickets: i64,
    newest: BTreeMap<RunnerId, i64>,
    pub tasks: BTreeMap<TaskId, Task>,
    pub attempts: BTreeMap<AttemptId, Attempt>,
    pub tally: Tally,
    pub wrong: Vec<String>,
}

/// What comes of a sign of life.
pub(super) struct Renewal {
    pub stale: Vec<AttemptKey>,
    pub cancel: Vec<AttemptKey>,
    pub tell: Vec<Telling>,
    pub believed: Vec<AttemptKey>,
}

fn lease_until(now: Timestamp) -> Timestamp {
    now + TimeDelta::seconds(LEASE_SECONDS.into())
}

impl Store {
    pub fn draw_ticket(&mut self) -> i64 {
        self.tickets += 1;
        self.tickets
    }

    /// False when it has opened a newer link.
    pub fn arrives(&mut self, session: Session) -> bool {
        let newest = self.newest.entry(session.runner).or_insert(session.ticket);
        *newest = session.ticket.max(*newest);
        *newest == session.ticket
    }

    fn is_newest(&self, session: Session) -> bool {
        self.newest.get(&session.runner) == Some(&session.ticket)
    }

    pub fn create_task(&mut self, now: Timestamp) {
        let id = TaskId(Uuid::from_u128(self.tasks.len() as u128 + 1));
        self.tasks.insert(id, task(id, now));
    }

    /// One of those that have not ended.
    pub fn open_task(&self, which: usize) -> Option<TaskId> {
        let open: Vec<_> = self.tasks.values().filter(|task| !task.state.is_final()).map(|task| task.id).collect();
        open.get(which % open.len().max(1)).copied()
    }

    pub fn all_ended(&self) -> bool {
        self.tasks.values().all(|task| task.state.is_final())
    }

    /// What waited for its time.
    pub fn come_due(&mut self, now: Timestamp) {
        for task in self.tasks.values_mut() {
            if let Ok(due) = task.clone().due(now) {
                *task = due;
            }
        }
    }

    /// How many attempts are with a runner.
    pub fn held_by(&self, runner: RunnerId) -> usize {
        self.attempts.values().filter(|attempt| attempt.runner == runner && attempt.end.is_none()).count()
    }

    /// The first task that waits, for this runner.
    pub fn claim(&mut self, runner: RunnerId, now: Timestamp) -> Option<Assignment> {
        let (place, claimed) = self.tasks.values_mut().find_map(|task| task.clone().claim().ok().map(|claimed| (task, claimed)))?;
        let (task_id, number) = (claimed.id, claimed.attempts);
        let key = AttemptKey { task_id, attempt_id: attempt_id(task_id, number), number };
        let assignment = assignment(key, &claimed);
        *place = claimed;
        let attempt = Attempt {
            key,
            runner,
            state: AttemptState::Claimed,
            end: None,
            lease_until: lease_until(now),
            said: vec![],
            log: vec![],
            log_bytes: 0,
            told: vec![],
            unheard: BTreeSet::new(),
        };
        if self.attempts.insert(key.attempt_id, attempt).is_some() {
            self.wrong.push(format!("attempt {} was made twice", key.attempt_id));
        }
        Some(assignment)
    }

    /// Somebody wants its end; the runner that is to be told.
    pub fn cancel(&mut self, id: TaskId, now: Timestamp) -> Option<(RunnerId, AttemptKey)> {
        let task = self.tasks.get_mut(&id)?;
        *task = task.clone().cancel("user:ada", now).ok()?;
        let attempt = self.attempts.values().find(|attempt| attempt.key.task_id == id && attempt.end.is_none())?;
        Some((attempt.runner, attempt.key))
    }

    /// Somebody says something to its agent; the runner that is to be told.
    pub fn tell(&mut self, id: TaskId) -> Option<(RunnerId, Telling)> {
        let at_work = |attempt: &&mut Attempt| attempt.key.task_id == id && attempt.state == AttemptState::Running;
        let attempt = self.attempts.values_mut().find(at_work)?;
        let number = attempt.told.len() as i64 + 1;
        let what = Tell::Message { text: number.to_string(), by: "Ada".into(), interrupt: false };
        let telling = Telling { attempt: attempt.key, number, what };
        attempt.told.push(telling.clone());
        attempt.unheard.insert(number);
        Some((attempt.runner, telling))
    }

    /// The attempt as long as it holds its task, and with this runner where it has to be.
    fn held(&self, key: AttemptKey, runner: Option<RunnerId>) -> Option<&Attempt> {
        let attempt = self.attempts.get(&key.attempt_id)?;
        let is_latest = self.tasks.get(&key.task_id).is_some_and(|task| task.attempts == key.number);
        let is_with = runner.is_none_or(|runner| runner == attempt.runner);
        (attempt.key == key && attempt.end.is_none() && is_latest && is_with).then_some(attempt)
    }

    /// How much there is of what this runner has said about these, whether they have ended or not.
    pub fn heard(&self, session: Session, keys: &[AttemptKey]) -> Vec<Heard> {
        let of = |key: &AttemptKey| self.attempts.get(&key.attempt_id).filter(|attempt| attempt.runner == session.runner);
        let heard = |attempt: &Attempt| Heard { attempt: attempt.key, sequence: attempt.said.len() as u64, log: attempt.log_bytes };
        keys.iter().filter_map(of).map(heard).collect()
    }

    /// Renews the leases of these; nothing over any but the newest link.
    pub fn heartbeat(&mut self, session: Session, keys: &[AttemptKey], now: Timestamp) -> Option<Renewal> {
        if !self.is_newest(session) {
            return None;
        }
        let mut renewal = Renewal { stale: vec![], cancel: vec![], tell: vec![], believed: vec![] };
        for key in keys {
            if self.held(*key, Some(session.runner)).is_none() {
                renewal.stale.push(*key);
                continue;
            }
            if self.tasks[&key.task_id].state.stop().is_some() {
                renewal.cancel.push(*key);
            }
            if let Some(attempt) = self.attempts.get_mut(&key.attempt_id) {
                attempt.lease_until = lease_until(now);
                renewal.tell.extend(attempt.told.iter().filter(|telling| attempt.unheard.contains(&telling.number)).cloned());
            }
        }
        let has_begun = |attempt: &&Attempt| matches!(attempt.state, AttemptState::Running | AttemptState::Verifying);
        let beside = self.attempts.values().filter(|attempt| attempt.runner == session.runner && !keys.contains(&attempt.key));
        renewal.believed.extend(beside.filter(has_begun).map(|attempt| attempt.key));
        Some(renewal)
    }

    /// The runner does not have these.
    pub fn lost(&mut self, session: Session, keys: &[AttemptKey], now: Timestamp) {
        if self.is_newest(session) {
            keys.iter().for_each(|key| self.is_absent(*key, Some(session.runner), AttemptEnd::Lost, now));
        }
    }

    /// The runner holds nothing but these: what else it was given it never began.
    pub fn give_back_all_but(&mut self, session: Session, named: &[AttemptKey], now: Timestamp) {
        if !self.is_newest(session) {
            return;
        }
        let with = self.attempts.values().filter(|attempt| attempt.runner == session.runner && attempt.end.is_none());
        let others: Vec<_> = with.map(|attempt| attempt.key).filter(|key| !named.contains(key)).collect();
        others.into_iter().for_each(|key| self.is_absent(key, Some(session.runner), AttemptEnd::GivenBack, now));
    }

    /// The runner was stopped, has ended these and has nothing more to say about them.
    pub fn stopped(&mut self, session: Session, keys: &[AttemptKey], now: Timestamp) {
        if !self.is_newest(session) {
            return;
        }
        for key in keys {
            if self.held(*key, Some(session.runner)).is_some() {
                self.tally.stopped += 1;
                self.end(*key, AttemptState::Lost, AttemptEnd::GivenBack, End::Stopped, now);
            }
        }
    }

    /// The runner does not take it.
    pub fn rejected(&mut self, session: Session, key: AttemptKey, now: Timestamp) {
        if self.is_newest(session) {
            self.is_absent(key, Some(session.runner), AttemptEnd::GivenBack, now);
        }
    }

    /// Its runner had gone before it was given.
    pub fn not_given(&mut self, key: AttemptKey, now: Timestamp) {
        self.is_absent(key, None, AttemptEnd::GivenBack, now);
    }

    fn is_absent(&mut self, key: AttemptKey, runner: Option<RunnerId>, end: AttemptEnd, now: Timestamp) {
        if self.held(key, runner).is_some() {
            self.tally.absent += 1;
            self.end(key, AttemptState::Lost, end, End::Absent, now);
        }
    }

    /// Takes back what nobody has renewed.
    pub fn expire(&mut self, now: Timestamp) {
        let is_over = |attempt: &&Attempt| attempt.end.is_none() && attempt.lease_until < now;
        let over: Vec<_> = self.attempts.values().filter(is_over).map(|attempt| attempt.key).collect();
        for key in over {
            self.tally.expired += 1;
            self.end(key, AttemptState::Lost, AttemptEnd::Lost, End::Expired, now);
        }
    }

    fn end(&mut self, key: AttemptKey, state: AttemptState, end: AttemptEnd, how: End, now: Timestamp) {
        let ended = self.tasks[&key.task_id].clone().attempt_ended(end, now, 1.0);
        match (ended, self.attempts.get_mut(&key.attempt_id)) {
            (Ok(task), Some(attempt)) => {
                (attempt.state, attempt.end) = (state, Some(how));
                self.tasks.insert(key.task_id, task);
            }
            (ended, _) => self.wrong.push(format!("attempt {} cannot end {how:?}: {:?}", key.attempt_id, ended.err())),
        }
    }
}

/// One for each task and number, in their order.
fn attempt_id(task: TaskId, number: i32) -> AttemptId {
    AttemptId(Uuid::from_u128((task.0.as_u128() << 16) + u128::from(number.unsigned_abs())))
}

fn assignment(key: AttemptKey, task: &Task) -> Assignment {
    Assignment {
        attempt: key,
        title: task.title.clone(),
        correlation_id: None,
        work: task.work.clone(),
        agent: AgentTerms::default(),
        repository: "/srv/app".into(),
        base_ref: None,
        repositories: vec![],
        submodules: false,
        lfs: false,
        files: vec![],
        success_criteria: vec![],
        checks: vec![],
        inputs: Inputs::default(),
        timeout_seconds: 3600,
        tier: Tier::default(),
        failed_checks: vec![],
        isolation: Isolation::default(),
        credentials: Credentials::default(),
        endpoint: None,
        continues: None,
    }
}

fn task(id: TaskId, now: Timestamp) -> Task {
    Task {
        id,
        workspace_id: WorkspaceId(Uuid::nil()),
        repository_id: RepositoryId(Uuid::nil()),
        title: "Tidy up".into(),
        work: Work::Command("true".into()),
        base_ref: None,
        submodules: false,
        lfs: false,
        files: vec![],
        success_criteria: vec![],
        checks: vec![],
        priority: Priority::Normal,
        timeout_seconds: 3600,
        max_attempts: 3,
        retry: RetryPolicy::default(),
        inputs: Inputs::default(),
        condition: None,
        workflow_run_id: None,
        delay_seconds: None,
        opened: false,
        not_before: None,
        complete_by: None,
        queue_seconds: None,
        concurrency: None,
        tags: vec![],
        correlation_id: None,
        paused_by: None,
        capabilities: vec![],
        agent: AgentTerms::default(),
        complexity: Complexity::of(None, Inferred::default()),
        estimate_seconds: None,
        land: Land::None,
        state: TaskState::Queued,
        attempts: 0,
        failures: 0,
        losses: 0,
        limits: 0,
        created_at: now,
        created_by: "user:ada".into(),
    }
}
