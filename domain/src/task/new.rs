use std::borrow::Cow;

use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Serialize};

use super::{
    CAPABILITIES_MAX, CONDITION_MAX, Concurrency, Dependency, INPUTS_MAX, Inputs, NewRepository, On, Priority, RetryPolicy, Tier, Work,
    check_capabilities, is_input_name, repositories,
};
use crate::{
    AgentTerms, Backend, CheckSpec, Land,
    check::MAX_CHECKS,
    error::{Errors, Invalid},
    judgement::{JUDGES, JUDGES_MAX},
    repository::{self, LFS, SEVERAL, SUBMODULES},
};

/// What a person, a script or a service asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewTask {
    pub title: String,
    /// A shell command. Give this or `prompt`.
    #[serde(default)]
    pub command: Option<String>,
    /// Words for an agent. Give this or `command`.
    #[serde(default)]
    pub prompt: Option<String>,
    /// Which agent is given the prompt, and how far it may go.
    #[serde(default)]
    pub agent: AgentTerms,
    /// An absolute path on the runner's machine, or a URL that git understands.
    pub repository: String,
    /// A branch, tag or commit; the repository's default branch when absent.
    #[serde(default)]
    pub base_ref: Option<String>,
    /// Repositories that it works on beside that one, at most 8. Each has a worktree, `../more/FOLDER` from that of the first, and a result.
    #[serde(default)]
    pub repositories: Vec<NewRepository>,
    /// Its submodules are fetched as well, into the worktree.
    #[serde(default)]
    pub submodules: bool,
    /// The files that Git LFS keeps for it are fetched as well; without, the work finds pointers to them.
    #[serde(default)]
    pub lfs: bool,
    /// Files the work is about, handed to it as a hint.
    #[serde(default)]
    pub files: Vec<String>,
    /// What counts as done, in words.
    #[serde(default)]
    pub success_criteria: Vec<String>,
    /// What counts as done, so that Muster can prove it.
    #[serde(default)]
    pub checks: Vec<CheckSpec>,
    #[serde(default)]
    pub priority: Priority,
    /// Tasks to wait for: an id stands for one that has to succeed.
    #[serde(default)]
    pub depends_on: Vec<Dependency>,
    /// Values by name. A command finds them as `MUSTER_INPUT_NAME`, a prompt holds them as `${{ name }}`.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub inputs: Inputs,
    /// A CEL expression over its `inputs`, asked when all it waits for is there; when it is false the task is skipped.
    #[serde(default)]
    pub when: Option<String>,
    /// Seconds between the end of what it waits for and its own start.
    #[serde(default)]
    pub delay_seconds: Option<u32>,
    /// Seconds that one attempt may work.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u32,
    #[serde(default = "default_attempts")]
    pub max_attempts: u32,
    /// When an attempt that failed is followed by the next.
    #[serde(default)]
    pub retry: RetryPolicy,
    /// Not before this time, and not before what it depends on.
    #[serde(default)]
    pub run_at: Option<DateTime<Utc>>,
    /// It fails when it is not complete by then; what works on it is stopped.
    #[serde(default)]
    pub complete_by: Option<DateTime<Utc>>,
    /// Seconds in the queue after which it is set aside when no runner has taken it.
    #[serde(default)]
    pub queue_seconds: Option<u32>,
    /// What it shares with other tasks, and how many may use it at once.
    #[serde(default)]
    pub concurrency: Option<Concurrency>,
    /// Words to find it by: lower case letters, digits and `. _ - / :`.
    #[serde(default)]
    pub tags: Vec<String>,
    /// What its runner must have, such as `gpu` or `docker`. No other is given it.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// How hard it is. What can be told from how it is written is kept beside it, and taken when this is absent.
    #[serde(default)]
    pub tier: Option<Tier>,
    /// Seconds that it is expected to take, shown beside what it took.
    #[serde(default)]
    pub estimate_seconds: Option<u32>,
    /// What becomes of its result once it has passed its checks.
    #[serde(default)]
    pub land: Land,
    /// What it belongs to elsewhere: a ticket, a build. Handed to the work as `MUSTER_CORRELATION_ID`.
    #[serde(default)]
    pub correlation_id: Option<String>,
}

