//! T22, the sandbox: what work tries that wants out of it is denied, what it needs is there, and where no sandbox can be made nothing runs.
//! What harms nobody is tried outside as well: what is not possible there shows nothing, and is not counted.

mod agent;

use std::{
    fs,
    net::TcpListener,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::PermissionsExt,
            net::{SocketAddr, UnixListener},
        },
    },
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, ensure};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    cases::{self, RUNNER, quoted},
    check::{self, Outcome, Violation},
    services::Services,
    t2::until,
    t24::Listener,
    world::{Setup, World},
};

const PATIENCE: Duration = Duration::from_secs(180);
/// In the environment of the runner.
const CANARY: &str = "canary-of-the-runner";
/// A number of seconds that nobody waits for.
const ANOTHER: &str = "84022.22";

/// Something that is tried, each in a shell of its own.
struct Act {
    what: &'static str,
    does: String,
    /// It can be tried outside.
    harmless: bool,
}

fn tries(what: &'static str, does: impl Into<String>) -> Act {
    Act { what, does: does.into(), harmless: true }
}

/// Would harm the machine, so that nobody sees it succeed.
fn harms(what: &'static str, does: impl Into<String>) -> Act {
    Act { what, does: does.into(), harmless: false }
}

/// What lies around the sandbox.
struct Outside {
    home: PathBuf,
    beside: PathBuf,
    runner_dir: PathBuf,
    runner: u32,
    /// Another attempt at work on the same machine: its folder and one of its processes.
    another: PathBuf,
    another_pid: i32,
    port: u16,
    server: u16,
    name: String,
    services: Services,
    _tcp: TcpListener,
    _file: UnixListener,
    _named: UnixListener,
}

