//! What can be said about a definition without running it: everything that is wrong, each with its place.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Definition, JudgeTask, Kind, Parameter, ParameterType, Step, judge::CANDIDATES_INPUT};
use crate::{
    Land,
    error::{Errors, Invalid},
    repository,
    task::{CONDITION_MAX, Inputs, Judge, On, check_names, is_input_name},
};

/// The most steps of one definition.
pub const STEPS_MAX: usize = 1000;
/// The most tasks that one matrix makes.
const COMBINATIONS_MAX: usize = 256;
const CANDIDATES_MAX: u32 = 20;
const PARAMETERS_MAX: usize = 50;
/// Thirty days.
const DELAY_SECONDS_MAX: u32 = 2_592_000;
const PLACEHOLDER: &str = "a command reads its inputs from its environment, as $MUSTER_INPUT_NAME, so that data never becomes code";

pub fn validate(definition: &Definition) -> Result<(), Invalid> {
    let mut errors = Errors::default();
    let dashed = |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') && !name.starts_with('-');
    if !(1..=100).contains(&definition.name.len()) || !dashed(&definition.name) {
        errors.add("/name", "malformed", "must be 1 to 100 lower case letters, digits or -");
    }
    if definition.name == "new" {
        errors.add("/name", "reserved", "“new” is the page on which workflows are written");
    }
    let known = |name: &str| definition.parameters.contains_key(name);
    if let Some(title) = &definition.title {
        errors.required_text("/title", title, 200);
        check_names(&mut errors, "/title", title, &known);
    }
    if let Some(description) = &definition.description {
        errors.text("/description", description, 2000);
    }
    check_repository(&mut errors, "/repository", definition.repository.as_deref());
    validate_parameters(&mut errors, &definition.parameters);
    if definition.steps.is_empty() || definition.steps.len() > STEPS_MAX {
        errors.add("/steps", "out_of_range", format!("must be 1 to {STEPS_MAX} steps"));
        return errors.finish();
    }
    let mut ids = BTreeMap::new();
    for (index, step) in definition.steps.iter().enumerate() {
        if let Some(first) = ids.insert(step.id.as_str(), index) {
            errors.add(format!("/steps/{index}/id"), "duplicate", format!("“{}” is the id of step {} already", step.id, first + 1));
        }
    }
    for (index, step) in definition.steps.iter().enumerate() {
        let mut own = Errors::default();
        validate_step(&mut own, step, definition, &ids);
        if let Err(invalid) = own.finish() {
            errors.add_all(invalid.below(&format!("/steps/{index}")));
        }
    }
    errors.finish()?;
    refuse_cycle(definition)
}

fn check_repository(errors: &mut Errors, pointer: &str, location: Option<&str>) {
    if let Some(location) = location
        && let Err(reason) = repository::check_location(location.trim())
    {
        errors.add(pointer, "malformed", reason);
    }
}

fn validate_parameters(errors: &mut Errors, parameters: &BTreeMap<String, Parameter>) {
    if parameters.len() > PARAMETERS_MAX {
        errors.add("/parameters", "too_many", format!("at most {PARAMETERS_MAX} are allowed"));
    }
    for (name, parameter) in parameters {
        let pointer = format!("/parameters/{name}");
        if !is_input_name(name) {
            errors.add(&pointer, "malformed", "must be lower case letters, digits or _, with a letter in front");
        }
        for (at, value) in
            parameter.default.iter().map(|value| ("default", value)).chain(parameter.choices.iter().map(|value| ("choices", value)))
        {
            if !parameter.kind.fits(value) {
                errors.add(format!("{pointer}/{at}"), "wrong_type", format!("must be {}", parameter.kind.phrase()));
            }
        }
    }
}

