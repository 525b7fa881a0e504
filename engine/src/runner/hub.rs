//! The runners that are connected to this process: how to reach them, and what they hold as far as this process gave it to them.
//! In memory only; what a runner really holds is in the database.

mod slots;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use chrono::TimeDelta;
use domain::{
    AttemptKey, PullId, RunnerId, TaskId, Timestamp, WorkspaceId,
    endpoint::pull::WantedPull,
    protocol::{Assignment, LandingOrder, Telling, ToRunner},
    runner::owner_of,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{RunnerSession, slots::Slots};
use crate::account::Isolations;

/// Between two readings of one link that are taken.
const READINGS_APART: TimeDelta = TimeDelta::seconds(1);

/// Between two words about one pull that are taken, unless it has ended. A runner leaves more than that between them.
const PULLING_APART: TimeDelta = TimeDelta::milliseconds(100);
/// Pulls of which one runner tells within that time; it carries out fewer.
const PULLING_AT_ONCE: usize = 16;

/// A moment, and where the hand stands that moves a test's clock.
type Taken = (Instant, Option<Timestamp>);

#[derive(Default)]
pub(crate) struct Hub {
    links: Mutex<Links>,
}

#[derive(Default)]
struct Links {
    connected: HashMap<RunnerId, Connected>,
    /// The highest ticket of each runner that was seen here, whatever became of its link.
    newest: HashMap<RunnerId, i64>,
}

impl Links {
    fn of(&mut self, session: &RunnerSession) -> Option<&mut Connected> {
        self.connected.get_mut(&session.id()).filter(|one| one.session.ticket == session.ticket)
    }

    /// Whether there is none newer. Older ones end.
    fn note(&mut self, session: &RunnerSession) -> bool {
        let newest = self.newest.entry(session.id()).or_insert(session.ticket);
        *newest = session.ticket.max(*newest);
        let newest = *newest;
        if let Some(before) = self.connected.get(&session.id()).filter(|one| one.session.ticket < newest) {
            before.superseded.cancel();
            self.connected.remove(&session.id());
        }
        session.ticket == newest
    }
}

struct Connected {
    session: RunnerSession,
    outgoing: mpsc::Sender<ToRunner>,
    held: HashSet<AttemptKey>,
    /// Attempts that were interrupted and that it can go on from, as it has said.
    kept: Vec<AttemptKey>,
    /// How much of that its last heartbeat named.
    named: usize,
    /// How much its last heartbeat named that was taken from it: it is being ended, and has its slot until then.
    lingering: usize,
    allowance: Allowance,
    /// How many attempts it is given at once.
    slots: u32,
    /// What of that it was told over this link: a welcome is for as many as its hello has said.
    told_slots: Option<u32>,
    /// How often somebody has said meanwhile whether it is to take anything, or how much at once: what was read before that counts no more.
    said: u64,
    /// Whether it is of a version that lands results.
    lands: bool,
    /// It has said hello, and is to be told at once what it was told to land over an earlier link.
    asks_what_is_to_land: bool,
    superseded: CancellationToken,
    /// What it read of its machine last, over this link or an earlier one: its disk has no room for anything new.
    lacks_disk: bool,
    /// When what it read of its machine was taken last.
    read_at: Option<Taken>,
    /// When what it said of pulls was, as far as that was a moment ago.
    pulling_at: HashMap<PullId, Taken>,
}

impl Connected {
    fn takes_work(&self) -> bool {
        self.allowance != Allowance::Nothing && !self.lacks_disk
    }

    /// Whether it has fewer than it has slots.
    fn has_room(&self) -> bool {
        self.held.len() < self.slots as usize
    }

    /// What it may hold at once.
    fn room(&self) -> usize {
        if !self.takes_work() {
            return 0;
        }
        let slots = self.slots as usize;
        let most = match self.allowance {
            Allowance::All => slots,
            Allowance::Trial => slots.min(self.named + 1),
            Allowance::Nothing => 0,
        };
        most.saturating_sub(self.lingering)
    }
}

/// What a runner may be given, as its row said when it was last read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Allowance {
    #[default]
    All,
    /// It did not take what it was given some time ago: one attempt beside what it has, to see whether it takes that.
    Trial,
    /// It is to take nothing new, or did not take what it was given a moment ago.
    Nothing,
}

