//! `muster task edit`

use chrono::TimeDelta;
use clap::{Args, builder::PossibleValuesParser};
use domain::{
    Priority, TaskView,
    task::{ATTEMPTS_MAX, RetryByClass, RetryPolicy, RetryStrategy, TaskChange},
};

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    find_task::{TaskName, find_task, parse_task_name},
    output::OutputArgs,
    task_change::print_task,
    task_run::{parse_retry_class, parse_seconds},
    words::now,
};

#[derive(Args, Debug)]
#[command(after_help = "\
It is changed as it is now, or, with --version, only as it was when that version was looked at: when
something has happened to it since, it stays as it is, and what happened is said.

Examples:
  muster task edit 0c1d2e3f --priority urgent --within 2h
  muster task edit 0c1d2e3f --tag nightly --tag web --title 'Tidy up the parser'
  muster task edit 0c1d2e3f --no-deadline --version 3")]
#[group(id = "what", required = true, multiple = true, args = [
    "title", "priority", "tags", "no_tags", "within", "by", "no_deadline", "queue_time", "no_queue_time", "timeout", "attempts", "retry",
    "retry_base", "retry_cap", "retry_class"
])]
pub struct EditArgs {
    /// The task: its full id, or the eight digits that lists show.
    #[arg(value_name = "TASK", value_parser = parse_task_name)]
    task: TaskName,
    /// One line that names it.
    #[arg(long)]
    title: Option<String>,
    /// The lane it queues in.
    #[arg(long, value_parser = PossibleValuesParser::new(Priority::ALL.map(Priority::name)))]
    priority: Option<String>,
    /// A word to find it by; may be given more than once. Takes the place of all that are there.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// No tags any more.
    #[arg(long, conflicts_with = "tags")]
    no_tags: bool,
    /// To be complete when this time has passed, or it fails: 30m, 2h, 1d.
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    within: Option<u32>,
    /// To be complete by this moment, such as 2026-12-01T08:00:00Z.
    #[arg(long, value_name = "MOMENT", conflicts_with = "within")]
    by: Option<domain::Timestamp>,
    /// No deadline any more.
    #[arg(long, conflicts_with_all = ["within", "by"])]
    no_deadline: bool,
    /// Set it aside when no runner has taken it within this time.
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    queue_time: Option<u32>,
    /// It may wait for a runner as long as it takes.
    #[arg(long, conflicts_with = "queue_time")]
    no_queue_time: bool,
    /// How long one attempt may work: 90, 90s, 10m, 2h. Not while one works.
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    timeout: Option<u32>,
    /// How many attempts may fail before the task has failed.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(ATTEMPTS_MAX)))]
    attempts: Option<u32>,
    /// How the waits between attempts grow.
    #[arg(long, value_name = "STRATEGY", value_parser = PossibleValuesParser::new(RetryStrategy::ALL.map(RetryStrategy::name)))]
    retry: Option<String>,
    /// The first wait between attempts, at most an hour.
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    retry_base: Option<u32>,
    /// The longest wait between attempts.
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    retry_cap: Option<u32>,
    /// What is different when it was not the task that failed, such as provider_limit=linear,5m,1h; classes: runner_lost, provider_limit, infrastructure.
    #[arg(long, value_name = "CLASS=STRATEGY,BASE,CAP", value_parser = parse_retry_class)]
    retry_class: Vec<RetryByClass>,
    /// The version that was looked at, as `muster task show --json` says it [default: the one it has now].
    #[arg(long, value_name = "N")]
    version: Option<i64>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn edit(args: &EditArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_task(&client, &args.task).await?;
    let task = client.task(id).await?;
    let change = change(args, &task);
    change.validate().map_err(CliError::Invalid)?;
    let edited = client.edit_task(id, args.version.unwrap_or(task.version), &change).await?;
    print_task(args.output.output(), &edited)
}

/// What is to be different from `task`.
fn change(args: &EditArgs, task: &TaskView) -> TaskChange {
    let changes_retry = args.retry.is_some() || args.retry_base.is_some() || args.retry_cap.is_some() || !args.retry_class.is_empty();
    let deadline = args.by.or_else(|| args.within.map(|seconds| now() + TimeDelta::seconds(seconds.into())));
    TaskChange {
        title: args.title.clone(),
        priority: args.priority.as_deref().and_then(|name| Priority::ALL.into_iter().find(|priority| priority.name() == name)),
        tags: (args.no_tags || !args.tags.is_empty()).then(|| args.tags.clone()),
        complete_by: (args.no_deadline || deadline.is_some()).then_some(deadline),
        queue_seconds: (args.no_queue_time || args.queue_time.is_some()).then_some(args.queue_time),
        timeout_seconds: args.timeout,
        max_attempts: args.attempts,
        retry: changes_retry.then(|| RetryPolicy {
            strategy: args.retry.as_deref().and_then(RetryStrategy::parse).unwrap_or(task.retry.strategy),
            base_seconds: args.retry_base.unwrap_or(task.retry.base_seconds),
            cap_seconds: args.retry_cap.unwrap_or(task.retry.cap_seconds.max(args.retry_base.unwrap_or_default())),
            by_class: args.retry_class.iter().fold(task.retry.by_class, |all, one| one.over(all)),
        }),
    }
}
