//! Muster's own Postgres, on the real binaries of this machine: it is made, found again, repaired after every kind of kill, and
//! refused where it must be. Run as root these tests take the way of root (dropping to another user); one of them then starts
//! itself again as an ordinary user.

#![expect(clippy::unwrap_used, reason = "these are tests, the helpers below the tests included")]

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use server::postgres::{PostgresError, PrivateCluster, StateLock};
use sqlx::{Connection, PgConnection};

/// Set for a process that plays a Muster of its own: where its state directory is.
const OTHER_MUSTER: &str = "MUSTER_TEST_STATE_DIR";

/// Set for the process that is an ordinary user.
const ORDINARY_USER: &str = "MUSTER_TEST_ORDINARY_USER";

#[tokio::test]
async fn a_new_machine_gets_a_cluster_that_keeps_its_data() {
    let machine = Machine::new();
    let cluster = machine.starts().await;
    assert!(!cluster.was_running());
    let mut sql = connect(&cluster).await;
    sqlx::query("create table note (text text)").execute(&mut sql).await.unwrap();
    sqlx::query("insert into note values ('kept: ü')").execute(&mut sql).await.unwrap();

    let password = fs::read_to_string(machine.state_dir().join("postgres-password")).unwrap();
    assert_eq!(password.trim().len(), 64, "32 random bytes");
    assert!(cluster.url().contains(password.trim()));
    assert!(!format!("{cluster:?}").contains(password.trim()), "{cluster:?}");
    for secret in ["postgres-password", "postgres.log", "postgres-turn.lock"] {
        assert_eq!(mode(&machine.state_dir().join(secret)), 0o600, "{secret}");
    }
    for folder in ["run", "postgres"] {
        assert_eq!(mode(&machine.state_dir().join(folder)), 0o700, "{folder}");
    }
    let process = fs::read_to_string(format!("/proc/{}/status", machine.pid())).unwrap();
    let line = |name: &str| process.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert!(!line("Uid:").starts_with("0\t"), "Postgres must not be root");
    if am_root() {
        assert!(!line("Gid:").starts_with("0\t"), "nor in root's group");
        assert_eq!(line("Groups:"), "", "none of root's groups is left");
    }
    let secrets = fs::read(format!("/proc/{}/environ", machine.pid())).unwrap();
    assert!(!String::from_utf8_lossy(&secrets).contains("CARGO"), "Postgres inherits nothing of Muster's environment");

    // a connection that is still open does not keep it from stopping
    cluster.stop().await.unwrap();
    assert!(!machine.data().join("postmaster.pid").exists());
    assert!(sqlx::query("select 1").execute(&mut sql).await.is_err());

    let cluster = machine.starts().await;
    assert!(!cluster.was_running());
    let text: String = sqlx::query_scalar("select text from note").fetch_one(&mut connect(&cluster).await).await.unwrap();
    assert_eq!(text, "kept: ü");
    cluster.stop().await.unwrap();
    let log = fs::read_to_string(machine.state_dir().join("postgres.log")).unwrap();
    assert!(!log.contains("could not receive data") && !log.contains("no password"), "asking whether it is ready is not logged\n{log}");
}

