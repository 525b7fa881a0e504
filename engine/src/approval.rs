//! What agents ask people for: kept as runners tell it, answered once, and told to the agent.
//!
//! A question comes with everything else that a runner says, and in the same transaction a rule answers it or nobody does. Whoever answers
//! locks the task first, so that of two answers one counts, and none after the attempt has ended. The answer is a telling: it goes to the
//! runner at once, and with every heartbeat until the runner has heard it.

pub(crate) mod asked;
mod keeper;
mod link;
mod rule;
pub(crate) mod store;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use domain::{
    Actor, Approval, ApprovalId, ApprovalStateName, Decision, EventKind, Page, Permission, Timestamp,
    approval::{self, Answer, AnswerApproval, ApprovalFilter, needed_to_answer},
    protocol::{Tell, Telling},
};

pub use keeper::ApprovalKeeper;

use crate::{
    Engine, Error, Result,
    attempt::telling,
    task::{
        self,
        followers::{self, End, Ending},
    },
    tx::Tx,
};
use store::{Close, Question};

impl Engine {
    /// Questions, the newest first unless it is to be the oldest.
    pub async fn list_approvals(&self, actor: &Actor, filter: &ApprovalFilter) -> Result<Page<Approval>> {
        actor.may(Permission::ReadTasks)?;
        filter.validate()?;
        let after = filter.cursor.as_deref().map(task::query::parse_cursor).transpose()?;
        let limit = i64::from(filter.limit());
        let mut tx = self.begin(actor).await?;
        // One more than asked for tells whether there is a next page.
        let mut items = store::list(&mut tx, filter, after, limit + 1).await?;
        let more = items.len() as i64 > limit;
        items.truncate(filter.limit() as usize);
        let next_cursor = items.last().filter(|_| more).map(|last| BASE64_URL_SAFE_NO_PAD.encode(last.id.0.as_bytes()));
        tx.commit(Page { items, next_cursor }).await
    }

    pub async fn approval(&self, actor: &Actor, id: ApprovalId) -> Result<Approval> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        let approval = store::view(&mut tx, id).await?;
        tx.commit(approval).await
    }

    /// How many wait for an answer.
    pub async fn pending_approvals(&self, actor: &Actor) -> Result<i64> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        let count = store::count_pending(&mut tx).await?;
        tx.commit(count).await
    }

    pub async fn answer_approval(&self, actor: &Actor, id: ApprovalId, answer: AnswerApproval) -> Result<Approval> {
        actor.may(Permission::AnswerApprovals)?;
        if answer.always.is_some() {
            actor.may(Permission::ManageApprovalRules)?;
        }
        let mut tx = self.begin(actor).await?;
        let question = lock(&mut tx, id).await?;
        actor.may(needed_to_answer(question.isolation))?;
        let answer = answer.validated(question.kind, question.isolation, &question.about())?;
        let by = task::query::name_of(&mut tx, &actor.label()).await?;
        let telling = close(&mut tx, &question, &answer, by, &actor.label()).await?;
        if let Some(pattern) = &answer.always {
            rule::remember(&mut tx, self.new_id(), actor, &question, pattern).await?;
        }
        let approval = store::view(&mut tx, id).await?;
        let approval = tx.answer(actor, approval).await?;
        self.hub.tell(question.runner, telling);
        Ok(approval)
    }
}

/// A question that can be answered, with its task locked before it: whoever ends the attempt has to wait, or has ended it.
async fn lock(tx: &mut Tx, id: ApprovalId) -> Result<Question> {
    let task = store::task_of(tx, id).await?;
    // its row is not read: what an agent waits for is answered also when that cannot be
    followers::lock_all(tx, &[Ending { task, attempt: None, end: End::None }]).await?;
    store::lock(tx, id).await
}

/// Answers it, and leaves the answer for its runner.
async fn close(tx: &mut Tx, question: &Question, answer: &AnswerApproval, by: String, label: &str) -> Result<Telling> {
    let now = tx.now();
    check_open(question, now)?;
    let close = Close {
        state: ApprovalStateName::from(answer.decision),
        by: Some(by.clone()),
        actor: Some(label),
        message: answer.message.as_deref(),
        rule: None,
    };
    store::close(tx, question.id, &close, now).await?;
    let told = Answer { decision: answer.decision, by, message: answer.message.clone(), unanswered: false };
    say(tx, question, close.state, told, label).await
}

fn check_open(question: &Question, now: Timestamp) -> Result<()> {
    let by = question.closed_by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    match question.state {
        ApprovalStateName::Pending if now < question.deadline => Ok(()),
        ApprovalStateName::Pending | ApprovalStateName::Expired => {
            Err(Error::Conflict("nobody has answered this in time, so it is denied".into()))
        }
        ApprovalStateName::Allowed => Err(Error::Conflict(format!("this was allowed already{by}"))),
        ApprovalStateName::Denied => Err(Error::Conflict(format!("this was denied already{by}"))),
        ApprovalStateName::Withdrawn => Err(Error::Conflict("the agent no longer waits for this".into())),
    }
}

/// The fact, and what the runner is told.
async fn say(tx: &mut Tx, question: &Question, state: ApprovalStateName, answer: Answer, label: &str) -> Result<Telling> {
    let kind = EventKind::ApprovalClosed {
        attempt: question.attempt.number,
        approval: question.id,
        state,
        by: (state != ApprovalStateName::Expired).then(|| answer.by.clone()),
        seconds: (tx.now() - question.asked_at).num_seconds(),
    };
    tx.record(question.workspace_id, question.attempt.task_id, &kind).await?;
    let what = Tell::Answer { question: question.number, answer };
    telling::insert(tx, question.workspace_id, question.attempt, what, label).await
}

/// What its deadline answers.
fn expired() -> Answer {
    let message = "Nobody has answered in time, so this is not allowed.".to_owned();
    Answer { decision: Decision::Deny, by: "its deadline".into(), message: Some(message), unanswered: true }
}

impl Question {
    pub(crate) fn about(&self) -> std::borrow::Cow<'_, str> {
        approval::about(self.kind, &self.tool, &self.subject)
    }
}
