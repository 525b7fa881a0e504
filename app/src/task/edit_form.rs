//! The form that changes a task, as it travels: what was typed, what stood there before, and the version that was looked at. Pure.
//!
//! Only what was typed differently is asked for. When somebody else was faster, fields that were not touched take what they are now, and
//! what was typed stays, to be looked at once more.

use chrono::SecondsFormat;
use domain::{
    FieldError, Invalid, Priority, TaskId, TaskView, Timestamp,
    task::{RetryPolicy, RetryStrategy, TaskChange},
};
use serde::{Deserialize, Serialize};
use server_fn::ServerFn;

use super::form::{parse_moment, read_retry_classes};
use crate::{
    draft::back_path,
    page_json::read,
    problem::Problem,
    text::{duration, parse_duration},
};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EditForm {
    pub id: String,
    pub version: String,
    /// What the fields held before anything was typed, as JSON.
    pub before: String,
    pub terms: Terms,
}

/// What may still be changed of a task, as texts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    pub title: String,
    pub priority: String,
    /// Separated by spaces or commas.
    pub tags: String,
    /// As an `<input type=datetime-local>` sends it, meant as UTC.
    pub complete_by: String,
    pub queue_time: String,
    pub timeout: String,
    pub max_attempts: String,
    pub retry: String,
    pub retry_base: String,
    pub retry_cap: String,
    /// One class of failure per line, as in the form of a new task.
    pub retry_by_class: String,
}

impl Terms {
    fn of(task: &TaskView) -> Self {
        Self {
            title: task.summary.title.clone(),
            priority: task.summary.priority.name().into(),
            tags: task.summary.tags.join(" "),
            complete_by: task.complete_by.map(moment_text).unwrap_or_default(),
            queue_time: task.queue_seconds.map(|seconds| duration(seconds.unsigned_abs())).unwrap_or_default(),
            timeout: duration(task.timeout_seconds.unsigned_abs()),
            max_attempts: task.summary.max_attempts.to_string(),
            retry: task.retry.strategy.name().into(),
            retry_base: duration(task.retry.base_seconds),
            retry_cap: duration(task.retry.cap_seconds),
            retry_by_class: task.retry.by_class.write(duration).join("\n"),
        }
    }

    /// What was typed, and where nothing was, what is there now.
    fn onto(self, before: &Self, now: Self) -> Self {
        // a browser sends the line breaks of a field as two characters each
        let by_class = self.retry_by_class.replace("\r\n", "\n");
        let pick = |typed: String, before: &String, now: String| if typed == *before { now } else { typed };
        Self {
            title: pick(self.title, &before.title, now.title),
            priority: pick(self.priority, &before.priority, now.priority),
            tags: pick(self.tags, &before.tags, now.tags),
            complete_by: pick(self.complete_by, &before.complete_by, now.complete_by),
            queue_time: pick(self.queue_time, &before.queue_time, now.queue_time),
            timeout: pick(self.timeout, &before.timeout, now.timeout),
            max_attempts: pick(self.max_attempts, &before.max_attempts, now.max_attempts),
            retry: pick(self.retry, &before.retry, now.retry),
            retry_base: pick(self.retry_base, &before.retry_base, now.retry_base),
            retry_cap: pick(self.retry_cap, &before.retry_cap, now.retry_cap),
            retry_by_class: pick(by_class, &before.retry_by_class, now.retry_by_class),
        }
    }
}

/// To the second, which is as fine as the field shows it.
fn moment_text(moment: Timestamp) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Secs, true).trim_end_matches('Z').to_owned()
}

impl EditForm {
    pub fn of(task: &TaskView) -> Self {
        let terms = Terms::of(task);
        let before = serde_json::to_string(&terms).unwrap_or_default();
        Self { id: task.summary.id.to_string(), version: task.version.to_string(), before, terms }
    }

    /// The same wishes about the task as it is now.
    pub fn onto(self, task: &TaskView) -> Self {
        let before = self.before();
        let now = Self::of(task);
        Self { terms: self.terms.onto(&before, now.terms.clone()), ..now }
    }

