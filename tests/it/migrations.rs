//! Migrations, with rows in the tables while they run.

use std::fs;

use engine::MIGRATOR;
use sqlx::{PgConnection, PgPool, Row, migrate::Migrate};

/// Models, input, cached, output and cost in micro-dollars.
type UsedOfModels = (Vec<String>, i64, i64, i64, Option<i64>);

/// Rows as they were before the migration after this one; every migration that makes a table has some.
fn rows_after(version: i64) -> Option<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/data/migrations");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let file = files.into_iter().find(|path| path.file_name().unwrap().to_string_lossy().starts_with(&version.to_string()))?;
    Some(fs::read_to_string(file).unwrap())
}

/// An owner of the database as others have one: no superuser, so that row-level security holds for migrations too.
async fn make_ordinary_owner(connection: &mut PgConnection) -> String {
    let name: String = sqlx::query_scalar("select 'owner_of_' || current_database()").fetch_one(&mut *connection).await.unwrap();
    let statements = format!(
        r#"do $$ begin create role muster_app nologin; exception when duplicate_object or unique_violation then null; end $$;
           do $$ begin create role muster_system nologin; exception when duplicate_object or unique_violation then null; end $$;
           create role "{name}" createrole noinherit;
           grant muster_app, muster_system to "{name}" with admin option;
           grant create on schema public to "{name}";"#
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(statements)).execute(connection).await.unwrap();
    name
}

/// As if it had signed in, so that `reset role` leads back to it and not to the tests' superuser.
async fn act_as(connection: &mut PgConnection, owner: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("set session authorization \"{owner}\""))).execute(connection).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn every_migration_runs_over_the_rows_of_the_ones_before(pool: PgPool) {
    let mut connection = pool.acquire().await.unwrap();
    let owner = make_ordinary_owner(&mut connection).await;
    act_as(&mut connection, &owner).await;
    connection.ensure_migrations_table("_sqlx_migrations").await.unwrap();
    for migration in MIGRATOR.iter() {
        act_as(&mut connection, &owner).await;
        connection.apply("_sqlx_migrations", migration).await.unwrap_or_else(|error| panic!("{}: {error}", migration.description));
        sqlx::raw_sql("reset session authorization").execute(&mut *connection).await.unwrap();
        let makes_a_table = migration.sql.as_str().contains("create table");
        match rows_after(migration.version) {
            Some(rows) => {
                let rows = sqlx::AssertSqlSafe(rows);
                sqlx::raw_sql(rows).execute(&mut *connection).await.unwrap_or_else(|error| panic!("{}: {error}", migration.description));
            }
            None => assert!(!makes_a_table, "{} makes a table, so it needs rows in tests/data/migrations", migration.description),
        }
    }
    let empty: Vec<String> = sqlx::query(
        "select relname from pg_stat_user_tables
         where relname <> '_sqlx_migrations' and (xpath('/row/c/text()', query_to_xml(format('select count(*) as c from %I', relname), false, true, '')))[1]::text = '0'",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap()
    .into_iter()
    .map(|row| row.get("relname"))
    .collect();
    assert_eq!(empty, Vec::<String>::new(), "tables without rows");
    let pulls = "select model, state from endpoint_pull where id <> '00000000-0000-7000-8000-000000000b06' order by id";
    let pulls: Vec<(String, String)> = sqlx::query_as(pulls).fetch_all(&mut *connection).await.unwrap();
    let pulls: Vec<_> = pulls.iter().map(|(model, state)| (model.as_str(), state.as_str())).collect();
    let whole = [
        ("tiny:1b", "waiting"),
        ("LLaMA3:latest", "cancelled"),
        ("llama3:latest", "pulling"),
        ("hub.example.org:5000/me/tiny:latest", "done"),
    ];
    assert_eq!(pulls, whole, "a model is pulled once, however it was named");
    let waits: String =
        sqlx::query_scalar("select model_pull::text from task where model_pull is not null").fetch_one(&mut *connection).await.unwrap();
    assert_eq!(waits, "00000000-0000-7000-8000-000000000b04", "who waited for the one waits for the other");
    // filled apart from where the table is made, which would keep attempts waiting for all that is read
    let used = "select models, input, cached, output, cost_micros from attempt_usage order by by_judges";
    let used: Vec<UsedOfModels> = sqlx::query_as(used).fetch_all(&mut *connection).await.unwrap();
    let told = [(vec!["opus".to_owned()], 70, 0, 7, None), (vec!["sonnet".to_owned()], 1200, 200, 34, Some(50_000))];
    assert_eq!(used, told, "what sessions had told before is known, and nothing else");
    // roles belong to the cluster and would outlive the database
    let tidy = format!(r#"reassign owned by "{owner}" to current_user; drop owned by "{owner}"; drop role "{owner}";"#);
    sqlx::raw_sql(sqlx::AssertSqlSafe(tidy)).execute(&mut *connection).await.unwrap();
}

#[sqlx::test(migrations = false)]
async fn migrating_twice_changes_nothing(pool: PgPool) {
    MIGRATOR.run(&pool).await.unwrap();
    MIGRATOR.run(&pool).await.unwrap();
    let applied: i64 = sqlx::query("select count(*) as n from _sqlx_migrations where success").fetch_one(&pool).await.unwrap().get("n");
    assert_eq!(applied, MIGRATOR.iter().count() as i64);
}
