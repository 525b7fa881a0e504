//! API keys: `mst_key_<prefix>_<secret><checksum>`, shown once and stored as a hash.
//!
//! The prefix names the row, the secret holds 178 bits of chance, and the checksum lets a mistyped key be refused without asking the
//! database. The secret is random and long, so a plain SHA-256 of it is enough (ASVS 6.5.2).

use std::fmt;

use chrono::TimeDelta;
use domain::{Actor, ActorKind, Role, error::Errors};
use rand::distr::{Alphanumeric, SampleString};
use sha2::{Digest, Sha256};

use super::store::{self, ApiKeyRow};
use crate::{
    Engine, Result,
    runner::is_join_token,
    together::{Rounds, Together, refuse},
};

const KIND: &str = "mst_key_";
const PREFIX_LENGTH: usize = 8;
const SECRET_LENGTH: usize = 30;
const CHECKSUM_LENGTH: usize = 6;
/// How long a key works.
const KEY_LASTS: TimeDelta = TimeDelta::days(90);
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A key as its owner holds it. Shown on purpose only.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeySecret(String);

impl fmt::Debug for ApiKeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeySecret(…)")
    }
}

impl ApiKeySecret {
    fn random() -> Self {
        let head = format!("{KIND}{}_{}", random_text(PREFIX_LENGTH), random_text(SECRET_LENGTH));
        let checksum = checksum(&head);
        Self(head + &checksum)
    }

    /// A text that has the form of a key and the right checksum.
    fn parse(text: &str) -> Option<Self> {
        let well_formed = text.len() == KIND.len() + PREFIX_LENGTH + 1 + SECRET_LENGTH + CHECKSUM_LENGTH && text.is_ascii();
        let (head, tail) = text.split_at_checked(text.len().checked_sub(CHECKSUM_LENGTH)?)?;
        (well_formed && head.starts_with(KIND) && checksum(head) == tail).then(|| Self(text.to_owned()))
    }

    fn prefix(&self) -> &str {
        &self.0[KIND.len()..KIND.len() + PREFIX_LENGTH]
    }

    fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }

    /// For the one moment in which it is shown.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

pub(crate) fn random_text(length: usize) -> String {
    Alphanumeric.sample_string(&mut rand::rng(), length)
}

fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECKSUM_LENGTH];
    for digit in digits.iter_mut().rev() {
        *digit = BASE62[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

impl Engine {
    /// A new key for the first workspace, made by a command on the server's own machine. The workspace is made when there is none.
    pub async fn create_key_here(&self, name: &str, role: Role) -> Result<ApiKeySecret> {
        let mut errors = Errors::default();
        errors.required_text("/name", name, 100);
        errors.finish()?;
        let key = ApiKeySecret::random();
        let mut tx = self.begin_system(None).await?;
        store::lock_owner_exists(&mut tx).await?;
        let workspace = match store::first_workspace(&mut tx).await? {
            Some(id) => id,
            None => self.insert_first_workspace(&mut tx).await?,
        };
        let now = tx.now();
        let new = store::NewApiKey {
            id: self.new_id(),
            workspace,
            name: name.trim(),
            prefix: key.prefix(),
            hash: &key.hash(),
            role,
            created_at: now,
            expires_at: now + KEY_LASTS,
        };
        store::insert_api_key(&mut tx, new).await?;
        tx.commit(key).await
    }

    /// What a bearer token may do, or nothing: the reason is not told.
    pub async fn actor_of_key(&self, token: &str) -> Result<Option<Actor>> {
        if is_join_token(token) {
            return self.actor_of_join_token(token).await;
        }
        let Some(key) = ApiKeySecret::parse(token) else { return Ok(None) };
        let question = ((), key.prefix().to_owned(), 0);
        let found = self.keys.ask(&self.undisturbed, question, |rounds| look_keys_up(self.clone(), rounds)).await?;
        let Some(row) = found.filter(|row| row.hash == key.hash()) else { return Ok(None) };
        if row.is_due_for_touch {
            let mut conn = self.database.system.acquire().await?;
            store::touch_api_key(&mut conn, row.id, self.clock.by_hand()).await?;
        }
        Ok(Some(Actor::new(row.workspace_id, ActorKind::ApiKey { id: row.id, role: row.role })))
    }
}

/// Keys that are looked up at the same time, by their prefixes. Each look is begun after the request came, so a key that was revoked
/// before is never found.
pub(crate) type KeyLookUps = Together<(), String, Option<ApiKeyRow>>;

async fn look_keys_up(engine: Engine, mut rounds: Rounds<(), String, Option<ApiKeyRow>>) {
    while !rounds.are_over() {
        let askers = rounds.take();
        let mut prefixes: Vec<_> = askers.iter().map(|asker| asker.question.clone()).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        match live_keys(&engine, &prefixes).await {
            Ok(rows) => {
                for asker in askers {
                    let row = rows.iter().find(|row| row.prefix == asker.question).cloned();
                    asker.answer(Ok(row));
                }
            }
            Err(error) => refuse(askers, error),
        }
    }
}

async fn live_keys(engine: &Engine, prefixes: &[String]) -> Result<Vec<ApiKeyRow>> {
    let mut conn = engine.database.system.acquire().await?;
    store::live_api_keys(&mut conn, prefixes, engine.clock.by_hand()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_checksum_and_never_printed() {
        let key = ApiKeySecret::random();
        assert_eq!(ApiKeySecret::parse(key.reveal()), Some(key.clone()));
        let mut wrong = key.reveal().to_owned();
        let last = wrong.pop().unwrap();
        wrong.push(if last == 'x' { 'y' } else { 'x' });
        for bad in [wrong.as_str(), "", "mst_key_", "é", &key.reveal().replace("key", "run"), &format!("{}x", key.reveal())] {
            assert_eq!(ApiKeySecret::parse(bad), None, "{bad}");
        }
        assert_eq!(format!("{key:?}"), "ApiKeySecret(…)");
    }
}
