//! What waits for a runner, and stopping a queue from being taken from.

use chrono::TimeDelta;
use domain::{
    Actor, Permission, Priority, RepositoryId,
    queue::{Lane, Queue, QueueName, QueuedRepository, UnmetCapabilities},
    task::unmet,
};

use crate::{Engine, Error, Result, runner, tx::Tx};

const REPOSITORIES: i64 = 100;
const UNMET: usize = 20;

impl Engine {
    pub async fn get_queue(&self, actor: &Actor) -> Result<Queue> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        let queue = read(&mut tx).await?;
        tx.commit(queue).await
    }

    /// No runner takes from it until it is resumed. What runs goes on.
    pub async fn pause_queue(&self, actor: &Actor, name: QueueName) -> Result<Queue> {
        actor.may(Permission::ChangeTasks)?;
        let mut tx = self.begin(actor).await?;
        find(&mut tx, name).await?;
        let now = tx.now();
        sqlx::query!(
            "insert into queue_pause (workspace_id, repository_id, paused_by, paused_at) values ($1, $2, $3, $4) on conflict do nothing",
            actor.workspace_id.0,
            name.repository.map(|id| id.0),
            actor.label(),
            now
        )
        .execute(&mut *tx)
        .await?;
        let queue = read(&mut tx).await?;
        tx.answer(actor, queue).await
    }

    pub async fn resume_queue(&self, actor: &Actor, name: QueueName) -> Result<Queue> {
        actor.may(Permission::ChangeTasks)?;
        let mut tx = self.begin(actor).await?;
        find(&mut tx, name).await?;
        sqlx::query!("delete from queue_pause where repository_id is not distinct from $1", name.repository.map(|id| id.0))
            .execute(&mut *tx)
            .await?;
        tx.has_recorded();
        let queue = read(&mut tx).await?;
        tx.answer(actor, queue).await
    }
}

async fn find(tx: &mut Tx, name: QueueName) -> Result<()> {
    let Some(id) = name.repository else { return Ok(()) };
    let found =
        sqlx::query_scalar!(r#"select exists (select from repository where id = $1) as "found!""#, id.0).fetch_one(&mut **tx).await?;
    if found { Ok(()) } else { Err(Error::not_found("repository", id)) }
}

async fn read(tx: &mut Tx) -> Result<Queue> {
    let pause = sqlx::query!(
        r#"select coalesce(person.name, api_key.name || ' (API key)', paused_by) as "paused_by!", paused_at as "paused_at!"
           from queue_pause
           left join "user" person on paused_by = 'user:' || person.id
           left join api_key on paused_by = 'api_key:' || api_key.id
           where repository_id is null"#
    )
    .fetch_optional(&mut **tx)
    .await?;
    let rows = sqlx::query!(
        r#"select priority as "priority: Priority", count(*) as "waiting!",
                  count(*) filter (where paused_by is not null or parked) as "held!", min(queued_at) as oldest
           from task where workspace_id = (select current_workspace()) and state = 'queued' group by priority"#
    )
    .fetch_all(&mut **tx)
    .await?;
    let lane = |priority| {
        let row = rows.iter().find(|row| row.priority == priority);
        Lane {
            priority,
            waiting: row.map_or(0, |row| row.waiting),
            held: row.map_or(0, |row| row.held),
            oldest: row.and_then(|row| row.oldest),
        }
    };
    let since = tx.now() - TimeDelta::hours(1);
    let totals = sqlx::query!(
        r#"select (select count(*) from task where workspace_id = (select current_workspace()) and state in ('running', 'verifying'))
                    as "running!",
                  (select count(*) from task where workspace_id = (select current_workspace()) and ended_at > $1) as "ended!""#,
        since
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(Queue {
        paused_at: pause.as_ref().map(|pause| pause.paused_at),
        paused_by: pause.map(|pause| pause.paused_by),
        lanes: Priority::ALL.map(lane).to_vec(),
        repositories: repositories(tx).await?,
        unmet: unmet_capabilities(tx).await?,
        running: totals.running,
        ended_last_hour: totals.ended,
    })
}

/// What waits for something that no runner has.
async fn unmet_capabilities(tx: &mut Tx) -> Result<Vec<UnmetCapabilities>> {
    let rows = sqlx::query!(
        r#"select capabilities, count(*) as "waiting!" from task
           where workspace_id = (select current_workspace()) and state = 'queued' and cardinality(capabilities) > 0
           group by capabilities order by 2 desc, 1"#
    )
    .fetch_all(&mut **tx)
    .await?;
    if rows.is_empty() {
        return Ok(vec![]);
    }
    let runners = runner::store::online_capabilities(tx).await?;
    let needed = rows.into_iter().map(|row| UnmetCapabilities {
        unmet: unmet(&row.capabilities, &runners),
        capabilities: row.capabilities,
        waiting: row.waiting,
    });
    Ok(needed.filter(|one| !one.unmet.is_empty()).take(UNMET).collect())
}

async fn repositories(tx: &mut Tx) -> Result<Vec<QueuedRepository>> {
    let rows = sqlx::query_as!(
        QueuedRepository,
        r#"select repository.id as "id: RepositoryId", location, coalesce(waiting, 0) as "waiting!", coalesce(running, 0) as "running!", oldest,
                  coalesce(person.name, api_key.name || ' (API key)', pause.paused_by) as paused_by
           from repository
           left join (
             select repository_id, count(*) filter (where state = 'queued') as waiting,
                    count(*) filter (where state in ('running', 'verifying')) as running, min(queued_at) as oldest
             from task where workspace_id = (select current_workspace()) and state in ('queued', 'running', 'verifying')
             group by repository_id
           ) as work on work.repository_id = repository.id
           left join queue_pause pause on pause.repository_id = repository.id
           left join "user" person on pause.paused_by = 'user:' || person.id
           left join api_key on pause.paused_by = 'api_key:' || api_key.id
           where work.repository_id is not null or pause.repository_id is not null
           order by waiting desc nulls last, location limit $1"#,
        REPOSITORIES
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows)
}
