//! All SQL about landings.

use domain::{
    AttemptId, AttemptKey, Land, Landing, LandingState, LandingTrouble, PullRequest, RunnerId, TaskId, Timestamp, WorkspaceId,
    protocol::{Credentials, Landed},
    repository::SEVERAL,
};
use sqlx::PgConnection;

use super::NewLanding;
use crate::{Error, Result, attempt::store::credentials, error::hit_one, task::query::name_of};

/// What the latest attempt of a task has saved in one of its repositories.
pub(super) struct Saved {
    pub attempt: AttemptKey,
    pub position: i32,
    pub branch: String,
    pub commit: String,
    /// It is where it was wanted, as it was wanted.
    pub has_landed: bool,
}

/// None where that has changed nothing.
pub(super) async fn saved(conn: &mut PgConnection, task: TaskId, how: Land) -> Result<Vec<Saved>> {
    let rows = sqlx::query!(
        r#"with latest as (
             select attempt.id, number, branch, commit_id from attempt join task on task.id = task_id and attempts = number where task_id = $1
           ),
           result as (
             select id, number, 0 as position, branch, commit_id from latest
             union all
             select id, number, beside.position, beside.branch, beside.commit_id
             from latest join attempt_repository beside on beside.attempt_id = latest.id
           )
           select id as "id!: AttemptId", number as "number!", result.position as "position!", result.branch as "branch!",
                  result.commit_id as "commit_id!",
                  exists (select from landing where task_id = $1 and landing.position = result.position and attempt_id = result.id
                          and how = $2 and state = 'landed') as "has_landed!"
           from result where result.branch is not null and result.commit_id is not null order by result.position"#,
        task.0,
        how.name()
    )
    .fetch_all(conn)
    .await?;
    let saved = rows.into_iter().map(|row| Saved {
        attempt: AttemptKey { task_id: task, attempt_id: row.id, number: row.number },
        position: row.position,
        branch: row.branch,
        commit: row.commit_id,
        has_landed: row.has_landed,
    });
    Ok(saved.collect())
}

