//! The only error of this crate. `Display` says what, `source` says why.

use domain::{Forbidden, Invalid, InvalidTransition, task::ChangeRefused};
use thiserror::Error;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, Error)]
pub enum Error {
    /// There is none, or none that this actor may know of.
    #[error("there is no {noun} {id}")]
    NotFound { noun: &'static str, id: String },
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error(transparent)]
    InvalidTransition(#[from] InvalidTransition),
    #[error(transparent)]
    Forbidden(#[from] Forbidden),
    /// It is there already, or somebody was faster.
    #[error("{0}")]
    Conflict(String),
    /// It is not as whoever asks has seen it. Says what has happened since, and who did it.
    #[error("{0}")]
    Changed(String),
    /// Wrong e-mail address or password, an unknown key, a link that has been used.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// The write carries an attempt that no longer holds its task.
    #[error("this attempt no longer holds its task")]
    StaleLease,
    /// What comes before it is not there yet.
    #[error("something that was said before this has not arrived")]
    Missing,
    #[error("too many requests at once")]
    Busy,
    /// The database cannot be reached or took too long; the same request may go through later.
    #[error("the database does not answer")]
    Unavailable(#[source] sqlx::Error),
    #[error("the database refused a statement")]
    Database(#[source] sqlx::Error),
    /// A row that no transition can have written.
    #[error("the row {id} of {table} cannot be read: {reason}")]
    Inconsistent { table: &'static str, id: String, reason: String },
    #[error("a password could not be hashed")]
    Hash,
}

impl Error {
    pub(crate) fn not_found(noun: &'static str, id: impl std::fmt::Display) -> Self {
        Self::NotFound { noun, id: id.to_string() }
    }

    /// The same, said of a part that lies at `pointer` in a larger request.
    pub(crate) fn below(self, pointer: &str) -> Self {
        match self {
            Self::Invalid(invalid) => Self::Invalid(invalid.below(pointer)),
            other => other,
        }
    }

    /// The same, told to one more of those whom it concerns.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Unavailable(why) => Self::Unavailable(sqlx::Error::Protocol(why.to_string())),
            Self::Database(why) => Self::Database(sqlx::Error::Protocol(why.to_string())),
            other => Self::Database(sqlx::Error::Protocol(other.to_string())),
        }
    }

    pub(crate) fn inconsistent(table: &'static str, id: impl std::fmt::Display, reason: impl Into<String>) -> Self {
        Self::Inconsistent { table, id: id.to_string(), reason: reason.into() }
    }
}

impl From<ChangeRefused> for Error {
    fn from(refused: ChangeRefused) -> Self {
        match refused {
            ChangeRefused::Ended(why) => why.into(),
            ChangeRefused::Invalid(invalid) => invalid.into(),
        }
    }
}

/// Canceled statements (timeouts), lock timeouts, deadlocks, serialisation, shutdown, too many connections, read-only, disk full.
const PASSING: [&str; 9] = ["57014", "55P03", "40P01", "40001", "57P01", "57P03", "53300", "25006", "53100"];

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        let passing = match &error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed | sqlx::Error::Tls(_) => {
                true
            }
            sqlx::Error::Database(inner) => inner.code().is_some_and(|code| PASSING.contains(&code.as_ref())),
            _ => false,
        };
        if passing { Self::Unavailable(error) } else { Self::Database(error) }
    }
}

/// A write that must hit exactly one row, or the premise it was made on is gone.
pub(crate) fn hit_one(done: &sqlx::postgres::PgQueryResult, otherwise: impl FnOnce() -> Error) -> Result<()> {
    hit(done, 1, otherwise)
}

/// As [`hit_one`], of a write to so many rows.
pub(crate) fn hit(done: &sqlx::postgres::PgQueryResult, rows: usize, otherwise: impl FnOnce() -> Error) -> Result<()> {
    if done.rows_affected() == rows as u64 { Ok(()) } else { Err(otherwise()) }
}
