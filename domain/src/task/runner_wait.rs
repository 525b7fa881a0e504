//! Why a queued task waits for a runner, and what helps: of those that were heard of lately, what keeps the last of them from it.

use serde::{Deserialize, Serialize};

use super::{no_runner_has, unmet};
use crate::{
    Backend,
    agent::words::AGENT_WORDS,
    judgement::JUDGES,
    repository::{LFS, SEVERAL, SUBMODULES},
};

/// A runner that was heard of lately, as far as it matters to what waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerAtHand {
    /// What it has, its own word included.
    pub capabilities: Vec<String>,
    /// It is given repositories that are paths.
    pub takes_paths: bool,
    /// It carries out work that runs as that of the workspace is to.
    pub runs_so: bool,
    /// It does so for the installation's first workspace alone, and no workspace can tell whether it is that.
    pub not_for_guests: bool,
    pub standing: RunnerStanding,
}

/// What a runner at hand does with work that it could carry out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunnerStanding {
    Takes,
    /// All of its slots are in use, as far as the workspace sees them.
    Full,
    /// Its disk has no room for anything new.
    DiskFull,
    Drained,
    /// It did not take what it was given, and is given one attempt now and then.
    Unresponsive,
}

/// Why a task waits for a runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunnerWait {
    pub code: RunnerWaitCode,
    /// In one sentence, without a capital at its start.
    pub message: String,
    /// What helps.
    pub next: String,
}

impl RunnerWait {
    /// "No runner has gpu, which it needs. Start a runner that has it …."
    pub fn in_words(&self) -> String {
        let capitalised = |text: &str| text.chars().take(1).flat_map(char::to_uppercase).chain(text.chars().skip(1)).collect::<String>();
        format!("{}. {}.", capitalised(&self.message), capitalised(&self.next))
    }
}

/// The codes are the order in which they are found: each is of the runners that are left by those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RunnerWaitCode {
    /// None was heard of lately.
    NoRunner,
    /// None has what the task needs.
    NotThere,
    /// None of those is given repositories that are paths.
    NoPaths,
    /// None of those makes sandboxes, and the workspace wants them.
    NoSandbox,
    /// All of those that take work have no free slot.
    Full,
    /// Those of them that have a free slot have no room on their disks.
    DiskFull,
    /// None of those takes what it is given.
    Unresponsive,
    /// All of those are drained.
    Drained,
}

impl RunnerWaitCode {
    pub fn name(self) -> &'static str {
        match self {
            Self::NoRunner => "no_runner",
            Self::NotThere => "not_there",
            Self::NoPaths => "no_paths",
            Self::NoSandbox => "no_sandbox",
            Self::Full => "full",
            Self::DiskFull => "disk_full",
            Self::Unresponsive => "unresponsive",
            Self::Drained => "drained",
        }
    }

    /// It passes without anybody's doing.
    pub fn passes(self) -> bool {
        matches!(self, Self::Full)
    }
}

/// Why nobody takes a task that needs this now; nothing when somebody could. What is for one runner alone is given to it wherever its repository
/// is, and however it is to run.
pub fn runner_wait(needed: &[String], is_path: bool, runners: &[RunnerAtHand]) -> Option<RunnerWait> {
    let wait = |code, message: String, next: String| Some(RunnerWait { code, message, next });
    if runners.is_empty() {
        let next =
            "join a machine, by the command that `muster runner token` and the page of runners give, or start the server with MUSTER_SLOTS";
        return wait(RunnerWaitCode::NoRunner, "no runner is connected".into(), next.into());
    }
    let missing = unmet(needed, &runners.iter().map(|runner| runner.capabilities.clone()).collect::<Vec<_>>());
    if let Some(sentence) = no_runner_has(&missing) {
        let message = format!("{}, which it needs", sentence.replacen('N', "n", 1));
        return wait(RunnerWaitCode::NotThere, message, what_brings(&missing));
    }
    let is_own = needed.iter().any(|word| crate::runner::owner_of(word).is_some());
    let able = runners.iter().filter(|runner| needed.iter().all(|word| runner.capabilities.contains(word)));
    let able: Vec<_> = able.filter(|runner| runner.takes_paths || !is_path || is_own).collect();
    if able.is_empty() {
        let message = "its repository is a path, and no runner that has what it needs is given paths";
        let next = "name the repository by its URL, or join a machine that shares its disk with whoever names them: `muster runner join … --paths`";
        return wait(RunnerWaitCode::NoPaths, message.into(), next.into());
    }
    let able: Vec<_> = able.into_iter().filter(|runner| runner.runs_so || is_own).collect();
    if able.is_empty() {
        let message = "it is to run as its workspace says, and no runner that could take it makes that possible: none makes a sandbox";
        let next = "the page of runners says why each makes none; mend that, or join another machine. An owner may let work run without: \
                    `muster workspace isolation none`, where whoever runs the machine lets it";
        return wait(RunnerWaitCode::NoSandbox, message.into(), next.into());
    }
    let takes = |runner: &&&RunnerAtHand| runner.standing == RunnerStanding::Takes;
    let taking: Vec<_> = able.iter().filter(takes).collect();
    if !taking.is_empty() && !is_own && taking.iter().all(|runner| runner.not_for_guests) {
        let message = "it is to run without a sandbox, and the runners that could take it so are the installation's own: they do that for its \
                       first workspace alone";
        let next = "in the first workspace it is taken in a moment; for another one join a machine of its own, or let its work run in a \
                    sandbox: `muster workspace isolation sandbox`, where a runner makes one";
        return wait(RunnerWaitCode::NoSandbox, message.into(), next.into());
    }
    nobody_takes(&able)
}

