//! A run that goes on from an earlier one: what succeeded before the step in question is taken over, the rest is done again.

use std::collections::{BTreeSet, HashMap};

use domain::{
    Actor, Invalid, Permission, TaskStateName, WorkflowRunId,
    workflow::{Definition, RestartRun, RunView},
};

use super::{
    change_store,
    instantiate::{self, Common, NewStep},
    query, store,
};
use crate::{Engine, Error, Result, new_id, task::plant};

impl Engine {
    pub async fn restart_run(&self, actor: &Actor, id: WorkflowRunId, restart: RestartRun) -> Result<RunView> {
        actor.may(Permission::CreateTasks)?;
        let mut tx = self.begin(actor).await?;
        let run = store::lock_run(&mut tx, id).await?;
        if !query::state(&mut tx, id).await?.is_final() {
            return Err(Error::Conflict("it goes on; cancel it, or wait for its end".into()));
        }
        let Some((workflow, of_version)) = store::definition(&mut tx, actor.workspace_id, &run.workflow, Some(run.version)).await? else {
            return Err(Error::not_found("version of the workflow", run.version));
        };
        // a run that was changed goes on with the graph that it had at its end
        let own = change_store::own_definition(&mut tx, id).await?;
        let definition = own.as_ref().unwrap_or(&of_version);
        let again = match &restart.from {
            // a member of a group begins again with its group
            Some(from) => after(definition, from.split(['[', '/']).next().unwrap_or(from))?,
            None => BTreeSet::new(),
        };
        let earlier = query::steps_of(&mut tx, id).await?;
        let taken_over = |key: &str| {
            let top = key.split(['[', '/']).next().unwrap_or(key);
            let done = earlier.iter().any(|step| step.key == top && step.state == TaskStateName::Succeeded);
            done && !again.contains(top)
        };
        let reused: Vec<_> = earlier
            .iter()
            .filter(|step| taken_over(&step.key))
            .map(|step| NewStep { key: step.key.clone(), group_key: step.group_key.clone(), task: step.task, reused: true })
            .collect();
        let there: HashMap<_, _> = reused.iter().map(|step| (step.key.clone(), step.task)).collect();
        if definition.steps.iter().all(|step| there.contains_key(&step.id)) {
            return Err(Error::Conflict("every step of it succeeded; name the one to begin with".into()));
        }
        let new = WorkflowRunId(new_id());
        let row = store::NewRunRow {
            id: new,
            workflow,
            title: &run.title,
            parameters: &run.parameters,
            repository: &run.repository,
            restart_of: Some(id),
            definition: own.as_ref(),
        };
        store::insert_run(&mut tx, actor, row).await?;
        let common = Common {
            run: new,
            workspace: actor.workspace_id,
            repository: run.repository.clone(),
            created_by: actor.label(),
            paused_by: None,
            correlation_id: Some(new.to_string()),
        };
        let (seeds, steps) = instantiate::steps(&mut tx, &common, definition, &run.parameters, "", None, &there).await?;
        let planted = plant::store_all(&mut tx, seeds, None).await?;
        store::insert_steps(&mut tx, actor.workspace_id, new, &reused).await?;
        store::insert_steps(&mut tx, actor.workspace_id, new, &steps).await?;
        plant::begin(&mut tx, planted).await?;
        let view = query::run(&mut tx, new).await?;
        tx.answer(actor, view).await
    }
}

/// A step and everything that waits for it, directly or through others.
fn after(definition: &Definition, from: &str) -> Result<BTreeSet<String>> {
    if !definition.steps.iter().any(|step| step.id == from) {
        return Err(Invalid::field("/from", "not_found", format!("there is no step “{from}”")).into());
    }
    let mut found = BTreeSet::from([from.to_owned()]);
    let mut open = vec![from.to_owned()];
    while let Some(id) = open.pop() {
        for step in definition.steps.iter().filter(|step| step.all_needs().iter().any(|need| need.step == id)) {
            if found.insert(step.id.clone()) {
                open.push(step.id.clone());
            }
        }
    }
    Ok(found)
}
