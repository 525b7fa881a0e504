//! Workflows: definitions with their versions, and runs of them.
//!
//! A run is tasks and nothing else: `instantiate` turns steps into tasks and edges, which then take the one path that every task
//! takes. `run` begins, ends and restarts runs, `change` changes their graphs, `query` reads them, `source` reads what people write.

mod change;
mod change_store;
mod instantiate;
mod judge;
mod query;
mod restart;
mod run;
mod source;
mod store;

use domain::{
    Actor, Permission,
    workflow::{CheckWorkflow, SaveWorkflow, Validation, WorkflowSummary, WorkflowView, draw},
};

use crate::{Engine, Error, Result, expression};

pub(crate) use change_store::is_removed;
pub(crate) use instantiate::{Refused, members};
pub(crate) use judge::judge_of;
pub(crate) use store::{insert_steps, let_go, members_of};

impl Engine {
    /// What can be said about a definition without running it.
    pub async fn check_workflow(&self, actor: &Actor, new: CheckWorkflow) -> Result<Validation> {
        actor.may(Permission::ReadTasks)?;
        let definition = match source::read(&new.source) {
            Ok(definition) => definition,
            Err(invalid) => return Ok(Validation { valid: false, errors: invalid.errors, definition: None, drawing: None }),
        };
        let errors = match self.check_definition(&definition).await {
            Ok(()) => vec![],
            Err(Error::Invalid(invalid)) => invalid.errors,
            Err(error) => return Err(error),
        };
        let drawing = Some(draw_definition(&definition));
        Ok(Validation { valid: errors.is_empty(), errors, definition: Some(definition), drawing })
    }

    /// A new workflow, or a new version of the one with this name. The same text again is the version that is there.
    pub async fn save_workflow(&self, actor: &Actor, new: SaveWorkflow) -> Result<WorkflowView> {
        actor.may(Permission::ChangeTasks)?;
        let definition = source::read(&new.source)?;
        self.check_definition(&definition).await?;
        let mut tx = self.begin(actor).await?;
        store::save(&mut tx, actor, &definition, &new.source).await?;
        let view = query::workflow(&mut tx, &definition.name, None).await?;
        tx.answer(actor, view).await
    }

    /// The workflows of the workspace by name.
    pub async fn list_workflows(&self, actor: &Actor) -> Result<Vec<WorkflowSummary>> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        let list = query::workflows(&mut tx).await?;
        tx.commit(list).await
    }

    /// The newest version when none is named.
    pub async fn get_workflow(&self, actor: &Actor, name: &str, version: Option<i32>) -> Result<WorkflowView> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        let view = query::workflow(&mut tx, name, version).await?;
        tx.commit(view).await
    }

    async fn check_definition(&self, definition: &domain::workflow::Definition) -> Result<()> {
        domain::workflow::validate(definition)?;
        check_expressions(definition).await
    }
}

async fn check_expressions(definition: &domain::workflow::Definition) -> Result<()> {
    let mut errors = domain::error::Errors::default();
    for (pointer, text) in domain::workflow::expressions(definition) {
        let names: &'static [&'static str] = if pointer.ends_with("/when") { &["inputs"] } else { &["result"] };
        if let Err(why) = expression::check(text, names).await {
            errors.add(pointer, "malformed", why);
        }
    }
    Ok(errors.finish()?)
}

/// The steps of a definition and what they need.
fn draw_definition(definition: &domain::workflow::Definition) -> domain::workflow::Drawing {
    let keys: Vec<_> = definition.steps.iter().map(|step| step.id.clone()).collect();
    let edges: Vec<_> =
        definition.steps.iter().flat_map(|step| step.all_needs().into_iter().map(|need| (need.step, step.id.clone()))).collect();
    draw(&keys, &edges)
}
