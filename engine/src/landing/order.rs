//! What a runner is told of a result that is to land: the commit, and what its pull request says.

use domain::{
    Land, Usage,
    account::SYSTEM,
    landing,
    protocol::{LandingOrder, WantedPullRequest},
    task::fill,
};

use super::store::Due;
use crate::{Engine, Error, Result, task};

pub(super) async fn of(engine: &Engine, due: &Due, origin: &str) -> Result<LandingOrder> {
    let pull_request = match due.how {
        Land::PullRequest => Some(pull_request(engine, due, origin).await?),
        Land::Push | Land::None => None,
    };
    Ok(LandingOrder {
        attempt: due.attempt,
        number: due.number,
        position: due.position,
        repository: due.repository.clone(),
        commit: due.commit.clone(),
        saved_on: due.saved_on.clone(),
        branch: due.branch.clone(),
        left_at: due.left_at.clone(),
        lfs: due.lfs,
        pull_request,
        says_anew: due.says_anew,
        credentials: due.credentials.clone(),
    })
}

async fn pull_request(engine: &Engine, due: &Due, origin: &str) -> Result<WantedPullRequest> {
    let id = due.attempt.task_id;
    let mut tx = engine.begin_in(due.workspace, SYSTEM.into()).await?;
    let task = task::query::view(&mut tx, id).await?;
    let task = tx.commit(task).await?;
    let usage = Usage::of_attempts(&task.attempt_list);
    let attempt = task.attempt_list.iter().find(|attempt| attempt.id == due.attempt.attempt_id);
    let attempt = attempt.ok_or_else(|| Error::not_found("attempt", due.attempt.attempt_id))?;
    let beside = usize::try_from(due.position - 1).ok().and_then(|index| task.repositories.get(index));
    let base_ref = match due.position {
        0 => task.base_ref.as_deref(),
        _ => beside.and_then(|one| one.base_ref.as_deref()),
    };
    Ok(WantedPullRequest {
        title: task.summary.title.clone(),
        body: landing::body(&task, attempt, beside, usage.as_ref(), &format!("{origin}/tasks/{id}")),
        base: base_ref.map(|base| fill(base, &task.inputs).trim().to_owned()).filter(|base| !base.is_empty()),
    })
}
