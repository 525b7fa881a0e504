//! Endpoints: what people see of them and do with them. Who looks at them is a runner on the same machine ([`look`]) or, for those that are
//! registered, whoever asks here what is due.

mod choice;
pub(crate) mod look;
mod missing;
mod pull;
mod shared;
mod store;

use domain::{
    Actor, Endpoint, EndpointId, Invalid, Permission,
    endpoint::{ENDPOINTS_MAX, EndpointDetail, NewEndpoint},
};

pub(crate) use choice::{AttemptRow, told};
pub(crate) use missing::let_go;
pub use pull::{HeldPull, PULL_FALLS, PULL_HELD, PULL_LASTS, PULL_WAITS};
pub use shared::SharedPulls;
pub(crate) use store::{awaited_by, cancel_pulls_of};

use crate::{Engine, Error, Result, tx::Tx};

impl Engine {
    /// By name.
    pub async fn list_endpoints(&self, actor: &Actor) -> Result<Vec<Endpoint>> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        let now = tx.now();
        let endpoints = store::told(&mut tx, now, None).await?;
        tx.commit(endpoints).await
    }

    /// With its models, and what it pulls and has pulled lately.
    pub async fn find_endpoint(&self, actor: &Actor, id: EndpointId) -> Result<EndpointDetail> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        let now = tx.now();
        let detail = store::detail(&mut tx, now, id).await?.ok_or_else(|| Error::not_found("endpoint", id))?;
        tx.commit(detail).await
    }

    /// It is looked at within a second or two.
    pub async fn register_endpoint(&self, actor: &Actor, new: NewEndpoint) -> Result<Endpoint> {
        actor.may(Permission::ManageEndpoints)?;
        let new = new.validated()?;
        let mut tx = self.begin(actor).await?;
        if store::count_registered(&mut tx).await? >= ENDPOINTS_MAX {
            return Err(Error::Conflict(format!("there are {ENDPOINTS_MAX} endpoints already; remove some that are not used")));
        }
        if let Some(runner) = new.machine_of
            && !store::is_runner(&mut tx, runner).await?
        {
            return Err(Invalid::field("/machine_of", "unknown", "is no runner that there is").into());
        }
        let id = EndpointId(self.new_id());
        store::insert(&mut tx, actor, id, &new).await.map_err(taken)?;
        let endpoint = find(&mut tx, id).await?;
        tx.answer(actor, endpoint).await
    }

    /// It is asked no more, and what it was pulling is left off. Attempts that work with it go on.
    pub async fn remove_endpoint(&self, actor: &Actor, id: EndpointId) -> Result<()> {
        actor.may(Permission::ManageEndpoints)?;
        let mut tx = self.begin(actor).await?;
        let endpoint = find(&mut tx, id).await?;
        if endpoint.runner_id.is_some() {
            let name = endpoint.name;
            return Err(Error::Conflict(format!("{name} was found by a runner on its machine, and goes with that runner")));
        }
        store::remove(&mut tx, id).await?;
        tx.commit(()).await
    }
}

async fn find(tx: &mut Tx, id: EndpointId) -> Result<Endpoint> {
    let now = tx.now();
    store::told(tx, now, Some(id)).await?.pop().ok_or_else(|| Error::not_found("endpoint", id))
}

/// The name or the address belongs to another one of the workspace.
fn taken(error: Error) -> Error {
    let constraint = match &error {
        Error::Database(sqlx::Error::Database(inner)) => inner.constraint().map(str::to_owned),
        _ => None,
    };
    match constraint.as_deref() {
        Some("endpoint_name") => Invalid::field("/name", "taken", "is taken by another endpoint; choose another one").into(),
        Some("endpoint_url") => Invalid::field("/url", "taken", "is registered already").into(),
        _ => error,
    }
}
