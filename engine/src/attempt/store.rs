//! All SQL that changes attempts.

use std::collections::HashMap;

use chrono::TimeDelta;
use domain::{
    AttemptId, AttemptKey, AttemptState, CheckKind, CheckResult, CheckSpec, CheckStatus, Failure, FailureCode, Isolation, JudgeTerms,
    KeptTerms, RunnerId, TaskId, Timestamp, Work,
    protocol::{Assignment, AttemptReport, Credentials, Heard, Telling},
    runner::{ACCEPT_SECONDS, TRIAL_SECONDS},
    task::{Inputs, TaskRepository, Tier, fill},
};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{lease_until, repository, telling};
use crate::{
    Error, Result, RunnerSession,
    error::hit,
    runner::{Allowance, day::note_return, slots::Slots},
    task::followers,
    tx::Tx,
};

/// Everything the runners need, with the checks that failed last time; or why no runner can be given it.
pub(super) async fn assignments(conn: &mut PgConnection, attempts: &[AttemptKey]) -> Result<Vec<Given>> {
    let ids: Vec<_> = attempts.iter().map(|attempt| attempt.attempt_id.0).collect();
    let rows = sqlx::query_as!(
        AssignmentRow,
        r#"select task.id, title, correlation_id, command, prompt, agent as "agent: Json<KeptTerms>", location, base_ref, submodules, lfs, files,
                  success_criteria, checks as "checks: Json<serde_json::Value>", timeout_seconds, inputs as "inputs: Json<Inputs>",
                  coalesce(tier, inferred ->> 'tier', 'standard') as "tier!: Tier", isolation,
                  -- a runner of the installation has what it has for its first workspace, and of the others what was put there for them
                  case when runner.workspace_id is null and workspace.id <> (select id from workspace order by created_at, id limit 1)
                       then slug end as guest,
                  (select jsonb_agg(jsonb_build_object('url', other.location, 'base_ref', beside.base_ref, 'folder', folder) order by position)
                   from task_repository beside join repository other on other.id = beside.repository_id
                   where beside.task_id = task.id) as "beside?: Json<Vec<TaskRepository>>"
           from attempt join task on task.id = task_id join repository on repository.id = task.repository_id
             join workspace on workspace.id = task.workspace_id join runner on runner.id = attempt.runner_id
           where attempt.id = any($1)"#,
        &ids
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut rows: HashMap<_, _> = rows.into_iter().map(|row| (row.id, row)).collect();
    let mut failed = last_failed_checks(conn, attempts).await?;
    let assignments = attempts.iter().map(|attempt| {
        let row = rows.remove(&attempt.task_id);
        let row = row.ok_or_else(|| unreadable(*attempt, "it is not there, or its repository is not"))?;
        assignment(*attempt, row, failed.remove(&attempt.task_id).unwrap_or_default())
    });
    Ok(assignments.collect())
}

/// An assignment, or why the task can be given to nobody.
pub(super) type Given = std::result::Result<Assignment, Failure>;

struct AssignmentRow {
    id: TaskId,
    title: String,
    correlation_id: Option<String>,
    command: Option<String>,
    prompt: Option<String>,
    agent: Option<Json<KeptTerms>>,
    location: String,
    base_ref: Option<String>,
    submodules: bool,
    lfs: bool,
    files: Vec<String>,
    success_criteria: Vec<String>,
    checks: Json<serde_json::Value>,
    timeout_seconds: i32,
    inputs: Json<Inputs>,
    tier: Tier,
    isolation: Isolation,
    /// The workspace's short name, where the runner's machine is not its own.
    guest: Option<String>,
    beside: Option<Json<Vec<TaskRepository>>>,
}

fn unreadable(attempt: AttemptKey, reason: impl Into<String>) -> Failure {
    Failure::new(FailureCode::TaskUnreadable, Error::inconsistent("task", attempt.task_id, reason).to_string())
}

fn assignment(attempt: AttemptKey, row: AssignmentRow, failed_checks: Vec<CheckResult>) -> Given {
    let work = match (row.command, row.prompt) {
        (Some(command), _) => Work::Command(command),
        (None, Some(prompt)) => Work::Prompt(fill(&prompt, &row.inputs.0)),
        (None, None) => return Err(unreadable(attempt, "it has no work")),
    };
    let filled = |texts: Vec<String>| texts.iter().map(|text| fill(text, &row.inputs.0)).collect();
    let base_ref = repository::base_ref(row.base_ref, &row.inputs.0)?;
    let mut repositories = row.beside.map(|beside| beside.0).unwrap_or_default();
    for one in &mut repositories {
        one.base_ref = repository::base_ref(one.base_ref.take(), &row.inputs.0)?;
    }
    let KeptTerms { terms, unknown } = row.agent.map(|agent| agent.0).unwrap_or_default();
    if let Some(word) = unknown {
        return Err(unreadable(attempt, format!("its agent is “{word}”, which this version of Muster does not know")));
    }
    Ok(Assignment {
        attempt,
        title: row.title,
        correlation_id: row.correlation_id,
        work,
        agent: terms,
        repository: row.location,
        base_ref,
        repositories,
        submodules: row.submodules,
        lfs: row.lfs,
        files: filled(row.files),
        success_criteria: filled(row.success_criteria),
        checks: serde_json::from_value(row.checks.0).map_err(|error| unreadable(attempt, format!("its checks: {error}")))?,
        inputs: row.inputs.0.clone(),
        timeout_seconds: row.timeout_seconds.unsigned_abs(),
        tier: row.tier,
        failed_checks,
        isolation: row.isolation,
        credentials: credentials(row.guest),
        // chosen once it is known who carries it out
        endpoint: None,
        continues: None,
    })
}

/// What is given to a workspace by the machine of a runner.
pub(crate) fn credentials(guest: Option<String>) -> Credentials {
    guest.map_or(Credentials::Machine, |slug| Credentials::Workspace { slug })
}

/// What the attempts before these left to be done, by their tasks. Most are the first of theirs, of which nothing has to be asked.
async fn last_failed_checks(conn: &mut PgConnection, attempts: &[AttemptKey]) -> Result<HashMap<TaskId, Vec<CheckResult>>> {
    let mut failed: HashMap<TaskId, Vec<CheckResult>> = HashMap::new();
    let (tasks, numbers): (Vec<_>, Vec<_>) =
        attempts.iter().filter(|attempt| attempt.number > 1).map(|attempt| (attempt.task_id.0, attempt.number)).unzip();
    if tasks.is_empty() {
        return Ok(failed);
    }
    let last = sqlx::query!(
        r#"select last.id as "id: AttemptId", wanted.task_id as "task_id!: TaskId"
           from unnest($1::uuid[], $2::int[]) as wanted (task_id, number) cross join lateral (
             select attempt.id from attempt join verification on verification.attempt_id = attempt.id
             where attempt.task_id = wanted.task_id and attempt.number < wanted.number order by attempt.number desc limit 1
           ) as last"#,
        &tasks,
        &numbers
    )
    .fetch_all(&mut *conn)
    .await?;
    let task_of: HashMap<_, _> = last.iter().map(|row| (row.id, row.task_id)).collect();
    let ids: Vec<_> = last.iter().map(|row| row.id).collect();
    for (attempt, check) in super::query::checks(conn, &ids).await? {
        let did_not_pass = !matches!(check.status, CheckStatus::Passed | CheckStatus::Skipped);
        if let Some(task) = task_of.get(&attempt).filter(|_| did_not_pass) {
            failed.entry(*task).or_default().push(check);
        }
    }
    Ok(failed)
}

/// An attempt that holds its task.
pub(super) struct HeldRow {
    pub key: AttemptKey,
    pub state: AttemptState,
    pub lease_until: Timestamp,
    /// By when it is to have ended, and whether its lease is renewed.
    pub ends_by: Option<Timestamp>,
    pub renewable: bool,
    /// The number of the last message that had its effect.
    pub heard: u64,
    /// Bytes of its log that were heard.
    pub log_heard: u64,
}

/// Which of these attempts hold their tasks: the latest of it, not ended, and with this runner. The tasks are locked, and now these rows
/// are, in the order of their ids.
pub(super) async fn held(conn: &mut PgConnection, session: Option<&RunnerSession>, asked: &[followers::Ending]) -> Result<Vec<HeldRow>> {
    let ids: Vec<_> = asked.iter().filter_map(|ending| Some(ending.attempt?.0)).collect();
    let rows = sqlx::query!(
        r#"select attempt.id, task_id, number, attempt.state, lease_until, ends_by, renewable, heard,
                  coalesce(log_heard, log_bytes) as "log_heard!"
           from attempt join task on task.id = attempt.task_id and task.attempts = attempt.number
           where attempt.id = any($1) and attempt.ended_at is null and ($2::uuid is null or runner_id = $2)
           order by attempt.id for no key update of attempt"#,
        &ids,
        session.map(|session| session.id().0)
    )
    .fetch_all(conn)
    .await?;
    let held = rows.into_iter().map(|row| HeldRow {
        key: AttemptKey { task_id: row.task_id, attempt_id: row.id, number: row.number },
        state: row.state,
        lease_until: row.lease_until,
        ends_by: row.ends_by,
        renewable: row.renewable,
        heard: row.heard.unsigned_abs(),
        log_heard: row.log_heard.unsigned_abs(),
    });
    Ok(held.collect())
}

/// How much there is of what this runner has said about these attempts, whether they have ended or not. What was given to others is left
/// out.
pub(super) async fn heard(conn: &mut PgConnection, session: &RunnerSession, keys: &[AttemptKey]) -> Result<Vec<Heard>> {
    let ids: Vec<_> = keys.iter().map(|key| key.attempt_id.0).collect();
    let rows = sqlx::query!(
        r#"select id, task_id, number, heard, coalesce(log_heard, log_bytes) as "log_heard!"
           from attempt where id = any($1) and runner_id = $2 order by id"#,
        &ids,
        session.id().0
    )
    .fetch_all(conn)
    .await?;
    let heard = rows.into_iter().map(|row| Heard {
        attempt: AttemptKey { task_id: row.task_id, attempt_id: row.id, number: row.number },
        sequence: row.heard.unsigned_abs(),
        log: row.log_heard.unsigned_abs(),
    });
    Ok(heard.collect())
}

/// Whether the attempt has not ended, and is with this runner. Nothing is locked, so it may have changed by the time it is told.
pub(super) async fn is_held(conn: &mut PgConnection, session: &RunnerSession, key: AttemptKey) -> Result<bool> {
    let held = sqlx::query_scalar!(
        r#"select exists (select from attempt where id = $1 and task_id = $2 and number = $3 and ended_at is null and runner_id = $4) as "held!""#,
        key.attempt_id.0,
        key.task_id.0,
        key.number,
        session.id().0
    )
    .fetch_one(conn)
    .await?;
    Ok(held)
}

/// What has become of an attempt. Its names are those of the columns; what is absent stays as it is.
pub(super) struct AttemptRow {
    id: AttemptId,
    number: i32,
    /// As it was found.
    was: AttemptState,
    had_heard: u64,
    pub state: AttemptState,
    pub heard: u64,
    started_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    lease_until: Option<Timestamp>,
    base_commit: Option<String>,
    branch: Option<String>,
    /// The number of the earlier attempt that it goes on from.
    pub continues: Option<i32>,
    commit_id: Option<String>,
    exit_code: Option<i32>,
    failure: Option<Failure>,
}

impl AttemptRow {
    pub fn new(found: &HeldRow) -> Self {
        Self {
            id: found.key.attempt_id,
            number: found.key.number,
            was: found.state,
            had_heard: found.heard,
            state: found.state,
            heard: found.heard,
            started_at: None,
            ended_at: None,
            lease_until: None,
            base_commit: None,
            branch: None,
            continues: None,
            commit_id: None,
            exit_code: None,
            failure: None,
        }
    }

    pub fn has_changed(&self) -> bool {
        self.state != self.was || self.heard != self.had_heard
    }

    pub fn start(&mut self, base_commit: &str, branch: &str, now: Timestamp, lease_until: Timestamp) {
        self.state = AttemptState::Running;
        self.started_at = Some(now);
        self.lease_until = Some(lease_until);
        self.base_commit = Some(base_commit.to_owned());
        self.branch = Some(branch.to_owned());
    }

    pub fn verify(&mut self, lease_until: Timestamp) {
        self.state = AttemptState::Verifying;
        self.lease_until = Some(lease_until);
    }

    pub fn work_again(&mut self, lease_until: Timestamp) {
        self.state = AttemptState::Running;
        self.lease_until = Some(lease_until);
    }

    pub fn report(&mut self, report: &AttemptReport) {
        self.exit_code = report.exit_code;
        self.branch = report.branch.clone().or(self.branch.take());
        self.commit_id = report.commit.clone();
    }

    pub fn end(&mut self, state: AttemptState, failure: Option<Failure>, now: Timestamp) {
        self.state = state;
        self.failure = failure;
        self.ended_at = Some(now);
    }
}

fn column<T>(rows: &[AttemptRow], of: impl Fn(&AttemptRow) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

/// Writes down what has become of attempts, each of which still stands as it was found.
pub(super) async fn save_all(conn: &mut PgConnection, session: Option<&RunnerSession>, attempts: &[AttemptRow]) -> Result<()> {
    if attempts.is_empty() {
        return Ok(());
    }
    let done = sqlx::query!(
        "update attempt set state = new.state, started_at = coalesce(new.started_at, attempt.started_at), ended_at = new.ended_at,
                            lease_until = coalesce(new.lease_until, attempt.lease_until),
                            base_commit = coalesce(new.base_commit, attempt.base_commit), branch = coalesce(new.branch, attempt.branch),
                            continues = coalesce(new.continues, attempt.continues),
                            commit_id = new.commit_id, exit_code = new.exit_code, failure = new.failure, heard = new.heard
         from unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::timestamptz[], $8::text[],
                     $9::text[], $10::text[], $11::int[], $12::jsonb[], $14::bigint[], $15::int[])
              as new (id, number, was, state, started_at, ended_at, lease_until, base_commit, branch, commit_id, exit_code, failure, heard,
                      continues)
         where attempt.id = any($1) and attempt.id = new.id and attempt.number = new.number and attempt.state = new.was
           and attempt.ended_at is null and ($13::uuid is null or attempt.runner_id = $13)",
        &column(attempts, |row| row.id.0),
        &column(attempts, |row| row.number),
        &column(attempts, |row| row.was.name().to_owned()),
        &column(attempts, |row| row.state.name().to_owned()),
        &column(attempts, |row| row.started_at) as _,
        &column(attempts, |row| row.ended_at) as _,
        &column(attempts, |row| row.lease_until) as _,
        &column(attempts, |row| row.base_commit.clone()) as _,
        &column(attempts, |row| row.branch.clone()) as _,
        &column(attempts, |row| row.commit_id.clone()) as _,
        &column(attempts, |row| row.exit_code) as _,
        &column(attempts, |row| row.failure.clone().map(Json)) as _,
        session.map(|session| session.id().0),
        &column(attempts, |row| row.heard as i64),
        &column(attempts, |row| row.continues) as _
    )
    .execute(conn)
    .await?;
    hit(&done, attempts.len(), || Error::StaleLease)
}

/// What a heartbeat brings back.
pub(crate) struct Heartbeat {
    pub stale: Vec<AttemptKey>,
    pub cancel: Vec<AttemptKey>,
    pub tell: Vec<Telling>,
    pub allowance: Allowance,
    /// Somebody wants it to take nothing new.
    pub draining: bool,
    pub slots: Slots,
    /// How much of what is stale it may still be ending: it has not said the last word about it.
    pub lingering: usize,
    /// What was claimed for it [`ACCEPT_SECONDS`] ago and it does not name.
    pub overdue: Vec<AttemptId>,
    /// What it has said to have begun and does not name.
    pub believed: Vec<AttemptKey>,
}

/// It has waited for so long at most.
pub(super) async fn heartbeat(tx: &mut Tx, session: &RunnerSession, keys: &[AttemptKey], late: TimeDelta) -> Result<Heartbeat> {
    let now = tx.now();
    // what is long ago enough, however late this is; of nothing when that is before all times
    let had_to_be_taken = now.checked_sub_signed(late).and_then(|said| said.checked_sub_signed(TimeDelta::seconds(ACCEPT_SECONDS)));
    let ids: Vec<_> = keys.iter().map(|key| key.attempt_id.0).collect();
    note_return(tx, session.id(), now).await?;
    let runner = sqlx::query!(
        r#"update runner set last_seen_at = $2, unresponsive_since = case
             when unresponsive_since is not null
               -- what it had before says nothing
               and not exists (select from attempt where runner_id = $1 and id = any($4) and ended_at is null and claimed_at >= unresponsive_since)
             then unresponsive_since end
           where id = $1 and ticket = $3 and removed_at is null
           returning draining_since is not null as "draining!", unresponsive_since is not null as "unresponsive!", not_taken_at, slots_now,
             slots_set,
             array(select id from attempt where runner_id = $1 and state = 'claimed' and claimed_at <= $5 and lease_until >= $2
                                            and renewable and id <> all($4)) as "overdue!: Vec<AttemptId>",
             exists (select from attempt where runner_id = $1 and state in ('running', 'verifying') and id <> all($4)) as "lacks!""#,
        session.id().0,
        now,
        session.ticket(),
        &ids,
        had_to_be_taken.unwrap_or(Timestamp::UNIX_EPOCH)
    )
    .fetch_optional(&mut **tx)
    .await?
    .ok_or(Error::Unauthorized("this runner was removed, or has opened a newer link"))?;
    let renewed = sqlx::query!(
        r#"with held as (
             select attempt.id, task.stop is not null or ends_by is not null as cancel
             from attempt join task on task.id = task_id and task.attempts = number
             where attempt.id = any($1) and runner_id = $2 and attempt.ended_at is null and renewable
             order by attempt.id for no key update of attempt
           )
           update attempt set lease_until = $3 from held where attempt.id = held.id returning attempt.id, cancel as "cancel!""#,
        &ids,
        session.id().0,
        lease_until(now)
    )
    .fetch_all(&mut **tx)
    .await?;
    let renewal = |key: &AttemptKey| renewed.iter().find(|row| row.id == key.attempt_id);
    let (held, stale): (Vec<_>, Vec<_>) = keys.iter().copied().partition(|key| renewal(key).is_some());
    Ok(Heartbeat {
        lingering: if stale.is_empty() { 0 } else { lingering(tx, session, &stale).await? },
        tell: if held.is_empty() || !session.hears_people() { vec![] } else { telling::unheard(tx, &held).await? },
        believed: if runner.lacks { begun_beside(tx, session, &ids).await? } else { vec![] },
        stale,
        cancel: keys.iter().filter(|key| renewal(key).is_some_and(|row| row.cancel)).copied().collect(),
        draining: runner.draining,
        slots: Slots::of_row(runner.slots_now, runner.slots_set),
        allowance: match (runner.draining, runner.unresponsive) {
            (true, _) => Allowance::Nothing,
            (false, false) => Allowance::All,
            (false, true) if runner.not_taken_at.is_some_and(|at| now - at < TimeDelta::seconds(TRIAL_SECONDS)) => Allowance::Nothing,
            (false, true) => Allowance::Trial,
        },
        overdue: runner.overdue,
    })
}

