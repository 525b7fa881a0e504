//! Runners: who is connected to this process, and what they say.
//!
//! A [`RunnerSession`] is proof of a registered runner over one of its links; only [`Engine::register_runner`] makes one. Links have tickets
//! that the database hands out in order: the newest is the runner's, and what follows from a runner *not* naming an attempt is believed over
//! that one alone. Everything that a runner has said while the server was busy is carried out together, and answered after the commit in the
//! order in which it was said. While the database does not answer, messages are tried again rather than dropped.

mod answer;
mod hub;
mod serve;
pub(crate) mod store;

use domain::{
    RunnerId,
    error::Errors,
    task::{RUNNER_CAPABILITIES_MAX, check_capabilities},
};

#[cfg(feature = "testing")]
pub(crate) use hub::Connection;
pub(crate) use hub::Hub;
pub use serve::serve_runner;

use crate::{Engine, Error, Result};

/// A runner that has said who it is, over one of its links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerSession {
    id: RunnerId,
    /// Of its link: a newer one has a higher.
    ticket: i64,
    name: String,
    slots: u32,
    capabilities: Vec<String>,
}

impl RunnerSession {
    pub fn id(&self) -> RunnerId {
        self.id
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it has, for tasks that need it.
    pub fn capabilities(&self) -> &[String] {
        &self.capabilities
    }

    /// How events name it.
    pub(crate) fn label(&self) -> String {
        format!("runner:{}", self.id)
    }
}

impl Engine {
    /// The place of a link that is opened now among all others.
    pub(crate) async fn draw_runner_ticket(&self) -> Result<i64> {
        let mut conn = self.database.system.acquire().await?;
        store::draw_ticket(&mut conn).await
    }

    /// Takes down who a runner of the installation is, over the link with this ticket. A name that another one has already is told apart by
    /// the id.
    ///
    /// # Errors
    /// When it says of itself what cannot be, or has opened a newer link.
    pub async fn register_runner(
        &self,
        id: RunnerId,
        ticket: i64,
        name: &str,
        slots: u32,
        capabilities: &[String],
    ) -> Result<RunnerSession> {
        let mut errors = Errors::default();
        errors.required_text("/name", name, 100);
        if !(1..=1000).contains(&slots) {
            errors.add("/slots", "out_of_range", "must be 1 to 1000");
        }
        check_capabilities(&mut errors, capabilities, RUNNER_CAPABILITIES_MAX);
        errors.finish()?;
        let mut tx = self.begin_system(None).await?;
        let now = tx.now();
        let new = store::NewRunner { id, ticket, name, slots: i32::try_from(slots).unwrap_or(1000), capabilities };
        let Some(name) = store::register(&mut tx, new, now).await? else {
            return Err(Error::Conflict(format!("runner {name} has opened a newer link than this one")));
        };
        tx.commit(RunnerSession { id, ticket, name, slots, capabilities: capabilities.to_vec() }).await
    }
}
