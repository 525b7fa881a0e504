//! Runs: beginning one, holding it, ending it, telling it what has happened outside.

use std::collections::HashMap;

use domain::{
    Actor, EventKind, Invalid, Page, Permission, Timestamp, WorkflowRunId,
    error::{Errors, FieldError},
    repository::check_location,
    task::{INPUTS_MAX, Inputs, fill},
    workflow::{Definition, GateEvent, NewRun, RunFilter, RunSummary, RunView, parameters_given},
};

use super::{
    instantiate::{self, Common},
    query, store,
};
use crate::{
    Engine, Error, Result, new_id,
    service::PassedOver,
    task,
    task::{
        followers,
        followers::{End, Ending},
        plant,
    },
    tx::Tx,
};

/// Runs and tasks that one round of cancelling looks at.
const CANCEL_BATCH: i64 = 200;

impl Engine {
    pub async fn start_run(&self, actor: &Actor, name: &str, new: NewRun) -> Result<RunView> {
        actor.may(Permission::CreateTasks)?;
        let mut tx = self.begin(actor).await?;
        let Some((workflow, definition)) = store::definition(&mut tx, actor.workspace_id, name, new.version).await? else {
            return Err(match new.version {
                Some(version) => Error::not_found("version of the workflow", format!("{name} {version}")),
                None => Error::not_found("workflow", name),
            });
        };
        let parameters = given(&definition, &new.parameters)?;
        let repository = place(&definition, new.repository.as_deref())?;
        let title = title(&definition, &parameters, new.title.as_deref())?;
        let id = WorkflowRunId(new_id());
        let row = store::NewRunRow {
            id,
            workflow,
            title: &title,
            parameters: &parameters,
            repository: &repository,
            restart_of: None,
            definition: None,
        };
        store::insert_run(&mut tx, actor, row).await?;
        let common = Common {
            run: id,
            workspace: actor.workspace_id,
            repository,
            created_by: actor.label(),
            paused_by: None,
            correlation_id: Some(id.to_string()),
        };
        let made = instantiate::steps(&mut tx, &common, &definition, &parameters, "", None, &HashMap::new()).await;
        let (seeds, steps) = made.map_err(|error| about_its_place(&definition, error))?;
        let planted = plant::store_all(&mut tx, seeds, None).await?;
        store::insert_steps(&mut tx, actor.workspace_id, id, &steps).await?;
        plant::begin(&mut tx, planted).await?;
        let view = query::run(&mut tx, id).await?;
        tx.answer(actor, view).await
    }

    /// Runs, newest first.
    pub async fn list_runs(&self, actor: &Actor, filter: RunFilter) -> Result<Page<RunSummary>> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        let page = query::runs(&mut tx, &filter).await?;
        tx.commit(page).await
    }

    pub async fn get_run(&self, actor: &Actor, id: WorkflowRunId) -> Result<RunView> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        let view = query::run(&mut tx, id).await?;
        tx.commit(view).await
    }

    /// Nothing of it begins until it is resumed; what runs comes to its end.
    pub async fn pause_run(&self, actor: &Actor, id: WorkflowRunId) -> Result<RunView> {
        actor.may(Permission::ChangeTasks)?;
        let mut tx = self.begin(actor).await?;
        let run = store::lock_run(&mut tx, id).await?;
        refuse_ended(&mut tx, id).await?;
        if run.paused_by.is_some() {
            return Err(Error::Conflict("it is paused already".into()));
        }
        store::set_paused(&mut tx, id, Some(&actor.label())).await?;
        task::store::pause_waiting(&mut tx, id).await?;
        let view = query::run(&mut tx, id).await?;
        tx.answer(actor, view).await
    }

    pub async fn resume_run(&self, actor: &Actor, id: WorkflowRunId) -> Result<RunView> {
        actor.may(Permission::ChangeTasks)?;
        let mut tx = self.begin(actor).await?;
        let run = store::lock_run(&mut tx, id).await?;
        if run.paused_by.is_none() {
            return Err(Error::Conflict("it is not paused".into()));
        }
        store::set_paused(&mut tx, id, None).await?;
        task::store::resume_waiting(&mut tx, id).await?;
        let view = query::run(&mut tx, id).await?;
        tx.answer(actor, view).await
    }

    /// Ends all of it. Each task is ended by itself, parents before children, as every other end is: a server that dies over it leaves
    /// the rest to the next round.
    pub async fn cancel_run(&self, actor: &Actor, id: WorkflowRunId) -> Result<RunView> {
        actor.may(Permission::ChangeTasks)?;
        let mut tx = self.begin(&actor.clone().without_idempotency()).await?;
        let run = store::lock_run(&mut tx, id).await?;
        if run.cancelled_by.is_none() {
            refuse_ended(&mut tx, id).await?;
            let now = tx.now();
            store::set_cancelled(&mut tx, id, &actor.label(), now).await?;
        }
        tx.commit(()).await?;
        let now = self.clock.now(&self.database).await?;
        self.cancel_tasks_of(id, &actor.label(), &mut PassedOver::default(), now).await?;
        let mut tx = self.begin(actor).await?;
        let view = query::run(&mut tx, id).await?;
        tx.answer(actor, view).await
    }

    /// Something that gates of a run wait for has happened.
    pub async fn send_event(&self, actor: &Actor, id: WorkflowRunId, event: GateEvent) -> Result<RunView> {
        actor.may(Permission::ChangeTasks)?;
        let text = event.payload.to_string();
        if text.len() > domain::task::OUTPUT_MAX || text.contains("\\u0000") {
            let message = format!("must be at most {} bytes as JSON, without NUL", domain::task::OUTPUT_MAX);
            return Err(Invalid::field("/payload", "too_long", message).into());
        }
        let mut tx = self.begin(actor).await?;
        store::lock_run(&mut tx, id).await?;
        let gates = store::waiting_gates(&mut tx, id, event.name.trim()).await?;
        if gates.is_empty() {
            return Err(Error::Conflict(format!("nothing of this run waits for the event “{}” now", event.name.trim())));
        }
        let endings: Vec<_> = gates.iter().map(|gate| Ending { task: *gate, attempt: None, end: End::Well }).collect();
        followers::lock_all(&mut tx, &endings).await?;
        for gate in gates {
            task::event_happened(&mut tx, gate, &event.payload).await?;
        }
        let view = query::run(&mut tx, id).await?;
        tx.answer(actor, view).await
    }

    /// What a server began to cancel and did not finish.
    pub(crate) async fn go_on_cancelling(&self, passed_over: &mut PassedOver, now: Timestamp) -> Result<()> {
        let mut conn = self.database.system.acquire().await?;
        let runs = store::cancelling(&mut conn, &passed_over.at(now), CANCEL_BATCH).await?;
        drop(conn);
        for (run, by) in runs {
            self.cancel_tasks_of(run, &by, passed_over, now).await?;
        }
        Ok(())
    }

    async fn cancel_tasks_of(&self, run: WorkflowRunId, by: &str, passed_over: &mut PassedOver, now: Timestamp) -> Result<()> {
        loop {
            let mut conn = self.database.system.acquire().await?;
            let tasks = store::going_on(&mut conn, run, &passed_over.at(now), CANCEL_BATCH).await?;
            if tasks.is_empty() {
                // what is passed over goes on
                return match store::going_on(&mut conn, run, &[], 1).await?.is_empty() {
                    true => store::is_cancelled_throughout(&mut conn, run).await,
                    false => Ok(()),
                };
            }
            drop(conn);
            let mut all = true;
            for task in tasks {
                let cancel = |task: domain::Task, now| {
                    let ran = matches!(task.state, domain::TaskState::Running { .. } | domain::TaskState::Verifying { .. });
                    Ok((task.cancel(by, now)?, ran.then_some(EventKind::CancelRequested)))
                };
                all &= self.done_or_passed_over(passed_over, now, task, self.change_by_time(task, cancel).await).await?;
            }
            // the rest of it the next time
            if !all {
                return Ok(());
            }
        }
    }
}

