//! Sessions in Postgres for tower-sessions: the id in the cookie is stored as its hash, so a copy of the table opens nothing.

use std::{collections::HashMap, fmt};

use async_trait::async_trait;
use chrono::DateTime;
use domain::Timestamp;
use engine::Engine;
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use tower_sessions::{
    SessionStore,
    session::{Id, Record},
    session_store::{Error, Result},
};

#[derive(Clone)]
pub struct PostgresSessions(pub Engine);

impl fmt::Debug for PostgresSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PostgresSessions")
    }
}

#[async_trait]
impl SessionStore for PostgresSessions {
    async fn create(&self, record: &mut Record) -> Result<()> {
        let (data, expires_at) = encode(record)?;
        while !self.0.create_session(&hash(&record.id), &data, expires_at).await.map_err(backend)? {
            record.id = Id::default();
        }
        Ok(())
    }

    async fn save(&self, record: &Record) -> Result<()> {
        let (data, expires_at) = encode(record)?;
        self.0.save_session(&hash(&record.id), &data, expires_at).await.map_err(backend)
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let Some(row) = self.0.load_session(&hash(id)).await.map_err(backend)? else { return Ok(None) };
        let data: HashMap<_, _> = serde_json::from_value(row.data).map_err(|error| Error::Decode(error.to_string()))?;
        let expiry_date =
            OffsetDateTime::from_unix_timestamp(row.expires_at.timestamp()).map_err(|error| Error::Decode(error.to_string()))?;
        Ok(Some(Record { id: *id, data, expiry_date }))
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        self.0.delete_session(&hash(id)).await.map_err(backend)
    }
}

fn hash(id: &Id) -> [u8; 32] {
    Sha256::digest(id.0.to_be_bytes()).into()
}

fn encode(record: &Record) -> Result<(serde_json::Value, Timestamp)> {
    let data = serde_json::to_value(&record.data).map_err(|error| Error::Encode(error.to_string()))?;
    let expires_at = DateTime::from_timestamp(record.expiry_date.unix_timestamp(), 0);
    Ok((data, expires_at.ok_or_else(|| Error::Encode("the session expires at an impossible time".into()))?))
}

fn backend(error: engine::Error) -> Error {
    Error::Backend(error.to_string())
}
