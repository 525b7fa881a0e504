//! Requests that take effect once.
//!
//! The answer is stored in the transaction of the effect, so there is never one without the other. While that transaction runs, its
//! lock tells a second request with the same key that the first is still at work. Only what took effect is remembered: a request that
//! was refused may be sent again and is looked at again.

use std::collections::HashSet;

use chrono::TimeDelta;
use domain::{Actor, Idempotency, Invalid, Timestamp, WorkspaceId, account::SYSTEM, idempotency::KEPT_HOURS};
use serde::Serialize;
use sqlx::PgConnection;

use crate::{
    Engine, Error, Result,
    together::{Rounds, Together, refuse},
    tx::Tx,
};

/// Answers removed in one go.
const BATCH: i64 = 1000;

/// What was answered before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EarlierAnswer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Engine {
    /// What this very request was answered before, if it has been here. Another request under the same key is refused.
    pub async fn earlier_answer(&self, actor: &Actor, idempotency: &Idempotency) -> Result<Option<EarlierAnswer>> {
        let question = (actor.workspace_id, (actor.label(), idempotency.clone()), 0);
        let kept = self.answers.ask(&self.undisturbed, question, |rounds| look_answers_up(self.clone(), rounds)).await?;
        let Some(kept) = kept else { return Ok(None) };
        if kept.fingerprint != idempotency.fingerprint {
            let message = "was used for another request before; every request needs a key of its own";
            return Err(Invalid::field("Idempotency-Key", "reused", message).into());
        }
        Ok(Some(EarlierAnswer { status: kept.status.unsigned_abs(), body: kept.answer }))
    }

    /// Forgets answers whose time is over.
    pub async fn delete_expired_answers(&self) -> Result<u64> {
        let now = self.clock.now(&self.database).await?;
        let done = sqlx::query!(
            "delete from idempotency where (workspace_id, principal, route, key) in
               (select workspace_id, principal, route, key from idempotency where expires_at <= $1 limit $2)",
            now,
            BATCH
        )
        .execute(&self.database.system)
        .await?;
        Ok(done.rows_affected())
    }
}

/// Answers that are looked for at the same time, by the label of whoever asks.
pub(crate) type Answers = Together<WorkspaceId, (String, Idempotency), Option<Kept>>;

pub(crate) struct Kept {
    place: i64,
    fingerprint: Vec<u8>,
    status: i16,
    answer: Vec<u8>,
}

async fn look_answers_up(engine: Engine, mut rounds: Rounds<WorkspaceId, (String, Idempotency), Option<Kept>>) {
    while !rounds.are_over() {
        let askers = rounds.take();
        let mut keys = Keys::default();
        askers.iter().for_each(|asker| keys.push(asker.question.0.clone(), &asker.question.1));
        match kept(&engine, rounds.key, &keys).await {
            Ok(kept) => {
                let mut kept = kept.into_iter().peekable();
                for (place, asker) in (1..).zip(askers) {
                    asker.answer(Ok(kept.next_if(|kept| kept.place == place)));
                }
            }
            Err(error) => refuse(askers, error),
        }
    }
}

/// What is kept, in the order of the keys, each with its place among them from 1 on.
async fn kept(engine: &Engine, workspace: WorkspaceId, keys: &Keys) -> Result<Vec<Kept>> {
    let mut tx = engine.begin_in(workspace, SYSTEM.to_owned()).await?;
    let now = tx.now();
    let kept = sqlx::query_as!(
        Kept,
        r#"select place as "place!", fingerprint, status, answer
           from unnest($1::text[], $2::text[], $3::text[]) with ordinality as asked (principal, route, key, place)
           -- one at a time, by its key: a table that was never analysed must not be joined as a whole
           cross join lateral (
             select fingerprint, status, answer from idempotency
             where idempotency.principal = asked.principal and idempotency.route = asked.route and idempotency.key = asked.key
               and expires_at > $4
             limit 1
           ) kept
           order by place"#,
        &keys.principals,
        &keys.routes,
        &keys.keys,
        now
    )
    .fetch_all(&mut *tx)
    .await?;
    tx.commit(kept).await
}

