//! How the attempts of a workspace run. An owner says so, and it holds for what is given to a runner from then on.

use domain::{Actor, Isolation, Permission, Workspace};

use super::store;
use crate::{Engine, Error, Result};

impl Engine {
    /// What runs now goes on as it does.
    pub async fn set_isolation(&self, actor: &Actor, isolation: Isolation) -> Result<Workspace> {
        actor.may(Permission::ChangeIsolation)?;
        let mut tx = self.begin(actor).await?;
        store::set_isolation(&mut tx, actor, isolation).await?;
        let workspace = store::workspace(&mut tx, actor.workspace_id).await?;
        let workspace = workspace.ok_or_else(|| Error::not_found("workspace", actor.workspace_id))?;
        tx.answer(actor, workspace).await
    }
}
