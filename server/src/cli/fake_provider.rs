//! `muster fake-provider`: the model provider that only plays, for tests and for trying Muster out without an account.

use std::{net::SocketAddr, path::PathBuf};

use clap::Args;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    error::{CliError, Exit},
    input_file,
    output::print_text,
    runner_run::until_asked_to_stop,
};
use crate::{
    fake_provider::{Scenarios, serve},
    signals::Signals,
};

#[derive(Args, Debug)]
#[command(after_help = "\
This is a test tool. It answers in the languages of Anthropic, OpenAI, Gemini and Ollama with
what a scenario says, and asks no model. Every answer has the header x-muster-fake. A path with
/s/NAME/ in it chooses the scenario; otherwise words in the prompt do. GET /requests shows what
was asked. docs/fake-provider.md describes the scenarios.

Examples:
  muster fake-provider
  muster fake-provider --listen 127.0.0.1:0 --scenarios mine.json
  ANTHROPIC_BASE_URL=http://127.0.0.1:4010/s/edit ANTHROPIC_API_KEY=none claude -p 'Go on'")]
pub struct FakeProviderArgs {
    /// An address of this machine alone; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4010")]
    listen: SocketAddr,
    /// A file with scenarios as JSON, beside those that ship; - for standard input.
    #[arg(long, value_name = "FILE")]
    scenarios: Option<PathBuf>,
}

pub async fn run(args: &FakeProviderArgs) -> Result<Exit, CliError> {
    if !args.listen.ip().is_loopback() {
        return Err(CliError::Usage {
            message: format!("{} can be reached from other machines", args.listen),
            remedy: "the fake provider is a test tool and listens on 127.0.0.1 or [::1] only".into(),
        });
    }
    let scenarios = scenarios(args)?;
    let signals = Signals::listen()?;
    let cannot = |error: std::io::Error| CliError::failed(format!("cannot listen on {}: {error}", args.listen));
    let listener = TcpListener::bind(args.listen).await.map_err(cannot)?;
    print_text(&format!("Fake provider on http://{}\n", listener.local_addr().map_err(cannot)?))?;
    let stop = CancellationToken::new();
    let serving = serve(listener, scenarios, stop.clone());
    let serving = async move { serving.await.map(|()| Exit::Done).map_err(|error| CliError::failed(error.to_string())) };
    until_asked_to_stop(serving, stop, signals).await
}

fn scenarios(args: &FakeProviderArgs) -> Result<Scenarios, CliError> {
    let read = match &args.scenarios {
        Some(file) => Scenarios::with_file(&file.display().to_string(), &input_file::read(file, "scenarios as JSON")?),
        None => Scenarios::built_in(),
    };
    read.map_err(|error| CliError::Usage {
        message: error.to_string(),
        remedy: "docs/fake-provider.md describes the format of scenarios".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_not_to_be_reached_from_elsewhere() {
        let args = FakeProviderArgs { listen: "0.0.0.0:0".parse().unwrap(), scenarios: None };
        let error = run(&args).await.unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        assert_eq!(error.to_string(), "0.0.0.0:0 can be reached from other machines");
    }
}
