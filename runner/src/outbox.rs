//! What the runner has to say about its attempts: kept, in its order, until the server has answered that it is committed.
//!
//! Links come and go beside it. A new one begins where the server says that it stopped, and everything after that is said again.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
    sync::Mutex,
};

use domain::{
    AttemptId, AttemptKey, LogStream,
    protocol::{Heard, Said, ToServer},
};
use tokio::sync::{Notify, oneshot};

use crate::lock;

/// Bytes of an attempt's log and session that are kept unanswered; then whoever writes them waits.
const LOG_KEPT: usize = 1024 * 1024;

#[derive(Default)]
pub(crate) struct Outbox {
    book: Mutex<Book>,
    /// Something is to be said.
    to_say: Notify,
    /// Something was answered, so there may be room.
    answered: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Stored,
    Stale,
}

/// Nothing can be said about it any more: the attempt was taken away, or the runner ends without a link.
#[derive(Debug)]
pub(crate) struct Closed;

#[derive(Default)]
struct Book {
    pages: BTreeMap<AttemptId, Page>,
    /// Who was heard last; the next one is next.
    turn: Option<AttemptId>,
    closed: bool,
}

/// Everything about one attempt that the server has not answered.
struct Page {
    key: AttemptKey,
    said: u64,
    log_end: u64,
    items: VecDeque<Item>,
    /// How many of them have gone down the link.
    sent: usize,
    /// Of log and session, in the items.
    bytes: usize,
    heard: Heard,
    /// Who waits for the answer to this number.
    asker: Option<(u64, oneshot::Sender<Answer>)>,
}

enum Item {
    Said { sequence: u64, said: Said, weight: usize },
    Log { offset: u64, stream: LogStream, bytes: Vec<u8> },
}

impl Outbox {
    /// An attempt that something may be said about from now on.
    pub fn open(&self, key: AttemptKey) {
        lock(&self.book).pages.insert(key.attempt_id, Page::new(key));
    }

    /// Nothing more will be said about it.
    pub fn forget(&self, attempt: AttemptId) {
        lock(&self.book).pages.remove(&attempt);
        self.answered.notify_waiters();
    }

    pub fn say(&self, attempt: AttemptId, said: Said) {
        self.put(attempt, |page| page.say(said));
    }

    /// The last word, with the end of the log that it comes after; waits for the answer.
    pub async fn ask(&self, attempt: AttemptId, last_word: impl FnOnce(u64) -> Said) -> Result<Answer, Closed> {
        let (tell, told) = oneshot::channel();
        let is_open = self.put(attempt, |page| {
            page.say(last_word(page.log_end));
            page.asker = Some((page.said, tell));
        });
        if !is_open {
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
            match lock(&self.book).page(attempt) {
                None => return Err(Closed),
                Some(page) if page.bytes < LOG_KEPT => return Ok(()),
                Some(_) => {}
            }
            answered.await;
        }
    }

    /// A piece of the log, also when there is no room.
    pub fn log(&self, attempt: AttemptId, stream: LogStream, bytes: Vec<u8>) {
        self.put(attempt, |page| page.log(stream, bytes));
    }

    fn put(&self, attempt: AttemptId, put: impl FnOnce(&mut Page)) -> bool {
        let is_open = lock(&self.book).page(attempt).map(put).is_some();
        self.to_say.notify_one();
        is_open
    }

    /// What is to go down the link next; the attempts take turns.
    pub async fn next(&self) -> ToServer {
        loop {
            let to_say = self.to_say.notified();
            if let Some(message) = lock(&self.book).next() {
                return message;
            }
            to_say.await;
        }
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
        let mut remembers = true;
        if let Some(page) = lock(&self.book).pages.get_mut(&heard.attempt.attempt_id) {
            remembers = heard.sequence >= page.heard.sequence && heard.log >= page.heard.log;
            page.hear(heard);
            page.sent = 0;
        }
        self.to_say.notify_one();
        self.answered.notify_waiters();
        remembers
    }

    /// A new link: what is not answered is said again.
    pub fn begin_again(&self) {
        lock(&self.book).pages.values_mut().for_each(|page| page.sent = 0);
        self.to_say.notify_one();
    }

    /// Somebody else holds the attempt: whoever waits for an answer hears so, and nothing more is said.
    pub fn stale(&self, attempt: AttemptId) {
        let page = lock(&self.book).pages.remove(&attempt);
        if let Some((_, tell)) = page.and_then(|page| page.asker) {
            // Whoever asked may have given up meanwhile.
            let _ = tell.send(Answer::Stale);
        }
        self.answered.notify_waiters();
    }

    /// No answer will come any more: whoever waits for one hears so.
    pub fn close(&self) {
        {
            let mut book = lock(&self.book);
            book.closed = true;
            book.pages.clear();
        }
        self.answered.notify_waiters();
    }
}

