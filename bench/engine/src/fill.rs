//! A table with many tasks in it that nobody may take: the queue of a paused repository.

use domain::TaskId;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Makes `rows` queued tasks like this one, which has ended, and pauses their repository. As the superuser, to whom neither row-level
/// security nor a time limit applies.
pub async fn with_waiting_tasks(database_url: &str, pattern: TaskId, rows: usize) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(database_url).await?;
    sqlx::query(
        "insert into queue_pause (workspace_id, repository_id, paused_by, paused_at)
         select workspace_id, repository_id, 'bench', now() from task where id = $1",
    )
    .bind(pattern.0)
    .execute(&mut connection)
    .await?;
    // What this crate knows of the table is only what makes a task a queued one; a column that is new is copied.
    let columns: Vec<String> = sqlx::query_scalar(
        "select attname::text from pg_attribute
         where attrelid = 'task'::regclass and attnum > 0 and not attisdropped and attgenerated = '' order by attnum",
    )
    .fetch_all(&mut connection)
    .await?;
    let values: Vec<_> = columns.iter().map(|column| value_of(column)).collect();
    let insert = format!(
        "insert into task ({}) select {} from task pattern cross join generate_series(1, {rows}) as number where pattern.id = '{pattern}'",
        columns.join(", "),
        values.join(", ")
    );
    sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut connection).await?;
    // As autovacuum would have done by and by.
    sqlx::raw_sql("vacuum analyze task").execute(&mut connection).await?;
    sqlx::raw_sql("checkpoint").execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// Of a queued task that is like the pattern.
fn value_of(column: &str) -> String {
    match column {
        // in the order of their numbers, as ids are in the order of their time
        "id" => "('00000000-0000-7000-8000-' || lpad(to_hex(number), 12, '0'))::uuid".to_owned(),
        "state" => "'queued'".to_owned(),
        "attempts" => "0".to_owned(),
        "ended_at" => "null".to_owned(),
        "queued_at" => "pattern.created_at".to_owned(),
        "turn" => "nextval('queue_turn')".to_owned(),
        other => format!("pattern.{other}"),
    }
}
