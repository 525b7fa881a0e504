//! The judge. It reads the ledgers and the database, and nothing that a server says.

use std::collections::{BTreeMap, BTreeSet};

use ::tests::machine::running_with;
use domain::{TaskId, WorkflowRunId};
use sqlx::{PgPool, Row};

use crate::{
    client::ClientEntry,
    ledger,
    work::{Seen, WorkEntry},
    world::World,
};

/// A promise that was broken, in words.
pub type Violation = String;

/// What one run came to.
pub struct Outcome {
    /// What there was, in a few words.
    pub summary: String,
    pub violations: Vec<Violation>,
    /// Where the ledgers and the servers' logs are kept when something was wrong.
    pub kept: Option<std::path::PathBuf>,
}

/// The last part of every run: ends the world, looks for what is left of its work, and keeps its folder when something was wrong.
pub async fn judged(world: &World, summary: String, mut violations: Vec<Violation>) -> anyhow::Result<Outcome> {
    world.end().await?;
    let left = running_with(&world.ledgers.display().to_string());
    violations.extend(left.into_iter().map(|line| format!("it was left running: {line}")));
    let kept = (!violations.is_empty()).then(|| world.machine.keep());
    Ok(Outcome { summary, violations, kept })
}

/// Statements that find rows which must not be there. Each gives one line for what it finds.
const NEVER: [(&str, &str); 18] = [
    (
        "a task that has not ended although everything was whole for long enough",
        "select id || ' is ' || state from task where ended_at is null",
    ),
    (
        "an attempt that is still held",
        "select id || ' of task ' || task_id from attempt where ended_at is null",
    ),
    (
        "a request that took effect more than once",
        "select correlation_id || ' was carried out ' || count(distinct created_at) || ' times' from task
         where workflow_run_id is null group by correlation_id having count(distinct created_at) > 1",
    ),
    (
        "attempts that are not numbered one by one",
        "select task.id || ': ' || task.attempts || ' but ' || count(attempt.id) from task left join attempt on attempt.task_id = task.id
         group by task.id having count(attempt.id) <> task.attempts or coalesce(max(attempt.number), 0) <> task.attempts",
    ),
    (
        "a task that succeeded other than by exactly one attempt, its last",
        "select task.id::text from task where (state = 'succeeded') <> (select count(*) = 1 and max(number) = task.attempts from attempt
           where attempt.task_id = task.id and attempt.state = 'succeeded') and control is null
           and (state = 'succeeded' or exists (select from attempt where attempt.task_id = task.id and attempt.state = 'succeeded'))",
    ),
    (
        "two attempts of a task at the same time",
        // by the numbers of the facts, which are taken under the lock of the task
        "select one.task_id || ': ' || (one.payload ->> 'attempt') || ' and ' || (other.payload ->> 'attempt') from event one join event other
           on other.task_id = one.task_id and other.number < one.number and (other.payload ->> 'attempt')::int > (one.payload ->> 'attempt')::int
           where one.kind = 'attempt_ended' and other.kind = 'attempt_claimed'",
    ),
    (
        "a task that ended more often than it was brought back",
        "select task_id || ': ' || string_agg(kind, ' ' order by number) from event where kind in ('task_ended', 'task_retried', 'task_created')
         group by task_id having count(*) filter (where kind = 'task_ended') <> count(*) filter (where kind = 'task_retried') + 1",
    ),
    (
        "events that are not numbered one by one",
        "select task_id::text from event group by task_id having max(number) <> count(*) or min(number) <> 1",
    ),
    (
        "a task that began before what it waits for had ended as it was to",
        "select edge.task_id || ' before ' || edge.depends_on_id from task_dependency edge
         join event claimed on claimed.task_id = edge.task_id and claimed.kind = 'attempt_claimed'
         where not exists (select from event where event.task_id = edge.depends_on_id and event.kind = 'task_ended'
                           and (event.payload ->> 'state' = 'succeeded' or on_kind = 'end')
                           and pg_xact_commit_timestamp(event.xid::xid) <= pg_xact_commit_timestamp(claimed.xid::xid))",
    ),
    (
        "a gate that was passed, or a group that became several tasks, before what it waits for had ended as it was to",
        "select edge.task_id || ' before ' || edge.depends_on_id from task_dependency edge
         join task parent on parent.id = edge.depends_on_id and parent.group_id is distinct from edge.task_id
         join event opened on opened.task_id = edge.task_id and opened.kind in ('gate_opened', 'gate_passed', 'group_expanded')
         where not exists (select from event where event.task_id = edge.depends_on_id and event.kind = 'task_ended'
                           and (event.payload ->> 'state' = 'succeeded' or on_kind = 'end')
                           and pg_xact_commit_timestamp(event.xid::xid) <= pg_xact_commit_timestamp(opened.xid::xid))",
    ),
    (
        "a group that became more or fewer tasks than it was to",
        "select run_id || ' ' || key || ': ' || (select count(*) from workflow_step member where member.run_id = step.run_id and member.group_key = step.key)
         from workflow_step step join task on task.id = step.task_id where task.opened and control ? 'group'
         and (select count(*) from workflow_step member where member.run_id = step.run_id and member.group_key = step.key) <> 2",
    ),
    (
        "a group that succeeded although its tasks did not",
        "select grouped.id::text from task grouped where grouped.state = 'succeeded' and control ? 'group' and (
           control -> 'group' ->> 'group' = 'candidates' and not exists (select from task where group_id = grouped.id and state = 'succeeded')
           or control -> 'group' ->> 'group' = 'each' and exists (select from task where group_id = grouped.id and state <> 'succeeded'
              and not exists (select from event where event.task_id = task.id and kind = 'task_retried')))",
    ),
    (
        "a run that was begun twice",
        "select title from workflow_run where restart_of is null group by title having count(*) > 1",
    ),
    (
        "a task that was skipped although all it waits for succeeded",
        "select task.id::text from task where state = 'skipped' and not exists (
           select from task_dependency edge join task parent on parent.id = edge.depends_on_id
           where edge.task_id = task.id and on_kind = 'success' and parent.state <> 'succeeded')
         and not exists (select from event retried join task_dependency edge on edge.depends_on_id = retried.task_id
                         where edge.task_id = task.id and retried.kind = 'task_retried')",
    ),
    (
        "a shared key that is counted although nothing runs, or a task that is parked for ever",
        "select key || ': ' || running from concurrency where running <> 0
         union all select id || ' is parked' from task where parked",
    ),
    (
        "a place in the queue that no task has, or a task that waits without one",
        "select coalesce(task.id, place.task_id)::text from queue_place place
         full join (select * from task where state = 'queued' and paused_by is null and not parked) as task
           on task.id = place.task_id and task.workspace_id = place.workspace_id and task.repository_id = place.repository_id
              and task.capabilities = place.capabilities and task.turn = place.turn
         where task.id is null or place.task_id is null",
    ),
    (
        "failures that were charged for what was not the task's fault",
        "select task.id || ': ' || failures || ' failures, ' || (select count(*) from attempt where task_id = task.id and attempt.state in ('failed', 'timed_out'))
         from task where failures > (select count(*) from attempt where task_id = task.id and attempt.state in ('failed', 'timed_out'))",
    ),
    (
        "a log with a gap or an overlap",
        "select task_id || ' at ' || start from (
           select task_id, start, lag(start + length(content)) over (partition by task_id order by start) as expected from log_chunk
         ) as chunk where coalesce(expected, 0) <> start",
    ),
];

