//! The lines in which tasks wait for a runner: one for each repository and what its tasks need. What this process remembers of them is
//! where each begins and who was served last, so that a claim starts at the first task that waits, not at the beginning of an index from
//! which nothing can be cleaned while a long transaction is open.
//!
//! Memory only, and never the truth: `queue_place` is. Whatever takes a place there draws a number, and is found by it
//! ([`Lines::newest_since`]). What was committed long after it drew its number is found when somebody looks around, which costs more the
//! more was left behind, and is done for a twentieth of the time at most. The row of a task decides whether it is taken.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use domain::{RepositoryId, RunnerId, WorkspaceId, runner::owner_of};
use sqlx::PgConnection;
use tokio::time::{Instant, timeout};

use crate::{Engine, Error, Result, runner::Taker, service::RESTS};

/// Between drawing a number and the commit, as a rule.
const SETTLES: Duration = Duration::from_secs(1);
/// A look around that takes longer is given up: the database has given it up before, or is not there.
const LOOKS_AT_MOST: Duration = Duration::from_secs(15);
/// What is counted as the time of a look around that failed, so that it is tried again after one to five seconds.
const FAILED_AFTER: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(250));
/// A line whose queue was paused is not asked for so long, unless a queue is resumed here: another server may have done so. Less than the
/// dispatcher waits without a hint.
const STAYS_PAUSED: Duration = Duration::from_millis(250);
/// Of how many workspaces and repositories it is known when they were served. Those that were forgotten were served longest ago.
const SERVED_MAX: usize = 10_000;

/// The tasks of one repository that need the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Line {
    pub workspace: WorkspaceId,
    pub repository: RepositoryId,
    /// Whether that is a path.
    pub is_path: bool,
    pub capabilities: Vec<String>,
}

impl Line {
    /// The one runner that may take from it, when what waits in it is for one alone.
    pub fn owner(&self) -> Option<RunnerId> {
        self.capabilities.iter().find_map(|word| owner_of(word))
    }

    /// A path that is for one runner is a path of its own.
    fn is_for(&self, taker: &Taker) -> bool {
        taker.workspace.is_none_or(|own| own == self.workspace)
            && (taker.paths || !self.is_path || self.owner().is_some())
            && self.capabilities.iter().all(|need| taker.capabilities.contains(need))
    }
}

/// A line that somebody waits in, and the lowest turn there, as far as it was seen.
pub(crate) type Front = (Line, i64);

/// What this process knows of the lines.
#[derive(Default)]
pub(crate) struct Known(Mutex<Lines>);

impl Known {
    pub fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
pub(crate) struct Lines {
    fronts: HashMap<Line, Seen>,
    /// The last number that had been drawn, each time somebody looked.
    drawn: VecDeque<(Instant, i64)>,
    first_look: Option<Instant>,
    around: Option<Around>,
    /// When a queue was last resumed here.
    resumed: Option<Instant>,
    served: Served,
}

/// The last look around.
#[derive(Clone, Copy)]
struct Around {
    ended: Instant,
    took: Duration,
    /// It began after everything had settled that had drawn a number before the first look of all.
    settled: bool,
}

/// Where a line begins, and since when that is known.
#[derive(Clone, Copy)]
struct Seen {
    turn: i64,
    at: Instant,
    /// When nothing could be taken from it, as its queue was paused.
    paused: Option<Instant>,
}

/// What a look came to.
pub(crate) struct Look {
    began: Instant,
    /// The last number that had been drawn.
    drawn: i64,
    fronts: Vec<Front>,
}

/// What a claim learned of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// Nobody waits behind those that were taken.
    Nobody,
    /// The next has this turn.
    From(i64),
    /// Its queue is paused, so nobody looked.
    Paused,
}

