//! From the assignment to the report.

use std::fs;

use domain::{
    CheckKind, CheckStatus, FailureCode, LogStream, Work,
    protocol::{Said, ToServer, WorkOutcome},
};
use runner::{Paths, RunnerConfig};

use crate::{
    agents::{self, Agent},
    harness::{Repository, Server, State, check_output, checks, config, diff, failure_code, outcome, short, statuses, without_a_sandbox},
};

#[tokio::test]
async fn a_task_is_done_checked_and_saved() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let mut assignment =
        repository.command("echo working; echo careful >&2; echo hello > hello.txt; git add hello.txt; git commit --quiet -m 'Say hello'");
    assignment.checks = checks(&[
        (CheckKind::FileExists, Some("hello.txt")),
        (CheckKind::CommandSucceeds, Some("grep hello hello.txt")),
        (CheckKind::TestPasses, Some("auto")),
        (CheckKind::GitClean, None),
    ]);
    let report = server.carry_out(&assignment).await;

    assert_eq!(outcome(&report), "completed");
    assert_eq!(report.exit_code, Some(0));
    assert_eq!(statuses(&report), [CheckStatus::Passed; 4], "{report:#?}");
    assert_eq!(check_output(&report, 1), "hello\n");
    assert_eq!(check_output(&report, 2), "tests ran\n");
    assert_eq!(report.verification.as_ref().unwrap().checks[2].command.as_deref(), Some("make test"));

    let branch = format!("muster/{}-1", assignment.attempt.task_id.short());
    assert_eq!(report.branch.as_deref(), Some(branch.as_str()));
    assert_eq!(report.commit.as_deref(), Some(repository.git(&["rev-parse", &branch]).as_str()));
    assert_eq!(repository.show(&branch, "hello.txt").as_deref(), Some("hello"));
    assert!(diff(&report).contains("+hello"), "{}", diff(&report));
    assert_eq!(repository.git(&["status", "--porcelain"]), "", "the user's checkout is as it was");

    let attempt = assignment.attempt;
    assert_eq!(server.output(attempt, LogStream::Stdout), "working\n");
    assert_eq!(server.output(attempt, LogStream::Stderr), "careful\n");
    let said = server.output(attempt, LogStream::Muster);
    for line in
        ["Fetched /", "Branch muster/", "$ echo working;", "The command ended with exit status 0", "Check 4 of 4, git_clean: passed"]
    {
        assert!(said.contains(line), "{line} in {said}");
    }
    assert!(!server.folder(attempt).exists());
    server.until_the_journal_is_empty().await;
}

#[tokio::test]
async fn what_is_said_comes_in_order() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let assignment = repository.command("true");
    let report = server.carry_out(&assignment).await;
    let heard = server.heard();
    let at = |wanted: &dyn Fn(&ToServer) -> bool| heard.iter().position(wanted).unwrap();
    let held = at(&|message| matches!(message, ToServer::Heartbeat { attempts, .. } if attempts.contains(&assignment.attempt)));
    let started = at(&|message| matches!(message, ToServer::Said { said: Said::Started { .. }, .. }));
    assert!(held < started);
    let said = server.said(assignment.attempt);
    let [Said::Started { base_commit, .. }, Said::Verifying, Said::Report { .. }] = &said[..] else { panic!("{said:#?}") };
    assert_eq!((report.branch, report.commit), (None, None), "nothing was changed");
    assert!(report.artifacts.is_empty());
    assert_eq!(repository.branches(), Vec::<String>::new());
    assert_eq!(*base_commit, repository.git(&["rev-parse", "HEAD"]));
}