/// How many tasks have not ended.
pub async fn unfinished(pool: &PgPool) -> sqlx::Result<i64> {
    sqlx::query("select count(*) from task where ended_at is null").fetch_one(pool).await?.try_get(0)
}

/// The tasks that somebody holds.
pub async fn held(pool: &PgPool) -> sqlx::Result<Vec<uuid::Uuid>> {
    sqlx::query_scalar("select id from task where paused_by is not null").fetch_all(pool).await
}

/// What is wrong where nobody carries anything out: order and numbers.
pub async fn sound(pool: &PgPool) -> anyhow::Result<Vec<Violation>> {
    let of_order = ["attempts that are not numbered", "events that are not numbered", "a log with a gap"];
    broken(pool, |promise| of_order.iter().any(|one| promise.starts_with(one))).await
}

async fn broken(pool: &PgPool, wanted: impl Fn(&str) -> bool) -> anyhow::Result<Vec<Violation>> {
    let mut found = vec![];
    for (promise, statement) in NEVER.into_iter().filter(|(promise, _)| wanted(promise)) {
        let rows: Vec<String> = sqlx::query_scalar(statement).fetch_all(pool).await?;
        found.extend(rows.into_iter().take(5).map(|row| format!("{promise}: {row}")));
    }
    Ok(found)
}

