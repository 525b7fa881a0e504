//! Follows a run until it has ended: a line on stdout for every step that comes to stand elsewhere, and at the end the result.
//!
//! As JSON everything goes to stdout, one object per line: `{"run": …}`, `{"step": …}`, and the final `{"run": …}`. What happens is
//! read from the run itself, so nothing is said twice and a lost connection loses no more than what has changed again since.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    time::{Duration, Instant},
};

use clap::Args;
use domain::{
    Event, TaskId, TaskStateName, WorkflowRunId,
    workflow::{RunState, RunStep, RunView},
};
use futures::StreamExt;
use indicatif::ProgressBar;
use serde::Serialize;
use tokio::time::{self, sleep, timeout_at};

use super::{
    client::{Client, Events},
    connection::ConnectionArgs,
    error::{CliError, Exit},
    find_run::{RunName, find_run, parse_run_name},
    follow::decode,
    output::{Output, OutputArgs, print_json, print_tab_separated, print_text, remark},
    reconnect::Connection,
    run_result::{advice, head_line, note, progress},
    spinner::spinner,
    task_result::shown,
    words::{dim, state_style},
};

#[derive(Args, Debug)]
#[command(after_help = "\
The exit status is 0 only when the run succeeded, 1 when it did not. Ctrl-C ends the watching, not the run.

