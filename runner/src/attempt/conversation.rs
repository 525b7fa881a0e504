//! A conversation with an agent program over its standard input and output.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use domain::{Decision, SessionEventKind, approval::Answer, protocol::Tell, session::kept_text};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader},
    process::{ChildStdin, ChildStdout},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use super::{
    noting::Noting,
    questions::{Asker, Questions},
};
use crate::{
    backend::{Dialogue, Heard},
    session::Session,
    tellings::Tellings,
};

/// A message that is longer is passed over. Files and images travel in them.
const LONGEST_LINE: usize = 16 * 1024 * 1024;
/// Of what it is to be told. One that asks and does not listen is told no more.
const MOST_WAITING: usize = 64 * 1024 * 1024;
/// What a pipe may still hold when everything that wrote into it is gone.
const PIPE_CAPACITY: usize = 1024 * 1024;

/// What an attempt hears while it works, in all its rounds.
pub(crate) struct Hearing {
    tellings: Tellings,
    pub questions: Questions,
    /// What people have said while no agent could be told.
    unheard: VecDeque<Message>,
}

/// Something that somebody says to an agent.
struct Message {
    /// Of the telling that it came with.
    number: i64,
    text: String,
    by: String,
    interrupt: bool,
}

impl Message {
    /// Never as it is: what begins with a slash is a command to some agents.
    fn in_words(&self) -> String {
        format!("{} says:\n\n{}", self.by, self.text)
    }
}

impl Hearing {
    pub fn new(tellings: Tellings) -> Self {
        Self { tellings, questions: Questions::default(), unheard: VecDeque::new() }
    }

    /// What was said while nobody was there to hear it, in words for whoever is told something next, and the numbers of all that.
    pub fn take_unheard(&mut self) -> (String, Vec<i64>) {
        let mut numbers = vec![];
        while let Some((number, what)) = self.tellings.take_next() {
            match what {
                Tell::Message { text, by, interrupt } => self.unheard.push_back(Message { number, text, by, interrupt }),
                // its question is open no more
                Tell::Answer { .. } => numbers.push(number),
            }
        }
        let said: Vec<_> = self.unheard.drain(..).collect();
        numbers.extend(said.iter().map(|message| message.number));
        (said.iter().map(|message| format!("\n\n{}", message.in_words())).collect(), numbers)
    }
}

/// Whom it is spoken with, and what is written down of it.
pub(crate) struct Partner<'a, 's> {
    pub dialogue: &'a mut dyn Dialogue,
    pub session: &'a mut Session<'s>,
    pub asker: Asker<'a>,
    /// The numbers of what is in its first words, or of no use any more.
    pub heard: Vec<i64>,
    /// What it calls its session is to be written down, once it has said that.
    pub noting: Option<Noting>,
}

