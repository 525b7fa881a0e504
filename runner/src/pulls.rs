//! What the endpoint on this machine is pulling, as the server wants it.
//!
//! The server says again and again what is to be pulled, all of it; so what was said over a link that broke need not be kept. What has ended
//! is told until the server no longer wants it. Where nobody answers nothing ends: why is told, as the server is the one that knows for how long this
//! has led nowhere, and it is begun again with the next time that it is wanted.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use domain::{
    PullId,
    endpoint::{
        Looked, PULLS_AT_ONCE,
        pull::{PullProgress, WantedPull},
    },
    protocol::ToServer,
};
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::info;

use crate::{
    life::Runner,
    lock,
    ollama::{Asker, Pulled, Reach},
};

/// Between two words about one pull, unless it comes to something else.
const TELLS: Duration = Duration::from_secs(1);
/// Also then, unless it has ended: its endpoint may say as much as it likes, and what attempts have to say goes down the same link.
const APART: Duration = Duration::from_millis(250);

#[derive(Default)]
pub(crate) struct Pulls {
    book: Mutex<BTreeMap<PullId, One>>,
    to_say: Notify,
}

struct One {
    /// As it was told, or is to be: also of a try that came to nothing, until somebody has answered the next one.
    progress: PullProgress,
    /// Nothing came of this try: it is begun again when it is wanted again.
    is_over: bool,
    /// It was not among what the server wanted when that said so last. That may have been said before it was wanted, and heard after.
    is_missed: bool,
    /// When it is to be told of next; nothing when all of it is told.
    due: Option<Instant>,
    said_at: Option<Instant>,
    /// Leaves it off when it is dropped.
    _off: DropGuard,
}

impl Pulls {
    /// Another link: all of it is told again.
    pub fn begin_again(&self) {
        let now = Instant::now();
        lock(&self.book).values_mut().for_each(|one| one.due = Some(now));
        self.to_say.notify_one();
    }

    /// What is to go down the link next.
    pub async fn next(&self) -> ToServer {
        loop {
            let to_say = self.to_say.notified();
            if let Some(message) = self.unsaid() {
                return message;
            }
            match self.next_due() {
                Some(at) => {
                    let _ = timeout_at(at, to_say).await;
                }
                None => to_say.await,
            }
        }
    }

    fn unsaid(&self) -> Option<ToServer> {
        let now = Instant::now();
        let mut book = lock(&self.book);
        let (id, one) = book.iter_mut().find(|(_, one)| one.due.is_some_and(|due| due <= now))?;
        (one.due, one.said_at) = (None, Some(now));
        Some(ToServer::Pulling { pull: *id, progress: one.progress.clone(), optional: true })
    }

    fn next_due(&self) -> Option<Instant> {
        lock(&self.book).values().filter_map(|one| one.due).min()
    }

    /// As far as a message holds it; nothing when it was left off meanwhile. What comes soon after the last word is told a little later, as it is then.
    fn note(&self, id: PullId, progress: PullProgress) {
        let progress = progress.kept();
        let mut book = lock(&self.book);
        let Some(one) = book.get_mut(&id) else { return };
        let apart = match (progress.end.is_some(), progress.status != one.progress.status) {
            (true, _) => Duration::ZERO,
            (false, true) => APART,
            (false, false) => TELLS,
        };
        let now = Instant::now();
        let due = one.said_at.map_or(now, |at| at + apart);
        one.due = Some(one.due.map_or(due, |before| before.min(due)));
        one.progress = progress;
        self.to_say.notify_one();
    }

    /// It is begun again when it is wanted again. The server hears of it, or it would take it for one that was never begun; how far it has come stays as
    /// it was.
    fn came_to_nothing(&self, id: PullId, why: String) {
        let last = lock(&self.book).get_mut(&id).map(|one| {
            one.is_over = true;
            one.progress.clone()
        });
        if let Some(last) = last {
            self.note(id, PullProgress { status: why, ..last });
        }
    }

    /// Those that are to be begun, if any may be; whatever is not wanted twice in a row is left off. What is wanted still is told again: the server
    /// may not have heard of its end, and of what has not ended it hears that somebody is at it.
    fn set_wanted(&self, wanted: Vec<WantedPull>, may_begin: bool) -> Vec<(WantedPull, CancellationToken)> {
        let mut book = lock(&self.book);
        book.retain(|id, known| {
            let was_missed = std::mem::replace(&mut known.is_missed, !wanted.iter().any(|one| one.id == *id));
            !(was_missed && known.is_missed)
        });
        let mut begun = vec![];
        for one in wanted {
            if let Some(known) = book.get_mut(&one.id).filter(|known| !known.is_over) {
                known.due = known.due.or(Some(Instant::now()));
                continue;
            }
            let is_open = |one: &&One| one.progress.end.is_none() && !one.is_over;
            // it waits for the next time that the server says what it wants
            if !may_begin || book.values().filter(is_open).count() >= PULLS_AT_ONCE {
                continue;
            }
            let off = CancellationToken::new();
            let guard = off.clone().drop_guard();
            // before anybody has answered there is nothing to tell, but for what came of the try before
            let before = book.remove(&one.id).map(|before| (before.progress, before.due, before.said_at));
            let (progress, due, said_at) = before.unwrap_or_default();
            book.insert(one.id, One { progress, is_over: false, is_missed: false, due, said_at, _off: guard });
            begun.push((one, off));
        }
        self.to_say.notify_one();
        begun
    }
}

