//! Reading workflows and runs for the API and the pages.

use std::collections::{HashMap, HashSet};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::{
    Failure, Invalid, Page, TaskId, TaskStateName, Timestamp, Work, WorkflowId, WorkflowRunId,
    task::Inputs,
    workflow::{Definition, RunCounts, RunFilter, RunState, RunStep, RunSummary, RunView, WorkflowSummary, WorkflowView, draw},
};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use super::{change_store, draw_definition};
use crate::{Error, Result};

/// The most workflows that a list shows.
const WORKFLOWS: i64 = 500;
const RUNS: u32 = 50;
const RUNS_MAX: u32 = 200;

pub(super) async fn workflow(conn: &mut PgConnection, name: &str, version: Option<i32>) -> Result<WorkflowView> {
    let row = sqlx::query!(
        r#"select workflow.id as "id!: WorkflowId", workflow.version as "newest!", workflow_version.version as "version!",
                  definition as "definition!: Json<Definition>", source as "source!", workflow_version.created_at as "created_at!",
                  coalesce(person.name, api_key.name || ' (API key)', created_by) as "creator!"
           from workflow join workflow_version on workflow_version.workflow_id = workflow.id
           left join "user" person on created_by = 'user:' || person.id
           left join api_key on created_by = 'api_key:' || api_key.id
           where workflow.workspace_id = (select current_workspace()) and workflow.name = $1
             and workflow_version.version = coalesce($2, workflow.version)"#,
        name,
        version
    )
    .fetch_optional(conn)
    .await?
    .ok_or_else(|| match version {
        Some(version) => Error::not_found("version of the workflow", format!("{name} {version}")),
        None => Error::not_found("workflow", name),
    })?;
    Ok(WorkflowView {
        id: row.id,
        name: name.to_owned(),
        version: row.version,
        newest_version: row.newest,
        drawing: draw_definition(&row.definition.0),
        definition: row.definition.0,
        source: row.source,
        created_at: row.created_at,
        created_by: row.creator,
    })
}

pub(super) async fn workflows(conn: &mut PgConnection) -> Result<Vec<WorkflowSummary>> {
    let rows = sqlx::query!(
        r#"select workflow.id as "id: WorkflowId", name, workflow.version, definition ->> 'description' as description,
                  jsonb_array_length(definition -> 'steps') as "steps!", changed_at,
                  (select run.id from workflow_run run where run.workflow_id = workflow.id order by run.id desc limit 1) as "last_run: WorkflowRunId"
           from workflow join workflow_version version on version.workflow_id = workflow.id and version.version = workflow.version
           where workflow.workspace_id = (select current_workspace()) order by name limit $1"#,
        WORKFLOWS
    )
    .fetch_all(&mut *conn)
    .await?;
    let ids: Vec<_> = rows.iter().filter_map(|row| row.last_run).collect();
    let mut runs: HashMap<_, _> = summaries(conn, &ids).await?.into_iter().map(|run| (run.id, run)).collect();
    let list = rows.into_iter().map(|row| WorkflowSummary {
        id: row.id,
        name: row.name,
        description: row.description,
        version: row.version,
        steps: usize::try_from(row.steps).unwrap_or(0),
        changed_at: row.changed_at,
        last_run: row.last_run.and_then(|id| runs.remove(&id)),
    });
    Ok(list.collect())
}

pub(super) async fn runs(conn: &mut PgConnection, filter: &RunFilter) -> Result<Page<RunSummary>> {
    let limit = filter.limit.unwrap_or(RUNS);
    if !(1..=RUNS_MAX).contains(&limit) {
        return Err(Invalid::field("/limit", "out_of_range", format!("must be 1 to {RUNS_MAX}")).into());
    }
    let before = filter.cursor.as_deref().map(parse_cursor).transpose()?;
    let mut ids = sqlx::query_scalar!(
        r#"select run.id as "id: WorkflowRunId" from workflow_run run
           where run.workspace_id = (select current_workspace()) and ($2::uuid is null or run.id < $2)
             and ($1::text is null or workflow_id = (select workflow.id from workflow
                  where workflow.workspace_id = (select current_workspace()) and name = $1))
           order by run.id desc limit $3"#,
        filter.workflow.as_deref().map(str::trim).filter(|name| !name.is_empty()),
        before,
        i64::from(limit) + 1
    )
    .fetch_all(&mut *conn)
    .await?;
    let more = ids.len() > limit as usize;
    ids.truncate(limit as usize);
    let next_cursor = ids.last().filter(|_| more).map(|id| BASE64_URL_SAFE_NO_PAD.encode(id.0.as_bytes()));
    Ok(Page { items: summaries(conn, &ids).await?, next_cursor })
}

