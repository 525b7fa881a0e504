//! The form that starts a run as it travels: texts as they were typed, and what they mean. Pure.

use std::collections::BTreeMap;

use domain::{
    FieldError, Invalid,
    task::{Inputs, plain},
    workflow::{NewRun, Parameter, ParameterType, WorkflowView},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use server_fn::ServerFn;

use crate::{draft::back_path, problem::Problem, text::query_value};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StartForm {
    pub workflow: String,
    /// Empty for the newest.
    pub version: String,
    pub title: String,
    pub repository: String,
    pub parameters: BTreeMap<String, String>,
}

impl StartForm {
    /// A form that holds what is taken when nothing is said.
    pub fn of(workflow: &WorkflowView, version: Option<i32>) -> Self {
        let defaults = workflow.definition.parameters.iter();
        let parameters = defaults.map(|(name, parameter)| (name.clone(), parameter.default.as_ref().map(plain).unwrap_or_default()));
        Self {
            workflow: workflow.name.clone(),
            version: version.map(|version| version.to_string()).unwrap_or_default(),
            parameters: parameters.collect(),
            ..Self::default()
        }
    }

    pub fn version(&self) -> Result<Option<i32>, Problem> {
        match self.version.trim() {
            "" => Ok(None),
            number => number.parse().map(Some).map_err(|_| Problem::bad_request("The version is not a number.")),
        }
    }

    /// What it asks for, or which values are not of the type that the workflow wants.
    pub fn to_new_run(&self, workflow: &WorkflowView) -> Result<NewRun, Problem> {
        let mut parameters = Inputs::new();
        let mut errors = vec![];
        for (name, parameter) in &workflow.definition.parameters {
            let Some(text) = self.parameters.get(name) else { continue };
            match read(parameter, &text.replace("\r\n", "\n")) {
                Ok(Some(value)) => _ = parameters.insert(name.clone(), value),
                Ok(None) => {}
                Err(message) => {
                    errors.push(FieldError { pointer: format!("/parameters/{name}"), code: "wrong_type".into(), message });
                }
            }
        }
        if !errors.is_empty() {
            let detail = Invalid { errors: errors.clone() }.to_string();
            return Err(Problem::invalid(errors, detail));
        }
        let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        Ok(NewRun { version: self.version()?, parameters, repository: text(&self.repository), title: text(&self.title) })
    }

    /// As for a new task: where a browser without scripts finds what was typed.
    pub fn back_path(&self, problem: &Problem) -> Option<String> {
        back_path(&format!("/workflows/{}/run", query_value(&self.workflow)), self, super::StartRun::PATH, problem)
    }
}

/// Nothing typed is nothing given, unless the workflow would take something else for it.
fn read(parameter: &Parameter, text: &str) -> Result<Option<Value>, String> {
    if text.trim().is_empty() && (parameter.kind != ParameterType::String || parameter.default.is_none()) {
        return Ok(None);
    }
    match parameter.kind.read(text) {
        Some(value) => Ok(Some(value)),
        None => Err(format!("must be {}", parameter.kind.phrase())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workflow() -> WorkflowView {
        let definition = json!({
            "name": "release", "steps": [],
            "parameters": {
                "version": {}, "count": {"type": "number", "default": 2}, "notes": {"default": "none"},
                "targets": {"type": "list", "default": ["a"]}, "dry": {"type": "boolean", "default": false}
            }
        });
        WorkflowView {
            id: "0190a2b4-7d34-7c11-8a52-0123456789ab".parse().unwrap(),
            name: "release".into(),
            version: 1,
            newest_version: 1,
            definition: serde_json::from_value(definition).unwrap(),
            source: String::new(),
            drawing: Default::default(),
            created_at: domain::Timestamp::UNIX_EPOCH,
            created_by: "Ada".into(),
        }
    }

    #[test]
    fn what_is_typed_has_the_types_that_are_wanted() {
        let mut form = StartForm::of(&workflow(), None);
        assert_eq!(form.parameters["targets"], "[\"a\"]");
        form.parameters.insert("version".into(), "1.2".into());
        form.parameters.insert("notes".into(), String::new());
        form.parameters.insert("count".into(), " ".into());
        let run = form.to_new_run(&workflow()).unwrap();
        let expected = json!({"version": "1.2", "notes": "", "targets": ["a"], "dry": false});
        assert_eq!(serde_json::to_value(run.parameters).unwrap(), expected);
        assert_eq!((run.version, run.repository, run.title), (None, None, None));
    }

    #[test]
    fn what_has_another_type_is_said_at_its_field() {
        let mut form = StartForm::of(&workflow(), Some(1));
        form.parameters.insert("count".into(), "many".into());
        form.parameters.insert("targets".into(), "a, b".into());
        let problem = form.to_new_run(&workflow()).unwrap_err();
        let said: Vec<_> = problem.errors.iter().map(|error| (error.pointer.as_str(), error.message.as_str())).collect();
        assert_eq!(said, [("/parameters/count", "must be a number"), ("/parameters/targets", "must be a list")]);
        assert!(form.back_path(&problem).unwrap().starts_with("/workflows/release/run?draft="));
    }
}
