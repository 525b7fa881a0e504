//! Whether work runs in sandboxes: who says so, and what runners are told.

use domain::{Actor, ActorKind, Isolation, Permission, Role};
use engine::{Error, testing::TestEngine};
use sqlx::PgPool;

use crate::scenario::checked;

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn work_runs_in_sandboxes_until_an_owner_says_otherwise(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, runner) = (test.owner().await, test.runner("r1").await);
    let workspace = test.engine.identity(&ada).await.unwrap().workspace;
    assert_eq!((workspace.isolation, workspace.isolation_by), (Isolation::Sandbox, None));
    for title in ["first", "second", "third"] {
        test.create(&ada, checked(title)).await;
    }
    assert_eq!(runner.claims_one().await.isolation, Isolation::Sandbox);

    let changed = test.engine.set_isolation(&ada, Isolation::None).await.unwrap();
    assert_eq!((changed.isolation, changed.isolation_by), (Isolation::None, Some(ada.label())));
    let told = test.engine.set_isolation(&ada, Isolation::None).await.unwrap();
    assert_eq!(told.isolation_at, changed.isolation_at, "who says it again has not said it first");
    assert_eq!(test.engine.identity(&ada).await.unwrap().workspace, told);
    assert_eq!(runner.claims_one().await.isolation, Isolation::None);

    test.engine.set_isolation(&ada, Isolation::Sandbox).await.unwrap();
    assert_eq!(runner.claims_one().await.isolation, Isolation::Sandbox);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn nobody_else_says_it(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let (ada, eve) = (test.owner().await, test.stranger().await);
    for role in [Role::Admin, Role::Member, Role::Viewer] {
        let who = Actor::new(ada.workspace_id, ActorKind::ApiKey { id: domain::ApiKeyId(uuid::Uuid::from_u128(1)), role });
        let refused = test.engine.set_isolation(&who, Isolation::None).await;
        assert!(matches!(refused, Err(Error::Forbidden(domain::Forbidden(Permission::ChangeIsolation)))), "{role:?}: {refused:?}");
    }
    test.engine.set_isolation(&eve, Isolation::None).await.unwrap();
    assert_eq!(test.engine.identity(&ada).await.unwrap().workspace.isolation, Isolation::Sandbox, "another workspace is another's");
}
