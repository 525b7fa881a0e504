//! The census after an attempt: no process, no mount, no folder and no control group of it is left. What is left all the same is looked at again
//! every so often, and told to the server with every sign of life for as long as it is there. No sign of life waits for a look: whoever looks
//! at a process that is stuck in the kernel can be stuck with it.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fs,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use domain::AttemptId;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::{
    lock,
    process::{self, Trace},
};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);
/// Of what is told.
const LONGEST: usize = 1000;
/// Attempts of which something is known to be left. A machine that keeps more than that has no need of a longer list.
const MOST: usize = 100;
/// Pieces of a folder that are named.
const PIECES: usize = 3;
/// Signs of life that say that nothing is left any more: one of them may be missed.
const GOOD_NEWS: u32 = 3;

/// Where something of an attempt could be.
#[derive(Clone, Debug)]
pub(crate) struct Remains {
    pub attempt: AttemptId,
    /// What its processes have in common.
    pub trace: Trace,
    /// Its folder and its control group.
    pub places: Vec<PathBuf>,
    /// Where its folder is on its way out, as a whole or in pieces that have its name.
    pub trash: Option<PathBuf>,
}

/// What attempts have left behind.
#[derive(Default)]
pub(crate) struct LeftBehind(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// With what there was of it at the last look, in words.
    remains: BTreeMap<AttemptId, (Remains, String)>,
    /// Signs of life that are still to say that nothing is left any more.
    good_news: u32,
}

impl Remains {
    /// What there is of it, in words.
    async fn look(&self) -> Vec<String> {
        let processes = process::left_of(&self.trace).await;
        let (name, places, trash, group) = (self.attempt.to_string(), self.places.clone(), self.trash.clone(), self.trace.group.clone());
        let looked = tokio::task::spawn_blocking(move || {
            if let Some(group) = &group {
                // one that is empty is nobody's any more; the kernel keeps one that is not
                let _ = fs::remove_dir(group);
            }
            let mounts = platform::mounts(&name).into_iter().map(|process| format!("a mount that process {process} sees"));
            let places = places.into_iter().filter(|path| path.symlink_metadata().is_ok());
            let pieces = trash.iter().flat_map(|trash| called(trash, &name)).take(PIECES);
            mounts.chain(places.chain(pieces).map(|path| path.display().to_string())).collect::<Vec<_>>()
        });
        let processes = processes.into_iter().map(|process| format!("process {process}"));
        // who cannot look does not say that there is nothing
        processes.chain(looked.await.unwrap_or_else(|error| vec![format!("what could not be looked for: {error}")])).collect()
    }
}

/// What lies in a folder under names that begin like this.
fn called(folder: &Path, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(name)).map(|entry| entry.path()).collect()
}

