//! The definition of a workflow as people write it, in YAML or JSON.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

use crate::{
    AgentTerms, CheckSpec, Land, NewTask, Priority,
    task::{Concurrency, Judge, NewRepository, On, RetryPolicy, Tier},
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Definition {
    /// What it is called everywhere: lower case letters, digits and `-`.
    pub name: String,
    /// What a run is titled; may hold parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Where its steps work unless they or the run say otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// What a run is given, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Parameter>,
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Parameter {
    #[serde(rename = "type", default)]
    pub kind: ParameterType,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Taken when a run gives none. A parameter without one has to be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The only values that are allowed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Value>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum ParameterType {
    #[default]
    String,
    Number,
    Boolean,
    List,
    Object,
}

/// One node of the graph. What it does is exactly one of `command`, `prompt`, `approval`, `event`, `wait` and `workflow`; `matrix`,
/// `for_each` and `candidates` make several of a command, a prompt or a workflow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Step {
    /// Its name in the definition: lower case letters, digits, `_` and `-`.
    pub id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The steps it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// A CEL expression over its `inputs`, asked when all it needs is there; when it is false the step is skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// What it is given beside the workflow's parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, StepInput>,
    /// Seconds between the end of what it needs and its own start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_seconds: Option<u32>,

    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventGate>,
    /// Passed after `delay_seconds`, or at once.
    #[serde(default, skip_serializing_if = "is_false")]
    pub wait: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<SubWorkflow>,

    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub matrix: Option<Matrix>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_each: Option<Each>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidates: Option<Candidates>,

    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_ref: Option<String>,
    /// Repositories that it works on beside that one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<NewRepository>,
    /// Its repository's submodules are fetched as well.
    #[serde(default, skip_serializing_if = "is_false")]
    pub submodules: bool,
    /// The files that Git LFS keeps for its repository are fetched as well.
    #[serde(default, skip_serializing_if = "is_false")]
    pub lfs: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub success_criteria: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_seconds: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What its runner must have. Not to be confused with the steps that it `needs`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Tier>,
    /// Which agent is given the prompt, and how far it may go.
    #[serde(default, skip_serializing_if = "AgentTerms::is_usual")]
    pub agent: AgentTerms,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate_seconds: Option<u32>,
    /// What becomes of its result once it has passed its checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub land: Option<Land>,
}

/// Another step to wait for. Its name alone stands for one that has to succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Need {
    pub step: String,
    #[serde(default)]
    pub on: On,
}

/// Where an input comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepInput {
    /// A step whose result it is taken from; that step is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// A JSON pointer into that step's result. Its output as a whole when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The value itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = ApprovalGate))]
pub struct Approval {
    /// What is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventGate {
    pub name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SubWorkflow {
    /// Its parameters are taken from the step's inputs of the same names.
    pub name: String,
    /// The newest when absent, as it is when the step begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
}

/// Values by name; the step runs once for every combination.
pub type Matrix = BTreeMap<String, Vec<Value>>;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Each {
    /// The input that holds the list. Every item is the input `item`, its place from 0 the input `index`.
    #[serde(rename = "in")]
    pub list: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Candidates {
    /// How many try it; each finds its number, from 1, in the input `candidate`.
    pub count: u32,
    #[serde(default)]
    pub judge: Judge,
    /// Let the others go on when one is chosen, instead of cancelling them.
    #[serde(default, skip_serializing_if = "is_false")]
    pub keep_others: bool,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    Command(&'a str),
    Prompt(&'a str),
    Approval(&'a Approval),
    Event(&'a EventGate),
    Wait,
    Workflow(&'a SubWorkflow),
}

impl Definition {
    /// Each step after those it needs, those that could go side by side as they are written; or the places of the steps that wait for
    /// themselves through others, and of those that wait for such a step. A need of a step that is not there is passed over.
    pub fn in_order(&self) -> Result<Vec<&Step>, Vec<usize>> {
        let places: BTreeMap<&str, usize> = self.steps.iter().enumerate().map(|(index, step)| (step.id.as_str(), index)).collect();
        let mut open = vec![0; self.steps.len()];
        let mut after = vec![vec![]; self.steps.len()];
        for (index, step) in self.steps.iter().enumerate() {
            for need in step.all_needs().iter().filter_map(|need| places.get(need.step.as_str())) {
                open[index] += 1;
                after[*need].push(index);
            }
        }
        let mut ready: BTreeSet<_> = (0..open.len()).filter(|index| open[*index] == 0).collect();
        let mut order = Vec::with_capacity(open.len());
        while let Some(index) = ready.pop_first() {
            order.push(&self.steps[index]);
            for next in &after[index] {
                open[*next] -= 1;
                if open[*next] == 0 {
                    ready.insert(*next);
                }
            }
        }
        if order.len() == self.steps.len() { Ok(order) } else { Err((0..open.len()).filter(|index| open[*index] > 0).collect()) }
    }
}

impl Step {
    /// What it does; nothing when it says none or more than one.
    pub fn kind(&self) -> Option<Kind<'_>> {
        let mut kinds = [
            self.command.as_deref().map(Kind::Command),
            self.prompt.as_deref().map(Kind::Prompt),
            self.approval.as_ref().map(Kind::Approval),
            self.event.as_ref().map(Kind::Event),
            self.wait.then_some(Kind::Wait),
            self.workflow.as_ref().map(Kind::Workflow),
        ]
        .into_iter()
        .flatten();
        kinds.next().filter(|_| kinds.next().is_none())
    }

    pub fn title(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.id)
    }

    /// What it waits for: what it needs, and where its inputs come from.
    pub fn all_needs(&self) -> Vec<Need> {
        let mut needs = self.needs.clone();
        for from in self.inputs.values().filter_map(|input| input.from.as_ref()) {
            if !needs.iter().any(|need| need.step == *from) {
                needs.push(Need { step: from.clone(), on: On::Success });
            }
        }
        needs
    }

    /// What it asks for as a task of its own in this repository.
    pub fn new_task(&self, repository: &str) -> NewTask {
        let usual = NewTask::command(self.title(), repository, "");
        NewTask {
            command: self.command.clone(),
            prompt: self.prompt.clone(),
            base_ref: self.base_ref.clone(),
            repositories: self.repositories.clone(),
            submodules: self.submodules,
            lfs: self.lfs,
            files: self.files.clone(),
            success_criteria: self.success_criteria.clone(),
            checks: self.checks.clone(),
            priority: self.priority.unwrap_or_default(),
            timeout_seconds: self.timeout_seconds.unwrap_or(usual.timeout_seconds),
            max_attempts: self.max_attempts.unwrap_or(usual.max_attempts),
            retry: self.retry.unwrap_or_default(),
            queue_seconds: self.queue_seconds,
            concurrency: self.concurrency.clone(),
            tags: self.tags.clone(),
            capabilities: self.capabilities.clone(),
            tier: self.tier,
            agent: self.agent.clone(),
            estimate_seconds: self.estimate_seconds,
            land: self.land.unwrap_or_default(),
            ..usual
        }
    }

    /// One of the several that a matrix, a list or candidates make of it.
    pub fn single(&self) -> Self {
        Self { needs: vec![], when: None, delay_seconds: None, matrix: None, for_each: None, candidates: None, ..self.clone() }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

impl<'de> Deserialize<'de> for Need {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrObject;

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Object {
            step: String,
            #[serde(default)]
            on: On,
        }

        impl<'de> de::Visitor<'de> for NameOrObject {
            type Value = Need;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the id of a step, or an object with `step` and `on`")
            }

            fn visit_str<E: de::Error>(self, step: &str) -> Result<Need, E> {
                Ok(Need { step: step.to_owned(), on: On::Success })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Need, A::Error> {
                let Object { step, on } = Object::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(Need { step, on })
            }
        }

        deserializer.deserialize_any(NameOrObject)
    }
}
