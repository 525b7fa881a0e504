//! The text of a definition as it is written. Tab indents, until Escape is pressed: the next Tab then leaves the field, as Shift and
//! Tab always do.

use leptos::{ev::KeyboardEvent, html, prelude::*};
use wasm_bindgen::JsCast;
use web_sys::{HtmlDocument, HtmlTextAreaElement};

use crate::components::html::in_a_text_area;

const INDENT: &str = "  ";

#[component]
pub fn SourceField(
    /// What it begins with.
    value: String,
    #[prop(default = "Definition")] label: &'static str,
    node: NodeRef<html::Textarea>,
    is_wrong: Signal<bool>,
    mut on_input: impl FnMut(String) + 'static,
) -> impl IntoView {
    let leaves = StoredValue::new(false);
    let on_key = move |event: KeyboardEvent| {
        let Some(field) = node.get_untracked() else { return };
        let is_plain = !event.shift_key() && !event.ctrl_key() && !event.meta_key() && !event.alt_key();
        match event.key().as_str() {
            "Escape" => return leaves.set_value(true),
            "Tab" if is_plain && !leaves.get_value() => type_in(INDENT),
            "Enter" if is_plain => type_in(&new_line(&field)),
            _ => return leaves.set_value(false),
        }
        event.prevent_default();
    };
    view! {
        <div class="c-field">
            <label class="c-field__label" for="source">{label}</label>
            <textarea
                class="c-input c-input--area c-input--code p-workflow__source"
                id="source"
                name="source"
                rows="24"
                maxlength="200000"
                wrap="off"
                spellcheck="false"
                autocapitalize="none"
                autocomplete="off"
                required=true
                aria-describedby="source-hint source-said"
                aria-invalid=move || is_wrong.get().then_some("true")
                node_ref=node
                on:keydown=on_key
                on:blur=move |_| leaves.set_value(false)
                on:input=move |event| on_input(event_target_value(&event))
                inner_html=in_a_text_area(&value)
            ></textarea>
            <p class="c-field__hint" id="source-hint">
                "YAML or JSON." <span class="u-js">" Tab indents; Escape, then Tab leaves the field."</span>
            </p>
        </div>
    }
}

/// As if it were typed, so that it can be undone.
fn type_in(text: &str) {
    if let Ok(document) = document().dyn_into::<HtmlDocument>() {
        _ = document.exec_command_with_show_ui_and_value("insertText", false, text);
    }
}

/// A line that begins where the one before does, or further in after a colon.
fn new_line(field: &HtmlTextAreaElement) -> String {
    let caret = field.selection_start().ok().flatten().unwrap_or_default() as usize;
    let before: Vec<u16> = field.value().encode_utf16().take(caret).collect();
    next_line(&String::from_utf16_lossy(&before))
}

fn next_line(before: &str) -> String {
    let line = before.rsplit('\n').next().unwrap_or_default();
    let indent: String = line.chars().take_while(|character| *character == ' ').collect();
    let deeper = if line.trim_end().ends_with(':') { INDENT } else { "" };
    format!("\n{indent}{deeper}")
}

/// Puts the caret at the beginning of a line, counted from 1, and the keyboard into the field.
pub fn go_to_line(node: NodeRef<html::Textarea>, line: usize) {
    let Some(field) = node.get_untracked() else { return };
    let text = field.value();
    let start: usize = text.split('\n').take(line - 1).map(|line| line.encode_utf16().count() + 1).sum();
    let length = text.split('\n').nth(line - 1).map_or(0, |line| line.encode_utf16().count());
    _ = field.focus();
    _ = field.set_selection_range(start as u32, (start + length) as u32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_line_begins_where_it_should() {
        assert_eq!(next_line("steps:"), "\n  ");
        assert_eq!(next_line("steps:\n  - id: a"), "\n  ");
        assert_eq!(next_line("    approval: "), "\n      ");
        assert_eq!(next_line(""), "\n");
    }
}