async fn refuse_ended(tx: &mut Tx, id: WorkflowRunId) -> Result<()> {
    let state = query::state(tx, id).await?;
    if state.is_final() {
        return Err(Error::Conflict(format!("it has ended {} already", state.name())));
    }
    Ok(())
}

/// The parameters of a run, with the defaults of those that it is not given.
pub(super) fn given(definition: &Definition, parameters: &Inputs) -> Result<Inputs> {
    let values = parameters_given(definition, parameters)?;
    let text = serde_json::to_string(&values).unwrap_or_default();
    let mut errors = Errors::default();
    if text.len() > INPUTS_MAX {
        errors.add("/parameters", "too_long", format!("are {} bytes as JSON; at most {INPUTS_MAX} are allowed", text.len()));
    }
    if text.contains("\\u0000") {
        errors.add("/parameters", "nul", "must not contain a NUL character");
    }
    errors.finish()?;
    Ok(values)
}

fn place(definition: &Definition, asked: Option<&str>) -> Result<String> {
    let asked = asked.map(str::trim).filter(|location| !location.is_empty());
    let Some(location) = asked.or(definition.repository.as_deref()) else {
        return Err(Invalid::field("/repository", "required", "the definition names none, so the run has to").into());
    };
    check_location(location.trim()).map_err(|reason| Invalid::field("/repository", "malformed", reason))?;
    Ok(location.trim().to_owned())
}

/// A step whose further repositories do not go beside the one that the run was given.
fn about_its_place(definition: &Definition, error: Error) -> Error {
    let Error::Invalid(invalid) = error else { return error };
    let about = |error: FieldError| {
        let index = error.pointer.strip_prefix("/steps/").and_then(|rest| rest.split('/').next()?.parse::<usize>().ok());
        let step = index.and_then(|index| definition.steps.get(index)).map(|step| step.id.as_str()).unwrap_or_default();
        let message = format!("does not go with a further repository of the step “{step}”, which {}", error.message);
        FieldError { pointer: "/repository".into(), message, ..error }
    };
    Error::Invalid(Invalid { errors: invalid.errors.into_iter().map(about).collect() })
}

fn title(definition: &Definition, parameters: &Inputs, asked: Option<&str>) -> Result<String> {
    let asked = asked.map(str::trim).filter(|title| !title.is_empty());
    if asked.is_some_and(|title| title.chars().count() > 200 || title.contains(char::is_control)) {
        return Err(Invalid::field("/title", "too_long", "must be one line of at most 200 characters").into());
    }
    let title = asked.map_or_else(|| fill(definition.title.as_deref().unwrap_or(&definition.name), parameters), str::to_owned);
    let title: String = title.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
    Ok(if title.trim().is_empty() { definition.name.clone() } else { title.trim().to_owned() })
}
