//! All SQL about questions.

use domain::{
    Approval, ApprovalId, ApprovalRuleId, ApprovalStateName, AskedKind, AttemptId, AttemptKey, Backend, Isolation, RepositoryId, RunnerId,
    TaskId, Timestamp, WorkspaceId,
    approval::{ApprovalFilter, Closed, about, answered_by_role, may_be_a_rule, option::options, pattern},
};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{Error, Result, error::hit_one, tx::Tx};

/// A question as far as it takes to answer it, locked.
pub(crate) struct Question {
    pub id: ApprovalId,
    pub workspace_id: WorkspaceId,
    pub repository_id: RepositoryId,
    pub attempt: AttemptKey,
    pub runner: RunnerId,
    pub number: i32,
    pub kind: AskedKind,
    pub tool: String,
    pub subject: String,
    pub isolation: Isolation,
    pub state: ApprovalStateName,
    pub asked_at: Timestamp,
    pub deadline: Timestamp,
    pub closed_by: Option<String>,
}

pub(super) async fn task_of(conn: &mut PgConnection, id: ApprovalId) -> Result<TaskId> {
    let task = sqlx::query_scalar!("select task_id from approval where id = $1", id.0).fetch_optional(conn).await?;
    task.ok_or_else(|| Error::not_found("approval", id))
}

/// Its task is locked already.
pub(super) async fn lock(conn: &mut PgConnection, id: ApprovalId) -> Result<Question> {
    let row = sqlx::query!(
        r#"select approval.id, approval.workspace_id, repository_id as "repository_id: RepositoryId", approval.task_id, attempt_id, question,
                  attempt.number as attempt, runner_id as "runner_id: RunnerId", kind, tool, subject, isolation, approval.state, asked_at,
                  deadline, closed_by
           from approval join attempt on attempt.id = attempt_id join task on task.id = approval.task_id
           where approval.id = $1 for no key update of approval"#,
        id.0
    )
    .fetch_optional(conn)
    .await?
    .ok_or_else(|| Error::not_found("approval", id))?;
    Ok(Question {
        id: row.id,
        workspace_id: row.workspace_id,
        repository_id: row.repository_id,
        attempt: AttemptKey { task_id: row.task_id, attempt_id: row.attempt_id, number: row.attempt },
        runner: row.runner_id,
        number: row.question,
        kind: row.kind,
        tool: row.tool,
        subject: row.subject,
        isolation: row.isolation,
        state: row.state,
        asked_at: row.asked_at,
        deadline: row.deadline,
        closed_by: row.closed_by,
    })
}

/// How a question ends.
pub(crate) struct Close<'a> {
    pub state: ApprovalStateName,
    /// For people.
    pub by: Option<String>,
    pub actor: Option<&'a str>,
    pub message: Option<&'a str>,
    pub rule: Option<ApprovalRuleId>,
}

/// Once: what was answered stays.
pub(crate) async fn close(conn: &mut PgConnection, id: ApprovalId, close: &Close<'_>, now: Timestamp) -> Result<()> {
    let done = sqlx::query!(
        "update approval set state = $2, closed_at = $3, closed_by = $4, actor = $5, message = $6, rule_id = $7
         where id = $1 and state = 'pending'",
        id.0,
        close.state.name(),
        now,
        close.by,
        close.actor,
        close.message,
        close.rule.map(|rule| rule.0)
    )
    .execute(conn)
    .await?;
    hit_one(&done, || Error::Conflict("this was answered already".into()))
}

/// What was asked about these attempts, or by these numbers alone, and waits no longer: of whom, since when.
pub(crate) async fn withdraw(
    tx: &mut Tx,
    ended: &[AttemptId],
    questions: &[(AttemptId, i32)],
) -> Result<Vec<(ApprovalId, AttemptId, Timestamp)>> {
    if ended.is_empty() && questions.is_empty() {
        return Ok(vec![]);
    }
    let now = tx.now();
    let ended: Vec<_> = ended.iter().map(|attempt| attempt.0).collect();
    let (attempts, numbers): (Vec<_>, Vec<_>) = questions.iter().map(|(attempt, number)| (attempt.0, *number)).unzip();
    let rows = sqlx::query!(
        "update approval set state = 'withdrawn', closed_at = $1
         where state = 'pending' and (attempt_id = any($2) or (attempt_id, question) in (select * from unnest($3::uuid[], $4::int[])))
         returning id, attempt_id, asked_at",
        now,
        &ended,
        &attempts,
        &numbers
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, row.attempt_id, row.asked_at)).collect())
}

