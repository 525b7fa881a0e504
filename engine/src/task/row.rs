//! Rows of `task` and `task_dependency` as types, and a task's state as the columns that it is spread over.

use std::collections::BTreeMap;

use domain::{
    AgentTerms, CheckSpec, Failure, KeptTerms, Land, Priority, RepositoryId, Task, TaskId, TaskState, TaskStateName, Timestamp, Work,
    WorkflowRunId, WorkspaceId,
    task::{Complexity, Concurrency, Dependency, Inferred, Inputs, On, RetryByClass, RetryPolicy, RetryStrategy, Stop, Tier},
};
use serde::Serialize;
use sqlx::types::Json;
use uuid::Uuid;

use crate::{Error, Result};

/// A row of `task` as far as transitions need it.
pub(super) struct TaskRow {
    pub id: TaskId,
    pub workspace_id: WorkspaceId,
    pub repository_id: RepositoryId,
    pub title: String,
    pub command: Option<String>,
    pub prompt: Option<String>,
    pub base_ref: Option<String>,
    pub submodules: bool,
    pub lfs: bool,
    pub files: Vec<String>,
    pub success_criteria: Vec<String>,
    pub checks: Json<Vec<CheckSpec>>,
    pub priority: Priority,
    pub timeout_seconds: i32,
    pub max_attempts: i32,
    pub retry_strategy: RetryStrategy,
    pub retry_base_seconds: i32,
    pub retry_cap_seconds: i32,
    pub not_before: Option<Timestamp>,
    pub complete_by: Option<Timestamp>,
    pub queue_seconds: Option<i32>,
    pub concurrency_key: Option<String>,
    pub concurrency_limit: Option<i32>,
    pub tags: Vec<String>,
    pub correlation_id: Option<String>,
    pub paused_by: Option<String>,
    pub state: TaskStateName,
    pub attempts: i32,
    pub failures: i32,
    pub losses: i32,
    pub run_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    pub failure: Option<Json<Failure>>,
    pub cancelled_by: Option<String>,
    pub stop: Option<Json<Stop>>,
    pub skipped_because_of: Option<TaskId>,
    pub skipped_reason: Option<String>,
    pub skipped_path: Option<Vec<Uuid>>,
    pub created_at: Timestamp,
    pub created_by: String,
    pub control: Option<Json<Work>>,
    pub inputs: Json<Inputs>,
    pub condition: Option<String>,
    pub delay_seconds: Option<i32>,
    pub opened: bool,
    pub workflow_run_id: Option<WorkflowRunId>,
    pub capabilities: Vec<String>,
    pub agent: Option<Json<KeptTerms>>,
    pub tier: Option<Tier>,
    pub inferred: Json<Inferred>,
    pub estimate_seconds: Option<i32>,
    pub land: Land,
    pub retry_by_class: Option<Json<RetryByClass>>,
    pub limits: i32,
    /// How much it still waits for; no transition asks.
    pub waiting_for: i32,
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
    pub skipped_path: Option<Vec<TaskId>>,
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
            TaskStateName::Skipped => TaskState::Skipped {
                at: self.ended_at?,
                because_of: self.skipped_because_of?,
                reason: self.skipped_reason?,
                path: self.skipped_path.unwrap_or_default(),
            },
            TaskStateName::Dead => TaskState::Dead { at: self.ended_at?, failure: failure? },
        })
    }

    pub(super) fn of(state: &TaskState) -> Self {
        let mut columns = Self {
            state: state.name(),
            run_at: None,
            ended_at: state.ended_at(),
            failure: state.failure().cloned().map(Json),
            cancelled_by: None,
            stop: state.stop().cloned().map(Json),
            skipped_because_of: None,
            skipped_reason: None,
            skipped_path: None,
        };
        match state {
            TaskState::Scheduled { run_at } => columns.run_at = Some(*run_at),
            TaskState::Cancelled { by, .. } => columns.cancelled_by = Some(by.clone()),
            TaskState::Skipped { because_of, reason, path, .. } => {
                columns.skipped_path = Some(path.clone());
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
        let work = work(row.command, row.prompt, row.control).ok_or_else(|| inconsistent("it has no work, or two kinds"))?;
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
        Ok(Self {
            id: row.id,
            workspace_id: row.workspace_id,
            repository_id: row.repository_id,
            title: row.title,
            work,
            base_ref: row.base_ref,
            submodules: row.submodules,
            lfs: row.lfs,
            files: row.files,
            success_criteria: row.success_criteria,
            checks: row.checks.0,
            priority: row.priority,
            timeout_seconds: row.timeout_seconds,
            max_attempts: row.max_attempts,
            retry: retry_policy(row.retry_strategy, row.retry_base_seconds, row.retry_cap_seconds, row.retry_by_class),
            inputs: row.inputs.0,
            condition: row.condition,
            workflow_run_id: row.workflow_run_id,
            delay_seconds: row.delay_seconds,
            opened: row.opened,
            not_before: row.not_before,
            complete_by: row.complete_by,
            queue_seconds: row.queue_seconds,
            concurrency: concurrency(row.concurrency_key, row.concurrency_limit),
            tags: row.tags,
            correlation_id: row.correlation_id,
            paused_by: row.paused_by,
            capabilities: row.capabilities,
            agent: row.agent.map(|agent| agent.0.terms).unwrap_or_default(),
            complexity: Complexity::of(row.tier, row.inferred.0),
            estimate_seconds: row.estimate_seconds,
            land: row.land,
            state: columns.state().ok_or_else(|| inconsistent("its columns do not fit its state"))?,
            attempts: row.attempts,
            failures: row.failures,
            losses: row.losses,
            limits: row.limits,
            created_at: row.created_at,
            created_by: row.created_by,
        })
    }
}

/// As its columns hold it.
pub(super) fn retry_policy(
    strategy: RetryStrategy,
    base_seconds: i32,
    cap_seconds: i32,
    by_class: Option<Json<RetryByClass>>,
) -> RetryPolicy {
    let by_class = by_class.map(|by_class| by_class.0).unwrap_or_default();
    RetryPolicy { strategy, base_seconds: base_seconds.unsigned_abs(), cap_seconds: cap_seconds.unsigned_abs(), by_class }
}

/// As its columns hold it.
pub(super) fn concurrency(key: Option<String>, limit: Option<i32>) -> Option<Concurrency> {
    key.zip(limit).map(|(key, limit)| Concurrency { key, limit: limit.unsigned_abs() })
}

/// As its columns hold it; nothing when there is none, or more than one.
pub(super) fn work(command: Option<String>, prompt: Option<String>, control: Option<Json<Work>>) -> Option<Work> {
    match (command, prompt, control) {
        (Some(command), None, None) => Some(Work::Command(command)),
        (None, Some(prompt), None) => Some(Work::Prompt(prompt)),
        (None, None, Some(Json(control))) if !control.is_executed() => Some(control),
        _ => None,
    }
}

/// What a transition may have changed of a task that is there. Its names are those of the columns.
pub(crate) struct ChangedRow {
    pub id: TaskId,
    pub(super) columns: StateColumns,
    pub attempts: i32,
    pub failures: i32,
    pub losses: i32,
    pub limits: i32,
    pub paused_by: Option<String>,
    pub priority: Priority,
    pub complete_by: Option<Timestamp>,
    pub opened: bool,
    /// As it was, when absent.
    pub waiting_for: Option<i32>,
    /// Added to those that it has.
    pub inputs: Option<Inputs>,
}

impl ChangedRow {
    pub fn of(task: &Task) -> Self {
        Self {
            id: task.id,
            columns: StateColumns::of(&task.state),
            attempts: task.attempts,
            failures: task.failures,
            losses: task.losses,
            limits: task.limits,
            paused_by: task.paused_by.clone(),
            priority: task.priority,
            complete_by: task.complete_by,
            opened: task.opened,
            waiting_for: None,
            inputs: None,
        }
    }

    /// With so much left to wait for.
    pub fn waiting(self, waiting_for: i32) -> Self {
        Self { waiting_for: Some(waiting_for), ..self }
    }

    /// With what it is given by those that it waited for.
    pub fn given(self, inputs: Inputs) -> Self {
        Self { inputs: Some(inputs).filter(|inputs| !inputs.is_empty()), ..self }
    }
}

/// A task that is to be stored. Its names are those of the columns.
#[derive(Serialize)]
pub(crate) struct NewRow {
    id: TaskId,
    workspace_id: WorkspaceId,
    repository_id: RepositoryId,
    title: String,
    command: Option<String>,
    prompt: Option<String>,
    control: Option<Work>,
    base_ref: Option<String>,
    submodules: bool,
    lfs: bool,
    files: Vec<String>,
    success_criteria: Vec<String>,
    checks: Vec<CheckSpec>,
    priority: Priority,
    timeout_seconds: i32,
    max_attempts: i32,
    retry_strategy: RetryStrategy,
    retry_base_seconds: u32,
    retry_cap_seconds: u32,
    not_before: Option<Timestamp>,
    state: TaskStateName,
    waiting_for: usize,
    run_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    skipped_because_of: Option<TaskId>,
    skipped_reason: Option<String>,
    skipped_path: Option<Vec<TaskId>>,
    created_by: String,
    created_at: Timestamp,
    complete_by: Option<Timestamp>,
    queue_seconds: Option<i32>,
    concurrency_key: Option<String>,
    concurrency_limit: Option<u32>,
    tags: Vec<String>,
    correlation_id: Option<String>,
    paused_by: Option<String>,
    inputs: Inputs,
    condition: Option<String>,
    delay_seconds: Option<i32>,
    workflow_run_id: Option<WorkflowRunId>,
    group_id: Option<TaskId>,
    capabilities: Vec<String>,
    agent: Option<AgentTerms>,
    tier: Option<Tier>,
    inferred: Inferred,
    estimate_seconds: Option<i32>,
    land: Land,
    retry_by_class: Option<RetryByClass>,
}

impl NewRow {
    pub fn of(task: &Task, waiting_for: usize, group: Option<TaskId>) -> Self {
        let columns = StateColumns::of(&task.state);
        let (command, prompt, control) = match task.work.clone() {
            Work::Command(text) => (Some(text), None, None),
            Work::Prompt(text) => (None, Some(text), None),
            control => (None, None, Some(control)),
        };
        Self {
            id: task.id,
            workspace_id: task.workspace_id,
            repository_id: task.repository_id,
            title: task.title.clone(),
            command,
            prompt,
            control,
            base_ref: task.base_ref.clone(),
            submodules: task.submodules,
            lfs: task.lfs,
            files: task.files.clone(),
            success_criteria: task.success_criteria.clone(),
            checks: task.checks.clone(),
            priority: task.priority,
            timeout_seconds: task.timeout_seconds,
            max_attempts: task.max_attempts,
            retry_strategy: task.retry.strategy,
            retry_base_seconds: task.retry.base_seconds,
            retry_cap_seconds: task.retry.cap_seconds,
            not_before: task.not_before,
            state: columns.state,
            waiting_for,
            run_at: columns.run_at,
            ended_at: columns.ended_at,
            skipped_because_of: columns.skipped_because_of,
            skipped_reason: columns.skipped_reason,
            skipped_path: columns.skipped_path,
            created_by: task.created_by.clone(),
            created_at: task.created_at,
            complete_by: task.complete_by,
            queue_seconds: task.queue_seconds,
            concurrency_key: task.concurrency.as_ref().map(|shared| shared.key.clone()),
            concurrency_limit: task.concurrency.as_ref().map(|shared| shared.limit),
            tags: task.tags.clone(),
            correlation_id: task.correlation_id.clone(),
            paused_by: task.paused_by.clone().filter(|_| !task.state.is_final()),
            inputs: task.inputs.clone(),
            condition: task.condition.clone(),
            delay_seconds: task.delay_seconds,
            workflow_run_id: task.workflow_run_id,
            group_id: group,
            capabilities: task.capabilities.clone(),
            agent: (!task.agent.is_usual()).then(|| task.agent.clone()),
            tier: task.complexity.given,
            inferred: task.complexity.inferred.clone(),
            estimate_seconds: task.estimate_seconds,
            land: task.land,
            retry_by_class: (!task.retry.by_class.is_usual()).then_some(task.retry.by_class),
        }
    }
}

/// An edge that is to be stored. Its names are those of the columns.
#[derive(Serialize)]
pub(crate) struct NewEdge {
    workspace_id: WorkspaceId,
    task_id: TaskId,
    depends_on_id: TaskId,
    on_kind: &'static str,
    condition: Option<String>,
    feeds: BTreeMap<String, String>,
    satisfied: bool,
}

impl NewEdge {
    pub fn new(task: &Task, dependency: &Dependency, satisfied: bool) -> Self {
        let (on_kind, condition) = match &dependency.on {
            On::Success => ("success", None),
            On::End => ("end", None),
            On::Condition(text) => ("condition", Some(text.clone())),
        };
        Self {
            workspace_id: task.workspace_id,
            task_id: task.id,
            depends_on_id: dependency.task,
            on_kind,
            condition,
            feeds: dependency.feeds.clone(),
            satisfied: satisfied && dependency.on != On::Success,
        }
    }
}
