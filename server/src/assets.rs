//! The pages' files: built before the server, carried inside it, compressed beforehand, named by their content.

use app::SiteAssets;
use axum::{
    extract::Path,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use rust_embed::RustEmbed;
use tracing::warn;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../site"]
#[allow_missing = true]
struct Site;

/// The names of this build's files. Without them the pages still work, unstyled and without scripts.
pub fn names() -> SiteAssets {
    manifest().unwrap_or_else(|| {
        warn!("This program was built without its styles and scripts; build it with `cargo xtask build`");
        SiteAssets::default()
    })
}

fn manifest() -> Option<SiteAssets> {
    serde_json::from_slice(&Site::get("manifest.json")?.data).ok()
}

/// Named by content, so it never changes.
const FOREVER: &str = "public, max-age=31536000, immutable";
/// A day, for files with a lasting name.
const DAY: &str = "public, max-age=86400";

pub async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    file(&format!("assets/{name}"), &headers, FOREVER)
}

/// A file of the site that has no hash in its name, such as the icon.
pub async fn public_file(name: &'static str, headers: HeaderMap) -> Response {
    file(name, &headers, DAY)
}

fn file(path: &str, headers: &HeaderMap, cache: &'static str) -> Response {
    let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let encodings = [("br", ".br"), ("gzip", ".gz")].into_iter().filter(|(name, _)| accepts(accepted, name));
    for (encoding, ending) in encodings {
        if let Some(found) = Site::get(&format!("{path}{ending}")) {
            let mut response = respond(path, found.data.into_owned(), cache);
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
            return response;
        }
    }
    match Site::get(path) {
        Some(found) => respond(path, found.data.into_owned(), cache),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn accepts(header: &str, encoding: &str) -> bool {
    header.split(',').any(|item| {
        let mut parts = item.split(';').map(str::trim);
        parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding)) && !parts.any(|weight| weight == "q=0")
    })
}

fn respond(path: &str, content: Vec<u8>, cache: &'static str) -> Response {
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let headers =
        [(header::CONTENT_TYPE, kind.to_string()), (header::CACHE_CONTROL, cache.to_owned()), (header::VARY, "accept-encoding".into())];
    (headers, content).into_response()
}

#[cfg(test)]
mod tests {
    use super::accepts;

    #[test]
    fn encodings() {
        assert!(accepts("gzip, deflate, br;q=0.8", "br"));
        assert!(!accepts("gzip, br;q=0", "br"));
        assert!(!accepts("", "gzip"));
    }
}