/// What is wrong with tasks whose work keeps no ledger of [`work`](crate::work).
pub async fn of_tasks(pool: &PgPool) -> anyhow::Result<Vec<Violation>> {
    broken(pool, |_| true).await
}

/// Everything that is wrong.
pub async fn violations(world: &World, pool: &PgPool) -> anyhow::Result<Vec<Violation>> {
    let mut found = broken(pool, |_| true).await?;
    let stored = stored(pool).await?;
    let clients = ledger::read(&world.ledgers.join("clients"))?;
    found.extend(lost(&clients, &stored));
    found.extend(lost_runs(&clients, &runs(pool).await?));
    let attempts = attempts(pool).await?;
    found.extend(work(&ledger::read(&world.ledgers.join("work"))?, &attempts));
    Ok(found)
}

/// Every task with the request it came from.
async fn stored(pool: &PgPool) -> anyhow::Result<BTreeMap<String, BTreeSet<TaskId>>> {
    let mut stored = BTreeMap::<String, BTreeSet<TaskId>>::new();
    for row in sqlx::query("select correlation_id, id from task").fetch_all(pool).await? {
        stored.entry(row.try_get(0)?).or_default().insert(TaskId(row.try_get(1)?));
    }
    Ok(stored)
}

/// What a client was told is there, is there; and nothing beside it under the same key.
fn lost(clients: &[ClientEntry], stored: &BTreeMap<String, BTreeSet<TaskId>>) -> Vec<Violation> {
    let none = BTreeSet::new();
    let accepted = clients.iter().filter_map(|entry| match entry {
        ClientEntry::Accepted { key, tasks } => Some((key, tasks)),
        _ => None,
    });
    let mut found = vec![];
    for (key, tasks) in accepted {
        let there = stored.get(key).unwrap_or(&none);
        let told: BTreeSet<_> = tasks.iter().copied().collect();
        if *there != told {
            found.push(format!("{key}: the client was told of {told:?}, stored is {there:?}"));
        }
    }
    found
}

async fn runs(pool: &PgPool) -> anyhow::Result<BTreeSet<(String, WorkflowRunId)>> {
    let rows = sqlx::query("select title, id from workflow_run").fetch_all(pool).await?;
    rows.into_iter().map(|row| Ok((row.try_get(0)?, WorkflowRunId(row.try_get(1)?)))).collect()
}

/// A run that a client was told of is there, under the title that it was given.
fn lost_runs(clients: &[ClientEntry], stored: &BTreeSet<(String, WorkflowRunId)>) -> Vec<Violation> {
    let began = clients.iter().filter_map(|entry| match entry {
        ClientEntry::Began { key, run } => Some((key.clone(), *run)),
        _ => None,
    });
    began
        .filter(|run| !stored.contains(run))
        .map(|(key, run)| format!("{key}: the client was told of the run {run}, which is not there"))
        .collect()
}

/// Gates that wait for a person.
pub async fn open_gates(pool: &PgPool) -> sqlx::Result<Vec<uuid::Uuid>> {
    sqlx::query_scalar("select id from task where state = 'blocked' and opened and control ? 'gate'").fetch_all(pool).await
}

