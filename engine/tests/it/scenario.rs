//! What several tests say.

use domain::{CheckKind, CheckSpec, NewTask, TaskStateName, TaskView};

/// A task with one check.
pub fn checked(title: &str) -> NewTask {
    let checks = vec![CheckSpec::new(CheckKind::CommandSucceeds, Some("make test".into()))];
    NewTask { checks, ..NewTask::command(title, "/srv/app", "make it so") }
}

pub fn after(title: &str, parents: &[&TaskView]) -> NewTask {
    NewTask { depends_on: parents.iter().map(|parent| parent.summary.id.into()).collect(), ..checked(title) }
}

pub fn state(task: &TaskView) -> TaskStateName {
    task.summary.state.name()
}

/// `pointer code` of every field that was refused.
pub fn refused<T: std::fmt::Debug>(result: engine::Result<T>) -> Vec<String> {
    match result {
        Err(engine::Error::Invalid(invalid)) => {
            invalid.errors.into_iter().map(|error| format!("{} {}", error.pointer, error.code)).collect()
        }
        other => panic!("expected field errors, got {other:?}"),
    }
}
