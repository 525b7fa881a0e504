//! Clients: they hand in tasks under a key, send again until they are told that it was taken, and write down what they were told.

use std::{sync::Arc, time::Duration};

use domain::{TaskId, WorkflowRunId};
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
    /// 201: the run is there.
    Began { key: String, run: WorkflowRunId },
    /// 200 to an act on a task or a run.
    Done { on: String, act: String },
}

pub struct Client {
    world: Arc<World>,
    ledger: Arc<Ledger>,
    http: reqwest::Client,
    random: StdRng,
    number: usize,
    known: Vec<TaskId>,
    runs: Vec<WorkflowRunId>,
    /// Gates of runs that were begun here.
    gates: Vec<TaskId>,
}

impl Client {
    pub fn new(world: Arc<World>, ledger: Arc<Ledger>, seed: u64, number: usize) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().build()?;
        Ok(Self {
            world,
            ledger,
            http,
            random: StdRng::seed_from_u64(seed ^ (number as u64 + 1) << 32),
            number,
            known: vec![],
            runs: vec![],
            gates: vec![],
        })
    }

    pub async fn run(mut self, until: Instant) -> anyhow::Result<()> {
        let mut count = 0;
        while Instant::now() < until {
            match self.random.random_range(0..10) {
                0..6 => self.create(count, 1, until).await?,
                6 => self.begin_run(count, until).await?,
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

    /// The title of a run is its key.
    async fn begin_run(&mut self, count: usize, until: Instant) -> anyhow::Result<()> {
        let until = until + Duration::from_secs(120);
        let body = json!({"source": self.definition().to_string()});
        // the same text again is the version that is there
        if self.send_until_answered("workflows", &body, "the definition", until).await.is_none() {
            return Ok(());
        }
        let key = format!("client {} run {count}", self.number);
        self.ledger.write(&ClientEntry::Asks { key: key.clone() })?;
        let body = json!({"title": key});
        let Some(answer) = self.send_until_answered("workflows/kill-loop/runs", &body, &key, until).await else { return Ok(()) };
        if let Some(run) = answer["id"].as_str().and_then(|id| id.parse().ok()) {
            self.ledger.write(&ClientEntry::Began { key, run })?;
            self.runs.push(run);
        }
        let gates = answer["steps"].as_array().into_iter().flatten().filter(|step| step["kind"] == "approval");
        self.gates.extend(gates.filter_map(|step| step["task"].as_str()?.parse::<TaskId>().ok()));
        Ok(())
    }

    /// Every kind of edge, a gate, and groups that become several tasks when their turn comes.
    fn definition(&self) -> Value {
        let program = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
        let work = |takes: u32, fails: i32| format!("'{program}' work '{}' --takes {takes} --fails {fails}", self.world.ledgers.display());
        let retry = json!({"strategy": "exponential", "base_seconds": 1, "cap_seconds": 2});
        json!({
            "name": "kill-loop",
            "repository": self.world.machine.repository(),
            "steps": [
                {"id": "begin", "command": work(100, 0), "max_attempts": 2, "retry": retry},
                {"id": "each", "needs": ["begin"], "matrix": {"n": [1, 2]}, "command": work(300, 1), "max_attempts": 2, "retry": retry},
                {"id": "shaky", "needs": ["begin"], "command": work(100, 9), "max_attempts": 1},
                {"id": "ask", "needs": ["begin"], "approval": {}},
                {"id": "tidy", "needs": [{"step": "shaky", "on": "end"}, {"step": "each", "on": "end"}], "command": work(100, 0), "retry": retry},
                {"id": "first", "needs": ["ask"], "candidates": {"count": 2}, "command": work(400, 0), "retry": retry},
                {"id": "last", "needs": ["first", "each"], "command": work(50, 0), "retry": retry}
            ]
        })
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
        // of some any end is enough
        let depends_on: Vec<Value> = depends_on
            .into_iter()
            .map(|id| if self.random.random_bool(0.3) { json!({"task": id, "on": "end"}) } else { json!(id) })
            .collect();
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
        let pick = self.random.random_range(0..4);
        let (on, act) = match self.random.random_range(0..4) {
            0 if !self.gates.is_empty() => {
                let gate = self.gates[self.random.random_range(0..self.gates.len())];
                (format!("tasks/{gate}"), ["approve", "approve", "reject", "retry"][pick])
            }
            1 if !self.runs.is_empty() => {
                let run = self.runs[self.random.random_range(0..self.runs.len())];
                (format!("runs/{run}"), ["cancel", "pause", "resume", "restart"][pick])
            }
            _ if !self.known.is_empty() => {
                let task = self.known[self.random.random_range(0..self.known.len())];
                (format!("tasks/{task}"), ["cancel", "retry", "pause", "resume"][pick])
            }
            _ => return Ok(()),
        };
        let key = uuid::Uuid::from_u64_pair(self.random.random(), self.random.random()).to_string();
        if self.send_until_answered(&format!("{on}/{act}"), &json!({}), &key, until).await.is_some() {
            self.ledger.write(&ClientEntry::Done { on, act: act.to_owned() })?;
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
