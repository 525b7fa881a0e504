//! Approvals: what the pages ask the server for. Each server function is one call of the engine's method of the same name.

pub mod acts;
pub mod answer_form;
pub mod answer_page;
pub mod answered;
pub mod at_task;
pub mod called_with;
pub mod card;
pub mod inbox_page;
pub mod rules;
pub mod state_badge;
pub mod words;

use chrono::{DateTime, Utc};
use domain::{
    Approval, ApprovalId, ApprovalRule, ApprovalRuleId, ApprovalStateName, AskedKind, Event, EventKind, Page, approval::ApprovalFilter,
};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::problem::Problem;
use answer_form::AnswerForm;

/// Whether something waits for an answer now that did not before, or waits no longer. What a later version says may be that.
pub fn is_about_approvals(event: &Event) -> bool {
    matches!(event.kind, EventKind::ApprovalAsked { .. } | EventKind::ApprovalClosed { .. } | EventKind::Unknown)
}

#[server(prefix = "/_fn", endpoint = "list_approvals")]
pub async fn list_approvals(#[server(default)] filter: ApprovalFilter) -> Result<Page<Approval>, Problem> {
    crate::ssr::call(async |engine, actor| engine.list_approvals(&actor, &filter).await).await
}

/// Those that wait no longer, as far as a table has a place for them.
#[server(prefix = "/_fn", endpoint = "answered_approvals")]
pub async fn answered_approvals(#[server(default)] cursor: Option<String>) -> Result<Page<Approval>, Problem> {
    list_approvals(ApprovalFilter { cursor, pending: Some(false), ..ApprovalFilter::default() }).await.map(answered::in_short)
}

#[server(prefix = "/_fn", endpoint = "pending_approvals")]
pub async fn pending_approvals() -> Result<i64, Problem> {
    crate::ssr::call(async |engine, actor| engine.pending_approvals(&actor).await).await
}

#[server(name = GiveAnswer, prefix = "/_fn", endpoint = "answer_approval")]
pub async fn answer_approval(id: ApprovalId, form: AnswerForm) -> Result<Approval, Problem> {
    let answer = form.to_answer();
    let answered = crate::ssr::call(async |engine, actor| engine.answer_approval(&actor, id, answer).await).await;
    if let Err(problem) = &answered {
        // Without scripts what was typed comes back with the answer, to the page on which it was.
        let page = crate::ssr::came_from(&["/tasks"]).unwrap_or_else(|| "/approvals".to_owned());
        let path = <GiveAnswer as server_fn::ServerFn>::PATH;
        crate::ssr::go_back(crate::draft::back_path(&page, &answer_form::AnswerDraft { id, form }, path, problem));
    }
    answered
}

/// A link with which one question is answered, shown once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MadeLink {
    pub approval: ApprovalId,
    pub url: String,
    pub expires_at: DateTime<Utc>,
}

/// A browser without scripts finds it on the page that it is sent to.
#[server(prefix = "/_fn", endpoint = "link_approval")]
pub async fn link_approval(id: ApprovalId) -> Result<MadeLink, Problem> {
    let made = crate::ssr::call(async |engine, actor| engine.link_approval(&actor.without_idempotency(), id).await).await?;
    let made = MadeLink { approval: id, url: format!("{}{}", crate::ssr::origin()?, made.path), expires_at: made.expires_at };
    crate::ssr::show_once(made, &format!("/approvals#{}", card::anchor(id))).await
}

/// What [`link_approval`] has left for this browser to show.
#[server(prefix = "/_fn", endpoint = "made_approval_link")]
pub async fn made_approval_link() -> Result<Option<MadeLink>, Problem> {
    crate::ssr::shown_once().await
}

/// What a link leads to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ByLink {
    Asked(Box<Approval>),
    /// It has just been used here.
    Answered(AnsweredByLink),
}

/// What was answered with a link, for the page that says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnsweredByLink {
    /// Of the link, which is of no more use.
    pub token: String,
    pub state: ApprovalStateName,
    /// "Claude Code wants to run a command", and the command in one line.
    pub wants: String,
    pub subject: String,
}

