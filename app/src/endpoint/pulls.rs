//! What an endpoint is pulling, with how far that has come, and what it pulled lately.

use domain::{Pull, endpoint::PullState, runner::reading::bytes};
use leptos::{form::ActionForm, prelude::*};

use super::{CancelPull, acts::EndpointActs};
use crate::components::{Badge, Button, Icon, Time, Tone};

pub(super) fn pull_list(
    pulls: Signal<Vec<Pull>>,
    may_manage: impl Fn() -> bool + Copy + Send + Sync + 'static,
    acts: EndpointActs,
) -> impl IntoView {
    let is_empty = Memo::new(move |_| pulls.with(Vec::is_empty));
    // what changes while one goes on is its bar alone, so that its button stays where it is
    move || {
        if is_empty.get() {
            return view! { <p class="u-quiet">"Nothing was pulled lately."</p> }.into_any();
        }
        view! {
            <ul class="c-pulls">
                <For each=move || pulls.get() key=|pull| (pull.id, pull.state) let:pull>{entry(pull, pulls, may_manage, acts.cancel)}</For>
            </ul>
        }
        .into_any()
    }
}

fn entry(
    pull: Pull,
    pulls: Signal<Vec<Pull>>,
    may_manage: impl Fn() -> bool + Send + Sync + 'static,
    cancel: ServerAction<CancelPull>,
) -> impl IntoView {
    let (id, is_open) = (pull.id, pull.state.is_open());
    let now = Memo::new(move |_| pulls.with(|pulls| pulls.iter().find(|one| one.id == id).cloned()));
    let bar = move || now.get().filter(|_| is_open).map(|pull| bar(&pull));
    let leave_off = move || (is_open && may_manage()).then(|| cancel_form(id.to_string(), cancel));
    let why = pull.why.map(|why| view! { <p class="u-bad">{why}</p> });
    let at = pull.ended_at.unwrap_or(pull.asked_at);
    view! {
        <li class="c-pulls__pull">
            <div class="c-pulls__head">
                <code class="c-pulls__model">{pull.model}</code>
                {state_badge(pull.state)}
                <span class="u-quiet">"for " {pull.asked_by} ", " <Time at=at /></span>
                {leave_off}
            </div>
            {bar}
            {why}
        </li>
    }
}

/// Before it is known how much there is, the bar says that something goes on.
fn bar(pull: &Pull) -> impl IntoView + use<> {
    let label = format!("Pulling {}", pull.model);
    let percent = pull.percent();
    let words = words(pull);
    view! {
        <progress class="c-pulls__bar" max="100" value=percent aria-label=label></progress>
        <span class="u-quiet">{words}</span>
    }
}

/// `pulling a1b2, 25 % of 4.3 GiB`
fn words(pull: &Pull) -> String {
    let status = pull.status.as_deref().filter(|status| !status.is_empty()).unwrap_or("waits for whoever pulls it");
    let percent = pull.percent().map(|percent| format!(", {percent} % of {}", bytes(pull.total))).unwrap_or_default();
    format!("{status}{percent}")
}

fn cancel_form(id: String, cancel: ServerAction<CancelPull>) -> impl IntoView {
    view! {
        <ActionForm action=cancel>
            <input type="hidden" name="id" value=id />
            <Button text="Leave it off" shape=Icon::Close busy=cancel.pending() />
        </ActionForm>
    }
}

fn state_badge(state: PullState) -> impl IntoView {
    let (tone, shape, word) = match state {
        PullState::Waiting => (Tone::Neutral, Icon::Clock, "Waiting"),
        PullState::Pulling => (Tone::Busy, Icon::Ring, "Pulling"),
        PullState::Done => (Tone::Good, Icon::Check, "Done"),
        PullState::Failed => (Tone::Bad, Icon::Cross, "Failed"),
        PullState::Cancelled => (Tone::Dim, Icon::Ban, "Left off"),
    };
    view! { <Badge tone=tone shape=shape text=word /> }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_it_has_come_is_said_in_words() {
        let id = "00000000-0000-0000-0000-000000000000";
        let mut pull = Pull {
            id: id.parse().unwrap(),
            endpoint_id: id.parse().unwrap(),
            model: "llama3".into(),
            state: PullState::Waiting,
            status: None,
            completed: 0,
            total: 0,
            asked_by: "Ada".into(),
            asked_at: chrono::DateTime::UNIX_EPOCH,
            ended_at: None,
            why: None,
        };
        assert_eq!(words(&pull), "waits for whoever pulls it");
        (pull.status, pull.completed, pull.total) = (Some("pulling a1b2".into()), 1 << 30, 4 << 30);
        assert_eq!(words(&pull), "pulling a1b2, 25 % of 4.0 GiB");
    }
}
