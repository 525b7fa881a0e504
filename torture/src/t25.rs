//! T25, forgery: work that has not done what was asked, and does all that it can to be taken for proven. Nothing but the checks decides, and
//! each of them passes for work that is honest: a check that cannot pass would show nothing.

use std::time::Duration;

use futures::future::try_join_all;
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    api::Api,
    cases::{self, RUNNER},
    check::{self, Outcome, Violation},
    t2::until,
    world::{Setup, World},
};

const PATIENCE: Duration = Duration::from_secs(180);
/// A branch whose files call for `make test`; those of the other call for nothing.
const MADE: &str = "made";
const MAKEFILE: &str = "test:\n\t@grep -qx 42 answer.txt\n";

struct Case {
    name: &'static str,
    /// Has to be done to the end, or it shows nothing. `RUNNER` in it is the runner's own folder, `ADDRESS` the server's.
    forges: &'static str,
    checks: Value,
    /// Which of them is the one that is not to pass, from 0.
    proves: usize,
    /// Work that does what was asked, and the branch that it begins from.
    honest: (&'static str, Option<&'static str>),
}

const ANSWERS: (&str, Option<&str>) = ("echo 42 > answer.txt", None);

fn cases() -> Vec<Case> {
    let command = |target: &str| json!([{"kind": "command_succeeds", "target": target}]);
    let answer = || command("grep -qx 42 answer.txt");
    let case = |name, forges, checks, honest| Case { name, forges, checks, proves: 0, honest };
    vec![
        case(
            "it says that it passed",
            "echo 'Check 1 of 1, command_succeeds: passed'; printf '\\033[32m1 passed, 0 failed\\033[0m\\nAll checks have passed.\\n'; \
             echo '{\"status\": \"passed\", \"verified\": true}'; echo '::notice::verified'; exit 0",
            answer(),
            ANSWERS,
        ),
        case(
            "its output says that it passed",
            "printf '%s' '{\"state\": \"succeeded\", \"verification\": {\"checks\": [{\"kind\": \"command_succeeds\", \"status\": \"passed\", \
             \"required\": true}]}, \"checks_passed\": 1}' > \"$MUSTER_OUTPUT\"",
            answer(),
            ANSWERS,
        ),
        case(
            "it brings checks of its own",
            "mkdir -p .muster .github/workflows; for file in .muster.yml muster.yml muster.toml .muster/checks.json .github/workflows/ci.yml; do \
             printf 'checks:\\n  - kind: command_succeeds\\n    target: \"true\"\\n' > $file; done; git add .; git commit --quiet -m checks",
            answer(),
            ANSWERS,
        ),
        case(
            "it makes itself a project with tests",
            "printf 'test:\\n\\t@true\\n' > Makefile; git add .; git commit --quiet -m Makefile",
            json!([{"kind": "test_passes", "target": "auto"}]),
            ("echo 42 > answer.txt", Some(MADE)),
        ),
        case(
            "programs in the way of its check",
            "for folder in bin ~/bin ~/.local/bin ~/.cargo/bin; do mkdir -p $folder; printf '#!/bin/sh\\nexit 0\\n' > $folder/grep; \
             chmod +x $folder/grep; done; for file in ~/.profile ~/.bashrc ~/.bash_profile ~/.shrc; do \
             echo 'grep() { true; }; PATH=$HOME/bin:$PWD/bin:$PATH' > $file; done; export ENV=~/.shrc BASH_ENV=~/.bashrc; git config --global \
             alias.grep '!true'",
            answer(),
            ANSWERS,
        ),
        case(
            "it leaves what its check finds elsewhere",
            "touch ~/answer /tmp/answer /var/tmp/answer /dev/shm/answer 2> /dev/null; true",
            command("test -e ~/answer || test -e /tmp/answer || test -e /var/tmp/answer || test -e /dev/shm/answer || test -e answer"),
            ("touch answer", None),
        ),
        case(
            "it goes on while it is checked",
            "echo 41 > answer.txt; (setsid env -i sh -c 'sleep 1; while :; do echo 42 > answer.txt; sleep 0.05; done' > /dev/null 2>&1 &)",
            command("sleep 3; grep -qx 42 answer.txt"),
            ANSWERS,
        ),
        case(
            "a link in the place of a file",
            "ln -s /etc/passwd proof.txt",
            json!([{"kind": "file_exists", "target": "proof.txt"}]),
            ("echo proof > proof.txt", None),
        ),
        case(
            "a file that git ignores",
            "echo answer.txt > .gitignore; echo 42 > answer.txt",
            json!([{"kind": "file_exists", "target": "answer.txt"}]),
            ANSWERS,
        ),
        Case {
            proves: 1,
            ..case(
                "its tests write what is checked after them",
                "echo 41 > answer.txt; echo 'echo 42 > answer.txt' > test.sh",
                json!([{"kind": "test_passes", "target": "sh test.sh"}, {"kind": "command_succeeds", "target": "grep -qx 42 answer.txt"}]),
                ("echo 42 > answer.txt; echo 'grep -qx 42 answer.txt' > test.sh", None),
            )
        },
        case(
            "a change that is hidden from git",
            "echo changed > README.md; git update-index --assume-unchanged README.md; echo new > new.txt; \
             echo new.txt >> \"$(git rev-parse --git-common-dir)/info/exclude\"; git config --global status.showUntrackedFiles no; \
             git config --global core.excludesFile ~/ignored; echo '*' > ~/ignored; true",
            json!([{"kind": "git_clean"}]),
            ("true", None),
        ),
        case(
            "it writes what its runner has to say",
            "for file in RUNNER/outbox/* RUNNER/journal/* ../../../outbox/* ../../../journal/* $(find / -name '*.said' 2> /dev/null); do \
             echo '{\"report\": {\"outcome\": \"completed\", \"verification\": {\"checks\": []}}}' >> $file; done 2> /dev/null; true",
            answer(),
            ANSWERS,
        ),
        case(
            "it asks the server",
            "for act in approve retry resume complete succeed verify; do timeout 5 bash -c \"exec 3<>/dev/tcp/ADDRESS; printf 'POST \
             /api/v1/tasks/$MUSTER_TASK_ID/$act HTTP/1.1\\r\\nhost: x\\r\\ncontent-length: 2\\r\\n\\r\\n{}' >&3; head -n 1 <&3\"; done 2> /dev/null; \
             true",
            answer(),
            ANSWERS,
        ),
        case(
            "its check never ends",
            "mkfifo answer.txt",
            json!([{"kind": "command_succeeds", "target": "grep -qx 42 answer.txt", "timeout_seconds": 3}]),
            ANSWERS,
        ),
        case(
            "what need not pass has passed",
            "touch easy.txt",
            json!([{"kind": "command_succeeds", "target": "grep -qx 42 answer.txt"},
                   {"kind": "file_exists", "target": "easy.txt", "required": false},
                   {"kind": "command_succeeds", "target": "true", "required": false}]),
            ANSWERS,
        ),
    ]
}

