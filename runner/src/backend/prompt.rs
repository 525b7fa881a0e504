//! What an agent is told: the prompt, and what else the task says, in words.

use domain::{CheckSpec, protocol::Assignment};

use super::environment::summary;
use crate::git::without_credentials;

/// What is changed there is as much a part of the result as what is changed in the first.
const BESIDE: &str = "It is about these repositories as well. Each lies beside the folder that you stand in, and what you change in it counts as what \
                      you change here does:";

/// The prompt as it was written, with what the task is about and how it will be judged below it.
pub(crate) fn words(assignment: &Assignment, prompt: &str) -> String {
    let mut text = prompt.trim_end().to_owned();
    let beside: Vec<_> =
        assignment.repositories.iter().map(|one| format!("../more/{}: {}", one.folder, without_credentials(&one.url))).collect();
    list(&mut text, BESIDE, &beside);
    list(&mut text, "It is about these files:", &assignment.files);
    list(&mut text, "It is done when:", &assignment.success_criteria);
    let checks: Vec<_> = assignment.checks.iter().filter_map(in_words).collect();
    list(&mut text, "Afterwards these checks are run on the result, in a place of their own:", &checks);
    if !assignment.failed_checks.is_empty() {
        text.push_str("\n\nAn earlier attempt did not pass these checks:\n\n");
        text.push_str(summary(&assignment.failed_checks).trim_end());
    }
    text
}

/// What begins as a command of the agent's does is introduced.
pub(super) fn no_command(prompt: &str, commands: &[char]) -> String {
    // what programs in JavaScript take for a space as well
    let start = prompt.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if start.starts_with(commands) { format!("This is to be done:\n\n{prompt}") } else { prompt.to_owned() }
}

fn list(text: &mut String, title: &str, items: &[String]) {
    if items.is_empty() {
        return;
    }
    text.push_str("\n\n");
    text.push_str(title);
    for item in items {
        text.push_str("\n- ");
        text.push_str(item.trim());
    }
}

/// A check whose target says what it is, or that somebody else reads what was done; the others find out themselves.
fn in_words(check: &CheckSpec) -> Option<String> {
    let kind = check.kind.name().replace('_', " ");
    match &check.target {
        Some(target) => Some(format!("{kind}: {target}")),
        None => check.kind.is_judge().then(|| format!("{kind}: somebody else reads the change")),
    }
}

#[cfg(test)]
mod tests {
    use domain::{AttemptId, AttemptKey, CheckKind, CheckResult, CheckStatus, TaskId, Work, task::TaskRepository};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_the_task_says_is_below_the_prompt() {
        let spec = CheckSpec::new(CheckKind::CommandSucceeds, Some("make test".into()));
        let failed = CheckResult {
            spec: spec.clone(),
            status: CheckStatus::Failed,
            output: "2 failed".into(),
            command: None,
            duration_ms: 1,
            judgement: None,
        };
        let mut assignment = Assignment {
            attempt: AttemptKey { task_id: TaskId(Uuid::nil()), attempt_id: AttemptId(Uuid::nil()), number: 2 },
            title: "Tidy up".into(),
            correlation_id: None,
            work: Work::Prompt("Tidy up.\n".into()),
            agent: domain::AgentTerms::default(),
            repository: "/srv/app".into(),
            base_ref: None,
            repositories: vec![],
            submodules: false,
            lfs: false,
            files: vec!["src/a.rs".into()],
            success_criteria: vec!["nothing is left lying about".into()],
            checks: vec![spec, CheckSpec::new(CheckKind::TestPasses, None), CheckSpec::new(CheckKind::Review, None)],
            inputs: domain::task::Inputs::default(),
            timeout_seconds: 60,
            tier: domain::task::Tier::default(),
            failed_checks: vec![failed],
            isolation: domain::Isolation::Sandbox,
            credentials: domain::protocol::Credentials::Machine,
            endpoint: None,
            continues: None,
        };
        assert_eq!(
            words(&assignment, "Tidy up.\n"),
            "Tidy up.\n\nIt is about these files:\n- src/a.rs\n\nIt is done when:\n- nothing is left lying about\n\n\
             Afterwards these checks are run on the result, in a place of their own:\n- command succeeds: make test\n- review: somebody else reads the change\n\n\
             An earlier attempt did not pass these checks:\n\ncommand_succeeds make test: failed\n2 failed"
        );
        assignment.repositories = vec![TaskRepository { url: "/srv/api".into(), base_ref: None, folder: "api".into() }];
        let told = words(&assignment, "Tidy up.\n");
        assert!(told.starts_with(&format!("Tidy up.\n\n{BESIDE}\n- ../more/api: /srv/api\n\nIt is about these files:")), "{told}");
        assignment.repositories.clear();
        assignment.files.clear();
        assignment.success_criteria.clear();
        assignment.checks.clear();
        assignment.failed_checks.clear();
        assert_eq!(words(&assignment, "Tidy up."), "Tidy up.");
    }
}
