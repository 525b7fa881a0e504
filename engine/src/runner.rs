//! Runners: who is connected to this process, and what they say.
//!
//! A [`RunnerSession`] is proof of a registered runner over one of its links; only [`Engine::register_runner`] makes one. Links have tickets
//! that the database hands out in order: the newest is the runner's, and what follows from a runner *not* naming an attempt is believed over
//! that one alone. Everything that a runner has said while the server was busy is carried out together, and answered after the commit in the
//! order in which it was said. While the database does not answer, messages are tried again rather than dropped.

mod answer;
mod at_hand;
pub(crate) mod day;
mod drain;
mod history;
mod hub;
mod join;
mod kept;
pub(crate) mod log;
pub(crate) mod period;
mod reading;
mod serve;
pub(crate) mod store;
mod trial;

use chrono::TimeDelta;
use domain::{
    Backend, BackendFound, RunnerId, Sandboxes, Timestamp, WorkspaceId,
    agent::MANIFESTS_MAX,
    error::Errors,
    protocol::{GIVEN_WORK, Hello, VERSION},
    runner::{Rooms, lease_seconds, owner_of},
    task::{RUNNER_CAPABILITIES_MAX, check_capabilities},
};
use tracing::warn;

pub(crate) use at_hand::{at_hand, capabilities_of};
#[cfg(feature = "testing")]
pub(crate) use hub::Connection;
pub(crate) use hub::{Allowance, Hub};
pub(crate) use join::is_join_token;
pub use period::Chronicler;
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
    taker: Taker,
    /// Of the protocol, as it speaks it.
    version: u32,
}

/// What a runner may be given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Taker {
    /// Tasks of this workspace alone; of every one when absent.
    pub workspace: Option<WorkspaceId>,
    /// Also repositories that are paths.
    pub paths: bool,
    /// Tasks that need nothing else.
    pub capabilities: Vec<String>,
    /// Work that is to run in a sandbox, or without.
    pub sandboxes: Sandboxes,
}

/// How a runner comes to its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// Inside the server's own process. It is who it says it is, and serves every workspace.
    Here,
    /// Over a socket. It has joined before, and proves that it has its key.
    Far,
}

impl RunnerSession {
    pub fn id(&self) -> RunnerId {
        self.id
    }

