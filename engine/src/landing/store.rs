//! All SQL about landings.

use domain::{
    AttemptId, AttemptKey, Land, Landing, LandingState, LandingTrouble, PullRequest, RunnerId, TaskId, Timestamp, WorkspaceId,
    landing::TELLS_MAX,
    protocol::{Credentials, Landed},
};
use sqlx::PgConnection;

use super::NewLanding;
use crate::{Error, Result, attempt::store::credentials, error::hit_one, task::query::name_of};

/// What the latest attempt of a task has saved.
pub(super) struct Saved {
    pub attempt: AttemptKey,
    pub branch: String,
    pub commit: String,
}

/// Nothing when that has changed nothing.
pub(super) async fn saved(conn: &mut PgConnection, task: TaskId) -> Result<Option<Saved>> {
    let row = sqlx::query!(
        r#"select attempt.id, number, branch as "branch!", commit_id as "commit_id!"
           from attempt join task on task.id = task_id and attempts = number
           where task_id = $1 and branch is not null and commit_id is not null"#,
        task.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Saved {
        attempt: AttemptKey { task_id: task, attempt_id: row.id, number: row.number },
        branch: row.branch,
        commit: row.commit_id,
    }))
}

/// Asks for them; their tasks are locked. A branch that a pull request was opened for stays its branch, so that a later result comes into the
/// same one.
pub(crate) async fn ask(conn: &mut PgConnection, landings: &[NewLanding], now: Timestamp) -> Result<()> {
    if landings.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&NewLanding) -> uuid::Uuid| landings.iter().map(of).collect::<Vec<_>>();
    let text = |of: fn(&NewLanding) -> &str| landings.iter().map(|one| of(one).to_owned()).collect::<Vec<_>>();
    sqlx::query!(
        "insert into landing (task_id, workspace_id, attempt_id, how, branch, commit_id, asked_by, asked_at, due_at)
         select task_id, workspace_id, attempt_id, how, branch, commit_id, asked_by, $1, $1
         from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[])
              as new (task_id, workspace_id, attempt_id, how, branch, commit_id, asked_by)
         order by task_id
         on conflict (task_id) do update set
           attempt_id = excluded.attempt_id, how = excluded.how, commit_id = excluded.commit_id,
           branch = case when landing.pull_request_number is null then excluded.branch else landing.branch end,
           remote = case when landing.pull_request_number is not null or landing.branch = excluded.branch then landing.remote end,
           left_at = case when landing.pull_request_number is not null or landing.branch = excluded.branch then landing.left_at end,
           state = 'waiting', number = landing.number + 1, tries = 0, tells = 0, message = null, advice = null, told_at = null,
           asked_by = excluded.asked_by, asked_at = excluded.asked_at, due_at = excluded.due_at, ended_at = null",
        now,
        &column(|one| one.attempt.task_id.0),
        &column(|one| one.workspace.0),
        &column(|one| one.attempt.attempt_id.0),
        &text(|one| one.how.name()),
        &text(|one| &one.branch),
        &text(|one| &one.commit),
        &text(|one| &one.by)
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// For people.
pub(crate) async fn of_task(conn: &mut PgConnection, task: TaskId) -> Result<Option<Landing>> {
    let row = sqlx::query!(
        "select how, landing.state, attempt.number, landing.commit_id, landing.branch, remote, pull_request_number, pull_request_url, message,
                advice, due_at, told_at, asked_by, asked_at, landing.ended_at, runner.name as runner
         from landing join attempt on attempt.id = attempt_id join runner on runner.id = runner_id
         where landing.task_id = $1",
        task.0
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let trouble = row.message.zip(row.advice).map(|(message, advice)| LandingTrouble { message, advice });
    let is_tried_again = row.state == LandingState::Waiting && trouble.is_some() && row.told_at.is_none();
    Ok(Some(Landing {
        how: row.how,
        state: row.state,
        attempt: row.number,
        commit: row.commit_id,
        branch: row.branch,
        remote: row.remote,
        pull_request: row.pull_request_number.zip(row.pull_request_url).map(|(number, url)| PullRequest { number, url }),
        trouble,
        again_at: is_tried_again.then_some(row.due_at),
        told_at: row.told_at,
        runner: row.runner,
        asked_by: name_of(conn, &row.asked_by).await?,
        asked_at: row.asked_at,
        ended_at: row.ended_at,
    }))
}

/// A landing that a runner is to be told now.
pub(super) struct Due {
    pub workspace: WorkspaceId,
    pub attempt: AttemptKey,
    pub runner: RunnerId,
    /// The runner was removed, so nobody has the commit.
    pub is_orphan: bool,
    pub number: i32,
    /// It is time for it; the others are told as their runner has come back.
    pub is_due: bool,
    pub tries: i32,
    /// How often its runner was told of this try when it was due.
    pub tells: i32,
    pub how: Land,
    pub repository: String,
    pub branch: String,
    pub commit: String,
    pub saved_on: String,
    pub left_at: Option<String>,
    pub credentials: Credentials,
    /// Git LFS keeps files for it.
    pub lfs: bool,
}

/// Those that are due and with these runners, or with one that was removed. They are due again `later`, should their runners not answer.
pub(super) async fn take_due(
    conn: &mut PgConnection,
    runners: &[RunnerId],
    now: Timestamp,
    later: Timestamp,
    limit: i64,
) -> Result<Vec<Due>> {
    let runners: Vec<_> = runners.iter().map(|id| id.0).collect();
    let rows = sqlx::query_as!(
        DueRow,
        r#"with due as (
             select landing.task_id from landing join attempt on attempt.id = attempt_id join runner on runner.id = runner_id
             where landing.state = 'waiting' and due_at <= $2 and (runner_id = any($1) or removed_at is not null)
             order by due_at limit $4 for no key update of landing skip locked
           )
           update landing set due_at = $3
           from due, task, repository, attempt, runner, workspace
           where landing.task_id = due.task_id and task.id = due.task_id and repository.id = task.repository_id
             and attempt.id = landing.attempt_id and runner.id = attempt.runner_id and workspace.id = landing.workspace_id
           returning landing.task_id, landing.workspace_id, landing.attempt_id, attempt.number as attempt, attempt.runner_id,
                     removed_at is not null as "is_orphan!", landing.number, tries, tells, how, location, landing.branch, landing.commit_id,
                     coalesce(attempt.branch, landing.branch) as "saved_on!", left_at, lfs,
                     -- as where assignments are read
                     case when runner.workspace_id is null and workspace.id <> (select id from workspace order by created_at, id limit 1)
                          then slug end as guest"#,
        &runners,
        now,
        later,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.due(true)).collect())
}

