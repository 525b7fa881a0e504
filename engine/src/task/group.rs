//! Groups: a task that becomes several when its turn comes, and whose result is made of theirs.
//!
//! A group waits for its members as any task waits for others, on their end however that is. What goes on after a group has ended,
//! as a loser among candidates does, is cancelled by the timekeeper, apart from this: their rows are locked before the group's, never after.

use domain::{
    EventKind, FailureCode, Task, TaskId, TaskStateName, Work,
    task::{Group, Judge},
    workflow::{JUDGE, RunCounts, RunState},
};
use serde_json::{Value, json};

use super::{edge::Parent, judge, open, plant, store};
use crate::{
    Result, expression,
    tx::Tx,
    workflow::{self, Refused},
};

/// The longest output of a group, as JSON; what is longer is left out, as its members still have it.
const OUTPUT_MAX: usize = 256 * 1024;
/// How many members a failure names.
const NAMED: usize = 5;

/// A task of a group, as far as the group's result is made of it.
pub(crate) struct Member {
    pub id: TaskId,
    pub key: String,
    pub title: String,
    pub state: TaskStateName,
    pub output: Option<Value>,
}

/// Makes its members. The group as it stands before any of them ends: what follows from an end that comes at once has followed already.
pub(super) async fn expand(tx: &mut Tx, task: Task) -> Result<Task> {
    let members = match workflow::members(tx, &task).await? {
        Ok(members) => members,
        Err(Refused::Cancelled(by)) => return open::cancelled(tx, task, &by).await,
        Err(Refused::Impossible(why)) => {
            let task = task.open()?;
            store::save_opened(tx, &task, 1).await?;
            return open::not_passed(tx, task, FailureCode::NotExpanded, why).await;
        }
    };
    let task = task.open()?;
    let count = members.seeds.len();
    store::save_opened(tx, &task, count.max(1)).await?;
    tx.record(task.workspace_id, task.id, &EventKind::GroupExpanded { tasks: count }).await?;
    if count == 0 {
        store::save_output(tx, task.id, &json!([])).await?;
        return open::passed(tx, task, None).await;
    }
    let planted = plant::store_all(tx, members.seeds, Some(&task)).await?;
    workflow::insert_steps(tx, task.workspace_id, members.run, &members.steps).await?;
    plant::begin(tx, planted).await?;
    Ok(task)
}

/// One of its members has ended, and it waits for so many more.
pub(super) async fn member_ended(tx: &mut Tx, group: Task, member: &Parent, waiting_for: i32) -> Result<Task> {
    if let Some((Judge::First, keep_others)) = judge_of(&group)
        && member.state == TaskStateName::Succeeded
    {
        if keep_others {
            workflow::let_go(tx, group.id).await?;
        }
        let members = workflow::members_of(tx, group.id).await?;
        let number = members.iter().position(|one| one.id == member.id).map_or(0, |place| place + 1);
        return chosen(tx, group, member.id, number, ("first", "it was the first that passed".into()), None).await;
    }
    if waiting_for > 0 {
        store::set_waiting(tx, group.id, waiting_for).await?;
        return Ok(group);
    }
    let members = workflow::members_of(tx, group.id).await?;
    match judge_of(&group) {
        Some((judge, _)) => choose(tx, group, &judge, &members).await,
        None => gather(tx, group, &members).await,
    }
}

fn judge_of(group: &Task) -> Option<(Judge, bool)> {
    match &group.work {
        Work::Group(Group::Candidates { step }) => step.candidates.as_ref().map(|asked| (asked.judge.clone(), asked.keep_others)),
        _ => None,
    }
}

