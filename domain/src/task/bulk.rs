use serde::{Deserialize, Serialize};

use super::{Priority, TaskStateName};
use crate::{TaskFilter, TaskId, error::Errors, error::Invalid};

/// One act on many tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkTasks {
    pub act: BulkAct,
    /// The lane, when the act is to prioritise.
    #[serde(default)]
    pub priority: Option<Priority>,
    /// These tasks. Give this or `filter`.
    #[serde(default)]
    pub ids: Vec<TaskId>,
    /// Every task like that. Give this or `ids`.
    #[serde(default)]
    pub filter: Option<TaskFilter>,
    /// Only say how many tasks it would change.
    #[serde(default)]
    pub preview: bool,
    /// Change nothing when it is about another number of tasks than this, which a preview said.
    #[serde(default)]
    pub expected: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum BulkAct {
    Cancel,
    Retry,
    Pause,
    Resume,
    Prioritise,
    /// Let go of what was set aside.
    Discard,
}

/// What became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct BulkOutcome {
    /// Tasks that it is about: they match, and are in a state in which the act can be done.
    pub matched: i64,
    pub changed: i64,
    /// Tasks for which it could not be done after all, for example because what they wait for has failed.
    pub passed_over: i64,
    /// Tasks that are left when there were more than one request changes.
    pub left: i64,
}

/// Tasks that one request changes.
pub const BULK_MAX: usize = 1000;

impl BulkAct {
    pub const ALL: [Self; 6] = [Self::Cancel, Self::Retry, Self::Pause, Self::Resume, Self::Prioritise, Self::Discard];

    pub fn name(self) -> &'static str {
        match self {
            Self::Cancel => "cancel",
            Self::Retry => "retry",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Prioritise => "prioritise",
            Self::Discard => "discard",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|act| act.name() == name)
    }

    /// The states in which it can be done.
    pub fn states(self) -> Vec<TaskStateName> {
        let fits = |state: &TaskStateName| match self {
            Self::Cancel | Self::Pause | Self::Resume | Self::Prioritise => !state.is_final(),
            Self::Retry => state.is_final() && *state != TaskStateName::Succeeded,
            Self::Discard => *state == TaskStateName::Dead,
        };
        TaskStateName::ALL.into_iter().filter(fits).collect()
    }
}

impl BulkTasks {
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut errors = Errors::default();
        match (self.ids.is_empty(), &self.filter) {
            (true, None) => errors.add("/ids", "required", "say which tasks: ids, or a filter"),
            (false, Some(_)) => errors.add("/filter", "unexpected", "give either ids or a filter, not both"),
            _ => {}
        }
        if self.ids.len() > BULK_MAX {
            errors.add("/ids", "too_many", format!("at most {BULK_MAX} tasks at once"));
        }
        match (self.act, self.priority) {
            (BulkAct::Prioritise, None) => errors.add("/priority", "required", "say which lane"),
            (BulkAct::Prioritise, Some(_)) | (_, None) => {}
            (_, Some(_)) => errors.add("/priority", "unexpected", "is for the act prioritise alone"),
        }
        if let Some(filter) = &self.filter {
            if let Err(invalid) = filter.validate() {
                errors.add_all(invalid.below("/filter"));
            }
            if filter.cursor.is_some() || filter.limit.is_some() {
                errors.add("/filter", "unexpected", "a place and a limit are for lists");
            }
        }
        errors.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(bulk: &BulkTasks) -> Vec<String> {
        let errors = bulk.validate().err().map(|invalid| invalid.errors).unwrap_or_default();
        errors.into_iter().map(|error| format!("{} {}", error.pointer, error.code)).collect()
    }

    #[test]
    fn it_says_which_tasks_and_one_act() {
        let all = TaskFilter::default();
        let cancel = BulkTasks { act: BulkAct::Cancel, priority: None, ids: vec![], filter: Some(all), preview: false, expected: None };
        assert_eq!(pointers(&cancel), Vec::<String>::new());
        assert_eq!(pointers(&BulkTasks { filter: None, ..cancel.clone() }), ["/ids required"]);
        let both = BulkTasks { ids: vec![TaskId(uuid::Uuid::nil())], priority: Some(Priority::Low), ..cancel.clone() };
        assert_eq!(pointers(&both), ["/filter unexpected", "/priority unexpected"]);
        assert_eq!(pointers(&BulkTasks { act: BulkAct::Prioritise, ..cancel.clone() }), ["/priority required"]);
        let bad = TaskFilter { tag: Some("Not a tag".into()), limit: Some(5), ..TaskFilter::default() };
        assert_eq!(pointers(&BulkTasks { filter: Some(bad), ..cancel }), ["/filter/tag malformed", "/filter unexpected"]);
    }

    #[test]
    fn what_succeeded_is_never_touched() {
        assert!(BulkAct::ALL.into_iter().all(|act| !act.states().contains(&TaskStateName::Succeeded)));
        assert_eq!(BulkAct::Discard.states(), [TaskStateName::Dead]);
    }
}
