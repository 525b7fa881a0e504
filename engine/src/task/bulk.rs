//! One act on many tasks: a preview says how many, then all of it is one transaction.

use domain::{
    Actor, Permission, Priority, Task, TaskFilter, TaskId,
    task::{BULK_MAX, BulkAct, BulkOutcome, BulkTasks},
};
use sqlx::PgConnection;

use super::{
    followers,
    followers::{End, Ending},
    hold,
    query::contains_pattern,
    store,
};
use crate::{Engine, Error, Result, tx::Tx};

impl Engine {
    /// At most 1,000 tasks at once, the oldest first.
    pub async fn change_tasks(&self, actor: &Actor, bulk: BulkTasks) -> Result<BulkOutcome> {
        actor.may(if bulk.preview { Permission::ReadTasks } else { Permission::ChangeTasks })?;
        bulk.validate()?;
        let mut tx = self.begin(actor).await?;
        let matched = count(&mut tx, &bulk).await?;
        if bulk.preview {
            return tx.commit(BulkOutcome { matched, ..BulkOutcome::default() }).await;
        }
        if let Some(expected) = bulk.expected.filter(|expected| *expected != matched) {
            return Err(Error::Conflict(format!("it would change {matched} tasks now, not {expected}; look again")));
        }
        let ids = pick(&mut tx, &bulk).await?;
        let mut outcome = BulkOutcome { matched, left: matched - ids.len() as i64, ..BulkOutcome::default() };
        let mut stopping = vec![];
        lock_around(&mut tx, bulk.act, &ids).await?;
        for id in ids {
            match change(&mut tx, actor, &bulk, id).await? {
                Some(task) => {
                    outcome.changed += 1;
                    if task.state.stop().is_some() {
                        stopping.extend(crate::attempt::store::live(&mut tx, id).await?);
                    }
                }
                None => outcome.passed_over += 1,
            }
        }
        let outcome = tx.answer(actor, outcome).await?;
        for (runner, attempt) in stopping {
            self.hub.cancel(runner, attempt);
        }
        Ok(outcome)
    }

    /// How many of these tasks, or of those like that when none is named, each act is about; acts without any are left out.
    pub async fn count_changes(&self, actor: &Actor, ids: Vec<TaskId>, filter: TaskFilter) -> Result<Vec<(BulkAct, i64)>> {
        actor.may(Permission::ReadTasks)?;
        let filter = ids.is_empty().then_some(TaskFilter { cursor: None, limit: None, ..filter });
        let of = |act| BulkTasks { act, priority: None, ids: ids.clone(), filter: filter.clone(), preview: true, expected: None };
        of(BulkAct::Cancel).validate()?;
        let mut tx = self.begin(actor).await?;
        let mut counts = vec![];
        for act in BulkAct::ALL {
            let matched = count(&mut tx, &of(act)).await?;
            counts.extend((matched > 0).then_some((act, matched)));
        }
        tx.commit(counts).await
    }
}

/// All that an act on these tasks is about, before it begins with the first.
async fn lock_around(tx: &mut Tx, act: BulkAct, ids: &[TaskId]) -> Result<()> {
    match act {
        BulkAct::Retry => followers::lock_families(tx, ids).await,
        BulkAct::Cancel => {
            let ending = |id: &TaskId| Ending { task: *id, attempt: None, end: End::BadlyUnlessItRuns };
            followers::lock_all(tx, &ids.iter().map(ending).collect::<Vec<_>>()).await
        }
        BulkAct::Pause | BulkAct::Resume | BulkAct::Prioritise | BulkAct::Discard => Ok(()),
    }
}

/// The task afterwards, or nothing when the act is refused for this one.
async fn change(tx: &mut Tx, actor: &Actor, bulk: &BulkTasks, id: TaskId) -> Result<Option<Task>> {
    let task = store::lock(tx, id).await?;
    let changed = match bulk.act {
        BulkAct::Cancel => super::cancel(tx, actor, task).await,
        BulkAct::Retry => super::retry(tx, task).await,
        BulkAct::Pause => hold::pause(tx, actor, task).await,
        BulkAct::Resume => hold::resume(tx, task).await,
        BulkAct::Prioritise => prioritise(tx, task, bulk.priority.unwrap_or_default()).await,
        BulkAct::Discard => hold::discard(tx, actor, task).await,
    };
    match changed {
        Ok(task) => Ok(Some(task)),
        Err(Error::InvalidTransition(_) | Error::Conflict(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn prioritise(tx: &mut Tx, task: Task, priority: Priority) -> Result<Task> {
    let was = task.priority;
    let task = task.prioritise(priority)?;
    store::save(tx, &task).await?;
    if was != priority {
        tx.record(task.workspace_id, task.id, &domain::EventKind::PriorityChanged { priority }).await?;
    }
    Ok(task)
}

/// What a bulk act is about, as parameters of the two statements below.
struct Wanted {
    states: Vec<String>,
    ids: Option<Vec<uuid::Uuid>>,
    state: Option<&'static str>,
    pattern: Option<String>,
    tag: Option<String>,
    paused: bool,
    lane: Option<&'static str>,
}

fn wanted(bulk: &BulkTasks) -> Wanted {
    let filter = bulk.filter.clone().unwrap_or_default();
    let TaskFilter { state, text, tag, priority, .. } = filter;
    Wanted {
        states: bulk.act.states().into_iter().map(|state| state.name().to_owned()).collect(),
        ids: (!bulk.ids.is_empty()).then(|| bulk.ids.iter().map(|id| id.0).collect()),
        state: state.map(domain::TaskStateName::name),
        pattern: text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(contains_pattern),
        tag,
        paused: bulk.act == BulkAct::Resume,
        lane: priority.map(Priority::name),
    }
}

async fn count(conn: &mut PgConnection, bulk: &BulkTasks) -> Result<i64> {
    let wanted = wanted(bulk);
    let matched = sqlx::query_scalar!(
        r#"select count(*) as "matched!" from task
           where workspace_id = (select current_workspace()) and state = any($1)
             and ($2::uuid[] is null or id = any($2)) and ($3::text is null or state = $3)
             and ($4::text is null or title ilike $4 or command ilike $4 or prompt ilike $4
                  or exists (select from unnest(tags) as tag where tag ilike $4))
             and ($5::text is null or tags @> array[$5])
             and (not $6 or paused_by is not null) and ($7::text is null or priority = $7)"#,
        &wanted.states,
        wanted.ids.as_deref(),
        wanted.state,
        wanted.pattern,
        wanted.tag,
        wanted.paused,
        wanted.lane
    )
    .fetch_one(conn)
    .await?;
    Ok(matched)
}

async fn pick(conn: &mut PgConnection, bulk: &BulkTasks) -> Result<Vec<TaskId>> {
    let wanted = wanted(bulk);
    let ids = sqlx::query_scalar!(
        "select id from task
         where workspace_id = (select current_workspace()) and state = any($1)
           and ($2::uuid[] is null or id = any($2)) and ($3::text is null or state = $3)
           and ($4::text is null or title ilike $4 or command ilike $4 or prompt ilike $4
                or exists (select from unnest(tags) as tag where tag ilike $4))
           and ($5::text is null or tags @> array[$5])
           and (not $6 or paused_by is not null) and ($7::text is null or priority = $7)
         order by id limit $8",
        &wanted.states,
        wanted.ids.as_deref(),
        wanted.state,
        wanted.pattern,
        wanted.tag,
        wanted.paused,
        wanted.lane,
        BULK_MAX as i64
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}
