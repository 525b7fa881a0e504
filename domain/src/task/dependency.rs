//! What a task waits for, and what has to become of it.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};

use super::TaskStateName;
use crate::TaskId;

/// What has to become of a task before another goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum On {
    /// It succeeded.
    #[default]
    Success,
    /// It ended, however.
    End,
    /// It ended, and this CEL expression over its `result` is true.
    Condition(String),
}

/// The longest condition, in bytes.
pub const CONDITION_MAX: usize = 4096;

/// Another task to wait for. In JSON its id alone stands for one that has to succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Dependency {
    pub task: TaskId,
    pub on: On,
    /// Inputs of the waiting task by name, each with a JSON pointer into the `result` of this one.
    #[serde(default)]
    pub feeds: BTreeMap<String, String>,
}

/// How a dependency stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Satisfied,
    Waiting,
    /// It can no longer be satisfied.
    Failed,
}

impl On {
    /// Of a task in this state, where no condition has to be asked; a condition is asked once the task has ended.
    pub fn standing(&self, state: TaskStateName) -> Option<Standing> {
        match self {
            _ if !state.is_final() => Some(Standing::Waiting),
            Self::End => Some(Standing::Satisfied),
            Self::Success if state == TaskStateName::Succeeded => Some(Standing::Satisfied),
            Self::Success => Some(Standing::Failed),
            Self::Condition(_) => None,
        }
    }
}

impl From<TaskId> for Dependency {
    fn from(task: TaskId) -> Self {
        Self { task, on: On::Success, feeds: BTreeMap::new() }
    }
}

impl<'de> Deserialize<'de> for Dependency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(IdOrObject)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    task: TaskId,
    #[serde(default)]
    on: On,
    #[serde(default)]
    feeds: BTreeMap<String, String>,
}

struct IdOrObject;

impl<'de> Visitor<'de> for IdOrObject {
    type Value = Dependency;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the id of a task, or an object with `task` and `on`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Dependency, E> {
        text.parse::<TaskId>().map(Dependency::from).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Dependency, A::Error> {
        let Object { task, on, feeds } = Object::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Dependency { task, on, feeds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_stands_for_success() {
        let id = "0190a2b4-7d34-7c11-8a52-0123456789ab";
        let read = |text: String| serde_json::from_str::<Dependency>(&text);
        assert_eq!(read(format!("\"{id}\"")).unwrap(), TaskId(id.parse().unwrap()).into());
        assert_eq!(read(format!(r#"{{"task":"{id}","on":"end"}}"#)).unwrap().on, On::End);
        let condition = read(format!(r#"{{"task":"{id}","on":{{"condition":"result.exit_code == 0"}}}}"#)).unwrap();
        assert_eq!(condition.on, On::Condition("result.exit_code == 0".into()));
        assert!(read(format!(r#"{{"task":"{id}","when":"end"}}"#)).unwrap_err().to_string().contains("unknown field `when`"));
    }

    #[test]
    fn what_satisfies_an_edge() {
        use TaskStateName::{Failed, Running, Skipped, Succeeded};
        assert_eq!(
            [Running, Succeeded, Failed].map(|state| On::Success.standing(state)),
            [Some(Standing::Waiting), Some(Standing::Satisfied), Some(Standing::Failed)]
        );
        assert_eq!(
            [Running, Succeeded, Skipped].map(|state| On::End.standing(state)),
            [Some(Standing::Waiting), Some(Standing::Satisfied), Some(Standing::Satisfied)]
        );
        assert_eq!(On::Condition("true".into()).standing(Running), Some(Standing::Waiting));
        assert_eq!(On::Condition("true".into()).standing(Failed), None);
    }
}
