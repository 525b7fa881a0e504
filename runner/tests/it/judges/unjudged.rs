//! What is not judged, and what becomes of it.

use domain::{Backend, CheckKind, CheckStatus, FailureCode, judgement::JUDGES, protocol::WorkOutcome};
use runner::{RunnerConfig, SandboxConfig};

use super::{Ran, agent, carried_out, judged, of_judges};
use crate::{
    agents::{failure, session},
    harness::{Repository, Server, State, check_output, short, statuses, without_a_sandbox},
};

#[tokio::test]
async fn what_nobody_can_judge_is_not_judged() {
    let repository = Repository::sample();
    let usual = r#"verdict "$word" pass x"#;
    let usual_task = || judged(&repository, &[(CheckKind::Review, None)]);
    let mut advised = usual_task();
    advised.checks[0].judge.backend = Some(Backend::Codex);
    advised.checks[0].required = false;
    let Ran { report, .. } = carried_out(&agent("echo made > made.txt", usual), &advised).await;
    assert_eq!((statuses(&report)[0], check_output(&report, 0)), (CheckStatus::Error, "not judged: Codex judges nothing"));
    let Ran { report, .. } = carried_out(&agent("", usual), &usual_task()).await;
    let nothing = "nothing was changed, so there is nothing to judge";
    assert_eq!((statuses(&report)[0], check_output(&report, 0)), (CheckStatus::Failed, nothing));
    // its files would be saved, and nobody would have seen them
    let hides = "mkdir in; cd in; git init -q; echo x > x; git add x; git commit -qm x; cd ..";
    let says_not_to_look = r#"printf '[submodule "in"]\n\tpath = in\n\turl = ./in\n\tignore = all\n' > .gitmodules"#;
    for hides in [hides.to_owned(), format!("{hides}; {says_not_to_look}")] {
        let Ran { report, .. } = carried_out(&agent(&hides, usual), &usual_task()).await;
        assert_eq!(statuses(&report), [CheckStatus::Error], "{hides}: {report:#?}");
        let said = check_output(&report, 0);
        assert!(said.contains("a repository within this one") && said.contains("remove its .git"), "{said}");
    }
    let long = "head -c 300000 /dev/zero | tr '\\0' 'x' | fold -w 80 > long.txt";
    let Ran { report, .. } = carried_out(&agent(long, usual), &judged(&repository, &[(CheckKind::Model, Some("Is it well?"))])).await;
    assert_eq!(statuses(&report), [CheckStatus::Error]);
    assert!(check_output(&report, 0).contains("have it reviewed"), "{}", check_output(&report, 0));
    // what comes last would be in nothing that a judge is told
    let many = format!("mkdir a; for n in $(seq 900); do echo $n > a/generated_file_$n; done; {long}; rm README.md");
    let Ran { report, .. } = carried_out(&agent(&many, usual), &usual_task()).await;
    assert_eq!(statuses(&report), [CheckStatus::Error]);
    assert!(check_output(&report, 0).contains("nobody would know what to read"), "{}", check_output(&report, 0));
}

#[tokio::test]
async fn nobody_works_for_what_has_to_be_judged_and_cannot_be() {
    let repository = Repository::sample();
    let agent = agent("echo made > made.txt", r#"verdict "$word" pass x"#);
    let state = State::new();
    let server = agent.runs(&state).await;
    let mut assignment = judged(&repository, &[(CheckKind::Review, None)]);
    assignment.checks[0].judge.backend = Some(Backend::Codex);
    let report = server.carry_out(&assignment).await;
    assert_eq!(failure(&report.outcome), FailureCode::BackendMissing, "{:?}", report.outcome);
    assert_eq!((report.branch, session(&server, &assignment)), (None, vec![]), "nothing was done, and nobody was asked");
}

/// Whatever the work itself may do without.
#[tokio::test]
async fn where_no_sandbox_can_be_made_nothing_is_judged() {
    let repository = Repository::sample();
    let agent = agent("echo made > made.txt", r#"verdict "$word" pass x"#);
    let state = State::new();
    let sandbox = SandboxConfig { program: "/nowhere/bwrap".into(), may_be_left_out: true, ..SandboxConfig::default() };
    let server = Server::with_config(RunnerConfig { sandbox, ..agent.config(&state) }, short()).await;
    assert!(!server.capabilities().contains(&JUDGES.to_owned()));
    let required = without_a_sandbox(judged(&repository, &[(CheckKind::Review, None)]));
    let report = server.carry_out(&required).await;
    assert_eq!((failure(&report.outcome), report.branch), (FailureCode::SandboxUnavailable, None), "nothing was done");
    let mut advised = without_a_sandbox(judged(&repository, &[(CheckKind::Review, None)]));
    advised.checks[0].required = false;
    let report = server.carry_out(&advised).await;
    assert_eq!((report.outcome.clone(), statuses(&report)), (WorkOutcome::Completed, vec![CheckStatus::Error]));
    assert!(check_output(&report, 0).contains("it would run in a sandbox"), "{}", check_output(&report, 0));
}

#[tokio::test]
async fn what_was_changed_is_looked_at_in_the_time_of_the_check() {
    let repository = Repository::sample();
    let mut assignment = judged(&repository, &[(CheckKind::Review, None)]);
    assignment.checks[0].timeout_seconds = 0;
    let Ran { server, report, _state } = carried_out(&agent("echo made > made.txt", r#"verdict "$word" pass x"#), &assignment).await;
    assert_eq!(statuses(&report), [CheckStatus::TimedOut]);
    assert!(check_output(&report, 0).contains("to find out what was changed"), "{}", check_output(&report, 0));
    assert!(of_judges(&session(&server, &assignment)).is_empty(), "nobody was asked");
}
