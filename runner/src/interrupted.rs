//! What is kept of attempts that were interrupted through no fault of the work (their runner died or was stopped, their lease was lost, their
//! provider wanted less for a while), so that the next attempt at the task goes on from there and does not begin anew: what its agent calls the
//! session, the file in which it keeps that, and the commit that the work was saved as. Nothing of it runs, and nothing else is carried over.
//!
//! It lies in the folder `kept`, one folder for each attempt, for an hour, and there are never many: whoever has no room for it begins anew. Of one
//! task there is one. It is given to one attempt, of the same task, and is gone from here then; it is also gone when the server says that nobody will
//! go on from it, and when the machine is a runner no longer. The server is told what there is.
//!
//! It is a convenience: nothing is synced, and what cannot be read any more is thrown away.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use chrono::TimeDelta;
use domain::{
    AttemptKey, Backend, Timestamp,
    protocol::{Assignment, ToServer},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tracing::{info, warn};

use crate::{
    attempt::folder::AttemptFolder,
    backend::{Spent, agent::own_folder, found::Found, own::is_a_name, transcript},
    clock,
    disk::on_disk,
    folders::{private_folder, remove},
    journal::Entry,
    lock,
    save::Saved,
};

/// Attempts of which something is kept.
const MOST: usize = 16;
/// Bytes of one session, and of all that are kept.
const LONGEST: u64 = 32 * 1024 * 1024;
const MOST_BYTES: u64 = 256 * 1024 * 1024;
/// Between two times that the server is told, while there is anything.
pub(crate) const TOLD_AGAIN: Duration = Duration::from_secs(60);

const ABOUT: &str = "about.json";
const SESSION: &str = "session";

/// How an attempt speaks with its agent, as the journal has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spoken {
    pub backend: Backend,
    pub version: String,
    pub is_simple: bool,
    pub model: Option<String>,
    /// What the agent calls its session.
    pub session: String,
    /// What the session had come to when this was written, all of its attempts together.
    pub spent: Spent,
    /// What its task asked for, see [`asked_for`].
    pub asked: String,
}

impl Spoken {
    pub fn new(found: &Found, assignment: &Assignment, session: String, spent: Spent) -> Self {
        Self {
            backend: found.backend.clone(),
            version: found.version.clone(),
            is_simple: found.is_simple,
            model: assignment.agent.model.clone(),
            session,
            spent,
            asked: asked_for(assignment),
        }
    }
}

