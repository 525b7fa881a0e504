//! `muster admin`: what is done on the server's own machine, straight on its database, before anybody can sign in.

use std::io::{self, BufRead, IsTerminal};

use clap::{Args, Subcommand, builder::PossibleValuesParser};
use domain::{Role, UserId, account::NewOwner};
use serde::Serialize;

use super::{
    error::{CliError, Exit},
    key_file,
    output::{Output, OutputArgs, on_one_line, print_json, print_tab_separated, remark},
    purge,
};
use crate::{
    admin::{self, AdminError},
    config::StateConfig,
};

#[derive(Subcommand)]
pub enum AdminCommand {
    /// Make the first owner, without a browser.
    CreateOwner(CreateOwnerArgs),
    /// Make an API key and print it, once.
    CreateKey(CreateKeyArgs),
    /// Delete what ended long ago, with its log, checks and history.
    Purge(purge::PurgeArgs),
}

#[derive(Args)]
#[command(after_help = "\
What is not given is asked for on the terminal; the password without showing it.

Examples:
  muster admin create-owner --name 'Ada Lovelace' --email ada@example.org
  pass show muster | muster admin create-owner --name Ada --email ada@example.org --password-stdin")]
pub struct CreateOwnerArgs {
    /// What the owner is called.
    #[arg(long)]
    name: Option<String>,
    /// With what the owner signs in.
    #[arg(long)]
    email: Option<String>,
    /// Read the password from the first line of stdin.
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    state: StateConfig,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  export MUSTER_API_KEY=$(muster admin create-key --name ci)
  muster admin create-key --name laptop --save")]
pub struct CreateKeyArgs {
    /// What the key is for; shown wherever it acted.
    #[arg(long)]
    name: String,
    /// What it may do.
    #[arg(long, default_value = "member", value_parser = PossibleValuesParser::new(ROLES.map(|(name, _)| name)))]
    role: String,
    /// Keep it in the state directory, for the command line on this machine, instead of printing it.
    #[arg(long)]
    save: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    state: StateConfig,
}

const ROLES: [(&str, Role); 4] = [("viewer", Role::Viewer), ("member", Role::Member), ("admin", Role::Admin), ("owner", Role::Owner)];

pub async fn run(command: AdminCommand) -> Result<Exit, CliError> {
    match command {
        AdminCommand::CreateOwner(args) => create_owner(args).await,
        AdminCommand::CreateKey(args) => create_key(args).await,
        AdminCommand::Purge(args) => purge::purge(args).await,
    }
}

async fn create_owner(args: CreateOwnerArgs) -> Result<Exit, CliError> {
    let name = given_or_asked(args.name, "Name", "--name")?;
    let email = given_or_asked(args.email, "E-mail", "--email")?;
    let password = if args.password_stdin { first_line_of_stdin()? } else { asked_password()? };
    let owner = NewOwner { name, email, password };
    owner.validate().map_err(CliError::Invalid)?;
    let (name, email) = (owner.name.clone(), owner.email.clone());
    let id = admin::create_owner(&args.state, owner).await.map_err(refusal)?;
    match args.output.output() {
        Output::Json => print_json(&NewOwnerLine { id, name: &name, email: &email })?,
        Output::Pipe => print_tab_separated(&[vec![id.to_string()]])?,
        Output::Terminal => remark(&format!("{} owns this Muster now, and signs in as {}.", on_one_line(&name), on_one_line(&email))),
    }
    Ok(Exit::Done)
}

async fn create_key(args: CreateKeyArgs) -> Result<Exit, CliError> {
    let role = ROLES.iter().find(|(name, _)| *name == args.role).map_or(Role::Member, |(_, role)| *role);
    let key = admin::create_key(&args.state, &args.name, role).await.map_err(refusal)?;
    let saved_in = match args.save {
        true => Some(key_file::write(&args.state.state_dir, &key)?),
        false => None,
    };
    match (args.output.output(), saved_in) {
        (Output::Json, saved_in) => print_json(&NewKeyLine { name: &args.name, role, key: saved_in.is_none().then_some(&key) })?,
        (_, Some(path)) => remark(&format!("The key is saved in {}; the command line on this machine uses it.", path.display())),
        (Output::Pipe, None) => print_tab_separated(&[vec![key]])?,
        (Output::Terminal, None) => {
            print_tab_separated(&[vec![key]])?;
            remark("This is the only time it is shown. Use it as MUSTER_API_KEY, or as a bearer token.");
        }
    }
    Ok(Exit::Done)
}

/// Fields that are not right are shown as such.
pub fn refusal(error: AdminError) -> CliError {
    match error {
        AdminError::Refused(engine::Error::Invalid(invalid)) => CliError::Invalid(invalid),
        other => CliError::failed(other.to_string()),
    }
}

#[derive(Serialize)]
struct NewOwnerLine<'a> {
    id: UserId,
    name: &'a str,
    email: &'a str,
}

#[derive(Serialize)]
struct NewKeyLine<'a> {
    name: &'a str,
    role: Role,
    /// Absent when it was saved instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a String>,
}

fn given_or_asked(given: Option<String>, label: &str, option: &str) -> Result<String, CliError> {
    if let Some(given) = given {
        return Ok(given);
    }
    let terminal = terminal(option)?;
    terminal.write_str(&format!("{label}: "))?;
    Ok(terminal.read_line()?)
}

fn asked_password() -> Result<String, CliError> {
    let terminal = terminal("--password-stdin")?;
    let ask = |label: &str| -> io::Result<String> {
        terminal.write_str(label)?;
        terminal.read_secure_line()
    };
    let password = ask("Password: ")?;
    if ask("The same again: ")? != password {
        return Err(CliError::Usage { message: "the two passwords differ".into(), remedy: "start again".into() });
    }
    Ok(password)
}

/// The terminal to ask on; without one, the option that says it instead.
fn terminal(option: &str) -> Result<console::Term, CliError> {
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        return Ok(console::Term::stderr());
    }
    Err(CliError::Usage { message: format!("{option} is missing, and there is no terminal to ask on"), remedy: format!("give {option}") })
}

fn first_line_of_stdin() -> Result<String, CliError> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
