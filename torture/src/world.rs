//! A Postgres, two servers that share it, runners that have joined, a proxy on every way between them and to their clients, and what can
//! be done to them.

use std::{
    fs,
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, anyhow, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tests::{
    machine::{Machine, muster},
    their_postgres::{TheirCluster, TheirPostgres},
};
use tokio::{sync::Mutex, time::sleep};

use crate::{proxy::Proxy, terminal::Terminal};

pub const SERVERS: usize = 2;
/// The judge asks in which order transactions were committed: the times that they write are of their beginning.
const POSTGRES: [&str; 1] = ["track_commit_timestamp=on"];
/// Tries, a tenth of a second apart, until something that has to come is given up.
const TRIES: usize = 600;

/// What is not as in an ordinary installation.
#[derive(Clone)]
pub struct Setup {
    /// Attempts at once on each server.
    pub slots: [u32; SERVERS],
    /// Attempts at once on a runner of its own behind the proxy of each server; none when 0.
    pub far: [u32; SERVERS],
    /// Seconds; as long as it always is unless given.
    pub lease: Option<u32>,
    /// Seconds between two heartbeats, where the lease is given.
    pub heartbeat: u32,
    /// What each server finds in its environment.
    pub environment: [Vec<(String, String)>; SERVERS],
    /// What Postgres finds in its.
    pub postgres: Vec<(String, String)>,
    /// What runners elsewhere find in theirs.
    pub runners: Vec<(String, String)>,
    /// Work is in sandboxes, as it usually is.
    pub sandboxed: bool,
    /// That of runners elsewhere, which a person has started by hand; of one at a time.
    pub terminal: Option<Arc<Terminal>>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            slots: [3, 3],
            far: [0, 0],
            lease: None,
            heartbeat: 1,
            environment: Default::default(),
            postgres: vec![],
            runners: vec![],
            sandboxed: false,
            terminal: None,
        }
    }
}

pub struct World {
    pub machine: Machine,
    pub ledgers: PathBuf,
    /// Where clients go: to the proxies before the servers.
    pub addresses: Vec<String>,
    /// Where the servers are.
    pub direct: Vec<SocketAddr>,
    pub before_servers: Vec<Proxy>,
    pub before_postgres: Vec<Proxy>,
    pub key: String,
    setup: Setup,
    cluster: TheirCluster,
    postgres: Mutex<Option<TheirPostgres>>,
    servers: Vec<Mutex<Option<Child>>>,
    runners: Vec<Mutex<Option<Child>>>,
    through_proxies: Vec<String>,
    died: AtomicUsize,
}

impl World {
    pub async fn create(setup: Setup) -> anyhow::Result<Self> {
        let machine = Machine::new();
        let ledgers = machine.folder.path().join("ledgers");
        fs::create_dir(&ledgers)?;
        machine.repository();
        let cluster = TheirCluster::create(&machine).await;
        // The fsync of every commit is what this is about; checkpoints of a fresh cluster are not.
        let postgres = cluster.start_with(&POSTGRES, &setup.postgres);
        let (mut before_postgres, mut through_proxies) = (vec![], vec![]);
        let (mut before_servers, mut addresses, mut direct) = (vec![], vec![], vec![]);
        for number in 0..SERVERS {
            let sockets = machine.folder.path().join(format!("p{number}"));
            fs::create_dir(&sockets)?;
            before_postgres.push(Proxy::before_postgres(&sockets, cluster.socket())?);
            through_proxies.push(cluster.url_by_folder(&sockets));
            let address = free_address()?;
            let (proxy, clients) = Proxy::before_server(address).await?;
            before_servers.push(proxy);
            addresses.push(clients.to_string());
            direct.push(address);
        }
        let mut world = Self {
            machine,
            ledgers,
            addresses,
            direct,
            before_servers,
            before_postgres,
            key: String::new(),
            setup,
            cluster,
            postgres: Mutex::new(Some(postgres)),
            servers: (0..SERVERS).map(|_| Mutex::default()).collect(),
            runners: (0..SERVERS).map(|_| Mutex::default()).collect(),
            through_proxies,
            died: AtomicUsize::new(0),
        };
        world.wait_for_postgres().await?;
        world.start_server(0, None).await?;
        world.wait_until_ready(0).await?;
        world.key = world.new_key_of("owner", "torture")?;
        if !world.setup.sandboxed {
            world.work_outside_of_sandboxes()?;
        }
        for number in 1..SERVERS {
            world.start_server(number, None).await?;
            world.wait_until_ready(number).await?;
        }
        for number in 0..SERVERS {
            if world.setup.far[number] > 0 {
                world.join_runner(number)?;
                world.start_runner(number, None).await?;
            }
        }
        Ok(world)
    }