impl Outside {
    async fn around(world: &World, pool: &PgPool, another: Uuid, services: Services) -> anyhow::Result<Self> {
        let home = world.machine.folder.path().to_owned();
        let beside = home.join("beside");
        fs::create_dir_all(home.join(".ssh"))?;
        fs::create_dir(&beside)?;
        fs::write(home.join(".ssh/id_ed25519"), "canary")?;
        fs::write(beside.join("secret"), "canary")?;
        let tcp = TcpListener::bind("127.0.0.1:0")?;
        let port = tcp.local_addr()?.port();
        let name = format!("muster-t22-{port}");
        let attempt: Uuid = sqlx::query_scalar("select id from attempt where task_id = $1").bind(another).fetch_one(pool).await?;
        let runner_dir = world.runner_dir(RUNNER);
        Ok(Self {
            another: runner_dir.join("attempts").join(attempt.to_string()),
            another_pid: pid_of(&format!("sleep\0{ANOTHER}\0")).context("the other attempt is not at work")?,
            runner: world.pid_of_runner(RUNNER).await.context("there is no runner")?,
            server: world.direct[cases::SERVER].port(),
            _file: UnixListener::bind(beside.join("socket"))?,
            _named: UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name)?)?,
            _tcp: tcp,
            home,
            beside,
            runner_dir,
            port,
            name,
            services,
        })
    }

    /// Namespaces in which there is something of others, by what the kernel calls them.
    fn namespaces() -> anyhow::Result<Vec<Act>> {
        let shared = [
            ("user", "the user namespace of the machine"),
            ("pid", "its namespace of processes"),
            ("ipc", "its namespace of shared memory"),
            ("uts", "its namespace of names"),
            ("cgroup", "its namespace of control groups"),
        ];
        let act = |(name, what): (&str, &'static str)| {
            let own = fs::read_link(format!("/proc/self/ns/{name}"))?;
            anyhow::Ok(tries(what, format!("test \"$(readlink /proc/self/ns/{name})\" = '{}'", own.display())))
        };
        shared.into_iter().map(act).collect()
    }

    /// What may not be.
    fn denied(&self) -> anyhow::Result<Vec<Act>> {
        let Self { runner, another_pid, port, server, name, .. } = self;
        let [home, beside, runner_dir, another] = [&self.home, &self.beside, &self.runner_dir, &self.another].map(|path| path.display());
        let files = [
            tries("a key in a home", format!("cat {home}/.ssh/id_ed25519")),
            tries("a file beside the work", format!("cat {beside}/secret")),
            tries("a file through a link", format!("ln -sf {beside}/secret link && cat link")),
            tries("a file by another name of its own", format!("ln -f {beside}/secret hard && cat hard")),
            tries("a file through the root of a process", format!("cat /proc/{runner}/root{beside}/secret")),
            tries("a file that is written beside the work", format!("echo x > {beside}/written")),
            tries("a folder that is mounted over", format!("bwrap --ro-bind / / cat {beside}/secret")),
            tries("the runner's key", format!("cat {runner_dir}/key")),
            tries("the runner's name", format!("cat {runner_dir}/identity")),
            tries("the runner's journal", format!("ls {runner_dir}/journal")),
            tries("what the runner has to say", format!("ls {runner_dir}/outbox")),
            tries("another attempt's work", format!("cat {another}/work/hers.txt")),
            tries("folders of the machine", "ls /srv /mnt"),
            tries("other software", "ls /opt"),
            tries("the kernel's settings", "ls /sys/kernel"),
            tries("the kernel's settings, written", "test -w /proc/sys/kernel/core_pattern"),
            tries("control groups", "ls /sys/fs/cgroup"),
            tries("the kernel's messages", "test -e /dev/kmsg"),
            tries("memory of the machine", "test -e /dev/mem"),
            tries("a container engine", "test -e /run/docker.sock -o -e /var/run/docker.sock"),
            tries("a bus", "test -e /run/dbus -o -e /run/systemd"),
            tries("a list of passwords", "head -c 1 /etc/shadow"),
            harms("a setting of the machine", "echo x > /etc/muster-was-here"),
            harms("a program of the machine", "echo x > /usr/bin/muster-was-here"),
            harms("a library of the machine", "echo x > /usr/lib/muster-was-here"),
            harms("what the runner has to say, written", format!("echo x > {runner_dir}/outbox/forged.said")),
            harms("the kernel's switches", "echo x >> /proc/sysrq-trigger"),
            harms("the machine's name", "echo x > /proc/sys/kernel/hostname"),
        ];
        let others = [
            tries("processes of others", "test $(ls -d /proc/[0-9]* | wc -l) -gt 16"),
            tries("the runner, by a signal", format!("kill -0 {runner} && grep -qx muster /proc/{runner}/comm")),
            tries("another attempt, by a signal", format!("kill -0 {another_pid} && grep -qx sleep /proc/{another_pid}/comm")),
            tries("the runner's environment", format!("grep -q {CANARY} /proc/{runner}/environ")),
            tries("another attempt's environment", format!("grep -qx sleep /proc/{another_pid}/comm && cat /proc/{another_pid}/environ")),
            tries("the runner's open files", format!("grep -qx muster /proc/{runner}/comm && ls /proc/{runner}/fd")),
            tries("the runner's memory", reads_memory(i64::from(*runner), "muster")),
            tries("another attempt's memory", reads_memory(i64::from(*another_pid), "sleep")),
            tries("what the runner has in its environment", "env | grep -q canary"),
            tries("to be root", "test \"$(id -u)\" = 0"),
            tries("to be in root's group", "test \"$(id -g)\" = 0"),
            tries("a user namespace", "unshare --user true"),
            tries("a user namespace, by the call below it", "perl -e 'exit(syscall(56, 0x10000011, 0, 0, 0, 0) == -1)'"),
            tries("the namespaces of another", format!("nsenter --target {runner} --user --mount true")),
            tries("rings", "perl -e 'syscall(425, 1, 0) >= 0 or !$!{EPERM} or exit 1'"),
            tries("keys of the session", "perl -e 'syscall(250, 0, -3, 0) >= 0 or !$!{EPERM} or exit 1'"),
            tries("rights", "! grep -q '^CapEff:.0000000000000000' /proc/self/status"),
            tries("programs with the rights of others", "grep -q '^NoNewPrivs:.0' /proc/self/status"),
            tries("every call", "grep -q '^Seccomp:.0' /proc/self/status"),
            harms("mounts", "mount -t tmpfs none /mnt"),
            harms("no more mounts", "umount /tmp"),
            harms("another root", "chroot / true"),
            harms("files of others", "chown 1 ."),
            harms("devices", "mknod device c 1 3"),
            harms("the clock", "date -s 2001-01-01"),
            harms("another that is looked into", format!("perl -e 'syscall(101, 0x4206, {another_pid}, 0, 0) == 0 or exit 1'")),
        ];
        let network = [
            tries("a service of the machine", format!("exec 3<>/dev/tcp/127.0.0.1/{port}")),
            tries("its server", format!("exec 3<>/dev/tcp/127.0.0.1/{server}")),
            tries(
                "a socket in a file",
                format!("perl -MSocket -e 'socket(S, 1, 1, 0) && connect(S, sockaddr_un(\"{beside}/socket\")) or exit 1'"),
            ),
            tries("a socket by its name", format!("perl -e 'socket(S, 1, 1, 0) && connect(S, pack(\"Sa*\", 1, \"\\0{name}\")) or exit 1'")),
            tries("a socket to the machine below", "perl -e 'socket(S, 40, 1, 0) or exit 1'"),
            tries("packets as they are", "perl -e 'socket(S, 17, 3, 768) or exit 1'"),
            tries("a name", "getent hosts example.org"),
            tries("keys of a cloud", "exec 3<>/dev/tcp/169.254.169.254/80"),
        ];
        let repository = [
            harms("hooks", "echo x > \"$(git rev-parse --git-dir)/hooks/post-commit\""),
            harms("git's settings", "git config core.hooksPath /tmp"),
            harms("where git borrows from", "echo /etc > \"$(git rev-parse --git-dir)/objects/info/alternates\""),
            harms("another repository in its place", "rm -f .git && git init ."),
            harms("what it was given", "echo x > \"$MUSTER_INPUTS\""),
        ];
        let services = self.services.acts().into_iter().map(|(what, does)| tries(what, does));
        Ok(files.into_iter().chain(others).chain(network).chain(repository).chain(services).chain(Self::namespaces()?).collect())
    }
}

