//! What can be said about a definition without running it: what is wrong and where, and its graph.

use domain::{FieldError, workflow::Validation};
use leptos::{html, prelude::*};

use super::{place::find, source_field::go_to_line};
use crate::{
    components::{Notice, Tone},
    text::{capitalised, count},
    workflow::{
        graph_view::{GraphView, Shape},
        step_table::{labels, marks},
    },
};

/// What is said: about this text, in these words.
#[derive(Clone, Debug, PartialEq)]
pub struct Findings {
    pub source: String,
    pub validation: Validation,
}

impl Findings {
    /// What was said when it was to be saved takes the place of what was said before.
    pub fn refuse(&mut self, errors: Vec<FieldError>) {
        self.validation.valid = false;
        self.validation.errors = errors;
    }
}

/// `field` is where the text is, so that a finding can lead to its line.
#[component]
pub fn FindingsView(findings: Signal<Findings>, field: NodeRef<html::Textarea>) -> impl IntoView {
    let said = Memo::new(move |_| findings.with(|findings| (findings.source.clone(), findings.validation.errors.clone())));
    let is_valid = Memo::new(move |_| findings.with(|findings| findings.validation.valid));
    let steps = move || findings.with(|findings| findings.validation.definition.as_ref().map_or(0, |definition| definition.steps.len()));
    let shape = Memo::new(move |previous: Option<&Option<Shape>>| {
        // while the text cannot be read the last drawing stays
        findings.with(|findings| drawn(&findings.validation)).or_else(|| previous.cloned().flatten())
    });
    let has_drawing = Memo::new(move |_| shape.with(Option::is_some));
    view! {
        <div class="p-workflow__findings" id="source-said" role="status">
            {move || {
                if is_valid.get() {
                    view! { <Notice tone=Tone::Good title="Can be saved"><p>{move || count(steps(), "step")} "."</p></Notice> }.into_any()
                } else {
                    said.with(|(source, errors)| wrong(source, errors, field)).into_any()
                }
            }}
        </div>
        {move || has_drawing.get().then(|| {
            let shape = Memo::new(move |_| shape.get().unwrap_or_else(|| Shape { drawing: Default::default(), labels: vec![] }));
            let marks = Memo::new(move |_| shape.with(|shape| marks(&shape.labels)));
            view! { <GraphView shape=shape marks=marks /> }
        })}
    }
}

fn drawn(validation: &Validation) -> Option<Shape> {
    let (drawing, definition) = (validation.drawing.clone()?, validation.definition.as_ref()?);
    let labels = labels(&drawing, definition, |_| "#source".to_owned());
    Some(Shape { drawing, labels })
}

/// What is wrong with a text, each with its line.
pub fn wrong(source: &str, errors: &[FieldError], field: NodeRef<html::Textarea>) -> impl IntoView + use<> {
    let items: Vec<_> = errors.iter().map(|error| finding(source, error, field).into_any()).collect();
    view! {
        <Notice tone=Tone::Bad title=format!("{} to put right", count(errors.len(), "thing"))>
            <ol class="p-workflow__errors">{items.into_iter().map(|item| view! { <li>{item}</li> }).collect_view()}</ol>
        </Notice>
    }
}

fn finding(source: &str, error: &FieldError, field: NodeRef<html::Textarea>) -> impl IntoView + use<> {
    let place = find(source, &error.pointer);
    let pointer = Some(error.pointer.clone()).filter(|pointer| !pointer.is_empty());
    view! {
        <p class="p-workflow__message">{format!("{}.", capitalised(error.message.trim_end_matches('.')))}</p>
        <p class="p-workflow__place">
            {pointer.map(|pointer| view! { <code>{pointer}</code> })}
            {place.map(|(line, text)| view! {
                <span>
                    " in line " {line} ": " <code>{beginning(&text)}</code> " "
                    <button class="c-link u-js" type="button" on:click=move |_| go_to_line(field, line)>"Go there"</button>
                </span>
            })}
        </p>
    }
}

/// So much of a line that it is recognised.
fn beginning(line: &str) -> String {
    const SHOWN: usize = 60;
    let shown: String = line.chars().take(SHOWN).collect();
    if shown.len() < line.len() { shown + "…" } else { shown }
}