/// Whatever of a task an agent was told or stands in, as a digest: whoever goes on is not told it again.
fn asked_for(assignment: &Assignment) -> String {
    let Assignment { work, repository, base_ref, files, success_criteria, checks, inputs, isolation, credentials, .. } = assignment;
    let all = serde_json::to_vec(&(work, repository, base_ref, files, success_criteria, checks, inputs, isolation, credentials));
    // all of it came as JSON
    Sha256::digest(all.unwrap_or_default()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is kept of an attempt, but for its session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub attempt: AttemptKey,
    pub spoken: Spoken,
    /// Where it stood: its session speaks of files there.
    pub worktree: PathBuf,
    pub base_commit: String,
    pub branch: String,
    /// As its work was saved, on that branch; nothing when it had changed nothing.
    pub commit: Option<String>,
    /// The file of its session, below the folder of its agent.
    file: PathBuf,
    bytes: u64,
    kept_at: Timestamp,
}

impl Kept {
    /// Why an attempt cannot go on from it, as far as the agent and the task say; nothing when it can.
    pub fn refusal(&self, found: &Found, assignment: &Assignment) -> Option<String> {
        let Spoken { backend, version, is_simple, model, asked, .. } = &self.spoken;
        let title = found.backend.title();
        if *backend != found.backend {
            return Some(format!("it was carried out by {}", backend.title()));
        }
        if *is_simple != found.is_simple {
            return Some(format!("{title} was spoken with in another way"));
        }
        if *version != found.version {
            return Some(format!("it was carried out by {title} {version}, and {} is here now", found.version));
        }
        if *model != assignment.agent.model {
            return Some("the task names another model now".into());
        }
        (*asked != asked_for(assignment)).then(|| "the task asks for something else now".into())
    }

    /// Where the file of its session is to lie for an agent that stands in this worktree.
    pub fn place(&self, worktree: &Path) -> Option<PathBuf> {
        transcript::place(&self.spoken.backend, &self.file, worktree)
    }
}

/// All that this runner keeps.
pub(crate) struct Interrupted {
    folder: PathBuf,
    /// The oldest first.
    known: Mutex<Vec<Kept>>,
    kept_for: TimeDelta,
    news: Notify,
}

impl Interrupted {
    pub fn new(folder: PathBuf, kept_for: Duration) -> Self {
        let kept_for = TimeDelta::from_std(kept_for).unwrap_or(TimeDelta::MAX);
        Self { folder, known: Mutex::default(), kept_for, news: Notify::new() }
    }

    /// What earlier lives have kept, as far as it can still be used.
    pub async fn load(&self) {
        let folder = self.folder.clone();
        let found = on_disk(move || Ok(read_all(&folder))).await.unwrap_or_default();
        *lock(&self.known) = found;
        self.keep_within_bounds().await;
    }

    /// What it takes to go on from an attempt that was interrupted and saved, before its folder goes. Where that cannot be kept the next one
    /// begins anew.
    pub async fn keep(&self, entry: &Entry, saved: &[Saved]) {
        let id = entry.attempt.attempt_id;
        let Some(kept) = about(entry, saved) else { return };
        let (task, place) = (entry.attempt.task_id, self.folder.join(id.to_string()));
        let own = AttemptFolder::of(&entry.folder).home().join(own_folder(&kept.spoken.backend));
        match on_disk(move || copy(kept, &own, &place)).await {
            Ok(Some(kept)) => {
                info!(attempt.id = %id, "Attempt {} of task {task} was interrupted, and its session is kept", entry.attempt.number);
                let before = lock(&self.known).extract_if(.., |one| one.attempt.task_id == task).collect();
                lock(&self.known).push(kept);
                self.throw_away(before, Some(id.to_string())).await;
                self.keep_within_bounds().await;
            }
            Ok(None) => {}
            Err(error) => warn!(attempt.id = %id, "The session of attempt {id} could not be kept: {error}"),
        }
    }

    /// What is kept of this attempt, with its session. It is nobody else's from then on.
    pub async fn take(&self, attempt: AttemptKey) -> Option<(Kept, Vec<u8>)> {
        self.keep_within_bounds().await;
        let kept = lock(&self.known).extract_if(.., |one| one.attempt == attempt).next()?;
        let file = self.folder.join(attempt.attempt_id.to_string()).join(SESSION);
        let session = on_disk(move || fs::read(file)).await;
        self.throw_away(vec![kept.clone()], None).await;
        Some((kept, session.ok()?))
    }

    /// Nobody will go on from these.
    pub async fn forget(&self, attempts: &[AttemptKey]) {
        let gone = lock(&self.known).extract_if(.., |one| attempts.contains(&one.attempt)).collect();
        self.throw_away(gone, None).await;
    }

    /// The machine is a runner no longer.
    pub async fn forget_all(&self) {
        let gone = std::mem::take(&mut *lock(&self.known));
        self.throw_away(gone, None).await;
    }

    /// Returns when there is something new to be told.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    pub fn is_empty(&self) -> bool {
        lock(&self.known).is_empty()
    }

    /// From which one can go on.
    pub fn attempts(&self) -> Vec<AttemptKey> {
        let now = clock::now();
        lock(&self.known).iter().filter(|one| !self.is_over(one, now)).map(|one| one.attempt).collect()
    }

    /// What the server is told.
    pub fn told(&self) -> ToServer {
        ToServer::Keeps { attempts: self.attempts(), optional: true }
    }

    fn is_over(&self, kept: &Kept, now: Timestamp) -> bool {
        now - kept.kept_at > self.kept_for
    }

    /// What is kept for too long goes, and the oldest of what is too much.
    pub async fn keep_within_bounds(&self) {
        let now = clock::now();
        let gone = {
            let mut known = lock(&self.known);
            let mut gone: Vec<_> = known.extract_if(.., |one| self.is_over(one, now)).collect();
            while known.len() > MOST || known.iter().map(|one| one.bytes).sum::<u64>() > MOST_BYTES {
                gone.push(known.remove(0));
            }
            gone
        };
        self.throw_away(gone, None).await;
    }

    /// They are not known any more. What was written anew in the place of one stays.
    async fn throw_away(&self, gone: Vec<Kept>, but: Option<String>) {
        if gone.is_empty() && but.is_none() {
            return;
        }
        self.news.notify_one();
        let folder = self.folder.clone();
        let removed = on_disk(move || {
            let names = gone.iter().map(|one| one.attempt.attempt_id.to_string()).filter(|name| Some(name) != but.as_ref());
            // one that cannot be removed keeps none of the others
            names.map(|name| remove(&folder.join(name))).fold(Ok(()), io::Result::and)
        });
        if let Err(error) = removed.await {
            warn!("What was kept of an attempt could not be removed from {}: {error}", self.folder.display());
        }
    }
}