    /// An API key of a member of its own.
    pub fn new_key(&self, name: &str) -> anyhow::Result<String> {
        self.new_key_of("member", name)
    }

    fn new_key_of(&self, role: &str, name: &str) -> anyhow::Result<String> {
        let made = self.command(0).args(["admin", "create-key", "--name", name, "--role", role]).output().context("making a key")?;
        ensure!(made.status.success(), "no key was made");
        Ok(String::from_utf8(made.stdout)?.trim().to_owned())
    }

    /// Its work writes down what it does, where the harness reads it.
    fn work_outside_of_sandboxes(&self) -> anyhow::Result<()> {
        let url = format!("http://{}", self.addresses[0]);
        let mut says = self.command(0);
        says.args(["workspace", "isolation", "none"]).env("MUSTER_URL", url).env("MUSTER_API_KEY", &self.key);
        let done = says.stdout(Stdio::null()).status()?;
        ensure!(done.success(), "the workspace insists on sandboxes");
        Ok(())
    }

    /// How many servers and runners came to their crash point.
    pub fn died(&self) -> usize {
        self.died.load(Ordering::Relaxed)
    }

    /// Around the proxies.
    pub fn database_url(&self) -> &str {
        self.cluster.url()
    }

    fn command(&self, number: usize) -> Command {
        self.with_settings(Command::new(muster()), number)
    }

    fn with_settings(&self, mut command: Command, number: usize) -> Command {
        let state = self.machine.folder.path().join(format!("server-{number}"));
        command.current_dir(self.machine.folder.path()).stdin(Stdio::null()).stderr(Stdio::null()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.machine.folder.path());
        command.env("MUSTER_STATE_DIR", state).env("DATABASE_URL", &self.through_proxies[number]);
        // whatever listens on this machine is no part of a run
        command.env("MUSTER_OLLAMA_URL", "none");
        command
    }

    /// Unless it runs. `dies_at` names a place in the program and how often it is passed before, as in `commit.after:3`.
    pub async fn start_server(&self, number: usize, dies_at: Option<&str>) -> anyhow::Result<()> {
        let mut server = self.servers[number].lock().await;
        if server.is_some() {
            return Ok(());
        }
        let log = fs::OpenOptions::new().create(true).append(true).open(self.machine.folder.path().join(format!("server-{number}.log")))?;
        let mut command = self.command(number);
        command.args(["serve", "--addr", &self.direct[number].to_string(), "--slots", &self.setup.slots[number].to_string()]);
        command.envs(dies_at.map(|place| ("MUSTER_CRASH_AT", place))).envs(self.setup.environment[number].iter().cloned());
        if let Some(lease) = self.setup.lease {
            command.env("MUSTER_LEASE_SECONDS", lease.to_string()).env("MUSTER_HEARTBEAT_SECONDS", self.setup.heartbeat.to_string());
        }
        *server = Some(command.stdout(Stdio::null()).stderr(log).spawn()?);
        Ok(())
    }

    pub fn is_sandboxed(&self) -> bool {
        self.setup.sandboxed
    }

    pub fn runner_dir(&self, number: usize) -> PathBuf {
        self.machine.folder.path().join(format!("runner-{number}"))
    }

    fn join_runner(&self, number: usize) -> anyhow::Result<()> {
        let key = self.new_key_of("admin", &format!("runner {number}"))?;
        let url = format!("http://{}", self.addresses[number]);
        let made = self.command(number).args(["runner", "token"]).env("MUSTER_URL", &url).env("MUSTER_API_KEY", key).output()?;
        ensure!(made.status.success(), "no token was made");
        let token = String::from_utf8(made.stdout)?;
        let slots = self.setup.far[number].to_string();
        let mut join = self.command(number);
        join.args(["runner", "join", &url, token.trim(), "--name", &format!("far {number}"), "--paths", "--no-run", "--slots", &slots]);
        ensure!(join.arg("--runner-dir").arg(self.runner_dir(number)).status()?.success(), "runner {number} did not join");
        Ok(())
    }

