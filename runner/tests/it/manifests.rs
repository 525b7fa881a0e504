//! Agents that a runner knows from a manifest alone: dropped into a folder, and at work.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
};

use domain::{
    AgentTerms, Ask, Backend, CheckKind, FailureCode, FindingKind, Isolation, LogStream, SessionEventKind as Event, Work,
    endpoint::ModelFormat,
    protocol::{Assignment, Hello, ToServer, WorkOutcome},
    session::{FileChange, SessionEnd},
};
use runner::{AgentConfig, LandingConfig, RoomLimits, RunnerConfig, SandboxConfig};
use tempfile::TempDir;

use crate::{
    agents::{at_an_endpoint, failure, session},
    harness::{Repository, Server, State, checks, config, outcome, said_about, short},
    limits::{HOG, MIB},
};

struct Place {
    root: TempDir,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let place = Self { root };
        fs::create_dir(place.folder()).unwrap();
        fs::set_permissions(place.folder(), Permissions::from_mode(0o700)).unwrap();
        place
    }

    fn folder(&self) -> PathBuf {
        self.root.path().join("agents")
    }

    /// What it does when it is not asked for its version, in shell.
    fn program(&self, does: &str) -> PathBuf {
        let program = self.root.path().join("mine");
        let say = r#"say() { printf '%s\n' "$1"; }"#;
        fs::write(&program, format!("#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'mine 3.2'; exit; fi\n{say}\n{does}\n")).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        program
    }

    /// In one step, as whoever moves it there does it.
    fn put(&self, name: &str, text: &str) {
        let draft = self.root.path().join("draft");
        fs::write(&draft, text).unwrap();
        fs::set_permissions(&draft, Permissions::from_mode(0o600)).unwrap();
        fs::rename(draft, self.folder().join(name)).unwrap();
    }

    fn config(&self, state: &State) -> RunnerConfig {
        RunnerConfig { agents: AgentConfig { manifests: Some(self.folder()), ..AgentConfig::default() }, ..config(state.path()) }
    }

    async fn runs(&self, state: &State) -> Server {
        Server::with_config(self.config(state), short()).await
    }
}

fn manifest(speaks: &str, program: &std::path::Path, more: &str) -> String {
    format!("speaks = \"{speaks}\"\ncommand = [\"{}\"]\n{more}", program.display())
}

fn prompt(repository: &Repository, agent: &str) -> Assignment {
    let agent = AgentTerms { backend: Some(Backend::parse(agent).unwrap()), ..AgentTerms::default() };
    Assignment { work: Work::Prompt("Tidy up".into()), agent, isolation: Isolation::Sandbox, ..repository.command("") }
}

fn last_hello(heard: &[ToServer]) -> Option<&Hello> {
    heard.iter().rev().find_map(|message| if let ToServer::Hello(hello) = message { Some(hello) } else { None })
}

fn names_of(hello: &Hello) -> Vec<String> {
    hello.backends.iter().map(|found| format!("{} {}", found.backend.name(), found.version)).collect()
}

pub async fn until_it_says(server: &Server, agents: &[&str]) -> Hello {
    server.until("the agents that there are now", |heard| last_hello(heard).is_some_and(|hello| names_of(hello) == agents)).await;
    server.hellos().pop().unwrap()
}

const LINES: &str = r#"
variables = { GREETING = "hello {model}" }
model = "small"

[[line]]
when = { "/type" = "text" }
message = { text = "/text" }

[[line]]
when = { "/type" = "run" }
tool_call = { tool = "/tool", input = "/input" }

[[line]]
when = { "/type" = "ran" }
tool_result = { output = "/output", failed = "/code" }

[[line]]
when = { "/type" = "wrote" }
file_change = { path = "/path", change = "written" }

[[line]]
when = { "/type" = "end" }
end = { failed = "/failed", text = "/why" }
"#;

