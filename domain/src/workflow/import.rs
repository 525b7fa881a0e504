//! The orchestration files of Claude Worker as a definition.

use serde::Deserialize;

use super::{Definition, Need, Step};
use crate::{error::Errors, error::Invalid, task::On};

#[derive(Deserialize)]
struct Orchestration {
    #[serde(alias = "orchestration_group", alias = "group")]
    name: Option<String>,
    description: Option<String>,
    tasks: Vec<Task>,
}

#[derive(Deserialize)]
struct Task {
    #[serde(alias = "task_identifier", alias = "id")]
    identifier: String,
    #[serde(alias = "prompt")]
    execution_prompt: String,
    system_prompt: Option<String>,
    working_directory: Option<String>,
    model: Option<String>,
    #[serde(default)]
    depends_on: Vec<String>,
    #[serde(alias = "wait_after_dependencies")]
    initial_delay: Option<u32>,
}

/// Minutes that the orchestrator gives a model.
const MODEL_MINUTES: [(&str, u32); 3] = [("haiku", 10), ("sonnet", 30), ("opus", 60)];

/// Reads one; nothing when the text is not one at all.
pub fn from_claude_worker(value: serde_json::Value) -> Option<Result<Definition, Invalid>> {
    let known = value.get("tasks").is_some_and(serde_json::Value::is_array) && value.get("steps").is_none();
    known.then(|| {
        let orchestration: Orchestration =
            serde_json::from_value(value).map_err(|error| Invalid::field("/source", "malformed", error.to_string()))?;
        orchestration.definition()
    })
}

impl Orchestration {
    fn definition(self) -> Result<Definition, Invalid> {
        let mut errors = Errors::default();
        let steps: Vec<_> = self.tasks.iter().map(|task| task.step()).collect();
        for (index, step) in steps.iter().enumerate() {
            // Two identifiers that differ only where ours do not would become one.
            if let Some(first) = steps[..index].iter().position(|other| other.id == step.id) {
                let message = format!("“{}” and “{}” are the same step here", self.tasks[index].identifier, self.tasks[first].identifier);
                errors.add(format!("/tasks/{index}/identifier"), "duplicate", message);
            }
        }
        errors.finish()?;
        let repository = self.tasks.iter().find_map(|task| task.working_directory.clone());
        Ok(Definition {
            name: slug(self.name.as_deref().unwrap_or("imported")).replace('_', "-"),
            title: None,
            description: self.description,
            repository,
            parameters: Default::default(),
            steps,
        })
    }
}

impl Task {
    fn step(&self) -> Step {
        let minutes = MODEL_MINUTES.iter().find(|(model, _)| self.model.as_deref() == Some(model)).map_or(30, |(_, minutes)| *minutes);
        let prompt = match &self.system_prompt {
            Some(system) => format!("{}\n\n{}", system.trim(), self.execution_prompt),
            None => self.execution_prompt.clone(),
        };
        Step {
            id: slug(&self.identifier),
            title: Some(self.identifier.clone()),
            needs: self.depends_on.iter().map(|id| Need { step: slug(id), on: On::Success }).collect(),
            delay_seconds: self.initial_delay.filter(|seconds| *seconds > 0),
            prompt: Some(prompt),
            repository: self.working_directory.clone(),
            timeout_seconds: Some(minutes * 60),
            ..Step::default()
        }
    }
}

fn slug(text: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || c == '_' || c == '-' { c.to_ascii_lowercase() } else { '-' };
    let text: String = text.trim().chars().map(fits).take(50).collect();
    text.trim_start_matches(['-', '_']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_orchestration_becomes_a_definition() {
        let read = from_claude_worker(json!({
            "orchestration_group": "Nightly Tidy",
            "tasks": [
                {"task_identifier": "Find", "execution_prompt": "Find what is untidy", "working_directory": "/srv/app", "model": "haiku"},
                {"task_identifier": "fix_it", "execution_prompt": "Fix it", "working_directory": "/srv/app", "depends_on": ["Find"], "initial_delay": 5}
            ]
        }));
        let definition = read.unwrap().unwrap();
        assert_eq!(super::super::validate(&definition), Ok(()));
        assert_eq!((definition.name.as_str(), definition.repository.as_deref()), ("nightly-tidy", Some("/srv/app")));
        let fix = &definition.steps[1];
        assert_eq!((fix.id.as_str(), fix.needs[0].step.as_str(), fix.delay_seconds), ("fix_it", "find", Some(5)));
        assert_eq!(definition.steps[0].timeout_seconds, Some(600));
    }

    #[test]
    fn names_that_fall_together_are_refused() {
        let task = |name: &str| json!({"identifier": name, "execution_prompt": "do what is to be done"});
        let refused = from_claude_worker(json!({"tasks": [task("A"), task("a")]})).unwrap().unwrap_err();
        assert_eq!(refused.errors[0].pointer, "/tasks/1/identifier");
    }

    #[test]
    fn other_text_is_not_one() {
        assert!(from_claude_worker(json!({"name": "x", "steps": []})).is_none());
    }
}
