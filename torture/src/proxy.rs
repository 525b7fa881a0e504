//! A proxy that stands between a client and a server, or between a server and its Postgres: it can cut, hold up, slow down, close one
//! side, break off in the middle, and lie in wait for a COMMIT.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rand::{Rng, rngs::StdRng};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::watch,
};
use tokio_util::task::TaskTracker;

/// What happens to the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Forward,
    /// They wait, in both directions, while everything looks connected.
    Hold,
    /// Each piece waits this long.
    Slow(Duration),
    /// A few bytes at a time.
    Trickle,
    /// Every connection ends, and new ones do as well.
    Cut,
    /// Every connection ends after this many bytes more.
    CutAfter(usize),
    /// One side's connection ends; the other is left to believe that it is connected, and hears nothing.
    HalfOpen(Side),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// Bytes that trickle at once.
const DROP: usize = 256;
const DRIP: Duration = Duration::from_millis(5);

/// Waits for a transaction in which these bytes were sent, and cuts its connection at the COMMIT.
pub struct Ambush {
    pub seen: Vec<u8>,
    /// So many of its COMMITs pass before.
    pub passes: usize,
    /// Whether the COMMIT still reaches Postgres, and only its answer is lost.
    pub reaches: bool,
}

type Waiting = Arc<Mutex<Option<Ambush>>>;

pub struct Proxy {
    mood: watch::Sender<Mood>,
    ambush: Waiting,
}

#[derive(Clone)]
enum Upstream {
    Socket(Arc<PathBuf>),
    Port(SocketAddr),
}

type In = Box<dyn AsyncRead + Send + Unpin>;
type Out = Box<dyn AsyncWrite + Send + Unpin>;

impl Proxy {
    /// Listens in `folder` as a Postgres there would, and forwards to the one whose socket is `upstream`.
    pub fn before_postgres(folder: &Path, upstream: PathBuf) -> io::Result<Self> {
        let listener = UnixListener::bind(folder.join(".s.PGSQL.5432"))?;
        let (proxy, way) = Self::new(Upstream::Socket(Arc::new(upstream)));
        TaskTracker::new().spawn(async move {
            let tracker = TaskTracker::new();
            while let Ok((client, _)) = listener.accept().await {
                let (read, write) = client.into_split();
                tracker.spawn(carry((Box::new(read), Box::new(write)), way.clone()));
            }
        });
        Ok(proxy)
    }

    /// Listens on a free port, and forwards to `upstream`.
    pub async fn before_server(upstream: SocketAddr) -> io::Result<(Self, SocketAddr)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (proxy, way) = Self::new(Upstream::Port(upstream));
        TaskTracker::new().spawn(async move {
            let tracker = TaskTracker::new();
            while let Ok((client, _)) = listener.accept().await {
                // Only speed is lost where it cannot be set.
                let _ = client.set_nodelay(true);
                let (read, write) = client.into_split();
                tracker.spawn(carry((Box::new(read), Box::new(write)), way.clone()));
            }
        });
        Ok((proxy, address))
    }

    fn new(upstream: Upstream) -> (Self, Way) {
        let mood = watch::Sender::new(Mood::Forward);
        let ambush = Waiting::default();
        let way = Way { upstream, moods: mood.subscribe(), ambush: ambush.clone() };
        (Self { mood, ambush }, way)
    }

    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    pub fn lie_in_wait(&self, ambush: Ambush) {
        *lock(&self.ambush) = Some(ambush);
    }

    /// Gives up waiting; says whether it was sprung.
    pub fn was_sprung(&self) -> bool {
        lock(&self.ambush).take().is_none()
    }

    /// A fault, and how long it lasts.
    pub fn trouble(random: &mut StdRng) -> (Mood, Duration) {
        let millis = |random: &mut StdRng, from: u64, to: u64| Duration::from_millis(random.random_range(from..to));
        match random.random_range(0..7) {
            0 => (Mood::Hold, millis(random, 300, 4000)),
            1 => (Mood::Slow(millis(random, 50, 250)), millis(random, 1000, 3000)),
            2 => (Mood::Trickle, millis(random, 1000, 3000)),
            3 => (Mood::Cut, millis(random, 1, 1500)),
            4 => (Mood::HalfOpen(Side::Client), millis(random, 300, 3000)),
            5 => (Mood::HalfOpen(Side::Server), millis(random, 300, 3000)),
            _ => (Mood::CutAfter(random.random_range(1..20_000)), millis(random, 500, 1500)),
        }
    }
}

fn lock(ambush: &Waiting) -> MutexGuard<'_, Option<Ambush>> {
    ambush.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone)]
struct Way {
    upstream: Upstream,
    moods: watch::Receiver<Mood>,
    ambush: Waiting,
}