/// How a runner stands when a link of it is opened, as its row says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub allowance: Allowance,
    /// How much of what it has named was taken from it.
    pub lingering: usize,
    pub slots: Slots,
    /// By the last reading that was kept, unless that is stale.
    pub lacks_disk: bool,
}

/// Takes the runner off the list when it is dropped.
pub(crate) struct Connection {
    hub: Arc<Hub>,
    id: RunnerId,
    ticket: i64,
    superseded: CancellationToken,
}

impl Connection {
    /// Until a newer link of the same runner has taken the place of this one, or it is ended.
    pub(crate) async fn superseded(&self) {
        self.superseded.cancelled().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut links = self.hub.lock();
        // A newer connection of the same runner has taken the place: leave it.
        if links.connected.get(&self.id).is_some_and(|one| one.session.ticket == self.ticket) {
            links.connected.remove(&self.id);
        }
    }
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on the runner is given work over this link, unless it is to take nothing new; it holds these attempts already.
    pub(crate) fn connect(
        self: &Arc<Self>,
        session: RunnerSession,
        outgoing: mpsc::Sender<ToRunner>,
        held: impl IntoIterator<Item = AttemptKey>,
        standing: Standing,
        lands: bool,
    ) -> Connection {
        let (id, ticket, superseded) = (session.id(), session.ticket, CancellationToken::new());
        let connection = Connection { hub: self.clone(), id, ticket, superseded: superseded.clone() };
        let mut links = self.lock();
        if links.note(&session) {
            let held: HashSet<_> = held.into_iter().collect();
            let named = held.len();
            let Standing { allowance, lingering, slots, lacks_disk } = standing;
            let mut one = Connected {
                session,
                outgoing,
                named,
                lingering,
                held,
                kept: vec![],
                allowance,
                slots: slots.now,
                told_slots: None,
                said: 0,
                lands,
                asks_what_is_to_land: lands,
                superseded,
                lacks_disk,
                read_at: None,
                pulling_at: HashMap::new(),
            };
            // before anything that it is given
            one.take_slots(slots);
            links.connected.insert(id, one);
        } else {
            superseded.cancel();
        }
        connection
    }

    /// Nothing is given any more over links of this runner that were opened before this one, also where they are not connected yet.
    pub(crate) fn supersede(&self, newer: &RunnerSession) {
        self.lock().note(newer);
    }

    /// The connected runners that could take more, with how much.
    pub(crate) fn with_free_slots(&self) -> Vec<(RunnerSession, usize)> {
        let links = self.lock();
        let free = links.connected.values().filter_map(|one| {
            // what its link cannot carry now has to wait as well
            let free = one.room().saturating_sub(one.held.len()).min(one.outgoing.capacity());
            (free > 0).then(|| (one.session.clone(), free))
        });
        free.collect()
    }

    /// Whether runners are connected here and none of those that have what is needed, and take anything, has a free slot.
    pub(crate) fn is_full(&self, workspace: WorkspaceId, is_path: bool, needed: &[String], isolations: &Isolations) -> bool {
        let links = self.lock();
        let fits = |one: &&Connected| {
            let taker = one.session.taker();
            one.takes_work()
                && taker.workspace.is_none_or(|own| own == workspace)
                && (taker.paths || !is_path)
                && (isolations.fit(workspace, taker) || needed.iter().any(|need| owner_of(need) == Some(one.session.id())))
                && needed.iter().all(|need| taker.capabilities.contains(need) || owner_of(need) == Some(one.session.id()))
        };
        let mut fitting = links.connected.values().filter(fits).peekable();
        fitting.peek().is_some() && fitting.all(|one| one.held.len() >= one.room())
    }

    /// Whether the runner is to take nothing new. Where it is not connected, its hello tells.
    pub(crate) fn set_draining(&self, runner: RunnerId, draining: bool) {
        if let Some(one) = self.lock().connected.get_mut(&runner) {
            one.allowance = if draining { Allowance::Nothing } else { Allowance::All };
            one.said += 1;
        }
    }

    /// It is given nothing before its row was read again.
    pub(crate) fn rest(&self, runner: &RunnerSession) {
        if let Some(one) = self.lock().of(runner) {
            one.allowance = Allowance::Nothing;
            one.said += 1;
        }
    }

    /// Tells the runner so, for those who look at its log. When it is not connected here, its next welcome tells it.
    pub(crate) fn tell_draining(&self, runner: RunnerId, on: bool) {
        if let Some(one) = self.lock().connected.get(&runner) {
            // a full queue costs nothing but that: the row decides
            let _ = one.outgoing.try_send(ToRunner::Drain { on, optional: true });
        }
    }