fn parse_cursor(text: &str) -> Result<Uuid, Invalid> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
    bytes
        .and_then(|bytes| Uuid::from_slice(&bytes).ok())
        .ok_or_else(|| Invalid::field("/cursor", "malformed", "is not a cursor of this list"))
}

/// Summaries of these runs, in the order of the ids.
async fn summaries(conn: &mut PgConnection, ids: &[WorkflowRunId]) -> Result<Vec<RunSummary>> {
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    let counted = sqlx::query!(
        r#"with candidates as (
             select run_id, key || '[' as start from workflow_step step join task on task.id = step.task_id
             where run_id = any($1) and control -> 'group' ->> 'group' = 'candidates'
           )
           select run_id as "run: WorkflowRunId", state as "state: TaskStateName", opened, control ? 'gate' as is_gate, count(*) as "count!",
                  max(ended_at) as last,
                  exists (select from candidates where candidates.run_id = step.run_id and starts_with(step.key, candidates.start)) as "candidate!"
           from workflow_step step join task on task.id = step.task_id where run_id = any($1) and not removed group by 1, 2, 3, 4, 7"#,
        &ids
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut counts: HashMap<WorkflowRunId, (RunCounts, Option<Timestamp>)> = HashMap::new();
    for row in counted {
        let (counts, last) = counts.entry(row.run).or_default();
        let is_gate = row.is_gate.unwrap_or(false);
        if row.candidate {
            counts.add_candidates(row.state, row.opened, is_gate, row.count);
        } else {
            counts.add(row.state, row.opened, is_gate, row.count);
        }
        *last = (*last).max(row.last);
    }
    let rows = sqlx::query!(
        r#"select run.id as "id!: WorkflowRunId", workflow.name, run.version as "version!", run.title as "title!",
                  coalesce(holder.name, holding_key.name || ' (API key)', run.paused_by) as paused_by, run.created_at as "created_at!"
           from unnest($1::uuid[]) with ordinality as wanted (id, position)
           join workflow_run run on run.id = wanted.id
           join workflow on workflow.id = run.workflow_id
           left join "user" holder on run.paused_by = 'user:' || holder.id
           left join api_key holding_key on run.paused_by = 'api_key:' || holding_key.id
           order by wanted.position"#,
        &ids
    )
    .fetch_all(conn)
    .await?;
    let list = rows.into_iter().map(|row| {
        let (counts, last) = counts.remove(&row.id).unwrap_or_default();
        let state = counts.state();
        RunSummary {
            id: row.id,
            workflow: row.name,
            version: row.version,
            title: row.title,
            state,
            counts,
            paused_by: row.paused_by,
            created_at: row.created_at,
            ended_at: last.filter(|_| state.is_final()),
        }
    });
    Ok(list.collect())
}

/// What a run's tasks come to.
pub(super) async fn state(conn: &mut PgConnection, id: WorkflowRunId) -> Result<RunState> {
    let summary = summaries(conn, &[id]).await?.pop().ok_or_else(|| Error::not_found("workflow run", id))?;
    Ok(summary.state)
}

/// A step of a run as another run may take it over.
pub(super) struct EarlierStep {
    pub key: String,
    pub group_key: Option<String>,
    pub task: TaskId,
    pub state: TaskStateName,
}

pub(super) async fn steps_of(conn: &mut PgConnection, run: WorkflowRunId) -> Result<Vec<EarlierStep>> {
    let steps = sqlx::query_as!(
        EarlierStep,
        r#"select key, group_key, task_id as "task: TaskId", state as "state: TaskStateName"
           from workflow_step step join task on task.id = step.task_id where run_id = $1 order by task_id"#,
        run.0
    )
    .fetch_all(conn)
    .await?;
    Ok(steps)
}

pub(super) async fn run(conn: &mut PgConnection, id: WorkflowRunId) -> Result<RunView> {
    let summary = summaries(conn, &[id]).await?.pop().ok_or_else(|| Error::not_found("workflow run", id))?;
    let row = sqlx::query!(
        r#"select parameters as "parameters!: Json<Inputs>", repository as "repository!", restart_of as "restart_of: WorkflowRunId",
                  coalesce(person.name, api_key.name || ' (API key)', created_by) as "creator!"
           from workflow_run run
           left join "user" person on created_by = 'user:' || person.id
           left join api_key on created_by = 'api_key:' || api_key.id
           where run.id = $1"#,
        id.0
    )
    .fetch_one(&mut *conn)
    .await?;
    let changes = change_store::changes(conn, id).await?;
    let steps = steps(conn, id).await?;
    let drawing = draw_run(conn, &steps).await?;
    Ok(RunView {
        summary,
        parameters: row.parameters.0,
        repository: row.repository,
        created_by: row.creator,
        restart_of: row.restart_of,
        changes,
        steps,
        drawing,
    })
}

