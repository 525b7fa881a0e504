//! What a browser without scripts typed, on its way back to the form after the server said no: in the address.

use serde::Serialize;
use server_fn::error::ServerFnUrlError;

use crate::{problem::Problem, text::query_value};

/// Bytes of an address that every browser and proxy lets through.
const PATH_LIMIT: usize = 8000;

/// The address of a page, which may have questions of its own, whose form holds this draft, with what this server function said; nothing if
/// it gets too long.
pub fn back_path(page: &str, draft: &impl Serialize, server_fn: &str, problem: &Problem) -> Option<String> {
    let draft = serde_json::to_string(draft).ok()?;
    let mark = if page.contains('?') { '&' } else { '?' };
    let base = format!("http://muster{page}{mark}draft={}", query_value(&draft));
    let url = ServerFnUrlError::new(server_fn, problem.clone()).to_url(&base).ok()?;
    Some(format!("{}?{}", url.path(), url.query()?)).filter(|path| path.len() <= PATH_LIMIT)
}