/// Seconds that an attempt may work unless the task says otherwise: an hour.
pub const TIMEOUT_SECONDS: u32 = 3600;
/// A day.
pub const TIMEOUT_SECONDS_MAX: u32 = 86_400;
pub const ATTEMPTS: u32 = 3;
pub const ATTEMPTS_MAX: u32 = 10;
/// Thirty days.
pub const QUEUE_SECONDS_MAX: u32 = 2_592_000;
/// Thirty days.
pub const ESTIMATE_SECONDS_MAX: u32 = 2_592_000;
pub const TAGS_MAX: usize = 20;
/// The most tasks that one task may wait for.
pub const DEPENDENCIES_MAX: usize = 100;

fn default_timeout() -> u32 {
    TIMEOUT_SECONDS
}

fn default_attempts() -> u32 {
    ATTEMPTS
}

impl NewTask {
    /// A command on a repository, with everything else as usual.
    pub fn command(title: impl Into<String>, repository: impl Into<String>, command: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            command: Some(command.into()),
            prompt: None,
            agent: AgentTerms::default(),
            repository: repository.into(),
            base_ref: None,
            repositories: vec![],
            submodules: false,
            lfs: false,
            files: vec![],
            success_criteria: vec![],
            checks: vec![],
            priority: Priority::default(),
            depends_on: vec![],
            inputs: Inputs::new(),
            when: None,
            delay_seconds: None,
            timeout_seconds: TIMEOUT_SECONDS,
            max_attempts: ATTEMPTS,
            retry: RetryPolicy::default(),
            run_at: None,
            complete_by: None,
            queue_seconds: None,
            concurrency: None,
            tags: vec![],
            capabilities: vec![],
            tier: None,
            estimate_seconds: None,
            land: Land::None,
            correlation_id: None,
        }
    }

    /// Everything that is wrong with it, as far as can be told without looking anything up.
    pub fn validate(&self) -> Result<Work, Invalid> {
        let mut errors = Errors::default();
        errors.required_text("/title", &self.title, 200);
        if self.title.contains(char::is_control) && !self.title.contains('\0') {
            errors.add("/title", "control", "must be one line without control characters");
        }
        let work = match (&self.command, &self.prompt) {
            (Some(command), None) => Some(("/command", Work::Command(command.clone()))),
            (None, Some(prompt)) => Some(("/prompt", Work::Prompt(prompt.clone()))),
            (None, None) => None,
            (Some(_), Some(_)) => {
                errors.add("/prompt", "unexpected", "give either a command or a prompt, not both");
                None
            }
        };
        match &work {
            Some((pointer, work)) => errors.required_text(*pointer, work.text(), 100_000),
            None if self.command.is_none() => errors.add("/command", "required", "say what to do: a command or a prompt"),
            None => {}
        }
        self.agent.validate(&mut errors);
        if self.command.is_some() && !self.agent.is_usual() {
            errors.add("/agent", "unexpected", "only a prompt is given to an agent");
        }
        self.validate_inputs(&mut errors);
        self.validate_repository(&mut errors);
        each_text(&mut errors, "/files", &self.files, 200, 1000);
        each_text(&mut errors, "/success_criteria", &self.success_criteria, 50, 2000);
        self.validate_checks(&mut errors);
        self.validate_dependencies(&mut errors);
        if self.timeout_seconds == 0 || self.timeout_seconds > TIMEOUT_SECONDS_MAX {
            errors.add("/timeout_seconds", "out_of_range", format!("must be 1 to {TIMEOUT_SECONDS_MAX}"));
        }
        if self.max_attempts == 0 || self.max_attempts > ATTEMPTS_MAX {
            errors.add("/max_attempts", "out_of_range", format!("must be 1 to {ATTEMPTS_MAX}"));
        }
        self.retry.validate(&mut errors);
        self.validate_times(&mut errors);
        self.validate_tags(&mut errors);
        check_capabilities(&mut errors, &self.capabilities, CAPABILITIES_MAX);
        if self.capabilities.len() <= CAPABILITIES_MAX && self.needed_capabilities().len() > CAPABILITIES_MAX {
            errors.add(
                "/capabilities",
                "too_many",
                format!("at most {CAPABILITIES_MAX} are allowed, with agents, judges and what is fetched"),
            );
        }
        if let Some(concurrency) = &self.concurrency {
            concurrency.validate(&mut errors);
        }
        if let Some(correlation_id) = &self.correlation_id {
            errors.required_text("/correlation_id", correlation_id, 100);
            if correlation_id.contains(char::is_control) && !correlation_id.contains('\0') {
                errors.add("/correlation_id", "control", "must be one line without control characters");
            }
        }
        errors.finish()?;
        work.map(|(_, work)| work).ok_or_else(|| Invalid::field("/command", "required", "say what to do: a command or a prompt"))
    }

    /// What its runner must have: what it says, the agents that it names for the work and for its judges or that alone can judge as they are
    /// to, agents that can do what it says where it names none, that it has any judges, and that it fetches what is wanted of the repository,
    /// and others beside it.
    pub fn needed_capabilities(&self) -> Vec<String> {
        let mut needed = self.capabilities.clone();
        let judges = || self.checks.iter().filter(|check| check.kind.is_judge());
        let agents = self.agent.backend.iter().cloned().chain(judges().filter_map(|check| self.judge_of(check)));
        let has_several = !self.repositories.is_empty();
        let fetched = [(self.submodules, SUBMODULES), (self.lfs, LFS), (has_several, SEVERAL)].into_iter().filter(|(wanted, _)| *wanted);
        let of_prompt = if self.prompt.is_some() { self.agent.needed_words() } else { vec![] };
        let words = of_prompt.into_iter().map(Cow::Borrowed).chain(agents.map(|agent| agent.name()));
        let words = words.chain(judges().map(|_| Cow::Borrowed(JUDGES)));
        for word in words.chain(fetched.map(|(_, word)| Cow::Borrowed(word))) {
            if !needed.iter().any(|known| *known == *word) {
                needed.push(word.into_owned());
            }
        }
        needed
    }

    /// The agent that has to be there for this check: the one that it names, else the only one that could be stopped where there is a limit.
    fn judge_of(&self, check: &CheckSpec) -> Option<Backend> {
        let has_limit = check.judge.max_cost_cents.or(self.agent.max_cost_cents).is_some();
        let mut counting = Backend::KNOWN.into_iter().filter(|backend| backend.may_judge() && backend.counts_money());
        let only = counting.next().filter(|_| counting.next().is_none() && has_limit);
        check.judge.backend.clone().or(only)
    }

    fn validate_repository(&self, errors: &mut Errors) {
        errors.required_text("/repository", &self.repository, 2000);
        if !self.repository.trim().is_empty()
            && let Err(reason) = repository::check_location(self.repository.trim())
        {
            errors.add("/repository", "malformed", reason);
        }
        if let Some(base_ref) = &self.base_ref {
            errors.required_text("/base_ref", base_ref, 250);
            if let Err(reason) = repository::check_ref(base_ref) {
                errors.add("/base_ref", "malformed", reason);
            }
        }
        repositories::validate(errors, &self.repository, &self.repositories);
    }

    /// Whether the others can be beside its first repository, for one of which the rest has been looked at before that was known.
    pub fn validate_beside(&self) -> Result<(), Invalid> {
        let mut errors = Errors::default();
        repositories::validate_beside(&mut errors, &self.repository, &self.repositories);
        errors.finish()
    }

    fn validate_times(&self, errors: &mut Errors) {
        for (pointer, time) in [("/run_at", self.run_at), ("/complete_by", self.complete_by)] {
            if time.is_some_and(|time| !(1970..=9999).contains(&time.year())) {
                errors.add(pointer, "out_of_range", "must be a year from 1970 to 9999");
            }
        }
        if self.complete_by.zip(self.run_at).is_some_and(|(end, start)| end <= start) {
            errors.add("/complete_by", "too_early", "must be after the time at which it may start");
        }
        if self.queue_seconds.is_some_and(|seconds| seconds == 0 || seconds > QUEUE_SECONDS_MAX) {
            errors.add("/queue_seconds", "out_of_range", format!("must be 1 to {QUEUE_SECONDS_MAX}"));
        }
        if self.estimate_seconds.is_some_and(|seconds| seconds == 0 || seconds > ESTIMATE_SECONDS_MAX) {
            errors.add("/estimate_seconds", "out_of_range", format!("must be 1 to {ESTIMATE_SECONDS_MAX}"));
        }
    }

    fn validate_tags(&self, errors: &mut Errors) {
        if self.tags.len() > TAGS_MAX {
            errors.add("/tags", "too_many", format!("at most {TAGS_MAX} tags are allowed"));
        }
        for (index, tag) in self.tags.iter().enumerate() {
            let pointer = format!("/tags/{index}");
            if self.tags[..index].contains(tag) {
                errors.add(pointer, "duplicate", "is named twice");
            } else if let Err(reason) = check_tag(tag) {
                errors.add(pointer, "malformed", reason);
            }
        }
    }

    fn validate_checks(&self, errors: &mut Errors) {
        if self.checks.len() > MAX_CHECKS {
            errors.add("/checks", "too_many", format!("at most {MAX_CHECKS} checks are allowed"));
        }
        if self.checks.iter().filter(|check| check.kind.is_judge()).count() > JUDGES_MAX {
            errors.add("/checks", "too_many", format!("at most {JUDGES_MAX} of them may judge"));
        }
        for (index, check) in self.checks.iter().enumerate() {
            check.validate(&format!("/checks/{index}"), errors);
        }
    }

    fn validate_dependencies(&self, errors: &mut Errors) {
        if self.depends_on.len() > DEPENDENCIES_MAX {
            errors.add("/depends_on", "too_many", format!("at most {DEPENDENCIES_MAX} dependencies are allowed"));
        }
        for (index, dependency) in self.depends_on.iter().enumerate() {
            let pointer = format!("/depends_on/{index}");
            if self.depends_on[..index].iter().any(|other| other.task == dependency.task) {
                errors.add(&pointer, "duplicate", "is named twice");
            }
            if let On::Condition(text) = &dependency.on {
                expression(errors, &format!("{pointer}/on/condition"), text);
            }
            for (name, place) in &dependency.feeds {
                let pointer = format!("{pointer}/feeds/{name}");
                if !is_input_name(name) {
                    errors.add(&pointer, "malformed", INPUT_NAME);
                }
                if !place.is_empty() && !place.starts_with('/') {
                    errors.add(pointer, "malformed", "must be a JSON pointer such as /output/version");
                }
            }
        }
    }

    fn validate_inputs(&self, errors: &mut Errors) {
        for name in self.inputs.keys().filter(|name| !is_input_name(name)) {
            errors.add(format!("/inputs/{name}"), "malformed", INPUT_NAME);
        }
        let inputs = serde_json::to_string(&self.inputs).unwrap_or_default();
        if inputs.len() > INPUTS_MAX {
            errors.add("/inputs", "too_long", format!("are {} bytes as JSON; at most {INPUTS_MAX} are allowed", inputs.len()));
        }
        if inputs.contains("\\u0000") {
            errors.add("/inputs", "nul", "must not contain a NUL character");
        }
        if let Some(when) = &self.when {
            expression(errors, "/when", when);
        }
        if self.delay_seconds.is_some_and(|seconds| seconds > QUEUE_SECONDS_MAX) {
            errors.add("/delay_seconds", "out_of_range", format!("must be at most {QUEUE_SECONDS_MAX}"));
        }
    }
}