    pub(crate) fn ticket(&self) -> i64 {
        self.ticket
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it has, for tasks that need it.
    pub fn capabilities(&self) -> &[String] {
        &self.taker.capabilities
    }

    /// It brings what it has to an end. What came after it, it does not understand: no task that is new, and nothing that its agents are told.
    pub(crate) fn is_outdated(&self) -> bool {
        self.version < GIVEN_WORK
    }

    pub(crate) fn taker(&self) -> &Taker {
        &self.taker
    }

    /// As its hello says what version it speaks, and what its machine makes.
    fn greeted(self, hello: &Hello) -> Self {
        let makes_none = hello.no_sandbox.as_deref().is_some_and(|why| !why.is_empty());
        let taker = Taker { sandboxes: Sandboxes::of(makes_none, hello.rooms.as_ref()), ..self.taker };
        Self { version: hello.version, taker, ..self }
    }

    /// Whether it is on another machine, where it may have opened a link to another server.
    pub(crate) fn is_far(&self) -> bool {
        self.taker.workspace.is_some()
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
        check(name, slots, capabilities)?;
        let mut tx = self.begin_system(None).await?;
        let now = tx.now();
        let new = store::NewRunner { id, ticket, name, slots: i32::try_from(slots).unwrap_or(1000), capabilities };
        let Some(name) = store::register(&mut tx, new, now).await? else {
            return Err(Error::Conflict(format!("runner {name} has opened a newer link than this one")));
        };
        let taker = Taker { workspace: None, paths: true, capabilities: capabilities.to_vec(), sandboxes: Sandboxes::Made };
        tx.commit(RunnerSession { id, ticket, name, slots, taker, version: VERSION }).await
    }

    /// What it has ended is given back; what is left of what it held its next life tells, or the rest of its lease.
    async fn runner_stops(&self, session: &RunnerSession) -> Result<()> {
        let mut tx = self.begin_system(None).await?;
        day::note_stop(&mut tx, session).await?;
        tx.commit(()).await
    }

    /// Takes down what a runner says of its machine: which agents there are, why it makes no sandbox, or that it makes them, what attempts
    /// may use there, and what they have left.
    async fn note_machine(&self, session: &RunnerSession, hello: &Hello) -> Result<()> {
        let backends: Vec<_> = hello
            .backends
            .iter()
            .take(Backend::KNOWN.len() + MANIFESTS_MAX)
            .map(|found| BackendFound { version: clean(&found.version, 100), ..found.clone() })
            .collect();
        let text = hello.no_sandbox.as_deref().map(|text| clean(text, 1000));
        let rooms = hello.rooms.as_ref().map(Rooms::kept);
        let text = text.as_deref().filter(|text| !text.is_empty());
        let mut tx = self.begin_system(None).await?;
        store::note_machine(&mut tx, session, text, &backends, rooms.as_ref()).await?;
        tx.commit(()).await?;
        self.note_left_behind(session, hello.left_behind.as_deref().unwrap_or_default()).await
    }

    /// Takes down what attempts have left on a runner's machine that should be gone; empty when there is nothing any more.
    async fn note_left_behind(&self, session: &RunnerSession, left_behind: &str) -> Result<()> {
        let text = clean(left_behind, 1000);
        let text = Some(text.as_str()).filter(|text| !text.is_empty());
        let mut tx = self.begin_system(None).await?;
        let is_news = store::note_left_behind(&mut tx, session, text).await?;
        if tx.commit(is_news).await?
            && let Some(text) = text
        {
            warn!(runner.id = %session.id, "On the machine of runner {} something is left of attempts: {text}", session.name());
        }
        Ok(())
    }

    /// Of the links that something was claimed for, those that are not to be given it: their runners have opened newer ones, perhaps to
    /// another server, or were removed there, or are to take nothing new.
    pub(crate) async fn let_go_of_outdated(&self, runners: &[&RunnerSession]) -> Result<Vec<(RunnerId, i64)>> {
        let far: Vec<_> = runners.iter().filter(|runner| runner.is_far()).map(|runner| (runner.id(), runner.ticket())).collect();
        if far.is_empty() {
            return Ok(vec![]);
        }
        let mut conn = self.database.system.acquire().await?;
        let outdated = store::outdated(&mut conn, &far).await?;
        for link in &outdated {
            match link.is_over {
                true => self.hub.end(link.runner, link.ticket),
                false => self.hub.set_draining(link.runner, true),
            }
        }
        Ok(outdated.into_iter().map(|link| (link.runner, link.ticket)).collect())
    }

    /// Links of which nothing is heard although they are open: what is given over one comes to nothing, and nobody has its slots. The runner
    /// opens another, if it is there.
    pub(crate) async fn end_silent_links(&self, now: Timestamp) -> Result<()> {
        let links = self.hub.links();
        if links.is_empty() {
            return Ok(());
        }
        let mut conn = self.database.system.acquire().await?;
        let silent = store::silent(&mut conn, &links, now - TimeDelta::seconds(lease_seconds().into())).await?;
        for (runner, ticket) in silent {
            warn!(runner.id = %runner, "Runner {runner} has given no sign of life for {} s over a link that is open: it is ended", lease_seconds());
            self.hub.end(runner, ticket);
        }
        Ok(())
    }
}

/// Of what a runner says, what is kept and can be.
fn clean(text: &str, most: usize) -> String {
    text.replace('\0', "\u{fffd}").chars().take(most).collect()
}

/// What a runner says of itself.
fn check(name: &str, slots: u32, capabilities: &[String]) -> Result<()> {
    let mut errors = Errors::default();
    errors.required_text("/name", name, 100);
    if !(1..=1000).contains(&slots) {
        errors.add("/slots", "out_of_range", "must be 1 to 1000");
    }
    check_capabilities(&mut errors, capabilities, RUNNER_CAPABILITIES_MAX);
    if let Some(index) = capabilities.iter().position(|word| owner_of(word).is_some()) {
        errors.add(format!("/capabilities/{index}"), "reserved", "is the word of one runner, which Muster gives it by itself");
    }
    Ok(errors.finish()?)
}
