//! The answers that a person can give to a question. Each is a form, so that it works without scripts; what makes a rule, and what takes
//! words, is behind a word.

use domain::{
    Approval, ApprovalId, Decision, Isolation, Permission, Role,
    approval::{AnswerOption, MESSAGE_MAX, PATTERN_MAX, PossibleAnswer},
    exact_text::visible,
};
use leptos::{form::ActionForm, prelude::*};
use leptos_router::hooks::use_query_map;

use super::{
    GiveAnswer, LinkApproval, MadeLink,
    answer_form::{AnswerDraft, AnswerForm},
    words::{outcome, sentences, why_not},
};
use crate::{
    components::{Button, ButtonKind, CopyButton, Icon, Notice, Reveal, TextAreaField, TextField, Time, Tone, toast::tell},
    layout::Who,
    page_json::{Fetched, read},
    problem::Problem,
    text::short_location,
};

/// What whoever is signed in is here, once that is known.
pub fn use_role() -> Signal<Option<Role>> {
    let who: Option<Who> = use_context();
    Signal::derive(move || match who.map(|who| who.get()) {
        Some(Some(Ok(who))) => Some(who.role),
        _ => None,
    })
}

/// What a person can do about the questions of a page.
#[derive(Clone, Copy)]
pub struct ApprovalActs {
    answer: ServerAction<GiveAnswer>,
    link: ServerAction<LinkApproval>,
    /// What a browser without scripts has made and has to be shown.
    left: Option<Fetched<Option<MadeLink>>>,
    /// What it has typed and was refused.
    draft: StoredValue<Option<AnswerDraft>>,
}

impl ApprovalActs {
    /// Tells how it went and has the page fetched again.
    pub fn new(left: Option<Fetched<Option<MadeLink>>>, refresh: Callback<()>) -> Self {
        let draft = use_query_map().with_untracked(|query| query.get_str("draft").and_then(read::<AnswerDraft>));
        let acts = Self { answer: ServerAction::new(), link: ServerAction::new(), left, draft: StoredValue::new(draft) };
        tell(acts.answer.value(), outcome, refresh);
        acts
    }

    /// The server's no, at its place in the page.
    pub fn refusal(self) -> impl IntoView {
        move || {
            let answer = self.answer.value().get().and_then(Result::err);
            answer.or_else(|| self.link.value().get().and_then(Result::err)).map(refusal)
        }
    }

    /// What was typed about this question.
    fn typed(self, id: ApprovalId) -> Option<AnswerForm> {
        self.draft.with_value(|draft| draft.as_ref().filter(|draft| draft.id == id).map(|draft| draft.form.clone()))
    }

    /// The link that was made for this question a moment ago.
    pub fn made_link(self, id: ApprovalId) -> Option<impl IntoView> {
        let made = match self.link.value().get() {
            Some(Ok(made)) => Some(made),
            _ => self.left.and_then(|left| left.get()).and_then(Result::ok).flatten(),
        };
        made.filter(|made| made.approval == id).map(link_notice)
    }
}

pub fn refusal(problem: Problem) -> impl IntoView {
    view! { <Notice tone=Tone::Bad title="That was not done"><p>{sentences(&problem)}</p></Notice> }
}

fn link_notice(made: MadeLink) -> impl IntoView {
    let url = made.url.clone();
    view! {
        <Notice tone=Tone::Good title="Whoever has this link may answer">
            <p class="c-command">
                <code>{made.url}</code>
                <CopyButton text=url label="Copy the link" />
            </p>
            <p>
                "It works once, without signing in, ends " <Time at=made.expires_at /> " or with an answer, and is not shown again. It answers \
                 in your name."
            </p>
        </Notice>
    }
}

