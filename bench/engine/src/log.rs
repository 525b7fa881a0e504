//! What work can write, and what becomes of it: more than a log holds without a newline, lines in bursts, and nearly as much as a log holds.
//! The server and its runner are processes of their own, and the work is in a sandbox. Unless every byte is stored or said to be left out,
//! there are no figures.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use domain::{TaskId, log::LOG_LIMIT};
use sqlx::{Connection, PgConnection, types::Json};
use tokio::time::{Instant, sleep};

use crate::{
    cluster::Cluster,
    figures::Figure,
    http_client::HttpClient,
    repository,
    runner_process::RunnerProcess,
    serve::now_nanos,
    server_process::ServerProcess,
    work::{self, Created},
    writer::{Amount, LINE, OUTPUT, PIPE, Wrote},
};

const MIB: usize = 1024 * 1024;
/// What is written first, so that both processes have what they always need: little, as what it fills is not seen to grow afterwards.
const FIRST: usize = 2 * MIB;
/// MB that a process may take more at most for all that comes after it.
const FLAT: f64 = 8.0;
/// Of what a log holds, more than Muster keeps for what it says itself.
const OWN: u64 = 1024 * 1024;
/// Of the pace that is asked for.
const KEPT: f64 = 0.98;
/// Between two looks at how much is stored.
const LOOK: Duration = Duration::from_millis(5);
/// Until work is given up that has to end.
const PATIENCE: Duration = Duration::from_secs(300);
const FILES: usize = 10;

struct Case {
    name: &'static str,
    database: &'static str,
    amount: Amount,
}

const CASES: [Case; 3] = [
    Case {
        name: "1 GiB without a newline",
        database: "muster_log_wide",
        amount: Amount { bytes: 1024 * MIB, lines: false, piece: PIPE, every: 0 },
    },
    // ten thousand every hundredth of a second
    Case {
        name: "1,000,000 lines/s in bursts for 10 s",
        database: "muster_log_bursts",
        amount: Amount { bytes: 10_000_000 * LINE, lines: true, piece: 10_000 * LINE, every: 10_000 },
    },
    // all of it fits
    Case { name: "48 MiB of lines", database: "muster_log_lines", amount: Amount { bytes: 48 * MIB, lines: true, piece: PIPE, every: 0 } },
];

/// What became of what one task wrote.
struct Written {
    wrote: Wrote,
    /// Bytes, and those that the log says are missing.
    stored: u64,
    left_out: u64,
    /// Seconds from its last byte until the last one of them was stored, or the others were said to be left out.
    until_stored: f64,
}

/// Bytes by which the peaks of two processes have grown.
struct Grown {
    runner: u64,
    server: u64,
}

/// So much of an attempt's log was stored at this nanosecond since 1970.
struct Reached {
    bytes: i64,
    at: u64,
}

pub async fn figures(cluster: &Cluster) -> anyhow::Result<Vec<Figure>> {
    let mut figures = vec![];
    for case in &CASES {
        eprintln!("  log: {}", case.name);
        figures.extend(measure(cluster, case).await?);
    }
    Ok(figures)
}

async fn measure(cluster: &Cluster, case: &Case) -> anyhow::Result<Vec<Figure>> {
    let folder = tempfile::tempdir_in(cluster.folder())?;
    let repository = repository::make(folder.path(), FILES)?;
    let limit = by_hand(folder.path(), case.amount)?;
    let url = cluster.database(case.database).await?;
    let server = ServerProcess::start(&url, 0, cluster.folder()).await?;
    let runner = RunnerProcess::join(&server, &folder.path().join("runner"), cluster.folder()).await?;
    let mut sql = PgConnection::connect(&url).await?;
    carry_out(&server, &mut sql, &repository, case.amount.shortened_to(FIRST)).await?;
    cluster.settle(&url).await?;
    let before = Grown { runner: runner.peak()?, server: server.peak()? };
    let written = carry_out(&server, &mut sql, &repository, case.amount).await?;
    let grown = Grown { runner: runner.peak()?.saturating_sub(before.runner), server: server.peak()?.saturating_sub(before.server) };
    sql.close().await?;
    runner.stop().await?;
    server.stop().await?;
    Ok(figures_of(case, limit, &written, &grown))
}

fn figures_of(case: &Case, limit: Wrote, written: &Written, grown: &Grown) -> Vec<Figure> {
    let Case { name, amount, .. } = case;
    let name = |what: &str| format!("{what}, {name}");
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let (rate, limit) = (amount.rate(written.wrote) / 1e6, amount.rate(limit) / 1e6);
    let writes = Figure::above(name("what the work writes"), "MB/s", rate).beside([], limit);
    let writes = match amount.pace() {
        Some(pace) => writes.goal(KEPT * pace / 1e6),
        None => writes,
    };
    let holds = (amount.bytes as u64).min(LOG_LIMIT - OWN);
    vec![
        writes,
        Figure::above(name("that beside a pipe to cat"), "times", rate / limit),
        Figure::below(name("its last byte to the last one stored or said to be left out"), "s", written.until_stored),
        Figure::above(name("stored"), "MB", megabytes(written.stored)).goal(megabytes(holds)),
        Figure::below(name("left out, as the log says"), "MB", megabytes(written.left_out)),
        Figure::below(name(&format!("the runner's peak beyond that after {} MiB", FIRST / MIB)), "MB", megabytes(grown.runner)).goal(FLAT),
        Figure::below(name(&format!("the server's peak beyond that after {} MiB", FIRST / MIB)), "MB", megabytes(grown.server)).goal(FLAT),
    ]
}

