//! `muster approval rules` and `rule`: what is allowed without asking.

use clap::{Args, Subcommand, builder::PossibleValuesParser};
use domain::{ApprovalRule, ApprovalRuleId, AskedKind, Timestamp, approval::NewApprovalRule, exact_text::in_a_line};

use super::{
    client::Client,
    connection::ConnectionArgs,
    error::{CliError, Exit},
    output::{Cell, Output, OutputArgs, on_one_line, print_json, print_tab_separated, print_table, print_text, remark},
    repository::known_repository,
    short_id::{self, Found, Name},
    words::{age, dim, moment, now},
};

type RuleName = Name<ApprovalRuleId>;

#[derive(Args, Debug)]
#[command(after_help = "\
In a pipe each line holds, separated by tabs: id, kind, pattern, repository or nothing when it is for
all of them, how often it has answered, when it did last, who made it, when, who removed it,
and without_sandbox when it holds without one as well.")]
pub struct ListArgs {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Subcommand)]
pub enum RuleCommand {
    /// Allow something without asking, from now on.
    Add(AddArgs),
    /// Remove a rule: what it allowed is asked for again.
    Remove(RemoveArgs),
}

#[derive(Args, Debug)]
#[command(after_help = "\
A pattern is exactly what is asked, or how it begins with a star at the end. In a command the star
stands for words and for nothing that makes a second command of it, in an edit for files below.

Examples:
  muster approval rule add --kind command 'cargo test *'
  muster approval rule add --kind edit 'docs/*' --repo /srv/app
  muster approval rule add --kind tool 'WebFetch https://docs.rs/*'")]
pub struct AddArgs {
    /// What is allowed.
    #[arg(value_name = "PATTERN")]
    pattern: String,
    /// What it is about.
    #[arg(long, value_parser = PossibleValuesParser::new(AskedKind::ALL.map(AskedKind::name)))]
    kind: String,
    /// For tasks of this repository alone, by the path or URL that its tasks name [default: of every repository].
    #[arg(long, visible_alias = "repository", value_name = "PATH|URL")]
    repo: Option<String>,
    /// Also where there is no sandbox, and what is allowed is done as the runner's user.
    #[arg(long)]
    without_sandbox: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Args, Debug)]
pub struct RemoveArgs {
    /// The rule: its full id, or the eight digits that `muster approval rules` shows.
    #[arg(value_name = "RULE", value_parser = parse_rule_name)]
    rule: RuleName,
    #[command(flatten)]
    connection: ConnectionArgs,
}

fn parse_rule_name(text: &str) -> Result<RuleName, String> {
    short_id::parse(text).ok_or_else(|| "a rule is named by its full id, or by the eight digits that `muster approval rules` shows".into())
}

pub async fn run(command: &RuleCommand) -> Result<Exit, CliError> {
    match command {
        RuleCommand::Add(args) => add(args).await,
        RuleCommand::Remove(args) => remove(args).await,
    }
}

pub async fn list(args: &ListArgs) -> Result<Exit, CliError> {
    let rules = args.connection.client()?.approval_rules().await?;
    match args.output.output() {
        Output::Json => print_json(&rules)?,
        Output::Pipe => print_tab_separated(&rules.iter().map(fields).collect::<Vec<_>>())?,
        Output::Terminal if rules.is_empty() => remark("There is no rule: whatever a task says is to be asked for, is asked for."),
        Output::Terminal => {
            let now = now();
            let rows: Vec<_> = rules.iter().map(|rule| row(rule, now)).collect();
            print_table(&["ID", "KIND", "USED", "LAST", "REPOSITORY", "MADE BY", "PATTERN"], &rows)?;
        }
    }
    Ok(Exit::Done)
}

fn fields(rule: &ApprovalRule) -> Vec<String> {
    vec![
        rule.id.to_string(),
        rule.kind.name().to_owned(),
        in_a_line(&rule.pattern),
        rule.repository.clone().unwrap_or_default(),
        rule.used.to_string(),
        rule.last_used_at.map(moment).unwrap_or_default(),
        rule.made_by.clone(),
        moment(rule.made_at),
        rule.removed_by.clone().unwrap_or_default(),
        if rule.without_sandbox { "without_sandbox" } else { "" }.to_owned(),
    ]
}

