//! Everything about one attempt that the server has not answered, in its order. What its work writes is in memory up to a bound, and on the
//! disk alone beyond that; what the runner itself says is always in both.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use domain::{
    AttemptKey, LogStream,
    protocol::{Heard, NewArtifact, Said, ToServer},
};
use tokio::{sync::oneshot, time::Instant};
use tracing::warn;

use super::{
    Answer, Bounds,
    kept::{Kept, Place, Record, Synced, Unsynced},
};

/// What a piece costs beside its bytes.
const OVERHEAD: usize = 64;
/// How often what an earlier life has said is said to a server that answers nothing of it. A page that held its attempt for ever would keep
/// the task from everybody.
pub(super) const IN_VAIN: u32 = 10;
/// Links that close at once count as one for so long: what drops them may be between the two, and mended in a moment.
pub(super) const A_LINK: Duration = Duration::from_secs(30);
/// The end of the log of what an earlier life left at work. What was in a pipe then has been read by nobody.
pub(crate) const BROKE_OFF: &str =
    "The runner ended here and has started again: if the work wrote anything after this, it is not in the log\n";
/// A server that says that it does not understand is as clear as some links that closed.
pub(super) const A_COMPLAINT: u32 = 2;

pub(super) struct Page {
    key: AttemptKey,
    bounds: Bounds,
    said: u64,
    log_end: u64,
    inside_a_line: bool,
    items: VecDeque<Item>,
    /// How many of them have gone down the link.
    sent: usize,
    /// Of log and session, in the items; and as much of it as is in memory.
    bytes: usize,
    in_memory: usize,
    heard: Heard,
    /// The number of the last word, once it is said.
    last_word: Option<u64>,
    /// Another life has begun it, which was over before it was answered.
    is_earlier: bool,
    /// That life ended before its last word.
    is_left: bool,
    /// What it has changed, for when it is given up.
    left: Vec<NewArtifact>,
    /// How often it was said since anything of it was answered.
    in_vain: u32,
    /// When a link was last counted.
    counted: Option<Instant>,
    /// Who waits for the answer to the last word.
    asker: Option<oneshot::Sender<Answer>>,
    kept: Kept,
}

struct Item {
    what: What,
    weight: usize,
    content: Content,
    /// Up to where the file has to be synced before it is sent.
    needs: Option<u64>,
}

#[derive(Clone, Copy)]
enum What {
    Said(u64),
    /// The bytes that are not answered.
    Log {
        from: u64,
        to: u64,
    },
}

enum Content {
    Here(Box<Record>),
    OnDisk(Place),
}

#[derive(Clone, Copy)]
pub(super) enum Room {
    InMemory,
    /// As long as the disk has some.
    OnDisk,
    Nowhere,
}

/// What is next.
pub(super) enum Next {
    Message(Box<ToServer>),
    /// Before anything else is sent.
    Sync {
        unsynced: Unsynced,
        is_last_word: bool,
    },
}

impl Page {
    pub fn new(key: AttemptKey, path: PathBuf, bounds: Bounds) -> Self {
        let heard = Heard { attempt: key, sequence: 0, log: 0 };
        Self {
            key,
            bounds,
            said: 0,
            log_end: 0,
            inside_a_line: false,
            items: VecDeque::new(),
            sent: 0,
            bytes: 0,
            in_memory: 0,
            heard,
            last_word: None,
            is_earlier: false,
            is_left: false,
            left: vec![],
            in_vain: 0,
            counted: None,
            asker: None,
            kept: Kept::new(path),
        }
    }

    /// What an earlier life has said; nothing when it has said nothing.
    pub fn load(key: AttemptKey, path: PathBuf, bounds: Bounds) -> io::Result<Option<Self>> {
        let mut page = Self::new(key, path.clone(), bounds);
        let Some(kept) = Kept::read_all(path, |place, record| page.take_up(place, record))? else { return Ok(None) };
        page.kept = kept;
        (page.is_earlier, page.is_left) = (true, page.last_word.is_none());
        Ok(Some(page))
    }

    /// False when it does not follow what came before. What came before the first was answered.
    fn take_up(&mut self, place: Place, record: Record) -> bool {
        if self.last_word.is_some() {
            return false;
        }
        match &record {
            Record::Said { sequence: 0, .. } => return false,
            Record::Said { sequence, .. } if self.said == 0 => self.heard.sequence = sequence - 1,
            Record::Said { sequence, .. } if *sequence != self.said + 1 => return false,
            Record::Log { offset, .. } if self.log_end == 0 => self.heard.log = *offset,
            Record::Log { offset, .. } if *offset != self.log_end => return false,
            _ => {}
        }
        if let Record::Said { said: Said::Report { log_end, .. } | Said::ReportInParts { log_end, .. }, .. } = &record
            && self.log_end == 0
        {
            (self.log_end, self.heard.log) = (*log_end, *log_end);
        }
        self.put(record, Some(place));
        true
    }

