//! All SQL that changes attempts.

use domain::{
    AttemptId, AttemptKey, AttemptState, CheckKind, CheckResult, CheckSpec, CheckStatus, EventKind, Failure, FailureCode, RunnerId, TaskId,
    Timestamp, VerificationReport, Work, WorkspaceId,
    protocol::{Assignment, AttemptReport},
    task::{Inputs, Tier, fill},
};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::lease_until;
use crate::{
    Error, Result, RunnerSession,
    error::hit_one,
    task::{concurrency, edge::Parent, release_below},
    tx::Tx,
};

/// What a claim came to.
#[derive(Debug, Default)]
pub(super) struct Claimed {
    pub attempts: Vec<AttemptKey>,
    /// Tasks that share something which is in use, and were put out of sight until it is free.
    pub parked: usize,
}

/// Takes queued tasks, makes their attempts and writes the events, in one statement. Workspaces take turns, whoever was served longest
/// ago first; inside one its repositories do, and of a repository the task with the lowest turn is next. An urgent task goes before the
/// other repositories' turns as long as nothing in its workspace has waited longer than its lane's patience. What
/// needs something that this runner has not is not seen at all, so it hides nothing. It reads no payload, so a row that cannot be read
/// does not stand in the way of the others.
pub(super) async fn claim(tx: &mut Tx, session: &RunnerSession, ids: &[Uuid]) -> Result<Claimed> {
    let now = tx.now();
    let actor = tx.actor().to_owned();
    let rows = sqlx::query!(
        r#"with recursive waiting (workspace_id, repository_id) as (
             -- from one repository to the next by the index, however many tasks each has
             (select workspace_id, repository_id from task where state = 'queued' and paused_by is null and not parked and capabilities <@ $8
              order by workspace_id, repository_id limit 1)
             union all
             select next.workspace_id, next.repository_id from waiting cross join lateral (
               select workspace_id, repository_id from task
               where state = 'queued' and paused_by is null and not parked and capabilities <@ $8
                 and (task.workspace_id, task.repository_id) > (waiting.workspace_id, waiting.repository_id)
               order by workspace_id, repository_id limit 1
             ) as next
           ), open as (
             select workspace_id, repository_id, coalesce(repository_share.served, 0) as served
             from waiting left join repository_share using (workspace_id, repository_id)
             where not exists (select from queue_pause pause where pause.workspace_id = waiting.workspace_id
                               and (pause.repository_id is null or pause.repository_id = waiting.repository_id))
           ), fair as (
             select workspace_id, row_number() over (order by coalesce(queue_share.served, 0), workspace_id) as place
             from (select distinct workspace_id from open) as workspaces left join queue_share using (workspace_id)
             order by 2 limit $1
           ), candidate as (
             select next.id, next.turn, next.urgent, open.workspace_id, fair.place, open.served, open.repository_id,
                    row_number() over (partition by open.repository_id order by next.turn, next.id) as round
             from fair join open using (workspace_id) cross join lateral (
               select id, turn, priority = 'urgent' as urgent from task
               where task.workspace_id = open.workspace_id and task.repository_id = open.repository_id
                 and state = 'queued' and paused_by is null and not parked and capabilities <@ $8
               order by turn, id limit $1 for update skip locked
             ) as next
           ), ranked as (
             select *, urgent and turn < coalesce(min(turn) filter (where not urgent) over (partition by workspace_id), turn + 1) as ahead
             from candidate
           ), first as (
             select id, place, row_number() over (partition by workspace_id
               order by ahead desc, case when ahead then turn end, round, served, repository_id, turn, id) as round
             from ranked
           ), picked as (
             select first.id, row_number() over (order by round, place) as position from first order by round, place limit $1
           ), shared as (
             select task.id, task.workspace_id, concurrency_key as key, concurrency_limit as most,
                    row_number() over (partition by task.workspace_id, concurrency_key order by position) as nth
             from picked join task using (id) where concurrency_key is not null
           ), slot as (
             -- one of a key at a time; the next claim takes the next
             insert into concurrency as counted (workspace_id, key, running)
             select workspace_id, key, 1 from shared where nth = 1 order by workspace_id, key
             on conflict (workspace_id, key) do update set running = counted.running + 1
             where counted.running < (select most from shared where nth = 1 and shared.workspace_id = counted.workspace_id
                                                                    and shared.key = counted.key)
             returning workspace_id, key
           ), parked as (
             update task set parked = true from shared
             where task.id = shared.id and not exists (select from slot where slot.workspace_id = shared.workspace_id and slot.key = shared.key)
             returning task.id
           ), ready as (
             select picked.id, row_number() over (order by picked.position) as position
             from picked left join shared using (id)
             where shared.id is null
                or shared.nth = 1 and exists (select from slot where slot.workspace_id = shared.workspace_id and slot.key = shared.key)
           ), claimed as (
             update task set state = 'running', attempts = attempts + 1, queued_at = null
             from ready where task.id = ready.id
             returning task.id, task.workspace_id, task.repository_id, task.attempts, ready.position
           ), share as (
             -- a runner that claims at the same moment does not wait for this one
             select workspace_id from queue_share where workspace_id in (select workspace_id from claimed) for update skip locked
           ), served as (
             update queue_share set served = nextval('queue_served') from share where queue_share.workspace_id = share.workspace_id
           ), first_served as (
             insert into queue_share (workspace_id, served)
             select workspace_id, nextval('queue_served') from (select distinct workspace_id from claimed) as new on conflict do nothing
           ), repository_turn as (
             select repository_id from repository_share where repository_id in (select repository_id from claimed) for update skip locked
           ), repository_served as (
             update repository_share set served = nextval('queue_served') from repository_turn
             where repository_share.repository_id = repository_turn.repository_id
           ), repository_first_served as (
             insert into repository_share (workspace_id, repository_id, served)
             select workspace_id, repository_id, nextval('queue_served')
             from (select distinct workspace_id, repository_id from claimed) as new on conflict do nothing
           ), new_attempt as (
             insert into attempt (id, workspace_id, task_id, number, runner_id, state, claimed_at, lease_until, log_start)
             select wanted.id, claimed.workspace_id, claimed.id, claimed.attempts, $3, 'claimed', $4, $5,
                    coalesce((select earlier.log_start + earlier.log_bytes from attempt earlier
                              where earlier.task_id = claimed.id order by earlier.number desc limit 1), 0)
             from claimed join unnest($2::uuid[]) with ordinality as wanted (id, position) using (position)
             returning id, task_id, number
           ), fact as (
             insert into event (workspace_id, task_id, number, actor, kind, payload, at)
             select workspace_id, claimed.id, (select max(number) + 1 from event where event.task_id = claimed.id), $6,
                    'attempt_claimed', jsonb_build_object('kind', 'attempt_claimed', 'attempt', attempts, 'runner', $7::text), $4
             from claimed
           )
           select new_attempt.id as "id?", task_id as "task_id?: TaskId", number as "number?", claimed.position as "position?"
           from new_attempt join claimed on claimed.id = new_attempt.task_id
           union all select null, parked.id, null, null from parked
           order by 4"#,
        ids.len() as i64,
        ids,
        session.id().0,
        now,
        lease_until(now),
        actor,
        session.name(),
        session.capabilities()
    )
    .fetch_all(&mut **tx)
    .await?;
    let mut claimed = Claimed::default();
    for row in rows {
        match (row.id, row.task_id, row.number) {
            (Some(id), Some(task_id), Some(number)) => {
                claimed.attempts.push(AttemptKey { task_id, attempt_id: AttemptId(id), number });
            }
            _ => claimed.parked += 1,
        }
    }
    Ok(claimed)
}

