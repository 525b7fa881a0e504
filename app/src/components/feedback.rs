//! What a page says when there is nothing to show: it is loading, it is empty, or it failed; and short notices inside a page.

use leptos::prelude::*;

use super::{
    badge::Tone,
    icon::{Icon, icon},
};

/// Grey lines in the place of what is to come.
#[component]
pub fn Loading(
    /// About as many as will come.
    #[prop(default = 4)]
    lines: usize,
) -> impl IntoView {
    view! {
        <div class="c-loading" role="status">
            <span class="u-unseen">"Loading"</span>
            {(0..lines).map(|_| view! { <span class="c-loading__line"></span> }).collect_view()}
        </div>
    }
}

/// Nothing there, and what a person can do about it.
#[component]
pub fn Empty(#[prop(into)] title: String, #[prop(optional)] shape: Option<Icon>, children: Children) -> impl IntoView {
    view! {
        <div class="c-empty">
            {shape.map(|shape| view! { <span class="c-empty__shape">{icon(shape)}</span> })}
            <h2 class="c-empty__title">{title}</h2>
            <div class="c-empty__text">{children()}</div>
        </div>
    }
}

/// Something failed: what, why, and a way to try again, which is a plain reload so that it works without scripts.
#[component]
pub fn ErrorView(
    #[prop(into)] title: String,
    #[prop(into)] detail: String,
    /// What support asks for.
    #[prop(optional_no_strip, into)]
    reference: Option<String>,
    /// Where "Try again" leads: this page. Left out where trying again cannot help.
    #[prop(optional_no_strip, into)]
    retry: Option<String>,
) -> impl IntoView {
    view! {
        <div class="c-error" role="alert">
            <span class="c-error__shape">{icon(Icon::Alert)}</span>
            <div>
                <h2 class="c-error__title">{title}</h2>
                <p>{detail}</p>
                {reference.map(|reference| view! { <p class="c-error__reference">"Reference " <code>{reference}</code></p> })}
                {retry.map(|href| view! { <p><a class="c-button" href=href rel="external">"Try again"</a></p> })}
            </div>
        </div>
    }
}

/// A few words in the page's flow that deserve a frame.
#[component]
pub fn Notice(tone: Tone, #[prop(into)] title: String, children: Children) -> impl IntoView {
    let shape = match tone {
        Tone::Good => Icon::Check,
        Tone::Bad => Icon::Cross,
        Tone::Warn => Icon::Alert,
        _ => Icon::Clock,
    };
    view! {
        <div class=format!("c-notice c-notice--{}", tone.name()) role=(tone == Tone::Bad).then_some("alert")>
            <span class="c-notice__shape">{icon(shape)}</span>
            <div class="c-notice__body">
                <p class="c-notice__title">{title}</p>
                {children()}
            </div>
        </div>
    }
}
