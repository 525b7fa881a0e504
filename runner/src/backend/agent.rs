//! An agent program that Muster drives itself: which one carries out a prompt, and how it is started.

use std::{ffi::OsString, fs, io, path::Path, process::Stdio};

use domain::{AgentTerms, Backend, CheckSpec, Failure, FailureCode, Work, protocol::Assignment};

use super::{
    Beginning, Dialogue, Opening, Spent, any_acp, claude_code, codex,
    environment::{self, Place},
    found::Found,
    gemini_cli,
    given::{self, endpoint_of},
    manifest::Speaks,
    opencode, own, provider,
    question::Leave,
    shell::Script,
};
use crate::{
    NetworkList, RunnerConfig,
    folders::private_folder,
    sandbox::{Guest, Program},
};

/// What carries out the work of an attempt.
pub(crate) enum Doing<'a> {
    Script(Script<'a>),
    Agent { found: &'a Found, prompt: &'a str },
}

impl<'a> Doing<'a> {
    /// A prompt is for the agent that the task names; else for one that can ask its model at the endpoint that was chosen for it, else for the
    /// command that the runner was started with, else for the first agent that it has found of those that Muster knows. One of a manifest is
    /// given what names it alone: a file in a folder changes nothing else.
    pub fn of(assignment: &'a Assignment, agents: &'a [Found], agent_command: Option<&'a str>) -> Result<Self, Failure> {
        let Work::Prompt(prompt) = &assignment.work else { return Script::of(&assignment.work, None).map(Self::Script) };
        let terms = &assignment.agent;
        if let Some(found) = first_at_its_endpoint(agents, assignment) {
            return Ok(Self::Agent { found, prompt });
        }
        match &terms.backend {
            Some(backend) => match agents.iter().find(|found| found.backend == *backend) {
                Some(found) => fits(found, assignment).map(|()| Self::Agent { found, prompt }),
                None => Err(Failure::new(FailureCode::BackendMissing, format!("this runner has no {}", backend.title()))),
            },
            // only who counts it can be stopped when it costs too much, and only an agent that is spoken with asks anybody
            None if terms.max_cost_cents.is_some() => match agents.iter().find(|found| found.backend.counts_money()) {
                Some(found) => Ok(Self::Agent { found, prompt }),
                None => Err(Failure::new(FailureCode::BackendMissing, "this runner has no agent that counts what it costs")),
            },
            // nor does a command count its turns
            None if terms.asks() || terms.max_turns.is_some() => match first_fitting(agents, assignment) {
                Some(found) => Ok(Self::Agent { found, prompt }),
                None if terms.max_turns.is_some() => {
                    Err(Failure::new(FailureCode::BackendMissing, "this runner has no agent that counts its turns"))
                }
                None => Err(Failure::new(FailureCode::BackendMissing, "this runner has no agent that asks people")),
            },
            None if agent_command.is_some() => Script::of(&assignment.work, agent_command).map(Self::Script),
            None => match first_fitting(agents, assignment) {
                Some(found) => Ok(Self::Agent { found, prompt }),
                None => match agents.iter().find(|found| !found.is_known()) {
                    Some(found) => {
                        let (title, name) = (found.backend.title(), found.backend.name());
                        let reason = format!("this runner has {title}, which is given what names it: the task has to say {name}");
                        Err(Failure::new(FailureCode::BackendMissing, reason))
                    }
                    None => Script::of(&assignment.work, None).map(Self::Script),
                },
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

/// Whether anybody has to judge, once it is known that each of those is here: nobody works for what nobody could judge.
pub(crate) fn has_judges(assignment: &Assignment, agents: &[Found]) -> Result<bool, Failure> {
    let judges = assignment.checks.iter().filter(|check| check.kind.is_judge() && check.required);
    let mut any = false;
    for check in judges {
        if let Err(why) = judge(check, agents) {
            return Err(Failure::new(FailureCode::BackendMissing, format!("{why}, and nobody else could judge what is done")));
        }
        any = true;
    }
    Ok(any)
}

/// The agent that judges: the one that the check names, else the first that may. Or why there is none. Who may judge counts its turns and its
/// money, so that every limit holds.
pub(crate) fn judge<'a>(check: &CheckSpec, agents: &'a [Found]) -> Result<&'a Found, String> {
    let mut able = agents.iter().filter(|found| found.backend.may_judge());
    match &check.judge.backend {
        Some(backend) if !backend.may_judge() => Err(format!("{} judges nothing", backend.title())),
        Some(backend) => able.find(|found| found.backend == *backend).ok_or_else(|| format!("this runner has no {}", backend.title())),
        None => able.next().ok_or_else(|| "this runner has no agent that judges".to_owned()),
    }
}

/// Whether a prompt is for an agent of a manifest that is not here, or its model at an endpoint that nobody here can ask: there was one when the
/// server heard of it, or it would not have come so. Whoever did it all the same would ask another provider, and that is neither where its model was
/// promised to be nor free.
pub(crate) fn is_gone(assignment: &Assignment, agents: &[Found]) -> bool {
    let Work::Prompt(_) = assignment.work else { return false };
    let has_endpoint = assignment.endpoint.is_some();
    let Some(backend) = &assignment.agent.backend else { return has_endpoint && first_at_its_endpoint(agents, assignment).is_none() };
    match agents.iter().find(|found| found.backend == *backend) {
        Some(found) => has_endpoint && endpoint_of(found, assignment).is_none(),
        None => backend.is_of_a_manifest(),
    }
}

/// Only who counts its turns can be stopped when they are too many, and only who asks has people asked.
fn first_fitting<'a>(agents: &'a [Found], assignment: &Assignment) -> Option<&'a Found> {
    let terms = &assignment.agent;
    let mut known = agents.iter().filter(|found| found.is_known());
    known.find(|found| (found.counts_turns() || terms.max_turns.is_none()) && (found.asks() || !terms.asks()))
}

