//! What a runner is told of a result that is to land: the commit, and what its pull request says.

use std::collections::HashMap;

use domain::{
    AttemptId, Land, SessionEventKind, TaskId,
    account::SYSTEM,
    landing::{self, Usage},
    protocol::{LandingOrder, WantedPullRequest},
    task::fill,
};
use sqlx::{PgConnection, types::Json};

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
    let usage = usage(&mut tx, id).await?;
    let task = tx.commit(task).await?;
    let attempt = task.attempt_list.iter().find(|attempt| attempt.id == due.attempt.attempt_id);
    let attempt = attempt.ok_or_else(|| Error::not_found("attempt", due.attempt.attempt_id))?;
    let beside = usize::try_from(due.position - 1).ok().and_then(|index| task.repositories.get(index));
    let base_ref = match due.position {
        0 => task.base_ref.as_deref(),
        _ => beside.and_then(|one| one.base_ref.as_deref()),
    };
    Ok(WantedPullRequest {
        title: task.summary.title.clone(),
        body: landing::body(&task, attempt, beside, usage, &format!("{origin}/tasks/{id}")),
        base: base_ref.map(|base| fill(base, &task.inputs).trim().to_owned()).filter(|base| !base.is_empty()),
    })
}

/// What its agents have used in all its attempts; nothing when none has said so.
async fn usage(conn: &mut PgConnection, task: TaskId) -> Result<Option<Usage>> {
    let rows = sqlx::query!(
        r#"select attempt_id, payload as "kind: Json<SessionEventKind>" from session_event join attempt on attempt.id = attempt_id
           where task_id = $1 and kind in ('usage', 'ended') order by attempt_id, session_event.number"#,
        task.0
    )
    .fetch_all(conn)
    .await?;
    Ok(sum(rows.into_iter().map(|row| (row.attempt_id, row.kind.0))))
}

/// The cost is told for a whole session: the last word of each attempt counts.
fn sum(events: impl IntoIterator<Item = (AttemptId, SessionEventKind)>) -> Option<Usage> {
    let (mut all, mut costs, mut is_known) = (Usage::default(), HashMap::new(), false);
    for (attempt, kind) in events {
        match kind {
            SessionEventKind::Usage { input, cached, output, .. } => {
                is_known = true;
                all.input = all.input.saturating_add(input);
                all.cached = all.cached.saturating_add(cached);
                all.output = all.output.saturating_add(output);
            }
            SessionEventKind::Ended { cost_micros: Some(cost), .. } => drop(costs.insert(attempt, cost)),
            _ => {}
        }
    }
    all.cost_micros = (!costs.is_empty()).then(|| costs.into_values().fold(0_u64, u64::saturating_add));
    (is_known || all.cost_micros.is_some()).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::session::SessionEnd;

    #[test]
    fn what_was_used_is_told_over_all_attempts() {
        let used = |input| SessionEventKind::Usage { model: None, input, cached: 1, output: 2 };
        let ended = |cost| SessionEventKind::Ended { how: SessionEnd::Completed, turns: None, cost_micros: cost };
        let (one, two) = (AttemptId(uuid::Uuid::nil()), AttemptId(uuid::Uuid::max()));
        let events =
            [(one, used(10)), (one, ended(Some(5))), (one, used(u64::MAX)), (one, ended(Some(7))), (two, used(1)), (two, ended(None))];
        assert_eq!(sum(events), Some(Usage { input: u64::MAX, cached: 3, output: 6, cost_micros: Some(7) }));
        assert_eq!(sum([(one, ended(None))]), None);
        assert_eq!(sum([]), None);
    }
}
