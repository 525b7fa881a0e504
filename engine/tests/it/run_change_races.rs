//! What happens at the moment in which a run is changed. As in `races`, the rounds are real concurrency on real connections.

use domain::{
    TaskStateName,
    protocol::Assignment,
    workflow::{GateAnswer, RunState, RunView},
};
use engine::Error;
use futures::future::join_all;
use serde_json::json;
use sqlx::PgPool;

use crate::{races::rounds, workflow::World};

async fn state(world: &World, run: &RunView, key: &str) -> TaskStateName {
    world.look(run).await.steps.iter().find(|step| step.key == key).unwrap().state
}

async fn released(world: &World, run: &RunView, key: &str) -> usize {
    let task = world.step(run, key).await;
    world.test.timeline(&world.ada, task).await.into_iter().filter(|line| line.starts_with("Dependencies done")).count()
}

fn named<'a>(claimed: &'a [Assignment], title: &str) -> &'a Assignment {
    claimed.iter().find(|one| one.title == title).unwrap()
}

/// Both parents end while one of the two edges is cut: the child starts once, or was skipped before the change came.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_need_that_goes_while_it_is_met_counts_once(pool: PgPool) {
    let world = World::new(&pool).await;
    let source = "
name: cut
repository: /srv/app
steps:
  - {id: a, command: x, max_attempts: 1}
  - {id: b, command: x, max_attempts: 1}
  - {id: c, needs: [{step: a, on: ON}, b], command: x}
";
    for round in 0..rounds() {
        let on = if round % 3 == 2 { "end" } else { "success" };
        let run = world.begun(&source.replace("ON", on), json!({})).await;
        let claimed = world.runner.claims(2).await;
        let (a, b) = (named(&claimed, "a"), named(&claimed, "b"));
        let fails = round % 2 == 1;
        let end_of_a = async { if fails { world.runner.fails(a).await } else { world.runner.succeeds(a).await } };
        let (first, second, changed) =
            tokio::join!(end_of_a, world.runner.succeeds(b), world.changes(&run, "rewire: [{step: c, needs: [b]}]"));
        first.unwrap();
        second.unwrap();
        let expected = match &changed {
            Ok(_) => TaskStateName::Queued,
            // it was skipped before, and with it the run may have come to its end
            Err(Error::Invalid(_) | Error::Conflict(_)) if fails && on == "success" => TaskStateName::Skipped,
            Err(error) => panic!("round {round}: {error:?}"),
        };
        assert_eq!(state(&world, &run, "c").await, expected, "round {round}: {changed:?}");
        assert_eq!(released(&world, &run, "c").await, usize::from(expected == TaskStateName::Queued), "round {round}");
        world.all_succeed(&[]).await;
    }
}

/// A need comes while the only other one is met: the child waits for the new one, whichever was first.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_need_that_comes_while_another_is_met_is_waited_for(pool: PgPool) {
    let world = World::new(&pool).await;
    let source = "
name: tie
repository: /srv/app
steps:
  - {id: a, command: x}
  - {id: b, command: x}
  - {id: c, needs: [a], command: x}
";
    for round in 0..rounds() {
        let run = world.begun(source, json!({})).await;
        let claimed = world.runner.claims(2).await;
        let change = "add: [{id: d, needs: [b], command: x}]\nrewire: [{step: c, needs: [a, b, {step: d, on: end}]}]";
        let (ended, changed) = tokio::join!(world.runner.succeeds(named(&claimed, "a")), world.changes(&run, change));
        ended.unwrap();
        changed.unwrap();
        assert_eq!(state(&world, &run, "c").await, TaskStateName::Blocked, "round {round}");
        assert!(world.runner.claims(5).await.is_empty(), "round {round}");
        world.runner.succeeds(named(&claimed, "b")).await.unwrap();
        let next = world.runner.claims(5).await;
        assert_eq!(next.iter().map(|one| one.title.as_str()).collect::<Vec<_>>(), ["d"], "round {round}");
        world.runner.succeeds(&next[0]).await.unwrap();
        assert_eq!(world.runner.claims_one().await.title, "c", "round {round}");
    }
}