/// For a prompt that names no agent: a command is told of no model, and not every agent can ask where this one is.
fn first_at_its_endpoint<'a>(agents: &'a [Found], assignment: &Assignment) -> Option<&'a Found> {
    let terms = &assignment.agent;
    let mut able = agents.iter().filter(|found| terms.backend.is_none() && found.about().takes_unnamed(terms));
    able.find(|found| endpoint_of(found, assignment).is_some())
}

/// What a task says about an agent is held against what this machine says of it, by a manifest or by its settings.
fn fits(found: &Found, assignment: &Assignment) -> Result<(), Failure> {
    let (terms, title) = (&assignment.agent, found.backend.title());
    let why = match &found.manifest {
        Some(manifest) if terms.asks() && !manifest.asks() => {
            "is to ask people, and its manifest does not say that it asks before it does something"
        }
        Some(manifest) if terms.model.is_some() && !manifest.takes_a_model() => {
            "cannot be told which model to use: there is no {model} in its manifest"
        }
        None if found.is_simple && terms.asks() => {
            "is to ask people, and asks nobody in the simple mode that this runner has it in (MUSTER_CODEX_MODE=exec)"
        }
        None if found.is_simple && terms.max_turns.is_some() => {
            "does not count its turns in the simple mode that this runner has it in (MUSTER_CODEX_MODE=exec), so that nobody would stop it"
        }
        _ => return Ok(()),
    };
    Err(Failure::new(FailureCode::BackendMissing, format!("{title} {why}")))
}

/// Why an agent cannot be told this where it is; nothing when it can.
pub(crate) fn refusal(found: &Found, words: &str, in_sandbox: bool) -> Option<Failure> {
    let title = found.backend.title();
    let why = if found.backend.needs_sandbox() && !in_sandbox {
        format!("{title} is given work in a sandbox alone, and this workspace works without")
    } else {
        format!("{title}: {}", found.manifest.as_ref()?.too_long(words)?)
    };
    Some(Failure::new(FailureCode::BackendMissing, why))
}

/// A conversation that is about to begin.
pub(crate) struct Begun {
    pub program: Program,
    pub lines: Vec<String>,
    pub dialogue: Box<dyn Dialogue>,
}

/// How it is begun: as the terms say, with leave for this, and as a session of an earlier round that goes on, with what that has come to so far.
pub(crate) struct Manner<'a> {
    pub terms: &'a AgentTerms,
    pub leave: Leave,
    pub session: Option<String>,
    pub spent: Spent,
}

