//! A change of a run while it runs: steps that are added, taken out, or made to wait for others. The graph that comes of it belongs to
//! that run alone.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Definition, Need, RunView, Step, StepInput, validate};
use crate::{
    FieldError, TaskStateName,
    error::{Errors, Invalid},
};

/// What is to become of the steps of a run that have not begun. What is not named stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GraphChange {
    /// New steps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<Step>,
    /// Steps that are no longer to be done, by their ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    /// Steps that are to wait for others than before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rewire: Vec<Rewire>,
}

/// What a step waits for from now on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Rewire {
    /// The id of the step.
    pub step: String,
    /// In place of what it needs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Vec<Need>>,
    /// In place of all its inputs that come from other steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<BTreeMap<String, StepInput>>,
}

/// A graph as a change leaves it.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    pub definition: Definition,
    pub added: Vec<String>,
    pub removed: Vec<String>,
    /// Those that wait for something else than before; one that is named with what it has already is not among them.
    pub rewired: Vec<String>,
    /// Where each changed step stands in the change, by its place in the definition.
    places: BTreeMap<usize, String>,
}

impl GraphChange {
    /// The graph afterwards, validated as a definition is; what is wrong is said with its place in the change.
    pub fn apply(&self, before: &Definition) -> Result<Changed, Invalid> {
        self.refuse_what_is_not_there(before)?;
        let mut definition = before.clone();
        definition.steps.retain(|step| !self.remove.contains(&step.id));
        let mut places = BTreeMap::new();
        let mut rewired = vec![];
        for (index, rewire) in self.rewire.iter().enumerate() {
            let Some(place) = definition.steps.iter().position(|step| step.id == rewire.step) else { continue };
            let step = rewire.of(&definition.steps[place]);
            places.insert(place, format!("/rewire/{index}"));
            if step != definition.steps[place] {
                rewired.push(step.id.clone());
                definition.steps[place] = step;
            }
        }
        for (index, step) in self.add.iter().enumerate() {
            places.insert(definition.steps.len(), format!("/add/{index}"));
            definition.steps.push(step.clone());
        }
        let added = self.add.iter().map(|step| step.id.clone()).collect();
        let changed = Changed { definition, added, removed: self.remove.clone(), rewired, places };
        self.refuse_what_is_needed(&changed.definition)?;
        validate(&changed.definition).map_err(|invalid| changed.in_the_change(invalid))?;
        Ok(changed)
    }

    fn refuse_what_is_not_there(&self, before: &Definition) -> Result<(), Invalid> {
        let mut errors = Errors::default();
        if *self == Self::default() {
            errors.add("/source", "required", "says nothing to add, remove or rewire");
        }
        let ids: BTreeSet<&str> = before.steps.iter().map(|step| step.id.as_str()).collect();
        let named = self.remove.iter().map(String::as_str).enumerate().map(|(index, id)| (format!("/remove/{index}"), id));
        let rewired = self.rewire.iter().enumerate().map(|(index, rewire)| (format!("/rewire/{index}/step"), rewire.step.as_str()));
        let mut seen = BTreeSet::new();
        for (pointer, id) in named.chain(rewired) {
            if !ids.contains(id) {
                errors.add(pointer, "not_found", format!("the run has no step “{id}” of its own"));
            } else if !seen.insert(id) {
                errors.add(pointer, "duplicate", format!("“{id}” is named twice"));
            }
        }
        for (index, rewire) in self.rewire.iter().enumerate() {
            for (name, _) in rewire.inputs.iter().flatten().filter(|(_, input)| input.value.is_some()) {
                let message = "only what comes from another step is rewired; a value stays as it is";
                errors.add(format!("/rewire/{index}/inputs/{name}"), "unexpected", message);
            }
        }
        errors.finish()
    }

    fn refuse_what_is_needed(&self, after: &Definition) -> Result<(), Invalid> {
        let mut errors = Errors::default();
        for (index, id) in self.remove.iter().enumerate() {
            let needs_it = |step: &&Step| step.all_needs().iter().any(|need| need.step == *id);
            if let Some(step) = after.steps.iter().find(needs_it) {
                errors.add(format!("/remove/{index}"), "needed", format!("“{}” needs it; rewire or remove that one as well", step.id));
            }
        }
        errors.finish()
    }
}

