//! A tool that an agent uses: what it is called with, and what came of it as soon as that is known.

use domain::session::FileChange;
use leptos::prelude::*;
use serde_json::Value;

use super::{
    given::Given,
    script::{Answer, Changed, Later},
    words::{legible, printed, subject},
};
use crate::components::{Badge, Icon, Tone, change_lines::piece, icon};

/// `is_open` while an answer may still come.
pub fn call(tool: &str, input: &Value, later: &Later, is_open: Signal<bool>) -> AnyView {
    let Later { answer, changes, .. } = later.clone();
    let state = answer.clone();
    view! {
        <details class="c-session__fold">
            <summary class="c-session__call">
                <span class="c-session__tool">{legible(tool)}</span>
                {subject(input).map(|subject| view! { <code class="c-session__subject">{subject}</code> })}
                {move || call_badge(state.with(|answer| answer.as_ref().map(|answer| answer.is_error)), is_open.get())}
            </summary>
            <div class="c-session__inside">
                {given(Given::read(input))}
                {move || answer.get().map(|answer| answered(&answer, Some(format!("e{}", answer.number))))}
            </div>
        </details>
        {move || changes.get().into_iter().map(changed).collect_view()}
    }
    .into_any()
}

/// Only what is not as it should be is worth a badge.
fn call_badge(failed: Option<bool>, is_open: bool) -> AnyView {
    match failed {
        Some(true) => view! { <Badge tone=Tone::Bad shape=Icon::Cross text="Failed" /> }.into_any(),
        Some(false) => ().into_any(),
        None if is_open => view! { <Badge tone=Tone::Busy shape=Icon::Ring text="Running" /> }.into_any(),
        None => view! { <Badge tone=Tone::Dim shape=Icon::Dots text="No answer" /> }.into_any(),
    }
}

fn given(given: Given) -> impl IntoView {
    let changes = given.changes.into_iter().filter(|pieces| !pieces.is_empty()).map(|pieces| {
        view! {
            <pre class="c-output c-change-lines" tabindex="0" role="region" aria-label="Change">
                {pieces.into_iter().map(piece).collect_view()}
            </pre>
        }
    });
    view! {
        {given.command.map(|command| output("Command", command))}
        {changes.collect_view()}
        {given.rest.map(|rest| output("Input", rest))}
    }
}

fn output(label: &'static str, text: String) -> impl IntoView {
    view! { <pre class="c-output" tabindex="0" role="region" aria-label=label>{text}</pre> }
}

/// What the tool said. `id` is the anchor of the event that says so, where that has no entry of its own.
pub fn answered(answer: &Answer, id: Option<String>) -> AnyView {
    let text = printed(&answer.output);
    let (class, word) = match answer.is_error {
        true => ("c-session__answer c-session__answer--bad", "Failed with"),
        false => ("c-session__answer", "Answered"),
    };
    let body =
        if text.is_empty() { view! { <p class="c-session__note">"Nothing."</p> }.into_any() } else { output("Answer", text).into_any() };
    view! {
        <div class=class id=id>
            <p class="c-session__note">{word}</p>
            {body}
        </div>
    }
    .into_any()
}

fn changed(changed: Changed) -> AnyView {
    view! { <p class="c-session__line" id=format!("e{}", changed.number)>{file(&changed.path, changed.change)}</p> }.into_any()
}

/// A file, and what became of it.
pub fn file(path: &str, change: FileChange) -> impl IntoView + use<> {
    let word = match change {
        FileChange::Written => "wrote",
        FileChange::Edited => "edited",
        FileChange::Deleted => "deleted",
    };
    view! { {icon(Icon::File)} <span>{word} " " <code>{legible(path)}</code></span> }
}
