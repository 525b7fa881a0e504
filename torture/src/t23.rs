//! T23, survivors: whatever work does to stay, and however it ends, nothing of it is left soon after: no process, no mount, no folder. And work
//! that does nothing for a while is not taken for work that is over.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::ensure;
use futures::future::try_join_all;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use sqlx::PgPool;
use tests::machine::running_with;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::{
    Options,
    cases::{self, RUNNER},
    check::{self, Outcome, Violation},
    t2::until,
    world::{Setup, World},
};

/// In sandboxes, and without.
pub const KINDS: u64 = 2;

/// After the end of an attempt, or the beginning of its runner's next life, nothing of it is left this soon.
const GONE_WITHIN: Duration = Duration::from_secs(15);
/// An attempt has ended this soon after it was to.
const PATIENCE: Duration = Duration::from_secs(180);
/// How long work does nothing unless it is said: longer than a thread that has nothing to do.
const IDLE_SECONDS: u64 = 30;
/// What an attempt may use: few enough that a test may want more.
const PROCESSES: &str = "64";
const MEMORY: &str = "192MiB";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Or by a limit of its own: time, memory, processes.
    ByItself,
    Cancelled,
    /// Who watches its sandbox from outside is killed.
    WatcherKilled,
    RunnerKilled,
}

/// Work with a word that its processes are known by: `WORD` in it is a number of seconds that nobody waits for.
struct Case {
    name: &'static str,
    work: &'static str,
    ending: Ending,
    /// The state of its attempt, and what is in its failure's message.
    wanted: (&'static str, &'static str),
    /// It is not found, or not held, without a sandbox.
    sandbox_alone: bool,
}

const fn case(name: &'static str, work: &'static str, ending: Ending, wanted: (&'static str, &'static str)) -> Case {
    Case { name, work, ending, wanted, sandbox_alone: false }
}

const fn in_a_sandbox(case: Case) -> Case {
    Case { sandbox_alone: true, ..case }
}

static CASES: [Case; 14] = [
    case("a session of its own", "setsid sleep WORD & sleep 0.2; echo ready", Ending::ByItself, ("succeeded", "")),
    in_a_sandbox(case(
        "without its environment, with the output in its hand",
        "env -i setsid sh -c 'cd /; sleep WORD & exec sleep WORD' & sleep 0.2; echo ready",
        Ending::ByItself,
        ("succeeded", ""),
    )),
    in_a_sandbox(case(
        "a daemon",
        "perl -MPOSIX -e 'fork and exit; POSIX::setsid(); fork and exit; chdir \"/\"; close $_ for *STDIN, *STDOUT, *STDERR; %ENV = (); \
         sleep WORD'; echo ready",
        Ending::ByItself,
        ("succeeded", ""),
    )),
    case("it does not listen", "trap '' INT TERM HUP; echo ready; while :; do sleep WORD; done", Ending::Cancelled, ("cancelled", "")),
    case("it stands still", "echo ready; kill -STOP $$; sleep WORD", Ending::ByItself, ("timed_out", "")),
    case("another rank", "nice -n 19 setsid sleep WORD & renice -n 19 $$; echo ready; sleep WORD", Ending::Cancelled, ("cancelled", "")),
    case("as much output as it can", "echo ready; exec yes WORD", Ending::ByItself, ("timed_out", "")),
    in_a_sandbox(case(
        "more processes than it may",
        "echo ready; for i in $(seq 300); do setsid sleep WORD & done; sleep WORD",
        Ending::ByItself,
        ("failed", "MUSTER_SANDBOX_PROCESSES"),
    )),
    in_a_sandbox(case(
        "more memory than it may",
        "echo ready; exec perl -e 'push @held, chr(65 + $_ % 20) x (4 << 20) for 1 .. 128; sleep WORD'",
        Ending::ByItself,
        ("failed", "MUSTER_SANDBOX_MEMORY"),
    )),
    in_a_sandbox(case("a file of 100 GB", "echo ready; truncate -s 100G large", Ending::ByItself, ("failed", ""))),
    in_a_sandbox(case(
        "many files that nobody may touch",
        "mkdir ~/many && cd ~/many && seq 50000 | xargs touch && chmod 500 . && mkfifo /tmp/pipe && ln -s / /tmp/all && echo ready",
        Ending::ByItself,
        ("succeeded", ""),
    )),
    in_a_sandbox(case(
        "nobody watches its sandbox",
        "setsid sleep WORD & echo ready; sleep WORD",
        Ending::WatcherKilled,
        ("failed", "signal 9"),
    )),
    case("its runner is killed", "setsid sleep WORD & echo half > half.txt; echo ready; sleep WORD", Ending::RunnerKilled, ("lost", "")),
    case(
        "its runner is killed, and it does not listen",
        "trap '' INT TERM HUP; (setsid sh -c 'trap \"\" INT TERM; sleep WORD; sleep WORD' &); echo ready; while :; do sleep WORD; done",
        Ending::RunnerKilled,
        ("lost", ""),
    ),
];

