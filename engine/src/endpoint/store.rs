//! All SQL about endpoints and what they have.

use domain::{
    Actor, Endpoint, EndpointId, Pull, PullId, RunnerId, TaskId, Timestamp, WorkspaceId,
    endpoint::{AwaitedPull, EndpointDetail, EndpointHealth, EndpointLook, EndpointModel, Looked, NewEndpoint, PullState},
    runner::{HostReading, RunnerReading},
};
use sqlx::{PgConnection, types::Json};
use uuid::Uuid;

use crate::{Error, Result, RunnerSession, error::hit_one, task::query::names_of, tx::Tx};

/// Pulls of one endpoint that are told.
const PULLS_TOLD: i64 = 20;

/// An endpoint as it stands for whoever asks.
pub(super) struct Asked {
    pub endpoint: Endpoint,
    /// Those that were asked for.
    pub models: Vec<EndpointModel>,
    /// Of the attempts that work there, those of other workspaces than the one that is named.
    pub of_others: i64,
}

/// By name, all or this one alone; of one workspace and what serves every one, when it is named. Each with its models of these names, in small
/// letters, and with the label of whoever has registered it.
pub(super) async fn list(
    conn: &mut PgConnection,
    now: Timestamp,
    only: Option<EndpointId>,
    workspace: Option<WorkspaceId>,
    models: &[String],
) -> Result<Vec<Asked>> {
    let rows = sqlx::query!(
        r#"with busy as materialized (
             select endpoint.id, endpoint.runner_id, coalesce(endpoint.runner_id, endpoint.machine_of) as machine, endpoint.url,
                    count(*) as attempts, count(*) filter (where attempt.workspace_id <> $2) as of_others
             from attempt join endpoint on endpoint.id = attempt.endpoint_id
             where attempt.state in ('claimed', 'running', 'verifying') group by endpoint.id
           )
           select endpoint.id as "id: EndpointId", coalesce(endpoint.name, 'Ollama of ' || runner.name) as "name!", url,
                  endpoint.runner_id as "runner_id?: RunnerId", machine_of as "machine_of?: RunnerId", registered_by, endpoint.created_at,
                  endpoint.runner_id is null or is_said as "is_confirmed!", endpoint.workspace_id is null as "is_shared!", checked_at, healthy, unhealthy_since, why, version,
                  jsonb_array_length(models)::bigint as "model_count!",
                  (select count(*) from jsonb_array_elements(models) as model where model->>'state' = 'warm') as "warm_count!",
                  (select coalesce(jsonb_agg(model), '[]') from jsonb_array_elements(case when cardinality($3::text[]) > 0 then models else '[]' end) as model
                   where lower((model->>'name') collate "C") = any($3)) as "models!: Json<Vec<EndpointModel>>",
                  reading.at as "read_at?", reading.host as "host?: Json<HostReading>", here.attempts as "attempts!", here.of_others as "of_others!"
           from endpoint left join runner on runner.id = endpoint.runner_id
           left join runner_reading reading on reading.runner_id = coalesce(endpoint.runner_id, endpoint.machine_of)
           -- as Endpoint::is_beside has it
           cross join lateral (
             select coalesce(sum(busy.attempts), 0)::bigint as attempts, coalesce(sum(busy.of_others), 0)::bigint as of_others from busy
             where busy.id = endpoint.id or busy.machine = coalesce(endpoint.runner_id, endpoint.machine_of)
                   or busy.runner_id is null and endpoint.runner_id is null and busy.url = endpoint.url
           ) as here
           where endpoint.removed_at is null and (endpoint.runner_id is null or runner.id is not null and runner.removed_at is null)
             and ($1::uuid is null or endpoint.id = $1)
             and ($2::uuid is null or endpoint.workspace_id is null or endpoint.workspace_id = $2)
           order by 2, endpoint.id limit 500"#,
        only.map(|id| id.0),
        workspace.map(|workspace| workspace.0),
        models
    )
    .fetch_all(conn)
    .await?;
    let endpoints = rows.into_iter().map(|row| {
        let reading = row.read_at.zip(row.host).map(|(at, host)| RunnerReading::seen(at, host.0, now)).filter(|reading| !reading.is_stale);
        let endpoint = Endpoint {
            id: row.id,
            name: row.name,
            url: row.url,
            runner_id: row.runner_id,
            machine_of: row.machine_of,
            registered_by: row.registered_by,
            created_at: row.created_at,
            is_confirmed: row.is_confirmed,
            is_shared: row.is_shared,
            health: EndpointHealth::of(row.healthy, row.checked_at, now),
            why: row.why,
            unhealthy_since: row.unhealthy_since,
            checked_at: row.checked_at,
            version: row.version,
            model_count: row.model_count,
            warm_count: row.warm_count,
            attempts: row.attempts,
            busy_percent: reading.and_then(|reading| reading.host.busy_percent()),
        };
        Asked { endpoint, models: row.models.0, of_others: row.of_others }
    });
    Ok(endpoints.collect())
}

