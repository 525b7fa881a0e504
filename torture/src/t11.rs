//! T11, log torture: work that writes more than is kept, faster than anybody reads, and what is no text, while its server is away and its
//! runner dies at each piece. Every byte is stored, in its order, or the log says how many are not; the outcome never depends on it, and it
//! takes nobody's memory.

use std::time::Duration;

use anyhow::ensure;
use domain::{crash, log::LOG_LIMIT};
use sqlx::{PgPool, Row};
use tokio::time::sleep;
use uuid::Uuid;

use crate::{
    Options,
    cases::hand_in,
    check::{self, Outcome, Violation},
    ledger, memory,
    spew::{Amount, Kind, LEDGER, LINE, SpewEntry},
    t1,
    t2::until,
    world::{Setup, World},
};

pub const KINDS: u64 = 6;

const MIB: usize = 1024 * 1024;
/// The server behind whose proxy the runner is.
const SERVER: usize = 0;
const RUNNER: usize = 0;
/// What is without a newline, unless it is said: more than a log holds.
const WIDE_MIB: usize = 64;
/// How long lines, or an absence, last unless it is said.
const SECONDS: u64 = 3;
/// How much a process may grow by a log that is many times as long.
const FLAT: u64 = 24 << 20;
/// At which of its pieces a runner dies; the first is its own, before the work begins.
const DEATHS: [u32; 4] = [1, 2, 5, 12];
/// A piece of a slow writer, which a runner takes in by itself.
const SLOW: usize = LINE * 64;
const SLOW_PIECES: usize = 20;
/// Of the one whose server goes away, in MiB: what is written before, and more than a runner and a pipe hold beside it.
const AT_WORK: usize = 2;
const MORE_THAN_MEMORY: usize = AT_WORK + 8;
const SLOWLY: Duration = Duration::from_millis(80);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trial {
    /// One line without an end, longer than a log may be.
    Wide,
    /// A million lines a second.
    Lines,
    /// Bytes that are no characters, over both streams at once.
    Bytes,
    /// The server is killed while the work writes more than fits into memory, or dies before or after it stores a piece; it comes back.
    ServerAway,
    /// The runner dies at one piece after the other, before and after it is sent.
    RunnerDies,
    /// The runner is killed while its server is away.
    RunnerDiesUnheard,
}

/// What is to be found of a task.
struct Wanted {
    task: Uuid,
    amount: Amount,
    /// Of the log of its first attempt, where its runner dies; nothing where it lives.
    at_least: Option<usize>,
}

/// How much the processes have grown.
#[derive(Default)]
struct Grown {
    runner: u64,
    server: Option<u64>,
}

