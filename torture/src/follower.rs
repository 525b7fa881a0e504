//! Whoever follows the events of the workspace, and writes down what came and when.

use std::{path::PathBuf, sync::Arc, time::Duration};

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::{api::Api, ledger::Ledger, work::unix_millis};

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeenEntry {
    /// Where the stream stood when it was opened the first time: everything after it has to come.
    Begins { at: String },
    Event {
        id: String,
        /// Milliseconds since 1970.
        at: u64,
    },
}

pub struct Follower {
    pub api: Arc<Api>,
    /// The servers between which it hops.
    pub addresses: Vec<String>,
    /// The longest it stays with one.
    pub stays: Duration,
    pub ledger: PathBuf,
    pub seed: u64,
}

impl Follower {
    /// Until it is stopped. A stream that breaks off or says nothing is taken up elsewhere, after the last event that came whole.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let ledger = Ledger::open(&self.ledger)?;
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut position = None;
        while !stop.is_cancelled() {
            let address = &self.addresses[random.random_range(0..self.addresses.len())];
            let leaves = Instant::now() + self.stays.mul_f64(random.random_range(0.2..1.0));
            tokio::select! {
                () = stop.cancelled() => {}
                // It ends with an error whenever a stream breaks off, which is what this is about.
                _ = timeout_at(leaves, self.follow(address, &mut position, &ledger)) => {}
            }
            tokio::time::sleep(Duration::from_millis(random.random_range(0..50))).await;
        }
        Ok(())
    }

    async fn follow(&self, address: &str, position: &mut Option<String>, ledger: &Ledger) -> anyhow::Result<()> {
        let mut stream = self.api.follow(address, position.as_deref()).await?;
        let mut frames = Frames::default();
        while let Some(bytes) = stream.chunk().await? {
            let at = unix_millis()?;
            let mut seen = vec![];
            for frame in frames.complete(&bytes) {
                if frame.is_event {
                    seen.push(SeenEntry::Event { id: frame.id.clone(), at });
                } else if position.is_none() && !frame.id.is_empty() {
                    seen.push(SeenEntry::Begins { at: frame.id.clone() });
                }
                if !frame.id.is_empty() {
                    *position = Some(frame.id);
                }
            }
            // No await between the two: whoever is stopped here has written down what it goes on from.
            ledger.write_all(&seen)?;
        }
        Ok(())
    }
}

/// What has come of a stream, cut into its messages. One that is cut off in the middle never came.
#[derive(Default)]
struct Frames(Vec<u8>);

#[derive(Debug, PartialEq, Eq)]
struct Frame {
    id: String,
    is_event: bool,
}

impl Frames {
    fn complete(&mut self, bytes: &[u8]) -> Vec<Frame> {
        self.0.extend_from_slice(bytes);
        let mut frames = vec![];
        while let Some(end) = self.0.windows(2).position(|pair| pair == b"\n\n") {
            let frame: Vec<u8> = self.0.drain(..end + 2).collect();
            let text = String::from_utf8_lossy(&frame);
            let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned();
            frames.push(Frame { id: field("id:"), is_event: field("event:") == "event" });
        }
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_counts_when_all_of_it_is_there() {
        let mut frames = Frames::default();
        assert_eq!(
            frames.complete(b"retry: 2000\nid: 7-1\n: following\n\nevent: event\nid: 8-"),
            [Frame { id: "7-1".into(), is_event: false }]
        );
        assert_eq!(frames.complete(b"2\ndata: {}\n"), []);
        assert_eq!(frames.complete(b"\n:\n\n"), [Frame { id: "8-2".into(), is_event: true }, Frame { id: String::new(), is_event: false }]);
    }
}
