//! The `shell` backend: a command, or a prompt for the agent that the runner was started with, through `sh` in the worktree.
//!
//! What the work finds in its environment is listed in [`environment`]; nothing else of the runner's gets through.

use std::{
    ffi::OsString,
    fs::{self, File},
    io,
    path::Path,
    process::Stdio,
};

use domain::{
    CheckResult, Failure, FailureCode, Work,
    protocol::Assignment,
    task::{plain, variable},
};
use tokio::process::Command;

use crate::{
    attempt::{folder::AttemptFolder, output, retry_after},
    git::quoted,
    process::{MARKER, program_path},
    sandbox::{self, Guest, Program, Room},
};

/// What the work may know of the runner's own environment, with everything that starts with `LC_`.
const INHERITED: [&str; 5] = ["HOME", "LANG", "TERM", "TZ", "USER"];
/// Longer commands are run from a file: the system takes at most 128 KiB in one argument.
const LONGEST_ARGUMENT: usize = 100_000;
/// What is longer is cut in the environment, for the same reason.
const LONGEST_VARIABLE: usize = 64 * 1024;
/// Of the failed checks as text. The file has all of it.
const LONGEST_SUMMARY: usize = 4 * 1024;

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

/// Where a command of an attempt runs.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub room: &'a Room,
    pub guest: Guest,
    /// The attempt's.
    pub folder: &'a Path,
    pub worktree: &'a Path,
    pub identity: &'a Identity,
}

impl Place<'_> {
    fn folder(&self) -> AttemptFolder<'_> {
        AttemptFolder::of(self.folder)
    }
}

/// Makes the command that does the work, and the files it needs beside the worktree.
pub(crate) fn work(script: &Script<'_>, assignment: &Assignment, place: Place<'_>) -> io::Result<Program> {
    let mut program = shell(script.command(), assignment, place)?;
    let (command, left, given) = (&mut program.command, place.folder().left(), place.folder().given());
    if !place.room.is_closed() {
        command.envs(place.identity.variables());
    }
    command.env("FORCE_COLOR", "1").env("CLICOLOR_FORCE", "1").env("MUSTER_OUTPUT", left.join(output::FILE));
    command.env("MUSTER_RETRY_AFTER", left.join(retry_after::FILE));
    if let Script::Agent { prompt, .. } = script {
        let file = given.join("prompt.md");
        fs::write(&file, prompt)?;
        command.env("MUSTER_PROMPT_FILE", &file).stdin(Stdio::from(File::open(&file)?));
    }
    if !assignment.failed_checks.is_empty() {
        let file = given.join("failed_checks.json");
        fs::write(&file, serde_json::to_vec_pretty(&assignment.failed_checks)?)?;
        command.env("MUSTER_FAILED_CHECKS", &file).env("MUSTER_FAILED_CHECKS_TEXT", summary(&assignment.failed_checks));
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
    command.envs(environment(assignment, place)?);
    Ok(program)
}

fn environment(assignment: &Assignment, place: Place<'_>) -> io::Result<Vec<(OsString, OsString)>> {
    let inherited =
        std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(|name| INHERITED.contains(&name) || name.starts_with("LC_")));
    let attempt = &assignment.attempt;
    let correlation_id = assignment.correlation_id.clone().unwrap_or_else(|| attempt.task_id.to_string());
    let inputs_file = place.folder().given().join("inputs.json");
    fs::write(&inputs_file, serde_json::to_vec_pretty(&assignment.inputs)?)?;
    // a value that is too long for the environment is in the file
    let inputs = assignment.inputs.iter().map(|(name, value)| (variable(name), plain(value)));
    let inputs = inputs.filter(|(_, value)| value.len() <= LONGEST_VARIABLE && !value.contains('\0'));
    let inputs = inputs.map(|(name, value)| (name.into(), value.into()));
    let own: [(&str, OsString); 10] = [
        ("PATH", program_path()),
        ("MUSTER_INPUTS", inputs_file.into()),
        ("MUSTER_TASK_ID", attempt.task_id.to_string().into()),
        (MARKER, attempt.attempt_id.to_string().into()),
        ("MUSTER_ATTEMPT", attempt.number.to_string().into()),
        ("MUSTER_CORRELATION_ID", correlation_id.into()),
        ("MUSTER_TASK_TITLE", assignment.title.clone().into()),
        ("MUSTER_TIER", assignment.tier.name().into()),
        ("MUSTER_FILES", lines(&assignment.files).into()),
        ("MUSTER_SUCCESS_CRITERIA", lines(&assignment.success_criteria).into()),
    ];
    let own = own.into_iter().chain(surroundings(place)?).map(|(name, value)| (name.into(), value));
    Ok(inherited.chain(own).chain(inputs).collect())
}