pub async fn run(seed: u64, options: Options) -> anyhow::Result<Outcome> {
    let trials = [Trial::Wide, Trial::Lines, Trial::Bytes, Trial::ServerAway, Trial::RunnerDies, Trial::RunnerDiesUnheard];
    let trial = trials[usize::try_from(seed % KINDS)?];
    let seconds = options.seconds.unwrap_or(SECONDS);
    // an absence that costs attempts is T7's
    let lease = matches!(trial, Trial::ServerAway | Trial::RunnerDiesUnheard).then_some(u32::try_from(seconds * 3 + 30)?);
    let world = World::create(Setup { slots: [0, 0], far: [1, 0], lease, ..Setup::default() }).await?;
    let pool = PgPool::connect(world.database_url()).await?;
    let mut violations = vec![];
    let (wanted, grown) = match trial {
        Trial::Wide => {
            let amount = Amount::of(Kind::Wide, seed, options.mebibytes.unwrap_or(WIDE_MIB) * MIB);
            watched(&world, &pool, amount).await?
        }
        Trial::Lines => {
            // ten thousand every hundredth of a second
            let amount = Amount::of(Kind::Lines, seed, usize::try_from(seconds)? * 1_000_000 * LINE);
            watched(&world, &pool, amount.in_pieces(10_000 * LINE, Duration::from_millis(10))).await?
        }
        Trial::Bytes => {
            let amount = Amount::of(Kind::Bytes, seed, 6 * MIB).in_pieces(3001, Duration::from_micros(200)).to_both();
            watched(&world, &pool, amount).await?
        }
        Trial::ServerAway => server_away(&world, &pool, (seed, seconds), &mut violations).await?,
        Trial::RunnerDies => (runner_dies(&world, &pool, seed, &mut violations).await?, Grown::default()),
        Trial::RunnerDiesUnheard => (vec![runner_dies_unheard(&world, &pool, seed).await?], Grown::default()),
    };
    let told: Vec<SpewEntry> = ledger::read(&world.ledgers.join(LEDGER))?;
    let mut stored = 0;
    for wanted in &wanted {
        stored += judge(&world, &pool, wanted, &told, &mut violations).await?;
    }
    for (who, grown) in [("the runner", grown.runner), ("the server", grown.server.unwrap_or_default())] {
        if grown > FLAT {
            violations.push(format!("{who} took {} MiB more for it", grown >> 20));
        }
    }
    violations.extend(check::of_tasks(&pool).await?);
    let written: usize = told.iter().filter(|entry| entry.is_all).map(|entry| entry.stdout + entry.stderr).sum();
    let growth = format!("runner +{} MiB, server +{} MiB", grown.runner >> 20, grown.server.unwrap_or_default() >> 20);
    let deaths = if trial == Trial::RunnerDies { format!(", {} deaths of the runner", world.died()) } else { String::new() };
    pool.close().await;
    check::judged(&world, format!("{trial:?}, {} kB written, {} kB stored, {growth}{deaths}", written >> 10, stored >> 10), violations)
        .await
}

async fn writes(world: &World, name: &str, amount: Amount) -> anyhow::Result<Uuid> {
    let program = std::env::current_exe()?;
    let command = format!("exec '{}' spew '{}' {}", program.display(), world.ledgers.display(), amount.arguments());
    let retry = serde_json::json!({"strategy": "exponential", "base_seconds": 1, "cap_seconds": 2});
    hand_in(world, name, serde_json::json!({"command": command, "max_attempts": 3, "retry": retry})).await
}

/// What both processes have once the first work is done, and what they have had at most after all of it.
async fn watched(world: &World, pool: &PgPool, amount: Amount) -> anyhow::Result<(Vec<Wanted>, Grown)> {
    let first = amount.shortened_to(16 * MIB);
    let mut wanted = vec![];
    let mut peaks = vec![];
    for (name, amount) in [("first", first), ("all", amount)] {
        wanted.push(Wanted { task: writes(world, name, amount).await?, amount, at_least: None });
        t1::settle(world, pool).await?;
        peaks.push((memory::peak(world.pid_of_runner(RUNNER).await)?, memory::peak(world.pid_of_server(SERVER).await)?));
    }
    let grown = Grown { runner: peaks[1].0.saturating_sub(peaks[0].0), server: Some(peaks[1].1.saturating_sub(peaks[0].1)) };
    Ok((wanted, grown))
}