    /// Whether an earlier life has said its last word.
    pub fn has_ended(&self) -> bool {
        self.last_word.is_some()
    }

    /// Whether this life has begun it, everything that was said is answered, and its last word is not said.
    pub fn is_heard_out(&self) -> bool {
        self.is_open() && self.items.is_empty()
    }

    /// Whether this life has begun it, and its last word is not said.
    pub fn is_open(&self) -> bool {
        !self.is_earlier && self.last_word.is_none()
    }

    pub fn key(&self) -> AttemptKey {
        self.key
    }

    pub fn log_end(&self) -> u64 {
        self.log_end
    }

    pub fn say(&mut self, said: Said) {
        let record = Record::Said { sequence: self.said + 1, said };
        let place = self.kept.append(&record);
        self.put(record, place);
    }

    pub fn log(&mut self, stream: LogStream, bytes: Vec<u8>) {
        let record = Record::Log { offset: self.log_end, stream, bytes };
        let place = self.kept.append(&record);
        self.put(record, place);
    }

    fn put(&mut self, record: Record, place: Option<Place>) {
        let (what, weight, is_the_works, is_decisive) = match &record {
            Record::Said { sequence, said } => {
                self.said = *sequence;
                if is_last_word(said) {
                    self.last_word = Some(*sequence);
                }
                (What::Said(*sequence), weight(said), matches!(said, Said::Session { .. }), is_decisive(said))
            }
            Record::Log { offset, bytes, .. } => {
                self.log_end = offset + bytes.len() as u64;
                self.inside_a_line = bytes.last().is_some_and(|last| *last != b'\n');
                (What::Log { from: *offset, to: self.log_end }, bytes.len() + OVERHEAD, true, false)
            }
        };
        let content = match place {
            Some(place) if is_the_works && self.in_memory + weight > self.bounds.in_memory => Content::OnDisk(place),
            _ => {
                self.in_memory += weight;
                Content::Here(Box::new(record))
            }
        };
        self.bytes += weight;
        self.items.push_back(Item { what, weight, content, needs: place.filter(|_| is_decisive).map(Place::end) });
    }

    /// Where more of the work's may go.
    pub fn room(&self) -> Room {
        if self.bytes < self.bounds.in_memory {
            return Room::InMemory;
        }
        if self.kept.takes_more() && self.bytes < self.bounds.on_disk { Room::OnDisk } else { Room::Nowhere }
    }

    pub fn has_more(&self) -> bool {
        self.sent < self.items.len()
    }

    pub fn next(&mut self) -> Option<Next> {
        let item = self.items.get(self.sent)?;
        if let Some(unsynced) = item.needs.and_then(|up_to| self.kept.unsynced(up_to)) {
            let is_last_word = matches!(item.what, What::Said(sequence) if Some(sequence) == self.last_word);
            return Some(Next::Sync { unsynced, is_last_word });
        }
        let record = match &item.content {
            Content::Here(record) => (**record).clone(),
            Content::OnDisk(place) => self.kept.read(*place).unwrap_or_else(|error| unreadable(self.key, item.what, &error)),
        };
        let attempt = self.key;
        let message = match (record, item.what) {
            (Record::Said { sequence, said }, _) => ToServer::Said { attempt, sequence, said },
            (Record::Log { offset, stream, mut bytes }, What::Log { from, .. }) if from > offset => {
                let known = usize::try_from(from - offset).unwrap_or(usize::MAX).min(bytes.len());
                bytes.drain(..known);
                ToServer::Log { attempt, offset: from, stream, bytes }
            }
            (Record::Log { offset, stream, bytes }, _) => ToServer::Log { attempt, offset, stream, bytes },
        };
        self.sent += 1;
        Some(Next::Message(Box::new(message)))
    }

    pub fn note_synced(&mut self, synced: Synced) {
        self.kept.note_synced(synced);
    }

    /// What is not answered is sent again. What an earlier life has left in the middle of its work is given up with that, and its log says so.
    pub fn begin_again(&mut self) {
        self.sent = 0;
        if self.counted.is_none_or(|counted| counted.elapsed() >= A_LINK) {
            self.in_vain += 1;
            self.counted = Some(Instant::now());
        }
        if self.is_left && self.last_word.is_none() {
            // what the disk has lost and the server has heard is not written over
            self.log_end = self.log_end.max(self.heard.log);
            let start = if self.inside_a_line { "\n" } else { "" };
            self.log(LogStream::Muster, format!("{start}{BROKE_OFF}").into_bytes());
            self.give_up();
        }
    }

    /// What has changed by an attempt that has no result.
    pub fn leave(&mut self, artifacts: Vec<NewArtifact>) {
        self.left = artifacts;
    }

