//! Short messages about what a person just did. They come by themselves and go by themselves; bad news stays until dismissed.
//! A page says the same in its own content, so that nobody depends on them.

use std::time::Duration;

use leptos::prelude::*;

use super::{
    badge::Tone,
    icon::{Icon, icon},
};
use crate::{problem::Problem, text::capitalised};

/// How long a message stays.
const STAYS: Duration = Duration::from_secs(6);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Toast {
    id: u32,
    tone: Tone,
    text: String,
}

/// Where messages are handed in. Shared by the whole page.
#[derive(Clone, Copy)]
pub struct Toasts {
    shown: RwSignal<Vec<Toast>>,
    last: StoredValue<u32>,
}

impl Toasts {
    /// Made once, at the root.
    pub fn provide() {
        provide_context(Self { shown: RwSignal::new(vec![]), last: StoredValue::new(0) });
    }

    /// Shows a message, where the page has room for them.
    pub fn show(tone: Tone, text: impl Into<String>) {
        let Some(toasts) = use_context::<Self>() else { return };
        let text = text.into();
        toasts.last.update_value(|last| *last += 1);
        let id = toasts.last.get_value();
        toasts.shown.update(|shown| shown.push(Toast { id, tone, text }));
        if tone != Tone::Bad {
            set_timeout(move || toasts.dismiss(id), STAYS);
        }
    }

    fn dismiss(self, id: u32) {
        self.shown.update(|shown| shown.retain(|toast| toast.id != id));
    }
}

/// The corner in which messages appear.
#[component]
pub fn ToastCorner() -> impl IntoView {
    let toasts = use_context::<Toasts>();
    let shown = move || toasts.map(|toasts| toasts.shown.get()).unwrap_or_default();
    view! {
        <div class="c-toasts" role="status" aria-live="polite">
            <For each=shown key=|toast| toast.id let:toast>
                <ToastCard tone=toast.tone text=toast.text on_close=move || {
                    if let Some(toasts) = toasts {
                        toasts.dismiss(toast.id);
                    }
                } />
            </For>
        </div>
    }
}

/// One message.
#[component]
pub fn ToastCard(tone: Tone, text: String, on_close: impl Fn() + Send + Sync + 'static) -> impl IntoView {
    let shape = match tone {
        Tone::Bad => Icon::Cross,
        Tone::Warn => Icon::Alert,
        _ => Icon::Check,
    };
    view! {
        <div class=format!("c-toast c-toast--{}", tone.name())>
            {icon(shape)}
            <span class="c-toast__text">{text}</span>
            <button class="c-toast__close" type="button" on:click=move |_| on_close()>
                {icon(Icon::Close)}
                <span class="u-unseen">"Dismiss"</span>
            </button>
        </div>
    }
}

/// Says how an act went, once it has an answer, and has the page fetched again.
pub fn tell<T: 'static>(
    value: impl Get<Value = Option<Result<T, Problem>>> + 'static,
    success: impl Fn(&T) -> String + 'static,
    refresh: Callback<()>,
) {
    Effect::new(move |first: Option<()>| {
        let answer = value.get();
        if first.is_none() {
            return;
        }
        match answer {
            Some(Ok(done)) => Toasts::show(Tone::Good, success(&done)),
            Some(Err(problem)) => Toasts::show(Tone::Bad, capitalised(&problem.detail)),
            None => return,
        }
        refresh.run(());
    });
}
