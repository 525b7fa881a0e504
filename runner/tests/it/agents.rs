//! Prompts that Muster gives to an agent program itself. The program is played here by a script that speaks as Claude Code does; that the
//! real one does so is seen elsewhere.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, time::Duration};

use domain::{
    AgentTerms, Backend, CheckKind, FailureCode, FindingKind, LogStream, SessionEvent, SessionEventKind as Event, Work,
    endpoint::ModelFormat,
    protocol::{AssignedEndpoint, Assignment, Said, ToServer, WorkOutcome},
    session::{EVENTS_MAX, SessionEnd},
};
use runner::{AgentConfig, Limits, RunnerConfig};
use tempfile::TempDir;

use crate::{
    harness::{Repository, Server, State, checks, config, short},
    manifests::until_it_says,
};

/// What it does once it has been told its prompt, in shell.
pub struct Agent {
    _folder: TempDir,
    program: PathBuf,
}

impl Agent {
    pub fn that(does: &str) -> Self {
        Self::of_version("9.9.9", does)
    }

    pub fn of_version(version: &str, does: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("claude");
        let script = format!(
            r#"#!/bin/sh
if [ "$1" = --version ]; then echo "{version} (Claude Code)"; exit; fi
arguments="$*"
read -r begin
read -r prompt
say() {{ printf '%s\n' "$1"; }}
calls() {{ say '{{"type":"assistant","message":{{"content":[{{"type":"tool_use","id":"c","name":"'"$1"'","input":{{"command":"'"$2"'"}}}}]}}}}'; }}
ends() {{ say '{{"type":"result","subtype":"success","is_error":'"$1"',"num_turns":2,"total_cost_usd":0.0013}}'; }}
# one that is to go on in a session that it does not have says nothing but that
if [ -n "$REFUSES" ]; then case $arguments in *--resume*) say '{{"type":"result","subtype":"error_during_execution","is_error":true,"errors":["No conversation found"]}}'; exit 1 ;; esac; fi
say '{{"type":"system","subtype":"init","session_id":"s1","model":"opus","claude_code_version":"9.9.9"}}'
{does}
"#
        );
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        Self { _folder: folder, program }
    }

    pub fn config(&self, state: &State) -> RunnerConfig {
        let environment = vec![("ANTHROPIC_API_KEY".into(), "key-of-the-agents".into())];
        RunnerConfig {
            agents: AgentConfig { claude_code: Some(self.program.clone()), environment, ..AgentConfig::default() },
            ..config(state.path())
        }
    }

    pub async fn runs(&self, state: &State) -> Server {
        Server::with_config(self.config(state), short()).await
    }
}

pub fn prompt(repository: &Repository, words: &str) -> Assignment {
    let agent = AgentTerms { backend: Some(Backend::ClaudeCode), ..AgentTerms::default() };
    Assignment { work: Work::Prompt(words.into()), agent, ..repository.command("") }
}

/// Its model is at an endpoint that understands every format.
pub fn at_an_endpoint(mut assignment: Assignment) -> Assignment {
    let (id, formats) = ("00000000-0000-7000-8000-000000000001".parse().unwrap(), ModelFormat::ALL.to_vec());
    assignment.endpoint = Some(AssignedEndpoint { id, name: "box".into(), url: "http://127.0.0.1:11434".into(), formats });
    assignment.agent.model = Some("llama3".into());
    assignment
}

pub fn session(server: &Server, assignment: &Assignment) -> Vec<SessionEvent> {
    let said = server.said(assignment.attempt).into_iter();
    said.filter_map(|said| if let Said::Session { events } = said { Some(events) } else { None }).flatten().collect()
}

fn names(events: &[SessionEvent]) -> Vec<&'static str> {
    events.iter().map(|event| event.kind.name()).collect()
}

