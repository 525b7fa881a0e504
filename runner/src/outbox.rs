//! What the runner has to say about its attempts: kept, in its order, until the server has answered that it is committed.
//!
//! Links come and go beside it. A new one begins where the server says that it stopped, and everything after that is said again. What is said
//! about an attempt is in a file of its own as well ([`kept`]), so that it outlives the process too: the next life says what is not answered,
//! to its last word.

mod kept;
mod page;

use std::{
    collections::BTreeMap,
    fmt, fs, io,
    ops::Bound,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use domain::{
    AttemptId, AttemptKey, LogStream, crash,
    protocol::{Heard, NewArtifact, Said, ToServer},
};
use tokio::sync::{Notify, oneshot};
use tracing::{error, warn};

use crate::{
    disk::on_disk,
    journal::{Journal, UNREADABLE},
    lock,
};
use kept::Synced;
#[cfg(test)]
pub(crate) use page::BROKE_OFF;
use page::{Next, Page, Room};

/// The extension of the files here.
const SAID: &str = "said";

pub(crate) struct Outbox {
    /// One file for each attempt that has said anything.
    folder: PathBuf,
    bounds: Bounds,
    book: Mutex<Book>,
    /// Something is to be said.
    to_say: Notify,
    /// Something was answered, so there may be room.
    answered: Notify,
}

/// Bytes of an attempt's log and session that are kept unanswered; then whoever writes them waits.
#[derive(Clone, Copy)]
struct Bounds {
    in_memory: usize,
    /// A log and a session as long as they may be fit, so that no server that is away holds up the work.
    on_disk: usize,
    /// Of the disk, for everything else: what is more than fits into memory waits when there is less.
    left_free: u64,
}

/// Whether there is room, when nothing is answered.
const LOOKS_AGAIN: Duration = Duration::from_secs(5);
const IN_MEMORY: usize = 1024 * 1024;
const ON_DISK: usize = 96 * 1024 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Stored,
    Stale,
    /// There will be none: what was said is set aside, and the attempt is the server's to take back.
    SetAside,
}

/// Nothing can be said about it any more: the attempt was taken away, or the runner ends without a link.
#[derive(Debug)]
pub(crate) struct Closed;

/// How far an earlier life had come with an attempt that it had said anything about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Its last word is there.
    Ended,
    AtWork,
}

#[derive(Default)]
struct Book {
    pages: BTreeMap<AttemptId, Page>,
    /// Who was heard last; the next one is next.
    turn: Option<AttemptId>,
    closed: bool,
}

impl Outbox {
    /// Log and session take no more of the disk when so many bytes of it are left.
    pub fn new(folder: PathBuf, left_free: u64) -> Self {
        let bounds = Bounds { in_memory: IN_MEMORY, on_disk: ON_DISK, left_free };
        Self { folder, bounds, book: Mutex::default(), to_say: Notify::new(), answered: Notify::new() }
    }

    /// One in which soon something is on the disk alone, and whoever writes waits.
    #[cfg(test)]
    pub fn with_little_room(folder: PathBuf) -> Self {
        Self { bounds: Bounds { in_memory: 1500, on_disk: 6000, left_free: 0 }, ..Self::new(folder, 0) }
    }

    /// An attempt that something may be said about from now on.
    pub fn open(&self, key: AttemptKey) {
        let page = Page::new(key, self.path(key.attempt_id), self.bounds);
        lock(&self.book).pages.insert(key.attempt_id, page);
    }

    /// As [`open`](Self::open), with what an earlier life has said and nobody may have heard; nothing when it has said nothing. What was
    /// left at work is given up over the next link, after the rest. On an error it may have said anything.
    pub async fn take_up(&self, key: AttemptKey) -> io::Result<Option<Left>> {
        let (path, bounds) = (self.path(key.attempt_id), self.bounds);
        let loaded = on_disk(move || {
            let loaded = Page::load(key, path.clone(), bounds);
            if let Err(error) = &loaded
                && error.kind() == io::ErrorKind::InvalidData
            {
                set_aside(&path, error);
            }
            loaded
        });
        let page = loaded.await?;
        Ok(page.map(|page| {
            let left = if page.has_ended() { Left::Ended } else { Left::AtWork };
            lock(&self.book).pages.insert(key.attempt_id, page);
            left
        }))
    }

    /// Removes what is of no attempt that the journal still has.
    pub async fn keep_what_is_in(&self, journal: &Journal) {
        let (folder, journal) = (self.folder.clone(), journal.clone());
        if let Err(error) = on_disk(move || remove_forgotten(&folder, &journal)).await {
            warn!("{} could not be cleared up: {error}", self.folder.display());
        }
    }

