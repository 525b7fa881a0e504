//! What a person can do with a machine that has joined: set its slots, drain it, let it take work again, remove it. Forms, so they work without
//! scripts.

use domain::{Identity, Permission, Runner, runner::RunnerDetail};
use leptos::{form::ActionForm, prelude::*};

use super::{
    ChangeRunner, DrainRunner, RemoveRunner, ResumeRunner,
    remove_form::remove_form,
    slots_form::{self, SlotsForm},
};
use crate::{
    components::{Button, ButtonKind, Icon, Notice, Reveal, Tone, toast::tell},
    layout::Who,
    problem::Problem,
    text::capitalised,
};

/// Whether whoever is signed in may change runners; not before that is known.
pub(super) fn may_manage(who: Option<Who>) -> bool {
    matches!(who.map(|who| who.get()), Some(Some(Ok(Identity { role, .. }))) if role.may(Permission::ManageRunners))
}

#[component]
pub fn Acts(runner: Signal<RunnerDetail>, is_leaving: RwSignal<bool>, refresh: Callback<()>) -> impl IntoView {
    let change = ServerAction::<ChangeRunner>::new();
    let drain = ServerAction::<DrainRunner>::new();
    let resume = ServerAction::<ResumeRunner>::new();
    let remove = ServerAction::<RemoveRunner>::new();
    tell(change.value(), slots_form::done, refresh);
    tell(drain.value(), |_| "It takes nothing new".into(), refresh);
    tell(resume.value(), |_| "It takes work again".into(), refresh);
    // what is removed cannot be fetched again
    tell(remove.value(), |()| "It is removed, and its key is dead".into(), Callback::new(|()| {}));
    Effect::new(move || {
        let is_removed = remove.value().with(|answer| matches!(answer, Some(Ok(()))));
        is_leaving.set(remove.pending().get() || is_removed);
    });
    let who: Option<Who> = use_context();
    let joined = Memo::new(move |_| runner.with(|detail| detail.runner.joined.then(|| detail.runner.clone())));
    // apart from the rest, which changes while somebody types
    let slots = Memo::new(move |_| runner.with(|detail| detail.runner.joined.then(|| slots_form::Slots::of(&detail.runner))));
    let refused = move || {
        let drained = drain.value().get().and_then(Result::err);
        let resumed = || resume.value().get().and_then(Result::err);
        // what is wrong with the number is said beside it
        let changed = || change.value().get().and_then(Result::err).filter(|problem| problem.field("/slots").is_none());
        let problem = drained.or_else(resumed).or_else(changed).or_else(|| remove.value().get().and_then(Result::err));
        problem.map(|problem| view! { <div class="l-head__below">{refusal(problem)}</div> })
    };
    view! {
        <div class="l-head__acts">
            {move || slots.get().filter(|_| may_manage(who)).map(|slots| view! { <SlotsForm slots=slots change=change /> })}
            {move || joined.get().filter(|_| may_manage(who)).map(|runner| {
                let service = if runner.draining.is_some() {
                    resume_form(&runner, resume).into_any()
                } else {
                    drain_form(&runner, drain).into_any()
                };
                view! { {service} {remove_form(&runner, remove)} }
            })}
        </div>
        {refused}
    }
}

/// Opens without scripts, and says first what it means.
fn drain_form(runner: &Runner, drain: ServerAction<DrainRunner>) -> impl IntoView + use<> {
    let (id, name) = (runner.id.to_string(), runner.name.clone());
    view! {
        <Reveal text="Drain…" shape=Icon::Pause about=name.clone()>
            <ActionForm action=drain>
                <input type="hidden" name="id" value=id />
                <p>"It takes nothing new and brings what it has to an end. It stays so, also after a restart, until it is told to take work again."</p>
                <Button text=format!("Drain {name}") kind=ButtonKind::Primary busy=drain.pending() />
            </ActionForm>
        </Reveal>
    }
}

fn resume_form(runner: &Runner, resume: ServerAction<ResumeRunner>) -> impl IntoView + use<> {
    let id = runner.id.to_string();
    view! {
        <ActionForm action=resume>
            <input type="hidden" name="id" value=id />
            <Button text="Take work again" shape=Icon::Play busy=resume.pending() />
        </ActionForm>
    }
}

/// The server's no, at its place in the page.
pub(super) fn refusal(problem: Problem) -> impl IntoView {
    let detail = format!("{}.", capitalised(problem.detail.trim_end_matches('.')));
    view! { <Notice tone=Tone::Bad title="That was not done"><p>{detail}</p></Notice> }
}
