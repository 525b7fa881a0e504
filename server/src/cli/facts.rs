//! How facts about one thing are laid out in a terminal.

use super::{
    task_result::shown,
    words::{bold, dim},
};

pub fn field(name: &str, value: &str) -> String {
    format!("{dim}{name:<11}{dim:#} {}", shown(value), dim = dim())
}

/// Lines below a title; nothing where there are none.
pub fn section(title: &str, lines: Vec<String>) -> Vec<String> {
    if lines.is_empty() {
        return vec![];
    }
    let head = format!("{bold}{title}{bold:#}", bold = bold());
    [String::new(), head].into_iter().chain(lines.into_iter().map(|line| format!("  {line}"))).collect()
}
