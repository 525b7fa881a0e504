//! `muster fake-forge`: the forge that only plays, for tests and for trying out how results land without an account.

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
use crate::{fake_forge::serve, signals::Signals};

#[derive(Args, Debug)]
#[command(after_help = "\
This is a test tool. It serves the bare repositories of a folder over http, and so much of the
APIs of GitHub (below /api/v3) and GitLab (below /api/v4) as pull requests need. Every answer has
the header x-muster-fake. GET /pulls and /requests show what there is and what was asked;
docs/landing.md says how faults are asked for.

Examples:
  git init --bare repositories/acme/app.git
  muster fake-forge --repositories repositories --token-file token
  MUSTER_FORGES=127.0.0.1:4020=github MUSTER_GIT_TOKENS=tokens muster serve")]
pub struct FakeForgeArgs {
    /// An address of this machine alone; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:4020")]
    listen: SocketAddr,
    /// The folder with the bare repositories, as in FOLDER/acme/app.git.
    #[arg(long, value_name = "FOLDER")]
    repositories: PathBuf,
    /// A file with the token that is good.
    #[arg(long, value_name = "FILE")]
    token_file: PathBuf,
}

pub async fn run(args: &FakeForgeArgs) -> Result<Exit, CliError> {
    if !args.listen.ip().is_loopback() {
        return Err(CliError::Usage {
            message: format!("{} can be reached from other machines", args.listen),
            remedy: "the fake forge is a test tool and listens on 127.0.0.1 or [::1] only".into(),
        });
    }
    let token = input_file::read(&args.token_file, "a token")?.trim().to_owned();
    let cannot_read = |error: std::io::Error| CliError::failed(format!("{} cannot be read: {error}", args.repositories.display()));
    let folder = args.repositories.canonicalize().map_err(cannot_read)?;
    let signals = Signals::listen()?;
    let cannot = |error: std::io::Error| CliError::failed(format!("cannot listen on {}: {error}", args.listen));
    let listener = TcpListener::bind(args.listen).await.map_err(cannot)?;
    print_text(&format!("Fake forge on http://{}\n", listener.local_addr().map_err(cannot)?))?;
    let stop = CancellationToken::new();
    let serving = serve(listener, folder, token, stop.clone());
    let serving = async move { serving.await.map(|()| Exit::Done).map_err(|error| CliError::failed(error.to_string())) };
    until_asked_to_stop(serving, stop, signals).await
}
