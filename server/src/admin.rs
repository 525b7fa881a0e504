//! What whoever controls the server's machine may do without signing in. These open the database themselves, whether or not
//! Muster is serving.

use domain::{Role, UserId, account::NewOwner};
use engine::{Forgotten, Keep};
use thiserror::Error;

use crate::{
    config::StateConfig,
    state::{State, StateError},
};

#[derive(Debug, Error)]
pub enum AdminError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error("{}", describe(.0))]
    Refused(engine::Error),
}

/// Every field that is not right, each on a line of its own.
fn describe(error: &engine::Error) -> String {
    match error {
        engine::Error::Invalid(invalid) => {
            let lines = invalid.errors.iter().map(|error| format!("{} {}", error.pointer.trim_start_matches('/'), error.message));
            lines.collect::<Vec<_>>().join("\n        ")
        }
        other => other.to_string(),
    }
}

/// Makes the first owner.
pub async fn create_owner(config: &StateConfig, owner: NewOwner) -> Result<UserId, AdminError> {
    let state = State::open(config).await?;
    let made = state.engine.create_owner_here(owner).await;
    state.close().await?;
    made.map_err(AdminError::Refused)
}

/// Makes an API key and returns it, for the only time.
pub async fn create_key(config: &StateConfig, name: &str, role: Role) -> Result<String, AdminError> {
    let state = State::open(config).await?;
    let made = state.engine.create_key_here(name, role).await;
    state.close().await?;
    made.map(|key| key.reveal().to_owned()).map_err(AdminError::Refused)
}

/// How much of what has ended is older than that, and not needed by anything that is kept.
pub async fn would_purge(config: &StateConfig, keep: Keep) -> Result<Forgotten, AdminError> {
    let state = State::open(config).await?;
    let counted = state.engine.would_forget(keep).await;
    state.close().await?;
    counted.map_err(AdminError::Refused)
}

/// Deletes it, batch after batch.
pub async fn purge(config: &StateConfig, keep: Keep, done: impl Fn(Forgotten) + Send) -> Result<Forgotten, AdminError> {
    let state = State::open(config).await?;
    let purged = state.engine.forget_all(keep, done).await;
    state.close().await?;
    purged.map_err(AdminError::Refused)
}
