//! A run is changed while it runs: steps that have not begun are added, taken out, or made to wait for others.
//!
//! While a change is made nothing of the run moves: its steps are locked, parents before children as every end locks them. A parent
//! that ends at that moment ends before the change, which then sees it, or after it, and then finds the new edges and no other.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::{
    Actor, EventKind, Invalid, Permission, TaskId, TaskStateName, WorkflowRunId,
    error::Errors,
    task::{Dependency, Standing},
    workflow::{ChangeOutcome, ChangeRun, Changed, ChangedStep, Definition, Fate, RunDefinition, RunStep, RunView, has_begun},
};

use super::{
    change_store::{self as store, RunRow, TopStep},
    instantiate::{self, Common, TASKS_MAX},
    query, source,
    store::insert_steps,
};
use crate::{
    Engine, Error, Result,
    task::{self, edge, plant, rewire},
    tx::Tx,
};

impl Engine {
    /// All of the change or nothing of it. A preview goes the whole way, in a transaction that is rolled back.
    pub async fn change_run(&self, actor: &Actor, id: WorkflowRunId, asked: ChangeRun) -> Result<ChangeOutcome> {
        actor.may(Permission::ChangeTasks)?;
        let change = source::read_change(&asked.source)?;
        if !change.add.is_empty() {
            actor.may(Permission::CreateTasks)?;
        }
        let looks_only = actor.clone().without_idempotency();
        let mut tx = self.begin(if asked.preview { &looks_only } else { actor }).await?;
        // One at a time in a workspace: two edges that close a cycle together must not pass each other.
        task::store::lock_graph(&mut tx).await?;
        let run = store::lock_run(&mut tx, id).await?;
        refuse_what_is_over(&run, asked.expected)?;
        let changed = change.apply(&run.definition)?;
        super::check_expressions(&changed.definition).await.map_err(|error| in_the_change(&changed, error))?;
        let before = query::steps(&mut tx, id).await?;
        let steps = lock_steps(&mut tx, id, &run.definition).await?;
        if steps.values().all(|step| step.state.is_final()) {
            return Err(Error::Conflict("it has ended already; restart it to do more".into()));
        }
        refuse_what_has_begun(&changed, &change.remove, &steps)?;
        refuse_taken_names(&changed, &before)?;
        if before.len() + changed.added.len() > TASKS_MAX {
            return Err(Invalid::field("/add", "too_many", format!("a run has at most {TASKS_MAX} tasks")).into());
        }
        carry_out(&mut tx, actor, id, &run, &changed, &steps).await?;
        if !(changed.added.is_empty() && changed.removed.is_empty() && changed.rewired.is_empty()) {
            store::save(&mut tx, actor, id, run.changes + 1, &changed, &asked.source).await?;
        }
        let after = query::run(&mut tx, id).await?;
        let outcome = ChangeOutcome { preview: asked.preview, steps: differences(&run.definition, &changed, &before, &after), run: after };
        // a preview is never committed
        if asked.preview { Ok(outcome) } else { tx.answer(actor, outcome).await }
    }

    /// The graph that a run follows, and which of its steps may still be changed.
    pub async fn run_definition(&self, actor: &Actor, id: WorkflowRunId) -> Result<RunDefinition> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        let run = store::read_run(&mut tx, id).await?;
        let steps = store::top_steps(&mut tx, id).await?;
        let is_over = run.cancelled_by.is_some();
        let open = steps.into_iter().filter(|step| !is_over && !step.removed && begun(step).is_none()).map(|step| step.key).collect();
        tx.commit(RunDefinition { definition: run.definition, changes: run.changes, open }).await
    }
}

fn refuse_what_is_over(run: &RunRow, expected: Option<i32>) -> Result<()> {
    if run.cancelled_by.is_some() {
        return Err(Error::Conflict("it has been cancelled; restart it to go on".into()));
    }
    match expected {
        Some(expected) if expected != run.changes => {
            Err(Error::Conflict("somebody has changed it since this was written; look at it again".into()))
        }
        _ => Ok(()),
    }
}

fn in_the_change(changed: &Changed, error: Error) -> Error {
    match error {
        Error::Invalid(invalid) => Error::Invalid(changed.in_the_change(invalid)),
        other => other,
    }
}

