//! An attempt's log: what the work writes and what Muster says about it, in one sequence of bytes.

pub(crate) mod pump;

use std::sync::{Arc, Mutex};

use domain::{
    AttemptId, LogStream,
    log::{LOG_CHUNK_LIMIT, LOG_LIMIT},
};

use crate::{held::Orders, lock, outbox::Outbox};

/// Kept free for what Muster itself says after the work has used up its share.
const OWN_SHARE: u64 = 64 * 1024;

pub(crate) struct Log {
    attempt: AttemptId,
    outbox: Arc<Outbox>,
    /// Once they say to be silent, nothing more is written.
    orders: Orders,
    written: Mutex<Written>,
}

#[derive(Default)]
struct Written {
    offset: u64,
    inside_a_line: bool,
    /// Bytes of output beyond the limit. Once some are missing, all that follow are, so that no reader takes two pieces for one.
    dropped: u64,
}

impl Written {
    fn room(&self) -> usize {
        if self.dropped > 0 {
            return 0;
        }
        usize::try_from((LOG_LIMIT - OWN_SHARE).saturating_sub(self.offset)).unwrap_or(usize::MAX)
    }
}

impl Log {
    pub fn new(attempt: AttemptId, outbox: Arc<Outbox>, orders: Orders) -> Self {
        Self { attempt, outbox, orders, written: Mutex::default() }
    }

    /// What the work wrote, at most [`domain::log::LOG_CHUNK_LIMIT`] bytes. Returns when there is room for it; at once when
    /// the log is full, so that the work goes on.
    pub async fn output(&self, stream: LogStream, bytes: &[u8]) {
        {
            let mut written = lock(&self.written);
            if written.room() == 0 {
                written.dropped += bytes.len() as u64;
                return;
            }
        }
        if !self.has_room().await {
            return;
        }
        let mut written = lock(&self.written);
        let room = written.room();
        let kept = if bytes.len() > room { &bytes[..pump::border(&bytes[..room])] } else { bytes };
        written.dropped += (bytes.len() - kept.len()) as u64;
        if !kept.is_empty() {
            self.append(&mut written, stream, kept.to_vec());
        }
    }

    /// As [`output`](Self::output), of any length.
    pub async fn text(&self, stream: LogStream, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(rest.floor_char_boundary(LOG_CHUNK_LIMIT));
            self.output(stream, piece.as_bytes()).await;
            rest = later;
        }
    }

    /// A line of Muster's own.
    pub async fn say(&self, line: &str) {
        if self.has_room().await {
            self.append_line(line);
        }
    }

    /// As [`say`](Self::say), also when there is no room or the log is to be silent.
    pub fn say_last(&self, line: &str) {
        self.append_line(line);
    }

    /// Says how much of the output is missing, if any is.
    pub async fn say_what_is_missing(&self) {
        let dropped = lock(&self.written).dropped;
        if dropped > 0 {
            let limit = LOG_LIMIT / 1024 / 1024;
            self.say(&format!("The log of an attempt holds {limit} MiB: {dropped} more bytes of output were left out")).await;
        }
    }

    /// Waits for it. False when nothing more is to be written.
    async fn has_room(&self) -> bool {
        self.orders.unless_silenced(self.outbox.room(self.attempt)).await.is_some_and(|room| room.is_ok())
    }

    fn append_line(&self, line: &str) {
        let mut written = lock(&self.written);
        let start = if written.inside_a_line { "\n" } else { "" };
        let text = format!("{start}{line}\n");
        // what a program says of itself may be in it, and a server takes no longer piece
        text.as_bytes().chunks(LOG_CHUNK_LIMIT).for_each(|piece| self.append(&mut written, LogStream::Muster, piece.to_vec()));
    }

    fn append(&self, written: &mut Written, stream: LogStream, bytes: Vec<u8>) {
        written.offset += bytes.len() as u64;
        written.inside_a_line = bytes.last().is_some_and(|last| *last != b'\n');
        self.outbox.log(self.attempt, stream, bytes);
    }
}

#[cfg(test)]
mod tests {
    use domain::{AttemptKey, TaskId, protocol::ToServer};
    use uuid::Uuid;

    use super::*;
    use crate::held::Held;

    #[tokio::test]
    async fn a_line_of_muster_s_own_goes_in_pieces_that_a_server_takes() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Arc::new(Outbox::new(folder.path().to_owned(), 0));
        let key = AttemptKey { task_id: TaskId(Uuid::nil()), attempt_id: AttemptId(Uuid::nil()), number: 1 };
        outbox.open(key);
        let (orders, _tellings) = Held::default().take(key).unwrap();
        let line = "é".repeat(LOG_CHUNK_LIMIT);
        Log::new(key.attempt_id, Arc::clone(&outbox), orders).say_last(&line);
        let mut text = vec![];
        while text.len() <= line.len() {
            let ToServer::Log { offset, bytes, .. } = outbox.next(|| true).await else { panic!("there is nothing but its log") };
            assert!(bytes.len() <= LOG_CHUNK_LIMIT, "a piece of {} bytes", bytes.len());
            assert_eq!(offset, text.len() as u64);
            text.extend(bytes);
        }
        assert!(text == format!("{line}\n").as_bytes());
    }
}
