//! Steps as tasks: a whole definition when a run begins, the members of a group when its turn comes.

use std::collections::HashMap;

use domain::{
    Invalid, Task, TaskId, Timestamp, Work, WorkflowRunId, WorkspaceId,
    task::{Dependency, Gate, Group, Inputs, TaskRepository, fill, plain},
    workflow::{Definition, Kind, Step, parameters_given},
};
use serde_json::{Value, json};

use super::store;
use crate::{
    Error, Result,
    repository::Repositories,
    task::plant::{Origin, Seed, new_task, whole_seconds},
    tx::Tx,
};

/// The most tasks of one run.
pub(super) const TASKS_MAX: usize = 20_000;
/// The most items of one list.
const ITEMS_MAX: usize = 1000;
/// How deep workflows may lie inside each other.
const DEPTH_MAX: usize = 8;

/// A task of a run by its key.
pub(crate) struct NewStep {
    pub key: String,
    pub group_key: Option<String>,
    pub task: TaskId,
    pub reused: bool,
}

/// What a group becomes.
pub(crate) struct Members {
    pub run: WorkflowRunId,
    pub seeds: Vec<Seed>,
    pub steps: Vec<NewStep>,
}

/// Why a group becomes nothing.
pub(crate) enum Refused {
    /// Its run is being cancelled, by whom.
    Cancelled(String),
    Impossible(String),
}

/// What the tasks of a run have in common.
#[derive(Clone, Debug)]
pub(super) struct Common {
    pub run: WorkflowRunId,
    pub workspace: WorkspaceId,
    /// Where a step works that does not say so itself.
    pub repository: String,
    pub created_by: String,
    pub paused_by: Option<String>,
    pub correlation_id: Option<String>,
}

/// One step that is to become a task.
pub(super) struct Planting<'a> {
    pub step: &'a Step,
    pub key: String,
    pub group_key: Option<String>,
    pub work: Work,
    pub inputs: Inputs,
    /// What tells it from others of the same step.
    pub label: Option<String>,
    pub waits: Vec<Dependency>,
    pub condition: Option<String>,
    pub delay_seconds: Option<u32>,
}

/// The steps of a definition, each after those it needs. `there` are steps that exist already, by their ids.
pub(super) async fn steps(
    tx: &mut Tx,
    common: &Common,
    definition: &Definition,
    parameters: &Inputs,
    prefix: &str,
    group_key: Option<&str>,
    there: &HashMap<String, TaskId>,
) -> Result<(Vec<Seed>, Vec<NewStep>)> {
    let mut ids = there.clone();
    let (mut seeds, mut rows) = (vec![], vec![]);
    let mut repositories = Repositories::default();
    // a definition that was saved has no cycle
    for step in definition.in_order().unwrap_or_default() {
        if there.contains_key(&step.id) {
            continue;
        }
        let waits = waits(step, &ids);
        let inputs = base_inputs(step, parameters);
        let several = step.matrix.is_some() || step.for_each.is_some() || step.candidates.is_some();
        let planting = Planting {
            step,
            key: format!("{prefix}{}", step.id),
            group_key: group_key.map(str::to_owned),
            work: if several { several_of(step) } else { single_work(step) },
            inputs,
            label: None,
            waits,
            condition: step.when.clone(),
            delay_seconds: step.delay_seconds.filter(|_| !several),
        };
        let (seed, row) = task(tx, common, planting, &mut repositories).await.map_err(|error| of_step(definition, step, error))?;
        ids.insert(step.id.clone(), seed.task.id);
        seeds.push(seed);
        rows.push(row);
    }
    Ok((seeds, rows))
}

/// Said of the definition's steps, as what is wrong with a definition is.
fn of_step(definition: &Definition, step: &Step, error: Error) -> Error {
    let index = definition.steps.iter().position(|one| one.id == step.id);
    match (error, index) {
        (Error::Invalid(invalid), Some(index)) => Error::Invalid(invalid.below(&format!("/steps/{index}"))),
        (error, _) => error,
    }
}

