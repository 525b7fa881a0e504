//! The new-task form as it travels: texts as they were typed, and what they mean. Pure.
//!
//! What is wrong is said about the fields of the form: a JSON pointer that names the third check of the task leads to the row in
//! which it was typed, and one that names a line of a list leads to the list.

mod agent_terms;
mod check_row;
mod others;

use chrono::NaiveDateTime;
use domain::{
    Ask, CheckKind, FieldError, Invalid, Land, NewTask, Priority, TaskView, Timestamp, Work,
    agent::{self, COST_CENTS_MAX},
    task::{Concurrency, NewRepository, RetryStrategy, TaskRepository, Tier},
};
use serde::{Deserialize, Serialize};
use server_fn::ServerFn;

pub use check_row::CheckRow;
pub use others::read_retry_classes;

use crate::{
    draft::back_path,
    problem::Problem,
    text::{capitalised, duration, parse_duration},
};

/// What may be fetched beside a repository's files: its submodules, and the files of Git LFS.
const ALSO_FETCHED: [(bool, bool); 4] = [(false, false), (true, false), (false, true), (true, true)];

/// As the form says it.
fn fetched_word(submodules: bool, lfs: bool) -> &'static str {
    match (submodules, lfs) {
        (false, false) => "",
        (true, false) => "submodules",
        (false, true) => "lfs",
        (true, true) => "submodules lfs",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskForm {
    pub title: String,
    /// `command` or `prompt`: which of the two is meant.
    pub work: String,
    pub command: String,
    pub prompt: String,
    pub repository: String,
    pub base_ref: String,
    /// Those beside it, one per line as [`NewRepository::parse`] reads it.
    pub repositories: String,
    /// What is fetched beside the files of the repository: `submodules`, `lfs`, both with a space between, or nothing.
    pub also_fetched: String,
    /// One per line, as are the criteria.
    pub files: String,
    pub success_criteria: String,
    pub checks: Vec<CheckRow>,
    pub priority: String,
    /// See [`others::read_dependencies`] and [`others::read_inputs`].
    pub depends_on: String,
    pub inputs: String,
    pub timeout: String,
    pub max_attempts: String,
    /// The strategy's name, and its times as people write them.
    pub retry: String,
    pub retry_base: String,
    pub retry_cap: String,
    /// One class of failure per line, as [`others::read_retry_classes`] reads it.
    pub retry_by_class: String,
    /// As an `<input type=datetime-local>` sends it, meant as UTC; empty for at once.
    pub run_at: String,
    pub complete_by: String,
    /// As people write times; empty for as long as it takes.
    pub queue_time: String,
    /// `staging` or `staging=3`
    pub share: String,
    /// Separated by spaces or commas.
    pub tags: String,
    /// As tags are.
    pub capabilities: String,
    /// The tier's name; empty for as it reads.
    pub tier: String,
    /// As people write times; empty where nobody knows.
    pub estimate: String,
    /// What becomes of its result, by name.
    pub land: String,
    /// The agent's name; empty for whatever the runner has.
    pub agent: String,
    pub model: String,
    pub max_turns: String,
    /// What it asks people for, and how many minutes it waits for them; empty for as usual.
    pub ask: String,
    pub answer_minutes: String,
    /// How often it goes on when checks do not pass; empty for as usual.
    pub verification_retries: String,
    /// In dollars, as people write them.
    pub max_cost: String,
    pub correlation_id: String,
}

impl Default for TaskForm {
    fn default() -> Self {
        let usual = NewTask::command("", "", "");
        Self {
            title: String::new(),
            work: "command".into(),
            command: String::new(),
            prompt: String::new(),
            repository: String::new(),
            base_ref: String::new(),
            repositories: String::new(),
            also_fetched: String::new(),
            files: String::new(),
            success_criteria: String::new(),
            checks: vec![],
            priority: usual.priority.name().into(),
            depends_on: String::new(),
            inputs: String::new(),
            timeout: duration(usual.timeout_seconds),
            max_attempts: usual.max_attempts.to_string(),
            retry: usual.retry.strategy.name().into(),
            retry_base: duration(usual.retry.base_seconds),
            retry_cap: duration(usual.retry.cap_seconds),
            retry_by_class: String::new(),
            run_at: String::new(),
            complete_by: String::new(),
            queue_time: String::new(),
            share: String::new(),
            tags: String::new(),
            capabilities: String::new(),
            tier: String::new(),
            estimate: String::new(),
            land: Land::None.name().into(),
            agent: String::new(),
            model: String::new(),
            max_turns: String::new(),
            ask: String::new(),
            answer_minutes: String::new(),
            verification_retries: String::new(),
            max_cost: String::new(),
            correlation_id: String::new(),
        }
    }
}

impl TaskForm {
    /// A new task like one that is there. A gate or a group is like no task that can be asked for: what it does is left empty.
    pub fn like(task: &TaskView) -> Self {
        let (work, command, prompt) = match &task.work {
            Work::Command(text) => ("command", text.clone(), String::new()),
            Work::Prompt(text) => ("prompt", String::new(), text.clone()),
            Work::Gate(_) | Work::Group(_) => ("command", String::new(), String::new()),
        };
        Self {
            title: task.summary.title.clone(),
            work: work.into(),
            command,
            prompt,
            repository: task.summary.repository.clone(),
            base_ref: task.base_ref.clone().unwrap_or_default(),
            repositories: task.repositories.iter().map(TaskRepository::text).collect::<Vec<_>>().join("\n"),
            also_fetched: fetched_word(task.submodules, task.lfs).into(),
            files: task.files.join("\n"),
            success_criteria: task.success_criteria.join("\n"),
            checks: task.check_specs.iter().map(CheckRow::of).collect(),
            priority: task.summary.priority.name().into(),
            depends_on: others::write_dependencies(&task.depends_on),
            inputs: others::write_inputs(&task.inputs),
            timeout: duration(u32::try_from(task.timeout_seconds).unwrap_or_default()),
            max_attempts: task.summary.max_attempts.to_string(),
            retry: task.retry.strategy.name().into(),
            retry_base: duration(task.retry.base_seconds),
            retry_cap: duration(task.retry.cap_seconds),
            retry_by_class: task.retry.by_class.write(duration).join("\n"),
            // the times of the one it is like are over, or its own
            run_at: String::new(),
            complete_by: String::new(),
            queue_time: task.queue_seconds.map(|seconds| duration(seconds.unsigned_abs())).unwrap_or_default(),
            share: task.concurrency.as_ref().map(Concurrency::text).unwrap_or_default(),
            tags: task.summary.tags.join(" "),
            capabilities: task.capabilities.join(" "),
            tier: task.complexity.given.map(Tier::name).unwrap_or_default().into(),
            estimate: task.estimate_seconds.map(|seconds| duration(seconds.unsigned_abs())).unwrap_or_default(),
            land: task.land.name().into(),
            agent: task.agent.backend.as_ref().map(|agent| agent.name().into_owned()).unwrap_or_default(),
            model: task.agent.model.clone().unwrap_or_default(),
            max_turns: task.agent.max_turns.map(|turns| turns.to_string()).unwrap_or_default(),
            // to ask for nothing is as usual
            ask: task.agent.ask.filter(|ask| *ask != Ask::Nothing).map(Ask::name).unwrap_or_default().into(),
            answer_minutes: task.agent.answer_minutes.map(|minutes| minutes.to_string()).unwrap_or_default(),
            verification_retries: task.agent.max_verification_retries.map(|retries| retries.to_string()).unwrap_or_default(),
            max_cost: task.agent.max_cost_cents.map(|cents| agent::dollars(cents).trim_start_matches('$').to_owned()).unwrap_or_default(),
            correlation_id: task.correlation_id.clone().unwrap_or_default(),
        }
    }

    /// The address of a form that holds this one and what is wrong with it, for browsers without scripts; nothing if it gets too long.
    pub fn back_path(&self, problem: &Problem) -> Option<String> {
        back_path("/tasks/new", self, super::CreateTask::PATH, problem)
    }

    /// What it asks for, or everything that is wrong with it as far as can be told here.
    pub fn to_new_task(&self) -> Result<NewTask, Problem> {
        let mut errors = vec![];
        let new = self.read(&mut errors);
        if let Err(Invalid { errors: more }) = new.validate() {
            let known: Vec<String> = errors.iter().map(|error: &FieldError| error.pointer.clone()).collect();
            errors.extend(self.relocated(more).into_iter().filter(|error| !known.contains(&error.pointer)));
        }
        if errors.is_empty() {
            return Ok(new);
        }
        let detail = Invalid { errors: errors.clone() }.to_string();
        Err(Problem::invalid(errors, detail))
    }

    /// What the engine said about the task, said about the form.
    pub fn locate(&self, problem: Problem) -> Problem {
        Problem { errors: self.relocated(problem.errors), ..problem }
    }

    fn read(&self, errors: &mut Vec<FieldError>) -> NewTask {
        let mut note = |pointer: &str, code: &str, message: &str| {
            errors.push(FieldError { pointer: pointer.into(), code: code.into(), message: message.into() });
        };
        let is_prompt = self.work == "prompt";
        let text = |text: &str| Some(text.replace("\r\n", "\n")).filter(|text| !text.trim().is_empty());
        let mut new = NewTask::command(self.title.trim(), self.repository.trim(), "");
        new.command = text(&self.command).filter(|_| !is_prompt);
        new.prompt = text(&self.prompt).filter(|_| is_prompt);
        if is_prompt && new.prompt.is_none() {
            new.prompt = Some(String::new());
        }
        new.base_ref = Some(self.base_ref.trim().to_owned()).filter(|name| !name.is_empty());
        new.repositories = lines(&self.repositories).map(|(_, line)| NewRepository::parse(line)).collect();
        match ALSO_FETCHED.into_iter().find(|one| fetched_word(one.0, one.1) == self.also_fetched) {
            Some((submodules, lfs)) => (new.submodules, new.lfs) = (submodules, lfs),
            None => note("/also_fetched", "unknown", "is nothing that is fetched"),
        }
        new.files = lines(&self.files).map(|(_, line)| line.to_owned()).collect();
        new.success_criteria = lines(&self.success_criteria).map(|(_, line)| line.to_owned()).collect();
        match Priority::ALL.into_iter().find(|priority| priority.name() == self.priority) {
            Some(priority) => new.priority = priority,
            None => note("/priority", "unknown", "is not a priority"),
        }
        match parse_duration(&self.timeout) {
            Ok(seconds) => new.timeout_seconds = seconds,
            Err(message) => note("/timeout_seconds", "malformed", message),
        }
        match self.max_attempts.trim().parse() {
            Ok(attempts) => new.max_attempts = attempts,
            Err(_) => note("/max_attempts", "malformed", "must be a number"),
        }
        match RetryStrategy::parse(&self.retry) {
            Some(strategy) => new.retry.strategy = strategy,
            None => note("/retry/strategy", "unknown", "is no way to wait"),
        }
        match parse_duration(&self.retry_base) {
            Ok(seconds) => new.retry.base_seconds = seconds,
            Err(message) => note("/retry/base_seconds", "malformed", message),
        }
        match parse_duration(&self.retry_cap) {
            Ok(seconds) => new.retry.cap_seconds = seconds,
            Err(message) => note("/retry/cap_seconds", "malformed", message),
        }
        match others::read_retry_classes(&self.retry_by_class) {
            Ok(by_class) => new.retry.by_class = by_class,
            Err(message) => note("/retry/by_class", "malformed", &message),
        }
        match parse_moment(self.run_at.trim()) {
            Ok(moment) => new.run_at = moment,
            Err(message) => note("/run_at", "malformed", message),
        }
        match parse_moment(self.complete_by.trim()) {
            Ok(moment) => new.complete_by = moment,
            Err(message) => note("/complete_by", "malformed", message),
        }
        match self.queue_time.trim() {
            "" => {}
            text => match parse_duration(text) {
                Ok(seconds) => new.queue_seconds = Some(seconds),
                Err(message) => note("/queue_seconds", "malformed", message),
            },
        }
        match self.share.trim() {
            "" => {}
            text => match Concurrency::parse(text) {
                Ok(shared) => new.concurrency = Some(shared),
                Err(message) => note("/concurrency", "malformed", message),
            },
        }
        new.tags = others::words(&self.tags);
        new.capabilities = others::words(&self.capabilities);
        match (self.tier.as_str(), Tier::parse(&self.tier)) {
            ("", _) => {}
            (_, Some(tier)) => new.tier = Some(tier),
            (_, None) => note("/tier", "unknown", "is not a tier"),
        }
        match self.estimate.trim() {
            "" => {}
            text => match parse_duration(text) {
                Ok(seconds) => new.estimate_seconds = Some(seconds),
                Err(message) => note("/estimate_seconds", "malformed", message),
            },
        }
        match Land::parse(&self.land) {
            Some(land) => new.land = land,
            None => note("/land", "unknown", "is nothing that becomes of a result"),
        }
        new.agent = agent_terms::read(self, &mut note);
        new.correlation_id = Some(self.correlation_id.trim().to_owned()).filter(|id| !id.is_empty());
        match others::read_dependencies(&self.depends_on) {
            Ok(dependencies) => new.depends_on = dependencies,
            Err(message) => note("/depends_on", "malformed", &message),
        }
        match others::read_inputs(&self.inputs) {
            Ok(inputs) => new.inputs = inputs,
            Err(message) => note("/inputs", "malformed", &message),
        }
        new.checks = self.checks.iter().enumerate().filter_map(|(row, check)| check.read(row, &mut note)).collect();
        new
    }

    fn relocated(&self, errors: Vec<FieldError>) -> Vec<FieldError> {
        errors.into_iter().map(|error| self.relocate(error)).collect()
    }

    fn relocate(&self, error: FieldError) -> FieldError {
        if let Some(name) = error.pointer.strip_prefix("/inputs/") {
            return FieldError { message: format!("“{name}” {}", error.message), pointer: "/inputs".into(), ..error };
        }
        if let Some(class) = error.pointer.strip_prefix("/retry/by_class/") {
            let place = class.replace('/', ", ").replace('_', " ");
            return FieldError { message: format!("{place} {}", error.message), pointer: "/retry/by_class".into(), ..error };
        }
        // typed in dollars
        if error.pointer == "/agent/max_cost_cents" && error.code == "out_of_range" {
            return FieldError { message: format!("must be {} to {}", agent::dollars(1), agent::dollars(COST_CENTS_MAX)), ..error };
        }
        let mut parts = error.pointer.split('/').skip(1);
        let (Some(field), Some(Ok(index))) = (parts.next(), parts.next().map(str::parse::<usize>)) else { return error };
        let rest = parts.next().unwrap_or("target");
        let list = match field {
            "checks" => {
                let row = self.checks.iter().enumerate().filter(|(_, row)| CheckKind::parse(&row.kind).is_some()).nth(index);
                let row = row.map_or(index, |(row, _)| row);
                let field = parts.next().map_or_else(|| rest.to_owned(), |part| format!("{rest}/{part}"));
                return check_row::relocate(error, row, &field);
            }
            "repositories" => {
                let line = lines(&self.repositories).nth(index).map_or(index, |(line, _)| line) + 1;
                let what = match rest {
                    "base_ref" => "its base",
                    "folder" => "its folder",
                    _ => "the repository",
                };
                return FieldError { pointer: "/repositories".into(), message: format!("line {line}: {what} {}", error.message), ..error };
            }
            "files" => &self.files,
            "success_criteria" => &self.success_criteria,
            _ => return FieldError { pointer: format!("/{field}"), ..error },
        };
        let line = lines(list).nth(index).map_or(index, |(line, _)| line);
        FieldError { pointer: format!("/{field}"), message: format!("line {} {}", line + 1, error.message), ..error }
    }
}

/// `2026-12-01T08:00`, with or without seconds, in UTC.
pub fn parse_moment(text: &str) -> Result<Option<Timestamp>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    let parsed = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"]
        .into_iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    parsed.map(|moment| Some(moment.and_utc())).ok_or("must be a date and a time, such as 2026-12-01T08:00")
}

/// Lines that say something, with their place in the text.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty())
}

/// What is wrong with one field, as sentences.
pub fn messages(problem: Option<&Problem>, pointer: &str) -> Vec<String> {
    let errors = problem.map(|problem| problem.errors.as_slice()).unwrap_or_default();
    errors.iter().filter(|error| error.pointer == pointer).map(|error| format!("{}.", capitalised(&error.message))).collect()
}

#[cfg(test)]
mod tests;
