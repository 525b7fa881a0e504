//! Runners that are processes of their own, and reach their server over a socket.

use std::{
    fs::{self, Permissions},
    io::BufReader,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use domain::crash::JOIN_POINTS;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use tests::{
    machine::{Client, Machine, Server, running_with, stderr, stdout, wait_for_line},
    their_postgres::TheirCluster,
};

/// A port that nobody uses now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A runner that works in a terminal, and ends in order.
pub struct Runner(Child);

impl Runner {
    /// Returns when its trial has gone well.
    pub fn joins(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut said = BufReader::new(process.stdout.take().unwrap());
        wait_for_line(&mut said, "succeeded  2 of 2 checks passed");
        // read on, or what it says next would end it
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self(process)
    }

    fn dies(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
            let _ = self.0.wait();
        }
    }
}

/// A server that does no work itself, with an admin, and a token of theirs.
pub struct Site<'a> {
    machine: &'a Machine,
    pub server: Server,
    port: u16,
    key: String,
}

impl<'a> Site<'a> {
    pub fn new(machine: &'a Machine) -> Self {
        let port = free_port();
        let server = machine.serves_others_at(port);
        Self { machine, server, port, key: machine.creates_key("admin") }
    }

    pub fn client(&self) -> Client<'_> {
        Client { machine: self.machine, url: &self.server.url, key: self.key.clone() }
    }

    pub fn token(&self) -> String {
        stdout(&self.client().run(&["runner", "token"])).trim().to_owned()
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.machine.folder.path().join(name)
    }

    /// `muster runner`, about the runner in this folder.
    fn runner(&self, folder: &str, arguments: &[&str]) -> Command {
        let folder = self.folder(folder);
        self.machine.muster(&[&["runner"], arguments, &["--runner-dir", folder.to_str().unwrap()]].concat())
    }

    pub fn join(&self, folder: &str, token: &str, arguments: &[&str]) -> Command {
        self.runner(folder, &[&["join", &self.server.url, token], arguments].concat())
    }

    /// A PATH with these before those of the machine.
    fn has_programs(&self, programs: &[(&str, &str)]) -> String {
        let folder = self.folder("tools 100%");
        fs::create_dir(&folder).unwrap();
        for (name, script) in programs {
            fs::write(folder.join(name), script).unwrap();
            fs::set_permissions(folder.join(name), Permissions::from_mode(0o755)).unwrap();
        }
        format!("{}:{}", folder.display(), std::env::var("PATH").unwrap())
    }

    pub fn runners(&self) -> Vec<Value> {
        let listed = self.client().run(&["runner", "list", "--json"]);
        serde_json::from_str(&stdout(&listed)).unwrap_or_else(|_| panic!("{}", stderr(&listed)))
    }

    pub fn dies_and_comes_back(self, meanwhile: impl FnOnce()) -> Self {
        let Self { machine, server, port, key } = self;
        server.is_killed();
        meanwhile();
        Self { machine, server: machine.serves_others_at(port), port, key }
    }
}

pub fn status(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}{}", stdout(output), stderr(output));
}

