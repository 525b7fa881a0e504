//! What was changed: file by file, foldable, with line numbers on both sides. Long files and long diffs are cut; the whole is a
//! download.

pub mod parse;

use leptos::prelude::*;

use super::{
    html::{escape_into, is_shown},
    icon::{Icon, icon},
};
use parse::{Change, DiffLine, FileDiff, LineKind};

/// Lines of one file that are shown.
const FILE_LIMIT: usize = 800;
/// Lines of all files together that are shown.
const TOTAL_LIMIT: usize = 4000;
/// Files with more lines than this start folded.
const FOLD_AT: usize = 300;

#[component]
pub fn DiffView(
    files: Vec<FileDiff>,
    /// Where the whole diff can be fetched as a file.
    #[prop(optional, into)]
    download: Option<String>,
    /// What was given is not all of it.
    #[prop(optional)]
    cut: bool,
) -> impl IntoView {
    let (added, removed) = files.iter().fold((0, 0), |(added, removed), file| (added + file.added, removed + file.removed));
    let count = match files.len() {
        1 => "1 file".to_owned(),
        many => format!("{many} files"),
    };
    let mut left = TOTAL_LIMIT;
    let mut all = !cut;
    let cards = files
        .into_iter()
        .map(|file| {
            let shown = file.lines().min(FILE_LIMIT).min(left);
            left -= shown;
            all &= shown == file.lines();
            file_card(&file, shown)
        })
        .collect_view();
    view! {
        <div class="c-diff">
            <div class="c-diff__bar">
                <span>{count} " changed " {counts(added, removed)}</span>
                {download
                    .map(|href| {
                        view! {
                            <a class="c-button c-button--quiet" href=href rel="external" download>
                                {icon(Icon::Download)}
                                <span class="c-button__text">"Raw"</span>
                            </a>
                        }
                    })}
            </div>
            {cards}
            {(!all).then(|| view! { <p class="c-diff__cut">"This diff is long, so not all of it is shown. The raw diff has everything."</p> })}
        </div>
    }
}

fn counts(added: usize, removed: usize) -> impl IntoView {
    view! {
        <span class="c-diff__counts">
            <span class="c-diff__added">"+" {added}</span>
            " "
            <span class="c-diff__removed">"−" {removed}</span>
        </span>
    }
}

fn file_card(file: &FileDiff, shown: usize) -> impl IntoView + use<> {
    let note = match file.change() {
        Change::Added => Some("new"),
        Change::Deleted => Some("deleted"),
        Change::Renamed => Some("renamed"),
        Change::Changed => None,
    };
    let title = file.title();
    let left_out = file.lines() - shown;
    let starts_open = file.lines() <= FOLD_AT && left_out == 0;
    let body = if file.binary {
        view! { <p class="c-diff__note">"A binary file; its content is not shown."</p> }.into_any()
    } else if file.hunks.is_empty() {
        view! { <p class="c-diff__note">"No line changed."</p> }.into_any()
    } else {
        view! {
            <div class="c-diff__scroll" tabindex="0" role="region" aria-label=format!("Changes of {title}")>
                <table class="c-diff__table" inner_html=table_html(file, shown)></table>
            </div>
        }
        .into_any()
    };
    view! {
        <details class="c-diff__file" open=starts_open>
            <summary class="c-diff__head">
                <span class="c-diff__path">{title}</span>
                {note.map(|note| view! { <span class="c-diff__change">{note}</span> })}
                {file.mode.clone().map(|mode| view! { <span class="c-diff__change">"mode " {mode}</span> })}
                {counts(file.added, file.removed)}
            </summary>
            {body}
            {(left_out > 0).then(|| view! { <p class="c-diff__note">{left_out} " more lines are left out here."</p> })}
        </details>
    }
}

fn table_html(file: &FileDiff, shown: usize) -> String {
    let mut html = String::from(
        "<thead class=\"u-unseen\"><tr><th scope=\"col\">Old line</th><th scope=\"col\">New line</th><th scope=\"col\">Text</th></tr></thead><tbody>",
    );
    let mut left = shown;
    for hunk in &file.hunks {
        if left == 0 {
            break;
        }
        html.push_str("<tr class=\"c-diff__hunk\"><td></td><td></td><td>");
        text_into(&mut html, &hunk.heading);
        html.push_str("</td></tr>");
        for line in hunk.lines.iter().take(left) {
            line_html(&mut html, line);
        }
        left = left.saturating_sub(hunk.lines.len());
    }
    html.push_str("</tbody>");
    html
}

fn line_html(html: &mut String, line: &DiffLine) {
    let (class, sign, old, new) = match line.kind {
        LineKind::Context(old, new) => ("", ' ', Some(old), Some(new)),
        LineKind::Added(new) => (" class=\"c-diff__plus\"", '+', None, Some(new)),
        LineKind::Removed(old) => (" class=\"c-diff__minus\"", '-', Some(old), None),
    };
    html.push_str("<tr");
    html.push_str(class);
    html.push('>');
    for number in [old, new] {
        html.push_str("<td>");
        if let Some(number) = number {
            html.push_str(&number.to_string());
        }
        html.push_str("</td>");
    }
    html.push_str("<td>");
    html.push(sign);
    text_into(html, &line.text);
    if line.no_newline {
        html.push_str("<span class=\"c-diff__eof\">no newline at the end</span>");
    }
    html.push_str("</td></tr>");
}

/// Control characters become visible, so that a change cannot hide in them.
fn text_into(html: &mut String, text: &str) {
    if text.chars().all(|c| is_shown(c) || c == '\t') {
        return escape_into(html, text);
    }
    let shown: String = text.chars().map(|c| if is_shown(c) || c == '\t' { c } else { '\u{fffd}' }).collect();
    escape_into(html, &shown);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_diff_holds_is_shown_and_never_run() {
        let files = parse::parse("diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1,2 @@ <b>\n-<script>\n+\u{202e}a\n+\"b\"\n");
        let html = table_html(&files[0], 3);
        assert!(html.contains("<tr class=\"c-diff__minus\"><td>1</td><td></td><td>-&lt;script&gt;</td></tr>"), "{html}");
        assert!(html.contains("+\u{fffd}a"), "{html}");
        assert!(html.contains("+&quot;b&quot;"), "{html}");
        assert!(!html.contains("<script>") && !html.contains("<b>"));
        assert_eq!(table_html(&files[0], 1).matches("<tr").count(), 3);
    }
}
