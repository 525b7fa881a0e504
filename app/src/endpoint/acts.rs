//! What a person can do with endpoints: register one, remove it, have it pull a model, leave that off. Forms, so they work without scripts.

use domain::{
    Endpoint, Identity, Permission, Runner,
    endpoint::{MODEL_MAX, NAME_MAX},
};
use leptos::{form::ActionForm, prelude::*};

use super::{CancelPull, PullModel, RegisterEndpoint, RemoveEndpoint};
use crate::{
    components::{Button, ButtonKind, Icon, Notice, Reveal, TextField, Tone, toast::tell},
    layout::Who,
    problem::Problem,
    task::form::messages,
    text::capitalised,
};

/// Whether whoever is signed in may change endpoints; not before that is known.
pub(super) fn may_manage(who: Option<Who>) -> bool {
    matches!(who.map(|who| who.get()), Some(Some(Ok(Identity { role, .. }))) if role.may(Permission::ManageEndpoints))
}

#[derive(Clone, Copy)]
pub struct EndpointActs {
    pub register: ServerAction<RegisterEndpoint>,
    pub remove: ServerAction<RemoveEndpoint>,
    pub pull: ServerAction<PullModel>,
    pub cancel: ServerAction<CancelPull>,
}

impl EndpointActs {
    pub fn new(refresh: Callback<()>) -> Self {
        let acts =
            Self { register: ServerAction::new(), remove: ServerAction::new(), pull: ServerAction::new(), cancel: ServerAction::new() };
        tell(acts.register.value(), |endpoint| format!("{} is registered, and looked at now", endpoint.name), refresh);
        // what is removed cannot be fetched again
        tell(acts.remove.value(), |()| "It is removed".into(), Callback::new(|()| {}));
        tell(acts.pull.value(), |pull| format!("{} is being pulled", pull.model), refresh);
        tell(acts.cancel.value(), |pull| format!("{} is left off", pull.model), refresh);
        acts
    }

    /// The server's no, at its place in the page.
    pub fn refusal(self) -> impl IntoView {
        move || {
            let registered = self.register.value().get().and_then(Result::err);
            let problem = registered.or_else(|| self.remove.value().get().and_then(Result::err));
            let problem = problem.or_else(|| self.pull.value().get().and_then(Result::err));
            problem.or_else(|| self.cancel.value().get().and_then(Result::err)).map(refusal)
        }
    }
}

pub fn refusal(problem: Problem) -> impl IntoView {
    let detail = match problem.errors.first() {
        Some(error) => format!("{} {}.", capitalised(error.pointer.trim_start_matches('/')), error.message),
        None => format!("{}.", capitalised(problem.detail.trim_end_matches('.'))),
    };
    view! { <Notice tone=Tone::Bad title="That was not done"><p>{detail}</p></Notice> }
}

/// What is wrong with a field, as the server said.
fn wrong(problem: impl Fn() -> Option<Problem> + Send + Sync + 'static, pointer: &'static str) -> Signal<Vec<String>> {
    Signal::derive(move || messages(problem().as_ref(), pointer))
}

pub(super) fn register_form(runners: Vec<Runner>, register: ServerAction<RegisterEndpoint>) -> impl IntoView {
    let problem = move || register.value().get().and_then(Result::err);
    let (name, url) = (wrong(problem, "/name"), wrong(problem, "/url"));
    let runners = runners.into_iter().map(|one| view! { <option value=one.id.to_string()>{one.name}</option> }).collect_view();
    view! {
        <Reveal text="Register an Ollama…" shape=Icon::Plus about="that the server reaches">
            <ActionForm action=register>
                <TextField id="endpoint-name" label="Name" name="name" required=true max=NAME_MAX as u32 errors=name />
                <TextField
                    id="endpoint-url"
                    label="Address"
                    name="url"
                    required=true
                    code=true
                    hint="Where the server reaches it: http://gpu-box:11434. One on a runner's own machine need not be registered."
                    errors=url
                />
                <div class="c-field">
                    <label class="c-field__label" for="endpoint-machine">"On the machine of"</label>
                    <select class="c-input c-input--select" id="endpoint-machine" name="machine_of" aria-describedby="endpoint-machine-hint">
                        <option value="">"No runner"</option>
                        {runners}
                    </select>
                    <p class="c-field__hint" id="endpoint-machine-hint">"How busy that machine is counts when one is chosen."</p>
                </div>
                <Button text="Register it" kind=ButtonKind::Primary busy=register.pending() />
            </ActionForm>
        </Reveal>
    }
}

/// Opens without scripts, and asks before anything is lost.
pub(super) fn remove_form(endpoint: &Endpoint, remove: ServerAction<RemoveEndpoint>) -> impl IntoView + use<> {
    let (id, name) = (endpoint.id.to_string(), endpoint.name.clone());
    view! {
        <Reveal text="Remove…" shape=Icon::Close about=name.clone() danger=true>
            <ActionForm action=remove>
                <input type="hidden" name="id" value=id />
                <p>"It is asked no more, and what it is pulling is left off. Attempts that work with it go on."</p>
                <Button text=format!("Remove {name}") kind=ButtonKind::Danger busy=remove.pending() />
            </ActionForm>
        </Reveal>
    }
}

/// `wanted` stands in it from the beginning.
pub(super) fn pull_form(endpoint: String, wanted: String, pull: ServerAction<PullModel>) -> impl IntoView {
    let model = wrong(move || pull.value().get().and_then(Result::err), "/model");
    view! {
        <ActionForm action=pull attr:class="p-endpoint__pull">
            <input type="hidden" name="id" value=endpoint />
            <TextField
                id="pull-model"
                label="Model"
                name="model"
                value=wanted
                required=true
                code=true
                max=MODEL_MAX as u32
                hint="As Ollama names it: llama3:8b."
                errors=model
            />
            <Button text="Pull it" shape=Icon::Download busy=pull.pending() />
        </ActionForm>
    }
}