/// Questions whose time is over, the oldest first.
pub(super) async fn overdue(conn: &mut PgConnection, now: Timestamp, passed: &[Uuid], limit: i64) -> Result<Vec<ApprovalId>> {
    let ids = sqlx::query_scalar!(
        "select id from approval where state = 'pending' and deadline <= $1 and id <> all($3) order by deadline limit $2",
        now,
        limit,
        passed
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}

pub(super) async fn count_pending(conn: &mut PgConnection) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from approval where workspace_id = (select current_workspace()) and state = 'pending'"#
    )
    .fetch_one(conn)
    .await?;
    Ok(count)
}

pub(super) async fn view(conn: &mut PgConnection, id: ApprovalId) -> Result<Approval> {
    views(conn, &[id.0]).await?.pop().ok_or_else(|| Error::not_found("approval", id))
}

/// Those that come after the one with this id, in the order that is asked for.
pub(super) async fn list(conn: &mut PgConnection, filter: &ApprovalFilter, after: Option<Uuid>, limit: i64) -> Result<Vec<Approval>> {
    let state = filter.state.or((filter.pending == Some(true)).then_some(ApprovalStateName::Pending)).map(ApprovalStateName::name);
    let (task, is_over) = (filter.task.map(|task| task.0), filter.pending == Some(false));
    if filter.oldest_first != Some(true) {
        let ids = sqlx::query_scalar!(
            r#"select id as "id: Uuid" from approval
               where workspace_id = (select current_workspace()) and ($1::text is null or state = $1) and ($2::uuid is null or task_id = $2)
                 and ($3::uuid is null or id < $3) and (not $5::boolean or state <> 'pending')
               order by id desc limit $4"#,
            state,
            task,
            after,
            limit,
            is_over
        )
        .fetch_all(&mut *conn)
        .await?;
        return views(conn, &ids).await;
    }
    let ids = sqlx::query_scalar!(
        r#"select id as "id: Uuid" from approval
           where workspace_id = (select current_workspace()) and ($1::text is null or state = $1) and ($2::uuid is null or task_id = $2)
             and ($3::uuid is null or id > $3) and (not $5::boolean or state <> 'pending')
           order by id limit $4"#,
        state,
        task,
        after,
        limit,
        is_over
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut found = views(conn, &ids).await?;
    found.reverse();
    Ok(found)
}

async fn views(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Approval>> {
    let rows = sqlx::query!(
        r#"select approval.id, approval.task_id, title, location, attempt.number as attempt, runner.name as runner, isolation, backend, kind, tool,
                  subject, input as "input: Value", asked_at, deadline, approval.state, closed_at, closed_by, message
           from approval join attempt on attempt.id = attempt_id join runner on runner.id = runner_id
           join task on task.id = approval.task_id join repository on repository.id = repository_id
           where approval.id = any($1) order by approval.id desc"#,
        ids
    )
    .fetch_all(conn)
    .await?;
    let views = rows.into_iter().map(|row| {
        let patterns = match may_be_a_rule(row.kind, row.isolation) {
            true => suggested(row.kind, &about(row.kind, &row.tool, &row.subject), Backend::parse(&row.backend).ok().as_ref()),
            false => vec![],
        };
        Approval {
            options: options(row.kind, row.isolation, row.state, &patterns),
            patterns,
            id: row.id,
            task_id: row.task_id,
            task: row.title,
            repository: row.location,
            attempt: row.attempt,
            runner: row.runner,
            isolation: row.isolation,
            backend: Backend::parse(&row.backend).ok(),
            kind: row.kind,
            tool: row.tool,
            subject: row.subject,
            input: row.input,
            asked_at: row.asked_at,
            deadline: row.deadline,
            answered_by_role: answered_by_role(row.isolation),
            state: row.state,
            closed: row.closed_at.map(|at| Closed { at, by: row.closed_by, message: row.message }),
        }
    });
    Ok(views.collect())
}

/// Rules that would have answered it.
fn suggested(kind: AskedKind, about: &str, backend: Option<&Backend>) -> Vec<String> {
    let mut patterns = pattern::suggested(kind, about);
    if backend.is_some_and(Backend::is_of_a_manifest) {
        patterns.retain(|pattern| pattern::matches_unmeasured(kind, pattern, about));
    }
    patterns
}
