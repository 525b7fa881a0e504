//! Reading attempts for the API and the pages.

use domain::{
    Attempt, AttemptId, CheckResult, CheckStatus, EndpointId, Failure, JudgeTerms, Judgement, TaskId, VerificationReport,
    verification::CheckedTree,
};
use sqlx::{PgConnection, types::Json};

use super::{finding, repository, store::check_spec, usage};
use crate::{Error, Result, endpoint};

/// A task's attempts, oldest first, with their verifications; the artifacts are added by who knows them.
pub(crate) async fn of_task(conn: &mut PgConnection, task: TaskId) -> Result<Vec<Attempt>> {
    let rows = sqlx::query!(
        r#"select attempt.id, number, state, runner.name as runner, claimed_at, attempt.started_at, ended_at, base_commit, branch, commit_id,
                  exit_code, failure as "failure: Json<Failure>", log_start, log_bytes, continues,
                  attempt.endpoint_id as "endpoint_id?: EndpointId", coalesce(endpoint.name, 'Ollama of ' || host.name) as endpoint_name,
                  endpoint.url as "endpoint_url?", endpoint_model, endpoint_reasons,
                  case when ended_at is null then ends_by end as ends_by, ended_at is null and not renewable as "taken_away!",
                  (select min(asked_at) from approval where approval.attempt_id = attempt.id and approval.state = 'pending') as "blocked_since?: domain::Timestamp",
                  coalesce((select max(event.number) from session_event event where event.attempt_id = attempt.id), 0) as "session_events!",
                  verification.started_at as "verified_at?", verification.duration_ms as "verified_in?",
                  verification.hash as report_hash, verification.checked as "checked?: Json<Vec<CheckedTree>>"
           from attempt
           join runner on runner.id = attempt.runner_id
           left join endpoint on endpoint.id = attempt.endpoint_id
           left join runner host on host.id = endpoint.runner_id
           left join verification on verification.attempt_id = attempt.id
           where task_id = $1 order by number"#,
        task.0
    )
    .fetch_all(&mut *conn)
    .await?;
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let mut checks = checks(conn, &ids).await?;
    let mut rounds = earlier_rounds(conn, &ids).await?;
    let mut findings = finding::of(conn, &ids).await?;
    let mut results = repository::of(conn, &ids).await?;
    let mut used = usage::of_task(conn, task).await?;
    let attempts = rows.into_iter().map(|row| {
        let verification = row.verified_at.zip(row.verified_in).map(|(started_at, duration_ms)| VerificationReport {
            checks: checks.extract_if(.., |(attempt, _)| *attempt == row.id).map(|(_, check)| check).collect(),
            started_at,
            duration_ms: duration_ms.unsigned_abs(),
            checked: row.checked.map(|checked| checked.0).unwrap_or_default(),
        });
        let (endpoint, no_endpoint) = endpoint::told(endpoint::AttemptRow {
            id: row.endpoint_id,
            name: row.endpoint_name,
            url: row.endpoint_url,
            model: row.endpoint_model,
            reasons: row.endpoint_reasons,
        });
        Attempt {
            id: row.id,
            number: row.number,
            state: row.state,
            runner: row.runner,
            claimed_at: row.claimed_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            base_commit: row.base_commit,
            branch: row.branch,
            commit: row.commit_id,
            repositories: results.extract_if(.., |(attempt, _)| *attempt == row.id).map(|(_, result)| result).collect(),
            exit_code: row.exit_code,
            failure: row.failure.map(|failure| failure.0),
            verification,
            report_hash: row.report_hash,
            earlier_rounds: rounds.extract_if(.., |(attempt, _)| *attempt == row.id).map(|(_, report)| report).collect(),
            findings: findings.extract_if(.., |(attempt, _)| *attempt == row.id).map(|(_, finding)| finding).collect(),
            artifacts: vec![],
            log_start: row.log_start,
            log_end: row.log_start + row.log_bytes,
            ends_by: row.ends_by,
            taken_away: row.taken_away,
            blocked_since: row.blocked_since,
            session_events: row.session_events,
            usage: used.extract_if(.., |(attempt, _)| *attempt == row.id).map(|(_, usage)| usage).next().unwrap_or_default(),
            endpoint,
            no_endpoint,
            continues: row.continues,
        }
    });
    Ok(attempts.collect())
}

/// The reports of these attempts after which the agent went on, in order.
async fn earlier_rounds(conn: &mut PgConnection, attempts: &[AttemptId]) -> Result<Vec<(AttemptId, VerificationReport)>> {
    let ids: Vec<_> = attempts.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"select attempt_id as "attempt_id: AttemptId", report as "report: Json<VerificationReport>" from verification_round
           where attempt_id = any($1) order by attempt_id, round"#,
        &ids
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.attempt_id, row.report.0)).collect())
}

/// The checks of these attempts, in order.
pub(super) async fn checks(conn: &mut PgConnection, attempts: &[AttemptId]) -> Result<Vec<(AttemptId, CheckResult)>> {
    let ids: Vec<_> = attempts.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"select attempt_id, kind, target, required, timeout_seconds, status, output, command, duration_ms,
                  judge as "judge: Json<JudgeTerms>", judgement as "judgement: Json<Judgement>"
           from verification_check where attempt_id = any($1) order by attempt_id, position"#,
        &ids
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let spec = check_spec(&row.kind, row.target, row.required, row.timeout_seconds, row.judge.map(|judge| judge.0));
            let (Some(spec), Some(status)) = (spec, CheckStatus::parse(&row.status)) else {
                return Err(Error::inconsistent("verification_check", row.attempt_id, "its kind or status is not known"));
            };
            let (duration_ms, judgement) = (row.duration_ms.unsigned_abs(), row.judgement.map(|judgement| judgement.0));
            Ok((row.attempt_id, CheckResult { spec, status, output: row.output, command: row.command, duration_ms, judgement }))
        })
        .collect()
}
