//! Which task a person means: a full id, or the short one that lists and pages show.

use domain::{TaskFilter, TaskId, page::PAGE_LIMIT_MAX};

use super::{
    client::Client,
    error::CliError,
    short_id::{self, Found, LOOK_AT_MOST, Name},
};

pub type TaskName = Name<TaskId>;

pub fn parse_task_name(text: &str) -> Result<TaskName, String> {
    short_id::parse(text).ok_or_else(|| "a task is named by its full id, or by the eight digits that `muster task list` shows".into())
}

pub async fn find_task(client: &Client, name: &TaskName) -> Result<TaskId, CliError> {
    let digits = match name {
        Name::Full(id) => return Ok(*id),
        Name::Short(digits) => digits,
    };
    let mut matches = vec![];
    let (mut looked_at, mut cursor) = (0, None);
    loop {
        let page = client.list_tasks(&TaskFilter { cursor, limit: Some(PAGE_LIMIT_MAX), ..TaskFilter::default() }).await?;
        looked_at += page.items.len();
        matches.extend(page.items.into_iter().filter(|task| short_id::ends_with(task.id.0, digits)).map(|task| (task.id, task.title)));
        cursor = page.next_cursor;
        if cursor.is_none() || looked_at >= LOOK_AT_MOST {
            break;
        }
    }
    Found { noun: "task", list: "muster task list --all", digits, matches, looked_at, more: cursor.is_some() }.only_one()
}