const INPUT_NAME: &str = "must be lower case letters, digits or _, with a letter in front";

fn expression(errors: &mut Errors, pointer: &str, text: &str) {
    if text.trim().is_empty() {
        errors.add(pointer, "required", "must not be empty");
    } else if text.len() > CONDITION_MAX {
        errors.add(pointer, "too_long", format!("is {} bytes long; at most {CONDITION_MAX} are allowed", text.len()));
    }
}

/// Whether this may be a tag.
pub fn check_tag(tag: &str) -> Result<(), &'static str> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-' | '/' | ':');
    if (1..=50).contains(&tag.len()) && tag.chars().all(fits) {
        return Ok(());
    }
    Err("must be 1 to 50 lower case letters, digits or . _ - / :")
}

fn each_text(errors: &mut Errors, pointer: &str, values: &[String], most: usize, limit: usize) {
    if values.len() > most {
        errors.add(pointer, "too_many", format!("at most {most} are allowed"));
    }
    for (index, value) in values.iter().enumerate() {
        errors.required_text(format!("{pointer}/{index}"), value, limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CheckKind;

    fn pointers(new: &NewTask) -> Vec<String> {
        match new.validate() {
            Ok(_) => vec![],
            Err(invalid) => invalid.errors.into_iter().map(|error| format!("{} {}", error.pointer, error.code)).collect(),
        }
    }

    fn good() -> NewTask {
        NewTask::command("Tidy up", "/srv/app", "make tidy")
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        assert_eq!(pointers(&good()), Vec::<String>::new());
        let id = Dependency::from(crate::TaskId(uuid::Uuid::nil()));
        let bad = NewTask {
            title: "a\0b".into(),
            command: None,
            repository: "here".into(),
            base_ref: Some("-x".into()),
            files: vec![String::new()],
            checks: vec![CheckSpec::new(CheckKind::FileExists, Some("../x".into()))],
            depends_on: vec![id.clone(), id],
            timeout_seconds: 0,
            max_attempts: 11,
            queue_seconds: Some(0),
            tags: vec!["ok".into(), "Not ok".into(), "ok".into()],
            capabilities: vec!["gpu".into(), "Docker".into(), "gpu".into()],
            estimate_seconds: Some(0),
            concurrency: Some(Concurrency { key: " ".into(), limit: 0 }),
            correlation_id: Some("a\nb".into()),
            ..good()
        };
        assert_eq!(
            pointers(&bad),
            [
                "/title nul",
                "/command required",
                "/repository malformed",
                "/base_ref malformed",
                "/files/0 required",
                "/checks/0/target outside",
                "/depends_on/1 duplicate",
                "/timeout_seconds out_of_range",
                "/max_attempts out_of_range",
                "/queue_seconds out_of_range",
                "/estimate_seconds out_of_range",
                "/tags/1 malformed",
                "/tags/2 duplicate",
                "/capabilities/1 malformed",
                "/capabilities/2 duplicate",
                "/concurrency/key required",
                "/concurrency/limit out_of_range",
                "/correlation_id control",
            ]
        );
    }

    #[test]
    fn a_task_needs_at_most_twenty_capabilities() {
        let many = |count: usize| NewTask { capabilities: (0..count).map(|number| format!("c{number}")).collect(), ..good() };
        assert_eq!(pointers(&many(20)), Vec::<String>::new());
        assert_eq!(pointers(&many(21)), ["/capabilities too_many"]);
    }

    #[test]
    fn what_judges_needs_a_runner_that_has_judges() {
        let judge = |kind, backend| CheckSpec { judge: crate::JudgeTerms { backend, ..Default::default() }, ..CheckSpec::new(kind, None) };
        let (review, named) = (judge(CheckKind::Review, None), judge(CheckKind::Review, Some(Backend::ClaudeCode)));
        let needs =
            |checks: &[&CheckSpec]| NewTask { checks: checks.iter().map(|&one| one.clone()).collect(), ..good() }.needed_capabilities();
        assert_eq!(needs(&[&CheckSpec::new(CheckKind::GitClean, None)]), Vec::<String>::new());
        assert_eq!(needs(&[&review, &review]), ["judges"]);
        assert_eq!(needs(&[&named, &review]), ["claude-code", "judges"]);
        let limited = CheckSpec { judge: crate::JudgeTerms { max_cost_cents: Some(5), ..Default::default() }, ..review.clone() };
        assert_eq!(needs(&[&limited]), ["claude-code", "judges"], "nobody else could be stopped");
        let many = |count| NewTask { checks: vec![review.clone(); count], ..good() };
        assert_eq!(pointers(&many(5)), Vec::<String>::new());
        assert_eq!(pointers(&many(6)), ["/checks too_many"]);
        assert!(super::check_tag(JUDGES).is_ok(), "a runner that has them says so");
    }

    #[test]
    fn what_is_fetched_needs_a_runner_that_fetches_it() {
        let needs = |submodules, lfs| NewTask { submodules, lfs, capabilities: vec!["gpu".into()], ..good() }.needed_capabilities();
        assert_eq!(needs(false, false), ["gpu"]);
        assert_eq!(needs(true, true), ["gpu", "submodules", "git-lfs"]);
        let beside = vec![NewRepository { url: "/srv/api".into(), base_ref: None, folder: None }];
        assert_eq!(NewTask { repositories: beside, ..good() }.needed_capabilities(), [SEVERAL]);
        for word in [SUBMODULES, LFS, SEVERAL] {
            assert!(super::check_tag(word).is_ok(), "a runner that has it says so");
        }
        for word in [SUBMODULES, LFS] {
            let said = NewTask { submodules: true, lfs: true, capabilities: vec![word.to_owned()], ..good() };
            assert_eq!(said.needed_capabilities().len(), 2, "each once");
        }
    }

    #[test]
    fn what_a_task_may_cost_is_for_its_judges_as_well() {
        let mut new = NewTask { prompt: Some("do it".into()), command: None, ..good() };
        new.agent.max_cost_cents = Some(100);
        new.checks = vec![CheckSpec::new(CheckKind::Review, None)];
        assert_eq!(pointers(&new), Vec::<String>::new());
        assert_eq!(new.needed_capabilities(), ["counts-money", "claude-code", "judges"]);
    }

    #[test]
    fn a_prompt_that_names_no_agent_needs_a_runner_that_has_one() {
        let prompt = NewTask { prompt: Some("do it".into()), command: None, ..good() };
        assert_eq!(prompt.needed_capabilities(), ["prompts"]);
        assert_eq!(good().needed_capabilities(), Vec::<String>::new(), "a command needs none");
        let terms = AgentTerms { max_turns: Some(3), ask: Some(crate::Ask::Commands), ..AgentTerms::default() };
        let more = NewTask { agent: terms, capabilities: vec!["gpu".into(), "asks".into()], ..prompt };
        assert_eq!(more.needed_capabilities(), ["gpu", "asks", "counts-turns"], "each once");
    }

    #[test]
    fn an_agent_of_a_manifest_does_the_work_and_judges_nothing() {
        let goose = Backend::parse("acp:goose").ok();
        let mut new = NewTask { prompt: Some("do it".into()), command: None, ..good() };
        new.agent.backend.clone_from(&goose);
        new.checks = vec![CheckSpec::new(CheckKind::Review, None)];
        assert_eq!((pointers(&new), new.needed_capabilities()), (vec![], vec!["acp:goose".to_owned(), "judges".to_owned()]));
        (new.agent.backend, new.agent.max_cost_cents, new.checks[0].judge.backend) = (None, Some(100), goose);
        assert_eq!(pointers(&new), ["/checks/0/judge/backend unexpected"], "said once");
    }

    #[test]
    fn a_deadline_is_after_the_start() {
        let at = |hour: u32| chrono::NaiveDate::from_ymd_opt(2026, 1, 1)?.and_hms_opt(hour, 0, 0).map(|time| time.and_utc());
        assert_eq!(pointers(&NewTask { run_at: at(2), complete_by: at(2), ..good() }), ["/complete_by too_early"]);
        assert_eq!(pointers(&NewTask { run_at: at(2), complete_by: at(3), ..good() }), Vec::<String>::new());
    }

    #[test]
    fn a_command_or_a_prompt_but_not_both() {
        assert_eq!(pointers(&NewTask { prompt: Some("do it".into()), ..good() }), ["/prompt unexpected"]);
        assert_eq!(pointers(&NewTask { prompt: Some("do it".into()), command: None, ..good() }), Vec::<String>::new());
        assert_eq!(pointers(&NewTask { command: Some("  ".into()), ..good() }), ["/command required"]);
    }

    #[test]
    fn long_text_is_counted_in_characters() {
        assert_eq!(pointers(&NewTask { title: "é".repeat(200), ..good() }), Vec::<String>::new());
        assert_eq!(pointers(&NewTask { title: "é".repeat(201), ..good() }), ["/title too_long"]);
    }
}
