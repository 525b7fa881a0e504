//! Scenarios: what the fake model says, step by step. docs/fake-provider.md describes the format.

use std::collections::HashSet;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};
use thiserror::Error;

/// The scenario that plays when nothing else is asked for.
const DEFAULT: &str = "default";

#[derive(Clone, Debug)]
pub struct Scenarios(Vec<Scenario>);

#[derive(Debug, Error, PartialEq, Eq)]
#[error("{file}: {field}: {reason}")]
pub struct ScenarioError {
    pub file: String,
    pub field: String,
    pub reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScenarioFile {
    scenarios: Vec<Scenario>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub name: String,
    /// Words that choose it when the user says them.
    pub when: Option<String>,
    /// Requests without tools are steps like any other.
    #[serde(default)]
    pub plays_asides: bool,
    pub steps: Vec<Step>,
}

/// One response of the model.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Step {
    pub say: Vec<Say>,
    /// Between what is streamed.
    pub pace_ms: u64,
    pub usage: Usage,
    pub fault: Option<Fault>,
}

#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Say {
    Thinking(String),
    Text(String),
    /// A shell command, by whatever tool the agent has for it.
    Run(String),
    /// A file, by whatever tool the agent has for it; the path is relative to where the agent works.
    Write {
        path: String,
        content: String,
    },
    /// A tool by its own name.
    Tool {
        name: String,
        input: Map<String, Value>,
    },
}

/// Tokens; `cached` are part of `input`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields)]
pub struct Usage {
    pub input: u64,
    pub output: u64,
    pub cached: u64,
}

impl Default for Usage {
    fn default() -> Self {
        Self { input: 100, output: 20, cached: 0 }
    }
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(try_from = "FaultFields")]
pub struct Fault {
    pub kind: FaultKind,
    /// How often it happens before the step is played; always when it is not said.
    pub times: Option<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    Refuse {
        status: StatusCode,
        message: String,
        retry_after: Option<u64>,
    },
    /// It begins to answer, and then says nothing more.
    Stall,
    /// Half of the answer is sent, then the connection is closed.
    Cut,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultFields {
    status: Option<u16>,
    message: Option<String>,
    retry_after: Option<u64>,
    #[serde(default)]
    stall: bool,
    #[serde(default)]
    cut: bool,
    times: Option<u32>,
}

impl TryFrom<FaultFields> for Fault {
    type Error = String;

    fn try_from(fields: FaultFields) -> Result<Self, String> {
        let FaultFields { status, message, retry_after, stall, cut, times } = fields;
        let kind = match (status, stall, cut) {
            (Some(number), false, false) => {
                let status = StatusCode::from_u16(number).ok().filter(|status| status.is_client_error() || status.is_server_error());
                let status = status.ok_or_else(|| format!("status {number} is none from 400 to 599"))?;
                let message = message.unwrap_or_else(|| "The scenario says that this request fails.".into());
                return Ok(Self { kind: FaultKind::Refuse { status, message, retry_after }, times });
            }
            (None, true, false) => FaultKind::Stall,
            (None, false, true) => FaultKind::Cut,
            _ => return Err("exactly one of status, stall and cut must be given".into()),
        };
        if message.is_some() || retry_after.is_some() {
            return Err("message and retry_after go with status only".into());
        }
        Ok(Self { kind, times })
    }
}

impl Scenarios {
    /// Those that ship.
    ///
    /// # Errors
    /// Never in a program that passed its tests.
    pub fn built_in() -> Result<Self, ScenarioError> {
        parse("the built-in scenarios", include_str!("scenarios.json")).map(Self)
    }

    /// Those of a file's text, and those that ship after them, but for names that the file has too.
    ///
    /// # Errors
    /// What is wrong with the text, and where.
    pub fn with_file(file: &str, text: &str) -> Result<Self, ScenarioError> {
        let mut scenarios = parse(file, text)?;
        let names: HashSet<_> = scenarios.iter().map(|scenario| scenario.name.clone()).collect();
        scenarios.extend(Self::built_in()?.0.into_iter().filter(|scenario| !names.contains(&scenario.name)));
        Ok(Self(scenarios))
    }

    /// The named one; without a name the first whose words were said, or the default. None when there is none of that name.
    pub fn choose(&self, name: Option<&str>, prompts: &[String]) -> Option<&Scenario> {
        let named = |name: &str| self.0.iter().find(|scenario| scenario.name == name);
        if let Some(name) = name {
            return named(name);
        }
        let said = |words: &str| prompts.iter().any(|prompt| prompt.contains(words));
        self.0.iter().find(|scenario| scenario.when.as_deref().is_some_and(said)).or_else(|| named(DEFAULT))
    }

    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(|scenario| scenario.name.as_str()).collect()
    }
}

fn parse(file: &str, text: &str) -> Result<Vec<Scenario>, ScenarioError> {
    let wrong = |field: String, reason: String| ScenarioError { file: file.to_owned(), field, reason };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let ScenarioFile { scenarios } =
        serde_path_to_error::deserialize(&mut deserializer).map_err(|error| wrong(error.path().to_string(), error.inner().to_string()))?;
    deserializer.end().map_err(|error| wrong(".".into(), error.to_string()))?;
    match misfit(&scenarios) {
        Some((field, reason)) => Err(wrong(field, reason)),
        None => Ok(scenarios),
    }
}

