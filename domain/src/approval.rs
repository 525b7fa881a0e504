//! Leave that an agent asks people for: what it wants to do, who may answer, until when, and what was answered.
//!
//! The runner tells what its agent asks, and the server keeps it. It is answered once: by a person, by a rule that somebody has made, or by
//! its deadline, which says no. While it is open the agent waits and its attempt keeps its lease. What stands in a request is data, and
//! nobody is asked about what cannot be shown whole.

pub mod option;
pub mod pattern;

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    ApprovalId, ApprovalRuleId, Backend, Isolation, Permission, RepositoryId, Role, TaskId,
    error::Errors,
    page::{PAGE_LIMIT, PAGE_LIMIT_MAX},
    session::{TEXT_MAX, kept_value},
};
pub use option::{AnswerOption, PossibleAnswer};

/// What an agent asks people for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Ask {
    /// Nothing: in a sandbox it may do whatever that lets it, without one it may edit files and nothing more.
    Nothing,
    /// Commands, and whatever else is no change of files in the repository. Without a sandbox it asks for everything.
    Commands,
    /// Whatever it would ask for.
    Everything,
}

impl Ask {
    pub const ALL: [Self; 3] = [Self::Nothing, Self::Commands, Self::Everything];

    pub fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Commands => "commands",
            Self::Everything => "everything",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ask| ask.name() == name)
    }

    /// Whether people are asked about this.
    pub fn includes(self, kind: AskedKind) -> bool {
        match self {
            Self::Nothing => false,
            Self::Commands => kind != AskedKind::Edit,
            Self::Everything => true,
        }
    }
}

/// What leave is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum AskedKind {
    Command,
    /// A change of files.
    Edit,
    /// Any other tool.
    Tool,
}

impl AskedKind {
    pub const ALL: [Self; 3] = [Self::Command, Self::Edit, Self::Tool];

    pub fn name(self) -> &'static str {
        match self {
            Self::Command => "command",
            Self::Edit => "edit",
            Self::Tool => "tool",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// What an agent asks, as its runner tells it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    pub kind: AskedKind,
    /// As the agent calls it.
    pub tool: String,
    /// The command, the files (one a line), or whatever else it is to be done with.
    pub subject: String,
    /// All that the tool would be called with.
    pub input: Value,
}

/// Characters of the name of a tool.
const TOOL_MAX: usize = 200;

impl Asked {
    /// Nothing when it could not be shown whole to whoever is asked.
    pub fn new(kind: AskedKind, tool: &str, subject: &str, input: &Value) -> Option<Self> {
        let (whole, kept) = (input.clone(), kept_value(input));
        let fits = subject.len() <= TEXT_MAX && tool.chars().count() <= TOOL_MAX && whole == kept;
        let can_be_kept = !subject.contains('\0') && !tool.contains('\0') && !tool.is_empty();
        let says_what = kind == AskedKind::Tool || !subject.trim().is_empty();
        (fits && can_be_kept && says_what).then(|| Self { kind, tool: tool.to_owned(), subject: subject.to_owned(), input: kept })
    }

    /// Whether it is what [`new`](Self::new) makes: a runner may say what it likes.
    pub fn can_be_shown(&self) -> bool {
        Self::new(self.kind, &self.tool, &self.subject, &self.input).is_some()
    }
}

/// What an agent is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub decision: Decision,
    /// Who or what answered, for people.
    pub by: String,
    /// What the agent is told with it.
    #[serde(default)]
    pub message: Option<String>,
    /// No person has answered it: that it is denied counts against the agent's work.
    #[serde(default)]
    pub unanswered: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Decision {
    Allow,
    Deny,
}

impl Decision {
    pub fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// A question as the API and the pages show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Approval {
    pub id: ApprovalId,
    pub task_id: TaskId,
    /// The task's title.
    pub task: String,
    /// The name of its repository.
    pub repository: String,
    pub attempt: i32,
    /// The runner's name.
    pub runner: String,
    /// How the attempt runs; without a sandbox what is allowed is done as the runner's user.
    pub isolation: Isolation,
    pub backend: Option<Backend>,
    pub kind: AskedKind,
    /// As the agent calls it.
    pub tool: String,
    /// The command, the files (one a line), or whatever else it is to be done with.
    pub subject: String,
    /// All that the tool would be called with.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub input: Value,
    pub asked_at: DateTime<Utc>,
    /// When nobody has answered by then, it is denied.
    pub deadline: DateTime<Utc>,
    /// The least role that may answer.
    pub answered_by_role: Role,
    /// What a rule could say that would have allowed it, the narrowest first.
    pub patterns: Vec<String>,
    /// What may be answered; nothing once it waits no longer, nor with a link what would make a rule.
    #[serde(default)]
    pub options: Vec<AnswerOption>,
    pub state: ApprovalStateName,
    /// Absent while it is pending.
    pub closed: Option<Closed>,
}

impl Approval {
    /// Whether and how it may be answered so.
    pub fn option(&self, answer: PossibleAnswer) -> Option<&AnswerOption> {
        self.options.iter().find(|option| option.answer == answer)
    }
}

/// How a question came to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Closed {
    pub at: DateTime<Utc>,
    /// Who or what answered, for people; absent when nobody did.
    pub by: Option<String>,
    pub message: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ApprovalStateName {
    Pending,
    Allowed,
    Denied,
    /// Nobody answered in time, which denies it.
    Expired,
    /// The agent no longer waits for it.
    Withdrawn,
}

impl ApprovalStateName {
    pub const ALL: [Self; 5] = [Self::Pending, Self::Allowed, Self::Denied, Self::Expired, Self::Withdrawn];

    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Withdrawn => "withdrawn",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl From<Decision> for ApprovalStateName {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Allow => Self::Allowed,
            Decision::Deny => Self::Denied,
        }
    }
}

