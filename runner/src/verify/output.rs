//! What a check prints: the beginning and the end are kept, the middle is left out when it is long.

use std::{collections::VecDeque, sync::Mutex};

use domain::verification::OUTPUT_LIMIT;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio_util::sync::CancellationToken;

use crate::lock;

/// Room for the marker in the middle.
const MARKER_ROOM: usize = 100;
const HALF: usize = (OUTPUT_LIMIT - MARKER_ROOM) / 2;

#[derive(Default)]
pub(super) struct Output(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    first: Vec<u8>,
    last: VecDeque<u8>,
    left_out: usize,
}

impl Output {
    fn add(&self, bytes: &[u8]) {
        let mut kept = lock(&self.0);
        let room = HALF - kept.first.len();
        let (first, rest) = bytes.split_at(bytes.len().min(room));
        kept.first.extend_from_slice(first);
        kept.last.extend(rest);
        let excess = kept.last.len().saturating_sub(HALF);
        kept.last.drain(..excess);
        kept.left_out += excess;
    }

    /// All of it as text, and below it why the check did not pass.
    pub fn into_text(self, reason: Option<&str>) -> String {
        let mut kept = lock(&self.0);
        let mut text = String::from_utf8_lossy(&kept.first).into_owned();
        if kept.left_out > 0 {
            text.push_str(&format!("\n[{} bytes left out]\n", kept.left_out));
        }
        text.push_str(&String::from_utf8_lossy(kept.last.make_contiguous()));
        if let Some(reason) = reason {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&format!("[{reason}]\n"));
        }
        text
    }
}

/// Reads until the pipe ends, or `over` is cancelled and it gives nothing more at once.
pub(super) async fn collect(pipe: Option<impl AsyncRead + Unpin>, output: &Output, over: &CancellationToken) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = tokio::select! {
            biased;
            () = over.cancelled() => 0,
            // A pipe that breaks has ended.
            read = pipe.read(&mut buffer) => read.unwrap_or(0),
        };
        if read == 0 {
            return;
        }
        output.add(&buffer[..read]);
    }
}

/// At most [`OUTPUT_LIMIT`] bytes, without the NUL that no database stores as text.
pub(super) fn fit(text: &str) -> String {
    let text = text.replace('\0', "\u{fffd}");
    if text.len() <= OUTPUT_LIMIT {
        return text;
    }
    let (mut head, mut tail) = (HALF, text.len() - HALF);
    while !text.is_char_boundary(head) {
        head -= 1;
    }
    while !text.is_char_boundary(tail) {
        tail += 1;
    }
    format!("{}\n[{} bytes left out]\n{}", &text[..head], tail - head, &text[tail..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_a_long_output_is_left_out() {
        let output = Output::default();
        output.add(b"first\n");
        for _ in 0..10 {
            output.add(&[b'x'; 30_000]);
        }
        output.add(b"\nlast");
        let text = fit(&output.into_text(Some("the command ended with exit status 1")));
        assert!(text.len() <= OUTPUT_LIMIT, "{}", text.len());
        assert!(text.starts_with("first\n"));
        assert!(text.ends_with("\nlast\n[the command ended with exit status 1]\n"));
        assert!(text.contains(&format!("\n[{} bytes left out]\n", 300_011 - 2 * HALF)));
    }

    #[test]
    fn a_short_output_is_kept_as_it_is() {
        let output = Output::default();
        output.add("é\0".as_bytes());
        assert_eq!(fit(&output.into_text(None)), "é\u{fffd}");
    }

    #[test]
    fn bytes_that_are_no_text_do_not_make_it_longer_than_allowed() {
        let output = Output::default();
        output.add(&[0xff; 70_000]);
        assert!(fit(&output.into_text(Some("why"))).len() <= OUTPUT_LIMIT);
    }
}
