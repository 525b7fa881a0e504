//! Clients: they hand in tasks under a key, send again until they are told that it was taken, and write down what they were told.

use std::{sync::Arc, time::Duration};

use domain::TaskId;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{ledger::Ledger, world::World};

/// What a client was told, or is about to ask.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientEntry {
    /// Before the first time it is sent.
    Asks { key: String },
    /// 201: it is there.
    Accepted { key: String, tasks: Vec<TaskId> },
    /// 200 to an act on a task.
    Done { task: TaskId, act: String },
}

pub struct Client {
    world: Arc<World>,
    ledger: Arc<Ledger>,
    http: reqwest::Client,
    random: StdRng,
    number: usize,
    known: Vec<TaskId>,
}

impl Client {
    pub fn new(world: Arc<World>, ledger: Arc<Ledger>, seed: u64, number: usize) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().build()?;
        Ok(Self { world, ledger, http, random: StdRng::seed_from_u64(seed ^ (number as u64 + 1) << 32), number, known: vec![] })
    }

    pub async fn run(mut self, until: Instant) -> anyhow::Result<()> {
        let mut count = 0;
        while Instant::now() < until {
            match self.random.random_range(0..10) {
                0..7 => self.create(count, 1, until).await?,
                7 => {
                    let many = self.random.random_range(2..6);
                    self.create(count, many, until).await?;
                }
                _ => self.act(until).await?,
            }
            count += 1;
            sleep(Duration::from_millis(self.random.random_range(200..2500))).await;
        }
        Ok(())
    }

    /// One task or a batch of them. The key is the correlation id of each as well, so that the database shows what became of it.
    async fn create(&mut self, count: usize, many: usize, until: Instant) -> anyhow::Result<()> {
        let key = format!("client {} request {count}", self.number);
        let tasks: Vec<Value> = (0..many).map(|_| self.task(&key)).collect();
        let (path, body) = if many == 1 { ("tasks", tasks[0].clone()) } else { ("tasks/batch", json!({"tasks": tasks})) };
        self.ledger.write(&ClientEntry::Asks { key: key.clone() })?;
        // A client that has no answer sends the same request again, for as long as it takes.
        let Some(answer) = self.send_until_answered(path, &body, &key, until + Duration::from_secs(120)).await else { return Ok(()) };
        let id = |task: &Value| task["id"].as_str().and_then(|id| id.parse::<TaskId>().ok());
        let tasks: Vec<TaskId> = match answer.as_array() {
            Some(links) => links.iter().filter_map(id).collect(),
            None => id(&answer).into_iter().collect(),
        };
        self.ledger.write(&ClientEntry::Accepted { key, tasks: tasks.clone() })?;
        self.known.extend(tasks);
        Ok(())
    }

    fn task(&mut self, key: &str) -> Value {
        let takes = if self.random.random_bool(0.25) { self.random.random_range(1000..6000) } else { self.random.random_range(0..300) };
        // Some fail at first, a few always.
        let fails = *[0, 0, 0, 0, 1, 1, 9].get(self.random.random_range(0..7)).unwrap_or(&0);
        let program = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
        let command = format!("'{program}' work '{}' --takes {takes} --fails {fails}", self.world.ledgers.display());
        let parents = if self.known.is_empty() || self.random.random_bool(0.5) { 0 } else { self.random.random_range(1..4) };
        // Those that were handed in last are likely still at work.
        let latest = self.known.len().saturating_sub(5);
        let mut depends_on: Vec<TaskId> = (0..parents).map(|_| self.known[self.random.random_range(latest..self.known.len())]).collect();
        depends_on.sort();
        depends_on.dedup();
        let priority = ["urgent", "high", "normal", "low"][self.random.random_range(0..4)];
        let mut task = json!({
            "title": key,
            "repository": self.world.machine.repository(),
            "command": command,
            "correlation_id": key,
            "depends_on": depends_on,
            "max_attempts": 2,
            "retry": {"strategy": "exponential", "base_seconds": 1, "cap_seconds": 2},
            "priority": priority,
        });
        if self.random.random_bool(0.2) {
            task["concurrency"] = json!({"key": format!("shared {}", self.random.random_range(0..2)), "limit": 2});
        }
        task
    }

    /// Somebody changes their mind about a task of theirs.
    async fn act(&mut self, until: Instant) -> anyhow::Result<()> {
        if self.known.is_empty() {
            return Ok(());
        }
        let task = self.known[self.random.random_range(0..self.known.len())];
        let act = ["cancel", "retry", "pause", "resume"][self.random.random_range(0..4)];
        let key = uuid::Uuid::from_u64_pair(self.random.random(), self.random.random()).to_string();
        if self.send_until_answered(&format!("tasks/{task}/{act}"), &json!({}), &key, until).await.is_some() {
            self.ledger.write(&ClientEntry::Done { task, act: act.to_owned() })?;
        }
        Ok(())
    }

    /// The answer of success, or nothing when it was refused or nobody answered in time.
    async fn send_until_answered(&mut self, path: &str, body: &Value, key: &str, until: Instant) -> Option<Value> {
        loop {
            let address = &self.world.addresses[self.random.random_range(0..self.world.addresses.len())];
            let request = self.http.post(format!("http://{address}/api/v1/{path}")).bearer_auth(&self.world.key);
            // Now and then nobody waits for the answer: whether it took effect is for the next try to find out.
            let patience = if self.random.random_bool(0.2) { self.random.random_range(2..40) } else { 8000 };
            let request = request.timeout(Duration::from_millis(patience));
            let answer = request.header("idempotency-key", key).json(body).send().await;
            if let Ok(answer) = answer {
                let status = answer.status();
                match answer.json::<Value>().await {
                    Ok(value) if status.is_success() => return Some(value),
                    Ok(problem) if status == 409 && problem["detail"].as_str().is_some_and(|detail| detail.contains("still at work")) => {}
                    // 408, 429 and 5xx say: again
                    Ok(_) if status.is_client_error() && !matches!(status.as_u16(), 408 | 429) => return None,
                    _ => {}
                }
            }
            if Instant::now() > until {
                return None;
            }
            sleep(Duration::from_millis(self.random.random_range(50..500))).await;
        }
    }
}
