//! What the database alone could do: the statements that any queue in Postgres needs, one round trip each, without HTTP, sign-in, a
//! protocol or a program around them. pgbench runs them.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, ensure};
use sqlx::{Connection, PgConnection};
use tokio::process::Command;

use crate::{
    cluster::Cluster,
    sizes::{BATCH, BATCH_CLIENTS, CLIENTS, Sizes},
    throughput::Throughput,
};

const TABLES: &str = "
    create table bare_task (
      id uuid primary key, workspace_id uuid not null, repository_id uuid not null, title text not null, command text not null,
      state text not null, priority text not null, attempts int not null default 0, turn bigint generated always as identity,
      runner int, created_at timestamptz not null, claimed_at timestamptz, ended_at timestamptz
    ) with (fillfactor = 70);
    create index bare_task_claim on bare_task (turn) where state = 'queued';
    create index bare_task_running on bare_task (runner) where state = 'running';
    create table bare_event (
      id bigint generated always as identity primary key, task_id uuid not null, number int not null, kind text not null,
      payload jsonb not null, at timestamptz not null, unique (task_id, number)
    );";

pub async fn measure(cluster: &Cluster, sizes: Sizes) -> anyhow::Result<Throughput> {
    let pgbench = Pgbench { url: cluster.database("bare").await?, folder: cluster.folder(), cluster, time: sizes.rate };
    let mut connection = PgConnection::connect(&pgbench.url).await?;
    sqlx::raw_sql(TABLES).execute(&mut connection).await?;
    connection.close().await?;
    let creates = pgbench.run("create", &create(1), CLIENTS).await?;
    let batch_creates = pgbench.run("create-batch", &create(BATCH), BATCH_CLIENTS).await? * BATCH as f64;
    let lives = pgbench.run("life", &life(1), CLIENTS).await?;
    let batch_lives = pgbench.run("life-batch", &life(BATCH), BATCH_CLIENTS).await? * BATCH as f64;
    Ok(Throughput { creates, lives, batch_creates, batch_lives })
}

struct Pgbench<'a> {
    url: String,
    folder: &'a Path,
    cluster: &'a Cluster,
    time: Duration,
}

impl Pgbench<'_> {
    /// How often the script is run each second, on empty tables.
    async fn run(&self, name: &str, script: &str, clients: usize) -> anyhow::Result<f64> {
        let mut connection = PgConnection::connect(&self.url).await?;
        sqlx::raw_sql("truncate bare_task, bare_event").execute(&mut connection).await?;
        connection.close().await?;
        self.cluster.settle(&self.url).await?;
        let file = self.folder.join(format!("{name}.sql"));
        fs::write(&file, script)?;
        let seconds = self.time.as_secs().to_string();
        let mut command = Command::new("pgbench");
        command.args(["--no-vacuum", "--protocol", "prepared", "--jobs", "2", "--client", &clients.to_string(), "--time", &seconds]);
        let output = command.arg("--file").arg(&file).arg(&self.url).output().await.context("pgbench cannot be run")?;
        let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "pgbench failed: {errors}");
        let line = text.lines().find_map(|line| line.strip_prefix("tps = ")).with_context(|| format!("pgbench says no figure: {text}"))?;
        Ok(line.split(' ').next().unwrap_or_default().parse()?)
    }
}

fn create(count: usize) -> String {
    format!(
        "with task as (
           insert into bare_task (id, workspace_id, repository_id, title, command, state, priority, created_at)
           select gen_random_uuid(), '00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000002', 'Measured', 'true',
                  'queued', 'normal', now()
           from generate_series(1, {count}) returning id
         )
         insert into bare_event (task_id, number, kind, payload, at)
         select id, 1, 'task_created', '{{\"kind\": \"task_created\", \"state\": \"queued\"}}', now() from task;\n"
    )
}

/// Creating, claiming and completing, each in a transaction of its own.
fn life(count: usize) -> String {
    let create = create(count);
    format!(
        "{create}
         with next as (select id from bare_task where state = 'queued' order by turn limit {count} for update skip locked),
         taken as (
           update bare_task set state = 'running', attempts = attempts + 1, runner = :client_id, claimed_at = now()
           from next where bare_task.id = next.id returning bare_task.id
         )
         insert into bare_event (task_id, number, kind, payload, at)
         select id, 2, 'attempt_claimed', '{{\"kind\": \"attempt_claimed\", \"attempt\": 1}}', now() from taken;
         with done as (
           update bare_task set state = 'succeeded', ended_at = now() where state = 'running' and runner = :client_id returning id
         )
         insert into bare_event (task_id, number, kind, payload, at)
         select id, 3, 'task_ended', '{{\"kind\": \"task_ended\", \"state\": \"succeeded\"}}', now() from done;\n"
    )
}
