//! What the server tells an attempt, each once: it comes again until the server knows that it was heard.

use std::collections::HashSet;

use domain::protocol::{Tell, Telling};
use tokio::sync::mpsc;

/// Where they come from.
pub(crate) struct Teller {
    tell: mpsc::UnboundedSender<(i64, Tell)>,
    /// The numbers of those that have come.
    known: HashSet<i64>,
}

pub(crate) struct Tellings(mpsc::UnboundedReceiver<(i64, Tell)>);

pub(crate) fn tellings() -> (Teller, Tellings) {
    let (tell, incoming) = mpsc::unbounded_channel();
    (Teller { tell, known: HashSet::new() }, Tellings(incoming))
}

impl Teller {
    pub fn tell(&mut self, telling: Telling) {
        if self.known.insert(telling.number) {
            // an attempt that comes to its end listens no more
            let _ = self.tell.send((telling.number, telling.what));
        }
    }
}

impl Tellings {
    /// The next one with its number, when it has come.
    pub async fn next(&mut self) -> (i64, Tell) {
        match self.0.recv().await {
            Some(told) => told,
            // the attempt is let go of: nothing comes any more
            None => std::future::pending().await,
        }
    }

    /// As [`next`](Self::next), of what is there already.
    pub fn take_next(&mut self) -> Option<(i64, Tell)> {
        self.0.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use domain::{AttemptId, AttemptKey, TaskId};
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn what_comes_twice_counts_once() {
        let attempt = AttemptKey { task_id: TaskId(Uuid::nil()), attempt_id: AttemptId(Uuid::nil()), number: 1 };
        let what = |number: i64| Tell::Message { text: number.to_string(), by: "Ada".into(), interrupt: false };
        let (mut teller, mut tellings) = tellings();
        for number in [2, 1, 1, 2, 4] {
            teller.tell(Telling { attempt, number, what: what(number) });
        }
        assert_eq!(tellings.next().await, (2, what(2)));
        assert_eq!(tellings.take_next(), Some((1, what(1))));
        assert_eq!(tellings.next().await, (4, what(4)));
        assert_eq!(tellings.take_next(), None);
    }
}