/// Those of these that were taken from this runner.
async fn lingering(conn: &mut PgConnection, session: &RunnerSession, stale: &[AttemptKey]) -> Result<usize> {
    let ids: Vec<_> = stale.iter().map(|key| key.attempt_id.0).collect();
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from attempt where id = any($1) and runner_id = $2 and (state = 'lost' or not renewable)"#,
        &ids,
        session.id().0
    )
    .fetch_one(conn)
    .await?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// What this runner has begun, beside these.
async fn begun_beside(conn: &mut PgConnection, session: &RunnerSession, named: &[uuid::Uuid]) -> Result<Vec<AttemptKey>> {
    let rows = sqlx::query!(
        "select id, task_id, number from attempt where runner_id = $1 and state in ('running', 'verifying') and id <> all($2) order by id",
        session.id().0,
        named
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| AttemptKey { task_id: row.task_id, attempt_id: row.id, number: row.number }).collect())
}

/// Those of these attempts that this runner may go on from: each was its own and has begun, its task is not over, and no later attempt at it has
/// begun. One that ended did so by the loss of its runner, or as its provider wanted less for a while.
pub(crate) async fn resumable(conn: &mut PgConnection, runner: RunnerId, attempts: &[AttemptKey]) -> Result<Vec<AttemptKey>> {
    let ids: Vec<_> = attempts.iter().map(|attempt| attempt.attempt_id.0).collect();
    let rows = sqlx::query!(
        "select attempt.id, attempt.task_id, attempt.number from attempt join task on task.id = attempt.task_id
         where attempt.id = any($1) and attempt.runner_id = $2 and attempt.started_at is not null and task.ended_at is null
           and (attempt.ended_at is null or attempt.state = 'lost' or attempt.failure ->> 'code' = 'provider_limit')
           and not exists (select from attempt later where later.task_id = attempt.task_id and later.number > attempt.number
                           and later.started_at is not null)",
        &ids,
        runner.0
    )
    .fetch_all(conn)
    .await?;
    let keys = rows.into_iter().map(|row| AttemptKey { task_id: row.task_id, attempt_id: row.id, number: row.number });
    Ok(keys.filter(|key| attempts.contains(key)).collect())
}