/// Begins what is wanted and not at work, unless the last look has found nobody, and leaves off what is at work and not wanted.
pub(crate) fn pull_what_is_wanted(runner: &Arc<Runner>, wanted: Vec<WantedPull>) {
    let looked = runner.reading.borrow().as_ref().and_then(|seen| seen.endpoint.as_ref().map(|look| look.looked.clone()));
    let may_begin = !matches!(looked, Some(Looked::Fails { .. }));
    for (one, off) in runner.pulls.set_wanted(wanted, may_begin) {
        runner.tracker.spawn(pull(Arc::clone(runner), one, off));
    }
}

/// Until it has ended, is left off, or the runner is to stop: its next life begins it again, and Ollama goes on where it was.
async fn pull(runner: Arc<Runner>, wanted: WantedPull, off: CancellationToken) {
    let WantedPull { id, model } = wanted;
    info!("The endpoint on this machine is to pull {model}");
    let pulled = tokio::select! {
        pulled = pulled(&runner, id, &model) => pulled,
        () = off.cancelled() => return info!("Pulling {model} is left off"),
        () = runner.stop.cancelled() => return,
    };
    let end = match pulled {
        Pulled::Ended(end) => end,
        Pulled::Unanswered(why) => {
            info!("Pulling {model} has not begun, and is tried again: {why}");
            return runner.pulls.came_to_nothing(id, why);
        }
        Pulled::BrokeOff => {
            info!("Pulling {model} has broken off, and is begun again");
            return runner.pulls.came_to_nothing(id, "it has broken off, and is begun again".into());
        }
    };
    info!("Pulling {model} has ended: {end:?}");
    let last = lock(&runner.pulls.book).get(&id).map(|one| one.progress.clone()).unwrap_or_default();
    runner.pulls.note(id, PullProgress { end: Some(end), ..last });
}

async fn pulled(runner: &Runner, id: PullId, model: &str) -> Pulled {
    let Some(config) = &runner.config.agents.ollama else { return Pulled::failed("this runner was told to use no endpoint") };
    match Asker::new(Reach::Anybody).and_then(|asker| asker.at(&config.url)) {
        // its end is noted by whoever waits for it
        Ok(ollama) => ollama.pull(model, |progress| runner.pulls.note(id, PullProgress { end: None, ..progress })).await,
        Err(why) => Pulled::failed(why),
    }
}

#[cfg(test)]
mod tests {
    use domain::endpoint::pull::PullEnd;
    use uuid::Uuid;

    use super::*;

    fn wanted(numbers: &[u128]) -> Vec<WantedPull> {
        numbers.iter().map(|number| WantedPull { id: PullId(Uuid::from_u128(*number)), model: format!("m{number}") }).collect()
    }

    fn begins(pulls: &Pulls, numbers: &[u128]) -> Vec<(String, CancellationToken)> {
        pulls.set_wanted(wanted(numbers), true).into_iter().map(|(one, off)| (one.model, off)).collect()
    }

    fn said(pulls: &Pulls) -> Vec<(u128, PullProgress)> {
        let said = std::iter::from_fn(|| match pulls.unsaid()? {
            ToServer::Pulling { pull, progress, .. } => Some((pull.0.as_u128(), progress)),
            other => panic!("{other:?}"),
        });
        said.collect()
    }

    fn done() -> PullProgress {
        PullProgress { end: Some(PullEnd::Done), ..PullProgress::default() }
    }

    #[test]
    fn each_is_begun_once_and_left_off_when_nobody_wants_it() {
        let pulls = Pulls::default();
        let begun = begins(&pulls, &[1, 2]);
        assert_eq!(begun.len(), 2);
        assert_eq!(begins(&pulls, &[1, 2]).len(), 0, "the server says it again and again");
        assert_eq!(begins(&pulls, &[2, 3])[0].0, "m3");
        assert!(!begun[0].1.is_cancelled(), "what was said before it was wanted may come late");
        assert_eq!(begins(&pulls, &[1, 2, 3]).len(), 0);
        for _ in 0..2 {
            begins(&pulls, &[2, 3]);
        }
        assert!(begun[0].1.is_cancelled() && !begun[1].1.is_cancelled());
        let many = begins(&pulls, &[2, 3, 4, 5, 6, 7]);
        assert_eq!(many.len(), PULLS_AT_ONCE - 2, "the others wait");
    }

