//! A runner that dies when its work has ended: at each of the places between its last word and the moment at which nothing of it is left. The
//! result is kept, and no work that has come to its end is done again.

use std::collections::BTreeMap;

use anyhow::ensure;
use domain::{TaskId, crash};
use serde_json::json;
use sqlx::PgPool;

use crate::{
    api::Api,
    check::{self, Outcome, Violation},
    ledger, t1,
    work::{Seen, WorkEntry},
    world::{Setup, World},
};

const RUNNER: usize = 0;
/// For each place. The runner dies with the first or second of them, so that another one is left for its next life.
const TASKS: usize = 3;

pub async fn run(seed: u64) -> anyhow::Result<Outcome> {
    let world = World::create(Setup { slots: [0, 0], far: [1, 0], ..Setup::default() }).await?;
    let pool = PgPool::connect(world.database_url()).await?;
    let mut violations = vec![];
    for place in crash::LAST_WORD_POINTS {
        let died = world.died();
        // nothing is left for it to do
        world.kill_runner(RUNNER).await?;
        world.start_runner(RUNNER, Some(&format!("{place}:{}", 1 + seed % 2))).await?;
        hand_in(&world, place).await?;
        t1::settle(&world, &pool).await?;
        if world.died() == died {
            violations.push(format!("the runner did not come by {place}"));
        }
    }
    violations.extend(check::violations(&world, &pool).await?);
    violations.extend(done_again(&world)?);
    pool.close().await;
    check::judged(&world, format!("a death at each of {} places", crash::LAST_WORD_POINTS.len()), violations).await
}

async fn hand_in(world: &World, place: &str) -> anyhow::Result<()> {
    let program = std::env::current_exe()?;
    let api = Api::new(world)?;
    for number in 0..TASKS {
        let task = json!({
            "title": format!("Task {number}"),
            "correlation_id": format!("{place} {number}"),
            "repository": world.machine.repository(),
            "command": format!("'{}' work '{}' --takes 100", program.display(), world.ledgers.display()),
        });
        let answer = api.post(&world.direct[RUNNER].to_string(), "/api/v1/tasks", &task, None).await?;
        ensure!(answer.is_success(), "a task was not taken: {}", answer.text);
    }
    Ok(())
}

fn done_again(world: &World) -> anyhow::Result<Vec<Violation>> {
    let entries: Vec<WorkEntry> = ledger::read(&world.ledgers.join("work"))?;
    let mut ended = BTreeMap::<TaskId, usize>::new();
    for entry in entries.iter().filter(|entry| entry.seen == Seen::End) {
        *ended.entry(entry.task).or_default() += 1;
    }
    let wanted = TASKS * crash::LAST_WORD_POINTS.len();
    let mut found: Vec<_> =
        ended.iter().filter(|(_, times)| **times > 1).map(|(task, times)| format!("the work of {task} was done {times} times")).collect();
    if ended.len() != wanted {
        found.push(format!("the work of {} tasks was done, of {wanted}", ended.len()));
    }
    Ok(found)
}
