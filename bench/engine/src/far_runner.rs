//! A runner elsewhere that does nothing: it has joined, proves itself over a WebSocket, and comes again when its link is gone.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, bail};
use domain::{
    AttemptId, RunnerId,
    protocol::{Assignment, Heard, Hello, ToRunner, ToServer, VERSION},
    runner::{JoinRunner, JoinedRunner, NewRunnerToken},
};
use hyper::body::Bytes;
use runner::{Backoff, Key, Link};
use tokio::{
    sync::watch,
    time::{Instant, Interval, MissedTickBehavior, interval, sleep},
};

use crate::{
    http_client::HttpClient,
    no_op_runner::{REPORT, life},
    readings,
    seen::Seen,
    serve::now_nanos,
};

const HEARTBEAT: Duration = Duration::from_secs(10);
/// As the real ones wait before the second link.
const RECONNECT: Duration = Duration::from_secs(1);

/// What all of them share.
#[derive(Clone)]
pub struct Shared {
    pub seen: Seen,
    /// How many have been welcomed and have a link.
    pub linked: watch::Sender<u32>,
    /// While it is set, attempts are begun and not ended.
    pub holds: watch::Sender<bool>,
    /// Attempts that were taken away.
    pub stale: Arc<AtomicU64>,
}

impl Default for Shared {
    fn default() -> Self {
        let (linked, holds) = (watch::Sender::new(0), watch::Sender::new(false));
        Self { seen: Seen::default(), linked, holds, stale: Arc::default() }
    }
}

pub struct FarRunner {
    id: RunnerId,
    name: String,
    key: Key,
    url: String,
    slots: u32,
    shared: Shared,
    held: HashMap<AttemptId, Assignment>,
    /// It goes on looking at its machine while it has no link.
    readings: Interval,
    read: u32,
}