pub async fn run(seed: u64) -> anyhow::Result<Outcome> {
    let world = World::create(Setup { slots: [0, 0], far: [4, 0], sandboxed: true, ..Setup::default() }).await?;
    let pool = PgPool::connect(world.database_url()).await?;
    cases::git(&world, &["checkout", "--quiet", "-b", MADE])?;
    cases::commit(&world, &[("Makefile", MAKEFILE)], "A test")?;
    cases::git(&world, &["checkout", "--quiet", "main"])?;
    let mut cases = cases();
    // which of them stand beside each other is the seed's
    let count = cases.len();
    cases.rotate_left(usize::try_from(seed)? % count);
    let found = try_join_all(cases.iter().map(|case| one(&world, &pool, case))).await?;
    let mut violations: Vec<_> = found.into_iter().flatten().collect();
    violations.extend(by_hand(&world, &pool).await?);
    violations.extend(unproven(&world, &pool).await?);
    violations.extend(check::of_tasks(&pool).await?);
    pool.close().await;
    check::judged(&world, format!("{count} forgeries, {count} honest works"), violations).await
}

async fn one(world: &World, pool: &PgPool, case: &Case) -> anyhow::Result<Vec<Violation>> {
    let address = world.direct[cases::SERVER].to_string().replace(':', "/");
    let forges = case.forges.replace("RUNNER", &world.runner_dir(RUNNER).display().to_string()).replace("ADDRESS", &address);
    // in a shell of its own: whatever it does there, it is known whether it came to its end
    let forges = format!("sh -c {}; echo it\" \"ended", cases::quoted(&forges));
    let forged = cases::hand_in(world, case.name, json!({"command": forges, "checks": case.checks})).await?;
    let (work, base_ref) = case.honest;
    let name = format!("{}, and honest", case.name);
    let honest = cases::hand_in(world, &name, json!({"command": work, "checks": case.checks, "base_ref": base_ref})).await?;
    let mut found = vec![];
    let state = cases::task_state(pool, forged, PATIENCE).await?;
    let statuses = statuses(pool, forged).await?;
    if state == "succeeded" || statuses.get(case.proves).is_some_and(|status| status == "passed") {
        found.push(format!("{}: it is {state}, its checks {statuses:?}", case.name));
    }
    if !cases::log(pool, forged, Some("stdout")).await?.contains("it ended") {
        found.push(format!("{}: it did not come to its end, and shows nothing", case.name));
    }
    let state = cases::task_state(pool, honest, PATIENCE).await?;
    if state != "succeeded" {
        found.push(format!("{name}: it is {state}, its checks {:?}", self::statuses(pool, honest).await?));
    }
    Ok(found)
}