impl Lines {
    /// The number after which everything is to be looked for that took a place; none as long as nobody has looked at all. What drew its
    /// number shortly before the last look, and had not settled then, is looked for again.
    pub fn newest_since(&self) -> Option<i64> {
        let (last, _) = self.drawn.back()?;
        let settled = last.checked_sub(SETTLES).and_then(|settled| self.drawn.iter().rev().find(|(at, _)| *at <= settled));
        settled.or(self.drawn.front()).map(|(_, number)| *number)
    }

    pub fn look_around_is_due(&self, now: Instant) -> bool {
        self.around.is_none_or(|last| now.duration_since(last.ended) >= last.took * RESTS || !last.settled && self.has_settled(now))
    }

    /// Whether everything has, that had drawn a number before the first look: it is not looked for by its number.
    fn has_settled(&self, now: Instant) -> bool {
        self.first_look.is_some_and(|first| now.duration_since(first) >= SETTLES)
    }

    /// Those that joined since.
    pub fn newest(&mut self, look: Look) {
        self.note_drawn(&look);
        for (line, turn) in look.fronts {
            self.note_front(line, Seen { turn, at: look.began, paused: None });
        }
    }

    /// All there are: what was known before and is not among them has come to its end.
    pub fn all(&mut self, look: Look) {
        self.note_drawn(&look);
        let before: HashMap<_, _> = self.fronts.extract_if(|_, seen| seen.at < look.began).collect();
        for (line, turn) in look.fronts {
            let paused = before.get(&line).and_then(|seen| seen.paused);
            self.note_front(line, Seen { turn, at: look.began, paused });
        }
    }

    pub fn looked_around(&mut self, began: Instant, now: Instant, went_well: bool) {
        let took = now.duration_since(began);
        let took = if went_well { took } else { took.clamp(FAILED_AFTER.0, FAILED_AFTER.1) };
        self.around = Some(Around { ended: now, took, settled: went_well && self.has_settled(began) });
    }

    fn note_drawn(&mut self, look: &Look) {
        self.first_look.get_or_insert(look.began);
        if self.drawn.back().is_some_and(|(at, number)| *at < look.began && *number > look.drawn) {
            // a database that was restored, or lost what nobody had been told of, draws numbers a second time
            self.drawn.clear();
            self.around = None;
        }
        if self.drawn.back().is_none_or(|(at, _)| *at < look.began) {
            self.drawn.push_back((look.began, look.drawn));
        }
        // one that had settled before the last look stays
        let settled = |(at, _): &(Instant, i64)| look.began.duration_since(*at) >= 2 * SETTLES;
        while self.drawn.get(1).is_some_and(settled) {
            self.drawn.pop_front();
        }
    }

    fn note_front(&mut self, line: Line, new: Seen) {
        let seen = self.fronts.entry(line).or_insert(new);
        *seen = Seen { turn: new.turn.min(seen.turn), at: new.at.max(seen.at), ..*seen };
    }

    /// The runners that something waits for which no other may take.
    pub fn owners(&self) -> HashSet<RunnerId> {
        self.fronts.keys().filter_map(Line::owner).collect()
    }

    /// The lines that such runners can take from, those of one workspace together, whoever was served longest ago first.
    pub fn in_turn(&self, taker: &Taker, now: Instant) -> Vec<Vec<Asked>> {
        let mut workspaces: HashMap<WorkspaceId, Vec<Asked>> = HashMap::new();
        for (line, seen) in &self.fronts {
            if !self.is_paused(seen, now) && line.is_for(taker) {
                let asked = Asked { line: line.clone(), turn: seen.turn, served: self.served.repository(line.repository) };
                workspaces.entry(line.workspace).or_default().push(asked);
            }
        }
        let mut workspaces: Vec<_> = workspaces.into_iter().collect();
        workspaces.sort_unstable_by_key(|(workspace, _)| (self.served.workspace(*workspace), *workspace));
        workspaces.into_iter().map(|(_, lines)| lines).collect()
    }

    /// As far as is known. A claim that began before a queue was resumed says nothing of it.
    fn is_paused(&self, seen: &Seen, now: Instant) -> bool {
        seen.paused.is_some_and(|at| now.duration_since(at) < STAYS_PAUSED && self.resumed.is_none_or(|resumed| resumed < at))
    }

