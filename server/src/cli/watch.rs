//! Watches one task until it is final: its log on stdout, what happens to it on stderr, and at the end the result.
//!
//! On a terminal a spinner says what is waited for. As JSON everything goes to stdout, one object per line: `{"task": …}`,
//! `{"event": …}`, `{"log": …}`, and the final `{"task": …}`.

use std::{
    cell::RefCell,
    future::pending,
    io::{self, ErrorKind},
    time::Instant,
};

use domain::{ApprovalId, ApprovalStateName, Event, EventKind, LogChunk, TaskStateName, TaskView};
use indicatif::ProgressBar;
use serde::Serialize;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{
    approval_show::question_line,
    client::Client,
    error::{CliError, Exit},
    follow::{Seen, follow_tasks},
    log_output::LogOutput,
    output::{Output, print_json, remark},
    spinner::spinner,
    task_result::{failed_check_lines, result_lines, shown},
    words::dim,
};

/// A line of `--watch --json`.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WatchLine<'a> {
    Task(&'a TaskView),
    Event(&'a Event),
    Log(&'a LogChunk),
}

/// Watches a task that was just handed in. Ctrl-C ends the watching, not the task.
pub async fn watch_task(client: &Client, task: &TaskView, output: Output) -> Result<Exit, CliError> {
    let id = task.summary.id;
    let screen = RefCell::new(Screen::new(output, task));
    screen.borrow_mut().begin(client, task)?;
    let (ask, asked) = unbounded_channel();
    let show = |seen: Seen| {
        if let Seen::Event(Event { kind: EventKind::ApprovalAsked { approval, .. }, .. }) = &seen
            && output != Output::Json
        {
            // it is heard for as long as the task is watched
            let _ = ask.send(*approval);
        }
        screen.borrow_mut().show(seen)
    };
    let watched = [id];
    let stopped = tokio::select! {
        followed = follow_tasks(client, &watched, &show) => followed.map(|()| false),
        pressed = tokio::signal::ctrl_c() => pressed.map(|()| true).map_err(CliError::Output),
        ended = say_what_is_asked(client, asked, &screen) => ended,
    };
    screen.borrow_mut().clear();
    if stopped? {
        remark(&format!("muster: task {} goes on; cancel it with: muster task cancel {id}", id.short()));
        return Ok(Exit::Interrupted);
    }
    let ended = client.task(id).await?;
    screen.borrow_mut().end(&ended)?;
    Ok(if ended.summary.state.name() == TaskStateName::Succeeded { Exit::Done } else { Exit::Failed })
}

/// An event says that there is a question; this says which, unless it is answered by then. It goes on for ever.
async fn say_what_is_asked<T>(client: &Client, mut asked: UnboundedReceiver<ApprovalId>, screen: &RefCell<Screen>) -> T {
    while let Some(id) = asked.recv().await {
        // when it cannot be had, the event has been shown all the same
        if let Ok(approval) = client.approval(id).await
            && approval.state == ApprovalStateName::Pending
        {
            screen.borrow_mut().say(&question_line(&approval));
        }
    }
    pending().await
}

struct Screen {
    output: Output,
    log: LogOutput,
    spinner: Option<ProgressBar>,
    waits_for: String,
    started: Instant,
    /// Whether the log ended with a line end, so that something else can be written below it.
    at_line_start: bool,
    /// Nobody reads stdout any more. The task is watched to its end all the same, for the exit status.
    is_unread: bool,
}

impl Screen {
    fn new(output: Output, task: &TaskView) -> Self {
        let waits_for = task.summary.state.name().phrase().to_owned();
        Self { output, log: LogOutput::stdout(), spinner: None, waits_for, started: Instant::now(), at_line_start: true, is_unread: false }
    }

    fn begin(&mut self, client: &Client, task: &TaskView) -> Result<(), CliError> {
        if self.output == Output::Json {
            return self.json(&WatchLine::Task(task));
        }
        let TaskView { summary, .. } = task;
        remark(&format!("Task {} “{}”  {}", summary.id.short(), shown(&summary.title), client.page_of(summary.id)));
        self.spin();
        Ok(())
    }

    fn show(&mut self, seen: Seen) -> Result<(), CliError> {
        match seen {
            Seen::Log { piece, .. } => self.show_log(&piece),
            Seen::Event(event) => self.show_event(&event),
            Seen::ConnectionLost => {
                self.say("muster: the connection is lost, trying again");
                Ok(())
            }
        }
    }

    fn show_log(&mut self, piece: &LogChunk) -> Result<(), CliError> {
        if self.output == Output::Json {
            return self.json(&WatchLine::Log(piece));
        }
        if self.is_unread {
            return Ok(());
        }
        let ends_line = piece.text.ends_with('\n') || matches!(self.log, LogOutput::Raw);
        if !ends_line {
            self.clear();
        }
        let written = match &self.spinner {
            Some(spinner) => spinner.suspend(|| self.log.write(piece.text.as_bytes())),
            None => self.log.write(piece.text.as_bytes()),
        };
        self.at_line_start = ends_line;
        self.spin();
        self.unless_unread(written)
    }

    fn show_event(&mut self, event: &Event) -> Result<(), CliError> {
        if self.output == Output::Json {
            return self.json(&WatchLine::Event(event));
        }
        self.waits_for = shown(&event.kind.sentence());
        self.say(&format!("{dim}{}{dim:#}", self.waits_for, dim = dim()));
        Ok(())
    }

    fn end(&mut self, task: &TaskView) -> Result<(), CliError> {
        if self.output == Output::Json {
            return self.json(&WatchLine::Task(task));
        }
        self.clear();
        self.start_line();
        result_lines(task).iter().chain(&failed_check_lines(task)).for_each(|line| remark(line));
        Ok(())
    }

    /// A line on stderr, below what the log wrote so far.
    fn say(&mut self, line: &str) {
        self.clear();
        self.start_line();
        remark(line);
        self.spin();
    }

    fn start_line(&mut self) {
        if !self.at_line_start {
            remark("");
        }
        self.at_line_start = true;
        // Colors the log left on are not ours to keep. A stdout that is gone takes them along.
        let _ = self.log.pause();
    }

    /// Shows the spinner, where it does not stand in the way of a half-written line.
    fn spin(&mut self) {
        if self.spinner.is_none() && self.output != Output::Json && self.at_line_start {
            self.spinner = spinner(self.waits_for.clone(), self.started);
        }
    }

    fn clear(&mut self) {
        if let Some(spinner) = self.spinner.take() {
            spinner.finish_and_clear();
        }
    }

    fn json(&mut self, line: &WatchLine<'_>) -> Result<(), CliError> {
        let written = if self.is_unread { Ok(()) } else { print_json(line) };
        self.unless_unread(written)
    }

    fn unless_unread(&mut self, written: io::Result<()>) -> Result<(), CliError> {
        match written {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {
                self.is_unread = true;
                Ok(())
            }
            other => Ok(other?),
        }
    }
}
