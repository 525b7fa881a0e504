//! What is asked at the same time is done together. Those who ask while one round is at work wait for the next one, which takes all of
//! them; whoever asks while nothing is at work waits for nobody. Every key has rounds of its own, one after the other, so that one
//! workspace never waits for another.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};
use tokio_util::task::TaskTracker;

use crate::{Error, Result};

/// The most that one round takes, in number and in weight; one alone may weigh more.
const ROUND: usize = 128;
const ROUND_WEIGHT: usize = 1024 * 1024;
/// The most that wait for one key. Whoever comes then is told to come back.
pub(crate) const WAITING: usize = 1024;
/// For a round to take somebody up; as long as a request waits for a connection.
const PATIENCE: Duration = Duration::from_secs(3);

/// Somebody who waits for an answer.
pub(crate) struct Asker<Q, A> {
    pub(crate) question: Q,
    weight: usize,
    since: Instant,
    answer: oneshot::Sender<Result<A>>,
}

impl<Q, A> Asker<Q, A> {
    pub(crate) fn answer(self, answer: Result<A>) {
        // whoever asked may have gone away
        drop(self.answer.send(answer));
    }
}

/// Tells all of them what went wrong.
pub(crate) fn refuse<Q, A>(mut askers: Vec<Asker<Q, A>>, error: Error) {
    let last = askers.pop();
    for asker in askers {
        asker.answer(Err(error.again()));
    }
    if let Some(asker) = last {
        asker.answer(Err(error));
    }
}

type Queues<K, Q, A> = HashMap<K, VecDeque<Asker<Q, A>>>;

/// Those who wait, by key. A key is there exactly while somebody carries out its rounds.
pub(crate) struct Together<K, Q, A>(Mutex<Queues<K, Q, A>>);

impl<K, Q, A> Default for Together<K, Q, A> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Clone + Eq + Hash + Send + 'static, Q: Send + 'static, A: Send + 'static> Together<K, Q, A> {
    /// Waits for the answer of a round. Whoever finds nobody at work has `work` carry out rounds until nobody waits; it is carried
    /// through apart from them, so that nobody who goes away takes the others along.
    pub(crate) async fn ask<F>(
        self: &Arc<Self>,
        tracker: &TaskTracker,
        (key, question, weight): (K, Q, usize),
        work: impl FnOnce(Rounds<K, Q, A>) -> F,
    ) -> Result<A>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        if self.join(key.clone(), Asker { question, weight, since: Instant::now(), answer })? {
            tracker.spawn(work(Rounds { together: Arc::clone(self), key, is_over: false }));
        }
        answered.await.map_err(|_| Error::Unavailable(sqlx::Error::WorkerCrashed))?
    }

    /// Whether nobody is at work.
    fn join(&self, key: K, asker: Asker<Q, A>) -> Result<bool> {
        let mut queues = self.lock();
        let Some(waiting) = queues.get_mut(&key) else {
            queues.insert(key, [asker].into());
            return Ok(true);
        };
        if waiting.len() >= WAITING {
            return Err(Error::Unavailable(sqlx::Error::PoolTimedOut));
        }
        waiting.push_back(asker);
        Ok(false)
    }
}

impl<K, Q, A> Together<K, Q, A> {
    fn lock(&self) -> MutexGuard<'_, Queues<K, Q, A>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rounds of one key. Dropped in the middle, it tells those who wait that their answer will not come.
pub(crate) struct Rounds<K: Eq + Hash, Q, A> {
    together: Arc<Together<K, Q, A>>,
    pub(crate) key: K,
    is_over: bool,
}

impl<K: Eq + Hash, Q, A> Rounds<K, Q, A> {
    /// Whether nobody waits any more. Then this is the end of it: whoever comes next begins anew.
    pub(crate) fn are_over(&mut self) -> bool {
        let mut queues = self.together.lock();
        if queues.get(&self.key).is_none_or(VecDeque::is_empty) {
            queues.remove(&self.key);
            self.is_over = true;
        }
        self.is_over
    }

