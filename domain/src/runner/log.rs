//! What has happened to a runner, as far as nothing else tells it: it is written down when it happens, or when it is over. What a runner has
//! carried out its attempts tell, and how it stood at any time of the last day [`super::day`].

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    TaskId,
    error::{Errors, Invalid},
    page::PAGE_LIMIT_MAX,
};

/// Entries that are listed at once, unless others are asked for.
pub const LOG_SHOWN: u32 = 20;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunnerLogEntry {
    /// Grows with every entry.
    pub number: i64,
    pub at: DateTime<Utc>,
    /// Since when that was so which has come to its end with it; absent where nothing has.
    pub since: Option<DateTime<Utc>>,
    /// From then on, in milliseconds.
    pub lasted_ms: Option<i64>,
    #[serde(flatten)]
    pub what: RunnerNews,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum RunnerNews {
    /// With a token of this person or key, by name.
    Joined {
        by: String,
    },
    /// It was heard of again after it had not been there.
    Back,
    /// In order: it has said so itself.
    Stopped,
    /// From then on it was to take nothing new.
    Drained {
        by: String,
    },
    Resumed {
        by: String,
    },
    /// From then on it was to carry out so many attempts at once.
    SlotsSet {
        by: String,
        slots: i32,
    },
    /// And from then on as many as its machine says.
    SlotsOwn {
        by: String,
    },
    /// Its machine makes no sandbox any more.
    NoSandbox {
        why: String,
    },
    /// It makes them again.
    Sandbox,
    /// Attempts have left something on its machine that should be gone.
    LeftBehind {
        rest: String,
    },
    /// Of that nothing is left.
    Cleared,
    /// It gave signs of life and did not take what it had been given, which went back into the queue.
    NotTaken {
        task_id: TaskId,
        /// Title of the task; absent when that was deleted.
        task: Option<String>,
        attempt: i32,
    },
    /// It gave signs of life and did not end what it was asked to end, and has lost it.
    NotEnded {
        task_id: TaskId,
        /// Title of the task; absent when that was deleted.
        task: Option<String>,
        attempt: i32,
    },
}

impl RunnerNews {
    /// For people, without how long it lasted.
    pub fn sentence(&self) -> String {
        match self {
            Self::Joined { by } => format!("Joined, with a token of {by}"),
            Self::Back => "Back, after it was not there".to_owned(),
            Self::Stopped => "Stopped in order".to_owned(),
            Self::Drained { by } => format!("{by} drained it"),
            Self::Resumed { by } => format!("{by} let it take work again"),
            Self::SlotsSet { by, slots: 1 } => format!("{by} set it to 1 slot"),
            Self::SlotsSet { by, slots } => format!("{by} set it to {slots} slots"),
            Self::SlotsOwn { by } => format!("{by} left its slots to its machine again"),
            Self::NoSandbox { why } => format!("Makes no sandbox: {why}"),
            Self::Sandbox => "Makes sandboxes again".to_owned(),
            Self::LeftBehind { rest } => format!("Something is left of attempts: {rest}"),
            Self::Cleared => "Nothing is left of attempts any more".to_owned(),
            Self::NotTaken { task, attempt, .. } => format!("Did not take attempt {attempt}{}", of(task.as_deref())),
            Self::NotEnded { task, attempt, .. } => format!("Did not end attempt {attempt}{} when it was asked to", of(task.as_deref())),
        }
    }
}

fn of(task: Option<&str>) -> String {
    task.map(|title| format!(" of “{title}”")).unwrap_or_default()
}

/// Which part of it, the latest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema, utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct RunnerLogFilter {
    /// Where the page starts, from the previous page's `next_cursor`.
    pub cursor: Option<String>,
    /// How many; 20 unless given, at most 200.
    pub limit: Option<u32>,
}

impl RunnerLogFilter {
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut errors = Errors::default();
        if matches!(self.limit, Some(limit) if limit == 0 || limit > PAGE_LIMIT_MAX) {
            errors.add("/limit", "out_of_range", format!("must be 1 to {PAGE_LIMIT_MAX}"));
        }
        errors.finish()
    }

    pub fn limit(&self) -> u32 {
        self.limit.unwrap_or(LOG_SHOWN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_happened_is_told_in_a_sentence() {
        let not_taken = |task: Option<&str>| {
            let task_id = TaskId(uuid::Uuid::nil());
            RunnerNews::NotTaken { task_id, task: task.map(str::to_owned), attempt: 2 }.sentence()
        };
        assert_eq!(not_taken(Some("Tidy up")), "Did not take attempt 2 of “Tidy up”");
        assert_eq!(not_taken(None), "Did not take attempt 2");
        let not_ended = RunnerNews::NotEnded { task_id: TaskId(uuid::Uuid::nil()), task: Some("Tidy up".into()), attempt: 2 };
        assert_eq!(not_ended.sentence(), "Did not end attempt 2 of “Tidy up” when it was asked to");
        assert_eq!(RunnerNews::Drained { by: "Ada".into() }.sentence(), "Ada drained it");
        let set = |slots| RunnerNews::SlotsSet { by: "Ada".into(), slots }.sentence();
        assert_eq!([set(1), set(8)], ["Ada set it to 1 slot", "Ada set it to 8 slots"]);
        assert_eq!(RunnerNews::SlotsOwn { by: "Ada".into() }.sentence(), "Ada left its slots to its machine again");
    }

    #[test]
    fn an_entry_is_one_object() {
        let at = DateTime::UNIX_EPOCH;
        let entry = RunnerLogEntry { number: 1, at, since: None, lasted_ms: None, what: RunnerNews::NoSandbox { why: "no bwrap".into() } };
        let json = serde_json::to_value(&entry).unwrap();
        assert_eq!((&json["what"], &json["why"]), (&"no_sandbox".into(), &"no bwrap".into()));
        assert_eq!(serde_json::from_value::<RunnerLogEntry>(json).unwrap(), entry);
    }
}