/// Everything the runner needs, with the checks that failed last time; or why no runner can be given it.
pub(super) async fn assignment(conn: &mut PgConnection, attempt: AttemptKey) -> Result<std::result::Result<Assignment, Failure>> {
    let row = sqlx::query!(
        r#"select title, correlation_id, command, prompt, location, base_ref, files, success_criteria, checks as "checks: Json<serde_json::Value>",
                  timeout_seconds, inputs as "inputs: Json<Inputs>", coalesce(tier, inferred ->> 'tier', 'standard') as "tier!: Tier"
           from task join repository on repository.id = task.repository_id where task.id = $1"#,
        attempt.task_id.0
    )
    .fetch_one(&mut *conn)
    .await?;
    let unreadable = |reason: String| Error::inconsistent("task", attempt.task_id, reason);
    let work = match (row.command, row.prompt) {
        (Some(command), _) => Work::Command(command),
        (None, Some(prompt)) => Work::Prompt(fill(&prompt, &row.inputs.0)),
        (None, None) => return Err(unreadable("it has no work".into())),
    };
    let filled = |texts: Vec<String>| texts.iter().map(|text| fill(text, &row.inputs.0)).collect();
    let base_ref = row.base_ref.map(|name| fill(&name, &row.inputs.0).trim().to_owned()).filter(|name| !name.is_empty());
    if let Some(base_ref) = &base_ref
        && let Err(reason) = domain::repository::check_ref(base_ref)
    {
        return Ok(Err(Failure::new(FailureCode::RefMalformed, format!("“{base_ref}”, from which it was to start, {reason}"))));
    }
    Ok(Ok(Assignment {
        attempt,
        title: row.title,
        correlation_id: row.correlation_id,
        work,
        repository: row.location,
        base_ref,
        files: filled(row.files),
        success_criteria: filled(row.success_criteria),
        checks: serde_json::from_value(row.checks.0).map_err(|error| unreadable(format!("its checks: {error}")))?,
        inputs: row.inputs.0.clone(),
        timeout_seconds: row.timeout_seconds.unsigned_abs(),
        tier: row.tier,
        failed_checks: last_failed_checks(conn, attempt).await?,
    }))
}

