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
mod tests {
    use domain::{Backend, CheckSpec};

    use super::*;

    fn filled() -> TaskForm {
        TaskForm {
            title: " Tidy up ".into(),
            command: "make tidy\r\nmake test".into(),
            repository: "/srv/app".into(),
            ..TaskForm::default()
        }
    }

    fn row(kind: &str, target: &str) -> CheckRow {
        CheckRow { kind: kind.into(), target: target.into(), required: "yes".into(), ..CheckRow::default() }
    }

    fn wrong(form: &TaskForm) -> Vec<(String, String)> {
        match form.to_new_task() {
            Ok(_) => vec![],
            Err(problem) => problem.errors.into_iter().map(|error| (error.pointer, error.message)).collect(),
        }
    }

    #[test]
    fn what_is_typed_becomes_a_task() {
        let form = TaskForm {
            base_ref: " main ".into(),
            repositories: "/srv/api\r\n\n web=https://example.org/site.git#v2 ".into(),
            also_fetched: "submodules lfs".into(),
            files: "src/a.rs\n\n  src/b.rs  \n".into(),
            success_criteria: "It builds\nIt is quick".into(),
            checks: vec![row("", ""), row("test_passes", " auto "), CheckRow { required: String::new(), ..row("git_clean", "") }],
            priority: "high".into(),
            depends_on: "0190a2b4-7d34-7c11-8a52-0123456789ab, 0190a2b4-7d34-7c11-8a52-0123456789ac".into(),
            inputs: "version=1.2.x\ncount=3".into(),
            timeout: "90s".into(),
            max_attempts: "2".into(),
            retry: "linear".into(),
            retry_base: "10s".into(),
            retry_cap: "5m".into(),
            retry_by_class: "provider_limit=linear,5m,1h\n\ninfrastructure=none".into(),
            capabilities: "gpu docker".into(),
            tier: "complex".into(),
            estimate: "10m".into(),
            land: "pull_request".into(),
            run_at: "2026-12-01T08:00".into(),
            complete_by: "2026-12-01T09:00".into(),
            queue_time: "30m".into(),
            share: "staging=3".into(),
            tags: "nightly, team/web".into(),
            correlation_id: " OPS-1 ".into(),
            ..filled()
        };
        let new = form.to_new_task().unwrap();
        assert_eq!(new.title, "Tidy up");
        assert_eq!(new.command.as_deref(), Some("make tidy\nmake test"));
        assert_eq!((new.prompt, new.base_ref), (None, Some("main".into())));
        assert_eq!(new.repositories.iter().map(NewRepository::folder).collect::<Vec<_>>(), ["api", "web"]);
        assert_eq!(
            (new.repositories[1].url.as_str(), new.repositories[1].base_ref.as_deref()),
            ("https://example.org/site.git", Some("v2"))
        );
        assert_eq!((new.submodules, new.lfs), (true, true));
        assert_eq!(new.files, ["src/a.rs", "src/b.rs"]);
        assert_eq!(new.success_criteria.len(), 2);
        assert_eq!(new.checks[0], CheckSpec::new(CheckKind::TestPasses, Some("auto".into())));
        assert_eq!(new.checks[1], CheckSpec { required: false, ..CheckSpec::new(CheckKind::GitClean, None) });
        assert_eq!((new.priority, new.timeout_seconds, new.max_attempts, new.depends_on.len()), (Priority::High, 90, 2, 2));
        assert_eq!((&new.inputs["version"], &new.inputs["count"]), (&"1.2.x".into(), &3.into()));
        assert_eq!((new.retry.strategy, new.retry.base_seconds, new.retry.cap_seconds), (RetryStrategy::Linear, 10, 300));
        let limit = new.retry.by_class.provider_limit.unwrap();
        assert_eq!((limit.base_seconds, limit.cap_seconds), (Some(300), Some(3600)));
        assert_eq!(new.retry.by_class.infrastructure.unwrap().strategy, Some(RetryStrategy::None));
        assert_eq!((new.capabilities.join("+").as_str(), new.tier, new.estimate_seconds), ("gpu+docker", Some(Tier::Complex), Some(600)));
        assert_eq!(new.land, Land::PullRequest);
        assert_eq!(new.run_at.unwrap().to_rfc3339(), "2026-12-01T08:00:00+00:00");
        assert_eq!(new.complete_by.unwrap().to_rfc3339(), "2026-12-01T09:00:00+00:00");
        assert_eq!((new.queue_seconds, new.concurrency.as_ref().map(Concurrency::text).as_deref()), (Some(1800), Some("staging=3")));
        assert_eq!((new.tags, new.correlation_id.as_deref()), (vec!["nightly".to_owned(), "team/web".to_owned()], Some("OPS-1")));
    }

    #[test]
    fn only_the_chosen_kind_of_work_counts() {
        let form = TaskForm { work: "prompt".into(), prompt: "Tidy up.".into(), ..filled() };
        let new = form.to_new_task().unwrap();
        assert_eq!((new.command, new.prompt.as_deref()), (None, Some("Tidy up.")));
        assert_eq!(wrong(&TaskForm { command: "  ".into(), ..filled() })[0].0, "/command");
        assert_eq!(wrong(&TaskForm { also_fetched: "everything".into(), ..filled() })[0].0, "/also_fetched");
        let fetched = |word: &str| TaskForm { also_fetched: word.into(), ..filled() }.to_new_task().map(|new| (new.submodules, new.lfs));
        assert_eq!(["", "submodules", "lfs"].map(|word| fetched(word).unwrap()), [(false, false), (true, false), (false, true)]);
        assert_eq!(wrong(&TaskForm { work: "prompt".into(), ..filled() })[0].0, "/prompt");
        let beside = wrong(&TaskForm { repositories: "/srv/api\n\n/srv/app\n-x=/lib/api\n".into(), ..filled() });
        let expected = [
            ("/repositories".to_owned(), "line 3: the repository is named twice; a task has one worktree of each repository".to_owned()),
            ("/repositories".to_owned(), "line 4: the repository must not start with a dash".to_owned()),
        ];
        assert_eq!(beside, expected);
    }

