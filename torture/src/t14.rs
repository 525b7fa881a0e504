//! T14, idempotency over two servers: the rows of the matrix that need more than one process. Those that one process can show are in
//! `tests/it/idempotency.rs`, those of a crash in T3.

use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::{
    api::{Answer, Api},
    check::{self, Outcome, Violation},
    world::{SERVERS, Setup, World},
};

/// Requests of one key at the same moment.
const AT_ONCE: usize = 8;
const TASKS: &str = "/api/v1/tasks";

struct Matrix {
    world: World,
    pool: PgPool,
    mine: Api,
    other: Api,
    seed: u64,
}

pub async fn run(seed: u64) -> anyhow::Result<Outcome> {
    let world = World::create(Setup { slots: [0, 0], ..Setup::default() }).await?;
    let pool = PgPool::connect(world.database_url()).await?;
    let (mine, other) = (Api::new(&world)?, Api::with_key(world.new_key("other")?)?);
    let matrix = Matrix { world, pool, mine, other, seed };
    let mut violations = matrix.at_once().await?;
    violations.extend(matrix.elsewhere().await?);
    violations.extend(matrix.other_body().await?);
    violations.extend(matrix.other_principal().await?);
    violations.extend(matrix.other_route().await?);
    violations.extend(matrix.killed().await?);
    violations.extend(matrix.expiry().await?);
    violations.extend(check::sound(&matrix.pool).await?);
    matrix.pool.close().await;
    check::judged(&matrix.world, "7 rows".into(), violations).await
}

impl Matrix {
    fn task(&self, row: &str) -> Value {
        json!({"title": row, "correlation_id": row, "repository": self.world.machine.repository(), "command": "true"})
    }

    fn key(&self, row: &str) -> String {
        format!("{} {row}", self.seed)
    }

    async fn post(&self, server: usize, row: &str) -> anyhow::Result<Answer> {
        let address = self.world.direct[server % SERVERS].to_string();
        self.mine.post_until_answered(&address, TASKS, &self.task(row), Some(&self.key(row))).await
    }

    /// How many tasks the row made, against how many it was to make.
    async fn made(&self, row: &str, expected: i64) -> anyhow::Result<Vec<Violation>> {
        let statement = "select count(*) from task where correlation_id = $1";
        let made: i64 = sqlx::query_scalar(statement).bind(row).fetch_one(&self.pool).await?;
        Ok(if made == expected { vec![] } else { vec![format!("{row}: {made} tasks, and not {expected}")] })
    }

    /// Both servers get the same request many times at once: one effect, one answer; the others are told that it is at work, or it.
    async fn at_once(&self) -> anyhow::Result<Vec<Violation>> {
        let row = "at once";
        let (task, key) = (self.task(row), self.key(row));
        let addresses: Vec<_> = self.world.direct.iter().map(ToString::to_string).collect();
        let one = |number: usize| self.mine.post(&addresses[number % SERVERS], TASKS, &task, Some(&key));
        let answers = futures::future::try_join_all((0..AT_ONCE).map(one)).await?;
        let mut found = self.made(row, 1).await?;
        let taken: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
        if taken.is_empty() || taken.iter().any(|answer| answer.json() != taken[0].json()) {
            found.push(format!("{row}: {} were told that it is made, and not all the same", taken.len()));
        }
        found
            .extend(answers.iter().filter(|answer| ![201, 409].contains(&answer.status)).map(|answer| format!("{row}: {}", answer.status)));
        Ok(found)
    }

    /// What one server has done the other answers.
    async fn elsewhere(&self) -> anyhow::Result<Vec<Violation>> {
        let row = "elsewhere";
        let (first, second) = (self.post(0, row).await?, self.post(1, row).await?);
        let mut found = self.made(row, 1).await?;
        if first.replayed || !second.replayed || (first.status, first.json()) != (second.status, second.json()) {
            found.push(format!("{row}: {} and then {}", first.text, second.text));
        }
        Ok(found)
    }

    async fn other_body(&self) -> anyhow::Result<Vec<Violation>> {
        let (row, wrong) = ("body", "other body");
        self.post(0, row).await?;
        let address = self.world.direct[1].to_string();
        let refused = self.mine.post_until_answered(&address, TASKS, &self.task(wrong), Some(&self.key(row))).await?;
        let mut found = self.made(wrong, 0).await?;
        if refused.status != 422 {
            found.push(format!("{wrong}: answered {}", refused.status));
        }
        Ok(found)
    }

    async fn other_principal(&self) -> anyhow::Result<Vec<Violation>> {
        let row = "principal";
        self.post(0, row).await?;
        let address = self.world.direct[1].to_string();
        let theirs = self.other.post_until_answered(&address, TASKS, &self.task(row), Some(&self.key(row))).await?;
        let mut found = self.made(row, 2).await?;
        if theirs.replayed || theirs.status != 201 {
            found.push(format!("{row}: another one's key was answered with {}", theirs.text));
        }
        Ok(found)
    }

    async fn other_route(&self) -> anyhow::Result<Vec<Violation>> {
        let row = "route";
        let first = self.post(0, row).await?;
        let (address, path) = (self.world.direct[1].to_string(), format!("{TASKS}/{}/cancel", first.id()));
        let cancelled = self.mine.post_until_answered(&address, &path, &json!({}), Some(&self.key(row))).await?;
        let is_done = cancelled.status == 200 && cancelled.json()["state"] == "cancelled";
        Ok(if is_done { vec![] } else { vec![format!("{row}: {} {}", cancelled.status, cancelled.text)] })
    }

    /// The answer outlives the process that gave it.
    async fn killed(&self) -> anyhow::Result<Vec<Violation>> {
        let row = "killed";
        let first = self.post(0, row).await?;
        self.world.kill_server(0).await?;
        self.world.start_server(0, None).await?;
        self.world.wait_until_ready(0).await?;
        let second = self.post(0, row).await?;
        let mut found = self.made(row, 1).await?;
        if !second.replayed || second.json() != first.json() {
            found.push(format!("{row}: {} and then {}", first.text, second.text));
        }
        Ok(found)
    }

    /// A day later, which is made by hand.
    async fn expiry(&self) -> anyhow::Result<Vec<Violation>> {
        let row = "expiry";
        let first = self.post(0, row).await?;
        let later = "update idempotency set expires_at = expires_at - interval '24 hours' where key = $1 returning expires_at - clock_timestamp() < '0'";
        let is_over: bool = sqlx::query_scalar(later).bind(self.key(row)).fetch_one(&self.pool).await?;
        let second = self.post(1, row).await?;
        let mut found = self.made(row, 2).await?;
        if !is_over || second.replayed || second.id().parse::<Uuid>().is_err() || second.id() == first.id() {
            found.push(format!("{row}: {} and then {}", first.text, second.text));
        }
        Ok(found)
    }
}
