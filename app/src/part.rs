//! Parts of the program that the browser asks for when a page of theirs is opened. The server has them all.
//!
//! A part may be out of reach: the network is away, or the server has been replaced and carries another build. The page then says
//! so, and its "Try again" loads the whole document, which needs no part.

use leptos::{prelude::*, wasm_split::SplitLoaderError};

use crate::{components::ErrorView, fetched::here};

/// The browser could not get a part of the program.
pub struct NotLoaded;

impl From<SplitLoaderError> for NotLoaded {
    fn from(_: SplitLoaderError) -> Self {
        Self
    }
}

/// How the server lets the browser fetch a part along with the document; a browser has none.
#[derive(Clone, Copy)]
pub struct Announce(pub fn(&str));

/// The page, once its part is there.
pub async fn part(name: &'static str, page: impl Future<Output = Result<AnyView, NotLoaded>>) -> AnyView {
    if let Some(Announce(announce)) = use_context() {
        announce(name);
    }
    let here = here();
    match page.await {
        Ok(page) => page,
        Err(NotLoaded) => {
            let detail = "The network is away, or Muster has been updated since this tab was opened.";
            view! { <ErrorView title="This page could not be loaded" detail=detail retry=Some(here) /> }.into_any()
        }
    }
}