/// The tasks that a group becomes; or why it cannot.
pub(crate) async fn members(tx: &mut Tx, group: &Task) -> Result<std::result::Result<Members, Refused>> {
    let Some(place) = store::place(tx, group.id).await? else { return Ok(Err(Refused::Impossible("it is no step of a run".into()))) };
    let common = common_of(group, &place);
    if let Some(by) = place.cancelled_by {
        return Ok(Err(Refused::Cancelled(by)));
    }
    let made = refused(match &group.work {
        Work::Group(Group::Workflow { name, version }) => sub_workflow(tx, &common, group, &place.key, name, *version).await,
        Work::Group(Group::Each { step } | Group::Candidates { step }) => several(tx, &common, group, &place.key, step).await,
        _ => Ok(Err("it is no group".into())),
    })?;
    let made = made.and_then(|(seeds, steps)| {
        if place.tasks + seeds.len() > TASKS_MAX {
            return Err(format!("its run would have more than {TASKS_MAX} tasks"));
        }
        Ok(Members { run: place.run, seeds, steps })
    });
    Ok(made.map_err(Refused::Impossible))
}

/// What is wrong with a step is no fault of the server's: it ends the group.
fn refused(made: Result<Made>) -> Result<Made> {
    match made {
        Err(Error::Invalid(invalid)) => {
            let first = invalid.errors.first().map(|error| format!("{} {}", error.pointer, error.message));
            Ok(Err(format!("a task of it cannot be: {}", first.unwrap_or_default())))
        }
        other => other,
    }
}

/// What the tasks of a group have in common.
pub(super) fn common_of(group: &Task, place: &store::Place) -> Common {
    Common {
        run: place.run,
        workspace: group.workspace_id,
        repository: place.repository.clone(),
        created_by: group.created_by.clone(),
        paused_by: place.paused_by.clone(),
        correlation_id: group.correlation_id.clone(),
    }
}

type Made = std::result::Result<(Vec<Seed>, Vec<NewStep>), String>;

async fn sub_workflow(tx: &mut Tx, common: &Common, group: &Task, key: &str, name: &str, version: Option<i32>) -> Result<Made> {
    if key.matches('/').count() >= DEPTH_MAX {
        return Ok(Err(format!("workflows lie more than {DEPTH_MAX} deep inside each other")));
    }
    let Some((_, definition)) = store::definition(tx, common.workspace, name, version).await? else {
        let version = version.map(|version| format!(" with a version {version}")).unwrap_or_default();
        return Ok(Err(format!("there is no workflow “{name}”{version}")));
    };
    let given = group.inputs.iter().filter(|(name, _)| definition.parameters.contains_key(*name));
    let parameters = match parameters_given(&definition, &given.map(|(name, value)| (name.clone(), value.clone())).collect()) {
        Ok(parameters) => parameters,
        Err(invalid) => return Ok(Err(first_error(&invalid, name))),
    };
    let common = Common { repository: definition.repository.clone().unwrap_or_else(|| common.repository.clone()), ..common.clone() };
    Ok(Ok(steps(tx, &common, &definition, &parameters, &format!("{key}/"), Some(key), &HashMap::new()).await?))
}

fn first_error(invalid: &Invalid, name: &str) -> String {
    let first = invalid.errors.first().map(|error| format!("{} {}", error.pointer.trim_start_matches("/parameters/"), error.message));
    format!("the workflow “{name}” cannot begin: {}", first.unwrap_or_default())
}

async fn several(tx: &mut Tx, common: &Common, group: &Task, key: &str, step: &Step) -> Result<Made> {
    let variants = match variants(step, &group.inputs) {
        Ok(variants) => variants,
        Err(why) => return Ok(Err(why)),
    };
    let single = step.single();
    let mut repositories = Repositories::default();
    let (mut seeds, mut rows) = (vec![], vec![]);
    for (label, own) in variants {
        let planting = Planting {
            step: &single,
            key: format!("{key}[{label}]"),
            group_key: Some(key.to_owned()),
            work: single_work(&single),
            inputs: group.inputs.clone().into_iter().chain(own).collect(),
            label: Some(label),
            waits: vec![],
            condition: None,
            delay_seconds: single.delay_seconds,
        };
        let (seed, row) = task(tx, common, planting, &mut repositories).await?;
        seeds.push(seed);
        rows.push(row);
    }
    Ok(Ok((seeds, rows)))
}

