//! `muster endpoint pull`

use std::time::{Duration, Instant};

use clap::Args;
use domain::{
    Pull, PullId,
    endpoint::{NewPull, PullState},
    exact_text::in_a_line,
    runner::reading::bytes,
};
use indicatif::ProgressBar;
use tokio::time::sleep;

use super::{
    client::Client,
    connection::ConnectionArgs,
    endpoint::find_endpoint,
    error::{CliError, Exit},
    output::{Output, OutputArgs, print_json, print_tab_separated, print_text, remark},
    reconnect::Connection,
    spinner::spinner,
};

/// Between two looks at how far it has come.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Args)]
#[command(after_help = "\
It begins when the endpoint answers, and fails when nobody was at it for an hour.
It returns when the model is there, and exits 1 when it could not be pulled. Ctrl-C ends the waiting and
leaves the pull off; with --no-wait it goes on by itself.

In a pipe the line holds, separated by tabs: id, state, why it failed.

Examples:
  muster endpoint pull gpu-box llama3:8b")]
pub struct PullArgs {
    /// The endpoint: its name, or its id.
    name: String,
    /// As Ollama names it, such as llama3:8b.
    model: String,
    /// Do not wait until it is there.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn pull(args: &PullArgs) -> Result<Exit, CliError> {
    // before anything is asked of the server, so that a wrong command line is told as one
    let new = NewPull { model: args.model.clone() }.validated().map_err(CliError::Invalid)?;
    let client = args.connection.client()?;
    let endpoint = find_endpoint(&client, &args.name).await?.id;
    let pull = client.pull_model(endpoint, &new).await?;
    if args.no_wait {
        return print(args.output, &pull);
    }
    let spinner = spinner(progress(&pull), Instant::now());
    let waited = tokio::select! {
        waited = until_it_has_ended(&client, pull.id, spinner.as_ref()) => waited.map(Some),
        pressed = tokio::signal::ctrl_c() => pressed.map(|()| None).map_err(CliError::Output),
    };
    if let Some(spinner) = spinner {
        spinner.finish_and_clear();
    }
    let Some(ended) = waited? else {
        client.cancel_pull(pull.id).await?;
        remark("muster: the pull is left off; another one goes on from where it was");
        return Ok(Exit::Interrupted);
    };
    print(args.output, &ended)
}

/// A server that restarts meanwhile is waited for.
async fn until_it_has_ended(client: &Client, id: PullId, spinner: Option<&ProgressBar>) -> Result<Pull, CliError> {
    let mut connection = Connection::default();
    // it has answered a moment ago
    connection.is_up(Instant::now());
    loop {
        let wait = match client.pull(id).await {
            Ok(pull) => {
                connection.is_up(Instant::now());
                if !pull.state.is_open() {
                    return Ok(pull);
                }
                if let Some(spinner) = spinner {
                    spinner.set_message(progress(&pull));
                }
                LOOK
            }
            Err(error) => connection.lost(Some(error), Instant::now())?.wait,
        };
        sleep(wait).await;
    }
}

fn print(output: OutputArgs, pull: &Pull) -> Result<Exit, CliError> {
    match output.output() {
        Output::Json => print_json(pull)?,
        Output::Pipe => {
            let why = pull.why.clone().unwrap_or_default();
            print_tab_separated(&[vec![pull.id.to_string(), pull.state.name().to_owned(), why]])?;
        }
        Output::Terminal => print_text(&format!("{}\n", line(pull)))?,
    }
    Ok(match pull.state {
        PullState::Failed | PullState::Cancelled => Exit::Failed,
        PullState::Waiting | PullState::Pulling | PullState::Done => Exit::Done,
    })
}

/// How it stands, in one line.
pub fn line(pull: &Pull) -> String {
    let model = in_a_line(&pull.model);
    match pull.state {
        PullState::Waiting | PullState::Pulling => progress(pull),
        PullState::Done => format!("{model} is there"),
        PullState::Failed => format!("{model} could not be pulled: {}", in_a_line(pull.why.as_deref().unwrap_or_default())),
        PullState::Cancelled => format!("{model} was left off"),
    }
}

/// `llama3:8b: pulling manifest, 50 % of 4.3 GiB`
fn progress(pull: &Pull) -> String {
    let model = in_a_line(&pull.model);
    let status = pull.status.as_deref().filter(|status| !status.is_empty()).unwrap_or("waits to be pulled");
    let percent = pull.percent().map(|percent| format!(", {percent} % of {}", bytes(pull.total))).unwrap_or_default();
    format!("{model}: {}{percent}", in_a_line(status))
}

#[cfg(test)]
mod tests {
    use domain::{EndpointId, Timestamp};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_pull_is_told_in_a_line() {
        let mut pull = Pull {
            id: PullId(Uuid::nil()),
            endpoint_id: EndpointId(Uuid::nil()),
            model: "llama3:8b".into(),
            state: PullState::Waiting,
            status: None,
            completed: 0,
            total: 0,
            asked_by: "Ada".into(),
            asked_at: Timestamp::UNIX_EPOCH,
            ended_at: None,
            why: None,
        };
        assert_eq!(line(&pull), "llama3:8b: waits to be pulled");
        (pull.state, pull.status, pull.completed, pull.total) = (PullState::Pulling, Some("pulling a1".into()), 1 << 30, 4 << 30);
        assert_eq!(line(&pull), "llama3:8b: pulling a1, 25 % of 4.0 GiB");
        pull.state = PullState::Done;
        assert_eq!(line(&pull), "llama3:8b is there");
        (pull.state, pull.why) = (PullState::Failed, Some("file does not\nexist".into()));
        assert_eq!(line(&pull), "llama3:8b could not be pulled: file does not ⏎ exist");
    }
}
