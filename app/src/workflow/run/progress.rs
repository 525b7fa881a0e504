//! How far a run has come: a bar, and the same in words.

use domain::workflow::RunCounts;
use leptos::prelude::*;

/// What the bar is made of, from its beginning: the tone, and how many steps.
fn parts(counts: &RunCounts) -> [(&'static str, i64); 5] {
    [
        ("good", counts.succeeded),
        ("bad", counts.failed),
        ("dim", counts.cancelled + counts.skipped + counts.not_chosen),
        ("busy", counts.running),
        ("warn", counts.open_gates),
    ]
}

pub fn progress(counts: RunCounts) -> impl IntoView {
    let total = counts.total.max(1) as f64;
    let mut start = 0.0;
    let bars: Vec<_> = parts(&counts)
        .into_iter()
        .filter(|(_, steps)| *steps > 0)
        .map(|(tone, steps)| {
            let (x, width) = (start, steps as f64 / total * 100.0);
            start += width;
            view! { <rect class="c-progress__part" data-tone=tone x=format!("{x:.2}%") width=format!("{width:.2}%") height="100%" /> }
        })
        .collect();
    view! {
        <span class="c-progress">
            <svg class="c-progress__bar" aria-hidden="true">{bars}</svg>
            <span class="c-progress__text">{sentence(&counts)}</span>
        </span>
    }
}

/// `4 of 6 ended, 1 failed`
pub fn sentence(counts: &RunCounts) -> String {
    let mut text = format!("{} of {} ended", counts.ended(), counts.total);
    let told = [(counts.failed, "failed"), (counts.skipped, "skipped"), (counts.cancelled, "cancelled"), (counts.not_chosen, "not chosen")];
    for (number, word) in told {
        if number > 0 {
            text.push_str(&format!(", {number} {word}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_a_sentence() {
        let counts = RunCounts { total: 6, succeeded: 3, failed: 1, running: 2, ..RunCounts::default() };
        assert_eq!(sentence(&counts), "4 of 6 ended, 1 failed");
        assert_eq!(sentence(&RunCounts::default()), "0 of 0 ended");
    }
}
