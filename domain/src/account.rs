//! Who acts, where, and what they may do.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{ApiKeyId, Forbidden, Idempotency, IfMatch, Isolation, RunnerId, UserId, WorkspaceId, error::Errors, error::Invalid};

/// A tenant. Everything that a person makes belongs to exactly one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Workspace {
    pub id: WorkspaceId,
    pub slug: String,
    pub name: String,
    /// How its attempts run.
    pub isolation: Isolation,
    /// Who has said so last, and when; nobody when it is as it was from the beginning.
    pub isolation_by: Option<String>,
    pub isolation_at: Option<DateTime<Utc>>,
    /// Models that its tasks ask for and no endpoint has are pulled by themselves, and the tasks wait for them.
    #[serde(default)]
    pub auto_pull: bool,
    /// Who has said so last, and when.
    #[serde(default)]
    pub auto_pull_by: Option<String>,
    #[serde(default)]
    pub auto_pull_at: Option<DateTime<Utc>>,
}

/// How the attempts of a workspace are to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SetIsolation {
    pub isolation: Isolation,
}

/// Whether models that a workspace's tasks ask for are pulled by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SetAutoPull {
    pub auto_pull: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct User {
    pub id: UserId,
    pub name: String,
    pub email: String,
    pub created_at: DateTime<Utc>,
}

/// What a member may do in a workspace; each includes those after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Role {
    Owner,
    Admin,
    Member,
    Viewer,
}

/// The acts that need a permission. The table that says who has which is [`Role::may`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    ReadTasks,
    CreateTasks,
    ChangeTasks,
    ManageKeys,
    ManageViews,
    ManageRunners,
    ManageEndpoints,
    ManagePrices,
    ChangeIsolation,
    AllowPulls,
    TryRunner,
    AnswerApprovals,
    AnswerWithoutSandbox,
    ManageApprovalRules,
    SteerAgents,
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadTasks => "read tasks",
            Self::CreateTasks => "create tasks",
            Self::ChangeTasks => "change tasks",
            Self::ManageKeys => "manage API keys",
            Self::ManageViews => "change views of others",
            Self::ManageRunners => "add, drain and remove runners",
            Self::ManageEndpoints => "register and remove endpoints and pull models, as only admins do",
            Self::ManagePrices => "set and remove prices of models, as only admins do",
            Self::ChangeIsolation => "change whether work runs in sandboxes, as only owners do",
            Self::AllowPulls => "let models be pulled by themselves, as only owners do",
            Self::TryRunner => "try out a runner, as only the runner itself does",
            Self::AnswerApprovals => "answer what agents ask",
            Self::AnswerWithoutSandbox => "answer what an agent without a sandbox asks, as only admins do",
            Self::ManageApprovalRules => "make and remove rules for what agents ask, as only admins do",
            Self::SteerAgents => "tell agents something while they work",
        })
    }
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Owner, Self::Admin, Self::Member, Self::Viewer];

    pub fn name(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
            Self::Viewer => "viewer",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }

    pub fn may(self, permission: Permission) -> bool {
        use Permission::{
            AllowPulls, AnswerApprovals, AnswerWithoutSandbox, ChangeIsolation, ChangeTasks, CreateTasks, ManageApprovalRules,
            ManageEndpoints, ManageKeys, ManagePrices, ManageRunners, ManageViews, ReadTasks, SteerAgents,
        };
        match self {
            Self::Owner if matches!(permission, ChangeIsolation | AllowPulls) => true,
            Self::Owner | Self::Admin if matches!(permission, ManageKeys | ManageViews | ManageRunners | ManagePrices) => true,
            Self::Owner | Self::Admin if matches!(permission, AnswerWithoutSandbox | ManageApprovalRules | ManageEndpoints) => true,
            Self::Owner | Self::Admin | Self::Member => {
                matches!(permission, ReadTasks | CreateTasks | ChangeTasks | AnswerApprovals | SteerAgents)
            }
            Self::Viewer => matches!(permission, ReadTasks),
        }
    }
}

/// Who acts: in one workspace, with what that actor may do there, whether what is asked is to take effect once, and only on what version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    pub workspace_id: WorkspaceId,
    pub kind: ActorKind,
    pub idempotency: Option<Idempotency>,
    pub if_match: Option<IfMatch>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ActorKind {
    User {
        id: UserId,
        role: Role,
    },
    ApiKey {
        id: ApiKeyId,
        role: Role,
    },
    /// A machine that has just joined. It may try itself out, and nothing else.
    Runner {
        id: RunnerId,
    },
}

impl Actor {
    pub fn new(workspace_id: WorkspaceId, kind: ActorKind) -> Self {
        Self { workspace_id, kind, idempotency: None, if_match: None }
    }

