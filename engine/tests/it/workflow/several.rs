//! Steps that become several tasks, and what goes on from several results.

use domain::{agent::words::PROMPTS, protocol::AttemptReport, repository::SEVERAL, task::RepositoryResult, workflow::RunState};
use engine::testing::report;
use serde_json::json;
use sqlx::PgPool;

use super::{World, stopped};

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_matrix_and_a_list_become_several_tasks(pool: PgPool) {
    let source = "
name: several
repository: /srv/app
steps:
  - {id: list, command: x}
  - {id: test, needs: [list], matrix: {os: [linux, mac]}, title: 'Test on ${{ os }}', command: x}
  - {id: file, for_each: {in: files}, inputs: {files: {from: list, pointer: /output/files}}, command: x}
  - {id: sum, needs: [test], inputs: {all: {from: file}}, command: x}
";
    let world = World::new(&pool).await;
    let run = world.begun(source, json!({})).await;
    world.succeeds_with(&world.runner.claims_one().await, Some(json!({"files": ["a", "b", "c"]}))).await;
    assert_eq!(
        world.states(&run).await,
        [
            "list succeeded",
            "test blocked",
            "file blocked",
            "sum blocked",
            "test[os=linux] queued",
            "test[os=mac] queued",
            "file[0] queued",
            "file[1] queued",
            "file[2] queued"
        ]
    );
    let claimed = world.runner.claims(10).await;
    let titles: Vec<_> = claimed.iter().map(|one| one.title.as_str()).collect();
    assert_eq!(titles, ["Test on linux", "Test on mac", "file [0]", "file [1]", "file [2]"]);
    for one in &claimed {
        let item = one.inputs.get("item").cloned();
        world.succeeds_with(one, item).await;
    }
    let sum = world.runner.claims_one().await;
    assert_eq!(sum.inputs.get("all"), Some(&json!(["a", "b", "c"])), "the outputs in the order of the list");
    world.succeeds_with(&sum, None).await;
    assert_eq!(world.state(&run).await, RunState::Succeeded);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_group_fails_with_its_members_and_cannot_become_what_is_no_list(pool: PgPool) {
    let source = "
name: several
repository: /srv/app
parameters: {items: {type: list, default: [1, 2]}}
steps:
  - {id: each, for_each: {in: items}, command: x, max_attempts: 1}
  - {id: word, command: x}
  - {id: none, for_each: {in: list}, inputs: {list: {from: word}}, command: x}
  - {id: after, needs: [each], command: x}
";
    let world = World::new(&pool).await;
    let run = world.begun(source, json!({})).await;
    let claimed = world.runner.claims(10).await;
    for one in &claimed {
        match one.title.as_str() {
            "each [0]" => world.runner.fails(one).await.unwrap(),
            _ => world.succeeds_with(one, Some(json!("just a word"))).await,
        }
    }
    let looked = world.look(&run).await;
    let reason = |key: &str| looked.steps.iter().find(|step| step.key == key).unwrap().reason.clone().unwrap();
    assert_eq!(reason("each"), "1 of 2 did not succeed: “each [0]” failed");
    assert_eq!(reason("none"), "“list” is not a list");
    assert_eq!(looked.summary.state, RunState::Failed);
    // an empty list is done at once
    let empty = world.begun(source, json!({"items": []})).await;
    assert!(world.states(&empty).await.contains(&"after queued".to_owned()));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn of_several_candidates_the_first_or_the_best_is_chosen(pool: PgPool) {
    let source = |judge: &str| {
        format!(
            "
name: best
repository: /srv/app
steps:
  - {{id: try, prompt: 'Try ${{{{ candidate }}}}', candidates: {{count: 3{judge}}}, max_attempts: 1}}
  - {{id: use, inputs: {{winner: {{from: try}}}}, base_ref: '${{{{ branch }}}}', needs: [try], command: x}}
"
        )
        .replace("winner: {from: try}", "winner: {from: try, pointer: /output/winner}, branch: {from: try, pointer: /branch}")
    };
    let world = World::new(&pool).await;
    let run = world.begun(&source(", judge: {score: result.output.score}"), json!({})).await;
    let claimed = world.runner.claims(10).await;
    assert_eq!(claimed[1].work, domain::Work::Prompt("Try 2".into()));
    world.succeeds_with(&claimed[0], Some(json!({"score": 1}))).await;
    world.runner.fails(&claimed[2]).await.unwrap();
    assert!(world.states(&run).await.contains(&"try blocked".to_owned()), "it waits for all of them");
    world.succeeds_with(&claimed[1], Some(json!({"score": 2}))).await;
    let used = world.runner.claims_one().await;
    assert_eq!(used.inputs.get("winner"), Some(&json!(2)));
    assert_eq!(used.base_ref.as_deref(), Some("muster/test-1"), "it goes on from the winner's branch");
    world.succeeds_with(&used, None).await;
    // a candidate that lost is no failure of the run
    assert_eq!(world.state(&run).await, RunState::Succeeded);

    let run = world.begun(&source(""), json!({})).await;
    let claimed = world.runner.claims(10).await;
    world.runner.starts(claimed[0].attempt).await.unwrap();
    world.succeeds_with(&claimed[1], None).await;
    assert!(world.states(&run).await.contains(&"use queued".to_owned()), "the first is enough");
    world.test.keep_time().await;
    let (held, cancel) = world.runner.renews(claimed[0].attempt).await.unwrap();
    assert!(held && cancel, "the others are stopped");
    world.runner.reports(claimed[0].attempt, stopped(&claimed[0])).await.unwrap();
    world.runner.reports(claimed[2].attempt, stopped(&claimed[2])).await.unwrap();
    world.all_succeed(&[]).await;
    assert_eq!(world.state(&run).await, RunState::Succeeded);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_follows_goes_on_in_every_repository(pool: PgPool) {
    let source = |candidates: &str| {
        format!(
            "
name: both
repository: /srv/app
steps:
  - {{id: make, prompt: Make it, repositories: [{{url: /srv/api}}, {{url: /srv/web}}]{candidates}}}
  - id: use
    inputs:
      api: {{from: make, pointer: /repositories/api/branch}}
      commit: {{from: make, pointer: /repositories/api/commit}}
      web: {{from: make, pointer: /repositories/web/commit}}
      own: {{from: make, pointer: /commit}}
    repositories: [{{url: /srv/api, base_ref: '${{{{ api }}}}'}}]
    command: x
"
        )
    };
    let mut world = World::new(&pool).await;
    world.runner = world.test.runner_with("both", &[SEVERAL, PROMPTS]).await;
    for candidates in ["", ", candidates: {count: 2}"] {
        let run = world.begun(&source(candidates), json!({})).await;
        let made = world.runner.claims_one().await;
        let result = |folder: &str, commit: Option<&str>| RepositoryResult {
            folder: folder.into(),
            base_commit: "0123456789abcdef".into(),
            branch: commit.map(|_| "muster/api-1".into()),
            commit: commit.map(str::to_owned),
        };
        let repositories = vec![result("api", Some("a111111111")), result("web", None)];
        world.runner.starts(made.attempt).await.unwrap();
        world.runner.verifies(made.attempt).await.unwrap();
        let passed = report(&made, domain::CheckStatus::Passed);
        world.runner.reports(made.attempt, AttemptReport { repositories, ..passed }).await.unwrap();
        let used = world.runner.claims(9).await.into_iter().find(|one| one.title == "use").unwrap();
        let of = |name: &str| used.inputs.get(name).cloned();
        assert_eq!([of("api"), of("commit")], [Some(json!("muster/api-1")), Some(json!("a111111111"))], "{candidates}");
        assert_eq!([of("web"), of("own")], [Some(json!(null)), Some(json!("fedcba9876543210"))], "{candidates}");
        assert_eq!(used.repositories[0].base_ref.as_deref(), Some("muster/api-1"));
        let group = world.step(&run, "make").await;
        let output = world.test.engine.get_task(&world.ada, group).await.unwrap().output.unwrap_or_default();
        let chosen = json!({"api": {"branch": "muster/api-1", "commit": "a111111111"}, "web": {"branch": null, "commit": null}});
        assert_eq!(output.get("repositories"), (!candidates.is_empty()).then_some(&chosen));
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_group_whose_turn_comes_while_its_run_is_being_cancelled_is_cancelled(pool: PgPool) {
    const SOURCE: &str = "{name: fan, repository: /srv/app, steps: [
        {id: list, command: x}, {id: each, command: x, inputs: {items: {from: list, pointer: /output}}, for_each: {in: items}}, {id: last, needs: [each], command: x}]}";
    let world = World::new(&pool).await;
    let run = world.begun(SOURCE, json!({})).await;
    let list = world.runner.claims_one().await;
    // what a server leaves behind that dies before it has come to the first task
    sqlx::query("update workflow_run set cancelled_by = 'ada', cancelling_since = now()").execute(&pool).await.unwrap();
    world.succeeds_with(&list, Some(json!(["one", "two"]))).await;
    assert_eq!(world.states(&run).await, ["list succeeded", "each cancelled", "last skipped"]);
    world.test.keep_time().await;
    assert_eq!(world.state(&run).await, RunState::Cancelled);
    assert_eq!(world.test.timeline(&world.ada, world.step(&run, "each").await).await.last().unwrap(), "Ended cancelled");
}
