//! What judges may cost, and whose cost that is.

use domain::{AgentTerms, CheckKind, CheckStatus, protocol::Said};

use super::{Ran, agent, carried_out, judged, of_judges};
use crate::{
    agents::session,
    harness::{Repository, check_output, statuses},
};

/// In cents: what the check says, what the task says, and what is left of that for one judgement. The work itself takes a part of a cent.
#[tokio::test]
async fn a_judge_may_cost_what_its_check_says_and_what_the_task_has_left() {
    let repository = Repository::sample();
    for (own, of_the_task, expected) in [
        (Some(3), None, Some("--max-budget-usd 0.030000")),
        (Some(3), Some(9), Some("--max-budget-usd 0.030000")),
        (Some(3), Some(2), Some("--max-budget-usd 0.010000")),
        (None, Some(2), Some("--max-budget-usd 0.010000")),
        (None, Some(1), None),
    ] {
        let says = expected.unwrap_or("nobody is asked");
        let agent = agent("echo made > made.txt", &format!(r#"case "$arguments" in *"{says}"*) verdict "$word" pass x ;; esac"#));
        let mut assignment = judged(&repository, &[(CheckKind::Review, None)]);
        assignment.checks[0].judge.max_cost_cents = own;
        assignment.agent.max_cost_cents = of_the_task;
        let Ran { server, report, _state } = carried_out(&agent, &assignment).await;
        let status = if expected.is_some() { CheckStatus::Passed } else { CheckStatus::Error };
        assert_eq!(statuses(&report), [status], "{own:?} {of_the_task:?}: {}", check_output(&report, 0));
        if expected.is_none() {
            assert_eq!(check_output(&report, 0), "not judged: the attempt has cost all that the task may cost");
            assert!(of_judges(&session(&server, &assignment)).is_empty());
        }
        server.stop().await;
    }
}

#[tokio::test]
async fn a_judge_that_has_not_said_what_it_cost_has_cost_all_that_it_might() {
    let agent = agent("echo made > made.txt", r#"case $prompt in *"Look slowly"*) sleep 600 ;; *) verdict "$word" pass x ;; esac"#);
    let repository = Repository::sample();
    let mut assignment = judged(&repository, &[(CheckKind::Review, Some("Look slowly.")), (CheckKind::Review, None)]);
    assignment.agent.max_cost_cents = Some(3);
    assignment.checks[0].judge.max_cost_cents = Some(2);
    assignment.checks[0].timeout_seconds = 4;
    let Ran { report, .. } = carried_out(&agent, &assignment).await;
    assert_eq!(statuses(&report), [CheckStatus::TimedOut, CheckStatus::Error]);
    assert_eq!(check_output(&report, 1), "not judged: the attempt has cost all that the task may cost");
}

#[tokio::test]
async fn what_a_judge_costs_counts_to_the_attempt() {
    let agent = agent(
        r#"case "$arguments" in *--resume*) echo "$arguments" > made.txt ;; *) echo made > made.txt ;; esac"#,
        r#"grep -q resume made.txt && verdict "$word" pass x || verdict "$word" fail x
say '{"type":"result","subtype":"success","is_error":false,"num_turns":2,"total_cost_usd":0.02}'; exit"#,
    );
    let repository = Repository::sample();
    // in cents: the judge of the first round takes two of them
    for (most, rounds) in [(2, 0), (9, 1)] {
        let mut assignment = judged(&repository, &[(CheckKind::Review, None)]);
        assignment.agent = AgentTerms { max_verification_retries: Some(1), max_cost_cents: Some(most), ..assignment.agent };
        let Ran { server, report, _state } = carried_out(&agent, &assignment).await;
        let again = server.said(assignment.attempt).into_iter().filter(|said| matches!(said, Said::WorksAgain { .. }));
        assert_eq!(again.count(), rounds, "{most} cents");
        if rounds > 0 {
            let made = repository.show(&report.branch.unwrap(), "made.txt").unwrap();
            // seven are left, and what the agent itself has used
            assert!(made.contains("--max-budget-usd 0.068700"), "{made}");
        }
        server.stop().await;
    }
}
