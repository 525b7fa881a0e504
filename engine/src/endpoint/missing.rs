//! Models that tasks ask for and no endpoint has. Where the owner of a workspace lets them, they are pulled by themselves, one of a model at a
//! time, and the tasks wait out of the runners' sight until that has ended. It is decided when an attempt is given out, as only then it is known
//! what its runner reaches; that attempt ends before anybody is told of it.
//!
//! A task keeps for which pull it has waited. Whoever takes it next knows by that how it went, so that what failed is not begun over and over.

use chrono::TimeDelta;
use domain::{
    AttemptKey, EndpointId, Failure, FailureCode, PullId, TaskId, Timestamp, WorkspaceId,
    account::SYSTEM,
    endpoint::{NewPull, PULLS_MAX, PullState, is_same_model},
};
use sqlx::PgConnection;

use crate::{Engine, Result, tx::Tx};

/// A model that was pulled is seen with the next look at its endpoint, and one look may be missed; tasks wait for that no longer than this.
const SEEN_WITHIN: TimeDelta = TimeDelta::seconds(60);
/// Tasks that come back in one round.
const BATCH: i64 = 1000;

/// An attempt whose model is nowhere that it could be asked for it.
pub(super) struct Missing {
    pub key: AttemptKey,
    pub model: String,
    /// All that its runner reaches, as they may be.
    pub reached: Vec<EndpointId>,
    /// Endpoints that could be asked if they had it, the best first, with their names.
    pub lacking: Vec<(EndpointId, String)>,
    /// Why no endpoint was chosen.
    pub reasons: Vec<String>,
}

/// What becomes of it.
pub(super) enum Then {
    /// It begins as its runner's settings say.
    Begins,
    /// Until a pull has ended; for which one, in words.
    Waits(String),
    Ends(Failure),
}

/// A pull, with where it is.
struct Known {
    id: PullId,
    endpoint: EndpointId,
    name: String,
    model: String,
    state: PullState,
    why: Option<String>,
    /// It is of the workspace whose task asks. What another one wants, that one may leave off.
    is_ours: bool,
}

impl Engine {
    /// What becomes of each of these attempts of a workspace, in their order.
    pub(super) async fn pull_what_is_missing(&self, workspace: WorkspaceId, missing: &[Missing]) -> Result<Vec<Then>> {
        let mut tx = self.begin_system(None).await?;
        // whoever decides about other attempts of this workspace waits, so that a model is not begun twice
        let is_allowed = sqlx::query_scalar!("select auto_pull from workspace where id = $1 for no key update", workspace.0)
            .fetch_optional(&mut *tx)
            .await?;
        if is_allowed != Some(true) {
            return Ok(missing.iter().map(|_| Then::Begins).collect());
        }
        let (mut then, mut waiting) = (vec![], vec![]);
        for one in missing {
            then.push(match self.pull_for(&mut tx, workspace, one).await? {
                Ok(pull) => {
                    let words = match is_same_model(&pull.model, &one.model) {
                        true if pull.state == PullState::Done => format!("{} has pulled it, and is looked at again first", pull.name),
                        true => format!("it is pulled at {} first", pull.name),
                        false => format!("{PULLS_MAX} models are being pulled already, and it is one of the next"),
                    };
                    waiting.push((one.key.task_id, pull.id));
                    Then::Waits(words)
                }
                Err(other) => other,
            });
        }
        note_waiting(&mut tx, &waiting).await?;
        tx.commit(then).await
    }

