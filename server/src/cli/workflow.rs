//! `muster workflow`: what can be run, and what becomes of it.

use clap::Subcommand;

use super::{
    error::{CliError, Exit},
    run_change, run_graph, run_list, run_status, run_watch, workflow_check, workflow_list, workflow_run, workflow_show,
};

#[derive(Subcommand)]
pub enum WorkflowCommand {
    /// Say what is wrong with a definition, or how its steps are laid out. Nothing is stored.
    Validate(workflow_check::FileArgs),
    /// Store a definition as the newest version of the workflow that it names.
    Save(workflow_check::FileArgs),
    /// List the workflows, each with its newest run.
    List(workflow_list::ListArgs),
    /// Show one version of a workflow.
    Show(workflow_show::ShowArgs),
    /// Run a workflow, and with --watch see it through.
    Run(Box<workflow_run::RunArgs>),
    /// List runs, newest first.
    Runs(run_list::ListArgs),
    /// Show a run and its steps as they stand.
    Status(run_status::StatusArgs),
    /// Follow a run until it has ended.
    Watch(run_watch::WatchArgs),
    /// End a run: what waits at once, what runs as soon as its work has stopped.
    Cancel(run_change::ChangeArgs),
    /// Hold a run: no runner takes a task of it.
    Pause(run_change::ChangeArgs),
    /// Let a run go on that was paused.
    Resume(run_change::ChangeArgs),
    /// Run it again from a step on, or what did not succeed; what succeeded before is taken over.
    Restart(run_change::RestartArgs),
    /// Change a run while it runs: add steps, remove steps, or make steps wait for others.
    Change(run_graph::GraphArgs),
    /// Say that something has happened that a step of the run waits for.
    Event(run_change::EventArgs),
}

pub async fn run(command: &WorkflowCommand) -> Result<Exit, CliError> {
    match command {
        WorkflowCommand::Validate(args) => workflow_check::validate(args).await,
        WorkflowCommand::Save(args) => workflow_check::save(args).await,
        WorkflowCommand::List(args) => workflow_list::list(args).await,
        WorkflowCommand::Show(args) => workflow_show::show(args).await,
        WorkflowCommand::Run(args) => workflow_run::run(args).await,
        WorkflowCommand::Runs(args) => run_list::list(args).await,
        WorkflowCommand::Status(args) => run_status::status(args).await,
        WorkflowCommand::Watch(args) => run_watch::watch(args).await,
        WorkflowCommand::Cancel(args) => run_change::cancel(args).await,
        WorkflowCommand::Pause(args) => run_change::pause(args).await,
        WorkflowCommand::Resume(args) => run_change::resume(args).await,
        WorkflowCommand::Restart(args) => run_change::restart(args).await,
        WorkflowCommand::Change(args) => run_graph::change(args).await,
        WorkflowCommand::Event(args) => run_change::event(args).await,
    }
}
