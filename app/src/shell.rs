//! The document around the pages: what is in `<head>`, and how the page comes alive.

use std::collections::BTreeMap;

use leptos::prelude::*;
use leptos_meta::MetaTags;
use serde::Deserialize;

use crate::App;

/// Where the browser finds what it needs, as absolute paths with hashed names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct SiteAssets {
    pub script: String,
    pub wasm: String,
    pub style: String,
    /// The files of each part of the program that is loaded when a page of its own is opened.
    pub parts: BTreeMap<String, Vec<String>>,
}

/// Runs before anything is painted: the theme that was chosen in this browser, and the word that scripts run.
const BEFORE_PAINT: &str = concat!(
    "document.documentElement.classList.add('js');",
    "try{const t=localStorage.getItem('muster-theme');if(t==='light'||t==='dark')document.documentElement.dataset.theme=t}catch{}"
);

/// The whole document. Scripts carry the nonce of the answer's Content-Security-Policy.
pub fn shell(assets: SiteAssets, nonce: String) -> impl IntoView {
    let hydrate =
        format!("import init, {{ hydrate }} from {:?}; init({{ module_or_path: {:?} }}).then(hydrate);", assets.script, assets.wasm);
    view! {
        <!DOCTYPE html>
        <html lang="en">
            <head>
                <meta charset="utf-8" />
                <meta name="viewport" content="width=device-width, initial-scale=1" />
                <meta name="description" content="Muster: a control plane for teams of coding agents." />
                <meta name="color-scheme" content="light dark" />
                <script nonce=nonce.clone()>{BEFORE_PAINT}</script>
                <link rel="stylesheet" href=assets.style />
                <link rel="modulepreload" href=assets.script nonce=nonce.clone() />
                <link rel="preload" href=assets.wasm r#as="fetch" r#type="application/wasm" crossorigin="anonymous" />
                <link rel="icon" href="/favicon.svg" r#type="image/svg+xml" />
                <MetaTags />
                <script type="module" nonce=nonce>{hydrate}</script>
            </head>
            <body>
                <App />
            </body>
        </html>
    }
}
