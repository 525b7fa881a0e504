//! The server's side of one runner's link.

use std::time::Duration;

use domain::{
    AttemptKey,
    agent::words::{capabilities_with_agents, for_plain_prompts},
    crash,
    protocol::{HEARS_PEOPLE, Heard, Hello, OLDEST, Refusal, ToRunner, ToServer, VERSION},
    runner::{heartbeat_seconds, lease_seconds},
};
use tokio::{sync::mpsc, time::Instant};
use tracing::{info, warn};

use super::{Entrance, RunnerSession, Standing};
use crate::{Engine, Error, Result, account::random_text, attempt::store::Heartbeat};

/// How long a message waits before it is tried again while the database does not answer.
const AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Of what a runner signs; 178 bits.
const NONCE_LENGTH: usize = 30;
/// Messages to a runner that may wait.
const OUTGOING: usize = 256;
/// Messages of a runner that are carried out together.
const TOGETHER: usize = 128;
/// When nothing has come for so long, nothing was waiting: what comes then was said after the wait began.
const QUIET: Duration = Duration::from_millis(50);

/// A link over which nothing was said yet.
struct Opened {
    entrance: Entrance,
    ticket: i64,
    nonce: String,
}

/// How a runner and the server stand to each other when a link is opened.
struct Greeting {
    session: RunnerSession,
    heard: Vec<Heard>,
    renewal: Heartbeat,
    lacks_disk: bool,
    /// From which attempts it can go on.
    kept: Vec<AttemptKey>,
}

impl Engine {
    /// Takes down who a runner is and what it holds, once the database answers.
    async fn greet(&self, opened: &Opened, hello: &Hello) -> Result<Greeting> {
        let Hello { runner_id, name, slots, attempts, lost, .. } = hello;
        let Opened { entrance, ticket, nonce } = opened;
        let hears_people = hello.version >= HEARS_PEOPLE;
        let all = capabilities_with_agents(&hello.capabilities, &hello.backends);
        let capabilities = if hears_people { all } else { for_plain_prompts(all) };
        let session = match entrance {
            Entrance::Here => until_answered(name, || self.register_runner(*runner_id, *ticket, name, *slots, &capabilities)).await?,
            Entrance::Far => until_answered(name, || self.prove_runner(*ticket, nonce, hello, &capabilities)).await?,
        };
        let session = session.greeted(hello);
        if !hears_people {
            let version = hello.version;
            warn!(
                runner.id = %session.id,
                "Runner {name} speaks version {version} of the protocol, and is given no prompts that say anything of their agent: update it"
            );
        }
        if let Err(error) = until_answered(name, || self.note_machine(&session, hello)).await {
            warn!(runner.id = %session.id, "What runner {name} says of its machine could not be stored: {error}");
        }
        // What would still be given over an earlier link, the runner would never read; what was is given back below.
        self.hub.supersede(&session);
        // A row that cannot be read keeps its own attempt from being taken back, and no runner from working.
        if let Err(error) = until_answered(name, || self.attempts_lost(&session, lost)).await {
            warn!(runner.id = %session.id, "What runner {name} has lost could not all be taken back: {error}");
        }
        match until_answered(name, || self.give_back_all_but(&session, attempts)).await {
            Ok(0) => {}
            Ok(count) => info!(runner.id = %session.id, "{count} attempts that runner {name} never began are back in the queue"),
            Err(error) => warn!(runner.id = %session.id, "What runner {name} never began could not all be taken back: {error}"),
        }
        let heard = until_answered(name, || self.heard(&session, attempts)).await?;
        let renewal = until_answered(name, || self.heartbeat(&session, attempts, Instant::now())).await?;
        let lacks_disk = until_answered(name, || self.lacked_disk(&session)).await.unwrap_or_else(|error| {
            warn!(runner.id = %session.id, "What runner {name} has read of its disk is not known before it says it again: {error}");
            false
        });
        // whether it is of use is said once more, with what is not
        let kept = self.of_use(&session, &hello.keeps).await.unwrap_or_default();
        Ok(Greeting { session, heard, renewal, lacks_disk, kept })
    }
}

/// Until the database has answered, however long that takes.
pub(super) async fn until_answered<T, F: Future<Output = Result<T>>>(runner: &str, act: impl Fn() -> F) -> Result<T> {
    loop {
        match act().await {
            Err(error @ Error::Unavailable(_)) => wait_for_the_database(runner, &error).await,
            answered => return answered,
        }
    }
}

pub(super) async fn wait_for_the_database(runner: &str, error: &Error) {
    let reason = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    warn!("What runner {runner} says waits for the database: {reason}");
    tokio::time::sleep(AGAIN_AFTER).await;
}

