//! The demo on the terminal: what happens to its tasks and what they print, each line behind the name of its task.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use anstyle::{AnsiColor, Style};
use domain::{LogChunk, LogStream, TaskId, TaskStateName, TaskView};

use super::{
    error::CliError,
    follow::Seen,
    output::print_text,
    task_result::shown,
    words::{bold, checks_sentence, dim, duration, state_style},
};

const COLORS: [AnsiColor; 3] = [AnsiColor::Blue, AnsiColor::Magenta, AnsiColor::Yellow];

pub struct DemoScreen {
    tasks: BTreeMap<TaskId, Lane>,
}

/// One task's lines.
struct Lane {
    title: String,
    style: Style,
    /// The beginning of a line that has not ended yet.
    unfinished: RefCell<String>,
}

impl DemoScreen {
    pub fn new(tasks: &[TaskView]) -> Self {
        let width = tasks.iter().map(|task| task.summary.title.chars().count()).max().unwrap_or_default();
        let lane = |(task, color): (&TaskView, AnsiColor)| {
            let (title, style) = (format!("{:<width$}", task.summary.title), Style::new().fg_color(Some(color.into())));
            (task.summary.id, Lane { title, style, unfinished: RefCell::default() })
        };
        Self { tasks: tasks.iter().zip(COLORS.into_iter().cycle()).map(lane).collect() }
    }

    pub fn show(&self, seen: Seen) -> Result<(), CliError> {
        match seen {
            Seen::Log { task, piece } => {
                if let Some(lane) = self.tasks.get(&task) {
                    lane.print(&without_command(&piece));
                }
            }
            Seen::Event(event) => {
                if let Some(lane) = self.tasks.get(&event.task_id) {
                    lane.finish_line();
                    lane.line(&format!("{dim}{}{dim:#}", shown(&event.kind.sentence()), dim = dim()));
                }
            }
            Seen::ConnectionLost => say("The connection is lost, trying again."),
        }
        Ok(())
    }
}

/// Muster writes down what it runs. The demo's commands are long and known, so here the rest is enough.
fn without_command(piece: &LogChunk) -> String {
    if piece.stream != LogStream::Muster {
        return piece.text.clone();
    }
    piece.text.split_inclusive('\n').take_while(|line| !line.starts_with("$ ")).collect()
}

impl Lane {
    fn print(&self, text: &str) {
        let text = self.unfinished.take() + text;
        let (lines, unfinished) = text.rsplit_once('\n').map_or((None, text.as_str()), |(lines, rest)| (Some(lines), rest));
        lines.into_iter().flat_map(|lines| lines.split('\n')).for_each(|line| self.line(&shown(line)));
        self.unfinished.replace(unfinished.to_owned());
    }

    fn finish_line(&self) {
        let unfinished = self.unfinished.take();
        if !unfinished.is_empty() {
            self.line(&shown(&unfinished));
        }
    }

    fn line(&self, text: &str) {
        say(&format!("{style}{} │{style:#} {text}", self.title, style = self.style));
    }
}

/// A line of the demo. It goes on serving when nobody reads it any more.
pub fn say(line: &str) {
    let _ = print_text(&format!("{line}\n"));
}

/// One line per task, and whether all of them succeeded.
pub fn say_results(tasks: &[TaskView], took: Duration) -> bool {
    let width = tasks.iter().map(|task| task.summary.title.chars().count()).max().unwrap_or_default();
    say(&format!("\n{bold}Verified results{bold:#} {dim}after {}{dim:#}", duration(took), bold = bold(), dim = dim()));
    for task in tasks {
        let summary = &task.summary;
        let state = summary.state.name();
        let (style, dim) = (state_style(state), dim());
        let attempts = match summary.attempts {
            0 => "not started".to_owned(),
            1 => "1 attempt".to_owned(),
            many => format!("{many} attempts"),
        };
        say(&format!(
            "  {dim}{}{dim:#}  {style}{:<9}{style:#}  {}  {:<width$}  {dim}{attempts}{dim:#}",
            summary.id,
            state.name(),
            checks_sentence(summary),
            summary.title
        ));
    }
    tasks.iter().all(|task| task.summary.state.name() == TaskStateName::Succeeded)
}