fn validate_step(errors: &mut Errors, step: &Step, definition: &Definition, ids: &BTreeMap<&str, usize>) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if !(1..=50).contains(&step.id.len()) || !step.id.chars().all(fits) || step.id.starts_with(['-', '_']) {
        errors.add("/id", "malformed", "must be 1 to 50 lower case letters, digits, _ or -");
    }
    validate_kind(errors, step, definition);
    validate_needs(errors, step, ids);
    validate_inputs(errors, step, ids);
    validate_several(errors, step, definition);
    let known = |name: &str| knows(step, definition, name);
    for (pointer, text) in texts(step) {
        check_names(errors, &pointer, text, &known);
    }
    if step.command.as_ref().is_some_and(|command| command.contains("${{")) {
        errors.add("/command", "placeholder", PLACEHOLDER);
    }
    if step.delay_seconds.is_some_and(|seconds| seconds > DELAY_SECONDS_MAX) {
        errors.add("/delay_seconds", "out_of_range", format!("must be at most {DELAY_SECONDS_MAX}"));
    }
    check_repository(errors, "/repository", step.repository.as_deref());
}

fn validate_kind(errors: &mut Errors, step: &Step, definition: &Definition) {
    match step.kind() {
        Some(Kind::Command(_) | Kind::Prompt(_)) => {
            let base_ref = step.base_ref.clone().filter(|name| !name.contains("${{"));
            // The location is looked at apart, as it may come with the run: others are compared with it then.
            let known = step.repository.as_deref().or(definition.repository.as_deref()).map(str::trim);
            let first = known.filter(|location| repository::check_location(location).is_ok()).unwrap_or("/");
            let mut body = Step { base_ref, ..step.clone() }.new_task(first);
            // as it is for the first
            for one in &mut body.repositories {
                one.base_ref = one.base_ref.take().filter(|name| !name.contains("${{"));
            }
            if let Err(invalid) = body.validate() {
                errors.add_all(invalid);
            }
            if step.candidates.is_some() && step.land.is_some_and(|land| land != Land::None) {
                errors.add("/land", "unexpected", "candidates do not land by themselves: land the one that is chosen from its page");
            }
        }
        Some(kind) => {
            if let Kind::Approval(approval) = &kind
                && let Some(message) = &approval.message
            {
                errors.required_text("/approval/message", message, 2000);
            }
            if let Kind::Event(event) = &kind {
                errors.required_text("/event/name", &event.name, 100);
            }
            if let Kind::Workflow(sub) = &kind
                && sub.name == definition.name
            {
                errors.add("/workflow/name", "cycle", "is this workflow itself, so it would never end");
            }
            let unused = [
                ("checks", !step.checks.is_empty()),
                ("files", !step.files.is_empty()),
                ("success_criteria", !step.success_criteria.is_empty()),
                ("base_ref", step.base_ref.is_some()),
                ("repositories", !step.repositories.is_empty()),
                ("submodules", step.submodules),
                ("lfs", step.lfs),
                ("max_attempts", step.max_attempts.is_some()),
                ("concurrency", step.concurrency.is_some()),
                ("capabilities", !step.capabilities.is_empty()),
                ("tier", step.tier.is_some()),
                ("agent", !step.agent.is_usual()),
                ("estimate_seconds", step.estimate_seconds.is_some()),
                ("land", step.land.is_some()),
            ];
            for (name, _) in unused.iter().filter(|(_, given)| *given) {
                errors.add(format!("/{name}"), "unexpected", "only a command or a prompt has this");
            }
        }
        None => errors.add("/command", "required", "say exactly one of command, prompt, approval, event, wait and workflow"),
    }
}

fn validate_needs(errors: &mut Errors, step: &Step, ids: &BTreeMap<&str, usize>) {
    for (index, need) in step.needs.iter().enumerate() {
        let pointer = format!("/needs/{index}");
        if need.step == step.id {
            errors.add(&pointer, "cycle", "waits for itself, so it could never start");
        } else if !ids.contains_key(need.step.as_str()) {
            errors.add(&pointer, "not_found", format!("there is no step “{}”", need.step));
        }
        if step.needs[..index].iter().any(|other| other.step == need.step) {
            errors.add(&pointer, "duplicate", "is named twice");
        }
    }
    for (pointer, text) in own_expressions(step) {
        if text.trim().is_empty() {
            errors.add(pointer, "required", "must not be empty");
        } else if text.len() > CONDITION_MAX {
            errors.add(pointer, "too_long", format!("is {} bytes long; at most {CONDITION_MAX} are allowed", text.len()));
        }
    }
}

