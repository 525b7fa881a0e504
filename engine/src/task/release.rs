//! What follows for the tasks that wait for one that has ended.
//!
//! Each child counts what it still waits for in its own row, so two parents that end at the same moment cannot both believe that
//! the other has yet to end.

use std::collections::VecDeque;

use domain::{EventKind, Task, TaskState, task::Parents};

use super::{record_end, store};
use crate::{Result, tx::Tx};

/// Releases or skips everything below a task that has just come to its end; does nothing for one that goes on.
pub(crate) async fn children(tx: &mut Tx, ended: &Task) -> Result<()> {
    if !ended.state.is_final() {
        return Ok(());
    }
    let mut ends = VecDeque::from([ended.clone()]);
    while let Some(parent) = ends.pop_front() {
        for (child, waiting_for) in store::lock_blocked_children(tx, parent.id).await? {
            let child = match parent.state {
                TaskState::Succeeded { .. } => release(tx, child, waiting_for - 1).await?,
                _ => skip(tx, child, &parent, waiting_for).await?,
            };
            if child.state.is_final() {
                ends.push_back(child);
            }
        }
    }
    Ok(())
}

async fn release(tx: &mut Tx, child: Task, waiting_for: i32) -> Result<Task> {
    let parents = if waiting_for == 0 { Parents::AllSucceeded } else { Parents::Waiting };
    let child = child.parent_ended(parents, tx.now())?;
    store::save_waiting(tx, &child, usize::try_from(waiting_for).unwrap_or(0)).await?;
    if child.state != TaskState::Blocked {
        tx.record(child.workspace_id, child.id, &EventKind::TaskReleased { state: child.state.name() }).await?;
    }
    Ok(child)
}

async fn skip(tx: &mut Tx, child: Task, parent: &Task, waiting_for: i32) -> Result<Task> {
    let parents = Parents::Failed { id: parent.id, title: parent.title.clone(), state: parent.state.name() };
    let child = child.parent_ended(parents, tx.now())?;
    store::save_waiting(tx, &child, usize::try_from(waiting_for).unwrap_or(0)).await?;
    record_end(tx, &child).await?;
    Ok(child)
}
