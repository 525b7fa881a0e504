//! All SQL that changes tasks. Reading for the API and the pages is in `query`.

use domain::{
    CheckSpec, Failure, Priority, RepositoryId, Task, TaskId, TaskState, TaskStateName, Timestamp, Work, WorkspaceId,
    task::{Concurrency, RetryPolicy, RetryStrategy, Stop},
};
use sqlx::{PgConnection, types::Json};

use crate::{Error, Result, error::hit_one, tx::Tx};

/// A row of `task` as far as transitions need it.
pub(super) struct TaskRow {
    id: TaskId,
    workspace_id: WorkspaceId,
    repository_id: RepositoryId,
    title: String,
    command: Option<String>,
    prompt: Option<String>,
    base_ref: Option<String>,
    files: Vec<String>,
    success_criteria: Vec<String>,
    checks: Json<Vec<CheckSpec>>,
    priority: Priority,
    timeout_seconds: i32,
    max_attempts: i32,
    retry_strategy: RetryStrategy,
    retry_base_seconds: i32,
    retry_cap_seconds: i32,
    not_before: Option<Timestamp>,
    complete_by: Option<Timestamp>,
    queue_seconds: Option<i32>,
    concurrency_key: Option<String>,
    concurrency_limit: Option<i32>,
    tags: Vec<String>,
    correlation_id: Option<String>,
    paused_by: Option<String>,
    state: TaskStateName,
    waiting_for: i32,
    attempts: i32,
    failures: i32,
    losses: i32,
    run_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    failure: Option<Json<Failure>>,
    cancelled_by: Option<String>,
    stop: Option<Json<Stop>>,
    skipped_because_of: Option<TaskId>,
    skipped_reason: Option<String>,
    created_at: Timestamp,
    created_by: String,
}

/// The columns that a state is spread over.
pub(super) struct StateColumns {
    pub state: TaskStateName,
    pub run_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub failure: Option<Json<Failure>>,
    pub cancelled_by: Option<String>,
    pub stop: Option<Json<Stop>>,
    pub skipped_because_of: Option<TaskId>,
    pub skipped_reason: Option<String>,
}

impl StateColumns {
    /// The state they mean; nothing when they do not fit each other, which the table's constraints rule out.
    pub fn state(self) -> Option<TaskState> {
        let failure = self.failure.map(|failure| failure.0);
        let stop = self.stop.map(|stop| stop.0);
        Some(match self.state {
            TaskStateName::Blocked => TaskState::Blocked,
            TaskStateName::Scheduled => TaskState::Scheduled { run_at: self.run_at? },
            TaskStateName::Queued => TaskState::Queued,
            TaskStateName::Running => TaskState::Running { stop },
            TaskStateName::Verifying => TaskState::Verifying { stop },
            TaskStateName::Succeeded => TaskState::Succeeded { at: self.ended_at? },
            TaskStateName::Partial => TaskState::Partial { at: self.ended_at?, failure: failure? },
            TaskStateName::Failed => TaskState::Failed { at: self.ended_at?, failure: failure? },
            TaskStateName::Cancelled => TaskState::Cancelled { at: self.ended_at?, by: self.cancelled_by? },
            TaskStateName::Skipped => {
                TaskState::Skipped { at: self.ended_at?, because_of: self.skipped_because_of?, reason: self.skipped_reason? }
            }
            TaskStateName::Dead => TaskState::Dead { at: self.ended_at?, failure: failure? },
        })
    }

    fn of(state: &TaskState) -> Self {
        let mut columns = Self {
            state: state.name(),
            run_at: None,
            ended_at: state.ended_at(),
            failure: state.failure().cloned().map(Json),
            cancelled_by: None,
            stop: state.stop().cloned().map(Json),
            skipped_because_of: None,
            skipped_reason: None,
        };
        match state {
            TaskState::Scheduled { run_at } => columns.run_at = Some(*run_at),
            TaskState::Cancelled { by, .. } => columns.cancelled_by = Some(by.clone()),
            TaskState::Skipped { because_of, reason, .. } => {
                columns.skipped_because_of = Some(*because_of);
                columns.skipped_reason = Some(reason.clone());
            }
            _ => {}
        }
        columns
    }
}

