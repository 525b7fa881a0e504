//! The server's side: links as `server/src/runner_link.rs` carries them and `engine/src/runner/serve.rs` serves them, what gives out tasks
//! and takes them back, and the people who want something. When it dies all of this is gone, and the [`Store`](super::store::Store) is not.

mod hub;

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use domain::{
    AttemptKey,
    protocol::{Hello, TO_SERVER_BYTES, ToRunner, ToServer, VERSION},
};
use futures::{FutureExt, SinkExt, StreamExt};
use rand::Rng;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};
use tokio_tungstenite::{
    WebSocketStream, accept_async_with_config,
    tungstenite::{Message, protocol::WebSocketConfig},
};
use tokio_util::task::TaskTracker;
use turmoil::net::{TcpListener, TcpStream};

use super::{FAULTS, HEARTBEAT_SECONDS, LEASE_SECONDS, PORT, Scene, elapsed, now, store::Session};
use crate::lock;
use hub::{Connection, Hub};

/// As those of a server.
const HELLO: Duration = Duration::from_secs(5);
const PING: Duration = Duration::from_secs(20);
const SILENT: Duration = Duration::from_secs(45);
const WRITES: Duration = Duration::from_secs(10);
/// Messages that are carried out together.
const TOGETHER: usize = 16;
/// Between two looks at what could be given out, and at what has expired.
const GIVES: Duration = Duration::from_millis(200);
const RESCUES: Duration = Duration::from_secs(1);

type Socket = WebSocketStream<TcpStream>;

/// From one start to its end, which is a fault.
pub(super) async fn serve(scene: Arc<Scene>) -> turmoil::Result {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, PORT)).await?;
    let (hub, tracker) = (Arc::new(Hub::default()), TaskTracker::new());
    tracker.spawn(give(Arc::clone(&scene), Arc::clone(&hub)));
    tracker.spawn(rescue(Arc::clone(&scene)));
    tracker.spawn(people(Arc::clone(&scene), Arc::clone(&hub)));
    loop {
        let (stream, _) = listener.accept().await?;
        tracker.spawn(link(Arc::clone(&scene), Arc::clone(&hub), stream));
    }
}

/// One link, from its first byte to its last.
async fn link(scene: Arc<Scene>, hub: Arc<Hub>, stream: TcpStream) {
    let config = WebSocketConfig::default().max_message_size(Some(TO_SERVER_BYTES)).max_frame_size(Some(TO_SERVER_BYTES));
    let Ok(Ok(mut socket)) = timeout(HELLO, accept_async_with_config(stream, Some(config))).await else { return };
    let ticket = lock(&scene.store).draw_ticket();
    scene.database().await;
    if !say(&mut socket, &ToRunner::Opened { nonce: "nonce".into(), version: VERSION }).await {
        return;
    }
    let Ok(Some(ToServer::Hello(hello))) = timeout(HELLO, next(&scene, &mut socket)).await else { return };
    let session = Session { runner: hello.runner_id, ticket };
    if let Some((welcome, connection)) = greet(&scene, &hub, session, &hello).await {
        scene.step(format!(
            "link {ticket} of {} with {} held and {} lost",
            scene.name(session.runner),
            hello.attempts.len(),
            hello.lost.len()
        ));
        if say(&mut socket, &welcome).await {
            talk(&scene, session, &mut socket, connection).await;
        }
        hub.leave(session);
        scene.step(format!("link {ticket} is over"));
    }
}