#[tokio::test]
async fn an_agent_that_was_dropped_in_works_and_is_read() {
    let (place, state, repository) = (Place::new(), State::new(), Repository::sample());
    let program = place.program(
        r#"told=$(cat)
case $told in *"Tidy up"*) ;; *) exit 9 ;; esac
[ "$GREETING" = "hello large" ] || exit 8
say '{"type": "run", "tool": "write", "input": {"path": "'"$PWD"'/made.txt"}}'
echo tidied > made.txt
say '{"type": "ran", "output": "1 line", "code": 0}'
say '{"type": "wrote", "path": "made.txt"}'
say 'for the log'
say '{"type": "text", "text": "All is tidy."}'
say '{"type": "end", "failed": false}'"#,
    );
    place.put("mine.toml", &manifest("lines", &program, LINES));
    let server = place.runs(&state).await;
    let hello = server.hellos().remove(0);
    assert_eq!(names_of(&hello), ["own:mine 3.2"], "it is there from the beginning");
    assert!(hello.capabilities.contains(&"own:mine".to_owned()), "tasks that need it find it");
    let mut assignment = prompt(&repository, "own:mine");
    assignment.agent.model = Some("large".into());
    assignment.checks = checks(&[(CheckKind::FileExists, Some("made.txt"))]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(report.outcome, WorkOutcome::Completed, "{}", server.log(assignment.attempt));
    assert_eq!(repository.show(&report.branch.unwrap(), "made.txt").as_deref(), Some("tidied"));
    let events: Vec<_> = session(&server, &assignment).into_iter().map(|event| event.kind).collect();
    let names: Vec<_> = events.iter().map(Event::name).collect();
    assert_eq!(names, ["prompt", "started", "tool_call", "tool_result", "file_change", "message", "ended"], "{events:#?}");
    assert!(
        matches!(&events[1], Event::Started { backend, version: Some(version), .. } if backend.name() == "own:mine" && version == "3.2")
    );
    assert!(matches!(&events[2], Event::ToolCall { input, .. } if input["path"] == "made.txt"), "{:?}", events[2]);
    assert_eq!(events[4], Event::FileChange { path: "made.txt".into(), change: FileChange::Written, diff: None });
    assert_eq!(events[6], Event::Ended { how: SessionEnd::Completed, turns: None, cost_micros: None });
    let log = server.output(assignment.attempt, LogStream::Stdout);
    assert!(log.contains("for the log\n") && log.contains("All is tidy.\n") && !log.contains("\"type\""), "{log}");
}

#[tokio::test]
async fn an_agent_that_prints_a_text_is_judged_by_its_exit_code() {
    let repository = Repository::sample();
    for (code, expected) in [(0, None), (3, Some(FailureCode::CommandFailed))] {
        let (place, state) = (Place::new(), State::new());
        let program = place.program(&format!("cat > /dev/null\necho 'I look around.'\necho\necho 'That is all.'\nexit {code}"));
        place.put("mine.toml", &manifest("text", &program, ""));
        let server = place.runs(&state).await;
        let assignment = prompt(&repository, "own:mine");
        let report = server.carry_out(&assignment).await;
        let failed = matches!(report.outcome, WorkOutcome::Failed { .. }).then(|| failure(&report.outcome));
        assert_eq!(failed, expected, "{}", server.log(assignment.attempt));
        let events = session(&server, &assignment);
        let names: Vec<_> = events.iter().map(|event| event.kind.name()).collect();
        assert_eq!(names, ["prompt", "started", "message", "message", "ended"]);
        let how = if code == 0 { SessionEnd::Completed } else { SessionEnd::Failed };
        assert_eq!(events[4].kind, Event::Ended { how, turns: None, cost_micros: None });
        let found: Vec<_> = report.findings.iter().map(|finding| finding.kind).collect();
        assert!(!found.contains(&FindingKind::NoToolCall), "nobody knows whether it has used one");
        server.stop().await;
    }
}

#[tokio::test]
async fn an_agent_is_told_of_its_endpoint_by_the_variables_that_its_manifest_names() {
    let (place, state, repository) = (Place::new(), State::new(), Repository::sample());
    let program = place.program(r#"cat > /dev/null; echo "$MINE_URL $MINE_MODEL $MINE_KEY""#);
    let provider = "[provider]\nformat = \"openai-chat\"\nurl = \"MINE_URL\"\nmodel = \"MINE_MODEL\"\nkey = \"MINE_KEY\"\n";
    place.put("mine.toml", &manifest("text", &program, provider));
    let server = place.runs(&state).await;
    assert_eq!(server.hellos().remove(0).backends[0].endpoint_format, Some(ModelFormat::OpenaiChat), "the server chooses by that");
    let assignment = at_an_endpoint(prompt(&repository, "own:mine"));
    let report = server.carry_out(&assignment).await;
    assert_eq!(report.outcome, WorkOutcome::Completed, "{}", server.log(assignment.attempt));
    let said = session(&server, &assignment)
        .into_iter()
        .find_map(|event| if let Event::Message { text } = event.kind { Some(text) } else { None });
    assert_eq!(said.as_deref(), Some("http://127.0.0.1:11434/v1 llama3 none"));
}

/// Speaks the protocol: asks for leave, and in a later round goes on with its session.
const SPEAKS_ACP: &str = r#"read -r begin
say '{"jsonrpc": "2.0", "id": 0, "result": {"protocolVersion": 1, "agentInfo": {"version": "3.2"}, "agentCapabilities": {"loadSession": true}}}'
read -r opens
say '{"jsonrpc": "2.0", "id": 1, "result": {"sessionId": "s1"}}'
read -r told
session='{"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": "s1", "update":'
case $opens in
  *session/new*) file=half.txt ;;
  *session/load*s1*) case $told in *"did not pass"*) file=made.txt ;; esac ;;
