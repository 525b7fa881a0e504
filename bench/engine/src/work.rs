//! The tasks that are handed in. Most are carried out by nobody, so their repositories need not exist.

use std::path::Path;

use domain::TaskId;
use hyper::body::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

/// The API's routes that take them.
pub const ONE: &str = "/api/v1/tasks";
pub const MANY: &str = "/api/v1/tasks/batch";
/// And those that hold them back.
pub const PAUSE: &str = "/api/v1/queue/pause";
pub const RESUME: &str = "/api/v1/queue/resume";

/// The repository whose tasks wait, for the figures with many rows.
pub const WAITING_REPOSITORY: &str = "/srv/bench-waiting";

/// The one field of an answer that is needed.
#[derive(Deserialize)]
pub struct Created {
    pub id: TaskId,
}

fn task(repository: &str) -> Value {
    json!({ "title": "Measured", "repository": repository, "command": "true" })
}

pub fn one() -> Bytes {
    Bytes::from(task("/srv/bench").to_string())
}

pub fn one_of(repository: &str) -> Bytes {
    Bytes::from(task(repository).to_string())
}

/// One that is really carried out, once.
pub fn command(repository: &Path, command: &str) -> Bytes {
    Bytes::from(json!({ "title": "Measured", "repository": repository, "command": command, "max_attempts": 1 }).to_string())
}

pub fn many(count: usize) -> Bytes {
    let tasks: Vec<_> = (0..count).map(|_| task("/srv/bench")).collect();
    Bytes::from(json!({ "tasks": tasks }).to_string())
}

/// So many nodes, all of which wait for this one.
pub fn level(count: usize, ahead: Option<TaskId>) -> Bytes {
    let mut node = task("/srv/bench");
    if let Some(ahead) = ahead {
        node["depends_on"] = json!([ahead]);
    }
    Bytes::from(json!({ "tasks": vec![node; count] }).to_string())
}

pub fn whole_queue() -> Bytes {
    Bytes::from("{}")
}
