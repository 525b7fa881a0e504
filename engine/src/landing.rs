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
    landing::{AGAIN_SECONDS_MAX, BRANCHES, TRIES_MAX, TROUBLE_MAX},
    protocol::{AttemptReport, Landed, Trouble},
    repository::check_ref,
    task::REPOSITORIES_MAX,
};
use tracing::{info, warn};

pub use lander::Lander;

use crate::{Engine, Error, Result, RunnerSession, event::store::Fact, task};
use store::{Outcome, Saved, Waiting};

/// A result that is to land, in one of its task's repositories.
pub(crate) struct NewLanding {
    pub workspace: WorkspaceId,
    pub attempt: AttemptKey,
    /// 0 is the first.
    pub position: i32,
    pub how: Land,
    pub branch: String,
    pub commit: String,
    /// As [`Actor::label`] names who asks for it.
    pub by: String,
}

impl NewLanding {
    /// Of a report with which a task has succeeded, one for each repository in which something was changed; none where nobody wants it to land.
    pub fn of(task: &Task, attempt: AttemptKey, report: &AttemptReport) -> Vec<Self> {
        if task.land == Land::None || !matches!(task.state, TaskState::Succeeded { .. }) {
            return vec![];
        }
        let beside = report.repositories.iter().map(|one| (&one.branch, &one.commit));
        let results = std::iter::once((&report.branch, &report.commit)).chain(beside).take(1 + REPOSITORIES_MAX);
        let changed = (0..).zip(results).filter_map(|(position, (branch, commit))| Some((position, branch.clone()?, commit.clone()?)));
        let sound = changed.filter(|(_, branch, commit)| {
            let can_be = can_be_pushed(branch, commit);
            if !can_be {
                warn!(task.id = %task.id, "What the runner of task {} says of its branch and commit cannot be", task.id);
            }
            can_be
        });
        let new = |(position, branch, commit)| Self {
            workspace: task.workspace_id,
            attempt,
            position,
            how: task.land,
            branch,
            commit,
            by: task.created_by.clone(),
        };
        sound.map(new).collect()
    }

    pub fn fact(&self) -> Fact {
        let kind = EventKind::LandingAsked { attempt: self.attempt.number, how: self.how };
        Fact { workspace: self.workspace, task: self.attempt.task_id, kind }
    }
}

/// As git and the table take it.
pub(crate) fn can_be_pushed(branch: &str, commit: &str) -> bool {
    branch.starts_with(BRANCHES) && check_ref(branch).is_ok() && (1..=250).contains(&branch.len()) && is_commit(commit)
}

/// Its id, as git and the table take it.
pub(crate) fn is_commit(id: &str) -> bool {
    let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    (7..=64).contains(&id.len()) && id.chars().all(is_hex)
}

impl Engine {
    /// Wants the result of a task that has succeeded to land, or to be tried again: in all its repositories, or as long as there are some in which it
    /// has not landed, in those. What has landed in all of them is brought up to date.
    pub async fn land_task(&self, actor: &Actor, id: TaskId, land: LandTask) -> Result<TaskView> {
        actor.may(Permission::ChangeTasks)?;
        land.validate()?;
        let mut tx = self.begin(actor).await?;
        let task = task::edit::lock_as_seen(&mut tx, actor, id).await?;
        if !matches!(task.state, TaskState::Succeeded { .. }) || !task.work.is_executed() {
            let state = task.state.name().name();
            return Err(Error::Conflict(format!("only a result that has passed its checks lands, and this task is {state}")));
        }
        let mut saved = store::saved(&mut tx, id, land.how).await?;
        saved.retain(|saved| can_be_pushed(&saved.branch, &saved.commit));
        if saved.iter().any(|saved| !saved.has_landed) {
            saved.retain(|saved| !saved.has_landed);
        }
        let new = |saved: Saved| NewLanding {
            workspace: task.workspace_id,
            attempt: saved.attempt,
            position: saved.position,
            how: land.how,
            branch: saved.branch,
            commit: saved.commit,
            by: actor.label(),
        };
        let new: Vec<_> = saved.into_iter().map(new).collect();
        let first = new.first().ok_or_else(|| Error::Conflict("it has changed nothing, so there is nothing to land".into()))?;
        let fact = first.fact();
        let now = tx.now();
        store::ask(&mut tx, &new, now).await?;
        tx.record_all(&[fact]).await?;
        let view = task::query::view(&mut tx, id).await?;
        let view = tx.answer(actor, view).await?;
        self.hints.landings.notify_one();
        Ok(view)
    }