    pub fn without_idempotency(self) -> Self {
        Self { idempotency: None, ..self }
    }

    pub fn may(&self, permission: Permission) -> Result<(), Forbidden> {
        let allowed = match &self.kind {
            ActorKind::User { role, .. } | ActorKind::ApiKey { role, .. } => role.may(permission),
            ActorKind::Runner { .. } => false,
        };
        if allowed { Ok(()) } else { Err(Forbidden(permission)) }
    }

    /// How events and the audit name this actor: `user:<id>`, `api_key:<id>`, `runner:<id>`.
    pub fn label(&self) -> String {
        match &self.kind {
            ActorKind::User { id, .. } => format!("user:{id}"),
            ActorKind::ApiKey { id, .. } => format!("api_key:{id}"),
            ActorKind::Runner { id } => format!("runner:{id}"),
        }
    }
}

/// The label of what Muster does by itself, such as rescuing a lost attempt.
pub const SYSTEM: &str = "system";

/// Who is signed in, for the frame of every page and `GET /api/v1/me`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Identity {
    pub workspace: Workspace,
    /// The person, or nothing when an API key asks.
    pub user: Option<User>,
    pub role: Role,
}

/// Shortest password: 15 characters, as no second factor stands beside it (NIST SP 800-63B-4).
pub const PASSWORD_MIN: usize = 15;
/// Longest password in bytes, refused before hashing.
pub const PASSWORD_MAX_BYTES: usize = 1024;

/// What the first owner fills in.
#[derive(Clone, Serialize, Deserialize)]
pub struct NewOwner {
    pub name: String,
    pub email: String,
    pub password: String,
}

impl NewOwner {
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut errors = Errors::default();
        errors.required_text("/name", &self.name, 100);
        errors.required_text("/email", &self.email, 254);
        if !looks_like_email(&self.email) && !self.email.trim().is_empty() {
            errors.add("/email", "malformed", "does not look like an e-mail address");
        }
        validate_password(&mut errors, &self.password, &[&self.name, &self.email]);
        errors.finish()
    }
}

fn looks_like_email(text: &str) -> bool {
    let Some((local, host)) = text.trim().split_once('@') else { return false };
    !local.is_empty() && host.contains('.') && !host.starts_with('.') && !host.ends_with('.') && !text.contains(char::is_whitespace)
}

/// Length counts, composition does not; passwords that everybody tries first are refused.
fn validate_password(errors: &mut Errors, password: &str, personal: &[&str]) {
    let characters = password.chars().count();
    if password.len() > PASSWORD_MAX_BYTES {
        return errors.add("/password", "too_long", format!("is longer than {PASSWORD_MAX_BYTES} bytes"));
    }
    if characters < PASSWORD_MIN {
        return errors.add("/password", "too_short", format!("needs at least {PASSWORD_MIN} characters; a sentence does well"));
    }
    let folded = password.to_lowercase();
    let distinct = folded.chars().collect::<std::collections::BTreeSet<_>>().len();
    let personal_repeat = personal.iter().map(|text| text.trim().to_lowercase()).any(|text| text.len() > 3 && folded == text);
    let common = ["passwordpassword", "correcthorsebatterystaple", "123456789012345", "1234567890123456", "qwertyuiopasdfg"];
    if distinct < 5 || personal_repeat || common.contains(&folded.as_str()) {
        errors.add("/password", "too_common", "is one of the first that would be tried");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_viewer_reads_and_nothing_else() {
        assert!(Role::Viewer.may(Permission::ReadTasks));
        for permission in [Permission::CreateTasks, Permission::ChangeTasks, Permission::ManageKeys] {
            assert!(!Role::Viewer.may(permission), "{permission}");
        }
    }

    #[test]
    fn an_owner_is_checked_field_by_field() {
        let owner =
            |name: &str, email: &str, password: &str| NewOwner { name: name.into(), email: email.into(), password: password.into() };
        let pointers = |owner: NewOwner| match owner.validate() {
            Ok(()) => vec![],
            Err(invalid) => invalid.errors.into_iter().map(|error| format!("{} {}", error.pointer, error.code)).collect(),
        };
        assert_eq!(pointers(owner("Ada", "ada@example.org", "a quiet morning walk")), Vec::<String>::new());
        assert_eq!(pointers(owner(" ", "ada", "short")), ["/name required", "/email malformed", "/password too_short"]);
        assert_eq!(pointers(owner("Ada", "ada@example.org", "aaaaaaaaaaaaaaaaaaaa")), ["/password too_common"]);
        assert_eq!(pointers(owner("Ada", "ada@example.org", &"é".repeat(600))), ["/password too_long"]);
    }
}
