//! How a task turned out, for a person: state, checks, why it failed, what to do, and where the work is.

use domain::{Attempt, CheckResult, CheckStatus, Landing, LandingState, TaskView};

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
    lines.extend(task.landing.iter().flat_map(|landing| landing_lines(landing, &summary.id.short())));
    lines
}

/// How its result gets to where its repository came from.
fn landing_lines(landing: &Landing, id: &str) -> Vec<String> {
    let dim = dim();
    let remote = landing.remote.as_deref().unwrap_or_default();
    let mut lines = match (landing.state, &landing.pull_request) {
        (LandingState::Landed, Some(request)) => vec![format!("  {dim}pull request:{dim:#} {}", shown(&request.url))],
        (LandingState::Landed, None) => vec![format!("  {dim}pushed to:{dim:#} {}", shown(remote))],
        (LandingState::Waiting, _) => vec![format!("  {dim}lands:{dim:#} as soon as {} has pushed it", shown(&landing.runner))],
        (LandingState::Failed, _) => vec![format!("  {dim}lands:{dim:#} not; `muster task land {id}` tries again")],
    };
    if let Some(trouble) = &landing.trouble {
        lines.push(format!("  {dim}why not{}:{dim:#} {}", if landing.again_at.is_some() { " yet" } else { "" }, shown(&trouble.message)));
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
    format!("{style}{}{style:#} {}{chosen}{optional}  {dim}{took}{dim:#}", check_word(check.status), check_name(check))
}

/// The end of what a check printed, indented.
pub fn check_output(check: &CheckResult) -> Vec<String> {
    let lines: Vec<_> = check.output.trim_end().lines().collect();
    let skipped = lines.len().saturating_sub(OUTPUT_LINES);
    let mut shown_lines = vec![];
    if skipped > 0 {
        shown_lines.push(format!("    {dim}… {skipped} lines before{dim:#}", dim = dim()));
    }
    shown_lines.extend(lines[skipped..].iter().map(|line| format!("    {}", shown(line))));
    shown_lines
}

fn place_of_work(attempt: &Attempt) -> Option<String> {
    let (branch, commit) = (attempt.branch.as_ref()?, attempt.commit.as_ref()?);
    let commit: String = commit.chars().take(10).collect();
    Some(format!("  {dim}the work is on branch{dim:#} {} {dim}({commit}){dim:#}", shown(branch), dim = dim()))
}

fn check_name(check: &CheckResult) -> String {
    match &check.spec.target {
        Some(target) => format!("{}={}", check.spec.kind.name(), shown(target)),
        None => check.spec.kind.name().to_owned(),
    }
}

/// What a task or a person wrote, safe for a terminal and on one line.
pub fn shown(text: &str) -> String {
    let mut clean = TerminalText::default();
    let text = clean.clean(text.replace(['\n', '\r', '\t'], " ").as_bytes());
    text + clean.reset()
}