pub(super) async fn steps(conn: &mut PgConnection, id: WorkflowRunId) -> Result<Vec<RunStep>> {
    let rows = sqlx::query!(
        r#"select key, group_key, step.reused, step.removed, task.id as "id: TaskId", title, task.state as "state: TaskStateName", prompt is not null as "is_prompt!",
                  control as "control: Json<Work>", opened, task.paused_by is not null as "paused!", attempts, task.ended_at,
                  task.failure as "failure: Json<Failure>", skipped_reason,
                  coalesce(attempt.started_at,
                    case when control is not null then (select max(at) from event where event.task_id = task.id
                                                        and event.kind in ('gate_opened', 'group_expanded', 'gate_passed')) end) as started_at
           from workflow_step step
           join task on task.id = step.task_id
           left join attempt on attempt.task_id = task.id and attempt.number = task.attempts
           where step.run_id = $1 order by task.id"#,
        id.0
    )
    .fetch_all(conn)
    .await?;
    let steps = rows.into_iter().map(|row| {
        let control = row.control.map(|control| control.0);
        let kind = control.as_ref().map_or(if row.is_prompt { "prompt" } else { "command" }, Work::kind).to_owned();
        let open = row.opened && row.state == TaskStateName::Blocked;
        RunStep {
            key: row.key,
            task: row.id,
            title: row.title,
            state: row.state,
            kind,
            open_gate: match control {
                Some(Work::Gate(gate)) if open => Some(gate),
                _ => None,
            },
            reason: row.skipped_reason.or_else(|| row.failure.map(|failure| failure.0.message)),
            reused: row.reused,
            removed: row.removed,
            paused: row.paused,
            attempts: row.attempts,
            started_at: row.started_at,
            ended_at: row.ended_at,
            group: row.group_key,
        }
    });
    Ok(steps.collect())
}

/// The tasks of a run and what each waits for. A group that has become several tasks is drawn after them, and they after what the group
/// waited for.
async fn draw_run(conn: &mut PgConnection, steps: &[RunStep]) -> Result<domain::workflow::Drawing> {
    let ids: Vec<_> = steps.iter().map(|step| step.task.0).collect();
    let rows = sqlx::query!(
        r#"select task_id as "task: TaskId", depends_on_id as "parent: TaskId" from task_dependency
           where task_id = any($1) and depends_on_id = any($1)"#,
        &ids
    )
    .fetch_all(conn)
    .await?;
    let keys: HashMap<TaskId, &RunStep> = steps.iter().map(|step| (step.task, step)).collect();
    let mut parents: HashMap<&str, Vec<&str>> = HashMap::new();
    for row in &rows {
        if let (Some(task), Some(parent)) = (keys.get(&row.task), keys.get(&row.parent)) {
            parents.entry(task.key.as_str()).or_default().push(parent.key.as_str());
        }
    }
    let grouped: HashSet<&str> = steps.iter().filter_map(|step| step.group.as_deref()).collect();
    let group_of: HashMap<&str, &str> = steps.iter().filter_map(|step| Some((step.key.as_str(), step.group.as_deref()?))).collect();
    let mut edges = vec![];
    for step in steps {
        let own = parents.get(step.key.as_str()).cloned().unwrap_or_default();
        let is_group = grouped.contains(step.key.as_str());
        for parent in &own {
            let member = group_of.get(parent) == Some(&step.key.as_str());
            if !is_group || member {
                edges.push(((*parent).to_owned(), step.key.clone()));
            }
        }
        // the first ones of a group follow what the group waited for
        let outside = own.iter().all(|parent| group_of.get(parent) == Some(&step.key.as_str()));
        if let Some(group) = &step.group
            && outside
        {
            edges.extend(before(group, &parents, &group_of).into_iter().map(|parent| (parent.to_owned(), step.key.clone())));
        }
    }
    let keys: Vec<_> = steps.iter().map(|step| step.key.clone()).collect();
    Ok(draw(&keys, &edges))
}

/// What a group waited for before it became several tasks; of a group inside another, what the outer one did where it has none itself.
fn before<'a>(group: &'a str, parents: &HashMap<&'a str, Vec<&'a str>>, group_of: &HashMap<&'a str, &'a str>) -> Vec<&'a str> {
    let mut group = group;
    loop {
        let own: Vec<_> =
            parents.get(group).into_iter().flatten().filter(|parent| group_of.get(**parent) != Some(&group)).copied().collect();
        match group_of.get(group) {
            Some(outer) if own.is_empty() => group = outer,
            _ => return own,
        }
    }
}
