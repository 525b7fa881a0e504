//! `muster workflow validate` and `save`

use std::path::PathBuf;

use clap::Args;
use domain::workflow::{Definition, Drawing, Validation};

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    input_file,
    output::{Output, OutputArgs, print_json, print_tab_separated, print_text, remark},
    task_result::shown,
    words::{bold, dim},
    workflow_levels::{level_lines, levels},
};

/// What a file should hold.
pub const DEFINITION: &str = "a definition as YAML or JSON";

#[derive(Args, Debug)]
#[command(after_help = "\
In a pipe each line holds, separated by tabs: of what is wrong the place, a code and a sentence;
of a good definition the level, the step, what it does, and what it waits for. Steps of one level
run side by side. `save` prints the name and the version.

Examples:
  muster workflow validate release.yaml
  generate-workflow | muster workflow save -")]
pub struct FileArgs {
    /// The file with the definition, YAML or JSON; - for standard input.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn validate(args: &FileArgs) -> Result<Exit, CliError> {
    let source = input_file::read(&args.file, DEFINITION)?;
    let validation = args.connection.client()?.check_workflow(source).await?;
    let output = args.output.output();
    match (output, &validation) {
        (Output::Json, _) => print_json(&validation)?,
        (_, Validation { valid: true, definition: Some(definition), drawing: Some(drawing), .. }) => good(output, definition, drawing)?,
        _ => bad(output, args, &validation)?,
    }
    Ok(if validation.valid { Exit::Done } else { Exit::Failed })
}

fn good(output: Output, definition: &Definition, drawing: &Drawing) -> Result<(), CliError> {
    if output == Output::Pipe {
        return Ok(print_tab_separated(&levels(definition, drawing))?);
    }
    let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let size = format!("{} in {}", counted(definition.steps.len(), "step"), counted(drawing.columns, "level"));
    let head = format!("{bold}{}{bold:#} is valid: {size}", shown(&definition.name), bold = bold());
    Ok(print_text(&format!("{head}\n{}\n", level_lines(definition, drawing).join("\n")))?)
}

fn bad(output: Output, args: &FileArgs, validation: &Validation) -> Result<(), CliError> {
    let errors = &validation.errors;
    if output == Output::Pipe {
        let rows = errors.iter().map(|error| vec![error.pointer.clone(), error.code.clone(), error.message.clone()]);
        print_tab_separated(&rows.collect::<Vec<_>>())?;
    } else {
        let lines = errors.iter().map(|error| format!("{dim}{}{dim:#} {}\n", shown(&error.pointer), shown(&error.message), dim = dim()));
        print_text(&lines.collect::<String>())?;
    }
    remark(&format!("muster: {} is not valid; nothing was stored", shown(&args.file.display().to_string())));
    Ok(())
}

pub async fn save(args: &FileArgs) -> Result<Exit, CliError> {
    let source = input_file::read(&args.file, DEFINITION)?;
    let workflow = args.connection.client()?.save_workflow(source).await?;
    match args.output.output() {
        Output::Json => print_json(&workflow)?,
        Output::Pipe => print_tab_separated(&[vec![workflow.name, workflow.version.to_string()]])?,
        Output::Terminal => {
            let name = shown(&workflow.name);
            let dim = dim();
            print_text(&format!("Workflow {name}: version {}\n  {dim}run it:{dim:#} muster workflow run {name}\n", workflow.version))?;
        }
    }
    Ok(Exit::Done)
}