#[tokio::test]
async fn a_report_that_is_too_long_for_one_message_goes_in_parts() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let mut assignment = repository.command("seq 1 80000 > numbers.txt");
    assignment.checks = checks(&[(CheckKind::FileExists, Some("numbers.txt"))]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(statuses(&report), [CheckStatus::Passed]);
    assert!(diff(&report).contains("+80000\n"), "all of it is there");
    let said = server.said(assignment.attempt);
    let [Said::Started { .. }, Said::Verifying, parts @ .., Said::ReportInParts { .. }] = &said[..] else { panic!("{said:?}") };
    assert!(parts.len() > 1 && parts.iter().all(|part| matches!(part, Said::Part { .. })), "{} parts", parts.len());
    server.until_the_journal_is_empty().await;
}

#[tokio::test]
async fn a_runner_that_takes_no_paths_works_on_the_one_of_its_own() {
    let (state, repository) = (State::new(), Repository::sample());
    let assignment = repository.command("true");
    let own = Paths::Only(assignment.repository.clone().into());
    let server = Server::with_config(RunnerConfig { paths: own, ..config(state.path()) }, short()).await;
    assert_eq!(outcome(&server.carry_out(&assignment).await), "completed");
    for elsewhere in ["/", &format!("{}/.", assignment.repository)] {
        let mut assignment = repository.command("true");
        assignment.repository = elsewhere.into();
        let report = server.carry_out(&assignment).await;
        assert_eq!(failure_code(&report), Some(FailureCode::RepositoryUnavailable), "{elsewhere}: {report:?}");
        assert!(outcome(&report).contains("no repository that is a path"), "{}", outcome(&report));
    }
}

#[tokio::test]
async fn a_command_that_fails_is_not_checked_but_its_work_is_saved() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let mut assignment = repository.command("echo half > half.txt; exit 3");
    assignment.checks = checks(&[(CheckKind::GitClean, None)]);
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "failed command_failed: the command ended with exit status 3");
    assert_eq!(report.exit_code, Some(3));
    assert_eq!(report.verification, None);
    assert_eq!(repository.show(&report.branch.unwrap(), "half.txt").as_deref(), Some("half"));

    let killed = server.carry_out(&without_a_sandbox(repository.command("kill -KILL $$"))).await;
    assert_eq!(
        outcome(&killed),
        "failed command_failed: the command was ended by signal 9 (SIGKILL): when nobody did that, the machine ran out of memory"
    );
    assert_eq!(killed.exit_code, None);
}

#[tokio::test]
async fn work_that_was_told_to_come_back_later_says_so() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let report = server.carry_out(&repository.command("echo 90 > \"$MUSTER_RETRY_AFTER\"; exit 75")).await;
    let message = "the command ended with exit status 75, and was told to come back after 90 s";
    assert_eq!(outcome(&report), format!("failed provider_limit: {message}"));
    let WorkOutcome::Failed { failure } = &report.outcome else { unreachable!() };
    assert_eq!((failure.retry_after_seconds, report.exit_code), (Some(90), Some(75)));

    let nonsense = repository.command("echo soon > \"$MUSTER_RETRY_AFTER\"; exit 1");
    assert_eq!(outcome(&server.carry_out(&nonsense).await), "failed command_failed: the command ended with exit status 1");
    server.until_muster_says(nonsense.attempt, "“soon” is not a number of seconds").await;
    let fine = server.carry_out(&repository.command("echo 90 > \"$MUSTER_RETRY_AFTER\"")).await;
    assert_eq!(outcome(&fine), "completed", "it ended well, so nothing is tried again");
}

