//! A judge that is a task. It is asked when all candidates have ended and more than one of them passed, and it names one of those: what
//! it says of any other counts as no answer.

use domain::{
    FailureCode, Task, TaskId, TaskStateName,
    task::{Dependency, On},
    workflow::{JudgeTask, Otherwise, verdict},
};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::{
    group::{Member, chosen},
    open, plant, store,
};
use crate::{
    Result,
    tx::Tx,
    workflow::{self, Refused},
};

/// All that a judge is shown of the candidates, as JSON: it has to fit into a variable of an environment.
const SHOWN_MAX: usize = 48 * 1024;

/// A candidate whose checks passed, with its number.
pub(super) type Passed<'a> = (usize, &'a Member);

/// Makes the judge one more member of the group, for which it then waits.
pub(super) async fn ask(tx: &mut Tx, group: Task, judge: &JudgeTask, passed: &[Passed<'_>]) -> Result<Task> {
    let shown = candidates(tx, passed).await?;
    let members = match workflow::judge_of(tx, &group, judge, shown).await? {
        Ok(members) => members,
        Err(Refused::Cancelled(by)) => return open::cancelled(tx, group, &by).await,
        Err(Refused::Impossible(why)) => return open::not_passed(tx, group, FailureCode::NotExpanded, why).await,
    };
    store::set_waiting(tx, group.id, 1).await?;
    let planted = plant::store_all(tx, members.seeds, Some(&group)).await?;
    workflow::insert_steps(tx, group.workspace_id, members.run, &members.steps).await?;
    // They have ended, and their rows must not be locked after the group's, so these edges hold from the start.
    let now = tx.now();
    let ended = |(_, member): &Passed<'_>| Dependency { on: On::End, ..member.id.into() };
    let edges = planted.tasks.iter().flat_map(|judge| passed.iter().map(|one| store::NewEdge::new(judge, &ended(one), true)));
    store::insert_edges(tx, &edges.collect::<Vec<_>>(), now).await?;
    plant::begin(tx, planted).await?;
    Ok(group)
}

/// It has ended.
pub(super) async fn answered(tx: &mut Tx, group: Task, asked: &JudgeTask, judge: &Member, passed: &[Passed<'_>]) -> Result<Task> {
    let numbers: Vec<_> = passed.iter().map(|(number, _)| *number).collect();
    let answer = match judge.state {
        TaskStateName::Succeeded => verdict(judge.output.as_ref(), &numbers),
        state => Err(ended_badly(&store::result(tx, judge.id).await?, state)),
    };
    let find = |number: usize| passed.iter().find(|(own, _)| *own == number).map(|(_, member)| member.id);
    match answer.map(|verdict| (find(verdict.winner), verdict)) {
        Ok((Some(winner), verdict)) => {
            let why = verdict.reason.map_or_else(|| "the judge named it".to_owned(), |reason| format!("the judge named it: {reason}"));
            chosen(tx, group, winner, verdict.winner, ("judge", why), Some(judge.id)).await
        }
        Ok((None, _)) => no_answer(tx, group, asked, judge, "named none of those that passed".into(), passed).await,
        Err(why) => no_answer(tx, group, asked, judge, why, passed).await,
    }
}

async fn no_answer(tx: &mut Tx, group: Task, asked: &JudgeTask, judge: &Member, why: String, passed: &[Passed<'_>]) -> Result<Task> {
    match (asked.otherwise, passed.first()) {
        (Otherwise::First, Some((number, first))) => {
            let why = format!("the judge {why}; so the first of those that passed was taken");
            chosen(tx, group, first.id, *number, ("otherwise", why), Some(judge.id)).await
        }
        _ => {
            let message = format!("no candidate was chosen, as the judge “{}” {why}", judge.title);
            open::not_passed(tx, group, FailureCode::StepsFailed, message).await
        }
    }
}

fn ended_badly(result: &Value, state: TaskStateName) -> String {
    match result.pointer("/failure/message").and_then(Value::as_str) {
        Some(message) => format!("ended {}: {message}", state.name()),
        None => format!("ended {}", state.name()),
    }
}

/// What the judge is given: number, task, branch, commit, those of further repositories, output and checks of each. An output that is too long is
/// left out.
async fn candidates(tx: &mut Tx, passed: &[Passed<'_>]) -> Result<Value> {
    let share = SHOWN_MAX / passed.len().max(1);
    let mut list = Vec::with_capacity(passed.len());
    for (number, member) in passed {
        let result = store::result(tx, member.id).await?;
        let of = |name: &str| result.get(name).cloned().unwrap_or(Value::Null);
        let output = Some(of("output")).filter(|output| output.to_string().len() <= share);
        list.push(json!({
            "number": number, "task": member.id, "branch": of("branch"), "commit": of("commit"), "repositories": of("repositories"),
            "output_left_out": output.is_none(), "output": output, "checks": checks(tx, member.id).await?,
        }));
    }
    Ok(Value::Array(list))
}

/// The checks of its latest attempt.
async fn checks(conn: &mut PgConnection, id: TaskId) -> Result<Value> {
    let checks = sqlx::query_scalar!(
        r#"select coalesce(jsonb_agg(jsonb_build_object('kind', kind, 'target', target, 'required', required, 'status', status)
                                     order by position), '[]') as "checks!"
           from task
           join attempt on attempt.task_id = task.id and attempt.number = task.attempts
           join verification_check on verification_check.attempt_id = attempt.id
           where task.id = $1"#,
        id.0
    )
    .fetch_one(conn)
    .await?;
    Ok(checks)
}