async fn last_failed_checks(conn: &mut PgConnection, attempt: AttemptKey) -> Result<Vec<CheckResult>> {
    let last = sqlx::query_scalar!(
        "select id from attempt join verification on verification.attempt_id = attempt.id
         where task_id = $1 and number < $2 order by number desc limit 1",
        attempt.task_id.0,
        attempt.number
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(last) = last else { return Ok(vec![]) };
    let checks = super::query::checks(conn, &[last]).await?;
    Ok(checks.into_iter().map(|(_, check)| check).filter(|check| check.status != CheckStatus::Passed).collect())
}

/// Whether the attempt has not ended, and is with this runner.
pub(super) async fn is_held(conn: &mut PgConnection, session: Option<&RunnerSession>, key: AttemptKey) -> Result<bool> {
    let held = sqlx::query_scalar!(
        r#"select exists (select from attempt where id = $1 and task_id = $2 and number = $3 and ended_at is null
                          and ($4::uuid is null or runner_id = $4)) as "held!""#,
        key.attempt_id.0,
        key.task_id.0,
        key.number,
        session.map(|session| session.id().0)
    )
    .fetch_one(conn)
    .await?;
    Ok(held)
}

pub(super) async fn start(tx: &mut Tx, key: AttemptKey, base_commit: &str, branch: &str) -> Result<()> {
    let now = tx.now();
    let done = sqlx::query!(
        "update attempt set state = 'running', started_at = $2, base_commit = $3, branch = $4, lease_until = $5
         where id = $1 and state = 'claimed'",
        key.attempt_id.0,
        now,
        base_commit,
        branch,
        lease_until(now)
    )
    .execute(&mut **tx)
    .await?;
    hit_one(&done, || Error::StaleLease)
}

pub(super) async fn verify(tx: &mut Tx, key: AttemptKey) -> Result<()> {
    let until = lease_until(tx.now());
    let done = sqlx::query!(
        "update attempt set state = 'verifying', lease_until = $2 where id = $1 and state = 'running'",
        key.attempt_id.0,
        until
    )
    .execute(&mut **tx)
    .await?;
    hit_one(&done, || Error::StaleLease)
}

/// What a heartbeat brings back.
pub(crate) struct Heartbeat {
    pub stale: Vec<AttemptKey>,
    pub cancel: Vec<AttemptKey>,
}

pub(super) async fn heartbeat(tx: &mut Tx, session: &RunnerSession, keys: &[AttemptKey]) -> Result<Heartbeat> {
    let now = tx.now();
    let ids: Vec<_> = keys.iter().map(|key| key.attempt_id.0).collect();
    sqlx::query!("update runner set last_seen_at = $2 where id = $1", session.id().0, now).execute(&mut **tx).await?;
    let renewed = sqlx::query!(
        r#"update attempt set lease_until = $3 from task
           where attempt.id = any($1) and attempt.runner_id = $2 and attempt.ended_at is null
             and task.id = attempt.task_id and task.attempts = attempt.number
           returning attempt.id, task.stop is not null as "cancel!""#,
        &ids,
        session.id().0,
        lease_until(now)
    )
    .fetch_all(&mut **tx)
    .await?;
    let renewal = |key: &AttemptKey| renewed.iter().find(|row| row.id == key.attempt_id);
    Ok(Heartbeat {
        stale: keys.iter().filter(|key| renewal(key).is_none()).copied().collect(),
        cancel: keys.iter().filter(|key| renewal(key).is_some_and(|row| row.cancel)).copied().collect(),
    })
}

