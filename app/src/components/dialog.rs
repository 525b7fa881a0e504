//! A question or a help text on top of the page: the browser's own `<dialog>`, so focus, Escape and the rest of the page being out
//! of reach come with it.

use leptos::{html, prelude::*};

#[component]
pub fn Dialog(
    /// Unique on the page.
    id: &'static str,
    #[prop(into)] title: String,
    open: RwSignal<bool>,
    children: Children,
) -> impl IntoView {
    let node = NodeRef::<html::Dialog>::new();
    Effect::new(move |_| {
        let Some(dialog) = node.get() else { return };
        match (open.get(), dialog.open()) {
            (true, false) => _ = dialog.show_modal(),
            (false, true) => dialog.close(),
            _ => {}
        }
    });
    let heading = format!("{id}-title");
    let labelled_by = heading.clone();
    view! {
        <dialog class="c-dialog" id=id node_ref=node aria-labelledby=labelled_by closedby="any" on:close=move |_| open.set(false)>
            <h2 class="c-dialog__title" id=heading>{title}</h2>
            {children()}
        </dialog>
    }
}
