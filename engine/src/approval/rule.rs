//! Rules: what agents are allowed without asking anybody. Admins make and remove them; one that was removed stays to be seen.

use std::collections::HashMap;

use domain::{
    Actor, ApprovalId, ApprovalRule, ApprovalRuleId, AskedKind, Isolation, Permission, RepositoryId, Timestamp, WorkspaceId,
    approval::{NewApprovalRule, may_be_a_rule},
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::store::Question;
use crate::{Engine, Error, Result, error::hit_one, tx::Tx};

/// Of one workspace. Whoever needs more of them needs wider ones.
const RULES_MAX: i64 = 1000;

impl Engine {
    /// Those that answer, the newest first; after them those that were removed.
    pub async fn list_approval_rules(&self, actor: &Actor) -> Result<Vec<ApprovalRule>> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        let rules = list(&mut tx, None).await?;
        tx.commit(rules).await
    }

    /// The same again is the one that there is.
    pub async fn make_approval_rule(&self, actor: &Actor, new: NewApprovalRule) -> Result<ApprovalRule> {
        actor.may(Permission::ManageApprovalRules)?;
        let new = new.validated()?;
        let mut tx = self.begin(actor).await?;
        if let Some(repository) = new.repository_id {
            let known = sqlx::query_scalar!("select id from repository where id = $1", repository.0).fetch_optional(&mut *tx).await?;
            if known.is_none() {
                return Err(domain::Invalid::field("/repository_id", "unknown", "there is no such repository here").into());
            }
        }
        let id = insert(&mut tx, self.new_id(), actor, new.repository_id, (new.kind, &new.pattern, new.without_sandbox), None).await?;
        let rule = list(&mut tx, Some(id)).await?.pop().ok_or_else(|| Error::not_found("rule", id))?;
        tx.answer(actor, rule).await
    }

    /// It answers no more.
    pub async fn remove_approval_rule(&self, actor: &Actor, id: ApprovalRuleId) -> Result<()> {
        actor.may(Permission::ManageApprovalRules)?;
        let mut tx = self.begin(actor).await?;
        let now = tx.now();
        let done = sqlx::query!(
            "update approval_rule set removed_by = $2, removed_at = $3 where id = $1 and removed_at is null",
            id.0,
            actor.label(),
            now
        )
        .execute(&mut *tx)
        .await?;
        hit_one(&done, || Error::not_found("rule", id))?;
        tx.commit(()).await
    }
}

/// Made with an answer, for the repository of its question.
pub(super) async fn remember(tx: &mut Tx, id: Uuid, actor: &Actor, question: &Question, pattern: &str) -> Result<()> {
    let without_sandbox = question.isolation == Isolation::None;
    insert(tx, id, actor, Some(question.repository_id), (question.kind, pattern, without_sandbox), Some(question.id)).await.map(drop)
}

async fn insert(
    tx: &mut Tx,
    id: Uuid,
    actor: &Actor,
    repository: Option<RepositoryId>,
    (kind, pattern, without_sandbox): (AskedKind, &str, bool),
    approval: Option<ApprovalId>,
) -> Result<ApprovalRuleId> {
    let now = tx.now();
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from approval_rule where workspace_id = (select current_workspace()) and removed_at is null"#
    )
    .fetch_one(&mut **tx)
    .await?;
    if count >= RULES_MAX {
        return Err(Error::Conflict(format!("there are {RULES_MAX} rules already; remove some that are not used")));
    }
    sqlx::query!(
        "insert into approval_rule (id, workspace_id, repository_id, kind, pattern, made_by, made_at, approval_id, without_sandbox)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         on conflict (workspace_id, repository_id, kind, pattern, without_sandbox) where removed_at is null do nothing",
        id,
        actor.workspace_id.0,
        repository.map(|repository| repository.0),
        kind.name(),
        pattern,
        actor.label(),
        now,
        approval.map(|approval| approval.0),
        without_sandbox
    )
    .execute(&mut **tx)
    .await?;
    let id = sqlx::query_scalar!(
        "select id from approval_rule
         where workspace_id = (select current_workspace()) and repository_id is not distinct from $1 and kind = $2 and pattern = $3
           and without_sandbox = $4 and removed_at is null",
        repository.map(|repository| repository.0),
        kind.name(),
        pattern,
        without_sandbox
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(id)
}

