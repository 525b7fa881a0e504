//! `muster approval`: what agents ask people for.

use clap::Subcommand;

use super::{
    approval_answer, approval_list, approval_rule, approval_show,
    error::{CliError, Exit},
};

#[derive(Subcommand)]
pub enum ApprovalCommand {
    /// List what waits for an answer, newest first.
    List(approval_list::ListArgs),
    /// Show what an agent asks for, all of it.
    Show(approval_show::ShowArgs),
    /// Let the agent do what it asks for.
    Allow(approval_answer::AllowArgs),
    /// Do not let the agent do it; it goes on without.
    Deny(approval_answer::DenyArgs),
    /// Make a link with which whoever has it answers, once.
    Link(approval_answer::LinkArgs),
    /// List what is allowed without asking.
    Rules(approval_rule::ListArgs),
    /// Make and remove rules for what is allowed without asking. Only admins may.
    #[command(subcommand)]
    Rule(approval_rule::RuleCommand),
}

pub async fn run(command: &ApprovalCommand) -> Result<Exit, CliError> {
    match command {
        ApprovalCommand::List(args) => approval_list::list(args).await,
        ApprovalCommand::Show(args) => approval_show::show(args).await,
        ApprovalCommand::Allow(args) => approval_answer::allow(args).await,
        ApprovalCommand::Deny(args) => approval_answer::deny(args).await,
        ApprovalCommand::Link(args) => approval_answer::link(args).await,
        ApprovalCommand::Rules(args) => approval_rule::list(args).await,
        ApprovalCommand::Rule(command) => approval_rule::run(command).await,
    }
}