/// All steps of the run itself by their ids, locked in their order: each after those it waits for, and where that says nothing the
/// older first, as it is where several wait for one.
async fn lock_steps(tx: &mut Tx, id: WorkflowRunId, definition: &Definition) -> Result<HashMap<String, TopStep>> {
    let by_key: HashMap<String, TaskId> = store::top_steps(tx, id).await?.into_iter().map(|step| (step.key, step.task)).collect();
    let mut sorted = definition.clone();
    sorted.steps.sort_by_key(|step| by_key.get(&step.id).copied());
    // a definition that was saved has no cycle
    let order: Vec<_> = sorted.in_order().unwrap_or_default().into_iter().filter_map(|step| by_key.get(&step.id).copied()).collect();
    let steps = store::lock_top_steps(tx, id, &order).await?;
    Ok(steps.into_iter().map(|step| (step.key.clone(), step)).collect())
}

fn begun(step: &TopStep) -> Option<String> {
    has_begun(step.state, step.opened, step.attempts, step.is_gate)
}

fn refuse_what_has_begun(changed: &Changed, remove: &[String], steps: &HashMap<String, TopStep>) -> Result<()> {
    let mut errors = Errors::default();
    for (index, id) in remove.iter().enumerate() {
        if let Some(why) = steps.get(id).and_then(begun) {
            errors.add(format!("/remove/{index}"), "begun", format!("“{id}” {why}"));
        }
    }
    for id in &changed.rewired {
        let step = steps.get(id);
        let why = step.and_then(|step| match step.state {
            TaskStateName::Scheduled => Some("has all it waited for, and its delay has begun".to_owned()),
            _ => begun(step),
        });
        if let Some(why) = why {
            errors.add(format!("{}/step", changed.place(id).unwrap_or_default()), "begun", format!("“{id}” {why}"));
        }
    }
    Ok(errors.finish()?)
}

/// A step that was removed keeps its name, as it is still shown.
fn refuse_taken_names(changed: &Changed, before: &[RunStep]) -> Result<()> {
    let mut errors = Errors::default();
    for (index, id) in changed.added.iter().enumerate() {
        if before.iter().any(|step| step.key == *id) {
            let message = format!("“{id}” was a step of this run before; give the new one another id");
            errors.add(format!("/add/{index}/id"), "duplicate", message);
        }
    }
    Ok(errors.finish()?)
}

async fn carry_out(
    tx: &mut Tx,
    actor: &Actor,
    id: WorkflowRunId,
    run: &RunRow,
    changed: &Changed,
    steps: &HashMap<String, TopStep>,
) -> Result<()> {
    let definition = &changed.definition;
    let there: HashMap<String, TaskId> =
        steps.values().filter(|step| !changed.removed.contains(&step.key)).map(|step| (step.key.clone(), step.task)).collect();
    let common = Common {
        run: id,
        workspace: actor.workspace_id,
        repository: run.repository.clone(),
        created_by: actor.label(),
        paused_by: run.paused_by.clone(),
        correlation_id: Some(id.to_string()),
    };
    let made = instantiate::steps(tx, &common, definition, &run.parameters, "", None, &there).await;
    let (seeds, rows) = made.map_err(|error| in_the_change(changed, error))?;
    let mut ids = there.clone();
    ids.extend(rows.iter().map(|row| (row.key.clone(), row.task)));
    let mut parents: HashMap<TaskId, edge::Parent> =
        steps.values().map(|step| (step.task, edge::Parent::new(step.task, step.title.clone(), step.state))).collect();
    refuse_what_cannot_come(tx, changed, &ids, &mut parents).await?;

    // Edges go before tasks end, so that nothing is skipped for what it no longer waits for; new ones come when both their ends are there.
    let own: BTreeSet<TaskId> = steps.values().map(|step| step.task).collect();
    let mut loose = vec![];
    for step in definition.steps.iter().filter(|step| changed.rewired.contains(&step.id)) {
        let base = instantiate::base_inputs(step, &run.parameters);
        let wanted = instantiate::waits(step, &ids);
        loose.push(rewire::cut(tx, steps[&step.id].task, &own, wanted, &base).await?);
    }
    let mut removed = vec![];
    for top in in_order_of(&run.definition, &changed.removed).iter().rev().filter_map(|id| steps.get(*id)) {
        removed.push(rewire::remove(tx, actor, top.task, id).await?);
    }
    store::mark_removed(tx, id, &changed.removed).await?;
    let planted = plant::store_all(tx, seeds, None).await?;
    insert_steps(tx, actor.workspace_id, id, &rows).await?;
    for task in &planted.tasks {
        parents.insert(task.id, edge::Parent::of(task));
        tx.record(task.workspace_id, task.id, &EventKind::StepAdded { run: id }).await?;
    }
    let mut ready = vec![];
    for one in loose {
        ready.extend(rewire::tie(tx, one, &mut parents, id).await?);
    }
    plant::begin(tx, planted).await?;
    for task in ready {
        rewire::arrive(tx, task).await?;
    }
    for task in removed {
        task::release_children(tx, &task).await?;
    }
    Ok(())
}

