//! What an address that leads nowhere shows.

use leptos::prelude::*;
use leptos_meta::Title;

use crate::{
    components::{Empty, Icon},
    layout::Brand,
};

/// Stands alone, outside the frame, as it is shown to those who are not signed in too.
#[component]
pub fn NotFoundPage() -> impl IntoView {
    view! {
        <Title text="Not found · Muster" />
        <main class="p-alone">
            <Brand />
            <NotHere detail="There is nothing at this address." />
        </main>
    }
}

/// The same inside the frame, for a thing that does not exist.
#[component]
pub fn NotHere(#[prop(into)] detail: String) -> impl IntoView {
    view! {
        <h1 class="l-head__title">"Not found"</h1>
        <Empty title=detail shape=Icon::Search>
            <p>"It may have been mistyped, or what was here is gone."</p>
            <p class="u-row">
                <a class="c-button" href="/">"Overview"</a>
                <a class="c-button" href="/tasks">"All tasks"</a>
            </p>
        </Empty>
    }
}
