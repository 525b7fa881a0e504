//! From a pipe into the log: at once when nothing was written for a while, in larger pieces when much is.

use std::time::Duration;

use domain::{LogStream, log::LOG_CHUNK_LIMIT};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::Log;
use crate::session::secrets::Secrets;

/// After a piece has gone out, what follows is collected for this long. A person sees no delay, the server a thirtieth of the pieces.
const COLLECT: Duration = Duration::from_millis(30);
/// What a pipe may still hold when everything that wrote into it is gone.
const PIPE_CAPACITY: usize = 1024 * 1024;

/// Reads until the pipe ends, or until `over` is cancelled and the pipe gives nothing more at once. Everything read is in the log
/// on return, without these secrets. Pieces are cut between characters; bytes that belong to none are passed on as they are.
pub(crate) async fn pump(mut pipe: impl AsyncRead + Unpin, stream: LogStream, (log, secrets): (&Log, &Secrets), over: &CancellationToken) {
    let mut buffer = vec![0; LOG_CHUNK_LIMIT];
    let mut filled = 0;
    let mut collect_until = Instant::now();
    let mut after_the_end = 0;
    let mut open = true;
    while open && after_the_end <= PIPE_CAPACITY {
        let read = next(&mut pipe, &mut buffer[filled..], over).await;
        filled += read;
        open = read > 0;
        while open && filled < buffer.len() && Instant::now() < collect_until {
            match timeout_at(collect_until, next(&mut pipe, &mut buffer[filled..], over)).await {
                Ok(read) => {
                    filled += read;
                    open = read > 0;
                }
                Err(_) => break,
            }
        }
        let cut = if open { border(&buffer[..filled]) } else { filled };
        if cut > 0 {
            log.output(stream, &secrets.out_of_output(&buffer[..cut])).await;
            buffer.copy_within(cut..filled, 0);
            filled -= cut;
            collect_until = Instant::now() + COLLECT;
        }
        after_the_end += if over.is_cancelled() { cut } else { 0 };
    }
}

/// 0 when there is nothing more to read.
async fn next(pipe: &mut (impl AsyncRead + Unpin), buffer: &mut [u8], over: &CancellationToken) -> usize {
    tokio::select! {
        biased;
        // A pipe that breaks has ended.
        read = pipe.read(buffer) => read.unwrap_or(0),
        () = over.cancelled() => 0,
    }
}

/// How many bytes to send so that no character is cut in two: all, or up to three fewer.
pub(crate) fn border(bytes: &[u8]) -> usize {
    let tail = bytes.iter().rev().take(3).position(|byte| byte & 0b1100_0000 != 0b1000_0000);
    let Some(behind) = tail else { return bytes.len() };
    let start = bytes.len() - behind - 1;
    let wanted = match bytes[start] {
        0b1100_0000..=0b1101_1111 => 2,
        0b1110_0000..=0b1110_1111 => 3,
        0b1111_0000..=0b1111_0111 => 4,
        _ => 1,
    };
    if behind + 1 < wanted { start } else { bytes.len() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_ends_between_characters() {
        for (text, expected) in [("", 0), ("a", 1), ("aé", 3), ("a€", 4), ("a🦀", 5)] {
            assert_eq!(border(text.as_bytes()), expected, "{text}");
        }
        for whole in ["é", "€", "🦀"] {
            let bytes = format!("a{whole}").into_bytes();
            for cut in 2..bytes.len() {
                assert_eq!(border(&bytes[..cut]), 1, "{whole} cut after {cut}");
            }
        }
    }

    #[test]
    fn bytes_that_are_no_characters_are_not_held_back() {
        assert_eq!(border(&[b'a', 0x80, 0x80, 0x80]), 4);
        assert_eq!(border(&[0xff, 0xfe]), 2);
        assert_eq!(border(&[b'a', 0]), 2);
    }
}