pub fn failure(outcome: &WorkOutcome) -> FailureCode {
    match outcome {
        WorkOutcome::Failed { failure } => failure.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_agent_is_told_its_prompt_works_in_the_worktree_and_is_checked() {
    let agent = Agent::that(
        r#"case $prompt in *"Tidy up"*"It is about these files"*) ;; *) exit 9 ;; esac
case $arguments in *"--max-turns 7"*) ;; *) exit 8 ;; esac
echo tidied > made.txt
[ -d "$CLAUDE_CONFIG_DIR" ] || mkdir -p "$CLAUDE_CONFIG_DIR" || exit 7
echo "for the log"
calls Bash ls
say '{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"c","content":"made.txt"}]}}'
say '{"type":"assistant","message":{"content":[{"type":"text","text":"All is tidy."}]}}'
ends false
read -r more || exit 0"#,
    );
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    let mut assignment = prompt(&repository, "Tidy up");
    assignment.agent.max_turns = Some(7);
    assignment.files = vec!["README.md".into()];
    assignment.checks = checks(&[(CheckKind::FileExists, Some("made.txt"))]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(report.outcome, WorkOutcome::Completed, "{}", server.log(assignment.attempt));
    assert_eq!(report.verification.unwrap().passed(), 1);
    assert_eq!(repository.show(&report.branch.unwrap(), "made.txt").as_deref(), Some("tidied"));
    let events = session(&server, &assignment);
    assert_eq!(names(&events), ["prompt", "started", "tool_call", "tool_result", "message", "ended"]);
    assert_eq!(events.iter().map(|event| event.number).collect::<Vec<_>>(), (1..=6).collect::<Vec<_>>());
    assert_eq!(events[5].kind, Event::Ended { how: SessionEnd::Completed, turns: Some(2), cost_micros: Some(1300) });
    let log = server.output(assignment.attempt, LogStream::Stdout);
    assert!(log.contains("for the log\n") && log.contains("Bash") && log.contains("All is tidy.\n"), "{log}");
    assert!(!log.contains(r#""type""#), "what is for programs is not in the log: {log}");
}

#[tokio::test]
async fn a_runner_says_which_agents_it_has() {
    let state = State::new();
    let agent = Agent::that("");
    let server = agent.runs(&state).await;
    let hello = server.hellos().remove(0);
    assert_eq!(
        hello.backends.iter().map(|found| (found.backend.clone(), found.version.as_str())).collect::<Vec<_>>(),
        [(Backend::ClaudeCode, "9.9.9")]
    );
    assert!(hello.capabilities.contains(&"claude-code".to_owned()), "tasks that need it find it");
    let without = Server::with(&State::new()).await;
    assert!(without.hellos().remove(0).backends.is_empty());
}

#[tokio::test]
async fn a_prompt_for_an_agent_that_is_not_there_fails_at_once() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let report = server.carry_out(&prompt(&repository, "Tidy up")).await;
    assert_eq!(failure(&report.outcome), FailureCode::BackendMissing);
}

#[tokio::test]
async fn what_an_agent_says_of_its_end_counts_more_than_its_exit_code() {
    let repository = Repository::sample();
    for (does, expected) in [
        ("ends true", FailureCode::CommandFailed),
        ("exit 0", FailureCode::CommandFailed),
        (r#"say '{"type":"result","subtype":"error_max_turns","is_error":true}'; exit 1"#, FailureCode::AgentCapped),
        (
            r#"say '{"type":"result","subtype":"success","is_error":true,"api_error_status":401,"result":"no"}'"#,
            FailureCode::ProviderRefused,
        ),
        (r#"say '{"type":"result","subtype":"success","is_error":true,"api_error_status":529}'; exit 1"#, FailureCode::ProviderLimit),
        ("ends false; exit 3", FailureCode::CommandFailed),
        ("ends false; kill -9 $$", FailureCode::CommandFailed),
    ] {
        let state = State::new();
        let agent = Agent::that(does);
        let server = agent.runs(&state).await;
        let assignment = prompt(&repository, "Tidy up");
        let report = server.carry_out(&assignment).await;
        assert_eq!(failure(&report.outcome), expected, "{does}: {:?}", report.outcome);
        server.stop().await;
    }
}

#[tokio::test]
async fn work_that_was_done_before_an_agent_failed_is_saved() {
    let (state, repository) = (State::new(), Repository::sample());
    let agent = Agent::that("echo half > half.txt; ends true");
    let server = agent.runs(&state).await;
    let report = server.carry_out(&prompt(&repository, "Tidy up")).await;
    assert_eq!(repository.show(&report.branch.unwrap(), "half.txt").as_deref(), Some("half"));
}

/// Its own leave ends at the worktree; around it is a sandbox or nothing.
#[tokio::test]
async fn an_agent_asks_for_leave_and_gets_what_its_sandbox_allows() {
    let agent = Agent::that(
        r#"calls Bash "touch made.txt"
say '{"type":"control_request","request_id":"q1","request":{"subtype":"can_use_tool","tool_name":"Bash","input":{"command":"touch made.txt"}}}'
read -r answer
case $answer in *q1*'"behavior":"allow"'*) touch made.txt ;; esac
ends false"#,
    );
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    let assignment = prompt(&repository, "Tidy up");
    let report = server.carry_out(&assignment).await;
    let events = session(&server, &assignment);
    if std::env::var_os("MUSTER_TEST_SANDBOX").is_some() {
        assert_eq!(report.outcome, WorkOutcome::Completed);
        assert!(repository.show(&report.branch.unwrap(), "made.txt").is_some());
        assert!(!names(&events).contains(&"permission"));
    } else {
        assert_eq!(failure(&report.outcome), FailureCode::AgentDenied);
        let denied = Event::Permission { tool: "Bash".into(), subject: "touch made.txt".into(), allowed: false, by: "Muster".into() };
        assert!(events.iter().any(|event| event.kind == denied), "{events:#?}");
    }
}

#[tokio::test]
async fn the_key_of_the_agents_is_for_them_alone() {
    let agent = Agent::that(r#"printf '%s' "$ANTHROPIC_API_KEY" | tr a-z A-Z > made.txt; ends false"#);
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    let mut assignment = prompt(&repository, "Tidy up");
    assignment.checks =
        checks(&[(CheckKind::CommandSucceeds, Some(r#"test -z "$ANTHROPIC_API_KEY" && grep -q KEY-OF-THE-AGENTS made.txt"#))]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(report.verification.unwrap().passed(), 1, "{}", server.log(assignment.attempt));
    let log = format!("{:?}", server.heard());
    assert!(!log.contains("key-of-the-agents"), "nothing that was said has it");
}

#[tokio::test]
async fn an_agent_is_ended_as_any_work_is() {
    let agent =
        Agent::that("say '{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"I think.\"}]}}'; sleep 600");
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    let assignment = prompt(&repository, "Tidy up");
    let attempt = server.assign(&assignment).await;
    server.until_output(attempt, "I think.").await;
    server.cancel(attempt).await;
    assert_eq!(server.report(attempt).await.outcome, WorkOutcome::Cancelled);
    let late = Assignment { timeout_seconds: 1, ..prompt(&repository, "Tidy up") };
    assert_eq!(server.carry_out(&late).await.outcome, WorkOutcome::TimedOut { seconds: 1 });
}

/// Neither side may wait for the other with a full pipe.
#[tokio::test]
async fn an_agent_that_reads_late_and_says_much_is_heard_whole() {
    let agent = Agent::that(
        r#"for i in 1 2 3 4 5 6 7 8 9 10; do
  say '{"type":"control_request","request_id":"q'$i'","request":{"subtype":"later","filler":"'$(head -c 60000 /dev/zero | tr '\0' x)'"}}'
done
for i in 1 2 3 4 5 6 7 8 9 10; do read -r answer; done
case $answer in *q10*) ends false ;; esac"#,
    );
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    let long = format!("Tidy up. {}", "Take care. ".repeat(9_000));
    let assignment = prompt(&repository, &long);
    let report = server.carry_out(&assignment).await;
    assert_eq!(report.outcome, WorkOutcome::Completed, "{}", server.log(assignment.attempt));
    let events = session(&server, &assignment);
    let Event::Prompt { text, .. } = &events[0].kind else { panic!("{events:?}") };
    assert!(text.contains("bytes are left out here"), "what is kept of it is cut");
}

#[tokio::test]
async fn of_a_session_without_end_the_first_part_is_kept_and_its_end() {
    let agent = Agent::that(
        r#"line='{"type":"assistant","message":{"content":[{"type":"text","text":"again"}]}}'
yes "$line" | head -n 25000
ends false"#,
    );
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    let assignment = prompt(&repository, "Tidy up");
    assert_eq!(server.carry_out(&assignment).await.outcome, WorkOutcome::Completed);
    let events = session(&server, &assignment);
    // room is kept for the ends of later rounds
    let first_part = EVENTS_MAX - 12;
    assert_eq!(events.len() as i64, first_part + 2);
    let (missing, ended) = (&events[events.len() - 2].kind, &events[events.len() - 1].kind);
    // the prompt, the start and 25,000 messages
    assert_eq!(*missing, Event::LeftOut { events: (25_002 - first_part) as u64 });
    assert!(matches!(ended, Event::Ended { how: SessionEnd::Completed, .. }));
}

#[tokio::test]
async fn a_session_goes_on_over_the_next_link() {
    let agent = Agent::that(
        r#"say '{"type":"assistant","message":{"content":[{"type":"text","text":"before"}]}}'
until [ -e go ]; do sleep 0.05; done
say '{"type":"assistant","message":{"content":[{"type":"text","text":"after"}]}}'
ends false"#,
    );
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    let assignment = prompt(&repository, "Tidy up");
    let attempt = server.assign(&assignment).await;
    server.until_output(attempt, "before").await;
    server.cut();
    fs::write(server.folder(attempt).join("work/go"), "").unwrap();
    assert_eq!(server.report(attempt).await.outcome, WorkOutcome::Completed);
    let events = session(&server, &assignment);
    assert_eq!(names(&events), ["prompt", "started", "message", "message", "ended"]);
    let sequences = server.heard().into_iter().filter_map(|message| match message {
        ToServer::Said { attempt: of, sequence, .. } if of == attempt => Some(sequence),
        _ => None,
    });
    assert!(sequences.is_sorted_by(|one, next| next == &(one + 1)), "each was heard once and in its order");
}

/// Does half of the work when it is told its task, and the rest when it is told what is missing.
const HALF_AND_HALF: &str = r#"case "$arguments" in
  *--resume*)
    case $prompt in *"did not pass"*made.txt*) ;; *) exit 9 ;; esac
    session=$(sed 's/.*--session-id \([^ ]*\).*/\1/' "$CLAUDE_CONFIG_DIR/memory") && [ "${#session}" = 36 ] || exit 8
    case $arguments in *"--resume $session"*) ;; *) exit 7 ;; esac
    echo made > made.txt ;;
  *--session-id*) mkdir -p "$CLAUDE_CONFIG_DIR"; echo "$arguments" > "$CLAUDE_CONFIG_DIR/memory"; echo half > half.txt ;;
esac
ends false"#;

#[tokio::test]
async fn an_agent_whose_checks_do_not_pass_is_told_so_in_its_session_and_repairs_it() {
    let agent = Agent::that(HALF_AND_HALF);
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    let mut assignment = prompt(&repository, "Tidy up");
    assignment.checks = checks(&[(CheckKind::FileExists, Some("half.txt")), (CheckKind::FileExists, Some("made.txt"))]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(report.outcome, WorkOutcome::Completed, "{}", server.log(assignment.attempt));
    assert_eq!(report.verification.unwrap().passed(), 2);
    let said: Vec<_> = server.said(assignment.attempt).into_iter().filter(|said| !matches!(said, Said::Session { .. })).collect();
    let [Said::Started { .. }, Said::Verifying, Said::WorksAgain { round: 1, verification }, Said::Verifying, Said::Report { .. }] =
        &said[..]
    else {
        panic!("{said:#?}")
    };
    assert_eq!(verification.passed(), 1);
    let events = session(&server, &assignment);
    assert_eq!(names(&events), ["prompt", "started", "ended", "prompt", "started", "ended"]);
    assert!(events.iter().map(|event| event.number).eq(1..=6), "its numbers go on");
    assert!(server.log(assignment.attempt).contains("1 check has not passed; the agent is told so and goes on, round 2"));
}

#[tokio::test]
async fn an_agent_goes_on_as_often_as_the_task_says() {
    let agent = Agent::that("echo \"$arguments\" >> told.txt; ends false");
    let repository = Repository::sample();
    for (retries, rounds) in [(Some(0), 1), (Some(3), 4), (None, 3)] {
        let state = State::new();
        let server = agent.runs(&state).await;
        let mut assignment = prompt(&repository, "Tidy up");
        assignment.agent.max_verification_retries = retries;
        assignment.checks = checks(&[(CheckKind::FileExists, Some("told.txt")), (CheckKind::FileExists, Some("made.txt"))]);
        let report = server.carry_out(&assignment).await;
        let told = repository.show(&report.branch.unwrap(), "told.txt").unwrap();
        assert_eq!(told.lines().count(), rounds, "{retries:?}");
        assert_eq!(report.verification.unwrap().passed(), 1, "what is there in the end is said");
        server.stop().await;
    }
}

/// The time that a task allows is for all rounds together.
#[tokio::test]
async fn rounds_share_the_time_of_their_task() {
    let agent = Agent::that("sleep 2; ends false");
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    let mut assignment = Assignment { timeout_seconds: 5, ..prompt(&repository, "Tidy up") };
    assignment.agent.max_verification_retries = Some(5);
    assignment.checks = checks(&[(CheckKind::FileExists, Some("made.txt"))]);
    assert_eq!(server.carry_out(&assignment).await.outcome, WorkOutcome::TimedOut { seconds: 5 });
    let rounds = server.said(assignment.attempt).into_iter().filter(|said| matches!(said, Said::WorksAgain { .. }));
    assert!((1..=2).contains(&rounds.count()), "each takes two seconds");
}

#[tokio::test]
async fn nobody_is_told_to_repair_what_could_not_be_checked() {
    let agent = Agent::that("ends false");
    let (state, repository) = (State::new(), Repository::with(&[("README.md", "# No tests\n")]));
    let server = agent.runs(&state).await;
    let mut assignment = prompt(&repository, "Tidy up");
    assignment.checks = checks(&[(CheckKind::TestPasses, Some("auto"))]);
    assert_eq!(server.carry_out(&assignment).await.outcome, WorkOutcome::Completed);
    assert!(!server.said(assignment.attempt).iter().any(|said| matches!(said, Said::WorksAgain { .. })));
}

#[tokio::test]
async fn a_session_that_is_full_goes_on_and_ends() {
    let agent = Agent::that(
        r#"case "$arguments" in
  *--resume*) echo made > made.txt ;;
  *) yes '{"type":"assistant","message":{"content":[{"type":"text","text":"again"}]}}' | head -n 25000 ;;
esac
ends false"#,
    );
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    let mut assignment = prompt(&repository, "Tidy up");
    assignment.checks = checks(&[(CheckKind::FileExists, Some("made.txt"))]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(report.verification.unwrap().passed(), 1);
    let events = session(&server, &assignment);
    assert!(events.len() as i64 <= EVENTS_MAX && events.iter().map(|event| event.number).eq(1..=events.len() as i64));
    assert_eq!(names(&events).iter().filter(|name| **name == "ended").count(), 2);
}

/// In its first round the work had a home; what the runner puts there for the next is not to be led astray.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_an_agent_leaves_in_its_home_leads_the_runner_nowhere() {
    let outside = tempfile::tempdir().unwrap();
    let precious = outside.path().join("precious");
    fs::write(&precious, "mine").unwrap();
    for trap in [
        format!("ln -s {} \"$HOME/.gitconfig\"", precious.display()),
        "mkfifo \"$HOME/.gitconfig\"".into(),
        "mkdir \"$HOME/.gitconfig\"".into(),
    ] {
        let agent = Agent::that(&format!(
            "case \"$arguments\" in *--resume*) git config user.name > made.txt ;; *) rm -f \"$HOME/.gitconfig\"; {trap} ;; esac\nends false"
        ));
        let (state, repository) = (State::new(), Repository::sample());
        let server = agent.runs(&state).await;
        let mut assignment = Assignment { isolation: domain::Isolation::Sandbox, ..prompt(&repository, "Tidy up") };
        assignment.checks = checks(&[(CheckKind::FileExists, Some("made.txt"))]);
        let report = server.carry_out(&assignment).await;
        assert_eq!(report.outcome, WorkOutcome::Completed, "{trap}: {}", server.log(assignment.attempt));
        assert_eq!(report.verification.unwrap().passed(), 1, "{trap}");
        assert_eq!(fs::read_to_string(&precious).unwrap(), "mine");
        server.stop().await;
    }
}

