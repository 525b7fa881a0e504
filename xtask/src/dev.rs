//! `cargo xtask dev`: build, serve, and both again when a file changes. A build that fails leaves the last good server running.

use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use anyhow::{Context, Result};
use notify::{Event, RecursiveMode, Watcher};

use crate::Mode;
use crate::process::{root, target};
use crate::site::build_all;

/// What a server or a page is made of.
const WATCHED: [&str; 10] =
    ["domain/src", "engine", "runner/src", "app/src", "server/src", "frontend/src", "migrations", "style", "public", "Cargo.toml"];
/// An editor writes a file in several steps; this much quiet means that it is done.
const QUIET: Duration = Duration::from_millis(80);

pub fn watch() -> Result<()> {
    let root = root()?;
    let (sender, changes) = mpsc::channel();
    let mut watcher = notify::recommended_watcher(sender)?;
    for name in WATCHED {
        let path = root.join(name);
        watcher.watch(&path, RecursiveMode::Recursive).with_context(|| format!("{} cannot be watched", path.display()))?;
    }
    let mut server: Option<Child> = None;
    loop {
        match build_all(Mode::Dev) {
            Ok(()) => {
                if let Some(old) = server.take() {
                    stop(old)?;
                }
                server = Some(serve(&root)?);
            }
            Err(error) => eprintln!("xtask: {error:#}; waiting for the next change"),
        }
        wait_for_change(&changes)?;
    }
}

fn serve(root: &Path) -> Result<Child> {
    let binary = target()?.join("debug/muster");
    Command::new(&binary).arg("serve").current_dir(root).spawn().with_context(|| format!("{} could not be started", binary.display()))
}

/// As a person would: with a signal that lets it stop its database.
fn stop(mut server: Child) -> Result<()> {
    Command::new("kill").args(["-TERM", &server.id().to_string()]).status()?;
    server.wait()?;
    Ok(())
}

fn wait_for_change(changes: &Receiver<notify::Result<Event>>) -> Result<()> {
    loop {
        let event = changes.recv().context("nothing is watched any more")??;
        if !event.kind.is_access() {
            break;
        }
    }
    while changes.recv_timeout(QUIET).is_ok() {}
    Ok(())
}
