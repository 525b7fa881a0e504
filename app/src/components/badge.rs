//! A short word about a thing: shape, text and colour say the same, so that none of them is needed alone.

use leptos::prelude::*;

use super::icon::{Icon, icon};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Neutral,
    /// Over, and of no further interest.
    Dim,
    Info,
    /// Something is at work.
    Busy,
    Good,
    Warn,
    Bad,
}

impl Tone {
    pub const ALL: [Self; 7] = [Self::Neutral, Self::Dim, Self::Info, Self::Busy, Self::Good, Self::Warn, Self::Bad];

    pub fn name(self) -> &'static str {
        match self {
            Self::Neutral => "neutral",
            Self::Dim => "dim",
            Self::Info => "info",
            Self::Busy => "busy",
            Self::Good => "good",
            Self::Warn => "warn",
            Self::Bad => "bad",
        }
    }
}

#[component]
pub fn Badge(tone: Tone, shape: Icon, #[prop(into)] text: String) -> impl IntoView {
    view! {
        <span class=format!("c-badge c-badge--{}", tone.name())>
            {icon(shape)}
            <span>{text}</span>
        </span>
    }
}
