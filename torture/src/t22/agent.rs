//! What an agent tries that wants out of its sandbox by the network, where nobody has said anything of one: it reaches the host where its model is,
//! and neither the machine's loopback, nor where clouds keep keys, nor anybody else.

use std::{fs, os::unix::fs::PermissionsExt};

use anyhow::{Context, ensure};
use serde_json::json;
use sqlx::PgPool;

use super::{Act, PATIENCE, tries};
use crate::{
    cases::{self, RUNNER, quoted},
    check::Violation,
    t24::Listener,
    world::World,
};

/// By which the runner is told where the models are.
pub(super) const MODELS: &str = "TORTURE_MODELS_URL";

/// What it is told is a program for a shell.
const MANIFEST: &str = "speaks = \"text\"\ncommand = [\"bash\", \"-c\", \"{prompt}\"]\n";

/// Through the proxy of its room, and by itself.
const WAYS: &str = r#"
ask() { printf "$1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" >&3 && head -n 1 <&3 | grep -q '^HTTP/1.1 200'; }
proxied() { exec 3<>"/dev/tcp/127.0.0.1/${HTTP_PROXY##*:}" && ask "$1"; }
directly() { exec 3<>"/dev/tcp/$1/$2" && ask 'GET /'; }
"#;

pub(super) async fn tries_by_default(world: &World, pool: &PgPool, model: &Listener) -> anyhow::Result<Vec<Violation>> {
    let sink = Listener::new()?;
    let agents = world.runner_dir(RUNNER).join("agents");
    fs::create_dir_all(&agents)?;
    fs::set_permissions(&agents, fs::Permissions::from_mode(0o700))?;
    let manifest = agents.join("tries.toml");
    fs::write(&manifest, format!("{MANIFEST}environment = [\"{MODELS}\"]\n"))?;
    fs::set_permissions(&manifest, fs::Permissions::from_mode(0o600))?;
    // it looks there when it begins
    world.kill_runner(RUNNER).await?;
    world.start_runner_in(RUNNER, &[]).await?;
    let (denied, allowed) = (denied(world, &sink), allowed(model));
    let acts: Vec<_> = denied.iter().chain(&allowed).collect();
    let said = said(world, pool, &acts).await?;
    let was = |word: &str, number: usize| said.lines().any(|line| line == format!("{word} {number}"));
    let mut found = vec![];
    for (number, act) in acts.iter().enumerate() {
        let may = number >= denied.len();
        match (was("REACHED", number), was("DENIED", number)) {
            (reached, other) if reached == other => found.push(format!("it was not tried by an agent: {}", act.what)),
            (true, _) if !may => found.push(format!("an agent reaches {}: {}", act.what, act.does)),
            (false, _) if may => found.push(format!("an agent has not what it needs: {}", act.what)),
            _ => {}
        }
    }
    if sink.came() > 0 {
        found.push(format!("{} connections of an agent have come to a service of the machine", sink.came()));
    }
    if model.came() == 0 {
        found.push("no agent has reached its model: this shows nothing".to_owned());
    }
    Ok(found)
}

fn denied(world: &World, sink: &Listener) -> Vec<Act> {
    let (port, server) = (sink.port, world.direct[cases::SERVER].port());
    vec![
        tries("a service of the machine", format!("directly 127.0.0.1 {port}")),
        tries("a service of the machine, by the proxy", format!("proxied 'CONNECT 127.0.0.1:{port}'")),
        tries("a service of the machine, by its name", format!("proxied 'GET http://localhost:{port}/'")),
        tries("its server", format!("directly 127.0.0.1 {server}")),
        tries("its server, by the proxy", format!("proxied 'CONNECT 127.0.0.1:{server}'")),
        tries("keys of a cloud", "directly 169.254.169.254 80"),
        tries("keys of a cloud, by the proxy", "proxied 'GET http://169.254.169.254/'"),
        tries("another host", "directly example.org 80"),
        tries("another host, by the proxy", "proxied 'CONNECT example.org:443'"),
    ]
}

fn allowed(model: &Listener) -> Vec<Act> {
    let port = model.port;
    vec![
        tries("its model", format!("directly 127.0.0.1 {port}")),
        tries("its model, by the proxy", format!("proxied 'GET http://127.0.0.1:{port}/'")),
    ]
}

/// What came of each, as the agent has written it down.
async fn said(world: &World, pool: &PgPool, acts: &[&Act]) -> anyhow::Result<String> {
    let line = |(number, act): (usize, &&Act)| {
        let does = quoted(&format!("{WAYS}{}", act.does));
        format!("if timeout 10 bash -c {does} > /dev/null 2>&1; then echo REACHED {number}; else echo DENIED {number}; fi >> said.txt\n")
    };
    let script: String = acts.iter().enumerate().map(line).collect();
    let task = json!({"prompt": script, "agent": {"backend": "own:tries"}});
    let task = cases::hand_in(world, "tries by default", task).await?;
    let ended = cases::attempt_ended(pool, task, 1, PATIENCE).await?;
    ensure!(ended.state == "succeeded", "the agent that tries did not come to its end: {} ({})", ended.state, ended.why);
    let branch: Option<String> = sqlx::query_scalar("select branch from attempt where task_id = $1").bind(task).fetch_one(pool).await?;
    let branch = branch.context("what the agent has tried is on no branch")?;
    cases::git(world, &["show", &format!("{branch}:said.txt")])
}
