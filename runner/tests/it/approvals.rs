//! What an agent asks people, and what they say to it while it works. The program is played by a script that speaks as Claude Code does.

use std::time::Duration;

use domain::{
    Ask, AskedKind, AttemptKey, Decision, SessionEventKind as Event,
    approval::{Answer, Asked},
    protocol::{Said, Tell, Telling, ToRunner, ToServer, WorkOutcome},
};

use crate::{
    agents::{Agent, failure, prompt, session},
    harness::{Repository, Server, State},
};

/// Asks to run a command, and writes down what it was answered.
const ASKS: &str = r#"
asks() { say '{"type":"control_request","request_id":"'"$1"'","request":{"subtype":"can_use_tool","tool_name":"Bash","tool_use_id":"c'"$1"'","input":{"command":"'"$2"'"}}}'; }
answered() { read -r answer; printf '%s\n' "$answer" >> answers.txt; }
"#;

fn asks(heard: &[ToServer]) -> Vec<(i32, Asked)> {
    heard
        .iter()
        .filter_map(|message| match message {
            ToServer::Said { said: Said::Asks { question, asked, .. }, .. } => Some((*question, asked.clone())),
            _ => None,
        })
        .collect()
}

async fn until_asked(server: &Server, count: usize) -> Vec<(i32, Asked)> {
    server.until("a question", |heard| asks(heard).len() >= count).await;
    asks(&server.heard())
}

async fn tell(server: &Server, attempt: AttemptKey, number: i64, what: Tell) {
    server.tell(ToRunner::Tell(Telling { attempt, number, what })).await;
}

fn answer(question: i32, decision: Decision, message: Option<&str>) -> Tell {
    Tell::Answer { question, answer: Answer { decision, by: "Ada".into(), message: message.map(Into::into), unanswered: false } }
}

fn message(text: &str) -> Tell {
    Tell::Message { text: text.into(), by: "Ada".into(), interrupt: false }
}