    /// For whoever is about to read its row; [`allow`](Self::allow) takes it.
    pub(crate) fn said(&self, runner: &RunnerSession) -> u64 {
        self.lock().of(runner).map_or(0, |one| one.said)
    }

    /// As its row was read with a heartbeat that named so many attempts; unless somebody has said something else since `said`.
    pub(crate) fn allow(&self, runner: &RunnerSession, allowance: Allowance, named: usize, said: u64) {
        if let Some(one) = self.lock().of(runner) {
            one.named = named;
            if one.said == said {
                one.allowance = allowance;
            }
        }
    }

    /// The runners elsewhere that are connected here and are given nothing, each with what [`take_again`](Self::take_again) takes.
    pub(crate) fn held_back(&self) -> Vec<(RunnerId, u64)> {
        let links = self.lock();
        let held_back = links.connected.values().filter(|one| one.allowance == Allowance::Nothing && one.session.is_far());
        held_back.map(|one| (one.session.id(), one.said)).collect()
    }

    /// It was let take work again, as its row says that was read after [`held_back`](Self::held_back).
    pub(crate) fn take_again(&self, runner: RunnerId, said: u64) {
        if let Some(one) = self.lock().connected.get_mut(&runner).filter(|one| one.said == said) {
            one.allowance = Allowance::All;
        }
    }

    /// So much of what its heartbeat named was taken from it.
    pub(crate) fn note_lingering(&self, runner: &RunnerSession, count: usize) {
        if let Some(one) = self.lock().of(runner) {
            one.lingering = count;
        }
    }

    /// Ends the link of a runner, whichever it is.
    pub(crate) fn remove(&self, runner: RunnerId) {
        if let Some(one) = self.lock().connected.remove(&runner) {
            one.superseded.cancel();
        }
    }

    /// Ends this link, unless another has taken its place.
    pub(crate) fn end(&self, runner: RunnerId, ticket: i64) {
        let mut links = self.lock();
        if links.connected.get(&runner).is_some_and(|one| one.session.ticket == ticket)
            && let Some(one) = links.connected.remove(&runner)
        {
            one.superseded.cancel();
        }
    }

    /// The connected runners, each with whether it lands results.
    pub(crate) fn connected(&self) -> Vec<(RunnerId, bool)> {
        self.lock().connected.iter().map(|(id, one)| (*id, one.lands)).collect()
    }

    /// Their links.
    pub(crate) fn links(&self) -> Vec<(RunnerId, i64)> {
        self.lock().connected.iter().map(|(id, one)| (*id, one.session.ticket)).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lock().connected.is_empty()
    }

    /// Sends an assignment over the link that it was claimed for; false when that is gone or full, or the runner was set to fewer slots meanwhile.
    pub(crate) fn assign(&self, runner: &RunnerSession, assignment: Assignment) -> bool {
        let mut links = self.lock();
        let Some(one) = links.of(runner).filter(|one| one.has_room()) else { return false };
        let attempt = assignment.attempt;
        let sent = one.outgoing.try_send(ToRunner::Assign { assignment: Box::new(assignment) }).is_ok();
        if sent {
            one.held.insert(attempt);
        }
        sent
    }

    /// Tells the runner to end an attempt. When it is not connected here, its next heartbeat tells it.
    pub(crate) fn cancel(&self, runner: RunnerId, attempt: AttemptKey) {
        if let Some(one) = self.lock().connected.get(&runner) {
            // A full queue costs one heartbeat: its answer says it again.
            let _ = one.outgoing.try_send(ToRunner::Cancel { attempt });
        }
    }

    /// Tells the runner something for an attempt, if it understands that. When it is not connected here, its next heartbeat tells it.
    pub(crate) fn tell(&self, runner: RunnerId, telling: Telling) {
        if let Some(one) = self.lock().connected.get(&runner).filter(|one| one.session.hears_people()) {
            // A full queue costs one heartbeat: its answer says it again.
            let _ = one.outgoing.try_send(ToRunner::Tell(telling));
        }
    }