/// What tells the several apart, each with its own inputs.
fn variants(step: &Step, inputs: &Inputs) -> std::result::Result<Vec<(String, Inputs)>, String> {
    if let Some(matrix) = &step.matrix {
        let mut all = vec![(String::new(), Inputs::new())];
        for (name, values) in matrix {
            all = all
                .into_iter()
                .flat_map(|(label, inputs)| {
                    values.iter().map(move |value| {
                        let part = format!("{name}={}", short(value));
                        let label = if label.is_empty() { part } else { format!("{label},{part}") };
                        (label, inputs.clone().into_iter().chain([(name.clone(), value.clone())]).collect())
                    })
                })
                .collect();
        }
        return Ok(numbered_where_alike(all));
    }
    if let Some(each) = &step.for_each {
        let list = match inputs.get(&each.list) {
            Some(Value::Array(list)) if list.len() <= ITEMS_MAX => list,
            Some(Value::Array(list)) => return Err(format!("“{}” has {} items; at most {ITEMS_MAX} are allowed", each.list, list.len())),
            _ => return Err(format!("“{}” is not a list", each.list)),
        };
        let one = |(index, item): (usize, &Value)| {
            (index.to_string(), Inputs::from([("item".into(), item.clone()), ("index".into(), json!(index))]))
        };
        return Ok(list.iter().enumerate().map(one).collect());
    }
    let count = step.candidates.as_ref().map_or(1, |candidates| candidates.count);
    Ok((1..=count).map(|number| (number.to_string(), Inputs::from([("candidate".into(), json!(number))]))).collect())
}

/// As part of a key.
fn short(value: &Value) -> String {
    plain(value).chars().map(|c| if c.is_control() || matches!(c, '/' | '[' | ']' | ',') { '_' } else { c }).take(40).collect()
}

fn numbered_where_alike(all: Vec<(String, Inputs)>) -> Vec<(String, Inputs)> {
    let mut seen = HashMap::new();
    let number = |(label, inputs): (String, Inputs)| {
        let count = seen.entry(label.clone()).and_modify(|count| *count += 1).or_insert(1);
        (if *count == 1 { label } else { format!("{label}#{count}") }, inputs)
    };
    all.into_iter().map(number).collect()
}

pub(super) async fn task(tx: &mut Tx, common: &Common, planting: Planting<'_>, repositories: &mut Repositories) -> Result<(Seed, NewStep)> {
    let Planting { step, key, group_key, work, inputs, label, waits, condition, delay_seconds } = planting;
    let location = step.repository.as_deref().unwrap_or(&common.repository).trim().to_owned();
    let new = step.new_task(&location);
    // where the run said which the first is, nobody has compared the others with it
    new.validate_beside()?;
    let now: Timestamp = tx.now();
    let repository = repositories.find(tx, common.workspace, &location, now).await?;
    let beside = TaskRepository::all(&new.repositories);
    let of = Origin { workspace: common.workspace, repository, created_by: common.created_by.clone(), created_at: now };
    let task = Task {
        title: title(step, &inputs, label.as_deref()),
        inputs,
        condition,
        workflow_run_id: Some(common.run),
        delay_seconds: delay_seconds.map(whole_seconds),
        correlation_id: common.correlation_id.clone(),
        paused_by: common.paused_by.clone(),
        ..new_task(new, work, of)
    };
    let task = Task { work: filled(task.work, &task.inputs), ..task };
    let row = NewStep { key, group_key, task: task.id, reused: false };
    Ok((Seed { task, repositories: beside, waits, by: tx.actor().to_owned() }, row))
}