/// Which questions to list, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct ApprovalFilter {
    /// Only questions in this state.
    pub state: Option<ApprovalStateName>,
    /// Only questions that wait for an answer, or only those that wait no longer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<bool>,
    /// Only questions of this task.
    pub task: Option<TaskId>,
    /// The one that was asked first comes first; else the newest does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_first: Option<bool>,
    /// Where the page starts, from the previous page's `next_cursor`.
    pub cursor: Option<String>,
    /// How many; 50 unless given, at most 200.
    pub limit: Option<u32>,
}

impl ApprovalFilter {
    pub fn validate(&self) -> Result<(), crate::Invalid> {
        let mut errors = Errors::default();
        if matches!(self.limit, Some(limit) if limit == 0 || limit > PAGE_LIMIT_MAX) {
            errors.add("/limit", "out_of_range", format!("must be 1 to {PAGE_LIMIT_MAX}"));
        }
        if self.state.is_some() && self.pending.is_some() {
            errors.add("/pending", "unexpected", "cannot be said beside a state, which says it already");
        }
        errors.finish()
    }

    pub fn limit(&self) -> u32 {
        self.limit.unwrap_or(PAGE_LIMIT)
    }
}

/// How people answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AnswerApproval {
    pub decision: Decision,
    /// What the agent is told with it.
    #[serde(default)]
    pub message: Option<String>,
    /// Make this a rule of the repository as well, so that nobody is asked again; only when it is allowed, and only for admins.
    #[serde(default)]
    pub always: Option<String>,
}

pub const MESSAGE_MAX: usize = 2000;
pub const PATTERN_MAX: usize = 1000;

impl AnswerApproval {
    pub fn new(decision: Decision) -> Self {
        Self { decision, message: None, always: None }
    }

    /// As it is kept: what is empty says nothing. `about` is what [`about`] says of the question.
    pub fn validated(mut self, kind: AskedKind, isolation: Isolation, about: &str) -> Result<Self, crate::Invalid> {
        let mut errors = Errors::default();
        self.message = self.message.map(|message| message.trim().to_owned()).filter(|message| !message.is_empty());
        if let Some(message) = &self.message {
            errors.required_text("/message", message, MESSAGE_MAX);
        }
        if let Some(pattern) = &self.always {
            if self.decision == Decision::Deny {
                errors.add("/always", "unexpected", "a rule allows; deny without one");
            } else if !may_be_a_rule(kind, isolation) {
                errors.add("/always", "unexpected", NO_RULE);
            } else if let Err(why) = pattern::check(kind, pattern) {
                errors.add("/always", "malformed", why);
            } else if !pattern::matches(kind, pattern, about) {
                errors.add("/always", "malformed", "does not match what is asked here");
            }
        }
        errors.finish()?;
        Ok(self)
    }
}

/// What is allowed without asking anybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApprovalRule {
    pub id: ApprovalRuleId,
    /// It holds for tasks of this repository alone; for all of the workspace when absent.
    pub repository: Option<String>,
    pub kind: AskedKind,
    pub pattern: String,
    /// It holds without a sandbox as well, where what is allowed is done as the runner's user. Changes of files it never allows there.
    pub without_sandbox: bool,
    /// Who made it, for people.
    pub made_by: String,
    pub made_at: DateTime<Utc>,
    /// The question that it was made with.
    pub approval_id: Option<ApprovalId>,
    /// How often it has answered.
    pub used: i64,
    pub last_used_at: Option<DateTime<Utc>>,
    /// Who has removed it, and when: it answers no more.
    pub removed_by: Option<String>,
    pub removed_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewApprovalRule {
    pub kind: AskedKind,
    /// Exactly what is asked, or how it begins with a star at the end.
    pub pattern: String,
    /// For tasks of this repository alone; for all of the workspace when absent.
    #[serde(default)]
    pub repository_id: Option<RepositoryId>,
    /// It is to hold without a sandbox as well, where what is allowed is done as the runner's user.
    #[serde(default)]
    pub without_sandbox: bool,
}