    fn before(&self) -> Terms {
        read(&self.before).unwrap_or_default()
    }

    /// Nothing matches a version that is no number.
    pub fn version(&self) -> i64 {
        self.version.parse().unwrap_or(-1)
    }

    /// The address of a form that holds this one and why it was refused, for browsers without scripts.
    pub fn back_path(&self, problem: &Problem) -> Option<String> {
        back_path(&format!("/tasks/{}/edit", self.id.parse::<TaskId>().ok()?), self, super::EditTask::PATH, problem)
    }

    /// What it asks for, or what of it cannot be read.
    pub fn to_change(&self) -> Result<(TaskId, TaskChange), Problem> {
        let id = self.id.parse().map_err(|_| Problem::not_found("There is no task of that id."))?;
        let (mut errors, before, typed) = (vec![], self.before(), &self.terms);
        let mut note = |pointer: &str, code: &str, message: &str| {
            errors.push(FieldError { pointer: pointer.into(), code: code.into(), message: message.into() });
        };
        let mut change = TaskChange::default();
        if typed.title != before.title {
            change.title = Some(typed.title.trim().to_owned());
        }
        if typed.priority != before.priority {
            change.priority = Priority::ALL.into_iter().find(|priority| priority.name() == typed.priority);
            if change.priority.is_none() {
                note("/priority", "unknown", "is not a priority");
            }
        }
        if typed.tags != before.tags {
            change.tags = Some(typed.tags.split([' ', ',']).filter(|tag| !tag.is_empty()).map(str::to_owned).collect());
        }
        if typed.complete_by != before.complete_by {
            match parse_moment(typed.complete_by.trim()) {
                Ok(moment) => change.complete_by = Some(moment),
                Err(message) => note("/complete_by", "malformed", message),
            }
        }
        if typed.queue_time != before.queue_time {
            match typed.queue_time.trim() {
                "" => change.queue_seconds = Some(None),
                text => match parse_duration(text) {
                    Ok(seconds) => change.queue_seconds = Some(Some(seconds)),
                    Err(message) => note("/queue_seconds", "malformed", message),
                },
            }
        }
        if typed.timeout != before.timeout {
            match parse_duration(&typed.timeout) {
                Ok(seconds) => change.timeout_seconds = Some(seconds),
                Err(message) => note("/timeout_seconds", "malformed", message),
            }
        }
        if typed.max_attempts != before.max_attempts {
            match typed.max_attempts.trim().parse() {
                Ok(attempts) => change.max_attempts = Some(attempts),
                Err(_) => note("/max_attempts", "malformed", "must be a number"),
            }
        }
        let waits = |terms: &Terms| [&terms.retry, &terms.retry_base, &terms.retry_cap, &terms.retry_by_class].map(String::clone);
        if waits(typed) != waits(&before) {
            let strategy = RetryStrategy::parse(&typed.retry);
            if strategy.is_none() {
                note("/retry/strategy", "unknown", "is no way to wait");
            }
            let by_class = read_retry_classes(&typed.retry_by_class).map_err(|message| note("/retry/by_class", "malformed", &message)).ok();
            let mut seconds = |pointer: &str, text: &str| parse_duration(text).map_err(|message| note(pointer, "malformed", message)).ok();
            let base = seconds("/retry/base_seconds", &typed.retry_base);
            let cap = seconds("/retry/cap_seconds", &typed.retry_cap);
            if let (Some(strategy), Some(base_seconds), Some(cap_seconds), Some(by_class)) = (strategy, base, cap, by_class) {
                change.retry = Some(RetryPolicy { strategy, base_seconds, cap_seconds, by_class });
            }
        }
        if errors.is_empty() {
            return Ok((id, change));
        }
        let detail = Invalid { errors: errors.clone() }.to_string();
        Err(Problem::invalid(errors, detail))
    }
}

