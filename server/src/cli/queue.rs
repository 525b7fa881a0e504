//! `muster queue`: what waits for a runner, and stopping a queue from being taken from.

use std::time::Duration;

use clap::{Args, Subcommand};
use domain::{
    queue::{Queue, QueueName},
    task::no_runner_has,
};

use super::{
    client::Client,
    connection::ConnectionArgs,
    error::{CliError, Exit},
    output::{Cell, Output, OutputArgs, print_json, print_tab_separated, print_table, remark},
    repository::known_repository,
    words::{age, bold, dim, duration, moment, now},
};

#[derive(Subcommand)]
pub enum QueueCommand {
    /// Show what waits, by lane and by repository.
    Show(ShowArgs),
    /// Let no runner take from a queue; what runs goes on.
    Pause(NamedArgs),
    /// Let a paused queue go on.
    Resume(NamedArgs),
}

#[derive(Args)]
#[command(after_help = "\
In a pipe each line holds, separated by tabs: lane or repository, its name, waiting, held or running,
since when the first one waits, who paused it, since when the middle one waits, ended in the last hour;
then unmet, what tasks need, waiting, what of that no runner has.
After them come lines of the last hour: minute, when it began, attempts that started, tasks that ended;
and one: empty, seconds until nothing is left at this pace or unknown.")]
pub struct ShowArgs {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Args)]
pub struct NamedArgs {
    /// The queue of this repository alone, by the path or URL that its tasks name.
    #[arg(long, value_name = "PATH|URL")]
    repo: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn run(command: &QueueCommand) -> Result<Exit, CliError> {
    match command {
        QueueCommand::Show(args) => print(&args.connection.client()?.queue().await?, args.output)?,
        QueueCommand::Pause(args) => {
            let client = args.connection.client()?;
            let name = name(&client, args).await?;
            print(&client.pause_queue(name).await?, args.output)?;
        }
        QueueCommand::Resume(args) => {
            let client = args.connection.client()?;
            let name = name(&client, args).await?;
            print(&client.resume_queue(name).await?, args.output)?;
        }
    }
    Ok(Exit::Done)
}

async fn name(client: &Client, args: &NamedArgs) -> Result<QueueName, CliError> {
    let Some(wanted) = &args.repo else { return Ok(QueueName::default()) };
    Ok(QueueName { repository: Some(known_repository(client, wanted).await?) })
}

fn print(queue: &Queue, output: OutputArgs) -> Result<(), CliError> {
    match output.output() {
        Output::Json => print_json(queue)?,
        Output::Pipe => print_tab_separated(&lines(queue))?,
        Output::Terminal => show(queue)?,
    }
    Ok(())
}

fn lines(queue: &Queue) -> Vec<Vec<String>> {
    let since = |time: Option<domain::Timestamp>| time.map(moment).unwrap_or_default();
    let lanes = queue.lanes.iter().map(|lane| {
        let paused_by = queue.paused_by.clone().unwrap_or_default();
        let name = lane.priority.name().to_owned();
        vec![
            "lane".to_owned(),
            name,
            lane.waiting.to_string(),
            lane.held.to_string(),
            since(lane.oldest),
            paused_by,
            since(lane.middle),
            lane.ended_last_hour.to_string(),
        ]
    });
    let repositories = queue.repositories.iter().map(|one| {
        let paused_by = one.paused_by.clone().unwrap_or_default();
        let (waiting, running) = (one.waiting.to_string(), one.running.to_string());
        let ended = one.ended_last_hour.to_string();
        vec!["repository".to_owned(), one.location.clone(), waiting, running, since(one.oldest), paused_by, since(one.middle), ended]
    });
    let unmet = queue.unmet.iter().map(|one| {
        vec!["unmet".to_owned(), one.capabilities.join(" "), one.waiting.to_string(), one.unmet.join(" "), String::new(), String::new()]
    });
    let minutes = queue
        .minutes
        .iter()
        .map(|minute| vec!["minute".to_owned(), moment(minute.at), minute.started.to_string(), minute.ended.to_string()]);
    let empty = vec!["empty".to_owned(), queue.empty_in_seconds.map_or_else(|| "unknown".to_owned(), |seconds| seconds.to_string())];
    lanes.chain(repositories).chain(unmet).chain(minutes).chain([empty]).collect()
}

fn show(queue: &Queue) -> Result<(), CliError> {
    let (now, bold) = (now(), bold());
    if let Some(who) = &queue.paused_by {
        remark(&format!("{bold}Paused by {who}:{bold:#} nothing is given to a runner. Go on with: muster queue resume"));
    }
    let oldest = |time: Option<domain::Timestamp>| Cell::styled(time.map(|time| age(time, now)).unwrap_or_default(), dim());
    let lanes: Vec<_> = queue
        .lanes
        .iter()
        .map(|lane| {
            let held = if lane.held > 0 { lane.held.to_string() } else { String::new() };
            vec![
                Cell::plain(lane.priority.name()),
                Cell::plain(lane.waiting.to_string()),
                Cell::plain(held),
                oldest(lane.oldest),
                oldest(lane.middle),
                Cell::plain(lane.ended_last_hour.to_string()),
            ]
        })
        .collect();
    print_table(&["LANE", "WAITING", "HELD", "OLDEST", "MEDIAN", "ENDED 1H"], &lanes)?;
    let repositories: Vec<_> = queue
        .repositories
        .iter()
        .map(|one| {
            let paused = one.paused_by.as_ref().map(|who| format!("by {who}")).unwrap_or_default();
            vec![
                Cell::plain(&one.location),
                Cell::plain(one.waiting.to_string()),
                Cell::plain(one.running.to_string()),
                oldest(one.oldest),
                oldest(one.middle),
                Cell::plain(one.ended_last_hour.to_string()),
                Cell::plain(paused),
            ]
        })
        .collect();
    if !repositories.is_empty() {
        print_table(&["REPOSITORY", "WAITING", "RUNNING", "OLDEST", "MEDIAN", "ENDED 1H", "PAUSED"], &repositories)?;
    }
    let started: i64 = queue.minutes.iter().map(|minute| minute.started).sum();
    let (running, ended) = (queue.running, queue.ended_last_hour);
    remark(&format!("{dim}{running} run now; in the last hour {started} attempts started and {ended} tasks ended{dim:#}", dim = dim()));
    if queue.lanes.iter().any(|lane| lane.waiting > 0) {
        remark(&format!("{dim}{}{dim:#}", empty_sentence(queue.empty_in_seconds), dim = dim()));
    }
    for one in &queue.unmet {
        let tasks = if one.waiting == 1 { "1 task waits".to_owned() } else { format!("{} tasks wait", one.waiting) };
        remark(&format!("{bold}{}:{bold:#} {tasks} for it", no_runner_has(&one.unmet).unwrap_or_default()));
    }
    Ok(())
}

fn empty_sentence(seconds: Option<i64>) -> String {
    match seconds {
        Some(seconds) => {
            let time = duration(Duration::from_secs(seconds.unsigned_abs()));
            format!("At the pace of the last ten minutes nothing is left to be taken in {time}, when nothing is added")
        }
        None => "When the queue will be empty is unknown: nothing of what waits has started lately".into(),
    }
}