/// Whoever has the link need not be signed in. Looking at it answers nothing.
#[server(prefix = "/_fn", endpoint = "approval_by_link")]
pub async fn approval_by_link(token: String) -> Result<ByLink, Problem> {
    let answered: Option<AnsweredByLink> = crate::ssr::shown_once().await.ok().flatten();
    if let Some(answered) = answered.filter(|answered| answered.token == token) {
        return Ok(ByLink::Answered(answered));
    }
    let asked = crate::ssr::engine()?.approval_by_link(&token).await.map_err(|error| words::not_there(error.into()));
    asked.map(|approval| ByLink::Asked(Box::new(approval))).inspect_err(crate::ssr::answer_with_status)
}

/// A browser without scripts finds what was answered on the page that it is sent back to.
#[server(prefix = "/_fn", endpoint = "answer_by_link")]
pub async fn answer_by_link(token: String, form: AnswerForm) -> Result<AnsweredByLink, Problem> {
    let answered = crate::ssr::engine()?.answer_by_link(&token, form.to_answer()).await.map_err(Problem::from);
    let approval = answered.inspect_err(|problem| {
        let page = format!("/answer?token={}", crate::text::query_value(&token));
        crate::ssr::go_back(crate::draft::back_path(&page, &form, <AnswerByLink as server_fn::ServerFn>::PATH, problem));
    })?;
    let (path, wants, subject) = (format!("/answer?token={token}"), words::wants(&approval), words::in_a_line(&approval.subject));
    crate::ssr::show_once(AnsweredByLink { token, state: approval.state, wants, subject }, &path).await
}

#[server(prefix = "/_fn", endpoint = "list_approval_rules")]
pub async fn list_approval_rules() -> Result<Vec<ApprovalRule>, Problem> {
    crate::ssr::call(async |engine, actor| engine.list_approval_rules(&actor).await).await
}

/// For all of the workspace when no repository is named.
#[server(prefix = "/_fn", endpoint = "make_approval_rule")]
pub async fn make_approval_rule(
    kind: AskedKind,
    pattern: String,
    #[server(default)] repository: Option<String>,
) -> Result<ApprovalRule, Problem> {
    let draft = answer_form::RuleDraft { kind, pattern: pattern.clone(), repository: repository.clone() };
    let repository = repository.filter(|id| !id.is_empty()).map(|id| id.parse::<domain::RepositoryId>());
    let repository_id = repository.transpose().map_err(|_| Problem::not_found("There is no repository of that id."))?;
    let pattern = pattern.trim().to_owned();
    let new = domain::approval::NewApprovalRule { kind, pattern, repository_id, without_sandbox: false };
    let made = crate::ssr::call(async |engine, actor| engine.make_approval_rule(&actor, new).await).await;
    if let Err(problem) = &made {
        let path = <MakeApprovalRule as server_fn::ServerFn>::PATH;
        crate::ssr::go_back(crate::draft::back_path("/approvals", &draft, path, problem));
    }
    made
}

#[server(prefix = "/_fn", endpoint = "remove_approval_rule")]
pub async fn remove_approval_rule(id: ApprovalRuleId) -> Result<(), Problem> {
    crate::ssr::call(async |engine, actor| engine.remove_approval_rule(&actor, id).await).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_version_says_may_be_about_approvals() {
        let is_looked_at = |kind: &str| {
            let id = "00000000-0000-7000-8000-000000000001";
            let closed = serde_json::json!({"cursor": "1-1", "at": "2026-11-28T10:00:00Z", "actor": "system", "task_id": id, "number": 3,
                                            "kind": kind, "attempt": 1, "approval": id, "state": "overtaken", "by": null, "seconds": 3});
            is_about_approvals(&serde_json::from_value(closed).unwrap())
        };
        assert!(is_looked_at("approval_closed"), "in a way that came later");
        assert!(is_looked_at("approval_passed_on") && !is_looked_at("task_due"));
    }
}
