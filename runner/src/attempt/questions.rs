//! What an attempt's agent asks people: numbered, told to the server, and open until it is answered or the agent no longer waits. While one
//! is open, the work's time stands still.

use std::time::Duration;

use domain::{
    AttemptId, Backend, Isolation,
    protocol::{QUESTIONS_MAX, Said},
};
use tokio::{sync::watch, time::Instant};

use crate::{backend::question::Question, outbox::Outbox};

/// Open at once. An agent that asks more than that does not wait for answers.
const MOST_OPEN: usize = 20;
/// In all; then nobody is asked any more, or one that asks and asks, with something running beside, would have no end.
const MOST_WAITED: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) struct Questions {
    /// The number of the last one, over all rounds.
    last: i32,
    /// By their numbers, with the agent's own names.
    open: Vec<(i32, String)>,
    waits: watch::Sender<bool>,
    began: Option<Instant>,
    waited: Duration,
    /// In all, over all rounds.
    waited_in_all: Duration,
}

impl Default for Questions {
    fn default() -> Self {
        Self { last: 0, open: vec![], waits: watch::channel(false).0, began: None, waited: Duration::ZERO, waited_in_all: Duration::ZERO }
    }
}

/// Who asks, for those who are asked.
pub(crate) struct Asker<'a> {
    pub attempt: AttemptId,
    pub outbox: &'a Outbox,
    pub isolation: Isolation,
    pub backend: Backend,
}

impl Asker<'_> {
    /// What was told with this number has come to the agent.
    pub fn heard(&self, telling: i64) {
        self.outbox.say(self.attempt, Said::Heard { telling });
    }
}

impl Questions {
    /// Whether somebody is waited for.
    pub fn waits(&self) -> watch::Receiver<bool> {
        self.waits.subscribe()
    }

    /// How long somebody was waited for since the last time that this was asked.
    pub fn take_waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
    }

    /// False when it asks too much; then nobody is asked.
    pub fn ask(&mut self, asker: &Asker<'_>, question: Question) -> bool {
        if self.last >= QUESTIONS_MAX || self.open.len() >= MOST_OPEN || self.has_waited() >= MOST_WAITED {
            return false;
        }
        self.last += 1;
        self.open.push((self.last, question.key));
        let (isolation, backend) = (asker.isolation, asker.backend.clone());
        asker.outbox.say(asker.attempt, Said::Asks { question: self.last, isolation, backend, asked: question.asked });
        self.note();
        true
    }

    fn has_waited(&self) -> Duration {
        self.waited_in_all + self.began.map_or(Duration::ZERO, |began| began.elapsed())
    }

    /// The agent's own name for it; nothing when it is not open any more.
    pub fn answered(&mut self, asker: &Asker<'_>, number: i32) -> Option<String> {
        let place = self.open.iter().position(|(open, _)| *open == number)?;
        Some(self.close(asker, place))
    }

    /// The agent no longer waits for the one that it calls so.
    pub fn withdraw(&mut self, asker: &Asker<'_>, key: &str) {
        if let Some(place) = self.open.iter().position(|(_, open)| open == key) {
            self.close(asker, place);
        }
    }

    /// Its turn is over.
    pub fn withdraw_all(&mut self, asker: &Asker<'_>) {
        while !self.open.is_empty() {
            self.close(asker, 0);
        }
    }

    fn close(&mut self, asker: &Asker<'_>, place: usize) -> String {
        let (question, key) = self.open.remove(place);
        asker.outbox.say(asker.attempt, Said::AsksNoMore { question });
        self.note();
        key
    }

    fn note(&mut self) {
        match (self.open.is_empty(), self.began) {
            (false, None) => self.began = Some(Instant::now()),
            (true, Some(began)) => {
                self.waited += began.elapsed();
                self.waited_in_all += began.elapsed();
                self.began = None;
            }
            _ => {}
        }
        self.waits.send_replace(!self.open.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use domain::{AskedKind, AttemptKey, TaskId, approval::Asked};
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    /// Also when one is always open, so that there is never a moment in which nobody is waited for.
    #[tokio::test(start_paused = true)]
    async fn one_that_asks_and_asks_comes_to_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(folder.path().to_owned(), 0);
        let attempt = AttemptKey { task_id: TaskId(Uuid::nil()), attempt_id: AttemptId(Uuid::nil()), number: 1 };
        outbox.open(attempt);
        let asker = Asker { attempt: attempt.attempt_id, outbox: &outbox, isolation: Isolation::Sandbox, backend: Backend::ClaudeCode };
        let question = |key: i32| {
            let asked = Asked::new(AskedKind::Command, "Bash", "ls", &json!({})).unwrap();
            Question { key: key.to_string(), asked }
        };
        let mut questions = Questions::default();
        assert!(questions.ask(&asker, question(1)));
        for number in 2..=5 {
            tokio::time::advance(Duration::from_secs(5 * 60 * 60)).await;
            assert!(questions.ask(&asker, question(number)), "{number}");
            questions.answered(&asker, number - 1).unwrap();
        }
        tokio::time::advance(Duration::from_secs(5 * 60 * 60)).await;
        assert!(!questions.ask(&asker, question(6)), "it has waited for 25 hours");
    }
}