/// By the seed it is killed, or dies before or after it stores a piece.
async fn server_away(
    world: &World,
    pool: &PgPool,
    (seed, seconds): (u64, u64),
    violations: &mut Vec<Violation>,
) -> anyhow::Result<(Vec<Wanted>, Grown)> {
    let first = Amount::of(Kind::Lines, seed, 16 * MIB);
    let mut wanted = vec![Wanted { task: writes(world, "first", first).await?, amount: first, at_least: None }];
    t1::settle(world, pool).await?;
    let place = [None, Some("log.before:20"), Some("log.after:20")][usize::try_from(seed / KINDS % 3)?];
    if let Some(place) = place {
        world.kill_server(SERVER).await?;
        world.start_server(SERVER, Some(place)).await?;
        world.wait_until_ready(SERVER).await?;
    }
    let before = memory::peak(world.pid_of_runner(RUNNER).await)?;
    // most of a log, over as long as the server is away
    let pieces = 40;
    let every = Duration::from_millis(seconds * 1000 / pieces);
    let amount = Amount::of(Kind::Lines, seed, 40 * MIB).in_pieces(MIB, every).that_tells();
    let task = writes(world, "away", amount).await?;
    until_told(world, task, AT_WORK).await?;
    if let Some(place) = place
        && !world.dies(SERVER).await?
    {
        violations.push(format!("the server did not come by {place}"));
    }
    world.kill_server(SERVER).await?;
    sleep(Duration::from_secs(seconds)).await;
    let pieces = told_pieces(world, task)?;
    if pieces < MORE_THAN_MEMORY {
        violations.push(format!("the work waited for its server, after {pieces} MiB"));
    }
    world.start_server(SERVER, None).await?;
    t1::settle(world, pool).await?;
    let grown = Grown { runner: memory::peak(world.pid_of_runner(RUNNER).await)?.saturating_sub(before), server: None };
    wanted.push(Wanted { task, amount, at_least: None });
    Ok((wanted, grown))
}

async fn runner_dies(world: &World, pool: &PgPool, seed: u64, violations: &mut Vec<Violation>) -> anyhow::Result<Vec<Wanted>> {
    let mut wanted = vec![];
    let amount = Amount::of(Kind::Lines, seed, SLOW_PIECES * SLOW).in_pieces(SLOW, SLOWLY).that_tells();
    for place in crash::PIECE_POINTS {
        for number in DEATHS {
            let died = world.died();
            // nothing is left for it to do
            world.kill_runner(RUNNER).await?;
            world.start_runner(RUNNER, Some(&format!("{place}:{number}"))).await?;
            let task = writes(world, &format!("{place} {number}"), amount).await?;
            t1::settle(world, pool).await?;
            if world.died() == died {
                violations.push(format!("the runner did not come by {place} {number} times"));
            }
            // the first was not the work's, and whatever was taken in together is more
            let at_least = usize::try_from(number - 1)? * SLOW;
            wanted.push(Wanted { task, amount, at_least: Some(at_least) });
        }
    }
    Ok(wanted)
}

/// What it had written down when it was killed comes by its next life.
async fn runner_dies_unheard(world: &World, pool: &PgPool, seed: u64) -> anyhow::Result<Wanted> {
    let amount = Amount::of(Kind::Lines, seed, 100 * SLOW).in_pieces(SLOW, SLOWLY).that_tells();
    let task = writes(world, "unheard", amount).await?;
    until_told(world, task, 5).await?;
    world.kill_server(SERVER).await?;
    let pieces = 40;
    until_told(world, task, pieces).await?;
    // from the pipe to the disk
    sleep(Duration::from_secs(1)).await;
    world.kill_runner(RUNNER).await?;
    world.start_server(SERVER, None).await?;
    world.start_runner(RUNNER, None).await?;
    t1::settle(world, pool).await?;
    Ok(Wanted { task, amount, at_least: Some(pieces * SLOW) })
}

async fn until_told(world: &World, task: Uuid, pieces: usize) -> anyhow::Result<()> {
    until("the work writes", async || Ok(told_pieces(world, task)? >= pieces)).await
}

fn told_pieces(world: &World, task: Uuid) -> anyhow::Result<usize> {
    let told: Vec<SpewEntry> = ledger::read(&world.ledgers.join(LEDGER))?;
    Ok(told.iter().filter(|entry| entry.task.0 == task).count())
}

/// What there is of the log of an attempt.
#[derive(Default)]
struct Stored {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    muster: String,
}