struct StoredAttempt {
    task: TaskId,
    number: i32,
    succeeded: bool,
}

async fn attempts(pool: &PgPool) -> anyhow::Result<Vec<StoredAttempt>> {
    let rows = sqlx::query("select task_id, number, state = 'succeeded' from attempt").fetch_all(pool).await?;
    rows.into_iter()
        .map(|row| Ok(StoredAttempt { task: TaskId(row.try_get(0)?), number: row.try_get(1)?, succeeded: row.try_get(2)? }))
        .collect()
}

/// What succeeded was really done; nothing was done by an attempt that is not there; and a task's work was never at work twice.
fn work(entries: &[WorkEntry], attempts: &[StoredAttempt]) -> Vec<Violation> {
    let seen = |seen: Seen| entries.iter().filter(move |entry| entry.seen == seen).map(|entry| (entry.task, entry.attempt));
    let ended: BTreeSet<_> = seen(Seen::End).collect();
    let known: BTreeSet<_> = attempts.iter().map(|attempt| (attempt.task, attempt.number)).collect();
    let undone = attempts.iter().filter(|attempt| attempt.succeeded && !ended.contains(&(attempt.task, attempt.number)));
    let undone =
        undone.map(|attempt| format!("attempt {} of {} succeeded, but its work never came to its end", attempt.number, attempt.task));
    let mut begun = BTreeMap::<_, usize>::new();
    for attempt in seen(Seen::Begin) {
        *begun.entry(attempt).or_default() += 1;
    }
    let twice = begun
        .iter()
        .filter(|(_, times)| **times > 1)
        .map(|((task, number), times)| format!("attempt {number} of {task} began {times} times"));
    let unknown = begun
        .keys()
        .filter(|attempt| !known.contains(attempt))
        .map(|(task, number)| format!("attempt {number} of {task} is nowhere stored"));
    let together = seen(Seen::NotAlone).map(|(task, number)| format!("attempt {number} of {task} was at work beside another one"));
    undone.chain(twice).chain(unknown).chain(together).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> TaskId {
        TaskId(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn what_was_accepted_has_to_be_there_and_nothing_beside_it() {
        let told = |tasks: &[u128]| ClientEntry::Accepted { key: "k".into(), tasks: tasks.iter().copied().map(id).collect() };
        let stored = |tasks: &[u128]| BTreeMap::from([("k".to_owned(), tasks.iter().copied().map(id).collect())]);
        assert_eq!(lost(&[told(&[1, 2])], &stored(&[1, 2])), Vec::<Violation>::new());
        assert_eq!(lost(&[told(&[1])], &BTreeMap::new()).len(), 1, "lost");
        assert_eq!(lost(&[told(&[1])], &stored(&[1, 2])).len(), 1, "twice");
        assert_eq!(lost(&[ClientEntry::Asks { key: "k".into() }], &stored(&[1])), Vec::<Violation>::new(), "nobody was told");
    }

    #[test]
    fn a_success_has_to_be_done_and_by_one_at_a_time() {
        let entry = |attempt, seen| WorkEntry { task: id(1), attempt, seen };
        let stored = |number, succeeded| StoredAttempt { task: id(1), number, succeeded };
        let whole = [entry(1, Seen::Begin), entry(1, Seen::End)];
        assert_eq!(work(&whole, &[stored(1, true)]), Vec::<Violation>::new());
        assert_eq!(work(&whole[..1], &[stored(1, false)]), Vec::<Violation>::new(), "it may be killed");
        assert_eq!(work(&whole[..1], &[stored(1, true)]).len(), 1, "never came to its end");
        assert_eq!(work(&whole, &[]).len(), 1, "nowhere stored");
        assert_eq!(work(&[entry(1, Seen::Begin), entry(1, Seen::Begin)], &[stored(1, false)]).len(), 1, "began twice");
        assert_eq!(work(&[entry(1, Seen::NotAlone), entry(1, Seen::Begin)], &[stored(1, false)]).len(), 1, "beside another one");
    }
}
