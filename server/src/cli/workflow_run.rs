//! `muster workflow run`

use std::path::Path;

use clap::Args;
use domain::{
    error::Errors,
    task::Inputs,
    workflow::{NewRun, ParameterType, RunView, WorkflowView},
};

use super::{
    client::Client,
    connection::ConnectionArgs,
    error::{CliError, Exit},
    input_file,
    output::{Output, OutputArgs, print_json, print_tab_separated, print_text},
    repository::{current_repository, location},
    run_watch::watch_run,
    task_result::shown,
    words::dim,
    workflow_check::DEFINITION,
};

#[derive(Args, Debug)]
#[command(after_help = "\
A file is saved first, as `muster workflow save` does. What has a . or a / in it is a file.

With --watch the exit status is 0 only when the run succeeded, 1 when it did not.

Examples:
  muster workflow run release --param version=1.2 --watch
  muster workflow run ./release.yaml --param 'platforms=[\"linux\", \"mac\"]'")]
pub struct RunArgs {
    /// The workflow, or a file with a definition; - for standard input.
    #[arg(value_name = "NAME|FILE")]
    workflow: String,
    /// A parameter: text as it is, everything else as JSON; may be given more than once.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parse_parameter)]
    parameters: Vec<(String, String)>,
    /// This version [default: the newest].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    version: Option<i32>,
    /// The git repository: a path on the runner's machine or a URL [default: the definition's, else the one around the current folder].
    #[arg(long, alias = "repository", value_name = "PATH|URL")]
    repo: Option<String>,
    /// One line that names the run [default: the definition's].
    #[arg(long)]
    title: Option<String>,
    /// Show what happens until the run has ended.
    #[arg(long, short)]
    watch: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn run(args: &RunArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let workflow = workflow(&client, args).await?;
    let new = NewRun {
        version: Some(workflow.version),
        parameters: parameters(&workflow, &args.parameters)?,
        repository: repository(&workflow, args)?,
        title: args.title.clone(),
    };
    let run = client.start_run(&workflow.name, &new).await?;
    let output = args.output.output();
    if args.watch {
        return watch_run(&client, &run, output).await;
    }
    print(&client, &run, output)?;
    Ok(Exit::Done)
}

async fn workflow(client: &Client, args: &RunArgs) -> Result<WorkflowView, CliError> {
    if !is_file(&args.workflow) {
        return client.workflow(&args.workflow, args.version).await;
    }
    if args.version.is_some() {
        return Err(CliError::Usage {
            message: "a file is saved as a new version, so it has no other".into(),
            remedy: "name the workflow to run an earlier version".into(),
        });
    }
    client.save_workflow(input_file::read(Path::new(&args.workflow), DEFINITION)?).await
}

/// No name of a workflow has one of these.
fn is_file(text: &str) -> bool {
    text == "-" || text.contains(['.', '/'])
}

fn parse_parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("give NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// As their types ask for; what the workflow does not know is for the server to refuse.
fn parameters(workflow: &WorkflowView, given: &[(String, String)]) -> Result<Inputs, CliError> {
    let mut errors = Errors::default();
    let mut values = Inputs::new();
    for (name, text) in given {
        let kind = workflow.definition.parameters.get(name).map_or(ParameterType::String, |parameter| parameter.kind);
        match kind.read(text) {
            Some(value) => drop(values.insert(name.clone(), value)),
            None => errors.add(format!("/parameters/{name}"), "wrong_type", format!("must be {}", kind.phrase())),
        }
    }
    errors.finish().map_err(CliError::Invalid)?;
    Ok(values)
}

fn repository(workflow: &WorkflowView, args: &RunArgs) -> Result<Option<String>, CliError> {
    match (&args.repo, &workflow.definition.repository) {
        (Some(given), _) => location(given).map(Some),
        (None, Some(_)) => Ok(None),
        // Its steps may name theirs, so it is no mistake to be outside of one.
        (None, None) => Ok(current_repository().ok()),
    }
}

fn print(client: &Client, run: &RunView, output: Output) -> Result<(), CliError> {
    let summary = &run.summary;
    match output {
        Output::Json => print_json(run)?,
        Output::Pipe => print_tab_separated(&[vec![summary.id.to_string()]])?,
        Output::Terminal => {
            let (id, dim) = (summary.id.short(), dim());
            let (name, state) = (shown(&summary.title), summary.state.name());
            let page = client.page_of_run(summary.id);
            print_text(&format!(
                "Run {id} “{name}”: {state}\n  {dim}page:{dim:#}  {page}\n  {dim}watch:{dim:#} muster workflow watch {id}\n"
            ))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_file() {
        assert!(["-", "release.yaml", "./release", "flows/release"].iter().all(|text| is_file(text)));
        assert!(!is_file("nightly-release"));
    }
}
