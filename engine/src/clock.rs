//! Time comes from here: the database's clock, which all replicas share, or a hand that a test moves.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::TimeDelta;
use domain::Timestamp;

use crate::{Database, Result};

#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// `clock_timestamp()` of the database: no decision compares the clocks of two machines.
    #[default]
    Database,
    /// Stands still until it is advanced.
    Manual(Arc<Mutex<Timestamp>>),
}

impl Clock {
    pub fn manual(start: Timestamp) -> Self {
        Self::Manual(Arc::new(Mutex::new(start)))
    }

    /// Moves a manual clock; the database's clock cannot be moved and stays as it is.
    pub fn advance(&self, by: TimeDelta) {
        if let Self::Manual(now) = self {
            *now.lock().unwrap_or_else(PoisonError::into_inner) += by;
        }
    }

    /// A number from 0 to 1; a hand that moves the clock always draws 1.
    pub(crate) fn luck(&self) -> f64 {
        match self {
            Self::Database => rand::random(),
            Self::Manual(_) => 1.0,
        }
    }

    pub(crate) fn or(&self, database_now: Timestamp) -> Timestamp {
        self.by_hand().unwrap_or(database_now)
    }

    /// The time of a clock that a hand moves; the database's own is read where it is used, by the statement that needs it.
    pub(crate) fn by_hand(&self) -> Option<Timestamp> {
        match self {
            Self::Database => None,
            Self::Manual(now) => Some(*now.lock().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    pub(crate) async fn now(&self, database: &Database) -> Result<Timestamp> {
        let now = sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(&database.system).await?;
        Ok(self.or(now))
    }
}
