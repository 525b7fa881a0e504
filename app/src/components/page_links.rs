//! The ways from one page of a list to the others. Each is an address, so they work without scripts and can be kept.

use leptos::prelude::*;

/// Where it leads, and what it is called.
pub type Way = (String, &'static str);

/// `label` says of which list, as a page may have several. Nothing where there is no other page.
pub fn page_links(label: &'static str, first: Option<Way>, next: Option<Way>) -> impl IntoView {
    (first.is_some() || next.is_some()).then(|| {
        view! {
            <nav class="c-pages" aria-label=label>
                {first.map(|(href, text)| view! { <a class="c-button" href=href>{text}</a> })}
                {next.map(|(href, text)| view! { <a class="c-button" href=href rel="next">{text}</a> })}
            </nav>
        }
    })
}