    /// Nothing more will be said about it, by this life or another.
    pub async fn forget(&self, attempt: AttemptId) {
        lock(&self.book).pages.remove(&attempt);
        self.answered.notify_waiters();
        let path = self.path(attempt);
        let file = path.clone();
        match on_disk(move || fs::remove_file(file)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => warn!("Could not remove {}: {error}", path.display()),
            _ => {}
        }
    }

    pub fn say(&self, attempt: AttemptId, said: Said) {
        self.put(attempt, |page| page.say(said));
    }

    /// The last word, with the end of the log that it comes after; waits for the answer.
    pub async fn ask(&self, attempt: AttemptId, last_word: impl FnOnce(u64) -> Said) -> Result<Answer, Closed> {
        self.put(attempt, |page| page.say(last_word(page.log_end())));
        self.answer_to(attempt).await
    }

    /// What an attempt without a result has changed, for its last word.
    pub fn leave(&self, attempt: AttemptId, artifacts: Vec<NewArtifact>) {
        self.put(attempt, |page| page.leave(artifacts));
    }

    /// As [`ask`](Self::ask), of one without a result.
    pub async fn give_up(&self, attempt: AttemptId) -> Result<Answer, Closed> {
        self.put(attempt, Page::give_up);
        self.answer_to(attempt).await
    }

    /// To the last word, whichever life says it.
    pub async fn answer_to(&self, attempt: AttemptId) -> Result<Answer, Closed> {
        let (tell, told) = oneshot::channel();
        if !self.put(attempt, |page| page.ask(tell)) {
            return Err(Closed);
        }
        told.await.map_err(|_| Closed)
    }

    /// Waits until there is room for a piece of the log or the session.
    pub async fn room(&self, attempt: AttemptId) -> Result<(), Closed> {
        loop {
            let answered = self.answered.notified();
            tokio::pin!(answered);
            // Before looking, so that no answer is missed.
            answered.as_mut().enable();
            let room = lock(&self.book).page(attempt).map(|page| page.room());
            match room {
                None => return Err(Closed),
                Some(Room::InMemory) => return Ok(()),
                // a disk that stands still holds up nobody else
                Some(Room::OnDisk) if has_free(&self.folder, self.bounds.left_free) => return Ok(()),
                Some(Room::OnDisk | Room::Nowhere) => {}
            }
            // a disk that has room again tells nobody
            let _ = tokio::time::timeout(LOOKS_AGAIN, answered).await;
        }
    }

    /// A piece of the log, also when there is no room.
    pub fn log(&self, attempt: AttemptId, stream: LogStream, bytes: Vec<u8>) {
        self.put(attempt, |page| page.log(stream, bytes));
        crash::point("piece.kept");
    }

    fn put(&self, attempt: AttemptId, put: impl FnOnce(&mut Page)) -> bool {
        let is_open = lock(&self.book).page(attempt).map(put).is_some();
        self.to_say.notify_one();
        is_open
    }

    /// What is to go down the link next, as soon as `may_speak` says so; the attempts take turns. What is decisive is kept before.
    pub async fn next(&self, may_speak: impl Fn() -> bool) -> ToServer {
        loop {
            let to_say = self.to_say.notified();
            let next = if may_speak() { lock(&self.book).next() } else { None };
            match next {
                None => to_say.await,
                Some((_, Next::Message(message))) => return *message,
                Some((attempt, Next::Sync { unsynced, is_last_word })) => {
                    let (up_to, synced) = unsynced.sync().await;
                    if let Err(error) = &synced {
                        // sent is safer than waiting
                        warn!(attempt.id = %attempt, "What attempt {attempt} says may be lost if its machine fails now: {error}");
                    }
                    lock(&self.book).synced(attempt, Synced { up_to, survives: synced.is_ok() });
                    if is_last_word {
                        crash::point("report.kept");
                    }
                }
            }
        }
    }

    /// It may be that something may be said now.
    pub fn wake(&self) {
        self.to_say.notify_one();
    }

    /// This number, and those before it, are committed.
    pub fn stored(&self, attempt: AttemptKey, sequence: u64) {
        self.hear(Heard { attempt, sequence, log: 0 });
    }

    /// So many bytes of the log are committed.
    pub fn logged(&self, attempt: AttemptKey, end: u64) {
        self.hear(Heard { attempt, sequence: 0, log: end });
    }

    fn hear(&self, heard: Heard) {
        if let Some(page) = lock(&self.book).pages.get_mut(&heard.attempt.attempt_id) {
            page.hear(heard);
        }
        self.answered.notify_waiters();
    }

    /// The server has less than was sent: the rest is sent again. False when it has less than it said before, so that there is nothing
    /// left to say it again from.
    pub fn go_back_to(&self, heard: Heard) -> bool {
        let remembers = lock(&self.book).pages.get_mut(&heard.attempt.attempt_id).is_none_or(|page| page.go_back_to(heard));
        self.to_say.notify_one();
        self.answered.notify_waiters();
        remembers
    }