fn row(rule: &ApprovalRule, now: Timestamp) -> Vec<Cell> {
    let removed = rule.removed_by.as_ref().map(|by| format!(", removed by {by}")).unwrap_or_default();
    vec![
        Cell::styled(rule.id.short(), dim()),
        Cell::plain(rule.kind.name()),
        Cell::plain(rule.used.to_string()),
        Cell::styled(rule.last_used_at.map(|at| age(at, now)).unwrap_or_default(), dim()),
        Cell::plain(rule.repository.as_deref().unwrap_or("all")),
        Cell::styled(format!("{}{removed}", rule.made_by), dim()),
        Cell::plain(in_a_line(&rule.pattern)),
    ]
}

async fn add(args: &AddArgs) -> Result<Exit, CliError> {
    let kind = AskedKind::parse(&args.kind).unwrap_or(AskedKind::Command);
    // before anything is asked of the server, so that a wrong command line is told as one
    let (pattern, without_sandbox) = (args.pattern.clone(), args.without_sandbox);
    let new = NewApprovalRule { kind, pattern, repository_id: None, without_sandbox }.validated().map_err(CliError::Invalid)?;
    let client = args.connection.client()?;
    let repository_id = match &args.repo {
        Some(wanted) => Some(known_repository(&client, wanted).await?),
        None => None,
    };
    let rule = client.make_approval_rule(&NewApprovalRule { repository_id, ..new }).await?;
    match args.output.output() {
        Output::Json => print_json(&rule)?,
        Output::Pipe => print_tab_separated(&[vec![rule.id.to_string()]])?,
        Output::Terminal => print_text(&format!("Rule {}: {}\n", rule.id.short(), in_words(&rule)))?,
    }
    Ok(Exit::Done)
}

fn in_words(rule: &ApprovalRule) -> String {
    let place = rule.repository.as_ref().map(|repository| format!(" in {}", on_one_line(repository))).unwrap_or_default();
    let open = if rule.without_sandbox { ", also without a sandbox" } else { "" };
    format!("{} {} is allowed{place} without asking{open}", rule.kind.name(), in_a_line(&rule.pattern))
}

async fn remove(args: &RemoveArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_rule(&client, &args.rule).await?;
    client.remove_approval_rule(id).await?;
    remark(&format!("Rule {} is removed: what it allowed is asked for again.", id.short()));
    Ok(Exit::Done)
}

async fn find_rule(client: &Client, name: &RuleName) -> Result<ApprovalRuleId, CliError> {
    let digits = match name {
        Name::Full(id) => return Ok(*id),
        Name::Short(digits) => digits,
    };
    let rules = client.approval_rules().await?;
    let looked_at = rules.len();
    let fitting = rules.into_iter().filter(|rule| rule.removed_at.is_none() && short_id::ends_with(rule.id.0, digits));
    let matches = fitting.map(|rule| (rule.id, in_a_line(&rule.pattern))).collect();
    Found { noun: "rule", list: "muster approval rules", digits, matches, looked_at, more: false }.only_one()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_said_in_words() {
        let mut rule = ApprovalRule {
            id: ApprovalRuleId(uuid::Uuid::from_u128(1)),
            repository: None,
            kind: AskedKind::Command,
            pattern: "cargo test *".into(),
            without_sandbox: false,
            made_by: "Ada".into(),
            made_at: Timestamp::UNIX_EPOCH,
            approval_id: None,
            used: 3,
            last_used_at: None,
            removed_by: None,
            removed_at: None,
        };
        assert_eq!(in_words(&rule), "command cargo test * is allowed without asking");
        rule.repository = Some("/srv/app".into());
        rule.removed_by = Some("Grace".into());
        assert_eq!(in_words(&rule), "command cargo test * is allowed in /srv/app without asking");
        assert_eq!(row(&rule, Timestamp::UNIX_EPOCH)[5].text, "Ada, removed by Grace");
        assert_eq!(fields(&rule)[3..5], ["/srv/app", "3"]);
    }

    #[test]
    fn a_rule_is_named_in_full_or_in_short() {
        assert_eq!(parse_rule_name("0C1D2E3F"), Ok(Name::Short("0c1d2e3f".into())));
        assert!(parse_rule_name("cargo test").is_err());
    }
}
