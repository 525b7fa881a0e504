//! A tool that an agent uses: what it is called with, and what came of it as soon as that is known.

use domain::session::{self, FileChange};
use leptos::prelude::*;
use serde_json::{Value, json};

use super::{
    given::Given,
    script::{Answer, Changed, Later},
    words::{legible, printed, subject},
};
use crate::components::{
    Badge, Icon, Tone,
    change_lines::{Piece, of_diff, piece},
    icon,
    tool_changes::Change,
};

/// Lines of a change that are read in passing; a longer one is with the rest of its call.
const INLINE_LINES: usize = 40;

/// `is_open` while an answer may still come.
pub fn call(tool: &str, input: &Value, later: &Later, is_open: Signal<bool>) -> AnyView {
    let Later { answer, changes, .. } = later.clone();
    let state = answer.clone();
    let Given { command, changes: asked, rest } = Given::read(input);
    let lines: usize = asked.iter().flat_map(|change| &change.pieces).map(|piece| piece.text.lines().count()).sum();
    let (inline, folded) = if lines > INLINE_LINES { (vec![], asked) } else { (asked, vec![]) };
    // of what names its files only with their changes they are the line
    let about = match session::subject(input) {
        None if lines > 0 => subject(&json!({"path": files(&inline, &folded)})),
        _ => subject(input),
    };
    view! {
        <details class="c-session__fold">
            <summary class="c-session__call">
                <span class="c-session__tool">{legible(tool)}</span>
                {about.clone().map(|subject| view! { <code class="c-session__subject">{subject}</code> })}
                {move || call_badge(state.with(|answer| answer.as_ref().map(|answer| answer.is_error)), is_open.get())}
            </summary>
            <div class="c-session__inside">
                {command.map(|command| output("Command", command))}
                {differences(folded, about.as_deref())}
                {rest.map(|rest| output("Input", rest))}
                {move || answer.get().map(|answer| answered(&answer, Some(format!("e{}", answer.number))))}
            </div>
        </details>
        {differences(inline, about.as_deref())}
        {move || {
            changes.get().into_iter().map(|one| { let id = Some(format!("e{}", one.number)); changed(one, id) }).collect_view()
        }}
    }
    .into_any()
}

fn files(inline: &[Change], folded: &[Change]) -> String {
    inline.iter().chain(folded).map(|change| change.file.as_str()).collect::<Vec<_>>().join(", ")
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

/// The file is named unless the line of the call names it.
fn differences(changes: Vec<Change>, about: Option<&str>) -> impl IntoView + use<> {
    let differences = changes.into_iter().filter(|change| !change.pieces.is_empty()).map(|change| {
        let name =
            (about != Some(change.file.as_str())).then(|| view! { <p class="c-session__note"><code>{change.file.clone()}</code></p> });
        view! { {name} {difference(change.pieces, &change.file)} }
    });
    differences.collect_view()
}

/// A group, as there may be any number of one file: no landmark by which people who do not see find their way about the page.
fn difference(pieces: Vec<Piece>, file: &str) -> impl IntoView + use<> {
    let label = format!("Change of {file}");
    view! {
        <pre class="c-output c-change-lines" tabindex="0" role="group" aria-label=label>{pieces.into_iter().map(piece).collect_view()}</pre>
    }
}

fn output(label: &'static str, text: String) -> impl IntoView {
    view! { <pre class="c-output" tabindex="0" role="group" aria-label=label>{text}</pre> }
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

/// A file that was changed, with its lines where the call does not say them. `id` is the anchor of the event that says so, where that has no
/// entry of its own.
pub fn changed(changed: Changed, id: Option<String>) -> AnyView {
    let path = legible(&changed.path);
    let pieces = changed.diff.map(|diff| of_diff(&diff, legible)).unwrap_or_default();
    let lines: usize = pieces.iter().map(|piece| piece.text.lines().count()).sum();
    let lines = match lines {
        0 => ().into_any(),
        1..=INLINE_LINES => difference(pieces, &path).into_any(),
        _ => view! { <details class="c-session__fold"><summary class="c-session__call">"Its change"</summary>{difference(pieces, &path)}</details> }.into_any(),
    };
    view! { <p class="c-session__line" id=id>{file(&changed.path, changed.change)}</p> {lines} }.into_any()
}

/// A file, and what became of it.
fn file(path: &str, change: FileChange) -> impl IntoView + use<> {
    let word = match change {
        FileChange::Written => "wrote",
        FileChange::Edited => "edited",
        FileChange::Deleted => "deleted",
    };
    view! { {icon(Icon::File)} <span>{word} " " <code>{legible(path)}</code></span> }
}
