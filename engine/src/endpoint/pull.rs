//! Models that endpoints are to have: who wants them, who has them pulled, and how far that has come.
//!
//! A runner is told all that its endpoint is to pull, over and over; so nothing is lost with a link, and what nobody wants any more it leaves
//! off. What a registered endpoint is to pull one server takes, for half a minute at a time: when it is gone, another goes on, and what the
//! first says from then on counts no more. Nothing is begun where nobody answers, and that nobody does ends nothing: what was begun ends here when it
//! leads nowhere, whoever takes it up.

use chrono::TimeDelta;
use domain::{
    Actor, EndpointId, Permission, PullId, RunnerId, Timestamp, WorkspaceId,
    endpoint::{
        NewPull, PULLS_MAX, PULLS_OF_ONE, Pull, PullState,
        pull::{PullEnd, PullProgress, WantedPull},
    },
    runner::reading::STALE_AFTER_SECONDS,
};
use sqlx::PgConnection;
use tracing::warn;
use uuid::Uuid;

use super::{find, shared, store};
use crate::{Engine, Error, Result, RunnerSession, error::hit_one, tx::Tx};

/// For so long a server is believed to be at a pull that it has told something of.
pub const PULL_HELD: TimeDelta = TimeDelta::seconds(30);
/// A pull has failed that nobody was at for so long, and whose endpoint has not answered for so long. It is longer than an endpoint that pulls
/// may be silent. What only waits for those before it goes on waiting, also when it was begun before: each of them comes to an end. So has one that
/// was begun, and has come no further for so long, however often somebody was at it, and still is.
pub const PULL_WAITS: TimeDelta = TimeDelta::hours(1);
/// So often a pull may fall back without having come beyond its furthest point, and has come further all the while that it catches up: an Ollama that
/// is begun anew may have thrown away what it had. From then on nothing counts but what is beyond that point.
pub const PULL_FALLS: i32 = 3;
/// From when somebody was at it first, whoever it was then.
pub const PULL_LASTS: TimeDelta = TimeDelta::days(1);
const NO_FURTHER: &str = "it has come no further for an hour; another pull goes on from there";
const NOT_BEYOND: &str =
    "it was begun again and again, and has come no further than before for an hour; see why its endpoint breaks off, then pull it again";
const NOT_DONE: &str = "it was not done within a day; another pull goes on from there";
const NOBODY_WAS_AT_IT: &str = "nobody was at it for an hour: its endpoint did not answer, or its runner was away or said nothing of it";
/// What a runner is told of together.
const WANTED: i64 = 100;
/// For so long those that have ended are kept, and endpoints that were removed.
const KEPT: TimeDelta = TimeDelta::days(30);

/// A pull that this server is to have done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldPull {
    pub id: PullId,
    pub endpoint: EndpointId,
    /// Whoever wants it.
    pub workspace: WorkspaceId,
    pub model: String,
    /// Of its endpoint.
    pub url: String,
    /// Of the time that it was taken: what is said of it counts until it is taken again.
    holder: Uuid,
}

/// Who says how far a pull has come.
enum Teller<'a> {
    /// Of its own endpoint, over its newest link.
    Runner(&'a RunnerSession),
    /// A server that has taken it, and from which nobody has taken it since.
    Server(Uuid),
}

impl Engine {
    /// One of a model at a time. The endpoint may have it already: then it gets what has changed.
    pub async fn pull_model(&self, actor: &Actor, endpoint: EndpointId, new: NewPull) -> Result<Pull> {
        actor.may(Permission::ManageEndpoints)?;
        let new = new.validated()?;
        let may_share = {
            let mut conn = self.database.system.acquire().await?;
            self.may_pull_where_all_are_served(&mut conn).await?
        };
        let mut tx = self.begin(actor).await?;
        let there = find(&mut tx, endpoint).await?;
        if shared::is_everybodys(&there) && !may_share {
            return Err(Error::Conflict(shared::refused(&there.name)));
        }
        // what others have pulled there is theirs: it closes nothing to this workspace
        if open_pulls_of_workspace(&mut tx).await? >= PULLS_MAX {
            let message = format!("{PULLS_MAX} models are being pulled for this workspace already; wait for one of them, or leave one off");
            return Err(Error::Conflict(message));
        }
        let id = PullId(self.new_id());
        insert(&mut tx, actor, id, endpoint, &new.model).await.map_err(|error| at_work(error, &new.model))?;
        let pull = one(&mut tx, endpoint, id).await?;
        let pull = tx.answer(actor, pull).await?;
        self.tell_pulls(there.runner_id).await;
        Ok(pull)
    }

