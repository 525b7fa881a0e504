//! What an attempt changed.

use domain::{ArtifactKind, TaskId, TaskView};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    components::{DiffView, Empty, Icon, diff_view::parse::parse},
    fetched::fetched,
    page_json::fetch,
    task::task_diff,
};

/// Bytes of a diff that are sent to a page.
const LIMIT: usize = 400 * 1024;

/// A diff, or its beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffText {
    text: String,
    is_cut: bool,
}

impl DiffText {
    /// Cuts a long diff between two lines.
    pub fn cut(mut text: String) -> Self {
        if text.len() <= LIMIT {
            return Self { text, is_cut: false };
        }
        let end = text.as_bytes()[..LIMIT].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        text.truncate(end);
        Self { text, is_cut: true }
    }
}

#[component]
pub fn Diff(id: TaskId, task: Signal<TaskView>, attempt: Memo<i32>) -> impl IntoView {
    // The diff comes with the end of an attempt, so it is fetched again when there is another one.
    let artifact = Memo::new(move |_| task.with(|task| artifact(task, attempt.get())));
    let diff = fetch(
        move || (attempt.get(), artifact.get()),
        move |(attempt, artifact)| async move { if artifact.is_some() { task_diff(id, attempt).await } else { Ok(None) } },
    );
    let is_over = Memo::new(move |_| task.with(|task| task.summary.state.is_final()));
    let content = move |diff: Signal<Option<DiffText>>| {
        move || match diff.get() {
            Some(diff) if !diff.text.trim().is_empty() => {
                let download = artifact.get().map(|artifact| format!("/api/v1/artifacts/{artifact}"));
                view! { <DiffView files=parse(&diff.text) download=download.unwrap_or_default() cut=diff.is_cut /> }.into_any()
            }
            _ => nothing(is_over.get()).into_any(),
        }
    };
    fetched(diff, 8, content)
}

fn artifact(task: &TaskView, attempt: i32) -> Option<String> {
    let attempt = task.attempt_list.iter().find(|one| one.number == attempt)?;
    attempt.artifacts.iter().find(|artifact| artifact.kind == ArtifactKind::Diff).map(|artifact| artifact.id.to_string())
}

fn nothing(is_over: bool) -> impl IntoView {
    let (title, text) = if is_over {
        ("Nothing was changed", "The work left the repository as it was.")
    } else {
        ("No diff yet", "It is made when the attempt ends.")
    };
    view! { <Empty title=title shape=Icon::Diff><p>{text}</p></Empty> }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_diff_is_cut_between_lines() {
        let line = format!("+{}\n", "ä".repeat(500));
        let cut = DiffText::cut(line.repeat(1000));
        assert!(cut.is_cut && cut.text.len() <= LIMIT && cut.text.ends_with('\n'));
        assert_eq!(DiffText::cut("+a\n".into()), DiffText { text: "+a\n".into(), is_cut: false });
        assert_eq!(DiffText::cut("ä".repeat(LIMIT)).text, "");
    }
}
