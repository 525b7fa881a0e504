//! A conversation with an agent program over its standard input and output.

use std::io;

use domain::{LogStream, SessionEventKind};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader},
    process::{ChildStdin, ChildStdout},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use crate::{backend::Dialogue, session::Session};

/// A message that is longer is passed over. Files and images travel in them.
const LONGEST_LINE: usize = 32 * 1024 * 1024;

/// Until the program closes its output, or until `over` is cancelled. What it is told goes out beside, so that neither waits for the other
/// with a full pipe. When its turn is over its input is closed, which ends it.
pub(super) async fn converse(
    (input, output): (Option<ChildStdin>, Option<ChildStdout>),
    opening: Vec<String>,
    dialogue: &mut impl Dialogue,
    session: &mut Session<'_>,
    over: &CancellationToken,
) {
    let (Some(input), Some(output)) = (input, output) else { return };
    let (say, said) = mpsc::unbounded_channel();
    for line in opening {
        // the other end is below
        let _ = say.send(line);
    }
    tokio::join!(speak(input, said), listen(output, say, dialogue, session, over));
    session.say_what_is_missing();
}

/// Until there is nothing more to be said, or nobody listens.
async fn speak(mut input: ChildStdin, mut said: mpsc::UnboundedReceiver<String>) {
    while let Some(mut line) = said.recv().await {
        line.push('\n');
        if input.write_all(line.as_bytes()).await.is_err() || input.flush().await.is_err() {
            // it has ended, and how is seen elsewhere
            return;
        }
    }
}

async fn listen(
    output: ChildStdout,
    say: mpsc::UnboundedSender<String>,
    dialogue: &mut impl Dialogue,
    session: &mut Session<'_>,
    over: &CancellationToken,
) {
    let mut output = BufReader::with_capacity(64 * 1024, output);
    let mut say = Some(say);
    loop {
        let line = tokio::select! {
            biased;
            line = next_line(&mut output, LONGEST_LINE) => line,
            () = over.cancelled() => return,
        };
        match line {
            Ok(Line::Whole(line)) => {
                let line = String::from_utf8_lossy(&line);
                let heard = dialogue.hear(&line);
                if heard.is_output && !line.trim().is_empty() {
                    session.log.text(LogStream::Stdout, &format!("{line}\n")).await;
                }
                session.add(heard.events).await;
                if let Some(say) = &say {
                    heard.answers.into_iter().for_each(|answer| drop(say.send(answer)));
                }
                if heard.is_over {
                    say = None;
                }
            }
            Ok(Line::TooLong(bytes)) => {
                let message = format!("a message of {bytes} bytes is left out; at most {LONGEST_LINE} are read");
                session.add(vec![SessionEventKind::Error { message }]).await;
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
    TooLong(usize),
    End,
}

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
        if length <= longest {
            line.extend_from_slice(taken);
        } else {
            line = vec![];
        }
        let is_over = end.is_some() || buffer.is_empty();
        let consumed = taken.len() + usize::from(end.is_some());
        input.consume(consumed);
        if is_over {
            return Ok(if length > longest { Line::TooLong(length) } else { Line::Whole(line) });
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
        assert_eq!(lines, [whole("one"), whole(""), Line::TooLong(15), whole("three"), whole("four")]);
    }
}