/// Until the runner of this name has told how its machine is.
fn until_it_is_read(site: &Site<'_>, name: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let runner = site.runners().into_iter().find(|runner| runner["name"] == name).unwrap();
        if !runner["reading"].is_null() {
            return runner["reading"].clone();
        }
        assert!(Instant::now() < deadline, "{runner}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn an_attempt_on_another_machine_outlives_the_server_that_gave_it() {
    let machine = Machine::new();
    let site = Site::new(&machine);
    let runner = Runner::joins(site.join("far", &site.token(), &["--name", "far", "--paths", "--foreground"]));
    let listed = stdout(&site.client().run(&["runner", "list"]));
    assert!(listed.contains("\tfar\tidle\t0\t"), "{listed}");
    let reading = until_it_is_read(&site, "far");
    assert!(reading["disk"]["total"].as_u64() > Some(0) && reading["is_stale"] == false, "{reading}");

    let repository = machine.repository();
    let go_on = machine.sign("go-on");
    let command = format!("echo before; until test -e {}; do sleep 0.05; done; echo after; echo x > made.txt", go_on.display());
    let arguments =
        ["task", "run", "--repo", repository.to_str().unwrap(), "--command", &command, "--check", "file_exists=made.txt", "--json"];
    let created = site.client().run(&arguments);
    let task: Value = serde_json::from_str(&stdout(&created)).unwrap_or_else(|_| panic!("{}", stderr(&created)));
    let id = task["id"].as_str().unwrap().to_owned();
    let mut follower =
        site.client().command(&["task", "logs", &id, "--follow"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    wait_for_line(BufReader::new(follower.stdout.take().unwrap()), "before");
    follower.kill().unwrap();
    follower.wait().unwrap();
    let site = site.dies_and_comes_back(|| fs::write(&go_on, "").unwrap());

    let log = site.client().run(&["task", "logs", &id, "--follow"]);
    status(&log, 0);
    let log = stdout(&log);
    assert!(log.contains("before\nafter\n"), "{log}");
    let task: Value = serde_json::from_str(&stdout(&site.client().run(&["task", "show", &id, "--json"]))).unwrap();
    assert_eq!((task["state"].as_str(), task["attempts"].as_i64(), task["checks_passed"].as_i64()), (Some("succeeded"), Some(1), Some(1)));
    drop(runner);
    site.server.stops();
}

#[test]
fn a_token_is_good_for_one_machine_and_a_machine_joins_once() {
    let machine = Machine::new();
    let site = Site::new(&machine);
    let token = site.token();
    let first = site.join("first", &token, &["--no-run"]).output().unwrap();
    status(&first, 0);
    let again = site.join("first", &token, &["--no-run"]).output().unwrap();
    status(&again, 1);
    assert!(stderr(&again).contains("has joined"), "{}", stderr(&again));
    status(&site.join("second", &token, &["--no-run"]).output().unwrap(), 4);
    let joined = site.join("second", &site.token(), &["--no-run"]).output().unwrap();
    status(&joined, 0);
    assert!(
        stderr(&joined).contains("This machine is the runner "),
        "one that was refused may come with another token: {}",
        stderr(&joined)
    );
    status(&machine.muster(&["runner", "join", "http://muster.example.org", &token, "--no-run"]).output().unwrap(), 2);
    let second = site.join("another", &token, &["--no-run"]).output().unwrap();
    status(&second, 4);
    assert!(stderr(&second).contains("`muster runner token`"), "{}", stderr(&second));
    status(&site.runner("third", &["run"]).output().unwrap(), 1);
    fs::create_dir(site.folder("not a runner's")).unwrap();
    fs::write(site.folder("not a runner's").join("letters"), "").unwrap();
    status(&site.join("not a runner's", &site.token(), &["--no-run"]).output().unwrap(), 2);
    status(&site.runner("third", &["join", "--resume"]).output().unwrap(), 1);
    let key = fs::metadata(site.folder("first").join("key")).unwrap().permissions().mode();
    assert_eq!(key & 0o777, 0o600, "the key is its owner's alone");
    // by any other name, and with what somebody has put there
    drop(Runner::joins(machine.muster(&["runner", "join", &site.server.url, &site.token(), "--foreground", "--runner-dir", "./near"])));
    fs::write(site.folder("near").join("letters"), "").unwrap();
    status(&site.runner("near", &["leave", "--yes", "--purge"]).output().unwrap(), 0);
    let left: Vec<_> = fs::read_dir(site.folder("near")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["letters"]);
    site.server.stops();
}

#[test]
fn a_join_that_was_cut_short_goes_on_where_it_was() {
    let machine = Machine::new();
    let site = Site::new(&machine);
    for (place, point) in JOIN_POINTS.iter().enumerate() {
        let mut join = site.join(point, &site.token(), &["--name", point, "--foreground"]);
        let died = join.env("MUSTER_CRASH_AT", point).output().unwrap();
        assert_eq!(died.status.code(), None, "it dies at {point}: {}", stderr(&died));
        drop(Runner::joins(site.runner(point, &["join", "--resume", "--foreground"])));
        let names: Vec<_> = site.runners().iter().map(|runner| runner["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(names.len(), place + 1, "one more runner: {names:?}");
        assert!(names.iter().any(|name| name == point), "{names:?}");
        status(&site.runner(point, &["join", "--resume"]).output().unwrap(), 1);
    }
    site.server.stops();
}

#[tokio::test]
async fn a_join_whose_token_has_expired_is_done_without_its_trial() {
    let machine = Machine::new();
    let theirs = TheirCluster::create(&machine).await;
    let _postgres = theirs.start(&[]);
    let url = theirs.url();
    while PgConnection::connect(url).await.is_err() {}
    let server = machine.serves_on(Some(url));
    let made = machine.muster(&["admin", "create-key", "--name", "tests", "--role", "admin"]).env("DATABASE_URL", url).output().unwrap();
    let client = Client { machine: &machine, url: &server.url, key: stdout(&made).trim().to_owned() };
    let token = stdout(&client.run(&["runner", "token"])).trim().to_owned();
    let folder = machine.folder.path().join("far");
    let runner = |arguments: &[&str]| machine.muster(&[&["runner"], arguments, &["--runner-dir", folder.to_str().unwrap()]].concat());
    let mut join = runner(&["join", &server.url, &token, "--foreground"]);
    let died = join.env("MUSTER_CRASH_AT", "join.remembered").output().unwrap();
    assert_eq!(died.status.code(), None, "it has joined, and dies: {}", stderr(&died));
    let mut sql = PgConnection::connect(url).await.unwrap();
    sqlx::query("update runner_token set created_at = created_at - interval '2 hours', expires_at = expires_at - interval '2 hours'")
        .execute(&mut sql)
        .await
        .unwrap();
    let resumed = runner(&["join", "--resume", "--foreground"]).output().unwrap();
    status(&resumed, 1);
    let said = stderr(&resumed);
    assert!(said.contains("the token has expired, so the runner could not be tried out"), "{said}");
    assert!(said.contains("it has joined; `muster runner run` works"), "{said}");
    let again = runner(&["join", "--resume"]).output().unwrap();
    status(&again, 1);
    assert!(stderr(&again).contains("there is no join to go on with"), "{}", stderr(&again));

    let runners: Value = serde_json::from_str(&stdout(&client.run(&["runner", "list", "--json"]))).unwrap();
    let joined = runners.as_array().unwrap().iter().find(|runner| runner["joined"] == true).unwrap();
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(joined["name"], host.trim().chars().take(60).collect::<String>(), "nobody has named it");
    server.stops();
}

#[test]
fn a_runner_without_paths_takes_none() {
    let machine = Machine::new();
    let site = Site::new(&machine);
    let runner = Runner::joins(site.join("far", &site.token(), &["--name", "far", "--foreground"]));
    let word = format!("runner:{}", site.runners()[0]["id"].as_str().unwrap());
    let repository = machine.repository();
    let arguments = ["task", "run", "--repo", repository.to_str().unwrap(), "--command", "true", "--capability", &word, "--json"];
    let created: Value = serde_json::from_str(&stdout(&site.client().run(&arguments))).unwrap();
    let id = created["id"].as_str().unwrap();
    // to its end
    site.client().run(&["task", "logs", id, "--follow"]);
    let shown = stdout(&site.client().run(&["task", "show", id]));
    assert!(shown.contains("works on no repository that is a path"), "{shown}");
    drop(runner);
    site.server.stops();
}

#[test]
fn a_runner_that_is_stopped_is_offline_at_once() {
    let machine = Machine::new();
    let site = Site::new(&machine);
    drop(Runner::joins(site.join("far", &site.token(), &["--name", "far", "--foreground"])));
    let stopped = Instant::now();
    while site.runners()[0]["state"] != "offline" {
        assert!(stopped.elapsed() < Duration::from_secs(30), "its silence alone would say so after 45 s");
    }
    let shown: Value = serde_json::from_str(&stdout(&site.client().run(&["runner", "show", "far", "--json"]))).unwrap();
    let stood: Vec<_> = shown["day"]["periods"].as_array().unwrap().iter().map(|period| period["state"].as_str().unwrap()).collect();
    assert_eq!(stood, ["offline", "idle", "working", "idle", "offline"], "its trial was its only task");
    site.server.stops();
}

/// A task that is at work on the only runner until the sign is there; its id.
pub fn is_at_work(site: &Site<'_>, sign: &Path) -> String {
    let repository = site.machine.repository();
    let command = format!("echo at work; until test -e {}; do sleep 0.05; done", sign.display());
    let created = site.client().run(&["task", "run", "--repo", repository.to_str().unwrap(), "--command", &command]);
    status(&created, 0);
    let id = stdout(&created).trim().to_owned();
    let mut follower =
        site.client().command(&["task", "logs", &id, "--follow"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    wait_for_line(BufReader::new(follower.stdout.take().unwrap()), "at work");
    follower.kill().unwrap();
    follower.wait().unwrap();
    id
}

/// `muster runner drain far --wait`, once the runner is to take nothing new.
fn drains_and_waits(site: &Site<'_>) -> Child {
    let mut drain = site.client().command(&["runner", "drain", "far", "--wait"]);
    let mut waits = drain.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    while site.runners()[0]["state"] != "draining" {
        assert!(began.elapsed() < Duration::from_secs(30), "it is drained");
    }
    assert!(matches!(waits.try_wait(), Ok(None)), "something is at work");
    waits
}

#[test]
fn a_drain_is_over_when_nothing_is_at_work_and_not_when_somebody_resumes_it() {
    let machine = Machine::new();
    let site = Site::new(&machine);
    let runner = Runner::joins(site.join("far", &site.token(), &["--name", "far", "--paths", "--foreground"]));
    let (first, second) = (machine.sign("first"), machine.sign("second"));
    let id = is_at_work(&site, &first);
    let waits = drains_and_waits(&site);
    fs::write(&first, "").unwrap();
    let drained = waits.wait_with_output().unwrap();
    status(&drained, 0);
    assert!(stdout(&drained).ends_with("\tdraining\t0\n"), "{}", stdout(&drained));
    let task: Value = serde_json::from_str(&stdout(&site.client().run(&["task", "show", &id, "--json"]))).unwrap();
    assert_eq!((&task["state"], &task["attempts"]), (&"succeeded".into(), &1.into()), "what was at work there came to its end");

    status(&site.client().run(&["runner", "resume", "far"]), 0);
    is_at_work(&site, &second);
    let waits = drains_and_waits(&site);
    status(&site.client().run(&["runner", "resume", "far"]), 0);
    let resumed = waits.wait_with_output().unwrap();
    status(&resumed, 1);
    assert!(stderr(&resumed).contains("was resumed meanwhile"), "{}", stderr(&resumed));
    let log = stdout(&site.client().run(&["runner", "log", "far"]));
    let mut told: Vec<_> = log.lines().rev().map(|line| line.split('\t').nth(2).unwrap()).collect();
    // what a slow machine tells besides is not the point
    told.retain(|what| ["joined", "drained", "resumed"].contains(what));
    assert_eq!(told, ["joined", "drained", "resumed", "drained", "resumed"], "{log}");
    fs::write(&second, "").unwrap();
    drop(runner);
    site.server.stops();
}

#[test]
fn a_machine_that_leaves_leaves_nothing_and_its_key_is_dead() {
    let machine = Machine::new();
    let site = Site::new(&machine);
    Runner::joins(site.join("far", &site.token(), &["--foreground"])).dies();
    let (folder, copy) = (site.folder("far"), site.folder("copy"));
    let copied = Command::new("cp").arg("-a").arg(&folder).arg(&copy).status().unwrap();
    assert!(copied.success());
    status(&site.runner("far", &["leave"]).output().unwrap(), 2);
    let left = site.runner("far", &["leave", "--yes"]).output().unwrap();
    status(&left, 0);
    assert!(stderr(&left).contains("mirrors is still there"), "the trial's branch: {}", stderr(&left));
    assert!(folder.join("mirrors").exists() && !folder.join("key").exists() && !folder.join("identity").exists());
    assert!(site.runners().is_empty());
    let returned = site.runner("copy", &["run"]).output().unwrap();
    status(&returned, 4);
    assert!(stderr(&returned).contains("was removed"), "{}", stderr(&returned));
    // what the server does not know any more can still be cleared up
    status(&site.runner("copy", &["leave", "--yes", "--purge"]).output().unwrap(), 0);
    assert!(!copy.exists());
    site.server.stops();
}

#[test]
fn manifests_lie_there_before_a_machine_joins_and_stay_when_it_leaves() {
    let machine = Machine::new();
    let site = Site::new(&machine);
    let (folder, agents) = (site.folder("far"), site.folder("far").join("agents"));
    fs::create_dir_all(&agents).unwrap();
    fs::write(agents.join("mine.toml"), "speaks = \"text\"\ncommand = [\"no-such-agent\"]\n").unwrap();
    for time in ["the first time", "again"] {
        status(&site.join("far", &site.token(), &["--no-run"]).output().unwrap(), 0);
        assert!(folder.join("key").exists(), "{time}");
        let left = site.runner("far", &["leave", "--yes", "--purge"]).output().unwrap();
        status(&left, 0);
        assert!(stderr(&left).contains("agents, with the manifests of agents, is still there"), "{time}: {}", stderr(&left));
        assert!(agents.join("mine.toml").exists() && !folder.join("key").exists(), "{time}");
    }
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    let refused = site.join("far", &site.token(), &["--no-run"]).output().unwrap();
    status(&refused, 2);
    assert!(stderr(&refused).contains("holds what is no runner's"), "{}", stderr(&refused));
    site.server.stops();
}

#[test]
fn a_runner_does_not_work_with_a_git_that_is_too_old() {
    let machine = Machine::new();
    let site = Site::new(&machine);
    status(&site.join("far", &site.token(), &["--no-run"]).output().unwrap(), 0);
    let path = site.has_programs(&[("git", "#!/bin/sh\necho 'git version 2.30.2'\n")]);
    let refused = site.runner("far", &["run"]).env("PATH", &path).output().unwrap();
    status(&refused, 1);
    assert!(stderr(&refused).contains("the runner needs git 2.34 or newer, and found 2.30.2: "), "{}", stderr(&refused));
    assert_eq!(site.runners()[0]["online"], Value::Bool(false));
    site.server.stops();
}

#[test]
fn a_machine_leaves_a_server_that_is_gone_only_by_force() {
    let machine = Machine::new();
    let site = Site::new(&machine);
    status(&site.join("far", &site.token(), &["--no-run"]).output().unwrap(), 0);
    let (mut leave, mut force) = (site.runner("far", &["leave", "--yes"]), site.runner("far", &["leave", "--yes", "--force"]));
    let folder = site.folder("far");
    // what an agent has read is nobody's any more, also where no server was told
    let session = folder.join("kept/0197c0de-0000-7000-8000-000000000001/session");
    fs::create_dir_all(session.parent().unwrap()).unwrap();
    fs::write(session, "first words").unwrap();
    site.server.stops();
    let kept = leave.env("MUSTER_LEAVE_SECONDS", "1").output().unwrap();
    status(&kept, 1);
    assert!(stderr(&kept).contains("has not heard this runner"), "{}", stderr(&kept));
    assert!(folder.join("key").exists());
    let left = force.env("MUSTER_LEAVE_SECONDS", "1").output().unwrap();
    status(&left, 0);
    assert!(stderr(&left).contains("The server was not told"), "{}", stderr(&left));
    assert!(!folder.exists());
}

/// Stands for a user's own systemd: starts what a unit says, with what it says around it alone, and ends it. The group of its own that a unit
/// speaks of is not here.
const SYSTEMCTL: &str = r#"#!/bin/sh
echo "$@" >> "$HOME/asked"
shift
unit="$HOME/.config/systemd/user/$3"
says() { sed -n "s/^$1=//p" "$unit" | sed 's/%%/%/g'; }
case "$1" in
  enable)
    eval "set -- $(says ExecStart)"
    while read -r line; do
      case $line in [A-Z]*=*) set -- "$line" "$@" ;; esac
    done < "$(says EnvironmentFile | sed 's/^-//')"
    eval "set -- $(says Environment | grep '^"' | tr '\n' ' ') \"\$@\""
    env -i HOME="$HOME" "$@" > "$HOME/service.log" 2>&1 &
    echo $! > "$HOME/service.pid" ;;
  disable)
    kill "$(cat "$HOME/service.pid")"
    while kill -0 "$(cat "$HOME/service.pid")" 2> /dev/null; do sleep 0.05; done ;;
esac
"#;

/// Programs by the PATH; keys by a file that people write, and that they are told of.
fn its_service_finds_what_was_found_when_it_joined(site: &Site<'_>, joined: &Output, unit: &str) {
    let agents = stdout(joined).split_once("\nAgents\n").unwrap().1.to_owned();
    let claude = site.folder("tools 100%").join("claude");
    assert!(agents.contains(&format!("  Claude Code  2.1.9  {}\n", claude.display())), "{agents}");
    assert!(agents.contains("  Codex        not found: there is no program /no/codex\n"), "{agents}");
    let backends = site.runners()[0]["backends"].clone();
    assert_eq!((&backends[0]["backend"], &backends[0]["version"]), (&"claude-code".into(), &"2.1.9".into()), "the service: {backends}");

    let file = site.folder("far away").join("environment");
    let (begins, ends) =
        ("\n  env | grep -E '^(ANTHROPIC_API_KEY)=' | sed ", format!(" >> '{}' && systemctl --user restart {unit}\n", file.display()));
    let said = stderr(joined);
    assert!(said.contains("ANTHROPIC_API_KEY is set here, and the service does not have it."), "{said}");
    assert!(said.contains(begins) && said.contains(&ends), "{said}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let written = fs::read_to_string(site.folder(".config/systemd/user").join(unit)).unwrap();
    assert!(written.contains(&format!("\nEnvironmentFile=-{}\n", file.display())), "{written}");
    let explained = fs::read_to_string(&file).unwrap();
    assert!(![&said, &written, &explained, &stdout(joined)].iter().any(|text| text.contains("key-of-ada")), "nobody has asked for that");

    let log = fs::read_to_string(site.folder("service.log")).unwrap();
    let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    assert!(lines.any(|line| line["message"] == "Runner far is ready"), "it logs as it has joined: {log}");
}

#[test]
fn where_systemd_runs_services_a_runner_is_one() {
    let machine = Machine::new();
    let site = Site::new(&machine);
    let path = site.has_programs(&[("systemctl", SYSTEMCTL), ("claude", "#!/bin/sh\necho '2.1.9 (Claude Code)'\n")]);
    let mut join = site.join("far away", &site.token(), &["--name", "far", "--log-format", "json", "--codex", "/no/codex"]);
    let joined = join.env("PATH", &path).env("ANTHROPIC_API_KEY", "key-of-ada").output().unwrap();
    status(&joined, 0);
    assert!(stdout(&joined).contains("succeeded  2 of 2 checks passed"), "{}", stdout(&joined));
    let unit = stderr(&joined).split_once("It works as the service ").unwrap().1.split(';').next().unwrap().to_owned();
    assert_eq!(site.runners()[0]["online"], Value::Bool(true));
    let folder = site.folder("far away");
    its_service_finds_what_was_found_when_it_joined(&site, &joined, &unit);
    let works = |folder: &Path| running_with(&format!("runner run --runner-dir {}", folder.display())).len();
    assert_eq!(works(&folder), 1);

    // it is not heard, and goes on as it was
    let site = site.dies_and_comes_back(|| {
        let mut leave = machine.muster(&["runner", "leave", "--yes", "--runner-dir", folder.to_str().unwrap()]);
        status(&leave.env("PATH", &path).env("MUSTER_LEAVE_SECONDS", "1").output().unwrap(), 1);
    });
    assert_eq!(works(&folder), 1);
    let left = site.runner("far away", &["leave", "--yes", "--purge"]).env("PATH", &path).output().unwrap();
    status(&left, 0);
    assert_eq!(works(&folder), 0);
    assert!(!folder.exists() && !site.folder(".config/systemd/user").join(&unit).exists());
    let asked = fs::read_to_string(site.folder("asked")).unwrap();
    for line in [format!("--user enable --now {unit}"), format!("--user disable --now {unit}"), "--user daemon-reload".into()] {
        assert!(asked.lines().any(|asked| asked == line), "{line} in {asked}");
    }
    assert!(site.runners().is_empty());
    site.server.stops();
}
