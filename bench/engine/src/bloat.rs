//! What a long transaction does to the tables: while one is open nothing that was updated can be cleaned away, so the hot rows of the queue
//! leave their old versions behind. Measured: how soon tasks are claimed meanwhile, and how much the tables grow for each task, beside the
//! same pace without it.

use std::time::Duration;

use sqlx::{Connection, PgConnection};

use crate::{
    cluster::Cluster,
    figures::Figure,
    latency::{self, Latency},
    load::introduce,
    server_process::{RUNNERS, ServerProcess},
};

pub const TASKS_PER_SECOND: u32 = 300;
/// Without the transaction, to compare with: as long as it takes for a figure, and no longer.
const STEADY_AT_MOST: Duration = Duration::from_mins(5);
/// Tables that every task writes to.
const TABLES: [&str; 3] = ["task", "attempt", "event"];

/// Bytes of a table and of its indexes.
#[derive(Clone, Copy, Debug)]
struct Size {
    table: i64,
    indexes: i64,
}

impl Size {
    fn total(self) -> f64 {
        (self.table + self.indexes) as f64
    }
}

pub async fn figures(cluster: &Cluster, time: Duration) -> anyhow::Result<Vec<Figure>> {
    let url = cluster.database("muster_bloat").await?;
    let server = ServerProcess::start(&url, RUNNERS, cluster.folder()).await?;
    introduce(cluster, &url, &server).await?;
    let mut sql = PgConnection::connect(&url).await?;
    let steady_time = time.min(STEADY_AT_MOST);
    eprintln!("  bloat: {} s without a long transaction", steady_time.as_secs());
    let (at_first, first_tasks) = (sizes(&mut sql).await?, tasks(&mut sql).await?);
    let steady = latency::measure_at(&server, steady_time, TASKS_PER_SECOND).await?;
    let (before, tasks_before) = (sizes(&mut sql).await?, tasks(&mut sql).await?);

    eprintln!("  bloat: {} s with one open", time.as_secs());
    let long = hold_back_cleaning(&url).await?;
    let during = latency::measure_at(&server, time, TASKS_PER_SECOND).await?;
    let (after, tasks_after) = (sizes(&mut sql).await?, tasks(&mut sql).await?);
    long.close().await?;
    sqlx::raw_sql("vacuum task, attempt, event").execute(&mut sql).await?;
    let cleaned = sizes(&mut sql).await?;
    server.stop().await?;
    sql.close().await?;

    for ((name, before), (after, cleaned)) in TABLES.iter().zip(&before).zip(after.iter().zip(&cleaned)) {
        let megabytes = |size: &Size| format!("{:.1} + {:.1} MB", size.table as f64 / 1e6, size.indexes as f64 / 1e6);
        eprintln!(
            "  bloat: {name}, table + indexes: {} before, {} after, {} once it was over and cleaned",
            megabytes(before),
            megabytes(after),
            megabytes(cleaned)
        );
    }
    let mut figures = latencies(steady, during, time);
    for (index, table) in TABLES.iter().enumerate() {
        let grown = |from: &[Size], to: &[Size], tasks: i64| (to[index].total() - from[index].total()) / tasks.max(1) as f64;
        let calm = grown(&at_first, &before, tasks_before - first_tasks);
        let held = grown(&before, &after, tasks_after - tasks_before);
        let name = |what: &str| format!("{what}, {TASKS_PER_SECOND} tasks/s");
        figures.push(Figure::below(name(&format!("{table} and its indexes for each task, cleaning held back")), "kB", held / 1000.0));
        figures.push(Figure::below(name(&format!("{table} beside steady")), "times", held / calm).goal(3.0));
    }
    Ok(figures)
}

fn latencies(steady: Latency, during: Latency, time: Duration) -> Vec<Figure> {
    let name = |what: &str| format!("accepted to given to a runner, {what}, {TASKS_PER_SECOND} tasks/s");
    let held = |part: &str| name(&format!("{part}, a transaction open for {} s", time.as_secs()));
    vec![
        Figure::below(name("p50"), "ms", steady.accepted_p50),
        Figure::below(name("p99"), "ms", steady.accepted_p99),
        Figure::below(held("p50"), "ms", during.accepted_p50),
        Figure::below(held("p99"), "ms", during.accepted_p99).goal(50.0),
    ]
}

/// A transaction that has looked once and stays open: nothing that it could still see is cleaned away.
async fn hold_back_cleaning(url: &str) -> anyhow::Result<PgConnection> {
    let mut connection = PgConnection::connect(url).await?;
    // one that is idle would be ended after a minute; a backup, which is not, is what this stands for
    sqlx::raw_sql("set idle_in_transaction_session_timeout = 0; begin isolation level repeatable read; select count(*) from task")
        .execute(&mut connection)
        .await?;
    Ok(connection)
}

async fn sizes(sql: &mut PgConnection) -> anyhow::Result<Vec<Size>> {
    let mut sizes = vec![];
    for table in TABLES {
        let (table, indexes): (i64, i64) =
            sqlx::query_as("select pg_table_size($1::regclass), pg_indexes_size($1::regclass)").bind(table).fetch_one(&mut *sql).await?;
        sizes.push(Size { table, indexes });
    }
    Ok(sizes)
}

async fn tasks(sql: &mut PgConnection) -> anyhow::Result<i64> {
    Ok(sqlx::query_scalar("select count(*) from task").fetch_one(sql).await?)
}
