//! Whatever goes down a socket is as long as a server takes it, or shorter: a message that is too long ends the link, and would be said again
//! over the next one, for ever.
//!
//! What is said is kept short where it is made. This is for what is not, as it came from another version, or is made of characters that JSON has
//! to write with six.

use domain::{
    SessionEvent, SessionEventKind, VerificationReport,
    log::LOG_CHUNK_LIMIT,
    protocol::{Hello, Landed, Said, TO_SERVER_BYTES, ToServer, Trouble},
    runner::Rooms,
};
use tracing::error;

/// Characters of what is for people, where it has to be short.
const WORDS: usize = 1000;

/// The message as JSON, with less in it where that is too long. Nothing where it cannot be said.
pub(crate) fn text_of(message: ToServer) -> Option<String> {
    let text = serde_json::to_string(&message).ok()?;
    if text.len() <= TO_SERVER_BYTES {
        return Some(text);
    }
    let bytes = text.len();
    let start = &text[..text.floor_char_boundary(200)];
    error!("A message has {bytes} bytes, and a server takes {TO_SERVER_BYTES}: it is said with less in it. It begins with {start}");
    serde_json::to_string(&with_less(message)).ok().filter(|text| text.len() <= TO_SERVER_BYTES)
}

fn with_less(message: ToServer) -> ToServer {
    match message {
        ToServer::Said { attempt, sequence, said } => ToServer::Said { attempt, sequence, said: said_with_less(said) },
        // the server asks for the rest
        ToServer::Log { attempt, offset, stream, mut bytes } => {
            bytes.truncate(LOG_CHUNK_LIMIT);
            ToServer::Log { attempt, offset, stream, bytes }
        }
        ToServer::Hello(hello) => ToServer::Hello(Hello {
            no_sandbox: hello.no_sandbox.map(short),
            left_behind: hello.left_behind.map(short),
            rooms: hello.rooms.as_ref().map(Rooms::kept),
            ..hello
        }),
        ToServer::Heartbeat { beat, attempts, left_behind } => ToServer::Heartbeat { beat, attempts, left_behind: left_behind.map(short) },
        ToServer::Reading { reading, age_seconds, optional, .. } => ToServer::Reading { reading, endpoint: None, age_seconds, optional },
        ToServer::Landed { landed, optional } => {
            let trouble = landed.trouble.map(|Trouble { message, advice, again_in }| Trouble {
                message: short(message),
                advice: short(advice),
                again_in,
            });
            ToServer::Landed { landed: Landed { trouble, ..landed }, optional }
        }
        ToServer::Rejects { attempt, reason, optional } => ToServer::Rejects { attempt, reason: short(reason), optional },
        other => other,
    }
}

/// It keeps its number, as what follows has the next ones.
fn said_with_less(said: Said) -> Said {
    match said {
        Said::Session { events } => {
            let left_out = |event: SessionEvent| SessionEvent { kind: SessionEventKind::LeftOut { events: 1 }, ..event };
            Said::Session { events: events.into_iter().map(left_out).collect() }
        }
        Said::WorksAgain { round, verification } => Said::WorksAgain { round, verification: how_it_went(verification) },
        // nothing runs any more, and what was done is saved
        Said::Report { .. } | Said::ReportInParts { .. } | Said::GivenUp { .. } => Said::GivenUp { artifacts: vec![] },
        _ => Said::Session { events: vec![] },
    }
}

/// Behind what was cut of a check, so that nobody takes it for all that there was.
const CUT: &str = "\n(what follows was left out: this round was too long to be told)";

/// With the beginning of what the checks are and have printed, and without why judges judge as they do. What ran the attempt's log says as well.
fn how_it_went(mut report: VerificationReport) -> VerificationReport {
    for check in &mut report.checks {
        let verdict = check.judgement.as_mut().and_then(|judgement| judgement.verdict.as_mut());
        let reasons = verdict.map(|verdict| (std::mem::take(&mut verdict.reasons), std::mem::take(&mut verdict.findings)));
        let is_cut = reasons.is_some_and(|(reasons, findings)| !reasons.is_empty() || !findings.is_empty());
        cut(&mut check.output, is_cut);
        [&mut check.spec.target, &mut check.command].into_iter().flatten().for_each(|text| cut(text, false));
    }
    report
}

/// To what fits as often as there can be checks, whatever is in it.
fn cut(text: &mut String, is_cut: bool) {
    let end = text.char_indices().nth(WORDS).map(|(at, _)| at);
    if let Some(end) = end {
        text.truncate(end);
    }
    if is_cut || end.is_some() {
        text.push_str(CUT);
    }
}

