//! Where single creates meet. What comes while a transaction is at work is stored by the next one, all of it together: a sync of the
//! disk and a handful of statements serve many. Each is answered after the COMMIT, with what became of it alone.

use domain::{Actor, NewTask, TaskView, Work, WorkspaceId, account::SYSTEM, crash};

use super::{check_new, plant::plant, query, seed};
use crate::{
    Engine, Error, Result, idempotency,
    repository::Repositories,
    runner,
    together::{Asker, Rounds, Together, refuse},
    tx::Tx,
};

/// A task that somebody asks for; what can be checked without asking is right.
pub(crate) struct Asked {
    pub actor: Actor,
    pub new: NewTask,
    pub work: Work,
}

impl Asked {
    /// Whether it can neither wait for a lock of another task nor end at once.
    fn waits_for_nothing(&self) -> bool {
        self.new.depends_on.is_empty() && self.new.when.is_none()
    }

    /// Bytes, as far as they matter to a statement that stores many.
    fn weight(&self) -> usize {
        serde_json::to_vec(&self.new).map_or(0, |json| json.len())
    }
}

pub(crate) type Intake = Together<WorkspaceId, Asked, TaskView>;

impl Engine {
    /// Together with others when it waits for nothing, else in a transaction of its own.
    pub(crate) async fn take_in(&self, asked: Asked) -> Result<TaskView> {
        let workspace = asked.actor.workspace_id;
        if asked.waits_for_nothing() {
            let weight = asked.weight();
            return self.intake.ask(&self.undisturbed, (workspace, asked, weight), |rounds| self.clone().take_many_in(rounds)).await;
        }
        let mut tx = self.begin_in(workspace, asked.actor.label()).await?;
        let mut outcomes = store(&mut tx, &[&asked]).await?;
        let view = outcomes.pop().unwrap_or_else(|| Err(missing()))?;
        tx.commit(view).await
    }

    async fn take_many_in(self, mut rounds: Rounds<WorkspaceId, Asked, TaskView>) {
        while !rounds.are_over() {
            // whoever comes during the BEGIN is taken along
            let begun = self.begin_in(rounds.key, SYSTEM.to_owned()).await;
            let askers = rounds.take();
            match begun {
                Ok(tx) => self.store_together(rounds.key, tx, askers).await,
                Err(error) => refuse(askers, error),
            }
        }
    }

    /// In this transaction. When it fails for any other reason than a database that cannot be reached, each half is stored in one of
    /// its own, and so on, until what cannot be stored is alone.
    async fn store_together(&self, workspace: WorkspaceId, tx: Tx, askers: Vec<Asker<Asked, TaskView>>) {
        let mut first = Some(tx);
        let mut parts = vec![askers];
        while let Some(mut part) = parts.pop() {
            let tx = match first.take() {
                Some(tx) => Ok(tx),
                None => self.begin_in(workspace, SYSTEM.to_owned()).await,
            };
            let outcomes = match tx {
                Ok(tx) => store_or_undo(tx, part.iter().map(|asker| &asker.question).collect()).await,
                Err(error) => Err(error),
            };
            let outcomes = match outcomes {
                // From here on nothing is tried again: it may be stored even when nobody says so.
                Ok((tx, outcomes)) => {
                    crash::point("answer.kept");
                    let committed = tx.commit(outcomes).await;
                    crash::point("answer.committed");
                    committed
                }
                Err(error) if part.len() > 1 && !matches!(error, Error::Unavailable(_)) => {
                    let rest = part.split_off(part.len() / 2);
                    parts.extend([rest, part]);
                    continue;
                }
                Err(error) => Err(error),
            };
            match outcomes {
                Ok(outcomes) => part.into_iter().zip(outcomes).for_each(|(asker, outcome)| asker.answer(outcome)),
                Err(error) => refuse(part, error),
            }
        }
    }
}

/// As [`store`]. What it has locked is free again when it fails.
async fn store_or_undo(mut tx: Tx, asked: Vec<&Asked>) -> Result<(Tx, Vec<Result<TaskView>>)> {
    match store(&mut tx, &asked).await {
        Ok(outcomes) => Ok((tx, outcomes)),
        Err(error) => {
            tx.rollback().await?;
            Err(error)
        }
    }
}

/// Stores tasks of one workspace, and keeps the answers to requests that name themselves. What is wrong with one is its own outcome,
/// and nothing of it is stored; an error of the database is one of all.
async fn store(tx: &mut Tx, asked: &[&Asked]) -> Result<Vec<Result<TaskView>>> {
    let now = tx.now();
    let actors: Vec<_> = asked.iter().map(|one| &one.actor).collect();
    let mut outcomes = idempotency::claim(tx, &actors, now).await?;
    for (one, outcome) in asked.iter().zip(&mut outcomes).filter(|(_, outcome)| outcome.is_ok()) {
        *outcome = own_error(check_new(tx, &one.new).await)?;
    }
    let good: Vec<_> = asked.iter().zip(&outcomes).filter(|(_, outcome)| outcome.is_ok()).map(|(one, _)| *one).collect();
    let mut views = store_good(tx, &good).await?.into_iter();
    Ok(outcomes.into_iter().map(|outcome| outcome.and_then(|()| views.next().ok_or_else(missing))).collect())
}

fn missing() -> Error {
    Error::inconsistent("task", "that was just stored", "it is not there")
}

/// Tells the errors of what was asked from those of the database.
fn own_error(result: Result<()>) -> Result<Result<()>> {
    match result {
        Err(error @ (Error::Unavailable(_) | Error::Database(_) | Error::Inconsistent { .. })) => Err(error),
        own => Ok(own),
    }
}

async fn store_good(tx: &mut Tx, asked: &[&Asked]) -> Result<Vec<TaskView>> {
    let Some(workspace) = asked.first().map(|one| one.actor.workspace_id) else { return Ok(vec![]) };
    let now = tx.now();
    let mut known = Repositories::default();
    let mut named = vec![];
    for one in asked {
        named.push(one.new.repository.trim());
        named.extend(one.new.repositories.iter().map(|beside| beside.url.trim()));
    }
    known.find_all(tx, workspace, named, now).await?;
    let mut seeds = Vec::with_capacity(asked.len());
    for one in asked {
        let repository = known.find(tx, workspace, one.new.repository.trim(), now).await?;
        seeds.push(seed(&one.actor, one.new.clone(), one.work.clone(), repository, now));
    }
    let tasks = plant(tx, seeds).await?;
    let mut labels: Vec<_> = tasks.iter().map(|task| task.created_by.clone()).collect();
    labels.sort_unstable();
    labels.dedup();
    let names = query::names_of(tx, labels).await?;
    let runners = runner::at_hand(tx).await?;
    let mut views = Vec::with_capacity(asked.len());
    for (one, task) in asked.iter().zip(tasks) {
        let name = names.get(&task.created_by).unwrap_or(&task.created_by).clone();
        views.push(match one.waits_for_nothing() {
            true => query::fresh_view(task, &one.new, name, &runners),
            false => query::view(tx, task.id).await?,
        });
    }
    let answers: Vec<_> = asked.iter().zip(&views).map(|(one, view)| (&one.actor, view)).collect();
    idempotency::keep(tx, &answers).await?;
    Ok(views)
}