pub async fn run(seed: u64, options: Options) -> anyhow::Result<Outcome> {
    let sandboxed = seed.is_multiple_of(KINDS);
    let limits = [("MUSTER_SANDBOX_PROCESSES", PROCESSES), ("MUSTER_SANDBOX_MEMORY", MEMORY)];
    let runners = limits.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let world = World::create(Setup { slots: [0, 0], far: [16, 0], sandboxed, runners, ..Setup::default() }).await?;
    let pool = PgPool::connect(world.database_url()).await?;
    let cases: Vec<&Case> = CASES.iter().filter(|case| sandboxed || !case.sandbox_alone).collect();
    let (kills, others): (Vec<&Case>, Vec<&Case>) = cases.iter().copied().partition(|case| case.ending == Ending::RunnerKilled);
    let seconds = options.seconds.unwrap_or(IDLE_SECONDS);
    let all = try_join_all(others.iter().map(|case| one(&world, &pool, case)));
    let (found, idle) = tokio::try_join!(all, idles(&world, &pool, seconds))?;
    let mut violations: Vec<_> = found.into_iter().flatten().chain(idle).collect();
    for case in kills {
        violations.extend(one(&world, &pool, case).await?);
    }
    let told = "select name || ' says of itself: ' || left_behind from runner where left_behind is not null";
    violations.extend(sqlx::query_scalar::<_, String>(told).fetch_all(&pool).await?);
    violations.extend(check::of_tasks(&pool).await?);
    pool.close().await;
    let place = if sandboxed { "in sandboxes" } else { "without sandboxes" };
    check::judged(&world, format!("{} cases {place}, {seconds} s of nothing", cases.len()), violations).await
}

/// Nothing is said and nothing is used for longer than threads of a pool live.
async fn idles(world: &World, pool: &PgPool, seconds: u64) -> anyhow::Result<Vec<Violation>> {
    let task = cases::hand_in(world, "it does nothing", json!({"command": format!("sleep {seconds}; echo alive")})).await?;
    let ended = cases::attempt_ended(pool, task, 1, PATIENCE + Duration::from_secs(seconds)).await?;
    let lives = ended.state == "succeeded" && cases::log(pool, task, Some("stdout")).await?.contains("alive");
    Ok(if lives { vec![] } else { vec![format!("work that does nothing for {seconds} s: {} ({})", ended.state, ended.why)] })
}

async fn one(world: &World, pool: &PgPool, case: &Case) -> anyhow::Result<Vec<Violation>> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // no other process has it in its command line, of this run or another
    let word = format!("8{:05}.{:03}", std::process::id() % 100_000, NEXT.fetch_add(1, Ordering::Relaxed));
    let timeout = if case.wanted.0 == "timed_out" { 6 } else { 600 };
    let more = json!({"command": case.work.replace("WORD", &word), "timeout_seconds": timeout});
    let task = cases::hand_in(world, case.name, more).await?;
    until(case.name, async || Ok(cases::log(pool, task, Some("stdout")).await?.contains("ready"))).await?;
    match case.ending {
        Ending::ByItself => {}
        Ending::Cancelled => cases::cancel(world, task).await?,
        Ending::WatcherKilled => kill_watcher(&word)?,
        Ending::RunnerKilled => return killed_with_its_runner(world, pool, task, (case, &word)).await,
    }
    let ended = cases::attempt_ended(pool, task, 1, PATIENCE).await?;
    let mut found = gone(world, &word, ended.attempt).await;
    let (state, why) = case.wanted;
    if ended.state != state || !ended.why.contains(why) {
        found.push(format!("it is {} ({}), not {state} ({why})", ended.state, ended.why));
    }
    over(world, pool, task).await?;
    Ok(found.into_iter().map(|what| format!("{}: {what}", case.name)).collect())
}