In a pipe each line holds, separated by tabs: step, state, id of its task, what there is to say about it.")]
pub struct WatchArgs {
    /// The run: its full id, or the eight digits that lists show.
    #[arg(value_name = "RUN", value_parser = parse_run_name)]
    run: RunName,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn watch(args: &WatchArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let id = find_run(&client, &args.run).await?;
    let run = client.run(id).await?;
    watch_run(&client, &run, args.output.output()).await
}

/// Watches a run to its end. Ctrl-C ends the watching, not the run.
pub async fn watch_run(client: &Client, run: &RunView, output: Output) -> Result<Exit, CliError> {
    let id = run.summary.id;
    let mut screen = Screen::new(output);
    screen.begin(client, run)?;
    let followed = tokio::select! {
        followed = follow(client, id, &mut screen) => followed.map(Some),
        pressed = tokio::signal::ctrl_c() => pressed.map(|()| None).map_err(CliError::Output),
    };
    screen.clear();
    let Some(ended) = followed? else {
        remark(&format!("muster: run {} goes on; cancel it with: muster workflow cancel {id}", id.short()));
        return Ok(Exit::Interrupted);
    };
    screen.end(&ended)?;
    Ok(if ended.summary.state == RunState::Succeeded { Exit::Done } else { Exit::Failed })
}

/// Looks again after this long, whatever was heard.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// What happens within this time is looked at once.
const BURST: Duration = Duration::from_millis(100);

async fn follow(client: &Client, id: WorkflowRunId, screen: &mut Screen) -> Result<RunView, CliError> {
    let mut connection = Connection::default();
    loop {
        let lost = match client.follow_events().await {
            Ok(mut stream) => {
                connection.is_up(Instant::now());
                match read(client, id, &mut stream, screen).await {
                    Ok(Some(ended)) => return Ok(ended),
                    Ok(None) => None,
                    Err(error) => Some(error),
                }
            }
            Err(error) => Some(error),
        };
        let pause = connection.lost(lost, Instant::now())?;
        if pause.tell {
            screen.say("muster: the connection is lost, trying again");
        }
        sleep(pause.wait).await;
    }
}

/// Reads until the run has ended; nothing when the connection ends first.
async fn read(client: &Client, id: WorkflowRunId, stream: &mut Events, screen: &mut Screen) -> Result<Option<RunView>, CliError> {
    loop {
        let run = client.run(id).await?;
        screen.show(&run)?;
        if run.summary.state.is_final() {
            return Ok(Some(run));
        }
        if !has_changed(stream, &run).await? {
            return Ok(None);
        }
    }
}

/// Waits until something happened to the run, or it is time to look again; false when the connection has ended.
async fn has_changed(stream: &mut Events, run: &RunView) -> Result<bool, CliError> {
    let tasks: Vec<TaskId> = run.steps.iter().map(|step| step.task).collect();
    let mut look_at = time::Instant::now() + LOOK_AGAIN;
    loop {
        let message = match timeout_at(look_at, stream.next()).await {
            Err(_) => return Ok(true),
            Ok(Some(Ok(message))) => message,
            Ok(_) => return Ok(false),
        };
        let concerns = match message.event.as_deref() {
            Some("resync") => true,
            _ if message.data.as_deref().is_none_or(str::is_empty) => false,
            _ => tasks.contains(&decode::<Event>(&message)?.task_id),
        };
        if concerns {
            look_at = look_at.min(time::Instant::now() + BURST);
        }
    }
}

/// A line of `--watch --json`.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum WatchLine<'a> {
    Run(&'a RunView),
    Step(&'a RunStep),
}

struct Screen {
    output: Output,
    /// How each step stood when it was shown last.
    shown: BTreeMap<TaskId, Stand>,
    spinner: Option<ProgressBar>,
    started: Instant,
    /// Nobody reads stdout any more. The run is watched to its end all the same, for the exit status.
    is_unread: bool,
}

/// What a person would see change.
#[derive(PartialEq, Eq)]
struct Stand {
    state: TaskStateName,
    has_open_gate: bool,
    paused: bool,
    attempts: i32,
}

impl Stand {
    fn of(step: &RunStep) -> Self {
        Self { state: step.state, has_open_gate: step.open_gate.is_some(), paused: step.paused, attempts: step.attempts }
    }

    /// As every step is at first.
    fn is_plain(&self) -> bool {
        self.state == TaskStateName::Blocked && !self.has_open_gate && !self.paused
    }
}

impl Screen {
    fn new(output: Output) -> Self {
        Self { output, shown: BTreeMap::new(), spinner: None, started: Instant::now(), is_unread: false }
    }

    fn begin(&mut self, client: &Client, run: &RunView) -> Result<(), CliError> {
        if self.output == Output::Json {
            return self.write(|| print_json(&WatchLine::Run(run)));
        }
        let (id, title) = (run.summary.id, shown(&run.summary.title));
        remark(&format!("Run {} “{title}”  {}", id.short(), client.page_of_run(id)));
        Ok(())
    }

    fn show(&mut self, run: &RunView) -> Result<(), CliError> {
        self.clear();
        for step in &run.steps {
            let stand = Stand::of(step);
            let before = self.shown.get(&step.task);
            if before == Some(&stand) || before.is_none() && stand.is_plain() {
                continue;
            }
            let opens = stand.has_open_gate && before.is_none_or(|before| !before.has_open_gate);
            self.shown.insert(step.task, stand);
            self.show_step(step)?;
            if let Some(advice) = advice(run, step).filter(|_| opens && self.output != Output::Json) {
                remark(&advice);
            }
        }
        if self.output != Output::Json && !run.summary.state.is_final() {
            self.spinner = spinner(progress(run), self.started);
        }
        Ok(())
    }

    fn show_step(&mut self, step: &RunStep) -> Result<(), CliError> {
        let (state, note) = (step.state, note(step));
        match self.output {
            Output::Json => self.write(|| print_json(&WatchLine::Step(step))),
            Output::Pipe => {
                let row = vec![step.key.clone(), state.name().to_owned(), step.task.to_string(), note];
                self.write(|| print_tab_separated(&[row]))
            }
            Output::Terminal => {
                let (style, dim) = (state_style(state), dim());
                let line = format!("{style}{:<9}{style:#}  {}  {dim}{}{dim:#}\n", state.name(), shown(&step.key), shown(&note));
                self.write(|| print_text(&line))
            }
        }
    }

    fn end(&mut self, run: &RunView) -> Result<(), CliError> {
        if self.output == Output::Json {
            return self.write(|| print_json(&WatchLine::Run(run)));
        }
        remark(&head_line(run));
        Ok(())
    }

    /// A line on stderr.
    fn say(&mut self, line: &str) {
        self.clear();
        remark(line);
    }

    fn clear(&mut self) {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
    }

    fn write(&mut self, print: impl FnOnce() -> io::Result<()>) -> Result<(), CliError> {
        if self.is_unread {
            return Ok(());
        }
        match print() {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_unread = true;
                Ok(())
            }
            other => Ok(other?),
        }
    }
}