fn nobody_takes(able: &[&RunnerAtHand]) -> Option<RunnerWait> {
    let count = |standing| able.iter().filter(|runner| runner.standing == standing).count();
    if count(RunnerStanding::Takes) > 0 {
        return None;
    }
    let (full, silent, drained) = (count(RunnerStanding::Full), count(RunnerStanding::Unresponsive), count(RunnerStanding::Drained));
    let no_room = count(RunnerStanding::DiskFull);
    let each = |count: usize, one: &str, several: &str| match count {
        0 => None,
        1 if able.len() == 1 => Some(one.to_owned()),
        1 => Some(format!("1 {one}")),
        _ => Some(format!("{count} {several}")),
    };
    let said = [
        each(full, "has no free slot", "have no free slot"),
        each(no_room, "has no room on its disk", "have no room on their disks"),
        each(silent, "does not take what it is given", "do not take what they are given"),
        each(drained, "is drained", "are drained"),
    ];
    let said = said.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let message = match able.len() {
        1 => format!("the one runner that could take it {said}"),
        several => format!("of {several} runners that could take it {said}"),
    };
    let (code, next) = match (full, no_room, silent) {
        (0, 0, 0) => (RunnerWaitCode::Drained, "let one take work again: `muster runner resume NAME`, or join another machine"),
        (0, 0, _) => (RunnerWaitCode::Unresponsive, "see the log on its machine, and start it again; it is tried every five minutes"),
        (0, ..) => (
            RunnerWaitCode::DiskFull,
            "make room on the disk of its machine, which its page tells how much it lacks; or join another machine",
        ),
        _ => (RunnerWaitCode::Full, "it is taken when its turn has come; another machine would take it sooner"),
    };
    Some(RunnerWait { code, message, next: next.into() })
}