#[tokio::test]
async fn an_agent_that_was_told_to_come_back_later_says_so_but_not_instead_of_what_a_person_is_to_decide() {
    let repository = Repository::sample();
    for (ends, expected) in [
        (
            r#"say '{"type":"result","subtype":"success","is_error":true,"api_error_status":429}'; exit 1"#,
            (FailureCode::ProviderLimit, Some(90)),
        ),
        ("exit 75", (FailureCode::ProviderLimit, Some(90))),
        (r#"say '{"type":"result","subtype":"error_max_turns","is_error":true}'; exit 1"#, (FailureCode::AgentCapped, None)),
    ] {
        let state = State::new();
        let agent = Agent::that(&format!("echo 90 > \"$MUSTER_RETRY_AFTER\"\n{ends}"));
        let server = agent.runs(&state).await;
        let report = server.carry_out(&agents::prompt(&repository, "Tidy up")).await;
        let WorkOutcome::Failed { failure } = &report.outcome else { panic!("{report:?}") };
        assert_eq!((failure.code, failure.retry_after_seconds), expected, "{ends}: {failure:?}");
        server.stop().await;
    }
}

#[tokio::test]
async fn what_cannot_be_fetched_from_elsewhere_may_be_there_the_next_time() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let mut assignment = repository.command("true");
    // a port that is free once more
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assignment.repository = format!("http://{free}/app.git");
    let report = server.carry_out(&assignment).await;
    assert_eq!(failure_code(&report), Some(FailureCode::RepositoryUnreachable), "{}", outcome(&report));
}

#[tokio::test]
async fn the_environment_is_what_is_promised_and_nothing_else() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let mut assignment =
        repository.command("env -0 | cut -z -d= -f1 | tr '\\0' '\\n'; printf '%s|%s' \"$MUSTER_FILES\" \"$MUSTER_ATTEMPT\" >&2");
    assignment.files = vec!["a.rs".into(), "b c.rs".into()];
    server.carry_out(&assignment).await;
    assert_eq!(server.output(assignment.attempt, LogStream::Stderr), "a.rs\nb c.rs|1");
    let allowed = ["PATH", "HOME", "LANG", "TERM", "TZ", "USER", "LOGNAME", "TMPDIR", "FORCE_COLOR", "CLICOLOR_FORCE", "PWD"];
    let tools = ["RUSTUP_HOME", "NVM_DIR", "VOLTA_HOME", "PYENV_ROOT", "RBENV_ROOT", "ASDF_DATA_DIR", "MISE_DATA_DIR", "SDKMAN_DIR"];
    let more_tools = ["BUN_INSTALL", "GOROOT", "JAVA_HOME"];
    let allowed = [&allowed[..], &tools, &more_tools].concat();
    let prefixes = ["LC_", "MUSTER_", "GIT_AUTHOR_", "GIT_COMMITTER_"];
    let names = server.output(assignment.attempt, LogStream::Stdout);
    assert!(names.lines().any(|name| name == "MUSTER_TASK_ID"), "{names}");
    for name in names.lines() {
        assert!(allowed.contains(&name) || prefixes.iter().any(|prefix| name.starts_with(prefix)), "{name} in {names}");
    }
}

#[tokio::test]
async fn failed_checks_reach_the_next_attempt() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let mut first = repository.command("true");
    first.checks = checks(&[(CheckKind::CommandSucceeds, Some("echo the door is shut; exit 1"))]);
    let report = server.carry_out(&first).await;

    let mut second =
        repository.command("cat \"$MUSTER_FAILED_CHECKS\"; echo; echo \"$MUSTER_FAILED_CHECKS_TEXT\" >&2; git status --porcelain");
    second.attempt.number = 2;
    second.failed_checks = report.verification.unwrap().failed().cloned().collect();
    server.carry_out(&second).await;
    let given: Vec<domain::CheckResult> = {
        let output = server.output(second.attempt, LogStream::Stdout);
        serde_json::from_str(&output).expect("the file holds the checks, and lies outside of the worktree")
    };
    assert_eq!(given, second.failed_checks);
    let text = server.output(second.attempt, LogStream::Stderr);
    assert!(text.contains("command_succeeds") && text.contains("the door is shut"), "{text}");
}

