//! Between Muster and its Postgres: a proxy that can cut, hold up, slow down and break off in the middle.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rand::{Rng, rngs::StdRng};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
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
    /// Every connection ends, and new ones do as well.
    Cut,
    /// Every connection ends after this many bytes more.
    CutAfter(usize),
}

pub struct Proxy {
    mood: watch::Sender<Mood>,
}

impl Proxy {
    /// Listens in `folder` as a Postgres there would, and forwards to the one whose socket is `upstream`.
    pub fn start(folder: &Path, upstream: PathBuf) -> std::io::Result<Self> {
        let listener = UnixListener::bind(folder.join(".s.PGSQL.5432"))?;
        let mood = watch::Sender::new(Mood::Forward);
        let moods = mood.subscribe();
        let upstream = Arc::new(upstream);
        TaskTracker::new().spawn(async move {
            let tracker = TaskTracker::new();
            while let Ok((client, _)) = listener.accept().await {
                tracker.spawn(carry(client, upstream.clone(), moods.clone()));
            }
        });
        Ok(Self { mood })
    }

    pub fn set(&self, mood: Mood) {
        self.mood.send_replace(mood);
    }

    /// A fault, and how long it lasts.
    pub fn trouble(random: &mut StdRng) -> (Mood, Duration) {
        let millis = |random: &mut StdRng, from: u64, to: u64| Duration::from_millis(random.random_range(from..to));
        match random.random_range(0..4) {
            0 => (Mood::Hold, millis(random, 300, 4000)),
            1 => (Mood::Slow(millis(random, 50, 250)), millis(random, 1000, 3000)),
            2 => (Mood::Cut, millis(random, 1, 1500)),
            _ => (Mood::CutAfter(random.random_range(1..20_000)), millis(random, 500, 1500)),
        }
    }
}

async fn carry(client: UnixStream, upstream: Arc<PathBuf>, moods: watch::Receiver<Mood>) {
    let Ok(server) = UnixStream::connect(&*upstream).await else { return };
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    tokio::select! {
        () = pump(client_in, server_out, moods.clone()) => {}
        () = pump(server_in, client_out, moods) => {}
    }
}

async fn pump(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, mut moods: watch::Receiver<Mood>) {
    let mut buffer = vec![0; 16 * 1024];
    let mut left = None;
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
                Mood::CutAfter(bytes) => {
                    let rest: &mut usize = left.get_or_insert(bytes);
                    count = count.min(*rest);
                    *rest -= count;
                    break;
                }
                Mood::Hold => {
                    if moods.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
        if to.write_all(&buffer[..count]).await.is_err() || left == Some(0) {
            return;
        }
    }
}