/// A queued step is taken by a runner while it is removed: one of the two is refused.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_step_is_removed_or_begins_but_not_both(pool: PgPool) {
    let world = World::new(&pool).await;
    let source = "{name: pick, repository: /srv/app, steps: [{id: a, command: x}, {id: b, approval: {}}]}";
    for round in 0..rounds() {
        let run = world.begun(source, json!({})).await;
        let (claimed, changed) = tokio::join!(world.runner.claims(1), world.changes(&run, "remove: [a]"));
        match changed {
            Ok(_) => assert!(claimed.is_empty() && world.runner.claims(1).await.is_empty(), "round {round}"),
            Err(Error::Invalid(invalid)) => {
                assert_eq!((claimed.len(), invalid.errors[0].code.as_str()), (1, "begun"), "round {round}");
                world.runner.succeeds(&claimed[0]).await.unwrap();
            }
            Err(error) => panic!("round {round}: {error:?}"),
        }
        let gate = world.step(&run, "b").await;
        world.test.engine.approve_task(&world.ada, gate, GateAnswer::default()).await.unwrap();
        assert_eq!(world.state(&run).await, RunState::Succeeded, "round {round}");
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn two_changes_close_no_cycle_together(pool: PgPool) {
    let world = World::new(&pool).await;
    let source = "
name: ring
repository: /srv/app
steps:
  - {id: gate, approval: {}}
  - {id: a, needs: [gate], command: x}
  - {id: b, needs: [gate], command: x}
  - {id: c, needs: [gate], command: x}
";
    for round in 0..rounds() {
        let run = world.begun(source, json!({})).await;
        let change = |step: &str, needs: &str| format!("rewire: [{{step: {step}, needs: [gate, {needs}]}}]");
        let changes = [change("a", "b"), change("b", "c"), change("c", "a")];
        let made = join_all(changes.iter().map(|source| world.changes(&run, source))).await;
        let refused = made.iter().filter(|one| matches!(one, Err(Error::Invalid(_)))).count();
        assert_eq!((refused, made.iter().filter(|one| one.is_ok()).count()), (1, 2), "round {round}: {made:?}");
        assert_eq!(world.look(&run).await.changes.len(), 2, "round {round}");
    }
}

/// A gate is passed, a group expands and its members end, the run is changed and cancelled, all at once.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_run_that_is_changed_and_cancelled_while_it_moves_comes_to_its_end(pool: PgPool) {
    let world = World::new(&pool).await;
    let source = "
name: busy
repository: /srv/app
steps:
  - {id: each, matrix: {n: [1, 2, 3]}, command: x, max_attempts: 1}
  - {id: ask, approval: {}}
  - {id: after, needs: [ask, {step: each, on: end}], matrix: {n: [1, 2]}, command: x}
  - {id: last, needs: [{step: after, on: end}], command: x}
";
    let change = "
add: [{id: more, needs: [{step: each, on: end}], matrix: {n: [1, 2]}, command: x}]
remove: [last]
rewire: [{step: after, needs: [ask, {step: more, on: end}]}]
";
    for round in 0..rounds() {
        let run = world.begun(source, json!({})).await;
        let gate = world.step(&run, "ask").await;
        let claimed = world.runner.claims(3).await;
        assert_eq!(claimed.len(), 3, "round {round}");
        let ends = join_all(claimed.iter().enumerate().map(async |(index, assignment)| match (index + round) % 3 {
            0 => world.runner.fails(assignment).await,
            _ => world.runner.succeeds(assignment).await,
        }));
        let approves = world.test.engine.approve_task(&world.ada, gate, GateAnswer::default());
        let cancels =
            async { if round % 2 == 0 { world.test.engine.cancel_run(&world.ada, run.summary.id).await.map(drop) } else { Ok(()) } };
        let (ended, passed, changed, cancelled) = tokio::join!(ends, approves, world.changes(&run, change), cancels);
        for one in ended {
            assert!(matches!(one, Ok(()) | Err(Error::StaleLease)), "round {round}: {one:?}");
        }
        assert!(matches!(passed, Ok(_) | Err(Error::Conflict(_))), "round {round}: {passed:?}");
        assert!(matches!(changed, Ok(_) | Err(Error::Conflict(_) | Error::Invalid(_))), "round {round}: {changed:?}");
        cancelled.unwrap();
        world.test.keep_time().await;
        world.all_succeed(&[]).await;
        let looked = world.look(&run).await;
        assert!(looked.summary.state.is_final(), "round {round}: {:?}", world.states(&run).await);
        assert_eq!(looked.steps.iter().any(|step| step.key == "more"), changed.is_ok(), "round {round}");
        assert_eq!(looked.steps.iter().any(|step| step.removed), changed.is_ok(), "round {round}");
    }
}