    /// What a runner says came of it. What it says about another time than the latest, or about what has landed already, has no effect. That
    /// it has landed counts also when Muster itself has said that it has failed: whoever was told may have been at it.
    pub(crate) async fn landed(&self, session: &RunnerSession, said: &Landed) -> Result<()> {
        self.note_landed(Some(session.label()), session.id(), said).await
    }

    /// `by` is what the event is signed with; Muster itself when absent.
    async fn note_landed(&self, by: Option<String>, runner: RunnerId, said: &Landed) -> Result<()> {
        let mut tx = self.begin_system(by.clone()).await?;
        let (task, position) = (said.attempt.task_id, said.position);
        let Some(workspace) = store::lock_task(&mut tx, task).await? else { return Ok(()) };
        let Some(waiting) = store::lock_waiting(&mut tx, said, runner).await? else { return Ok(()) };
        let now = tx.now();
        if waiting.says_anew {
            // whatever comes of it, the result is where it was
            let tries = waiting.tries + 1;
            let again = again_at(tries, said.trouble.as_ref(), now);
            store::said_anew(&mut tx, (task, position), tries, again).await?;
            tx.commit(()).await?;
            if let (Some(trouble), None) = (&said.trouble, again) {
                warn!(task.id = %task, "A pull request of task {task} does not name all that belong to it: {}", trouble.message);
            }
            return Ok(());
        }
        let outcome = Outcome { is_its_runners: by.is_some(), ..outcome(&waiting, said, now) };
        store::save(&mut tx, (task, position), &outcome, now).await?;
        let pull_request = outcome.pull_request.as_ref().map(|one| one.url.clone());
        let is_new = pull_request.is_some() && pull_request != waiting.pull_request;
        let say_anew = store::link_to_each_other(&mut tx, (task, position), is_new, now).await?;
        let kind = EventKind::LandingTried {
            attempt: said.attempt.number,
            how: waiting.how,
            state: outcome.state,
            pull_request,
            why: outcome.trouble.as_ref().map(|trouble| trouble.message.clone()),
            folder: waiting.folder,
        };
        tx.record(workspace, task, &kind).await?;
        tx.commit(()).await?;
        if say_anew {
            self.hints.landings.notify_one();
        }
        info!(task.id = %task, "The result of task {task} is {}", outcome.state.name());
        Ok(())
    }
}

/// What it comes to: a trouble that may pass is tried again, but not for ever.
fn outcome(waiting: &Waiting, said: &Landed, now: domain::Timestamp) -> Outcome {
    let tries = waiting.tries + 1;
    let again = again_at(tries, said.trouble.as_ref(), now);
    let state = match (&said.trouble, again) {
        (None, _) => LandingState::Landed,
        (Some(_), Some(_)) => LandingState::Waiting,
        (Some(_), None) => LandingState::Failed,
    };
    Outcome {
        state,
        tries,
        is_its_runners: true,
        remote: said.remote.as_deref().map(|remote| kept(remote, "the repository")),
        pull_request: said.pull_request.clone().filter(|one| one.is_fit()),
        trouble: said.trouble.as_ref().map(kept_trouble),
        due_at: again.unwrap_or(now),
    }
}

/// When it is tried again after so many tries; nothing when it has gone well, and when trying again would not help, or is somebody's to ask for.
fn again_at(tries: i32, trouble: Option<&Trouble>, now: domain::Timestamp) -> Option<domain::Timestamp> {
    let seconds = trouble?.again_in.filter(|seconds| tries < TRIES_MAX && *seconds <= AGAIN_SECONDS_MAX)?;
    Some(now + TimeDelta::seconds(wait(seconds, tries).into()))
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
