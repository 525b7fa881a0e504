//! One use case: a transaction with its time, its actor and its workspace.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use domain::{Actor, EventKind, TaskId, Timestamp, WorkspaceId, account::SYSTEM, crash};
use serde::Serialize;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};
use tokio_util::task::TaskTracker;

use crate::{Clock, Engine, Error, Result, event, event::store::Fact, hints::Hints, idempotency};

pub(crate) struct Tx {
    inner: Transaction<'static, Postgres>,
    now: Timestamp,
    actor: String,
    hints: Arc<Hints>,
    undisturbed: TaskTracker,
    recorded: bool,
    clock: Clock,
}

impl Engine {
    /// A transaction inside the actor's workspace: the database shows it nothing else.
    pub(crate) async fn begin(&self, actor: &Actor) -> Result<Tx> {
        let mut tx = self.begin_in(actor.workspace_id, actor.label()).await?;
        let now = tx.now;
        idempotency::claim(&mut tx, &[actor], now).await?.into_iter().collect::<Result<()>>()?;
        Ok(tx)
    }

    /// As [`begin`](Self::begin), for what several ask for. `actor` is what events are signed with that name nobody else.
    pub(crate) async fn begin_in(&self, workspace: WorkspaceId, actor: String) -> Result<Tx> {
        let mut inner = self.begin_undisturbed(&self.database.app).await?;
        let workspace = workspace.to_string();
        let row =
            sqlx::query!(r#"select set_config('muster.workspace_id', $1, true) as workspace, clock_timestamp() as "now!""#, workspace)
                .fetch_one(&mut *inner)
                .await?;
        Ok(self.tx(inner, row.now, actor))
    }

    /// A transaction of Muster itself, over all workspaces. `actor` is what its events are signed with.
    pub(crate) async fn begin_system(&self, actor: Option<String>) -> Result<Tx> {
        let mut inner = self.begin_undisturbed(&self.database.system).await?;
        let now = sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(&mut *inner).await?;
        Ok(self.tx(inner, now, actor.unwrap_or_else(|| SYSTEM.into())))
    }

    /// Whoever waits for a BEGIN may go away in the middle of it, and the connection would be back in the pool inside a transaction
    /// that nobody ends. So it is carried through apart from them; what nobody takes is rolled back.
    async fn begin_undisturbed(&self, pool: &PgPool) -> Result<Transaction<'static, Postgres>> {
        let pool = pool.clone();
        let begun = self.undisturbed.spawn(async move { pool.begin().await }).await;
        Ok(begun.map_err(|_| Error::Unavailable(sqlx::Error::WorkerCrashed))??)
    }

    fn tx(&self, inner: Transaction<'static, Postgres>, database_now: Timestamp, actor: String) -> Tx {
        Tx {
            inner,
            now: self.clock.or(database_now),
            actor,
            hints: self.hints.clone(),
            undisturbed: self.undisturbed.clone(),
            recorded: false,
            clock: self.clock.clone(),
        }
    }
}

impl Tx {
    /// The time of this use case; the same for everything it writes.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// From 0 to 1, drawn anew each time; always 1 where a hand moves the clock.
    pub(crate) fn luck(&self) -> f64 {
        self.clock.luck()
    }

    pub(crate) fn actor(&self) -> &str {
        &self.actor
    }

    /// Writes down a fact about a task whose row this transaction has locked or inserted.
    pub(crate) async fn record(&mut self, workspace: WorkspaceId, task: TaskId, kind: &EventKind) -> Result<()> {
        self.record_all(&[Fact { workspace, task, kind: kind.clone() }]).await
    }

    /// As [`record`](Self::record), of several facts in their order.
    pub(crate) async fn record_all(&mut self, facts: &[Fact]) -> Result<()> {
        if facts.is_empty() {
            return Ok(());
        }
        event::store::append(&mut self.inner, &self.actor, self.now, facts).await?;
        self.recorded = true;
        Ok(())
    }

    /// Facts that a statement of this transaction has written by itself.
    pub(crate) fn has_recorded(&mut self) {
        self.recorded = true;
    }

    /// As [`commit`](Self::commit), with the answer kept for the same request when it comes again.
    pub(crate) async fn answer<T: Serialize>(mut self, actor: &Actor, answer: T) -> Result<T> {
        idempotency::keep(&mut self, &[(actor, &answer)]).await?;
        crash::point("answer.kept");
        let answer = self.commit(answer).await?;
        crash::point("answer.committed");
        Ok(answer)
    }

    /// Undoes everything now, not when the connection is used again: what others may take is free by then.
    pub(crate) async fn rollback(self) -> Result<()> {
        Ok(self.inner.rollback().await?)
    }

    /// Carried through even when whoever waits for it goes away, so that what is committed is also hinted at.
    pub(crate) async fn commit<T>(self, answer: T) -> Result<T> {
        let committed = self.undisturbed.spawn(async move {
            crash::point("commit.before");
            self.inner.commit().await?;
            crash::point("commit.after");
            if self.recorded {
                self.hints.committed();
            }
            Ok(())
        });
        let committed: sqlx::Result<()> = committed.await.map_err(|_| Error::Unavailable(sqlx::Error::WorkerCrashed))?;
        committed?;
        Ok(answer)
    }
}

impl Deref for Tx {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.inner
    }
}

impl DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.inner
    }
}
