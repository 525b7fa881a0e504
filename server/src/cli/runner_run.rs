//! `muster runner run`: the runner of a machine that has joined.

use std::path::Path;

use reqwest::Url;
use runner::{Paths, RunnerConfig, RunnerError};
use tokio_util::sync::CancellationToken;

use super::{
    error::{CliError, Exit},
    runner::RunArgs,
    runner_folder::{Membership, Settings, membership, trial_folder},
    sample_repository::sample_place,
};
use crate::{
    config::{LogFormat, WithoutSandbox, default_slots},
    signals::Signals,
    telemetry,
};

pub async fn run(args: &RunArgs) -> Result<Exit, CliError> {
    let signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let running = work(args, stop.clone())?;
    until_asked_to_stop(running, stop, signals).await
}

/// Works until `stop`.
pub fn work(args: &RunArgs, stop: CancellationToken) -> Result<impl Future<Output = Result<Exit, CliError>>, CliError> {
    let folder = args.folder.place();
    let known = known(&folder)?;
    let settings = known.settings.with(args);
    telemetry::start(settings.log_format.unwrap_or(LogFormat::Text), telemetry::SERVER);
    let (config, link) = (config(&folder, &known, settings), link_url(&known.url));
    Ok(async move { runner::run(config, || runner::dial(link.clone()), stop).await.map(|()| Exit::Done).map_err(|error| ended(&error)) })
}

/// The first signal ends it in order, the second at once: the next life puts away what is left.
pub async fn until_asked_to_stop(
    running: impl Future<Output = Result<Exit, CliError>>,
    stop: CancellationToken,
    mut signals: Signals,
) -> Result<Exit, CliError> {
    tokio::pin!(running);
    tokio::select! {
        ended = &mut running => return ended,
        () = signals.asked_to_stop() => stop.cancel(),
    }
    tokio::select! {
        ended = running => ended,
        () = signals.asked_to_stop() => Ok(Exit::Interrupted),
    }
}

pub fn known(folder: &Path) -> Result<Membership, CliError> {
    membership(folder)?.ok_or_else(|| CliError::Failed {
        message: "this machine has not joined a server".into(),
        remedy: Some("`muster runner token`, on a machine that is signed in, prints the command that joins it".into()),
    })
}

pub fn config(folder: &Path, known: &Membership, settings: Settings) -> RunnerConfig {
    RunnerConfig {
        name: known.name.clone(),
        state_dir: folder.to_owned(),
        slots: settings.slots.unwrap_or_else(default_slots),
        agent_command: settings.agent_command,
        agents: settings.agents.config(folder),
        capabilities: settings.capabilities,
        sandbox: settings.sandbox.config(WithoutSandbox::Refused),
        landing: settings.landing.config(),
        paths: if known.paths { Paths::All } else { Paths::Only(sample_place(&trial_folder(folder))) },
    }
}

/// How the runner came to its end by itself.
pub fn ended(error: &RunnerError) -> CliError {
    let reason = match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    };
    match error {
        RunnerError::Unknown(_) => CliError::NotARunner(reason),
        _ => CliError::failed(reason),
    }
}

/// Where links are opened.
pub fn link_url(server: &Url) -> String {
    let base = server.as_str().trim_end_matches('/');
    format!("ws{}/api/v1/runners/link", base.strip_prefix("http").unwrap_or(base))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_as_safe_as_its_server() {
        for (server, link) in [
            ("http://127.0.0.1:7878", "ws://127.0.0.1:7878/api/v1/runners/link"),
            ("https://muster.example.org/team/", "wss://muster.example.org/team/api/v1/runners/link"),
        ] {
            assert_eq!(link_url(&server.parse().unwrap()), link);
        }
    }
}
