//! Which task is next, and giving it to a runner.

use domain::{
    AttemptId, AttemptKey, RepositoryId, Sandboxes, TaskId, WorkspaceId,
    protocol::{Assignment, Credentials},
};
use serde::Serialize;
use sqlx::types::Json;
use tokio::time::Instant;
use tracing::warn;
use uuid::Uuid;

use super::{lease, store};
use crate::{
    Engine, Result, RunnerSession,
    account::Isolations,
    runner::Taker,
    task::line::{Asked, Left, Line},
};

/// Workspaces that one statement looks at; more when there are more slots than that.
const WORKSPACES: usize = 16;

/// The id of an attempt that may come of it, and the runner that has a free slot.
type Wanted<'a> = (Uuid, &'a RunnerSession);

/// An attempt that was made for a runner.
pub(crate) struct Taken {
    pub runner: RunnerSession,
    pub attempt: AttemptKey,
    /// Its task is for that runner alone.
    is_own: bool,
}

/// What a claim came to.
#[derive(Debug, Default)]
struct Claimed {
    /// Each with the slot that it was taken for and the line it came from, the first in the queue first.
    attempts: Vec<(usize, AttemptKey, usize)>,
    /// Tasks that share something which is in use, and were put out of sight until it is free.
    parked: usize,
    /// What is left of each line that was asked for.
    left: Vec<Left>,
}

impl Engine {
    /// Takes a task for each of these free slots, the first in the queue for the first of them; all of them may be given the same. Says
    /// which runner each was taken for.
    pub(crate) async fn claim(&self, taker: &Taker, slots: &[RunnerSession]) -> Result<Vec<(RunnerSession, Assignment)>> {
        let claimed = self.take(taker, slots).await?;
        if claimed.is_empty() {
            return Ok(vec![]);
        }
        // Read apart from the claim: a row that cannot be read must not keep the others from being claimed.
        let keys: Vec<_> = claimed.iter().map(|one| one.attempt).collect();
        let mut conn = self.database.system.acquire().await?;
        let read = store::assignments(&mut conn, &keys).await?;
        drop(conn);
        let mut assignments = Vec::with_capacity(claimed.len());
        for (Taken { runner, attempt: key, is_own }, assignment) in claimed.into_iter().zip(read) {
            match assignment {
                // an owner has said something else since it was looked at
                Ok(assignment) if !is_own && !runs_at(taker, &assignment) => {
                    if let Err(error) = self.attempt_not_given(key).await {
                        warn!(task.id = %key.task_id, "Task {} could not be given back: {error}", key.task_id);
                    }
                }
                Ok(assignment) => assignments.push((runner, assignment)),
                // Those that can be given out do not wait for it; it comes back with the end of its lease.
                Err(failure) => {
                    if let Err(error) = self.attempt_impossible(key, failure).await {
                        warn!(task.id = %key.task_id, "Task {} could not be ended: {error}", key.task_id);
                    }
                }
            }
        }
        self.choose_endpoints(&mut assignments).await;
        self.go_on(&mut assignments).await;
        Ok(assignments)
    }

    /// From the lines that are known; when something is taken there may be more.
    pub(crate) async fn take(&self, taker: &Taker, slots: &[RunnerSession]) -> Result<Vec<Taken>> {
        let wanted: Vec<_> = slots.iter().map(|session| (self.new_id(), session)).collect();
        let workspaces = self.lines.lock().in_turn(taker, Instant::now());
        let workspaces = self.that_run_at(taker, workspaces).await?;
        for workspaces in workspaces.chunks(wanted.len().max(WORKSPACES)) {
            loop {
                let claimed = self.take_from(workspaces, &wanted).await?;
                if !claimed.attempts.is_empty() {
                    let asked = asked(workspaces);
                    let taken = claimed.attempts.into_iter().map(|(slot, attempt, number)| {
                        let is_own = asked[number].1.line.owner().is_some();
                        Taken { runner: slots[slot].clone(), attempt, is_own }
                    });
                    return Ok(taken.collect());
                }
                // What was put out of sight may have hidden what can be taken.
                if claimed.parked == 0 {
                    break;
                }
            }
        }
        Ok(vec![])
    }

