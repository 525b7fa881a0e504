//! Links with which one question can be answered, once, by whoever has them, for as long as whoever made it might answer it.

use domain::{
    Actor, Approval, ApprovalId, ApprovalStateName, Permission, Role, Timestamp, WorkspaceId,
    approval::{AnswerApproval, ApprovalLink, PossibleAnswer, needed_to_answer},
};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;

use super::{check_open, close, lock, store};
use crate::{
    Engine, Error, Result,
    account::{random_text, role_of},
    error::hit_one,
    task,
    tx::Tx,
};

/// 190 bits.
const SECRET_LENGTH: usize = 32;
/// Of one question, whoever makes them.
const LINKS_MAX: i64 = 20;
const NOT_KNOWN: &str = "this link has been used, is too late, or never was";

impl Engine {
    /// It is shown this once.
    pub async fn link_approval(&self, actor: &Actor, id: ApprovalId) -> Result<ApprovalLink> {
        actor.may(Permission::AnswerApprovals)?;
        let mut tx = self.begin(actor).await?;
        let question = lock(&mut tx, id).await?;
        actor.may(needed_to_answer(question.isolation))?;
        let now = tx.now();
        check_open(&question, now)?;
        let secret = random_text(SECRET_LENGTH);
        insert(&mut tx, actor, id, &hash(&secret), now).await?;
        tx.commit(ApprovalLink { path: format!("/answer?token={secret}"), expires_at: question.deadline }).await
    }

    /// What its link is about. Looking at it answers nothing.
    pub async fn approval_by_link(&self, token: &str) -> Result<Approval> {
        let mut tx = self.begin_system(None).await?;
        let link = find(&mut tx, token).await?;
        let mut approval = store::view(&mut tx, link.approval).await?;
        // it makes no rule
        approval.options.retain(|option| option.answer != PossibleAnswer::AllowAlways);
        tx.commit(approval).await
    }

    /// As [`answer_approval`](Self::answer_approval), for whoever made the link. It makes no rule.
    pub async fn answer_by_link(&self, token: &str, answer: AnswerApproval) -> Result<Approval> {
        if answer.always.is_some() {
            return Err(domain::Invalid::field("/always", "unexpected", "a rule is made by somebody who is signed in").into());
        }
        let mut tx = self.begin_system(None).await?;
        let link = find(&mut tx, token).await?;
        let question = lock(&mut tx, link.approval).await?;
        if !link.role.may(needed_to_answer(question.isolation)) {
            return Err(Error::Unauthorized(NOT_KNOWN));
        }
        let answer = answer.validated(question.kind, question.isolation, &question.about())?;
        let by = format!("a link of {}", task::query::name_of(&mut tx, &link.made_by).await?);
        let telling = close(&mut tx, &question, &answer, by, &link.made_by).await?;
        take(&mut tx, token).await?;
        let approval = store::view(&mut tx, link.approval).await?;
        let approval = tx.commit(approval).await?;
        self.hub.tell(question.runner, telling);
        Ok(approval)
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

struct Link {
    approval: ApprovalId,
    made_by: String,
    /// Of whoever made it, now.
    role: Role,
}

/// One that can be used: whoever made it may still do so, and its question waits.
async fn find(tx: &mut Tx, token: &str) -> Result<Link> {
    let now = tx.now();
    let row = sqlx::query!(
        r#"select approval_id, approval_link.workspace_id, made_by from approval_link join approval on approval.id = approval_id
           where hash = $1 and used_at is null and state = $3 and deadline > $2"#,
        &hash(token),
        now,
        ApprovalStateName::Pending.name()
    )
    .fetch_optional(&mut **tx)
    .await?
    .ok_or(Error::Unauthorized(NOT_KNOWN))?;
    let role = role_of(tx, row.workspace_id, &row.made_by, now).await?;
    let role = role.filter(|role| role.may(Permission::AnswerApprovals)).ok_or(Error::Unauthorized(NOT_KNOWN))?;
    Ok(Link { approval: row.approval_id, made_by: row.made_by, role })
}

async fn insert(conn: &mut PgConnection, actor: &Actor, approval: ApprovalId, hash: &[u8], now: Timestamp) -> Result<()> {
    let WorkspaceId(workspace) = actor.workspace_id;
    let done = sqlx::query!(
        "insert into approval_link (hash, workspace_id, approval_id, made_by, made_at)
         select $1, $2, $3, $4, $5 where (select count(*) from approval_link where approval_id = $3) < $6",
        hash,
        workspace,
        approval.0,
        actor.label(),
        now,
        LINKS_MAX
    )
    .execute(conn)
    .await?;
    hit_one(&done, || Error::Conflict(format!("there are {LINKS_MAX} links to this already")))
}

async fn take(tx: &mut Tx, token: &str) -> Result<()> {
    let now = tx.now();
    let done = sqlx::query!("update approval_link set used_at = $2 where hash = $1 and used_at is null", &hash(token), now)
        .execute(&mut **tx)
        .await?;
    hit_one(&done, || Error::Unauthorized(NOT_KNOWN))
}