/// Who and where it is.
fn surroundings(place: Place<'_>) -> io::Result<Vec<(&'static str, OsString)>> {
    if !place.room.is_closed() {
        return Ok(vec![("TMPDIR", place.folder().tmp().into())]);
    }
    if let Some((home, _)) = place.folder().home_and_tmp(place.guest) {
        fs::write(home.join(".gitconfig"), place.identity.settings())?;
    }
    let own = [("HOME", sandbox::HOME), ("TMPDIR", sandbox::TMP), ("USER", sandbox::USER), ("LOGNAME", sandbox::USER)];
    let tools = sandbox::tools().into_iter().map(|(name, path)| (name, path.into()));
    Ok(own.map(|(name, value)| (name, value.into())).into_iter().chain(tools).collect())
}

/// As many whole lines as fit.
fn lines(values: &[String]) -> String {
    let mut text = String::new();
    for value in values {
        if text.len() + value.len() + 1 > LONGEST_VARIABLE {
            break;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(value);
    }
    text
}

/// What failed before, for an agent to read: each check with the end of what it printed, which usually says why.
fn summary(checks: &[CheckResult]) -> String {
    let share = LONGEST_SUMMARY / checks.len().max(1);
    let mut text = String::new();
    for check in checks {
        let target = check.command.as_ref().or(check.spec.target.as_ref()).map(|target| format!(" {target}")).unwrap_or_default();
        let head = format!("{}{target}: {}\n", check.spec.kind.name(), check.status.name());
        text.push_str(&head);
        text.push_str(end_of(&check.output, share.saturating_sub(head.len())));
        text.push('\n');
    }
    text.replace('\0', "")
}

fn end_of(text: &str, most: usize) -> &str {
    let mut start = text.len().saturating_sub(most);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// What git in the work signs commits with.
pub(crate) struct Identity {
    name: String,
    email: String,
    /// This user's git says so by itself, where it is asked.
    is_known: bool,
}

impl Identity {
    /// The user's own where there is one, else Muster's. Fails when there is no git.
    pub async fn find() -> io::Result<Self> {
        Ok(match (setting("user.name").await?, setting("user.email").await?) {
            (name, Some(email)) => Self { name: name.unwrap_or_else(|| "Muster".into()), email, is_known: true },
            (_, None) => Self { name: "Muster".into(), email: "muster@localhost".into(), is_known: false },
        })
    }

    /// For whoever has the user's home, as far as that does not say it.
    fn variables(&self) -> Vec<(&'static str, &str)> {
        let (name, email) = (self.name.as_str(), self.email.as_str());
        let all = [("GIT_AUTHOR_NAME", name), ("GIT_AUTHOR_EMAIL", email), ("GIT_COMMITTER_NAME", name), ("GIT_COMMITTER_EMAIL", email)];
        if self.is_known { vec![] } else { all.to_vec() }
    }

    /// For a home of its own. The work may say otherwise.
    fn settings(&self) -> String {
        format!("[user]\n\tname = {}\n\temail = {}\n", quoted(&self.name), quoted(&self.email))
    }
}

/// Of this user's git.
async fn setting(name: &str) -> io::Result<Option<String>> {
    let asked = Command::new("git").args(["config", "--get", name]).current_dir("/").stdin(Stdio::null()).output().await?;
    let value = String::from_utf8_lossy(&asked.stdout).trim().to_owned();
    Ok((asked.status.success() && !value.is_empty()).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{CheckKind, CheckSpec, CheckStatus};

    #[test]
    fn a_summary_keeps_the_end_of_every_output() {
        let check = |name: &str| CheckResult {
            spec: CheckSpec::new(CheckKind::CommandSucceeds, Some(name.into())),
            status: CheckStatus::Failed,
            output: format!("{}é: the reason of {name}", "x".repeat(10_000)),
            command: None,
            duration_ms: 1,
        };
        let text = summary(&[check("one"), check("two")]);
        assert!(text.len() <= LONGEST_SUMMARY + 2);
        assert!(text.contains("command_succeeds one: failed\n") && text.contains("the reason of one\n"));
        assert!(text.contains("the reason of two\n"));
    }

    #[test]
    fn lists_are_cut_between_lines() {
        let long = vec!["x".repeat(1000); 200];
        let text = lines(&long);
        assert!(text.len() <= LONGEST_VARIABLE);
        assert!(text.lines().all(|line| line.len() == 1000));
        assert_eq!(lines(&["a".into(), "b".into()]), "a\nb");
    }

    #[test]
    fn a_prompt_needs_an_agent() {
        let prompt = Work::Prompt("tidy up".into());
        assert!(matches!(Script::of(&prompt, None), Err(Failure { code: FailureCode::BackendMissing, .. })));
        assert_eq!(Script::of(&prompt, Some("agent")).map(|script| script.subject()), Ok("the agent"));
    }
}