    /// The pull that an attempt's task is to wait for, or what becomes of it otherwise.
    async fn pull_for(&self, tx: &mut Tx, workspace: WorkspaceId, missing: &Missing) -> Result<std::result::Result<Known, Then>> {
        let waited = waited_for(tx, missing.key.task_id).await?;
        let waited = match waited {
            Some(pull) if is_at(&pull, missing) && did_not_answer_lately(tx, &pull).await? => return Ok(Ok(pull)),
            other => other,
        };
        let spent = match &waited {
            Some(pull) if pull.state == PullState::Failed => failed_before(tx, missing.key.task_id, &pull.model).await?,
            _ => vec![],
        };
        let left: Vec<_> = missing.lacking.iter().filter(|(id, _)| !spent.contains(id)).collect();
        if let Some(failure) = waited.and_then(|pull| came_to_nothing(&pull, missing, !left.is_empty())) {
            return Ok(Err(Then::Ends(failure)));
        }
        let Some((endpoint, name)) = left.first() else { return Ok(Err(Then::Begins)) };
        // what Ollama cannot be asked for it has under no name
        let Ok(NewPull { model }) = (NewPull { model: missing.model.clone() }).validated() else { return Ok(Err(Then::Begins)) };
        if let Some(open) = open_of_model(tx, workspace, &model).await? {
            return Ok(Ok(open));
        }
        if let Some(before) = in_the_way(tx, workspace).await? {
            return Ok(Ok(before));
        }
        let id = PullId(self.new_id());
        if insert(tx, workspace, id, *endpoint, &model).await? {
            let (endpoint, name, state) = (*endpoint, name.clone(), PullState::Waiting);
            return Ok(Ok(Known { id, endpoint, name, model, state, why: None, is_ours: true }));
        }
        // of an endpoint that serves several workspaces: another one has begun it in this moment
        Ok(open_of_model(tx, workspace, &model).await?.ok_or(Then::Begins))
    }
}

/// Its model has been pulled where its runner can ask for it.
fn is_at(pull: &Known, missing: &Missing) -> bool {
    pull.state == PullState::Done && is_same_model(&pull.model, &missing.model) && missing.reached.contains(&pull.endpoint)
}

/// Where a task has waited for its model, and that is not there all the same. What its runner does not reach may be pulled where it does, if there is
/// anything left at which that has not failed.
fn came_to_nothing(pull: &Known, missing: &Missing, may_go_on: bool) -> Option<Failure> {
    let Known { name, why, .. } = pull;
    let model = &missing.model;
    if !is_same_model(&pull.model, model) {
        return None;
    }
    let is_lacking = missing.lacking.iter().any(|(id, _)| *id == pull.endpoint);
    let message = match pull.state {
        PullState::Failed if is_lacking || !may_go_on => {
            format!("{model} could not be pulled at {name}: {}", why.as_deref().unwrap_or("it does not say why"))
        }
        PullState::Cancelled if is_lacking && pull.is_ours => format!("{model} was being pulled at {name}, and somebody has left that off"),
        PullState::Done if is_lacking => format!("{name} has pulled {model}, and does not have it"),
        PullState::Waiting | PullState::Pulling | PullState::Done | PullState::Failed | PullState::Cancelled => return None,
    };
    Some(Failure::new(FailureCode::ModelUnavailable, message))
}