/// A few bytes of a process, which has to be the one that is meant: inside others may have its number.
fn reads_memory(pid: i64, name: &str) -> String {
    format!(
        "grep -qx {name} /proc/{pid}/comm && perl -e 'open(MAPS, \"<\", \"/proc/{pid}/maps\") && <MAPS> =~ /^([0-9a-f]+)/ or exit 1; \
         open(MEMORY, \"<\", \"/proc/{pid}/mem\") or exit 1; sysseek(MEMORY, hex $1, 0); exit(sysread(MEMORY, $read, 4) != 4)'"
    )
}

/// What work needs. A sandbox in which nothing is possible would keep every promise.
fn allowed() -> Vec<Act> {
    vec![
        tries("to write in its tree", "echo x > made.txt && mkdir -p deep/er && echo x > deep/er/made.txt"),
        tries("to commit", "git add made.txt && git commit --quiet -m Made"),
        tries("a home", "echo x > ~/made && test \"$(cat ~/made)\" = x"),
        tries("a place for what is passing", "echo x > /tmp/made && test -w /dev/shm && test -c /dev/null"),
        tries("processes", "for i in 1 2 3; do sleep 0.1 & done; wait"),
        tries(
            "a network of its own",
            "perl -MIO::Socket::INET -e '$l = IO::Socket::INET->new(Listen => 1, LocalAddr => \"127.0.0.1\") or exit 1; \
             IO::Socket::INET->new(PeerAddr => \"127.0.0.1\", PeerPort => $l->sockport) or exit 1'",
        ),
        tries("programs of the machine", "perl -e 1 && git --version && test -r /etc/passwd"),
    ]
}