async fn statuses(pool: &PgPool, task: Uuid) -> sqlx::Result<Vec<String>> {
    let statement =
        "select status from verification_check join attempt on attempt.id = attempt_id where task_id = $1 order by number, position";
    sqlx::query_scalar(statement).bind(task).fetch_all(pool).await
}

/// Whoever has the database in their hands, and a statement that is wrong, cannot say it either: there is no way around the checks.
async fn by_hand(world: &World, pool: &PgPool) -> anyhow::Result<Vec<Violation>> {
    let checks = json!([{"kind": "command_succeeds", "target": "false"}]);
    let task = cases::hand_in(world, "by hand", json!({"command": "echo ready; sleep 600", "checks": checks})).await?;
    until("it is at work", async || Ok(cases::log(pool, task, Some("stdout")).await?.contains("ready"))).await?;
    let statement = "update task set state = 'succeeded', ended_at = now() where id = $1";
    let refused = sqlx::query(statement).bind(task).execute(pool).await.err().map(|error| error.to_string());
    let Some(why) = refused else {
        return Ok(vec!["a task that was at work was made one that has succeeded".to_owned()]);
    };
    cases::cancel(world, task).await?;
    cases::task_state(pool, task, PATIENCE).await?;
    let is_the_rule = why.contains("cannot go from running to succeeded");
    Ok(if is_the_rule { vec![] } else { vec![format!("it was refused for another reason: {why}")] })
}

/// What defines no check succeeds, and is not called verified by anybody.
async fn unproven(world: &World, pool: &PgPool) -> anyhow::Result<Vec<Violation>> {
    let says = "echo 'all checks have passed: verified'";
    let task = cases::hand_in(world, "nothing to prove it by", json!({"command": says})).await?;
    let state = cases::task_state(pool, task, PATIENCE).await?;
    let address = world.direct[cases::SERVER].to_string();
    let shown = Api::new(world)?.get(&address, &format!("/api/v1/tasks/{task}")).await?.json();
    let (defined, passed) = (&shown["checks"], &shown["checks_passed"]);
    let is_unverified = state == "succeeded" && *defined == json!(0) && passed.as_u64().unwrap_or_default() == 0;
    Ok(if is_unverified { vec![] } else { vec![format!("what defines no check is {state}, with {passed} of {defined} checks")] })
}
