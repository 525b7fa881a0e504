//! Whether models that nobody has are pulled by themselves: what holds in this workspace, since when, and how its owner changes that.

use domain::{Identity, Permission, Workspace};
use leptos::{form::ActionForm, prelude::*};

use super::SetAutoPull;
use crate::components::{Button, ButtonKind, Icon, Reveal, Time};

pub(super) fn auto_pull_part(who: Identity, change: ServerAction<SetAutoPull>) -> impl IntoView {
    let Identity { workspace, role, .. } = who;
    let what = match workspace.auto_pull {
        true => {
            "When a task for OpenCode names a model that no endpoint within its runner's reach has, that is pulled by itself, where there is the \
             least to do, and the task waits until it is there. Where that fails, the task fails."
        }
        false => {
            "Models are pulled when an admin says so. A task for OpenCode whose model no endpoint has begins as its runner's settings say."
        }
    };
    let said = said_by(&workspace);
    let act = role.may(Permission::AllowPulls).then(|| match workspace.auto_pull {
        true => forbid(change).into_any(),
        false => allow(change).into_any(),
    });
    view! {
        <section class="l-part" id="auto-pull" aria-labelledby="auto-pull-title">
            <h2 class="l-part__title" id="auto-pull-title">"Models that nobody has"</h2>
            <p>{what}</p>
            {said}
            {act}
        </section>
    }
}

fn said_by(workspace: &Workspace) -> Option<impl IntoView + use<>> {
    let (by, at) = (workspace.auto_pull_by.clone()?, workspace.auto_pull_at?);
    Some(view! { <p class="u-quiet">"Said by " <code>{by}</code> ", " <Time at=at /> "."</p> })
}

/// Opens without scripts, and says first what it means.
fn allow(change: ServerAction<SetAutoPull>) -> impl IntoView {
    view! {
        <Reveal text="Pull them by themselves…" shape=Icon::Download about="in this workspace">
            <ActionForm action=change>
                <input type="hidden" name="auto_pull" value="true" />
                <p>
                    "Whoever may create tasks can then fill the disks of these machines with models. A model that the runner's settings would have \
                     found at another provider is pulled as well, and not found there."
                </p>
                <Button text="Pull models by themselves" kind=ButtonKind::Primary busy=change.pending() />
            </ActionForm>
        </Reveal>
    }
}

fn forbid(change: ServerAction<SetAutoPull>) -> impl IntoView {
    view! {
        <ActionForm action=change>
            <input type="hidden" name="auto_pull" value="false" />
            <Button text="Pull models by hand" busy=change.pending() />
        </ActionForm>
    }
}