/// Asks for them; their tasks are locked. What is of no repository of its task is left out. A branch that a pull request was opened for stays
/// its branch, so that a later result comes into the same one. What the others of these tasks have said of it was about another time, and what they
/// are still to say may be told while it waits.
pub(crate) async fn ask(conn: &mut PgConnection, landings: &[NewLanding], now: Timestamp) -> Result<()> {
    if landings.is_empty() {
        return Ok(());
    }
    let column = |of: fn(&NewLanding) -> uuid::Uuid| landings.iter().map(of).collect::<Vec<_>>();
    let text = |of: fn(&NewLanding) -> &str| landings.iter().map(|one| of(one).to_owned()).collect::<Vec<_>>();
    let tasks = column(|one| one.attempt.task_id.0);
    sqlx::query!("update landing set links = 0 where task_id = any($1)", &tasks).execute(&mut *conn).await?;
    sqlx::query!(
        "insert into landing (task_id, position, workspace_id, attempt_id, how, branch, commit_id, asked_by, asked_at, due_at)
         select task_id, position, workspace_id, attempt_id, how, branch, commit_id, asked_by, $1, $1
         from unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::int[])
              as new (task_id, workspace_id, attempt_id, how, branch, commit_id, asked_by, position)
         where position = 0
            or exists (select from task_repository beside where beside.task_id = new.task_id and beside.position = new.position)
         order by task_id, position
         on conflict (task_id, position) do update set
           attempt_id = excluded.attempt_id, how = excluded.how, commit_id = excluded.commit_id,
           branch = case when landing.pull_request_number is null then excluded.branch else landing.branch end,
           remote = case when landing.pull_request_number is not null or landing.branch = excluded.branch then landing.remote end,
           left_at = case when landing.pull_request_number is not null or landing.branch = excluded.branch then landing.left_at end,
           state = 'waiting', number = landing.number + 1, tries = 0, tells = 0, message = null, advice = null, told_at = null,
           asked_by = excluded.asked_by, asked_at = excluded.asked_at, due_at = excluded.due_at, ended_at = null,
           says_anew_at = null",
        now,
        &tasks,
        &column(|one| one.workspace.0),
        &column(|one| one.attempt.attempt_id.0),
        &text(|one| one.how.name()),
        &text(|one| &one.branch),
        &text(|one| &one.commit),
        &text(|one| &one.by),
        &landings.iter().map(|one| one.position).collect::<Vec<_>>()
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// For people, the first repository's first.
pub(crate) async fn of_task(conn: &mut PgConnection, task: TaskId) -> Result<Vec<Landing>> {
    let rows = sqlx::query!(
        r#"select how, landing.state, attempt.number, landing.commit_id, landing.branch, remote, pull_request_number, pull_request_url, message,
                  advice, due_at, told_at, asked_by, asked_at, landing.ended_at, runner.name as runner, folder as "folder?"
           from landing join attempt on attempt.id = attempt_id join runner on runner.id = runner_id
             left join task_repository beside on beside.task_id = landing.task_id and beside.position = landing.position
           where landing.task_id = $1 order by landing.position"#,
        task.0
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let trouble = row.message.zip(row.advice).map(|(message, advice)| LandingTrouble { message, advice });
        let is_tried_again = row.state == LandingState::Waiting && trouble.is_some() && row.told_at.is_none();
        all.push(Landing {
            folder: row.folder,
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
        });
    }
    Ok(all)
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
    /// Which of the task's repositories it is: 0 is the first.
    pub position: i32,
    /// Its runner knows that a task may have several.
    pub knows_several: bool,
    /// It has landed, and its pull request is to say something else.
    pub says_anew: bool,
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
             select landing.task_id, landing.position from landing
               join attempt on attempt.id = attempt_id join runner on runner.id = runner_id
             where (landing.state = 'waiting' and due_at <= $2 or says_anew_at <= $2) and (runner_id = any($1) or removed_at is not null)
             order by due_at limit $4 for no key update of landing skip locked
           )
           update landing set due_at = case when landing.state = 'waiting' then $3 else landing.due_at end,
                              says_anew_at = case when landing.state <> 'waiting' then $3::timestamptz end
           from due
             join task on task.id = due.task_id
             left join task_repository beside on beside.task_id = due.task_id and beside.position = due.position
             join repository on repository.id = coalesce(beside.repository_id, task.repository_id),
             attempt, runner, workspace
           where landing.task_id = due.task_id and landing.position = due.position
             and attempt.id = landing.attempt_id and runner.id = attempt.runner_id and workspace.id = landing.workspace_id
           returning landing.task_id, landing.workspace_id, landing.attempt_id, attempt.number as attempt, attempt.runner_id,
                     removed_at is not null as "is_orphan!", landing.number, landing.tries, landing.tells, landing.position,
                     landing.state <> 'waiting' as "says_anew!", $5 = any(runner.capabilities) as "knows_several!", how, location,
                     landing.branch, landing.commit_id,
                     coalesce(attempt.branch, landing.branch) as "saved_on!", left_at, lfs,
                     -- as where assignments are read
                     case when runner.workspace_id is null and workspace.id <> (select id from workspace order by created_at, id limit 1)
                          then slug end as guest"#,
        &runners,
        now,
        later,
        limit,
        SEVERAL
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
                  removed_at is not null as "is_orphan!", landing.number, landing.tries, landing.tells, landing.position,
                  landing.state <> 'waiting' as "says_anew!", $4 = any(runner.capabilities) as "knows_several!", how, location,
                  landing.branch, landing.commit_id,
                  coalesce(attempt.branch, landing.branch) as "saved_on!", left_at, lfs,
                  case when runner.workspace_id is null and workspace.id <> (select id from workspace order by created_at, id limit 1)
                       then slug end as guest
           from landing join task on task.id = landing.task_id
           left join task_repository beside on beside.task_id = landing.task_id and beside.position = landing.position
           join repository on repository.id = coalesce(beside.repository_id, task.repository_id)
           join attempt on attempt.id = landing.attempt_id join runner on runner.id = attempt.runner_id
           join workspace on workspace.id = landing.workspace_id
           where runner_id = any($1)
             and (landing.state = 'waiting' and landing.due_at > $2 and (landing.message is null or landing.told_at is not null)
                  or says_anew_at > $2 and landing.tells > 0)
           order by landing.due_at limit $3"#,
        &runners,
        now,
        limit,
        SEVERAL
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
    position: i32,
    knows_several: bool,
    says_anew: bool,
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
            position: self.position,
            knows_several: self.knows_several,
            says_anew: self.says_anew,
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
        "update landing set told_at = case when state = 'waiting' then coalesce(told_at, $5) end,
                            tells = tells + case when $4 or tells = 0 then 1 else 0 end
         where task_id = $1 and position = $6 and number = $2 and tries = $3 and (state = 'waiting' or says_anew_at is not null)",
        due.attempt.task_id.0,
        due.number,
        due.tries,
        due.is_due,
        now,
        due.position
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
    /// It has landed, and its pull request was to say something else.
    pub says_anew: bool,
    /// Where that is, so far.
    pub pull_request: Option<String>,
    /// Of its repository, as the task calls it; absent for the first.
    pub folder: Option<String>,
}