/// Nothing where nobody could go on from it: there was no agent with a session, or there is more of its work than one commit.
fn about(entry: &Entry, saved: &[Saved]) -> Option<Kept> {
    let (spoken, checkout) = (entry.spoken.clone()?, entry.worktree.as_ref()?);
    if entry.lfs || !entry.beside.is_empty() || !checkout.submodules.is_empty() || !is_a_name(&spoken.session) {
        return None;
    }
    Some(Kept {
        attempt: entry.attempt,
        spoken,
        worktree: checkout.path.clone(),
        base_commit: checkout.base_commit.clone(),
        branch: checkout.branch.clone(),
        commit: saved.first().and_then(|one| one.commit.clone()),
        file: PathBuf::new(),
        bytes: 0,
        kept_at: clock::now(),
    })
}

/// In one step: it is there when it is whole. Nothing when there is no such session.
fn copy(kept: Kept, own: &Path, place: &Path) -> io::Result<Option<Kept>> {
    let Some(file) = transcript::find(&kept.spoken.backend, own, &kept.spoken.session, &kept.worktree)? else { return Ok(None) };
    let bytes = fs::symlink_metadata(own.join(&file))?.len();
    if bytes > LONGEST {
        return Err(io::Error::other(format!("it has {bytes} bytes, and at most {LONGEST} are kept")));
    }
    let kept = Kept { bytes, file, ..kept };
    let fresh = place.with_extension("new");
    let written = write(&kept, own, &fresh).and_then(|()| remove(place)).and_then(|()| fs::rename(&fresh, place));
    if let Err(error) = written {
        // what there is of it nobody knows, and it may be all that the disk had room for
        remove(&fresh)?;
        return Err(error);
    }
    Ok(Some(kept))
}

fn write(kept: &Kept, own: &Path, fresh: &Path) -> io::Result<()> {
    remove(fresh)?;
    private_folder(fresh)?;
    fs::copy(own.join(&kept.file), fresh.join(SESSION))?;
    fs::write(fresh.join(ABOUT), serde_json::to_vec(kept)?)
}

fn read_all(folder: &Path) -> Vec<Kept> {
    let Ok(entries) = fs::read_dir(folder) else { return vec![] };
    let mut found = vec![];
    for place in entries.flatten().map(|entry| entry.path()) {
        let kept = fs::read(place.join(ABOUT)).ok().and_then(|text| serde_json::from_slice::<Kept>(&text).ok());
        let is_its = |kept: &Kept| place.file_name().is_some_and(|name| name == kept.attempt.attempt_id.to_string().as_str());
        match kept.filter(is_its) {
            Some(kept) => found.push(kept),
            // of a life that died over it, or of another version
            None => drop(remove(&place)),
        }
    }
    found.sort_by_key(|kept| kept.kept_at);
    found
}

#[cfg(test)]
mod tests;