impl FarRunner {
    pub async fn join(client: &mut HttpClient, address: &str, number: u32, slots: u32, shared: Shared) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let key = Key::open_or_make(folder.path())?;
        let JoinedRunner { id, name, .. } = register(client, &key, format!("far {number}")).await?;
        let (url, readings) = (link_url(address), readings::moments(number));
        Ok(Self { id, name, key, url, slots, shared, held: HashMap::new(), readings, read: 0 })
    }

    /// One link after the other, for ever.
    pub async fn work(mut self) -> anyhow::Result<()> {
        let mut backoff = Backoff::new(RECONNECT);
        loop {
            let mut opened = None;
            if let Ok(link) = runner::dial(self.url.clone()).await {
                opened = Some(Instant::now());
                self.talk(link).await?;
            }
            sleep(backoff.next(opened.map(|at| at.elapsed()))).await;
        }
    }

    async fn talk(&mut self, mut link: Link) -> anyhow::Result<()> {
        let Some(ToRunner::Opened { nonce, .. }) = link.from_server.recv().await else { return Ok(()) };
        let attempts = self.held.values().map(|assignment| assignment.attempt).collect();
        let (runner_id, name, slots) = (self.id, self.name.clone(), self.slots);
        let proof = self.key.prove(&nonce, runner_id);
        let hello = Hello {
            version: VERSION,
            runner_id,
            name,
            slots,
            capabilities: vec![],
            attempts,
            lost: vec![],
            proof,
            no_sandbox: None,
            lands: false,
            backends: vec![],
            rooms: None,
            left_behind: None,
            takes_slots: false,
            keeps: vec![],
        };
        if link.to_server.send(ToServer::Hello(hello)).await.is_err() {
            return Ok(());
        }
        let (heard, stale) = match link.from_server.recv().await {
            Some(ToRunner::Welcome { heard, stale, .. }) => (heard, stale),
            Some(ToRunner::Refused { message, .. }) => bail!("it is refused: {message}"),
            _ => return Ok(()),
        };
        self.shared.stale.fetch_add(stale.len() as u64, Ordering::Relaxed);
        self.shared.linked.send_modify(|linked| *linked += 1);
        let talked = self.until_it_closes(link, heard).await;
        self.shared.linked.send_modify(|linked| *linked -= 1);
        talked
    }

    async fn until_it_closes(&mut self, mut link: Link, heard: Vec<Heard>) -> anyhow::Result<()> {
        let mut holds = self.shared.holds.subscribe();
        let mut beat = interval(HEARTBEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut beats = 0;
        // as every link begins with the last one there is
        if !self.tells_of_its_machine(&link).await {
            return Ok(());
        }
        let mut heard: HashMap<_, _> = heard.into_iter().map(|heard| (heard.attempt.attempt_id, heard.sequence)).collect();
        for assignment in self.held.values() {
            let from = heard.get(&assignment.attempt.attempt_id).copied().unwrap_or(0);
            let to = if *holds.borrow_and_update() { 1 } else { REPORT };
            heard.insert(assignment.attempt.attempt_id, to.max(from));
            if !says(&link, assignment, from, to).await {
                return Ok(());
            }
        }
        loop {
            let open = tokio::select! {
                message = link.from_server.recv() => match message {
                    None => false,
                    Some(ToRunner::Assign { assignment }) => {
                        self.shared.seen.is_given(assignment.attempt.task_id.to_string(), now_nanos());
                        let to = if *holds.borrow() { 1 } else { REPORT };
                        heard.insert(assignment.attempt.attempt_id, to);
                        let open = says(&link, &assignment, 0, to).await;
                        self.held.insert(assignment.attempt.attempt_id, *assignment);
                        open
                    }
                    Some(ToRunner::Stored { attempt, sequence: REPORT }) => {
                        self.held.remove(&attempt.attempt_id);
                        self.shared.seen.one_has_ended();
                        true
                    }
                    Some(ToRunner::Stale { attempt }) => {
                        self.held.remove(&attempt.attempt_id);
                        self.shared.stale.fetch_add(1, Ordering::Relaxed);
                        true
                    }
                    Some(ToRunner::Missing(_) | ToRunner::NotUnderstood { .. }) => bail!("something that was said has not arrived"),
                    Some(_) => true,
                },
                changed = holds.changed() => {
                    changed.context("nobody says any more whether to hold")?;
                    let mut open = true;
                    if !*holds.borrow() {
                        for assignment in self.held.values() {
                            let said = heard.insert(assignment.attempt.attempt_id, REPORT).unwrap_or(0);
                            open = open && says(&link, assignment, said, REPORT).await;
                        }
                    }
                    open
                }
                _ = beat.tick() => {
                    beats += 1;
                    let attempts = self.held.values().map(|assignment| assignment.attempt).collect();
                    link.to_server.send(ToServer::Heartbeat { beat: beats, attempts, left_behind: None }).await.is_ok()
                }
                _ = self.readings.tick() => self.tells_of_its_machine(&link).await,
            };
            if !open {
                return Ok(());
            }
        }
    }

    async fn tells_of_its_machine(&mut self, link: &Link) -> bool {
        self.read += 1;
        let used = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
        link.to_server.send(readings::reading(self.read, used, self.slots)).await.is_ok()
    }
}

/// A machine with this key becomes a runner that may be given paths.
pub async fn register(client: &mut HttpClient, key: &Key, name: String) -> anyhow::Result<JoinedRunner> {
    let made = client.create("/api/v1/runner-tokens", Bytes::from_static(b"{}")).await?;
    let token = serde_json::from_slice::<NewRunnerToken>(&made)?.token;
    let join = JoinRunner { token, public_key: key.public(), name: Some(name), paths: true };
    let joined = client.create("/api/v1/runners", serde_json::to_vec(&join)?.into()).await?;
    Ok(serde_json::from_slice(&joined)?)
}

/// Where a server has its links opened.
pub fn link_url(address: &str) -> String {
    format!("ws://{address}/api/v1/runners/link")
}

/// What comes after this number, up to that one; whether the link is open.
async fn says(link: &Link, assignment: &Assignment, after: u64, to: u64) -> bool {
    for (sequence, said) in (1..=to).zip(life(assignment)) {
        if sequence > after && link.to_server.send(ToServer::Said { attempt: assignment.attempt, sequence, said }).await.is_err() {
            return false;
        }
    }
    true
}
