//! What may still be changed of a task, and when.
//!
//! What names it and what orders it may be changed until it has ended. The time limit of an attempt is handed to the runner with the work,
//! so it stands while one works. What is to be done, where, and what counts as done never change: that would be another task.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use thiserror::Error;

use super::{NewTask, Priority, RetryPolicy, Stop, Task, TaskState};
use crate::{Invalid, InvalidTransition, Timestamp, error::Errors};

/// Fields that are absent stay as they are. `null` takes a deadline or a longest wait away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TaskChange {
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// All of them, instead of those that are there.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<DateTime<Utc>>))]
    pub complete_by: Option<Option<DateTime<Utc>>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u32>))]
    pub queue_seconds: Option<Option<u32>>,
    /// Not while an attempt works.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    /// More than have failed already.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
}

/// Absent is nothing; `null` is a value, where the field knows one.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// One field that was changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FieldChange {
    /// As the API names it.
    pub field: String,
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub from: Value,
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub to: Value,
}

impl FieldChange {
    /// `priority normal → urgent`
    pub fn sentence(&self) -> String {
        format!("{} {} → {}", self.field.replace('_', " "), words(&self.field, &self.from), words(&self.field, &self.to))
    }
}

fn words(field: &str, value: &Value) -> String {
    match value {
        Value::Null => "none".into(),
        Value::String(text) if field == "title" => format!("“{text}”"),
        Value::String(text) => text.clone(),
        Value::Array(values) if values.is_empty() => "none".into(),
        Value::Array(values) => values.iter().map(|value| words(field, value)).collect::<Vec<_>>().join(" "),
        // a retry policy, in the order of its fields and not of their names
        Value::Object(parts) => {
            let waits = ["strategy", "base_seconds", "cap_seconds"].into_iter().filter_map(|part| parts.get(part));
            let waits = waits.filter(|value| !value.is_null()).map(|value| words(field, value));
            let classes = parts.get("by_class").and_then(Value::as_object).into_iter().flatten().filter(|(_, own)| !own.is_null());
            let classes = classes.map(|(class, own)| format!("{class}: {}", words(field, own)));
            waits.chain(classes).collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

/// Why a task is not changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChangeRefused {
    #[error(transparent)]
    Ended(#[from] InvalidTransition),
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

impl TaskChange {
    /// What is wrong with it, whatever the task: the same that a new task is told.
    pub fn validate(&self) -> Result<(), Invalid> {
        let good = NewTask::command("title", "/repository", "command");
        let new = NewTask {
            title: self.title.clone().unwrap_or_else(|| good.title.clone()),
            tags: self.tags.clone().unwrap_or_default(),
            complete_by: self.complete_by.flatten(),
            queue_seconds: self.queue_seconds.flatten(),
            timeout_seconds: self.timeout_seconds.unwrap_or(good.timeout_seconds),
            max_attempts: self.max_attempts.unwrap_or(good.max_attempts),
            retry: self.retry.unwrap_or(good.retry),
            ..good
        };
        new.validate().map(drop)
    }

    fn validate_for(&self, task: &Task, now: Timestamp) -> Result<(), Invalid> {
        let mut errors = Errors::default();
        if !task.work.is_executed() {
            let given = [
                ("/queue_seconds", self.queue_seconds.is_some()),
                ("/timeout_seconds", self.timeout_seconds.is_some()),
                ("/max_attempts", self.max_attempts.is_some()),
                ("/retry", self.retry.is_some()),
            ];
            for (pointer, _) in given.into_iter().filter(|(_, given)| *given) {
                errors.add(pointer, "unexpected", "is for tasks that a runner does");
            }
        }
        let is_worked_on = matches!(task.state, TaskState::Running { .. } | TaskState::Verifying { .. });
        if is_worked_on && self.timeout_seconds.is_some_and(|seconds| i64::from(seconds) != i64::from(task.timeout_seconds)) {
            errors.add("/timeout_seconds", "too_late", "cannot be changed while an attempt works under it; pause the task first");
        }
        if self.max_attempts.is_some_and(|most| i64::from(most) <= i64::from(task.failures)) {
            let failed = if task.failures == 1 { "1 attempt has".into() } else { format!("{} attempts have", task.failures) };
            errors.add("/max_attempts", "too_low", format!("must be more than that: {failed} failed already"));
        }
        if let Some(Some(time)) = self.complete_by {
            let starts = match task.state {
                TaskState::Scheduled { run_at } => Some(run_at),
                _ => task.not_before,
            };
            if time <= now {
                errors.add("/complete_by", "past", "has passed already");
            } else if starts.is_some_and(|start| time <= start) {
                errors.add("/complete_by", "too_early", "must be after the time at which it may start");
            }
        }
        if self.complete_by.is_some_and(|time| time != task.complete_by) && matches!(task.state.stop(), Some(Stop::Deadline)) {
            errors.add("/complete_by", "too_late", "cannot be changed any more: what works on it is being stopped because it passed");
        }
        errors.finish()
    }
}

impl Task {
    /// Somebody changes what it says or how it is to be done; what has changed is said field by field. A task that has ended stays as
    /// it is.
    pub fn change(self, change: TaskChange, now: Timestamp) -> Result<(Self, Vec<FieldChange>), ChangeRefused> {
        if self.state.is_final() {
            return Err(InvalidTransition { act: "change", state: self.state.name().name() }.into());
        }
        change.validate()?;
        change.validate_for(&self, now)?;
        let (mut task, mut changes) = (self, vec![]);
        set(&mut changes, "title", &mut task.title, change.title);
        set(&mut changes, "priority", &mut task.priority, change.priority);
        set(&mut changes, "tags", &mut task.tags, change.tags);
        set(&mut changes, "complete_by", &mut task.complete_by, change.complete_by);
        set(&mut changes, "queue_seconds", &mut task.queue_seconds, change.queue_seconds.map(|seconds| seconds.map(small)));
        set(&mut changes, "timeout_seconds", &mut task.timeout_seconds, change.timeout_seconds.map(small));
        set(&mut changes, "max_attempts", &mut task.max_attempts, change.max_attempts.map(small));
        set(&mut changes, "retry", &mut task.retry, change.retry);
        Ok((task, changes))
    }
}

/// What was validated is far below the limit.
fn small(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn set<T: PartialEq + Serialize>(changes: &mut Vec<FieldChange>, field: &str, place: &mut T, new: Option<T>) {
    let Some(new) = new.filter(|new| new != place) else { return };
    let json = |value: &T| serde_json::to_value(value).unwrap_or_default();
    changes.push(FieldChange { field: field.to_owned(), from: json(place), to: json(&new) });
    *place = new;
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::{
        Work,
        task::{
            Gate,
            transition::tests::{NOW, task},
        },
    };

    fn change(text: &str) -> TaskChange {
        serde_json::from_str(text).unwrap()
    }

    fn refused(task: Task, change: TaskChange) -> Vec<String> {
        match task.change(change, NOW) {
            Ok(_) => vec![],
            Err(ChangeRefused::Ended(why)) => vec![why.to_string()],
            Err(ChangeRefused::Invalid(invalid)) => {
                invalid.errors.into_iter().map(|error| format!("{} {}", error.pointer, error.code)).collect()
            }
        }
    }

    #[test]
    fn what_changed_is_said_and_the_rest_stays() {
        let before = Task { complete_by: Some(NOW + TimeDelta::hours(1)), ..task(TaskState::Queued) };
        let wanted = change(r#"{"title":"New","priority":"urgent","tags":["a","b"],"complete_by":null,"retry":{"strategy":"linear"}}"#);
        let (after, changes) = before.clone().change(wanted.clone(), NOW).unwrap();
        let expected = Task {
            title: "New".into(),
            priority: Priority::Urgent,
            tags: vec!["a".into(), "b".into()],
            complete_by: None,
            retry: wanted.retry.unwrap(),
            ..before.clone()
        };
        assert_eq!(after, expected);
        let sentences: Vec<_> = changes.iter().map(FieldChange::sentence).collect();
        assert_eq!(sentences[1..3], ["priority normal → urgent", "tags none → a b"]);
        assert!(sentences[0].ends_with("→ “New”") && sentences[3].ends_with("→ none"), "{sentences:?}");
        assert_eq!(after.change(wanted, NOW).unwrap().1, [], "the same again changes nothing");
        assert_eq!(before.clone().change(change("{}"), NOW).unwrap(), (before, vec![]));
    }

    #[test]
    fn absent_is_not_null() {
        assert_eq!(change(r#"{"queue_seconds":null}"#).queue_seconds, Some(None));
        assert_eq!(change("{}").queue_seconds, None);
        assert!(serde_json::from_str::<TaskChange>(r#"{"title":null}"#).is_err());
        assert!(serde_json::from_str::<TaskChange>(r#"{"command":"x"}"#).is_err(), "what is done stays");
        assert_eq!(serde_json::to_string(&change(r#"{"complete_by":null}"#)).unwrap(), r#"{"complete_by":null}"#);
    }

    #[test]
    fn until_it_has_ended() {
        let title = || change(r#"{"title":"New"}"#);
        for state in [TaskState::Blocked, TaskState::Scheduled { run_at: NOW }, TaskState::Queued, TaskState::Running { stop: None }] {
            assert_eq!(refused(task(state), title()), Vec::<String>::new());
        }
        assert_eq!(refused(task(TaskState::Succeeded { at: NOW }), title()), ["cannot change a task that is succeeded"]);
    }

    #[test]
    fn what_is_wrong_is_said_as_of_a_new_task() {
        let bad = change(
            r#"{"title":" ","tags":["Bad one"],"queue_seconds":0,"timeout_seconds":0,"max_attempts":99,"retry":{"base_seconds":0}}"#,
        );
        let mut pointers = refused(task(TaskState::Queued), bad);
        pointers.sort();
        let expected = [
            "/max_attempts out_of_range",
            "/queue_seconds out_of_range",
            "/retry/base_seconds out_of_range",
            "/tags/0 malformed",
            "/timeout_seconds out_of_range",
            "/title required",
        ];
        assert_eq!(pointers, expected);
    }

    #[test]
    fn what_comes_too_late_is_refused_with_the_field() {
        let running = |stop| task(TaskState::Running { stop });
        assert_eq!(refused(running(None), change(r#"{"timeout_seconds":61}"#)), ["/timeout_seconds too_late"]);
        assert_eq!(refused(running(None), change(r#"{"max_attempts":9,"title":"x"}"#)), Vec::<String>::new());
        let failed = Task { failures: 2, ..task(TaskState::Queued) };
        assert_eq!(refused(failed.clone(), change(r#"{"max_attempts":2}"#)), ["/max_attempts too_low"]);
        assert_eq!(refused(failed, change(r#"{"max_attempts":3}"#)), Vec::<String>::new());
        let at = |time: Timestamp| TaskChange { complete_by: Some(Some(time)), ..TaskChange::default() };
        assert_eq!(refused(task(TaskState::Queued), at(NOW)), ["/complete_by past"]);
        let later = Task { not_before: Some(NOW + TimeDelta::hours(1)), ..task(TaskState::Blocked) };
        assert_eq!(refused(later, at(NOW + TimeDelta::minutes(1))), ["/complete_by too_early"]);
        assert_eq!(refused(running(Some(Stop::Deadline)), at(NOW + TimeDelta::hours(1))), ["/complete_by too_late"]);
    }

    #[test]
    fn what_no_runner_does_has_no_limits() {
        let gate = Task { work: Work::Gate(Gate::Wait), ..task(TaskState::Blocked) };
        let limits = change(r#"{"queue_seconds":5,"timeout_seconds":5,"max_attempts":5,"retry":{}}"#);
        let pointers = ["/queue_seconds unexpected", "/timeout_seconds unexpected", "/max_attempts unexpected", "/retry unexpected"];
        assert_eq!(refused(gate.clone(), limits), pointers);
        assert_eq!(refused(gate, change(r#"{"title":"Wait a little"}"#)), Vec::<String>::new());
    }
}
