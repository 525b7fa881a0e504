//! A task that shows whether a runner works, from the claim to the checks: made when a machine joins, for that machine alone.

use domain::{
    Actor, ActorKind, CheckKind, CheckSpec, Forbidden, NewTask, Permission, Priority, RunnerId, TaskStateName, TaskView,
    error::Errors,
    runner::{NewTrial, own_word},
};

use super::store;
use crate::{Engine, Error, Result, task::intake::Asked, task::query};

const TITLE: &str = "Trial";
/// What the work does, and what the checks find of it.
const COMMAND: &str = "echo \"Here is $(uname -sm)\"; echo done > trial.txt";
/// Seconds for the work, and for each of the checks.
const TIMEOUT: u32 = 60;
/// Seconds in which the runner has to take it.
const QUEUE: u32 = 300;

impl Engine {
    /// The trial of the runner that asks: the one that is on its way or has gone well, else a new one.
    pub async fn try_runner(&self, actor: &Actor, new: NewTrial) -> Result<TaskView> {
        let id = runner_of(actor)?;
        let mut errors = Errors::default();
        if !new.repository.starts_with('/') {
            errors.add("/repository", "malformed", "must be a path on the runner's own machine");
        }
        errors.finish()?;
        let (name, trial) = self.trial_of(actor, id).await?;
        if let Some(trial) = trial.filter(|trial| !trial.summary.state.is_final() || trial.summary.state.name() == TaskStateName::Succeeded)
        {
            return Ok(trial);
        }
        let actor = actor.clone().without_idempotency();
        let new = trial_of(id, &name, new.repository);
        let work = new.validate()?;
        let view = self.take_in(Asked { actor: actor.clone(), new, work }).await?;
        let mut tx = self.begin(&actor).await?;
        store::remember_trial(&mut tx, id, view.summary.id).await?;
        tx.commit(view).await
    }

    /// How the trial of the runner that asks stands.
    pub async fn runner_trial(&self, actor: &Actor) -> Result<TaskView> {
        let id = runner_of(actor)?;
        let (_, trial) = self.trial_of(actor, id).await?;
        trial.ok_or_else(|| Error::not_found("trial of runner", id))
    }

    /// The runner's name, and its trial as far as it is still there.
    async fn trial_of(&self, actor: &Actor, id: RunnerId) -> Result<(String, Option<TaskView>)> {
        let mut tx = self.begin_in(actor.workspace_id, actor.label()).await?;
        let (name, task) = store::trial(&mut tx, id).await?.ok_or_else(|| Error::not_found("runner", id))?;
        let trial = match task {
            Some(task) => match query::view(&mut tx, task).await {
                Err(Error::NotFound { .. }) => None,
                found => Some(found?),
            },
            None => None,
        };
        tx.commit((name, trial)).await
    }
}

fn runner_of(actor: &Actor) -> Result<RunnerId> {
    match actor.kind {
        ActorKind::Runner { id } => Ok(id),
        ActorKind::User { .. } | ActorKind::ApiKey { .. } => Err(Forbidden(Permission::TryRunner).into()),
    }
}

fn trial_of(id: RunnerId, name: &str, repository: String) -> NewTask {
    let check = |kind, target: &str| CheckSpec { timeout_seconds: TIMEOUT, ..CheckSpec::new(kind, Some(target.into())) };
    NewTask {
        checks: vec![check(CheckKind::FileExists, "trial.txt"), check(CheckKind::CommandSucceeds, "grep -q done trial.txt")],
        capabilities: vec![own_word(id)],
        priority: Priority::Urgent,
        timeout_seconds: TIMEOUT,
        queue_seconds: Some(QUEUE),
        max_attempts: 1,
        tags: vec!["trial".into()],
        ..NewTask::command(format!("{TITLE} of runner {name}"), repository, COMMAND)
    }
}
