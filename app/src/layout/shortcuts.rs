//! Keys that do what a click does. They rest while a person types, can be switched off (WCAG 2.1.4), and everything they do can be
//! done without them.

use leptos::{ev, prelude::*};
use leptos_router::hooks::use_navigate;
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, KeyboardEvent};

use crate::components::{Dialog, Icon, icon};

/// Where the choice to switch them off is kept.
const STORAGE_KEY: &str = "muster-shortcuts";
/// Marks the field that `/` goes to.
const SEARCH: &str = "[data-search]";
/// Marks the links that `j` and `k` walk.
const ROWS: &str = "[data-row]";

const KEYS: [(&str, &str); 10] = [
    ("n", "New task"),
    ("/", "Search"),
    ("j", "Next row"),
    ("k", "Previous row"),
    ("Enter", "Open the row"),
    ("g", "Overview"),
    ("t", "Tasks"),
    ("a", "Approvals"),
    ("w", "Workflows"),
    ("?", "This help"),
];

/// The keys, and the button that explains them.
#[component]
pub fn Shortcuts() -> impl IntoView {
    let open = RwSignal::new(false);
    let enabled = RwSignal::new(true);
    let navigate = use_navigate();
    Effect::new(move |_| {
        enabled.set(storage().and_then(|storage| storage.get_item(STORAGE_KEY).ok().flatten()).as_deref() != Some("off"));
        let navigate = navigate.clone();
        let listener = window_event_listener(ev::keydown, move |event| {
            if !enabled.get_untracked() || is_typing(&event) {
                return;
            }
            match event.key().as_str() {
                "n" => navigate("/tasks/new", Default::default()),
                "g" => navigate("/", Default::default()),
                "t" => navigate("/tasks", Default::default()),
                "a" => navigate("/approvals", Default::default()),
                "w" => navigate("/workflows", Default::default()),
                "?" => open.set(true),
                "/" => focus(find_all(SEARCH).into_iter().next()),
                "j" => walk(1),
                "k" => walk(-1),
                _ => return,
            }
            event.prevent_default();
        });
        on_cleanup(move || listener.remove());
    });
    let switch = move |event| {
        let on = event_target_checked(&event);
        enabled.set(on);
        _ = storage().map(|storage| storage.set_item(STORAGE_KEY, if on { "on" } else { "off" }));
    };
    view! {
        <button class="l-side__link l-side__link--keys u-js" type="button" title="Keyboard shortcuts" on:click=move |_| open.set(true)>
            {icon(Icon::Key)}
            <span>"Shortcuts"</span>
        </button>
        <Dialog id="shortcuts" title="Keyboard shortcuts" open=open>
            <dl class="c-keys">
                {KEYS.map(|(key, act)| view! { <div><dt><kbd>{key}</kbd></dt><dd>{act}</dd></div> })}
            </dl>
            <label class="c-check">
                <input type="checkbox" checked=true prop:checked=enabled on:change=switch />
                <span>"Shortcuts are on"</span>
            </label>
            <form class="c-dialog__acts" method="dialog">
                <button class="c-button" type="submit">"Close"</button>
            </form>
        </Dialog>
    }
}

fn storage() -> Option<web_sys::Storage> {
    window().local_storage().ok().flatten()
}

/// A key that belongs to a field, to a dialog or to the browser is not ours.
fn is_typing(event: &KeyboardEvent) -> bool {
    if event.ctrl_key() || event.meta_key() || event.alt_key() || event.default_prevented() {
        return true;
    }
    let Some(target) = event.target().and_then(|target| target.dyn_into::<HtmlElement>().ok()) else { return false };
    target.is_content_editable()
        || matches!(target.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT")
        || matches!(target.closest("dialog[open]"), Ok(Some(_)))
}

fn find_all(selector: &str) -> Vec<HtmlElement> {
    let Ok(found) = document().query_selector_all(selector) else { return vec![] };
    (0..found.length()).filter_map(|index| found.item(index)?.dyn_into().ok()).collect()
}

fn focus(element: Option<HtmlElement>) {
    if let Some(element) = element {
        _ = element.focus();
    }
}

/// Moves the focus along the rows; Enter is then the browser's own.
fn walk(by: isize) {
    let rows = find_all(ROWS);
    let here = document().active_element();
    let at = rows.iter().position(|row| here.as_ref() == Some(row.as_ref()));
    let next = match at {
        Some(at) => at.saturating_add_signed(by).min(rows.len().saturating_sub(1)),
        None => 0,
    };
    focus(rows.into_iter().nth(next));
}