    /// Of these lines those whose work runs with such runners, as their workspaces want it. What is for one runner alone it is given in any
    /// case: that shows whether it works.
    async fn that_run_at(&self, taker: &Taker, mut workspaces: Vec<Vec<Asked>>) -> Result<Vec<Vec<Asked>>> {
        if taker.sandboxes == Sandboxes::Made || workspaces.is_empty() {
            return Ok(workspaces);
        }
        let ids: Vec<_> = workspaces.iter().flatten().map(|asked| asked.line.workspace).collect();
        let mut conn = self.database.system.acquire().await?;
        let isolations = Isolations::of(&mut conn, &ids).await?;
        drop(conn);
        for lines in &mut workspaces {
            lines.retain(|asked| asked.line.owner().is_some() || isolations.fit(asked.line.workspace, taker));
        }
        workspaces.retain(|lines| !lines.is_empty());
        Ok(workspaces)
    }

    async fn take_from(&self, workspaces: &[Vec<Asked>], wanted: &[Wanted<'_>]) -> Result<Claimed> {
        let began = Instant::now();
        let asked = asked(workspaces);
        let rows: Vec<_> = asked.iter().enumerate().map(|(number, (place, asked))| AskedRow::new(number, *place, asked)).collect();
        let claimed = claim(self, &rows, wanted).await?;
        let left = asked.iter().zip(&claimed.left).map(|((_, asked), left)| (*asked, *left));
        let taken = claimed.attempts.iter().map(|(.., number)| &asked[*number].1.line);
        self.lines.lock().claimed(began, left, taken);
        if !claimed.attempts.is_empty() {
            self.hints.committed();
        }
        Ok(claimed)
    }
}

/// Whether such runners carry it out as it is to run.
fn runs_at(taker: &Taker, assignment: &Assignment) -> bool {
    taker.sandboxes.carry_out(assignment.isolation, matches!(assignment.credentials, Credentials::Workspace { .. }))
}

/// The lines with the places of their workspaces.
fn asked(workspaces: &[Vec<Asked>]) -> Vec<(usize, &Asked)> {
    let mut asked = vec![];
    for (place, lines) in workspaces.iter().enumerate() {
        asked.extend(lines.iter().map(|line| (place, line)));
    }
    asked
}

/// A line as the claim looks at it. Its names are those of the columns.
#[derive(Serialize)]
struct AskedRow<'a> {
    line: usize,
    workspace_id: WorkspaceId,
    repository_id: RepositoryId,
    capabilities: &'a [String],
    /// No task that waits is known to have a lower one.
    turn: i64,
    /// Of its workspace among the workspaces.
    place: usize,
    served: u64,
}

impl<'a> AskedRow<'a> {
    fn new(line: usize, place: usize, asked: &'a Asked) -> Self {
        let Line { workspace, repository, capabilities, .. } = &asked.line;
        let (turn, served) = (asked.turn, asked.served);
        Self { line, workspace_id: *workspace, repository_id: *repository, capabilities, turn, place, served }
    }
}