/// Which of these requests this transaction carries out: those that no other carries out at this moment, nor has a moment ago, nor
/// stand here twice. A request without a key is always carried out.
pub(crate) async fn claim(conn: &mut PgConnection, actors: &[&Actor], now: Timestamp) -> Result<Vec<Result<()>>> {
    let mut outcomes: Vec<Result<()>> = actors.iter().map(|_| Ok(())).collect();
    let mut seen = HashSet::new();
    let (mut places, mut keys) = (vec![], Keys::default());
    for (place, actor) in actors.iter().enumerate() {
        let Some(idempotency) = &actor.idempotency else { continue };
        let principal = actor.label();
        // an advisory lock is no fence inside one transaction
        if seen.insert((principal.clone(), &idempotency.route, &idempotency.key)) {
            places.push(place);
            keys.push(principal, idempotency);
        } else {
            outcomes[place] = Err(at_work());
        }
    }
    if places.is_empty() {
        return Ok(outcomes);
    }
    let free = lock(conn, &keys).await?;
    // after the lock: what was answered between the look and the lock is found by now
    let kept = look(conn, &keys, now).await?;
    if kept.contains(&Some(false)) {
        delete_expired(conn, &keys, now).await?;
    }
    for (place, (is_free, kept)) in places.into_iter().zip(free.into_iter().zip(kept)) {
        if !is_free || kept == Some(true) {
            outcomes[place] = Err(at_work());
        }
    }
    Ok(outcomes)
}

fn at_work() -> Error {
    Error::Conflict("a request with this Idempotency-Key is still at work; send it again in a moment".into())
}

/// The names of several requests, as columns.
#[derive(Default)]
struct Keys {
    principals: Vec<String>,
    routes: Vec<String>,
    keys: Vec<String>,
}

impl Keys {
    fn push(&mut self, principal: String, idempotency: &Idempotency) {
        self.principals.push(principal);
        self.routes.push(idempotency.route.clone());
        self.keys.push(idempotency.key.clone());
    }
}

/// Takes the lock of each until the end of the transaction, or says that another transaction has it.
async fn lock(conn: &mut PgConnection, keys: &Keys) -> Result<Vec<bool>> {
    let free = sqlx::query_scalar!(
        r#"select pg_try_advisory_xact_lock(hashtextextended(jsonb_build_array(current_workspace(), principal, route, key)::text, 0))
           as "is_free!"
           from unnest($1::text[], $2::text[], $3::text[]) with ordinality as asked (principal, route, key, place) order by place"#,
        &keys.principals,
        &keys.routes,
        &keys.keys
    )
    .fetch_all(conn)
    .await?;
    Ok(free)
}

/// For each whether its answer is kept; false when the time of that is over. One at a time, by its key: a table that was never
/// analysed must not be joined as a whole.
async fn look(conn: &mut PgConnection, keys: &Keys, now: Timestamp) -> Result<Vec<Option<bool>>> {
    let kept = sqlx::query_scalar!(
        r#"select (select expires_at > $4 from idempotency
                   where idempotency.principal = asked.principal and idempotency.route = asked.route and idempotency.key = asked.key) as kept
           from unnest($1::text[], $2::text[], $3::text[]) with ordinality as asked (principal, route, key, place) order by place"#,
        &keys.principals,
        &keys.routes,
        &keys.keys,
        now
    )
    .fetch_all(conn)
    .await?;
    Ok(kept)
}

async fn delete_expired(conn: &mut PgConnection, keys: &Keys, now: Timestamp) -> Result<()> {
    sqlx::query!(
        "delete from idempotency using unnest($1::text[], $2::text[], $3::text[]) as asked (principal, route, key)
         where idempotency.principal = asked.principal and idempotency.route = asked.route and idempotency.key = asked.key
           and expires_at <= $4",
        &keys.principals,
        &keys.routes,
        &keys.keys,
        now
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Keeps answers beside their effects.
pub(crate) async fn keep<T: Serialize>(tx: &mut Tx, answers: &[(&Actor, &T)]) -> Result<()> {
    let mut keys = Keys::default();
    let (mut fingerprints, mut statuses, mut bodies) = (vec![], vec![], vec![]);
    for (actor, answer) in answers {
        let Some(idempotency) = &actor.idempotency else { continue };
        let body = serde_json::to_vec(answer).map_err(|error| Error::inconsistent("idempotency", &idempotency.key, error.to_string()))?;
        keys.push(actor.label(), idempotency);
        fingerprints.push(idempotency.fingerprint.clone());
        statuses.push(i16::try_from(idempotency.status).unwrap_or(200));
        bodies.push(body);
    }
    if bodies.is_empty() {
        return Ok(());
    }
    let expires_at = tx.now() + TimeDelta::hours(KEPT_HOURS);
    sqlx::query!(
        "insert into idempotency (workspace_id, principal, route, key, fingerprint, status, answer, expires_at)
         select current_workspace(), principal, route, key, fingerprint, status, answer, $7
         from unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::smallint[], $6::bytea[])
           as kept (principal, route, key, fingerprint, status, answer)",
        &keys.principals,
        &keys.routes,
        &keys.keys,
        &fingerprints,
        &statuses,
        &bodies,
        expires_at
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