/// What brings a runner to have what none has.
fn what_brings(missing: &[String]) -> String {
    let is = |words: &[&str]| missing.iter().any(|word| words.contains(&word.as_str()));
    let is_of_an_agent = is(&AGENT_WORDS) || is(&[JUDGES]) || missing.iter().any(|word| Backend::parse(word).is_ok());
    if is_of_an_agent {
        return "install an agent that does it on the PATH of a runner, which notices it within half a minute, or join a machine that has one".into();
    }
    if is(&[LFS]) {
        return "install git-lfs on the machine of a runner and start that again, or join a machine that has it".into();
    }
    if is(&[SUBMODULES, SEVERAL]) {
        return "update a runner: one of this version has it".into();
    }
    let words = missing.join(",");
    format!(
        "start a runner that has it with MUSTER_CAPABILITIES={words}, join a machine that has it, or cancel it and create it again without"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        RunnerId,
        agent::words::{COUNTS_MONEY, PROMPTS},
        runner::own_word,
    };

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn has(text: &str, standing: RunnerStanding) -> RunnerAtHand {
        RunnerAtHand { capabilities: words(text), takes_paths: true, runs_so: true, not_for_guests: false, standing }
    }

    fn code(needed: &str, is_path: bool, runners: &[RunnerAtHand]) -> Option<&'static str> {
        runner_wait(&words(needed), is_path, runners).map(|wait| wait.code.name())
    }

    #[test]
    fn what_keeps_the_last_of_them_from_it_is_said() {
        use RunnerStanding::{DiskFull, Drained, Full, Takes, Unresponsive};
        let (gpu, plain) = (has("linux gpu", Takes), has("linux", Takes));
        let far = RunnerAtHand { takes_paths: false, ..gpu.clone() };
        let open = RunnerAtHand { runs_so: false, ..gpu.clone() };
        let no_guests = |standing| RunnerAtHand { not_for_guests: true, ..has("gpu", standing) };
        for (needed, is_path, runners, expected) in [
            ("gpu", false, vec![has("gpu", DiskFull), has("gpu", Unresponsive)], Some("disk_full")),
            ("gpu", false, vec![has("gpu", DiskFull), has("gpu", Full)], Some("full")),
            ("gpu", false, vec![no_guests(Takes), has("gpu", Full)], Some("no_sandbox")),
            ("gpu", false, vec![no_guests(Full)], Some("full")),
            ("gpu", false, vec![no_guests(Takes), gpu.clone()], None),
            ("", false, vec![], Some("no_runner")),
            ("gpu", false, vec![plain.clone()], Some("not_there")),
            ("gpu", false, vec![plain.clone(), gpu.clone()], None),
            ("gpu", true, vec![plain.clone(), far.clone()], Some("no_paths")),
            ("gpu", false, vec![far.clone()], None),
            ("gpu", false, vec![plain.clone(), open.clone()], Some("no_sandbox")),
            ("gpu", true, vec![far.clone(), open.clone()], Some("no_sandbox")),
            ("", true, vec![far, open, plain.clone()], None),
            ("gpu", false, vec![plain.clone(), has("gpu", Drained)], Some("drained")),
            ("gpu", false, vec![has("gpu", Unresponsive), has("gpu", Drained)], Some("unresponsive")),
            ("gpu", false, vec![has("gpu", Unresponsive), has("gpu", Full), has("gpu", Drained)], Some("full")),
            ("gpu", false, vec![has("gpu", Full), gpu], None),
        ] {
            assert_eq!(code(needed, is_path, &runners), expected, "{needed} {is_path} {runners:?}");
        }
    }

    #[test]
    fn it_is_said_in_a_sentence_and_what_helps_beside_it() {
        use RunnerStanding::{Drained, Full, Takes, Unresponsive};
        let wait = |needed: &str, runners: &[RunnerAtHand]| runner_wait(&words(needed), false, runners).unwrap();
        assert_eq!(wait("gpu tpu", &[has("gpu", Takes)]).message, "no runner has tpu, which it needs");
        assert!(wait("tpu", &[has("", Takes)]).next.contains("MUSTER_CAPABILITIES=tpu"));
        for word in [PROMPTS, COUNTS_MONEY, JUDGES, "codex", "acp:goose"] {
            assert!(wait(word, &[has("", Takes)]).next.starts_with("install an agent"), "{word}");
        }
        let words = "No runner is connected. Join a machine, by";
        assert!(wait("", &[]).in_words().starts_with(words) && wait("", &[]).in_words().ends_with("MUSTER_SLOTS."));
        assert!(wait(LFS, &[has("", Takes)]).next.starts_with("install git-lfs"));
        assert!(wait(SEVERAL, &[has("", Takes)]).next.starts_with("update a runner"));
        assert_eq!(wait("", &[has("", Full)]).message, "the one runner that could take it has no free slot");
        assert_eq!(wait("", &[has("", RunnerStanding::DiskFull)]).message, "the one runner that could take it has no room on its disk");
        let three = [has("", Full), has("", Full), has("", Unresponsive), has("", Drained)];
        let expected = "of 4 runners that could take it 2 have no free slot, 1 does not take what it is given, 1 is drained";
        assert_eq!(wait("", &three).message, expected);
        assert!(wait("", &three).code.passes() && !wait("", &three[2..]).code.passes());
    }

    #[test]
    fn what_is_for_one_runner_is_given_to_it_wherever_it_is() {
        let word = own_word(RunnerId(uuid::Uuid::nil()));
        let own = RunnerAtHand { takes_paths: false, runs_so: false, ..has(&word, RunnerStanding::Takes) };
        assert_eq!(runner_wait(&[word], true, &[own]), None);
    }
}