impl Book {
    fn page(&mut self, attempt: AttemptId) -> Option<&mut Page> {
        self.pages.get_mut(&attempt).filter(|_| !self.closed)
    }

    fn next(&mut self) -> Option<ToServer> {
        let has_more = |(_, page): &(&AttemptId, &Page)| page.sent < page.items.len();
        let after = self.turn.map_or(Bound::Unbounded, Bound::Excluded);
        let id = self.pages.range((after, Bound::Unbounded)).find(has_more).or_else(|| self.pages.iter().find(has_more));
        let id = *id?.0;
        self.turn = Some(id);
        self.pages.get_mut(&id)?.next()
    }
}

impl Page {
    fn new(key: AttemptKey) -> Self {
        let heard = Heard { attempt: key, sequence: 0, log: 0 };
        Self { key, said: 0, log_end: 0, items: VecDeque::new(), sent: 0, bytes: 0, heard, asker: None }
    }

    fn say(&mut self, said: Said) {
        self.said += 1;
        let weight = weight(&said);
        self.bytes += weight;
        self.items.push_back(Item::Said { sequence: self.said, said, weight });
    }

    fn log(&mut self, stream: LogStream, bytes: Vec<u8>) {
        let offset = self.log_end;
        self.log_end += bytes.len() as u64;
        self.bytes += bytes.len();
        self.items.push_back(Item::Log { offset, stream, bytes });
    }

    fn next(&mut self) -> Option<ToServer> {
        let attempt = self.key;
        let message = match self.items.get(self.sent)? {
            Item::Said { sequence, said, .. } => ToServer::Said { attempt, sequence: *sequence, said: said.clone() },
            Item::Log { offset, stream, bytes } => ToServer::Log { attempt, offset: *offset, stream: *stream, bytes: bytes.clone() },
        };
        self.sent += 1;
        Some(message)
    }

    /// Whatever the server says that it has, it never has less than it said before.
    fn hear(&mut self, heard: Heard) {
        self.heard.sequence = self.heard.sequence.max(heard.sequence);
        self.heard.log = self.heard.log.max(heard.log);
        while self.items.front().is_some_and(|item| item.is_heard(self.heard)) {
            self.bytes -= self.items.pop_front().map_or(0, |item| item.weight());
            self.sent = self.sent.saturating_sub(1);
        }
        self.cut_what_is_heard_in_part();
        if let Some((_, tell)) = self.asker.take_if(|(sequence, _)| *sequence <= self.heard.sequence) {
            // Whoever asked may have given up meanwhile.
            let _ = tell.send(Answer::Stored);
        }
    }

    fn cut_what_is_heard_in_part(&mut self) {
        let known = self.heard.log;
        if let Some(Item::Log { offset, bytes, .. }) = self.items.front_mut()
            && *offset < known
        {
            let cut = usize::try_from(known - *offset).unwrap_or(usize::MAX).min(bytes.len());
            bytes.drain(..cut);
            *offset += cut as u64;
            self.bytes -= cut;
        }
    }
}

/// What is said as often as an agent has something to say counts as much as its log. The rest is said a few times in an attempt.
fn weight(said: &Said) -> usize {
    match said {
        Said::Session { events } => serde_json::to_string(events).map_or(0, |text| text.len()),
        Said::Asks { asked, .. } => serde_json::to_string(asked).map_or(0, |text| text.len()),
        _ => 0,
    }
}

impl Item {
    fn weight(&self) -> usize {
        match self {
            Self::Said { weight, .. } => *weight,
            Self::Log { bytes, .. } => bytes.len(),
        }
    }