pub(super) async fn report(tx: &mut Tx, key: AttemptKey, report: &AttemptReport) -> Result<()> {
    sqlx::query!(
        "update attempt set exit_code = $2, branch = coalesce($3, branch), commit_id = $4 where id = $1",
        key.attempt_id.0,
        report.exit_code,
        report.branch,
        report.commit
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

pub(super) async fn end(tx: &mut Tx, key: AttemptKey, state: AttemptState, failure: Option<&Failure>, now: Timestamp) -> Result<()> {
    let done = sqlx::query!(
        "update attempt set state = $2, failure = $3, ended_at = $4 where id = $1 and ended_at is null",
        key.attempt_id.0,
        state.name(),
        failure.map(Json) as _,
        now
    )
    .execute(&mut **tx)
    .await?;
    hit_one(&done, || Error::StaleLease)
}

pub(super) async fn insert_verification(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    key: AttemptKey,
    report: &VerificationReport,
) -> Result<()> {
    sqlx::query!(
        "insert into verification (attempt_id, workspace_id, started_at, duration_ms) values ($1, $2, $3, $4)",
        key.attempt_id.0,
        workspace.0,
        report.started_at,
        i64::try_from(report.duration_ms).unwrap_or(i64::MAX)
    )
    .execute(&mut *conn)
    .await?;
    for (position, check) in report.checks.iter().enumerate() {
        insert_check(conn, workspace, key.attempt_id, position, check).await?;
    }
    Ok(())
}

async fn insert_check(
    conn: &mut PgConnection,
    workspace: WorkspaceId,
    attempt: AttemptId,
    position: usize,
    check: &CheckResult,
) -> Result<()> {
    sqlx::query!(
        "insert into verification_check (workspace_id, attempt_id, position, kind, target, required, timeout_seconds, status, output,
                                         command, duration_ms)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        workspace.0,
        attempt.0,
        i32::try_from(position).unwrap_or(i32::MAX),
        check.spec.kind.name(),
        check.spec.target,
        check.spec.required,
        i32::try_from(check.spec.timeout_seconds).unwrap_or(i32::MAX),
        check.status.name(),
        check.output.replace('\0', "\u{fffd}"),
        check.command,
        i64::try_from(check.duration_ms).unwrap_or(i64::MAX)
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The attempt that works on a task now, and with which runner.
pub(crate) async fn live(conn: &mut PgConnection, task: TaskId) -> Result<Option<(RunnerId, AttemptKey)>> {
    let row = sqlx::query!("select id, task_id, number, runner_id from attempt where task_id = $1 and ended_at is null", task.0)
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|row| (row.runner_id, AttemptKey { task_id: row.task_id, attempt_id: row.id, number: row.number })))
}

/// Everything a runner holds.
pub(super) async fn held_by(conn: &mut PgConnection, session: &RunnerSession) -> Result<Vec<AttemptKey>> {
    let rows = sqlx::query!(
        "select id, task_id, number from attempt where runner_id = $1 and state in ('claimed', 'running', 'verifying')",
        session.id().0
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| AttemptKey { task_id: row.task_id, attempt_id: row.id, number: row.number }).collect())
}

/// Attempts whose lease has run out.
pub(crate) async fn expired(conn: &mut PgConnection, now: Timestamp, limit: i64) -> Result<Vec<AttemptKey>> {
    let rows = sqlx::query!(
        "select id, task_id, number from attempt where state in ('claimed', 'running', 'verifying') and lease_until < $1
         order by lease_until limit $2",
        now,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| AttemptKey { task_id: row.task_id, attempt_id: row.id, number: row.number }).collect())
}

pub(super) async fn has_expired(conn: &mut PgConnection, key: AttemptKey, now: Timestamp) -> Result<bool> {
    let expired = sqlx::query_scalar!(
        r#"select lease_until < $2 as "expired!" from attempt where id = $1 and ended_at is null"#,
        key.attempt_id.0,
        now
    )
    .fetch_optional(conn)
    .await?;
    Ok(expired.unwrap_or(false))
}

/// Ends the attempt and the task of a row that cannot be read, without reading it.
pub(super) async fn fail_unreadable(tx: &mut Tx, key: AttemptKey, failure: &Failure) -> Result<()> {
    let now = tx.now();
    end(tx, key, AttemptState::Failed, Some(failure), now).await?;
    let row = sqlx::query!(
        "update task set state = 'failed', failure = $2, ended_at = $3, stop = null, paused_by = null, turn = null
         where id = $1 and attempts = $4 returning workspace_id, title, concurrency_key",
        key.task_id.0,
        Json(failure) as _,
        now,
        key.number
    )
    .fetch_one(&mut **tx)
    .await?;
    let kind = EventKind::TaskEnded { state: domain::TaskStateName::Failed, reason: Some(failure.message.clone()) };
    tx.record(row.workspace_id, key.task_id, &kind).await?;
    if let Some(shared) = row.concurrency_key {
        concurrency::release(tx, row.workspace_id, &shared).await?;
    }
    release_below(tx, Parent::new(key.task_id, row.title, domain::TaskStateName::Failed)).await
}

/// A check as its row holds it.
pub(super) fn check_spec(kind: &str, target: Option<String>, required: bool, timeout_seconds: i32) -> Option<CheckSpec> {
    Some(CheckSpec { kind: CheckKind::parse(kind)?, target, required, timeout_seconds: timeout_seconds.unsigned_abs() })
}