/// What was done in the rounds before is on its branch.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_later_round_that_cannot_begin_costs_nothing_that_was_done() {
    let agent = Agent::that("echo half > half.txt; ends false");
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    let mut assignment = Assignment { isolation: domain::Isolation::Sandbox, ..prompt(&repository, "Tidy up") };
    assignment.checks = checks(&[(CheckKind::CommandSucceeds, Some("until [ -e go ]; do sleep 0.02; done; rm go; false"))]);
    let attempt = server.assign(&assignment).await;
    server.until("the checks", |heard| heard.iter().any(|one| matches!(one, ToServer::Said { said: Said::Verifying, .. }))).await;
    fs::remove_file(&agent.program).unwrap();
    fs::write(server.folder(attempt).join("work/go"), "").unwrap();
    let report = server.report(attempt).await;
    assert!(matches!(report.outcome, WorkOutcome::Failed { .. }), "{:?}", report.outcome);
    assert_eq!(repository.show(&report.branch.unwrap(), "half.txt").as_deref(), Some("half"));
}

#[tokio::test]
async fn an_agent_that_was_updated_is_found_again() {
    let agent = Agent::that("echo made > made.txt; ends false");
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    // as an installer does it: another file behind the same name
    let (link, new) = (agent.program.with_file_name("link"), agent.program.with_file_name("claude-2"));
    std::os::unix::fs::symlink(&agent.program, &link).unwrap();
    let linked =
        RunnerConfig { agents: AgentConfig { claude_code: Some(link.clone()), ..AgentConfig::default() }, ..config(State::new().path()) };
    server.stop().await;
    // when an attempt begins, and not because somebody looks around
    let limits = Limits { look: Duration::from_secs(3600), ..short() };
    let server = Server::with_config(RunnerConfig { state_dir: state.path(), ..linked }, limits).await;
    fs::rename(&agent.program, &new).unwrap();
    fs::remove_file(&link).unwrap();
    std::os::unix::fs::symlink(&new, &link).unwrap();
    let report = server.carry_out(&prompt(&repository, "Tidy up")).await;
    assert_eq!(report.outcome, WorkOutcome::Completed, "{report:?}");
    let plain = server.carry_out(&repository.command("true")).await;
    assert_eq!(plain.outcome, WorkOutcome::Completed, "what has no agent is not touched by it");
}