impl NewApprovalRule {
    pub fn validated(self) -> Result<Self, crate::Invalid> {
        let mut errors = Errors::default();
        if let Err(why) = pattern::check(self.kind, &self.pattern) {
            errors.add("/pattern", "malformed", why);
        }
        if self.without_sandbox && !may_be_a_rule(self.kind, Isolation::None) {
            errors.add("/without_sandbox", "unexpected", NO_RULE);
        }
        errors.finish()?;
        Ok(self)
    }
}

/// A link with which one question can be answered, once, by whoever has it. It is shown this once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApprovalLink {
    /// The path on this server.
    pub path: String,
    /// The deadline of the question.
    pub expires_at: DateTime<Utc>,
}

/// Whether a rule could answer it: without a sandbox a link in the repository leads a change of files anywhere.
pub fn may_be_a_rule(kind: AskedKind, isolation: Isolation) -> bool {
    isolation == Isolation::Sandbox || kind != AskedKind::Edit
}

const NO_RULE: &str = "without a sandbox a link in the repository leads a change of files anywhere, so people are asked each time";

/// What patterns of rules are held against.
pub fn about<'a>(kind: AskedKind, tool: &str, subject: &'a str) -> Cow<'a, str> {
    match kind {
        AskedKind::Command | AskedKind::Edit => Cow::Borrowed(subject),
        AskedKind::Tool => Cow::Owned(format!("{tool} {subject}")),
    }
}

/// What it takes to answer, whoever does.
pub fn needed_to_answer(isolation: Isolation) -> Permission {
    match isolation {
        Isolation::Sandbox => Permission::AnswerApprovals,
        Isolation::None => Permission::AnswerWithoutSandbox,
    }
}

/// The least role that may answer.
pub fn answered_by_role(isolation: Isolation) -> Role {
    let may = |role: &Role| role.may(needed_to_answer(isolation));
    Role::ALL.into_iter().rev().find(may).unwrap_or(Role::Owner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nobody_is_asked_about_what_cannot_be_shown_whole() {
        let asked = |subject: &str, input: Value| Asked::new(AskedKind::Command, "Bash", subject, &input).is_some();
        assert!(asked("ls", json!({"command": "ls"})));
        assert!(!asked(&"x".repeat(TEXT_MAX + 1), json!({})));
        assert!(!asked("ls", json!({"command": "x".repeat(TEXT_MAX + 1)})));
        assert!(!asked("", json!({"command": null})));
        assert!(!asked("l\0s", json!({})));
        assert!(!asked("ls", json!({"command": "l\0s"})));
    }

    #[test]
    fn whoever_may_answer_is_said_as_it_is_asked() {
        assert_eq!([Isolation::Sandbox, Isolation::None].map(answered_by_role), [Role::Member, Role::Admin]);
    }

    #[test]
    fn people_are_asked_about_what_the_task_says() {
        let asked = |ask: Ask| AskedKind::ALL.map(|kind| ask.includes(kind));
        assert_eq!(asked(Ask::Nothing), [false, false, false]);
        assert_eq!(asked(Ask::Commands), [true, false, true]);
        assert_eq!(asked(Ask::Everything), [true, true, true]);
    }

    #[test]
    fn an_answer_makes_sense() {
        let answer =
            |decision, always: Option<&str>| AnswerApproval { decision, message: Some(" ".into()), always: always.map(Into::into) };
        let wrong = |answer: AnswerApproval| {
            answer.validated(AskedKind::Command, Isolation::Sandbox, "cargo test").err().map(|invalid| invalid.errors[0].pointer.clone())
        };
        assert_eq!(wrong(answer(Decision::Allow, Some("cargo test *"))), None);
        assert_eq!(wrong(answer(Decision::Allow, Some("cargo build *"))).as_deref(), Some("/always"), "it would not have answered this");
        assert_eq!(wrong(answer(Decision::Deny, Some("cargo test"))).as_deref(), Some("/always"));
        assert_eq!(wrong(answer(Decision::Allow, Some(" "))).as_deref(), Some("/always"));
        let long = AnswerApproval { message: Some("x".repeat(MESSAGE_MAX + 1)), ..AnswerApproval::new(Decision::Deny) };
        assert_eq!(wrong(long).as_deref(), Some("/message"));
    }
}
