//! What comes of a pull, and how long what is said of it is listened to: whatever is at an address may say as much as it likes, for ever.

use std::collections::BTreeSet;

use domain::endpoint::pull::{PullEnd, PullProgress};
use tokio::time::Instant;

use super::SILENT;

/// Lines that are heard of one pull. An Ollama writes about 17 in a second: in the day that a pull lasts at most, less than half of these.
const LINES: usize = 4_000_000;
/// Bytes of them.
const BYTES: usize = 1 << 30;
/// Things that it says it does, of which each counts once. Of the largest models they are some dozens; what comes after so many is no news.
const STATUSES: usize = 1000;
/// Characters of one.
const STATUS: usize = 200;

/// What came of having a model pulled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pulled {
    Ended(PullEnd),
    /// Nobody has answered, so nothing has begun; why. It may be back in a moment, as one that is updated.
    Unanswered(String),
    /// Whoever was at it has gone away in the middle. Another pull goes on from there.
    BrokeOff,
}

impl Pulled {
    pub fn failed(why: impl Into<String>) -> Self {
        Self::Ended(PullEnd::Failed { why: why.into() })
    }
}

/// How far a pull has come at most and since when, and how much was said of it.
pub(super) struct Way {
    moved: Instant,
    most: u64,
    statuses: BTreeSet<String>,
    lines: usize,
    bytes: usize,
}

impl Way {
    pub fn begun() -> Self {
        Self { moved: Instant::now(), most: 0, statuses: BTreeSet::new(), lines: 0, bytes: 0 }
    }

    pub fn hears(&mut self, lines: usize, bytes: usize) {
        self.lines = self.lines.saturating_add(lines);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// What it begins anew has to pass what there was before, and what it has said before is no news: two things may be said in turn for ever.
    pub fn comes_to(&mut self, progress: &PullProgress) {
        let is_news = self.statuses.len() < STATUSES && self.statuses.insert(progress.status.chars().take(STATUS).collect());
        if progress.completed > self.most || is_news {
            (self.moved, self.most) = (Instant::now(), self.most.max(progress.completed));
        }
    }

    /// How far it has come at most.
    pub fn most(&self) -> u64 {
        self.most
    }

    /// Why nothing more is heard of it, when that is so.
    pub fn leads_nowhere(&self) -> Option<String> {
        if self.lines > LINES || self.bytes > BYTES {
            return Some(format!("it says more than an Ollama does: over {LINES} lines, or {} MiB", BYTES >> 20));
        }
        (self.moved.elapsed() >= SILENT).then(|| format!("it has come no further for {} min", SILENT.as_secs() / 60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_said_again_is_no_news_and_neither_is_what_is_always_another() {
        let says = |number: usize| PullProgress { status: format!("part {number}"), ..PullProgress::default() };
        let mut way = Way::begun();
        for number in 0..STATUSES {
            tokio::time::advance(SILENT / 2).await;
            way.comes_to(&says(number));
            assert_eq!(way.leads_nowhere(), None, "{number}");
        }
        for number in [0, 1, STATUSES, STATUSES + 1] {
            tokio::time::advance(SILENT / 2).await;
            way.comes_to(&says(number));
        }
        assert!(way.leads_nowhere().unwrap().contains("no further"));
        way.comes_to(&PullProgress { completed: 1, total: 2, ..says(0) });
        assert_eq!(way.leads_nowhere(), None, "bytes are");
    }

    #[test]
    fn no_more_is_heard_than_an_ollama_says_in_a_day() {
        let in_a_day = 17 * 24 * 3600;
        let mut way = Way::begun();
        way.hears(in_a_day, in_a_day * 160);
        assert_eq!(way.leads_nowhere(), None);
        way.hears(LINES, 0);
        assert!(way.leads_nowhere().unwrap().contains("says more"));
        let mut in_one_line = Way::begun();
        in_one_line.hears(1, BYTES + 1);
        assert!(in_one_line.leads_nowhere().is_some());
    }
}
