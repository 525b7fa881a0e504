//! Runners: who is connected to this process, and what they say.
//!
//! A [`RunnerSession`] is proof of a registered runner; only [`Engine::register_runner`] makes one. Messages are handled one at a
//! time and answered after their commit. While the database does not answer, a message is tried again rather than dropped.

mod hub;
pub(crate) mod store;

use std::time::Duration;

use domain::{
    AttemptKey, RunnerId, crash,
    error::Errors,
    protocol::{Numbered, ToRunner, ToServer, VERSION},
    runner::{heartbeat_seconds, lease_seconds},
    task::{RUNNER_CAPABILITIES_MAX, check_capabilities},
};
use tokio::sync::mpsc;
use tracing::{info, warn};

#[cfg(feature = "testing")]
pub(crate) use hub::Connection;
pub(crate) use hub::Hub;

use crate::{Engine, Error, Result};

/// A runner that has said who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerSession {
    id: RunnerId,
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

/// How long a message waits before it is tried again while the database does not answer.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Messages to a runner that may wait.
const OUTGOING: usize = 256;

impl Engine {
    /// Takes down who a runner of the installation is. A name that another one has already is told apart by the id.
    pub async fn register_runner(&self, id: RunnerId, name: &str, slots: u32, capabilities: &[String]) -> Result<RunnerSession> {
        let mut errors = Errors::default();
        errors.required_text("/name", name, 100);
        if !(1..=1000).contains(&slots) {
            errors.add("/slots", "out_of_range", "must be 1 to 1000");
        }
        check_capabilities(&mut errors, capabilities, RUNNER_CAPABILITIES_MAX);
        errors.finish()?;
        let mut tx = self.begin_system(None).await?;
        let now = tx.now();
        let name = store::register(&mut tx, id, name, i32::try_from(slots).unwrap_or(1000), capabilities, now).await?;
        tx.commit(RunnerSession { id, name, slots, capabilities: capabilities.to_vec() }).await
    }

    /// Carries out what one message says; the answer to it comes last.
    async fn handle(&self, session: &RunnerSession, numbered: &Numbered) -> Result<Vec<ToRunner>> {
        let sequence = numbered.sequence;
        match &numbered.message {
            ToServer::Hello { .. } => {}
            ToServer::Started { attempt, base_commit, branch } => self.attempt_started(session, *attempt, base_commit, branch).await?,
            ToServer::Log { attempt, offset, stream, bytes } => self.append_log(session, *attempt, *offset, *stream, bytes).await?,
            ToServer::Verifying { attempt } => self.attempt_verifying(session, *attempt).await?,
            ToServer::Report { attempt, report } => self.attempt_reported(session, *attempt, (**report).clone()).await?,
            ToServer::Heartbeat { attempts } => {
                let held = self.heartbeat(session, attempts).await?;
                held.stale.iter().for_each(|attempt| self.hub.release(session.id, *attempt));
                let stale = held.stale.into_iter().map(|attempt| ToRunner::Stale { sequence, attempt });
                let cancel = held.cancel.into_iter().map(|attempt| ToRunner::Cancel { attempt });
                // What is stale is said before "stored", on which work begins.
                return Ok(stale.chain(cancel).chain([ToRunner::Stored { sequence }]).collect());
            }
        }
        Ok(vec![ToRunner::Stored { sequence }])
    }

    /// As [`handle`](Self::handle), until the database has answered one way or the other.
    async fn answer(&self, session: &RunnerSession, numbered: &Numbered) -> Vec<ToRunner> {
        let sequence = numbered.sequence;
        loop {
            match self.handle(session, numbered).await {
                Ok(answers) => {
                    if let ToServer::Report { attempt, .. } = &numbered.message {
                        self.hub.release(session.id, *attempt);
                    }
                    return answers;
                }
                Err(Error::Unavailable(reason)) => {
                    warn!("A message of runner {} waits for the database: {reason}", session.name);
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                Err(error) => match attempt_of(&numbered.message) {
                    Some(attempt) => {
                        if !matches!(error, Error::StaleLease) {
                            warn!("Runner {} was refused: {error}", session.name);
                        }
                        self.hub.release(session.id, attempt);
                        return vec![ToRunner::Stale { sequence, attempt }];
                    }
                    None => {
                        warn!("A message of runner {} had no effect: {error}", session.name);
                        return vec![ToRunner::Stored { sequence }];
                    }
                },
            }
        }
    }
}

fn attempt_of(message: &ToServer) -> Option<AttemptKey> {
    match message {
        ToServer::Started { attempt, .. }
        | ToServer::Log { attempt, .. }
        | ToServer::Verifying { attempt }
        | ToServer::Report { attempt, .. } => Some(*attempt),
        ToServer::Hello { .. } | ToServer::Heartbeat { .. } => None,
    }
}

/// The server's side of one runner's connection, until either side closes it. The first message has to be a hello.
///
/// # Errors
/// When the runner speaks another version, or the database does not answer its hello.
pub async fn serve_runner(
    engine: Engine,
    mut from_runner: mpsc::Receiver<Numbered>,
    to_runner: mpsc::Sender<ToRunner>,
) -> Result<Option<RunnerSession>> {
    let Some(Numbered { sequence, message: ToServer::Hello { version, runner_id, name, slots, capabilities, lost } }) =
        from_runner.recv().await
    else {
        return Ok(None);
    };
    if version != VERSION {
        return Err(Error::Conflict(format!("runner {name} speaks version {version} of the protocol, this server speaks {VERSION}")));
    }
    let session = engine.register_runner(runner_id, &name, slots, &capabilities).await?;
    for attempt in lost {
        engine.attempt_lost(attempt).await?;
    }
    // A life that begins holds nothing. What it was given and has not written down it never began.
    let never_begun = engine.give_back(&session).await?;
    if never_begun > 0 {
        info!(runner.id = %session.id, "{never_begun} attempts that runner {name} never began are back in the queue");
    }
    info!(runner.id = %session.id, slots, has = capabilities.join(" "), "Runner {name} is connected");
    let (outgoing, mut waiting) = mpsc::channel(OUTGOING);
    let connection = engine.hub.connect(session.clone(), outgoing);
    engine.hints.committed();
    let welcome = ToRunner::Welcome { runner_id: session.id, heartbeat_seconds: heartbeat_seconds(), lease_seconds: lease_seconds() };
    let mut open = to_runner.send(welcome).await.is_ok() && to_runner.send(ToRunner::Stored { sequence }).await.is_ok();
    while open {
        open = tokio::select! {
            message = from_runner.recv() => match message {
                Some(numbered) => {
                    let answers = engine.answer(&session, &numbered).await;
                    engine.hints.work.notify_one();
                    crash::point("stored.before");
                    let open = send_all(&to_runner, answers).await;
                    crash::point("stored.after");
                    open
                }
                None => false,
            },
            Some(message) = waiting.recv() => to_runner.send(message).await.is_ok(),
        };
    }
    drop(connection);
    info!(runner.id = %session.id, "Runner {name} has disconnected");
    Ok(Some(session))
}

async fn send_all(to_runner: &mpsc::Sender<ToRunner>, messages: Vec<ToRunner>) -> bool {
    for message in messages {
        if to_runner.send(message).await.is_err() {
            return false;
        }
    }
    true
}