    /// To be told after it was committed.
    pub fn resumed(&mut self, now: Instant) {
        self.resumed = Some(now);
    }

    /// What a claim that began then found in the lines it asked for, and from which it took something, in the order of the queue. What
    /// others have seen there meanwhile is not overwritten: since it began, or before the turn from which it looked.
    pub fn claimed<'a>(&mut self, began: Instant, found: impl Iterator<Item = (&'a Asked, Left)>, taken: impl Iterator<Item = &'a Line>) {
        for (asked, left) in found {
            let Some(seen) = self.fronts.get_mut(&asked.line) else { continue };
            let knows_more = seen.at > began || seen.turn < asked.turn;
            match left {
                Left::Nobody if knows_more => {}
                Left::Nobody => drop(self.fronts.remove(&asked.line)),
                Left::From(turn) => {
                    let turn = if knows_more { turn.min(seen.turn) } else { turn };
                    *seen = Seen { turn, at: began.max(seen.at), paused: None };
                }
                Left::Paused => seen.paused = Some(began),
            }
        }
        taken.for_each(|line| self.served.note(line));
    }
}

/// A line as a claim is to look at it.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub line: Line,
    pub turn: i64,
    /// When its repository was served, counted in claims.
    pub served: u64,
}

/// When workspaces and repositories were served, counted in claims.
#[derive(Default)]
struct Served {
    count: u64,
    workspaces: HashMap<WorkspaceId, u64>,
    repositories: HashMap<RepositoryId, u64>,
}

impl Served {
    fn workspace(&self, id: WorkspaceId) -> u64 {
        self.workspaces.get(&id).copied().unwrap_or(0)
    }

    fn repository(&self, id: RepositoryId) -> u64 {
        self.repositories.get(&id).copied().unwrap_or(0)
    }

    fn note(&mut self, line: &Line) {
        self.count += 1;
        self.workspaces.insert(line.workspace, self.count);
        self.repositories.insert(line.repository, self.count);
        forget_the_oldest(&mut self.workspaces);
        forget_the_oldest(&mut self.repositories);
    }
}

fn forget_the_oldest<K: Eq + Hash>(served: &mut HashMap<K, u64>) {
    if served.len() <= SERVED_MAX {
        return;
    }
    let mut counts: Vec<_> = served.values().copied().collect();
    counts.sort_unstable();
    let middle = counts[counts.len() / 2];
    served.retain(|_, count| *count >= middle);
}

impl Engine {
    /// Learns of everything that waits.
    pub(crate) async fn look_around(&self) -> Result<()> {
        let began = Instant::now();
        let looked = timeout(LOOKS_AT_MOST, async { all(&mut *self.database.system.acquire().await?).await }).await;
        let looked = looked.unwrap_or_else(|_| Err(Error::Unavailable(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))));
        let mut lines = self.lines.lock();
        lines.looked_around(began, Instant::now(), looked.is_ok());
        lines.all(looked?);
        Ok(())
    }

    /// Learns of what has taken a place since it looked last; the first time, where that begins.
    pub(crate) async fn look_at_the_newest(&self) -> Result<()> {
        let since = self.lines.lock().newest_since();
        self.look_at_what_joined_after(since.unwrap_or(i64::MAX)).await
    }

    pub(crate) async fn look_at_what_joined_after(&self, number: i64) -> Result<()> {
        let mut conn = self.database.system.acquire().await?;
        let look = newest(&mut conn, number).await?;
        self.lines.lock().newest(look);
        Ok(())
    }
}

/// A line and its front, as a row that may be empty.
struct FrontRow {
    drawn: i64,
    workspace_id: Option<WorkspaceId>,
    repository_id: Option<RepositoryId>,
    capabilities: Option<Vec<String>>,
    turn: Option<i64>,
    is_path: Option<bool>,
}