/// What is wrong although the JSON has the right shape, and where.
fn misfit(scenarios: &[Scenario]) -> Option<(String, String)> {
    let mut names = HashSet::new();
    for (index, scenario) in scenarios.iter().enumerate() {
        let wrong = |field: &str, reason: &str| Some((format!("scenarios[{index}].{field}"), reason.to_owned()));
        let Scenario { name, when, steps, .. } = scenario;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') {
            return wrong("name", &format!("`{name}` is not made of letters, digits, - and _"));
        }
        if !names.insert(name) {
            return wrong("name", &format!("there are two scenarios `{name}`"));
        }
        if when.as_deref().is_some_and(str::is_empty) {
            return wrong("when", "must not be empty");
        }
        if steps.is_empty() {
            return wrong("steps", "there must be one at least");
        }
        if let Some(step) = steps.iter().position(|step| step.say.is_empty() && step.fault.is_none()) {
            return wrong(&format!("steps[{step}]"), "must say something or have a fault");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        Scenarios::with_file("f.json", text).unwrap_err().to_string()
    }

    fn wrong_step(step: &str) -> String {
        wrong(&format!(r#"{{"scenarios": [{{"name": "a", "steps": [{step}]}}]}}"#))
    }

    #[test]
    fn what_is_wrong_is_said_with_file_and_field() {
        let begins = |said: String, begin: &str| assert!(said.starts_with(begin), "{said}");
        begins(wrong("{"), "f.json: ");
        begins(wrong(r#"{"scenarios": [], "x": 1}"#), "f.json: x: unknown field `x`");
        begins(wrong(r#"{"scenarios": [{"name": "a", "steps": []}]}"#), "f.json: scenarios[0].steps: there must be one");
        begins(wrong(r#"{"scenarios": [{"name": "a/b", "steps": [{}]}]}"#), "f.json: scenarios[0].name: `a/b` is not");
        begins(wrong_step("{}"), "f.json: scenarios[0].steps[0]: must say something");
        begins(wrong_step(r#"{"say": [{"sing": "la"}]}"#), "f.json: scenarios[0].steps[0].say[0]");
        begins(wrong_step(r#"{"say": [{"write": {"path": "a"}}]}"#), "f.json: scenarios[0].steps[0].say[0].write: missing field `content`");
        begins(wrong_step(r#"{"fault": {"status": 200}}"#), "f.json: scenarios[0].steps[0].fault: status 200 is none");
        begins(wrong_step(r#"{"fault": {"cut": true, "stall": true}}"#), "f.json: scenarios[0].steps[0].fault: exactly one");
        begins(wrong_step(r#"{"fault": {"cut": true, "message": "m"}}"#), "f.json: scenarios[0].steps[0].fault: message and retry_after");
        let twice =
            r#"{"scenarios": [{"name": "a", "steps": [{"fault": {"cut": true}}]}, {"name": "a", "steps": [{"fault": {"cut": true}}]}]}"#;
        begins(wrong(twice), "f.json: scenarios[1].name: there are two scenarios `a`");
    }

    #[test]
    fn a_step_has_usual_figures() {
        let text = r#"{"scenarios": [{"name": "a", "steps": [
            {"say": [{"run": "ls"}], "usage": {"output": 7}, "fault": {"status": 429, "times": 2, "retry_after": 1, "message": "slow down"}}]}]}"#;
        let scenarios = Scenarios::with_file("f.json", text).unwrap();
        let step = &scenarios.choose(Some("a"), &[]).unwrap().steps[0];
        assert_eq!((step.usage, step.pace_ms), (Usage { input: 100, output: 7, cached: 0 }, 0));
        assert_eq!(step.say, [Say::Run("ls".into())]);
        let kind = FaultKind::Refuse { status: StatusCode::TOO_MANY_REQUESTS, message: "slow down".into(), retry_after: Some(1) };
        assert_eq!(step.fault, Some(Fault { kind, times: Some(2) }));
    }

    #[test]
    fn a_scenario_is_chosen_by_name_then_by_words_then_by_default() {
        let text = r#"{"scenarios": [
            {"name": "edit", "when": "tidy", "steps": [{"say": [{"text": "mine"}]}]},
            {"name": "second", "when": "up", "steps": [{"say": [{"text": "x"}]}]}]}"#;
        let scenarios = Scenarios::with_file("f.json", text).unwrap();
        let chosen = |name, prompt: &str| scenarios.choose(name, &[prompt.to_owned()]).map(|scenario| scenario.name.as_str());
        assert_eq!(chosen(None, "Please tidy up"), Some("edit"));
        assert_eq!(chosen(None, "Clean up"), Some("second"));
        assert_eq!(chosen(None, "Anything"), Some("default"));
        assert_eq!(chosen(Some("second"), "Please tidy up"), Some("second"));
        assert_eq!(chosen(Some("none"), "Please tidy up"), None);
        assert_eq!(scenarios.choose(Some("edit"), &[]).unwrap().steps[0].say, [Say::Text("mine".into())], "the file's wins");
        assert_eq!(scenarios.names().iter().filter(|name| **name == "edit").count(), 1);
    }

    #[test]
    fn what_ships_is_well_formed() {
        let names = Scenarios::built_in().unwrap();
        assert_eq!(names.names(), ["default", "hello", "edit", "repair", "broken", "limited", "stalled", "cut"]);
    }
}