    /// As [`start_server`](Self::start_server), of a runner that has joined.
    pub async fn start_runner(&self, number: usize, dies_at: Option<&str>) -> anyhow::Result<()> {
        let dies_at: Vec<_> = dies_at.map(|place| ("MUSTER_CRASH_AT", place)).into_iter().collect();
        self.start_runner_in(number, &dies_at).await
    }

    /// As [`start_runner`](Self::start_runner), with this in its environment beside all else.
    pub async fn start_runner_in(&self, number: usize, environment: &[(&str, &str)]) -> anyhow::Result<()> {
        let mut runner = self.runners[number].lock().await;
        if runner.is_some() || self.setup.far[number] == 0 {
            return Ok(());
        }
        let log = fs::OpenOptions::new().create(true).append(true).open(self.machine.folder.path().join(format!("runner-{number}.log")))?;
        let mut command = self.command(number);
        if let Some(terminal) = &self.setup.terminal {
            command = self.with_settings(Command::new("setsid"), number);
            terminal.begins(&mut command)?;
            command.arg(muster());
        }
        command.args(["runner", "run", "--runner-dir"]).arg(self.runner_dir(number));
        if !self.setup.sandboxed {
            command.args(["--without-sandbox", "allowed"]);
        }
        command.envs(self.setup.runners.iter().cloned()).envs(environment.iter().copied());
        *runner = Some(command.stdout(Stdio::null()).stderr(log).spawn()?);
        Ok(())
    }

    /// Its machine goes on, with all that it has started.
    pub async fn kill_runner(&self, number: usize) -> anyhow::Result<()> {
        if let Some(mut runner) = self.runners[number].lock().await.take() {
            runner.kill()?;
            runner.wait()?;
        }
        Ok(())
    }

    pub async fn signal_runner(&self, number: usize, signal: Signal) -> anyhow::Result<()> {
        if let Some(runner) = &*self.runners[number].lock().await {
            kill_process(Pid::from_child(runner), signal)?;
        }
        Ok(())
    }

    pub async fn kill_server(&self, number: usize) -> anyhow::Result<()> {
        if let Some(mut server) = self.servers[number].lock().await.take() {
            server.kill()?;
            server.wait()?;
        }
        Ok(())
    }

    pub async fn signal_server(&self, number: usize, signal: Signal) -> anyhow::Result<()> {
        if let Some(server) = &*self.servers[number].lock().await {
            kill_process(Pid::from_child(server), signal)?;
        }
        Ok(())
    }

    pub async fn pid_of_server(&self, number: usize) -> Option<u32> {
        self.servers[number].lock().await.as_ref().map(Child::id)
    }

    pub async fn pid_of_runner(&self, number: usize) -> Option<u32> {
        self.runners[number].lock().await.as_ref().map(Child::id)
    }

    /// Those that ended by themselves, at their crash point or because the database was away while they started, are started again.
    pub async fn revive(&self) -> anyhow::Result<()> {
        for number in 0..SERVERS {
            if let Some(status) = self.ended(number).await? {
                if status.signal() == Some(Signal::ABORT.as_raw()) {
                    self.died.fetch_add(1, Ordering::Relaxed);
                }
                self.servers[number].lock().await.take();
                self.start_server(number, None).await?;
            }
            self.revive_runner(number).await?;
        }
        Ok(())
    }

    async fn revive_runner(&self, number: usize) -> anyhow::Result<()> {
        let mut runner = self.runners[number].lock().await;
        let Some(status) = runner.as_mut().map(Child::try_wait).transpose()?.flatten() else { return Ok(()) };
        if status.signal() == Some(Signal::ABORT.as_raw()) {
            self.died.fetch_add(1, Ordering::Relaxed);
        }
        // A runner outlives whatever its servers do.
        ensure!(status.signal().is_some(), "runner {number} has ended by itself, with {status}");
        runner.take();
        drop(runner);
        self.start_runner(number, None).await
    }

    async fn ended(&self, number: usize) -> anyhow::Result<Option<ExitStatus>> {
        match &mut *self.servers[number].lock().await {
            Some(server) => Ok(server.try_wait()?),
            None => Ok(None),
        }
    }

