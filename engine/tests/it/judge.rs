//! A judge that is a task chooses among candidates whose checks passed.

use domain::{
    CheckStatus,
    protocol::Assignment,
    workflow::{RestartRun, RunState, RunView},
};
use engine::{Error, testing::report};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::workflow::World;

fn source(more: &str) -> String {
    format!(
        "
name: best
repository: /srv/app
parameters: {{goal: {{default: speed}}}}
steps:
  - id: try
    prompt: Try ${{{{ candidate }}}}
    max_attempts: 1
    checks: [{{kind: git_clean}}]
    candidates:
      count: 3
      judge:
        task:
          prompt: 'For ${{{{ goal }}}}: ${{{{ candidates }}}}'
          max_attempts: 1
          checks: [{{kind: git_clean}}]
          {more}
  - {{id: use, inputs: {{winner: {{from: try, pointer: /output/winner}}, branch: {{from: try, pointer: /branch}}}}, command: x}}
"
    )
}

impl World {
    /// The candidates end: those whose number is named pass, with their number as output.
    async fn candidates_end(&self, passed: &[usize]) -> Vec<Assignment> {
        let claimed = self.runner.claims(3).await;
        assert_eq!(claimed.len(), 3);
        for (index, assignment) in claimed.iter().enumerate() {
            if passed.contains(&(index + 1)) {
                self.succeeds_with(assignment, Some(json!({"tried": index + 1}))).await;
            } else {
                self.runner.fails(assignment).await.unwrap();
            }
        }
        claimed
    }

    /// The judge is asked, and answers this.
    async fn judged(&self, answer: Value) -> Assignment {
        let judge = self.runner.claims_one().await;
        assert_eq!(judge.title, "Judge of try");
        self.succeeds_with(&judge, Some(answer)).await;
        judge
    }

    async fn output(&self, run: &RunView) -> Value {
        let group = self.step(run, "try").await;
        self.test.engine.get_task(&self.ada, group).await.unwrap().output.unwrap_or_default()
    }