async fn stored(pool: &PgPool, task: Uuid, attempt: i32) -> anyhow::Result<Stored> {
    let statement = "select stream, content from log_chunk where task_id = $1 and attempt = $2 order by start";
    let mut stored = Stored::default();
    for row in sqlx::query(statement).bind(task).bind(attempt).fetch_all(pool).await? {
        let (stream, content): (String, Vec<u8>) = (row.try_get(0)?, row.try_get(1)?);
        match stream.as_str() {
            "stdout" => stored.stdout.extend(content),
            "stderr" => stored.stderr.extend(content),
            _ => stored.muster.push_str(&String::from_utf8(content)?),
        }
    }
    Ok(stored)
}

/// Looks at every attempt of a task. So many bytes of what its work wrote are stored.
async fn judge(
    world: &World,
    pool: &PgPool,
    wanted: &Wanted,
    told: &[SpewEntry],
    violations: &mut Vec<Violation>,
) -> anyhow::Result<usize> {
    let rows =
        sqlx::query("select number, state from attempt where task_id = $1 order by number").bind(wanted.task).fetch_all(pool).await?;
    let attempts: Vec<(i32, String)> = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<sqlx::Result<_>>()?;
    let states: Vec<_> = attempts.iter().map(|(_, state)| state.as_str()).collect();
    let expected: &[&str] = if wanted.at_least.is_some() { &["lost", "succeeded"] } else { &["succeeded"] };
    if states != expected {
        violations.push(format!("the attempts of {} are {states:?}, not {expected:?}", wanted.task));
    }
    let mut bytes = 0;
    for (number, state) in &attempts {
        let stored = stored(pool, wanted.task, *number).await?;
        let own = told.iter().rfind(|entry| entry.task.0 == wanted.task && entry.attempt == *number);
        let found = match state.as_str() {
            "succeeded" => whole(&stored, own.filter(|entry| entry.is_all)),
            _ => broken_off(&stored, wanted.at_least.unwrap_or_default(), own),
        };
        let of_patterns = differs(&stored, wanted.amount);
        let about = |what| format!("attempt {number} of {}: {what}", wanted.task);
        violations.extend(found.into_iter().chain(of_patterns).map(about));
        bytes += stored.stdout.len() + stored.stderr.len();
    }
    violations.extend(as_a_file(world, pool, wanted.task).await?);
    Ok(bytes)
}

/// All that there is of a stream is what was written, in its order and from its beginning.
fn differs(stored: &Stored, amount: Amount) -> Vec<String> {
    let [out, err] = amount.patterns();
    let streams = [("standard output", out, &stored.stdout), ("standard error", err, &stored.stderr)];
    let wrong = |(name, pattern, bytes): (&str, crate::spew::Pattern, &Vec<u8>)| {
        pattern.differs_at(bytes).map(|place| format!("byte {place} of its {name} is another than was written"))
    };
    streams.into_iter().filter_map(wrong).collect()
}

/// An attempt that came to its end: every byte is there, or is said not to be.
fn whole(stored: &Stored, told: Option<&SpewEntry>) -> Vec<String> {
    let Some(told) = told else { return vec!["it succeeded, but its work never came to its end".to_owned()] };
    let (there, left_out, written) = (stored.stdout.len() + stored.stderr.len(), left_out(&stored.muster), told.stdout + told.stderr);
    let limit = usize::try_from(LOG_LIMIT).unwrap_or(usize::MAX);
    let mut found = vec![];
    if there + left_out != written {
        found.push(format!("{written} bytes were written, {there} are stored and {left_out} are said to be left out"));
    }
    if there < written.min(limit - MIB) || there > limit {
        found.push(format!("of {written} bytes {there} are stored, and a log holds {limit}"));
    }
    found
}

