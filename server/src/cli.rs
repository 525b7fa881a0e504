//! The command line of `muster`: its verbs and options, and where each is carried out.
//!
//! `task` and `workflow` verbs speak to a server by its REST API; `serve` and `demo` are the server; `admin` works on the database of
//! this machine. Whatever a verb does, stdout holds its output, stderr what a person should know, and the exit status how it went.

mod admin;
mod approval;
mod approval_answer;
mod approval_list;
mod approval_rule;
mod approval_show;
mod client;
mod connection;
mod dead;
mod demo;
mod demo_screen;
mod demo_tasks;
mod endpoint;
mod endpoint_pull;
mod error;
mod facts;
mod fake_forge;
mod fake_provider;
mod find_approval;
mod find_run;
mod find_task;
mod follow;
mod input_file;
mod key_file;
mod log_output;
mod output;
mod pages;
mod price;
mod purge;
mod queue;
mod reading;
mod reconnect;
mod repository;
mod run_change;
mod run_graph;
mod run_list;
mod run_result;
mod run_status;
mod run_watch;
mod runner;
mod runner_agents;
mod runner_drain;
mod runner_environment;
mod runner_folder;
mod runner_join;
mod runner_leave;
mod runner_log;
mod runner_run;
mod runner_service;
mod runner_set;
mod runner_show;
mod sample_repository;
mod short_id;
mod spinner;
mod task_change;
mod task_edit;
mod task_gate;
mod task_land;
mod task_list;
mod task_logs;
mod task_report;
mod task_result;
mod task_run;
mod task_session;
mod task_show;
mod task_submit;
mod task_tell;
mod terminal_text;
mod watch;
mod words;
mod workflow;
mod workflow_check;
mod workflow_levels;
mod workflow_list;
mod workflow_run;
mod workflow_show;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::config::ServeConfig;
use error::{CliError, Exit};