esac
call='"toolCallId": "c1", "kind": "execute", "rawInput": {"command": "touch '"$file"'"}'
say "$session"' {"sessionUpdate": "tool_call", "status": "pending", '"$call"'}}}'
say '{"jsonrpc": "2.0", "id": 7, "method": "session/request_permission", "params": {"sessionId": "s1", "toolCall": {'"$call"'}, "options": [{"optionId": "always", "kind": "allow_always"}, {"optionId": "once", "kind": "allow_once"}, {"optionId": "no", "kind": "reject_once"}]}}'
read -r answer
case $answer in *'"once"'*) touch "$file" ;; esac
say "$session"' {"sessionUpdate": "tool_call_update", "toolCallId": "c1", "status": "completed"}}}'
say "$session"' {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": "Done."}}}}'
say '{"jsonrpc": "2.0", "id": 10, "result": {"stopReason": "end_turn"}}'
read -r more || exit 0"#;

#[tokio::test]
async fn an_agent_that_speaks_the_protocol_is_spoken_with_in_rounds() {
    let (place, state, repository) = (Place::new(), State::new(), Repository::sample());
    let program = place.program(SPEAKS_ACP);
    place.put("goose.toml", &manifest("acp", &program, ""));
    let server = place.runs(&state).await;
    let mut assignment = prompt(&repository, "acp:goose");
    assignment.checks = checks(&[(CheckKind::FileExists, Some("half.txt")), (CheckKind::FileExists, Some("made.txt"))]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(report.outcome, WorkOutcome::Completed, "{}", server.log(assignment.attempt));
    assert_eq!(report.verification.unwrap().passed(), 2);
    let names: Vec<_> = session(&server, &assignment).iter().map(|event| event.kind.name()).collect();
    let round = ["prompt", "started", "tool_call", "tool_result", "message", "ended"];
    assert_eq!(names, [round, round].concat());
}

#[tokio::test]
async fn what_a_manifest_does_not_say_is_not_done() {
    let (place, state, repository) = (Place::new(), State::new(), Repository::sample());
    let program = place.program("cat > /dev/null; touch made.txt");
    place.put("mine.toml", &manifest("text", &program, ""));
    place.put("goose.toml", &manifest("acp", &program, ""));
    let server = place.runs(&state).await;
    let outside = Assignment { isolation: Isolation::None, ..prompt(&repository, "own:mine") };
    let mut asks = prompt(&repository, "acp:goose");
    asks.agent.ask = Some(Ask::Commands);
    let mut model = prompt(&repository, "own:mine");
    model.agent.model = Some("large".into());
    let unnamed = Assignment { agent: AgentTerms::default(), ..prompt(&repository, "own:mine") };
    for (assignment, expected) in
        [(outside, "in a sandbox alone"), (asks, "does not say that it asks"), (model, "no {model}"), (unnamed, "has to say acp:goose")]
    {
        let report = server.carry_out(&assignment).await;
        let WorkOutcome::Failed { failure } = &report.outcome else { panic!("{report:?}") };
        assert!(failure.code == FailureCode::BackendMissing && failure.message.contains(expected), "{failure:?}");
        assert_eq!(report.branch, None, "nothing was done");
    }
}

#[tokio::test]
async fn what_is_dropped_in_while_work_runs_is_told_and_the_work_goes_on() {
    let (place, state, repository) = (Place::new(), State::new(), Repository::sample());
    let server = place.runs(&state).await;
    assert!(server.hellos().remove(0).backends.is_empty());
    let attempt = server.assign(&repository.command("echo begun; until [ -e go ]; do sleep 0.05; done; echo ended")).await;
    server.until_output(attempt, "begun").await;
    let program = place.program("cat > /dev/null; echo made > made.txt");
    place.put("mine.toml", &manifest("text", &program, ""));
    let hello = until_it_says(&server, &["own:mine 3.2"]).await;
    assert_eq!(hello.attempts, [attempt], "it holds what it held");
    place.put("other.toml", "speaks = 7");
    place.put("goose.toml", &manifest("acp", &program, ""));
    until_it_says(&server, &["acp:goose 3.2", "own:mine 3.2"]).await;
    fs::remove_file(place.folder().join("goose.toml")).unwrap();
    until_it_says(&server, &["own:mine 3.2"]).await;
    fs::write(server.folder(attempt).join("work/go"), "").unwrap();
    assert_eq!(server.report(attempt).await.outcome, WorkOutcome::Completed);
    assert_eq!(server.output(attempt, LogStream::Stdout), "begun\nended\n", "nothing was lost or came twice");
    let assignment = prompt(&repository, "own:mine");
    let report = server.carry_out(&assignment).await;
    assert_eq!(report.outcome, WorkOutcome::Completed, "{}", server.log(assignment.attempt));
    fs::remove_file(place.folder().join("mine.toml")).unwrap();
    until_it_says(&server, &[]).await;
    assert_eq!(server.hellos().len(), 5, "it says so once each time");
}

/// It is given the runner's own variables by their names, and what others are given is not for it.
#[tokio::test]
async fn it_finds_in_its_environment_what_its_manifest_names() {
    let (place, state, repository) = (Place::new(), State::new(), Repository::sample());
    let program = place.program("cat > /dev/null\nenv > given.txt");
    let more = "environment = [\"CARGO_PKG_*\"]\nvariables = { GREETING = \"hello\" }\n";
    place.put("mine.toml", &manifest("text", &program, more));
    let mut config = place.config(&state);
    config.agents.environment = vec![("ANTHROPIC_API_KEY".into(), "key-of-the-agents".into())];
    let server = Server::with_config(config, short()).await;
    let assignment = prompt(&repository, "own:mine");
    let report = server.carry_out(&assignment).await;
    assert_eq!(report.outcome, WorkOutcome::Completed, "{}", server.log(assignment.attempt));
    let given = repository.show(&report.branch.unwrap(), "given.txt").unwrap();
    let has = |name: &str| given.lines().any(|line| line.split_once('=').is_some_and(|(own, _)| own == name));
    let of_the_runner = ["CARGO_PKG_NAME", "CARGO_MANIFEST_DIR"];
    assert!(of_the_runner.iter().all(|name| std::env::var_os(name).is_some()), "whoever runs the tests has them");
    assert_eq!(of_the_runner.map(has), [true, false], "{given}");
    assert_eq!(["GREETING", "ANTHROPIC_API_KEY", "HOME"].map(has), [true, false, true], "{given}");
}

/// Below what everybody is shown nothing new can come to be.
#[tokio::test]
async fn what_it_needs_is_shown_where_a_link_leads() {
    let (place, state, repository) = (Place::new(), State::new(), Repository::sample());
    let (tools, elsewhere) = (place.root.path().join("tools"), place.root.path().join("elsewhere"));
    fs::create_dir(&tools).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("word"), "It is there.\n").unwrap();
    let link = tools.join("extra");
    symlink(&elsewhere, &link).unwrap();
    let program = place.program(&format!("cat > /dev/null\ncat {}", link.join("word").display()));
    place.put("mine.toml", &manifest("text", &program, &format!("needs = [\"{}\"]\n", link.display())));
    let config = place.config(&state);
    let sandbox = SandboxConfig { read: vec![tools], ..config.sandbox.clone() };
    let server = Server::with_config(RunnerConfig { sandbox, ..config }, short()).await;
    let assignment = prompt(&repository, "own:mine");
    let report = server.carry_out(&assignment).await;
    assert_eq!(report.outcome, WorkOutcome::Completed, "{}", server.log(assignment.attempt));
    let said = server.output(assignment.attempt, LogStream::Stdout);
    assert!(said.contains("It is there."), "{said}");
}

