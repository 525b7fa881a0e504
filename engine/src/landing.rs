//! Landing: a result that was proven is pushed to where its repository came from, and a pull request opened for it.
//!
//! What is to land is a row, written in the transaction in which its task succeeds or in which somebody asks for it. The runner that has the
//! commit is told, and told again until it has said what came of it; to do it twice changes nothing, so neither a runner nor a server that
//! dies over it loses it or does it double. Whatever comes of it, the task stays what it is.

mod lander;
mod order;
pub(crate) mod store;

use chrono::TimeDelta;
use domain::{
    Actor, AttemptKey, EventKind, Land, LandTask, LandingState, LandingTrouble, Permission, RunnerId, Task, TaskId, TaskState, TaskView,
    WorkspaceId,
    landing::{AGAIN_SECONDS_MAX, BRANCHES, TELLS_MAX, TRIES_MAX, TROUBLE_MAX},
    protocol::{AttemptReport, Landed, Trouble},
    repository::check_ref,
};
use tracing::{info, warn};

pub use lander::Lander;

use crate::{Engine, Error, Result, RunnerSession, event::store::Fact, task};
use store::{Outcome, Waiting};

/// A result that is to land.
pub(crate) struct NewLanding {
    pub workspace: WorkspaceId,
    pub attempt: AttemptKey,
    pub how: Land,
    pub branch: String,
    pub commit: String,
    /// As [`Actor::label`] names who asks for it.
    pub by: String,
}

impl NewLanding {
    /// Of a report with which a task has succeeded; nothing where nobody wants it to land, or nothing was changed.
    pub fn of(task: &Task, attempt: AttemptKey, report: &AttemptReport) -> Option<Self> {
        if task.land == Land::None || !matches!(task.state, TaskState::Succeeded { .. }) {
            return None;
        }
        let (branch, commit) = (report.branch.clone()?, report.commit.clone()?);
        if !can_be_pushed(&branch, &commit) {
            warn!(task.id = %task.id, "What the runner of task {} says of its branch and commit cannot be", task.id);
            return None;
        }
        Some(Self { workspace: task.workspace_id, attempt, how: task.land, branch, commit, by: task.created_by.clone() })
    }

    pub fn fact(&self) -> Fact {
        let kind = EventKind::LandingAsked { attempt: self.attempt.number, how: self.how };
        Fact { workspace: self.workspace, task: self.attempt.task_id, kind }
    }
}

/// As git and the table take it.
fn can_be_pushed(branch: &str, commit: &str) -> bool {
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    branch.starts_with(BRANCHES)
        && check_ref(branch).is_ok()
        && (1..=250).contains(&branch.len())
        && (7..=64).contains(&commit.len())
        && commit.chars().all(is_hex)
}

impl Engine {
    /// Wants the result of a task that has succeeded to land, or to be tried again. What has landed is brought up to date.
    pub async fn land_task(&self, actor: &Actor, id: TaskId, land: LandTask) -> Result<TaskView> {
        actor.may(Permission::ChangeTasks)?;
        land.validate()?;
        let mut tx = self.begin(actor).await?;
        let task = task::edit::lock_as_seen(&mut tx, actor, id).await?;
        if !matches!(task.state, TaskState::Succeeded { .. }) || !task.work.is_executed() {
            let state = task.state.name().name();
            return Err(Error::Conflict(format!("only a result that has passed its checks lands, and this task is {state}")));
        }
        let saved = store::saved(&mut tx, id).await?.filter(|saved| can_be_pushed(&saved.branch, &saved.commit));
        let saved = saved.ok_or_else(|| Error::Conflict("it has changed nothing, so there is nothing to land".into()))?;
        let new = NewLanding {
            workspace: task.workspace_id,
            attempt: saved.attempt,
            how: land.how,
            branch: saved.branch,
            commit: saved.commit,
            by: actor.label(),
        };
        let now = tx.now();
        store::ask(&mut tx, std::slice::from_ref(&new), now).await?;
        tx.record_all(&[new.fact()]).await?;
        let view = task::query::view(&mut tx, id).await?;
        let view = tx.answer(actor, view).await?;
        self.hints.landings.notify_one();
        Ok(view)
    }

    /// What a runner says came of it. What it says about another time than the latest, or about what has landed already, has no effect. That
    /// it has landed counts also when it was given up, as nothing was heard of it.
    pub(crate) async fn landed(&self, session: &RunnerSession, said: &Landed) -> Result<()> {
        self.note_landed(Some(session.label()), session.id(), said).await
    }

    /// `by` is what the event is signed with; Muster itself when absent.
    async fn note_landed(&self, by: Option<String>, runner: RunnerId, said: &Landed) -> Result<()> {
        let mut tx = self.begin_system(by.clone()).await?;
        let task = said.attempt.task_id;
        let Some(workspace) = store::lock_task(&mut tx, task).await? else { return Ok(()) };
        let Some(waiting) = store::lock_waiting(&mut tx, said, runner).await? else { return Ok(()) };
        let now = tx.now();
        let is_given_up = by.is_none() && waiting.tells >= TELLS_MAX;
        let outcome = Outcome { is_given_up, ..outcome(&waiting, said, now) };
        store::save(&mut tx, task, &outcome, now).await?;
        let kind = EventKind::LandingTried {
            attempt: said.attempt.number,
            how: waiting.how,
            state: outcome.state,
            pull_request: outcome.pull_request.as_ref().map(|one| one.url.clone()),
            why: outcome.trouble.as_ref().map(|trouble| trouble.message.clone()),
        };
        tx.record(workspace, task, &kind).await?;
        tx.commit(()).await?;
        info!(task.id = %task, "The result of task {task} is {}", outcome.state.name());
        Ok(())
    }
}

/// What it comes to: a trouble that may pass is tried again, but not for ever.
fn outcome(waiting: &Waiting, said: &Landed, now: domain::Timestamp) -> Outcome {
    let tries = waiting.tries + 1;
    let again = said.trouble.as_ref().and_then(|trouble| trouble.again_in).filter(|_| tries < TRIES_MAX);
    let again = again.filter(|seconds| *seconds <= AGAIN_SECONDS_MAX);
    let state = match (&said.trouble, again) {
        (None, _) => LandingState::Landed,
        (Some(_), Some(_)) => LandingState::Waiting,
        (Some(_), None) => LandingState::Failed,
    };
    Outcome {
        state,
        tries,
        is_given_up: false,
        remote: said.remote.as_deref().map(|remote| kept(remote, "the repository")),
        pull_request: said.pull_request.clone().filter(|one| one.is_fit()),
        trouble: said.trouble.as_ref().map(kept_trouble),
        due_at: again.map_or(now, |seconds| now + TimeDelta::seconds(wait(seconds, tries).into())),
    }
}

/// Each try waits twice as long as the one before, and never less than was asked for.
fn wait(seconds: u32, tries: i32) -> u32 {
    let doubled = seconds.max(1).saturating_mul(1_u32.checked_shl(tries.unsigned_abs().saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(AGAIN_SECONDS_MAX.max(seconds))
}

fn kept_trouble(trouble: &Trouble) -> LandingTrouble {
    LandingTrouble {
        message: kept(&trouble.message, "the runner gave no reason"),
        advice: kept(&trouble.advice, "See the runner's log, and try again."),
    }
}

/// Whatever a runner says, the database can hold it.
fn kept(text: &str, otherwise: &str) -> String {
    let text: String = text.trim().replace('\0', "\u{fffd}").chars().take(TROUBLE_MAX).collect();
    if text.is_empty() { otherwise.to_owned() } else { text }
}
