//! What follows for the tasks that wait for others that have ended.
//!
//! Each child counts what it still waits for in its own row, so two parents that end at the same moment cannot both believe that
//! the other has yet to end. Children go on in waves: all that wait for the tasks that have ended, then all that wait for those of them
//! that have come to their own end by it. What of a wave is work for a runner is released in a few statements, however much it is; gates,
//! groups and what has a condition of its own are looked at one by one.

use std::collections::HashMap;

use domain::{
    EventKind, Task, TaskId,
    task::{Broken, Dependency, Inputs, On, Parents, Standing},
};

use super::{edge, group, open, record_end, store};
use crate::{Result, event::store::Fact, task::store::ChangedRow, tx::Tx};

/// Releases or skips everything below a task that has just come to its end; does nothing for one that goes on.
pub(crate) async fn children(tx: &mut Tx, ended: &Task) -> Result<()> {
    if ended.state.is_final() { below(tx, vec![edge::Parent::of(ended)]).await } else { Ok(()) }
}

/// As [`children`], of tasks that have ended and need not be readable.
pub(crate) async fn below(tx: &mut Tx, ended: Vec<edge::Parent>) -> Result<()> {
    let mut wave = Wave::of(ended.into_iter().map(|parent| (parent, None)).collect());
    while !wave.ends.is_empty() {
        let waiting = store::lock_waiting(tx, &wave.ids(), None).await?;
        let (work, others): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|child| is_plain(&child.task));
        let mut ends = release_work(tx, &mut wave, work).await?;
        for child in others {
            for dependency in child.edges {
                ends.extend(release_one(tx, &mut wave, dependency.task, child.task.id).await?);
            }
        }
        wave = Wave::of(ends);
    }
    Ok(())
}

/// A task that has ended, and what those that wait for it in vain are skipped for.
type Ended = (edge::Parent, Option<Broken>);

/// Tasks that have ended together, by their ids.
struct Wave {
    ends: Vec<Ended>,
    places: HashMap<TaskId, usize>,
}

impl Wave {
    fn of(ends: Vec<Ended>) -> Self {
        let places = ends.iter().enumerate().map(|(place, (parent, _))| (parent.id, place)).collect();
        Self { ends, places }
    }

    fn ids(&self) -> Vec<TaskId> {
        self.ends.iter().map(|(parent, _)| parent.id).collect()
    }

    /// What an edge gives, or why it is broken.
    async fn ask(&mut self, tx: &mut Tx, dependency: &Dependency) -> Result<std::result::Result<Inputs, Broken>> {
        let (parent, why) = &mut self.ends[self.places[&dependency.task]];
        let asked = edge::ask(tx, parent, dependency).await?;
        if asked.standing == Standing::Satisfied {
            return Ok(Ok(asked.inputs));
        }
        // What was skipped hands on what it was skipped for.
        Ok(Err(why.clone().unwrap_or_else(|| parent.broken(dependency, asked.trouble))))
    }
}

/// Work for a runner, which goes into the queue once all it waits for is there and asks nothing else.
fn is_plain(task: &Task) -> bool {
    task.work.is_executed() && task.condition.is_none()
}

/// All of a wave's children that are plain work: those that have come to their end by it.
async fn release_work(tx: &mut Tx, wave: &mut Wave, children: Vec<store::Waiting>) -> Result<Vec<Ended>> {
    let now = tx.now();
    let (mut ends, mut facts, mut changed, mut counted, mut held) = (vec![], vec![], vec![], vec![], vec![]);
    for store::Waiting { task, mut waiting_for, edges } in children {
        let mut given = Inputs::new();
        let mut broken = None;
        for dependency in &edges {
            match wave.ask(tx, dependency).await? {
                Ok(inputs) => {
                    waiting_for -= 1;
                    given.extend(inputs);
                    held.extend((dependency.on != On::Success).then_some((task.id, dependency.task)));
                }
                Err(why) => {
                    broken = Some(why);
                    break;
                }
            }
        }
        if let Some(broken) = broken {
            let child = task.parent_ended(Parents::Failed(broken.clone()), now)?;
            facts.push(Fact::of(&child, EventKind::TaskEnded { state: child.state.name(), reason: child.state.reason() }));
            changed.push(ChangedRow::of(&child).given(given));
            ends.push((edge::Parent::of(&child), Some(broken.and_so(&child))));
        } else if waiting_for > 0 {
            counted.push((task.id, waiting_for, given));
        } else {
            let child = task.parent_ended(Parents::AllSucceeded, now)?;
            facts.push(Fact::of(&child, EventKind::TaskReleased { state: child.state.name() }));
            changed.push(ChangedRow::of(&child).given(given).waiting(0));
        }
    }
    store::satisfy_all(tx, &held).await?;
    store::count_down(tx, &counted).await?;
    store::save_all(tx, &changed).await?;
    tx.record_all(&facts).await?;
    Ok(ends)
}

/// One child of one parent. It is read anew: what follows from another one may have reached it already.
async fn release_one(tx: &mut Tx, wave: &mut Wave, parent: TaskId, child: TaskId) -> Result<Option<Ended>> {
    let Some(waiting) = store::lock_waiting(tx, &[parent], Some(child)).await?.pop() else { return Ok(None) };
    let store::Waiting { task: mut child, waiting_for, edges } = waiting;
    let Some(dependency) = edges.first() else { return Ok(None) };
    let (child, broken) = match wave.ask(tx, dependency).await? {
        Ok(inputs) => {
            let waiting_for = waiting_for - 1;
            store::satisfy(tx, child.id, dependency, &inputs).await?;
            child.inputs.extend(inputs);
            let parent = &wave.ends[wave.places[&parent]].0;
            let child = match (child.opened, waiting_for) {
                (true, _) => group::member_ended(tx, child, parent, waiting_for).await?,
                (false, 0) => open::arrived(tx, child).await?,
                (false, _) => {
                    store::set_waiting(tx, child.id, waiting_for).await?;
                    child
                }
            };
            (child, None)
        }
        Err(broken) => {
            let child = child.parent_ended(Parents::Failed(broken.clone()), tx.now())?;
            store::save(tx, &child).await?;
            record_end(tx, &child).await?;
            let broken = broken.and_so(&child);
            (child, Some(broken))
        }
    };
    Ok(child.state.is_final().then(|| (edge::Parent::of(&child), broken)))
}

/// All that a task waits for is there, and it is work for a runner.
pub(super) async fn queue(tx: &mut Tx, child: Task) -> Result<Task> {
    let child = child.parent_ended(Parents::AllSucceeded, tx.now())?;
    store::save_all(tx, &[ChangedRow::of(&child).waiting(0)]).await?;
    tx.record(child.workspace_id, child.id, &EventKind::TaskReleased { state: child.state.name() }).await?;
    Ok(child)
}