/// An attempt whose runner died: what the runner had is there, and where it broke off is said.
fn broken_off(stored: &Stored, at_least: usize, told: Option<&SpewEntry>) -> Vec<String> {
    let (there, written) = (stored.stdout.len(), told.map_or(0, |entry| entry.stdout));
    let mut found = vec![];
    if there < at_least {
        found.push(format!("its runner had {at_least} bytes when it died, and {there} are stored"));
    }
    // the work itself notes what it has written a moment later
    if there > written + SLOW {
        found.push(format!("{there} bytes are stored, and {written} were written"));
    }
    if !stored.muster.ends_with("if the work wrote anything after this, it is not in the log\n") {
        found.push(format!("its log does not say that it broke off: {:?}", stored.muster.lines().next_back()));
    }
    found
}

/// So many bytes are said to be left out.
fn left_out(said: &str) -> usize {
    let number = |line: &str| line.split_once(": ")?.1.split_once(" more bytes of output were left out")?.0.parse().ok();
    said.lines().find_map(number).unwrap_or_default()
}

/// The log as somebody gets it who asks for it.
async fn as_a_file(world: &World, pool: &PgPool, task: Uuid) -> anyhow::Result<Option<Violation>> {
    let url = format!("http://{}/api/v1/tasks/{task}/log", world.direct[SERVER]);
    let answer = reqwest::Client::new().get(url).bearer_auth(&world.key).timeout(Duration::from_secs(120)).send().await?;
    ensure!(answer.status().is_success(), "the log of {task} was answered with {}", answer.status());
    let given = answer.bytes().await?;
    let statement = "select content from log_chunk where task_id = $1 order by start";
    let there: Vec<Vec<u8>> = sqlx::query_scalar(statement).bind(task).fetch_all(pool).await?;
    let same = given[..] == there.concat()[..];
    Ok((!same)
        .then(|| format!("whoever asks for the log of {task} is given {} bytes that are others than those that are stored", given.len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(stdout: usize) -> SpewEntry {
        SpewEntry { task: domain::TaskId(Uuid::nil()), attempt: 1, stdout, stderr: 0, is_all: true }
    }

    fn of(stdout: usize, muster: &str) -> Stored {
        Stored { stdout: vec![b'x'; stdout], stderr: vec![], muster: muster.to_owned() }
    }

    #[test]
    fn every_byte_is_there_or_said_not_to_be() {
        let limit = usize::try_from(LOG_LIMIT).unwrap();
        let says = |count: usize| {
            format!("Fetched\nThe log of an attempt holds 50 MiB: {count} more bytes of output were left out\nThe command ended")
        };
        assert!(whole(&of(1000, ""), Some(&told(1000))).is_empty());
        assert_eq!(whole(&of(1000, ""), None).len(), 1, "it never ended");
        assert_eq!(whole(&of(999, ""), Some(&told(1000))).len(), 2, "one is missing");
        assert_eq!(whole(&of(999, &says(1)), Some(&told(1000))).len(), 1, "there was room for it");
        assert!(whole(&of(limit - 1000, &says(5000)), Some(&told(limit + 4000))).is_empty());
        assert_eq!(whole(&of(limit - 1000, &says(4999)), Some(&told(limit + 4000))).len(), 1, "one is not counted");
    }

    #[test]
    fn what_broke_off_has_what_was_kept_and_says_so() {
        let mark = "Fetched\nThe runner ended here and has started again: if the work wrote anything after this, it is not in the log\n";
        assert!(broken_off(&of(2 * SLOW, mark), 2 * SLOW, Some(&told(3 * SLOW))).is_empty());
        assert_eq!(broken_off(&of(SLOW, mark), 2 * SLOW, Some(&told(3 * SLOW))).len(), 1, "less than was kept");
        assert_eq!(broken_off(&of(9 * SLOW, mark), 2 * SLOW, Some(&told(3 * SLOW))).len(), 1, "more than was written");
        assert_eq!(broken_off(&of(2 * SLOW, "Fetched\n"), 2 * SLOW, Some(&told(3 * SLOW))).len(), 1, "nothing says that it broke off");
    }
}