impl TryFrom<TaskRow> for Task {
    type Error = Error;

    fn try_from(row: TaskRow) -> Result<Self> {
        let inconsistent = |reason: &str| Error::inconsistent("task", row.id, reason);
        let work = match (row.command, row.prompt) {
            (Some(command), None) => Work::Command(command),
            (None, Some(prompt)) => Work::Prompt(prompt),
            _ => return Err(inconsistent("it has no work, or two kinds")),
        };
        let columns = StateColumns {
            state: row.state,
            run_at: row.run_at,
            ended_at: row.ended_at,
            failure: row.failure,
            cancelled_by: row.cancelled_by,
            stop: row.stop,
            skipped_because_of: row.skipped_because_of,
            skipped_reason: row.skipped_reason,
        };
        Ok(Self {
            id: row.id,
            workspace_id: row.workspace_id,
            repository_id: row.repository_id,
            title: row.title,
            work,
            base_ref: row.base_ref,
            files: row.files,
            success_criteria: row.success_criteria,
            checks: row.checks.0,
            priority: row.priority,
            timeout_seconds: row.timeout_seconds,
            max_attempts: row.max_attempts,
            retry: retry_policy(row.retry_strategy, row.retry_base_seconds, row.retry_cap_seconds),
            not_before: row.not_before,
            complete_by: row.complete_by,
            queue_seconds: row.queue_seconds,
            concurrency: concurrency(row.concurrency_key, row.concurrency_limit),
            tags: row.tags,
            correlation_id: row.correlation_id,
            paused_by: row.paused_by,
            state: columns.state().ok_or_else(|| inconsistent("its columns do not fit its state"))?,
            attempts: row.attempts,
            failures: row.failures,
            losses: row.losses,
            created_at: row.created_at,
            created_by: row.created_by,
        })
    }
}

/// As its columns hold it.
pub(super) fn retry_policy(strategy: RetryStrategy, base_seconds: i32, cap_seconds: i32) -> RetryPolicy {
    RetryPolicy { strategy, base_seconds: base_seconds.unsigned_abs(), cap_seconds: cap_seconds.unsigned_abs() }
}

/// As its columns hold it.
pub(super) fn concurrency(key: Option<String>, limit: Option<i32>) -> Option<Concurrency> {
    key.zip(limit).map(|(key, limit)| Concurrency { key, limit: limit.unsigned_abs() })
}

/// A task that another waits for.
pub(super) struct Parent {
    pub id: TaskId,
    pub title: String,
    pub state: TaskStateName,
}

