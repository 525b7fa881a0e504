//! Whether models that tasks of a workspace ask for are pulled by themselves. An owner says so, as that fills disks of others.

use domain::{Actor, Permission, Workspace};

use super::store;
use crate::{Engine, Error, Result};

impl Engine {
    /// It holds for what is given to a runner from then on. What is being pulled goes on.
    pub async fn set_auto_pull(&self, actor: &Actor, auto_pull: bool) -> Result<Workspace> {
        actor.may(Permission::AllowPulls)?;
        let mut tx = self.begin(actor).await?;
        store::set_auto_pull(&mut tx, actor, auto_pull).await?;
        let workspace = store::workspace(&mut tx, actor.workspace_id).await?;
        let workspace = workspace.ok_or_else(|| Error::not_found("workspace", actor.workspace_id))?;
        tx.answer(actor, workspace).await
    }
}