#[tokio::test]
async fn an_agent_that_is_installed_updated_or_taken_away_is_told_without_another_start() {
    let agent = Agent::that("echo made > made.txt; ends false");
    let (state, repository) = (State::new(), Repository::sample());
    let (installed, aside) = (agent.program.clone(), agent.program.with_file_name("not yet"));
    fs::rename(&installed, &aside).unwrap();
    let server = agent.runs(&state).await;
    assert!(server.hellos().remove(0).backends.is_empty());
    let attempt = server.assign(&repository.command("echo begun; until [ -e go ]; do sleep 0.05; done; echo ended")).await;
    server.until_output(attempt, "begun").await;
    fs::rename(&aside, &installed).unwrap();
    let hello = until_it_says(&server, &["claude-code 9.9.9"]).await;
    assert_eq!(hello.attempts, [attempt], "it holds what it held");
    assert!(hello.capabilities.contains(&"claude-code".to_owned()), "tasks that need it find it");
    let updated = fs::read_to_string(&installed).unwrap().replace("9.9.9 (Claude Code)", "9.9.10 (Claude Code)");
    fs::write(&aside, updated).unwrap();
    fs::set_permissions(&aside, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&aside, &installed).unwrap();
    until_it_says(&server, &["claude-code 9.9.10"]).await;
    fs::write(server.folder(attempt).join("work/go"), "").unwrap();
    assert_eq!(server.report(attempt).await.outcome, WorkOutcome::Completed);
    assert_eq!(server.output(attempt, LogStream::Stdout), "begun\nended\n", "nothing was lost or came twice");
    let report = server.carry_out(&prompt(&repository, "Tidy up")).await;
    assert_eq!(report.outcome, WorkOutcome::Completed, "{report:?}");
    fs::remove_file(&installed).unwrap();
    until_it_says(&server, &[]).await;
    assert_eq!(server.hellos().len(), 4, "it says so once each time");
}

