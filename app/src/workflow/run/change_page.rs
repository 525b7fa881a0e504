//! A run is changed: one text, and what would come of it while it is typed. Without scripts a button asks for that, and the page comes
//! back with what was typed.

use std::time::Duration;

use domain::workflow::{ChangeOutcome, ChangedStep, Fate};
use leptos::{ev::SubmitEvent, html, leptos_dom::helpers::debounce, prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::{LazyRoute, hooks::use_params_map};

use super::{
    ChangeGraph, PreviewChange,
    change::{Changing, Said},
    detail_page::{marks_of, shape_of},
    start_change,
};
use crate::{
    components::{Button, ButtonKind, DataTable, LinkButton, Notice, Tone},
    fetched::fetched,
    page_json::fetch,
    part::{NotLoaded, part},
    task::state_badge::state_badge,
    text::{capitalised, count, for_document_title},
    workflow::{
        edit::{findings::wrong, source_field::SourceField},
        graph_view::GraphView,
    },
};

/// How long a person pauses before what they type is looked at.
const TYPING_PAUSE: Duration = Duration::from_millis(500);

pub struct ChangeRunPage;

impl LazyRoute for ChangeRunPage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("workflows", change_run_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

#[wasm_split(workflows, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn change_run_page() -> Result<AnyView, NotLoaded> {
    let params = use_params_map();
    let id = Memo::new(move |_| params.with(|params| params.get_str("id").unwrap_or_default().to_owned()));
    let start = fetch(move || id.get(), start_change);
    Ok(view! {
        <Title text="Change a run · Muster" />
        {fetched(start, 12, move |start| view! { <Editor start=start.get_untracked() /> })}
    }
    .into_any())
}

/// What is said, and about which text.
#[derive(Clone, PartialEq)]
struct Saying {
    source: String,
    said: Said,
}

#[component]
fn Editor(start: Changing) -> impl IntoView {
    let Changing { id, title, source, expected, said } = start;
    let field = NodeRef::<html::Textarea>::new();
    let preview = ServerAction::<PreviewChange>::new();
    let change = ServerAction::<ChangeGraph>::new();
    let saying = RwSignal::new(Saying { source: source.clone(), said });
    Effect::new(move |_| {
        if let Some(answer) = preview.value().get() {
            saying.set(Saying { source: text_of(field), said: Said::of(answer) });
        }
    });
    Effect::new(move |_| {
        if let Some(Err(problem)) = change.value().get() {
            saying.set(Saying { source: text_of(field), said: Said::Refused(problem) });
        }
    });
    let page = StoredValue::new(());
    let look = debounce(TYPING_PAUSE, move |source: String| {
        if page.try_get_value().is_some() {
            preview.dispatch(PreviewChange { id, source, expected });
        }
    });
    let on_submit = move |event: SubmitEvent| {
        event.prevent_default();
        change.dispatch(ChangeGraph { id, source: text_of(field), expected });
    };
    let is_wrong = Signal::derive(move || saying.with(|saying| matches!(saying.said, Said::Refused(_))));
    let document_title = format!("Change {} · Muster", for_document_title(&title));
    view! {
        <Title text=document_title />
        <div class="l-head">
            <div class="l-head__text">
                <p class="p-task__crumb"><a href="/runs">"Runs"</a> " / " <a href=format!("/runs/{id}")>{title}</a></p>
                <h1 class="l-head__title">"Change this run"</h1>
                <p class="u-quiet">
                    "Steps can be added, removed, and made to wait for others as long as they have not begun. Only this run changes, not its workflow."
                </p>
            </div>
        </div>
        <form class="p-workflow__editor" method="post" action=format!("/runs/{id}/change") on:submit=on_submit>
            <input type="hidden" name="expected" value=expected.map(|number| number.to_string()) />
            <SourceField value=source node=field is_wrong=is_wrong label="Change" on_input=look />
            <div class="p-workflow__acts">
                <Button text="Change the run" kind=ButtonKind::Primary busy=change.pending() />
                <button class="c-button u-no-js" type="submit" name="only_check" value="yes">"Preview"</button>
                <LinkButton href=format!("/runs/{id}") text="Back" kind=ButtonKind::Quiet />
            </div>
            <section class="p-workflow__said" aria-label="What would come of it">
                <div class="p-workflow__findings" id="source-said" role="status">
                    {move || saying.with(|saying| said_of(saying, field))}
                </div>
                {move || saying.with(|saying| match &saying.said {
                    Said::Would(outcome) => Some(graph(outcome)),
                    _ => None,
                })}
            </section>
        </form>
    }
}

fn text_of(field: NodeRef<html::Textarea>) -> String {
    field.get_untracked().map(|field| field.value()).unwrap_or_default()
}

fn said_of(saying: &Saying, field: NodeRef<html::Textarea>) -> AnyView {
    match &saying.said {
        Said::Nothing => nothing().into_any(),
        Said::Would(outcome) if outcome.steps.is_empty() => nothing().into_any(),
        Said::Would(outcome) => would(outcome).into_any(),
        Said::Refused(problem) if problem.errors.is_empty() => {
            let detail = format!("{}.", capitalised(problem.detail.trim_end_matches('.')));
            view! { <Notice tone=Tone::Bad title=problem.title.clone()><p>{detail}</p></Notice> }.into_any()
        }
        Said::Refused(problem) => wrong(&saying.source, &problem.errors, field).into_any(),
    }
}

fn nothing() -> impl IntoView {
    view! { <Notice tone=Tone::Dim title="Nothing would change yet"><p>"The text says what the run has already."</p></Notice> }
}

const COLUMNS: &[(&str, &str)] = &[("Step", ""), ("What", "c-table__short"), ("State", "c-table__state"), ("Needs", "")];

fn would(outcome: &ChangeOutcome) -> impl IntoView + use<> {
    let counted = [(Fate::Added, "added"), (Fate::Removed, "removed"), (Fate::Rewired, "rewired")].map(|(how, word)| {
        let steps = outcome.steps.iter().filter(|step| step.how == how).count();
        (steps > 0).then(|| format!("{} {word}", count(steps, "step")))
    });
    let summary = counted.into_iter().flatten().collect::<Vec<_>>().join(", ");
    let rows: Vec<_> = outcome.steps.iter().map(row).collect();
    view! {
        <Notice tone=Tone::Good title="This would come of it"><p>{summary} "."</p></Notice>
        <DataTable caption="What would change" columns=COLUMNS>{rows}</DataTable>
    }
}

fn row(step: &ChangedStep) -> impl IntoView + use<> {
    let before = step.before.filter(|before| *before != step.after);
    let needs = (step.how != Fate::Follows).then(|| {
        let now = if step.needs.is_empty() { "nothing".to_owned() } else { step.needs.join(", ") };
        let was = (step.how == Fate::Rewired && step.needed != step.needs)
            .then(|| if step.needed.is_empty() { "nothing".to_owned() } else { step.needed.join(", ") });
        view! { {now} {was.map(|was| view! { <p class="u-quiet">"before: " {was}</p> })} }
    });
    view! {
        <tr class="c-table__row">
            <th class="c-table__main" scope="row" data-label="Step">
                {step.title.clone()}
                {(step.key != step.title).then(|| view! { <span class="c-table__id">{step.key.clone()}</span> })}
                {step.reason.clone().map(|reason| view! { <p class="c-table__about">{capitalised(&reason)}</p> })}
            </th>
            <td class="c-table__short" data-label="What">{capitalised(step.how.name())}</td>
            <td class="c-table__state" data-label="State">
                {before.map(|before| view! { {state_badge(before)} " → " })} {state_badge(step.after)}
            </td>
            <td class="c-table__plain" data-label="Needs">{needs}</td>
        </tr>
    }
}

/// The run as it would be.
fn graph(outcome: &ChangeOutcome) -> impl IntoView + use<> {
    let (shape, marks) = (shape_of(&outcome.run), marks_of(&outcome.run));
    let (shape, marks) = (Memo::new(move |_| shape.clone()), Memo::new(move |_| marks.clone()));
    view! { <GraphView shape=shape marks=marks /> }
}