/// Each step by itself: another link, or the end of the server, may come in between.
async fn greet(scene: &Scene, hub: &Hub, session: Session, hello: &Hello) -> Option<(ToRunner, Connection)> {
    if !lock(&scene.store).arrives(session) {
        return None;
    }
    scene.looks_into_the_journal(session, &hello.attempts);
    scene.database().await;
    hub.supersede(session);
    lock(&scene.store).lost(session, &hello.lost, now());
    scene.database().await;
    lock(&scene.store).give_back_all_but(session, &hello.attempts, now());
    scene.database().await;
    let heard = lock(&scene.store).heard(session, &hello.attempts);
    scene.database().await;
    let renewal = lock(&scene.store).heartbeat(session, &hello.attempts, now())?;
    let connection = hub.connect(session, hello.slots as usize);
    let welcome = ToRunner::Welcome {
        runner_id: session.runner,
        heartbeat_seconds: HEARTBEAT_SECONDS,
        lease_seconds: LEASE_SECONDS,
        heard,
        stale: renewal.stale,
        cancel: renewal.cancel,
        tell: renewal.tell,
    };
    Some((welcome, connection))
}

async fn talk(scene: &Scene, session: Session, socket: &mut Socket, mut connection: Connection) {
    let mut ping = interval(PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut heard_at = Instant::now();
    loop {
        let goes_on = tokio::select! {
            biased;
            () = connection.over.cancelled() => false,
            Some(message) = connection.outgoing.recv() => say(socket, &message).await,
            message = timeout_at(heard_at + SILENT, next(scene, socket)) => match message {
                Ok(Some(first)) => {
                    heard_at = Instant::now();
                    answer(scene, session, socket, first).await
                }
                _ => false,
            },
            _ = ping.tick() => matches!(timeout(WRITES, socket.send(Message::Ping(Default::default()))).await, Ok(Ok(()))),
        };
        if !goes_on {
            return;
        }
    }
}

/// What has come is carried out together, and answered after that is stored. False when the link is over.
async fn answer(scene: &Scene, session: Session, socket: &mut Socket, first: ToServer) -> bool {
    let (mut said, mut is_open) = (vec![first], true);
    while is_open && said.len() < TOGETHER {
        match next(scene, socket).now_or_never() {
            Some(Some(message)) => said.push(message),
            Some(None) => is_open = false,
            None => break,
        }
    }
    for message in &said {
        if let ToServer::Heartbeat { attempts, .. } = message {
            scene.looks_into_the_journal(session, attempts);
        }
    }
    scene.database().await;
    let (mut answers, mut is_newest) = (vec![], true);
    {
        let (mut store, now) = (lock(&scene.store), now());
        for message in &said {
            let answer = store.hear(session, message, now);
            is_newest &= answer.is_some() || !matches!(message, ToServer::Heartbeat { .. });
            answers.extend(answer);
        }
    }
    said.iter().filter_map(shown).for_each(|shown| scene.step(format!("{} says {shown}", scene.name(session.runner))));
    scene.database().await;
    for answer in answers {
        if !say(socket, &answer).await {
            return false;
        }
    }
    is_open && is_newest && !said.iter().any(|message| matches!(message, ToServer::Stops { .. }))
}

impl Scene {
    /// What a runner says that it has is in its journal, for as long as it has not ended: its next life could not tell of it.
    fn looks_into_the_journal(&self, session: Session, named: &[AttemptKey]) {
        let Some((place, _)) = self.runners().find(|(_, id)| *id == session.runner) else { return };
        let open: Vec<_> = {
            let store = lock(&self.store);
            let is_open = |key: &&AttemptKey| store.attempts.get(&key.attempt_id).is_some_and(|attempt| attempt.end.is_none());
            named.iter().filter(is_open).map(|key| key.attempt_id).collect()
        };
        for id in open {
            if !self.state_dir(place).join("journal").join(format!("{id}.json")).exists() {
                self.wrong(format!("attempt {id} was named, and is in no journal"));
            }
        }
    }
}

/// What somebody who looks for an error wants to know of a message.
fn shown(message: &ToServer) -> Option<String> {
    match message {
        ToServer::Said { attempt, sequence, said } => {
            let what = serde_json::to_value(said).ok()?["what"].as_str()?.to_owned();
            Some(format!("#{sequence} of {}-{}: {what}", attempt.task_id.short(), attempt.number))
        }
        ToServer::Log { attempt, offset, bytes, .. } => {
            Some(format!("bytes {offset} to {} of {}-{}", offset + bytes.len() as u64, attempt.task_id.short(), attempt.number))
        }
        ToServer::Stops { .. } => Some("that it stops".into()),
        ToServer::Lacks { attempts, .. } => Some(format!("that it lacks {}", attempts.len())),
        ToServer::Rejects { attempt, .. } => Some(format!("that it does not take {}-{}", attempt.task_id.short(), attempt.number)),
        ToServer::Hello(_) | ToServer::Heartbeat { .. } | ToServer::Leave => None,
        ToServer::Reading { .. } | ToServer::Pulling { .. } | ToServer::Landed { .. } | ToServer::Keeps { .. } => None,
    }
}

/// The next message; nothing when the link is over.
async fn next(scene: &Scene, socket: &mut Socket) -> Option<ToServer> {
    loop {
        match socket.next().await? {
            Ok(Message::Text(text)) => match serde_json::from_str(&text) {
                Ok(message) => return Some(message),
                Err(error) => {
                    scene.wrong(format!("a runner said what nobody understands: {error}"));
                    return None;
                }
            },
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            _ => return None,
        }
    }
}

async fn say(socket: &mut Socket, message: &ToRunner) -> bool {
    let Ok(text) = serde_json::to_string(message) else { return false };
    matches!(timeout(WRITES, socket.send(Message::text(text))).await, Ok(Ok(())))
}

/// Gives out what can be given, and closes the links that are to be.
async fn give(scene: Arc<Scene>, hub: Arc<Hub>) {
    loop {
        sleep(GIVES).await;
        lock(&scene.store).come_due(now());
        for runner in std::mem::take(&mut *lock(&scene.cuts)) {
            hub.end(runner);
        }
        for (session, slots) in hub.connected() {
            loop {
                let assignment = {
                    let mut store = lock(&scene.store);
                    if store.held_by(session.runner) < slots { store.claim(session.runner, now()) } else { None }
                };
                let Some(assignment) = assignment else { break };
                let attempt = assignment.attempt;
                scene.step(format!("{}-{} is for {}", attempt.task_id.short(), attempt.number, scene.name(session.runner)));
                scene.database().await;
                if !hub.assign(session, assignment) {
                    lock(&scene.store).not_given(attempt, now());
                    // the link has gone, and what is given out next goes over another
                    break;
                }
            }
        }
    }
}

/// Takes back what is not renewed. While no server was there its runners could renew nothing: they have one lease to be heard.
async fn rescue(scene: Arc<Scene>) {
    sleep(Duration::from_secs(LEASE_SECONDS.into())).await;
    loop {
        lock(&scene.store).expire(now());
        sleep(RESCUES).await;
    }
}

/// They hand in tasks, cancel them and speak with agents, as long as there are faults.
async fn people(scene: Arc<Scene>, hub: Arc<Hub>) {
    while elapsed() < FAULTS {
        sleep(Duration::from_millis(scene.draw(|luck| luck.random_range(300..2500)))).await;
        let (what, which) = scene.draw(|luck| (luck.random_range(0..10), luck.random_range(0..1000_usize)));
        let chosen = lock(&scene.store).open_task(which);
        match (what, chosen) {
            (0, Some(task)) => {
                let cancelled = lock(&scene.store).cancel(task, now());
                if let Some((runner, attempt)) = cancelled {
                    hub.send(runner, ToRunner::Cancel { attempt });
                }
            }
            (1..=4, Some(task)) => {
                let told = lock(&scene.store).tell(task);
                if let Some((runner, telling)) = told {
                    hub.send(runner, ToRunner::Tell(telling));
                }
            }
            _ => lock(&scene.store).create_task(now()),
        }
    }
}
