//! Everything that happened to a task, in the words of its events.

use domain::{Event, Identity, TaskId, account::SYSTEM};
use leptos::prelude::*;

use crate::{components::TimeOfDay, fetched::fetched, layout::Who, live::use_live, page_json::fetch, task::task_events};

#[component]
pub fn Timeline(id: TaskId) -> impl IntoView {
    let events = fetch(|| (), move |()| task_events(id));
    use_live(events, move |event| event.task_id == id);
    let who = use_context::<Who>();
    let me = move || who.and_then(|who| who.get()).and_then(Result::ok);
    fetched(events, 8, move |events| {
        view! {
            <ol class="c-timeline">
                {move || {
                    let me = me();
                    events.get().into_iter().map(|event| entry(event, me.as_ref())).collect_view()
                }}
            </ol>
        }
    })
}

fn entry(event: Event, me: Option<&Identity>) -> impl IntoView + use<> {
    view! {
        <li class="c-timeline__entry" data-kind=event.kind.name()>
            <span class="c-timeline__time"><TimeOfDay at=event.at /></span>
            <span class="c-timeline__text">{event.kind.sentence()}</span>
            <span class="c-timeline__actor">{actor_name(&event.actor, me)}</span>
        </li>
    }
}

/// The label of an actor as a word.
fn actor_name(label: &str, me: Option<&Identity>) -> &'static str {
    let mine = me.and_then(|me| me.user.as_ref()).map(|user| format!("user:{}", user.id));
    if mine.as_deref() == Some(label) {
        return "you";
    }
    match label.split(':').next() {
        Some("user") => "a member",
        Some("api_key") => "an API key",
        Some("runner") => "the runner",
        Some(SYSTEM) => "Muster",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actors_have_names() {
        assert_eq!(actor_name("system", None), "Muster");
        assert_eq!(actor_name("user:0190a2b4-7d34-7c11-8a52-0123456789ab", None), "a member");
        assert_eq!(actor_name("runner:x", None), "the runner");
        assert_eq!(actor_name("", None), "");
    }
}
