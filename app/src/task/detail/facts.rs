//! The facts beside a task: where it works, what came of it, and how to get hold of it.

use domain::{
    AgentTerms, Attempt, Backend, CheckStatus, TaskId, TaskView, Usage,
    repository::also_fetched,
    task::{Complexity, On, TaskDependency, TaskLink, TaskRepository, TierSource},
};
use leptos::prelude::*;

use super::session::words::{legible, tokens};
use crate::{
    components::{
        CopyButton, Elapsed, Icon,
        facts::{fact, wide_fact},
        icon,
        time::exact,
    },
    task::{
        row::{of_most, tags},
        state_badge::state_badge,
    },
    text::{duration, short_commit, short_location},
};

/// With the checks at a glance, unless they are what is looked at.
pub fn facts(id: TaskId, task: Signal<TaskView>, with_checks: Signal<bool>) -> impl IntoView {
    view! {
        {move || with_checks.get().then(|| task.with(|task| check_list(id, task)))}
        <dl class="c-facts">{move || task.with(entries)}</dl>
    }
}

fn check_list(id: TaskId, task: &TaskView) -> impl IntoView + use<> {
    let report = task.attempt_list.last().and_then(|attempt| attempt.verification.as_ref());
    let rows: Vec<_> = match report {
        Some(report) => report.checks.iter().map(|check| (check.spec.clone(), Some(check.status))).collect(),
        None => task.check_specs.iter().map(|spec| (spec.clone(), None)).collect(),
    };
    if rows.is_empty() {
        return view! { <p class="p-task__no-checks">{icon(Icon::Alert)} " No checks: its success cannot be verified."</p> }.into_any();
    }
    let items = rows.into_iter().map(|(spec, status)| {
        let (class, shape, word) = match status {
            None => ("u-quiet", Icon::Dots, "not run yet"),
            Some(CheckStatus::Passed) => ("u-good", Icon::Check, "passed"),
            Some(CheckStatus::Failed) => ("u-bad", Icon::Cross, "failed"),
            Some(CheckStatus::TimedOut) => ("u-bad", Icon::Clock, "timed out"),
            Some(CheckStatus::Error) => ("u-bad", Icon::Alert, "error"),
            Some(CheckStatus::Skipped) => ("u-quiet", Icon::Skip, "skipped"),
        };
        view! {
            <li class="c-checklist__item">
                <span class=class>{icon(shape)}<span class="u-unseen">{word}": "</span></span>
                <span class="c-checklist__text">
                    {spec.kind.label()}
                    {spec.target.map(|target| view! { <code>{target}</code> })}
                </span>
            </li>
        }
    });
    view! {
        <a class="c-checklist" href=format!("/tasks/{id}?view=checks") data-noscroll="" aria-label="Checks">
            <ul>{items.collect_view()}</ul>
        </a>
    }
    .into_any()
}

fn entries(task: &TaskView) -> impl IntoView + use<> {
    let latest = task.attempt_list.last();
    let repository = task.summary.repository.clone();
    let is_executed = task.work.is_executed();
    view! {
        {task.workflow_run.map(|run| wide_fact("Step", step_of(task, run)))}
        {wide_fact("Repository", view! { <span title=repository.clone()>{short_location(&repository)}</span> <CopyButton text=repository.clone() label="Copy the repository's address" /> })}
        {is_executed.then(|| wide_fact("Base", base(task, latest)))}
        {also_fetched(task.submodules, task.lfs).map(|what| wide_fact("Also fetched", what))}
        {latest.filter(|attempt| attempt.commit.is_some()).and_then(|attempt| attempt.branch.clone()).map(|branch| branch_facts(&repository, branch))}
        {task.repositories.iter().map(|one| beside(one, latest)).collect_view()}
        {is_executed.then(|| fact("Attempts", format!("{}{}", task.summary.attempts, of_most(&task.summary).unwrap_or_default())))}
        {latest.map(|attempt| fact("Runner", attempt.runner.clone()))}
        {latest.and_then(|attempt| attempt.started_at.map(|from| fact("Latest attempt", view! { <Elapsed from=from to=attempt.ended_at /> })))}
        {latest.and_then(|attempt| used_by_agent(&task.agent, attempt)).map(|words| wide_fact("Used", words))}
        {latest.and_then(used_by_judges).map(|words| wide_fact("Judges used", words))}
        {all_used(&task.attempt_list).map(|words| wide_fact("All attempts used", words))}
        {is_executed.then(|| fact("Time limit", duration(u32::try_from(task.timeout_seconds).unwrap_or_default())))}
        {task.estimate_seconds.map(|seconds| fact("Expected", duration(seconds.unsigned_abs())))}
        {is_executed.then(|| fact("How hard", tier(&task.complexity)))}
        {task.agent.in_words().map(|words| wide_fact("Agent", words))}
        {(!task.capabilities.is_empty()).then(|| wide_fact("Needs", task.capabilities.join(", ")))}
        {task.delay_seconds.map(|seconds| fact("Starts after", duration(seconds.unsigned_abs())))}
        {task.not_before.map(|time| wide_fact("Not before", exact(time)))}
        {task.complete_by.map(|time| wide_fact("Complete by", exact(time)))}
        {task.queue_seconds.map(|seconds| fact("Waits at most", duration(seconds.unsigned_abs())))}
        {task.concurrency.clone().map(|shared| fact("Shares", format!("{} (at most {})", shared.key, shared.limit)))}
        {task.correlation_id.clone().map(|id| wide_fact("Belongs to", view! { {id.clone()} <CopyButton text=id label="Copy what it belongs to" /> }))}
        {(!task.summary.tags.is_empty()).then(|| wide_fact("Tags", tags(&task.summary.tags)))}
        {wide_fact("Created", exact(task.summary.created_at))}
        {task.summary.state.ended_at().map(|at| wide_fact("Ended", exact(at)))}
        {links("Waits for", task.depends_on.iter().map(dependency).collect())}
        {links("Waited for by", task.dependents.iter().map(|one| link(one).into_any()).collect())}
    }
}

