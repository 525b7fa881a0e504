//! Passwords: argon2id, a bounded number at once, and the same work for a person who does not exist.

use std::sync::Arc;

use argon2::{Argon2, PasswordHasher, PasswordVerifier, password_hash::phc::PasswordHash};
use tokio::sync::Semaphore;

use crate::{Error, Result};

/// Hashes computed at once; each takes 19 MiB (argon2id, m = 19,456 KiB, t = 2, p = 1: OWASP, and the crate's default).
const AT_ONCE: usize = 2;
/// Hashes that may wait for a turn; whoever comes on top is told to come back.
const WAITING: usize = 16;

pub(crate) struct Passwords {
    at_once: Arc<Semaphore>,
    admitted: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { at_once: Arc::new(Semaphore::new(AT_ONCE)), admitted: Arc::new(Semaphore::new(AT_ONCE + WAITING)) }
    }
}

impl Passwords {
    pub(crate) async fn hash(&self, password: &str) -> Result<String> {
        let password = password.to_owned();
        self.compute(move || hash(&password)).await?
    }

    /// Whether the password fits. Without a hash it does the work all the same and says no.
    pub(crate) async fn verify(&self, password: &str, hash: Option<String>) -> Result<bool> {
        let password = password.to_owned();
        self.compute(move || match hash {
            Some(text) => fits(&password, &text),
            None => self::hash(&password).map(|_| false),
        })
        .await?
    }

    async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let _admitted = self.admitted.clone().try_acquire_owned().map_err(|_| Error::Busy)?;
        let permit = self.at_once.clone().acquire_owned().await.map_err(|_| Error::Hash)?;
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        })
        .await
        .map_err(|_| Error::Hash)
    }
}

fn hash(password: &str) -> Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes()).map_err(|_| Error::Hash)?;
    Ok(hash.to_string())
}

fn fits(password: &str, hash: &str) -> Result<bool> {
    let hash = PasswordHash::new(hash).map_err(|_| Error::Hash)?;
    Ok(Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}
