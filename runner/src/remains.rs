//! The census after an attempt: no process, no mount, no folder and no control group of it is left. What is left all the same is looked at again
//! with every sign of life, and told to the server for as long as it is there.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
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

/// Where something of an attempt could be.
#[derive(Clone, Debug)]
pub(crate) struct Remains {
    pub attempt: AttemptId,
    /// What its processes have in common.
    pub trace: Trace,
    /// Its folder, as it was and on its way out, and its control group.
    pub places: Vec<PathBuf>,
}

/// What attempts have left behind.
#[derive(Default)]
pub(crate) struct LeftBehind {
    known: Mutex<BTreeMap<AttemptId, Remains>>,
    /// The server has heard of something.
    was_told: AtomicBool,
}

impl Remains {
    /// What there is of it, in words.
    async fn look(&self) -> Vec<String> {
        let processes = process::left_of(&self.trace).await;
        let (name, places) = (self.attempt.to_string(), self.places.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let mounts = platform::mounts(&name).into_iter().map(|process| format!("a mount that process {process} sees"));
            let places = places.iter().filter(|path| path.symlink_metadata().is_ok()).map(|path| path.display().to_string());
            mounts.chain(places).collect::<Vec<_>>()
        });
        let processes = processes.into_iter().map(|process| format!("process {process}"));
        // who cannot look does not say that there is nothing
        processes.chain(looked.await.unwrap_or_else(|error| vec![format!("what could not be looked for: {error}")])).collect()
    }
}

impl LeftBehind {
    /// Returns when nothing is left of an attempt that has ended, or when what is left is known. Whoever stops does not wait for it: what is
    /// on its way out then, the next life looks after.
    pub async fn census(&self, remains: Remains, patience: Duration, stop: &CancellationToken) {
        let deadline = Instant::now() + patience;
        loop {
            let left = remains.look().await;
            if left.is_empty() || stop.is_cancelled() {
                return;
            }
            if Instant::now() >= deadline {
                error!(attempt.id = %remains.attempt, "Attempt {} has left something behind: {}", remains.attempt, left.join(", "));
                lock(&self.known).insert(remains.attempt, remains);
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// What is still there, for the server: nothing as long as there was nothing, and no words once there is nothing any more.
    pub async fn say(&self) -> Option<String> {
        let known: Vec<_> = lock(&self.known).values().cloned().collect();
        let mut said = vec![];
        for remains in known {
            let left = remains.look().await;
            if left.is_empty() {
                info!(attempt.id = %remains.attempt, "What attempt {} had left behind is gone", remains.attempt);
                lock(&self.known).remove(&remains.attempt);
            } else {
                said.push(format!("attempt {}: {}", remains.attempt, left.join(", ")));
            }
        }
        if said.is_empty() && !self.was_told.load(Ordering::Relaxed) {
            return None;
        }
        self.was_told.store(true, Ordering::Relaxed);
        Some(said.join("; ").chars().take(LONGEST).collect())
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
    use std::{fs, path::Path};

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
        Remains { attempt, trace, places: vec![folder.clone(), folder.with_extension("trash")] }
    }

    /// Looks once, without patience.
    async fn once(left_behind: &LeftBehind, remains: &Remains) -> Option<String> {
        left_behind.census(remains.clone(), Duration::ZERO, &CancellationToken::new()).await;
        left_behind.say().await
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
        fs::create_dir(&remains.places[1]).unwrap();
        let said = once(&left_behind, &remains).await.unwrap();
        assert_eq!(said, format!("attempt {}: {}", remains.attempt, remains.places[1].display()));
        fs::remove_dir(&remains.places[1]).unwrap();
        assert_eq!([left_behind.say().await, left_behind.say().await], [Some(String::new()), Some(String::new())]);
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
        assert_eq!(left_behind.say().await, None);
    }

    #[tokio::test]
    async fn a_process_and_a_mount_are_told() {
        let (place, left_behind) = (tempfile::tempdir().unwrap(), LeftBehind::default());
        let remains = remains(place.path());
        let mut process = Command::new("sleep").arg("600").env(MARKER, remains.attempt.to_string()).kill_on_drop(true).spawn().unwrap();
        let said = once(&left_behind, &remains).await.unwrap();
        assert_eq!(said, format!("attempt {}: process {}", remains.attempt, process.id().unwrap()));
        process.kill().await.unwrap();
        assert_eq!(left_behind.say().await.as_deref(), Some(""));

        fs::create_dir(&remains.places[0]).unwrap();
        let mut room = Command::new("bwrap");
        room.args(["--dev-bind", "/", "/", "--bind"]).arg(&remains.places[0]).args(["/mnt", "--die-with-parent", "cat"]);
        room.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).kill_on_drop(true);
        let mut room = crate::process::start_alone(room).await.unwrap();
        is_up(&mut room).await;
        fs::remove_dir(&remains.places[0]).unwrap();
        let said = once(&left_behind, &remains).await.unwrap();
        assert!(said.contains("a mount that process "), "{said}");
        room.kill().await.unwrap();
    }

    /// It says what it is told only once it is there.
    async fn is_up(room: &mut tokio::process::Child) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        room.stdin.as_mut().unwrap().write_all(b"x").await.unwrap();
        room.stdout.as_mut().unwrap().read_exact(&mut [0]).await.unwrap();
    }
}