impl Rewire {
    /// The step as it is to be.
    fn of(&self, step: &Step) -> Step {
        let mut step = step.clone();
        if let Some(needs) = &self.needs {
            step.needs = needs.clone();
        }
        if let Some(inputs) = &self.inputs {
            step.inputs.retain(|_, input| input.from.is_none());
            step.inputs.extend(inputs.clone());
        }
        step
    }
}

impl Changed {
    /// What is said of the definition, said of the change. What has its cause in the change and shows elsewhere is said where the change
    /// is, unless it is said there already.
    pub fn in_the_change(&self, invalid: Invalid) -> Invalid {
        let place = |error: &FieldError| {
            let rest = error.pointer.strip_prefix("/steps")?;
            if rest.is_empty() {
                return Some(if self.added.is_empty() { "/remove" } else { "/add" }.to_owned());
            }
            let (index, rest) = rest[1..].split_once('/').unwrap_or((&rest[1..], ""));
            let place = self.places.get(&index.parse().ok()?)?;
            Some(if rest.is_empty() { place.clone() } else { format!("{place}/{rest}") })
        };
        let found: Vec<_> =
            invalid.errors.iter().filter_map(|error| Some(FieldError { pointer: place(error)?, ..error.clone() })).collect();
        if found.is_empty() {
            let errors = invalid.errors.into_iter().map(|error| FieldError { pointer: "/source".into(), ..error }).collect();
            return Invalid { errors };
        }
        Invalid { errors: found }
    }

    /// Where a step stands in the change.
    pub fn place(&self, id: &str) -> Option<&str> {
        let index = self.definition.steps.iter().position(|step| step.id == id)?;
        self.places.get(&index).map(String::as_str)
    }
}

/// A change that somebody wants, as its author wrote it, YAML or JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChangeRun {
    /// Holds `add`, a list of steps; `remove`, a list of ids; and `rewire`, a list of `step`, `needs` and `inputs`.
    pub source: String,
    /// Only say what would come of it.
    #[serde(default)]
    pub preview: bool,
    /// How often the run had been changed when this was written: it is refused when that is no longer so.
    #[serde(default)]
    pub expected: Option<i32>,
}

/// What came of a change, or would come of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChangeOutcome {
    /// Whether nothing was done.
    pub preview: bool,
    pub steps: Vec<ChangedStep>,
    /// The run afterwards.
    pub run: RunView,
}

/// A step that stands otherwise than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChangedStep {
    pub key: String,
    pub title: String,
    pub how: Fate,
    /// Absent for one that is new.
    pub before: Option<TaskStateName>,
    pub after: TaskStateName,
    /// The steps it waited for, and those that it waits for now; empty for one that only follows.
    pub needed: Vec<String>,
    pub needs: Vec<String>,
    /// Why it ended, when it did.
    pub reason: Option<String>,
}

/// What a change does to a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Fate {
    Added,
    Removed,
    Rewired,
    /// It was not named: its state changes with the others.
    Follows,
}

impl Fate {
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Rewired => "rewired",
            Self::Follows => "follows",
        }
    }
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunChange {
    /// From 1.
    pub number: i32,
    pub at: DateTime<Utc>,
    /// The person's or key's name.
    pub by: String,
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub rewired: Vec<String>,
    /// As its author wrote it.
    pub source: String,
}

/// The graph that a run follows: that of its version, or its own when it was changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunDefinition {
    pub definition: Definition,
    /// How often it was changed.
    pub changes: i32,
    /// The steps that have not begun, and may be removed or rewired.
    pub open: Vec<String>,
}

