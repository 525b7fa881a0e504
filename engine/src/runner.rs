//! Runners: who is connected to this process, and what they say.
//!
//! A [`RunnerSession`] is proof of a registered runner; only [`Engine::register_runner`] makes one. Everything that a runner has said
//! while the server was busy is carried out together, and answered after the commit in the order in which it was said. While the database
//! does not answer, messages are tried again rather than dropped.

mod hub;
pub(crate) mod store;

use std::{collections::HashSet, time::Duration};

use domain::{
    AttemptKey, LogStream, RunnerId, crash,
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

use crate::{
    Engine, Error, Result,
    attempt::batch::{Message, Said},
};

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
/// Messages of a runner that are carried out together.
const TOGETHER: usize = 128;
/// And how much of what attempts left is stored together, about.
const BYTES_TOGETHER: usize = 16 * 1024 * 1024;

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

    /// Takes down who a runner is and what its life before has left, once the database answers.
    async fn greet(&self, id: RunnerId, name: &str, slots: u32, capabilities: &[String], lost: &[AttemptKey]) -> Result<RunnerSession> {
        let session = until_answered(name, || self.register_runner(id, name, slots, capabilities)).await?;
        for attempt in lost {
            until_answered(name, || self.attempt_lost(*attempt)).await?;
        }
        // A life that begins holds nothing. What it was given and has not written down it never began.
        let never_begun = until_answered(name, || self.give_back(&session)).await?;
        if never_begun > 0 {
            info!(runner.id = %session.id, "{never_begun} attempts that runner {name} never began are back in the queue");
        }
        Ok(session)
    }

    /// Carries out what a runner has said, in its order; the answers to it.
    async fn answer(&self, session: &RunnerSession, said: &[Numbered]) -> Vec<ToRunner> {
        let mut answers = Vec::with_capacity(said.len());
        // A heartbeat is about many attempts, as they stand between what was said before it and after it.
        for part in said.chunk_by(|one, next| !is_heartbeat(one) && !is_heartbeat(next)) {
            match &part[0].message {
                ToServer::Heartbeat { attempts } => answers.extend(self.answer_heartbeat(session, part[0].sequence, attempts).await),
                _ => answers.extend(self.answer_about_attempts(session, part).await),
            }
        }
        answers
    }

    /// What is stale is said before "stored", on which work begins.
    async fn answer_heartbeat(&self, session: &RunnerSession, sequence: u64, attempts: &[AttemptKey]) -> Vec<ToRunner> {
        let held = match until_answered(&session.name, || self.heartbeat(session, attempts)).await {
            Ok(held) => held,
            Err(error) => {
                warn!("A message of runner {} had no effect: {error}", session.name);
                return vec![ToRunner::Stored { sequence }];
            }
        };
        held.stale.iter().for_each(|attempt| self.hub.release(session.id, *attempt));
        let stale = held.stale.into_iter().map(|attempt| ToRunner::Stale { sequence, attempt });
        let cancel = held.cancel.into_iter().map(|attempt| ToRunner::Cancel { attempt });
        stale.chain(cancel).chain([ToRunner::Stored { sequence }]).collect()
    }

    async fn answer_about_attempts(&self, session: &RunnerSession, said: &[Numbered]) -> Vec<ToRunner> {
        let mut outcomes: Vec<Option<Result<()>>> = said.iter().map(|_| None).collect();
        // Logs first: what a runner writes about an attempt it writes before its last word, and changes nothing else.
        let mut over = HashSet::new();
        for (one, outcome) in said.iter().zip(&mut outcomes) {
            match &one.message {
                ToServer::Report { attempt, .. } => drop(over.insert(*attempt)),
                ToServer::Log { attempt, offset, stream, bytes } => {
                    let stored = if over.contains(attempt) {
                        Err(Error::StaleLease)
                    } else {
                        self.append_until_answered(session, *attempt, *offset, *stream, bytes).await
                    };
                    *outcome = Some(stored);
                }
                _ => {}
            }
        }
        let mut places: Vec<_> = (0..said.len()).filter(|place| said_of(&said[*place].message).is_some()).collect();
        while !places.is_empty() {
            let mut bytes = 0;
            let fits = |place: &&usize| {
                bytes += bytes_of(&said[**place].message);
                bytes <= BYTES_TOGETHER
            };
            let count = places.iter().take_while(fits).count().max(1);
            let messages: Vec<_> = places[..count].iter().filter_map(|place| said_of(&said[*place].message)).collect();
            let carried = self.carry_out(Some(session), &messages).await;
            for (place, outcome) in places.drain(..carried.outcomes.len()).zip(carried.outcomes) {
                outcomes[place] = Some(outcome);
            }
            if let Some(error) = carried.then {
                wait_for_the_database(&session.name, &error).await;
            }
        }
        let answers = said.iter().zip(outcomes).map(|(one, outcome)| self.answer_to(session, one, outcome.unwrap_or(Ok(()))));
        answers.collect()
    }

    async fn append_until_answered(
        &self,
        session: &RunnerSession,
        attempt: AttemptKey,
        offset: u64,
        stream: LogStream,
        bytes: &[u8],
    ) -> Result<()> {
        until_answered(&session.name, || self.append_log(session, attempt, offset, stream, bytes)).await
    }

    fn answer_to(&self, session: &RunnerSession, one: &Numbered, outcome: Result<()>) -> ToRunner {
        let sequence = one.sequence;
        let attempt = attempt_of(&one.message);
        let is_report = matches!(one.message, ToServer::Report { .. });
        if let Some(attempt) = attempt.filter(|_| is_report || outcome.is_err()) {
            self.hub.release(session.id, attempt);
        }
        match (outcome, attempt) {
            (Err(error), Some(attempt)) => {
                if !matches!(error, Error::StaleLease) {
                    warn!("Runner {} was refused: {error}", session.name);
                }
                ToRunner::Stale { sequence, attempt }
            }
            _ => ToRunner::Stored { sequence },
        }
    }
}

