//! How a machine is removed from a workspace, in the list and on its own page.

use domain::Runner;
use leptos::{form::ActionForm, prelude::*};

use super::RemoveRunner;
use crate::components::{Button, ButtonKind, Icon, Reveal};

/// Opens without scripts, and asks before anything is lost.
pub(super) fn remove_form(runner: &Runner, remove: ServerAction<RemoveRunner>) -> impl IntoView + use<> {
    let (id, name) = (runner.id.to_string(), runner.name.clone());
    let held = match runner.busy {
        0 => "It works on nothing now.".to_owned(),
        1 => "The task that it works on goes back into the queue.".to_owned(),
        busy => format!("The {busy} tasks that it works on go back into the queue."),
    };
    view! {
        <Reveal text="Remove…" shape=Icon::Close about=name.clone() danger=true>
            <ActionForm action=remove>
                <input type="hidden" name="id" value=id />
                <p>"Its key is dead from then on, and it can only come back as another one. " {held}</p>
                <Button text=format!("Remove {name}") kind=ButtonKind::Danger busy=remove.pending() />
            </ActionForm>
        </Reveal>
    }
}
