//! Entries of a list of facts, `<dl class="c-facts">`.

use leptos::prelude::*;

pub fn fact(name: &'static str, value: impl IntoView + 'static) -> impl IntoView {
    view! { <div class="c-facts__fact"><dt>{name}</dt><dd>{value.into_any()}</dd></div> }
}

/// One that needs the whole width.
pub fn wide_fact(name: &'static str, value: impl IntoView + 'static) -> impl IntoView {
    view! { <div class="c-facts__fact c-facts__fact--wide"><dt>{name}</dt><dd>{value.into_any()}</dd></div> }
}
