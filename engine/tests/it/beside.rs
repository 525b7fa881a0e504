//! Steps that work on several repositories: which may lie beside which is known for some only once a run begins.

use domain::{
    TaskState,
    workflow::{NewRun, RunFilter, SaveWorkflow},
};
use engine::Error;
use sqlx::PgPool;

use crate::workflow::World;

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn further_repositories_are_compared_with_the_one_that_a_run_is_given(pool: PgPool) {
    let world = World::new(&pool).await;
    // what the definition says itself is refused as it is saved
    let steps = "steps: [{id: make, command: x, repositories: [{url: /srv/api}]}]";
    let new = SaveWorkflow { source: format!("{{name: known, repository: /srv/./api, {steps}}}") };
    let Err(Error::Invalid(invalid)) = world.test.engine.save_workflow(&world.ada, new).await else { panic!("it is taken") };
    assert_eq!(invalid.errors[0].pointer, "/steps/0/repositories/0/url");

    let name = world.saved(&format!("{{name: anywhere, {steps}}}")).await;
    let begins = async |name: &str, repository: &str| {
        let new = NewRun { repository: Some(repository.into()), ..NewRun::default() };
        world.test.engine.start_run(&world.ada, name, new).await
    };
    for (repository, code) in [("/srv/api/", "duplicate"), ("https://example.org/app.git", "path_first")] {
        let Err(Error::Invalid(invalid)) = begins(&name, repository).await else { panic!("{repository} is taken") };
        let [error] = invalid.errors.as_slice() else { panic!("{invalid:?}") };
        assert_eq!((error.pointer.as_str(), error.code.as_str()), ("/repository", code));
        assert!(error.message.contains("step “make”"), "{}", error.message);
    }
    assert_eq!(world.test.engine.list_runs(&world.ada, RunFilter::default()).await.unwrap().items, []);
    begins(&name, "/srv/app").await.unwrap();

    // where nobody is there to be told, the step fails and says why
    let outer = world.saved("{name: outer, steps: [{id: sub, workflow: {name: anywhere}}, {id: other, command: x}]}").await;
    let run = begins(&outer, "https://example.org/app.git").await.unwrap();
    world.all_succeed(&[]).await;
    assert_eq!(world.states(&run).await, ["sub failed", "other succeeded"]);
    let failed = world.test.engine.get_task(&world.ada, world.step(&run, "sub").await).await.unwrap();
    let TaskState::Failed { failure, .. } = &failed.summary.state else { panic!("{failed:?}") };
    assert!(failure.message.contains("/steps/0/repositories/0/url is a path"), "{}", failure.message);
}