async fn list(conn: &mut PgConnection, id: Option<ApprovalRuleId>) -> Result<Vec<ApprovalRule>> {
    let rows = sqlx::query!(
        r#"select rule.id as "id: ApprovalRuleId", location as "location?", kind as "kind: AskedKind", pattern, without_sandbox,
                  made_at, approval_id as "approval_id: ApprovalId", used, rule.last_used_at, removed_at,
                  coalesce(maker.name, made_key.name || ' (API key)', made_by) as "made_by!",
                  coalesce(remover.name, removed_key.name || ' (API key)', removed_by) as removed_by
           from approval_rule rule
           left join repository on repository.id = repository_id
           left join "user" maker on made_by = 'user:' || maker.id
           left join api_key made_key on made_by = 'api_key:' || made_key.id
           left join "user" remover on removed_by = 'user:' || remover.id
           left join api_key removed_key on removed_by = 'api_key:' || removed_key.id
           where rule.workspace_id = (select current_workspace()) and ($1::uuid is null or rule.id = $1)
           order by removed_at desc nulls first, made_at desc, rule.id desc limit 2000"#,
        id.map(|id| id.0)
    )
    .fetch_all(conn)
    .await?;
    let rules = rows.into_iter().map(|row| ApprovalRule {
        id: row.id,
        repository: row.location,
        kind: row.kind,
        pattern: row.pattern,
        without_sandbox: row.without_sandbox,
        made_by: row.made_by,
        made_at: row.made_at,
        approval_id: row.approval_id,
        used: row.used,
        last_used_at: row.last_used_at,
        removed_by: row.removed_by,
        removed_at: row.removed_at,
    });
    Ok(rules.collect())
}

/// A rule that answers.
pub(super) struct Live {
    pub id: ApprovalRuleId,
    pub workspace: WorkspaceId,
    pub repository: Option<RepositoryId>,
    pub kind: AskedKind,
    pub pattern: String,
    without_sandbox: bool,
}

impl Live {
    /// A link in the repository leads a change of files anywhere, which a sandbox alone holds.
    pub fn holds_without_sandbox(&self) -> bool {
        self.without_sandbox && may_be_a_rule(self.kind, Isolation::None)
    }
}

/// Those of these workspaces, the oldest first.
pub(super) async fn of(conn: &mut PgConnection, workspaces: &[WorkspaceId]) -> Result<Vec<Live>> {
    let workspaces: Vec<_> = workspaces.iter().map(|workspace| workspace.0).collect();
    let rows = sqlx::query!(
        "select id, workspace_id, repository_id, kind, pattern, without_sandbox from approval_rule
         where workspace_id = any($1) and removed_at is null order by made_at, id",
        &workspaces
    )
    .fetch_all(conn)
    .await?;
    let rules = rows.into_iter().map(|row| Live {
        id: row.id,
        workspace: row.workspace_id,
        repository: row.repository_id,
        kind: row.kind,
        pattern: row.pattern,
        without_sandbox: row.without_sandbox,
    });
    Ok(rules.collect())
}

pub(super) async fn note_used(conn: &mut PgConnection, used: &HashMap<ApprovalRuleId, i64>, now: Timestamp) -> Result<()> {
    // in the order of their ids, as others note theirs
    let mut used: Vec<_> = used.iter().map(|(id, times)| (id.0, *times)).collect();
    used.sort_unstable();
    for (id, times) in used {
        sqlx::query!("update approval_rule set used = used + $2, last_used_at = $3 where id = $1", id, times, now)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}
