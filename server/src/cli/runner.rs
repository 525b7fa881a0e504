//! `muster runner`: machines that do the work.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use domain::Runner;
use reqwest::Url;

use super::{
    client::Client,
    connection::ConnectionArgs,
    error::{CliError, Exit},
    output::{Cell, Output, OutputArgs, on_one_line, print_json, print_tab_separated, print_table, remark},
    reading::reading_cell,
    runner_drain, runner_join, runner_leave, runner_log, runner_run, runner_set, runner_show,
    words::{bold, dim, moment},
};

#[derive(Subcommand)]
pub enum RunnerCommand {
    /// List the runners of the server and of the workspace.
    #[command(after_help = "\
In a pipe each line holds, separated by tabs: id, name, state, slots in use, slots, what it has, how busy
its machine is, since when it does not take what it is given.")]
    List(ListArgs),
    /// Show one runner: what it has, what it carries out, and what it has carried out.
    Show(runner_show::ShowArgs),
    /// Show what has happened to one: that it was away, stopped or drained, or did not take what it was given.
    Log(runner_log::LogArgs),
    /// Make a token with which one machine may join, and print the command for it.
    Token(ListArgs),
    /// Make this machine a runner, and work.
    Join(Box<runner_join::JoinArgs>),
    /// Work, on a machine that has joined.
    Run(Box<RunArgs>),
    /// Make this machine a runner no longer: its key is dead, and its folder is removed.
    Leave(runner_leave::LeaveArgs),
    /// Set how many attempts a runner carries out at once, or leave that to its machine.
    Set(runner_set::SetArgs),
    /// Let a runner take nothing new; what it has, it brings to its end.
    Drain(runner_drain::DrainArgs),
    /// Let a drained runner take work again.
    Resume(runner_drain::ResumeArgs),
    /// Remove a runner: its key is dead, and what it holds goes back into the queue.
    Remove(RemoveArgs),
}

