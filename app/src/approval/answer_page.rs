//! One question, for whoever was given a link to it: signed in or not, once. Opening the link answers nothing.

use domain::Approval;
use leptos::{form::ActionForm, prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::{LazyRoute, hooks::use_query_map};

use super::{
    AnswerByLink, AnsweredByLink, ByLink,
    acts::{allow_fields, deny_fields, refusal},
    answer_form::AnswerForm,
    approval_by_link,
    card::{Shown, body},
    state_badge::{state_badge, state_word},
    words::wants,
};
use crate::{
    components::{Empty, ErrorView, Icon, Loading},
    fetched::here,
    layout::Brand,
    page_json::{fetch, read},
    part::{NotLoaded, part},
    problem::Problem,
};

pub struct AnswerPage;

impl LazyRoute for AnswerPage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("door", answer_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

#[wasm_split(door, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn answer_page() -> Result<AnyView, NotLoaded> {
    let query = use_query_map();
    let token = Memo::new(move |_| query.with(|query| query.get_str("token").map(str::to_owned).unwrap_or_default()));
    let question = fetch(move || token.get(), approval_by_link);
    let answer = ServerAction::<AnswerByLink>::new();
    let answered = Memo::new(move |_| answer.value().get().and_then(Result::ok));
    let refused = move || answer.value().get().and_then(Result::err).map(refusal);
    // without scripts what was typed and refused comes back in the address
    let draft = query.with_untracked(|query| query.get_str("draft").and_then(read::<AnswerForm>));
    let typed = draft.map(|draft| draft.message).unwrap_or_default();
    let here = here();
    Ok(view! {
        <Title text="Answer an agent · Muster" />
        <main class="p-alone">
            <Brand />
            {refused}
            <Transition fallback=|| view! { <Loading lines=6 /> }>
                {move || match (answered.get(), question.get()) {
                    (Some(answered), _) | (None, Some(Ok(ByLink::Answered(answered)))) => said(answered).into_any(),
                    (None, Some(Ok(ByLink::Asked(approval)))) => asked(&approval, token.get_untracked(), typed.clone(), answer).into_any(),
                    (None, Some(Err(problem))) => not_here(problem, here.clone()),
                    (None, None) => ().into_any(),
                }}
            </Transition>
        </main>
    }
    .into_any())
}

/// `typed` was refused.
fn asked(approval: &Approval, token: String, typed: String, answer: ServerAction<AnswerByLink>) -> impl IntoView + use<> {
    let token_to_deny = token.clone();
    view! {
        <h1 class="l-head__title">{wants(approval)}</h1>
        <div class="c-approval">
            {body(approval, Shown::Alone)}
            <div class="c-approval__acts">
                <ActionForm action=answer>
                    <input type="hidden" name="token" value=token />
                    {allow_fields(answer.pending().into())}
                </ActionForm>
                <ActionForm action=answer attr:class="c-approval__deny">
                    <input type="hidden" name="token" value=token_to_deny />
                    {deny_fields("why".to_owned(), typed, answer.pending().into())}
                </ActionForm>
            </div>
        </div>
        <p class="u-quiet">"You answer in place of whoever has given you this link. It works once."</p>
    }
}

fn said(answered: AnsweredByLink) -> impl IntoView {
    let AnsweredByLink { state, wants, subject, .. } = answered;
    view! {
        <h1 class="l-head__title">{state_word(state)}</h1>
        <div class="c-approval">
            <p>{state_badge(state)} " " {wants} "."</p>
            {(!subject.is_empty()).then(|| view! { <p><code class="c-approval__exact">{subject}</code></p> })}
            <p>"The agent is told so, and goes on. This link is of no more use, and this page can be closed."</p>
        </div>
    }
}

/// Nobody has to sign in to be told so.
fn not_here(problem: Problem, here: String) -> AnyView {
    if problem.status != 404 {
        return view! { <ErrorView title=problem.title detail=problem.detail reference=problem.instance retry=Some(here) /> }.into_any();
    }
    view! {
        <h1 class="l-head__title">"This link leads nowhere"</h1>
        <Empty title=problem.detail shape=Icon::Clock>
            <p>"As long as the agent waits, whoever sent it can make another one, and who is signed in can answer on the page of approvals."</p>
            <p><a class="c-button" href="/approvals">"Approvals"</a></p>
        </Empty>
    }
    .into_any()
}
