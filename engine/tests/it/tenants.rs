//! The database keeps workspaces apart, whatever the code above it does.

use domain::{ArtifactId, TaskFilter, TaskId};
use engine::{Error, testing::TestEngine};
use sqlx::{PgPool, Row};

use crate::scenario::{after, checked};

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn every_table_of_a_workspace_is_kept_apart(pool: PgPool) {
    let tables = sqlx::query(
        "select c.relname as name, c.relrowsecurity and c.relforcerowsecurity as forced,
                (select count(*) from pg_policy where polrelid = c.oid) as policies
         from pg_class c join pg_namespace n on n.oid = c.relnamespace and n.nspname = 'public'
         where c.relkind in ('r', 'p')
           and exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'workspace_id' and not a.attisdropped)
         order by 1",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert!(tables.len() >= 10, "the catalogue was read");
    for table in tables {
        let name: String = table.get("name");
        assert!(table.get::<bool, _>("forced"), "{name} does not force row-level security");
        assert_eq!(table.get::<i64, _>("policies"), 2, "{name} has other policies than tenant and system");
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_roles_own_nothing_and_bypass_nothing(pool: PgPool) {
    let roles = sqlx::query(
        "select rolname as name, rolsuper or rolbypassrls or rolcreaterole or rolcanlogin as mighty,
                (select count(*) from pg_class where relowner = pg_roles.oid) as owned
         from pg_roles where rolname in ('muster_app', 'muster_system')",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(roles.len(), 2);
    for role in roles {
        assert!(!role.get::<bool, _>("mighty") && role.get::<i64, _>("owned") == 0, "{}", role.get::<String, _>("name"));
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_statement_without_a_workspace_fails(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    test.create(&ada, checked("one")).await;
    let mut connection = pool.acquire().await.unwrap();
    sqlx::query("set role muster_app").execute(&mut *connection).await.unwrap();
    for table in ["task", "event", "repository", "member", "workspace", "saved_view"] {
        let sql = sqlx::AssertSqlSafe(format!("select 1 from {table}"));
        assert!(sqlx::query(sql).fetch_all(&mut *connection).await.is_err(), "{table} answers without a workspace");
    }
    // Also on a connection on which one was set before.
    sqlx::query("begin").execute(&mut *connection).await.unwrap();
    sqlx::query("select set_config('muster.workspace_id', $1, true)")
        .bind(ada.workspace_id.to_string())
        .execute(&mut *connection)
        .await
        .unwrap();
    let seen = sqlx::query("select 1 from task").fetch_all(&mut *connection).await.unwrap();
    assert_eq!(seen.len(), 1);
    sqlx::query("commit").execute(&mut *connection).await.unwrap();
    assert!(sqlx::query("select 1 from task").fetch_all(&mut *connection).await.is_err(), "it lasts no longer than its transaction");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn passwords_and_sessions_are_out_of_reach_of_a_workspace(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let mut connection = pool.acquire().await.unwrap();
    sqlx::query("set role muster_app").execute(&mut *connection).await.unwrap();
    for sql in [
        "select password_hash from \"user\"",
        "select hash from api_key",
        "select 1 from session",
        "select 1 from owner_setup",
        "delete from event",
        "delete from task",
    ] {
        sqlx::query("begin").execute(&mut *connection).await.unwrap();
        sqlx::query("select set_config('muster.workspace_id', $1, true)")
            .bind(ada.workspace_id.to_string())
            .execute(&mut *connection)
            .await
            .unwrap();
        let error = sqlx::query(sql).fetch_all(&mut *connection).await.expect_err(sql);
        assert!(error.to_string().contains("permission denied"), "{sql}: {error}");
        sqlx::query("rollback").execute(&mut *connection).await.unwrap();
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_strangers_task_is_like_one_that_does_not_exist(pool: PgPool) {
    let test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let stranger = test.stranger().await;
    let task = test.create(&ada, checked("secret")).await;
    let runner = test.runner("r1").await;
    let assignment = runner.claims_one().await;
    runner.starts(assignment.attempt).await.unwrap();
    runner.logs(assignment.attempt, 0, "secret").await.unwrap();
    let before = test.engine.get_task(&ada, task.summary.id).await.unwrap();
    let random = TaskId(uuid::Uuid::from_u128(1));

    // Each act says the same about a foreign task as about none, but for the id that was asked for.
    async fn answers(test: &TestEngine, who: &domain::Actor, id: TaskId) -> Vec<String> {
        let engine = &test.engine;
        let said = [
            engine.get_task(who, id).await.err(),
            engine.cancel_task(who, id).await.err(),
            engine.retry_task(who, id).await.err(),
            engine.task_events(who, id).await.err(),
            engine.task_log(who, id, 0).await.err(),
            engine.task_diffs(who, id, 1).await.err(),
            engine.task_state(who, id).await.err(),
            engine.add_dependencies(who, id, &[]).await.err(),
            engine.create_task(who, domain::NewTask { depends_on: vec![id.into()], ..checked("x") }).await.err(),
        ];
        said.into_iter().map(|error| format!("{:?}", error.expect("refused")).replace(&id.to_string(), "ID")).collect()
    }
    let foreign = answers(&test, &stranger, task.summary.id).await;
    assert_eq!(foreign, answers(&test, &stranger, random).await);
    assert!(foreign.iter().take(8).all(|said| said.starts_with("NotFound")), "{foreign:?}");
    assert!(matches!(test.engine.artifact(&stranger, ArtifactId(uuid::Uuid::from_u128(1))).await, Err(Error::NotFound { .. })));

    assert_eq!(test.engine.list_tasks(&stranger, TaskFilter::default()).await.unwrap().items, []);
    assert!(test.engine.overview(&stranger).await.unwrap().counts.iter().all(|count| count.tasks == 0));
    assert_eq!(test.engine.list_repositories(&stranger).await.unwrap(), []);
    assert_eq!(test.engine.get_task(&ada, task.summary.id).await.unwrap(), before, "nothing has changed");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_follower_hears_of_its_own_workspace_alone(pool: PgPool) {
    let mut test = TestEngine::new(&pool).await;
    let ada = test.owner().await;
    let stranger = test.stranger().await;
    test.tail().await;
    let mut stream = test.engine.follow_events(&stranger, None).await.unwrap();
    let secret = test.create(&ada, checked("secret")).await;
    test.create(&ada, after("more", &[&secret])).await;
    let own = test.create(&stranger, checked("own")).await.summary.id;
    let heard = async {
        loop {
            tokio::select! {
                event = stream.next() => return event.unwrap(),
                () = test.tail() => {}
            }
        }
    };
    assert_eq!(heard.await.task_id, own);
}
