//! An agent program that Muster drives itself: which one carries out a prompt, and how it is started.

use std::{
    ffi::{OsStr, OsString},
    fs, io,
    path::Path,
    process::Stdio,
};

use domain::{
    AgentTerms, Backend, CheckSpec, Failure, FailureCode, Work,
    protocol::{AssignedEndpoint, Assignment},
};

use super::{
    Beginning, Dialogue, Opening, Spent, any_acp, claude_code, codex,
    environment::{self, Place},
    found::Found,
    gemini_cli,
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
    /// A prompt is for the agent that the task names; else for the command that the runner was started with, else for the first agent that
    /// it has found of those that Muster knows. One of a manifest is given what names it alone: a file in a folder changes nothing else.
    pub fn of(assignment: &'a Assignment, agents: &'a [Found], agent_command: Option<&'a str>) -> Result<Self, Failure> {
        let Work::Prompt(prompt) = &assignment.work else { return Script::of(&assignment.work, None).map(Self::Script) };
        let terms = &assignment.agent;
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

/// Whether a prompt is for an agent of a manifest that is not here: it was, when the server heard of it, or no task for it would have come.
pub(crate) fn is_gone(assignment: &Assignment, agents: &[Found]) -> bool {
    let backend = assignment.agent.backend.as_ref().filter(|backend| backend.is_of_a_manifest());
    let is_a_prompt = matches!(assignment.work, Work::Prompt(_));
    backend.is_some_and(|backend| is_a_prompt && !agents.iter().any(|found| found.backend == *backend))
}

/// Only who counts its turns can be stopped when they are too many, and only who asks has people asked.
fn first_fitting<'a>(agents: &'a [Found], assignment: &Assignment) -> Option<&'a Found> {
    let terms = &assignment.agent;
    let mut known = agents.iter().filter(|found| found.is_known());
    known.find(|found| (found.counts_turns() || terms.max_turns.is_none()) && (found.asks() || !terms.asks()))
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
    let given = what_it_is_given(found, manner.terms, assignment, given);
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
    let mut program = place.room.agent(found, &provider::hosts(found, given), place.guest, place.worktree)?;
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

/// Where its model is, as it is begun by these terms.
pub(crate) fn hosts(found: &Found, terms: &AgentTerms, assignment: &Assignment, given: &[(OsString, OsString)]) -> NetworkList {
    provider::hosts(found, &what_it_is_given(found, terms, assignment, given))
}

fn what_it_is_given(
    found: &Found,
    terms: &AgentTerms,
    assignment: &Assignment,
    given: &[(OsString, OsString)],
) -> Vec<(OsString, OsString)> {
    match &found.manifest {
        Some(manifest) => manifest.given(std::env::vars_os(), terms.model.as_deref()),
        None => given_to(&found.backend, given, assignment.endpoint.as_ref()),
    }
}

/// The same of all agents of a runner, by name, as no task has chosen anything yet: of a command nobody knows where its model is.
pub(crate) fn models(agents: &[Found], config: &RunnerConfig) -> Vec<(String, NetworkList)> {
    let of_command = config.agent_command.as_ref().map(|_| ("MUSTER_AGENT_COMMAND".to_owned(), NetworkList::nothing()));
    let of_agents = agents.iter().map(|found| {
        let given = match &found.manifest {
            Some(manifest) => manifest.given(std::env::vars_os(), None),
            None => given_to(&found.backend, &config.agents.environment, None),
        };
        let name = found.backend.name().into_owned();
        // where a task names a model of an endpoint, it is there
        let name = if found.backend == Backend::OpenCode { format!("{name} (or the endpoint of its task)") } else { name };
        (name, provider::hosts(found, &given))
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

/// What an agent is given of the runner's environment. Where an endpoint was chosen for it, its model is there: the key of another provider is
/// nothing for that, and no proxy knows the way.
fn given_to(backend: &Backend, given: &[(OsString, OsString)], endpoint: Option<&AssignedEndpoint>) -> Vec<(OsString, OsString)> {
    let own = given.iter().filter(|(name, _)| is_for(backend, name)).cloned();
    let Some(endpoint) = endpoint.filter(|_| *backend == Backend::OpenCode) else { return own.collect() };
    let is_of_another = |name: &OsStr| name.to_str().is_some_and(|name| name.starts_with("OPENAI_"));
    let url = format!("{}/v1", endpoint.url.trim_end_matches('/'));
    // it takes any key, and a client wants one
    let own_key = [("OPENAI_BASE_URL", url), ("OPENAI_API_KEY", "none".to_owned())].map(|(name, value)| (name.into(), value.into()));
    let is_replaced = |name: &OsStr| is_of_another(name) || NO_PROXY.iter().any(|known| name == *known);
    own.filter(|(name, _)| !is_replaced(name)).chain(own_key).chain(directly(given, &endpoint.url)).collect()
}

/// Whom no proxy is asked for. Programs read the one or the other.
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// Both of them, with the machine of this address beside those that were there.
fn directly(given: &[(OsString, OsString)], url: &str) -> [(OsString, OsString); 2] {
    let url = reqwest::Url::parse(url).ok();
    let host = url.as_ref().and_then(|url| url.host_str()).unwrap_or_default().trim_matches(['[', ']']);
    let before = |wanted: &str| given.iter().find(|(name, value)| name.as_os_str() == wanted && !value.is_empty()).map(|(_, value)| value);
    let with_it = |name: &str, other: &str| {
        let mut hosts = OsString::new();
        if let Some(before) = before(name).or_else(|| before(other)) {
            hosts.push(before);
            hosts.push(",");
        }
        hosts.push(host);
        (OsString::from(name), hosts)
    };
    let [upper, lower] = NO_PROXY;
    [with_it(upper, lower), with_it(lower, upper)]
}

/// Nobody is given the keys of others.
fn is_for(backend: &Backend, name: &OsStr) -> bool {
    const KEYS: [&str; 5] = ["ANTHROPIC_", "CLAUDE_", "OPENAI_", "GEMINI_", "GOOGLE_GEMINI_"];
    let own: &[&str] = match backend {
        Backend::ClaudeCode => &["ANTHROPIC_", "CLAUDE_"],
        Backend::Codex | Backend::OpenCode => &["OPENAI_"],
        Backend::GeminiCli => &["GEMINI_", "GOOGLE_GEMINI_"],
        // its manifest says what it is given
        Backend::Acp(_) | Backend::Own(_) => &[],
    };
    let begins = |starts: &[&str]| name.to_str().is_some_and(|name| starts.iter().any(|start| name.starts_with(start)));
    !begins(&KEYS) || begins(own)
}

fn boxed<D: Dialogue + 'static>((opening, dialogue): (Opening, D)) -> (Opening, Box<dyn Dialogue>) {
    (opening, Box::new(dialogue))
}

#[cfg(test)]
mod tests;