    #[test]
    fn a_prompt_says_who_is_given_it() {
        let form = TaskForm {
            work: "prompt".into(),
            prompt: "Tidy up.".into(),
            agent: "claude-code".into(),
            model: " claude-sonnet-4-5 ".into(),
            max_turns: "30".into(),
            ask: "commands".into(),
            answer_minutes: " 5 ".into(),
            verification_retries: "0".into(),
            max_cost: "$2.5".into(),
            ..filled()
        };
        let agent = form.to_new_task().unwrap().agent;
        assert_eq!((agent.backend, agent.model.as_deref()), (Some(Backend::ClaudeCode), Some("claude-sonnet-4-5")));
        assert_eq!((agent.max_turns, agent.max_verification_retries, agent.max_cost_cents), (Some(30), Some(0), Some(250)));
        assert_eq!((agent.ask, agent.answer_minutes), (Some(Ask::Commands), Some(5)));
        let own = TaskForm { agent: "acp:goose".into(), max_turns: String::new(), max_cost: String::new(), ..form.clone() };
        assert_eq!(own.to_new_task().unwrap().needed_capabilities(), ["acp:goose"], "no other runner is given it");
        assert!(TaskForm { work: "prompt".into(), prompt: "x".into(), ..filled() }.to_new_task().unwrap().agent.is_usual());
        assert_eq!(wrong(&TaskForm { work: "command".into(), ..form.clone() })[0].0, "/agent");
        assert_eq!(wrong(&TaskForm { ask: String::new(), ..form.clone() })[0].0, "/agent/answer_minutes", "it asks nobody");
        let dear = wrong(&TaskForm { max_cost: "10000.01".into(), max_turns: "0".into(), answer_minutes: "1441".into(), ..form });
        assert_eq!(dear[0], ("/agent/max_turns".to_owned(), "must be 1 to 10000".to_owned()));
        assert_eq!(dear[1], ("/agent/max_cost_cents".to_owned(), "must be $0.01 to $10000.00".to_owned()));
        assert_eq!(dear[2], ("/agent/answer_minutes".to_owned(), "must be 1 to 1440".to_owned()));
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once_and_at_its_field() {
        let form = TaskForm {
            title: String::new(),
            repository: "here".into(),
            files: format!("ok\n\n{}", "x".repeat(1001)),
            checks: vec![row("", ""), row("file_exists", "../out"), row("", "cargo test")],
            priority: "asap".into(),
            depends_on: "nonsense".into(),
            timeout: "soon".into(),
            max_attempts: "many".into(),
            retry: "hopefully".into(),
            retry_base: "never".into(),
            retry_by_class: "sometimes".into(),
            capabilities: "Gpu".into(),
            tier: "odd".into(),
            estimate: "long".into(),
            agent: "nobody".into(),
            model: "a model".into(),
            max_turns: "few".into(),
            ask: "for money".into(),
            answer_minutes: "soon".into(),
            verification_retries: "some".into(),
            max_cost: "much".into(),
            run_at: "tomorrow".into(),
            ..filled()
        };
        let pointers: Vec<String> = wrong(&form).into_iter().map(|(pointer, _)| pointer).collect();
        assert_eq!(
            pointers,
            [
                "/priority",
                "/timeout_seconds",
                "/max_attempts",
                "/retry/strategy",
                "/retry/base_seconds",
                "/retry/by_class",
                "/run_at",
                "/tier",
                "/estimate_seconds",
                "/agent",
                "/agent/max_turns",
                "/agent/ask",
                "/agent/answer_minutes",
                "/agent/max_verification_retries",
                "/agent/max_cost_cents",
                "/depends_on",
                "/checks/2/kind",
                "/title",
                "/agent/model",
                "/repository",
                "/files",
                "/checks/1/target",
                "/capabilities",
            ]
        );
        let problem = form.to_new_task().unwrap_err();
        assert!(messages(Some(&problem), "/files")[0].starts_with("Line 3 is 1001 characters long"));
        assert_eq!(messages(Some(&problem), "/nothing"), Vec::<String>::new());
    }

    #[test]
    fn without_scripts_what_was_typed_comes_back() {
        let form = TaskForm { title: "a & b <c>".into(), ..filled() };
        let problem = Problem::invalid(Invalid::field("/repository", "x", "is wrong").errors, "x");
        let path = form.back_path(&problem).unwrap();
        assert!(path.starts_with("/tasks/new?draft=") && path.is_ascii() && path.contains("&__path=%2F_fn%2Fcreate_task&__err="), "{path}");
        let long = TaskForm { command: "x".repeat(8000), ..form };
        assert_eq!(long.back_path(&problem), None);
    }

    #[test]
    fn what_the_engine_says_leads_to_the_row_it_was_typed_in() {
        let form = TaskForm { checks: vec![row("", ""), row("git_clean", ""), row("", ""), row("test_passes", "x")], ..filled() };
        let invalid = Invalid::field("/checks/1/target", "x", "is wrong");
        let located = form.locate(Problem::invalid(invalid.errors, "x"));
        assert_eq!(located.errors[0].pointer, "/checks/3/target");
        let invalid = Invalid::field("/depends_on/0", "not_found", "does not exist");
        assert_eq!(form.locate(Problem::invalid(invalid.errors, "x")).errors[0].pointer, "/depends_on");
    }
}