/// Until the program closes its output, or until `over` is cancelled and there is nothing more to be read. What it is told goes out beside, so
/// that neither waits for the other with a full pipe. When its turn is over its input is closed, which ends it.
pub(crate) async fn converse<'a>(
    (input, output): (Option<ChildStdin>, Option<ChildStdout>),
    opening: Vec<String>,
    partner: Partner<'a, '_>,
    hearing: &'a mut Hearing,
    (over, said_all): (&'a CancellationToken, &'a CancellationToken),
) {
    let (Some(input), Some(output)) = (input, output) else { return };
    let Hearing { tellings, questions, unheard } = hearing;
    let (say, said) = mpsc::unbounded_channel();
    let mut mouth = Mouth { say: Some(say), waiting: Arc::default() };
    for line in opening {
        // a prompt is never that long
        let _ = mouth.says(line);
    }
    if !partner.dialogue.listens() {
        mouth.say = None;
    }
    for number in &partner.heard {
        partner.asker.heard(*number);
    }
    let waiting = Arc::clone(&mouth.waiting);
    let speaking = async {
        tokio::select! {
            () = speak(input, said, &waiting) => {}
            () = over.cancelled() => {}
        }
    };
    let mut talk = Talk { partner, mouth, questions, unheard, said_all };
    tokio::join!(speaking, listen(output, &mut talk, tellings, over));
    talk.questions.withdraw_all(&talk.partner.asker);
    talk.partner.session.say_what_is_missing();
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

/// One round of it.
struct Talk<'a, 's> {
    partner: Partner<'a, 's>,
    mouth: Mouth,
    questions: &'a mut Questions,
    unheard: &'a mut VecDeque<Message>,
    said_all: &'a CancellationToken,
}

impl Talk<'_, '_> {
    async fn hear(&mut self, line: &str) {
        let heard = self.partner.dialogue.hear(line);
        if heard.is_output && !line.trim().is_empty() {
            self.partner.session.print(line).await;
        }
        self.take_in(heard).await;
        self.pass_on().await;
    }

    async fn told(&mut self, number: i64, what: Tell) {
        match what {
            Tell::Answer { question, answer } => {
                // one that is not open any more has no use for it
                if let Some(key) = self.questions.answered(&self.partner.asker, question) {
                    let heard = self.partner.dialogue.answer(&key, &answer);
                    self.take_in(heard).await;
                }
                self.partner.asker.heard(number);
            }
            Tell::Message { text, by, interrupt } => {
                self.unheard.push_back(Message { number, text, by, interrupt });
                self.pass_on().await;
            }
        }
    }

    /// What people have said, as far as it can be told now.
    async fn pass_on(&mut self) {
        while self.mouth.say.is_some() {
            let Some(message) = self.unheard.front() else { return };
            let Some(heard) = self.partner.dialogue.tell(&message.in_words(), message.interrupt) else { return };
            let Some(message) = self.unheard.pop_front() else { return };
            let said = SessionEventKind::Prompt { text: kept_text(&message.text), by: Some(message.by) };
            self.partner.session.add(vec![said]).await;
            self.take_in(heard).await;
            self.partner.asker.heard(message.number);
        }
    }

    async fn take_in(&mut self, heard: Heard) {
        let mut next = VecDeque::from([heard]);
        while let Some(heard) = next.pop_front() {
            self.partner.session.add(heard.events).await;
            if let Some(noting) = &mut self.partner.noting {
                let session = self.partner.dialogue.session();
                noting.note(session).await;
            }
            let listens = heard.answers.into_iter().all(|answer| self.mouth.says(answer));
            if !listens {
                let message = "it asks, and does not listen to the answers".into();
                self.partner.session.add(vec![SessionEventKind::Error { message }]).await;
            }
            for key in heard.withdrawn {
                self.questions.withdraw(&self.partner.asker, &key);
            }
            for question in heard.questions {
                if !self.partner.session.has_room().await {
                    return;
                }
                let key = question.key.clone();
                if !self.questions.ask(&self.partner.asker, question) {
                    next.push_back(self.partner.dialogue.answer(&key, &too_much()));
                }
            }
            if heard.is_over {
                self.said_all.cancel();
                self.questions.withdraw_all(&self.partner.asker);
            }
            if heard.is_over || !listens {
                self.mouth.say = None;
            }
        }
    }
}

/// To one that asks more than anybody can answer.
fn too_much() -> Answer {
    let message = Some("You have asked too much. Do one thing after the other, or without.".to_owned());
    Answer { decision: Decision::Deny, by: "Muster".into(), message, unanswered: true }
}

async fn listen(output: ChildStdout, talk: &mut Talk<'_, '_>, tellings: &mut Tellings, over: &CancellationToken) {
    let mut output = BufReader::with_capacity(64 * 1024, output);
    let mut after_the_end = 0;
    while after_the_end <= PIPE_CAPACITY {
        let line = {
            // begun once, as it must not be left in the middle
            let line = next_line(&mut output, LONGEST_LINE);
            tokio::pin!(line);
            loop {
                tokio::select! {
                    biased;
                    // first, or one that never stops talking hears nothing
                    (number, what) = tellings.next() => talk.told(number, what).await,
                    line = &mut line => break line,
                    () = over.cancelled() => return,
                }
            }
        };
        match line {
            Ok(Line::Whole(line)) => {
                if over.is_cancelled() {
                    after_the_end += line.len() + 1;
                }
                talk.hear(&String::from_utf8_lossy(&line)).await;
            }
            Ok(Line::TooLong { bytes, ends }) => {
                let message = format!("a message of {bytes} bytes is left out; at most {LONGEST_LINE} are read");
                talk.partner.session.add(vec![SessionEventKind::Error { message }]).await;
                if talk.partner.dialogue.may_be_the_last(&String::from_utf8_lossy(&ends)) {
                    talk.mouth.say = None;
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