/// The ways to answer, or why there is none.
pub fn answers(approval: &Approval, role: Role, acts: ApprovalActs) -> AnyView {
    if let Some(why) = why_not(role, approval.answered_by_role) {
        return view! { <p class="c-approval__not">{why}</p> }.into_any();
    }
    let id = approval.id;
    let typed = acts.typed(id);
    let why = typed.as_ref().map(|typed| typed.message.clone()).unwrap_or_default();
    let always = approval.option(PossibleAnswer::AllowAlways).filter(|_| role.may(Permission::ManageApprovalRules));
    let always = always.map(|option| always_form(approval, option, acts.answer, typed.as_ref()));
    view! {
        <div class="c-approval__acts">
            <ActionForm action=acts.answer>
                <input type="hidden" name="id" value=id.to_string() />
                {allow_fields(acts.answer.pending().into())}
            </ActionForm>
            <ActionForm action=acts.answer attr:class="c-approval__deny">
                <input type="hidden" name="id" value=id.to_string() />
                {deny_fields(format!("why-{id}"), why, acts.answer.pending().into())}
            </ActionForm>
            {always}
            <ActionForm action=acts.link>
                <input type="hidden" name="id" value=id.to_string() />
                <Button text="Copy a link" kind=ButtonKind::Quiet shape=Icon::Copy busy=acts.link.pending() />
            </ActionForm>
        </div>
    }
    .into_any()
}

fn decides(decision: Decision) -> impl IntoView {
    view! { <input type="hidden" name="form[decision]" value=decision.name() /> }
}

/// All of a form that allows, but for what it is about.
pub fn allow_fields(busy: Signal<bool>) -> impl IntoView {
    view! {
        {decides(Decision::Allow)}
        <Button text="Allow" kind=ButtonKind::Primary shape=Icon::Check busy=busy />
    }
}

/// As [`allow_fields`]. `why` is the id of the field for the reason, which holds what was `typed`.
pub fn deny_fields(why: String, typed: String, busy: Signal<bool>) -> impl IntoView {
    let is_open = !typed.is_empty();
    view! {
        {decides(Decision::Deny)}
        <Button text="Deny" shape=Icon::Cross busy=busy />
        <details class="c-approval__why" open=is_open>
            <summary>"Say why"</summary>
            <TextAreaField
                id=why
                value=typed
                label="What the agent is told"
                name="form[message]"
                optional=true
                rows=2
                max=MESSAGE_MAX as u32
                hint="It goes on from there, so say what it should do instead."
            />
        </details>
    }
}

/// Opens without scripts, and says what it means before it is done.
fn always_form(
    approval: &Approval,
    option: &AnswerOption,
    answer: ServerAction<GiveAnswer>,
    typed: Option<&AnswerForm>,
) -> impl IntoView + use<> {
    let (id, repository) = (approval.id, short_location(&approval.repository));
    let about = format!("in {repository}");
    let typed = typed.filter(|typed| !typed.pattern.is_empty() || !typed.own_pattern.is_empty());
    let (is_open, own) = (typed.is_some(), typed.map(|typed| typed.own_pattern.clone()).unwrap_or_default());
    let chosen = typed.and_then(|typed| option.patterns.iter().position(|pattern| *pattern == typed.pattern)).unwrap_or(0);
    let offered: Vec<_> = option.patterns.iter().enumerate().map(|(index, pattern)| pattern_choice(pattern, index == chosen)).collect();
    let is_offered = !offered.is_empty();
    let open = (approval.isolation == Isolation::None).then_some(", also without a sandbox, as the runner's user");
    view! {
        <Reveal text="Always allow this here…" shape=Icon::Shield about=about open=is_open>
            <p>"This is allowed, and from now on so is whatever fits the rule, in all tasks of " <strong>{repository}</strong> ", without asking" {open} "."</p>
            <ActionForm action=answer>
                <input type="hidden" name="id" value=id.to_string() />
                {decides(Decision::Allow)}
                {is_offered.then(|| view! {
                    <fieldset class="c-approval__patterns">
                        <legend class="c-field__label">"The rule"</legend>
                        {offered}
                    </fieldset>
                })}
                <TextField
                    id=format!("own-{id}")
                    label=if is_offered { "Or another one" } else { "The rule" }
                    name="form[own_pattern]"
                    value=own
                    required=!is_offered
                    optional=is_offered
                    code=true
                    max=PATTERN_MAX as u32
                    hint="Exactly what is asked, or how it begins with a star at the end."
                />
                <Button text="Allow, and make the rule" kind=ButtonKind::Primary shape=Icon::Check busy=answer.pending() />
            </ActionForm>
        </Reveal>
    }
}

fn pattern_choice(pattern: &str, is_chosen: bool) -> impl IntoView + use<> {
    let (value, shown) = (pattern.to_owned(), visible(pattern));
    view! {
        <label class="c-approval__pattern">
            <input type="radio" name="form[pattern]" value=value checked=is_chosen />
            <code class="c-approval__exact">{shown}</code>
        </label>
    }
}
