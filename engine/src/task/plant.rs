//! Stores new tasks, one or a thousand of them, in a few statements: rows, edges and facts.

use std::collections::{BTreeMap, HashMap};

use domain::{
    EventKind, Land, NewTask, RepositoryId, Task, TaskId, TaskState, Timestamp, Work, WorkspaceId,
    account::SYSTEM,
    task::{Complexity, Dependency, Inferred, On, Parents, Standing, TaskRepository, infer},
};

use super::{edge, edge::Asked, open, record_end, repositories, store};
use crate::{
    Result,
    event::{self, store::Fact},
    new_id,
    tx::Tx,
};

/// A task that is to be stored, with what it waits for. Its state is decided here.
pub(crate) struct Seed {
    pub task: Task,
    /// Those beside its first.
    pub repositories: Vec<TaskRepository>,
    pub waits: Vec<Dependency>,
    /// Who has it stored; its first event is signed with that.
    pub by: String,
}

/// Where a new task belongs and who wants it.
pub(crate) struct Origin {
    pub workspace: WorkspaceId,
    pub repository: RepositoryId,
    pub created_by: String,
    pub created_at: Timestamp,
}

/// A task as it is asked for, before anything has happened to it.
pub(crate) fn new_task(new: NewTask, work: Work, of: Origin) -> Task {
    let capabilities = new.needed_capabilities();
    let inferred = match work.is_executed() {
        true => infer(&new.title, &work, new.files.len(), new.checks.len()),
        false => Inferred::default(),
    };
    let land = if work.is_executed() { new.land } else { Land::None };
    Task {
        id: TaskId(new_id()),
        workspace_id: of.workspace,
        repository_id: of.repository,
        title: new.title.trim().to_owned(),
        work,
        base_ref: new.base_ref.map(|name| name.trim().to_owned()),
        submodules: new.submodules,
        lfs: new.lfs,
        files: new.files,
        success_criteria: new.success_criteria,
        checks: new.checks,
        priority: new.priority,
        timeout_seconds: whole_seconds(new.timeout_seconds),
        max_attempts: i32::try_from(new.max_attempts).unwrap_or(i32::MAX),
        retry: new.retry,
        inputs: new.inputs,
        condition: new.when,
        workflow_run_id: None,
        delay_seconds: new.delay_seconds.map(whole_seconds),
        opened: false,
        not_before: new.run_at,
        complete_by: new.complete_by,
        queue_seconds: new.queue_seconds.map(whole_seconds),
        concurrency: new.concurrency,
        tags: new.tags,
        correlation_id: new.correlation_id,
        paused_by: None,
        capabilities,
        agent: new.agent,
        complexity: Complexity::of(new.tier, inferred),
        estimate_seconds: new.estimate_seconds.map(whole_seconds),
        land,
        state: TaskState::Blocked,
        attempts: 0,
        failures: 0,
        losses: 0,
        limits: 0,
        created_at: of.created_at,
        created_by: of.created_by,
    }
}