/// The pull that a task has waited for.
async fn waited_for(conn: &mut PgConnection, task: TaskId) -> Result<Option<Known>> {
    let found = sqlx::query_as!(
        Known,
        r#"select pull.id as "id!: PullId", pull.endpoint_id as "endpoint!: EndpointId", coalesce(endpoint.name, 'Ollama of ' || runner.name) as "name!",
                  pull.model as "model!", pull.state as "state!: PullState", pull.why as "why?",
                  pull.workspace_id = task.workspace_id as "is_ours!"
           from task join endpoint_pull pull on pull.id = task.model_pull join endpoint on endpoint.id = pull.endpoint_id
           left join runner on runner.id = endpoint.runner_id where task.id = $1"#,
        task.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(found)
}

/// Whether its endpoint has missed a look a moment ago, and may answer the next one.
async fn did_not_answer_lately(tx: &mut Tx, pull: &Known) -> Result<bool> {
    let since = tx.now() - SEEN_WITHIN;
    let found = sqlx::query_scalar!(
        r#"select not healthy and coalesce(unhealthy_since > $2, false) as "is_so!" from endpoint where id = $1"#,
        pull.endpoint.0,
        since
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(found)
}

/// Where a model could not be pulled since a task was made: for that one it is not begun there once more by itself, or two runners would have it
/// begun over and over in turn.
async fn failed_before(conn: &mut PgConnection, task: TaskId, model: &str) -> Result<Vec<EndpointId>> {
    let endpoints = sqlx::query_scalar!(
        r#"select distinct pull.endpoint_id as "id: EndpointId" from endpoint_pull pull join task on task.id = $1
           where lower(pull.model collate "C") = lower($2::text collate "C") and pull.state = 'failed' and pull.ended_at >= task.created_at"#,
        task.0,
        model
    )
    .fetch_all(conn)
    .await?;
    Ok(endpoints)
}

/// The pull of a model, by its whole name, that goes on at an endpoint of a workspace, or at one that serves every one.
async fn open_of_model(conn: &mut PgConnection, workspace: WorkspaceId, model: &str) -> Result<Option<Known>> {
    let found = sqlx::query_as!(
        Known,
        r#"select pull.id as "id!: PullId", pull.endpoint_id as "endpoint!: EndpointId", coalesce(endpoint.name, 'Ollama of ' || runner.name) as "name!",
                  pull.model as "model!", pull.state as "state!: PullState", pull.why as "why?",
                  pull.workspace_id = $1 as "is_ours!"
           from endpoint_pull pull join endpoint on endpoint.id = pull.endpoint_id left join runner on runner.id = endpoint.runner_id
           where pull.ended_at is null and lower(pull.model collate "C") = lower($2::text collate "C") and endpoint.removed_at is null
             and (endpoint.workspace_id is null or endpoint.workspace_id = $1)
           order by pull.asked_at, pull.id limit 1"#,
        workspace.0,
        model
    )
    .fetch_optional(conn)
    .await?;
    Ok(found)
}

/// The oldest of those that have to end before a workspace has another one pulled; nothing when there is room. It is one of its own, wherever that is.
async fn in_the_way(conn: &mut PgConnection, workspace: WorkspaceId) -> Result<Option<Known>> {
    let found = sqlx::query_as!(
        Known,
        r#"select pull.id as "id!: PullId", pull.endpoint_id as "endpoint!: EndpointId", coalesce(endpoint.name, 'Ollama of ' || runner.name) as "name!",
                  pull.model as "model!", pull.state as "state!: PullState", pull.why as "why?",
                  pull.workspace_id = $1 as "is_ours!"
           from endpoint_pull pull join endpoint on endpoint.id = pull.endpoint_id left join runner on runner.id = endpoint.runner_id
           where pull.ended_at is null and pull.workspace_id = $1
             and (select count(*) from endpoint_pull here where here.workspace_id = $1 and here.ended_at is null) >= $2
           order by pull.asked_at, pull.id limit 1"#,
        workspace.0,
        PULLS_MAX
    )
    .fetch_optional(conn)
    .await?;
    Ok(found)
}

/// Whether nobody else has begun it there.
async fn insert(tx: &mut Tx, workspace: WorkspaceId, id: PullId, endpoint: EndpointId, model: &str) -> Result<bool> {
    let now = tx.now();
    let done = sqlx::query!(
        r#"insert into endpoint_pull (id, workspace_id, endpoint_id, model, asked_by, asked_at) values ($1, $2, $3, $4, $5, $6)
           on conflict (endpoint_id, lower(model collate "C")) where ended_at is null do nothing"#,
        id.0,
        workspace.0,
        endpoint.0,
        model,
        SYSTEM,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// For which pull each of these tasks waits as soon as it is back in the queue. In the order of their ids, as everybody locks several.
async fn note_waiting(tx: &mut Tx, waiting: &[(TaskId, PullId)]) -> Result<()> {
    if waiting.is_empty() {
        return Ok(());
    }
    let tasks: Vec<_> = waiting.iter().map(|(task, _)| task.0).collect();
    let pulls: Vec<_> = waiting.iter().map(|(_, pull)| pull.0).collect();
    sqlx::query!(
        "with waiting as materialized (
           select task.id, wanted.pull from unnest($1::uuid[], $2::uuid[]) as wanted (id, pull) join task on task.id = wanted.id
           where task.state = 'running' order by task.id for no key update of task
         )
         update task set model_pull = waiting.pull from waiting where task.id = waiting.id",
        &tasks,
        &pulls
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// What begins now waits for nothing any more.
pub(super) async fn forget_waiting(conn: &mut PgConnection, tasks: &[TaskId]) -> Result<()> {
    if tasks.is_empty() {
        return Ok(());
    }
    let tasks: Vec<_> = tasks.iter().map(|task| task.0).collect();
    sqlx::query!(
        "with begun as materialized (
           select id from task where id = any($1) and model_pull is not null and not parked order by id for no key update
         )
         update task set model_pull = null from begun where task.id = begun.id",
        &tasks
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Brings back the tasks whose pulls have ended: of one that went well, once its endpoint answers and is seen to have the model.
pub(crate) async fn let_go(conn: &mut PgConnection, now: Timestamp) -> Result<u64> {
    let done = sqlx::query!(
        r#"update task set parked = false
           from (
             select waiting.id from task waiting join endpoint_pull pull on pull.id = waiting.model_pull join endpoint on endpoint.id = pull.endpoint_id
             where waiting.parked and pull.ended_at is not null
               and (pull.state <> 'done' or pull.ended_at <= $1 and (endpoint.healthy or coalesce(endpoint.unhealthy_since <= $1, true))
                    or endpoint.healthy and exists (
                 select from jsonb_array_elements(endpoint.models) as there (one)
                 where lower((one->>'name') collate "C")
                       in (lower(pull.model collate "C"), regexp_replace(lower(pull.model collate "C"), ':latest$', ''))))
             order by waiting.turn, waiting.id limit $2 for no key update of waiting skip locked
           ) as ready
           where task.id = ready.id"#,
        now - SEEN_WITHIN,
        BATCH
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected())
}

#[cfg(test)]
mod tests {
    use domain::AttemptId;
    use uuid::Uuid;

    use super::*;

    fn missing(lacking: &[u128]) -> Missing {
        let key = AttemptKey { task_id: TaskId(Uuid::nil()), attempt_id: AttemptId(Uuid::nil()), number: 1 };
        let lacking = lacking.iter().map(|id| (EndpointId(Uuid::from_u128(*id)), format!("box {id}"))).collect();
        Missing { key, model: "tiny".into(), reached: vec![], lacking, reasons: vec![] }
    }

    fn pull(state: PullState) -> Known {
        let why = (state == PullState::Failed).then(|| "file does not exist".to_owned());
        let (id, endpoint) = (PullId(Uuid::nil()), EndpointId(Uuid::from_u128(1)));
        Known { id, endpoint, name: "box 1".into(), model: "tiny:latest".into(), state, why, is_ours: true }
    }

    #[test]
    fn what_was_waited_for_in_vain_ends_the_task_unless_it_can_be_pulled_elsewhere() {
        let ends =
            |state, lacking: &[u128]| came_to_nothing(&pull(state), &missing(lacking), !lacking.is_empty()).map(|failure| failure.message);
        for nowhere_else in [vec![1], vec![1, 2], vec![]] {
            let why = ends(PullState::Failed, &nowhere_else);
            assert_eq!(why.as_deref(), Some("tiny could not be pulled at box 1: file does not exist"), "{nowhere_else:?}");
        }
        assert_eq!(ends(PullState::Failed, &[2]), None, "its runner does not reach where that was, and reaches another");
        assert_eq!(ends(PullState::Done, &[1]).as_deref(), Some("box 1 has pulled tiny, and does not have it"));
        assert!(ends(PullState::Cancelled, &[1]).unwrap().contains("left that off"));
        assert_eq!([ends(PullState::Done, &[2]), ends(PullState::Cancelled, &[2]), ends(PullState::Pulling, &[1])], [None, None, None]);
        let of_others = Known { is_ours: false, ..pull(PullState::Cancelled) };
        assert_eq!(came_to_nothing(&of_others, &missing(&[1]), true), None, "they have left off what they wanted");
        let in_other_letters = Known { model: "Tiny:Latest".into(), ..pull(PullState::Failed) };
        assert!(came_to_nothing(&in_other_letters, &missing(&[1]), true).is_some(), "it is the same");
        let other = Known { model: "other".into(), ..pull(PullState::Failed) };
        assert_eq!(came_to_nothing(&other, &missing(&[1]), true), None, "that was waited for as there was no room");
    }
}
