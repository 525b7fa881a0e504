//! How a run was changed while it ran, and by whom.

use domain::workflow::{RunChange, RunView};
use leptos::prelude::*;

use crate::components::Time;

/// Nothing for a run that goes as its version says.
pub fn changes(run: &RunView) -> impl IntoView + use<> {
    let items: Vec<_> = run.changes.iter().map(|change| view! { <li>{one(change)}</li> }).collect();
    (!items.is_empty()).then(|| {
        view! {
            <section class="l-part" aria-labelledby="changes">
                <h2 class="l-part__title" id="changes">"Changes"</h2>
                <p class="u-quiet">"The graph of this run is its own. A restart goes on with it."</p>
                <ol class="p-run__changes">{items}</ol>
            </section>
        }
    })
}

fn one(change: &RunChange) -> impl IntoView + use<> {
    view! {
        <p>{sentence(change)} " by " {change.by.clone()} ", " <Time at=change.at /></p>
        <details class="p-workflow__text">
            <summary>"As it was written"</summary>
            <pre class="c-output" tabindex="0" role="region" aria-label=format!("Change {}", change.number)>{change.source.clone()}</pre>
        </details>
    }
}

fn sentence(change: &RunChange) -> String {
    let part = |word: &str, steps: &[String]| (!steps.is_empty()).then(|| format!("{word} {}", steps.join(", ")));
    let parts = [part("Added", &change.added), part("removed", &change.removed), part("rewired", &change.rewired)];
    crate::text::capitalised(&parts.into_iter().flatten().collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_one_sentence() {
        let change = |added: &[&str], removed: &[&str]| RunChange {
            number: 1,
            at: domain::Timestamp::UNIX_EPOCH,
            by: "Ada".into(),
            added: added.iter().map(|id| (*id).to_owned()).collect(),
            removed: removed.iter().map(|id| (*id).to_owned()).collect(),
            rewired: vec!["ship".into()],
            source: String::new(),
        };
        assert_eq!(sentence(&change(&["a", "b"], &["c"])), "Added a, b; removed c; rewired ship");
        assert_eq!(sentence(&change(&[], &[])), "Rewired ship");
    }
}
