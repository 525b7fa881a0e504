//! Which approval a person means: a full id, or the short one that lists and pages show.

use domain::{ApprovalId, ApprovalStateName, approval::ApprovalFilter, exact_text::beginning, page::PAGE_LIMIT_MAX};

use super::{
    client::Client,
    error::CliError,
    short_id::{self, Found, LOOK_AT_MOST, Name},
};

pub type ApprovalName = Name<ApprovalId>;

/// Characters of what is asked that tell two of them apart.
const SUBJECT: usize = 60;

pub fn parse_approval_name(text: &str) -> Result<ApprovalName, String> {
    short_id::parse(text)
        .ok_or_else(|| "an approval is named by its full id, or by the eight digits that `muster approval list` shows".into())
}

pub async fn find_approval(client: &Client, name: &ApprovalName) -> Result<ApprovalId, CliError> {
    let digits = match name {
        Name::Full(id) => return Ok(*id),
        Name::Short(digits) => digits,
    };
    // what waits for an answer is nearly always meant, and is little
    let pending = look(client, digits, Some(ApprovalStateName::Pending)).await?;
    if !pending.matches.is_empty() {
        return pending.only_one();
    }
    look(client, digits, None).await?.only_one()
}

async fn look<'a>(client: &Client, digits: &'a str, state: Option<ApprovalStateName>) -> Result<Found<'a, ApprovalId>, CliError> {
    let mut matches = vec![];
    let (mut looked_at, mut cursor) = (0, None);
    loop {
        let filter = ApprovalFilter { state, cursor, limit: Some(PAGE_LIMIT_MAX), ..ApprovalFilter::default() };
        let page = client.list_approvals(&filter).await?;
        looked_at += page.items.len();
        let fitting = page.items.into_iter().filter(|approval| short_id::ends_with(approval.id.0, digits));
        matches.extend(fitting.map(|approval| (approval.id, beginning(&approval.subject, SUBJECT))));
        cursor = page.next_cursor;
        if cursor.is_none() || looked_at >= LOOK_AT_MOST {
            break;
        }
    }
    Ok(Found { noun: "approval", list: "muster approval list --all", digits, matches, looked_at, more: cursor.is_some() })
}
