//! A new run: a form made from the parameters of the workflow.

use domain::workflow::{Parameter, ParameterType, WorkflowView};
use leptos::{form::ActionForm, prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::{
    LazyRoute,
    hooks::{use_params_map, use_query_map},
};

use super::{StartRun, find_workflow, start_form::StartForm};
use crate::{
    components::{Button, ButtonKind, Icon, LinkButton, Notice, TextAreaField, TextField, Tone, field::error_text},
    document_title::document_title,
    fetched::fetched,
    page_json::{fetch, read},
    part::{NotLoaded, part},
    problem::Problem,
    task::form::messages,
    text::capitalised,
};

pub struct StartPage;

impl LazyRoute for StartPage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("workflows", start_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

#[wasm_split(workflows, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn start_page() -> Result<AnyView, NotLoaded> {
    let (params, query) = (use_params_map(), use_query_map());
    let name = Memo::new(move |_| params.with(|params| params.get_str("name").map(str::to_owned).unwrap_or_default()));
    let asked = Memo::new(move |_| query.with(|query| query.get_str("version").and_then(|number| number.parse::<i32>().ok())));
    let draft = Memo::new(move |_| query.with(|query| query.get_str("draft").and_then(read::<StartForm>)));
    let version = Memo::new(move |_| draft.with(|draft| draft.as_ref().and_then(|draft| draft.version().ok().flatten())).or(asked.get()));
    let workflow = fetch(move || (name.get(), version.get()), |(name, version)| find_workflow(name, version));
    let title = Memo::new(move |_| format!("Run {}", name.get()));
    Ok(view! {
        <Title text=document_title(title) />
        <div class="l-head">
            <div class="l-head__text">
                <p class="p-task__crumb">
                    <a href="/workflows">"Workflows"</a> " / " <a href=move || format!("/workflows/{}", name.get())>{name}</a>
                </p>
                <h1 class="l-head__title">{move || format!("Run {}", name.get())}</h1>
            </div>
        </div>
        {fetched(workflow, 6, move |workflow| {
            let workflow = workflow.get_untracked();
            let form = draft.get_untracked().unwrap_or_else(|| StartForm::of(&workflow, version.get_untracked()));
            view! { <StartRunForm workflow=workflow form=form /> }
        })}
    }
    .into_any())
}

#[component]
fn StartRunForm(workflow: WorkflowView, form: StartForm) -> impl IntoView {
    let start = ServerAction::<StartRun>::new();
    let problem = Memo::new(move |_| start.value().get().and_then(Result::err));
    let errors = move |pointer: String| Signal::derive(move || problem.with(|problem| messages(problem.as_ref(), &pointer)));
    let definition = workflow.definition;
    let has_repository = definition.repository.is_some();
    let repository_hint = match definition.repository {
        Some(usual) => format!("Instead of {usual}."),
        None => "An absolute path on the runner's machine, or a git URL. The workflow names none.".to_owned(),
    };
    let fields: Vec<_> = definition
        .parameters
        .iter()
        .map(|(name, parameter)| {
            let value = form.parameters.get(name).cloned().unwrap_or_default();
            parameter_field(name, parameter, value, errors(format!("/parameters/{name}")))
        })
        .collect();
    view! {
        <ActionForm action=start attr:class="p-new">
            {move || problem.get().map(summary)}
            <input type="hidden" name="form[workflow]" value=form.workflow.clone() />
            <input type="hidden" name="form[version]" value=form.version.clone() />
            {(!fields.is_empty()).then(|| view! {
                <section class="p-new__part" aria-labelledby="parameters">
                    <h2 class="p-new__heading" id="parameters">"Parameters"</h2>
                    {fields}
                </section>
            })}
            <section class="p-new__part" aria-labelledby="run">
                <h2 class="p-new__heading" id="run">"This run"</h2>
                <TextField
                    id="repository"
                    label="Repository"
                    name="form[repository]"
                    value=form.repository
                    optional=has_repository
                    code=true
                    max=2000_u32
                    hint=repository_hint
                    errors=errors("/repository".into())
                />
                <TextField
                    id="title"
                    label="Title"
                    name="form[title]"
                    value=form.title
                    optional=true
                    max=200_u32
                    hint="To tell it from other runs."
                    errors=errors("/title".into())
                />
            </section>
            <div class="p-new__acts">
                <Button text="Start" kind=ButtonKind::Primary shape=Icon::Play busy=start.pending() />
                <LinkButton href=format!("/workflows/{}", workflow.name) text="Back" kind=ButtonKind::Quiet />
            </div>
        </ActionForm>
    }
}

/// What is wrong, before the fields that say it again at their place.
fn summary(problem: Problem) -> impl IntoView {
    let title = if problem.status == 422 { "The run was not started".to_owned() } else { problem.title };
    let detail = match problem.errors.as_slice() {
        [] => problem.detail,
        errors => {
            let said = errors.iter().map(|error| format!("{}: {}.", error.pointer.rsplit('/').next().unwrap_or_default(), error.message));
            said.collect::<Vec<_>>().join(" ")
        }
    };
    view! { <Notice tone=Tone::Bad title=title><p>{capitalised(&detail)}</p></Notice> }
}

/// A field for one parameter.
struct Field {
    id: String,
    label: String,
    name: String,
    value: String,
    is_required: bool,
    hint: String,
    errors: Signal<Vec<String>>,
}

fn parameter_field(name: &str, parameter: &Parameter, value: String, errors: Signal<Vec<String>>) -> AnyView {
    let kind = match parameter.kind {
        ParameterType::List => "A list in JSON, such as [\"a\", \"b\"].".to_owned(),
        ParameterType::Object => "An object in JSON.".to_owned(),
        kind => format!("{}.", capitalised(kind.phrase())),
    };
    let field = Field {
        id: format!("parameter-{name}"),
        label: name.to_owned(),
        name: format!("form[parameters][{name}]"),
        value,
        is_required: parameter.default.is_none(),
        hint: parameter.description.as_ref().map_or(kind.clone(), |about| format!("{}. {kind}", about.trim().trim_end_matches('.'))),
        errors,
    };
    match parameter.kind {
        _ if !parameter.choices.is_empty() => choice_field(field, parameter.choices.iter().map(domain::task::plain).collect()).into_any(),
        ParameterType::Boolean => choice_field(field, vec!["true".to_owned(), "false".to_owned()]).into_any(),
        ParameterType::List | ParameterType::Object => area_field(field).into_any(),
        ParameterType::String if field.value.contains('\n') => area_field(field).into_any(),
        ParameterType::String | ParameterType::Number => line_field(field).into_any(),
    }
}

fn line_field(field: Field) -> impl IntoView {
    let Field { id, label, name, value, is_required, hint, errors } = field;
    view! {
        <TextField id=id label=label name=name value=value required=is_required optional=!is_required hint=hint errors=errors max=100_000_u32 />
    }
}

fn area_field(field: Field) -> impl IntoView {
    let Field { id, label, name, value, is_required, hint, errors } = field;
    view! { <TextAreaField id=id label=label name=name value=value code=true optional=!is_required hint=hint errors=errors /> }
}

fn choice_field(field: Field, choices: Vec<String>) -> impl IntoView {
    let Field { id, label, name, value, is_required, hint, errors } = field;
    let none = (is_required && value.is_empty()).then(|| view! { <option value="">"Choose one"</option> });
    let error_id = format!("{id}-error");
    let options: Vec<_> = choices
        .into_iter()
        .map(|choice| {
            let selected = choice == value;
            view! { <option value=choice.clone() selected=selected>{choice.clone()}</option> }
        })
        .collect();
    view! {
        <div class="c-field">
            <label class="c-field__label" for=id.clone()>{label}</label>
            <select
                class="c-input c-input--select"
                id=id
                name=name
                required=is_required
                aria-describedby=error_id.clone()
                aria-invalid=move || (!errors.with(Vec::is_empty)).then_some("true")
            >
                {none}
                {options}
            </select>
            <p class="c-field__hint">{hint}</p>
            <p class="c-field__error" id=error_id>{move || error_text(errors.get())}</p>
        </div>
    }
}
