//! The checks of a new task, each a row: what it asks, and who judges where somebody does.

use domain::{
    Backend, CheckKind,
    check::{CHECK_TIMEOUT_SECONDS, MAX_CHECKS},
    judgement::REVIEW_TURNS,
};
use leptos::prelude::*;

use super::form::{CheckRow, messages};
use crate::{
    components::{
        Button, ButtonKind, Icon,
        field::{Choice, error_text, options, own_options},
        icon,
    },
    problem::Problem,
    text::duration,
};

/// Rows for checks that are there from the start: as many as a person without scripts may need.
const EMPTY_ROWS: usize = 3;

#[component]
pub fn CheckRows(rows: Vec<CheckRow>, problem: Memo<Option<Problem>>) -> impl IntoView {
    let start: Vec<(usize, CheckRow)> =
        rows.into_iter().chain(std::iter::repeat_n(empty_row(), EMPTY_ROWS)).take(MAX_CHECKS).enumerate().collect();
    let next_key = StoredValue::new(start.len());
    let rows = RwSignal::new(start);
    let add = Callback::new(move |()| {
        let key = next_key.get_value();
        next_key.set_value(key + 1);
        rows.update(|rows| rows.push((key, empty_row())));
    });
    let errors = move |key: usize| {
        Signal::derive(move || {
            let row = rows.with(|rows| rows.iter().position(|(other, _)| *other == key));
            let Some(row) = row else { return vec![] };
            problem.with(|problem| {
                let at = |field: &str| messages(problem.as_ref(), &format!("/checks/{row}/{field}"));
                [at("kind"), at("target"), at("timeout_seconds"), at("judge")].concat()
            })
        })
    };
    view! {
        <fieldset class="p-new__checks">
            <legend class="c-field__label">"Checks"</legend>
            <For each=move || rows.get() key=|(key, _)| *key let:row>
                {check_row(row.0, row.1, errors(row.0), move || rows.update(|rows| rows.retain(|(other, _)| *other != row.0)))}
            </For>
            <span class="u-js">
                <Button text="Add a check" kind=ButtonKind::Quiet shape=Icon::Plus on_press=add />
            </span>
            <p class="c-field__hint">
                <code>"auto"</code> " as the test command lets Muster find it from the project's files: "
                "Cargo.toml, package.json, go.mod, pyproject.toml, a Makefile with a test target. If it finds none, the check fails."
            </p>
            <p class="c-field__hint">
                "An agent that reviews the change looks for what you say, or for whatever is wrong; a model answers your question about it. "
                "Both are asked once all other checks have passed that have to. They can change nothing, and give a verdict."
            </p>
            <p class="c-field__error">{move || problem.with(|problem| error_text(messages(problem.as_ref(), "/checks")))}</p>
        </fieldset>
    }
}

fn empty_row() -> CheckRow {
    CheckRow { required: "yes".into(), ..CheckRow::default() }
}

fn kinds() -> Vec<Choice> {
    std::iter::once(("", "No check")).chain(CheckKind::ALL.map(|kind| (kind.name(), kind.label()))).collect()
}

fn judges() -> Vec<(String, String)> {
    let known = Backend::KNOWN.into_iter().filter(Backend::may_judge);
    let named = known.map(|agent| (agent.name().into_owned(), agent.title().into_owned()));
    std::iter::once((String::new(), "Whoever can".to_owned())).chain(named).collect()
}

fn check_row(key: usize, row: CheckRow, errors: Signal<Vec<String>>, remove: impl Fn() + Send + Sync + 'static) -> impl IntoView {
    let name = move |field: &str| format!("form[checks][{key}][{field}]");
    let error_id = format!("check-{key}-error");
    let number = key + 1;
    let (usual, label) = ("path, command, auto, or words", format!("Target of check {number}"));
    let target = code_input(name("target"), row.target.clone(), 10_000, usual, label, Some((error_id.clone(), errors)));
    view! {
        <div class="p-new__check" role="group" aria-label=format!("Check {number}")>
            <select class="c-input c-input--select" name=name("kind") aria-label=format!("Kind of check {number}")>
                {options(kinds(), &row.kind)}
            </select>
            {target}
            <input
                class="c-input"
                type="text"
                name=name("timeout")
                value=row.timeout.clone()
                maxlength="20"
                autocapitalize="none"
                placeholder=duration(CHECK_TIMEOUT_SECONDS)
                aria-label=format!("Time of check {number}")
                aria-describedby=error_id.clone()
            />
            <label class="c-check">
                <input type="checkbox" name=name("required") value="yes" checked=!row.required.is_empty() />
                <span>"must pass"</span>
            </label>
            <button class="c-button c-button--quiet c-button--icon u-js" type="button" title="Remove this check" on:click=move |_| remove()>
                {icon(Icon::Close)}
                <span class="u-unseen">{format!("Remove check {number}")}</span>
            </button>
            {judge_of(key, &row)}
            <p class="c-field__error" id=error_id>{move || error_text(errors.get())}</p>
        </div>
    }
}

/// Who judges; the style sheet shows it where that is what the check does.
fn judge_of(key: usize, row: &CheckRow) -> impl IntoView + use<> {
    let name = |field: &str| format!("form[checks][{key}][{field}]");
    let number = key + 1;
    let label = format!("Percent that the judge of check {number} has to be sure");
    let sure = number_input(name("at_least"), row.at_least.clone(), 4, "numeric", "however sure".into(), label);
    let (usual, label) = (format!("{REVIEW_TURNS} turns, one of a model"), format!("Turns that the judge of check {number} may take"));
    let turns = number_input(name("judge_turns"), row.judge_turns.clone(), 6, "numeric", usual, label);
    let label = format!("Dollars that the judge of check {number} may cost");
    let cost = number_input(name("judge_cost"), row.judge_cost.clone(), 10, "decimal", "as many dollars as it takes".into(), label);
    let label = format!("Model of the judge of check {number}");
    let model = code_input(name("judge_model"), row.judge_model.clone(), 200, "its own model", label, None);
    view! {
        <div class="p-new__judge">
            <select class="c-input c-input--select" name=name("judge") aria-label=format!("Judge of check {number}")>
                {own_options(judges(), &row.judge)}
            </select>
            {model}
            {sure}
            {turns}
            {cost}
        </div>
    }
}

/// What a program reads, so that nothing in it is put right while it is typed. `wrong` is what is wrong with it, and where that is said.
fn code_input(
    name: String,
    value: String,
    max: u32,
    usual: &'static str,
    label: String,
    wrong: Option<(String, Signal<Vec<String>>)>,
) -> impl IntoView {
    let (error_id, errors) = wrong.unzip();
    view! {
        <input
            class="c-input c-input--code"
            name=name
            value=value
            maxlength=max
            spellcheck="false"
            autocapitalize="none"
            placeholder=usual
            aria-label=label
            aria-describedby=error_id
            aria-invalid=move || errors.is_some_and(|errors| !errors.with(Vec::is_empty)).then_some("true")
        />
    }
}

/// A number of so many characters at most. `keys` are those that a telephone shows for it, `usual` says what holds where it is empty.
fn number_input(name: String, value: String, max: u32, keys: &'static str, usual: String, label: String) -> impl IntoView {
    view! { <input class="c-input" name=name value=value maxlength=max inputmode=keys placeholder=usual aria-label=label /> }
}