/// What these runners were told, have not answered and are not due to be told again, but for what they are to try later.
pub(super) async fn unanswered(conn: &mut PgConnection, runners: &[RunnerId], now: Timestamp, limit: i64) -> Result<Vec<Due>> {
    if runners.is_empty() {
        return Ok(vec![]);
    }
    let runners: Vec<_> = runners.iter().map(|id| id.0).collect();
    let rows = sqlx::query_as!(
        DueRow,
        r#"select landing.task_id, landing.workspace_id, landing.attempt_id, attempt.number as attempt, attempt.runner_id,
                  removed_at is not null as "is_orphan!", landing.number, tries, tells, how, location, landing.branch, landing.commit_id,
                  coalesce(attempt.branch, landing.branch) as "saved_on!", left_at, lfs,
                  case when runner.workspace_id is null and workspace.id <> (select id from workspace order by created_at, id limit 1)
                       then slug end as guest
           from landing join task on task.id = landing.task_id join repository on repository.id = task.repository_id
           join attempt on attempt.id = landing.attempt_id join runner on runner.id = attempt.runner_id
           join workspace on workspace.id = landing.workspace_id
           where landing.state = 'waiting' and landing.due_at > $2 and runner_id = any($1)
             and (landing.message is null or landing.told_at is not null)
           order by landing.due_at limit $3"#,
        &runners,
        now,
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| row.due(false)).collect())
}

/// As it is read.
struct DueRow {
    task_id: TaskId,
    workspace_id: WorkspaceId,
    attempt_id: AttemptId,
    attempt: i32,
    runner_id: RunnerId,
    is_orphan: bool,
    number: i32,
    tries: i32,
    tells: i32,
    how: Land,
    location: String,
    branch: String,
    commit_id: String,
    saved_on: String,
    left_at: Option<String>,
    lfs: bool,
    guest: Option<String>,
}