    /// The last word about one that has no result.
    pub fn give_up(&mut self) {
        let artifacts = std::mem::take(&mut self.left);
        self.say(Said::GivenUp { artifacts });
    }

    /// Something is with the server, and not answered.
    pub fn waits(&self) -> bool {
        self.sent > 0
    }

    /// The server does not understand it: what an earlier life has said is said again, until it [`is_in_vain`](Self::is_in_vain).
    pub fn not_understood(&mut self) {
        if self.is_earlier {
            self.sent = 0;
            self.in_vain += A_COMPLAINT;
        }
    }

    /// Whether it was said often enough, and nobody will ever answer it.
    pub fn is_in_vain(&self) -> bool {
        self.is_earlier && self.in_vain > IN_VAIN
    }

    pub fn path(&self) -> &Path {
        self.kept.path()
    }

    /// The server has so much, and no more: the rest is sent again. False when it has less than it said before, so that there is nothing
    /// left to say it again from.
    pub fn go_back_to(&mut self, heard: Heard) -> bool {
        let remembers = heard.sequence >= self.heard.sequence && heard.log >= self.heard.log;
        // what the disk has not kept over a crash of the machine may have been heard all the same
        if self.is_left && self.last_word.is_none() {
            self.said = self.said.max(heard.sequence);
        }
        self.hear(heard);
        self.sent = 0;
        remembers
    }

    /// Whatever the server says that it has, it never has less than it said before.
    pub fn hear(&mut self, heard: Heard) {
        let before = self.heard;
        self.heard.sequence = self.heard.sequence.max(heard.sequence);
        self.heard.log = self.heard.log.max(heard.log);
        if self.heard != before {
            self.in_vain = 0;
        }
        while let Some(item) = self.items.pop_front_if(|item| item.is_heard(self.heard)) {
            self.bytes -= item.weight;
            if matches!(item.content, Content::Here(_)) {
                self.in_memory -= item.weight;
            }
            self.sent = self.sent.saturating_sub(1);
        }
        if let Some(Item { what: What::Log { from, .. }, .. }) = self.items.front_mut() {
            *from = self.heard.log.max(*from);
        }
        // the file of what has ended goes as a whole
        if self.items.is_empty() && self.last_word.is_none() {
            self.kept.answered();
        }
        self.answer();
    }

    /// Of whoever waits for the answer to the last word.
    pub fn ask(&mut self, tell: oneshot::Sender<Answer>) {
        self.asker = Some(tell);
        self.answer();
    }

    fn answer(&mut self) {
        if self.last_word.is_some_and(|last| last <= self.heard.sequence) {
            self.tell_asker(Answer::Stored);
        }
    }

    pub fn tell_asker(&mut self, answer: Answer) {
        if let Some(tell) = self.asker.take() {
            // whoever asked may have given up meanwhile
            let _ = tell.send(answer);
        }
    }
}

impl Item {
    fn is_heard(&self, heard: Heard) -> bool {
        match self.what {
            What::Said(sequence) => sequence <= heard.sequence,
            What::Log { to, .. } => to <= heard.log,
        }
    }
}

/// What is said as often as an agent has something to say counts as much as its log. The rest is said a few times in an attempt.
fn weight(said: &Said) -> usize {
    match said {
        Said::Session { events } => OVERHEAD + serde_json::to_string(events).map_or(0, |text| text.len()),
        Said::Asks { asked, .. } => OVERHEAD + serde_json::to_string(asked).map_or(0, |text| text.len()),
        _ => 0,
    }
}

/// What the server acts on. It is on the disk before it is sent, and everything before it with it.
fn is_decisive(said: &Said) -> bool {
    match said {
        Said::Started { .. } | Said::Asks { .. } | Said::Verifying | Said::WorksAgain { .. } => true,
        Said::Report { .. } | Said::ReportInParts { .. } | Said::GivenUp { .. } => true,
        Said::Session { .. } | Said::AsksNoMore { .. } | Said::Heard { .. } | Said::Part { .. } => false,
    }
}

fn is_last_word(said: &Said) -> bool {
    matches!(said, Said::Report { .. } | Said::ReportInParts { .. } | Said::GivenUp { .. })
}

/// In the place of what the disk does not give back: nothing that follows moves, and a log says what is missing.
fn unreadable(key: AttemptKey, what: What, error: &io::Error) -> Record {
    warn!(attempt.id = %key.attempt_id, "What attempt {} of task {} has said cannot be read back: {error}", key.number, key.task_id);
    match what {
        What::Said(sequence) => Record::Said { sequence, said: Said::Session { events: vec![] } },
        What::Log { from, to } => {
            let length = usize::try_from(to - from).unwrap_or(usize::MAX);
            let mut bytes = format!("\n{length} bytes of this log could not be read back from the disk of its runner\n").into_bytes();
            bytes.resize(length, b' ');
            Record::Log { offset: from, stream: LogStream::Muster, bytes }
        }
    }
}