    async fn reason(&self, run: &RunView, key: &str) -> String {
        self.look(run).await.steps.into_iter().find(|step| step.key == key).unwrap().reason.unwrap_or_default()
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_judge_sees_those_that_passed_and_names_one(pool: PgPool) {
    let world = World::new(&pool).await;
    let run = world.begun(&source(""), json!({})).await;
    let tried = world.candidates_end(&[1, 3]).await;
    assert!(world.states(&run).await.contains(&"try[judge] queued".to_owned()), "{:?}", world.states(&run).await);
    let judge = world.judged(json!({"winner": 3, "reason": "It is shorter"})).await;
    let shown = judge.inputs["candidates"].as_array().unwrap().clone();
    assert_eq!(shown.iter().map(|one| one["number"].clone()).collect::<Vec<_>>(), [json!(1), json!(3)], "one that failed is not shown");
    assert_eq!((&shown[1]["output"], &shown[1]["task"]), (&json!({"tried": 3}), &json!(tried[2].attempt.task_id)));
    assert_eq!(shown[1]["branch"], "muster/test-1");
    assert_eq!(shown[1]["checks"], json!([{"kind": "git_clean", "target": null, "required": true, "status": "passed"}]));
    let domain::Work::Prompt(prompt) = &judge.work else { panic!("{:?}", judge.work) };
    assert!(prompt.starts_with("For speed: [{"), "{prompt}");

    let output = world.output(&run).await;
    assert_eq!(
        (&output["winner"], &output["by"], &output["why"]),
        (&json!(3), &json!("judge"), &json!("the judge named it: It is shorter"))
    );
    assert_eq!(output["judge"], json!(world.step(&run, "try[judge]").await), "and it can be looked at");
    let group = world.step(&run, "try").await;
    let line = "Candidate 3 chosen: the judge named it: It is shorter".to_owned();
    assert!(world.test.timeline(&world.ada, group).await.contains(&line));
    let used = world.runner.claims_one().await;
    assert_eq!(used.inputs.get("winner"), Some(&json!(3)));
    world.succeeds_with(&used, None).await;
    assert_eq!(world.state(&run).await, RunState::Succeeded);
    let looked = world.look(&run).await;
    assert_eq!(looked.steps.len(), 6, "all of them stay");
    let column = |key: &str| looked.drawing.nodes.iter().find(|node| node.key == key).unwrap().column;
    assert_eq!(["try[1]", "try[judge]", "try", "use"].map(column), [0, 1, 2, 3]);

    let again = world.test.engine.restart_run(&world.ada, run.summary.id, RestartRun { from: Some("use".into()) }).await.unwrap();
    assert_eq!(again.steps.iter().filter(|step| step.reused).count(), 5, "the judge is taken over with the others");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_judge_is_not_asked_when_there_is_nothing_to_choose(pool: PgPool) {
    let world = World::new(&pool).await;
    let run = world.begun(&source(""), json!({})).await;
    world.candidates_end(&[2]).await;
    let output = world.output(&run).await;
    assert_eq!((&output["winner"], &output["by"]), (&json!(2), &json!("only")));
    assert_eq!(output["why"], "it was the only one of 3 that passed");
    world.all_succeed(&[]).await;
    assert_eq!(world.state(&run).await, RunState::Succeeded);

    let run = world.begun(&source(""), json!({})).await;
    world.candidates_end(&[]).await;
    assert!(world.runner.claims(10).await.is_empty());
    assert_eq!(world.reason(&run, "try").await, "none of 3 candidates succeeded");
    assert_eq!(world.state(&run).await, RunState::Failed);
    assert!(!world.states(&run).await.iter().any(|state| state.starts_with("try[judge]")));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn whoever_failed_cannot_be_named(pool: PgPool) {
    let world = World::new(&pool).await;
    let run = world.begun(&source(""), json!({})).await;
    world.candidates_end(&[1, 3]).await;
    world.judged(json!({"winner": 2})).await;
    assert!(world.states(&run).await.contains(&"try failed".to_owned()), "{:?}", world.states(&run).await);
    let reason = world.reason(&run, "try").await;
    assert_eq!(reason, "no candidate was chosen, as the judge “Judge of try” named 2, which is none of those that passed (1, 3)");
    assert_eq!(world.state(&run).await, RunState::Failed);

    let run = world.begun(&source("otherwise: first"), json!({})).await;
    world.candidates_end(&[2, 3]).await;
    world.judged(json!({"best": "all of them"})).await;
    let output = world.output(&run).await;
    assert_eq!((&output["winner"], &output["by"]), (&json!(2), &json!("otherwise")));
    assert!(output["why"].as_str().unwrap().ends_with("so the first of those that passed was taken"), "{output}");
    world.all_succeed(&[]).await;
    assert_eq!(world.state(&run).await, RunState::Succeeded);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_judge_is_verified_like_any_task(pool: PgPool) {
    let world = World::new(&pool).await;
    let run = world.begun(&source(""), json!({})).await;
    world.candidates_end(&[1, 2, 3]).await;
    let judge = world.runner.claims_one().await;
    world.runner.starts(judge.attempt).await.unwrap();
    world.runner.verifies(judge.attempt).await.unwrap();
    let failed = domain::protocol::AttemptReport { output: Some(json!(1)), ..report(&judge, CheckStatus::Failed) };
    world.runner.reports(judge.attempt, failed).await.unwrap();
    assert!(world.reason(&run, "try").await.starts_with("no candidate was chosen, as the judge “Judge of try” ended failed"));
    assert_eq!(world.output(&run).await, Value::Null, "what it said does not count");

    let run = world.begun(&source("otherwise: first"), json!({})).await;
    world.candidates_end(&[1, 2, 3]).await;
    let judge = world.runner.claims_one().await;
    world.runner.fails(&judge).await.unwrap();
    assert_eq!(world.output(&run).await["winner"], 1);
    world.all_succeed(&[]).await;
    assert_eq!(world.state(&run).await, RunState::Succeeded, "a judge that failed is no failure of the run");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_run_that_is_cancelled_while_it_judges_ends(pool: PgPool) {
    let world = World::new(&pool).await;
    let run = world.begun(&source(""), json!({})).await;
    world.candidates_end(&[1, 2]).await;
    world.test.engine.cancel_run(&world.ada, run.summary.id).await.unwrap();
    assert!(world.runner.claims(10).await.is_empty());
    assert_eq!(world.state(&run).await, RunState::Cancelled);
    let judge = world.step(&run, "try[judge]").await;
    let kept = world.test.engine.get_task(&world.ada, judge).await.unwrap();
    assert_eq!(kept.depends_on.len(), 2, "it shows what it was to judge");
    assert!(matches!(world.changes(&run, "add: [{id: more, command: x}]").await, Err(Error::Conflict(_))));
}
