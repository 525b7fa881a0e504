//! What may be answered to a question, as data: whoever shows it, a page, the command line or something over the API, offers the same.

use serde::{Deserialize, Serialize};

use super::{ApprovalStateName, AskedKind, Decision, answered_by_role, may_be_a_rule, needed_to_answer};
use crate::{Isolation, Permission, Role};

/// One of the ways to answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AnswerOption {
    pub answer: PossibleAnswer,
    /// What is sent as the decision.
    pub decision: Decision,
    /// The least role that may answer so.
    pub role: Role,
    /// What may be sent as `always`, the narrowest first; another pattern that fits may be as well. Only of what is always allowed.
    pub patterns: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PossibleAnswer {
    AllowOnce,
    Deny,
    /// It is allowed, and becomes a rule of the repository.
    AllowAlways,
}

impl PossibleAnswer {
    pub fn name(self) -> &'static str {
        match self {
            Self::AllowOnce => "allow_once",
            Self::Deny => "deny",
            Self::AllowAlways => "allow_always",
        }
    }
}

/// None once it waits no longer.
pub fn options(kind: AskedKind, isolation: Isolation, state: ApprovalStateName, patterns: &[String]) -> Vec<AnswerOption> {
    if state != ApprovalStateName::Pending {
        return vec![];
    }
    let once = |answer, decision| AnswerOption { answer, decision, role: answered_by_role(isolation), patterns: vec![] };
    let mut options = vec![once(PossibleAnswer::AllowOnce, Decision::Allow), once(PossibleAnswer::Deny, Decision::Deny)];
    if may_be_a_rule(kind, isolation) {
        let role = makes_a_rule(isolation);
        options.push(AnswerOption { answer: PossibleAnswer::AllowAlways, decision: Decision::Allow, role, patterns: patterns.to_vec() });
    }
    options
}

/// The least role that may answer and make a rule of it.
fn makes_a_rule(isolation: Isolation) -> Role {
    let may = |role: &Role| role.may(needed_to_answer(isolation)) && role.may(Permission::ManageApprovalRules);
    Role::ALL.into_iter().rev().find(may).unwrap_or(Role::Owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_answered_is_what_would_be_taken() {
        let of = |kind, isolation| {
            let options = options(kind, isolation, ApprovalStateName::Pending, &["make".to_owned()]);
            options.into_iter().map(|option| (option.answer.name(), option.role, option.patterns.len())).collect::<Vec<_>>()
        };
        let in_a_sandbox = [("allow_once", Role::Member, 0), ("deny", Role::Member, 0), ("allow_always", Role::Admin, 1)];
        assert_eq!(of(AskedKind::Command, Isolation::Sandbox), in_a_sandbox);
        let without = [("allow_once", Role::Admin, 0), ("deny", Role::Admin, 0), ("allow_always", Role::Admin, 1)];
        assert_eq!(of(AskedKind::Command, Isolation::None), without);
        assert_eq!(of(AskedKind::Edit, Isolation::None), without[..2], "no rule could answer it");
        assert!(options(AskedKind::Command, Isolation::Sandbox, ApprovalStateName::Denied, &[]).is_empty(), "it was answered");
    }
}