    fn is_heard(&self, heard: Heard) -> bool {
        match self {
            Self::Said { sequence, .. } => *sequence <= heard.sequence,
            Self::Log { offset, bytes, .. } => offset + bytes.len() as u64 <= heard.log,
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::{SessionEvent, SessionEventKind, TaskId};
    use uuid::Uuid;

    use super::*;

    fn key(number: u128) -> AttemptKey {
        AttemptKey { task_id: TaskId(Uuid::nil()), attempt_id: AttemptId(Uuid::from_u128(number)), number: 1 }
    }

    /// What goes down the link now: numbers of what is said, and pieces of log with their offsets.
    fn sent(outbox: &Outbox) -> Vec<String> {
        let next = || lock(&outbox.book).next();
        let shown = |message| match message {
            ToServer::Said { sequence, .. } => format!("#{sequence}"),
            ToServer::Log { offset, bytes, .. } => format!("{offset}:{}", String::from_utf8(bytes).unwrap()),
            other => panic!("{other:?}"),
        };
        std::iter::from_fn(next).map(shown).collect()
    }

    fn log(outbox: &Outbox, key: AttemptKey, text: &str) {
        outbox.log(key.attempt_id, LogStream::Stdout, text.as_bytes().to_vec());
    }

    fn start(outbox: &Outbox, key: AttemptKey) {
        outbox.open(key);
        outbox.say(key.attempt_id, Said::Verifying);
        log(outbox, key, "one ");
        log(outbox, key, "two");
    }

    #[test]
    fn what_is_not_answered_is_said_again_over_the_next_link() {
        let outbox = Outbox::default();
        start(&outbox, key(1));
        assert_eq!(sent(&outbox), ["#1", "0:one ", "4:two"]);
        assert!(sent(&outbox).is_empty(), "once over one link");
        outbox.stored(key(1), 1);
        outbox.begin_again();
        assert_eq!(sent(&outbox), ["0:one ", "4:two"]);
        assert!(outbox.go_back_to(Heard { attempt: key(1), sequence: 1, log: 4 }));
        assert_eq!(sent(&outbox), ["4:two"]);
        outbox.say(key(1).attempt_id, Said::Verifying);
        assert_eq!(sent(&outbox), ["#2"], "numbers and offsets go on");
        log(&outbox, key(1), "!");
        assert_eq!(sent(&outbox), ["7:!"]);
    }

    #[test]
    fn a_piece_that_is_there_in_part_is_cut() {
        let outbox = Outbox::default();
        start(&outbox, key(1));
        assert!(outbox.go_back_to(Heard { attempt: key(1), sequence: 1, log: 5 }));
        assert_eq!(sent(&outbox), ["5:wo"]);
        outbox.logged(key(1), 3);
        outbox.begin_again();
        assert_eq!(sent(&outbox), ["5:wo"], "an old answer takes nothing back");
        outbox.logged(key(1), 7);
        assert_eq!(lock(&outbox.book).pages[&key(1).attempt_id].bytes, 0);
    }

    #[test]
    fn a_server_that_has_forgotten_is_noticed() {
        let outbox = Outbox::default();
        start(&outbox, key(1));
        assert!(outbox.go_back_to(Heard { attempt: key(1), sequence: 1, log: 4 }));
        assert!(!outbox.go_back_to(Heard { attempt: key(1), sequence: 0, log: 4 }));
        assert!(!outbox.go_back_to(Heard { attempt: key(1), sequence: 1, log: 3 }));
    }

    #[test]
    fn attempts_take_turns() {
        let outbox = Outbox::default();
        for number in 1..=3 {
            outbox.open(key(number));
            log(&outbox, key(number), &format!("{number}a"));
            log(&outbox, key(number), &format!("{number}b"));
        }
        assert_eq!(sent(&outbox), ["0:1a", "0:2a", "0:3a", "2:1b", "2:2b", "2:3b"]);
    }

    #[tokio::test]
    async fn whoever_asks_hears_what_became_of_it() {
        let outbox = Outbox::default();
        let last = |_| Said::GivenUp;
        let asked = |number: u128| {
            start(&outbox, key(number));
            outbox.ask(key(number).attempt_id, last)
        };
        let (stored, ()) = tokio::join!(asked(1), async {
            outbox.stored(key(1), 1);
            outbox.stored(key(1), 2);
        });
        assert_eq!(stored.unwrap(), Answer::Stored);
        let (stale, ()) = tokio::join!(asked(2), async { outbox.stale(key(2).attempt_id) });
        assert_eq!(stale.unwrap(), Answer::Stale);
        assert!(outbox.ask(key(2).attempt_id, last).await.is_err(), "nothing more is said about it");
        let (closed, ()) = tokio::join!(asked(3), async { outbox.close() });
        assert!(closed.is_err());
        assert!(sent(&outbox).is_empty());
    }

    #[tokio::test]
    async fn whoever_writes_waits_for_room() {
        let outbox = Outbox::default();
        outbox.open(key(1));
        outbox.log(key(1).attempt_id, LogStream::Stdout, vec![b'x'; LOG_KEPT]);
        let room = outbox.room(key(1).attempt_id);
        tokio::pin!(room);
        assert!(now(&mut room).await.is_none());
        outbox.logged(key(1), 1);
        assert!(room.await.is_ok());
        assert!(outbox.room(key(2).attempt_id).await.is_err(), "there is no such attempt");
    }

    #[tokio::test]
    async fn a_session_takes_the_room_of_a_log() {
        let outbox = Outbox::default();
        outbox.open(key(1));
        let message = SessionEventKind::Message { text: "x".repeat(LOG_KEPT) };
        let event = SessionEvent { number: 1, at: crate::clock::now(), kind: message };
        outbox.say(key(1).attempt_id, Said::Session { events: vec![event] });
        let room = outbox.room(key(1).attempt_id);
        tokio::pin!(room);
        assert!(now(&mut room).await.is_none());
        outbox.stored(key(1), 1);
        assert!(room.await.is_ok());
    }

    /// Its outcome, if it is there now.
    async fn now<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            done = future => Some(done),
            () = std::future::ready(()) => None,
        }
    }
}
