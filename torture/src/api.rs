//! A client of the API that says exactly what it sends, and what came back.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::world::World;

pub struct Api {
    http: reqwest::Client,
    key: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub text: String,
    /// It was given before.
    pub replayed: bool,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    pub fn id(&self) -> String {
        self.json()["id"].as_str().unwrap_or_default().to_owned()
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether it only says that the same request should come again.
    fn is_later(&self) -> bool {
        self.status >= 500 || matches!(self.status, 408 | 429) || self.status == 409 && self.text.contains("still at work")
    }
}

impl Api {
    pub fn new(world: &World) -> anyhow::Result<Self> {
        Self::with_key(world.key.clone())
    }

    pub fn with_key(key: String) -> anyhow::Result<Self> {
        Ok(Self { http: reqwest::Client::builder().pool_max_idle_per_host(0).build()?, key })
    }

    pub async fn get(&self, address: &str, path: &str) -> anyhow::Result<Answer> {
        let request = self.http.get(format!("http://{address}{path}")).bearer_auth(&self.key).timeout(Duration::from_secs(30));
        read(request.send().await?).await
    }

    pub async fn post(&self, address: &str, path: &str, body: &Value, key: Option<&str>) -> anyhow::Result<Answer> {
        let mut request = self.http.post(format!("http://{address}{path}")).bearer_auth(&self.key).json(body);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        read(request.timeout(Duration::from_secs(15)).send().await?).await
    }

    /// The same request again and again, until it is answered with anything but "later".
    pub async fn post_until_answered(&self, address: &str, path: &str, body: &Value, key: Option<&str>) -> anyhow::Result<Answer> {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = self.post(address, path, body, key).await;
            match answer {
                Ok(answer) if !answer.is_later() => return Ok(answer),
                answer if Instant::now() > until => return answer,
                _ => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// The bytes of a request, for one who does not wait for the answer.
    pub fn raw_post(&self, address: &str, path: &str, body: &Value, key: &str) -> Vec<u8> {
        let body = body.to_string();
        format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\nidempotency-key: {key}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{body}",
            self.key,
            body.len()
        )
        .into_bytes()
    }

    /// The beginning of a stream of events, for one who reads it slowly or never.
    pub fn raw_events(&self, address: &str) -> Vec<u8> {
        format!("GET /api/v1/events HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\r\n", self.key).into_bytes()
    }

    /// A stream of events from a position on.
    pub async fn follow(&self, address: &str, from: Option<&str>) -> reqwest::Result<reqwest::Response> {
        let mut request = self.http.get(format!("http://{address}/api/v1/events")).bearer_auth(&self.key);
        if let Some(from) = from {
            request = request.header("last-event-id", from);
        }
        request.send().await?.error_for_status()
    }
}

async fn read(response: reqwest::Response) -> anyhow::Result<Answer> {
    let status = response.status().as_u16();
    let replayed = response.headers().contains_key("idempotency-replayed");
    Ok(Answer { status, text: response.text().await?, replayed })
}
