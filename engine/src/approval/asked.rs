//! Questions as runners tell them: kept with everything else that they say, and answered at once by a rule that allows it.

use std::{borrow::Cow, collections::HashMap};

use chrono::TimeDelta;
use domain::{
    ApprovalId, ApprovalRuleId, ApprovalStateName, AttemptId, AttemptKey, Backend, Decision, EventKind, Isolation, RepositoryId, Task,
    Timestamp, WorkspaceId,
    approval::{Answer, Asked, pattern},
    protocol::{QUESTIONS_MAX, Tell, Telling},
};
use serde::Serialize;
use sqlx::types::Json;

use super::{
    rule,
    store::{self, Close},
};
use crate::{Error, Result, attempt::telling, event::store::Fact, tx::Tx};

/// A question that has just come.
pub(crate) struct NewQuestion {
    id: ApprovalId,
    workspace: WorkspaceId,
    repository: RepositoryId,
    attempt: AttemptKey,
    number: i32,
    asked: Asked,
    backend: Backend,
    isolation: Isolation,
    deadline: Timestamp,
}

impl NewQuestion {
    /// As it can be kept: a runner may say what it likes.
    pub fn new(
        task: &Task,
        attempt: AttemptKey,
        number: i32,
        (isolation, backend): (Isolation, &Backend),
        asked: &Asked,
        now: Timestamp,
    ) -> Result<Self> {
        if !(1..=QUESTIONS_MAX).contains(&number) || !asked.can_be_shown() {
            return Err(Error::Conflict("what an agent asks cannot be shown to anybody".into()));
        }
        let minutes = i64::from(task.agent.answer_minutes());
        Ok(Self {
            id: ApprovalId(crate::new_id()),
            workspace: task.workspace_id,
            repository: task.repository_id,
            attempt,
            number,
            asked: asked.clone(),
            backend: backend.clone(),
            isolation,
            deadline: now + TimeDelta::minutes(minutes),
        })
    }

    pub fn fact(&self, task: &Task) -> Fact {
        let (attempt, approval, tool) = (self.attempt.number, self.id, self.asked.tool.clone());
        Fact::of(task, EventKind::ApprovalAsked { attempt, approval, tool })
    }

    fn about(&self) -> Cow<'_, str> {
        domain::approval::about(self.asked.kind, &self.asked.tool, &self.asked.subject)
    }
}

/// Keeps questions, and answers those that a rule allows. What was said and what is to be told is added to what there is.
pub(crate) async fn insert(tx: &mut Tx, new: &[NewQuestion], facts: &mut Vec<Fact>, tellings: &mut Vec<Telling>) -> Result<()> {
    if new.is_empty() {
        return Ok(());
    }
    let now = tx.now();
    insert_all(tx, new, now).await?;
    let rules = rule::of(tx, &new.iter().map(|one| one.workspace).collect::<Vec<_>>()).await?;
    let mut used: HashMap<ApprovalRuleId, i64> = HashMap::new();
    for one in new {
        let matches = if one.backend.is_of_a_manifest() { pattern::matches_unmeasured } else { pattern::matches };
        let fits = |rule: &&rule::Live| {
            rule.workspace == one.workspace
                && rule.repository.is_none_or(|repository| repository == one.repository)
                && rule.kind == one.asked.kind
                && (one.isolation == Isolation::Sandbox || rule.holds_without_sandbox())
                && matches(rule.kind, &rule.pattern, &one.about())
        };
        let Some(rule) = rules.iter().find(fits) else { continue };
        *used.entry(rule.id).or_default() += 1;
        let (by, label) = (format!("the rule “{}”", rule.pattern), format!("approval_rule:{}", rule.id));
        let close =
            Close { state: ApprovalStateName::Allowed, by: Some(by.clone()), actor: Some(&label), message: None, rule: Some(rule.id) };
        store::close(tx, one.id, &close, now).await?;
        // nobody was asked: the question itself says so, and a timeline has room for what people did
        facts.retain(|fact| !matches!(&fact.kind, EventKind::ApprovalAsked { approval, .. } if *approval == one.id));
        let what =
            Tell::Answer { question: one.number, answer: Answer { decision: Decision::Allow, by, message: None, unanswered: false } };
        tellings.push(telling::insert(tx, one.workspace, one.attempt, what, &label).await?);
    }
    rule::note_used(tx, &used, now).await
}

/// Questions of attempts that have ended, and those that the agents no longer wait for.
pub(crate) async fn withdraw(
    tx: &mut Tx,
    ended: &[AttemptKey],
    questions: &[(AttemptKey, i32)],
    workspaces: &HashMap<AttemptId, WorkspaceId>,
) -> Result<Vec<Fact>> {
    let keys: HashMap<_, _> = ended.iter().chain(questions.iter().map(|(key, _)| key)).map(|key| (key.attempt_id, *key)).collect();
    let ended: Vec<_> = ended.iter().map(|key| key.attempt_id).collect();
    let questions: Vec<_> = questions.iter().map(|(key, number)| (key.attempt_id, *number)).collect();
    let now = tx.now();
    let withdrawn = store::withdraw(tx, &ended, &questions).await?;
    let facts = withdrawn.into_iter().filter_map(|(approval, attempt, asked_at)| {
        let (key, workspace) = (keys.get(&attempt)?, *workspaces.get(&attempt)?);
        let seconds = (now - asked_at).num_seconds();
        let kind = EventKind::ApprovalClosed { attempt: key.number, approval, state: ApprovalStateName::Withdrawn, by: None, seconds };
        Some(Fact { workspace, task: key.task_id, kind })
    });
    Ok(facts.collect())
}

/// A row of `approval`. Its names are those of the columns.
#[derive(Serialize)]
struct Row<'a> {
    id: ApprovalId,
    workspace_id: WorkspaceId,
    task_id: domain::TaskId,
    attempt_id: AttemptId,
    question: i32,
    kind: &'static str,
    tool: &'a str,
    subject: &'a str,
    input: &'a serde_json::Value,
    backend: Cow<'static, str>,
    isolation: &'static str,
    deadline: Timestamp,
}

async fn insert_all(tx: &mut Tx, new: &[NewQuestion], now: Timestamp) -> Result<()> {
    let rows: Vec<_> = new
        .iter()
        .map(|one| Row {
            id: one.id,
            workspace_id: one.workspace,
            task_id: one.attempt.task_id,
            attempt_id: one.attempt.attempt_id,
            question: one.number,
            kind: one.asked.kind.name(),
            tool: &one.asked.tool,
            subject: &one.asked.subject,
            input: &one.asked.input,
            backend: one.backend.name(),
            isolation: one.isolation.name(),
            deadline: one.deadline,
        })
        .collect();
    sqlx::query!(
        "insert into approval (id, workspace_id, task_id, attempt_id, question, kind, tool, subject, input, backend, isolation, asked_at, deadline)
         select id, workspace_id, task_id, attempt_id, question, kind, tool, subject, coalesce(input, 'null'), backend, isolation, $2, deadline
         from jsonb_to_recordset($1) as new (id uuid, workspace_id uuid, task_id uuid, attempt_id uuid, question int, kind text, tool text,
                                             subject text, input jsonb, backend text, isolation text, deadline timestamptz)",
        Json(rows) as _,
        now
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