    #[tokio::test(start_paused = true)]
    async fn where_nobody_answers_that_is_told_with_each_try_and_nothing_has_ended() {
        let pulls = Pulls::default();
        assert!(pulls.set_wanted(wanted(&[1]), false).is_empty(), "the last look has found nobody");
        assert_eq!(begins(&pulls, &[1]).len(), 1);
        assert_eq!(said(&pulls), [], "nobody has answered yet");
        let at = |status: &str, completed| PullProgress { status: status.into(), completed, total: completed, end: None };
        pulls.came_to_nothing(PullId(Uuid::from_u128(1)), "503".into());
        assert_eq!(said(&pulls), [(1, at("503", 0))], "the server counts from then on");
        assert!(pulls.set_wanted(wanted(&[1]), false).is_empty());
        assert_eq!(said(&pulls), [], "nobody is at it");
        assert_eq!(begins(&pulls, &[1]).len(), 1, "once more");
        tokio::time::advance(TELLS).await;
        pulls.note(PullId(Uuid::from_u128(1)), at("pulling a1", 2));
        assert_eq!(said(&pulls), [(1, at("pulling a1", 2))]);
        tokio::time::advance(TELLS).await;
        pulls.came_to_nothing(PullId(Uuid::from_u128(1)), "503".into());
        assert_eq!(begins(&pulls, &[1]).len(), 1, "also before that was told");
        assert_eq!(said(&pulls), [(1, at("503", 2))], "and no byte is new when it comes as far again");
        let many = begins(&pulls, &[1, 2, 3, 4, 5]);
        assert_eq!(many.len(), PULLS_AT_ONCE - 1);
        pulls.came_to_nothing(PullId(Uuid::from_u128(2)), "503".into());
        assert_eq!(begins(&pulls, &[1, 3, 4, 5]).len(), 1, "it takes nobody's place");
        said(&pulls);
        assert!(pulls.set_wanted(wanted(&[1]), false).is_empty() && said(&pulls).len() == 1, "what is at work goes on, and is told");
    }

    #[test]
    fn what_has_ended_is_told_until_nobody_wants_it() {
        let pulls = Pulls::default();
        let _begun = begins(&pulls, &[1]);
        said(&pulls);
        pulls.note(PullId(Uuid::from_u128(1)), done());
        assert_eq!(said(&pulls), [(1, done())]);
        assert_eq!(said(&pulls), []);
        assert_eq!(begins(&pulls, &[1]).len(), 0, "it is not begun again");
        assert_eq!(said(&pulls), [(1, done())], "the link may have broken before it was heard");
        for _ in 0..2 {
            begins(&pulls, &[]);
        }
        assert_eq!(said(&pulls), []);
        pulls.note(PullId(Uuid::from_u128(1)), done());
        assert_eq!(said(&pulls), [], "nobody wants it");
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_says_much_is_told_of_four_times_a_second_and_its_last_word_and_its_end_are_told() {
        let pulls = Pulls::default();
        let _begun = begins(&pulls, &[1]);
        said(&pulls);
        let at = |number: u64| PullProgress { status: format!("part {number}"), completed: number, total: 1000, end: None };
        let mut told = vec![];
        for number in 0..1000 {
            pulls.note(PullId(Uuid::from_u128(1)), at(number));
            told.extend(said(&pulls));
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        assert!((3..=4).contains(&told.len()), "{told:?}");
        let last = tokio::time::timeout(APART, pulls.next()).await.expect("before the silence it had come further");
        assert!(matches!(last, ToServer::Pulling { progress, .. } if progress == at(999)));
        pulls.note(PullId(Uuid::from_u128(1)), at(1000));
        pulls.note(PullId(Uuid::from_u128(1)), done());
        assert_eq!(said(&pulls), [(1, done())], "an end waits for nothing");
        assert!(tokio::time::timeout(TELLS * 2, pulls.next()).await.is_err(), "and nothing is told after it");
    }

    #[test]
    fn a_new_link_is_told_all_of_it_and_none_is_told_every_byte() {
        let pulls = Pulls::default();
        let _begun = begins(&pulls, &[1]);
        let at = |completed| PullProgress { status: "pulling".into(), completed, total: 100, end: None };
        let note = |completed| pulls.note(PullId(Uuid::from_u128(1)), at(completed));
        note(1);
        assert_eq!(said(&pulls), [(1, at(1))]);
        note(2);
        note(3);
        assert_eq!(said(&pulls), [], "a moment ago it was told");
        pulls.begin_again();
        assert_eq!(said(&pulls), [(1, at(3))]);
    }
}