/// Takes queued tasks, makes their attempts and writes the events, in one statement. Workspaces take turns, whoever was served longest
/// ago first; inside one its repositories do, and of a repository the task with the lowest turn is next. An urgent task goes before the
/// other repositories' turns as long as nothing in its workspace has waited longer than its lane's patience. Only these lines are looked
/// at, so what needs something that these runners have not hides nothing. It reads no payload, so a row that cannot be read does not
/// stand in the way of the others.
async fn claim(engine: &Engine, lines: &[AskedRow<'_>], wanted: &[Wanted<'_>]) -> Result<Claimed> {
    let now = engine.clock.by_hand();
    let ids: Vec<_> = wanted.iter().map(|(id, _)| *id).collect();
    let runners: Vec<_> = wanted.iter().map(|(_, session)| session.id().0).collect();
    let actors: Vec<_> = wanted.iter().map(|(_, session)| session.label()).collect();
    let names: Vec<_> = wanted.iter().map(|(_, session)| session.name().to_owned()).collect();
    let (kept, keepers): (Vec<_>, Vec<_>) = engine.hub.keepers().into_iter().map(|(task, runner)| (task.0, runner.0)).unzip();
    let rows = sqlx::query!(
        r#"with clock as materialized (
             select at, at + make_interval(secs => $4) as lease_until from (select coalesce($3, clock_timestamp()) as at) as read
           ), asked as materialized (
             select * from jsonb_to_recordset($8) as line (line int, workspace_id uuid, repository_id uuid, capabilities text[], turn bigint,
                                                           place int, served bigint)
             where not exists (select from queue_pause pause where pause.workspace_id = line.workspace_id
                               and (pause.repository_id is null or pause.repository_id = line.repository_id))
           ), candidate as (
             select next.*, asked.line, asked.workspace_id, asked.place, asked.served, asked.repository_id,
                    row_number() over (partition by asked.repository_id order by next.turn, next.id) as round
             from asked cross join lateral (
               select waiting.id, queue_place.turn, waiting.urgent, waiting.key, waiting.most
               from (select place.turn, place.task_id from queue_place place
                     where place.workspace_id = asked.workspace_id and place.repository_id = asked.repository_id
                       and place.capabilities = asked.capabilities and place.turn >= asked.turn
                     order by place.turn, place.task_id) as queue_place
               cross join lateral (
                 -- the row of the task decides, and is the only one that is locked; a case, so that it is found by its id and not in one of the
                 -- indexes of what waits, in which a long transaction keeps everything that waited since
                 select id, priority = 'urgent' as urgent, concurrency_key as key, concurrency_limit as most from task
                 where task.id = queue_place.task_id and task.turn = queue_place.turn
                   and case state when 'queued' then paused_by is null and not parked else false end
                 for no key update skip locked
               ) as waiting
               order by queue_place.turn, queue_place.task_id limit $1
             ) as next
           ), ranked as (
             select *, urgent and turn < coalesce(min(turn) filter (where not urgent) over (partition by workspace_id), turn + 1) as ahead
             from candidate
           ), first as (
             select id, line, place, workspace_id, key, most, row_number() over (partition by workspace_id
               order by ahead desc, case when ahead then turn end, round, served, repository_id, turn, id) as round
             from ranked
           ), picked as (
             select id, line, workspace_id, key, most, row_number() over (order by round, place) as position
             from first order by round, place limit $1
           ), shared as (
             select id, workspace_id, key, most, row_number() over (partition by workspace_id, key order by position) as nth
             from picked where key is not null
           ), slot as (
             -- one of a key at a time; the next claim takes the next
             insert into concurrency as counted (workspace_id, key, running)
             select workspace_id, key, 1 from shared where nth = 1 order by workspace_id, key
             on conflict (workspace_id, key) do update set running = counted.running + 1
             where counted.running < (select most from shared where nth = 1 and shared.workspace_id = counted.workspace_id
                                                                    and shared.key = counted.key)
             returning workspace_id, key
           ), parked as (
             -- of a pull that it has waited for it asks again when it is its turn
             update task set parked = true, model_pull = null from shared
             where task.id = shared.id and not exists (select from slot where slot.workspace_id = shared.workspace_id and slot.key = shared.key)
             returning task.id
           ), ready as (
             select picked.id, line, picked.position, keeper, row_number() over (partition by keeper order by picked.position) as nth
             from picked left join shared using (id) left join unnest($9::uuid[], $10::uuid[]) as wish (id, keeper) using (id)
             where shared.id is null
                or shared.nth = 1 and exists (select from slot where slot.workspace_id = shared.workspace_id and slot.key = shared.key)
           ), free as (
             select runner, slot, row_number() over (partition by runner order by slot) as nth
             from unnest($5::uuid[]) with ordinality as free (runner, slot)
           ), kept as (
             -- who keeps something of an earlier attempt goes on from it, as far as it has free slots
             select ready.id, slot from ready join free on runner = keeper and free.nth = ready.nth
           ), given as (
             select id, slot from kept
             union all
             -- of the others the first is for the first slot that is left
             select waiting.id, slot
             from (select id, row_number() over (order by position) as nth from ready where id not in (select id from kept)) as waiting
             join (select slot, row_number() over (order by slot) as nth from free where slot not in (select slot from kept)) as place using (nth)
           ), claimed as (
             update task set state = 'running', attempts = attempts + 1, queued_at = null
             from ready join given using (id) where task.id = ready.id
             returning task.id, task.workspace_id, task.attempts, ready.line, given.slot as position
           ), new_attempt as (
             insert into attempt (id, workspace_id, task_id, number, runner_id, state, claimed_at, lease_until, log_start)
             select ($2::uuid[])[position], claimed.workspace_id, claimed.id, attempts, ($5::uuid[])[position], 'claimed', clock.at, lease_until,
                    coalesce((select earlier.log_start + earlier.log_bytes from attempt earlier
                              where earlier.task_id = claimed.id order by earlier.number desc limit 1), 0)
             from claimed cross join clock
           ), fact as (
             insert into event (workspace_id, task_id, number, actor, kind, payload, at)
             select workspace_id, claimed.id, (select max(number) + 1 from event where event.task_id = claimed.id), ($6::text[])[position],
                    'attempt_claimed', jsonb_build_object('kind', 'attempt_claimed', 'attempt', attempts, 'runner', ($7::text[])[position]),
                    clock.at
             from claimed cross join clock
           ), taken as (
             select id from claimed union all select id from parked
           ), remaining as (
             -- also what somebody else has locked at this moment: he may let go of it
             select asked.line, (select place.turn from queue_place place
                                 where place.workspace_id = asked.workspace_id and place.repository_id = asked.repository_id
                                   and place.capabilities = asked.capabilities and place.turn >= asked.turn
                                   and place.task_id not in (select id from taken)
                                 order by place.turn, place.task_id limit 1) as turn
             from asked
           )
           select line as "line?", ($2::uuid[])[position] as "id?", id as "task_id?: TaskId", attempts as "number?",
                  position as "position?", null::bigint as "left_from?"
           from claimed
           union all select null, null, null, null, null, null from parked
           union all select line, null, null, null, null, turn from remaining
           order by 5"#,
        wanted.len() as i64,
        &ids,
        now,
        lease().num_seconds() as f64,
        &runners,
        &actors,
        &names,
        Json(lines) as _,
        &kept,
        &keepers
    )
    .fetch_all(&engine.database.system)
    .await?;
    let mut claimed = Claimed { left: vec![Left::Paused; lines.len()], ..Claimed::default() };
    for row in rows {
        let line = row.line.and_then(|line| usize::try_from(line).ok()).filter(|line| *line < lines.len());
        let slot = row.position.and_then(|position| usize::try_from(position - 1).ok()).filter(|slot| *slot < wanted.len());
        match (row.id, row.task_id, row.number, slot, line) {
            (Some(id), Some(task_id), Some(number), Some(slot), Some(line)) => {
                claimed.attempts.push((slot, AttemptKey { task_id, attempt_id: AttemptId(id), number }, line));
            }
            (None, .., Some(line)) => claimed.left[line] = row.left_from.map_or(Left::Nobody, Left::From),
            _ => claimed.parked += 1,
        }
    }
    Ok(claimed)
}
