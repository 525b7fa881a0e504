//! Whether work runs in sandboxes: what holds in this workspace, since when, and how its owner changes that.

use domain::{Identity, Isolation, Permission, Workspace};
use leptos::{form::ActionForm, prelude::*};

use super::SetIsolation;
use crate::components::{Button, ButtonKind, Icon, Reveal, Time};

pub(super) fn isolation_part(who: Identity, change: ServerAction<SetIsolation>) -> impl IntoView {
    let Identity { workspace, role, .. } = who;
    let what = match workspace.isolation {
        Isolation::Sandbox => {
            "Work and its checks run in a sandbox: they write in a folder of their own, see no other process and nothing of anybody's, and \
             commands reach no network unless the machine lets them. Where a machine makes no sandbox, they fail there."
        }
        Isolation::None => {
            "Work and its checks run as the user that runs the runner, with what that user can read, write and reach. A machine that has \
             joined uses its sandbox all the same, unless it was told otherwise."
        }
    };
    let said = said_by(&workspace);
    let act = role.may(Permission::ChangeIsolation).then(|| match workspace.isolation {
        Isolation::Sandbox => leave_out(change).into_any(),
        Isolation::None => put_back(change).into_any(),
    });
    view! {
        <section class="l-part" id="isolation" aria-labelledby="isolation-title">
            <h2 class="l-part__title" id="isolation-title">"Isolation"</h2>
            <p>{what}</p>
            {said}
            {act}
        </section>
    }
}

fn said_by(workspace: &Workspace) -> Option<impl IntoView + use<>> {
    let (by, at) = (workspace.isolation_by.clone()?, workspace.isolation_at?);
    Some(view! { <p class="u-quiet">"Said by " <code>{by}</code> ", " <Time at=at /> "."</p> })
}

/// Opens without scripts, and says first what it means.
fn leave_out(change: ServerAction<SetIsolation>) -> impl IntoView {
    view! {
        <Reveal text="Work without a sandbox…" shape=Icon::Alert about="in this workspace" danger=true>
            <ActionForm action=change>
                <input type="hidden" name="isolation" value=Isolation::None.name() />
                <p>
                    "Whatever is handed in here can then read and change what the runner's user can, keys and other people's work included. Every \
                     page says so for as long as it holds."
                </p>
                <Button text="Run work without a sandbox" kind=ButtonKind::Danger busy=change.pending() />
            </ActionForm>
        </Reveal>
    }
}

fn put_back(change: ServerAction<SetIsolation>) -> impl IntoView {
    view! {
        <ActionForm action=change>
            <input type="hidden" name="isolation" value=Isolation::Sandbox.name() />
            <Button text="Run work in sandboxes" kind=ButtonKind::Primary shape=Icon::Check busy=change.pending() />
        </ActionForm>
    }
}
