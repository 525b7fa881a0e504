//! The editor: one text, what can be said about it while it is typed, and its graph. Without scripts a button asks for that, and the
//! page comes back with what was typed.

use std::time::Duration;

use leptos::{ev::SubmitEvent, html, leptos_dom::helpers::debounce, prelude::*, task::spawn_local, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::{LazyRoute, hooks::use_params_map};

use super::{
    CheckSource, SaveSource, check_workflow,
    edit::{
        Editing, Opened,
        findings::{Findings, FindingsView},
        source_field::SourceField,
    },
    newest, start_editor,
};
use crate::{
    components::{Button, ButtonKind, LinkButton, Notice, Tone},
    document_title::document_title,
    fetched::fetched,
    page_json::fetch,
    part::{NotLoaded, part},
    problem::Problem,
    text::capitalised,
};

/// How long a person pauses before what they type is looked at.
const TYPING_PAUSE: Duration = Duration::from_millis(350);

pub struct EditPage;

impl LazyRoute for EditPage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("workflows", edit_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

#[wasm_split(workflows, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn edit_page() -> Result<AnyView, NotLoaded> {
    let params = use_params_map();
    let name = Memo::new(move |_| params.with(|params| params.get_str("name").map(str::to_owned)));
    let start = fetch(move || name.get(), start_editor);
    let title = Memo::new(move |_| name.get().map_or_else(|| "New workflow".to_owned(), |name| format!("Edit {name}")));
    Ok(view! {
        <Title text=document_title(title) />
        <div class="l-head">
            <div class="l-head__text">
                <p class="p-task__crumb"><a href="/workflows">"Workflows"</a></p>
                <h1 class="l-head__title">{title}</h1>
            </div>
        </div>
        {fetched(start, 12, move |start| view! { <Editor start=start.get_untracked() name=name.get_untracked() /> })}
    }
    .into_any())
}

#[component]
fn Editor(start: Editing, name: Option<String>) -> impl IntoView {
    let field = NodeRef::<html::Textarea>::new();
    let check = ServerAction::<CheckSource>::new();
    let save = ServerAction::<SaveSource>::new();
    let first = first_findings(&start);
    let findings = RwSignal::new(first);
    let problem = RwSignal::new(start.problem.filter(|problem| problem.errors.is_empty()));
    Effect::new(move |_| {
        if let Some(Ok(validation)) = check.value().get() {
            findings.set(Findings { source: text_of(field), validation });
        }
    });
    Effect::new(move |_| {
        let Some(Err(refusal)) = save.value().get() else { return };
        if refusal.errors.is_empty() {
            problem.set(Some(refusal));
        } else {
            findings.update(|findings| {
                findings.source = text_of(field);
                findings.refuse(refusal.errors);
            });
        }
    });
    let page = StoredValue::new(());
    let look = debounce(TYPING_PAUSE, move |source: String| {
        let is_there = page.try_get_value().is_some();
        if is_there {
            check.dispatch(CheckSource { source });
        }
    });
    let opened = RwSignal::new(start.opened);
    // Whoever was told of the newest version and saves once more means it.
    Effect::new(move |_| {
        let Some(Err(Problem { status: 412, .. })) = save.value().get() else { return };
        let source = text_of(field);
        spawn_local(async move {
            if let Ok(said) = check_workflow(source).await {
                opened.try_set(newest(&said).await);
            }
        });
    });
    let on_submit = move |event: SubmitEvent| {
        event.prevent_default();
        problem.set(None);
        save.dispatch(SaveSource { source: text_of(field), opened: opened.get_untracked() });
    };
    let is_wrong = Signal::derive(move || findings.with(|findings| !findings.validation.valid));
    let here = name.as_ref().map_or_else(|| "/workflows/new".to_owned(), |name| format!("/workflows/{name}/edit"));
    let back = name.map_or_else(|| "/workflows".to_owned(), |name| format!("/workflows/{name}"));
    view! {
        <form class="p-workflow__editor" method="post" action=here on:submit=on_submit>
            {move || problem.get().map(|problem| notice(problem, opened))}
            <input type="hidden" name="opened_name" value=move || opened.with(|opened| opened.name.clone()) />
            <input type="hidden" name="opened_version" value=move || opened.with(|opened| opened.version) />
            <SourceField value=start.source node=field is_wrong=is_wrong on_input=look />
            <div class="p-workflow__acts">
                <Button text="Save" kind=ButtonKind::Primary busy=save.pending() />
                <button class="c-button u-no-js" type="submit" name="only_check" value="yes">"Check"</button>
                <LinkButton href=back text="Back" kind=ButtonKind::Quiet />
            </div>
            <section class="p-workflow__said" aria-label="What can be said about it">
                <FindingsView findings=findings.into() field=field />
            </section>
        </form>
    }
}

fn text_of(field: NodeRef<html::Textarea>) -> String {
    field.get_untracked().map(|field| field.value()).unwrap_or_default()
}

/// What was said when a browser without scripts wanted to save it comes before what is said now.
fn first_findings(start: &Editing) -> Findings {
    let mut findings = Findings { source: start.source.clone(), validation: start.validation.clone() };
    if let Some(Problem { errors, .. }) = &start.problem
        && !errors.is_empty()
    {
        findings.refuse(errors.clone());
    }
    findings
}

fn notice(problem: Problem, opened: RwSignal<Opened>) -> impl IntoView {
    let theirs = (problem.status == 412).then(|| {
        let href = move || opened.with(|opened| format!("/workflows/{}", opened.name));
        view! {
            <p>
                "What you typed is still here. " <a href=href target="_blank">"Look at what is there now"</a>
                " in another tab; save once more to put yours on top of it."
            </p>
        }
    });
    view! { <Notice tone=Tone::Bad title=problem.title><p>{capitalised(&problem.detail)}</p>{theirs}</Notice> }
}
