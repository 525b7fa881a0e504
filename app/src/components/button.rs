//! What a person presses. A link that looks like a button is a link: it goes somewhere and changes nothing.

use leptos::prelude::*;

use super::icon::{Icon, icon};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ButtonKind {
    /// The one act a page is about.
    Primary,
    #[default]
    Plain,
    /// Without a frame, for bars of small tools.
    Quiet,
    /// Ends or removes something.
    Danger,
}

impl ButtonKind {
    fn class(self) -> &'static str {
        match self {
            Self::Primary => "c-button c-button--primary",
            Self::Plain => "c-button",
            Self::Quiet => "c-button c-button--quiet",
            Self::Danger => "c-button c-button--danger",
        }
    }
}

/// `kind_of` is the button's `type`: `submit` unless told otherwise. With `on_press` it is a plain `button`.
#[component]
pub fn Button(
    #[prop(into)] text: String,
    #[prop(optional)] kind: ButtonKind,
    #[prop(optional)] shape: Option<Icon>,
    /// True while what it started goes on; it cannot be pressed then.
    #[prop(optional, into)]
    busy: Signal<bool>,
    /// Belongs to the form of this id rather than to the one around it.
    #[prop(optional, into)]
    form: Option<String>,
    #[prop(optional, into)] on_press: Option<Callback<()>>,
    /// Drawn as a square with the text for assistive technology only.
    #[prop(optional)]
    icon_only: bool,
) -> impl IntoView {
    let press = move |_| {
        if let Some(on_press) = on_press {
            on_press.run(());
        }
    };
    let title = icon_only.then(|| text.clone());
    let class = if icon_only { format!("{} c-button--icon", kind.class()) } else { kind.class().to_owned() };
    view! {
        <button
            class=class
            type=if on_press.is_some() { "button" } else { "submit" }
            form=form
            disabled=busy
            aria-busy=move || busy.get().then_some("true")
            title=title
            on:click=press
        >
            {shape.map(icon)}
            <span class=if icon_only { "u-unseen" } else { "c-button__text" }>{text}</span>
        </button>
    }
}

#[component]
pub fn LinkButton(
    #[prop(into)] href: Signal<String>,
    #[prop(into)] text: String,
    #[prop(optional)] kind: ButtonKind,
    #[prop(optional)] shape: Option<Icon>,
    /// Leads out of the pages, for example to a file.
    #[prop(optional)]
    external: bool,
) -> impl IntoView {
    view! {
        <a class=kind.class() href=href rel=external.then_some("external")>
            {shape.map(icon)}
            <span class="c-button__text">{text}</span>
        </a>
    }
}
