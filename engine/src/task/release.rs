//! What follows for the tasks that wait for one that has ended.
//!
//! Each child counts what it still waits for in its own row, so two parents that end at the same moment cannot both believe that
//! the other has yet to end.

use std::collections::VecDeque;

use domain::{
    EventKind, Task,
    task::{Broken, Inputs, Parents, Standing},
};

use super::{edge, group, open, record_end, store};
use crate::{Result, tx::Tx};

/// Releases or skips everything below a task that has just come to its end; does nothing for one that goes on.
pub(crate) async fn children(tx: &mut Tx, ended: &Task) -> Result<()> {
    if ended.state.is_final() { below(tx, edge::Parent::of(ended)).await } else { Ok(()) }
}

/// As [`children`], of a task that has ended and need not be readable.
pub(crate) async fn below(tx: &mut Tx, ended: edge::Parent) -> Result<()> {
    let mut ends = VecDeque::from([(ended, None::<Broken>)]);
    while let Some((mut parent, why)) = ends.pop_front() {
        for waiting in store::lock_blocked_children(tx, parent.id).await? {
            let asked = edge::ask(tx, &mut parent, &waiting.dependency).await?;
            let (child, broken) = match asked.standing {
                Standing::Satisfied => (satisfied(tx, waiting, asked.inputs, &parent).await?, None),
                _ => {
                    // What was skipped hands on what it was skipped for.
                    let broken = why.clone().unwrap_or_else(|| parent.broken(&waiting.dependency, asked.trouble));
                    let child = skip(tx, waiting.task, broken.clone()).await?;
                    let broken = broken.and_so(&child);
                    (child, Some(broken))
                }
            };
            if child.state.is_final() {
                ends.push_back((edge::Parent::of(&child), broken));
            }
        }
    }
    Ok(())
}

async fn satisfied(tx: &mut Tx, waiting: store::Waiting, inputs: Inputs, parent: &edge::Parent) -> Result<Task> {
    let store::Waiting { task: mut child, waiting_for, dependency } = waiting;
    let waiting_for = waiting_for - 1;
    store::satisfy(tx, child.id, &dependency, &inputs).await?;
    child.inputs.extend(inputs);
    if child.opened {
        return group::member_ended(tx, child, parent, waiting_for).await;
    }
    if waiting_for > 0 {
        store::set_waiting(tx, child.id, waiting_for).await?;
        return Ok(child);
    }
    open::arrived(tx, child).await
}

async fn skip(tx: &mut Tx, child: Task, broken: Broken) -> Result<Task> {
    let child = child.parent_ended(Parents::Failed(broken), tx.now())?;
    store::save(tx, &child).await?;
    record_end(tx, &child).await?;
    Ok(child)
}

/// All that a task waits for is there, and it is work for a runner.
pub(super) async fn queue(tx: &mut Tx, child: Task) -> Result<Task> {
    let child = child.parent_ended(Parents::AllSucceeded, tx.now())?;
    store::save(tx, &child).await?;
    store::set_waiting(tx, child.id, 0).await?;
    tx.record(child.workspace_id, child.id, &EventKind::TaskReleased { state: child.state.name() }).await?;
    Ok(child)
}