/// A self-hosted control plane for teams of coding agents: nothing lands until it passes muster.
#[derive(Parser)]
#[command(name = "muster", version, max_term_width = 120, after_help = AFTER_HELP)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Environment:
  MUSTER_URL        the server that is spoken to [default: http://127.0.0.1:7878]
  MUSTER_API_KEY    who asks; `muster admin create-key` makes one
  MUSTER_STATE_DIR  where a server on this machine keeps its state
  MUSTER_ADDR       where `serve` listens
  DATABASE_URL      a Postgres of yours, instead of Muster's own
  NO_COLOR          no colors

Exit status:
  0  done; what is watched succeeded
  1  it did not succeed, or could not be done
  2  the command line does not make sense
  4  no API key, or one that is refused

Examples:
  muster demo
  muster serve
  muster task run --command 'make test' --watch
  muster task list --state running";

#[derive(Subcommand)]
enum Command {
    /// Start the server: pages, API, and a runner on this machine.
    Serve {
        #[command(flatten)]
        config: Box<ServeConfig>,
    },
    /// Hand in tasks and look after them.
    #[command(subcommand)]
    Task(TaskCommand),
    /// Graphs of steps, and runs of them.
    #[command(subcommand)]
    Workflow(workflow::WorkflowCommand),
    /// What agents ask people for.
    #[command(subcommand)]
    Approval(approval::ApprovalCommand),
    /// What waits for a runner.
    #[command(subcommand)]
    Queue(queue::QueueCommand),
    /// Tasks that were set aside for a person to look at.
    #[command(subcommand)]
    Dead(dead::DeadCommand),
    /// Machines that do the work.
    #[command(subcommand)]
    Runner(runner::RunnerCommand),
    /// Servers of models that speak Ollama's API.
    #[command(subcommand)]
    Endpoint(endpoint::EndpointCommand),
    /// What models cost.
    #[command(subcommand)]
    Price(price::PriceCommand),
    /// Whether work runs in sandboxes.
    #[command(subcommand)]
    Workspace(workspace::WorkspaceCommand),
    /// Owners and API keys, on the server's own machine.
    #[command(subcommand)]
    Admin(admin::AdminCommand),
    /// Start a server and watch it do three tasks.
    Demo(Box<demo::DemoArgs>),
    /// For tests: a model provider that plays scenarios instead of asking a model.
    FakeProvider(fake_provider::FakeProviderArgs),
    /// For tests: a forge that takes pushes and pull requests, and is none.
    FakeForge(fake_forge::FakeForgeArgs),
}

#[derive(Subcommand)]
enum TaskCommand {
    /// Hand in a task, and with --watch see it through.
    Run(Box<task_run::RunArgs>),
    /// Hand in many tasks from a file, all of them or none.
    Submit(task_submit::SubmitArgs),
    /// List tasks, newest first.
    List(task_list::ListArgs),
    /// Show one task with its checks, attempts and history.
    Show(task_show::ShowArgs),
    /// Print what a task's attempts wrote.
    Logs(task_logs::LogsArgs),
    /// Print the report of a task's checks, as its hash is made of it.
    Report(task_report::ReportArgs),
    /// Print what a task's agent was told, said and did.
    Session(task_session::SessionArgs),
    /// Tell a task's agent something while it works.
    Tell(task_tell::TellArgs),
    /// Change what may still be changed of a task that has not ended.
    Edit(Box<task_edit::EditArgs>),
    /// End a task: at once when it waits, as soon as its work has stopped when it runs.
    Cancel(task_change::ChangeArgs),
    /// Bring an ended task back, with all its attempts ahead of it.
    Retry(task_change::ChangeArgs),
    /// Push the result of a task that has succeeded, or open a pull request for it; also once more.
    Land(task_land::LandArgs),
    /// Hold a task: no runner takes it, and what works on it is stopped and goes back into the queue.
    Pause(task_change::ChangeArgs),
    /// Let a task go on that was paused.
    Resume(task_change::ChangeArgs),
    /// Say yes at an approval: what waits for it goes on.
    Approve(task_gate::AnswerArgs),
    /// Say no at an approval: it has failed.
    Reject(task_gate::AnswerArgs),
}

/// Carries out the command, says what went wrong, and gives the exit status.
pub async fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Serve { config } => serve(*config).await,
        Command::Task(command) => task(command).await,
        Command::Workflow(command) => workflow::run(&command).await,
        Command::Approval(command) => approval::run(&command).await,
        Command::Queue(command) => queue::run(&command).await,
        Command::Dead(command) => dead::run(&command).await,
        Command::Runner(command) => runner::run(command).await,
        Command::Endpoint(command) => endpoint::run(&command).await,
        Command::Price(command) => price::run(&command).await,
        Command::Workspace(command) => workspace::run(&command).await,
        Command::Admin(command) => admin::run(command).await,
        Command::Demo(args) => demo::demo(*args).await,
        Command::FakeProvider(args) => fake_provider::run(&args).await,
        Command::FakeForge(args) => fake_forge::run(&args).await,
    };
    done.unwrap_or_else(|error| error::report(&error)).into()
}

async fn serve(config: ServeConfig) -> Result<Exit, CliError> {
    crate::serve::serve(config).await.map_err(|error| CliError::failed(error.to_string()))?;
    Ok(Exit::Done)
}

