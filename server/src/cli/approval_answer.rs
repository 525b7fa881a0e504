//! `muster approval allow`, `deny` and `link`

use clap::Args;
use domain::{Approval, Decision, approval::AnswerApproval, exact_text::in_a_line};

use super::{
    approval_show::asked_in_words,
    connection::ConnectionArgs,
    error::{CliError, Exit},
    find_approval::{ApprovalName, find_approval, parse_approval_name},
    output::{Output, OutputArgs, print_json, print_tab_separated, print_text, remark},
    words::{approval_style, moment},
};

#[derive(Args, Debug)]
#[command(after_help = "\
The agent is told at once. In a pipe the line holds, separated by a tab: id, state.

A pattern is exactly what is asked, or how it begins with a star at the end: 'cargo test *'. It
becomes a rule of the task's repository; muster approval rules lists them.

Examples:
  muster approval allow 0c1d2e3f
  muster approval allow 0c1d2e3f --always 'cargo test *'
  muster approval deny 0c1d2e3f --message 'use make instead'")]
pub struct AllowArgs {
    #[command(flatten)]
    answer: AnswerArgs,
    /// Allow from now on without asking what this pattern fits. Only admins may.
    #[arg(long, value_name = "PATTERN")]
    always: Option<String>,
}

#[derive(Args, Debug)]
#[command(after_help = "The agent is told at once. In a pipe the line holds, separated by a tab: id, state.")]
pub struct DenyArgs {
    #[command(flatten)]
    answer: AnswerArgs,
}

#[derive(Args, Debug)]
struct AnswerArgs {
    /// The approval: its full id, or the eight digits that lists show.
    #[arg(value_name = "APPROVAL", value_parser = parse_approval_name)]
    approval: ApprovalName,
    /// What the agent is told with it.
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Args, Debug)]
#[command(after_help = "\
The link is printed with the address that this command line reaches the server by (MUSTER_URL).
In a pipe the line holds the link alone.")]
pub struct LinkArgs {
    /// The approval: its full id, or the eight digits that lists show.
    #[arg(value_name = "APPROVAL", value_parser = parse_approval_name)]
    approval: ApprovalName,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn allow(args: &AllowArgs) -> Result<Exit, CliError> {
    let approval = answer(&args.answer, Decision::Allow, args.always.clone()).await?;
    let done = print(&approval, args.answer.output)?;
    if let Some(pattern) = args.always.as_ref().filter(|_| args.answer.output.output() == Output::Terminal) {
        remark(&format!("From now on this is allowed without asking: {}", in_a_line(pattern)));
    }
    Ok(done)
}

pub async fn deny(args: &DenyArgs) -> Result<Exit, CliError> {
    print(&answer(&args.answer, Decision::Deny, None).await?, args.answer.output)
}

async fn answer(args: &AnswerArgs, decision: Decision, always: Option<String>) -> Result<Approval, CliError> {
    let client = args.connection.client()?;
    let id = find_approval(&client, &args.approval).await?;
    client.answer_approval(id, &AnswerApproval { decision, message: args.message.clone(), always }).await
}

fn print(approval: &Approval, output: OutputArgs) -> Result<Exit, CliError> {
    let state = approval.state;
    match output.output() {
        Output::Json => print_json(approval)?,
        Output::Pipe => print_tab_separated(&[vec![approval.id.to_string(), state.name().to_owned()]])?,
        Output::Terminal => {
            let style = approval_style(state);
            print_text(&format!("{style}{}{style:#}: {}\n", state.name(), asked_in_words(approval)))?;
        }
    }
    Ok(Exit::Done)
}

pub async fn link(args: &LinkArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_approval(&client, &args.approval).await?;
    let made = client.create_approval_link(id).await?;
    let address = client.address_of(&made.path);
    match args.output.output() {
        Output::Json => print_json(&made)?,
        Output::Pipe => print_tab_separated(&[vec![address]])?,
        Output::Terminal => {
            print_tab_separated(&[vec![address]])?;
            remark(&format!("Whoever has it can answer, once, until {}. It is not shown again.", moment(made.expires_at)));
        }
    }
    Ok(Exit::Done)
}
