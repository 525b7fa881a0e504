//! Reports of checks, as they are stored: of each round, and of the last one.

use domain::{AttemptId, AttemptKey, CheckResult, JudgeTerms, Judgement, VerificationReport, WorkspaceId};
use serde::Serialize;
use sqlx::{PgConnection, types::Json};

use crate::Result;

/// Reports after which the agent went on, each with the number of its round.
pub(super) async fn insert_rounds(conn: &mut PgConnection, rounds: &[(WorkspaceId, AttemptId, i32, &VerificationReport)]) -> Result<()> {
    if rounds.is_empty() {
        return Ok(());
    }
    let workspaces: Vec<_> = rounds.iter().map(|(workspace, ..)| workspace.0).collect();
    let attempts: Vec<_> = rounds.iter().map(|(_, attempt, ..)| attempt.0).collect();
    let numbers: Vec<_> = rounds.iter().map(|(.., round, _)| *round).collect();
    let reports: Vec<_> = rounds.iter().map(|(.., report)| Json(report.kept())).collect();
    sqlx::query!(
        "insert into verification_round (workspace_id, attempt_id, round, report)
         select * from unnest($1::uuid[], $2::uuid[], $3::int[], $4::jsonb[])",
        &workspaces,
        &attempts,
        &numbers,
        &reports as _
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Reports with their checks, each with the hash of what is stored.
pub(super) async fn insert_verifications(
    conn: &mut PgConnection,
    reports: &[(WorkspaceId, AttemptKey, &VerificationReport)],
) -> Result<()> {
    if reports.is_empty() {
        return Ok(());
    }
    let reports: Vec<_> = reports.iter().map(|(workspace, key, report)| (*workspace, *key, report.kept())).collect();
    let attempts: Vec<_> = reports.iter().map(|(_, key, _)| key.attempt_id.0).collect();
    let workspaces: Vec<_> = reports.iter().map(|(workspace, ..)| workspace.0).collect();
    let hashes: Vec<_> = reports.iter().map(|(.., report)| report.hash()).collect();
    let started: Vec<_> = reports.iter().map(|(.., report)| report.started_at).collect();
    let checked: Vec<_> = reports.iter().map(|(.., report)| (!report.checked.is_empty()).then_some(Json(&report.checked))).collect();
    let durations: Vec<_> = reports.iter().map(|(.., report)| i64::try_from(report.duration_ms).unwrap_or(i64::MAX)).collect();
    sqlx::query!(
        "insert into verification (attempt_id, workspace_id, started_at, duration_ms, hash, checked)
         select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::bigint[], $5::text[], $6::jsonb[])",
        &attempts,
        &workspaces,
        &started,
        &durations,
        &hashes,
        &checked as _
    )
    .execute(&mut *conn)
    .await?;
    let checks = reports.iter().flat_map(|(workspace, key, report)| {
        report.checks.iter().enumerate().map(|(position, check)| CheckRow::new(*workspace, key.attempt_id, position, check))
    });
    let checks: Vec<_> = checks.collect();
    if checks.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into verification_check (workspace_id, attempt_id, position, kind, target, required, timeout_seconds, status, output,
                                         command, duration_ms, judge, judgement)
         select workspace_id, attempt_id, position, kind, target, required, timeout_seconds, status, output, command, duration_ms, judge,
                judgement
         from jsonb_to_recordset($1) as new (
           workspace_id uuid, attempt_id uuid, position int, kind text, target text, required boolean, timeout_seconds int, status text,
           output text, command text, duration_ms bigint, judge jsonb, judgement jsonb)",
        Json(checks) as _
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A check's result that is to be stored. Its names are those of the columns.
#[derive(Serialize)]
struct CheckRow<'a> {
    workspace_id: WorkspaceId,
    attempt_id: AttemptId,
    position: usize,
    kind: &'static str,
    target: Option<&'a str>,
    required: bool,
    timeout_seconds: u32,
    status: &'static str,
    output: &'a str,
    command: Option<&'a str>,
    duration_ms: i64,
    judge: Option<&'a JudgeTerms>,
    judgement: Option<&'a Judgement>,
}

impl<'a> CheckRow<'a> {
    fn new(workspace_id: WorkspaceId, attempt_id: AttemptId, position: usize, check: &'a CheckResult) -> Self {
        Self {
            workspace_id,
            attempt_id,
            position,
            kind: check.spec.kind.name(),
            target: check.spec.target.as_deref(),
            required: check.spec.required,
            timeout_seconds: check.spec.timeout_seconds,
            status: check.status.name(),
            output: &check.output,
            command: check.command.as_deref(),
            duration_ms: i64::try_from(check.duration_ms).unwrap_or(i64::MAX),
            judge: Some(&check.spec.judge).filter(|judge| !judge.is_usual()),
            judgement: check.judgement.as_ref(),
        }
    }
}
