//! How a task turned out, for a person: state, checks, why it failed, what to do, and where the work is.

use domain::{Attempt, CheckResult, CheckSpec, CheckStatus, Landing, LandingState, TaskView, task::RepositoryResult};

use super::{
    terminal_text::TerminalText,
    words::{between, check_style, check_word, checks_sentence, dim, duration, state_style},
};

/// How much of a failed check's output is shown; the rest is on the task's page.
const OUTPUT_LINES: usize = 12;

/// The result in a few lines with colors of ours, without the checks themselves.
pub fn result_lines(task: &TaskView) -> Vec<String> {
    let dim = dim();
    let summary = &task.summary;
    let state = summary.state.name();
    let style = state_style(state);
    let latest = task.attempt_list.last();
    let mut head = format!("{style}{}{style:#}", state.name());
    if latest.is_some() {
        head.push_str(&format!("  {}", checks_sentence(summary)));
    }
    if let Some(took) = summary.state.ended_at().map(|ended| between(summary.created_at, ended)) {
        head.push_str(&format!("  {dim}after {}{dim:#}", duration(took)));
    }
    if summary.attempts > 1 {
        head.push_str(&format!("  {dim}attempt {} of {}{dim:#}", summary.attempts, summary.max_attempts.max(summary.attempts)));
    }
    let mut lines = vec![head];
    if let Some(reason) = summary.state.reason() {
        lines.push(format!("  {dim}why:{dim:#} {}", shown(&reason)));
    }
    if let Some(failure) = summary.state.failure() {
        lines.push(format!("  {dim}code:{dim:#} {} {dim}({}){dim:#}", failure.code.name(), failure.code.class().name()));
        lines.push(format!("  {dim}cause:{dim:#} {}", failure.code.cause()));
        lines.push(format!("  {dim}try:{dim:#} {}", failure.code.advice()));
    }
    lines.extend(latest.and_then(place_of_work));
    lines.extend(latest.into_iter().flat_map(|attempt| &attempt.repositories).filter_map(place_beside));
    let landings = task.landing.iter().chain(&task.more_landings);
    lines.extend(landings.flat_map(|landing| landing_lines(landing, &summary.id.short())));
    lines
}

/// How its result gets to where its repository came from.
fn landing_lines(landing: &Landing, id: &str) -> Vec<String> {
    let dim = dim();
    let remote = landing.remote.as_deref().unwrap_or_default();
    let of = landing.folder.as_deref().map(|folder| format!("{}, ", shown(folder))).unwrap_or_default();
    let mut lines = match (landing.state, &landing.pull_request) {
        (LandingState::Landed, Some(request)) => vec![format!("  {dim}{of}pull request:{dim:#} {}", shown(&request.url))],
        (LandingState::Landed, None) => vec![format!("  {dim}{of}pushed to:{dim:#} {}", shown(remote))],
        (LandingState::Waiting, _) => vec![format!("  {dim}{of}lands:{dim:#} as soon as {} has pushed it", shown(&landing.runner))],
        (LandingState::Failed, _) => vec![format!("  {dim}{of}lands:{dim:#} not; `muster task land {id}` tries again")],
    };
    if let Some(trouble) = &landing.trouble {
        lines.push(format!(
            "  {dim}{of}why not{}:{dim:#} {}",
            if landing.state == LandingState::Waiting { " yet" } else { "" },
            shown(&trouble.message)
        ));
        lines.push(format!("  {dim}try:{dim:#} {}", shown(&trouble.advice)));
    }
    lines
}

/// The checks that did not pass in the latest attempt, with what they printed.
pub fn failed_check_lines(task: &TaskView) -> Vec<String> {
    let checks = task.attempt_list.last().and_then(|attempt| attempt.verification.as_ref()).map(|report| report.checks.as_slice());
    let failed = checks.unwrap_or_default().iter().filter(|check| check.status != CheckStatus::Passed);
    failed.flat_map(|check| [vec![format!("  {}", check_line(check))], check_output(check)].concat()).collect()
}

/// One check in one line: how it went, what it asked, how long it took.
pub fn check_line(check: &CheckResult) -> String {
    let (style, dim) = (check_style(check.status), dim());
    let optional = if check.spec.required { "" } else { " (not required)" };
    let chosen = check.command.as_ref().map(|command| format!(": {}", shown(command))).unwrap_or_default();
    let took = duration(std::time::Duration::from_millis(check.duration_ms));
    let judge = check.judgement.as_ref().map(|judged| format!(" by {}", shown(&judged.judge()))).unwrap_or_default();
    let name = kind_and_target(&check.spec);
    format!("{style}{}{style:#} {name}{chosen}{judge}{optional}  {dim}{took}{dim:#}", check_word(check.status))
}