/// The server's side of one runner's link, until either side closes it or the runner opens another. The first message has to be a hello.
/// While the database does not answer, the runner waits.
///
/// # Errors
/// When the runner speaks another version or says of itself what cannot be, it is told so, and nothing would change it. When it has opened
/// a newer link, or the database refuses something, the link is closed and there may be another.
pub async fn serve_runner(
    engine: Engine,
    entrance: Entrance,
    mut from_runner: mpsc::Receiver<ToServer>,
    to_runner: mpsc::Sender<ToRunner>,
) -> Result<Option<RunnerSession>> {
    // Before anything is heard: a runner says hello once it has heard that, so of two of its hellos the later has the higher ticket.
    let ticket = tokio::select! {
        ticket = until_answered("that comes", || engine.draw_runner_ticket()) => ticket?,
        () = to_runner.closed() => return Ok(None),
    };
    // It may have gone meanwhile; then there is no hello.
    let opened = Opened { entrance, ticket, nonce: random_text(NONCE_LENGTH) };
    let _ = to_runner.send(ToRunner::Opened { nonce: opened.nonce.clone(), version: VERSION }).await;
    let Some(ToServer::Hello(hello)) = from_runner.recv().await else { return Ok(None) };
    let greeted = tokio::select! {
        greeted = welcome(&engine, &opened, &hello) => greeted,
        () = to_runner.closed() => return Ok(None),
    };
    let Greeting { session, heard, renewal, lacks_disk, kept } = match greeted {
        Ok(greeting) => greeting,
        Err(error) => {
            let why = match &error {
                Error::Invalid(_) => Some(Refusal::Unfit),
                Error::Unauthorized(_) => Some(Refusal::Unknown),
                _ => None,
            };
            if let Some(why) = why {
                let _ = to_runner.send(ToRunner::Refused { why, message: error.to_string() }).await;
            }
            return Err(error);
        }
    };
    let name = session.name().to_owned();
    info!(runner.id = %session.id, slots = session.slots, has = session.capabilities().join(" "), "Runner {name} is connected");
    let (outgoing, mut waiting) = mpsc::channel(OUTGOING);
    let Heartbeat { stale, cancel, tell, allowance, draining, lingering, slots, .. } = renewal;
    let held = hello.attempts.iter().filter(|attempt| !stale.contains(attempt)).copied();
    let standing = Standing { allowance, lingering, slots, lacks_disk };
    let connection = engine.hub.connect(session.clone(), outgoing, held, standing, hello.lands);
    // before it is given what it could go on from: that may have waited for it
    engine.hub.note_kept(&session, kept);
    engine.hints.committed();
    engine.hints.landings.notify_one();
    let (heartbeat_seconds, lease_seconds) = (heartbeat_seconds(), lease_seconds());
    let welcome = ToRunner::Welcome { runner_id: session.id, heartbeat_seconds, lease_seconds, heard, stale, cancel, tell };
    let mut open = to_runner.send(welcome).await.is_ok();
    if draining {
        open &= to_runner.send(ToRunner::Drain { on: true, optional: true }).await.is_ok();
    }
    let mut said = Vec::with_capacity(TOGETHER);
    let mut heard_after = Instant::now();
    while open {
        let waits_since = Instant::now();
        open = tokio::select! {
            count = from_runner.recv_many(&mut said, TOGETHER) => {
                if waits_since.elapsed() >= QUIET {
                    heard_after = waits_since;
                }
                let answers = engine.answer(&session, &said, heard_after).await;
                let stops = said.iter().any(|one| matches!(one, ToServer::Stops { .. }));
                said.clear();
                engine.hints.work.notify_one();
                crash::point("stored.before");
                let ends = answers.iter().any(|answer| matches!(answer, ToRunner::Refused { .. } | ToRunner::Left));
                let open = count > 0 && send_all(&to_runner, answers).await && !ends && !stops;
                crash::point("stored.after");
                open
            },
            Some(message) = waiting.recv() => to_runner.send(message).await.is_ok(),
            () = connection.superseded() => {
                info!(runner.id = %session.id, "This link of runner {name} is over");
                false
            }
        };
    }
    drop(connection);
    // it may have come with the end of the link
    while let Ok(message) = from_runner.try_recv() {
        if let ToServer::Stops { ended, .. } = message {
            engine.note_stop(&session, &ended).await;
        }
    }
    info!(runner.id = %session.id, "Runner {name} has disconnected");
    Ok(Some(session))
}

async fn welcome(engine: &Engine, opened: &Opened, hello: &Hello) -> Result<Greeting> {
    if !(OLDEST..=VERSION).contains(&hello.version) {
        let (name, version) = (&hello.name, hello.version);
        let message = format!(
            "runner {name} speaks version {version} of the protocol, this server {OLDEST} to {VERSION}; update whichever of the two is older"
        );
        return Err(domain::Invalid::field("/version", "unknown", message).into());
    }
    engine.greet(opened, hello).await
}

async fn send_all(to_runner: &mpsc::Sender<ToRunner>, messages: Vec<ToRunner>) -> bool {
    for message in messages {
        if to_runner.send(message).await.is_err() {
            return false;
        }
    }
    true
}
