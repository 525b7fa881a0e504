//! Why an attempt or a task ended badly: a stable code, the class it belongs to, its cause in plain words, and what to do next.

use serde::{Deserialize, Serialize, Serializer};

use crate::session::kept_text;

/// What went wrong, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Failure {
    pub code: FailureCode,
    /// What happened this time.
    pub message: String,
    /// Seconds before which it is not worth trying again, as the work was told by somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

/// A failure with what its code means, as the API shows it.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExplainedFailure {
    pub code: FailureCode,
    pub class: FailureClass,
    /// What happened this time.
    pub message: String,
    /// What the code means, in plain words.
    pub cause: &'static str,
    /// What to do about it.
    pub next: &'static str,
    /// Seconds before which it is not tried again, as the work was told by somebody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

/// Who or what a failure is put down to. It decides how the next attempt is waited for, and whether the task is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FailureClass {
    /// The work itself, or how the task was written.
    TaskFailed,
    /// The runner stopped answering.
    RunnerLost,
    /// Somebody the work depends on wants less of it for a while.
    ProviderLimit,
    /// What is around the work: disk, network, runner, server.
    Infrastructure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FailureCode {
    CommandFailed,
    ChecksFailed,
    TimedOut,
    ProviderLimit,
    RepositoryUnavailable,
    RepositoryUnreachable,
    RefNotFound,
    RefMalformed,
    SubmoduleUnavailable,
    LfsMissing,
    BackendMissing,
    AgentDenied,
    AgentCapped,
    ProviderRefused,
    SandboxUnavailable,
    WorkNotSaved,
    RunnerLost,
    RunnerStuck,
    RunnerFault,
    TaskUnreadable,
    DeadlinePassed,
    QueueExpired,
    Rejected,
    StepsFailed,
    NotExpanded,
    ModelUnavailable,
}

impl Failure {
    pub fn new(code: FailureCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), retry_after_seconds: None }
    }

    /// Fit to be kept, whoever made it.
    pub fn kept(&self) -> Self {
        Self { message: kept_text(&self.message), ..self.clone() }
    }

    pub fn explained(&self) -> ExplainedFailure {
        ExplainedFailure {
            code: self.code,
            class: self.code.class(),
            message: self.message.clone(),
            cause: self.code.cause(),
            next: self.code.advice(),
            retry_after_seconds: self.retry_after_seconds,
        }
    }
}

/// For what is shown, and not for what is kept.
pub(crate) fn explain<S: Serializer>(failure: &Failure, serializer: S) -> Result<S::Ok, S::Error> {
    failure.explained().serialize(serializer)
}

pub(crate) fn explain_if_any<S: Serializer>(failure: &Option<Failure>, serializer: S) -> Result<S::Ok, S::Error> {
    failure.as_ref().map(Failure::explained).serialize(serializer)
}

impl FailureClass {
    pub const ALL: [Self; 4] = [Self::TaskFailed, Self::RunnerLost, Self::ProviderLimit, Self::Infrastructure];

    pub fn name(self) -> &'static str {
        match self {
            Self::TaskFailed => "task_failed",
            Self::RunnerLost => "runner_lost",
            Self::ProviderLimit => "provider_limit",
            Self::Infrastructure => "infrastructure",
        }
    }
}