pub(super) async fn insert(conn: &mut PgConnection, task: &Task, waiting_for: usize, now: Timestamp) -> Result<()> {
    let columns = StateColumns::of(&task.state);
    let (command, prompt) = match &task.work {
        Work::Command(text) => (Some(text), None),
        Work::Prompt(text) => (None, Some(text)),
    };
    sqlx::query!(
        "insert into task (id, workspace_id, repository_id, title, command, prompt, base_ref, files, success_criteria, checks, priority,
                           timeout_seconds, max_attempts, retry_strategy, retry_base_seconds, retry_cap_seconds, not_before, state,
                           waiting_for, run_at, ended_at, skipped_because_of, skipped_reason, created_by, created_at, complete_by,
                           queue_seconds, concurrency_key, concurrency_limit, tags, correlation_id, queued_at, turn)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25,
                 $26, $27, $28, $29, $30, $31,
                 case when $18 = 'queued' then $25::timestamptz end,
                 case when $18 = 'queued' then nextval('queue_turn') + lane_patience($11) end)",
        task.id.0,
        task.workspace_id.0,
        task.repository_id.0,
        task.title,
        command,
        prompt,
        task.base_ref,
        &task.files,
        &task.success_criteria,
        Json(&task.checks) as _,
        task.priority.name(),
        task.timeout_seconds,
        task.max_attempts,
        task.retry.strategy.name(),
        i32::try_from(task.retry.base_seconds).unwrap_or(i32::MAX),
        i32::try_from(task.retry.cap_seconds).unwrap_or(i32::MAX),
        task.not_before,
        columns.state.name(),
        i32::try_from(waiting_for).unwrap_or(i32::MAX),
        columns.run_at,
        columns.ended_at,
        columns.skipped_because_of.map(|id| id.0),
        columns.skipped_reason,
        task.created_by,
        now,
        task.complete_by,
        task.queue_seconds,
        task.concurrency.as_ref().map(|shared| &shared.key),
        task.concurrency.as_ref().map(|shared| i32::try_from(shared.limit).unwrap_or(i32::MAX)),
        &task.tags,
        task.correlation_id
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Adds the edges that are not there yet, and says which those were.
pub(super) async fn insert_dependencies(conn: &mut PgConnection, task: &Task, on: &[TaskId], now: Timestamp) -> Result<Vec<TaskId>> {
    if on.is_empty() {
        return Ok(vec![]);
    }
    let ids: Vec<_> = on.iter().map(|id| id.0).collect();
    let added = sqlx::query_scalar!(
        "insert into task_dependency (workspace_id, task_id, depends_on_id, created_at)
         select $1, $2, parent, $4 from unnest($3::uuid[]) as parent
         on conflict do nothing returning depends_on_id",
        task.workspace_id.0,
        task.id.0,
        &ids,
        now
    )
    .fetch_all(conn)
    .await?;
    Ok(added)
}

/// The task, its row locked until the end of the transaction.
pub(crate) async fn lock(conn: &mut PgConnection, id: TaskId) -> Result<Task> {
    let row = sqlx::query_as!(
        TaskRow,
        r#"select id, workspace_id, repository_id, title, command, prompt, base_ref, files, success_criteria,
                  checks as "checks: Json<Vec<CheckSpec>>", priority, timeout_seconds, max_attempts, retry_strategy,
                  retry_base_seconds, retry_cap_seconds, not_before, complete_by, queue_seconds, concurrency_key, concurrency_limit,
                  tags, correlation_id, paused_by, state, waiting_for, attempts, failures, losses, run_at, ended_at,
                  failure as "failure: Json<Failure>", cancelled_by, stop as "stop: Json<Stop>", skipped_because_of, skipped_reason,
                  created_at, created_by
           from task where id = $1 for update"#,
        id.0
    )
    .fetch_optional(conn)
    .await?;
    row.ok_or_else(|| Error::not_found("task", id))?.try_into()
}

/// The tasks that wait for this one, locked, each with how many it still waits for.
pub(super) async fn lock_blocked_children(conn: &mut PgConnection, parent: TaskId) -> Result<Vec<(Task, i32)>> {
    let rows = sqlx::query_as!(
        TaskRow,
        r#"select id, workspace_id, repository_id, title, command, prompt, base_ref, files, success_criteria,
                  checks as "checks: Json<Vec<CheckSpec>>", priority, timeout_seconds, max_attempts, retry_strategy,
                  retry_base_seconds, retry_cap_seconds, not_before, complete_by, queue_seconds, concurrency_key, concurrency_limit,
                  tags, correlation_id, paused_by, state, waiting_for, attempts, failures, losses, run_at, ended_at,
                  failure as "failure: Json<Failure>", cancelled_by, stop as "stop: Json<Stop>", skipped_because_of, skipped_reason,
                  created_at, created_by
           from task
           where id in (select task_id from task_dependency where depends_on_id = $1) and state = 'blocked'
           order by id for update"#,
        parent.0
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let waiting_for = row.waiting_for;
            Ok((row.try_into()?, waiting_for))
        })
        .collect()
}