#[tokio::test]
async fn it_uses_no_more_of_the_machine_than_others_may() {
    let (place, state, repository) = (Place::new(), State::new(), Repository::sample());
    let program = place.program(&format!("cat > /dev/null\necho half > half.txt\n{HOG}"));
    place.put("mine.toml", &manifest("text", &program, ""));
    let config = place.config(&state);
    let limits = RoomLimits { memory: Some(128 * MIB), ..RoomLimits::default() };
    let sandbox = SandboxConfig { limits, ..config.sandbox.clone() };
    let server = Server::with_config(RunnerConfig { sandbox, ..config }, short()).await;
    let report = server.carry_out(&prompt(&repository, "own:mine")).await;
    let why = "failed command_failed: mine (own) used more than 128 MiB of memory (the runner's MUSTER_SANDBOX_MEMORY), and was ended";
    assert_eq!(outcome(&report), why);
    assert_eq!(repository.show(&report.branch.unwrap(), "half.txt").as_deref(), Some("half"), "what it had done is saved");
}

#[tokio::test]
async fn the_tokens_for_git_are_shown_to_no_agent() {
    let (place, state) = (Place::new(), State::new());
    let tokens = place.root.path().join("tokens");
    fs::create_dir(&tokens).unwrap();
    fs::set_permissions(&tokens, Permissions::from_mode(0o700)).unwrap();
    let program = place.program("cat > /dev/null");
    let said = state.path().join("outbox");
    for (name, needs) in [("a", tokens.clone()), ("b", place.root.path().to_owned()), ("c", place.folder()), ("d", said.clone())] {
        place.put(&format!("{name}.toml"), &manifest("text", &program, &format!("needs = [\"{}\"]\n", needs.display())));
    }
    let landing = LandingConfig { tokens: Some(tokens), ..LandingConfig::default() };
    let server = Server::with_config(RunnerConfig { landing, ..place.config(&state) }, short()).await;
    assert!(said.is_dir(), "what the runner has to say is there, and its own");
    assert_eq!(names_of(&server.hellos().remove(0)), ["own:c 3.2"], "neither they nor what lies around them");
}