/// It is not tried again.
async fn over(world: &World, pool: &PgPool, task: Uuid) -> anyhow::Result<()> {
    let open = "select ended_at is null from task where id = $1";
    if sqlx::query_scalar(open).bind(task).fetch_one(pool).await? {
        cases::cancel(world, task).await?;
    }
    cases::task_state(pool, task, PATIENCE).await?;
    Ok(())
}

/// In a sandbox the kernel ends it with the runner; without one the runner's next life does. Its folder goes with the next life.
async fn killed_with_its_runner(world: &World, pool: &PgPool, task: Uuid, (case, word): (&Case, &str)) -> anyhow::Result<Vec<Violation>> {
    let attempt: Uuid = sqlx::query_scalar("select id from attempt where task_id = $1 and number = 1").bind(task).fetch_one(pool).await?;
    world.kill_runner(RUNNER).await?;
    let mut found = vec![];
    if world.is_sandboxed() {
        let until = Instant::now() + GONE_WITHIN;
        while !running_with(word).is_empty() && Instant::now() < until {
            sleep(Duration::from_millis(100)).await;
        }
        found.extend(running_with(word).into_iter().map(|line| format!("it outlives its runner: {line}")));
    } else {
        // or this shows nothing
        ensure!(!running_with(word).is_empty(), "{}: without a sandbox it outlives its runner", case.name);
    }
    // what is queued again is not to be at work when its first attempt is looked for
    cases::cancel(world, task).await?;
    world.start_runner(RUNNER, None).await?;
    let ended = cases::attempt_ended(pool, task, 1, PATIENCE).await?;
    found.extend(gone(world, word, attempt).await);
    if !["lost", "cancelled"].contains(&&*ended.state) {
        found.push(format!("it is {} ({})", ended.state, ended.why));
    }
    cases::task_state(pool, task, PATIENCE).await?;
    Ok(found.into_iter().map(|what| format!("{}: {what}", case.name)).collect())
}

/// The one of the processes of a sandbox that is outside of it.
fn kill_watcher(word: &str) -> anyhow::Result<()> {
    let makers: Vec<(i32, i32)> = processes()
        .into_iter()
        .filter(|(_, folder)| {
            let line = fs::read(folder.join("cmdline")).unwrap_or_default();
            line.starts_with(b"bwrap\0") && String::from_utf8_lossy(&line).contains(word)
        })
        .filter_map(|(pid, folder)| Some((pid, parent(&folder)?)))
        .collect();
    let outside = makers.iter().find(|(_, parent)| !makers.iter().any(|(pid, _)| pid == parent));
    let pid = outside.and_then(|(pid, _)| Pid::from_raw(*pid));
    ensure!(pid.is_some(), "nobody watches the sandbox of {word}");
    pid.map_or(Ok(()), |pid| kill_process(pid, Signal::KILL))?;
    Ok(())
}

fn processes() -> Vec<(i32, PathBuf)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path()))).collect()
}

fn parent(folder: &Path) -> Option<i32> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// What is left when there should be nothing any more.
async fn gone(world: &World, word: &str, attempt: Uuid) -> Vec<Violation> {
    let until = Instant::now() + GONE_WITHIN;
    loop {
        let left = left(world, word, attempt);
        if left.is_empty() || Instant::now() > until {
            return left;
        }
        sleep(Duration::from_millis(100)).await;
    }
}

fn left(world: &World, word: &str, attempt: Uuid) -> Vec<Violation> {
    let name = attempt.to_string();
    let mut left: Vec<_> = running_with(word).into_iter().map(|line| format!("it runs: {line}")).collect();
    let sees = |folder: &Path| fs::read_to_string(folder.join("mountinfo")).is_ok_and(|mounts| mounts.contains(&name));
    left.extend(processes().into_iter().filter(|(_, folder)| sees(folder)).map(|(pid, _)| format!("process {pid} has its folder mounted")));
    for folder in ["attempts", "trash", "journal", "outbox"] {
        let entries = fs::read_dir(world.runner_dir(RUNNER).join(folder)).into_iter().flatten().flatten();
        let own = entries.filter(|entry| entry.file_name().to_string_lossy().contains(&name));
        left.extend(own.map(|entry| format!("{} is there", entry.path().display())));
    }
    left
}