fn validate_inputs(errors: &mut Errors, step: &Step, ids: &BTreeMap<&str, usize>) {
    for (name, input) in &step.inputs {
        let pointer = format!("/inputs/{name}");
        if !is_input_name(name) {
            errors.add(&pointer, "malformed", "must be lower case letters, digits or _, with a letter in front");
        }
        match (&input.from, &input.value) {
            (Some(from), None) if from == &step.id => errors.add(pointer + "/from", "cycle", "is this step itself"),
            (Some(from), None) if !ids.contains_key(from.as_str()) => {
                errors.add(pointer + "/from", "not_found", format!("there is no step “{from}”"));
            }
            (Some(_), None) => {
                if input.pointer.as_ref().is_some_and(|pointer| !pointer.is_empty() && !pointer.starts_with('/')) {
                    errors.add(pointer + "/pointer", "malformed", "must be a JSON pointer such as /output/version");
                }
            }
            (None, Some(_)) if input.pointer.is_some() => errors.add(pointer + "/pointer", "unexpected", "goes with `from`"),
            (None, Some(_)) => {}
            _ => errors.add(pointer, "required", "say where it comes from: `from` a step, or a `value`"),
        }
    }
}

fn validate_several(errors: &mut Errors, step: &Step, definition: &Definition) {
    let several = [step.matrix.is_some(), step.for_each.is_some(), step.candidates.is_some()];
    if several.iter().filter(|given| **given).count() > 1 {
        errors.add("/matrix", "unexpected", "give one of matrix, for_each and candidates");
    }
    let executes = matches!(step.kind(), Some(Kind::Command(_) | Kind::Prompt(_) | Kind::Workflow(_)) | None);
    if several.contains(&true) && !executes {
        errors.add(
            "/matrix",
            "unexpected",
            "a gate is passed once; give matrix, for_each or candidates to a command, a prompt or a workflow",
        );
    }
    if let Some(matrix) = &step.matrix {
        let combinations = matrix.values().map(Vec::len).try_fold(1_usize, usize::checked_mul);
        if matrix.is_empty() || !combinations.is_some_and(|count| (1..=COMBINATIONS_MAX).contains(&count)) {
            errors.add("/matrix", "out_of_range", format!("must make 1 to {COMBINATIONS_MAX} combinations"));
        }
        for name in matrix.keys().filter(|name| !is_input_name(name)) {
            errors.add(format!("/matrix/{name}"), "malformed", "must be lower case letters, digits or _, with a letter in front");
        }
    }
    if let Some(each) = &step.for_each
        && !definition.parameters.contains_key(&each.list)
        && !step.inputs.contains_key(&each.list)
    {
        errors.add("/for_each/in", "not_found", format!("there is no input or parameter “{}”", each.list));
    }
    if step.candidates.as_ref().is_some_and(|candidates| !(2..=CANDIDATES_MAX).contains(&candidates.count)) {
        errors.add("/candidates/count", "out_of_range", format!("must be 2 to {CANDIDATES_MAX}"));
    }
    if let Some(Judge::Task(judge)) = step.candidates.as_ref().map(|candidates| &candidates.judge) {
        validate_judge(errors, judge, step, definition);
    }
}

/// The task of a judge is a command or a prompt as any step may be one. It is given the candidates beside what they were given.
fn validate_judge(errors: &mut Errors, judge: &JudgeTask, candidates: &Step, definition: &Definition) {
    let step = judge.step(candidates);
    let mut own = Errors::default();
    match step.kind() {
        Some(_) => validate_kind(&mut own, &step, definition),
        None => own.add("/command", "required", "say exactly one of command and prompt"),
    }
    let known = |name: &str| name == CANDIDATES_INPUT || name != "candidate" && knows(candidates, definition, name);
    for (pointer, text) in texts(&step) {
        check_names(&mut own, &pointer, text, &known);
    }
    if step.command.as_ref().is_some_and(|command| command.contains("${{")) {
        own.add("/command", "placeholder", PLACEHOLDER);
    }
    check_repository(&mut own, "/repository", step.repository.as_deref());
    if candidates.inputs.contains_key(CANDIDATES_INPUT) || definition.parameters.contains_key(CANDIDATES_INPUT) {
        own.add("", "taken", "is given an input “candidates”, so neither a parameter nor an input of the step may be called that");
    }
    if let Err(invalid) = own.finish() {
        errors.add_all(invalid.below("/candidates/judge/task"));
    }
}

