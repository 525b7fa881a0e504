//! What attempts are told while they work: numbered, and sent until their runner has heard it.

use domain::{
    Actor, AttemptKey, EventKind, Permission, TaskId, WorkspaceId,
    protocol::{Tell, Telling},
    session::{OnItsWay, TellAgent},
};
use sqlx::{PgConnection, types::Json};

use crate::{Engine, Error, Result, task, tx::Tx};

/// Sent at once to one runner: so many, and so many bytes of them. The rest comes with its next heartbeats.
const TOGETHER: i64 = 200;
const TOGETHER_BYTES: i64 = 2 * 1024 * 1024;
/// Of one attempt, of what its agent has not heard yet.
const MOST_WAITING: i64 = 20;

impl Engine {
    /// Says something to the agent that works on a task now.
    pub async fn tell_agent(&self, actor: &Actor, id: TaskId, tell: TellAgent) -> Result<OnItsWay> {
        actor.may(Permission::SteerAgents)?;
        tell.validate()?;
        let mut tx = self.begin(actor).await?;
        let task = task::store::lock(&mut tx, id).await?;
        let at_work = sqlx::query!(
            r#"select id, task_id, number, runner_id from attempt
               where task_id = $1 and state = 'running' and exists (select from session_event where attempt_id = attempt.id)"#,
            id.0
        )
        .fetch_optional(&mut *tx)
        .await?
        .ok_or_else(|| Error::Conflict("no agent is at work on this task now".into()))?;
        let attempt = AttemptKey { task_id: at_work.task_id, attempt_id: at_work.id, number: at_work.number };
        if count_messages(&mut tx, attempt).await? >= MOST_WAITING {
            return Err(Error::Conflict(format!("{MOST_WAITING} messages are on their way to this agent already")));
        }
        let by = task::query::name_of(&mut tx, &actor.label()).await?;
        let (text, interrupt) = (tell.words().to_owned(), tell.interrupt);
        let told = EventKind::AgentTold { attempt: attempt.number, interrupt };
        tx.record(task.workspace_id, id, &told).await?;
        let what = Tell::Message { text: text.clone(), by: by.clone(), interrupt };
        let telling = insert(&mut tx, task.workspace_id, attempt, what, &actor.label()).await?;
        let at = tx.now();
        let said = tx.answer(actor, OnItsWay { text, interrupt, by, at }).await?;
        self.hub.tell(at_work.runner_id, telling);
        Ok(said)
    }
}

async fn count_messages(conn: &mut PgConnection, attempt: AttemptKey) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from telling where attempt_id = $1 and heard_at is null and payload ->> 'tell' = 'message'"#,
        attempt.attempt_id.0
    )
    .fetch_one(conn)
    .await?;
    Ok(count)
}

/// The attempt's task is locked, so that the numbers follow each other.
pub(crate) async fn insert(tx: &mut Tx, workspace: WorkspaceId, attempt: AttemptKey, what: Tell, made_by: &str) -> Result<Telling> {
    let now = tx.now();
    let number = sqlx::query_scalar!(
        r#"insert into telling (workspace_id, attempt_id, number, payload, at, made_by)
           select $1, $2, coalesce((select max(number) from telling where attempt_id = $2), 0) + 1, $3, $4, $5 returning number as "number!""#,
        workspace.0,
        attempt.attempt_id.0,
        Json(&what) as _,
        now,
        made_by
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(Telling { attempt, number, what })
}

/// What these attempts are told and have not heard: answers first, each kind in its order.
pub(super) async fn unheard(conn: &mut PgConnection, attempts: &[AttemptKey]) -> Result<Vec<Telling>> {
    let ids: Vec<_> = attempts.iter().map(|key| key.attempt_id.0).collect();
    let rows = sqlx::query!(
        r#"select attempt_id as "attempt_id!: domain::AttemptId", number as "number!", payload as "what!: Json<Tell>"
           from (select attempt_id, number, payload, sum(octet_length(payload::text)) over in_order as bytes,
                        row_number() over in_order as place
                 from telling where attempt_id = any($1) and heard_at is null
                 -- an answer is short, and somebody waits for it
                 window in_order as (order by payload ->> 'tell', number, attempt_id) order by place limit $2) as waiting
           where bytes <= $3 or place = 1 order by place"#,
        &ids,
        TOGETHER,
        TOGETHER_BYTES
    )
    .fetch_all(conn)
    .await?;
    let tellings = rows.into_iter().filter_map(|row| {
        let attempt = *attempts.iter().find(|key| key.attempt_id == row.attempt_id)?;
        Some(Telling { attempt, number: row.number, what: row.what.0 })
    });
    Ok(tellings.collect())
}

/// Those with these numbers.
pub(super) async fn heard(tx: &mut Tx, heard: &[(domain::AttemptId, i64)]) -> Result<()> {
    if heard.is_empty() {
        return Ok(());
    }
    let now = tx.now();
    let (attempts, numbers): (Vec<_>, Vec<_>) = heard.iter().map(|(attempt, number)| (attempt.0, *number)).unzip();
    sqlx::query!(
        "update telling set heard_at = $1 from unnest($2::uuid[], $3::bigint[]) as known (attempt_id, number)
         where telling.attempt_id = known.attempt_id and telling.number = known.number and heard_at is null",
        now,
        &attempts,
        &numbers
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What people have said to this attempt and has not come to its agent.
pub(super) async fn on_its_way(conn: &mut PgConnection, attempt: domain::AttemptId) -> Result<Vec<OnItsWay>> {
    let rows = sqlx::query!(
        r#"select payload as "what: Json<Tell>", at from telling where attempt_id = $1 and heard_at is null order by number"#,
        attempt.0
    )
    .fetch_all(conn)
    .await?;
    let said = rows.into_iter().filter_map(|row| match row.what.0 {
        Tell::Message { text, by, interrupt } => Some(OnItsWay { text, interrupt, by, at: row.at }),
        Tell::Answer { .. } => None,
    });
    Ok(said.collect())
}
