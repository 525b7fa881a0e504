//! What goes to stdout: a table for a person at a terminal, tab-separated lines for a pipe, JSON for a program.
//!
//! A terminal gets colors unless NO_COLOR or CLICOLOR=0 say otherwise; a pipe never does.

use std::io::{self, IsTerminal, Write};

use anstyle::Style;
use clap::Args;
use comfy_table::{ContentArrangement, Row, Table, presets};
use serde::Serialize;

#[derive(Args, Clone, Copy, Debug)]
pub struct OutputArgs {
    /// Print JSON, exactly as the API answers; one object per line where the output goes on.
    #[arg(long)]
    pub json: bool,
}

/// What reads the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    Terminal,
    Pipe,
    Json,
}

impl OutputArgs {
    pub fn output(self) -> Output {
        match (self.json, io::stdout().is_terminal()) {
            (true, _) => Output::Json,
            (false, true) => Output::Terminal,
            (false, false) => Output::Pipe,
        }
    }
}

/// A field of a table.
pub struct Cell {
    pub text: String,
    pub style: Style,
}

impl Cell {
    pub fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), style: Style::new() }
    }

    pub fn styled(text: impl Into<String>, style: Style) -> Self {
        Self { text: text.into(), style }
    }
}

/// One JSON document and a line end.
pub fn print_json(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// One line per row, fields separated by tabs.
pub fn print_tab_separated(rows: &[Vec<String>]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for row in rows {
        let fields: Vec<_> = row.iter().map(|field| on_one_line(field)).collect();
        writeln!(out, "{}", fields.join("\t"))?;
    }
    out.flush()
}

/// A table as wide as the terminal at most; what does not fit is cut with an ellipsis.
pub fn print_table(headers: &[&str], rows: &[Vec<Cell>]) -> io::Result<()> {
    let (_, columns) = console::Term::stdout().size();
    print_text(&draw_table(headers, rows, columns))
}

/// Text that may hold colors of ours, for a terminal.
pub fn print_text(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// A remark that is not part of the output, on stderr. When nobody listens there, nothing is lost.
pub fn remark(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Without what would break a line apart or steer a terminal.
pub fn on_one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn draw_table(headers: &[&str], rows: &[Vec<Cell>], columns: u16) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(columns)
        .set_truncation_indicator("…");
    table.set_header(one_line_row(headers.iter().map(ToString::to_string)));
    for row in rows {
        table.add_row(one_line_row(row.iter().map(|cell| on_one_line(&cell.text))));
    }
    let last = headers.len().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index == last { 0 } else { 2 }));
    }
    let mut text = String::new();
    for (index, line) in table.lines().enumerate() {
        let line = line.trim_end();
        match index.checked_sub(1).and_then(|row| rows.get(row)) {
            Some(cells) => text.push_str(&paint(line, cells)),
            None => text.push_str(&format!("{dim}{line}{dim:#}", dim = Style::new().dimmed())),
        }
        text.push('\n');
    }
    text
}

fn one_line_row(fields: impl Iterator<Item = String>) -> Row {
    let mut row = Row::from(fields.collect::<Vec<_>>());
    row.max_height(1);
    row
}

/// Colors the cells of a finished line: escape codes would count as width if the table laid them out.
fn paint(line: &str, cells: &[Cell]) -> String {
    let (mut painted, mut rest) = (String::new(), line);
    for cell in cells.iter().filter(|cell| !cell.text.is_empty()) {
        let Some(start) = rest.find(cell.text.as_str()) else { continue };
        let (before, from) = rest.split_at(start);
        let (text, after) = from.split_at(cell.text.len());
        painted.push_str(&format!("{before}{style}{text}{style:#}", style = cell.style));
        rest = after;
    }
    painted + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use anstyle::AnsiColor;

    fn rows() -> Vec<Vec<Cell>> {
        let green = Style::new().fg_color(Some(AnsiColor::Green.into()));
        let row = |id: &str, state: &str, title: &str| vec![Cell::plain(id), Cell::styled(state, green), Cell::plain(title)];
        vec![row("0c1d2e3f", "succeeded", "Tidy up"), row("4a5b6c7d", "running", "A title with very many words that does not fit")]
    }

    #[test]
    fn a_table_is_as_wide_as_the_terminal_and_its_colors_take_no_room() {
        let drawn = anstream::adapter::strip_str(&draw_table(&["ID", "STATE", "TITLE"], &rows(), 50)).to_string();
        let lines: Vec<_> = drawn.lines().collect();
        assert_eq!(lines[0], "ID        STATE      TITLE");
        assert_eq!(lines[1], "0c1d2e3f  succeeded  Tidy up");
        assert!(lines[2].starts_with("4a5b6c7d  running    A title with") && lines[2].ends_with('…'), "{}", lines[2]);
        assert!(lines.iter().all(|line| line.chars().count() <= 50), "{drawn}");
        assert_eq!(lines.len(), 3);
    }

    #[test]
    fn only_the_cell_itself_is_colored() {
        let drawn = draw_table(&["ID", "STATE", "TITLE"], &rows(), 80);
        assert!(drawn.contains("\x1b[32msucceeded\x1b[0m"), "{drawn:?}");
    }

    #[test]
    fn a_field_cannot_break_its_line() {
        assert_eq!(on_one_line("a\tb\nc\x1b[31m"), "a b c [31m");
    }
}