    /// One that the actor's workspace wants, however long ago it ended, as long as it is kept.
    pub async fn find_pull(&self, actor: &Actor, id: PullId) -> Result<Pull> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        let endpoint = sqlx::query_scalar!(r#"select endpoint_id as "endpoint_id: EndpointId" from endpoint_pull where id = $1"#, id.0)
            .fetch_optional(&mut *tx)
            .await?
            .ok_or_else(|| Error::not_found("pull", id))?;
        let pull = one(&mut tx, endpoint, id).await?;
        tx.commit(pull).await
    }

    /// It is left off. What there is of the model stays where it is, and another pull goes on from there.
    pub async fn cancel_pull(&self, actor: &Actor, id: PullId) -> Result<Pull> {
        actor.may(Permission::ManageEndpoints)?;
        let mut tx = self.begin(actor).await?;
        let now = tx.now();
        let known = sqlx::query!(
            r#"select endpoint_id as "endpoint_id: EndpointId", state as "state: PullState" from endpoint_pull
               where id = $1 and workspace_id = (select current_workspace()) for no key update"#,
            id.0
        )
        .fetch_optional(&mut *tx)
        .await?
        .ok_or_else(|| Error::not_found("pull", id))?;
        let done =
            sqlx::query!("update endpoint_pull set state = 'cancelled', ended_at = $2 where id = $1 and ended_at is null", id.0, now)
                .execute(&mut *tx)
                .await?;
        hit_one(&done, || Error::Conflict(format!("it is {} already", known.state.name())))?;
        let pull = one(&mut tx, known.endpoint_id, id).await?;
        let runner = sqlx::query_scalar!(r#"select runner_id as "runner_id: RunnerId" from endpoint where id = $1"#, known.endpoint_id.0)
            .fetch_one(&mut *tx)
            .await?;
        let pull = tx.answer(actor, pull).await?;
        self.tell_pulls(runner).await;
        Ok(pull)
    }

    /// So that it need not wait for the next reading. When it is not connected here, the answer to that tells it.
    async fn tell_pulls(&self, runner: Option<RunnerId>) {
        let Some(runner) = runner else { return };
        match self.wanted_of(runner).await {
            Ok(wanted) => self.hub.tell_pulls(runner, wanted),
            Err(error) => warn!(runner.id = %runner, "What a runner is to pull could not be read, and is told later: {error}"),
        }
    }

    /// Where nobody answers, no other than those that were begun. Of a workspace that shares the endpoint so many at a time, and those first that
    /// were begun: what is named no more is left off.
    pub(super) async fn wanted_of(&self, runner: RunnerId) -> Result<Vec<WantedPull>> {
        let mut conn = self.database.system.acquire().await?;
        let rows = sqlx::query!(
            r#"select id as "id!: PullId", model as "model!"
               from (
                 select pull.id, pull.model, pull.asked_at, endpoint.workspace_id is null as is_shared,
                        row_number() over (partition by pull.workspace_id order by pull.state <> 'pulling', pull.asked_at, pull.id) as turn
                 from endpoint join endpoint_pull pull on pull.endpoint_id = endpoint.id
                 where endpoint.runner_id = $1 and pull.ended_at is null and (endpoint.healthy or pull.state = 'pulling')
               ) as line
               where not is_shared or turn <= $3
               order by turn, asked_at, id limit $2"#,
            runner.0,
            WANTED,
            PULLS_OF_ONE
        )
        .fetch_all(&mut *conn)
        .await?;
        Ok(rows.into_iter().map(|row| WantedPull { id: row.id, model: row.model }).collect())
    }

    /// What a runner says of a pull of its own endpoint, over its newest link. The next word comes soon, or this one again.
    pub(crate) async fn note_pulling(&self, session: &RunnerSession, pull: PullId, progress: &PullProgress) {
        let noted = async {
            let mut conn = self.database.system.acquire().await?;
            note(&mut conn, pull, progress.clone().kept(), Teller::Runner(session), self.clock.by_hand()).await
        };
        if let Err(error) = noted.await {
            warn!(runner.id = %session.id(), "How far a pull of runner {} has come could not be kept: {error}", session.name());
        }
    }

    /// What registered endpoints that answer are to pull and no server is at, so many at most, each for one server alone. Workspaces take turns, and
    /// each has its part at most of what this server carries out: `at_work` names whoever wants what it is at, once for each.
    pub async fn take_pulls(&self, most: usize, at_work: &[WorkspaceId]) -> Result<Vec<HeldPull>> {
        if most == 0 {
            return Ok(vec![]);
        }
        let holder = self.new_id();
        let at_work: Vec<_> = at_work.iter().map(|workspace| workspace.0).collect();
        let mut conn = self.database.system.acquire().await?;
        let rows = sqlx::query!(
            r#"update endpoint_pull set held_until = clock.at + make_interval(secs => $2), holder = $4, state = 'pulling',
                                        begun_at = coalesce(begun_at, clock.at),
                                        -- while nobody could be at it, it could come no further
                                        moved_at = case when moved_at is null or held_until < clock.at - interval '5 minutes' then clock.at else moved_at end
               from (select coalesce($1::timestamptz, clock_timestamp()) as at) as clock, endpoint
               where endpoint_pull.id in (
                   select pull.id from endpoint_pull pull join endpoint on endpoint.id = pull.endpoint_id
                   join (
                     select waiting.id, row_number() over (partition by waiting.workspace_id order by waiting.state <> 'pulling', waiting.asked_at, waiting.id)
                                        + (select count(*) from unnest($6::uuid[]) as busy (workspace) where busy.workspace = waiting.workspace_id) as turn
                     from endpoint_pull waiting join endpoint there on there.id = waiting.endpoint_id
                     where there.runner_id is null and there.removed_at is null and waiting.ended_at is null
                       and there.healthy and there.checked_at >= coalesce($1, clock_timestamp()) - make_interval(secs => $5)
                       and coalesce(waiting.held_until <= coalesce($1, clock_timestamp()), true)
                   ) as line on line.id = pull.id
                   -- once more, as the row is when it is locked
                   where line.turn <= $7 and endpoint.runner_id is null and endpoint.removed_at is null and pull.ended_at is null
                     and endpoint.healthy and endpoint.checked_at >= coalesce($1, clock_timestamp()) - make_interval(secs => $5)
                     and coalesce(pull.held_until <= coalesce($1, clock_timestamp()), true)
                   order by line.turn, pull.asked_at, pull.id limit $3 for update of pull skip locked)
                 and endpoint.id = endpoint_pull.endpoint_id
               returning endpoint_pull.id as "id: PullId", endpoint_pull.endpoint_id as "endpoint: EndpointId", endpoint_pull.workspace_id as "workspace_id: WorkspaceId", endpoint_pull.model, endpoint.url"#,
            self.clock.by_hand(),
            PULL_HELD.num_seconds() as f64,
            i64::try_from(most).unwrap_or(i64::MAX),
            holder,
            STALE_AFTER_SECONDS as f64,
            &at_work,
            PULLS_OF_ONE
        )
        .fetch_all(&mut *conn)
        .await?;
        let held = rows.into_iter().map(|row| HeldPull {
            id: row.id,
            endpoint: row.endpoint,
            workspace: row.workspace_id,
            model: row.model,
            url: row.url,
            holder,
        });
        Ok(held.collect())
    }

    /// How far one of these has come; whether it is still wanted of whoever says so.
    pub async fn pull_has_come(&self, held: &HeldPull, progress: PullProgress) -> Result<bool> {
        let mut conn = self.database.system.acquire().await?;
        note(&mut conn, held.id, progress.kept(), Teller::Server(held.holder), self.clock.by_hand()).await
    }

    /// Pulls that nobody was at for an hour fail, unless they only wait for those before them at an endpoint that answers; and so do those that were
    /// begun and lead nowhere, or last too long. Those that ended long ago are deleted, and endpoints that were removed long ago; how many.
    pub async fn tidy_endpoints(&self) -> Result<u64> {
        let by_hand = self.clock.by_hand();
        let mut conn = self.database.system.acquire().await?;
        sqlx::query!(
            "update endpoint_pull set state = 'failed', ended_at = clock.at, held_until = null, why = $3
             from (select coalesce($1::timestamptz, clock_timestamp()) as at) as clock, endpoint
             where endpoint.id = endpoint_id and ended_at is null and coalesce(held_until, asked_at) < clock.at - make_interval(secs => $2)
               -- a runner says of what it is at that it is, and anybody may take up what another server was at
               and (state = 'pulling' and endpoint.runner_id is not null
                    or coalesce(case when healthy then checked_at else unhealthy_since end < clock.at - make_interval(secs => $2), true))",
            by_hand,
            PULL_WAITS.num_seconds() as f64,
            NOBODY_WAS_AT_IT
        )
        .execute(&mut *conn)
        .await?;
        sqlx::query!(
            "update endpoint_pull set state = 'failed', ended_at = clock.at, held_until = null,
                                      why = case when begun_at < clock.at - make_interval(secs => $2) then $4 when falls >= $6 then $7 else $5 end
             from (select coalesce($1::timestamptz, clock_timestamp()) as at) as clock
             where state = 'pulling'
               and (begun_at < clock.at - make_interval(secs => $2)
                    -- as long as before another hour is begun: what is in line again could come no further
                    or moved_at < clock.at - make_interval(secs => $3) and held_until >= clock.at - interval '5 minutes')",
            by_hand,
            PULL_LASTS.num_seconds() as f64,
            PULL_WAITS.num_seconds() as f64,
            NOT_DONE,
            NO_FURTHER,
            PULL_FALLS,
            NOT_BEYOND
        )
        .execute(&mut *conn)
        .await?;
        let kept = KEPT.num_seconds() as f64;
        let pulls = sqlx::query!(
            "delete from endpoint_pull where ended_at < coalesce($1::timestamptz, clock_timestamp()) - make_interval(secs => $2)",
            by_hand,
            kept
        )
        .execute(&mut *conn)
        .await?;
        Ok(pulls.rows_affected() + store::delete_removed(&mut conn, kept, by_hand).await?)
    }
}

async fn one(tx: &mut Tx, endpoint: EndpointId, id: PullId) -> Result<Pull> {
    store::pulls(tx, &[endpoint], Some(id)).await?.pop().ok_or_else(|| Error::not_found("pull", id))
}

async fn open_pulls_of_workspace(conn: &mut PgConnection) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from endpoint_pull where workspace_id = (select current_workspace()) and ended_at is null"#
    )
    .fetch_one(conn)
    .await?;
    Ok(count)
}