    /// Those who have waited longest, as many as one round takes; without those who have gone away or waited too long.
    pub(crate) fn take(&mut self) -> Vec<Asker<Q, A>> {
        let (mut taken, mut weight, mut late) = (vec![], 0, vec![]);
        let mut queues = self.together.lock();
        let Some(waiting) = queues.get_mut(&self.key) else { return taken };
        while let Some(asker) = waiting.pop_front() {
            if asker.answer.is_closed() {
                continue;
            }
            if asker.since.elapsed() > PATIENCE {
                late.push(asker);
                continue;
            }
            if !taken.is_empty() && weight + asker.weight > ROUND_WEIGHT {
                waiting.push_front(asker);
                break;
            }
            weight += asker.weight;
            taken.push(asker);
            if taken.len() == ROUND {
                break;
            }
        }
        drop(queues);
        refuse(late, Error::Unavailable(sqlx::Error::PoolTimedOut));
        taken
    }
}

impl<K: Eq + Hash, Q, A> Drop for Rounds<K, Q, A> {
    fn drop(&mut self) {
        if !self.is_over {
            self.together.lock().remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::future::{join_all, poll_immediate};
    use tokio::sync::Semaphore;

    use super::*;

    /// The number that was asked, and the size of its round.
    type Counted = (u32, usize);
    type Counting = Arc<Together<&'static str, u32, Counted>>;

    /// A round begins when it may.
    async fn count(mut rounds: Rounds<&'static str, u32, Counted>, may_begin: Arc<Semaphore>) {
        while !rounds.are_over() {
            may_begin.acquire().await.unwrap().forget();
            let askers = rounds.take();
            let size = askers.len();
            for asker in askers {
                let number = asker.question;
                asker.answer(Ok((number, size)));
            }
        }
    }

    async fn ask(counting: &Counting, key: &'static str, number: u32, weight: usize, may_begin: &Arc<Semaphore>) -> Result<Counted> {
        counting.ask(&TaskTracker::new(), (key, number, weight), |rounds| count(rounds, may_begin.clone())).await
    }

    #[tokio::test]
    async fn each_gets_its_own_answer_and_rounds_are_bounded() {
        let (counting, any) = (Counting::default(), Arc::new(Semaphore::new(1000)));
        assert_eq!(ask(&counting, "a", 7, 0, &any).await.unwrap(), (7, 1), "alone, it waits for nobody");
        let answers = join_all((0..300).map(|number| ask(&counting, "a", number, 0, &any))).await;
        for (number, answer) in (0..).zip(answers) {
            assert_eq!(answer.unwrap(), (number, if number < 256 { 128 } else { 44 }));
        }
        let heavy = join_all((0..5).map(|number| ask(&counting, "a", number, ROUND_WEIGHT / 2, &any))).await;
        assert_eq!(heavy.into_iter().map(|answer| answer.unwrap().1).collect::<Vec<_>>(), [2, 2, 2, 2, 1]);
        assert_eq!(ask(&counting, "a", 1, 2 * ROUND_WEIGHT, &any).await.unwrap(), (1, 1), "one alone may weigh more");
        assert!(counting.lock().is_empty(), "nothing is left behind");
    }

    #[tokio::test]
    async fn one_key_waits_for_no_other_and_too_many_are_refused() {
        let (counting, any, none) = (Counting::default(), Arc::new(Semaphore::new(1000)), Arc::new(Semaphore::new(0)));
        let mut waiting: Vec<_> = (0..WAITING as u32).map(|number| Box::pin(ask(&counting, "full", number, 0, &none))).collect();
        for one in &mut waiting {
            assert!(poll_immediate(one).await.is_none());
        }
        assert!(matches!(ask(&counting, "full", 0, 0, &none).await, Err(Error::Unavailable(_))));
        assert_eq!(ask(&counting, "other", 9, 0, &any).await.unwrap(), (9, 1));
        drop(waiting);
        none.add_permits(2);
        assert!(ask(&counting, "full", 5, 0, &none).await.is_err(), "there is no room until those who went away are found");
        while !counting.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        assert_eq!(ask(&counting, "full", 5, 0, &none).await.unwrap(), (5, 1), "for those who went away nothing is done");
    }

    #[tokio::test]
    async fn whoever_waited_too_long_or_for_a_round_that_broke_is_told_so() {
        let counting = Counting::default();
        let broken = counting.ask(&TaskTracker::new(), ("a", 1, 0), |rounds| async move { drop(rounds) }).await;
        assert!(matches!(broken, Err(Error::Unavailable(_))));
        let (answer, answered) = oneshot::channel();
        let since = Instant::now().checked_sub(2 * PATIENCE).unwrap();
        assert!(counting.join("a", Asker { question: 2, weight: 0, since, answer }).unwrap(), "and the next begins anew");
        let mut rounds = Rounds { together: counting.clone(), key: "a", is_over: false };
        assert!(rounds.take().is_empty());
        assert!(matches!(answered.await, Ok(Err(Error::Unavailable(_)))));
        assert!(rounds.are_over());
    }
}
