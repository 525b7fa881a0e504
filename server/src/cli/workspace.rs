//! `muster workspace`: what holds for everything in it.

use clap::{Args, Subcommand, ValueEnum};
use domain::{Isolation, Workspace};

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    output::{Output, OutputArgs, on_one_line, print_json, print_tab_separated, remark},
    words::{bold, moment},
};

#[derive(Subcommand)]
pub enum WorkspaceCommand {
    /// Show the workspace, and how its work runs.
    Show(ShowArgs),
    /// Say whether work runs in sandboxes. Only owners may.
    Isolation(IsolationArgs),
    /// Say whether models that tasks ask for and no endpoint has are pulled by themselves. Only owners may.
    Pulls(PullsArgs),
}

#[derive(Args)]
pub struct ShowArgs {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Args)]
pub struct IsolationArgs {
    /// In sandboxes, or as the user that runs the runner, with what that user can read, write and reach.
    isolation: IsolationWord,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Args)]
pub struct PullsArgs {
    /// By themselves, while the tasks wait; or as somebody says.
    pulls: PullsWord,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PullsWord {
    Automatic,
    ByHand,
}

#[derive(Clone, Copy, ValueEnum)]
enum IsolationWord {
    Sandbox,
    None,
}

pub async fn run(command: &WorkspaceCommand) -> Result<Exit, CliError> {
    match command {
        WorkspaceCommand::Show(args) => print(&args.connection.client()?.me().await?.workspace, args.output)?,
        WorkspaceCommand::Isolation(args) => {
            let isolation = match args.isolation {
                IsolationWord::Sandbox => Isolation::Sandbox,
                IsolationWord::None => Isolation::None,
            };
            print(&args.connection.client()?.set_isolation(isolation).await?, args.output)?;
        }
        WorkspaceCommand::Pulls(args) => {
            let auto_pull = args.pulls == PullsWord::Automatic;
            print(&args.connection.client()?.set_auto_pull(auto_pull).await?, args.output)?;
        }
    }
    Ok(Exit::Done)
}

fn print(workspace: &Workspace, output: OutputArgs) -> Result<(), CliError> {
    let Workspace { slug, name, isolation, isolation_by, isolation_at, auto_pull, auto_pull_by, auto_pull_at, .. } = workspace;
    let (by, at) = (isolation_by.clone().unwrap_or_default(), isolation_at.map(moment).unwrap_or_default());
    let (pulls_by, pulls_at) = (auto_pull_by.clone().unwrap_or_default(), auto_pull_at.map(moment).unwrap_or_default());
    let pulls = if *auto_pull { "automatic" } else { "by-hand" };
    match output.output() {
        Output::Json => print_json(workspace)?,
        Output::Pipe => print_tab_separated(&[vec![
            slug.clone(),
            name.clone(),
            isolation.name().to_owned(),
            by,
            at,
            pulls.to_owned(),
            pulls_by,
            pulls_at,
        ]])?,
        Output::Terminal => {
            let how = match isolation {
                Isolation::Sandbox => "in sandboxes",
                Isolation::None => "without a sandbox, where the runner's machine lets it",
            };
            let since = |by: &str, at: &str| if by.is_empty() { String::new() } else { format!(", as {by} has said at {at}") };
            let name = on_one_line(name);
            remark(&format!("{}{name}:{:#} work runs {how}{}", bold(), bold(), since(&by, &at)));
            let which = match auto_pull {
                true => "models that tasks ask for and no endpoint has are pulled by themselves",
                false => "models are pulled by hand",
            };
            remark(&format!("{which}{}", since(&pulls_by, &pulls_at)));
        }
    }
    Ok(())
}