#[derive(Args)]
pub struct ListArgs {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Args)]
pub struct RemoveArgs {
    /// Its name, or its id.
    name: String,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Which runner of this machine is meant.
#[derive(Args, Clone)]
pub struct FolderArgs {
    /// Where the runner keeps its key, its mirrors and the folders of running attempts.
    #[arg(long, env = "MUSTER_RUNNER_DIR", value_name = "FOLDER", default_value_os_t = default_runner_dir())]
    pub runner_dir: PathBuf,
}

/// How a runner on this machine works. What is not given is as it was when the machine joined.
#[derive(Args, Clone)]
pub struct RunArgs {
    #[command(flatten)]
    pub folder: FolderArgs,
    /// Attempts carried out at once [default: one for each processor].
    #[arg(long, env = "MUSTER_SLOTS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub slots: Option<u32>,
    /// What this machine has, for tasks that need it, such as gpu,docker; its operating system and processor are known.
    #[arg(long = "capability", env = "MUSTER_CAPABILITIES", value_name = "WORD", value_delimiter = ',', value_parser = crate::config::parse_own_capability)]
    pub capabilities: Option<Vec<String>>,
    /// The agent that is given prompts: a shell command that reads the prompt from its standard input.
    #[arg(long, env = "MUSTER_AGENT_COMMAND", value_name = "COMMAND")]
    pub agent_command: Option<String>,
    #[command(flatten)]
    pub agents: crate::config::AgentArgs,
    #[command(flatten)]
    pub sandbox: crate::config::SandboxArgs,
    #[command(flatten)]
    pub landing: crate::config::LandingArgs,
    /// How the log on standard error is written [default: text].
    #[arg(long, env = "MUSTER_LOG_FORMAT", value_enum)]
    pub log_format: Option<crate::config::LogFormat>,
}

impl FolderArgs {
    /// By its one name, whichever way it was named; as it was named when it is not there.
    pub fn place(&self) -> PathBuf {
        self.runner_dir.canonicalize().unwrap_or_else(|_| self.runner_dir.clone())
    }
}

fn default_runner_dir() -> PathBuf {
    crate::config::default_state_dir().join("joined-runner")
}

pub async fn run(command: RunnerCommand) -> Result<Exit, CliError> {
    match command {
        RunnerCommand::List(args) => list(&args).await,
        RunnerCommand::Show(args) => runner_show::show(&args).await,
        RunnerCommand::Log(args) => runner_log::log(&args).await,
        RunnerCommand::Token(args) => token(&args).await,
        RunnerCommand::Join(args) => runner_join::join(*args).await,
        RunnerCommand::Run(args) => runner_run::run(&args).await,
        RunnerCommand::Leave(args) => runner_leave::leave(&args).await,
        RunnerCommand::Set(args) => runner_set::set(&args).await,
        RunnerCommand::Drain(args) => runner_drain::drain(&args).await,
        RunnerCommand::Resume(args) => runner_drain::resume(&args).await,
        RunnerCommand::Remove(args) => remove(&args).await,
    }
}

async fn list(args: &ListArgs) -> Result<Exit, CliError> {
    let runners = args.connection.client()?.runners().await?;
    match args.output.output() {
        Output::Json => print_json(&runners)?,
        Output::Pipe => print_tab_separated(&runners.iter().map(fields).collect::<Vec<_>>())?,
        Output::Terminal if runners.is_empty() => {
            remark("There is no runner. `muster runner token` prints the command that makes a machine one.")
        }
        Output::Terminal => {
            let line = |runner: &Runner| {
                let blocked = if runner.blocked > 0 { format!(", {} blocked", runner.blocked) } else { String::new() };
                let busy = format!("{} of {}{blocked}", runner.busy, runner.slots);
                vec![
                    Cell::styled(&runner.name, bold()),
                    Cell::plain(runner.state.name()),
                    Cell::plain(busy),
                    Cell::plain(reading_cell(runner.reading.as_ref())),
                    Cell::plain(runner.capabilities.join(" ")),
                    Cell::styled(moment(runner.last_seen_at), dim()),
                ]
            };
            print_table(&["NAME", "STATE", "BUSY", "MACHINE", "HAS", "LAST SEEN"], &runners.iter().map(line).collect::<Vec<_>>())?;
            runners.iter().flat_map(remarks).for_each(|text| remark(&text));
        }
    }
    Ok(Exit::Done)
}

fn fields(runner: &Runner) -> Vec<String> {
    let (state, busy, slots) = (runner.state.name().to_owned(), runner.busy.to_string(), runner.slots.to_string());
    let (capabilities, reading) = (runner.capabilities.join(","), reading_cell(runner.reading.as_ref()));
    let takes_nothing_since = runner.takes_nothing_since().map(moment).unwrap_or_default();
    vec![runner.id.to_string(), runner.name.clone(), state, busy, slots, capabilities, reading, takes_nothing_since]
}

/// What deserves a look, of one that is there.
fn remarks(runner: &Runner) -> Vec<String> {
    if !runner.online {
        return vec![];
    }
    let name = on_one_line(&runner.name);
    let said = [
        runner.takes_nothing_since().map(|since| {
            format!("{name} does not take what it is given, as was noticed {}: see its log, and start it again", moment(since))
        }),
        runner
            .no_sandbox
            .as_ref()
            .map(|why| format!("{name} makes no sandbox, so that it is given only work that needs none: {}", on_one_line(why))),
        runner
            .left_behind
            .as_ref()
            .map(|what| format!("On the machine of {name} something is left of attempts that have ended: {}", on_one_line(what))),
    ];
    said.into_iter().flatten().collect()
}

async fn token(args: &ListArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let made = client.create_runner_token().await?;
    match args.output.output() {
        Output::Json => print_json(&made)?,
        Output::Pipe => print_tab_separated(&[vec![made.token]])?,
        Output::Terminal => {
            print_tab_separated(&[vec![command(client.url(), &made.token)]])?;
            remark("Run this on the machine, within an hour. The token works once, and is not shown again.");
        }
    }
    Ok(Exit::Done)
}

fn command(url: &Url, token: &str) -> String {
    format!("muster runner join {} {token}", url.as_str().trim_end_matches('/'))
}

async fn remove(args: &RemoveArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let runner = find_runner(&client, &args.name).await?;
    client.remove_runner(runner.id).await?;
    remark(&format!("{} is removed, and its key is dead.", runner.name));
    Ok(Exit::Done)
}

/// By its name, or by its id.
pub async fn find_runner(client: &Client, name: &str) -> Result<Runner, CliError> {
    let mut runners = client.runners().await?.into_iter();
    runners.find(|runner| runner.id.to_string() == name || runner.name == name).ok_or_else(|| CliError::Failed {
        message: format!("there is no runner {name}"),
        remedy: Some("`muster runner list` shows those there are".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_tells_of_one_that_takes_nothing() {
        let mut runner: Runner = serde_json::from_value(serde_json::json!({
            "id": "00000000-0000-7000-8000-000000000001", "name": "far", "slots": 4, "busy": 0, "blocked": 0, "capabilities": ["linux"],
            "online": true, "state": "idle", "draining": null, "unresponsive_since": "1970-01-01T00:00:00Z", "joined": true,
            "last_seen_at": "1970-01-01T00:00:00Z", "no_sandbox": "no bwrap", "backends": [],
        }))
        .unwrap();
        assert_eq!(fields(&runner).last().unwrap(), "1970-01-01T00:00:00Z");
        let said = remarks(&runner);
        assert!(said[0].starts_with("far does not take what it is given, as was noticed 1970-01-01T00:00:00Z"), "{said:?}");
        assert!(said[1].starts_with("far makes no sandbox"), "{said:?}");
        runner.online = false;
        assert_eq!((fields(&runner).last().unwrap().as_str(), remarks(&runner)), ("", vec![]), "it is away, which says more");
    }
}
