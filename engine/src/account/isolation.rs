//! How the attempts of a workspace run. An owner says so, and it holds for what is given to a runner from then on: a runner that makes no
//! sandbox is asked each time whether it may take what there is.

use std::collections::HashMap;

use domain::{Actor, Isolation, Permission, Workspace, WorkspaceId};
use sqlx::PgConnection;

use super::store;
use crate::{Engine, Error, Result, runner::Taker};

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

/// How the work of some workspaces is to run, as it was said when this was read.
pub(crate) struct Isolations {
    /// Those that want no sandbox, with whether each is a guest on the machines of the installation.
    without: HashMap<WorkspaceId, bool>,
}

impl Isolations {
    pub async fn of(conn: &mut PgConnection, workspaces: &[WorkspaceId]) -> Result<Self> {
        Ok(Self { without: store::without_sandbox(conn, workspaces).await?.into_iter().collect() })
    }

    /// Whether such a runner carries out the work of one of these workspaces.
    pub fn fit(&self, workspace: WorkspaceId, taker: &Taker) -> bool {
        let without = self.without.get(&workspace);
        let isolation = if without.is_some() { Isolation::None } else { Isolation::Sandbox };
        taker.sandboxes.carry_out(isolation, taker.workspace.is_none() && without.is_some_and(|is_guest| *is_guest))
    }
}
