//! What would happen to a task. It goes the whole way of a new one, in a transaction that is rolled back: a preview cannot say anything
//! else than what would come of it.

use chrono::TimeDelta;
use domain::{
    Actor, NewTask, Permission, TaskStateName, TaskView, Timestamp,
    task::{On, RunnerWait, TaskPreview},
};

use super::{plant::plant, query, runner_wait::WaitsFor};
use crate::{Engine, Result, runner, tx::Tx};

/// A runner that was silent for longer is taken to be away.
const HEARD_OF: TimeDelta = TimeDelta::seconds(30);

impl Engine {
    pub async fn preview_task(&self, actor: &Actor, new: NewTask) -> Result<TaskPreview> {
        actor.may(Permission::CreateTasks)?;
        new.validate()?;
        let mut tx = self.begin(&actor.clone().without_idempotency()).await?;
        let seed = self.seed(&mut tx, actor, new, &mut Default::default()).await?;
        let id = seed.task.id;
        plant(&mut tx, vec![seed]).await?;
        let view = query::view(&mut tx, id).await?;
        let standing = look(&mut tx, &view).await?;
        // never committed
        Ok(TaskPreview {
            state: view.summary.state.name(),
            reasons: reasons(&view, &standing),
            waits_for: view.depends_on,
            ahead: standing.ahead,
            slots: standing.slots,
            slots_taken: standing.taken,
            unmet_capabilities: standing.unmet,
            runner_wait: standing.runner_wait,
            complexity: view.complexity,
        })
    }
}

struct Standing {
    ahead: i64,
    slots: i64,
    taken: i64,
    queue_paused: bool,
    sharing: i64,
    unmet: Vec<String>,
    runner_wait: Option<RunnerWait>,
}

async fn look(tx: &mut Tx, view: &TaskView) -> Result<Standing> {
    let since: Timestamp = tx.now() - HEARD_OF;
    let row = sqlx::query!(
        r#"select (select count(*) from task other where other.workspace_id = task.workspace_id and other.state = 'queued' and other.turn < task.turn
                     and other.paused_by is null) as "ahead!",
                  coalesce((select sum(slots_now) from runner where last_seen_at >= $2 and coalesce(stopped_at < last_seen_at, true) and removed_at is null and draining_since is null), 0) as "slots!",
                  (select count(*) from attempt join runner on runner.id = runner_id where attempt.workspace_id = task.workspace_id
                     and attempt.state in ('claimed', 'running', 'verifying') and draining_since is null) as "taken!",
                  exists (select from queue_pause pause where pause.workspace_id = task.workspace_id
                          and (pause.repository_id is null or pause.repository_id = task.repository_id)) as "queue_paused!",
                  coalesce((select running from concurrency where concurrency.workspace_id = task.workspace_id
                            and concurrency.key = task.concurrency_key), 0) as "sharing!"
           from task where id = $1"#,
        view.summary.id.0,
        since
    )
    .fetch_one(&mut **tx)
    .await?;
    let (queue_paused, sharing) = (row.queue_paused, row.sharing.into());
    let WaitsFor { unmet, runner: runner_wait } = WaitsFor::of(&view.summary.repository, &view.capabilities, &runner::at_hand(tx).await?);
    Ok(Standing { ahead: row.ahead, slots: row.slots, taken: row.taken, queue_paused, sharing, unmet, runner_wait })
}

fn reasons(view: &TaskView, standing: &Standing) -> Vec<String> {
    let mut reasons = vec![first_reason(view, standing)];
    if let Some(shared) = view.concurrency.as_ref().filter(|shared| standing.sharing >= i64::from(shared.limit)) {
        reasons.push(format!(
            "“{}” is in use by {} of {}, so it would wait for one of them to end",
            shared.key, standing.sharing, shared.limit
        ));
    }
    if standing.queue_paused {
        reasons.push("the queue is paused, so no runner would take it".into());
    }
    if let Some(wait) = &standing.runner_wait {
        reasons.extend([wait.message.clone(), wait.next.clone()]);
    }
    if standing.slots > 0 {
        reasons.push(format!("{} of {} slots are taken by tasks of this workspace", standing.taken, standing.slots));
    }
    if view.check_specs.is_empty() {
        reasons.push("it defines no check, so its success would be unverified".into());
    }
    reasons
}

fn first_reason(view: &TaskView, standing: &Standing) -> String {
    match (&view.summary.state, view.summary.state.name()) {
        (state, TaskStateName::Skipped) => format!("it would be skipped: {}", state.reason().unwrap_or_default()),
        (_, TaskStateName::Blocked) => {
            let open = view.depends_on.iter().filter(|one| one.on.standing(one.link.state) == Some(domain::task::Standing::Waiting));
            let titles: Vec<_> = open.take(3).map(|one| format!("“{}”{}", one.link.title, what_of(&one.on))).collect();
            format!("it would wait for {}", titles.join(", "))
        }
        (domain::TaskState::Scheduled { run_at }, _) => format!("it would wait until {}", run_at.to_rfc3339()),
        _ => match standing.ahead {
            0 => format!("it would be next in the {} lane", view.summary.priority.name()),
            ahead => format!(
                "it would be queued in the {} lane behind {ahead} task{}",
                view.summary.priority.name(),
                if ahead == 1 { "" } else { "s" }
            ),
        },
    }
}

fn what_of(on: &On) -> String {
    match on {
        On::Success => " to succeed".into(),
        On::End => " to end".into(),
        On::Condition(condition) => format!(" to end with `{condition}`"),
    }
}
