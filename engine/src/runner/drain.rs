//! Taking a runner out of service without losing what it does: it is given nothing new, and brings what it has to an end. That stays so,
//! over every restart, until somebody lets it take work again. The row of the runner decides; what the servers keep in memory spares
//! them the asking, and is put right by whatever they read of it.

use domain::{Actor, Permission, Runner, RunnerId};

use super::{day, store};
use crate::{Engine, Error, Result};

impl Engine {
    /// From the answer on nothing is claimed for it; what was claimed before is counted in the answer. The same again changes nothing.
    pub async fn drain_runner(&self, actor: &Actor, id: RunnerId) -> Result<Runner> {
        self.set_draining(actor, id, true).await
    }

    /// It is given work again.
    pub async fn resume_runner(&self, actor: &Actor, id: RunnerId) -> Result<Runner> {
        self.set_draining(actor, id, false).await
    }

    async fn set_draining(&self, actor: &Actor, id: RunnerId, draining: bool) -> Result<Runner> {
        actor.may(Permission::ManageRunners)?;
        let mut tx = self.begin(actor).await?;
        let now = tx.now();
        let runner = store::list(&mut tx, now, Some(id)).await?.pop().ok_or_else(|| Error::not_found("runner", id))?;
        if !runner.joined {
            let name = runner.name;
            return Err(Error::Conflict(format!("{name} is inside a server and works for every workspace: it stops with that server")));
        }
        store::lock(&mut tx, id).await?;
        if !draining {
            day::note_resumption(&mut tx, id).await?;
        }
        store::set_draining(&mut tx, id, draining, &actor.label()).await?;
        let runner = store::list(&mut tx, now, Some(id)).await?.pop().ok_or_else(|| Error::not_found("runner", id))?;
        let runner = tx.answer(actor, runner).await?;
        // one that did not take what it was given is tried again when its time has come
        self.hub.set_draining(id, draining || runner.unresponsive_since.is_some());
        self.hub.tell_draining(id, draining);
        self.hints.committed();
        Ok(runner)
    }

    /// What another server has let take work again is given some here, and does not wait for its heartbeat.
    pub(crate) async fn look_for_resumed(&self) -> Result<()> {
        let held_back = self.hub.held_back();
        if held_back.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = held_back.iter().map(|(id, _)| *id).collect();
        let mut conn = self.database.system.acquire().await?;
        let taking = store::taking_work(&mut conn, &ids).await?;
        for (id, said) in held_back.into_iter().filter(|(id, _)| taking.contains(id)) {
            self.hub.take_again(id, said);
        }
        Ok(())
    }
}