/// The tier that counts, and how it reads where that is another.
fn tier(complexity: &Complexity) -> impl IntoView + use<> {
    let beside = match (complexity.source, complexity.disputed()) {
        (_, Some((_, inferred))) => Some(format!("as given; reads like {}", inferred.name())),
        (TierSource::Given, None) => Some("as given".to_owned()),
        (TierSource::Inferred, None) => Some("as it reads".to_owned()),
        (TierSource::Unknown, None) => None,
    };
    view! { {complexity.tier.name()} {beside.map(|beside| view! { " " <span class="u-quiet">{beside}</span> })} }
}

/// By agents and judges in all attempts, where there are several.
pub fn all_used(attempts: &[Attempt]) -> Option<String> {
    Usage::of_attempts(attempts).filter(|_| attempts.len() > 1).map(|usage| used(&usage, false))
}

fn used_by_agent(agent: &AgentTerms, attempt: &Attempt) -> Option<String> {
    let counts_money = agent.backend.as_ref().is_some_and(Backend::counts_money);
    attempt.usage.agent.as_ref().map(|usage| used(usage, counts_money && attempt.ended_at.is_none()))
}

/// Whoever judges counts money.
fn used_by_judges(attempt: &Attempt) -> Option<String> {
    attempt.usage.judges.as_ref().map(|usage| used(usage, attempt.ended_at.is_none()))
}

/// As far as it was told. Who tells the cost with the end of a turn has not said yet what nobody knows.
fn used(usage: &Usage, is_told_later: bool) -> String {
    let at_least = if usage.is_incomplete { "at least " } else { "" };
    let spent = (usage.input > 0 || usage.output > 0).then(|| format!("{at_least}{}", tokens(usage.input, usage.cached, usage.output)));
    let costs = match usage.cost_micros.or(usage.priced_micros) {
        Some(_) => usage.costs_in_words().into_iter().map(|cost| format!("{at_least}{cost}")).collect(),
        None if is_told_later => vec![],
        None => usage.costs_in_words(),
    };
    let models = (!usage.models.is_empty()).then(|| legible(&usage.models.join(", ")));
    [models, spent.map(|spent| format!("tokens: {spent}"))].into_iter().flatten().chain(costs).collect::<Vec<_>>().join("; ")
}

fn base(task: &TaskView, latest: Option<&Attempt>) -> impl IntoView + use<> {
    let name = task.base_ref.clone().unwrap_or_else(|| "default branch".to_owned());
    let commit = latest.and_then(|attempt| attempt.base_commit.as_deref()).map(short_commit);
    view! { {name} {commit.map(|commit| view! { " " <code>{commit}</code> })} }
}

