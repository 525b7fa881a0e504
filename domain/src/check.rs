//! What a task counts as done: checks, defined with the task and stored with it, never read from files that the work could edit.

use serde::{Deserialize, Serialize};

use crate::{error::Errors, judgement::JudgeTerms};

/// One step of a verification, as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckSpec {
    pub kind: CheckKind,
    /// `file_exists`: a path inside the repository. `command_succeeds`: a shell command. `test_passes`: a shell command, or
    /// `auto` to take the one that the project's files at the base ref call for. `git_clean`: nothing. `review`: what the agent is to look
    /// for, in words, or nothing. `model`: what the model is asked about the change; yes has to mean that all is well.
    #[serde(default)]
    pub target: Option<String>,
    /// A check that is not required is run and shown, but does not decide.
    #[serde(default = "yes")]
    pub required: bool,
    /// Seconds; the check fails when it takes longer.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u32,
    /// `review` and `model`: who judges, and how far it may go.
    #[serde(default, skip_serializing_if = "JudgeTerms::is_usual")]
    pub judge: JudgeTerms,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CheckKind {
    FileExists,
    CommandSucceeds,
    TestPasses,
    GitClean,
    /// An agent reads the change and the repository, changes and runs nothing, and says whether it passes. Asked once all other checks that
    /// have to pass have.
    Review,
    /// A model answers a question about the change, once and without any tools. Asked when a review is.
    Model,
}

/// Seconds that one check may take unless it says otherwise.
pub const CHECK_TIMEOUT_SECONDS: u32 = 300;
/// Seconds that all checks of an attempt may take together.
pub const VERIFICATION_TIMEOUT_SECONDS: u32 = 1800;
/// The most checks a task may define.
pub const MAX_CHECKS: usize = 20;
/// The target of `test_passes` that asks Muster to find the project's test command.
pub const AUTO: &str = "auto";

fn yes() -> bool {
    true
}

fn default_timeout() -> u32 {
    CHECK_TIMEOUT_SECONDS
}

impl CheckKind {
    pub const ALL: [Self; 6] = [Self::FileExists, Self::CommandSucceeds, Self::TestPasses, Self::GitClean, Self::Review, Self::Model];

    pub fn name(self) -> &'static str {
        match self {
            Self::FileExists => "file_exists",
            Self::CommandSucceeds => "command_succeeds",
            Self::TestPasses => "test_passes",
            Self::GitClean => "git_clean",
            Self::Review => "review",
            Self::Model => "model",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What a person reads: "File exists".
    pub fn label(self) -> &'static str {
        match self {
            Self::FileExists => "File exists",
            Self::CommandSucceeds => "Command succeeds",
            Self::TestPasses => "Test passes",
            Self::GitClean => "Nothing left uncommitted",
            Self::Review => "Review by an agent",
            Self::Model => "Question to a model",
        }
    }

    /// Whether somebody judges, instead of something being run or looked up.
    pub fn is_judge(self) -> bool {
        match self {
            Self::Review | Self::Model => true,
            Self::FileExists | Self::CommandSucceeds | Self::TestPasses | Self::GitClean => false,
        }
    }
}

impl CheckSpec {
    pub fn new(kind: CheckKind, target: Option<String>) -> Self {
        Self { kind, target, required: true, timeout_seconds: CHECK_TIMEOUT_SECONDS, judge: JudgeTerms::default() }
    }