impl FailureCode {
    pub const ALL: [Self; 26] = [
        Self::CommandFailed,
        Self::ChecksFailed,
        Self::TimedOut,
        Self::ProviderLimit,
        Self::RepositoryUnavailable,
        Self::RepositoryUnreachable,
        Self::RefNotFound,
        Self::RefMalformed,
        Self::SubmoduleUnavailable,
        Self::LfsMissing,
        Self::BackendMissing,
        Self::AgentDenied,
        Self::AgentCapped,
        Self::ProviderRefused,
        Self::SandboxUnavailable,
        Self::WorkNotSaved,
        Self::RunnerLost,
        Self::RunnerStuck,
        Self::RunnerFault,
        Self::TaskUnreadable,
        Self::DeadlinePassed,
        Self::QueueExpired,
        Self::Rejected,
        Self::StepsFailed,
        Self::NotExpanded,
        Self::ModelUnavailable,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::CommandFailed => "command_failed",
            Self::ChecksFailed => "checks_failed",
            Self::TimedOut => "timed_out",
            Self::ProviderLimit => "provider_limit",
            Self::RepositoryUnavailable => "repository_unavailable",
            Self::RepositoryUnreachable => "repository_unreachable",
            Self::RefNotFound => "ref_not_found",
            Self::RefMalformed => "ref_malformed",
            Self::SubmoduleUnavailable => "submodule_unavailable",
            Self::LfsMissing => "lfs_missing",
            Self::BackendMissing => "backend_missing",
            Self::AgentDenied => "agent_denied",
            Self::AgentCapped => "agent_capped",
            Self::ProviderRefused => "provider_refused",
            Self::SandboxUnavailable => "sandbox_unavailable",
            Self::WorkNotSaved => "work_not_saved",
            Self::RunnerLost => "runner_lost",
            Self::RunnerStuck => "runner_stuck",
            Self::RunnerFault => "runner_fault",
            Self::TaskUnreadable => "task_unreadable",
            Self::DeadlinePassed => "deadline_passed",
            Self::QueueExpired => "queue_expired",
            Self::Rejected => "rejected",
            Self::StepsFailed => "steps_failed",
            Self::NotExpanded => "not_expanded",
            Self::ModelUnavailable => "model_unavailable",
        }
    }

    pub fn class(self) -> FailureClass {
        match self {
            Self::CommandFailed | Self::ChecksFailed | Self::TimedOut | Self::RepositoryUnavailable => FailureClass::TaskFailed,
            Self::RefNotFound | Self::RefMalformed | Self::DeadlinePassed | Self::SubmoduleUnavailable => FailureClass::TaskFailed,
            Self::AgentDenied | Self::AgentCapped => FailureClass::TaskFailed,
            Self::Rejected | Self::StepsFailed | Self::NotExpanded => FailureClass::TaskFailed,
            Self::RunnerLost | Self::RunnerStuck => FailureClass::RunnerLost,
            Self::ProviderLimit => FailureClass::ProviderLimit,
            Self::RepositoryUnreachable | Self::BackendMissing | Self::ProviderRefused | Self::WorkNotSaved => FailureClass::Infrastructure,
            Self::SandboxUnavailable | Self::RunnerFault | Self::TaskUnreadable | Self::QueueExpired => FailureClass::Infrastructure,
            Self::LfsMissing | Self::ModelUnavailable => FailureClass::Infrastructure,
        }
    }

    /// Whether the same work may go better next time.
    pub fn is_worth_retrying(self) -> bool {
        match self {
            Self::CommandFailed | Self::ChecksFailed | Self::TimedOut | Self::ProviderLimit | Self::RepositoryUnreachable => true,
            Self::WorkNotSaved | Self::RunnerLost | Self::RunnerStuck | Self::RunnerFault | Self::SandboxUnavailable => true,
            Self::RepositoryUnavailable | Self::RefNotFound | Self::RefMalformed | Self::BackendMissing | Self::TaskUnreadable => false,
            Self::DeadlinePassed | Self::QueueExpired | Self::Rejected | Self::StepsFailed | Self::NotExpanded => false,
            // it lies in the repository; a runner that has found out that it has no git-lfs says so in its next hello
            Self::SubmoduleUnavailable | Self::LfsMissing => false,
            // it was waited for, as long as it took
            Self::ModelUnavailable => false,
            // the same work would ask for the same, spend the same and be refused the same
            Self::AgentDenied | Self::AgentCapped | Self::ProviderRefused => false,
        }
    }

    /// What it means, in plain words.
    pub fn cause(self) -> &'static str {
        match self {
            Self::CommandFailed => "The command or the agent ended with an error.",
            Self::ChecksFailed => "The work was done, but checks that it has to pass did not pass.",
            Self::TimedOut => "The work took longer than the task allows, and was stopped.",
            Self::ProviderLimit => "A service that the work uses has told it to come back later.",
            Self::RepositoryUnavailable => "There is no repository where the task says, or the runner may not read it.",
            Self::RepositoryUnreachable => "The repository could not be fetched from its address.",
            Self::RefNotFound => "The repository has no branch, tag or commit of the name from which the work was to start.",
            Self::RefMalformed => "What the work was to start from is no name that a branch, tag or commit can have.",
            Self::SubmoduleUnavailable => "A submodule of the repository cannot be fetched, or says of itself what Muster does not follow.",
            Self::LfsMissing => "The task wants the files of Git LFS, and there is no git-lfs on the machine of the runner that took it.",
            Self::BackendMissing => {
                "The task is a prompt or wants to be judged, and the runner that took it has no agent that does it as the task and its \
                 workspace want it done."
            }
            Self::AgentDenied => {
                "The agent asked for leave to do something and did not get it, so that its result is not what it meant to do."
            }
            Self::AgentCapped => "The agent was stopped, as it had used up the turns or the money that it was allowed.",
            Self::ProviderRefused => "The model's provider refused what the agent asked of it.",
            Self::SandboxUnavailable => "The work is to run in a sandbox, and the runner's machine makes none.",
            Self::WorkNotSaved => "The work was done, but the runner could not write it to its branch.",
            Self::RunnerLost => "The runner stopped answering, or came back without the work.",
            Self::RunnerStuck => {
                "The runner gave signs of life and did not bring the work to its end, neither in the time that it may take at most nor when it \
                 was asked to end it."
            }
            Self::RunnerFault => "Something went wrong in the runner itself, and not in the work.",
            Self::TaskUnreadable => "What is stored of the task does not make sense, so that no runner could be given it.",
            Self::DeadlinePassed => "The task was to be complete by a time that has passed.",
            Self::QueueExpired => "No runner took the task in the time that it was to wait at most.",
            Self::Rejected => "A person said no.",
            Self::StepsFailed => "One or more of the tasks that it became did not succeed.",
            Self::NotExpanded => "It was to become several tasks, and that was not possible.",
            Self::ModelUnavailable => "No endpoint had the model that the task asks for, and pulling it came to nothing.",
        }
    }

    /// What a person can do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::CommandFailed => "Read the end of the log; the last lines usually say why. Then retry, or change the task.",
            Self::ChecksFailed => "Open the failed checks: each shows what it printed.",
            Self::TimedOut => "Give the task more time, or make it smaller. What was done so far is on its branch.",
            Self::ProviderLimit => "See the limits of the account that the work uses. Then retry, or give the task longer waits.",
            Self::RepositoryUnavailable => "See that the path or URL is right and that the runner may read it, then retry.",
            Self::RepositoryUnreachable => {
                "See that the address is right, that its host answers, and that the runner may read it. Then retry."
            }
            Self::RefNotFound => "Name a branch, tag or commit that the repository has, then create the task again.",
            Self::RefMalformed => "Correct the name, or the input that it is made of, then create the task again.",
            Self::SubmoduleUnavailable => {
                "The message says which, and why. Correct it in the repository's .gitmodules, see that the runner may read it, or do without \
                 submodules; then create the task again."
            }
            Self::LfsMissing => {
                "Install git-lfs on that machine and start its runner again, then retry; or do without the files of Git LFS."
            }
            Self::BackendMissing => {
                "The message says what is missing. Where there is no agent, install one such as Claude Code on the runner's PATH or add one by a \
                 manifest, which the runner notices within half a minute, or start it with MUSTER_AGENT_COMMAND; the last two judge nothing. \
                 Where the agent cannot do what the task says of it, change that, or what its manifest says. An agent that works in a sandbox \
                 alone is given work where the workspace has sandboxes."
            }
            Self::AgentDenied => "The session shows what it asked for. In a sandbox it may do all that the sandbox lets it.",
            Self::AgentCapped => "What was done so far is on its branch. Give the task more turns or more money, or make it smaller.",
            Self::ProviderRefused => {
                "See the key and the credit of the account that the runner's agents use, and the name of the model. Then retry."
            }
            Self::SandboxUnavailable => {
                "Install bubblewrap on the runner's machine and see that its user may make namespaces; the message says what is wrong. \
                 An owner can also let the workspace work without one: `muster workspace isolation none`. A machine that has joined has to \
                 allow that as well."
            }
            Self::WorkNotSaved => "The work is kept in the attempt's folder on the runner, which the message names.",
            Self::RunnerStuck => {
                "Restart the runner, and see its log and the disk and the processes of its machine. A task that loses its runner three times \
                 is set aside."
            }
            Self::RunnerLost => "See whether the runner's machine is up. A task that loses its runner three times is set aside.",
            Self::TaskUnreadable => "Create the task again. If that fails as well, tell whoever runs Muster what the message says.",
            Self::DeadlinePassed => "Retry it without the deadline, or create it again with a later one.",
            Self::QueueExpired => "See that a runner is up, has free slots and has what the task needs. Then retry it or discard it.",
            Self::Rejected => "Read the comment. When what it asks for is done, retry the gate or restart the run from an earlier step.",
            Self::StepsFailed => "Open the tasks that it became: each says why it ended as it did. Then restart the run from this step.",
            Self::NotExpanded => "Correct the list or the workflow that the message names, then restart the run from this step.",
            Self::ModelUnavailable => {
                "See that the model is called as Ollama calls it, and that the endpoint has room for it. Then retry: it is pulled again."
            }
            Self::RunnerFault => "See the runner's log and the free space on its disk, then retry.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_has_a_name_a_class_a_cause_and_what_to_do_next() {
        let distinct = |texts: Vec<&str>| texts.into_iter().collect::<BTreeSet<_>>().len();
        let all = FailureCode::ALL;
        assert_eq!(distinct(all.map(FailureCode::name).to_vec()), all.len());
        assert_eq!(distinct(all.map(FailureCode::cause).to_vec()), all.len());
        assert_eq!(distinct(all.map(FailureCode::advice).to_vec()), all.len());
        for code in all {
            assert_eq!(serde_json::to_value(code).unwrap(), code.name());
            assert!(FailureClass::ALL.contains(&code.class()));
            for text in [code.cause(), code.advice()] {
                let plain = !text.contains('_') || text.contains("MUSTER_");
                assert!(plain && text.ends_with('.') && text.starts_with(char::is_uppercase), "{text}");
            }
        }
        for class in FailureClass::ALL {
            assert_eq!(serde_json::to_value(class).unwrap(), class.name());
            assert!(all.into_iter().any(|code| code.class() == class && code.is_worth_retrying()), "{} is never tried again", class.name());
        }
    }

    #[test]
    fn codes_keep_the_class_that_they_are_charged_by() {
        let of = |class| all_of(class).into_iter().map(FailureCode::name).collect::<Vec<_>>();
        assert_eq!(of(FailureClass::RunnerLost), ["runner_lost", "runner_stuck"]);
        assert_eq!(of(FailureClass::ProviderLimit), ["provider_limit"]);
        assert_eq!(
            of(FailureClass::Infrastructure),
            [
                "repository_unreachable",
                "lfs_missing",
                "backend_missing",
                "provider_refused",
                "sandbox_unavailable",
                "work_not_saved",
                "runner_fault",
                "task_unreadable",
                "queue_expired",
                "model_unavailable"
            ]
        );
    }

    fn all_of(class: FailureClass) -> Vec<FailureCode> {
        FailureCode::ALL.into_iter().filter(|code| code.class() == class).collect()
    }

    #[test]
    fn what_is_shown_says_more_than_what_is_kept_and_reads_as_the_same() {
        let failure = Failure { retry_after_seconds: Some(60), ..Failure::new(FailureCode::ProviderLimit, "come back later") };
        let kept = serde_json::to_value(&failure).unwrap();
        assert_eq!(kept, serde_json::json!({"code": "provider_limit", "message": "come back later", "retry_after_seconds": 60}));
        let shown = serde_json::to_value(failure.explained()).unwrap();
        assert_eq!((&shown["class"], &shown["next"]), (&"provider_limit".into(), &FailureCode::ProviderLimit.advice().into()));
        assert_eq!(serde_json::from_value::<Failure>(shown).unwrap(), failure);
    }
}