fn look(began: Instant, rows: Vec<FrontRow>) -> Look {
    let drawn = rows.first().map_or(0, |row| row.drawn);
    let front = |row: FrontRow| {
        let line =
            Line { workspace: row.workspace_id?, repository: row.repository_id?, is_path: row.is_path?, capabilities: row.capabilities? };
        Some((line, row.turn?))
    };
    Look { began, drawn, fronts: rows.into_iter().filter_map(front).collect() }
}

/// From one line to the next by the index, however many tasks each has.
async fn all(conn: &mut PgConnection) -> Result<Look> {
    let began = Instant::now();
    let rows = sqlx::query_as!(
        FrontRow,
        r#"with recursive front as (
             (select workspace_id, repository_id, capabilities, turn from queue_place
              order by workspace_id, repository_id, capabilities, turn limit 1)
             union all
             select next.* from front cross join lateral (
               select workspace_id, repository_id, capabilities, turn from queue_place place
               where (place.workspace_id, place.repository_id, place.capabilities) > (front.workspace_id, front.repository_id, front.capabilities)
               order by workspace_id, repository_id, capabilities, turn limit 1
             ) as next
           )
           select last_value as "drawn!", workspace_id as "workspace_id?: WorkspaceId", repository_id as "repository_id?: RepositoryId",
                  capabilities as "capabilities?", turn as "turn?", (select is_path from repository where id = repository_id)
           from queue_joined left join front on true"#
    )
    .fetch_all(conn)
    .await?;
    Ok(look(began, rows))
}

