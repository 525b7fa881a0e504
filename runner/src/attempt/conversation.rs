//! A conversation with an agent program over its standard input and output.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use domain::{LogStream, SessionEventKind};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader},
    process::{ChildStdin, ChildStdout},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use crate::{backend::Dialogue, session::Session};

/// A message that is longer is passed over. Files and images travel in them.
const LONGEST_LINE: usize = 16 * 1024 * 1024;
/// Of what it is to be told. One that asks and does not listen is told no more.
const MOST_WAITING: usize = 64 * 1024 * 1024;
/// What a pipe may still hold when everything that wrote into it is gone.
const PIPE_CAPACITY: usize = 1024 * 1024;

/// Until the program closes its output, or until `over` is cancelled and there is nothing more to be read. What it is told goes out beside, so
/// that neither waits for the other with a full pipe. When its turn is over its input is closed, which ends it.
pub(super) async fn converse(
    (input, output): (Option<ChildStdin>, Option<ChildStdout>),
    opening: Vec<String>,
    dialogue: &mut dyn Dialogue,
    session: &mut Session<'_>,
    (over, said_all): (&CancellationToken, &CancellationToken),
) {
    let (Some(input), Some(output)) = (input, output) else { return };
    let (say, said) = mpsc::unbounded_channel();
    let mouth = Mouth { say: Some(say), waiting: Arc::default() };
    for line in opening {
        // a prompt is never that long
        let _ = mouth.says(line);
    }
    let waiting = Arc::clone(&mouth.waiting);
    let speaking = async {
        tokio::select! {
            () = speak(input, said, &waiting) => {}
            () = over.cancelled() => {}
        }
    };
    tokio::join!(speaking, listen(output, mouth, dialogue, session, (over, said_all)));
    session.say_what_is_missing();
}

/// Through which it is told something, until that is closed.
struct Mouth {
    say: Option<mpsc::UnboundedSender<String>>,
    /// Bytes that it has not taken yet.
    waiting: Arc<AtomicUsize>,
}

impl Mouth {
    /// False when it does not listen.
    fn says(&self, line: String) -> bool {
        let Some(say) = &self.say else { return true };
        let waiting = self.waiting.fetch_add(line.len(), Ordering::Relaxed) + line.len();
        // the other end goes when the program does, and how is seen elsewhere
        let _ = say.send(line);
        waiting <= MOST_WAITING
    }
}

/// Until there is nothing more to be said, or nobody listens.
async fn speak(mut input: ChildStdin, mut said: mpsc::UnboundedReceiver<String>, waiting: &AtomicUsize) {
    while let Some(mut line) = said.recv().await {
        let length = line.len();
        line.push('\n');
        if input.write_all(line.as_bytes()).await.is_err() || input.flush().await.is_err() {
            // it has ended, and how is seen elsewhere
            return;
        }
        waiting.fetch_sub(length, Ordering::Relaxed);
    }
}

async fn listen(
    output: ChildStdout,
    mut mouth: Mouth,
    dialogue: &mut dyn Dialogue,
    session: &mut Session<'_>,
    (over, said_all): (&CancellationToken, &CancellationToken),
) {
    let mut output = BufReader::with_capacity(64 * 1024, output);
    let mut after_the_end = 0;
    while after_the_end <= PIPE_CAPACITY {
        let line = tokio::select! {
            biased;
            line = next_line(&mut output, LONGEST_LINE) => line,
            () = over.cancelled() => return,
        };
        match line {
            Ok(Line::Whole(line)) => {
                if over.is_cancelled() {
                    after_the_end += line.len() + 1;
                }
                let line = String::from_utf8_lossy(&line);
                let heard = dialogue.hear(&line);
                if heard.is_output && !line.trim().is_empty() {
                    session.log.text(LogStream::Stdout, &format!("{line}\n")).await;
                }
                session.add(heard.events).await;
                let listens = heard.answers.into_iter().all(|answer| mouth.says(answer));
                if !listens {
                    session.add(vec![SessionEventKind::Error { message: "it asks, and does not listen to the answers".into() }]).await;
                }
                if heard.is_over {
                    said_all.cancel();
                }
                if heard.is_over || !listens {
                    mouth.say = None;
                }
            }
            Ok(Line::TooLong { bytes, ends }) => {
                let message = format!("a message of {bytes} bytes is left out; at most {LONGEST_LINE} are read");
                session.add(vec![SessionEventKind::Error { message }]).await;
                if dialogue.may_be_the_last(&String::from_utf8_lossy(&ends)) {
                    mouth.say = None;
                }
            }
            // a pipe that breaks has ended
            Ok(Line::End) | Err(_) => return,
        }
    }
}

#[derive(Debug, PartialEq)]
enum Line {
    /// Without its end.
    Whole(Vec<u8>),
    /// With how it begins and how it ends.
    TooLong {
        bytes: usize,
        ends: Vec<u8>,
    },
    End,
}

/// Of a line that is too long.
const ENDS: usize = 256;

/// What comes after the last line end counts as a line. Once this was begun it has to come to its end, or bytes are lost.
async fn next_line(input: &mut BufReader<impl AsyncRead + Unpin>, longest: usize) -> io::Result<Line> {
    let (mut line, mut length) = (vec![], 0);
    loop {
        let buffer = input.fill_buf().await?;
        if buffer.is_empty() && length == 0 {
            return Ok(Line::End);
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let taken = &buffer[..end.unwrap_or(buffer.len())];
        length += taken.len();
        line.extend_from_slice(taken);
        if length > longest && line.len() > 2 * ENDS {
            line.drain(ENDS..line.len() - ENDS);
        }
        let is_over = end.is_some() || buffer.is_empty();
        let consumed = taken.len() + usize::from(end.is_some());
        input.consume(consumed);
        if is_over {
            return Ok(if length > longest { Line::TooLong { bytes: length, ends: line } } else { Line::Whole(line) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_read_whole_and_those_that_are_too_long_passed_over() {
        let text: &[u8] = b"one\n\ntwo is too long\nthree\nfour";
        let mut input = BufReader::with_capacity(4, text);
        let mut lines = vec![];
        loop {
            match next_line(&mut input, 8).await.unwrap() {
                Line::End => break,
                line => lines.push(line),
            }
        }
        let whole = |text: &str| Line::Whole(text.as_bytes().to_vec());
        assert_eq!(
            lines,
            [whole("one"), whole(""), Line::TooLong { bytes: 15, ends: b"two is too long".to_vec() }, whole("three"), whole("four")]
        );
    }

    #[test]
    fn one_that_does_not_listen_is_told_no_more() {
        let (say, _said) = mpsc::unbounded_channel();
        let mouth = Mouth { say: Some(say), waiting: Arc::default() };
        let line = "x".repeat(MOST_WAITING / 4);
        assert!((0..4).all(|_| mouth.says(line.clone())));
        assert!(!mouth.says("x".into()));
    }
}
