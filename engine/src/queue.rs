//! What waits for a runner, and stopping a queue from being taken from.

use std::collections::HashSet;

use domain::{
    Actor, Permission, Priority, RepositoryId, Timestamp,
    queue::{self, Lane, Minute, Queue, QueueName, QueuedRepository, UnmetCapabilities},
    task::unmet,
};

use tokio::time::Instant;

use crate::{Engine, Error, Result, runner, tx::Tx};

const UNMET: usize = 20;
const REPOSITORIES: usize = 100;
/// Tasks that are looked at for the middle one, about.
const SAMPLE: i64 = 20_000;

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
        let queue = tx.answer(actor, queue).await?;
        self.lines.lock().resumed(Instant::now());
        // once more: whoever heard of the COMMIT may have looked before this
        self.hints.work.notify_one();
        Ok(queue)
    }
}

async fn find(tx: &mut Tx, name: QueueName) -> Result<()> {
    let Some(id) = name.repository else { return Ok(()) };
    let found =
        sqlx::query_scalar!(r#"select exists (select from repository where id = $1) as "found!""#, id.0).fetch_one(&mut **tx).await?;
    if found { Ok(()) } else { Err(Error::not_found("repository", id)) }
}

async fn read(tx: &mut Tx) -> Result<Queue> {
    let now = tx.now();
    let first_minute = queue::first_minute(now);
    let pauses = pauses(tx).await?;
    let waiting = sqlx::query!(
        r#"select priority as "priority: Priority", repository_id as "repository: RepositoryId", count(*) as "waiting!",
                  count(*) filter (where paused_by is not null or parked) as "held!", min(queued_at) as "oldest!"
           from task where workspace_id = (select current_workspace()) and state = 'queued' group by priority, repository_id"#
    )
    .fetch_all(&mut **tx)
    .await?;
    let medians = medians(tx, waiting.iter().map(|row| row.waiting).sum()).await?;
    let ended = sqlx::query!(
        r#"select minute, priority as "priority?: Priority", repository_id as "repository?: RepositoryId", count(*) as "ended!"
           from (
             select date_bin('1 minute', ended_at, $1) as minute, priority, repository_id
             from task where workspace_id = (select current_workspace()) and ended_at >= $1
           ) as ended
           group by grouping sets ((minute), (priority), (repository_id))"#,
        first_minute
    )
    .fetch_all(&mut **tx)
    .await?;
    let started = sqlx::query!(
        r#"select date_bin('1 minute', claimed_at, $1) as "minute!", count(*) as "started!"
           from attempt where workspace_id = (select current_workspace()) and claimed_at >= $1 group by 1"#,
        first_minute
    )
    .fetch_all(&mut **tx)
    .await?;
    let running = sqlx::query!(
        r#"select repository_id as "repository: RepositoryId", count(*) as "running!"
           from task where workspace_id = (select current_workspace()) and state in ('running', 'verifying') group by repository_id"#
    )
    .fetch_all(&mut **tx)
    .await?;

    let lane = |priority| {
        let rows = || waiting.iter().filter(|row| row.priority == priority);
        Lane {
            priority,
            waiting: rows().map(|row| row.waiting).sum(),
            held: rows().map(|row| row.held).sum(),
            oldest: rows().map(|row| row.oldest).min(),
            middle: medians.iter().find(|median| median.priority == Some(priority)).map(|median| median.queued_at),
            ended_last_hour: ended.iter().find(|row| row.priority == Some(priority)).map_or(0, |row| row.ended),
        }
    };
    let minute = |at| Minute {
        at,
        started: started.iter().find(|row| row.minute == at).map_or(0, |row| row.started),
        ended: ended.iter().find(|row| row.minute == Some(at)).map_or(0, |row| row.ended),
    };
    let minutes: Vec<_> = queue::minutes_from(first_minute).map(minute).collect();

    let all: HashSet<_> = waiting.iter().map(|row| row.repository).chain(running.iter().map(|row| row.repository)).collect();
    let all: HashSet<_> = all.into_iter().chain(pauses.iter().filter_map(|pause| pause.repository)).collect();
    let locations = locations(tx, &all.into_iter().collect::<Vec<_>>()).await?;
    let repository = |(id, location)| {
        let rows = || waiting.iter().filter(move |row| row.repository == id);
        QueuedRepository {
            id,
            location,
            waiting: rows().map(|row| row.waiting).sum(),
            running: running.iter().find(|row| row.repository == id).map_or(0, |row| row.running),
            oldest: rows().map(|row| row.oldest).min(),
            middle: medians.iter().find(|median| median.repository == Some(id)).map(|median| median.queued_at),
            ended_last_hour: ended.iter().find(|row| row.repository == Some(id)).map_or(0, |row| row.ended),
            paused_by: pauses.iter().find(|pause| pause.repository == Some(id)).map(|pause| pause.paused_by.clone()),
        }
    };
    let mut repositories: Vec<_> = locations.into_iter().map(repository).collect();
    repositories.sort_by(|a, b| b.waiting.cmp(&a.waiting).then_with(|| a.location.cmp(&b.location)));
    repositories.truncate(REPOSITORIES);

    let is_paused = |repository| pauses.iter().any(|pause| pause.repository.is_none_or(|paused| paused == repository));
    let moving: Vec<_> = waiting.iter().filter(|row| !is_paused(row.repository)).map(|row| row.waiting - row.held).collect();
    let ready: i64 = moving.iter().sum();
    // all that waits is held
    let stands_still = ready == 0 && !waiting.is_empty();
    let pause = pauses.into_iter().find(|pause| pause.repository.is_none());
    Ok(Queue {
        empty_in_seconds: if stands_still { None } else { queue::empty_in_seconds(ready, &minutes, now) },
        paused_at: pause.as_ref().map(|pause| pause.paused_at),
        paused_by: pause.map(|pause| pause.paused_by),
        lanes: Priority::ALL.map(lane).to_vec(),
        repositories,
        unmet: unmet_capabilities(tx).await?,
        running: running.iter().map(|row| row.running).sum(),
        ended_last_hour: minutes.iter().map(|minute| minute.ended).sum(),
        minutes,
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
    let runners = runner::capabilities_of(&runner::at_hand(tx).await?);
    let needed = rows.into_iter().map(|row| UnmetCapabilities {
        unmet: unmet(&row.capabilities, &runners),
        capabilities: row.capabilities,
        waiting: row.waiting,
    });
    Ok(needed.filter(|one| !one.unmet.is_empty()).take(UNMET).collect())
}

struct Pause {
    repository: Option<RepositoryId>,
    paused_by: String,
    paused_at: Timestamp,
}

async fn pauses(tx: &mut Tx) -> Result<Vec<Pause>> {
    let rows = sqlx::query_as!(
        Pause,
        r#"select repository_id as "repository: RepositoryId", paused_at,
                  coalesce(person.name, api_key.name || ' (API key)', paused_by) as "paused_by!"
           from queue_pause
           left join "user" person on paused_by = 'user:' || person.id
           left join api_key on paused_by = 'api_key:' || api_key.id"#
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows)
}

/// Since when the middle task of a lane or of a repository waits.
struct Median {
    priority: Option<Priority>,
    repository: Option<RepositoryId>,
    queued_at: Timestamp,
}

/// Exact for a queue of up to [`SAMPLE`] tasks. Of a longer one about so many are looked at, spread evenly: the last byte of an id is
/// random.
async fn medians(tx: &mut Tx, waiting: i64) -> Result<Vec<Median>> {
    let bytes = if waiting <= SAMPLE { 256 } else { (256 * SAMPLE / waiting).max(1) };
    let rows = sqlx::query_as!(
        Median,
        r#"select priority as "priority?: Priority", repository_id as "repository?: RepositoryId",
                  percentile_disc(0.5) within group (order by queued_at) as "queued_at!"
           from task
           where workspace_id = (select current_workspace()) and state = 'queued' and get_byte(uuid_send(id), 15) < $1::int
           group by grouping sets ((priority), (repository_id))"#,
        bytes as i32
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows)
}

async fn locations(tx: &mut Tx, ids: &[RepositoryId]) -> Result<Vec<(RepositoryId, String)>> {
    let ids: Vec<_> = ids.iter().map(|id| id.0).collect();
    let rows =
        sqlx::query!(r#"select id as "id: RepositoryId", location from repository where id = any($1)"#, &ids).fetch_all(&mut **tx).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.location)).collect())
}
