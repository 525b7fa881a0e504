//! What an attempt changed.

use domain::{Artifact, ArtifactId, ArtifactKind, TaskId, TaskView, artifact::folder_of};
use leptos::prelude::*;
use serde::{Deserialize, Serialize};

use super::name_of_first_repository;
use crate::{
    components::{DiffView, Empty, Icon, diff_view::parse::parse},
    fetched::fetched,
    page_json::fetch,
    task::task_diffs,
};

/// Bytes of a diff that are sent to a page.
const LIMIT: usize = 400 * 1024;

/// A diff, or its beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiffText {
    /// Of the repository in which it is, as the task calls it; absent for the first.
    folder: Option<String>,
    artifact: ArtifactId,
    text: String,
    is_cut: bool,
}

impl DiffText {
    /// Together they are no longer than a page takes.
    pub fn all(diffs: Vec<(Artifact, String)>) -> Vec<Self> {
        let mut left = LIMIT;
        let one = |(artifact, text): (Artifact, String)| {
            let (text, is_cut) = cut(text, left);
            left -= text.len();
            Self { folder: folder_of(&artifact.name).map(str::to_owned), artifact: artifact.id, text, is_cut }
        };
        diffs.into_iter().map(one).collect()
    }
}

/// Cuts what is longer than that between two lines; whether it was.
fn cut(mut text: String, most: usize) -> (String, bool) {
    if text.len() <= most {
        return (text, false);
    }
    let end = text.as_bytes()[..most].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    text.truncate(end);
    (text, true)
}

#[component]
pub fn Diff(id: TaskId, task: Signal<TaskView>, attempt: Memo<i32>) -> impl IntoView {
    // The diffs come with the end of an attempt, so they are fetched again when there is another one.
    let artifacts = Memo::new(move |_| task.with(|task| artifacts(task, attempt.get())));
    let diffs = fetch(
        move || (attempt.get(), artifacts.get()),
        move |(attempt, artifacts)| async move { if artifacts.is_empty() { Ok(vec![]) } else { task_diffs(id, attempt).await } },
    );
    let is_over = Memo::new(move |_| task.with(|task| task.summary.state.is_final()));
    let first = name_of_first_repository(task);
    let content = move |diffs: Signal<Vec<DiffText>>| {
        move || {
            let diffs: Vec<_> = diffs.get().into_iter().filter(|diff| diff.is_cut || !diff.text.trim().is_empty()).collect();
            match diffs.is_empty() {
                true => nothing(is_over.get()).into_any(),
                false => diffs.into_iter().map(|diff| shown(diff, first.get())).collect_view().into_any(),
            }
        }
    };
    fetched(diffs, 8, content)
}

/// With the name of its repository where there are several; `first` is that of the first.
fn shown(diff: DiffText, first: Option<String>) -> impl IntoView {
    let download = format!("/api/v1/artifacts/{}", diff.artifact);
    let files = view! { <DiffView files=parse(&diff.text) download=download cut=diff.is_cut /> };
    match diff.folder.or(first) {
        Some(name) => view! { <section class="p-task__part"><h2 class="p-task__heading">{name}</h2>{files}</section> }.into_any(),
        None => files.into_any(),
    }
}

fn artifacts(task: &TaskView, attempt: i32) -> Vec<ArtifactId> {
    let attempt = task.attempt_list.iter().find(|one| one.number == attempt);
    let all = attempt.map(|attempt| attempt.artifacts.as_slice()).unwrap_or_default();
    all.iter().filter(|artifact| artifact.kind == ArtifactKind::Diff).map(|artifact| artifact.id).collect()
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
        let (text, is_cut) = cut(line.repeat(1000), LIMIT);
        assert!(is_cut && text.len() <= LIMIT && text.ends_with('\n'));
        assert_eq!(cut("+a\n".into(), LIMIT), ("+a\n".into(), false));
        assert_eq!(cut("ä".repeat(LIMIT), LIMIT).0, "");
    }

    #[test]
    fn diffs_of_several_repositories_share_a_page() {
        let artifact = |name: &str| Artifact {
            id: "00000000-0000-7000-8000-000000000001".parse().unwrap(),
            attempt: 1,
            kind: ArtifactKind::Diff,
            name: name.into(),
            size: 1,
            sha256: String::new(),
            created_at: chrono::DateTime::UNIX_EPOCH,
        };
        let long = "+a\n".repeat(LIMIT / 3);
        let all = DiffText::all(vec![(artifact("changes.diff"), long), (artifact("changes-api.diff"), "+b\n".repeat(9))]);
        assert_eq!((all[0].folder.as_deref(), all[0].is_cut), (None, false));
        assert_eq!((all[1].folder.as_deref(), all[1].is_cut, all[1].text.as_str()), (Some("api"), true, ""));
    }
}