/// Why a step cannot be changed any more.
pub fn has_begun(state: TaskStateName, opened: bool, attempts: i32, is_gate: bool) -> Option<String> {
    match state {
        _ if state.is_final() => Some(format!("has ended {} already", state.name())),
        TaskStateName::Running | TaskStateName::Verifying => Some("is at work already".into()),
        TaskStateName::Blocked if opened => Some("has begun already".into()),
        TaskStateName::Scheduled if is_gate => Some("has begun already".into()),
        _ if attempts > 0 => Some("has been at work already".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn release() -> Definition {
        serde_json::from_value(json!({"name": "release", "parameters": {"version": {}}, "steps": [
            {"id": "build", "command": "make"},
            {"id": "test", "needs": ["build"], "command": "make test"},
            {"id": "tidy", "needs": [{"step": "test", "on": "end"}], "command": "make clean"},
            {"id": "ship", "needs": ["test"], "prompt": "Ship ${{ file }}", "inputs": {"file": {"from": "build"}, "n": {"value": 1}}}
        ]}))
        .unwrap()
    }

    fn changed(change: Value) -> Result<Changed, Vec<String>> {
        let change: GraphChange = serde_json::from_value(change).unwrap();
        let said = |invalid: Invalid| invalid.errors.into_iter().map(|error| format!("{} {}", error.pointer, error.code)).collect();
        change.apply(&release()).map_err(said)
    }

    #[test]
    fn a_change_makes_another_graph() {
        let made = changed(json!({
            "add": [{"id": "lint", "needs": ["build"], "command": "make lint"}],
            "remove": ["tidy"],
            "rewire": [{"step": "ship", "needs": ["test", "lint"]}, {"step": "test", "needs": ["build"]}]
        }))
        .unwrap();
        let ids: Vec<_> = made.definition.steps.iter().map(|step| step.id.as_str()).collect();
        assert_eq!(ids, ["build", "test", "ship", "lint"]);
        assert_eq!(made.rewired, ["ship"], "one that is named with what it has is left alone");
        let needs: Vec<_> = made.definition.steps[2].all_needs().into_iter().map(|need| need.step).collect();
        assert_eq!(needs, ["test", "lint", "build"], "its inputs stay");
    }

    #[test]
    fn inputs_are_rewired_and_values_stay() {
        let made = changed(json!({"rewire": [{"step": "ship", "inputs": {"file": {"from": "test"}}}]})).unwrap();
        let ship = &made.definition.steps[3];
        assert_eq!((ship.inputs["file"].from.as_deref(), &ship.inputs["n"].value), (Some("test"), &Some(json!(1))));
    }

    #[test]
    fn what_is_wrong_is_said_where_it_stands_in_the_change() {
        for (change, expected) in [
            (json!({}), vec!["/source required"]),
            (json!({"remove": ["nobody", "tidy", "tidy"]}), vec!["/remove/0 not_found", "/remove/2 duplicate"]),
            (json!({"remove": ["tidy"], "rewire": [{"step": "tidy", "needs": []}]}), vec!["/rewire/0/step duplicate"]),
            (json!({"remove": ["test"]}), vec!["/remove/0 needed"]),
            (json!({"remove": ["build"], "rewire": [{"step": "test", "needs": []}]}), vec!["/remove/0 needed"]),
            (json!({"rewire": [{"step": "ship", "inputs": {}}]}), vec!["/rewire/0/prompt unknown_input"]),
            (json!({"rewire": [{"step": "ship", "inputs": {"n": {"value": 2}}}]}), vec!["/rewire/0/inputs/n unexpected"]),
            (json!({"rewire": [{"step": "tidy", "needs": ["nobody"]}]}), vec!["/rewire/0/needs/0 not_found"]),
            (json!({"rewire": [{"step": "build", "needs": ["ship"]}]}), vec!["/rewire/0/needs cycle"]),
            (
                json!({"add": [{"id": "tidy", "command": "x"}, {"id": "B", "command": "x"}]}),
                vec!["/add/0/id duplicate", "/add/1/id malformed"],
            ),
        ] {
            assert_eq!(changed(change.clone()).unwrap_err(), expected, "{change}");
        }
        let many: Vec<_> = (0..1000).map(|n| json!({"id": format!("s{n}"), "command": "x"})).collect();
        assert_eq!(changed(json!({"add": many})).unwrap_err(), ["/add out_of_range"]);
        let all = changed(json!({"remove": ["build", "test", "tidy", "ship"]})).unwrap_err();
        assert_eq!(all, ["/remove out_of_range"]);
    }

    #[test]
    fn what_has_begun_is_told_from_what_waits() {
        use TaskStateName::{Blocked, Queued, Running, Scheduled, Skipped};
        let begun = |state, opened, attempts, gate| has_begun(state, opened, attempts, gate).is_some();
        for (state, is_gate) in [(Blocked, false), (Blocked, true), (Queued, false), (Scheduled, false)] {
            assert!(!begun(state, false, 0, is_gate), "{state:?}");
        }
        for (state, opened, attempts, is_gate) in [
            (Blocked, true, 0, true),
            (Queued, false, 1, false),
            (Scheduled, false, 0, true),
            (Running, false, 1, false),
            (Skipped, false, 0, false),
        ] {
            assert!(begun(state, opened, attempts, is_gate), "{state:?}");
        }
    }
}