/// The server gives what it has heard that there is. Until it has heard of what is gone it may give that.
#[tokio::test]
async fn a_task_for_an_agent_that_is_gone_goes_back_without_a_word() {
    let (place, state, repository) = (Place::new(), State::new(), Repository::sample());
    let program = place.program("cat > /dev/null; touch made.txt");
    place.put("mine.toml", &manifest("text", &program, ""));
    let server = place.runs(&state).await;
    fs::remove_file(place.folder().join("mine.toml")).unwrap();
    until_it_says(&server, &[]).await;
    let before = server.hellos().len();
    let attempt = server.assign(&prompt(&repository, "own:mine")).await;
    let names_nothing = |heard: &[ToServer]| last_hello(heard).is_some_and(|hello| hello.attempts.is_empty() && hello.lost.is_empty());
    let hellos = |heard: &[ToServer]| heard.iter().filter(|message| matches!(message, ToServer::Hello(_))).count();
    server.until("a hello that names it no more", |heard| hellos(heard) > before && names_nothing(heard)).await;
    assert!(server.said(attempt).is_empty(), "what is not named goes back, and nobody is charged: {:?}", server.said(attempt));
    assert!(server.journal() == 0 && !said_about(&server.state, attempt).exists(), "nor has a next life anything to say of it");
    let last = server.stop().await;
    assert!(last.iter().all(|message| !matches!(message, ToServer::Said { .. })), "nor later: {last:?}");
}

/// An attempt goes on with the agent that it began with.
#[tokio::test]
async fn a_manifest_that_is_taken_away_ends_nothing() {
    let (place, state, repository) = (Place::new(), State::new(), Repository::sample());
    let program = place.program("cat > /dev/null\necho begun\necho\nuntil [ -e go ]; do sleep 0.05; done\necho made > made.txt");
    place.put("mine.toml", &manifest("text", &program, ""));
    let server = place.runs(&state).await;
    let assignment = prompt(&repository, "own:mine");
    let attempt = server.assign(&assignment).await;
    server.until_output(attempt, "begun").await;
    fs::remove_file(place.folder().join("mine.toml")).unwrap();
    until_it_says(&server, &[]).await;
    fs::write(server.folder(attempt).join("work/go"), "").unwrap();
    let report = server.report(attempt).await;
    assert_eq!(report.outcome, WorkOutcome::Completed, "{}", server.log(attempt));
    assert_eq!(repository.show(&report.branch.unwrap(), "made.txt").as_deref(), Some("made"));
}