/// By name, all or this one alone, with names of people, as far as the actor's workspace sees them.
pub(super) async fn told(conn: &mut PgConnection, now: Timestamp, only: Option<EndpointId>) -> Result<Vec<Endpoint>> {
    let mut endpoints: Vec<_> = list(conn, now, only, None, &[]).await?.into_iter().map(|asked| asked.endpoint).collect();
    let labels = endpoints.iter().filter_map(|endpoint| endpoint.registered_by.clone()).collect();
    let names = names_of(conn, labels).await?;
    for endpoint in &mut endpoints {
        if let Some(name) = endpoint.registered_by.as_ref().and_then(|label| names.get(label)) {
            endpoint.registered_by = Some(name.clone());
        }
    }
    Ok(endpoints)
}

/// With its models and pulls.
pub(super) async fn detail(conn: &mut PgConnection, now: Timestamp, id: EndpointId) -> Result<Option<EndpointDetail>> {
    let Some(endpoint) = told(conn, now, Some(id)).await?.pop() else { return Ok(None) };
    let models = sqlx::query_scalar!(r#"select models as "models: Json<Vec<EndpointModel>>" from endpoint where id = $1"#, id.0)
        .fetch_one(&mut *conn)
        .await?;
    let pulls = pulls(conn, &[id], None).await?;
    Ok(Some(EndpointDetail { endpoint, models: models.0, pulls }))
}

/// Of these endpoints, the newest of each first, or this one alone.
pub(super) async fn pulls(conn: &mut PgConnection, endpoints: &[EndpointId], only: Option<PullId>) -> Result<Vec<Pull>> {
    let ids: Vec<_> = endpoints.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"select pull.id as "id!: PullId", pull.endpoint_id as "endpoint_id!: EndpointId", pull.model as "model!", pull.state as "state!: PullState",
                  pull.status as "status?", pull.completed as "completed!", pull.total as "total!", pull.asked_by as "asked_by!", pull.asked_at as "asked_at!",
                  pull.ended_at as "ended_at?", pull.why as "why?"
           from unnest($1::uuid[]) as wanted (id) cross join lateral (
             select * from endpoint_pull where endpoint_id = wanted.id and ($2::uuid is null or endpoint_pull.id = $2)
             order by asked_at desc, endpoint_pull.id desc limit $3
           ) as pull"#,
        &ids,
        only.map(|id| id.0),
        PULLS_TOLD
    )
    .fetch_all(&mut *conn)
    .await?;
    let names = names_of(conn, rows.iter().map(|row| row.asked_by.clone()).collect()).await?;
    let pulls = rows.into_iter().map(|row| Pull {
        id: row.id,
        endpoint_id: row.endpoint_id,
        model: row.model,
        state: row.state,
        status: row.status,
        completed: row.completed.unsigned_abs(),
        total: row.total.unsigned_abs(),
        asked_by: names.get(&row.asked_by).cloned().unwrap_or(row.asked_by),
        asked_at: row.asked_at,
        ended_at: row.ended_at,
        why: row.why,
    });
    Ok(pulls.collect())
}

