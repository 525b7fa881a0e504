//! A Postgres, two servers that share it, and what can be done to them.

use std::{
    fs,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use tests::{
    machine::{Machine, muster},
    their_postgres::{TheirCluster, TheirPostgres},
};
use tokio::sync::Mutex;

use crate::proxy::Proxy;

pub const SERVERS: usize = 2;
/// Attempts at once on each server.
const SLOTS: &str = "3";

pub struct World {
    pub machine: Machine,
    pub ledgers: PathBuf,
    pub proxy: Proxy,
    pub addresses: Vec<String>,
    pub key: String,
    cluster: TheirCluster,
    postgres: Mutex<Option<TheirPostgres>>,
    servers: Vec<Mutex<Option<Child>>>,
    through_proxy: String,
}

impl World {
    pub async fn create() -> anyhow::Result<Self> {
        let machine = Machine::new();
        let ledgers = machine.folder.path().join("ledgers");
        fs::create_dir(&ledgers)?;
        machine.repository();
        let cluster = TheirCluster::create(&machine).await;
        // The fsync of every commit is what this is about; checkpoints of a fresh cluster are not.
        let postgres = cluster.start(&[]);
        let sockets = machine.folder.path().join("proxy");
        fs::create_dir(&sockets)?;
        let proxy = Proxy::start(&sockets, cluster.socket())?;
        let through_proxy = cluster.url_by_folder(&sockets);
        let addresses = (0..SERVERS).map(|_| free_address()).collect::<anyhow::Result<Vec<_>>>()?;
        let servers = (0..SERVERS).map(|_| Mutex::default()).collect();
        let mut world = Self {
            machine,
            ledgers,
            proxy,
            addresses,
            key: String::new(),
            cluster,
            postgres: Mutex::new(Some(postgres)),
            servers,
            through_proxy,
        };
        world.wait_for_postgres().await?;
        world.start_server(0).await?;
        world.wait_until_ready(0).await?;
        let made =
            world.command(0).args(["admin", "create-key", "--name", "torture", "--role", "member"]).output().context("making a key")?;
        world.key = String::from_utf8(made.stdout)?.trim().to_owned();
        for number in 1..SERVERS {
            world.start_server(number).await?;
            world.wait_until_ready(number).await?;
        }
        Ok(world)
    }

    pub fn database_url(&self) -> &str {
        self.cluster.url()
    }

    fn command(&self, number: usize) -> Command {
        let mut command = Command::new(muster());
        let state = self.machine.folder.path().join(format!("server-{number}"));
        command.current_dir(self.machine.folder.path()).stdin(Stdio::null()).stderr(Stdio::null()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.machine.folder.path());
        command.env("MUSTER_STATE_DIR", state).env("DATABASE_URL", &self.through_proxy);
        command
    }

    pub async fn start_server(&self, number: usize) -> anyhow::Result<()> {
        let mut server = self.servers[number].lock().await;
        if server.is_some() {
            return Ok(());
        }
        let log = fs::OpenOptions::new().create(true).append(true).open(self.machine.folder.path().join(format!("server-{number}.log")))?;
        let arguments = ["serve", "--addr", &self.addresses[number], "--slots", SLOTS];
        *server = Some(self.command(number).args(arguments).stdout(Stdio::null()).stderr(log).spawn()?);
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

    /// Those that ended by themselves, for example because the database was away while they started, are started again.
    pub async fn revive(&self) -> anyhow::Result<()> {
        for number in 0..SERVERS {
            let ended = match &mut *self.servers[number].lock().await {
                Some(server) => server.try_wait()?.is_some(),
                None => false,
            };
            if ended {
                self.servers[number].lock().await.take();
                self.start_server(number).await?;
            }
        }
        Ok(())
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

    pub async fn start_postgres(&self) -> anyhow::Result<()> {
        let mut postgres = self.postgres.lock().await;
        if postgres.is_none() {
            *postgres = Some(self.cluster.start(&[]));
        }
        drop(postgres);
        self.wait_for_postgres().await
    }

    async fn wait_for_postgres(&self) -> anyhow::Result<()> {
        for _ in 0..600 {
            if let Ok(pool) = sqlx::PgPool::connect(self.cluster.url()).await {
                pool.close().await;
                return Ok(());
            }
            // It refuses while something of its last life still runs.
            if let Some(running) = &mut *self.postgres.lock().await
                && running.has_ended()
            {
                *running = self.cluster.start(&[]);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(anyhow!("Postgres did not come back"))
    }

    pub async fn wait_until_ready(&self, number: usize) -> anyhow::Result<()> {
        let client = reqwest::Client::new();
        let url = format!("http://{}/readyz", self.addresses[number]);
        for _ in 0..600 {
            self.revive().await?;
            if client.get(&url).timeout(Duration::from_secs(5)).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(anyhow!("server {number} did not become ready"))
    }

    /// Ends what was started, in order, so that nothing of it is left.
    pub async fn end(&self) -> anyhow::Result<()> {
        for server in &self.servers {
            if let Some(mut server) = server.lock().await.take() {
                kill_process(Pid::from_child(&server), Signal::TERM)?;
                server.wait()?;
            }
        }
        self.postgres.lock().await.take();
        Ok(())
    }
}

/// Free now; it stays the server's over its lives.
fn free_address() -> anyhow::Result<String> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}