async fn insert(tx: &mut Tx, actor: &Actor, id: PullId, endpoint: EndpointId, model: &str) -> Result<()> {
    let now = tx.now();
    sqlx::query!(
        "insert into endpoint_pull (id, workspace_id, endpoint_id, model, asked_by, asked_at) values ($1, $2, $3, $4, $5, $6)",
        id.0,
        actor.workspace_id.0,
        endpoint.0,
        model,
        actor.label(),
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Perhaps for another workspace, where the endpoint serves several.
fn at_work(error: Error, model: &str) -> Error {
    match &error {
        Error::Database(sqlx::Error::Database(inner)) if inner.is_unique_violation() => {
            Error::Conflict(format!("{model} is being pulled there already"))
        }
        _ => error,
    }
}

/// Of one that has not ended. Whether there is one of which this teller may say something.
async fn note(conn: &mut PgConnection, id: PullId, progress: PullProgress, teller: Teller<'_>, by_hand: Option<Timestamp>) -> Result<bool> {
    let state = progress.state();
    let why = match &progress.end {
        Some(PullEnd::Failed { why }) => Some(why.as_str()),
        Some(PullEnd::Done) | None => None,
    };
    let (runner, ticket, holder) = match teller {
        Teller::Runner(session) => (Some(session.id().0), Some(session.ticket()), None),
        Teller::Server(holder) => (None, None, Some(holder)),
    };
    let most = i64::MAX.unsigned_abs();
    let bytes = |number: u64| i64::try_from(number.min(most)).unwrap_or(i64::MAX);
    let done = sqlx::query!(
        "update endpoint_pull set state = $2, status = $3, completed = $4, total = $5, why = $6, begun_at = coalesce(begun_at, clock.at),
                                  -- of one that has fallen back too often what it had before is no news
                                  moved_at = case when moved_at is null or $4 > furthest or $4 > completed and falls < $13
                                                       or held_until < clock.at - interval '5 minutes'
                                                  then clock.at else moved_at end,
                                  falls = case when $4 > furthest then 0 when $4 < completed then falls + 1 else falls end,
                                  furthest = greatest(furthest, $4),
                                  ended_at = case when $7 then clock.at end,
                                  held_until = case when $7 then null else clock.at + make_interval(secs => $8) end
         from (select coalesce($9::timestamptz, clock_timestamp()) as at) as clock, endpoint left join runner on runner.id = endpoint.runner_id
         where endpoint_pull.id = $1 and endpoint_pull.ended_at is null and endpoint.id = endpoint_pull.endpoint_id
           and endpoint.removed_at is null and endpoint.runner_id is not distinct from $10::uuid and ($11::bigint is null or runner.ticket = $11)
           and ($12::uuid is null or endpoint_pull.holder = $12)",
        id.0,
        state.name(),
        progress.status,
        bytes(progress.completed),
        bytes(progress.total),
        why,
        progress.end.is_some(),
        PULL_HELD.num_seconds() as f64,
        by_hand,
        runner,
        ticket,
        holder,
        PULL_FALLS
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}