pub(crate) fn begin(
    found: &Found,
    words: &str,
    manner: Manner<'_>,
    assignment: &Assignment,
    place: Place<'_>,
    given: &[(OsString, OsString)],
) -> io::Result<Begun> {
    // what was chosen is for the model of the work
    let endpoint = endpoint_of(found, assignment).filter(|_| !manner.leave.is_a_judges());
    let given = given::given(found, manner.terms, endpoint, given);
    let given = given.as_slice();
    let Manner { terms, leave, session, spent } = manner;
    let in_sandbox = place.room.is_closed();
    let name = own_folder(&found.backend);
    let own = place.home().join(name);
    let is_new = own.symlink_metadata().is_err();
    let config = place.own_folder(name)?;
    // a judge has what it reads where it stands
    let more = (!assignment.repositories.is_empty() && !leave.is_a_judges()).then(|| place.folder().more());
    let worktree = place.worktree.to_owned();
    let beginning = Beginning { worktree, more, config, session, spent, terms, leave, in_sandbox, given };
    let (opening, dialogue): (_, Box<dyn Dialogue>) = match (&found.backend, &found.manifest) {
        (Backend::ClaudeCode, _) => boxed(claude_code::open(beginning, words)),
        (Backend::Codex, _) if found.is_simple => boxed(codex::exec::open(beginning, words, &found.version)),
        (Backend::Codex, _) => boxed(codex::open(beginning, words)),
        (Backend::GeminiCli, _) => boxed(gemini_cli::open(beginning, words)),
        (Backend::OpenCode, _) => boxed(opencode::open(beginning, words)),
        (backend, Some(manifest)) if manifest.speaks == Speaks::Acp => boxed(any_acp::open(beginning, words, backend, manifest)),
        (backend, Some(manifest)) => boxed(own::open(beginning, words, (backend, &found.version), manifest)),
        (Backend::Acp(_) | Backend::Own(_), None) => return Err(io::Error::other("nobody knows how it is started")),
    };
    let Opening { arguments, variables, files, lines } = opening;
    if is_new {
        // later the work has been there, and may have put a way elsewhere in their places
        write_first(&own, &files)?;
    }
    let mut program = place.room.agent(found, &provider::hosts(found, given, endpoint), place.guest, place.worktree)?;
    let command = &mut program.command;
    command.args(arguments).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.envs(environment::environment(assignment, place)?);
    if !leave.is_a_judges() {
        environment::of_work(command, assignment, place)?;
    }
    command.envs(given.iter().map(|(name, value)| (name, value))).envs(variables);
    if leave.is_a_judges() {
        // agents call git by themselves, and it runs programs that the work has named: they would have the judge's key
        command.env("GIT_DIR", "/dev/null");
    }
    Ok(Begun { program, lines, dialogue })
}

/// Where the model of the work is.
pub(crate) fn hosts(found: &Found, assignment: &Assignment, given: &[(OsString, OsString)]) -> NetworkList {
    let endpoint = endpoint_of(found, assignment);
    provider::hosts(found, &given::given(found, &assignment.agent, endpoint, given), endpoint)
}

/// Where the models of all agents of a runner are, by name, as no task has chosen anything yet: of a command nobody knows where its model is.
pub(crate) fn models(agents: &[Found], config: &RunnerConfig) -> Vec<(String, NetworkList)> {
    let of_command = config.agent_command.as_ref().map(|_| ("MUSTER_AGENT_COMMAND".to_owned(), NetworkList::nothing()));
    let of_agents = agents.iter().map(|found| {
        let given = given::given(found, &AgentTerms::default(), None, &config.agents.environment);
        let name = found.backend.name().into_owned();
        // where a task names a model of an endpoint, it is there
        let name = if found.endpoint_format().is_some() { format!("{name} (or the endpoint of its task)") } else { name };
        (name, provider::hosts(found, &given, None))
    });
    of_agents.chain(of_command).collect()
}

/// Below the home of the attempt.
pub(crate) fn own_folder(backend: &Backend) -> &'static str {
    match backend {
        Backend::ClaudeCode => ".claude-code",
        Backend::Codex => ".codex",
        Backend::GeminiCli => ".gemini-cli",
        // by its name it would be one that it takes settings and plugins from
        Backend::OpenCode => ".opencode-own",
        Backend::Acp(_) | Backend::Own(_) => ".agent",
    }
}

/// Into a folder in which nobody has worked yet.
fn write_first(folder: &Path, files: &[(&str, String)]) -> io::Result<()> {
    for (name, text) in files {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            private_folder(parent)?;
        }
        fs::write(path, text)?;
    }
    Ok(())
}

fn boxed<D: Dialogue + 'static>((opening, dialogue): (Opening, D)) -> (Opening, Box<dyn Dialogue>) {
    (opening, Box::new(dialogue))
}

#[cfg(test)]
mod tests;