/// What the engine said about the change, said about the form: there is one field for all tags, and one for all classes of failure.
pub fn locate(problem: Problem) -> Problem {
    let errors = problem.errors.into_iter().map(|error| {
        let field = ["/tags", "/retry/by_class"].into_iter().find(|field| error.pointer.starts_with(&format!("{field}/")));
        FieldError { pointer: field.map_or(error.pointer, str::to_owned), ..error }
    });
    Problem { errors: errors.collect(), ..problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> EditForm {
        let terms = Terms {
            title: "Tidy up".into(),
            priority: "normal".into(),
            tags: "a b".into(),
            complete_by: "2026-12-01T08:00:30".into(),
            queue_time: String::new(),
            timeout: "1h".into(),
            max_attempts: "3".into(),
            retry: "exponential".into(),
            retry_base: "1s".into(),
            retry_cap: "1m".into(),
            retry_by_class: "provider_limit=linear,5m,1h\ninfrastructure=none".into(),
        };
        let before = serde_json::to_string(&terms).unwrap();
        EditForm { id: "0190a2b4-7d34-7c11-8a52-0123456789ab".into(), version: "3".into(), before, terms }
    }

    fn typed(terms: Terms) -> EditForm {
        EditForm { terms, ..opened() }
    }

    fn change(form: &EditForm) -> TaskChange {
        form.to_change().unwrap().1
    }

    #[test]
    fn only_what_was_typed_differently_is_asked_for() {
        assert_eq!(change(&opened()), TaskChange::default());
        let form = typed(Terms { tags: "a, c".into(), complete_by: String::new(), queue_time: "30m".into(), ..opened().terms });
        let expected = TaskChange {
            tags: Some(vec!["a".into(), "c".into()]),
            complete_by: Some(None),
            queue_seconds: Some(Some(1800)),
            ..TaskChange::default()
        };
        assert_eq!(change(&form), expected);
        // what is said of single classes is kept when another wait changes
        let by_class = read_retry_classes(&opened().terms.retry_by_class).unwrap();
        let retry = RetryPolicy { strategy: RetryStrategy::Exponential, base_seconds: 5, cap_seconds: 60, by_class };
        assert_eq!(change(&typed(Terms { retry_base: "5s".into(), ..opened().terms })).retry, Some(retry));
    }

    #[test]
    fn what_cannot_be_read_is_said_at_its_field() {
        let bad = Terms {
            priority: "soon".into(),
            complete_by: "tomorrow".into(),
            queue_time: "long".into(),
            timeout: "short".into(),
            max_attempts: "many".into(),
            retry: "hope".into(),
            retry_cap: "never".into(),
            retry_by_class: "sometimes".into(),
            ..opened().terms
        };
        let problem = typed(bad).to_change().unwrap_err();
        let pointers: Vec<_> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
        let expected = [
            "/priority",
            "/complete_by",
            "/queue_seconds",
            "/timeout_seconds",
            "/max_attempts",
            "/retry/strategy",
            "/retry/by_class",
            "/retry/cap_seconds",
        ];
        assert_eq!(pointers, expected);
        assert!(EditForm { id: "x".into(), ..opened() }.to_change().is_err());
    }

    #[test]
    fn what_was_typed_stays_and_the_rest_is_as_it_is_now() {
        let before = opened().terms;
        let typed = Terms { title: "Mine".into(), ..before.clone() };
        let now = Terms { title: "Theirs".into(), priority: "urgent".into(), ..before.clone() };
        let merged = typed.onto(&before, now);
        assert_eq!((merged.title.as_str(), merged.priority.as_str()), ("Mine", "urgent"));
    }

    #[test]
    fn all_that_is_wrong_with_tags_is_said_at_their_field() {
        let problem = Problem::invalid(Invalid::field("/tags/1", "x", "is wrong").errors, "x");
        assert_eq!(locate(problem).errors[0].pointer, "/tags");
    }

    #[test]
    fn a_form_goes_back_to_its_page_with_what_was_typed() {
        let path = opened().back_path(&Problem::new(412, "changed", "It has changed meanwhile", "x")).unwrap();
        assert!(path.starts_with("/tasks/0190a2b4-7d34-7c11-8a52-0123456789ab/edit?draft="), "{path}");
        assert_eq!(EditForm { id: "//elsewhere".into(), ..opened() }.back_path(&Problem::internal()), None);
    }
}