async fn newest(conn: &mut PgConnection, since: i64) -> Result<Look> {
    let began = Instant::now();
    let rows = sqlx::query_as!(
        FrontRow,
        r#"with joined as materialized (
             select workspace_id, repository_id, capabilities, turn from queue_place where joined > $1 order by joined
           ), front as (
             select workspace_id, repository_id, capabilities, min(turn) as turn from joined group by 1, 2, 3
           )
           select last_value as "drawn!", workspace_id as "workspace_id?: WorkspaceId", repository_id as "repository_id?: RepositoryId",
                  capabilities as "capabilities?", turn as "turn?", (select is_path from repository where id = repository_id)
           from queue_joined left join front on true"#,
        since
    )
    .fetch_all(conn)
    .await?;
    Ok(look(began, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(repository: u128) -> Line {
        Line {
            workspace: WorkspaceId(uuid::Uuid::from_u128(1)),
            repository: RepositoryId(uuid::Uuid::from_u128(repository)),
            is_path: false,
            capabilities: vec![],
        }
    }

    /// What a runner of the installation may be given that has nothing that tasks need.
    fn anything() -> Taker {
        Taker { workspace: None, paths: true, capabilities: vec![], sandboxes: domain::Sandboxes::Made }
    }

    fn look(began: Instant, drawn: i64, fronts: Vec<Front>) -> Look {
        Look { began, drawn, fronts }
    }

    fn turns(lines: &Lines) -> Vec<i64> {
        let mut turns: Vec<_> = lines.in_turn(&anything(), Instant::now()).concat().iter().map(|asked| asked.turn).collect();
        turns.sort_unstable();
        turns
    }

    #[test]
    fn what_settles_within_a_second_of_being_drawn_is_looked_for_by_its_number() {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let mut lines = Lines::default();
        assert_eq!(lines.newest_since(), None, "nobody has looked");
        // a number is drawn every 10 ms, and somebody looks every 70 ms
        let looks: Vec<u64> = (0..100).map(|look| look * 70).collect();
        let mut since = vec![];
        for look_at in &looks {
            since.push((*look_at, lines.newest_since()));
            lines.newest(look(at(*look_at), i64::try_from(look_at / 10).unwrap(), vec![]));
        }
        for number in 1..590_i64 {
            let drawn = u64::try_from(number * 10).unwrap();
            for settles in [0, 300, 990] {
                // the first look after the commit sees everything from a number before this one
                let (_, since) = since.iter().find(|(at, _)| *at > drawn + settles).unwrap();
                assert!(since.is_none_or(|since| since < number), "{number}, committed {settles} ms later, is not looked for: {since:?}");
            }
        }
        let (_, last) = since.last().unwrap();
        assert!(last.unwrap() > 500, "it is not looked for everything there ever was");
        assert!(lines.drawn.len() < 40, "what is too old to be needed is forgotten");
    }

    #[test]
    fn after_a_pause_it_is_looked_for_everything_since_what_had_settled_before() {
        let start = Instant::now();
        let mut lines = Lines::default();
        for seconds in 0..4 {
            lines.newest(look(start + Duration::from_secs(seconds), 100 * i64::try_from(seconds).unwrap(), vec![]));
        }
        assert_eq!(lines.newest_since(), Some(200));
        lines.newest(look(start + Duration::from_secs(3600), 1000, vec![]));
        assert_eq!(lines.newest_since(), Some(300));
    }

    #[test]
    fn looking_around_takes_a_twentieth_of_the_time() {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let mut lines = Lines::default();
        assert!(lines.look_around_is_due(at(0)));
        lines.looked_around(at(0), at(50), true);
        assert!(!lines.look_around_is_due(at(1049)));
        assert!(lines.look_around_is_due(at(1050)));
        lines.looked_around(at(0), at(10_000), false);
        assert!(lines.look_around_is_due(at(15_000)), "what failed is tried again sooner than what took as long");
        lines.looked_around(at(0), at(0), false);
        assert!(!lines.look_around_is_due(at(999)), "and not at once");
    }

    #[test]
    fn what_had_not_settled_before_the_first_look_is_found_by_looking_around_once_more() {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let mut lines = Lines::default();
        lines.newest(look(at(0), 7, vec![]));
        lines.looked_around(at(5), at(505), true);
        assert!(!lines.look_around_is_due(at(999)));
        assert!(lines.look_around_is_due(at(1000)), "although it rests after what took so long");
        lines.looked_around(at(1000), at(1500), true);
        assert!(!lines.look_around_is_due(at(11_499)));
    }

    #[test]
    fn numbers_that_are_drawn_a_second_time_are_looked_for_again() {
        let start = Instant::now();
        let mut lines = Lines::default();
        lines.newest(look(start, 1000, vec![]));
        lines.looked_around(start, start, true);
        lines.newest(look(start + Duration::from_millis(1), 970, vec![]));
        assert_eq!(lines.newest_since(), Some(970));
        assert!(lines.look_around_is_due(start));
    }

    fn asked(line: Line, turn: i64) -> Asked {
        Asked { line, turn, served: 0 }
    }

    /// A claim that looked at these lines.
    fn claim(lines: &mut Lines, began: Instant, found: &[(Asked, Left)]) {
        lines.claimed(began, found.iter().map(|(asked, left)| (asked, *left)), std::iter::empty());
    }

    #[test]
    fn a_line_begins_where_the_last_claim_left_it_or_at_who_joined_before() {
        let start = Instant::now();
        let later = start + Duration::from_millis(1);
        let mut lines = Lines::default();
        lines.all(look(start, 0, vec![(line(1), 10), (line(2), 20)]));
        assert_eq!(turns(&lines), [10, 20]);
        claim(&mut lines, later, &[(asked(line(1), 10), Left::From(12)), (asked(line(2), 20), Left::Nobody)]);
        assert_eq!(turns(&lines), [12]);
        lines.newest(look(later, 0, vec![(line(1), 11), (line(2), 30)]));
        assert_eq!(turns(&lines), [11, 30]);
        lines.newest(look(later, 0, vec![(line(1), 40)]));
        assert_eq!(turns(&lines), [11, 30], "who came later changes nothing");
        claim(&mut lines, start, &[(asked(line(1), 11), Left::From(50)), (asked(line(2), 30), Left::Nobody)]);
        assert_eq!(turns(&lines), [11, 30], "a claim that began before knows less");
        lines.all(look(start, 0, vec![(line(1), 5)]));
        claim(&mut lines, later, &[(asked(line(1), 11), Left::Nobody)]);
        assert_eq!(turns(&lines), [5, 30], "and so does one that looked further behind");
        claim(&mut lines, later, &[(asked(line(1), 11), Left::From(12))]);
        assert_eq!(turns(&lines), [5, 30]);
    }

    #[test]
    fn a_look_around_forgets_what_has_come_to_its_end_and_not_what_was_seen_since_it_began() {
        let start = Instant::now();
        let (later, last) = (start + Duration::from_millis(1), start + Duration::from_millis(2));
        let mut lines = Lines::default();
        lines.all(look(start, 0, vec![(line(1), 10), (line(2), 20), (line(3), 30)]));
        claim(&mut lines, last, &[(asked(line(2), 20), Left::From(25))]);
        lines.all(look(later, 0, vec![(line(3), 31)]));
        assert_eq!(turns(&lines), [25, 31]);
    }

    #[test]
    fn whose_queue_is_paused_is_left_alone_for_a_moment_or_until_one_is_resumed() {
        let start = Instant::now();
        let at = |millis: u64| start + Duration::from_millis(millis);
        let known = |lines: &Lines, now| {
            let mut turns: Vec<_> = lines.in_turn(&anything(), now).concat().iter().map(|asked| asked.turn).collect();
            turns.sort_unstable();
            turns
        };
        let mut lines = Lines::default();
        lines.all(look(start, 0, vec![(line(1), 10), (line(2), 20)]));
        assert_eq!(known(&lines, start), [10, 20]);
        claim(&mut lines, at(1), &[(asked(line(1), 10), Left::Paused)]);
        lines.all(look(at(2), 0, vec![(line(1), 10), (line(2), 20)]));
        assert_eq!(known(&lines, at(3)), [20]);
        assert_eq!(known(&lines, at(1) + STAYS_PAUSED), [10, 20], "another server may have resumed it");
        lines.resumed(at(5));
        assert_eq!(known(&lines, at(6)), [10, 20]);
        claim(&mut lines, at(4), &[(asked(line(1), 10), Left::Paused)]);
        assert_eq!(known(&lines, at(6)), [10, 20], "a claim that began before does not know");
        claim(&mut lines, at(6), &[(asked(line(1), 10), Left::Paused)]);
        assert_eq!(known(&lines, at(7)), [20]);
    }

    #[test]
    fn whoever_was_served_longest_ago_is_next_and_who_was_forgotten_counts_as_such() {
        let mut served = Served::default();
        for repository in 1..=u128::try_from(SERVED_MAX).unwrap() + 1 {
            served.note(&line(repository));
        }
        let count = |repository: u128| served.repository(line(repository).repository);
        assert_eq!(count(1), 0);
        assert!(count(9_000) < count(9_001));
        assert!(served.repositories.len() <= SERVED_MAX);
    }

    #[test]
    fn a_runner_takes_from_its_own_workspace_and_from_paths_only_where_it_may() {
        let mut lines = Lines::default();
        let of = |workspace: u128, is_path| Line { workspace: WorkspaceId(uuid::Uuid::from_u128(workspace)), is_path, ..line(workspace) };
        lines.all(look(Instant::now(), 0, vec![(of(1, false), 10), (of(1, true), 11), (of(2, false), 20)]));
        let turns = |taker: Taker| -> Vec<i64> {
            let mut turns: Vec<_> = lines.in_turn(&taker, Instant::now()).concat().iter().map(|asked| asked.turn).collect();
            turns.sort_unstable();
            turns
        };
        let own = Some(WorkspaceId(uuid::Uuid::from_u128(1)));
        assert_eq!(turns(anything()), [10, 11, 20]);
        assert_eq!(turns(Taker { workspace: own, ..anything() }), [10, 11]);
        assert_eq!(turns(Taker { workspace: own, paths: false, ..anything() }), [10]);
    }
}
