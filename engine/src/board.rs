//! The board in one look at the database, of which the cost does not grow with the number of tasks: of every pile the first are read,
//! and it is counted so far and no further.

use std::collections::HashMap;

use chrono::TimeDelta;
use domain::{
    Actor, Board, Permission, Priority, TaskFilter, TaskId, TaskStateName, TaskSummary,
    board::{BoardColumn, CARDS, COUNTED, Card, ColumnKind, ENDED_HOURS, Pile},
};
use sqlx::PgConnection;

use crate::{
    Engine, Result,
    task::query::{contains_pattern, summaries},
    tx::Tx,
};

impl Engine {
    /// The tasks that a filter is about; its state and its place mean nothing here.
    pub async fn board(&self, actor: &Actor, filter: TaskFilter) -> Result<Board> {
        actor.may(Permission::ReadTasks)?;
        let filter = TaskFilter { state: None, cursor: None, limit: None, ..filter };
        filter.validate()?;
        let mut tx = self.begin(actor).await?;
        let found = piles(&mut tx, &filter).await?;
        let ids: Vec<_> = found.iter().flat_map(|pile| pile.ids.iter().copied()).collect();
        let mut cards = cards(&mut tx, &ids).await?;
        let columns = ColumnKind::ALL.map(|kind| {
            let of_column = kind.states().iter().flat_map(|state| found.iter().filter(move |pile| pile.state == *state));
            let piles = of_column.map(|pile| Pile {
                state: pile.state,
                priority: pile.priority,
                tasks: pile.tasks,
                more: pile.more,
                cards: pile.ids.iter().filter_map(|id| cards.remove(id)).collect(),
            });
            BoardColumn { kind, piles: piles.collect() }
        });
        tx.commit(Board { columns: columns.to_vec() }).await
    }
}

/// A pile as it was found, with the ids of its first cards.
struct FoundPile {
    state: TaskStateName,
    priority: Option<Priority>,
    tasks: i64,
    more: bool,
    ids: Vec<TaskId>,
}

/// Those that are not empty; lanes most urgent first.
async fn piles(tx: &mut Tx, filter: &TaskFilter) -> Result<Vec<FoundPile>> {
    let by_state = |state: &TaskStateName| !matches!(state, TaskStateName::Queued) && !ColumnKind::Ended.states().contains(state);
    let states: Vec<_> = TaskStateName::ALL.into_iter().filter(by_state).map(|state| state.name().to_owned()).collect();
    let lanes = Priority::ALL.map(|lane| lane.name().to_owned());
    let pattern = filter.text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(contains_pattern);
    let ended_since = tx.now() - TimeDelta::hours(ENDED_HOURS);
    let rows = sqlx::query!(
        r#"select wanted.state as "state!: TaskStateName", null::text as "lane: Priority", found.tasks as "tasks!", found.ids as "ids!"
           from unnest($1::text[]) as wanted (state)
           cross join lateral (
             select count(*) as tasks, coalesce((array_agg(id order by id desc))[1:$8::int], '{}') as ids
             from (
               select id from task
               where workspace_id = (select current_workspace()) and state = wanted.state
                 and ($3::text is null or title ilike $3) and ($4::text is null or tags @> array[$4]) and ($5::text is null or priority = $5)
               order by id desc limit $7::bigint + 1
             ) as newest
           ) as found
           union all
           select 'queued', wanted.lane, found.tasks, found.ids
           from unnest($2::text[]) as wanted (lane)
           cross join lateral (
             select count(*) as tasks, coalesce((array_agg(id order by queued_at, id))[1:$8::int], '{}') as ids
             from (
               select id, queued_at from task
               where workspace_id = (select current_workspace()) and state = 'queued' and priority = wanted.lane
                 and ($3::text is null or title ilike $3) and ($4::text is null or tags @> array[$4]) and ($5::text is null or priority = $5)
               order by queued_at limit $7::bigint + 1
             ) as first
           ) as found
           union all
           select state, null, count(*), (array_agg(id order by ended_at desc, id desc))[1:$8::int]
           from (
             select id, state, ended_at from task
             where workspace_id = (select current_workspace()) and ended_at > $6 and state in ('succeeded', 'cancelled', 'skipped')
               and ($3::text is null or title ilike $3) and ($4::text is null or tags @> array[$4]) and ($5::text is null or priority = $5)
             order by ended_at desc limit $7::bigint + 1
           ) as newest
           group by state"#,
        &states,
        &lanes[..],
        pattern,
        filter.tag,
        filter.priority.map(Priority::name),
        ended_since,
        COUNTED,
        CARDS as i32
    )
    .fetch_all(&mut **tx)
    .await?;
    let is_ended = |state: TaskStateName| ColumnKind::Ended.states().contains(&state);
    let ended: i64 = rows.iter().filter(|row| is_ended(row.state)).map(|row| row.tasks).sum();
    let mut piles: Vec<_> = rows
        .into_iter()
        .filter(|row| row.tasks > 0)
        .map(|row| {
            // what has ended was counted together, and the oldest of it was one too many
            let more = if is_ended(row.state) { ended > COUNTED } else { row.tasks > COUNTED };
            FoundPile {
                state: row.state,
                priority: row.lane,
                tasks: row.tasks.min(COUNTED),
                more,
                ids: row.ids.into_iter().map(TaskId).collect(),
            }
        })
        .collect();
    piles.sort_by_key(|pile| pile.priority);
    Ok(piles)
}

async fn cards(conn: &mut PgConnection, ids: &[TaskId]) -> Result<HashMap<TaskId, Card>> {
    let tasks: Vec<TaskSummary> = summaries(conn, ids).await?;
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"select wanted.id as "id!: TaskId", counted.tasks as "tasks!", counted.first
           from unnest($1::uuid[]) as wanted (id)
           cross join lateral (
             select count(*) as tasks, (array_agg(title order by id))[1] as first
             from (
               select task.id, task.title from task_dependency edge join task on task.id = edge.task_id
               where edge.depends_on_id = wanted.id and task.ended_at is null limit 100
             ) as dependent
           ) as counted
           where counted.tasks > 0"#,
        &ids
    )
    .fetch_all(conn)
    .await?;
    let mut dependents: HashMap<_, _> = rows.into_iter().map(|row| (row.id, (row.tasks, row.first))).collect();
    let card = |task: TaskSummary| {
        let (dependents, first_dependent) = dependents.remove(&task.id).unwrap_or_default();
        (task.id, Card { task, dependents, first_dependent })
    };
    Ok(tasks.into_iter().map(card).collect())
}