impl Way {
    async fn open(&self) -> io::Result<(In, Out)> {
        match &self.upstream {
            Upstream::Socket(path) => {
                let (read, write) = UnixStream::connect(&**path).await?.into_split();
                Ok((Box::new(read), Box::new(write)))
            }
            Upstream::Port(address) => {
                let stream = TcpStream::connect(address).await?;
                let _ = stream.set_nodelay(true);
                let (read, write) = stream.into_split();
                Ok((Box::new(read), Box::new(write)))
            }
        }
    }

    /// Waits until one side is to be closed.
    async fn half_open(&self) -> Side {
        let mut moods = self.moods.clone();
        loop {
            if let Mood::HalfOpen(side) = *moods.borrow_and_update() {
                return side;
            }
            if moods.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

async fn carry((mut client_in, mut client_out): (In, Out), way: Way) {
    let Ok((mut server_in, mut server_out)) = way.open().await else { return };
    let side = {
        let up = pump(&mut client_in, &mut server_out, way.moods.clone(), Some(&way.ambush));
        let down = pump(&mut server_in, &mut client_out, way.moods.clone(), None);
        tokio::select! {
            () = up => return,
            () = down => return,
            side = way.half_open() => side,
        }
    };
    let mut moods = way.moods;
    match side {
        Side::Server => drop((server_in, server_out)),
        Side::Client => drop((client_in, client_out)),
    }
    // What is not dropped stays open until the trouble is over.
    let _ = moods.wait_for(|mood| !matches!(mood, Mood::HalfOpen(_))).await;
}

async fn pump(from: &mut In, to: &mut Out, mut moods: watch::Receiver<Mood>, ambush: Option<&Waiting>) {
    let mut buffer = vec![0; 16 * 1024];
    let mut left = None;
    let mut watched = false;
    loop {
        let count = tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(count) if count > 0 => count,
                _ => return,
            },
            changed = moods.changed() => {
                left = None;
                if changed.is_err() || *moods.borrow() == Mood::Cut {
                    return;
                }
                continue;
            }
        };
        let mut count = count;
        loop {
            let mood = *moods.borrow_and_update();
            match mood {
                Mood::Forward => break,
                Mood::Cut => return,
                Mood::Slow(pause) => {
                    tokio::time::sleep(pause).await;
                    break;
                }
                Mood::Trickle => {
                    if drip(to, &buffer[..count]).await.is_err() {
                        return;
                    }
                    count = 0;
                    break;
                }
                Mood::CutAfter(bytes) => {
                    let rest: &mut usize = left.get_or_insert(bytes);
                    count = count.min(*rest);
                    *rest -= count;
                    break;
                }
                Mood::Hold | Mood::HalfOpen(_) => {
                    if moods.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
        let sprung = ambush.and_then(|ambush| springs(ambush, &buffer[..count], &mut watched));
        if sprung == Some(false) || to.write_all(&buffer[..count]).await.is_err() || sprung.is_some() || left == Some(0) {
            return;
        }
    }
}

async fn drip(to: &mut Out, bytes: &[u8]) -> io::Result<()> {
    for drop in bytes.chunks(DROP) {
        to.write_all(drop).await?;
        tokio::time::sleep(DRIP).await;
    }
    Ok(())
}

/// Whether these bytes hold the COMMIT that is waited for; then whether it still reaches Postgres. `watched` is whether the bytes that
/// are waited for were sent in this connection's transaction.
fn springs(ambush: &Waiting, bytes: &[u8], watched: &mut bool) -> Option<bool> {
    let mut waiting = lock(ambush);
    let one = waiting.as_mut()?;
    *watched |= holds(bytes, &one.seen);
    if !*watched || !holds(bytes, b"COMMIT") {
        return None;
    }
    *watched = false;
    if one.passes > 0 {
        one.passes -= 1;
        return None;
    }
    waiting.take().map(|one| one.reaches)
}

fn holds(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ambush_is_sprung_by_the_right_commit_of_the_right_transaction() {
        let ambush = Waiting::new(Mutex::new(Some(Ambush { seen: b"the key".into(), passes: 1, reaches: true })));
        let (mut one, mut other) = (false, false);
        assert_eq!(springs(&ambush, b"COMMIT", &mut one), None, "of a transaction without it");
        assert_eq!(springs(&ambush, b"bind the key", &mut one), None);
        assert_eq!(springs(&ambush, b"COMMIT", &mut other), None, "of another connection");
        assert_eq!(springs(&ambush, b"COMMIT", &mut one), None, "the first passes");
        assert_eq!(springs(&ambush, b"the key", &mut other), None);
        assert_eq!(springs(&ambush, b"Q COMMIT", &mut other), Some(true));
        assert_eq!(springs(&ambush, b"the key COMMIT", &mut other), None, "once");
    }
}