#[tokio::test]
async fn an_agent_that_fails_in_a_later_round_has_failed() {
    let agent = Agent::that("case \"$arguments\" in *--resume*) ends true ;; *) ends false ;; esac");
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    let mut assignment = prompt(&repository, "Tidy up");
    assignment.checks = checks(&[(CheckKind::FileExists, Some("made.txt"))]);
    assert_eq!(failure(&server.carry_out(&assignment).await.outcome), FailureCode::CommandFailed);
}

#[tokio::test]
async fn an_agent_that_has_said_all_and_does_not_go_is_ended_and_its_work_counts() {
    let agent = Agent::that("echo made > made.txt; ends false; sleep 600");
    let (state, repository) = (State::new(), Repository::sample());
    let server = agent.runs(&state).await;
    let mut assignment = prompt(&repository, "Tidy up");
    assignment.checks = checks(&[(CheckKind::FileExists, Some("made.txt"))]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(report.outcome, WorkOutcome::Completed, "{}", server.log(assignment.attempt));
    assert_eq!(report.verification.unwrap().passed(), 1);
    assert!(server.log(assignment.attempt).contains("had said all, and was ended"));
}

#[tokio::test]
async fn what_speaks_against_a_result_is_found_whatever_its_checks_say() {
    let tests = "#[test]\nfn one() {}\n\n#[test]\nfn two() {}\n";
    let repository = Repository::with(&[("src/lib.rs", tests), ("README.md", "# Sample\n")]);
    let kinds = async |does: &str| {
        let agent = Agent::that(does);
        let state = State::new();
        let server = agent.runs(&state).await;
        let mut assignment = prompt(&repository, "Tidy up");
        assignment.checks = checks(&[(CheckKind::FileExists, Some("README.md"))]);
        let report = server.carry_out(&assignment).await;
        assert_eq!(report.verification.unwrap().passed(), 1);
        server.stop().await;
        report.findings.into_iter().map(|finding| finding.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds("ends false").await, [FindingKind::NoChange, FindingKind::NoToolCall]);
    assert_eq!(kinds("calls Bash ls; echo more >> README.md; ends false").await, []);
    let removes = "calls Bash x; printf '#[test]\\n#[ignore]\\nfn one() {}\\n' > src/lib.rs; ends false";
    assert_eq!(kinds(removes).await, [FindingKind::TestsRemoved, FindingKind::TestsSkipped]);
    let state = State::new();
    let server = Server::with(&state).await;
    let report = server.carry_out(&repository.command("true")).await;
    assert_eq!(report.findings, [], "a command may change nothing");
}
