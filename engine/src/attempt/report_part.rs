//! Reports that are too long for one message: their parts, until the last word says that they are a report.

use domain::{
    AttemptId, AttemptKey, WorkspaceId,
    protocol::{AttemptReport, REPORT_BYTES},
};
use sqlx::PgConnection;
use tracing::warn;

use crate::{Engine, Error, Result, RunnerSession};

pub(super) struct NewPart<'a> {
    pub workspace: WorkspaceId,
    pub attempt: AttemptId,
    pub sequence: u64,
    pub bytes: &'a [u8],
}

impl Engine {
    /// What the parts of an attempt's report are together. Nothing when the message with this number has had its effect already.
    ///
    /// # Errors
    /// [`Error::Missing`] when a part has not come yet. [`Error::StaleLease`] when they are no report, or it is nobody's.
    pub(crate) async fn report_in_parts(
        &self,
        session: &RunnerSession,
        attempt: AttemptKey,
        sequence: u64,
        length: u64,
    ) -> Result<Option<Box<AttemptReport>>> {
        let heard = self.heard(session, &[attempt]).await?.pop().ok_or(Error::StaleLease)?;
        if heard.sequence >= sequence {
            return Ok(None);
        }
        if heard.sequence + 1 < sequence {
            return Err(Error::Missing);
        }
        let mut conn = self.database.system.acquire().await?;
        let parts = all(&mut conn, attempt.attempt_id).await?;
        drop(conn);
        let text = parts.concat();
        if text.len() as u64 != length {
            warn!(attempt.id = %attempt.attempt_id, "A report of {length} bytes came as {}", text.len());
            return Err(Error::StaleLease);
        }
        match serde_json::from_slice(&text) {
            Ok(report) => Ok(Some(report)),
            Err(error) => {
                warn!(attempt.id = %attempt.attempt_id, "The parts of a report are none together: {error}");
                Err(Error::StaleLease)
            }
        }
    }

    /// What nothing will come of any more: their attempts have ended.
    pub async fn delete_spent_report_parts(&self) -> Result<u64> {
        let mut conn = self.database.system.acquire().await?;
        let done = sqlx::query!("delete from report_part using attempt where attempt.id = attempt_id and attempt.ended_at is not null")
            .execute(&mut *conn)
            .await?;
        Ok(done.rows_affected())
    }

    /// As [`delete_spent_report_parts`](Self::delete_spent_report_parts), of one whose report is stored.
    pub(crate) async fn forget_report_parts(&self, attempt: AttemptId) -> Result<()> {
        let mut conn = self.database.system.acquire().await?;
        sqlx::query!("delete from report_part where attempt_id = $1", attempt.0).execute(&mut *conn).await?;
        Ok(())
    }
}

/// An attempt whose parts are longer together than a report may be says no more.
pub(super) async fn insert(conn: &mut PgConnection, parts: &[NewPart<'_>]) -> Result<()> {
    if parts.is_empty() {
        return Ok(());
    }
    let workspaces: Vec<_> = parts.iter().map(|part| part.workspace.0).collect();
    let attempts: Vec<_> = parts.iter().map(|part| part.attempt.0).collect();
    let sequences: Vec<_> = parts.iter().map(|part| part.sequence as i64).collect();
    let contents: Vec<_> = parts.iter().map(|part| part.bytes.to_vec()).collect();
    sqlx::query!(
        "insert into report_part (workspace_id, attempt_id, sequence, content)
         select * from unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bytea[])",
        &workspaces,
        &attempts,
        &sequences,
        &contents
    )
    .execute(&mut *conn)
    .await?;
    let too_long = sqlx::query_scalar!(
        r#"select attempt_id from report_part where attempt_id = any($1) group by attempt_id having sum(length(content)) > $2 limit 1"#,
        &attempts,
        REPORT_BYTES as i64
    )
    .fetch_optional(conn)
    .await?;
    match too_long {
        Some(attempt) => Err(Error::Conflict(format!("the report of attempt {attempt} is longer than a report may be"))),
        None => Ok(()),
    }
}

async fn all(conn: &mut PgConnection, attempt: AttemptId) -> Result<Vec<Vec<u8>>> {
    Ok(sqlx::query_scalar!("select content from report_part where attempt_id = $1 order by sequence", attempt.0).fetch_all(conn).await?)
}
