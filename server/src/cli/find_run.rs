//! Which run of a workflow a person means: a full id, or the short one that lists and pages show.

use domain::{WorkflowRunId, page::PAGE_LIMIT_MAX, workflow::RunFilter};

use super::{
    client::Client,
    error::CliError,
    short_id::{self, Found, LOOK_AT_MOST, Name},
};

pub type RunName = Name<WorkflowRunId>;

pub fn parse_run_name(text: &str) -> Result<RunName, String> {
    short_id::parse(text).ok_or_else(|| "a run is named by its full id, or by the eight digits that `muster workflow runs` shows".into())
}

pub async fn find_run(client: &Client, name: &RunName) -> Result<WorkflowRunId, CliError> {
    let digits = match name {
        Name::Full(id) => return Ok(*id),
        Name::Short(digits) => digits,
    };
    let mut matches = vec![];
    let (mut looked_at, mut cursor) = (0, None);
    loop {
        let page = client.list_runs(&RunFilter { workflow: None, cursor, limit: Some(PAGE_LIMIT_MAX) }).await?;
        looked_at += page.items.len();
        matches.extend(page.items.into_iter().filter(|run| short_id::ends_with(run.id.0, digits)).map(|run| (run.id, run.title)));
        cursor = page.next_cursor;
        if cursor.is_none() || looked_at >= LOOK_AT_MOST {
            break;
        }
    }
    Found { noun: "run", list: "muster workflow runs --all", digits, matches, looked_at, more: cursor.is_some() }.only_one()
}