    /// Whether it is time that this link tells of its machine again. What comes sooner is passed over: another one comes.
    pub(crate) fn takes_reading(&self, session: &RunnerSession, by_hand: Option<Timestamp>) -> bool {
        let mut links = self.lock();
        let Some(one) = links.of(session) else { return false };
        let is_soon = one.read_at.is_some_and(|taken| is_within(taken, READINGS_APART, by_hand));
        if !is_soon {
            one.read_at = Some((Instant::now(), by_hand));
        }
        !is_soon
    }

    /// As it has read of its machine. Whether that is news.
    pub(crate) fn note_disk(&self, runner: &RunnerSession, lacks_disk: bool) -> bool {
        let mut links = self.lock();
        let Some(one) = links.of(runner).filter(|one| one.lacks_disk != lacks_disk) else { return false };
        one.lacks_disk = lacks_disk;
        true
    }

    /// Whether it is time that this link tells again how far a pull has come. What comes sooner is passed over: what is at work is told again and again.
    pub(crate) fn takes_pulling(&self, session: &RunnerSession, pull: PullId, by_hand: Option<Timestamp>) -> bool {
        let mut links = self.lock();
        let Some(one) = links.of(session) else { return false };
        one.pulling_at.retain(|_, taken| is_within(*taken, PULLING_APART, by_hand));
        if one.pulling_at.contains_key(&pull) || one.pulling_at.len() >= PULLING_AT_ONCE {
            return false;
        }
        one.pulling_at.insert(pull, (Instant::now(), by_hand));
        true
    }

    /// Tells the runner what its endpoint is to pull. When it is not connected here, the answer to its next reading tells it.
    pub(crate) fn tell_pulls(&self, runner: RunnerId, wanted: Vec<WantedPull>) {
        if let Some(one) = self.lock().connected.get(&runner) {
            // A full queue costs one reading: its answer says it again.
            let _ = one.outgoing.try_send(ToRunner::Pulls { wanted, optional: true });
        }
    }

    /// The links over which nothing was told yet of what was to land over earlier ones.
    pub(crate) fn asking_what_is_to_land(&self) -> Vec<(RunnerId, i64)> {
        let links = self.lock();
        links.connected.iter().filter(|(_, one)| one.asks_what_is_to_land).map(|(id, one)| (*id, one.session.ticket)).collect()
    }

    /// They were told, over these links.
    pub(crate) fn were_told_what_is_to_land(&self, told: &[(RunnerId, i64)]) {
        let mut links = self.lock();
        for (runner, ticket) in told {
            if let Some(one) = links.connected.get_mut(runner).filter(|one| one.session.ticket == *ticket) {
                one.asks_what_is_to_land = false;
            }
        }
    }

    /// Tells the runner what is to land; false when it is not connected here, or its queue is full.
    pub(crate) fn land(&self, runner: RunnerId, order: LandingOrder) -> bool {
        let message = ToRunner::Land { order: Box::new(order), optional: true };
        self.lock().connected.get(&runner).is_some_and(|one| one.outgoing.try_send(message).is_ok())
    }

    /// As with the hello of another link.
    #[cfg(feature = "testing")]
    pub(crate) fn asks_what_is_to_land(&self, runner: &RunnerSession) {
        if let Some(one) = self.lock().of(runner) {
            one.asks_what_is_to_land = true;
        }
    }

    /// What this process gave to the runner over this link, as far as it is not among these.
    pub(crate) fn held_beside(&self, runner: &RunnerSession, named: &[AttemptKey]) -> Vec<AttemptKey> {
        let mut links = self.lock();
        let held = links.of(runner).into_iter().flat_map(|one| &one.held);
        held.filter(|attempt| !named.contains(attempt)).copied().collect()
    }

    /// It can go on from these attempts, and from no others.
    pub(crate) fn note_kept(&self, runner: &RunnerSession, kept: Vec<AttemptKey>) {
        if let Some(one) = self.lock().of(runner) {
            one.kept = kept;
        }
    }

    /// The attempt at this task that the runner can go on from.
    pub(crate) fn kept_of(&self, runner: &RunnerSession, task: TaskId) -> Option<AttemptKey> {
        let mut links = self.lock();
        let kept = links.of(runner).into_iter().flat_map(|one| &one.kept);
        kept.filter(|attempt| attempt.task_id == task).max_by_key(|attempt| attempt.number).copied()
    }