pub async fn run(seed: u64) -> anyhow::Result<Outcome> {
    let model = Listener::new()?;
    let models = format!("http://127.0.0.1:{}/v1", model.port);
    let services = Services::offer()?;
    let more = [("AWS_SECRET_ACCESS_KEY", CANARY), (agent::MODELS, models.as_str())];
    let more = more.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let runners = [services.environment(), more].concat();
    let terminal = Some(services.terminal.clone());
    let world = World::create(Setup { slots: [0, 0], far: [2, 0], sandboxed: true, runners, terminal, ..Setup::default() }).await?;
    let pool = PgPool::connect(world.database_url()).await?;
    let sleeps = format!("echo hers > hers.txt; echo ready; exec sleep {ANOTHER}");
    let another = cases::hand_in(&world, "another", json!({"command": sleeps})).await?;
    until("another is at work", async || Ok(cases::log(&pool, another, Some("stdout")).await?.contains("ready"))).await?;
    let outside = Outside::around(&world, &pool, another, services).await?;
    let (mut denied, allowed) = (outside.denied()?, allowed());
    let count = denied.len();
    // what one leaves is there for the next
    denied.rotate_left(usize::try_from(seed)? % count);
    let possible: Vec<_> =
        denied.iter().map(|act| act.harmless.then(|| is_possible(&outside, act)).transpose()).collect::<Result<_, _>>()?;
    let mut violations = vec![];
    let done = tried(&world, &pool, denied.iter().chain(&allowed)).await?;
    for (act, was_done) in denied.iter().zip(&done) {
        match was_done {
            Some(false) => {}
            Some(true) => violations.push(format!("it reaches {}: {}", act.what, act.does)),
            None => violations.push(format!("it was not tried: {}", act.what)),
        }
    }
    for (act, was_done) in allowed.iter().zip(&done[count..]) {
        if *was_done != Some(true) {
            violations.push(format!("it has not what it needs: {}", act.what));
        }
    }
    if outside.beside.join("written").exists() {
        violations.push("something was written beside the work".to_owned());
    }
    cases::cancel(&world, another).await?;
    cases::task_state(&pool, another, PATIENCE).await?;
    violations.extend(agent::tries_by_default(&world, &pool, &model).await?);
    violations.extend(without(&world, &pool).await?);
    violations.extend(check::of_tasks(&pool).await?);
    pool.close().await;
    let nothing = possible.iter().filter(|possible| **possible == Some(false)).count();
    let summary = format!("{count} acts denied, {nothing} of them not possible outside either, {} allowed", allowed.len());
    check::judged(&world, summary, violations).await
}

/// By whoever runs the test, beside the sandbox.
fn is_possible(outside: &Outside, act: &Act) -> anyhow::Result<bool> {
    let folder = outside.home.join("tried");
    fs::create_dir_all(&folder)?;
    let mut command = Command::new("setsid");
    outside.services.outside.begins(&mut command)?;
    let does = format!("exec < /dev/null\n{}", act.does);
    command.args(["timeout", "10", "bash", "-c", &does]).current_dir(folder).env("HOME", &outside.home);
    command.env("AWS_SECRET_ACCESS_KEY", CANARY).envs(outside.services.environment());
    let done = command.stdout(Stdio::null()).stderr(Stdio::null()).status()?.success();
    // it is to be seen whether the work does it
    match fs::remove_file(outside.beside.join("written")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(done),
    }
}