/// With its inputs in their places, as far as they are known now; on one line and not too long.
fn title(step: &Step, inputs: &Inputs, label: Option<&str>) -> String {
    let mut title = fill(step.title(), inputs);
    if let Some(label) = label
        && title == step.title()
    {
        title = format!("{title} [{label}]");
    }
    let line: String = title.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    if line.trim().is_empty() { step.id.clone() } else { line.trim().to_owned() }
}

/// A person reads the message of a gate as it is.
fn filled(work: Work, inputs: &Inputs) -> Work {
    match work {
        Work::Gate(Gate::Approval { message }) => Work::Gate(Gate::Approval { message: message.map(|message| fill(&message, inputs)) }),
        other => other,
    }
}

/// What a step is given without anybody's end.
pub(super) fn base_inputs(step: &Step, parameters: &Inputs) -> Inputs {
    let mut inputs = parameters.clone();
    inputs.extend(step.inputs.iter().filter_map(|(name, input)| Some((name.clone(), input.value.clone()?))));
    inputs
}

pub(super) fn single_work(step: &Step) -> Work {
    match step.kind() {
        Some(Kind::Command(text)) => Work::Command(text.to_owned()),
        Some(Kind::Prompt(text)) => Work::Prompt(text.to_owned()),
        Some(Kind::Approval(approval)) => Work::Gate(Gate::Approval { message: approval.message.clone() }),
        Some(Kind::Event(event)) => Work::Gate(Gate::Event { name: event.name.clone() }),
        Some(Kind::Workflow(sub)) => Work::Group(Group::Workflow { name: sub.name.clone(), version: sub.version }),
        // a definition without a kind is refused when it is saved
        Some(Kind::Wait) | None => Work::Gate(Gate::Wait),
    }
}

fn several_of(step: &Step) -> Work {
    let step = Box::new(step.clone());
    Work::Group(if step.candidates.is_some() { Group::Candidates { step } } else { Group::Each { step } })
}

/// What a step waits for, as far as it is there.
pub(super) fn waits(step: &Step, ids: &HashMap<String, TaskId>) -> Vec<Dependency> {
    let wait = |need: domain::workflow::Need| {
        let feeds = step.inputs.iter().filter(|(_, input)| input.from.as_ref() == Some(&need.step));
        let feeds = feeds.map(|(name, input)| (name.clone(), input.pointer.clone().unwrap_or_else(|| "/output".into()))).collect();
        Some(Dependency { task: *ids.get(&need.step)?, on: need.on, feeds })
    };
    step.all_needs().into_iter().filter_map(wait).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(value: Value) -> Step {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_matrix_makes_every_combination() {
        let step = step(json!({"id": "t", "command": "x", "matrix": {"os": ["linux", "mac"], "rust": [1, 2]}}));
        let labels: Vec<_> = variants(&step, &Inputs::new()).unwrap().into_iter().map(|(label, _)| label).collect();
        assert_eq!(labels, ["os=linux,rust=1", "os=linux,rust=2", "os=mac,rust=1", "os=mac,rust=2"]);
    }

    #[test]
    fn values_that_look_alike_have_keys_of_their_own() {
        let step = step(json!({"id": "t", "command": "x", "matrix": {"v": ["a/b", "a,b", 1, "1"]}}));
        let labels: Vec<_> = variants(&step, &Inputs::new()).unwrap().into_iter().map(|(label, _)| label).collect();
        assert_eq!(labels, ["v=a_b", "v=a_b#2", "v=1", "v=1#2"]);
    }

    #[test]
    fn a_list_comes_from_an_input() {
        let step = step(json!({"id": "t", "command": "x", "for_each": {"in": "files"}}));
        let of = |value: Value| variants(&step, &Inputs::from([("files".into(), value)])).map(|all| all.len());
        assert_eq!(of(json!(["a", "b"])), Ok(2));
        assert_eq!(of(json!("a")), Err("“files” is not a list".into()));
        assert!(of(json!(vec![0; 1001])).unwrap_err().contains("at most 1000"));
    }
}