/// These steps, each after those it needs.
fn in_order_of<'a>(definition: &'a Definition, ids: &[String]) -> Vec<&'a str> {
    definition
        .in_order()
        .unwrap_or_default()
        .into_iter()
        .map(|step| step.id.as_str())
        .filter(|id| ids.iter().any(|one| one == id))
        .collect()
}

/// A need of something that has ended otherwise could never be met.
async fn refuse_what_cannot_come(
    tx: &mut Tx,
    changed: &Changed,
    ids: &HashMap<String, TaskId>,
    parents: &mut HashMap<TaskId, edge::Parent>,
) -> Result<()> {
    let mut errors = Errors::default();
    for step in &changed.definition.steps {
        if !changed.added.contains(&step.id) && !changed.rewired.contains(&step.id) {
            continue;
        }
        for need in step.all_needs() {
            let Some(parent) = ids.get(&need.step).and_then(|id| parents.get_mut(id)) else { continue };
            let dependency = Dependency { task: parent.id, on: need.on, feeds: BTreeMap::new() };
            if edge::ask(tx, parent, &dependency).await?.standing == Standing::Failed {
                let place = changed.place(&step.id).unwrap_or_default();
                let place = match step.needs.iter().position(|own| own.step == need.step) {
                    Some(index) => format!("{place}/needs/{index}"),
                    None => format!("{place}/inputs"),
                };
                let broken = parent.broken(&dependency, None);
                let unmet = broken.condition.map(|condition| format!(", and `{condition}` is not true of it")).unwrap_or_default();
                errors.add(place, "ended", format!("“{}” has ended {} already{unmet}", broken.title, broken.state.name()));
            }
        }
    }
    Ok(errors.finish()?)
}

/// What is otherwise than before, what was named first.
fn differences(before: &Definition, changed: &Changed, earlier: &[RunStep], after: &RunView) -> Vec<ChangedStep> {
    let states: HashMap<&str, TaskStateName> = earlier.iter().map(|step| (step.key.as_str(), step.state)).collect();
    let needs = |definition: &Definition, key: &str| -> Vec<String> {
        let step = definition.steps.iter().find(|step| step.id == key);
        step.map(|step| step.all_needs().into_iter().map(|need| need.step).collect()).unwrap_or_default()
    };
    let one = |step: &RunStep| {
        let before_it = states.get(step.key.as_str()).copied();
        let fates = [(&changed.added, Fate::Added), (&changed.removed, Fate::Removed), (&changed.rewired, Fate::Rewired)];
        let fate = fates.into_iter().find(|(ids, _)| ids.contains(&step.key)).map(|(_, fate)| fate);
        let how = fate.or_else(|| (before_it != Some(step.state)).then_some(Fate::Follows))?;
        let follows = how == Fate::Follows;
        Some(ChangedStep {
            key: step.key.clone(),
            title: step.title.clone(),
            how,
            before: before_it,
            after: step.state,
            needed: if follows { vec![] } else { needs(before, &step.key) },
            needs: if follows { vec![] } else { needs(&changed.definition, &step.key) },
            reason: step.reason.clone(),
        })
    };
    let mut steps: Vec<_> = after.steps.iter().filter_map(one).collect();
    steps.sort_by_key(|step| step.how);
    steps
}
