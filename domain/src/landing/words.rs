//! What a pull request says. Whatever people, agents and programs wrote is shown as code, so that none of it is markup there, or calls
//! anybody by name.

use crate::{
    Attempt, CheckResult, Landing, LandingState, PullRequest, TaskView, Usage, VerificationReport, Work,
    agent::dollars,
    price::UNKNOWN,
    task::{TaskRepository, last_part},
};

/// Characters of the work, of the criteria and of what is worth a look that are shown.
const SHOWN: usize = 4000;
/// Of one line in a table.
const LINE: usize = 200;

/// In Markdown. `usage` is what agents and judges have used over all attempts. `page` is where people see the task; `own` is the repository in
/// which it is, when that is not the first.
pub fn body(task: &TaskView, attempt: &Attempt, own: Option<&TaskRepository>, usage: Option<&Usage>, page: &str) -> String {
    let mut parts = vec![asked_for(task)];
    if !task.success_criteria.is_empty() {
        parts.push(format!("**Counts as done**\n\n{}", block(&task.success_criteria.join("\n"))));
    }
    parts.push(checks(attempt.verification.as_ref()));
    if !attempt.findings.is_empty() {
        let found: Vec<_> = attempt.findings.iter().map(|finding| finding.detail.as_str()).collect();
        parts.push(format!("**Worth a look**\n\n{}", block(&found.join("\n"))));
    }
    parts.extend(usage.map(used));
    parts.extend(together(task, own));
    parts.push(origin(task, attempt, page));
    parts.join("\n\n") + "\n"
}

fn asked_for(task: &TaskView) -> String {
    let what = match &task.work {
        Work::Command(_) => "Command",
        _ => "Asked for",
    };
    format!("**{what}**\n\n{}", block(task.work.text()))
}

/// What the task has come to in its other repositories; nothing where it has no others, or has changed nothing there.
fn together(task: &TaskView, own: Option<&TaskRepository>) -> Option<String> {
    let own = own.map(|own| own.folder.as_str());
    let others = task.landing.iter().chain(&task.more_landings).filter(|landing| landing.folder.as_deref() != own);
    let lines: Vec<_> = others.map(|landing| other(landing, last_part(&task.summary.repository))).collect();
    (!lines.is_empty()).then(|| format!("**Belongs together with**\n\n{}", lines.join("\n")))
}

fn other(landing: &Landing, first: &str) -> String {
    let what = match (&landing.pull_request, landing.state) {
        (Some(request), _) => link(request),
        (None, LandingState::Landed) => "its branch is pushed".to_owned(),
        (None, LandingState::Waiting) => "on its way".to_owned(),
        (None, LandingState::Failed) => "not landed".to_owned(),
    };
    format!("- {}: {what}", cell(landing.folder.as_deref().unwrap_or(first)))
}

/// One that a forge has named, as far as nothing in it ends the link.
fn link(request: &PullRequest) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c);
    if request.is_fit() && request.url.chars().all(fits) { format!("<{}>", request.url) } else { cell(&request.url) }
}

fn checks(report: Option<&VerificationReport>) -> String {
    let Some(report) = report.filter(|report| !report.checks.is_empty()) else {
        return "**Not verified**: the task defines no check, so nothing but its end says that it is done.".into();
    };
    let mut lines = vec![
        format!("**Checks**: {} of {} passed, run by Muster after the work had ended", report.passed(), report.checks.len()),
        String::new(),
        "| Check | Result | Took |".into(),
        "|---|---|---|".into(),
    ];
    lines.extend(report.checks.iter().map(row));
    lines.join("\n")
}

fn row(check: &CheckResult) -> String {
    let target = check.spec.target.as_deref().map(|target| format!(" {}", cell(target))).unwrap_or_default();
    let optional = if check.spec.required { "" } else { ", does not decide" };
    let tenths = check.duration_ms / 100;
    format!(
        "| {}{target} | {}{optional} | {}.{} s |",
        check.spec.kind.label(),
        check.status.name().replace('_', " "),
        tenths / 10,
        tenths % 10
    )
}

fn used(usage: &Usage) -> String {
    let cost = usage.cost_micros.map(|micros| u32::try_from(micros.div_ceil(10_000)).unwrap_or(u32::MAX));
    let cost = cost.map(|cents| format!("; {} as the agent counts it{}", dollars(cents), told_part(usage))).unwrap_or_default();
    let priced = usage.priced_micros.map(|micros| u32::try_from(micros.div_ceil(10_000)).unwrap_or(u32::MAX));
    let priced = priced.map(|cents| format!("; {} at the workspace's prices{}", dollars(cents), priced_part(usage))).unwrap_or_default();
    let is_unknown = usage.steps > 0 && usage.cost_micros.is_none() && usage.priced_micros.is_none();
    let unknown = if is_unknown { format!("; {UNKNOWN}") } else { String::new() };
    let at_least = if usage.is_incomplete { "at least " } else { "" };
    format!("**Used**: {at_least}{}{cost}{priced}{unknown}", usage.tokens_in_words())
}