/// The same program where nobody is in between: into a pipe from which `cat` reads.
fn by_hand(folder: &Path, amount: Amount) -> anyhow::Result<Wrote> {
    let output = folder.join("by-hand.json");
    let piped = format!("{} | cat > /dev/null", amount.command(&std::env::current_exe()?));
    let done = Command::new("sh").args(["-c", &piped]).env(OUTPUT, &output).stdin(Stdio::null()).status()?;
    ensure!(done.success(), "cat has ended with {done}");
    let wrote = fs::read(&output).context("what writes has not come to its end")?;
    Ok(serde_json::from_slice(&wrote)?)
}

async fn carry_out(server: &ServerProcess, sql: &mut PgConnection, repository: &Path, amount: Amount) -> anyhow::Result<Written> {
    let mut client = HttpClient::connect(&server.address, &server.key).await?;
    let command = work::command(repository, &amount.command(&std::env::current_exe()?));
    let Created { id: task } = serde_json::from_slice(&client.create(work::ONE, command).await?)?;
    let seen = follow(sql, task).await?;
    let ended = "select state, failure ->> 'message', output from task where id = $1";
    let (state, failure, output): (String, Option<String>, Option<Json<Wrote>>) =
        sqlx::query_as(ended).bind(task.0).fetch_one(&mut *sql).await?;
    ensure!(state == "succeeded", "the work is {state}: {}", failure.unwrap_or_default());
    let Json(wrote) = output.context("the work has not said when it wrote")?;

    // of the only attempt, whose log is the task's from its first byte on
    let of_the_work = "select coalesce(sum(octet_length(content)), 0)::bigint, coalesce(max(start + octet_length(content)), 0)
                       from log_chunk where task_id = $1 and stream = 'stdout'";
    let (stored, last): (i64, i64) = sqlx::query_as(of_the_work).bind(task.0).fetch_one(&mut *sql).await?;
    let of_muster = "select start + octet_length(content), content from log_chunk where task_id = $1 and stream = 'muster' order by start";
    let lines: Vec<(i64, Vec<u8>)> = sqlx::query_as(of_muster).bind(task.0).fetch_all(&mut *sql).await?;
    let mark = lines.iter().find_map(|(end, text)| Some((*end, left_out(&String::from_utf8_lossy(text))?)));
    let (end, left_out) = mark.unwrap_or((last, 0));
    let stored = u64::try_from(stored)?;
    let bytes = amount.bytes;
    ensure!(stored + left_out == bytes as u64, "{bytes} bytes were written, {stored} are stored and {left_out} are said to be left out");
    let at = seen.iter().find(|reached| reached.bytes >= end).context("the end of the log was not seen")?.at;
    let until_stored = at.saturating_sub(wrote.ended) as f64 / 1e9;
    Ok(Written { wrote, stored, left_out, until_stored })
}

/// How its log grows, until it has ended.
async fn follow(sql: &mut PgConnection, task: TaskId) -> anyhow::Result<Vec<Reached>> {
    let statement = "select coalesce(attempt.log_bytes, 0), task.ended_at is not null
                     from task left join attempt on attempt.task_id = task.id where task.id = $1";
    let deadline = Instant::now() + PATIENCE;
    let mut seen: Vec<Reached> = vec![];
    loop {
        let (bytes, has_ended): (i64, bool) = sqlx::query_as(statement).bind(task.0).fetch_one(&mut *sql).await?;
        let at = u64::try_from(now_nanos())?;
        if seen.last().is_none_or(|last| last.bytes < bytes) {
            seen.push(Reached { bytes, at });
        }
        if has_ended {
            return Ok(seen);
        }
        ensure!(Instant::now() < deadline, "the work has not ended within {} s; {bytes} bytes of its log are stored", PATIENCE.as_secs());
        sleep(LOOK).await;
    }
}

/// So many bytes, when this says that any are.
fn left_out(said: &str) -> Option<u64> {
    let number = |line: &str| line.split_once(": ")?.1.split_once(" more bytes of output were left out")?.0.parse().ok();
    said.lines().find_map(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_what_the_log_says() {
        let says = "\nThe log of an attempt holds 50 MiB: 1021 more bytes of output were left out\nThe command ended with exit status 0\n";
        assert_eq!(left_out(says), Some(1021));
        assert_eq!(left_out("Fetched /srv/bench: 12\nThe command ended with exit status 0\n"), None);
    }
}
