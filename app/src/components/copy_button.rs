//! Copies a text. Shown only where scripts run; elsewhere the text beside it can be selected.

use std::time::Duration;

use leptos::prelude::*;

use super::icon::{Icon, icon};

#[component]
pub fn CopyButton(
    /// What is copied, asked for when pressed.
    #[prop(into)]
    text: Signal<String>,
    /// What it copies, for people who do not see it: "Copy the id".
    #[prop(into)]
    label: String,
) -> impl IntoView {
    let copied = RwSignal::new(false);
    let press = move |_| {
        if !copy(&text.get_untracked()) {
            return;
        }
        copied.set(true);
        set_timeout(
            move || {
                copied.try_set(false);
            },
            Duration::from_millis(1500),
        );
    };
    let title = label.clone();
    view! {
        <button class="c-copy u-js" type="button" title=title on:click=press>
            {move || if copied.get() { icon(Icon::Check).into_any() } else { icon(Icon::Copy).into_any() }}
            <span class="u-unseen">{label}</span>
            <span class="u-unseen" role="status">{move || if copied.get() { "Copied" } else { "" }}</span>
        </button>
    }
}

/// Puts text on the clipboard; false where the browser offers none, which is so on pages without https.
pub fn copy(text: &str) -> bool {
    if !window().is_secure_context() {
        return false;
    }
    _ = window().navigator().clipboard().write_text(text);
    true
}