/// A repository beside the first, with what it started from and where its result is.
fn beside(one: &TaskRepository, latest: Option<&Attempt>) -> impl IntoView + use<> {
    let result = latest.and_then(|attempt| attempt.repositories.iter().find(|result| result.folder == one.folder));
    let base = one.base_ref.clone().unwrap_or_else(|| "default branch".to_owned());
    let commit = result.map(|result| short_commit(&result.base_commit));
    let branch = result.filter(|result| result.commit.is_some()).and_then(|result| result.branch.clone());
    let url = one.url.clone();
    let about = view! {
        <span title=url.clone()>{short_location(&url)}</span>
        <CopyButton text=url.clone() label="Copy the repository's address" />
        <span class="u-quiet">{base} {commit.map(|commit| view! { " " <code>{commit}</code> })}</span>
    };
    view! {
        {wide_fact("And", view! { <span>{one.folder.clone()} ": "</span> {about} })}
        {branch.map(|branch| branch_facts(&url, branch))}
    }
}

fn branch_facts(repository: &str, branch: String) -> impl IntoView + use<> {
    let command = fetch_command(repository, &branch);
    view! {
        {wide_fact("Branch", view! { <code class="c-facts__long">{branch.clone()}</code> <CopyButton text=branch.clone() label="Copy the branch's name" /> })}
        {wide_fact("Get it", view! { <code class="c-facts__long">{command.clone()}</code> <CopyButton text=command label="Copy the command" /> })}
    }
}

/// What a person types to have the result in front of them.
fn fetch_command(repository: &str, branch: &str) -> String {
    if repository.starts_with('/') {
        return format!("git -C {} switch {}", quoted(repository), quoted(branch));
    }
    format!("git fetch {} {branch} && git switch -c {branch} FETCH_HEAD", quoted(repository), branch = quoted(branch))
}

/// For a POSIX shell.
fn quoted(text: &str) -> String {
    let is_plain =
        !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | ':' | '@' | '+'));
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// The run that it belongs to, and its key there.
fn step_of(task: &TaskView, run: domain::WorkflowRunId) -> impl IntoView + use<> {
    let key = task.step.clone().unwrap_or_default();
    view! { <code>{key}</code> " of " <a href=format!("/runs/{run}")>"run " {run.short()}</a> }
}

fn link(link: &TaskLink) -> impl IntoView + use<> {
    view! { <a href=format!("/tasks/{}", link.id)>{link.title.clone()}</a> " " {state_badge(link.state)} }
}

/// What has to become of it is said where it is not success.
pub fn dependency(one: &TaskDependency) -> AnyView {
    let has_to = match &one.on {
        On::Success => ().into_any(),
        On::End => view! { " " <span class="u-quiet">"(has to end, however)"</span> }.into_any(),
        On::Condition(condition) => {
            view! { " " <span class="u-quiet">"(has to end, with " <code>{condition.clone()}</code> ")"</span> }.into_any()
        }
    };
    view! { {link(&one.link)} {has_to} }.into_any()
}

fn links(name: &'static str, links: Vec<AnyView>) -> impl IntoView {
    (!links.is_empty()).then(|| {
        let items = links.into_iter().map(|link| view! { <li>{link}</li> }).collect_view();
        wide_fact(name, view! { <ul class="c-facts__links">{items}</ul> })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_is_said_as_far_as_it_was_told() {
        let mut usage = Usage { models: vec!["m".into()], input: 1200, cached: 1000, output: 40, ..Usage::default() };
        assert_eq!(used(&usage, false), "m; tokens: 1,200 in (1,000 cached), 40 out");
        usage.is_incomplete = true;
        usage.cost_micros = Some(1305);
        assert_eq!(
            used(&usage, false),
            "m; tokens: at least 1,200 in (1,000 cached), 40 out; at least $0.0013 at list price, as the agent counts it"
        );
        let unknown = Usage { cost_micros: None, steps: 2, ..usage };
        assert_eq!(used(&unknown, false), "m; tokens: at least 1,200 in (1,000 cached), 40 out; price unknown");
        assert_eq!(
            used(&unknown, true),
            "m; tokens: at least 1,200 in (1,000 cached), 40 out",
            "its agent says so with the end of its turn"
        );
    }

    #[test]
    fn the_command_can_be_pasted_into_a_shell() {
        assert_eq!(fetch_command("/srv/app", "muster/ab-1"), "git -C /srv/app switch muster/ab-1");
        assert_eq!(fetch_command("/srv/my app", "x"), "git -C '/srv/my app' switch x");
        assert_eq!(
            fetch_command("https://example.org/a.git", "muster/1"),
            "git fetch https://example.org/a.git muster/1 && git switch -c muster/1 FETCH_HEAD"
        );
        assert_eq!(quoted("it's; rm -rf /"), r"'it'\''s; rm -rf /'");
    }
}
