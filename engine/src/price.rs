//! Prices of models: what admins say they cost in their workspace. One that is set or removed ends the one before, which stays on record, and
//! with it who has set and ended it: what was used while it held was counted by it ([`at_their_times`]), and is not counted again.

use domain::{
    Actor, AttemptId, Permission, Timestamp, WorkspaceId,
    price::{ModelPrice, ModelPrices, PRICES_MAX, SetModelPrice, TokenPrices, Tokens, UnpricedModel},
};
use sqlx::PgConnection;

use crate::{Engine, Error, Result, tx::Tx};

impl Engine {
    /// Those that hold, by model, and the models that were used without one.
    pub async fn list_model_prices(&self, actor: &Actor) -> Result<ModelPrices> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        let prices = list(&mut tx, None).await?;
        let unpriced = unpriced(&mut tx).await?;
        tx.commit(ModelPrices { prices, unpriced }).await
    }

    /// All that this model has ever cost here, the latest first.
    pub async fn model_price_history(&self, actor: &Actor, model: &str) -> Result<Vec<ModelPrice>> {
        actor.may(Permission::ReadTasks)?;
        can_have_one(model)?;
        let mut tx = self.begin(actor).await?;
        let prices = list(&mut tx, Some(model)).await?;
        if prices.is_empty() {
            return Err(Error::not_found("price of model", model));
        }
        tx.commit(prices).await
    }

    /// From now on. The same again is the one that there is.
    pub async fn set_model_price(&self, actor: &Actor, model: &str, set: SetModelPrice) -> Result<ModelPrice> {
        actor.may(Permission::ManagePrices)?;
        let (model, prices) = set.validated(model)?;
        let mut tx = self.begin(actor).await?;
        let before = list(&mut tx, Some(model.as_str())).await?.into_iter().next().filter(|price| price.valid_until.is_none());
        if let Some(before) = before.filter(|before| before.prices == prices) {
            return tx.commit(before).await;
        }
        let ended = end(&mut tx, actor, &model).await?;
        if ended.is_none() && count(&mut tx).await? >= PRICES_MAX {
            return Err(Error::Conflict(format!("{PRICES_MAX} models have a price already; remove those of models that are not used")));
        }
        let from = ended.unwrap_or(tx.now());
        insert(&mut tx, self.new_id(), actor, (model.as_str(), &prices), from).await.map_err(set_at_once)?;
        let price = list(&mut tx, Some(model.as_str())).await?.into_iter().next();
        let price = price.ok_or_else(|| Error::not_found("price of model", &model))?;
        tx.commit(price).await
    }

    /// From now on nobody knows what it costs.
    pub async fn remove_model_price(&self, actor: &Actor, model: &str) -> Result<()> {
        actor.may(Permission::ManagePrices)?;
        can_have_one(model)?;
        let mut tx = self.begin(actor).await?;
        end(&mut tx, actor, model).await?.ok_or_else(|| Error::not_found("price of model", model))?;
        tx.commit(()).await
    }
}

/// No database takes a NUL character, and would be asked in vain.
fn can_have_one(model: &str) -> Result<()> {
    if model.contains('\0') { Err(Error::not_found("price of model", model.replace('\0', "\u{fffd}"))) } else { Ok(()) }
}

/// When the one that held has ended; nothing when there was none. No price ends before it has begun, whatever clocks say.
async fn end(tx: &mut Tx, actor: &Actor, model: &str) -> Result<Option<Timestamp>> {
    let now = tx.now();
    let ended = sqlx::query_scalar!(
        r#"update model_price set valid_until = greatest(valid_from, $2), ended_by = $3
           where workspace_id = (select current_workspace()) and model = $1 and valid_until is null returning valid_until as "valid_until!""#,
        model,
        now,
        actor.label()
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(ended)
}

async fn count(conn: &mut PgConnection) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from model_price where workspace_id = (select current_workspace()) and valid_until is null"#
    )
    .fetch_one(conn)
    .await?;
    Ok(count)
}