    /// Waits for a server that is to die at its crash point; false when it lives on.
    pub async fn dies(&self, number: usize) -> anyhow::Result<bool> {
        for _ in 0..50 {
            if let Some(status) = self.ended(number).await? {
                self.servers[number].lock().await.take();
                return Ok(status.signal() == Some(Signal::ABORT.as_raw()));
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(false)
    }

    /// As a crash of its machine stops it: the data on the disk is what was synced.
    pub async fn kill_postgres(&self) {
        if let Some(postgres) = self.postgres.lock().await.take() {
            postgres.is_killed();
        }
    }

    /// As `pg_ctl stop -m immediate`: every backend is told to leave at once.
    pub async fn stop_postgres_at_once(&self) {
        if let Some(postgres) = self.postgres.lock().await.take() {
            postgres.is_stopped_at_once();
        }
    }

    /// To the postmaster and every process below it.
    pub async fn signal_postgres(&self, signal: Signal) -> anyhow::Result<()> {
        let Some(postmaster) = self.postgres.lock().await.as_ref().map(TheirPostgres::pid) else { return Ok(()) };
        let mut family = vec![postmaster];
        family.extend(children(postmaster));
        for pid in family.into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())) {
            // One that has just ended needs no signal.
            let _ = kill_process(pid, signal);
        }
        Ok(())
    }

    /// A signal to one of the servers' backends, or an end to it, by the pick of a number.
    pub async fn one_backend(&self, pick: usize) -> Option<Pid> {
        let pool = sqlx::PgPool::connect(self.database_url()).await.ok()?;
        let statement = "select pid from pg_stat_activity where application_name = 'muster' order by pid";
        let pids: Vec<i32> = sqlx::query_scalar(statement).fetch_all(&pool).await.ok()?;
        pool.close().await;
        Pid::from_raw(*pids.get(pick % pids.len().max(1))?)
    }

    pub async fn start_postgres(&self) -> anyhow::Result<()> {
        let mut postgres = self.postgres.lock().await;
        if postgres.is_none() {
            *postgres = Some(self.cluster.start_with(&POSTGRES, &self.setup.postgres));
        }
        drop(postgres);
        self.wait_for_postgres().await
    }

    async fn wait_for_postgres(&self) -> anyhow::Result<()> {
        for _ in 0..TRIES {
            if let Ok(pool) = sqlx::PgPool::connect(self.cluster.url()).await {
                pool.close().await;
                return Ok(());
            }
            // It refuses while something of its last life still runs.
            if let Some(running) = &mut *self.postgres.lock().await
                && running.has_ended()
            {
                *running = self.cluster.start_with(&POSTGRES, &self.setup.postgres);
            }
            sleep(Duration::from_millis(100)).await;
        }
        Err(anyhow!("Postgres did not come back"))
    }

    pub async fn wait_until_ready(&self, number: usize) -> anyhow::Result<()> {
        let client = reqwest::Client::new();
        let url = format!("http://{}/readyz", self.direct[number]);
        for _ in 0..TRIES {
            self.revive().await?;
            if client.get(&url).timeout(Duration::from_secs(5)).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            sleep(Duration::from_millis(100)).await;
        }
        Err(anyhow!("server {number} did not become ready"))
    }

    /// Ends what was started, in order, so that nothing of it is left.
    pub async fn end(&self) -> anyhow::Result<()> {
        for process in self.runners.iter().chain(&self.servers) {
            if let Some(mut process) = process.lock().await.take() {
                kill_process(Pid::from_child(&process), Signal::TERM)?;
                process.wait()?;
            }
        }
        self.postgres.lock().await.take();
        Ok(())
    }
}

/// The processes that a process has started.
fn children(of: u32) -> Vec<u32> {
    let listed = fs::read_to_string(Path::new("/proc").join(format!("{of}/task/{of}/children"))).unwrap_or_default();
    listed.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// Free now; it stays the server's over its lives. It is none of those that the system gives to whoever asks for any: another run's proxy
/// would have it before this server has begun, and this run would talk to another's server.
fn free_address() -> anyhow::Result<SocketAddr> {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        // other programs like this one begin elsewhere
        let place = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let address = SocketAddr::from(([127, 0, 0, 1], u16::try_from(FIRST + place)?));
        if std::net::TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    anyhow::bail!("no port from {FIRST} on is free")
}

impl Drop for World {
    /// After an error in the middle: nothing that was started goes on, or stands still for ever.
    fn drop(&mut self) {
        for process in self.runners.iter_mut().chain(&mut self.servers) {
            if let Some(mut process) = process.get_mut().take() {
                // It may have ended meanwhile.
                let _ = process.kill();
                let _ = process.wait();
            }
        }
        if let Some(postgres) = self.postgres.get_mut() {
            let mut family = children(postgres.pid());
            family.push(postgres.pid());
            for pid in family.into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())) {
                let _ = kill_process(pid, Signal::CONT);
            }
        }
    }
}
