//! More of a thing, behind a word: what is rarely needed, or what is asked about before it is done. Opens without scripts.

use leptos::prelude::*;

use super::icon::{Icon, icon};

#[component]
pub fn Reveal(
    #[prop(into)] text: String,
    shape: Icon,
    /// What it is about, for people who do not see where it stands.
    #[prop(into)]
    about: String,
    /// Whether it leads to something that ends or removes things.
    #[prop(optional)]
    danger: bool,
    /// Whether it is open to begin with.
    #[prop(optional)]
    open: bool,
    /// Of those with the same name on a page, one is open at a time.
    #[prop(default = "reveal")]
    name: &'static str,
    children: Children,
) -> impl IntoView {
    let class = if danger { "c-reveal__word c-reveal__word--danger" } else { "c-reveal__word" };
    view! {
        <details class="c-reveal" name=name open=open>
            <summary class=class>{icon(shape)} {text} <span class="u-unseen">{about}</span></summary>
            <div class="c-reveal__panel">{children()}</div>
        </details>
    }
}
