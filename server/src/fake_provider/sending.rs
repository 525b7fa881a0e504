//! How an answer goes out: in pieces with pauses in between, and as badly as the scenario wants.

use std::{io, time::Duration, vec};

use axum::{
    body::{Body, Bytes},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use http::{
    StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// What is written reaches the client before the connection is closed.
const BEFORE_A_CUT: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Whole,
    Cut,
    Stall,
}

pub fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// A body that is not streamed, as two pieces of which the first may be all that is sent.
pub fn halves(body: &Value) -> Vec<String> {
    let text = body.to_string();
    let middle = text.char_indices().nth(text.chars().count() / 2).map_or(0, |(index, _)| index);
    let (begin, rest) = text.split_at(middle);
    vec![begin.to_owned(), rest.to_owned()]
}

/// Sends the frames until the client goes away or `stop`.
pub fn send(frames: Vec<String>, content_type: &'static str, pace: Duration, end: End, stop: CancellationToken) -> Response {
    let sending = Sending { frames: sent(frames, end).into_iter(), pace, end, begun: false, stop };
    let body = stream::unfold(sending, async |mut sending| Some((sending.next().await?, sending)));
    ([(CONTENT_TYPE, content_type), (CACHE_CONTROL, "no-cache")], Body::from_stream(body.fuse())).into_response()
}

/// As many of the frames as go out.
fn sent(mut frames: Vec<String>, end: End) -> Vec<String> {
    match end {
        End::Whole => {}
        End::Cut => frames.truncate((frames.len() / 2).max(1)),
        End::Stall => frames.truncate(1),
    }
    frames
}

struct Sending {
    frames: vec::IntoIter<String>,
    pace: Duration,
    end: End,
    begun: bool,
    stop: CancellationToken,
}

impl Sending {
    /// An error closes the connection, so that the client sees that something is missing.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if let Some(frame) = self.frames.next() {
            if self.begun && !self.pace.is_zero() {
                tokio::select! {
                    () = tokio::time::sleep(self.pace) => {}
                    () = self.stop.cancelled() => return Some(Err(io::Error::other("the fake provider stops"))),
                }
            }
            self.begun = true;
            return Some(Ok(Bytes::from(frame)));
        }
        match self.end {
            End::Whole => None,
            End::Cut => {
                tokio::time::sleep(BEFORE_A_CUT).await;
                Some(Err(io::Error::other("cut by the scenario")))
            }
            End::Stall => {
                self.stop.cancelled().await;
                Some(Err(io::Error::other("the fake provider stops")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_cut_sends_half_and_a_stall_the_beginning() {
        let frames = || ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
        assert_eq!(sent(frames(), End::Whole).concat(), "abcde");
        assert_eq!(sent(frames(), End::Cut).concat(), "ab");
        assert_eq!(sent(frames(), End::Stall).concat(), "a");
        assert_eq!(sent(vec!["a".into()], End::Cut).concat(), "a");
    }

    #[test]
    fn a_body_is_halved_between_characters() {
        let body = json!({ "a": "ééééé" });
        let halves = halves(&body);
        assert_eq!((halves.len(), halves.concat()), (2, body.to_string()));
    }
}