/// All members together.
async fn gather(tx: &mut Tx, group: Task, members: &[Member]) -> Result<Task> {
    let mut counts = RunCounts::default();
    members.iter().for_each(|member| counts.add(member.state, false, false, 1));
    if counts.state() != RunState::Succeeded {
        let bad: Vec<_> =
            members.iter().filter(|member| !matches!(member.state, TaskStateName::Succeeded | TaskStateName::Skipped)).collect();
        let mut named: Vec<_> = bad.iter().take(NAMED).map(|member| format!("“{}” {}", member.title, member.state.name())).collect();
        if bad.len() > NAMED {
            named.push(format!("{} more", bad.len() - NAMED));
        }
        let message = format!("{} of {} did not succeed: {}", bad.len(), members.len(), named.join(", "));
        return open::not_passed(tx, group, FailureCode::StepsFailed, message).await;
    }
    let output = match &group.work {
        Work::Group(Group::Workflow { .. }) => {
            let by_step = |member: &Member| {
                let step = member.key.rsplit('/').next().unwrap_or(&member.key).to_owned();
                (step, member.output.clone().unwrap_or(Value::Null))
            };
            Value::Object(members.iter().map(by_step).collect())
        }
        _ => Value::Array(members.iter().map(|member| member.output.clone().unwrap_or(Value::Null)).collect()),
    };
    if output.to_string().len() <= OUTPUT_MAX {
        store::save_output(tx, group.id, &output).await?;
    }
    open::passed(tx, group, None).await
}

/// One of the candidates whose checks passed. The task of a judge is asked only when there is something to choose.
async fn choose(tx: &mut Tx, group: Task, judge: &Judge, members: &[Member]) -> Result<Task> {
    let (judges, candidates): (Vec<_>, Vec<_>) = members.iter().partition(|member| member.key.ends_with(&format!("[{JUDGE}]")));
    let numbered = candidates.iter().enumerate().map(|(index, member)| (index + 1, *member));
    let passed: Vec<_> = numbered.filter(|(_, member)| member.state == TaskStateName::Succeeded).collect();
    match (judge, passed.as_slice()) {
        (_, []) => {
            let message = format!("none of {} candidates succeeded", candidates.len());
            open::not_passed(tx, group, FailureCode::StepsFailed, message).await
        }
        (Judge::First, [(number, first), ..]) => {
            chosen(tx, group, first.id, *number, ("first", "it was the first that passed".into()), None).await
        }
        (Judge::Task(_), [(number, only)]) => {
            let why = format!("it was the only one of {} that passed", candidates.len());
            chosen(tx, group, only.id, *number, ("only", why), None).await
        }
        (Judge::Task(asked), _) => match judges.first() {
            Some(ended) => judge::answered(tx, group, asked, ended, &passed).await,
            None => judge::ask(tx, group, asked, &passed).await,
        },
        (Judge::Score(text), _) => best(tx, group, text, &passed).await,
    }
}

/// The one with the highest score, the earlier of two that are equal.
async fn best(tx: &mut Tx, group: Task, score: &str, passed: &[judge::Passed<'_>]) -> Result<Task> {
    let mut best: Option<(f64, TaskId, usize)> = None;
    let mut troubles = vec![];
    for (number, member) in passed {
        match expression::number(score, "result", store::result(tx, member.id).await?).await {
            Ok(score) if best.is_none_or(|(highest, ..)| score > highest) => best = Some((score, member.id, *number)),
            Ok(_) => {}
            Err(why) => troubles.push(format!("the score of “{}” {why}", member.title)),
        }
    }
    match best {
        Some((highest, winner, number)) => {
            chosen(tx, group, winner, number, ("score", format!("its score is the highest: {highest}")), None).await
        }
        None => {
            let message = format!("no candidate could be chosen: {}", troubles.join("; "));
            open::not_passed(tx, group, FailureCode::StepsFailed, message).await
        }
    }
}

/// `by` says who chose, in a word, and why. What the others left stays where it is.
pub(super) async fn chosen(
    tx: &mut Tx,
    group: Task,
    winner: TaskId,
    number: usize,
    (by, why): (&str, String),
    judge: Option<TaskId>,
) -> Result<Task> {
    let result = store::result(tx, winner).await?;
    let of = |name: &str| result.get(name).cloned().unwrap_or(Value::Null);
    let output = json!({
        "winner": number, "task": winner, "branch": of("branch"), "commit": of("commit"), "repositories": of("repositories"),
        "output": of("output"),
        "by": by, "why": why, "judge": judge,
    });
    store::save_output(tx, group.id, &output).await?;
    tx.record(group.workspace_id, group.id, &EventKind::CandidateChosen { task: winner, candidate: number, why }).await?;
    open::passed(tx, group, None).await
}
