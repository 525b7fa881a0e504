//! What happens at the same moment: parents that end together, edges that would close a cycle together. `MUSTER_RACE_ROUNDS` says how
//! often; the rounds are real concurrency on real connections, so more rounds find more.

use domain::{
    CheckStatus, NewTask, TaskId, TaskStateName,
    task::{Dependency, On},
    workflow::{GateAnswer, NewRun, RunState, SaveWorkflow},
};
use engine::{
    Error,
    testing::{TestEngine, Words, report},
};
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

/// Two runners say at the same moment that all they have has ended, some of it badly; the tasks that wait for it are the same ones, two
/// levels deep, and one of them is older than what it waits for. Nobody waits for the other for ever, and nothing is lost.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn batches_that_cross_on_the_same_children_do_not_wait_for_each_other(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let runners = [test.runner("r1").await, test.runner("r2").await];
    for round in 0..rounds() {
        let elder = test.create(&ada, checked("elder")).await.summary.id;
        let mut parents = vec![];
        for index in 0..8 {
            parents.push(test.create(&ada, NewTask { max_attempts: 1, ..checked(&format!("parent {index}")) }).await.summary.id);
        }
        let elder_waits: Vec<_> = parents.iter().map(|id| Dependency { on: On::End, ..(*id).into() }).collect();
        test.engine.add_dependencies(&ada, elder, &elder_waits).await.unwrap();
        let after = async |of: &[TaskId], on: On| {
            let depends_on = of.iter().map(|id| Dependency { on: on.clone(), ..(*id).into() }).collect();
            test.create(&ada, NewTask { depends_on, ..checked("child") }).await.summary.id
        };
        let mut children = vec![];
        for index in 0..4 {
            children.push(after(&parents, On::End).await);
            // of what fails in this round, and of what another batch has
            children.push(after(&[parents[index], parents[7 - index]], On::Success).await);
        }
        let last = [after(&children, On::End).await, after(&[children[1], children[5], elder], On::Success).await];
        let fails = |id: TaskId| round % 2 == 1 && (id == parents[0] || id == parents[5]);
        let claimed = runners[0].claims(4).await.into_iter().map(|one| (0, one));
        let mut claimed: Vec<_> = claimed.collect();
        claimed.extend(runners[1].claims(10).await.into_iter().map(|one| (1, one)));
        assert_eq!(claimed.len(), 8, "round {round}");
        let says = async |runner: usize| {
            let held = claimed.iter().filter(|(of, _)| *of == runner);
            let said: Vec<_> = held
                .flat_map(|(_, one)| {
                    let status = if fails(one.attempt.task_id) { CheckStatus::Failed } else { CheckStatus::Passed };
                    let last = Words::Report(Box::new(report(one, status)));
                    [(one.attempt, Words::Started), (one.attempt, Words::Verifying), (one.attempt, last)]
                })
                .collect();
            runners[runner].says_together(&said).await
        };
        // who wants to wait for a task that is about to end, and for an older one that waits for it
        let new = || NewTask { depends_on: vec![elder.into(), parents[7].into()], ..checked("new") };
        let creates = join_all((0..4).map(|_| test.engine.create_task(&ada, new())));
        let (first, second, created) = tokio::join!(says(0), says(1), creates);
        for outcome in first.into_iter().chain(second) {
            outcome.unwrap();
        }
        for one in created {
            one.unwrap();
        }
        let state = async |id: TaskId| test.engine.task_state(&ada, id).await.unwrap();
        for parent in &parents {
            let expected = if fails(*parent) { TaskStateName::Failed } else { TaskStateName::Succeeded };
            assert_eq!(state(*parent).await, expected, "round {round}");
        }
        assert_eq!(state(elder).await, TaskStateName::Queued, "round {round}");
        for (index, pair) in children.chunks(2).enumerate() {
            assert_eq!(state(pair[0]).await, TaskStateName::Queued, "round {round}, any end, {index}");
            let broken = fails(parents[index]) || fails(parents[7 - index]);
            let expected = if broken { TaskStateName::Skipped } else { TaskStateName::Queued };
            assert_eq!(state(pair[1]).await, expected, "round {round}, success, {index}");
        }
        let expected = if round % 2 == 1 { TaskStateName::Skipped } else { TaskStateName::Blocked };
        assert_eq!([state(last[0]).await, state(last[1]).await], [TaskStateName::Blocked, expected], "round {round}");
        for assignment in runners[0].claims(20).await {
            runners[0].succeeds(&assignment).await.unwrap();
        }
        for assignment in runners[0].claims(20).await {
            runners[0].succeeds(&assignment).await.unwrap();
        }
        assert_eq!(state(last[0]).await, TaskStateName::Succeeded, "round {round}: nothing is forgotten");
    }
    let deadlocks: i64 =
        sqlx::query_scalar("select deadlocks from pg_stat_database where datname = current_database()").fetch_one(&pool).await.unwrap();
    assert_eq!(deadlocks, 0);
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
