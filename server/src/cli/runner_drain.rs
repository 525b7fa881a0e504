//! `muster runner drain` and `resume`

use std::time::{Duration, Instant};

use clap::Args;
use domain::{Runner, RunnerId, runner::RunnerDetail};
use indicatif::ProgressBar;
use tokio::time::sleep;

use super::{
    client::Client,
    connection::ConnectionArgs,
    error::{CliError, Exit},
    output::{Output, OutputArgs, on_one_line, print_json, print_tab_separated, print_text, remark},
    reconnect::Connection,
    runner::find_runner,
    spinner::spinner,
};

/// Between two looks at what is still at work.
const LOOK: Duration = Duration::from_secs(1);

#[derive(Args)]
#[command(after_help = "\
It takes nothing new until it is resumed, also when its machine or the server is restarted. With --wait,
Ctrl-C ends the waiting, not the draining.

In a pipe the line holds, separated by tabs: id, state, how many attempts are at work.

Example, before a machine is restarted:
  muster runner drain far --wait")]
pub struct DrainArgs {
    /// Its name, or its id.
    name: String,
    /// Wait until nothing is at work there.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Args)]
#[command(after_help = "In a pipe the line holds, separated by tabs: id, state, how many attempts are at work.")]
pub struct ResumeArgs {
    /// Its name, or its id.
    name: String,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn drain(args: &DrainArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_runner(&client, &args.name).await?.id;
    let draining = client.drain_runner(id).await?;
    if !args.wait {
        return print(args.output, &draining);
    }
    let spinner = spinner(progress(&draining), Instant::now());
    let waited = tokio::select! {
        waited = until_nothing_works(&client, id, spinner.as_ref()) => waited.map(Some),
        pressed = tokio::signal::ctrl_c() => pressed.map(|()| None).map_err(CliError::Output),
    };
    if let Some(spinner) = spinner {
        spinner.finish_and_clear();
    }
    let Some(drained) = waited? else {
        let name = on_one_line(&draining.name);
        remark(&format!("muster: runner {name} takes nothing new all the same; let it take work again with: muster runner resume {id}"));
        return Ok(Exit::Interrupted);
    };
    print(args.output, &drained)
}

pub async fn resume(args: &ResumeArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_runner(&client, &args.name).await?.id;
    print(args.output, &client.resume_runner(id).await?)
}

/// A server that restarts meanwhile is waited for.
async fn until_nothing_works(client: &Client, id: RunnerId, spinner: Option<&ProgressBar>) -> Result<Runner, CliError> {
    let mut connection = Connection::default();
    // it has answered a moment ago
    connection.is_up(Instant::now());
    loop {
        let wait = match client.runner(id).await {
            Ok(RunnerDetail { runner, .. }) => {
                connection.is_up(Instant::now());
                if runner.draining.is_none() {
                    return Err(resumed_meanwhile(&runner));
                }
                if runner.busy == 0 {
                    return Ok(runner);
                }
                if let Some(spinner) = spinner {
                    spinner.set_message(progress(&runner));
                }
                LOOK
            }
            Err(error) => {
                let pause = connection.lost(Some(error), Instant::now())?;
                if pause.tell {
                    say(spinner, "muster: the connection is lost, trying again");
                }
                pause.wait
            }
        };
        sleep(wait).await;
    }
}

fn resumed_meanwhile(runner: &Runner) -> CliError {
    CliError::Failed {
        message: format!("runner {} was resumed meanwhile, and takes work again", runner.name),
        remedy: Some("drain it once more if that was not meant".into()),
    }
}

/// A line on stderr, above the one that changes.
fn say(spinner: Option<&ProgressBar>, line: &str) {
    match spinner {
        Some(spinner) => spinner.suspend(|| remark(line)),
        None => remark(line),
    }
}

fn progress(runner: &Runner) -> String {
    format!("{} takes nothing new; {}", on_one_line(&runner.name), at_work(runner.busy, runner.blocked))
}

/// How the runner stands now.
fn print(output: OutputArgs, runner: &Runner) -> Result<Exit, CliError> {
    match output.output() {
        Output::Json => print_json(runner)?,
        Output::Pipe => {
            print_tab_separated(&[vec![runner.id.to_string(), runner.state.name().to_owned(), runner.busy.to_string()]])?;
        }
        Output::Terminal => {
            let what = if runner.draining.is_some() { "nothing new" } else { "work again" };
            let at_work = at_work(runner.busy, runner.blocked);
            print_text(&format!("Runner {} takes {what}; {at_work}\n", on_one_line(&runner.name)))?;
        }
    }
    Ok(Exit::Done)
}

fn at_work(busy: i64, blocked: i64) -> String {
    match (busy, blocked) {
        (0, _) => "nothing is at work there".into(),
        (1, 0) => "1 attempt is at work there".into(),
        (1, _) => "1 attempt is at work there, waiting for people".into(),
        (_, 0) => format!("{busy} attempts are at work there"),
        _ => format!("{busy} attempts are at work there, {blocked} of them waiting for people"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_at_work_is_counted() {
        for (busy, blocked, said) in [
            (0, 0, "nothing is at work there"),
            (1, 0, "1 attempt is at work there"),
            (1, 1, "1 attempt is at work there, waiting for people"),
            (3, 0, "3 attempts are at work there"),
            (3, 2, "3 attempts are at work there, 2 of them waiting for people"),
        ] {
            assert_eq!(at_work(busy, blocked), said);
        }
    }
}
