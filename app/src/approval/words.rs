//! What is asked, who may answer it and how it stands, in words. Pure.

use std::borrow::Cow;

use domain::{
    Approval, ApprovalStateName, AskedKind, Backend, Permission, Role,
    exact_text::{beginning, visible},
};

use crate::{problem::Problem, text::capitalised};

/// Characters of what is asked, where it has one line.
const LINE: usize = 160;

/// "Claude Code wants to run a command".
pub fn wants(approval: &Approval) -> String {
    let agent = approval.backend.as_ref().map_or("An agent".into(), Backend::title);
    match approval.kind {
        AskedKind::Command => format!("{agent} wants to run a command"),
        AskedKind::Edit => format!("{agent} wants to change files"),
        AskedKind::Tool => format!("{agent} wants to use {}", visible(&approval.tool)),
    }
}

/// What a rule or a question is about, in a word.
pub fn kind_word(kind: AskedKind) -> &'static str {
    match kind {
        AskedKind::Command => "Command",
        AskedKind::Edit => "Change of files",
        AskedKind::Tool => "Other tool",
    }
}

/// Of what is asked, its beginning in one line.
pub fn in_a_line(subject: &str) -> String {
    beginning(subject, LINE)
}

/// Why whoever has this role cannot answer what takes that one; nothing when they can.
pub fn why_not(role: Role, needed: Role) -> Option<&'static str> {
    if !role.may(Permission::AnswerApprovals) {
        return Some("You can look at this as a viewer. Members answer it.");
    }
    let takes_an_admin = matches!(needed, Role::Owner | Role::Admin);
    (takes_an_admin && !role.may(Permission::AnswerWithoutSandbox)).then_some("This takes an admin, as it is done outside a sandbox.")
}

/// How an answer went, for whoever gave it.
pub fn outcome(approval: &Approval) -> String {
    match approval.state {
        ApprovalStateName::Allowed => format!("It is allowed, and {} goes on", agent(approval)),
        ApprovalStateName::Denied => format!("It is denied, and {} is told so", agent(approval)),
        _ => "The answer is taken".to_owned(),
    }
}

fn agent(approval: &Approval) -> Cow<'static, str> {
    approval.backend.as_ref().map_or("the agent".into(), Backend::title)
}

/// A link that leads nowhere is an address that leads nowhere: nobody has to sign in for it.
pub fn not_there(problem: Problem) -> Problem {
    match problem.status {
        401 | 404 => Problem::not_found(format!("{}.", capitalised(problem.detail.trim_end_matches('.')))),
        _ => problem,
    }
}

/// What is wrong, in sentences, where no field says it.
pub fn sentences(problem: &Problem) -> String {
    let sentence = |subject: &str, text: &str| format!("{}.", capitalised(format!("{subject}{text}").trim_end_matches('.')));
    if problem.errors.is_empty() {
        return sentence("", &problem.detail);
    }
    let said = problem.errors.iter().map(|error| {
        let subject = match error.pointer.as_str() {
            "/always" | "/pattern" => "the rule ",
            "/message" => "what the agent is told ",
            _ => "",
        };
        sentence(subject, &error.message)
    });
    said.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use domain::FieldError;

    use super::*;

    #[test]
    fn what_is_asked_fits_into_a_line() {
        assert_eq!(in_a_line("cargo test\nls"), "cargo test ⏎ ls");
        assert_eq!(in_a_line("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(in_a_line(&"é".repeat(500)).chars().count(), LINE + 1);
    }

    #[test]
    fn those_who_cannot_answer_are_told_why() {
        assert_eq!([Role::Owner, Role::Admin, Role::Member].map(|role| why_not(role, Role::Member)), [None; 3]);
        assert_eq!([Role::Owner, Role::Admin].map(|role| why_not(role, Role::Admin)), [None; 2]);
        assert!(why_not(Role::Member, Role::Admin).is_some_and(|why| why.contains("admin")));
        assert!(why_not(Role::Viewer, Role::Member).is_some_and(|why| why.contains("viewer")));
    }

    #[test]
    fn a_link_that_is_over_is_not_there() {
        let problem = not_there(Problem { detail: "this link has been used".into(), ..Problem::unauthorized() });
        assert_eq!((problem.status, problem.detail.as_str()), (404, "This link has been used."));
        assert_eq!(not_there(Problem::internal()), Problem::internal());
    }

    #[test]
    fn what_is_wrong_is_said_in_sentences() {
        let error = |pointer: &str, message: &str| FieldError { pointer: pointer.into(), code: "x".into(), message: message.into() };
        let errors = vec![error("/always", "does not match what is asked here"), error("/message", "is too long")];
        let wrong = Problem::invalid(errors, "2 fields");
        assert_eq!(sentences(&wrong), "The rule does not match what is asked here. What the agent is told is too long.");
        assert_eq!(sentences(&Problem::not_found("this was answered already")), "This was answered already.");
    }
}
