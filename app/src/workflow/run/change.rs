//! What travels to the page on which a run is changed, and the text that it begins with.

use std::fmt::Write as _;

use domain::{
    WorkflowRunId,
    task::On,
    workflow::{ChangeOutcome, Need, RunDefinition, Step},
};
use serde::{Deserialize, Serialize};

use crate::problem::Problem;

/// What a browser without scripts has sent: its page is rendered again with it.
#[derive(Clone, Debug)]
pub struct ChangeDraft {
    pub source: String,
    pub expected: Option<i32>,
    /// Why it was not done, if that was asked for.
    pub problem: Option<Problem>,
}

/// What the page begins with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Changing {
    pub id: WorkflowRunId,
    pub title: String,
    pub source: String,
    /// How often the run had been changed when the text was begun.
    pub expected: Option<i32>,
    pub said: Said,
}

/// What is said about a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Said {
    Nothing,
    /// This would come of it.
    Would(Box<ChangeOutcome>),
    Refused(Problem),
}

impl Said {
    pub fn of(answer: Result<ChangeOutcome, Problem>) -> Self {
        match answer {
            Ok(outcome) => Self::Would(Box::new(outcome)),
            Err(problem) => Self::Refused(problem),
        }
    }
}

const HEAD: &str = "\
# What is not named here stays as it is.
# add:
#   - {id: lint, needs: [], command: make lint}
# remove: []
";

/// The steps that may still be changed, with what they need now.
pub fn first_text(run: &RunDefinition) -> String {
    let mut text = HEAD.to_owned();
    let open: Vec<_> = run.definition.steps.iter().filter(|step| run.open.contains(&step.id)).collect();
    if !open.is_empty() {
        text.push_str("rewire:\n");
    }
    for step in open {
        let needs: Vec<_> = step.needs.iter().map(need).collect();
        _ = write!(text, "  - step: {}\n    needs: [{}]\n", word(&step.id), needs.join(", "));
        let inputs = inputs(step);
        if !inputs.is_empty() {
            _ = writeln!(text, "    inputs: {{{}}}", inputs.join(", "));
        }
    }
    text
}

fn need(need: &Need) -> String {
    let step = word(&need.step);
    match &need.on {
        On::Success => step,
        On::End => format!("{{step: {step}, on: end}}"),
        On::Condition(condition) => format!("{{step: {step}, on: {{condition: {}}}}}", quoted(condition)),
    }
}

/// Those that come from other steps.
fn inputs(step: &Step) -> Vec<String> {
    let one = |(name, input): (&String, &domain::workflow::StepInput)| {
        let from = word(input.from.as_ref()?);
        let pointer = input.pointer.as_ref().map(|pointer| format!(", pointer: {}", quoted(pointer))).unwrap_or_default();
        Some(format!("{name}: {{from: {from}{pointer}}}"))
    };
    step.inputs.iter().filter_map(one).collect()
}

/// An id as YAML: some of them would be read as something else than text.
fn word(id: &str) -> String {
    let is_plain = id.starts_with(|c: char| c.is_ascii_lowercase())
        && !matches!(id, "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null");
    if is_plain { id.to_owned() } else { quoted(id) }
}

/// Text of JSON is text of YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_begins_with_what_may_be_changed() {
        let definition = serde_json::from_value(serde_json::json!({"name": "x", "steps": [
            {"id": "build", "command": "make"},
            {"id": "on", "needs": ["build", {"step": "2nd", "on": "end"}], "command": "x"},
            {"id": "ship", "needs": [{"step": "build", "on": {"condition": "result.output == \"a: b\""}}], "command": "x",
             "inputs": {"file": {"from": "build", "pointer": "/output/file"}, "n": {"value": 1}}}
        ]}))
        .unwrap();
        let text = first_text(&RunDefinition { definition, changes: 0, open: vec!["on".into(), "ship".into()] });
        let expected = r#"rewire:
  - step: "on"
    needs: [build, {step: "2nd", on: end}]
  - step: ship
    needs: [{step: build, on: {condition: "result.output == \"a: b\""}}]
    inputs: {file: {from: build, pointer: "/output/file"}}
"#;
        assert_eq!(text.strip_prefix(HEAD).unwrap(), expected);
    }
}