/// Whether each was done; nothing where it was not even tried.
async fn tried<'a>(world: &World, pool: &PgPool, acts: impl Iterator<Item = &'a Act>) -> anyhow::Result<Vec<Option<bool>>> {
    let acts: Vec<_> = acts.collect();
    let line = |(number, act): (usize, &&Act)| {
        let does = quoted(&act.does);
        format!("if timeout 10 bash -c {does} > /dev/null 2>&1 < /dev/null; then echo REACHED {number}; else echo DENIED {number}; fi\n")
    };
    let script: String = acts.iter().enumerate().map(line).collect();
    let task = cases::hand_in(world, "tries", json!({"command": script})).await?;
    let ended = cases::attempt_ended(pool, task, 1, PATIENCE).await?;
    ensure!(ended.state == "succeeded", "what tries did not come to its end: {} ({})", ended.state, ended.why);
    let said = cases::log(pool, task, Some("stdout")).await?;
    let lines: Vec<_> = said.lines().collect();
    let done = |number| {
        let was = |word: &str| lines.contains(&format!("{word} {number}").as_str());
        match (was("REACHED"), was("DENIED")) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        }
    };
    Ok((0..acts.len()).map(done).collect())
}

/// Where bubblewrap is missing, or cannot make a room, the attempt fails and nothing of it has run. That happens to a runner that has said that
/// its machine makes them: any other is given nothing.
async fn without(world: &World, pool: &PgPool) -> anyhow::Result<Vec<Violation>> {
    let folder = world.machine.folder.path();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let real = std::env::split_paths(&path).map(|place| place.join("bwrap")).find(|file| file.exists()).context("there is no bwrap")?;
    let newest = || sqlx::query_scalar::<_, i64>("select coalesce(max(ticket), 0) from runner").fetch_one(pool);
    let mut found = vec![];
    for name in ["missing", "refuses"] {
        let programs = folder.join(name);
        fs::create_dir(&programs)?;
        let bwrap = programs.join("bwrap");
        fs::write(&bwrap, format!("#!/bin/sh\nexec {} \"$@\"\n", quoted(&real.display().to_string())))?;
        fs::set_permissions(&bwrap, fs::Permissions::from_mode(0o755))?;
        let ran = folder.join(format!("ran-{name}"));
        world.kill_runner(RUNNER).await?;
        let before = newest().await?;
        // in the room there is what the machine has besides
        let path = format!("{}:{}", programs.display(), path.display());
        world.start_runner_in(RUNNER, &[("PATH", path.as_str())]).await?;
        until("the runner says hello", async || Ok(newest().await? > before)).await?;
        match name {
            // where nothing of that name lay any more, the machine's own would be found behind it
            "missing" => fs::write(&bwrap, "#!/bin/sh\nexec /no/such/bwrap \"$@\"\n")?,
            _ => fs::write(&bwrap, "#!/bin/sh\necho 'setting up uid map: Permission denied' >&2; exit 1\n")?,
        }
        let command = format!("touch '{}'; echo it\" \"ran", ran.display());
        let task = cases::hand_in(world, name, json!({"command": command})).await?;
        let ended = cases::attempt_ended(pool, task, 1, PATIENCE).await?;
        if (ended.state.as_str(), ended.code.as_str()) != ("failed", "sandbox_unavailable") {
            found.push(format!("bubblewrap {name}: the attempt is {} {} ({})", ended.state, ended.code, ended.why));
        }
        if ran.exists() || cases::log(pool, task, Some("stdout")).await?.contains("it ran") {
            found.push(format!("bubblewrap {name}: the work ran all the same"));
        }
        let open: bool = sqlx::query_scalar("select ended_at is null from task where id = $1").bind(task).fetch_one(pool).await?;
        if open {
            cases::cancel(world, task).await?;
        }
        cases::task_state(pool, task, PATIENCE).await?;
    }
    Ok(found)
}

/// Of the process with this command line.
fn pid_of(line: &str) -> Option<i32> {
    let mut entries = fs::read_dir("/proc").ok()?.flatten();
    entries.find_map(|entry| {
        let is_it = fs::read(entry.path().join("cmdline")).is_ok_and(|there| there == line.as_bytes());
        is_it.then(|| entry.file_name().to_str()?.parse().ok()).flatten()
    })
}
