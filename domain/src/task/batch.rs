use serde::{Deserialize, Serialize};

use super::NewTask;
use crate::{Invalid, error::Errors};

/// The most tasks in one batch.
pub const BATCH_MAX: usize = 1000;

/// Several tasks that are stored together or not at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewTasks {
    pub tasks: Vec<NewTask>,
}

impl NewTasks {
    /// Everything that is wrong with any of them, as far as can be told without looking anything up.
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut errors = Errors::default();
        if self.tasks.is_empty() || self.tasks.len() > BATCH_MAX {
            errors.add("/tasks", "out_of_range", format!("must be 1 to {BATCH_MAX} tasks"));
            return errors.finish();
        }
        for (index, task) in self.tasks.iter().enumerate() {
            if let Err(invalid) = task.validate() {
                errors.add_all(invalid.below(&format!("/tasks/{index}")));
            }
        }
        errors.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_with_its_place_in_the_batch() {
        let good = NewTask::command("Tidy up", "/srv/app", "make tidy");
        let bad = NewTask { title: String::new(), ..good.clone() };
        let pointers = |tasks: Vec<NewTask>| match (NewTasks { tasks }).validate() {
            Ok(()) => vec![],
            Err(invalid) => invalid.errors.into_iter().map(|error| error.pointer).collect(),
        };
        assert_eq!(pointers(vec![good.clone()]), Vec::<String>::new());
        assert_eq!(pointers(vec![good.clone(), bad]), ["/tasks/1/title"]);
        assert_eq!(pointers(vec![]), ["/tasks"]);
        assert_eq!(pointers(vec![good; 1001]), ["/tasks"]);
    }
}