/// The pull that a task waits for, as far as the actor's workspace sees it.
pub(crate) async fn awaited_by(conn: &mut PgConnection, task: TaskId) -> Result<Option<AwaitedPull>> {
    let found = sqlx::query!(
        r#"select pull.id as "id!: PullId", pull.endpoint_id as "endpoint_id!: EndpointId",
                  coalesce(endpoint.name, 'Ollama of ' || runner.name) as "endpoint!"
           from task join endpoint_pull pull on pull.id = task.model_pull join endpoint on endpoint.id = pull.endpoint_id
           left join runner on runner.id = endpoint.runner_id where task.id = $1"#,
        task.0
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(found) = found else { return Ok(None) };
    let pull = pulls(conn, &[found.endpoint_id], Some(found.id)).await?.pop();
    Ok(pull.map(|pull| AwaitedPull { endpoint: found.endpoint, pull }))
}

pub(super) async fn count_registered(conn: &mut PgConnection) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from endpoint where workspace_id = (select current_workspace()) and runner_id is null and removed_at is null"#
    )
    .fetch_one(conn)
    .await?;
    Ok(count)
}

/// Of a runner that the actor's workspace sees and that has not left.
pub(super) async fn is_runner(conn: &mut PgConnection, id: RunnerId) -> Result<bool> {
    let is_there = sqlx::query_scalar!(r#"select exists (select from runner where id = $1 and removed_at is null) as "is_there!""#, id.0)
        .fetch_one(conn)
        .await?;
    Ok(is_there)
}

pub(super) async fn insert(tx: &mut Tx, actor: &Actor, id: EndpointId, new: &NewEndpoint) -> Result<()> {
    let now = tx.now();
    sqlx::query!(
        "insert into endpoint (id, workspace_id, name, url, created_at, registered_by, next_check_at, machine_of)
         values ($1, $2, $3, $4, $5, $6, $5, $7)",
        id.0,
        actor.workspace_id.0,
        new.name,
        new.url,
        now,
        actor.label(),
        new.machine_of.map(|runner| runner.0)
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// With what it was pulling.
pub(super) async fn remove(tx: &mut Tx, id: EndpointId) -> Result<()> {
    let now = tx.now();
    let done = sqlx::query!("update endpoint set removed_at = $2 where id = $1 and runner_id is null and removed_at is null", id.0, now)
        .execute(&mut **tx)
        .await?;
    hit_one(&done, || Error::not_found("endpoint", id))?;
    sqlx::query!("update endpoint_pull set state = 'cancelled', ended_at = $2 where endpoint_id = $1 and ended_at is null", id.0, now)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// What the endpoint of a runner that is gone was to pull.
pub(crate) async fn cancel_pulls_of(tx: &mut Tx, runner: RunnerId) -> Result<()> {
    let now = tx.now();
    sqlx::query!(
        "update endpoint_pull set state = 'cancelled', ended_at = $2
         where endpoint_id = (select endpoint.id from endpoint where runner_id = $1) and ended_at is null",
        runner.0,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What was seen, as the columns have it.
struct Columns<'a> {
    healthy: bool,
    why: Option<&'a str>,
    version: Option<&'a str>,
    /// As it had them before, when it does not answer.
    models: Option<Json<&'a [EndpointModel]>>,
}

fn columns(looked: &Looked) -> Columns<'_> {
    match looked {
        Looked::Answers { version, models } => {
            Columns { healthy: true, why: None, version: version.as_deref(), models: Some(Json(models.as_slice())) }
        }
        Looked::Fails { why } => Columns { healthy: false, why: Some(why), version: None, models: None },
    }
}

/// What a runner has seen of the endpoint on its machine so many seconds ago, if this is its newest link. Models that are as they were are not written again.
pub(super) async fn note_found(
    conn: &mut PgConnection,
    session: &RunnerSession,
    id: Uuid,
    look: &EndpointLook,
    age: f64,
    by_hand: Option<Timestamp>,
) -> Result<()> {
    let Columns { healthy, why, version, models } = columns(&look.looked);
    sqlx::query!(
        "insert into endpoint as known (id, workspace_id, runner_id, url, created_at, checked_at, healthy, unhealthy_since, why, version, models,
                                        is_said)
         select $3::uuid, workspace_id, runner.id, $4::text, clock.at, clock.at, $5::boolean, case when $5 then null else clock.at end,
                $6::text, $7::text, coalesce($8::jsonb, '[]'), $10::boolean
         from runner cross join (select coalesce($9::timestamptz, clock_timestamp()) - make_interval(secs => $11) as at) as clock
         where runner.id = $1 and ticket = $2 and removed_at is null
         on conflict (runner_id) do update set url = excluded.url, is_said = excluded.is_said, checked_at = excluded.checked_at,
           healthy = excluded.healthy,
           unhealthy_since = case when excluded.healthy then null else coalesce(known.unhealthy_since, excluded.unhealthy_since) end,
           why = excluded.why, version = coalesce(excluded.version, known.version),
           models = case when $8::jsonb is null or known.models = $8::jsonb then known.models else $8::jsonb end",
        session.id().0,
        session.ticket(),
        id,
        look.url,
        healthy,
        why,
        version,
        models as _,
        by_hand,
        look.is_said,
        age
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The runner, over its newest link, sees nothing any more where it once did.
pub(super) async fn note_nothing_found(
    conn: &mut PgConnection,
    session: &RunnerSession,
    why: &str,
    age: f64,
    by_hand: Option<Timestamp>,
) -> Result<()> {
    sqlx::query!(
        "update endpoint set healthy = false, why = $3, checked_at = clock.at, unhealthy_since = coalesce(unhealthy_since, clock.at)
         from runner cross join (select coalesce($4::timestamptz, clock_timestamp()) - make_interval(secs => $5) as at) as clock
         where endpoint.runner_id = $1 and runner.id = endpoint.runner_id and runner.ticket = $2",
        session.id().0,
        session.ticket(),
        why,
        by_hand,
        age
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What a server sees of one that is registered.
pub(super) async fn note_registered(conn: &mut PgConnection, id: EndpointId, looked: &Looked, by_hand: Option<Timestamp>) -> Result<()> {
    let Columns { healthy, why, version, models } = columns(looked);
    sqlx::query!(
        "update endpoint set checked_at = clock.at, healthy = $2, why = $3, version = coalesce($4, version),
                             models = case when $5::jsonb is null or models = $5::jsonb then models else $5::jsonb end,
                             unhealthy_since = case when $2 then null else coalesce(unhealthy_since, clock.at) end
         from (select coalesce($6::timestamptz, clock_timestamp()) as at) as clock
         where id = $1 and runner_id is null and removed_at is null",
        id.0,
        healthy,
        why,
        version,
        models as _,
        by_hand
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Those that are registered and due, each for one server, with where they are. They are due again after so many seconds, also those that have not
/// answered for long, so that one that comes back is seen as soon as any other. As each of these is waited for, it comes after the others of its
/// workspace where there is not room for all. Workspaces take turns, so that nobody waits for all of somebody else's.
pub(super) async fn take_due(
    conn: &mut PgConnection,
    seconds: i64,
    limit: i64,
    by_hand: Option<Timestamp>,
) -> Result<Vec<(EndpointId, String)>> {
    let rows = sqlx::query!(
        r#"update endpoint set next_check_at = clock.at + make_interval(secs => $2::double precision)
           from (select coalesce($1::timestamptz, clock_timestamp()) as at) as clock
           where id in (
             select due.id
             from endpoint due
             join (select id, row_number() over (
                     partition by workspace_id
                     order by coalesce(unhealthy_since < coalesce($1, clock_timestamp()) - interval '5 minutes', false), next_check_at, id) as turn
                   from endpoint
                   where next_check_at <= coalesce($1, clock_timestamp()) and next_check_at is not null and removed_at is null) as line using (id)
             where due.next_check_at <= coalesce($1, clock_timestamp()) and due.removed_at is null
             order by line.turn, due.next_check_at limit $3 for update of due skip locked)
           returning id as "id: EndpointId", url"#,
        by_hand,
        seconds as f64,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.url)).collect())
}

/// Those that were removed long ago, or whose runner was, and that no attempt and no pull names any more; how many.
pub(super) async fn delete_removed(conn: &mut PgConnection, seconds: f64, by_hand: Option<Timestamp>) -> Result<u64> {
    let done = sqlx::query!(
        "delete from endpoint
         where coalesce(endpoint.removed_at, (select runner.removed_at from runner where runner.id = endpoint.runner_id))
               < coalesce($1::timestamptz, clock_timestamp()) - make_interval(secs => $2)
           and not exists (select from attempt where attempt.endpoint_id = endpoint.id)
           and not exists (select from endpoint_pull pull where pull.endpoint_id = endpoint.id)",
        by_hand,
        seconds
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}