/// Whether a step is given an input of this name.
fn knows(step: &Step, definition: &Definition, name: &str) -> bool {
    definition.parameters.contains_key(name)
        || step.inputs.contains_key(name)
        || step.matrix.as_ref().is_some_and(|matrix| matrix.contains_key(name))
        || step.for_each.is_some() && matches!(name, "item" | "index")
        || step.candidates.is_some() && name == "candidate"
}

/// The texts of a step that may hold inputs.
fn texts(step: &Step) -> Vec<(String, &str)> {
    let one = |pointer: &str, text: &Option<String>| text.as_ref().map(|_| pointer.to_owned());
    let mut texts = vec![];
    for (pointer, text) in [("/title", &step.title), ("/prompt", &step.prompt), ("/base_ref", &step.base_ref)] {
        texts.extend(one(pointer, text).zip(text.as_deref()));
    }
    let beside = step.repositories.iter().enumerate();
    texts.extend(beside.filter_map(|(index, one)| Some((format!("/repositories/{index}/base_ref"), one.base_ref.as_deref()?))));
    if let Some(message) = step.approval.as_ref().and_then(|approval| approval.message.as_deref()) {
        texts.push(("/approval/message".into(), message));
    }
    for (name, lines) in [("files", &step.files), ("success_criteria", &step.success_criteria)] {
        texts.extend(lines.iter().enumerate().map(|(index, text)| (format!("/{name}/{index}"), text.as_str())));
    }
    texts
}

/// Every CEL expression of a definition with its place: they are compiled when it is saved.
pub fn expressions(definition: &Definition) -> Vec<(String, &str)> {
    let of_step = |(index, step)| own_expressions(step).into_iter().map(move |(pointer, text)| (format!("/steps/{index}{pointer}"), text));
    definition.steps.iter().enumerate().flat_map(of_step).collect()
}

fn own_expressions(step: &Step) -> Vec<(String, &str)> {
    let mut expressions: Vec<_> = step.when.iter().map(|text| ("/when".to_owned(), text.as_str())).collect();
    for (index, need) in step.needs.iter().enumerate() {
        if let On::Condition(text) = &need.on {
            expressions.push((format!("/needs/{index}/on/condition"), text));
        }
    }
    if let Some(Judge::Score(text)) = step.candidates.as_ref().map(|candidates| &candidates.judge) {
        expressions.push(("/candidates/judge/score".into(), text));
    }
    expressions
}

fn refuse_cycle(definition: &Definition) -> Result<(), Invalid> {
    let mut errors = Errors::default();
    for index in definition.in_order().err().unwrap_or_default() {
        let id = &definition.steps[index].id;
        let message = format!("“{id}” waits for itself through others, or for such a step, so it could never start");
        errors.add(format!("/steps/{index}/needs"), "cycle", message);
    }
    errors.finish()
}

/// What a run is given, with the defaults of what it is not.
pub fn parameters_given(definition: &Definition, given: &Inputs) -> Result<Inputs, Invalid> {
    let mut errors = Errors::default();
    for name in given.keys().filter(|name| !definition.parameters.contains_key(*name)) {
        errors.add(format!("/parameters/{name}"), "unknown", format!("“{}” has no parameter “{name}”", definition.name));
    }
    let mut values = Inputs::new();
    for (name, parameter) in &definition.parameters {
        let pointer = format!("/parameters/{name}");
        match given.get(name).or(parameter.default.as_ref()) {
            None => errors.add(pointer, "required", "has no default, so it has to be given"),
            Some(value) if !parameter.kind.fits(value) => {
                errors.add(pointer, "wrong_type", format!("must be {}", parameter.kind.phrase()));
            }
            Some(value) if !parameter.choices.is_empty() && !parameter.choices.contains(value) => {
                let choices: Vec<_> = parameter.choices.iter().map(Value::to_string).collect();
                errors.add(pointer, "not_a_choice", format!("must be one of {}", choices.join(", ")));
            }
            Some(value) => {
                values.insert(name.clone(), value.clone());
            }
        }
    }
    errors.finish()?;
    Ok(values)
}

