//! Reading tasks for the API and the pages.

use std::{collections::HashMap, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::{
    Actor, CheckSpec, Failure, Invalid, KeptTerms, NewTask, Page, Permission, Priority, Task, TaskFilter, TaskId, TaskStateName,
    TaskSummary, TaskView, Timestamp, Work, WorkflowRunId,
    page::PAGE_LIMIT_MAX,
    task::{Complexity, Inferred, Inputs, RetryByClass, RetryStrategy, RunnerAtHand, Stop, TaskDependency, TaskLink, TaskRepository, Tier},
};
use sqlx::{PgConnection, types::Json};
use tokio::time::Instant;
use uuid::Uuid;

use super::{
    repositories,
    row::work,
    runner_wait::WaitsFor,
    store::{StateColumns, concurrency, on, retry_policy},
};
use crate::{Engine, Error, Hint, Result, artifact, attempt, endpoint, event, landing, runner, tx::Tx};

/// How often a task is looked at without a hint while somebody waits for its end.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

impl Engine {
    pub async fn get_task(&self, actor: &Actor, id: TaskId) -> Result<TaskView> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        let view = view(&mut tx, id).await?;
        tx.commit(view).await
    }

    /// Where a task stands, and nothing else about it.
    pub async fn task_state(&self, actor: &Actor, id: TaskId) -> Result<TaskStateName> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        let state = sqlx::query_scalar!("select state from task where id = $1", id.0)
            .fetch_optional(&mut *tx)
            .await?
            .ok_or_else(|| Error::not_found("task", id))?;
        tx.commit(state).await
    }

    /// Returns when the task has ended, or the time is over. A hint wakes it; the second is for what another process does.
    pub async fn wait_for_end(&self, actor: &Actor, id: TaskId, at_most: Duration) -> Result<()> {
        let until = Instant::now() + at_most;
        let mut hints = self.hints();
        while !self.task_state(actor, id).await?.is_final() && Instant::now() < until {
            let look_again = until.min(Instant::now() + LOOK_AGAIN);
            while let Ok(hint) = tokio::time::timeout_at(look_again, hints.recv()).await {
                if matches!(hint, Ok(Hint::Events) | Err(_)) {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Tasks by name, in the order of the ids; those that are not there are left out.
    pub async fn pick_tasks(&self, actor: &Actor, ids: &[TaskId]) -> Result<Page<TaskSummary>> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        let items = summaries(&mut tx, &ids[..ids.len().min(PAGE_LIMIT_MAX as usize)]).await?;
        tx.commit(Page { items, next_cursor: None }).await
    }

    /// Tasks, newest first.
    pub async fn list_tasks(&self, actor: &Actor, filter: TaskFilter) -> Result<Page<TaskSummary>> {
        actor.may(Permission::ReadTasks)?;
        filter.validate()?;
        let before = filter.cursor.as_deref().map(parse_cursor).transpose()?;
        let limit = i64::from(filter.limit());
        let mut tx = self.begin(actor).await?;
        // One more than asked for tells whether there is a next page.
        let mut ids = list_ids(&mut tx, &filter, before, limit + 1).await?;
        let more = ids.len() as i64 > limit;
        ids.truncate(filter.limit() as usize);
        let next_cursor = ids.last().filter(|_| more).map(|id| BASE64_URL_SAFE_NO_PAD.encode(id.0.as_bytes()));
        let items = summaries(&mut tx, &ids).await?;
        tx.commit(Page { items, next_cursor }).await
    }
}

pub(crate) fn parse_cursor(text: &str) -> Result<Uuid, Invalid> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
    bytes
        .and_then(|bytes| Uuid::from_slice(&bytes).ok())
        .ok_or_else(|| Invalid::field("/cursor", "malformed", "is not a cursor of this list"))
}

async fn list_ids(conn: &mut PgConnection, filter: &TaskFilter, before: Option<Uuid>, limit: i64) -> Result<Vec<TaskId>> {
    let pattern = filter.text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(contains_pattern);
    let ids = sqlx::query_scalar!(
        "select id from task
         where workspace_id = (select current_workspace())
           and ($1::text is null or state = $1) and ($2::text is null or title ilike $2 or command ilike $2 or prompt ilike $2
                                         or exists (select from unnest(tags) as tag where tag ilike $2)) and ($3::uuid is null or id < $3)
           and ($5::text is null or tags @> array[$5]) and ($6::text is null or priority = $6)
         order by id desc limit $4",
        filter.state.map(TaskStateName::name),
        pattern,
        before,
        limit,
        filter.tag,
        filter.priority.map(Priority::name)
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}

/// A pattern for `ilike` in which the text's own wildcards are plain characters.
pub(crate) fn contains_pattern(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

/// Summaries of these tasks, in the order of the ids.
pub(crate) async fn summaries(conn: &mut PgConnection, ids: &[TaskId]) -> Result<Vec<TaskSummary>> {
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"select task.id, title, state, priority, run_at, task.ended_at, task.failure as "failure: Json<Failure>", cancelled_by,
                  stop as "stop: Json<Stop>", tags, paused_by is not null as "paused!",
                  parked and model_pull is null as "parked!", parked and model_pull is not null as "awaits_model!",
                  exists (select from approval where approval.task_id = task.id and approval.state = 'pending') as "asks!",
                  skipped_because_of, skipped_reason, skipped_path, attempts, max_attempts, task.created_at, repository.location,
                  jsonb_array_length(checks) as "checks!", latest.started_at as "started_at?: Timestamp",
                  latest.checks_passed as "checks_passed?: i64"
           from unnest($1::uuid[]) with ordinality as wanted (id, position)
           join task on task.id = wanted.id
           join repository on repository.id = task.repository_id
           -- one at a time, by its key: a table that was never analysed must not be joined as a whole
           left join lateral (
             select attempt.started_at,
                    case when exists (select from verification where verification.attempt_id = attempt.id) then
                      (select count(*) from verification_check
                       where verification_check.attempt_id = attempt.id and status = 'passed')
                    end as checks_passed
             from attempt where attempt.task_id = task.id and attempt.number = task.attempts limit 1
           ) latest on true
           order by wanted.position"#,
        &ids
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let columns = StateColumns {
                state: row.state,
                run_at: row.run_at,
                ended_at: row.ended_at,
                failure: row.failure,
                cancelled_by: row.cancelled_by,
                stop: row.stop,
                skipped_because_of: row.skipped_because_of,
                skipped_reason: row.skipped_reason,
                skipped_path: row.skipped_path.map(|path| path.into_iter().map(TaskId).collect()),
            };
            Ok(TaskSummary {
                id: row.id,
                title: row.title,
                state: columns.state().ok_or_else(|| Error::inconsistent("task", row.id, "its columns do not fit its state"))?,
                priority: row.priority,
                tags: row.tags,
                paused: row.paused,
                parked: row.parked,
                awaits_model: row.awaits_model,
                asks: row.asks,
                repository: row.location,
                attempts: row.attempts,
                max_attempts: row.max_attempts,
                checks: usize::try_from(row.checks).unwrap_or(0),
                checks_passed: row.checks_passed.and_then(|count| usize::try_from(count).ok()),
                created_at: row.created_at,
                started_at: row.started_at,
            })
        })
        .collect()
}

/// A task with all that belongs to it.
pub(crate) async fn view(tx: &mut Tx, id: TaskId) -> Result<TaskView> {
    // First, so that a change while the rest is read makes the version old and not the rest.
    let version = event::store::version(tx, id).await?;
    let summary = summaries(tx, &[id]).await?.pop().ok_or_else(|| Error::not_found("task", id))?;
    let row = sqlx::query!(
        r#"select command, prompt, control as "control: Json<Work>", inputs as "inputs!: Json<Inputs>", condition, delay_seconds,
                  opened and state = 'blocked' and control ? 'gate' as "open_gate!", output as "output: Json<serde_json::Value>",
                  workflow_run_id as "workflow_run: WorkflowRunId",
                  (select key from workflow_step step where step.run_id = workflow_run_id and step.task_id = task.id) as step,
                  base_ref, submodules as "submodules!", lfs as "lfs!", files as "files!", success_criteria as "success_criteria!",
                  checks as "checks!: Json<Vec<CheckSpec>>", timeout_seconds as "timeout_seconds!",
                  retry_strategy as "retry_strategy!: RetryStrategy", retry_base_seconds as "retry_base_seconds!",
                  retry_cap_seconds as "retry_cap_seconds!", retry_by_class as "retry_by_class?: Json<RetryByClass>",
                  capabilities as "capabilities!", agent as "agent?: Json<KeptTerms>", tier as "tier?: Tier", inferred as "inferred!: Json<Inferred>",
                  estimate_seconds as "estimate_seconds?", land as "land!: domain::Land", not_before as "not_before?",
                  complete_by as "complete_by?", queue_seconds as "queue_seconds?", concurrency_key as "concurrency_key?",
                  concurrency_limit as "concurrency_limit?", correlation_id as "correlation_id?",
                  coalesce(holder.name, holding_key.name || ' (API key)', paused_by) as "paused_by?",
                  coalesce(person.name, api_key.name || ' (API key)', created_by) as "creator!"
           from task
           left join "user" holder on paused_by = 'user:' || holder.id
           left join api_key holding_key on paused_by = 'api_key:' || holding_key.id
           left join "user" person on created_by = 'user:' || person.id
           left join api_key on created_by = 'api_key:' || api_key.id
           where task.id = $1"#,
        id.0
    )
    .fetch_one(&mut **tx)
    .await?;
    let work = work(row.command, row.prompt, row.control).ok_or_else(|| Error::inconsistent("task", id, "it has no work, or two kinds"))?;
    let mut attempt_list = attempt::query::of_task(tx, id).await?;
    for (attempt, artifact) in artifact::of_task(tx, id).await? {
        if let Some(found) = attempt_list.iter_mut().find(|one| one.id == attempt) {
            found.artifacts.push(artifact);
        }
    }
    let waits = match summary.state.name() {
        TaskStateName::Queued => WaitsFor::of(&summary.repository, &row.capabilities, &runner::at_hand(tx).await?),
        _ => WaitsFor::default(),
    };
    let is_kept = summary.paused || summary.parked || summary.awaits_model;
    let awaited_pull = if summary.awaits_model { endpoint::awaited_by(tx, id).await? } else { None };
    let (of_first, more_landings): (Vec<_>, Vec<_>) =
        landing::store::of_task(tx, id).await?.into_iter().partition(|landing| landing.folder.is_none());
    let landing = of_first.into_iter().next();
    Ok(TaskView {
        summary,
        version,
        work,
        base_ref: row.base_ref,
        repositories: repositories::of_task(tx, id).await?,
        submodules: row.submodules,
        lfs: row.lfs,
        files: row.files,
        success_criteria: row.success_criteria,
        check_specs: row.checks.0,
        timeout_seconds: row.timeout_seconds,
        retry: retry_policy(row.retry_strategy, row.retry_base_seconds, row.retry_cap_seconds, row.retry_by_class),
        not_before: row.not_before,
        complete_by: row.complete_by,
        queue_seconds: row.queue_seconds,
        concurrency: concurrency(row.concurrency_key, row.concurrency_limit),
        correlation_id: row.correlation_id,
        capabilities: row.capabilities,
        unmet_capabilities: waits.unmet,
        runner_wait: waits.runner.filter(|_| !is_kept),
        awaited_pull,
        agent: row.agent.map(|agent| agent.0.terms).unwrap_or_default(),
        complexity: Complexity::of(row.tier, row.inferred.0),
        estimate_seconds: row.estimate_seconds,
        land: row.land,
        landing,
        more_landings,
        paused_by: row.paused_by,
        created_by: row.creator,
        inputs: row.inputs.0,
        when: row.condition,
        delay_seconds: row.delay_seconds,
        output: row.output.map(|output| output.0),
        open_gate: row.open_gate,
        workflow_run: row.workflow_run,
        step: row.step,
        depends_on: depends_on(tx, id).await?,
        dependents: dependents(tx, id).await?,
        log_bytes: attempt_list.iter().map(|attempt| attempt.log_end).max().unwrap_or(0),
        attempt_list,
    })
}

/// As [`view`], of a task that was stored a moment ago and waits for nothing: what was just written need not be read back.
pub(super) fn fresh_view(task: Task, asked: &NewTask, created_by: String, runners: &[RunnerAtHand]) -> TaskView {
    let waits = match task.state.name() {
        TaskStateName::Queued => WaitsFor::of(asked.repository.trim(), &task.capabilities, runners),
        _ => WaitsFor::default(),
    };
    TaskView {
        summary: TaskSummary {
            id: task.id,
            title: task.title,
            state: task.state,
            priority: task.priority,
            tags: task.tags,
            paused: false,
            asks: false,
            parked: false,
            awaits_model: false,
            repository: asked.repository.trim().to_owned(),
            attempts: task.attempts,
            max_attempts: task.max_attempts,
            checks: task.checks.len(),
            checks_passed: None,
            created_at: task.created_at,
            started_at: None,
        },
        version: 1 + i64::from(task.complexity.disputed().is_some()),
        work: task.work,
        base_ref: task.base_ref,
        repositories: TaskRepository::all(&asked.repositories),
        submodules: task.submodules,
        lfs: task.lfs,
        files: task.files,
        success_criteria: task.success_criteria,
        check_specs: task.checks,
        timeout_seconds: task.timeout_seconds,
        retry: task.retry,
        not_before: task.not_before,
        complete_by: task.complete_by,
        queue_seconds: task.queue_seconds,
        concurrency: task.concurrency,
        correlation_id: task.correlation_id,
        capabilities: task.capabilities,
        unmet_capabilities: waits.unmet,
        runner_wait: waits.runner,
        awaited_pull: None,
        agent: task.agent,
        complexity: task.complexity,
        estimate_seconds: task.estimate_seconds,
        land: task.land,
        landing: None,
        more_landings: vec![],
        paused_by: None,
        created_by,
        inputs: task.inputs,
        when: task.condition,
        delay_seconds: task.delay_seconds,
        output: None,
        open_gate: false,
        workflow_run: None,
        step: None,
        depends_on: vec![],
        dependents: vec![],
        log_bytes: 0,
        attempt_list: vec![],
    }
}

async fn depends_on(conn: &mut PgConnection, id: TaskId) -> Result<Vec<TaskDependency>> {
    let rows = sqlx::query!(
        r#"select task.id as "id: TaskId", title, state as "state: TaskStateName", on_kind, edge.condition
           from task_dependency edge join task on task.id = edge.depends_on_id where edge.task_id = $1 order by task.id"#,
        id.0
    )
    .fetch_all(conn)
    .await?;
    let dependencies = rows.into_iter().map(|row| TaskDependency {
        link: TaskLink { id: row.id, title: row.title, state: row.state },
        on: on(row.on_kind, row.condition),
    });
    Ok(dependencies.collect())
}

/// Who a label of an actor is, for people.
pub(crate) async fn name_of(conn: &mut PgConnection, label: &str) -> Result<String> {
    let names = names_of(conn, vec![label.to_owned()]).await?;
    Ok(names.get(label).cloned().unwrap_or_else(|| label.to_owned()))
}

/// As [`name_of`], by label.
pub(crate) async fn names_of(conn: &mut PgConnection, labels: Vec<String>) -> Result<HashMap<String, String>> {
    if labels.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query!(
        r#"select label as "label!",
                  coalesce((select name from "user" where id = case when label like 'user:%' then substr(label, 6)::uuid end),
                           (select name || ' (API key)' from api_key where id = case when label like 'api_key:%' then substr(label, 9)::uuid end),
                           (select name from runner where id = case when label like 'runner:%' then substr(label, 8)::uuid end),
                           label) as "name!"
           from unnest($1::text[]) as label"#,
        &labels
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.label, row.name)).collect())
}

async fn dependents(conn: &mut PgConnection, id: TaskId) -> Result<Vec<TaskLink>> {
    let links = sqlx::query_as!(
        TaskLink,
        "select task.id, title, state from task_dependency edge join task on task.id = edge.task_id
         where edge.depends_on_id = $1 order by task.id limit 200",
        id.0
    )
    .fetch_all(conn)
    .await?;
    Ok(links)
}

/// What runs or is checked now, oldest first.
pub(crate) async fn active_ids(conn: &mut PgConnection, limit: i64) -> Result<Vec<TaskId>> {
    let ids = sqlx::query_scalar!(
        "select id from task where workspace_id = (select current_workspace()) and state in ('running', 'verifying') order by id limit $1",
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}

/// What ended last.
pub(crate) async fn ended_ids(conn: &mut PgConnection, limit: i64) -> Result<Vec<TaskId>> {
    let ids = sqlx::query_scalar!(
        "select id from task where workspace_id = (select current_workspace()) and ended_at is not null order by ended_at desc limit $1",
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}
