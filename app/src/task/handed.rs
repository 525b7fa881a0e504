//! A task that one page hands to the next, so that a task just created is on the screen without being asked for again.

use domain::TaskView;
use leptos::prelude::*;

/// At most one; kept by the frame.
#[derive(Clone, Copy)]
pub struct Handed(StoredValue<Option<TaskView>>);

pub fn provide_handed() {
    provide_context(Handed(StoredValue::new(None)));
}

/// For whichever page comes next.
pub fn hand_over(task: TaskView) {
    if let Some(Handed(handed)) = use_context() {
        handed.set_value(Some(task));
    }
}

/// The task with this id, if it was handed over. It may have moved on since: ask for it all the same, once it is shown.
pub fn take_handed(id: &str) -> Option<TaskView> {
    let Handed(handed) = use_context()?;
    handed.try_update_value(Option::take).flatten().filter(|task| task.summary.id.to_string() == id)
}