    /// Of which tasks a runner that is connected here can go on from an attempt, from the latest of those.
    pub(crate) fn keepers(&self) -> HashMap<TaskId, RunnerId> {
        let links = self.lock();
        let mut kept: Vec<_> = links.connected.iter().flat_map(|(id, one)| one.kept.iter().map(|attempt| (attempt, *id))).collect();
        kept.sort_by_key(|(attempt, _)| attempt.number);
        kept.into_iter().map(|(attempt, id)| (attempt.task_id, id)).collect()
    }

    /// The attempt has ended or is no longer this runner's: its slot is free.
    pub(crate) fn release(&self, runner: &RunnerSession, attempt: AttemptKey) {
        if let Some(one) = self.lock().of(runner) {
            one.held.remove(&attempt);
        }
    }
}

fn is_within((at, hand): Taken, span: TimeDelta, by_hand: Option<Timestamp>) -> bool {
    match by_hand.zip(hand) {
        Some((now, then)) => now - then < span,
        None => TimeDelta::from_std(at.elapsed()).is_ok_and(|elapsed| elapsed < span),
    }
}

#[cfg(test)]
mod tests {
    use domain::AttemptId;

    use super::*;
    use crate::runner::Taker;

    pub(super) fn session() -> RunnerSession {
        let taker = Taker { workspace: None, paths: true, capabilities: vec![], sandboxes: domain::Sandboxes::Made };
        let id = RunnerId(uuid::Uuid::nil());
        RunnerSession {
            id,
            ticket: 1,
            name: "r1".into(),
            slots: 2,
            taker,
            version: domain::protocol::VERSION,
            takes_slots: true,
            agents: Arc::default(),
        }
    }

    fn standing(allowance: Allowance) -> Standing {
        Standing { allowance, lingering: 0, slots: Slots { now: 2, set: None }, lacks_disk: false }
    }

    #[test]
    fn of_pulls_a_runner_has_little_written() {
        let hub = Arc::new(Hub::default());
        let (session, (outgoing, _told)) = (session(), mpsc::channel(9));
        let _connection = hub.connect(session.clone(), outgoing, [], standing(Allowance::All), true);
        let at = |milliseconds| Some(Timestamp::UNIX_EPOCH + TimeDelta::milliseconds(milliseconds));
        let takes = |number: u128, milliseconds| hub.takes_pulling(&session, PullId(uuid::Uuid::from_u128(number)), at(milliseconds));
        assert!(takes(1, 0) && takes(2, 0) && !takes(1, 99) && takes(1, 100));
        let taken = (0..1000).filter(|number| takes(1000 + number, 1000)).count();
        assert_eq!(taken, PULLING_AT_ONCE, "whatever it makes up");
    }

    #[test]
    fn what_a_runner_keeps_is_told_apart_by_task_and_gone_with_its_link() {
        let hub = Arc::new(Hub::default());
        let (session, (outgoing, _told)) = (session(), mpsc::channel(9));
        let key = |task, number: i32| AttemptKey {
            task_id: TaskId(uuid::Uuid::from_u128(task)),
            attempt_id: AttemptId(uuid::Uuid::from_u128(number.unsigned_abs().into())),
            number,
        };
        let connection = hub.connect(session.clone(), outgoing, [], standing(Allowance::All), true);
        hub.note_kept(&session, vec![key(1, 2), key(1, 1), key(2, 1)]);
        let task = |task| TaskId(uuid::Uuid::from_u128(task));
        assert_eq!([hub.kept_of(&session, task(1)), hub.kept_of(&session, task(3))], [Some(key(1, 2)), None]);
        assert_eq!(hub.keepers(), HashMap::from([(task(1), session.id), (task(2), session.id)]));
        drop(connection);
        assert!(hub.keepers().is_empty() && hub.kept_of(&session, task(1)).is_none());
    }

    #[test]
    fn what_was_read_before_somebody_said_otherwise_counts_no_more() {
        let hub = Arc::new(Hub::default());
        let session = session();
        let id = session.id;
        let (outgoing, _told) = mpsc::channel(9);
        let _connection = hub.connect(session.clone(), outgoing, [], standing(Allowance::Nothing), true);
        let before = hub.said(&session);
        hub.set_draining(id, false);
        hub.allow(&session, Allowance::Nothing, 0, before);
        assert_eq!(hub.with_free_slots(), [(session.clone(), 2)], "it takes work again");
        hub.allow(&session, Allowance::Nothing, 0, hub.said(&session));
        assert!(hub.with_free_slots().is_empty());
    }
}
