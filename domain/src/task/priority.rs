use serde::{Deserialize, Serialize};

/// The lane a task queues in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Priority {
    #[serde(alias = "critical")]
    Urgent,
    High,
    #[default]
    #[serde(alias = "medium")]
    Normal,
    Low,
}

impl Priority {
    pub const ALL: [Self; 4] = [Self::Urgent, Self::High, Self::Normal, Self::Low];

    /// How many tasks that join the queue later may pass one in this lane. The database has it once more, as `lane_patience`.
    pub fn patience(self) -> i64 {
        match self {
            Self::Urgent => 0,
            Self::High => 32,
            Self::Normal => 128,
            Self::Low => 512,
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}