#[tokio::test]
async fn a_prompt_goes_to_the_agent() {
    let (state, repository) = (State::new(), Repository::sample());
    let agent = "read line; echo \"read $line\"; cat \"$MUSTER_PROMPT_FILE\"; echo done > answer.txt";
    let config = RunnerConfig { agent_command: Some(agent.into()), ..config(state.path()) };
    let server = Server::with_config(config, short()).await;
    let mut assignment = repository.command("");
    assignment.work = Work::Prompt("Tidy up\nthe cellar".into());
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed");
    assert_eq!(server.output(assignment.attempt, LogStream::Stdout), "read Tidy up\nTidy up\nthe cellar");
    assert!(diff(&report).contains("answer.txt"));
}

#[tokio::test]
async fn what_others_give_is_data_and_what_it_leaves_is_kept() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let mut assignment = repository.command(
        "printf '%s' \"$MUSTER_INPUT_NAME\" > said.txt
         printf '{\"said\": \"%s\", \"count\": %s}' \"$(cat said.txt | tr -d '\"$();')\" \"$MUSTER_INPUT_COUNT\" > \"$MUSTER_OUTPUT\"
         cat \"$MUSTER_INPUTS\"",
    );
    let hostile = "$(touch /tmp/never); `id`";
    assignment.inputs = [("name".into(), serde_json::json!(hostile)), ("count".into(), serde_json::json!(3))].into();
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed");
    assert!(diff(&report).contains(hostile), "it reached the command as it is: {}", diff(&report));
    assert_eq!(report.output, Some(serde_json::json!({"said": "touch /tmp/never `id`", "count": 3})));
    let given: serde_json::Value = serde_json::from_str(&server.output(assignment.attempt, LogStream::Stdout)).unwrap();
    assert_eq!(given, serde_json::json!({"name": hostile, "count": 3}));
    assert!(!diff(&report).contains("output"), "the output is no part of what was changed");
}

#[tokio::test]
async fn an_output_that_is_too_long_is_left_out_and_said() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let assignment = repository.command("head -c 70000 /dev/zero | tr '\\0' x > \"$MUSTER_OUTPUT\"");
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed");
    assert_eq!(report.output, None);
    assert!(server.output(assignment.attempt, LogStream::Muster).contains("The output was left out: it has 70000 bytes"));
}

#[tokio::test]
async fn a_prompt_without_an_agent_fails_at_once() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let mut assignment = repository.command("");
    assignment.work = Work::Prompt("Tidy up".into());
    let report = server.carry_out(&assignment).await;
    assert_eq!(failure_code(&report), Some(FailureCode::BackendMissing));
}

#[tokio::test]
async fn a_command_longer_than_the_system_takes_is_run_all_the_same() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let assignment = repository.command(&format!("# {}\necho ran", "x".repeat(200_000)));
    let report = server.carry_out(&assignment).await;
    assert_eq!(outcome(&report), "completed");
    assert_eq!(server.output(assignment.attempt, LogStream::Stdout), "ran\n");
}

#[tokio::test]
async fn a_repository_that_is_not_there_is_said_so() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let mut assignment = repository.command("true");
    assignment.repository = "/nonexistent/repository".into();
    let report = server.carry_out(&assignment).await;
    let expected = "failed repository_unavailable: there is no folder /nonexistent/repository on the runner's machine";
    assert_eq!(outcome(&report), expected);

    let plain = tempfile::tempdir().unwrap();
    assignment = repository.command("true");
    assignment.repository = plain.path().to_str().unwrap().into();
    let report = server.carry_out(&assignment).await;
    assert_eq!(failure_code(&report), Some(FailureCode::RepositoryUnavailable), "{}", outcome(&report));

    assignment = repository.command("true");
    assignment.repository = "ext::sh -c id".into();
    assert_eq!(failure_code(&server.carry_out(&assignment).await), Some(FailureCode::RepositoryUnavailable));
    let started = server.heard().iter().any(|message| matches!(message, ToServer::Said { said: Said::Started { .. }, .. }));
    assert!(!started, "no work was done");
    assert!(!server.folder(assignment.attempt).exists());
}

