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
pub(crate) mod slots;
pub(crate) mod store;
mod trial;

use std::sync::Arc;

use chrono::TimeDelta;
use domain::{
    AgentTerms, Backend, BackendFound, RunnerId, Sandboxes, Timestamp, WorkspaceId,
    agent::MANIFESTS_MAX,
    endpoint::ModelFormat,
    error::Errors,
    protocol::{HEARS_PEOPLE, Hello, VERSION},
    runner::{Rooms, SLOTS_MAX, lease_seconds, owner_of},
    task::{RUNNER_CAPABILITIES_MAX, check_capabilities},
};
use tracing::warn;

pub(crate) use at_hand::{at_hand, capabilities_of};
#[cfg(feature = "testing")]
pub(crate) use hub::Connection;
pub(crate) use hub::{Allowance, Hub, Standing};
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
    /// As its machine says.
    slots: u32,
    taker: Taker,
    /// Of the protocol, as it speaks it.
    version: u32,
    /// As it has said them.
    agents: Arc<[BackendFound]>,
    /// Whether it takes from here how many slots it has.
    takes_slots: bool,
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

    /// Whether it understands that an agent asks people, and what its agents are told.
    pub(crate) fn hears_people(&self) -> bool {
        self.version >= HEARS_PEOPLE
    }

    pub(crate) fn taker(&self) -> &Taker {
        &self.taker
    }

    /// As its hello says what version it speaks, and what its machine makes.
    fn greeted(self, hello: &Hello) -> Self {
        let makes_none = hello.no_sandbox.as_deref().is_some_and(|why| !why.is_empty());
        let taker = Taker { sandboxes: Sandboxes::of(makes_none, hello.rooms.as_ref()), ..self.taker };
        Self { version: hello.version, takes_slots: hello.takes_slots, taker, agents: agents_of(hello), ..self }
    }

    /// In which formats an agent asks an endpoint that is given a prompt with these terms; several where none is named. What OpenCode does with
    /// one every runner knows, and no older one what another does.
    pub(crate) fn endpoint_formats(&self, terms: &AgentTerms) -> Vec<ModelFormat> {
        match &terms.backend {
            Some(Backend::OpenCode) => Backend::OpenCode.endpoint_format().into_iter().collect(),
            Some(backend) => {
                self.agents.iter().filter(|found| found.backend == *backend).filter_map(|found| found.endpoint_format).collect()
            }
            None => self.agents.iter().filter(|found| found.takes_unnamed(terms)).filter_map(|found| found.endpoint_format).collect(),
        }
    }

    /// Whether it is on another machine, where it may have opened a link to another server.
    pub(crate) fn is_far(&self) -> bool {
        self.taker.workspace.is_some()
    }

    /// As nobody has said anything about it.
    #[cfg(feature = "testing")]
    pub(crate) fn standing(&self) -> Standing {
        Standing { allowance: Allowance::All, lingering: 0, slots: slots::Slots { now: self.slots, set: None }, lacks_disk: false }
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
        let new = store::NewRunner { id, ticket, name, slots: slots.cast_signed(), capabilities };
        let Some(name) = store::register(&mut tx, new, now).await? else {
            return Err(Error::Conflict(format!("runner {name} has opened a newer link than this one")));
        };
        let taker = Taker { workspace: None, paths: true, capabilities: capabilities.to_vec(), sandboxes: Sandboxes::Made };
        tx.commit(RunnerSession { id, ticket, name, slots, taker, version: VERSION, takes_slots: false, agents: Arc::default() }).await
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
        let backends = agents_of(hello);
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
    /// another server, or were removed there, or are to take nothing new, or less at once.
    pub(crate) async fn let_go_of_outdated(&self, runners: &[&RunnerSession]) -> Result<Vec<(RunnerId, i64)>> {
        let far: Vec<_> = runners.iter().filter(|runner| runner.is_far()).map(|runner| (*runner, self.hub.slots_of(runner))).collect();
        if far.is_empty() {
            return Ok(vec![]);
        }
        let mut conn = self.database.system.acquire().await?;
        let outdated = store::outdated(&mut conn, &far).await?;
        for link in &outdated {
            match link.is_over {
                true => self.hub.end(link.runner, link.ticket),
                false if link.is_draining => self.hub.set_draining(link.runner, true),
                false => self.hub.set_slots(link.runner, link.slots),
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

/// Those that it has found, as far as they are kept.
fn agents_of(hello: &Hello) -> Arc<[BackendFound]> {
    let kept = hello.backends.iter().take(Backend::KNOWN.len() + MANIFESTS_MAX);
    kept.map(|found| BackendFound { version: clean(&found.version, 100), ..found.clone() }).collect()
}

/// Of what a runner says, what is kept and can be.
fn clean(text: &str, most: usize) -> String {
    text.replace('\0', "\u{fffd}").chars().take(most).collect()
}

/// What a runner says of itself.
fn check(name: &str, slots: u32, capabilities: &[String]) -> Result<()> {
    let mut errors = Errors::default();
    errors.required_text("/name", name, 100);
    if !(1..=SLOTS_MAX).contains(&slots) {
        errors.add("/slots", "out_of_range", format!("must be 1 to {SLOTS_MAX}"));
    }
    check_capabilities(&mut errors, capabilities, RUNNER_CAPABILITIES_MAX);
    if let Some(index) = capabilities.iter().position(|word| owner_of(word).is_some()) {
        errors.add(format!("/capabilities/{index}"), "reserved", "is the word of one runner, which Muster gives it by itself");
    }
    Ok(errors.finish()?)
}