/// Locked; nothing when this is not what waits now, or not this runner's. Of what Muster itself has given up after its runner was told, and not
/// on its runner's word, it waits for a success. Its task is locked.
pub(super) async fn lock_waiting(conn: &mut PgConnection, said: &Landed, runner: RunnerId) -> Result<Option<Waiting>> {
    let row = sqlx::query!(
        r#"select how, tries, says_anew_at is not null as "says_anew!", pull_request_url,
                  (select folder from task_repository beside where beside.task_id = $1 and beside.position = $5) as "folder?"
           from landing
           where task_id = $1 and attempt_id = $2 and number = $3 and position = $5
             and (state = 'waiting' or says_anew_at is not null or state = 'failed' and tells > 0 and $6)
             and exists (select from attempt where attempt.id = $2 and runner_id = $4)
           for no key update of landing"#,
        said.attempt.task_id.0,
        said.attempt.attempt_id.0,
        said.number,
        runner.0,
        said.position,
        said.trouble.is_none()
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| Waiting {
        how: row.how,
        tries: row.tries,
        says_anew: row.says_anew,
        pull_request: row.pull_request_url,
        folder: row.folder,
    }))
}

/// Its pull request says what it is to say, or is open no more, or something is in the way: then it is to be said `again`, unless it was tried
/// too often.
pub(super) async fn said_anew(
    conn: &mut PgConnection,
    (task, position): (TaskId, i32),
    tries: i32,
    again: Option<Timestamp>,
) -> Result<()> {
    let done = sqlx::query!(
        "update landing set says_anew_at = $3, tries = $4, tells = 0 where task_id = $1 and position = $2",
        task.0,
        position,
        again,
        tries
    )
    .execute(conn)
    .await?;
    hit_one(&done, || Error::not_found("landing", task))
}

/// Once no repository of a task waits any more, each pull request that does not say of all of the others what they have come to is to say anew what
/// it says; whether there is one. One that `is_new` here is named by none. What is still said of an earlier text is about another time.
pub(super) async fn link_to_each_other(
    conn: &mut PgConnection,
    (task, position): (TaskId, i32),
    is_new: bool,
    now: Timestamp,
) -> Result<bool> {
    if is_new {
        sqlx::query!("update landing set links = 0 where task_id = $1 and position <> $2", task.0, position).execute(&mut *conn).await?;
    }
    let done = sqlx::query!(
        "update landing set says_anew_at = $2, number = number + 1, tries = 0, tells = 0, links = beside
         from (select count(*) filter (where state = 'waiting') as waiting, count(*)::int - 1 as beside
               from landing where task_id = $1) as all_of_it
         where task_id = $1 and waiting = 0 and state = 'landed' and how = 'pull_request' and pull_request_url is not null
           and links < beside",
        task.0,
        now
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// What came of a try.
pub(super) struct Outcome {
    pub state: LandingState,
    pub tries: i32,
    /// Its runner has said so. As long as it has not, how often it was told is kept: it may be at it.
    pub is_its_runners: bool,
    /// Where the branch was pushed; it is at the commit now.
    pub remote: Option<String>,
    pub pull_request: Option<PullRequest>,
    pub trouble: Option<LandingTrouble>,
    pub due_at: Timestamp,
}

pub(super) async fn save(conn: &mut PgConnection, (task, position): (TaskId, i32), outcome: &Outcome, now: Timestamp) -> Result<()> {
    let done = sqlx::query!(
        "update landing set state = $2, tries = $3, remote = coalesce($4, remote),
                            left_at = case when $4::text is null then left_at else commit_id end,
                            pull_request_number = coalesce($5, pull_request_number), pull_request_url = coalesce($6, pull_request_url),
                            message = $7, advice = $8, due_at = $9, told_at = null, tells = case when $12 then 0 else tells end,
                            ended_at = case when $2 = 'waiting' then null else $10::timestamptz end
         where task_id = $1 and position = $11",
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
        position,
        outcome.is_its_runners
    )
    .execute(conn)
    .await?;
    hit_one(&done, || Error::not_found("landing", task))
}
