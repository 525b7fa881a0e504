//! A Redis that answers only after what it was told is on the disk, as Postgres does.

use std::{net::TcpListener, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, bail};
use tokio::{
    net::TcpStream,
    process::{Child, Command},
    time::sleep,
};

/// Killed when dropped.
pub struct Redis {
    pub port: u16,
    _child: Child,
}

impl Redis {
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always", "--save", ""]);
        command.arg("--dir").arg(folder).stdin(Stdio::null()).stdout(Stdio::null()).kill_on_drop(true);
        let child = command.spawn().context("redis-server cannot be run; scripts/setup --bench installs it")?;
        for _ in 0..100 {
            if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Ok(Self { port, _child: child });
            }
            sleep(Duration::from_millis(50)).await;
        }
        bail!("redis-server did not start")
    }
}