/// Until the database has answered, however long that takes: what a runner says is said once.
async fn until_answered<T, F: Future<Output = Result<T>>>(runner: &str, act: impl Fn() -> F) -> Result<T> {
    loop {
        match act().await {
            Err(error @ Error::Unavailable(_)) => wait_for_the_database(runner, &error).await,
            answered => return answered,
        }
    }
}

async fn wait_for_the_database(runner: &str, error: &Error) {
    let reason = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    warn!("What runner {runner} says waits for the database: {reason}");
    tokio::time::sleep(AGAIN_AFTER).await;
}

fn is_heartbeat(one: &Numbered) -> bool {
    matches!(one.message, ToServer::Heartbeat { .. })
}

/// What a message says about an attempt, but for its log.
fn said_of(message: &ToServer) -> Option<Message<'_>> {
    let (attempt, said) = match message {
        ToServer::Started { attempt, base_commit, branch } => (attempt, Said::Started { base_commit, branch }),
        ToServer::Verifying { attempt } => (attempt, Said::Verifying),
        ToServer::Report { attempt, report } => (attempt, Said::Report(report)),
        ToServer::Log { .. } | ToServer::Hello { .. } | ToServer::Heartbeat { .. } => return None,
    };
    Some(Message { attempt: *attempt, said })
}

/// Of what an attempt left.
fn bytes_of(message: &ToServer) -> usize {
    match message {
        ToServer::Report { report, .. } => report.artifacts.iter().map(|new| new.content.len()).sum(),
        _ => 0,
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

/// The server's side of one runner's connection, until either side closes it. The first message has to be a hello. While the database
/// does not answer, the runner waits.
///
/// # Errors
/// When the runner speaks another version, or says of itself what cannot be.
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
    let session = tokio::select! {
        session = engine.greet(runner_id, &name, slots, &capabilities, &lost) => session?,
        () = to_runner.closed() => return Ok(None),
    };
    info!(runner.id = %session.id, slots, has = capabilities.join(" "), "Runner {name} is connected");
    let (outgoing, mut waiting) = mpsc::channel(OUTGOING);
    let connection = engine.hub.connect(session.clone(), outgoing);
    engine.hints.committed();
    let welcome = ToRunner::Welcome { runner_id: session.id, heartbeat_seconds: heartbeat_seconds(), lease_seconds: lease_seconds() };
    let mut open = to_runner.send(welcome).await.is_ok() && to_runner.send(ToRunner::Stored { sequence }).await.is_ok();
    let mut said = Vec::with_capacity(TOGETHER);
    while open {
        open = tokio::select! {
            count = from_runner.recv_many(&mut said, TOGETHER) => {
                let answers = engine.answer(&session, &said).await;
                said.clear();
                engine.hints.work.notify_one();
                crash::point("stored.before");
                let open = count > 0 && send_all(&to_runner, answers).await;
                crash::point("stored.after");
                open
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