/// The attempt that works on a task now, and with which runner.
pub(crate) async fn live(conn: &mut PgConnection, task: TaskId) -> Result<Option<(RunnerId, AttemptKey)>> {
    let row = sqlx::query!("select id, task_id, number, runner_id from attempt where task_id = $1 and ended_at is null", task.0)
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|row| (row.runner_id, AttemptKey { task_id: row.task_id, attempt_id: row.id, number: row.number })))
}

/// Everything a runner holds.
pub(super) async fn held_by(conn: &mut PgConnection, runner: RunnerId) -> Result<Vec<AttemptKey>> {
    let rows = sqlx::query!(
        "select id, task_id, number from attempt where runner_id = $1 and state in ('claimed', 'running', 'verifying')",
        runner.0
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| AttemptKey { task_id: row.task_id, attempt_id: row.id, number: row.number }).collect())
}

/// Attempts whose lease has run out, but for those of tasks that are passed over.
pub(crate) async fn expired(conn: &mut PgConnection, now: Timestamp, passed: &[Uuid], limit: i64) -> Result<Vec<AttemptKey>> {
    let rows = sqlx::query!(
        "select id, task_id, number from attempt where state in ('claimed', 'running', 'verifying') and lease_until < $1 and task_id <> all($3)
         order by lease_until limit $2",
        now,
        limit,
        passed
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| AttemptKey { task_id: row.task_id, attempt_id: row.id, number: row.number }).collect())
}

/// A check as its row holds it.
pub(super) fn check_spec(
    kind: &str,
    target: Option<String>,
    required: bool,
    timeout_seconds: i32,
    judge: Option<JudgeTerms>,
) -> Option<CheckSpec> {
    let (kind, judge) = (CheckKind::parse(kind)?, judge.unwrap_or_default());
    Some(CheckSpec { kind, target, required, timeout_seconds: timeout_seconds.unsigned_abs(), judge })
}