    /// `KIND=VALUE`, or `git_clean` or `review` alone, as the command line takes it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, target) = match text.split_once('=') {
            Some((name, target)) => (name, Some(target.to_owned())),
            None => (text, None),
        };
        let kind = CheckKind::parse(name).ok_or_else(|| {
            let known = CheckKind::ALL.map(CheckKind::name).join(", ");
            format!("'{name}' is not a kind of check; the kinds are {known}")
        })?;
        let spec = Self::new(kind, target);
        let mut errors = Errors::default();
        spec.validate("", &mut errors);
        match errors.finish() {
            Ok(()) => Ok(spec),
            Err(invalid) => Err(format!("{name}: {invalid}")),
        }
    }

    pub(crate) fn validate(&self, pointer: &str, errors: &mut Errors) {
        let target = self.target.as_deref().unwrap_or_default();
        let at = format!("{pointer}/target");
        match self.kind {
            CheckKind::GitClean if self.target.is_some() => errors.add(&at, "unexpected", "git_clean takes no target"),
            CheckKind::GitClean => {}
            CheckKind::FileExists => {
                errors.required_text(&at, target, 1000);
                if !stays_inside(target) {
                    errors.add(&at, "outside", "must be a path inside the repository");
                }
            }
            CheckKind::Review if self.target.is_none() => {}
            CheckKind::CommandSucceeds | CheckKind::TestPasses | CheckKind::Review | CheckKind::Model => {
                errors.required_text(&at, target, 10_000);
            }
        }
        if self.kind.is_judge() {
            self.judge.validate(self.kind, &format!("{pointer}/judge"), errors);
        } else if !self.judge.is_usual() {
            errors.add(format!("{pointer}/judge"), "unexpected", "only a review and a model judge");
        }
        if self.timeout_seconds == 0 || self.timeout_seconds > VERIFICATION_TIMEOUT_SECONDS {
            errors.add(format!("{pointer}/timeout_seconds"), "out_of_range", format!("must be 1 to {VERIFICATION_TIMEOUT_SECONDS}"));
        }
    }
}

/// Whether a path names something below the folder it is joined to.
pub fn stays_inside(path: &str) -> bool {
    !path.starts_with('/') && !path.split('/').any(|part| part == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_command_line_takes() {
        assert_eq!(CheckSpec::parse("git_clean"), Ok(CheckSpec::new(CheckKind::GitClean, None)));
        assert_eq!(
            CheckSpec::parse("command_succeeds=test a = b"),
            Ok(CheckSpec::new(CheckKind::CommandSucceeds, Some("test a = b".into())))
        );
        for bad in [
            "",
            "file_exist=x",
            "file_exists",
            "file_exists=",
            "file_exists=/etc/passwd",
            "file_exists=a/../../b",
            "git_clean=x",
            "test_passes",
            "model",
            "model= ",
            "review=",
        ] {
            assert!(CheckSpec::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(CheckSpec::parse("review"), Ok(CheckSpec::new(CheckKind::Review, None)));
        assert_eq!(CheckSpec::parse("model=Is a = b?"), Ok(CheckSpec::new(CheckKind::Model, Some("Is a = b?".into()))));
    }

    #[test]
    fn who_judges_is_said_of_those_that_do() {
        let wrong = |kind: CheckKind, judge: serde_json::Value| {
            let judge = serde_json::from_value(judge).unwrap();
            let target = (kind != CheckKind::GitClean).then(|| "x".to_owned());
            let mut errors = Errors::default();
            CheckSpec { judge, ..CheckSpec::new(kind, target) }.validate("/checks/0", &mut errors);
            let errors = errors.finish().err().map(|invalid| invalid.errors).unwrap_or_default();
            errors.into_iter().map(|error| format!("{} {}", error.pointer, error.code)).collect::<Vec<_>>()
        };
        use serde_json::json;
        assert!(wrong(CheckKind::Review, json!({"backend": "claude-code", "model": "opus", "max_turns": 9, "at_least": 100})).is_empty());
        assert!(wrong(CheckKind::Model, json!({"backend": "claude-code", "max_cost_cents": 5})).is_empty());
        assert_eq!(wrong(CheckKind::GitClean, json!({"model": "x"})), ["/checks/0/judge unexpected"]);
        assert_eq!(wrong(CheckKind::Model, json!({"max_turns": 2})), ["/checks/0/judge/max_turns unexpected"]);
        for word in ["codex", "gemini-cli", "opencode", "acp:goose", "own:mine"] {
            let own = json!({"backend": word, "max_turns": 2, "max_cost_cents": 5});
            assert_eq!(wrong(CheckKind::Review, own), ["/checks/0/judge/backend unexpected"], "{word} judges nothing");
        }
        let far = json!({"model": "-p", "max_turns": 0, "max_cost_cents": 0, "at_least": 101});
        let fields = ["model malformed", "max_turns out_of_range", "max_cost_cents out_of_range", "at_least out_of_range"];
        assert_eq!(wrong(CheckKind::Review, far), fields.map(|field| format!("/checks/0/judge/{field}")));
    }

    /// An older runner refuses fields that it does not know.
    #[test]
    fn a_check_that_nobody_judges_says_nothing_of_judges() {
        let spec = serde_json::to_value(CheckSpec::new(CheckKind::GitClean, None)).unwrap();
        assert!(spec.get("judge").is_none(), "{spec}");
    }
}