impl DueRow {
    fn due(self, is_due: bool) -> Due {
        Due {
            workspace: self.workspace_id,
            attempt: AttemptKey { task_id: self.task_id, attempt_id: self.attempt_id, number: self.attempt },
            runner: self.runner_id,
            is_orphan: self.is_orphan,
            number: self.number,
            is_due,
            tries: self.tries,
            tells: self.tells,
            how: self.how,
            repository: self.location,
            branch: self.branch,
            commit: self.commit_id,
            saved_on: self.saved_on,
            left_at: self.left_at,
            credentials: credentials(self.guest),
            lfs: self.lfs,
        }
    }
}

/// Its runner is being told; false when it has said meanwhile what came of this try. What it is told as it has come back is not counted.
pub(super) async fn note_told(conn: &mut PgConnection, due: &Due, now: Timestamp) -> Result<bool> {
    let done = sqlx::query!(
        "update landing set told_at = coalesce(told_at, $5), tells = tells + case when $4 or told_at is null then 1 else 0 end
         where task_id = $1 and number = $2 and tries = $3 and state = 'waiting'",
        due.attempt.task_id.0,
        due.number,
        due.tries,
        due.is_due,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Not read: also of a task that cannot be it is known what came of its landing.
pub(super) async fn lock_task(conn: &mut PgConnection, task: TaskId) -> Result<Option<WorkspaceId>> {
    Ok(sqlx::query_scalar!("select workspace_id from task where id = $1 for no key update", task.0).fetch_optional(conn).await?)
}

/// What a landing that waits for its runner was asked for as.
pub(super) struct Waiting {
    pub how: Land,
    pub tries: i32,
    pub tells: i32,
}

/// Locked; nothing when this is not what waits now, or not this runner's. Of what was given up, as its runner had said nothing, it waits for a
/// success. Its task is locked.
pub(super) async fn lock_waiting(conn: &mut PgConnection, said: &Landed, runner: RunnerId) -> Result<Option<Waiting>> {
    let row = sqlx::query!(
        "select how, tries, tells from landing
         where task_id = $1 and attempt_id = $2 and number = $3 and (state = 'waiting' or state = 'failed' and tells >= $5 and $6)
           and exists (select from attempt where attempt.id = $2 and runner_id = $4)
         for no key update of landing",
        said.attempt.task_id.0,
        said.attempt.attempt_id.0,
        said.number,
        runner.0,
        TELLS_MAX,
        said.trouble.is_none()
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Waiting { how: row.how, tries: row.tries, tells: row.tells }))
}

/// What came of a try.
pub(super) struct Outcome {
    pub state: LandingState,
    pub tries: i32,
    /// Its runner has said nothing, for too long: how often it was told is kept, and says so.
    pub is_given_up: bool,
    /// Where the branch was pushed; it is at the commit now.
    pub remote: Option<String>,
    pub pull_request: Option<PullRequest>,
    pub trouble: Option<LandingTrouble>,
    pub due_at: Timestamp,
}

pub(super) async fn save(conn: &mut PgConnection, task: TaskId, outcome: &Outcome, now: Timestamp) -> Result<()> {
    let done = sqlx::query!(
        "update landing set state = $2, tries = $3, remote = coalesce($4, remote),
                            left_at = case when $4::text is null then left_at else commit_id end,
                            pull_request_number = coalesce($5, pull_request_number), pull_request_url = coalesce($6, pull_request_url),
                            message = $7, advice = $8, due_at = $9, told_at = null, tells = case when $11 then tells else 0 end,
                            ended_at = case when $2 = 'waiting' then null else $10::timestamptz end
         where task_id = $1",
        task.0,
        outcome.state.name(),
        outcome.tries,
        outcome.remote,
        outcome.pull_request.as_ref().map(|one| one.number),
        outcome.pull_request.as_ref().map(|one| one.url.clone()),
        outcome.trouble.as_ref().map(|trouble| trouble.message.clone()),
        outcome.trouble.as_ref().map(|trouble| trouble.advice.clone()),
        outcome.due_at,
        now,
        outcome.is_given_up
    )
    .execute(conn)
    .await?;
    hit_one(&done, || Error::not_found("landing", task))
}
