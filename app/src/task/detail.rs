//! The parts of a task's page.

pub mod acts;
pub mod attempts;
pub mod checks;
pub mod chosen;
pub mod definition;
pub mod diff;
pub mod facts;
pub mod gate;
pub mod landing;
pub mod log;
pub mod session;
pub mod steps;
pub mod timeline;

use domain::TaskView;
use leptos::prelude::*;

use crate::text::short_location;

/// What the first repository of a task is called on its page; nothing where it has no other to be told from.
fn name_of_first_repository(task: Signal<TaskView>) -> Memo<Option<String>> {
    Memo::new(move |_| task.with(|task| (!task.repositories.is_empty()).then(|| short_location(&task.summary.repository))))
}
