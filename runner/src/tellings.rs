//! What the server tells an attempt: each once and in its order, whatever comes twice, or before what belongs before it.

use std::collections::BTreeMap;

use domain::protocol::{Tell, Telling};
use tokio::sync::mpsc;

pub(crate) struct Tellings {
    incoming: mpsc::UnboundedReceiver<Telling>,
    /// The number of the last one that was taken.
    last: i64,
    /// What came too early. It comes again until it was heard, so that nothing waits here for long.
    early: BTreeMap<i64, Tell>,
}

impl Tellings {
    pub fn new() -> (mpsc::UnboundedSender<Telling>, Self) {
        let (tell, incoming) = mpsc::unbounded_channel();
        (tell, Self { incoming, last: 0, early: BTreeMap::new() })
    }

    /// The next one with its number, when it has come. What this has taken it gives, whoever stops waiting for it.
    pub async fn next(&mut self) -> (i64, Tell) {
        loop {
            if let Some(what) = self.early.remove(&(self.last + 1)) {
                self.last += 1;
                return (self.last, what);
            }
            match self.incoming.recv().await {
                Some(telling) if telling.number > self.last => drop(self.early.insert(telling.number, telling.what)),
                Some(_) => {}
                // the attempt is let go of: nothing comes any more
                None => std::future::pending().await,
            }
        }
    }

    /// As [`next`](Self::next), of what is there already.
    pub fn take_next(&mut self) -> Option<(i64, Tell)> {
        while let Ok(telling) = self.incoming.try_recv() {
            if telling.number > self.last {
                self.early.insert(telling.number, telling.what);
            }
        }
        let what = self.early.remove(&(self.last + 1))?;
        self.last += 1;
        Some((self.last, what))
    }
}

#[cfg(test)]
mod tests {
    use domain::{AttemptId, AttemptKey, TaskId};
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn each_comes_once_and_in_its_order() {
        let attempt = AttemptKey { task_id: TaskId(Uuid::nil()), attempt_id: AttemptId(Uuid::nil()), number: 1 };
        let what = |number: i64| Tell::Message { text: number.to_string(), by: "Ada".into(), interrupt: false };
        let (tell, mut tellings) = Tellings::new();
        for number in [2, 1, 1, 2, 4] {
            tell.send(Telling { attempt, number, what: what(number) }).unwrap();
        }
        assert_eq!(tellings.next().await, (1, what(1)));
        assert_eq!(tellings.take_next(), Some((2, what(2))));
        assert_eq!(tellings.take_next(), None, "the third has not come");
        tell.send(Telling { attempt, number: 3, what: what(3) }).unwrap();
        assert_eq!(tellings.next().await, (3, what(3)));
        assert_eq!(tellings.next().await, (4, what(4)));
    }
}