impl LeftBehind {
    /// Returns when nothing is left of an attempt that has ended, or when what is left is known. Whoever stops does not wait for it: what is
    /// on its way out then, the next life looks after.
    pub async fn census(&self, remains: Remains, patience: Duration, stop: &CancellationToken) {
        let deadline = Instant::now() + patience;
        loop {
            let left = tokio::select! {
                left = remains.look() => left,
                () = stop.cancelled() => return,
            };
            if left.is_empty() || stop.is_cancelled() {
                return;
            }
            if Instant::now() >= deadline {
                let left = left.join(", ");
                error!(attempt.id = %remains.attempt, "Attempt {} has left something behind: {left}", remains.attempt);
                let mut known = lock(&self.0);
                if known.remains.len() < MOST {
                    known.remains.insert(remains.attempt, (remains, left));
                }
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// Looks so often whether what was left is still there, for as long as somebody waits for this.
    pub async fn look_again(&self, every: Duration) -> Infallible {
        loop {
            tokio::time::sleep(every).await;
            self.look().await;
        }
    }

    async fn look(&self) {
        let known: Vec<_> = lock(&self.0).remains.values().map(|(remains, _)| remains.clone()).collect();
        for remains in known {
            let left = remains.look().await;
            let mut known = lock(&self.0);
            if left.is_empty() {
                info!(attempt.id = %remains.attempt, "What attempt {} had left behind is gone", remains.attempt);
                known.remains.remove(&remains.attempt);
                known.good_news = GOOD_NEWS;
            } else if let Some((_, words)) = known.remains.get_mut(&remains.attempt) {
                *words = left.join(", ");
            }
        }
    }

    /// What was still there at the last look, for the server; nothing when there was nothing.
    pub fn now(&self) -> Option<String> {
        let known = lock(&self.0);
        let said: Vec<_> = known.remains.iter().map(|(attempt, (_, left))| format!("attempt {attempt}: {left}")).collect();
        (!said.is_empty()).then(|| said.join("; ").chars().take(LONGEST).collect())
    }

    /// The same for a sign of life: the first of them after all is gone say so, without a word.
    pub fn say(&self) -> Option<String> {
        self.now().or_else(|| {
            let mut known = lock(&self.0);
            known.good_news = known.good_news.checked_sub(1)?;
            Some(String::new())
        })
    }
}

#[cfg(target_os = "linux")]
mod platform {
    use std::{collections::HashSet, fs};

    /// Processes that see a mount of what has this name; one of those that see the same.
    pub fn mounts(name: &str) -> Vec<i32> {
        let Ok(entries) = fs::read_dir("/proc") else { return vec![] };
        let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let mut seen = HashSet::new();
        let sees = |pid: &i32| {
            let Ok(namespace) = fs::read_link(format!("/proc/{pid}/ns/mnt")) else { return false };
            if seen.contains(&namespace) {
                return false;
            }
            // one that has ended meanwhile says nothing of what others see
            let Ok(mounts) = fs::read_to_string(format!("/proc/{pid}/mountinfo")) else { return false };
            seen.insert(namespace);
            mounts.contains(name)
        };
        pids.filter(sees).collect()
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    /// There are no sandboxes.
    pub fn mounts(_: &str) -> Vec<i32> {
        vec![]
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::{process::Command, time::timeout};
    use uuid::Uuid;

    use super::*;
    use crate::process::MARKER;

    fn remains(folder: &Path) -> Remains {
        let attempt = AttemptId(Uuid::now_v7());
        let folder = folder.join(attempt.to_string());
        let trace = Trace {
            attempt: attempt.to_string(),
            folder: folder.clone(),
            leader: None,
            of_this_life: false,
            in_sandbox: false,
            group: None,
        };
        Remains { attempt, trace, places: vec![folder.clone()], trash: folder.parent().map(|place| place.join("trash")) }
    }

    /// Looks once, without patience.
    async fn once(left_behind: &LeftBehind, remains: &Remains) -> Option<String> {
        left_behind.census(remains.clone(), Duration::ZERO, &CancellationToken::new()).await;
        left_behind.say()
    }

    #[tokio::test]
    async fn what_is_gone_is_not_told() {
        let (place, left_behind) = (tempfile::tempdir().unwrap(), LeftBehind::default());
        assert_eq!(once(&left_behind, &remains(place.path())).await, None);
    }

    #[tokio::test]
    async fn a_folder_that_stays_is_told_until_it_is_gone() {
        let (place, left_behind) = (tempfile::tempdir().unwrap(), LeftBehind::default());
        let remains = remains(place.path());
        fs::create_dir(&remains.places[0]).unwrap();
        let said = once(&left_behind, &remains).await;
        assert_eq!(said, Some(format!("attempt {}: {}", remains.attempt, remains.places[0].display())));
        fs::remove_dir(&remains.places[0]).unwrap();
        assert_eq!([left_behind.say(), left_behind.now()], [said.clone(), said], "nobody has looked again");
        left_behind.look().await;
        assert_eq!(left_behind.now(), None);
        for _ in 0..GOOD_NEWS {
            assert_eq!(left_behind.say().as_deref(), Some(""));
        }
        assert_eq!(left_behind.say(), None, "it is known by now");
    }

    #[tokio::test]
    async fn a_piece_of_a_folder_on_its_way_out_is_told() {
        let (place, left_behind) = (tempfile::tempdir().unwrap(), LeftBehind::default());
        let remains = remains(place.path());
        let trash = remains.trash.clone().unwrap();
        let piece = trash.join(format!("{}.7.deep", remains.attempt));
        fs::create_dir_all(&piece).unwrap();
        fs::create_dir(trash.join("of-another")).unwrap();
        let said = once(&left_behind, &remains).await;
        assert_eq!(said, Some(format!("attempt {}: {}", remains.attempt, piece.display())));
    }

    #[tokio::test]
    async fn a_control_group_goes_once_nothing_is_in_it() {
        let (place, left_behind) = (tempfile::tempdir().unwrap(), LeftBehind::default());
        let mut remains = remains(place.path());
        let group = place.path().join("group");
        (remains.trace.group, remains.places) = (Some(group.clone()), vec![group.clone()]);
        fs::create_dir_all(group.join("inside")).unwrap();
        assert!(once(&left_behind, &remains).await.is_some());
        fs::remove_dir(group.join("inside")).unwrap();
        left_behind.look().await;
        assert_eq!((left_behind.now(), group.exists()), (None, false));
    }

    #[tokio::test]
    async fn what_is_known_to_be_left_has_an_end() {
        let (place, left_behind) = (tempfile::tempdir().unwrap(), LeftBehind::default());
        {
            let mut known = lock(&left_behind.0);
            known.remains = (0..MOST).map(|_| remains(place.path())).map(|one| (one.attempt, (one, "a mount".into()))).collect();
        }
        let one_more = remains(place.path());
        fs::create_dir(&one_more.places[0]).unwrap();
        assert_eq!(once(&left_behind, &one_more).await.unwrap().chars().count(), LONGEST);
        assert_eq!(lock(&left_behind.0).remains.len(), MOST);
    }

    #[tokio::test]
    async fn what_goes_in_time_is_waited_for() {
        let (place, left_behind) = (tempfile::tempdir().unwrap(), LeftBehind::default());
        let remains = remains(place.path());
        fs::create_dir(&remains.places[0]).unwrap();
        let stop = CancellationToken::new();
        let waits = left_behind.census(remains.clone(), Duration::from_secs(15), &stop);
        tokio::pin!(waits);
        assert!(timeout(LOOK / 2, &mut waits).await.is_err());
        fs::remove_dir(&remains.places[0]).unwrap();
        waits.await;
        assert_eq!(left_behind.say(), None);
    }

    #[tokio::test]
    async fn a_process_and_a_mount_are_told() {
        let (place, left_behind) = (tempfile::tempdir().unwrap(), LeftBehind::default());
        let remains = remains(place.path());
        let mut process = Command::new("sleep").arg("600").env(MARKER, remains.attempt.to_string()).kill_on_drop(true).spawn().unwrap();
        let said = once(&left_behind, &remains).await.unwrap();
        assert_eq!(said, format!("attempt {}: process {}", remains.attempt, process.id().unwrap()));
        process.kill().await.unwrap();
        left_behind.look().await;
        assert_eq!(left_behind.say().as_deref(), Some(""));

        fs::create_dir(&remains.places[0]).unwrap();
        let mut room = Command::new("bwrap");
        room.args(["--dev-bind", "/", "/", "--bind"]).arg(&remains.places[0]).args(["/mnt", "--die-with-parent", "cat"]);
        room.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).kill_on_drop(true);
        let mut room = crate::process::start_alone(room).await.unwrap();
        is_up(&mut room).await.unwrap();
        fs::remove_dir(&remains.places[0]).unwrap();
        let said = once(&left_behind, &remains).await.unwrap();
        assert!(said.contains("a mount that process "), "{said}");
        room.kill().await.unwrap();
    }

    /// It says what it is told only once it is there.
    async fn is_up(room: &mut tokio::process::Child) -> std::io::Result<()> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (Some(stdin), Some(stdout)) = (&mut room.stdin, &mut room.stdout) else {
            return Err(std::io::ErrorKind::BrokenPipe.into());
        };
        stdin.write_all(b"x").await?;
        stdout.read_exact(&mut [0]).await.map(drop)
    }
}
