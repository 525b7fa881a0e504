//! How many attempts a runner carries out at once: as many as its machine says, until somebody sets another number. Its row decides, over every
//! restart of either side. A runner that takes the number from here is told, and does so without a restart; an older one is given no more than
//! both numbers allow. What the servers keep in memory spares them the asking, and is put right by whatever they read of the row.

use domain::{Actor, Permission, Runner, RunnerId, runner::RunnerChange};
use sqlx::PgConnection;

use super::store;
use crate::{Engine, Error, Result, tx::Tx};

/// How many attempts a runner carries out at once, as its row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slots {
    pub now: u32,
    /// What was set, if anything was.
    pub set: Option<u32>,
}

impl Slots {
    pub(crate) fn of_row(now: i32, set: Option<i32>) -> Self {
        Self { now: now.unsigned_abs(), set: set.map(i32::unsigned_abs) }
    }
}

impl Engine {
    /// From the answer on it is given no more than that; what it carries out beyond that goes on. The same again changes nothing.
    pub async fn change_runner(&self, actor: &Actor, id: RunnerId, change: &RunnerChange) -> Result<Runner> {
        actor.may(Permission::ManageRunners)?;
        change.validate()?;
        let mut tx = self.begin(actor).await?;
        let now = tx.now();
        let runner = store::list(&mut tx, now, Some(id)).await?.pop().ok_or_else(|| Error::not_found("runner", id))?;
        if !runner.joined {
            let name = runner.name;
            return Err(Error::Conflict(format!(
                "{name} is inside a server and works for every workspace: that server is started with its slots"
            )));
        }
        store::lock(&mut tx, id).await?;
        let slots = set(&mut tx, id, change.slots, &actor.label()).await?;
        let runner = store::list(&mut tx, now, Some(id)).await?.pop().ok_or_else(|| Error::not_found("runner", id))?;
        let runner = tx.commit(runner).await?;
        self.hub.set_slots(id, slots);
        self.hints.committed();
        Ok(runner)
    }

    /// What was set over another server holds here as well, and does not wait for the runner's heartbeat.
    pub(crate) async fn look_for_slots(&self) -> Result<()> {
        let far = self.hub.far();
        if far.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = far.iter().map(|(id, _)| *id).collect();
        let mut conn = self.database.system.acquire().await?;
        let rows = of(&mut conn, &ids).await?;
        for (id, said) in far {
            if let Some((_, slots)) = rows.iter().find(|(of, _)| *of == id) {
                self.hub.note_slots(id, *slots, said);
            }
        }
        Ok(())
    }
}

/// One of the workspace's own, whose row is locked.
async fn set(tx: &mut Tx, id: RunnerId, slots: Option<i32>, by: &str) -> Result<Slots> {
    let now = tx.now();
    let row = sqlx::query!(
        "with logged as (
           insert into runner_log (runner_id, at, kind, actor, detail)
           select id, $4::timestamptz, case when $2::int is null then 'slots_own' else 'slots_set' end, $3::text, $2::int::text
           from runner
           where id = $1 and workspace_id = (select current_workspace()) and removed_at is null and slots_set is distinct from $2
         )
         update runner set slots_set = $2 where id = $1 and workspace_id = (select current_workspace()) and removed_at is null
         returning slots_now, slots_set",
        id.0,
        slots,
        by,
        now
    )
    .fetch_optional(&mut **tx)
    .await?
    .ok_or_else(|| Error::not_found("runner", id))?;
    Ok(Slots::of_row(row.slots_now, row.slots_set))
}

async fn of(conn: &mut PgConnection, runners: &[RunnerId]) -> Result<Vec<(RunnerId, Slots)>> {
    let ids: Vec<_> = runners.iter().map(|id| id.0).collect();
    let rows = sqlx::query!("select id, slots_now, slots_set from runner where id = any($1)", &ids).fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.id, Slots::of_row(row.slots_now, row.slots_set))).collect())
}