async fn task(command: TaskCommand) -> Result<Exit, CliError> {
    match command {
        TaskCommand::Run(args) => task_run::run(&args).await,
        TaskCommand::Submit(args) => task_submit::submit(&args).await,
        TaskCommand::List(args) => task_list::list(&args).await,
        TaskCommand::Show(args) => task_show::show(&args).await,
        TaskCommand::Logs(args) => task_logs::logs(&args).await,
        TaskCommand::Report(args) => task_report::report(&args).await,
        TaskCommand::Session(args) => task_session::session(&args).await,
        TaskCommand::Tell(args) => task_tell::tell(&args).await,
        TaskCommand::Edit(args) => task_edit::edit(&args).await,
        TaskCommand::Cancel(args) => task_change::cancel(&args).await,
        TaskCommand::Retry(args) => task_change::retry(&args).await,
        TaskCommand::Land(args) => task_land::land(&args).await,
        TaskCommand::Pause(args) => task_change::pause(&args).await,
        TaskCommand::Resume(args) => task_change::resume(&args).await,
        TaskCommand::Approve(args) => task_gate::approve(&args).await,
        TaskCommand::Reject(args) => task_gate::reject(&args).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn endpoints_are_named_in_words_that_make_sense() {
        let makes_sense = |line: &str| Cli::try_parse_from(std::iter::once("muster").chain(line.split(' '))).is_ok();
        for right in [
            "endpoint list --json",
            "endpoint show box",
            "endpoint add box http://box:11434",
            "endpoint add box http://box:11434 --runner far",
            "endpoint remove box",
            "endpoint pull box llama3:8b --no-wait",
            "endpoint choose llama3",
            "serve --endpoints-here allowed --ollama-url http://127.0.0.1:1",
        ] {
            assert!(makes_sense(right), "{right}");
        }
        for wrong in ["endpoint", "endpoint add box", "endpoint pull box", "endpoint choose", "serve --endpoints-here perhaps"] {
            assert!(!makes_sense(wrong), "{wrong}");
        }
    }

    #[test]
    fn what_models_cost_is_said_in_words_that_make_sense() {
        let makes_sense = |line: &str| Cli::try_parse_from(std::iter::once("muster").chain(line.split(' '))).is_ok();
        for right in [
            "price list --json",
            "price set acme/large --input 3 --output 15",
            "price set acme/large --input 3 --output 15 --cache-read 0.3 --cache-write $3.75 --json",
            "price remove acme/large",
        ] {
            assert!(makes_sense(right), "{right}");
        }
        for wrong in [
            "price",
            "price set acme/large --input 3",
            "price set acme/large --input -1 --output 1",
            "price set acme/large --input 1e3 --output 1",
            "price remove",
        ] {
            assert!(!makes_sense(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_runner_is_set_in_words_that_make_sense() {
        let makes_sense = |line: &str| Cli::try_parse_from(std::iter::once("muster").chain(line.split(' '))).is_ok();
        for right in ["runner set far --slots 8", "runner set far --slots own --json", "runner set far --slots 1000"] {
            assert!(makes_sense(right), "{right}");
        }
        for wrong in [
            "runner set far",
            "runner set --slots 8",
            "runner set far --slots 0",
            "runner set far --slots 1001",
            "runner set far --slots all",
        ] {
            assert!(!makes_sense(wrong), "{wrong}");
        }
    }

    #[test]
    fn how_a_result_lands_is_said_in_words_that_make_sense() {
        let makes_sense = |line: &str| Cli::try_parse_from(std::iter::once("muster").chain(line.split(' '))).is_ok();
        for right in [
            "task run --command true --land push",
            "task run --command true --submodules --lfs",
            "task land 0c1d2e3f",
            "task land 0c1d2e3f --how pull_request --json",
            "task report 0c1d2e3f --attempt 2",
            "serve --git-tokens /etc/tokens --forge code.example.org=gitlab --forge a.example.org=github,https://b.example.org/api",
            "fake-forge --repositories . --token-file token",
        ] {
            assert!(makes_sense(right), "{right}");
        }
        for wrong in
            ["task run --command true --land merge", "task land", "task land 0c1d2e3f --how none", "serve --forge code.example.org"]
        {
            assert!(!makes_sense(wrong), "{wrong}");
        }
    }

    #[test]
    fn what_agents_ask_is_answered_in_words_that_make_sense() {
        let makes_sense = |line: &str| Cli::try_parse_from(std::iter::once("muster").chain(line.split(' '))).is_ok();
        for right in [
            "approval list",
            "approval list --state expired --task 0c1d2e3f",
            "approval list --all",
            "approval show 0c1d2e3f",
            "approval allow 0c1d2e3f --always cargo* --message fine",
            "approval deny 0c1d2e3f --message no",
            "approval link 0c1d2e3f --json",
            "approval rules",
            "approval rule add --kind edit docs/* --repository /srv/app",
            "approval rule remove 0c1d2e3f",
            "task tell 0c1d2e3f --interrupt stop that",
            "task tell 0c1d2e3f --interrupt",
            "task tell 0c1d2e3f -",
            "task run Tidy up --ask commands --answer-minutes 5",
        ] {
            assert!(makes_sense(right), "{right}");
        }
        for wrong in [
            "approval",
            "approval list --state open",
            "approval list --all --state denied",
            "approval allow",
            "approval allow all",
            "approval deny 0c1d2e3f --always x",
            "approval rule add x",
            "approval rule add --kind shell x",
            "task tell 0c1d2e3f",
            "task run Tidy up --ask sometimes",
            "task run Tidy up --ask commands --answer-minutes 0",
            "task run --command true --ask commands",
        ] {
            assert!(!makes_sense(wrong), "{wrong}");
        }
    }
}
