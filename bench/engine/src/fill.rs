//! A table with many tasks in it that nobody may take: the queue of a paused repository, or nodes that wait for one in it.

use domain::TaskId;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Makes `rows` queued tasks like this one, which has ended, and pauses their repository. As the superuser, to whom neither row-level
/// security nor a time limit applies.
pub async fn with_waiting_tasks(database_url: &str, pattern: TaskId, rows: usize) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(database_url).await?;
    copy(&mut connection, pattern, rows, value_of).await?;
    settle(connection).await
}

/// As [`with_waiting_tasks`], of which all but the first wait for the one before.
pub async fn with_waiting_nodes(database_url: &str, pattern: TaskId, rows: usize) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(database_url).await?;
    copy(&mut connection, pattern, rows, value_of_node).await?;
    let edges = format!(
        "insert into task_dependency (workspace_id, task_id, depends_on_id, on_kind, feeds, created_at)
         select workspace_id, {}, {}, 'success', '{{}}', created_at
         from task cross join generate_series(2, {rows}) as number where task.id = '{pattern}'",
        id_of("number"),
        id_of("number - 1")
    );
    sqlx::raw_sql(AssertSqlSafe(edges)).execute(&mut connection).await?;
    settle(connection).await
}

async fn copy(connection: &mut PgConnection, pattern: TaskId, rows: usize, value_of: fn(&str) -> String) -> anyhow::Result<()> {
    sqlx::query(
        "insert into queue_pause (workspace_id, repository_id, paused_by, paused_at)
         select workspace_id, repository_id, 'bench', now() from task where id = $1",
    )
    .bind(pattern.0)
    .execute(&mut *connection)
    .await?;
    // What this crate knows of the table is only what makes a task a queued one; a column that is new is copied.
    let columns: Vec<String> = sqlx::query_scalar(
        "select attname::text from pg_attribute
         where attrelid = 'task'::regclass and attnum > 0 and not attisdropped and attgenerated = '' order by attnum",
    )
    .fetch_all(&mut *connection)
    .await?;
    let values: Vec<_> = columns.iter().map(|column| value_of(column)).collect();
    let insert = format!(
        "insert into task ({}) select {} from task pattern cross join generate_series(1, {rows}) as number where pattern.id = '{pattern}'",
        columns.join(", "),
        values.join(", ")
    );
    sqlx::raw_sql(AssertSqlSafe(insert)).execute(connection).await?;
    Ok(())
}

/// As autovacuum would have done by and by.
async fn settle(mut connection: PgConnection) -> anyhow::Result<()> {
    for statement in ["vacuum analyze task", "vacuum analyze task_dependency", "checkpoint"] {
        sqlx::raw_sql(statement).execute(&mut connection).await?;
    }
    connection.close().await?;
    Ok(())
}

/// In the order of their numbers, as ids are in the order of their time.
fn id_of(number: &str) -> String {
    format!("('00000000-0000-7000-8000-' || lpad(to_hex({number}), 12, '0'))::uuid")
}

/// Of a node that waits for the one before; the first waits for a runner.
fn value_of_node(column: &str) -> String {
    let otherwise = match column {
        "state" => "'blocked'",
        "waiting_for" => "1",
        "queued_at" | "turn" => "null",
        _ => return value_of(column),
    };
    format!("case when number = 1 then {} else {otherwise} end", value_of(column))
}

/// Of a queued task that is like the pattern.
fn value_of(column: &str) -> String {
    match column {
        "id" => id_of("number"),
        "state" => "'queued'".to_owned(),
        "attempts" => "0".to_owned(),
        "ended_at" => "null".to_owned(),
        "queued_at" => "pattern.created_at".to_owned(),
        "turn" => "nextval('queue_turn')".to_owned(),
        other => format!("pattern.{other}"),
    }
}
