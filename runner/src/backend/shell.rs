//! The `shell` backend: a command, or a prompt for the agent that the runner was started with, through `sh` in the worktree.
//!
//! What the work finds in its environment is listed in [`environment`]; nothing else of the runner's gets through.

use std::{
    fs::{self, File},
    io,
    process::Stdio,
};

use domain::{Failure, FailureCode, Work, protocol::Assignment};

use super::environment::{self, Place};
use crate::sandbox::{Guest, Program};

/// Longer commands are run from a file: the system takes at most 128 KiB in one argument.
const LONGEST_ARGUMENT: usize = 100_000;
/// The work as a command for the shell.
pub(crate) enum Script<'a> {
    Command(&'a str),
    Agent { command: &'a str, prompt: &'a str },
}

impl<'a> Script<'a> {
    pub fn of(work: &'a Work, agent_command: Option<&'a str>) -> Result<Self, Failure> {
        match (work, agent_command) {
            (Work::Command(command), _) => Ok(Self::Command(command)),
            (Work::Prompt(prompt), Some(command)) => Ok(Self::Agent { command, prompt }),
            (Work::Prompt(_), None) => {
                let message = "the task is a prompt, and this runner has no agent to give it to";
                Err(Failure::new(FailureCode::BackendMissing, message))
            }
            (Work::Gate(_) | Work::Group(_), _) => {
                Err(Failure::new(FailureCode::RunnerFault, "the task is a gate or a group, which no runner executes"))
            }
        }
    }

    pub fn guest(&self) -> Guest {
        match self {
            Self::Command(_) => Guest::Command,
            Self::Agent { .. } => Guest::Agent,
        }
    }

    pub fn command(&self) -> &'a str {
        match self {
            Self::Command(command) | Self::Agent { command, .. } => command,
        }
    }

    /// How messages name it.
    pub fn subject(&self) -> &'static str {
        match self {
            Self::Command(_) => "the command",
            Self::Agent { .. } => "the agent",
        }
    }
}

/// Makes the command that does the work, and the files it needs beside the worktree.
pub(crate) fn work(script: &Script<'_>, assignment: &Assignment, place: Place<'_>) -> io::Result<Program> {
    let mut program = shell(script.command(), assignment, place)?;
    let command = &mut program.command;
    environment::of_work(command, assignment, place)?;
    command.env("FORCE_COLOR", "1").env("CLICOLOR_FORCE", "1");
    if let Script::Agent { prompt, .. } = script {
        let file = place.folder().given().join("prompt.md");
        fs::write(&file, prompt)?;
        command.env("MUSTER_PROMPT_FILE", &file).stdin(Stdio::from(File::open(&file)?));
    }
    Ok(program)
}

/// Makes the command of a check: as [`work`], without what is meant for whoever does the work.
pub(crate) fn check(command: &str, assignment: &Assignment, place: Place<'_>) -> io::Result<Program> {
    shell(command, assignment, place)
}

fn shell(text: &str, assignment: &Assignment, place: Place<'_>) -> io::Result<Program> {
    let mut program = place.room.program("sh", place.guest, place.worktree)?;
    let command = &mut program.command;
    if text.len() > LONGEST_ARGUMENT {
        let file = place.folder().given().join("command.sh");
        fs::write(&file, text)?;
        command.arg(file);
    } else {
        command.arg("-c").arg(text);
    }
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.envs(environment::environment(assignment, place)?);
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_needs_an_agent() {
        let prompt = Work::Prompt("tidy up".into());
        assert!(matches!(Script::of(&prompt, None), Err(Failure { code: FailureCode::BackendMissing, .. })));
        assert_eq!(Script::of(&prompt, Some("agent")).map(|script| script.subject()), Ok("the agent"));
    }
}