async fn insert(
    conn: &mut PgConnection,
    id: uuid::Uuid,
    actor: &Actor,
    (model, prices): (&str, &TokenPrices),
    from: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "insert into model_price (id, workspace_id, model, input_micros, output_micros, cache_read_micros, cache_write_micros, set_by, valid_from)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        id,
        actor.workspace_id.0,
        model,
        prices.input_micros.cast_signed(),
        prices.output_micros.cast_signed(),
        prices.cache_read_micros.map(u64::cast_signed),
        prices.cache_write_micros.map(u64::cast_signed),
        actor.label(),
        from
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Two have set it in the same moment, and one of them was the first.
fn set_at_once(error: Error) -> Error {
    let is_taken = match &error {
        Error::Database(sqlx::Error::Database(inner)) => inner.constraint() == Some("model_price_once"),
        _ => false,
    };
    if is_taken { Error::Conflict("somebody else has set its price in this moment; look at that first".into()) } else { error }
}

/// Those that hold, or all that there have been of one model, the latest first.
async fn list(conn: &mut PgConnection, model: Option<&str>) -> Result<Vec<ModelPrice>> {
    let rows = sqlx::query!(
        r#"select model, input_micros, output_micros, cache_read_micros, cache_write_micros, valid_from, valid_until,
                  coalesce(setter.name, set_key.name || ' (API key)', set_by) as "set_by!",
                  coalesce(ender.name, ended_key.name || ' (API key)', ended_by) as ended_by
           from model_price price
           left join "user" setter on set_by = 'user:' || setter.id
           left join api_key set_key on set_by = 'api_key:' || set_key.id
           left join "user" ender on ended_by = 'user:' || ender.id
           left join api_key ended_key on ended_by = 'api_key:' || ended_key.id
           where price.workspace_id = (select current_workspace())
             and case when $1::text is null then valid_until is null else model = $1 end
           order by model, valid_until desc nulls first, valid_from desc, price.id desc limit 1000"#,
        model
    )
    .fetch_all(conn)
    .await?;
    let prices = rows.into_iter().map(|row| ModelPrice {
        model: row.model,
        prices: TokenPrices {
            input_micros: row.input_micros.unsigned_abs(),
            output_micros: row.output_micros.unsigned_abs(),
            cache_read_micros: row.cache_read_micros.map(i64::unsigned_abs),
            cache_write_micros: row.cache_write_micros.map(i64::unsigned_abs),
        },
        valid_from: row.valid_from,
        set_by: row.set_by,
        valid_until: row.valid_until,
        ended_by: row.ended_by,
    });
    Ok(prices.collect())
}

/// What was used and has no price to this day.
async fn unpriced(conn: &mut PgConnection) -> Result<Vec<UnpricedModel>> {
    let rows = sqlx::query!(
        r#"select named.model as "model!", count(distinct used.attempt_id) as "attempts!"
           from (select attempt_id, unpriced from attempt_usage
                 where workspace_id = (select current_workspace()) and cardinality(unpriced) > 0
                 order by attempt_id desc limit 10000) as used
           cross join unnest(used.unpriced) as named (model)
           where not exists (select from model_price price where price.workspace_id = (select current_workspace())
                             and price.model = named.model and price.valid_until is null)
           group by named.model order by count(distinct used.attempt_id) desc, named.model collate "C" limit 50"#
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| UnpricedModel { model: row.model, attempts: row.attempts }).collect())
}

/// An answer of a model, of which it is asked what that cost then.
pub(crate) struct Answered {
    pub workspace: WorkspaceId,
    pub attempt: AttemptId,
    pub model: String,
    /// By its runner's clock.
    pub at: Timestamp,
    pub tokens: Tokens,
}

/// The prices that held when these answers were given, each at its place; nothing where there was none. A runner's clock may be wrong: no answer
/// comes before its attempt, and none after now.
pub(crate) async fn at_their_times(conn: &mut PgConnection, answers: &[Answered], now: Timestamp) -> Result<Vec<Option<TokenPrices>>> {
    let mut prices = vec![None; answers.len()];
    let workspaces: Vec<_> = answers.iter().map(|answer| answer.workspace.0).collect();
    let attempts: Vec<_> = answers.iter().map(|answer| answer.attempt.0).collect();
    let models: Vec<_> = answers.iter().map(|answer| answer.model.clone()).collect();
    let times: Vec<_> = answers.iter().map(|answer| answer.at).collect();
    let rows = sqlx::query!(
        r#"select asked.place as "place!", price.input_micros as "input_micros!", price.output_micros as "output_micros!",
                  price.cache_read_micros as "cache_read_micros?", price.cache_write_micros as "cache_write_micros?"
           from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[]) with ordinality as asked (workspace_id, attempt_id, model, at, place)
           join attempt on attempt.id = asked.attempt_id
           cross join lateral (
             select input_micros, output_micros, cache_read_micros, cache_write_micros from model_price known
             where known.workspace_id = asked.workspace_id and known.model = asked.model
               and known.valid_from <= least(greatest(asked.at, attempt.claimed_at), $5)
               and (known.valid_until is null or known.valid_until > least(greatest(asked.at, attempt.claimed_at), $5))
             order by known.valid_from desc limit 1
           ) as price"#,
        &workspaces,
        &attempts,
        &models,
        &times,
        now
    )
    .fetch_all(conn)
    .await?;
    for row in rows {
        let place = usize::try_from(row.place - 1).ok().and_then(|place| prices.get_mut(place));
        if let Some(price) = place {
            *price = Some(TokenPrices {
                input_micros: row.input_micros.unsigned_abs(),
                output_micros: row.output_micros.unsigned_abs(),
                cache_read_micros: row.cache_read_micros.map(i64::unsigned_abs),
                cache_write_micros: row.cache_write_micros.map(i64::unsigned_abs),
            });
        }
    }
    Ok(prices)
}