fn permissions(events: &[domain::SessionEvent]) -> Vec<(&str, bool, &str)> {
    events
        .iter()
        .filter_map(|event| match &event.kind {
            Event::Permission { subject, allowed, by, .. } => Some((subject.as_str(), *allowed, by.as_str())),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn people_are_asked_and_the_agent_hears_what_they_say() {
    let agent = Agent::that(&format!("{ASKS}asks 1 'make all'\nanswered\nasks 2 'rm -r /'\nanswered\nends false\nread -r more || exit 0"));
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    let mut assignment = prompt(&repository, "Tidy up");
    assignment.agent.ask = Some(Ask::Commands);
    let attempt = server.assign(&assignment).await;
    let (number, asked) = until_asked(&server, 1).await.remove(0);
    assert_eq!((number, asked.kind, asked.tool.as_str(), asked.subject.as_str()), (1, AskedKind::Command, "Bash", "make all"));
    // too early, twice, and for nobody
    tell(&server, attempt, 2, answer(7, Decision::Deny, None)).await;
    tell(&server, attempt, 1, answer(1, Decision::Allow, None)).await;
    tell(&server, attempt, 1, answer(1, Decision::Deny, None)).await;
    until_asked(&server, 2).await;
    tell(&server, attempt, 3, answer(2, Decision::Deny, Some("Use make clean instead"))).await;
    let report = server.report(attempt).await;
    assert_eq!(report.outcome, WorkOutcome::Completed, "what a person denies is no failure: {}", server.log(attempt));
    let answers = repository.show(&report.branch.unwrap(), "answers.txt").unwrap();
    let lines: Vec<_> = answers.lines().collect();
    assert!(lines[0].contains(r#""behavior":"allow""#) && lines[0].contains("make all"), "{answers}");
    assert!(lines[1].contains(r#""behavior":"deny""#) && lines[1].contains("Use make clean instead"), "{answers}");
    assert_eq!(permissions(&session(&server, &assignment)), [("make all", true, "Ada"), ("rm -r /", false, "Ada")]);
    let said = server.said(attempt);
    let closed: Vec<_> =
        said.iter().filter_map(|said| if let Said::AsksNoMore { question } = said { Some(*question) } else { None }).collect();
    assert_eq!(closed, [1, 2]);
    let mut heard: Vec<_> = said.iter().filter_map(|said| if let Said::Heard { telling } = said { Some(*telling) } else { None }).collect();
    heard.sort_unstable();
    assert_eq!(heard, [1, 2, 3]);
}

#[tokio::test]
async fn what_nobody_has_answered_in_time_fails_the_work() {
    let agent = Agent::that(&format!("{ASKS}asks 1 'make all'\nanswered\nends false\nread -r more || exit 0"));
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    let mut assignment = prompt(&repository, "Tidy up");
    assignment.agent.ask = Some(Ask::Commands);
    let attempt = server.assign(&assignment).await;
    until_asked(&server, 1).await;
    let answer = Answer { decision: Decision::Deny, by: "its deadline".into(), message: None, unanswered: true };
    tell(&server, attempt, 1, Tell::Answer { question: 1, answer }).await;
    assert_eq!(failure(&server.report(attempt).await.outcome), domain::FailureCode::AgentDenied);
}

/// It may wait for an answer for longer than its work may take.
#[tokio::test]
async fn nobody_is_charged_for_the_time_that_an_answer_takes() {
    let agent = Agent::that(&format!("{ASKS}asks 1 'make all'\nanswered\nends false\nread -r more || exit 0"));
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    let mut assignment = prompt(&repository, "Tidy up");
    assignment.agent.ask = Some(Ask::Everything);
    assignment.timeout_seconds = 2;
    let attempt = server.assign(&assignment).await;
    until_asked(&server, 1).await;
    // nothing but time says that it was not ended
    tokio::time::sleep(Duration::from_millis(2500)).await;
    tell(&server, attempt, 1, answer(1, Decision::Allow, None)).await;
    assert_eq!(server.report(attempt).await.outcome, WorkOutcome::Completed, "{}", server.log(attempt));
}

#[tokio::test]
async fn what_an_agent_withdraws_or_leaves_open_is_open_no_more() {
    let cancel = r#"say '{"type":"control_cancel_request","request_id":"1"}'"#;
    let agent = Agent::that(&format!("{ASKS}asks 1 'make all'\n{cancel}\nasks 2 'make more'\nends false\nread -r more || exit 0"));
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    let mut assignment = prompt(&repository, "Tidy up");
    assignment.agent.ask = Some(Ask::Commands);
    let attempt = server.assign(&assignment).await;
    let report = server.report(attempt).await;
    assert_eq!(report.outcome, WorkOutcome::Completed, "{}", server.log(attempt));
    let order: Vec<_> = server
        .said(attempt)
        .into_iter()
        .filter_map(|said| match said {
            Said::Asks { question, .. } => Some(format!("asks {question}")),
            Said::AsksNoMore { question } => Some(format!("no more {question}")),
            Said::Verifying => Some("verifying".into()),
            _ => None,
        })
        .collect();
    assert_eq!(order, ["asks 1", "no more 1", "asks 2", "no more 2", "verifying"]);
}

#[tokio::test]
async fn what_is_open_when_an_agent_dies_is_open_no_more() {
    let agent = Agent::that(&format!("{ASKS}asks 1 'make all'\nexit 3"));
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    let mut assignment = prompt(&repository, "Tidy up");
    assignment.agent.ask = Some(Ask::Commands);
    let report = server.carry_out(&assignment).await;
    assert_eq!(failure(&report.outcome), domain::FailureCode::CommandFailed);
    assert!(server.said(assignment.attempt).contains(&Said::AsksNoMore { question: 1 }));
}

#[tokio::test]
async fn one_that_asks_more_than_anybody_can_answer_is_denied() {
    let many = "i=1; while [ $i -le 21 ]; do asks $i 'make all'; i=$((i + 1)); done\nanswered\nends false\nread -r more || exit 0";
    let agent = Agent::that(&format!("{ASKS}{many}"));
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    let mut assignment = prompt(&repository, "Tidy up");
    assignment.agent.ask = Some(Ask::Commands);
    let report = server.carry_out(&assignment).await;
    assert_eq!(asks(&server.heard()).len(), 20);
    assert_eq!(failure(&report.outcome), domain::FailureCode::AgentDenied);
}

#[tokio::test]
async fn what_people_say_goes_into_the_session_and_its_turn_goes_on() {
    let hears = r#"
say '{"type":"assistant","message":{"content":[{"type":"text","text":"I begin."}]}}'
read -r line
printf '%s\n' "$line" > heard.txt
id=$(printf '%s' "$line" | sed 's/.*"uuid":"\([^"]*\)".*/\1/')
say '{"type":"command_lifecycle","command_uuid":"'"$id"'","state":"queued"}'
ends false
say '{"type":"command_lifecycle","command_uuid":"'"$id"'","state":"started"}'
say '{"type":"assistant","message":{"content":[{"type":"text","text":"I do that as well."}]}}'
ends false
read -r more || exit 0"#;
    let agent = Agent::that(hears);
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    let assignment = prompt(&repository, "Tidy up");
    let attempt = server.assign(&assignment).await;
    server.until_output(attempt, "I begin.").await;
    tell(&server, attempt, 1, message("Mind the tests")).await;
    let report = server.report(attempt).await;
    assert_eq!(report.outcome, WorkOutcome::Completed, "{}", server.log(attempt));
    assert!(repository.show(&report.branch.unwrap(), "heard.txt").unwrap().contains("Mind the tests"));
    let events = session(&server, &assignment);
    let said = Event::Prompt { text: "Mind the tests".into(), by: Some("Ada".into()) };
    let place = events.iter().position(|event| event.kind == said).unwrap();
    let names: Vec<_> = events[place..].iter().map(|event| event.kind.name()).collect();
    assert_eq!(names, ["prompt", "message", "ended"], "its first end was none");
    assert!(server.said(attempt).contains(&Said::Heard { telling: 1 }));
}

/// What is said while the checks run is in the first words of the next round, and is not lost.
#[tokio::test]
async fn what_is_said_between_two_rounds_is_heard_in_the_next() {
    let agent = Agent::that(
        r#"case $prompt in *"says:"*"Mind the tests"*) touch right ;; esac
ends false
read -r more || exit 0"#,
    );
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    let mut assignment = prompt(&repository, "Tidy up");
    // long enough for somebody to say something meanwhile
    let slow = "[ -e right ] || { sleep 2; false; }";
    assignment.checks = crate::harness::checks(&[(domain::CheckKind::CommandSucceeds, Some(slow))]);
    let attempt = server.assign(&assignment).await;
    server.until("the checks", |heard| heard.iter().any(|one| matches!(one, ToServer::Said { said: Said::Verifying, .. }))).await;
    tell(&server, attempt, 1, message("Mind the tests")).await;
    let report = server.report(attempt).await;
    assert_eq!(report.verification.unwrap().passed(), 1, "{}", server.log(attempt));
    assert!(server.said(attempt).contains(&Said::Heard { telling: 1 }));
}