impl ParameterType {
    pub fn fits(self, value: &Value) -> bool {
        match self {
            Self::String => value.as_str().is_some_and(|text| !text.contains('\0')),
            Self::Number => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::List => value.is_array(),
            Self::Object => value.is_object(),
        }
    }

    pub fn phrase(self) -> &'static str {
        match self {
            Self::String => "a text",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }

    /// A value as a person types it: text as it is, everything else as JSON.
    pub fn read(self, text: &str) -> Option<Value> {
        match self {
            Self::String => Some(Value::String(text.to_owned())),
            _ => serde_json::from_str(text.trim()).ok().filter(|value| self.fits(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(definition: Value) -> Vec<String> {
        let definition: Definition = serde_json::from_value(definition).unwrap();
        match validate(&definition) {
            Ok(()) => vec![],
            Err(invalid) => invalid.errors.into_iter().map(|error| format!("{} {}", error.pointer, error.code)).collect(),
        }
    }

    fn with_steps(steps: Value) -> Value {
        json!({"name": "release", "parameters": {"version": {}}, "steps": steps})
    }

    #[test]
    fn a_good_one_passes() {
        let steps = json!([
            {"id": "build", "command": "make", "checks": [{"kind": "git_clean"}]},
            {"id": "test", "needs": ["build"], "matrix": {"os": ["linux", "mac"]}, "command": "make test", "title": "Test on ${{ os }}"},
            {"id": "ok", "needs": [{"step": "test", "on": "end"}], "approval": {"message": "Ship ${{ version }}?"}},
            {"id": "notes", "prompt": "Notes for ${{ version }}: ${{ log }}", "inputs": {"log": {"from": "build", "pointer": "/output"}}},
            {"id": "ship", "needs": ["ok", "notes"], "when": "inputs.version != ''", "command": "make ship"}
        ]);
        assert_eq!(said(with_steps(steps)), Vec::<String>::new());
    }

    #[test]
    fn everything_that_is_wrong_is_said_with_its_place() {
        let steps = json!([
            {"id": "a", "command": "x ${{ version }}"},
            {"id": "a", "command": "x", "prompt": "y"},
            {"id": "B", "wait": true, "needs": ["nobody", "B"], "checks": [{"kind": "git_clean"}]},
            {"id": "c", "prompt": "${{ what }}", "inputs": {"x": {}, "Y": {"value": 1}, "z": {"from": "none"}}},
            {"id": "d", "approval": {}, "matrix": {"os": []}},
            {"id": "e", "command": "x", "for_each": {"in": "list"}, "candidates": {"count": 1}},
            {"id": "f", "command": "x", "needs": [{"step": "a", "on": {"condition": ""}}], "timeout_seconds": 0},
            {"id": "g", "workflow": {"name": "release"}}
        ]);
        assert_eq!(
            said(with_steps(steps)),
            [
                "/steps/1/id duplicate",
                "/steps/0/command placeholder",
                "/steps/1/command required",
                "/steps/2/id malformed",
                "/steps/2/checks unexpected",
                "/steps/2/needs/0 not_found",
                "/steps/2/needs/1 cycle",
                "/steps/3/inputs/Y malformed",
                "/steps/3/inputs/x required",
                "/steps/3/inputs/z/from not_found",
                "/steps/3/prompt unknown_input",
                "/steps/4/matrix unexpected",
                "/steps/4/matrix out_of_range",
                "/steps/5/matrix unexpected",
                "/steps/5/for_each/in not_found",
                "/steps/5/candidates/count out_of_range",
                "/steps/6/timeout_seconds out_of_range",
                "/steps/6/needs/0/on/condition required",
                "/steps/7/workflow/name cycle",
            ]
        );
    }

    #[test]
    fn further_repositories_are_compared_with_the_first_where_that_is_known() {
        let steps = |own: Value| {
            let step = json!({"id": "a", "command": "x", "repositories": [{"url": "/srv/./api"}, {"url": "https://example.org/web"}]});
            let with_own = step.as_object().unwrap().iter().map(|(name, value)| (name.clone(), value.clone()));
            json!([with_own.chain(own.as_object().unwrap().clone()).collect::<serde_json::Map<String, Value>>()])
        };
        let of = |definition: Option<&str>, step: Value| said(json!({"name": "x", "repository": definition, "steps": steps(step)}));
        assert_eq!(of(None, json!({})), Vec::<String>::new(), "the run says it");
        assert_eq!(of(Some("/srv/app"), json!({})), Vec::<String>::new());
        assert_eq!(of(Some(" /srv/api/ "), json!({})), ["/steps/0/repositories/0/url duplicate"]);
        let own = json!({"repository": "git@EXAMPLE.org:web.git"});
        let both = ["/steps/0/repositories/0/url path_first", "/steps/0/repositories/1/url duplicate"];
        assert_eq!(of(Some("/srv/app"), own), both, "its own comes before the definition's");
        assert_eq!(of(Some("nowhere"), json!({})), ["/repository malformed"]);
    }

    #[test]
    fn the_name_of_the_editor_is_taken() {
        assert_eq!(said(json!({"name": "new", "steps": [{"id": "a", "command": "x"}]})), ["/name reserved"]);
    }

    #[test]
    fn a_judge_is_a_task_like_others() {
        let judged = |task: Value| {
            let steps = json!([{"id": "try", "prompt": "x", "inputs": {"goal": {"value": "speed"}}, "candidates": {"count": 3, "judge": {"task": task}}}]);
            said(with_steps(steps))
        };
        assert_eq!(
            judged(json!({"prompt": "${{ goal }} ${{ version }}: ${{ candidates }}", "checks": [{"kind": "git_clean"}]})),
            Vec::<String>::new()
        );
        assert_eq!(judged(json!({"command": "x", "prompt": "y"})), ["/steps/0/candidates/judge/task/command required"]);
        assert_eq!(
            judged(json!({"command": "x ${{ candidates }}", "title": "${{ candidate }}", "timeout_seconds": 0})),
            [
                "/steps/0/candidates/judge/task/timeout_seconds out_of_range",
                "/steps/0/candidates/judge/task/title unknown_input",
                "/steps/0/candidates/judge/task/command placeholder",
            ]
        );
        let steps = json!([{"id": "try", "prompt": "x", "inputs": {"candidates": {"value": 1}}, "candidates": {"count": 2, "judge": {"task": {"prompt": "x"}}}}]);
        assert_eq!(said(with_steps(steps)), ["/steps/0/candidates/judge/task taken"]);
    }

    #[test]
    fn a_cycle_is_named_where_it_is() {
        let steps = json!([
            {"id": "a", "command": "x", "needs": ["c"]},
            {"id": "b", "command": "x", "needs": ["a"]},
            {"id": "c", "command": "x", "inputs": {"from_b": {"from": "b"}}},
            {"id": "free", "command": "x"}
        ]);
        assert_eq!(said(with_steps(steps)), ["/steps/0/needs cycle", "/steps/1/needs cycle", "/steps/2/needs cycle"]);
    }

    #[test]
    fn parameters_have_types_defaults_and_choices() {
        let definition: Definition = serde_json::from_value(json!({
            "name": "x", "steps": [],
            "parameters": {"a": {"type": "number"}, "b": {"default": "x"}, "c": {"choices": ["one", "two"], "default": "one"}}
        }))
        .unwrap();
        let given = |value: Value| match parameters_given(&definition, &serde_json::from_value(value).unwrap()) {
            Ok(values) => Ok(serde_json::to_value(values).unwrap()),
            Err(invalid) => Err(invalid.errors.into_iter().map(|error| format!("{} {}", error.pointer, error.code)).collect::<Vec<_>>()),
        };
        assert_eq!(given(json!({"a": 1})), Ok(json!({"a": 1, "b": "x", "c": "one"})));
        assert_eq!(
            given(json!({"b": 2, "c": "three", "d": 1})).unwrap_err(),
            ["/parameters/d unknown", "/parameters/a required", "/parameters/b wrong_type", "/parameters/c not_a_choice"]
        );
    }
}
