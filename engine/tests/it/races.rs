//! What happens at the same moment: parents that end together, edges that would close a cycle together. `MUSTER_RACE_ROUNDS` says how
//! often; the rounds are real concurrency on real connections, so more rounds find more.

use domain::{
    NewTask, TaskId, TaskStateName,
    task::{Dependency, On},
    workflow::{GateAnswer, NewRun, RunState, SaveWorkflow},
};
use engine::{Error, testing::TestEngine};
use futures::future::join_all;
use sqlx::PgPool;

use crate::scenario::checked;

pub fn rounds() -> usize {
    std::env::var("MUSTER_RACE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_child_starts_once_however_its_parents_end_together(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let runner = test.runner("ci").await;
    for round in 0..rounds() {
        let count = 2 + round % 7;
        let fails = |index: usize| round % 3 == 1 && index == 0;
        let parents: Vec<TaskId> = join_all((0..count).map(|index| {
            let new = NewTask { max_attempts: 1, ..checked(&format!("parent {index}")) };
            test.create(&ada, new)
        }))
        .await
        .into_iter()
        .map(|task| task.summary.id)
        .collect();
        let after = |on: On| NewTask {
            depends_on: parents.iter().map(|id| Dependency { on: on.clone(), ..(*id).into() }).collect(),
            ..checked("child")
        };
        let on_success = test.create(&ada, after(On::Success)).await.summary.id;
        let on_end = test.create(&ada, after(On::End)).await.summary.id;
        let on_condition = test.create(&ada, after(On::Condition("result.exit_code == 0".into()))).await.summary.id;
        let claimed = runner.claims(count).await;
        assert_eq!(claimed.len(), count, "round {round}");
        let ends = claimed.iter().enumerate().map(async |(index, assignment)| match fails(index) {
            true => runner.fails(assignment).await,
            false => runner.succeeds(assignment).await,
        });
        for ended in join_all(ends).await {
            ended.unwrap();
        }
        let state = async |id: TaskId| test.engine.task_state(&ada, id).await.unwrap();
        let expected = if (0..count).any(fails) { TaskStateName::Skipped } else { TaskStateName::Queued };
        assert_eq!(state(on_success).await, expected, "round {round}, on success");
        assert_eq!(state(on_end).await, TaskStateName::Queued, "round {round}, on end");
        // a command that fails here has an exit code as well, so each of them meets the condition
        assert_eq!(state(on_condition).await, TaskStateName::Queued, "round {round}, on a condition");
        for child in [on_success, on_end, on_condition] {
            let released = test.timeline(&ada, child).await.into_iter().filter(|line| line.starts_with("Dependencies done")).count();
            let skipped = state(child).await == TaskStateName::Skipped;
            assert_eq!(released, usize::from(!skipped), "round {round}: released once, or never when it was skipped");
        }
        for assignment in runner.claims(10).await {
            runner.succeeds(&assignment).await.unwrap();
        }
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn no_cycle_is_closed_by_edges_of_several_kinds_at_once(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    for round in 0..rounds() {
        let count = 2 + round % 4;
        let tasks = join_all((0..count).map(|index| test.create(&ada, checked(&format!("{round} {index}"))))).await;
        let ids: Vec<_> = tasks.iter().map(|task| task.summary.id).collect();
        // each wants to wait for the next one, the last for the first
        let edges: Vec<_> = (0..count)
            .map(|index| {
                let on = if index % 2 == 0 { On::End } else { On::Success };
                (ids[index], [Dependency { on, ..ids[(index + 1) % count].into() }])
            })
            .collect();
        let added = join_all(edges.iter().map(|(id, on)| test.engine.add_dependencies(&ada, *id, on))).await;
        let refused = added.iter().filter(|result| matches!(result, Err(Error::Invalid(_)))).count();
        assert_eq!((refused, added.iter().filter(|result| result.is_ok()).count()), (1, count - 1), "round {round}: {added:?}");
    }
}

/// A gate is passed, members of a group end, and a run is cancelled, all at once: nothing is stuck, and the run comes to an end.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_run_that_is_cancelled_while_it_moves_comes_to_its_end(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let runner = test.runner("ci").await;
    let source = "
name: busy
repository: /srv/app
steps:
  - {id: each, matrix: {n: [1, 2, 3]}, command: x, max_attempts: 1}
  - {id: ask, approval: {}}
  - {id: after, needs: [ask, {step: each, on: end}], matrix: {n: [1, 2]}, command: x}
  - {id: last, needs: [{step: after, on: end}], command: x}
";
    test.engine.save_workflow(&ada, SaveWorkflow { source: source.into() }).await.unwrap();
    for round in 0..rounds() {
        let run = test.engine.start_run(&ada, "busy", NewRun::default()).await.unwrap();
        let id = run.summary.id;
        let gate = run.steps.iter().find(|step| step.key == "ask").unwrap().task;
        let claimed = runner.claims(3).await;
        assert_eq!(claimed.len(), 3, "round {round}");
        let ends = async {
            let ends = claimed.iter().enumerate().map(async |(index, assignment)| match (index + round) % 3 {
                0 => runner.fails(assignment).await,
                _ => runner.succeeds(assignment).await,
            });
            join_all(ends).await
        };
        let (ended, passed, cancelled) =
            tokio::join!(ends, test.engine.approve_task(&ada, gate, GateAnswer::default()), test.engine.cancel_run(&ada, id));
        for one in ended {
            assert!(matches!(one, Ok(()) | Err(Error::StaleLease)), "round {round}: {one:?}");
        }
        assert!(matches!(passed, Ok(_) | Err(Error::Conflict(_))), "round {round}: {passed:?}");
        cancelled.unwrap();
        test.keep_time().await;
        let given: Vec<_> = runner.claims(10).await.into_iter().map(|assignment| assignment.title).collect();
        assert_eq!(given, Vec::<String>::new(), "round {round}: nothing of a cancelled run is given to a runner");
        let state = test.engine.get_run(&ada, id).await.unwrap().summary.state;
        assert!(matches!(state, RunState::Cancelled | RunState::Failed | RunState::Succeeded), "round {round}: {state:?}");
    }
}