/// The end of what a check printed, indented; of what a judge says the beginning.
pub fn check_output(check: &CheckResult) -> Vec<String> {
    let lines: Vec<_> = check.output.trim_end().lines().collect();
    let (skipped, dim) = (lines.len().saturating_sub(OUTPUT_LINES), dim());
    let indented = |line: &&str| format!("    {}", shown(line));
    let left_out = |where_it_is: &str| (skipped > 0).then(|| format!("    {dim}… {skipped} lines {where_it_is}{dim:#}"));
    if check.judgement.as_ref().is_some_and(|judgement| judgement.verdict.is_some()) {
        return lines.iter().take(OUTPUT_LINES).map(indented).chain(left_out("more")).collect();
    }
    left_out("before").into_iter().chain(lines[skipped..].iter().map(indented)).collect()
}

fn place_beside(one: &RepositoryResult) -> Option<String> {
    let (branch, commit) = (one.branch.as_ref()?, one.commit.as_ref()?);
    let commit: String = commit.chars().take(10).collect();
    Some(format!("  {dim}and in{dim:#} {} {dim}on{dim:#} {} {dim}({commit}){dim:#}", shown(&one.folder), shown(branch), dim = dim()))
}

fn place_of_work(attempt: &Attempt) -> Option<String> {
    let (branch, commit) = (attempt.branch.as_ref()?, attempt.commit.as_ref()?);
    let commit: String = commit.chars().take(10).collect();
    Some(format!("  {dim}the work is on branch{dim:#} {} {dim}({commit}){dim:#}", shown(branch), dim = dim()))
}

/// One check in one line, before it has run: what it asks, and whom.
pub fn spec_line(spec: &CheckSpec) -> String {
    let judge = spec.judge.in_words().map(|words| format!("  {dim}{}{dim:#}", shown(&words), dim = dim())).unwrap_or_default();
    format!("{}{judge}", kind_and_target(spec))
}

fn kind_and_target(spec: &CheckSpec) -> String {
    match &spec.target {
        Some(target) => format!("{}={}", spec.kind.name(), shown(target)),
        None => spec.kind.name().to_owned(),
    }
}

/// What a task or a person wrote, safe for a terminal and on one line.
pub fn shown(text: &str) -> String {
    let mut clean = TerminalText::default();
    let text = clean.clean(text.replace(['\n', '\r', '\t'], " ").as_bytes());
    text + clean.reset()
}

#[cfg(test)]
mod tests {
    use domain::CheckKind;

    use super::*;

    fn check(kind: CheckKind, has_verdict: bool) -> CheckResult {
        let verdict = serde_json::json!({"verdict": "fail", "confidence": 90, "reasons": ["because"], "findings": []});
        let judgement = serde_json::json!({"backend": "codex", "verdict": verdict, "input": 0, "cached": 0, "output": 0});
        CheckResult {
            spec: CheckSpec::new(kind, None),
            status: CheckStatus::Failed,
            output: (1..=OUTPUT_LINES + 1).map(|line| format!("line {line}\n")).collect(),
            command: None,
            duration_ms: 0,
            judgement: has_verdict.then(|| serde_json::from_value(judgement).unwrap()),
        }
    }

    #[test]
    fn a_program_says_at_its_end_why_and_a_judge_at_its_beginning() {
        let printed = check_output(&check(CheckKind::TestPasses, false));
        assert!(printed[0].contains("1 lines before") && printed[1] == "    line 2", "{printed:?}");
        let said = check_output(&check(CheckKind::Review, true));
        assert!(said[0] == "    line 1" && said[OUTPUT_LINES].contains("1 lines more"), "{said:?}");
    }

    #[test]
    fn who_is_to_judge_is_named() {
        let mut spec = CheckSpec::new(CheckKind::Review, Some("Look for\nraces.".into()));
        assert_eq!(spec_line(&spec), "review=Look for races.");
        spec.judge.at_least = Some(80);
        assert!(spec_line(&spec).contains("at least 80 % sure"), "{}", spec_line(&spec));
    }
}