/// As a column holds them.
pub(crate) fn whole_seconds(seconds: u32) -> i32 {
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

/// What is stored and has yet to be begun: gates and groups whose turn has come at once, and members that were skipped at once.
pub(crate) struct Planted {
    pub tasks: Vec<Task>,
    to_open: Vec<usize>,
    ended: Vec<usize>,
}

/// As [`store_all`] and [`begin`].
pub(crate) async fn plant(tx: &mut Tx, seeds: Vec<Seed>) -> Result<Vec<Task>> {
    let planted = store_all(tx, seeds, None).await?;
    let tasks = planted.tasks.clone();
    begin(tx, planted).await?;
    Ok(tasks)
}

/// Stores tasks that are in an order in which each comes after those it waits for. Tasks that are there already are locked, so that
/// none of them ends unnoticed. The members of a group are waited for by it, however they end. Returns them as they stood at first.
pub(crate) async fn store_all(tx: &mut Tx, seeds: Vec<Seed>, group: Option<&Task>) -> Result<Planted> {
    let mut standing = outside(tx, &seeds).await?;
    let now = tx.now();
    let mut tasks = Vec::with_capacity(seeds.len());
    let (mut rows, mut edges, mut to_open, mut facts, mut beside) = (vec![], vec![], vec![], vec![], vec![]);
    for Seed { mut task, repositories, waits, by } in seeds {
        let mut waiting_for = 0;
        let mut broken = None;
        for dependency in &waits {
            let parent = standing.get_mut(&dependency.task);
            let asked = match parent {
                Some(parent) => edge::ask(tx, parent, dependency).await?,
                None => Asked { standing: Standing::Waiting, inputs: BTreeMap::new(), trouble: None },
            };
            match asked.standing {
                Standing::Waiting => waiting_for += 1,
                Standing::Satisfied => task.inputs.extend(asked.inputs),
                Standing::Failed => {
                    broken = broken.or_else(|| standing.get(&dependency.task).map(|parent| parent.broken(dependency, asked.trouble)))
                }
            }
            edges.push(store::NewEdge::new(&task, dependency, asked.standing == Standing::Satisfied));
        }
        let parents = match broken.take() {
            Some(broken) => Parents::Failed(broken),
            None if waiting_for > 0 => Parents::Waiting,
            None => Parents::AllSucceeded,
        };
        task.state = TaskState::Blocked;
        if parents == Parents::AllSucceeded && (!task.work.is_executed() || task.condition.is_some()) {
            // It waits for itself until it is opened, a moment later.
            waiting_for = 1;
            to_open.push(tasks.len());
        } else {
            task = task.parent_ended(parents, now)?;
        }
        standing.insert(task.id, edge::Parent::of(&task));
        if let Some(group) = group {
            let member = Dependency { on: On::End, ..task.id.into() };
            edges.push(store::NewEdge::new(group, &member, false));
        }
        rows.push(store::NewRow::of(&task, waiting_for, group.map(|group| group.id)));
        facts.push((task.id, by, EventKind::TaskCreated { state: task.state.name() }));
        beside.push((task.id, if task.work.is_executed() { repositories } else { vec![] }));
        tasks.push(task);
    }
    store::insert(tx, &rows).await?;
    if let Some(first) = tasks.first() {
        repositories::insert(tx, first.workspace_id, &beside).await?;
    }
    store::insert_edges(tx, &edges, now).await?;
    event::store::append_first(tx, tasks.first().map(|task| task.workspace_id), &facts).await?;
    // said by Muster, whoever wanted the tasks
    let disputes: Vec<_> = tasks
        .iter()
        .filter_map(|task| {
            let (given, inferred) = task.complexity.disputed()?;
            Some(Fact::of(task, EventKind::ComplexityDisputed { given, inferred }))
        })
        .collect();
    event::store::append(tx, SYSTEM, now, &disputes).await?;
    let ended: Vec<_> = (0..tasks.len()).filter(|index| tasks[*index].state.is_final()).collect();
    for index in &ended {
        record_end(tx, &tasks[*index]).await?;
    }
    Ok(Planted { tasks, to_open, ended: if group.is_some() { ended } else { vec![] } })
}

/// Opens what is to be opened at once. Everything about the tasks that others look up is stored by now.
pub(crate) async fn begin(tx: &mut Tx, planted: Planted) -> Result<()> {
    let Planted { tasks, to_open, ended } = planted;
    for index in ended {
        Box::pin(super::release_children(tx, &tasks[index])).await?;
    }
    for index in to_open {
        let task = Box::pin(open::arrived(tx, tasks[index].clone())).await?;
        Box::pin(super::release_children(tx, &task)).await?;
    }
    Ok(())
}

/// How those that are there already stand.
async fn outside(tx: &mut Tx, seeds: &[Seed]) -> Result<HashMap<TaskId, edge::Parent>> {
    let mut ids: Vec<_> = seeds.iter().flat_map(|seed| seed.waits.iter().map(|wait| wait.task)).collect();
    ids.sort_unstable();
    ids.dedup();
    let new: std::collections::HashSet<_> = seeds.iter().map(|seed| seed.task.id).collect();
    ids.retain(|id| !new.contains(id));
    let parents = store::lock_some(tx, &ids).await?;
    Ok(parents.into_iter().map(|parent| (parent.id, parent)).collect())
}