fn short(text: String) -> String {
    text.chars().take(WORDS).collect()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use domain::{
        ArtifactKind, AttemptId, AttemptKey, Backend, BackendFound, CheckKind, CheckResult, CheckSpec, CheckStatus, LogStream, RunnerId,
        TaskId,
        agent::MANIFESTS_MAX,
        check::MAX_CHECKS,
        protocol::{NewArtifact, ROUND_OUTPUT_LIMIT, VERSION},
    };
    use uuid::Uuid;

    use super::*;

    fn key(number: u128) -> AttemptKey {
        AttemptKey { task_id: TaskId(Uuid::from_u128(number)), attempt_id: AttemptId(Uuid::from_u128(number)), number: i32::MAX }
    }

    /// As whoever reads it has it.
    fn read_back(message: ToServer) -> ToServer {
        let text = text_of(message).expect("it can be said");
        assert!(text.len() <= TO_SERVER_BYTES, "{} bytes", text.len());
        serde_json::from_str(&text).unwrap()
    }

    fn said(said: Said) -> Said {
        match read_back(ToServer::Said { attempt: key(1), sequence: 7, said }) {
            ToServer::Said { sequence: 7, said, .. } => said,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_round_of_checks_is_told_whatever_they_have_printed() {
        let worst = "\u{1}".repeat(ROUND_OUTPUT_LIMIT);
        let result = CheckResult {
            spec: CheckSpec::new(CheckKind::CommandSucceeds, Some(worst.clone())),
            status: CheckStatus::Failed,
            output: worst.clone(),
            command: Some(worst),
            duration_ms: 1,
            judgement: None,
        };
        let verification =
            VerificationReport { checks: vec![result; MAX_CHECKS], started_at: DateTime::UNIX_EPOCH, duration_ms: 1, checked: vec![] };
        let Said::WorksAgain { round: 2, verification } = said(Said::WorksAgain { round: 2, verification }) else {
            panic!("it is another")
        };
        assert_eq!(verification.failed().count(), MAX_CHECKS, "how each went is known");
        let cut = format!("{}{CUT}", "\u{1}".repeat(WORDS));
        for check in verification.checks {
            assert_eq!(
                [&check.output, check.command.as_ref().unwrap(), check.spec.target.as_ref().unwrap()],
                [&cut; 3],
                "what is cut says so"
            );
        }
    }

    #[test]
    fn what_is_too_long_in_a_session_is_left_out_and_what_follows_keeps_its_number() {
        let text = "x".repeat(TO_SERVER_BYTES);
        let event = SessionEvent { number: 3, at: DateTime::UNIX_EPOCH, kind: SessionEventKind::Message { text } };
        let left_out = SessionEvent { kind: SessionEventKind::LeftOut { events: 1 }, ..event.clone() };
        assert_eq!(said(Said::Session { events: vec![event] }), Said::Session { events: vec![left_out] });
        assert_eq!(said(Said::Part { bytes: vec![0; TO_SERVER_BYTES] }), Said::Session { events: vec![] });
    }

    #[test]
    fn a_log_is_said_from_where_it_was_cut() {
        let log = ToServer::Log { attempt: key(1), offset: 5, stream: LogStream::Stdout, bytes: vec![b'x'; TO_SERVER_BYTES] };
        let cut = ToServer::Log { attempt: key(1), offset: 5, stream: LogStream::Stdout, bytes: vec![b'x'; LOG_CHUNK_LIMIT] };
        assert_eq!(read_back(log), cut);
    }

    /// All the agents that there can be, as many attempts as there are slots and as many again that are lost, and a machine that says a lot.
    #[test]
    fn a_hello_names_all_that_is_held_whatever_its_machine_says() {
        let manifests = (0..MANIFESTS_MAX).map(|number| Backend::parse(&format!("acp:{number:0>40}")).unwrap());
        let found = |backend| BackendFound { backend, version: "1".repeat(100), is_simple: false, endpoint_format: None };
        let hello = Hello {
            version: VERSION,
            runner_id: RunnerId(Uuid::nil()),
            name: "anvil".into(),
            slots: 1000,
            takes_slots: true,
            keeps: (0..16).map(key).collect(),
            capabilities: (0..100).map(|number| format!("{number:0>50}")).collect(),
            attempts: (0..1000).map(key).collect(),
            lost: (1000..2000).map(key).collect(),
            proof: "x".repeat(88),
            no_sandbox: Some("x".repeat(TO_SERVER_BYTES)),
            lands: true,
            backends: Backend::KNOWN.into_iter().chain(manifests).map(found).collect(),
            rooms: None,
            left_behind: None,
        };
        let expected = Hello { no_sandbox: Some("x".repeat(WORDS)), ..hello.clone() };
        assert_eq!(read_back(ToServer::Hello(hello)), ToServer::Hello(expected));
    }

    #[test]
    fn a_last_word_that_is_too_long_is_a_last_word() {
        let artifact = NewArtifact { kind: ArtifactKind::Diff, name: "x".into(), content: vec![0; TO_SERVER_BYTES] };
        assert_eq!(said(Said::GivenUp { artifacts: vec![artifact] }), Said::GivenUp { artifacts: vec![] });
    }
}