#[tokio::test]
async fn the_work_starts_from_the_ref_that_was_asked_for() {
    let (state, repository) = (State::new(), Repository::sample());
    let first = repository.git(&["rev-parse", "HEAD"]);
    repository.git(&["tag", "v1"]);
    repository.git(&["checkout", "--quiet", "-b", "feature/x"]);
    let on_branch = repository.commit(&[("feature.txt", "x\n")]);
    repository.git(&["checkout", "--quiet", "main"]);
    let server = Server::with(&state).await;
    let cases = [
        (Some("feature/x"), &on_branch),
        (Some("refs/heads/feature/x"), &on_branch),
        (Some("origin/feature/x"), &on_branch),
        (Some("v1"), &first),
        (Some(&on_branch[..10]), &on_branch),
        (None, &first),
    ];
    for (base_ref, expected) in cases {
        let mut assignment = repository.command("git rev-parse HEAD");
        assignment.base_ref = base_ref.map(str::to_owned);
        server.carry_out(&assignment).await;
        assert_eq!(server.output(assignment.attempt, LogStream::Stdout).trim(), expected, "{base_ref:?}");
    }
    let moved = repository.commit(&[("later.txt", "x\n")]);
    let assignment = repository.command("git rev-parse HEAD");
    server.carry_out(&assignment).await;
    assert_eq!(server.output(assignment.attempt, LogStream::Stdout).trim(), moved, "a new commit is fetched");
}

#[tokio::test]
async fn a_ref_that_is_not_there_is_said_so() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    for base_ref in ["nowhere", "deadbeef", "--help", "refs/heads/nowhere"] {
        let mut assignment = repository.command("true");
        assignment.base_ref = Some(base_ref.into());
        let report = server.carry_out(&assignment).await;
        assert_eq!(failure_code(&report), Some(FailureCode::RefNotFound), "{base_ref}: {}", outcome(&report));
        assert!(!server.folder(assignment.attempt).exists());
    }
    let empty = tempfile::tempdir().unwrap();
    let mut assignment = repository.command("true");
    assert!(std::process::Command::new("git").args(["init", "--quiet"]).arg(empty.path()).status().unwrap().success());
    assignment.repository = empty.path().to_str().unwrap().into();
    let report = server.carry_out(&assignment).await;
    assert_eq!(failure_code(&report), Some(FailureCode::RefNotFound), "{}", outcome(&report));
}

#[tokio::test]
async fn a_branch_of_an_earlier_attempt_can_be_built_on() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    let first = server.carry_out(&repository.command("echo one > one.txt")).await;
    for base_ref in [first.branch, first.commit] {
        let mut second = repository.command("cat one.txt");
        second.base_ref = base_ref;
        server.carry_out(&second).await;
        assert_eq!(server.output(second.attempt, LogStream::Stdout), "one\n");
    }
}

#[tokio::test]
async fn attempts_work_side_by_side_and_an_error_in_one_is_no_error_of_the_others() {
    let (state, repository) = (State::new(), Repository::sample());
    let server = Server::with(&state).await;
    // and the broken one: as many as it has slots
    let assignments: Vec<_> = (0..3).map(|index| repository.command(&format!("echo {index} > file-{index}.txt"))).collect();
    // In the way of the folder that the runner is about to make.
    let broken = repository.command("true");
    fs::write(server.folder(broken.attempt), "").unwrap();
    for assignment in assignments.iter().chain([&broken]) {
        server.assign(assignment).await;
    }
    for (index, assignment) in assignments.iter().enumerate() {
        let report = server.report(assignment.attempt).await;
        assert_eq!(outcome(&report), "completed");
        let branch = report.branch.unwrap();
        assert_eq!(repository.show(&branch, &format!("file-{index}.txt")), Some(index.to_string()));
        assert_eq!(repository.git(&["rev-list", "--count", &format!("main..{branch}")]), "1");
    }
    assert_eq!(failure_code(&server.report(broken.attempt).await), Some(FailureCode::RunnerFault));
}
