//! `muster task report`

use std::io::Write;

use clap::Args;
use domain::Attempt;

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    find_task::{TaskName, find_task, parse_task_name},
};

#[derive(Args, Debug)]
#[command(after_help = "\
What is printed is canonical JSON (RFC 8785), without a line end: its SHA-256 is the hash on the
task's page, in the API and in the pull request. A report that does not have the hash that was
stored when it came is not printed, and the exit status is 1.

Examples:
  muster task report 0c1d2e3f | sha256sum
  muster task report 0c1d2e3f --attempt 2 | jq .")]
pub struct ReportArgs {
    /// The task: its full id, or the eight digits that lists show.
    #[arg(value_name = "TASK", value_parser = parse_task_name)]
    task: TaskName,
    /// Whose checks [default: of the latest attempt that has a report].
    #[arg(long, value_name = "N")]
    attempt: Option<i32>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn report(args: &ReportArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_task(&client, &args.task).await?;
    let text = checked(&client.task(id).await?.attempt_list, args.attempt)?;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(Exit::Done)
}

/// The report, as its hash says that it was.
fn checked(attempts: &[Attempt], number: Option<i32>) -> Result<String, CliError> {
    let mut meant = attempts.iter().rev().filter(|attempt| number.is_none_or(|number| attempt.number == number));
    let Some((attempt, report)) = meant.find_map(|attempt| Some((attempt, attempt.verification.as_ref()?))) else {
        return Err(CliError::Failed {
            message: "there is no report: the checks have not run to their end".into(),
            remedy: Some("`muster task show TASK` says which attempts there are, and how they went".into()),
        });
    };
    let hash = report.hash();
    match &attempt.report_hash {
        Some(stored) if *stored != hash => Err(CliError::Failed {
            message: format!("the report of attempt {} is not the one that came: its SHA-256 is {hash}, and was {stored}", attempt.number),
            remedy: Some(
                "somebody has changed the database or what the server answers, or this muster is older than the server: with one of its \
                 version, do not rely on a result that is refused"
                    .into(),
            ),
        }),
        _ => Ok(report.canonical()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{AttemptState, VerificationReport};

    fn attempt(number: i32, verification: Option<VerificationReport>) -> Attempt {
        Attempt {
            id: "0190a2b4-7d34-7c11-8a52-0123456789ab".parse().unwrap(),
            number,
            state: AttemptState::Failed,
            runner: "local".into(),
            claimed_at: domain::Timestamp::UNIX_EPOCH,
            started_at: None,
            ended_at: None,
            base_commit: None,
            repositories: vec![],
            branch: None,
            commit: None,
            exit_code: None,
            failure: None,
            report_hash: verification.as_ref().map(VerificationReport::hash),
            verification,
            earlier_rounds: vec![],
            findings: vec![],
            artifacts: vec![],
            log_start: 0,
            log_end: 0,
            ends_by: None,
            taken_away: false,
            blocked_since: None,
            session_events: 0,
            usage: domain::AttemptUsage::default(),
            endpoint: None,
            no_endpoint: None,
            continues: None,
        }
    }

    fn attempts() -> [Attempt; 2] {
        let report = VerificationReport { checks: vec![], started_at: domain::Timestamp::UNIX_EPOCH, duration_ms: 34, checked: vec![] };
        [attempt(1, Some(report)), attempt(2, None)]
    }

    #[test]
    fn a_report_is_printed_when_it_is_the_one_that_came() {
        let mut attempts = attempts();
        let text = r#"{"checks":[],"duration_ms":34,"started_at":"1970-01-01T00:00:00Z"}"#;
        assert_eq!([checked(&attempts, None).unwrap(), checked(&attempts, Some(1)).unwrap()], [text, text]);
        attempts[0].verification.as_mut().unwrap().duration_ms += 1;
        assert!(checked(&attempts, None).unwrap_err().to_string().contains("is not the one that came"));
        attempts[0].report_hash = None;
        assert!(checked(&attempts, None).is_ok(), "of a time in which none was hashed");
    }

    #[test]
    fn an_attempt_without_a_report_has_none() {
        for number in [2, 3] {
            assert!(checked(&attempts(), Some(number)).unwrap_err().to_string().contains("there is no report"));
        }
    }
}
