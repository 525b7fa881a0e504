//! All SQL that changes tasks. Reading for the API and the pages is in `query`, rows as types in `row`.

use std::collections::BTreeMap;

use domain::{
    CheckSpec, Failure, KeptTerms, Task, TaskId, TaskStateName, Timestamp, Work, WorkspaceId,
    task::{Dependency, Inferred, Inputs, On, RetryByClass, Stop, Tier},
};
use serde_json::Value;
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

pub(crate) use super::row::ChangedRow;
pub(super) use super::row::{NewEdge, NewRow, StateColumns, concurrency, retry_policy};
use super::{edge::Parent, row::TaskRow};
use crate::{
    Error, Result,
    error::{hit, hit_one},
    tx::Tx,
};

/// A task that waits for others, with how it does.
pub(super) struct Waiting {
    pub task: Task,
    pub waiting_for: i32,
    pub edges: Vec<Dependency>,
}

/// Stores new tasks. What begins in the queue draws its turn.
pub(super) async fn insert(conn: &mut PgConnection, rows: &[NewRow]) -> Result<()> {
    sqlx::query!(
        "insert into task (id, workspace_id, repository_id, title, command, prompt, control, base_ref, files, success_criteria, checks,
                           priority, timeout_seconds, max_attempts, retry_strategy, retry_base_seconds, retry_cap_seconds, not_before,
                           state, waiting_for, run_at, ended_at, skipped_because_of, skipped_reason, skipped_path, created_by, created_at,
                           complete_by, queue_seconds, concurrency_key, concurrency_limit, tags, correlation_id, paused_by, inputs,
                           condition, delay_seconds, workflow_run_id, group_id, capabilities, agent, tier, inferred, estimate_seconds, retry_by_class,
                           land, submodules, lfs, queued_at, turn)
         select id, workspace_id, repository_id, title, command, prompt, control, base_ref, files, success_criteria, checks,
                priority, timeout_seconds, max_attempts, retry_strategy, retry_base_seconds, retry_cap_seconds, not_before,
                state, waiting_for, run_at, ended_at, skipped_because_of, skipped_reason, skipped_path, created_by, created_at,
                complete_by, queue_seconds, concurrency_key, concurrency_limit, tags, correlation_id, paused_by, inputs,
                condition, delay_seconds, workflow_run_id, group_id, capabilities, agent, tier, inferred, estimate_seconds, retry_by_class, land,
                submodules, lfs,
                case when state = 'queued' then created_at end,
                case when state = 'queued' then nextval('queue_turn') + lane_patience(priority) end
         from jsonb_to_recordset($1) as new (
           id uuid, workspace_id uuid, repository_id uuid, title text, command text, prompt text, control jsonb, base_ref text,
           files text[], success_criteria text[], checks jsonb, priority text, timeout_seconds int, max_attempts int,
           retry_strategy text, retry_base_seconds int, retry_cap_seconds int, not_before timestamptz, state text, waiting_for int,
           run_at timestamptz, ended_at timestamptz, skipped_because_of uuid, skipped_reason text, skipped_path uuid[],
           created_by text, created_at timestamptz, complete_by timestamptz, queue_seconds int, concurrency_key text,
           concurrency_limit int, tags text[], correlation_id text, paused_by text, inputs jsonb, condition text, delay_seconds int,
           workflow_run_id uuid, group_id uuid, capabilities text[], agent jsonb, tier text, inferred jsonb, estimate_seconds int, retry_by_class jsonb,
           land text, submodules boolean, lfs boolean)",
        Json(rows) as _
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Stores new edges and says which were not there yet, by the tasks that are waited for.
pub(super) async fn insert_edges(conn: &mut PgConnection, edges: &[NewEdge], now: Timestamp) -> Result<Vec<TaskId>> {
    if edges.is_empty() {
        return Ok(vec![]);
    }
    let added = sqlx::query_scalar!(
        "insert into task_dependency (workspace_id, task_id, depends_on_id, on_kind, condition, feeds, satisfied, created_at)
         select workspace_id, task_id, depends_on_id, on_kind, condition, feeds, satisfied, $2
         from jsonb_to_recordset($1) as new (workspace_id uuid, task_id uuid, depends_on_id uuid, on_kind text, condition text, feeds jsonb,
                                             satisfied boolean)
         on conflict do nothing returning depends_on_id",
        Json(edges) as _,
        now
    )
    .fetch_all(conn)
    .await?;
    Ok(added)
}

/// The task, its row locked until the end of the transaction.
pub(crate) async fn lock(conn: &mut PgConnection, id: TaskId) -> Result<Task> {
    lock_all(conn, &[id]).await?.pop().map(|(task, _)| task).ok_or_else(|| Error::not_found("task", id))
}

/// The tasks with these ids, in the order of their ids, their rows locked until the end of the transaction; each with how much it still
/// waits for. Ids without a task are left out. Nobody's id changes, so what only points at a row is not held up.
pub(crate) async fn lock_all(conn: &mut PgConnection, ids: &[TaskId]) -> Result<Vec<(Task, i32)>> {
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query_as!(
        TaskRow,
        r#"select id, workspace_id, repository_id, title, command, prompt, base_ref, submodules, lfs, files, success_criteria,
                  checks as "checks: Json<Vec<CheckSpec>>", priority, timeout_seconds, max_attempts, retry_strategy,
                  retry_base_seconds, retry_cap_seconds, not_before, complete_by, queue_seconds, concurrency_key, concurrency_limit,
                  tags, correlation_id, paused_by, state, attempts, failures, losses, run_at, ended_at,
                  failure as "failure: Json<Failure>", cancelled_by, stop as "stop: Json<Stop>", skipped_because_of, skipped_reason,
                  skipped_path, created_at, created_by, land, control as "control: Json<Work>", inputs as "inputs: Json<Inputs>", condition,
                  delay_seconds, opened, workflow_run_id, capabilities, agent as "agent: Json<KeptTerms>", tier as "tier: Tier", inferred as "inferred: Json<Inferred>",
                  estimate_seconds, retry_by_class as "retry_by_class: Json<RetryByClass>", limits, waiting_for
           from task where id = any($1) order by id for no key update"#,
        &ids
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|row| (row.waiting_for, row)).map(|(waiting_for, row)| Ok((row.try_into()?, waiting_for))).collect()
}

/// The tasks that still wait for these, locked, in the order of their ids; with `only`, that one alone. The tasks that they wait for are
/// locked by this transaction, so the edges between them stay as they are.
pub(super) async fn lock_waiting(conn: &mut PgConnection, parents: &[TaskId], only: Option<TaskId>) -> Result<Vec<Waiting>> {
    let ids: Vec<_> = parents.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"select edge.task_id, depends_on_id, on_kind, edge.condition, feeds as "feeds: Json<BTreeMap<String, String>>"
           from task_dependency edge join task on task.id = edge.task_id
           where depends_on_id = any($1) and not satisfied and state = 'blocked' and ($2::uuid is null or edge.task_id = $2)
           order by edge.task_id, array_position($1, depends_on_id)"#,
        &ids,
        only.map(|id| id.0)
    )
    .fetch_all(&mut *conn)
    .await?;
    if rows.is_empty() {
        return Ok(vec![]);
    }
    let mut edges: BTreeMap<TaskId, Vec<Dependency>> = BTreeMap::new();
    for row in rows {
        let dependency = Dependency { task: row.depends_on_id, on: on(row.on_kind, row.condition), feeds: row.feeds.0 };
        edges.entry(row.task_id).or_default().push(dependency);
    }
    let ids: Vec<_> = edges.keys().copied().collect();
    let children = lock_all(conn, &ids).await?;
    // One that was cancelled meanwhile waits for nothing any more.
    let blocked = children.into_iter().filter(|(task, _)| task.state.name() == TaskStateName::Blocked);
    Ok(blocked.map(|(task, waiting_for)| Waiting { edges: edges.remove(&task.id).unwrap_or_default(), task, waiting_for }).collect())
}

