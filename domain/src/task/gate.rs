use serde::{Deserialize, Serialize};

/// A task that executes nothing: it holds up what waits for it until it is passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "gate", rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Gate {
    /// A person says yes or no.
    Approval { message: Option<String> },
    /// Something outside says that it has happened.
    Event { name: String },
    /// Passed by itself, at once or when the task's delay is over.
    Wait,
}

impl Gate {
    /// What it waits for once everything before it is done.
    pub fn phrase(&self) -> String {
        match self {
            Self::Approval { .. } => "waits for an approval".into(),
            Self::Event { name } => format!("waits for the event “{name}”"),
            Self::Wait => "waits for its time".into(),
        }
    }
}
