//! Who is signed in, and how one gets there.

pub mod setup_page;
pub mod sign_in_page;

use domain::Identity;
use leptos::prelude::*;

use crate::{problem::Problem, text::query_value};

#[server(name = GetIdentity, prefix = "/_fn", endpoint = "identity")]
pub async fn identity() -> Result<Identity, Problem> {
    crate::ssr::call(async |engine, actor| engine.identity(&actor).await).await
}

#[server(prefix = "/_fn", endpoint = "needs_owner")]
pub async fn needs_owner() -> Result<bool, Problem> {
    crate::ssr::needs_owner().await
}

/// Signs in and goes on to `next`.
#[server(prefix = "/_fn", endpoint = "sign_in")]
pub async fn sign_in(email: String, password: String, #[server(default)] next: String) -> Result<(), Problem> {
    crate::ssr::sign_in(email, password).await.map(|()| leptos_axum::redirect(&local_path(&next)))
}

#[server(prefix = "/_fn", endpoint = "sign_out")]
pub async fn sign_out() -> Result<(), Problem> {
    crate::ssr::sign_out().await.map(|()| leptos_axum::redirect("/sign-in"))
}

/// Makes the first owner, who is signed in from then on. The token is the one that the first start printed.
#[server(prefix = "/_fn", endpoint = "create_owner")]
pub async fn create_owner(token: String, name: String, email: String, password: String) -> Result<(), Problem> {
    let owner = domain::account::NewOwner { name, email, password };
    crate::ssr::create_owner(token, owner).await.map(|()| leptos_axum::redirect("/"))
}

/// The sign-in page, with the way back.
pub fn sign_in_path(next: &str) -> String {
    match local_path(next).as_str() {
        "/" => "/sign-in".to_owned(),
        next => format!("/sign-in?next={}", query_value(next)),
    }
}

/// A path on this server, whatever was asked for: the address of another site becomes the start page, and so does what a browser
/// could read as one.
pub fn local_path(next: &str) -> String {
    let is_local = next.starts_with('/')
        && !next.starts_with("//")
        && !next.contains('\\')
        && next.chars().all(|character| character.is_ascii_graphic())
        && !next.starts_with("/_fn")
        && !next.starts_with("/sign-in");
    if is_local { next.to_owned() } else { "/".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_signing_in_nobody_is_sent_to_another_site() {
        for good in ["/", "/tasks", "/tasks?state=failed&text=a%20b", "/tasks/0190#log"] {
            assert_eq!(local_path(good), good);
        }
        for bad in [
            "",
            "tasks",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/a\r\nSet-Cookie: x",
            "/ä",
            "/sign-in",
            "/_fn/sign_out",
        ] {
            assert_eq!(local_path(bad), "/", "{bad:?}");
        }
    }

    #[test]
    fn the_sign_in_page_knows_the_way_back() {
        assert_eq!(sign_in_path("/"), "/sign-in");
        assert_eq!(sign_in_path("/tasks?state=failed"), "/sign-in?next=%2Ftasks%3Fstate%3Dfailed");
    }
}