/// As its columns hold it.
pub(super) fn on(kind: String, condition: Option<String>) -> On {
    match (kind.as_str(), condition) {
        (_, Some(condition)) => On::Condition(condition),
        ("end", None) => On::End,
        (_, None) => On::Success,
    }
}

/// An edge holds now: what it gives is kept, and an edge that might hold once more is marked.
pub(super) async fn satisfy(conn: &mut PgConnection, task: TaskId, dependency: &Dependency, inputs: &Inputs) -> Result<()> {
    if dependency.on != On::Success {
        satisfy_all(conn, &[(task, dependency.task)]).await?;
    }
    if !inputs.is_empty() {
        sqlx::query!("update task set inputs = inputs || $2 where id = $1", task.0, Json(inputs) as _).execute(conn).await?;
    }
    Ok(())
}

/// Marks edges, each with the task that waits and the one that is waited for.
pub(super) async fn satisfy_all(conn: &mut PgConnection, edges: &[(TaskId, TaskId)]) -> Result<()> {
    if edges.is_empty() {
        return Ok(());
    }
    let (tasks, parents): (Vec<_>, Vec<_>) = edges.iter().map(|(task, parent)| (task.0, parent.0)).unzip();
    sqlx::query!(
        "update task_dependency edge set satisfied = true from unnest($1::uuid[], $2::uuid[]) as held (task_id, depends_on_id)
         where edge.task_id = any($1) and edge.task_id = held.task_id and edge.depends_on_id = held.depends_on_id",
        &tasks,
        &parents
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A task that is brought back is waited for again by those that have not begun, also where its first end was enough for them.
pub(super) async fn unsatisfy(conn: &mut PgConnection, parent: TaskId) -> Result<()> {
    sqlx::query!(
        "with child as (
           select task.id from task_dependency edge join task on task.id = edge.task_id
           where edge.depends_on_id = $1 and edge.satisfied and task.state = 'blocked' order by task.id for no key update of task
         ), again as (
           update task_dependency edge set satisfied = false from child
           where edge.depends_on_id = $1 and edge.satisfied and edge.task_id = child.id
           returning edge.task_id
         )
         update task set waiting_for = waiting_for + 1 from again where task.id = again.task_id",
        parent.0
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What a task that has ended left to those that wait for it.
pub(super) async fn result(conn: &mut PgConnection, id: TaskId) -> Result<Value> {
    let result = sqlx::query_scalar!(
        r#"select jsonb_build_object(
                    'state', task.state, 'attempts', task.attempts, 'output', task.output, 'failure', task.failure,
                    'exit_code', attempt.exit_code,
                    -- a branch that holds no commit of its own was never made
                    'branch', coalesce(case when attempt.commit_id is not null then to_jsonb(attempt.branch) end, task.output -> 'branch'),
                    'commit', coalesce(to_jsonb(attempt.commit_id), task.output -> 'commit'),
                    -- of those beside the first, by their folders; a group has those of the one that it has chosen
                    'repositories', coalesce(
                      (select jsonb_object_agg(folder, jsonb_build_object('branch', part.branch, 'commit', part.commit_id))
                       from attempt_repository part join task_repository beside on beside.task_id = task.id and beside.position = part.position
                       where part.attempt_id = attempt.id),
                      case when attempt.id is null then task.output -> 'repositories' end, '{}')) as "result!: Json<Value>"
           from task left join attempt on attempt.task_id = task.id and attempt.number = task.attempts where task.id = $1"#,
        id.0
    )
    .fetch_one(conn)
    .await?;
    Ok(result.0)
}

/// What a task leaves to those that wait for it.
pub(crate) async fn save_output(conn: &mut PgConnection, id: TaskId, output: &Value) -> Result<()> {
    save_outputs(conn, &[(id, output)]).await
}

/// As [`save_output`], of several tasks.
pub(crate) async fn save_outputs(conn: &mut PgConnection, outputs: &[(TaskId, &Value)]) -> Result<()> {
    if outputs.is_empty() {
        return Ok(());
    }
    let (ids, outputs): (Vec<_>, Vec<_>) = outputs.iter().map(|(id, output)| (id.0, (*output).clone())).unzip();
    sqlx::query!(
        "update task set output = new.output from unnest($1::uuid[], $2::jsonb[]) as new (id, output)
         where task.id = any($1) and task.id = new.id",
        &ids,
        &outputs
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A gate that waits to be passed, or a group that waits for so many tasks.
pub(super) async fn save_opened(tx: &mut Tx, task: &Task, waiting_for: usize) -> Result<()> {
    let waiting_for = i32::try_from(waiting_for).unwrap_or(i32::MAX);
    let done = sqlx::query!(
        "update task set opened = $2, waiting_for = $3 where id = $1 and state = 'blocked'",
        task.id.0,
        task.opened,
        waiting_for
    )
    .execute(&mut **tx)
    .await?;
    hit_one(&done, || Error::not_found("task", task.id))
}

/// Writes back what a transition may have changed. The row is locked, so it is there.
pub(crate) async fn save(tx: &mut Tx, task: &Task) -> Result<()> {
    save_all(tx, &[ChangedRow::of(task)]).await
}

/// As [`save`], of several tasks, each once. Of what joins the queue the first draws the lowest turn.
pub(crate) async fn save_all(tx: &mut Tx, changed: &[ChangedRow]) -> Result<()> {
    if changed.is_empty() {
        return Ok(());
    }
    let now = tx.now();
    let done = sqlx::query!(
        "with new as materialized (
           -- what comes back keeps its place, but for what had to make room and what changes its lane
           select *, case when state = 'queued'
                           and (select turn is null or stop ->> 'why' = 'pre_empt' or task.priority <> new.priority from task where task.id = new.id)
                       then nextval('queue_turn') + lane_patience(priority) end as drawn
           from unnest($1::uuid[], $2::text[], $3::int[], $4::int[], $5::int[], $6::timestamptz[], $7::timestamptz[], $8::jsonb[], $9::text[],
                       $10::uuid[], $11::text[], $12::text[], $13::jsonb[], $14::text[], $15::text[], $16::timestamptz[], $17::boolean[],
                       $18::int[], $19::jsonb[], $20::int[])
                as new (id, state, attempts, failures, losses, run_at, ended_at, failure, cancelled_by, skipped_because_of, skipped_reason,
                        skipped_path, stop, paused_by, priority, complete_by, opened, waiting_for, inputs, limits)
         )
         update task set state = new.state, attempts = new.attempts, failures = new.failures, losses = new.losses, run_at = new.run_at,
                         ended_at = new.ended_at, failure = new.failure, cancelled_by = new.cancelled_by,
                         skipped_because_of = new.skipped_because_of, skipped_reason = new.skipped_reason,
                         skipped_path = new.skipped_path::uuid[], stop = new.stop, paused_by = new.paused_by, priority = new.priority,
                         complete_by = new.complete_by, opened = new.opened, limits = new.limits,
                         waiting_for = coalesce(new.waiting_for, task.waiting_for),
                         inputs = case when new.inputs is null then task.inputs else task.inputs || new.inputs end,
                         -- what was to begin, and waits for a pull, is out of sight as soon as it is back
                         parked = new.state = 'queued' and task.paused_by is not distinct from new.paused_by
                                  and (parked or task.state = 'running' and model_pull is not null),
                         model_pull = case when new.state = 'queued' then model_pull end,
                         queued_at = case when new.state = 'queued' then coalesce(queued_at, $21) end,
                         turn = case when new.state in ('queued', 'running', 'verifying') then coalesce(new.drawn, turn) end
         from new where task.id = any($1) and task.id = new.id",
        &column(changed, |row| row.id.0),
        &column(changed, |row| row.columns.state.name().to_owned()),
        &column(changed, |row| row.attempts),
        &column(changed, |row| row.failures),
        &column(changed, |row| row.losses),
        &column(changed, |row| row.columns.run_at) as _,
        &column(changed, |row| row.columns.ended_at) as _,
        &column(changed, |row| row.columns.failure.clone()) as _,
        &column(changed, |row| row.columns.cancelled_by.clone()) as _,
        &column(changed, |row| row.columns.skipped_because_of.map(|id| id.0)) as _,
        &column(changed, |row| row.columns.skipped_reason.clone()) as _,
        &column(changed, |row| row.columns.skipped_path.as_deref().map(array_of_ids)) as _,
        &column(changed, |row| row.columns.stop.clone()) as _,
        &column(changed, |row| row.paused_by.clone()) as _,
        &column(changed, |row| row.priority.name().to_owned()),
        &column(changed, |row| row.complete_by) as _,
        &column(changed, |row| row.opened),
        &column(changed, |row| row.waiting_for) as _,
        &column(changed, |row| row.inputs.clone().map(Json)) as _,
        &column(changed, |row| row.limits),
        now
    )
    .execute(&mut **tx)
    .await?;
    hit(&done, changed.len(), || Error::not_found("task", changed[0].id))
}

/// One value of each row.
fn column<T>(rows: &[ChangedRow], of: impl Fn(&ChangedRow) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

/// As Postgres writes an array: one array of several is a matrix, whose rows are all as long.
fn array_of_ids(ids: &[TaskId]) -> String {
    format!("{{{}}}", ids.iter().map(TaskId::to_string).collect::<Vec<_>>().join(","))
}

/// As [`save`], with what the task waits for counted anew.
pub(super) async fn save_waiting(tx: &mut Tx, task: &Task, waiting_for: i32) -> Result<()> {
    // First the count, so that the row never says "blocked" while it waits for nothing.
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

pub(super) async fn set_waiting(conn: &mut PgConnection, id: TaskId, waiting_for: i32) -> Result<()> {
    count_down(conn, &[(id, waiting_for, Inputs::new())]).await
}

/// How much tasks wait for now, each with what it was given.
pub(super) async fn count_down(conn: &mut PgConnection, waiting: &[(TaskId, i32, Inputs)]) -> Result<()> {
    if waiting.is_empty() {
        return Ok(());
    }
    let ids: Vec<_> = waiting.iter().map(|(id, ..)| id.0).collect();
    let counts: Vec<_> = waiting.iter().map(|(_, count, _)| *count).collect();
    let inputs: Vec<_> = waiting.iter().map(|(.., inputs)| (!inputs.is_empty()).then(|| serde_json::json!(inputs))).collect();
    sqlx::query!(
        "update task set waiting_for = new.waiting_for, inputs = case when new.inputs is null then task.inputs else task.inputs || new.inputs end
         from unnest($1::uuid[], $2::int[], $3::jsonb[]) as new (id, waiting_for, inputs)
         where task.id = any($1) and task.id = new.id and (task.waiting_for <> new.waiting_for or new.inputs is not null)",
        &ids,
        &counts,
        &inputs as _
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The tasks with these ids, in the order of their ids, kept from ending until the end of the transaction.
pub(super) async fn lock_some(conn: &mut PgConnection, ids: &[TaskId]) -> Result<Vec<Parent>> {
    if ids.is_empty() {
        return Ok(vec![]);
    }
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"select id as "id: TaskId", title, state as "state: TaskStateName" from task where id = any($1) order by id for share"#,
        &ids
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| Parent::new(row.id, row.title, row.state)).collect())
}

/// What a task waits for and how, kept from ending until the end of the transaction.
pub(super) async fn lock_parents(conn: &mut PgConnection, id: TaskId) -> Result<Vec<(Parent, Dependency)>> {
    let rows = sqlx::query!(
        r#"select task.id as "id: TaskId", title, state as "state: TaskStateName", on_kind, edge.condition,
                  feeds as "feeds: Json<BTreeMap<String, String>>"
           from task_dependency edge join task on task.id = edge.depends_on_id
           where edge.task_id = $1 order by task.id for share of task"#,
        id.0
    )
    .fetch_all(conn)
    .await?;
    let parents = rows.into_iter().map(|row| {
        let dependency = Dependency { task: row.id, on: on(row.on_kind, row.condition), feeds: row.feeds.0 };
        (Parent::new(row.id, row.title, row.state), dependency)
    });
    Ok(parents.collect())
}

/// Which of the edges of a task hold now, by the tasks that are waited for; the others do not.
pub(super) async fn set_satisfied(conn: &mut PgConnection, id: TaskId, satisfied: &[TaskId]) -> Result<()> {
    let satisfied: Vec<_> = satisfied.iter().map(|id| id.0).collect();
    sqlx::query!(
        "update task_dependency set satisfied = depends_on_id = any($2)
         where task_id = $1 and on_kind <> 'success' and satisfied <> (depends_on_id = any($2))",
        id.0,
        &satisfied
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Members of groups that have ended, which go on although nobody waits for them any more; here and below, without those that are passed over.
pub(super) async fn left_behind(conn: &mut PgConnection, passed: &[Uuid], limit: i64) -> Result<Vec<TaskId>> {
    let ids = sqlx::query_scalar!(
        r#"select member.id as "id: TaskId" from task member join task grouped on grouped.id = member.group_id
           where member.group_id is not null and member.ended_at is null and grouped.ended_at is not null
             and (member.stop is null or member.stop ->> 'why' <> 'cancel') and member.id <> all($2)
           order by member.id limit $1"#,
        limit,
        passed
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}

/// Serialises changes to the edges of the transaction's workspace.
pub(crate) async fn lock_graph(conn: &mut PgConnection) -> Result<()> {
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

/// Tasks whose time has come, locked; at most `limit`, or this one alone.
pub(super) async fn lock_due(
    conn: &mut PgConnection,
    now: Timestamp,
    limit: i64,
    only: Option<TaskId>,
    passed: &[Uuid],
) -> Result<Vec<TaskId>> {
    let ids = sqlx::query_scalar!(
        "select id from task where state = 'scheduled' and run_at <= $1 and ($3::uuid is null and id <> all($4) or id = $3)
         order by run_at, id limit $2 for no key update skip locked",
        now,
        limit,
        only.map(|id| id.0),
        passed
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}

/// Tasks whose deadline has passed, and which nobody ends for it yet.
pub(super) async fn overdue(conn: &mut PgConnection, now: Timestamp, passed: &[Uuid], limit: i64) -> Result<Vec<TaskId>> {
    let ids = sqlx::query_scalar!(
        "select id from task where complete_by <= $1 and ended_at is null and (stop is null or stop ->> 'why' not in ('deadline', 'cancel'))
           and id <> all($3)
         order by complete_by, id limit $2",
        now,
        limit,
        passed
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}

/// Tasks that have been in the queue for longer than they were to wait. While somebody holds one its time stands still. They are looked
/// for among those that have such a limit alone: what is queued has a time since when.
pub(super) async fn expired(conn: &mut PgConnection, now: Timestamp, passed: &[Uuid], limit: i64) -> Result<Vec<TaskId>> {
    let ids = sqlx::query_scalar!(
        "select id from task
         where queued_at is not null and queue_seconds is not null and queued_at + make_interval(secs => queue_seconds) <= $1
           and paused_by is null and id <> all($3) order by queued_at, id limit $2",
        now,
        limit,
        passed
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}

/// An urgent task that waits, and the task of the low lane that could make room for it.
pub(super) struct Pair {
    pub workspace: WorkspaceId,
    pub victim: TaskId,
    pub urgent: TaskId,
    pub needs: Vec<String>,
    /// Whether its repository is a path.
    pub is_path: bool,
}

/// Of each workspace the urgent tasks that have waited since before `since`, the first of each that needs the same: with the youngest
/// that runs in its low lane, on a runner that has what is needed. One at a time: a workspace in which something makes room already is
/// left out. None of those that were `passed` over is asked to.
pub(super) async fn to_pre_empt(conn: &mut PgConnection, since: Timestamp, passed: &[Uuid]) -> Result<Vec<Pair>> {
    let pairs = sqlx::query_as!(
        Pair,
        r#"select urgent.workspace_id as "workspace!: WorkspaceId", victim.id as "victim!: TaskId", urgent.id as "urgent!: TaskId",
                  urgent.capabilities as "needs!", urgent.is_path as "is_path!"
           from (
             select distinct on (task.workspace_id, capabilities, is_path) task.workspace_id, capabilities, is_path, turn, task.id
             from task join repository on repository.id = repository_id
             where state = 'queued' and priority = 'urgent' and paused_by is null and not parked and queued_at <= $1
               and not exists (select from queue_pause pause where pause.workspace_id = task.workspace_id
                               and (pause.repository_id is null or pause.repository_id = task.repository_id))
             order by task.workspace_id, capabilities, is_path, turn
           ) as urgent
           cross join lateral (
             select task.id from task join attempt on attempt.task_id = task.id and attempt.number = task.attempts
             join runner on runner.id = attempt.runner_id
             where task.workspace_id = urgent.workspace_id and task.state = 'running' and task.priority = 'low' and task.stop is null
               and urgent.capabilities <@ (runner.capabilities || ('runner:' || runner.id)) and (runner.paths or not urgent.is_path)
               and runner.draining_since is null and task.id <> all($2)
             order by attempt.claimed_at desc, task.id desc limit 1
           ) as victim
           where not exists (select from task making where making.workspace_id = urgent.workspace_id
                             and making.state in ('running', 'verifying') and making.stop ->> 'why' = 'pre_empt')
           order by urgent.workspace_id, urgent.turn"#,
        since,
        passed
    )
    .fetch_all(conn)
    .await?;
    Ok(pairs)
}

/// Holds what of a run has not begun, and writes it down for each.
pub(crate) async fn pause_waiting(tx: &mut Tx, run: domain::WorkflowRunId) -> Result<()> {
    let (actor, now) = (tx.actor().to_owned(), tx.now());
    sqlx::query!(
        "with waiting as (
           select id from task where workflow_run_id = $1 and state in ('blocked', 'scheduled', 'queued') and paused_by is null
           order by id for no key update
         ), held as (
           update task set paused_by = $2, parked = false from waiting where task.id = waiting.id returning task.id, workspace_id
         )
         insert into event (workspace_id, task_id, number, actor, kind, payload, at)
         select workspace_id, id, (select max(number) + 1 from event where task_id = held.id), $2, 'task_paused', '{\"kind\": \"task_paused\"}', $3
         from held",
        run.0,
        actor,
        now
    )
    .execute(&mut **tx)
    .await?;
    tx.has_recorded();
    Ok(())
}

/// Lets go of everything of a run that is held.
pub(crate) async fn resume_waiting(tx: &mut Tx, run: domain::WorkflowRunId) -> Result<()> {
    let (actor, now) = (tx.actor().to_owned(), tx.now());
    sqlx::query!(
        "with waiting as (
           select id from task where workflow_run_id = $1 and paused_by is not null order by id for no key update
         ), resumed as (
           update task set paused_by = null from waiting where task.id = waiting.id returning task.id, workspace_id
         )
         insert into event (workspace_id, task_id, number, actor, kind, payload, at)
         select workspace_id, id, (select max(number) + 1 from event where task_id = resumed.id), $2, 'task_resumed', '{\"kind\": \"task_resumed\"}', $3
         from resumed",
        run.0,
        actor,
        now
    )
    .execute(&mut **tx)
    .await?;
    tx.has_recorded();
    Ok(())
}
