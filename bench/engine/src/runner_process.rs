//! A real runner that has joined the measured server, in a process of its own, so that its memory is its own; it works as `muster runner run`
//! does. Here is also how whoever measures sees it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use clap::Args;
use runner::{AgentConfig, Key, LandingConfig, Paths, RunnerConfig, SandboxConfig};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::{
    far_runner::{link_url, register},
    http_client::HttpClient,
    memory,
    serve::LOG,
    server_process::ServerProcess,
};

const NAME: &str = "bench";

#[derive(Args)]
pub struct RunnerArgs {
    /// Where links are opened.
    #[arg(long)]
    url: String,
    /// Of a machine that has joined.
    #[arg(long)]
    folder: PathBuf,
}

/// Until it is killed.
pub async fn work(args: RunnerArgs) -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_env_filter(LOG).with_writer(std::io::stderr).init();
    let config = RunnerConfig {
        name: NAME.into(),
        state_dir: args.folder,
        capabilities: vec![],
        slots: 1,
        agent_command: None,
        agents: AgentConfig::default(),
        paths: Paths::All,
        // the work is this program too
        sandbox: SandboxConfig { read: vec![std::env::current_exe()?], ..SandboxConfig::default() },
        landing: LandingConfig::default(),
    };
    runner::run(config, || runner::dial(args.url.clone()), CancellationToken::new()).await?;
    Ok(())
}

/// Killed when dropped: there is nothing in it that has to be kept.
pub struct RunnerProcess {
    child: Child,
}

impl RunnerProcess {
    /// With its own folder here; what it logs goes to a file in the other one.
    pub async fn join(server: &ServerProcess, own: &Path, logs: &Path) -> anyhow::Result<Self> {
        let key = Key::open_or_make(own)?;
        let mut client = HttpClient::connect(&server.address, &server.key).await?;
        let joined = register(&mut client, &key, NAME.into()).await?;
        runner::remember_identity(own, joined.id)?;
        let log = fs::OpenOptions::new().create(true).append(true).open(logs.join("runner.log"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["runner", "--url", &link_url(&server.address), "--folder"]).arg(own);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
        Ok(Self { child: command.spawn()? })
    }

    /// Bytes of memory that it ever had, at most.
    pub fn peak(&self) -> anyhow::Result<u64> {
        memory::peak(self.child.id())
    }

    pub async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}
