//! A list that may be longer than one page of the API.

use domain::{Page, page::PAGE_LIMIT_MAX};

use super::error::CliError;

/// As many pages as it takes to have so many, or all there are. `fetch` is given a cursor and a limit.
pub async fn collect<T>(wanted: u32, fetch: impl AsyncFn(Option<String>, u32) -> Result<Page<T>, CliError>) -> Result<Page<T>, CliError> {
    let mut found = Page { items: vec![], next_cursor: None };
    loop {
        let missing = wanted.saturating_sub(u32::try_from(found.items.len()).unwrap_or(u32::MAX));
        let page = fetch(found.next_cursor.take(), missing.min(PAGE_LIMIT_MAX)).await?;
        found.items.extend(page.items);
        found.next_cursor = page.next_cursor;
        if found.next_cursor.is_none() || found.items.len() >= wanted as usize {
            return Ok(found);
        }
    }
}
