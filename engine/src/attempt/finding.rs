//! What speaks against results: written with the reports that say so.

use domain::{
    AttemptId, AttemptKey, Finding, FindingKind, WorkspaceId,
    finding::{DETAIL_MAX, FINDINGS_MAX},
};
use serde::Serialize;
use sqlx::{PgConnection, types::Json};

use crate::{Error, Result};

/// A row of `finding`. Its names are those of the columns.
#[derive(Serialize)]
struct NewFinding {
    workspace_id: WorkspaceId,
    attempt_id: AttemptId,
    position: usize,
    kind: &'static str,
    detail: String,
}

pub(super) async fn insert(conn: &mut PgConnection, found: &[(WorkspaceId, AttemptKey, &[Finding])]) -> Result<()> {
    let rows = found.iter().flat_map(|(workspace, attempt, findings)| {
        let kept = findings.iter().filter(|finding| !finding.detail.trim().is_empty()).take(FINDINGS_MAX).enumerate();
        kept.map(|(position, finding)| NewFinding {
            workspace_id: *workspace,
            attempt_id: attempt.attempt_id,
            position,
            kind: finding.kind.name(),
            detail: finding.detail.replace('\0', "\u{fffd}").chars().take(DETAIL_MAX).collect(),
        })
    });
    let rows: Vec<_> = rows.collect();
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into finding (workspace_id, attempt_id, position, kind, detail)
         select workspace_id, attempt_id, position, kind, detail
         from jsonb_to_recordset($1) as new (workspace_id uuid, attempt_id uuid, position int, kind text, detail text)",
        Json(&rows) as _
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Of these attempts, in order.
pub(super) async fn of(conn: &mut PgConnection, attempts: &[AttemptId]) -> Result<Vec<(AttemptId, Finding)>> {
    let ids: Vec<_> = attempts.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"select attempt_id as "attempt_id: AttemptId", kind, detail from finding where attempt_id = any($1) order by attempt_id, position"#,
        &ids
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let kind =
                FindingKind::parse(&row.kind).ok_or_else(|| Error::inconsistent("finding", row.attempt_id, "its kind is not known"))?;
            Ok((row.attempt_id, Finding { kind, detail: row.detail }))
        })
        .collect()
}