    /// A new link: what is not answered is said again, unless that was in vain too often.
    pub fn begin_again(&self) {
        lock(&self.book).pages.values_mut().for_each(Page::begin_again);
        self.set_aside_what_is_in_vain();
        self.to_say.notify_one();
    }

    /// Something that was said is no message to the server, which does not say what. Where one alone waits for an answer it is of that one.
    pub fn not_understood(&self) {
        {
            let mut book = lock(&self.book);
            let mut waiting = book.pages.values_mut().filter(|page| page.waits());
            if let (Some(page), None) = (waiting.next(), waiting.next()) {
                page.not_understood();
            }
        }
        self.set_aside_what_is_in_vain();
        self.to_say.notify_one();
    }

    fn set_aside_what_is_in_vain(&self) {
        let pages: Vec<_> = {
            let mut book = lock(&self.book);
            let in_vain: Vec<_> = book.pages.iter().filter(|(_, page)| page.is_in_vain()).map(|(id, _)| *id).collect();
            in_vain.into_iter().filter_map(|id| book.pages.remove(&id)).collect()
        };
        for mut page in pages {
            set_aside(page.path(), &"its server answers none of it, however often it is said");
            page.tell_asker(Answer::SetAside);
        }
    }

    /// Waits until everything is answered that was said about what this life has ended without a last word.
    pub async fn heard_out(&self) {
        loop {
            let answered = self.answered.notified();
            tokio::pin!(answered);
            answered.as_mut().enable();
            if lock(&self.book).pages.values().filter(|page| page.is_open()).all(Page::is_heard_out) {
                return;
            }
            answered.await;
        }
    }

    /// What this life has no last word about, though all that was said of it is answered: there will be none.
    pub fn cut_short(&self) -> Vec<AttemptKey> {
        lock(&self.book).pages.values().filter(|page| page.is_heard_out()).map(Page::key).collect()
    }

    /// Somebody else holds the attempt: whoever waits for an answer hears so, and nothing more is said.
    pub fn stale(&self, attempt: AttemptId) {
        if let Some(mut page) = lock(&self.book).pages.remove(&attempt) {
            page.tell_asker(Answer::Stale);
        }
        self.answered.notify_waiters();
    }

    /// No answer will come any more: whoever waits for one hears so. What was said is kept for the next life.
    pub fn close(&self) {
        {
            let mut book = lock(&self.book);
            book.closed = true;
            book.pages.clear();
        }
        self.answered.notify_waiters();
    }

    fn path(&self, attempt: AttemptId) -> PathBuf {
        self.folder.join(format!("{attempt}.{SAID}"))
    }
}

impl Book {
    fn page(&mut self, attempt: AttemptId) -> Option<&mut Page> {
        self.pages.get_mut(&attempt).filter(|_| !self.closed)
    }

    fn next(&mut self) -> Option<(AttemptId, Next)> {
        let has_more = |(_, page): &(&AttemptId, &Page)| page.has_more();
        let after = self.turn.map_or(Bound::Unbounded, Bound::Excluded);
        let id = self.pages.range((after, Bound::Unbounded)).find(has_more).or_else(|| self.pages.iter().find(has_more));
        let id = *id?.0;
        self.turn = Some(id);
        Some((id, self.pages.get_mut(&id)?.next()?))
    }

    fn synced(&mut self, attempt: AttemptId, synced: Synced) {
        if let Some(page) = self.pages.get_mut(&attempt) {
            page.note_synced(synced);
        }
    }
}

fn remove_forgotten(folder: &Path, journal: &Journal) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_said = path.extension().is_some_and(|extension| extension == SAID);
        if is_said
            && path.file_stem().is_some_and(|name| journal.has_forgotten(name))
            && let Err(error) = fs::remove_file(&path)
        {
            warn!("{} is of no attempt any more, and could not be removed: {error}", path.display());
        }
    }
    Ok(())
}

/// Where a person can look at it, and no later life takes it for what is to be said.
fn set_aside(path: &Path, why: &dyn fmt::Display) {
    let aside = path.with_extension(UNREADABLE);
    match fs::rename(path, &aside) {
        Ok(()) => error!("What is in {} will never be said ({why}); it is now {}", path.display(), aside.display()),
        Err(error) => error!("What is in {} will never be said ({why}), and it could not be set aside: {error}", path.display()),
    }
}

/// Whether so many bytes are free where the folder is. A disk that does not say is one that has room, until it is full.
fn has_free(folder: &Path, bytes: u64) -> bool {
    !rustix::fs::statvfs(folder).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < bytes)
}

#[cfg(test)]
mod tests;