#[tokio::test]
async fn its_settings_hold_whatever_the_files_say() {
    let machine = Machine::new();
    let cluster = machine.starts().await;
    let mut sql = connect(&cluster).await;
    sqlx::query("alter system set fsync = off").execute(&mut sql).await.unwrap();
    sqlx::query("alter system set listen_addresses = '*'").execute(&mut sql).await.unwrap();
    cluster.stop().await.unwrap();

    let cluster = machine.starts().await;
    let mut sql = connect(&cluster).await;
    let mut settings = BTreeMap::new();
    for name in [
        "data_checksums",
        "fsync",
        "full_page_writes",
        "idle_in_transaction_session_timeout",
        "listen_addresses",
        "max_connections",
        "password_encryption",
        "server_encoding",
        "synchronous_commit",
        "TimeZone",
        "unix_socket_permissions",
    ] {
        let value: String = sqlx::query_scalar("select current_setting($1)").bind(name).fetch_one(&mut sql).await.unwrap();
        settings.insert(name, value);
    }
    insta::assert_debug_snapshot!(settings, @r#"
    {
        "TimeZone": "UTC",
        "data_checksums": "on",
        "fsync": "on",
        "full_page_writes": "on",
        "idle_in_transaction_session_timeout": "1min",
        "listen_addresses": "",
        "max_connections": "100",
        "password_encryption": "scram-sha-256",
        "server_encoding": "UTF8",
        "synchronous_commit": "on",
        "unix_socket_permissions": "0700",
    }
    "#);
    assert_eq!(tcp_sockets_of(machine.pid()), 0);

    let stored: String =
        sqlx::query_scalar("select rolpassword from pg_authid where rolname = 'muster'").fetch_one(&mut sql).await.unwrap();
    assert!(stored.starts_with("SCRAM-SHA-256$"), "{stored}");
    let wrong = cluster.url().replace("postgres://muster:", "postgres://muster:x");
    assert!(PgConnection::connect(&wrong).await.unwrap_err().to_string().contains("password authentication failed"));
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_postgres_that_was_killed_recovers_what_was_committed() {
    let machine = Machine::new();
    let cluster = machine.starts().await;
    let mut sql = connect(&cluster).await;
    sqlx::query("create table note as select generate_series(1, 100000) as number").execute(&mut sql).await.unwrap();
    // a session that outlives the server for a while: Postgres refuses to start beside it
    let mut busy = connect(&cluster).await;
    let at_work = async {
        let minutes =
            "do $$ declare until timestamptz := clock_timestamp() + '1.5 s'; begin while clock_timestamp() < until loop end loop; end $$";
        sqlx::query(minutes).execute(&mut busy).await
    };
    let kill = async {
        let found = "select count(*) from pg_stat_activity where query like 'do $$%' and state = 'active'";
        while sqlx::query_scalar::<_, i64>(found).fetch_one(&mut sql).await.unwrap() == 0 {}
        kill_process(machine.postmaster(), Signal::KILL).unwrap();
        drop(cluster);
        machine.starts().await
    };
    let (_, cluster) = tokio::join!(at_work, kill);

    assert!(!cluster.was_running());
    let log = fs::read_to_string(machine.state_dir().join("postgres.log")).unwrap();
    assert!(log.contains("database system was not properly shut down; automatic recovery in progress"), "{log}");
    assert!(log.contains("is still in use"), "the session was in the way\n{log}");
    let count: i64 = sqlx::query_scalar("select count(*) from note").fetch_one(&mut connect(&cluster).await).await.unwrap();
    assert_eq!(count, 100_000);
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_muster_that_was_killed_leaves_its_postgres_to_the_next_one() {
    if let Some(state_dir) = std::env::var_os(OTHER_MUSTER) {
        return be_another_muster(Path::new(&state_dir)).await;
    }
    let machine = Machine::new();
    let EndedOnDrop(other) = &mut another_muster("a_muster_that_was_killed_leaves_its_postgres_to_the_next_one", &machine);
    wait_for_line(other, "ready");
    let postmaster = machine.pid();
    assert!(
        matches!(StateLock::take(&machine.state_dir()), Err(PostgresError::AlreadyServing { pid: Some(pid), .. }) if pid == other.id())
    );

    // as Ctrl-C does, the whole process group; only not as gently
    kill_process_group(Pid::from_child(other), Signal::KILL).unwrap();
    other.wait().unwrap();

    let lock = StateLock::take(&machine.state_dir());
    assert!(lock.is_ok(), "the lock went with the process: {lock:?}");
    let cluster = machine.starts().await;
    assert!(cluster.was_running());
    assert_eq!(machine.pid(), postmaster);
    sqlx::query("select 1").execute(&mut connect(&cluster).await).await.unwrap();
    cluster.stop().await.unwrap();
    assert!(!Path::new(&format!("/proc/{postmaster}/exe")).exists(), "the last one stops it, adopted or not");
}

#[tokio::test]
async fn whoever_only_visits_leaves_it_running() {
    let machine = Machine::new();
    let first = machine.start();
    let second = machine.start();
    // the first start of all, twice at once: one creates, the other adopts
    let (first, second) = tokio::join!(first, second);
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_ne!(first.was_running(), second.was_running());
    let (starter, visitor) = if first.was_running() { (second, first) } else { (first, second) };

    let mut sql = connect(&starter).await;
    visitor.stop().await.unwrap();
    sqlx::query("select 1").execute(&mut sql).await.unwrap();

    let visitor = machine.starts().await;
    starter.stop().await.unwrap();
    sqlx::query("select 1").execute(&mut sql).await.unwrap();
    visitor.stop().await.unwrap();
    assert!(sqlx::query("select 1").execute(&mut sql).await.is_err());
    assert!(!machine.data().join("postmaster.pid").exists());
}

#[tokio::test]
async fn a_start_during_a_shutdown_waits_and_starts_anew() {
    let machine = Machine::new();
    let cluster = machine.starts().await;
    let before = machine.pid();
    kill_process(machine.postmaster(), Signal::INT).unwrap();
    drop(cluster);
    let cluster = machine.starts().await;
    assert!(!cluster.was_running());
    assert_ne!(machine.pid(), before);
    sqlx::query("select 1").execute(&mut connect(&cluster).await).await.unwrap();
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn stale_pid_files_are_seen_through() {
    let machine = Machine::new();
    machine.starts().await.stop().await.unwrap();
    let neighbour = Machine::new();
    let neighbours = neighbour.starts().await;
    let owner = fs::metadata(machine.data()).unwrap();
    // of the same user, so that Postgres alone would take it for itself
    let mut sleeper = EndedOnDrop(Command::new("sleep").arg("600").uid(owner.uid()).gid(owner.gid()).spawn().unwrap());
    let ended = EndedOnDrop(Command::new("true").spawn().unwrap());
    let dead = ended.0.id();
    let started = Instant::now();
    while !fs::read_to_string(format!("/proc/{dead}/stat")).unwrap().contains(") Z ") {
        assert!(started.elapsed() < Duration::from_secs(10));
    }

    let data = machine.data();
    let run = machine.state_dir().join("run");
    let file = |pid: &dyn std::fmt::Display| format!("{pid}\n{}\n1763640000\n5432\n{}\n\n  1 1\nready   \n", data.display(), run.display());
    let stale = [
        ("a zombie", file(&dead)),
        ("nobody", file(&i32::MAX)),
        ("another program", file(&sleeper.0.id())),
        ("the Postgres of somebody else", file(&neighbour.pid())),
        ("nothing, as a full disk leaves it", String::new()),
    ];
    for (whose, text) in stale {
        fs::write(data.join("postmaster.pid"), &text).unwrap();
        fs::write(run.join(".s.PGSQL.5432.lock"), &text).unwrap();
        let cluster = machine.starts().await;
        assert!(!cluster.was_running(), "{whose}");
        sqlx::query("select 1").execute(&mut connect(&cluster).await).await.unwrap();
        cluster.stop().await.unwrap();
    }
    assert!(sleeper.0.try_wait().unwrap().is_none(), "the other program was left alone");
    sqlx::query("select 1").execute(&mut connect(&neighbours).await).await.unwrap();
    neighbours.stop().await.unwrap();
}

#[tokio::test]
async fn a_server_that_answers_without_a_process_is_not_given_a_twin() {
    let machine = Machine::new();
    let cluster = machine.starts().await;
    let pid_file = machine.data().join("postmaster.pid");
    let text = fs::read_to_string(&pid_file).unwrap();
    // as it looks from another container that shares the folder
    fs::write(&pid_file, text.replacen(&machine.pid().to_string(), &i32::MAX.to_string(), 1)).unwrap();
    let refused = machine.refuses().await;
    fs::write(&pid_file, text).unwrap();
    assert!(refused.contains("answers on …/run/.s.PGSQL.5432, but it is not a process that Muster can see"), "{refused}");
    cluster.stop().await.unwrap();
}

#[tokio::test]
async fn a_cluster_of_another_version_is_refused_and_left_as_it_is() {
    let machine = Machine::new();
    let data = machine.data();
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("PG_VERSION"), "14\n").unwrap();
    fs::write(data.join("postmaster.pid"), "stale\n").unwrap();
    machine.give_to_postgres(&data);

    let refused = machine.refuses().await;
    let (before, rest) = refused.split_once(" found here are of version ").unwrap();
    let (here, after) = rest.split_once(". Nothing").unwrap();
    assert!(here.contains("bin)"), "{here}");
    let newest = after.split_once("to version ").unwrap().1.split_once(' ').unwrap().0;
    insta::assert_snapshot!(format!("{before} … Nothing{}", after.replace(&format!("version {newest}"), "version [newest here]")), @"The Postgres cluster in …/postgres is of version 14, and the binaries … Nothing was changed. Muster works with versions 15 to 18; or bring the cluster to version [newest here] with pg_upgrade, or with a dump and restore.");
    assert_eq!(names_in(&data), ["PG_VERSION", "postmaster.pid"]);
    assert!(!machine.state_dir().join("postgres-password").exists());
}

#[tokio::test]
async fn what_is_not_a_cluster_or_lacks_its_password_is_refused() {
    let machine = Machine::new();
    fs::create_dir_all(machine.data()).unwrap();
    fs::write(machine.data().join("holiday.jpg"), "").unwrap();
    machine.give_to_postgres(&machine.data());
    let refused = machine.refuses().await;
    assert!(refused.starts_with("…/postgres exists, but it is not a Postgres cluster"), "{refused}");
    assert_eq!(names_in(&machine.data()), ["holiday.jpg"]);

    // an empty folder is as good as none, whoever made it
    fs::remove_dir_all(machine.data()).unwrap();
    fs::create_dir(machine.data()).unwrap();
    machine.starts().await.stop().await.unwrap();
    fs::remove_file(machine.state_dir().join("postgres-password")).unwrap();
    let refused = machine.refuses().await;
    assert!(refused.starts_with("The password of the Postgres cluster is missing from …/postgres-password."), "{refused}");
}

#[tokio::test]
async fn a_start_that_fails_shows_what_postgres_said() {
    let machine = Machine::new();
    machine.starts().await.stop().await.unwrap();
    fs::write(machine.data().join("postgresql.auto.conf"), "shared_buffers = 'plenty'\n").unwrap();
    let refused = machine.refuses().await;
    assert!(refused.starts_with("Postgres did not start. The data in …/postgres is as it was;"), "{refused}");
    assert!(refused.contains("invalid value for parameter \"shared_buffers\": \"plenty\""), "{refused}");

    fs::write(machine.data().join("postgresql.auto.conf"), "").unwrap();
    machine.starts().await.stop().await.unwrap();
}

#[tokio::test]
async fn a_creation_that_was_killed_is_begun_again() {
    if let Some(state_dir) = std::env::var_os(OTHER_MUSTER) {
        return be_another_muster(Path::new(&state_dir)).await;
    }
    let machine = Machine::new();
    let EndedOnDrop(other) = &mut another_muster("a_creation_that_was_killed_is_begun_again", &machine);
    let began = Instant::now();
    let half_made = || {
        let folders = fs::read_dir(machine.state_dir()).into_iter().flatten().flatten();
        folders
            .map(|folder| folder.path())
            .any(|folder| folder.to_string_lossy().contains("postgres.new-") && folder.join("data/base").exists())
    };
    while !half_made() {
        assert!(began.elapsed() < Duration::from_secs(30) && other.try_wait().unwrap().is_none());
    }
    kill_process(Pid::from_child(other), Signal::KILL).unwrap();
    other.wait().unwrap();
    assert!(half_made() && !machine.data().exists());

    let cluster = machine.starts().await;
    sqlx::query("select 1").execute(&mut connect(&cluster).await).await.unwrap();
    cluster.stop().await.unwrap();
    // the first one may have written on for a moment while it was removed; the second time it is gone for certain
    machine.starts().await.stop().await.unwrap();
    assert!(!half_made());
    assert_eq!(names_in(&machine.state_dir()).iter().filter(|name| name.starts_with("postgres.new")).count(), 0);
}

#[tokio::test]
async fn a_start_that_is_cancelled_leaves_nothing_running() {
    let machine = Machine::new();
    machine.starts().await.stop().await.unwrap();
    let mut start = Box::pin(machine.start());
    let pid_file = machine.data().join("postmaster.pid");
    let began = Instant::now();
    while !pid_file.exists() {
        assert!(began.elapsed() < Duration::from_secs(30));
        let step = tokio::time::timeout(Duration::from_millis(1), &mut start).await;
        assert!(step.is_err(), "ready before it could be cancelled");
    }
    drop(start);
    while pid_file.exists() {
        assert!(began.elapsed() < Duration::from_secs(30), "it goes on without anybody who waits for it");
        tokio::task::yield_now().await;
    }
    machine.starts().await.stop().await.unwrap();
}

#[test]
fn only_one_muster_serves_from_a_state_dir() {
    let machine = Machine::new();
    let lock = StateLock::take(&machine.state_dir()).unwrap();
    let refused = machine.in_words(StateLock::take(&machine.state_dir()).unwrap_err());
    insta::assert_snapshot!(refused.replace(&std::process::id().to_string(), "[pid]"), @"Another Muster (process [pid]) already serves from …. Stop it first, or give this one a folder of its own with MUSTER_STATE_DIR.");
    drop(lock);
    assert!(StateLock::take(&machine.state_dir()).is_ok());
}

#[tokio::test]
async fn a_state_dir_that_postgres_cannot_reach_is_named() {
    let machine = Machine::new();
    let closed = machine.folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    let started = PrivateCluster::start(&closed.join("state")).await;
    if am_root() {
        let refused = started.unwrap_err().to_string();
        assert!(refused.contains(&format!("who may not enter {}. Set MUSTER_STATE_DIR to a folder", closed.display())), "{refused}");
        assert!(!closed.join("state/postgres").exists());
    } else {
        started.unwrap().stop().await.unwrap();
    }
    assert_eq!(mode(&closed), 0o700, "the folder of a person keeps its mode");
}

#[tokio::test]
async fn a_path_too_long_for_a_socket_is_no_obstacle() {
    let machine = Machine::in_folder(&"long".repeat(30));
    let cluster = machine.starts().await;
    sqlx::query("select 1").execute(&mut connect(&cluster).await).await.unwrap();
    let socket_folder = fs::read_to_string(machine.data().join("postmaster.pid")).unwrap().lines().nth(4).map(PathBuf::from).unwrap();
    assert!(socket_folder.to_string_lossy().starts_with("/tmp/muster-"), "{socket_folder:?}");
    assert_eq!(mode(&socket_folder), 0o700);
    assert_eq!(fs::metadata(&socket_folder).unwrap().uid(), fs::metadata(machine.data()).unwrap().uid());

    let visitor = machine.starts().await;
    assert!(visitor.was_running());
    visitor.stop().await.unwrap();
    assert!(socket_folder.exists());
    cluster.stop().await.unwrap();
    assert!(!socket_folder.exists(), "nothing is left in /tmp");
}

#[tokio::test]
async fn an_ordinary_user_needs_no_root() {
    if am_root() {
        assert!(std::env::var_os(ORDINARY_USER).is_none(), "still root");
        let machine = Machine::new();
        // the target folder may be closed to others
        let copy = machine.folder.path().join("it");
        fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
        fs::set_permissions(&copy, Permissions::from_mode(0o755)).unwrap();
        let output =
            this_test_again("an_ordinary_user_needs_no_root", &copy).env(ORDINARY_USER, "1").uid(65534).gid(65534).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
        assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
        return;
    }
    let machine = Machine::new();
    let me = rustix::process::geteuid().as_raw();
    let cluster = machine.starts().await;
    assert_eq!(fs::metadata(format!("/proc/{}", machine.pid())).unwrap().uid(), me);
    assert_eq!(mode(&machine.state_dir()), 0o700);
    sqlx::query("create table note (text text)").execute(&mut connect(&cluster).await).await.unwrap();
    drop(cluster);
    let cluster = machine.starts().await;
    assert!(cluster.was_running());
    cluster.stop().await.unwrap();
    machine.starts().await.stop().await.unwrap();
}

/// A machine with nothing on it but Postgres's binaries. Dropping it ends whatever server it still runs.
struct Machine {
    folder: tempfile::TempDir,
    /// Named to try the quoting of everything the path passes through.
    name: String,
}

impl Machine {
    fn new() -> Self {
        Self::in_folder("a \"state\", %41 $HOME ü")
    }

    fn in_folder(name: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("muster-").permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
        Self { folder, name: name.to_owned() }
    }

    fn state_dir(&self) -> PathBuf {
        self.folder.path().join(&self.name)
    }

    fn data(&self) -> PathBuf {
        self.state_dir().join("postgres")
    }

    async fn start(&self) -> Result<PrivateCluster, PostgresError> {
        PrivateCluster::start(&self.state_dir()).await
    }

    async fn starts(&self) -> PrivateCluster {
        self.start().await.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn refuses(&self) -> String {
        self.in_words(self.start().await.unwrap_err())
    }

    fn in_words(&self, error: PostgresError) -> String {
        error.to_string().replace(&*self.state_dir().to_string_lossy(), "…")
    }

    fn pid(&self) -> i32 {
        pid_in(&self.data()).unwrap()
    }

    fn postmaster(&self) -> Pid {
        Pid::from_raw(self.pid()).unwrap()
    }

    /// As an earlier Muster would have left it.
    fn give_to_postgres(&self, folder: &Path) {
        if am_root() {
            std::os::unix::fs::chown(folder, Some(65534), Some(65534)).unwrap();
        }
        // root makes it so that others may pass
        fs::set_permissions(self.state_dir(), Permissions::from_mode(0o711)).unwrap();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let Some(pid) = pid_in(&self.data()) else { return };
        let serves = || fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == fs::canonicalize(self.data()).unwrap_or_default());
        let began = Instant::now();
        while let Some(postmaster) = Pid::from_raw(pid).filter(|_| serves()) {
            // an immediate shutdown, which takes its shared memory along; the hard way when that does not help
            let signal = if began.elapsed() < Duration::from_secs(5) { Signal::QUIT } else { Signal::KILL };
            let _ = kill_process(postmaster, signal);
            std::thread::yield_now();
        }
    }
}

/// A process that does not outlive the test, however the test ends.
struct EndedOnDrop(Child);

impl Drop for EndedOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn connect(cluster: &PrivateCluster) -> PgConnection {
    PgConnection::connect(&cluster.url()).await.unwrap()
}

fn am_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn pid_in(data: &Path) -> Option<i32> {
    fs::read_to_string(data.join("postmaster.pid")).ok()?.lines().next()?.parse().ok()
}

fn names_in(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Sockets of the process that the tables of TCP know.
fn tcp_sockets_of(pid: i32) -> usize {
    let tables = ["tcp", "tcp6"].map(|table| fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default()).concat();
    let inodes: Vec<&str> = tables.lines().filter_map(|line| line.split_whitespace().nth(9)).collect();
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten().filter_map(|file| fs::read_link(file.path()).ok());
    let names: Vec<String> = open.map(|target| target.to_string_lossy().into_owned()).collect();
    assert!(names.iter().any(|name| name.starts_with("socket:")), "its own socket at least: {names:?}");
    names.iter().filter_map(|name| name.strip_prefix("socket:[")?.strip_suffix(']')).filter(|inode| inodes.contains(inode)).count()
}

fn this_test_again(name: &str, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["--exact", &format!("private_postgres::{name}"), "--nocapture"]).current_dir("/");
    command
}

/// A process of its own process group that runs [`be_another_muster`].
fn another_muster(test: &str, machine: &Machine) -> EndedOnDrop {
    let mut command = this_test_again(test, &std::env::current_exe().unwrap());
    EndedOnDrop(command.env(OTHER_MUSTER, machine.state_dir()).stdout(Stdio::piped()).process_group(0).spawn().unwrap())
}

async fn be_another_muster(state_dir: &Path) {
    let _lock = StateLock::take(state_dir).unwrap();
    let cluster = PrivateCluster::start(state_dir).await.unwrap();
    let mut out = std::io::stdout();
    writeln!(out, "ready").unwrap();
    let () = std::future::pending().await;
    drop(cluster);
}

fn wait_for_line(process: &mut Child, wanted: &str) {
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.ends_with(wanted)), "it ended before it was {wanted}");
}
