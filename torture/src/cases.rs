//! What suites have in common that hand in one task for each of their cases.

use std::{fs, process::Command, time::Duration};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use sqlx::{PgPool, Row};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{api::Api, world::World};

/// The server that is asked.
pub const SERVER: usize = 0;
/// The runner elsewhere behind it, which does the work.
pub const RUNNER: usize = 0;

/// A task of this name, with one attempt unless it says otherwise.
pub async fn hand_in(world: &World, name: &str, more: Value) -> anyhow::Result<Uuid> {
    let mut task = json!({"title": name, "correlation_id": name, "repository": world.machine.repository(), "max_attempts": 1});
    if let (Some(task), Value::Object(more)) = (task.as_object_mut(), more) {
        task.extend(more);
    }
    let answer = Api::new(world)?.post(&world.direct[SERVER].to_string(), "/api/v1/tasks", &task, None).await?;
    answer.id().parse().with_context(|| format!("{name} was not taken: {}", answer.text))
}

pub async fn cancel(world: &World, task: Uuid) -> anyhow::Result<()> {
    let path = format!("/api/v1/tasks/{task}/cancel");
    let answer = Api::new(world)?.post(&world.direct[SERVER].to_string(), &path, &json!({}), None).await?;
    ensure!(answer.is_success(), "{task} was not cancelled: {}", answer.text);
    Ok(())
}

/// How an attempt ended.
#[derive(Debug)]
pub struct Ended {
    pub attempt: Uuid,
    pub state: String,
    /// Of its failure: the code, and what it says.
    pub code: String,
    pub why: String,
}

pub async fn attempt_ended(pool: &PgPool, task: Uuid, number: i32, within: Duration) -> anyhow::Result<Ended> {
    let statement = "select id, state, coalesce(failure ->> 'code', ''), coalesce(failure ->> 'message', '') from attempt
                     where task_id = $1 and number = $2 and ended_at is not null";
    let until = Instant::now() + within;
    loop {
        if let Some(row) = sqlx::query(statement).bind(task).bind(number).fetch_optional(pool).await? {
            return Ok(Ended { attempt: row.try_get(0)?, state: row.try_get(1)?, code: row.try_get(2)?, why: row.try_get(3)? });
        }
        ensure!(Instant::now() < until, "attempt {number} of {task} did not end");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Once it has ended.
pub async fn task_state(pool: &PgPool, task: Uuid, within: Duration) -> anyhow::Result<String> {
    let until = Instant::now() + within;
    loop {
        let state = "select state from task where id = $1 and ended_at is not null";
        if let Some(state) = sqlx::query_scalar(state).bind(task).fetch_optional(pool).await? {
            return Ok(state);
        }
        ensure!(Instant::now() < until, "task {task} did not end");
        sleep(Duration::from_millis(50)).await;
    }
}

/// All of its log, or one of its streams.
pub async fn log(pool: &PgPool, task: Uuid, stream: Option<&str>) -> anyhow::Result<String> {
    let statement = "select content from log_chunk where task_id = $1 and ($2::text is null or stream = $2) order by start";
    let pieces: Vec<Vec<u8>> = sqlx::query_scalar(statement).bind(task).bind(stream).fetch_all(pool).await?;
    Ok(String::from_utf8_lossy(&pieces.concat()).into_owned())
}

/// Commits files to the repository that tasks name, on the branch that is checked out there.
pub fn commit(world: &World, files: &[(&str, &str)], message: &str) -> anyhow::Result<()> {
    let repository = world.machine.repository();
    for (name, content) in files {
        fs::write(repository.join(name), content)?;
    }
    git(world, &["add", "."])?;
    git(
        world,
        &["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgSign=false", "commit", "--quiet", "-m", message],
    )?;
    Ok(())
}

/// In the repository that tasks name.
pub fn git(world: &World, arguments: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git").arg("-C").arg(world.machine.repository()).args(arguments).output()?;
    ensure!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// As one word of a shell's command.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
