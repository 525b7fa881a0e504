//! `muster task show`

use std::time::Duration;

use clap::Args;
use domain::{
    Attempt, Event, FailureCode, Land, TaskView, Timestamp, Usage, Work,
    endpoint::AwaitedPull,
    repository::also_fetched,
    task::{Gate, RepositoryResult, TaskLink, TaskRepository, TierSource, plain},
};

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    facts::{field, section},
    find_task::{TaskName, find_task, parse_task_name},
    output::{Output, OutputArgs, print_json, print_tab_separated, print_text},
    task_result::{check_line, check_output, result_lines, shown, spec_line},
    words::{between, bold, checks_field, dim, duration, moment, on_phrase, state_style},
};

#[derive(Args, Debug)]
#[command(after_help = "\
The exit status says whether the task was found, not how it went; for that, see `state` in the JSON.

Examples:
  muster task show 0c1d2e3f
  muster task show 0c1d2e3f --json | jq -r .state")]
pub struct ShowArgs {
    /// The task: its full id, or the eight digits that lists show.
    #[arg(value_name = "TASK", value_parser = parse_task_name)]
    task: TaskName,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn show(args: &ShowArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_task(&client, &args.task).await?;
    let task = client.task(id).await?;
    match args.output.output() {
        Output::Json => print_json(&task)?,
        Output::Pipe => print_tab_separated(&fields(&task))?,
        Output::Terminal => {
            let events = client.task_events(id).await?;
            print_text(&page(&task, &events, client.page_of(id).as_str()))?;
        }
    }
    Ok(Exit::Done)
}

/// Name and value per line.
fn fields(task: &TaskView) -> Vec<Vec<String>> {
    let summary = &task.summary;
    let mut fields = vec![
        ("id", summary.id.to_string()),
        ("title", summary.title.clone()),
        ("kind", task.work.kind().to_owned()),
        ("state", summary.state.name().name().to_owned()),
        ("reason", summary.state.reason().unwrap_or_default()),
        ("failure", of_failure(task, FailureCode::name)),
        ("cause", of_failure(task, FailureCode::cause)),
        ("next", of_failure(task, FailureCode::advice)),
        ("checks", checks_field(summary)),
        ("attempts", format!("{}/{}", summary.attempts, summary.max_attempts)),
        ("priority", summary.priority.name().to_owned()),
        ("tier", task.complexity.tier.name().to_owned()),
        ("capabilities", task.capabilities.join(" ")),
        ("agent", task.agent.backend.as_ref().map(|backend| backend.name().into_owned()).unwrap_or_default()),
        ("model", task.agent.model.clone().unwrap_or_default()),
        ("unmet", task.unmet_capabilities.join(" ")),
        ("runner_wait", task.runner_wait.as_ref().map(|wait| wait.message.clone()).unwrap_or_default()),
        ("runner_wait_next", task.runner_wait.as_ref().map(|wait| wait.next.clone()).unwrap_or_default()),
        ("awaits", task.awaited_pull.as_ref().map(AwaitedPull::in_words).unwrap_or_default()),
        ("land", task.land.name().to_owned()),
        ("estimate_seconds", task.estimate_seconds.map(|seconds| seconds.to_string()).unwrap_or_default()),
        ("repository", summary.repository.clone()),
        ("base_ref", task.base_ref.clone().unwrap_or_default()),
        ("repositories", task.repositories.iter().map(TaskRepository::text).collect::<Vec<_>>().join(" ")),
        ("submodules", task.submodules.to_string()),
        ("lfs", task.lfs.to_string()),
        ("created_at", moment(summary.created_at)),
        ("created_by", task.created_by.clone()),
        ("ended_at", summary.state.ended_at().map(moment).unwrap_or_default()),
        ("log_bytes", task.log_bytes.to_string()),
        ("open_gate", task.open_gate.to_string()),
        ("asks", summary.asks.to_string()),
        ("run", task.workflow_run.map(|run| run.to_string()).unwrap_or_default()),
        ("step", task.step.clone().unwrap_or_default()),
        ("inputs", serde_json::to_string(&task.inputs).unwrap_or_default()),
        ("output", task.output.as_ref().map(ToString::to_string).unwrap_or_default()),
    ];
    if let Some(landing) = &task.landing {
        fields.push(("landing", landing.state.name().to_owned()));
        fields.push(("remote", landing.remote.clone().unwrap_or_default()));
        fields.push(("pull_request", landing.pull_request.as_ref().map(|one| one.url.clone()).unwrap_or_default()));
        fields.push(("trouble", landing.trouble.as_ref().map(|trouble| trouble.message.clone()).unwrap_or_default()));
        fields.push(("advice", landing.trouble.as_ref().map(|trouble| trouble.advice.clone()).unwrap_or_default()));
    }
    for landing in &task.more_landings {
        let request = landing.pull_request.as_ref().map(|one| one.url.as_str()).unwrap_or_default();
        let trouble = landing.trouble.as_ref().map(|trouble| trouble.message.as_str()).unwrap_or_default();
        let text = [landing.folder.as_deref().unwrap_or_default(), landing.state.name(), request, trouble].map(shown).join(" ");
        fields.push(("more_landing", text.trim().to_owned()));
    }
    if let Some(attempt) = task.attempt_list.last() {
        fields.push(("ends_by", attempt.ends_by.map(moment).unwrap_or_default()));
        fields.push(("taken_away", attempt.taken_away.to_string()));
        let more = |of: fn(&RepositoryResult) -> Option<&String>| {
            attempt.repositories.iter().filter_map(|one| Some(format!("{}={}", one.folder, of(one)?))).collect::<Vec<_>>().join(" ")
        };
        fields.push(("more_branches", more(|one| one.branch.as_ref())));
        fields.push(("more_commits", more(|one| one.commit.as_ref())));
        fields.push(("branch", attempt.branch.clone().unwrap_or_default()));
        fields.push(("commit", attempt.commit.clone().unwrap_or_default()));
        fields.push(("report_hash", attempt.report_hash.clone().unwrap_or_default()));
        fields.push(("used", attempt.usage.agent.as_ref().map(Usage::in_words).unwrap_or_default()));
        fields.push(("judges_used", attempt.usage.judges.as_ref().map(Usage::in_words).unwrap_or_default()));
    }
    fields.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect()
}

fn of_failure(task: &TaskView, what: impl Fn(FailureCode) -> &'static str) -> String {
    task.summary.state.failure().map(|failure| what(failure.code)).unwrap_or_default().to_owned()
}

/// What there is to be said of an attempt that is to end.
fn wanted_end(by: Option<Timestamp>, is_taken_away: bool) -> Option<String> {
    if is_taken_away {
        return Some("  its runner has not ended it in time, and loses it within two minutes".into());
    }
    by.map(|by| format!("  its runner is asked to end it, and loses it after {}", moment(by)))
}

fn page(task: &TaskView, events: &[Event], address: &str) -> String {
    let summary = &task.summary;
    let mut lines = vec![format!("{bold}{}{bold:#}", shown(&summary.title), bold = bold())];
    lines.extend(result_lines(task));
    lines.extend(summary.asks.then(|| format!("  its agent waits for an answer: muster approval list --task {}", summary.id.short())));
    lines.extend(task.attempt_list.last().and_then(|attempt| wanted_end(attempt.ends_by, attempt.taken_away)));
    lines.push(String::new());
    lines.push(field("id", &summary.id.to_string()));
    lines.push(field("page", address));
    lines.push(field("repository", &summary.repository));
    lines.extend(task.base_ref.as_ref().map(|base| field("base", base)));
    lines.extend(task.repositories.iter().map(|one| field("and", &one.text())));
    lines.extend(also_fetched(task.submodules, task.lfs).map(|what| field("also fetched", what)));
    lines.extend(work(task));
    lines.push(field("priority", summary.priority.name()));
    if task.work.is_executed() {
        let attempts = format!("{} of {}, each at most {} s", summary.attempts, summary.max_attempts, task.timeout_seconds);
        lines.push(field("attempts", &attempts));
    }
    lines.extend(demands(task));
    lines.extend(task.not_before.map(|time| field("not before", &moment(time))));
    lines.push(field("created", &format!("{} by {}", moment(summary.created_at), task.created_by)));
    lines.extend(task.files.iter().map(|file| field("file", file)));
    lines.extend(task.success_criteria.iter().map(|criterion| field("criterion", criterion)));
    lines.extend(task.depends_on.iter().map(|dependency| {
        let rest = format!("{dim}, {}{dim:#}", shown(&on_phrase(&dependency.on)), dim = dim());
        link_line("waits for", &dependency.link) + &rest
    }));
    lines.extend(task.dependents.iter().map(|link| link_line("awaited by", link)));
    lines.extend(checks(task));
    let found = task.attempt_list.last().map(|attempt| attempt.findings.as_slice()).unwrap_or_default();
    lines.extend(section("Worth a look", found.iter().map(|finding| shown(&finding.detail).to_string()).collect()));
    let attempts = task.attempt_list.iter().flat_map(|one| [vec![attempt_line(one)], used_lines(one)].concat());
    lines.extend(section("Attempts", attempts.chain(all_used_line(&task.attempt_list)).collect()));
    lines.extend(section("History", events.iter().map(event_line).collect()));
    lines.join("\n") + "\n"
}

/// How hard it is, what it needs, and what it was expected to take.
fn demands(task: &TaskView) -> Vec<String> {
    if !task.work.is_executed() {
        return vec![];
    }
    let complexity = &task.complexity;
    let read = complexity.inferred.tier.map(|tier| format!("reads like {}, confidence {:.2}", tier.name(), complexity.inferred.confidence));
    let tier = match (complexity.source, read) {
        (TierSource::Given, Some(read)) => format!("{} as given, {read}", complexity.tier.name()),
        (TierSource::Given, None) => format!("{} as given", complexity.tier.name()),
        (TierSource::Inferred, _) => {
            format!("{} by how it reads, confidence {:.2}", complexity.tier.name(), complexity.inferred.confidence)
        }
        (TierSource::Unknown, _) => format!("not known, taken as {}", complexity.tier.name()),
    };
    let mut lines = vec![field("tier", &tier)];
    if !task.capabilities.is_empty() {
        lines.push(field("needs", &task.capabilities.join(", ")));
    }
    lines.extend(task.runner_wait.as_ref().map(|wait| field("waits", &wait.in_words())));
    lines.extend(task.agent.in_words().map(|words| field("agent", &words)));
    lines.extend(awaits(task).map(|words| field("awaits", &words)));
    lines.extend((task.land != Land::None).then(|| field("lands", task.land.label())));
    lines.extend(task.estimate_seconds.map(|seconds| {
        let expected = duration(Duration::from_secs(seconds.unsigned_abs().into()));
        let latest = task.attempt_list.last().and_then(|attempt| attempt.started_at.zip(attempt.ended_at));
        let took = latest.map(|(from, to)| format!(", took {}", duration(between(from, to)))).unwrap_or_default();
        field("expected", &format!("{expected}{took}"))
    }));
    lines
}

/// The model that has to be pulled before it begins.
fn awaits(task: &TaskView) -> Option<String> {
    let known = task.awaited_pull.as_ref().map(AwaitedPull::in_words);
    task.summary.awaits_model.then(|| known.unwrap_or_else(|| "a model that is being pulled".to_owned()))
}

/// What is done, what it is given and leaves, and the run that it belongs to.
fn work(task: &TaskView) -> Vec<String> {
    let mut lines = match &task.work {
        Work::Command(command) => vec![field("command", command)],
        Work::Prompt(prompt) => vec![field("prompt", prompt)],
        Work::Gate(gate) => gate_lines(task, gate),
        Work::Group(_) => vec![field("becomes", task.work.kind())],
    };
    lines.extend(task.when.as_ref().map(|when| field("when", when)));
    lines.extend(task.delay_seconds.map(|seconds| field("delay", &format!("{seconds} s"))));
    lines.extend(task.inputs.iter().map(|(name, value)| field("input", &format!("{name} = {}", plain(value)))));
    lines.extend(task.output.as_ref().map(|output| field("output", &output.to_string())));
    if let Some(run) = task.workflow_run {
        lines.push(field("run", &format!("{} {}", run.short(), task.step.as_deref().unwrap_or_default())));
    }
    lines
}

fn gate_lines(task: &TaskView, gate: &Gate) -> Vec<String> {
    let mut lines = vec![field("gate", &gate.phrase())];
    if let Gate::Approval { message } = gate {
        lines.extend(message.as_ref().map(|message| field("asks", message)));
        let id = task.summary.id.short();
        lines.extend(task.open_gate.then(|| field("answer", &format!("muster task approve {id}, or reject"))));
    }
    lines
}

fn link_line(name: &str, link: &TaskLink) -> String {
    let style = state_style(link.state);
    format!("{}  {style}{}{style:#}", field(name, &format!("{} {}", link.id.short(), link.title)), link.state.name())
}

/// The checks of the latest attempt that has a report; before that, what will be checked.
fn checks(task: &TaskView) -> Vec<String> {
    let latest = task.attempt_list.iter().rev().find_map(|attempt| Some((attempt, attempt.verification.as_ref()?)));
    let lines = match latest {
        Some((attempt, report)) => {
            let checks = report.checks.iter().flat_map(|check| [vec![check_line(check)], check_output(check)].concat());
            let hash = attempt.report_hash.iter().map(|hash| format!("{dim}SHA-256 of the report{dim:#} {}", shown(hash), dim = dim()));
            checks.chain(hash).collect()
        }
        None => task.check_specs.iter().map(spec_line).collect(),
    };
    section("Checks", lines)
}

fn attempt_line(attempt: &Attempt) -> String {
    let dim = dim();
    let took = match (attempt.started_at, attempt.ended_at) {
        (Some(started), Some(ended)) => duration(between(started, ended)),
        _ => "-".into(),
    };
    let branch = attempt.branch.as_deref().unwrap_or_default();
    let why = attempt.failure.as_ref().map(|failure| format!("  {}", shown(&failure.message))).unwrap_or_default();
    format!("{}  {:<9}  {took:<10}  {dim}{}  {}{dim:#}{why}", attempt.number, attempt.state.name(), shown(&attempt.runner), shown(branch))
}

/// What agents and judges have used in all attempts, where there are several.
fn all_used_line(attempts: &[Attempt]) -> Option<String> {
    let all = Usage::of_attempts(attempts).filter(|_| attempts.len() > 1)?;
    Some(format!("   {dim}all used{dim:#} {}", shown(&all.in_words()), dim = dim()))
}

/// What its agent has used, and what those that judged it have.
fn used_lines(attempt: &Attempt) -> Vec<String> {
    let dim = dim();
    let used = [("used", attempt.usage.agent.as_ref()), ("judges used", attempt.usage.judges.as_ref())];
    let line = |(who, usage): (&str, Option<&Usage>)| usage.map(|usage| format!("   {dim}{who}{dim:#} {}", shown(&usage.in_words())));
    used.into_iter().filter_map(line).collect()
}

fn event_line(event: &Event) -> String {
    format!("{dim}{}{dim:#}  {}", event.at.format("%H:%M:%S"), shown(&event.kind.sentence()), dim = dim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_that_is_to_end_says_until_when_and_then_that_it_is_lost() {
        let by = Some(Timestamp::UNIX_EPOCH);
        assert_eq!(wanted_end(None, false), None);
        assert_eq!(wanted_end(by, false).unwrap(), "  its runner is asked to end it, and loses it after 1970-01-01T00:00:00Z");
        assert_eq!(wanted_end(by, true).unwrap(), "  its runner has not ended it in time, and loses it within two minutes");
    }
}
