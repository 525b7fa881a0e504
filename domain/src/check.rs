//! What a task counts as done: checks, defined with the task and stored with it, never read from files that the work could edit.

use serde::{Deserialize, Serialize};

use crate::error::Errors;

/// One step of a verification, as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckSpec {
    pub kind: CheckKind,
    /// `file_exists`: a path inside the repository. `command_succeeds`: a shell command. `test_passes`: a shell command, or
    /// `auto` to take the one that the project's files at the base ref call for. `git_clean`: nothing.
    #[serde(default)]
    pub target: Option<String>,
    /// A check that is not required is run and shown, but does not decide.
    #[serde(default = "yes")]
    pub required: bool,
    /// Seconds; the check fails when it takes longer.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CheckKind {
    FileExists,
    CommandSucceeds,
    TestPasses,
    GitClean,
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
    pub const ALL: [Self; 4] = [Self::FileExists, Self::CommandSucceeds, Self::TestPasses, Self::GitClean];

    pub fn name(self) -> &'static str {
        match self {
            Self::FileExists => "file_exists",
            Self::CommandSucceeds => "command_succeeds",
            Self::TestPasses => "test_passes",
            Self::GitClean => "git_clean",
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
        }
    }
}

impl CheckSpec {
    pub fn new(kind: CheckKind, target: Option<String>) -> Self {
        Self { kind, target, required: true, timeout_seconds: CHECK_TIMEOUT_SECONDS }
    }

    /// `KIND=VALUE`, or `git_clean` alone, as the command line takes it.
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
            CheckKind::CommandSucceeds | CheckKind::TestPasses => errors.required_text(&at, target, 10_000),
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
        ] {
            assert!(CheckSpec::parse(bad).is_err(), "{bad}");
        }
    }
}