/// Writes back what a transition may have changed. The row is locked, so it is there.
pub(crate) async fn save(tx: &mut Tx, task: &Task) -> Result<()> {
    let columns = StateColumns::of(&task.state);
    let now = tx.now();
    let done = sqlx::query!(
        "update task set state = $2, attempts = $3, failures = $4, losses = $5, run_at = $6, ended_at = $7, failure = $8,
                         cancelled_by = $9, skipped_because_of = $10, skipped_reason = $11, stop = $13, paused_by = $14, priority = $15,
                         complete_by = $16, parked = parked and $2 = 'queued' and paused_by is not distinct from $14,
                         queued_at = case when $2 = 'queued' then coalesce(queued_at, $12) end,
                         -- what comes back keeps its place, but for what had to make room and what changes its lane
                         turn = case
                           when $2 = 'queued' and (turn is null or stop ->> 'why' = 'pre_empt' or priority <> $15)
                             then nextval('queue_turn') + lane_patience($15)
                           when $2 in ('queued', 'running', 'verifying') then turn
                         end
         where id = $1",
        task.id.0,
        columns.state.name(),
        task.attempts,
        task.failures,
        task.losses,
        columns.run_at,
        columns.ended_at,
        columns.failure as _,
        columns.cancelled_by,
        columns.skipped_because_of.map(|id| id.0),
        columns.skipped_reason,
        now,
        columns.stop as _,
        task.paused_by,
        task.priority.name(),
        task.complete_by
    )
    .execute(&mut **tx)
    .await?;
    hit_one(&done, || Error::not_found("task", task.id))
}

/// As [`save`], with what the task waits for counted anew.
pub(super) async fn save_waiting(tx: &mut Tx, task: &Task, waiting_for: usize) -> Result<()> {
    // First the count, so that the row never says "blocked" while it waits for nothing.
    let waiting_for = i32::try_from(waiting_for).unwrap_or(i32::MAX);
    if waiting_for > 0 {
        set_waiting(tx, task.id, waiting_for).await?;
        return save(tx, task).await;
    }
    save(tx, task).await?;
    set_waiting(tx, task.id, waiting_for).await
}

/// As [`save`], with more to wait for than before.
pub(super) async fn save_waiting_more(tx: &mut Tx, task: &Task, more: usize) -> Result<()> {
    let more = i32::try_from(more).unwrap_or(i32::MAX);
    sqlx::query!("update task set waiting_for = waiting_for + $2 where id = $1", task.id.0, more).execute(&mut **tx).await?;
    save(tx, task).await
}

async fn set_waiting(conn: &mut PgConnection, id: TaskId, waiting_for: i32) -> Result<()> {
    sqlx::query!("update task set waiting_for = $2 where id = $1 and waiting_for <> $2", id.0, waiting_for).execute(conn).await?;
    Ok(())
}

/// The tasks with these ids, in the order of their ids, kept from ending until the end of the transaction.
pub(super) async fn lock_some(conn: &mut PgConnection, ids: &[TaskId]) -> Result<Vec<Parent>> {
    if ids.is_empty() {
        return Ok(vec![]);
    }
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    let parents =
        sqlx::query_as!(Parent, "select id, title, state from task where id = any($1) order by id for share", &ids).fetch_all(conn).await?;
    Ok(parents)
}

/// What a task waits for, kept from ending until the end of the transaction.
pub(super) async fn lock_parents(conn: &mut PgConnection, id: TaskId) -> Result<Vec<Parent>> {
    let parents = sqlx::query_as!(
        Parent,
        "select id, title, state from task
         where id in (select depends_on_id from task_dependency where task_id = $1) order by id for share",
        id.0
    )
    .fetch_all(conn)
    .await?;
    Ok(parents)
}