/// Where agents have told it of some steps and not of others; how many they were nobody knows of what was counted before steps were.
fn told_part(usage: &Usage) -> String {
    if usage.told_steps == 0 || usage.told_steps == usage.steps {
        return String::new();
    }
    format!(" ({} of {} steps told)", usage.told_steps, usage.steps)
}

fn priced_part(usage: &Usage) -> String {
    if usage.priced_steps == usage.steps {
        return String::new();
    }
    format!(" ({} of {} steps priced)", usage.priced_steps, usage.steps)
}

fn origin(task: &TaskView, attempt: &Attempt, page: &str) -> String {
    let report = match &attempt.report_hash {
        Some(hash) => format!(" · [Report]({page}?view=checks&attempt={}), SHA-256 `{hash}`", attempt.number),
        None => String::new(),
    };
    format!("[Muster task {}]({page}), attempt {}{report}", task.summary.id.short(), attempt.number)
}

/// Lines as they are, in a fence that nothing in them closes.
fn block(text: &str) -> String {
    let text = cut(text.trim(), SHOWN);
    let fence = "`".repeat(longest_run(&text).max(2) + 1);
    format!("{fence}text\n{text}\n{fence}")
}

/// One line as it is, in a table.
fn cell(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = cut(line.trim(), LINE).replace('|', "\\|");
    let ticks = "`".repeat(longest_run(&line) + 1);
    format!("{ticks} {line} {ticks}")
}

fn longest_run(text: &str) -> usize {
    text.split(|c: char| c != '`').map(str::len).max().unwrap_or(0)
}

fn cut(text: &str, most: usize) -> String {
    let mut characters = text.chars();
    let mut kept: String = characters.by_ref().take(most).filter(|c| *c == '\n' || *c == '\t' || !c.is_control()).collect();
    if characters.next().is_some() {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_was_written_gets_out_of_its_fence() {
        assert_eq!(block("a\n```\n@everybody <script>"), "````text\na\n```\n@everybody <script>\n````");
        assert_eq!(block("plain"), "```text\nplain\n```");
        assert_eq!(cell("grep -c '`a|b`' x\ny"), "`` grep -c '`a\\|b`' x y ``");
        assert_eq!(
            block(&"x".repeat(SHOWN + 1)).chars().filter(|c| *c == 'x' || *c == '…').count(),
            SHOWN + 1 + "text".matches('x').count()
        );
    }

    #[test]
    fn a_link_is_one_and_nothing_more() {
        let of = |url: &str| link(&PullRequest { number: 7, url: url.into() });
        assert_eq!(of("https://example.org/acme/api/pull/7"), "<https://example.org/acme/api/pull/7>");
        assert_eq!(of("https://example.org/a>b"), "` https://example.org/a>b `");
        assert_eq!(of("javascript:alert(1)"), "` javascript:alert(1) `");
    }

    #[test]
    fn what_was_used_is_said_as_far_as_it_is_known() {
        let usage = Usage { input: 1200, cached: 200, output: 34, cost_micros: Some(1_234_000), ..Usage::default() };
        assert_eq!(used(&usage), "**Used**: 1200 tokens in (200 of them from a cache), 34 out; $1.24 as the agent counts it");
        let last_answer = Usage { input: 5, output: 1, is_incomplete: true, ..Usage::default() };
        assert_eq!(used(&last_answer), "**Used**: at least 5 tokens in, 1 out");
        let unknown = Usage { input: 5, output: 1, steps: 2, ..Usage::default() };
        assert_eq!(used(&unknown), "**Used**: 5 tokens in, 1 out; price unknown");
        let part = Usage { priced_steps: 1, priced_micros: Some(20_000), ..unknown };
        assert_eq!(used(&part), "**Used**: 5 tokens in, 1 out; $0.02 at the workspace's prices (1 of 2 steps priced)");
        let told = Usage { told_steps: 1, cost_micros: Some(20_000), priced_micros: None, ..part };
        assert_eq!(used(&told), "**Used**: 5 tokens in, 1 out; $0.02 as the agent counts it (1 of 2 steps told)");
    }
}
