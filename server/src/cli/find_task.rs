//! Which task a person means: a full id, or the short one that lists and pages show.

use domain::{TaskFilter, TaskId, page::PAGE_LIMIT_MAX};

use super::{client::Client, error::CliError};

/// A task as it was named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskName {
    Full(TaskId),
    /// The last digits of an id, at least eight.
    Short(String),
}

const SHORT_DIGITS: usize = 8;
/// How many of the newest tasks are looked through for a short id.
const LOOK_AT_MOST: usize = 20_000;

pub fn parse_task_name(text: &str) -> Result<TaskName, String> {
    if let Ok(id) = text.parse() {
        return Ok(TaskName::Full(id));
    }
    let digits = text.to_ascii_lowercase().replace('-', "");
    if (SHORT_DIGITS..32).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(TaskName::Short(digits));
    }
    Err("a task is named by its full id, or by the eight digits that `muster task list` shows".into())
}

pub async fn find_task(client: &Client, name: &TaskName) -> Result<TaskId, CliError> {
    let digits = match name {
        TaskName::Full(id) => return Ok(*id),
        TaskName::Short(digits) => digits,
    };
    let mut found = vec![];
    let (mut looked_at, mut cursor) = (0, None);
    loop {
        let page = client.list_tasks(&TaskFilter { cursor, limit: Some(PAGE_LIMIT_MAX), ..TaskFilter::default() }).await?;
        looked_at += page.items.len();
        found.extend(page.items.into_iter().filter(|task| task.id.0.simple().to_string().ends_with(digits.as_str())));
        cursor = page.next_cursor;
        if cursor.is_none() || looked_at >= LOOK_AT_MOST {
            break;
        }
    }
    match found.as_slice() {
        [task] => Ok(task.id),
        [] => Err(CliError::Failed {
            message: match cursor {
                None => format!("there is no task {digits}"),
                Some(_) => format!("there is no task {digits} among the newest {looked_at}"),
            },
            remedy: Some("see which tasks there are with `muster task list --all`, or give the full id".into()),
        }),
        several => {
            let lines: Vec<_> = several.iter().map(|task| format!("{} ({})", task.id, task.title)).collect();
            Err(CliError::Failed {
                message: format!("{digits} fits {} tasks: {}", several.len(), lines.join(", ")),
                remedy: Some("give the full id of the one you mean".into()),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_named_in_full_or_in_short() {
        let full = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
        assert_eq!(parse_task_name(full), Ok(TaskName::Full(full.parse().unwrap())));
        assert_eq!(parse_task_name("2E3F4A5B"), Ok(TaskName::Short("2e3f4a5b".into())));
        for bad in ["", "4a5b", "not-a-task", "2e3f4a5g", "2e3f4a5b2e3f4a5b2e3f4a5b2e3f4a5b0"] {
            assert!(parse_task_name(bad).is_err(), "{bad}");
        }
    }
}
