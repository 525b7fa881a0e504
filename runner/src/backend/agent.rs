//! An agent program that Muster drives itself: which one carries out a prompt, and how it is started.

use std::{ffi::OsString, io, process::Stdio};

use domain::{AgentTerms, Backend, Failure, FailureCode, Work, protocol::Assignment};
use uuid::Uuid;

use super::{
    Opening,
    claude_code::{self, ClaudeCode, Leave},
    environment::{self, Place},
    found::Found,
    shell::Script,
};
use crate::sandbox::{Guest, Program};

/// What carries out the work of an attempt.
pub(crate) enum Doing<'a> {
    Script(Script<'a>),
    Agent { found: &'a Found, prompt: &'a str },
}

impl<'a> Doing<'a> {
    /// A prompt is for the agent that the task names; else for the command that the runner was started with, else for the first agent that
    /// it has found.
    pub fn of(assignment: &'a Assignment, agents: &'a [Found], agent_command: Option<&'a str>) -> Result<Self, Failure> {
        let Work::Prompt(prompt) = &assignment.work else { return Script::of(&assignment.work, None).map(Self::Script) };
        match assignment.agent.backend {
            Some(backend) => match agents.iter().find(|found| found.backend == backend) {
                Some(found) => Ok(Self::Agent { found, prompt }),
                None => Err(Failure::new(FailureCode::BackendMissing, format!("this runner has no {}", backend.title()))),
            },
            None if agent_command.is_some() => Script::of(&assignment.work, agent_command).map(Self::Script),
            None => match agents.first() {
                Some(found) => Ok(Self::Agent { found, prompt }),
                None => Script::of(&assignment.work, None).map(Self::Script),
            },
        }
    }

    pub fn guest(&self) -> Guest {
        match self {
            Self::Script(script) => script.guest(),
            Self::Agent { .. } => Guest::Agent,
        }
    }

    /// For the log, before its output.
    pub fn line(&self) -> String {
        match self {
            Self::Script(script) => format!("$ {}", script.command()),
            Self::Agent { found, prompt } => format!("{} is told: {prompt}", found.backend.title()),
        }
    }
}

/// A conversation that is about to begin.
pub(crate) struct Begun {
    pub program: Program,
    pub lines: Vec<String>,
    pub dialogue: ClaudeCode,
}

/// What an agent is to call its session.
#[derive(Clone, Copy)]
pub(crate) enum SessionId {
    New(Uuid),
    /// It has begun in an earlier round, and goes on.
    Known(Uuid),
}

pub(crate) fn begin(
    found: &Found,
    words: &str,
    session: SessionId,
    assignment: &Assignment,
    place: Place<'_>,
    given: &[(OsString, OsString)],
) -> io::Result<Begun> {
    let (opening, dialogue) = match found.backend {
        Backend::ClaudeCode => {
            let leave = if place.room.is_closed() { Leave::Anything } else { Leave::Nothing };
            let terms: &AgentTerms = &assignment.agent;
            let (worktree, config) = (place.worktree.to_owned(), place.own_home()?.join(".claude"));
            claude_code::open(claude_code::Place { worktree, config, session, terms, leave }, words)
        }
    };
    let Opening { arguments, variables, lines } = opening;
    let name = found.program.to_str().ok_or_else(|| io::Error::other("the path of the agent is not UTF-8"))?;
    let mut program = place.room.program(name, place.guest, place.worktree)?;
    let command = &mut program.command;
    command.args(arguments).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.envs(environment::environment(assignment, place)?);
    environment::of_work(command, assignment, place)?;
    command.envs(given.iter().map(|(name, value)| (name, value))).envs(variables);
    Ok(Begun { program, lines, dialogue })
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{AttemptId, AttemptKey, Isolation, TaskId, task};

    fn assignment(work: Work, backend: Option<Backend>) -> Assignment {
        Assignment {
            attempt: AttemptKey { task_id: TaskId(Uuid::nil()), attempt_id: AttemptId(Uuid::nil()), number: 1 },
            title: "Tidy up".into(),
            correlation_id: None,
            work,
            agent: AgentTerms { backend, ..AgentTerms::default() },
            repository: "/srv/app".into(),
            base_ref: None,
            files: vec![],
            success_criteria: vec![],
            checks: vec![],
            inputs: task::Inputs::default(),
            timeout_seconds: 60,
            tier: task::Tier::default(),
            failed_checks: vec![],
            isolation: Isolation::Sandbox,
        }
    }

    #[test]
    fn a_prompt_is_for_the_agent_it_names_or_for_the_one_that_there_is() {
        let claude = [Found { backend: Backend::ClaudeCode, version: "2".into(), program: "/c".into(), needs: "/c".into() }];
        let subject = |work: &str, backend, agents: &[Found], command: Option<&str>| {
            let work = if work == "prompt" { Work::Prompt("tidy up".into()) } else { Work::Command("true".into()) };
            let assignment = assignment(work, backend);
            match Doing::of(&assignment, agents, command) {
                Ok(Doing::Script(script)) => Ok(script.subject()),
                Ok(Doing::Agent { found, .. }) => Ok(found.backend.title()),
                Err(failure) => Err(failure.code),
            }
        };
        assert_eq!(subject("prompt", Some(Backend::ClaudeCode), &claude, Some("agent")), Ok("Claude Code"));
        assert_eq!(subject("prompt", Some(Backend::ClaudeCode), &[], Some("agent")), Err(FailureCode::BackendMissing));
        assert_eq!(subject("prompt", None, &claude, Some("agent")), Ok("the agent"));
        assert_eq!(subject("prompt", None, &claude, None), Ok("Claude Code"));
        assert_eq!(subject("prompt", None, &[], None), Err(FailureCode::BackendMissing));
        assert_eq!(subject("command", None, &claude, Some("agent")), Ok("the command"));
    }
}
