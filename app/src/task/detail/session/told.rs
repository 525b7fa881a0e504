//! What people tell an agent while it is at work: the box for it, and what has not come to the agent yet.

use domain::{
    Identity, Permission, TaskId,
    session::{OnItsWay, TOLD_MAX},
};
use leptos::{ev::KeyboardEvent, form::ActionForm, html, prelude::*};
use leptos_router::hooks::use_query_map;

use super::words::legible;
use crate::{
    components::{Button, ButtonKind, Icon, Notice, Time, Tone, field::error_text, html::in_a_text_area, icon, toast::tell},
    layout::Who,
    page_json::read,
    problem::Problem,
    task::{TellAgent, form::messages},
    text::capitalised,
};

/// Stands apart from the session, in which there is nothing of it yet.
pub fn ahead(told: Vec<OnItsWay>, is_open: bool) -> impl IntoView {
    (!told.is_empty()).then(|| {
        let entries = told.into_iter().map(|one| not_there(one, is_open)).collect_view();
        view! { <ol class="c-session c-session--ahead" aria-label=how_far(false, is_open)>{entries}</ol> }
    })
}

fn not_there(told: OnItsWay, is_open: bool) -> impl IntoView {
    let who = says(&told.by);
    view! {
        <li class="c-session__entry" data-kind="on_its_way">
            <div class="c-session__main">
                <p class="c-session__who">{who.clone()}</p>
                <div class="c-session__text c-session__text--long" tabindex="0" role="region" aria-label=who>{legible(&told.text)}</div>
                <p class="c-session__note">{how_far(told.interrupt, is_open)}</p>
            </div>
            <div class="c-session__side"><Time at=told.at /></div>
        </li>
    }
}

/// Over what somebody tells an agent, before it is there and after.
pub fn says(by: &str) -> String {
    format!("{} says", legible(by))
}

fn how_far(interrupt: bool, is_open: bool) -> &'static str {
    match (is_open, interrupt) {
        (true, false) => "On its way to the agent",
        (true, true) => "On its way to the agent, which leaves off what it does",
        (false, _) => "Has not come to the agent",
    }
}

/// Its answer stays where the box has gone meanwhile, as the attempt has ended.
#[component]
pub fn TellBox(id: TaskId, is_shown: Memo<bool>, on_told: Callback<OnItsWay>) -> impl IntoView {
    let action = ServerAction::<TellAgent>::new();
    let field = NodeRef::<html::Textarea>::new();
    // without scripts what was typed and refused comes back in the address
    let draft = use_query_map().with_untracked(|query| query.get_str("draft").and_then(read::<String>)).unwrap_or_default();
    let who: Option<Who> = use_context();
    let may_tell =
        Memo::new(move |_| matches!(who.map(|who| who.get()), Some(Some(Ok(Identity { role, .. }))) if role.may(Permission::SteerAgents)));
    let problem = Memo::new(move |_| action.value().get().and_then(Result::err));
    // what is being typed is not taken away when the attempt ends
    let has_text = RwSignal::new(!draft.is_empty());
    let is_there = Memo::new(move |_| (is_shown.get() || has_text.get()) && may_tell.get());
    tell(action.value(), |_| "It is on its way to the agent".into(), Callback::new(|()| {}));
    Effect::new(move |first: Option<()>| {
        let answer = action.value().get();
        if let (Some(()), Some(Ok(told))) = (first, answer) {
            if let Some(field) = field.get_untracked() {
                field.set_value("");
            }
            has_text.set(false);
            on_told.run(told);
        }
    });
    view! {
        {move || problem.get().filter(|problem| problem.errors.is_empty()).map(refusal)}
        {move || is_there.get().then(|| tell_form(id, action, problem, field, (draft.clone(), has_text)))}
    }
}

/// The server's no, at its place in the page.
fn refusal(problem: Problem) -> impl IntoView {
    let detail = format!("{}.", capitalised(problem.detail.trim_end_matches('.')));
    view! { <Notice tone=Tone::Bad title="The agent was not told"><p>{detail}</p></Notice> }
}

fn tell_form(
    id: TaskId,
    action: ServerAction<TellAgent>,
    problem: Memo<Option<Problem>>,
    field: NodeRef<html::Textarea>,
    (draft, has_text): (String, RwSignal<bool>),
) -> impl IntoView {
    let errors = Memo::new(move |_| problem.with(|problem| messages(problem.as_ref(), "/text")));
    let pending = action.pending();
    let on_key = move |event: KeyboardEvent| {
        let sends = event.key() == "Enter" && (event.ctrl_key() || event.meta_key());
        if !sends {
            return;
        }
        event.prevent_default();
        if let (false, Some(form)) = (pending.get_untracked(), field.get_untracked().and_then(|field| field.form())) {
            _ = form.request_submit();
        }
    };
    view! {
        <ActionForm action=action attr:class="c-session__tell">
            <input type="hidden" name="id" value=id.to_string() />
            <div class="c-field">
                <label class="c-field__label" for="tell">"Tell the agent"</label>
                <textarea
                    class="c-input c-input--area"
                    id="tell"
                    name="text"
                    rows="2"
                    maxlength=TOLD_MAX.to_string()
                    readonly=pending
                    aria-describedby="tell-hint tell-error"
                    aria-invalid=move || (!errors.with(Vec::is_empty)).then_some("true")
                    node_ref=field
                    on:keydown=on_key
                    on:input=move |event| has_text.set(!event_target_value(&event).trim().is_empty())
                    inner_html=in_a_text_area(&draft)
                ></textarea>
                <p class="c-field__error" id="tell-error">{move || error_text(errors.get())}</p>
            </div>
            <div class="c-session__acts">
                <Button text="Tell it" kind=ButtonKind::Primary busy=pending />
                <button class="c-button" type="submit" name="interrupt" value="true" disabled=pending>
                    {icon(Icon::Fast)}
                    <span class="c-button__text">"Interrupt and tell it"</span>
                </button>
            </div>
            <p class="c-field__hint" id="tell-hint">
                "It hears of it between two steps, or at once when it is interrupted. Interrupted without a word, it ends its turn."
                <span class="u-js">" Ctrl or ⌘ with Enter tells it."</span>
            </p>
        </ActionForm>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_how_far_it_has_come() {
        assert_eq!(says("Ada\u{202e}"), "Ada\u{fffd} says");
        assert_eq!(how_far(false, true), "On its way to the agent");
        assert!(how_far(true, true).ends_with("leaves off what it does"));
        assert_eq!(how_far(true, false), "Has not come to the agent");
    }
}