/// Serialises changes to the edges of the transaction's workspace.
pub(super) async fn lock_graph(conn: &mut PgConnection) -> Result<()> {
    sqlx::query!("select pg_advisory_xact_lock(hashtextextended('task graph ' || current_workspace(), 0))").execute(conn).await?;
    Ok(())
}

/// Everything that each of these tasks waits for, directly or through others: (task, ancestor).
pub(super) async fn ancestors(conn: &mut PgConnection, of: &[TaskId]) -> Result<Vec<(TaskId, TaskId)>> {
    let ids: Vec<_> = of.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"with recursive above (start, id) as (
             select start, start from unnest($1::uuid[]) as start
             union
             select above.start, edge.depends_on_id from above join task_dependency edge on edge.task_id = above.id
           )
           select start as "start!", id as "id!" from above"#,
        &ids
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (TaskId(row.start), TaskId(row.id))).collect())
}

pub(crate) async fn exists(conn: &mut PgConnection, id: TaskId) -> Result<()> {
    let found = sqlx::query_scalar!(r#"select exists (select from task where id = $1) as "found!""#, id.0).fetch_one(conn).await?;
    if found { Ok(()) } else { Err(Error::not_found("task", id)) }
}

/// Tasks whose time has come, locked; at most `limit`.
pub(super) async fn lock_due(conn: &mut PgConnection, now: Timestamp, limit: i64) -> Result<Vec<TaskId>> {
    let ids = sqlx::query_scalar!(
        "select id from task where state = 'scheduled' and run_at <= $1 order by run_at, id limit $2 for update skip locked",
        now,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}

/// Tasks whose deadline has passed, and which nobody ends for it yet.
pub(super) async fn overdue(conn: &mut PgConnection, now: Timestamp, limit: i64) -> Result<Vec<TaskId>> {
    let ids = sqlx::query_scalar!(
        "select id from task where complete_by <= $1 and ended_at is null and (stop is null or stop ->> 'why' not in ('deadline', 'cancel'))
         order by complete_by, id limit $2",
        now,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}

/// Tasks that have been in the queue for longer than they were to wait. While somebody holds one its time stands still.
pub(super) async fn expired(conn: &mut PgConnection, now: Timestamp, limit: i64) -> Result<Vec<TaskId>> {
    let ids = sqlx::query_scalar!(
        "select id from task
         where state = 'queued' and queue_seconds is not null and queued_at + make_interval(secs => queue_seconds) <= $1
           and paused_by is null order by queued_at, id limit $2",
        now,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}

/// For each workspace with an urgent task that has waited since before `since`: the youngest that runs in its low lane, and the urgent
/// one. One at a time: a workspace in which something makes room already is left out.
pub(super) async fn to_pre_empt(conn: &mut PgConnection, since: Timestamp) -> Result<Vec<(TaskId, TaskId)>> {
    let rows = sqlx::query!(
        r#"select victim.id as "victim!: TaskId", urgent.id as "urgent!: TaskId"
           from (
             select distinct on (workspace_id) workspace_id, id from task
             where state = 'queued' and priority = 'urgent' and paused_by is null and not parked and queued_at <= $1
               and not exists (select from queue_pause pause where pause.workspace_id = task.workspace_id
                               and (pause.repository_id is null or pause.repository_id = task.repository_id))
             order by workspace_id, turn
           ) as urgent
           cross join lateral (
             select task.id from task join attempt on attempt.task_id = task.id and attempt.number = task.attempts
             where task.workspace_id = urgent.workspace_id and task.state = 'running' and task.priority = 'low' and task.stop is null
             order by attempt.claimed_at desc, task.id desc limit 1
           ) as victim
           where not exists (select from task making where making.workspace_id = urgent.workspace_id
                             and making.state in ('running', 'verifying') and making.stop ->> 'why' = 'pre_empt')"#,
        since
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.victim, row.urgent)).collect())
}
