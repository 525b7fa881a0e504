//! Every route that changes something, as the server's own description lists them, and what it takes to make each take effect once.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use sqlx::PgPool;

use crate::{api::Api, world::World};

/// A request that takes effect when it is sent the first time.
pub struct Ready {
    pub path: String,
    pub body: Value,
}

/// The paths of those that take an `Idempotency-Key`.
pub async fn all(api: &Api, address: &str) -> anyhow::Result<Vec<String>> {
    let document = api.get(address, "/api/openapi.json").await?.json();
    let paths = document["paths"].as_object().context("the description has no paths")?;
    let takes_key = |operation: &Value| {
        let parameters = operation["post"]["parameters"].as_array();
        parameters.is_some_and(|parameters| parameters.iter().any(|parameter| parameter["name"] == "Idempotency-Key"))
    };
    Ok(paths.iter().filter(|(_, operations)| takes_key(operations)).map(|(path, _)| path.clone()).collect())
}

/// Names the repository once: whichever request were the first to do so would have one effect more than when it is cut.
pub async fn first_of_all(world: &World, pool: &PgPool, api: &Api, address: &str) -> anyhow::Result<()> {
    Maker { world, pool, api, address }.task().await.map(drop)
}

/// Prepares what the route needs. Nothing when nobody has said here what that is.
pub async fn prepare(world: &World, pool: &PgPool, api: &Api, address: &str, route: &str) -> anyhow::Result<Option<Ready>> {
    let maker = Maker { world, pool, api, address };
    let ready = |path: String, body: Value| Ok(Some(Ready { path, body }));
    let (noun, act) = route.strip_prefix("/api/v1/").and_then(|rest| rest.split_once('/')).unwrap_or((route, ""));
    match (noun, act) {
        ("/api/v1/tasks", "") => ready(route.into(), maker.new_task()),
        ("tasks", "batch") => ready(route.into(), json!({"tasks": [maker.new_task(), maker.new_task()]})),
        ("tasks", "bulk") => {
            let ids = [maker.task().await?, maker.task().await?];
            ready(route.into(), json!({"act": "prioritise", "priority": "high", "ids": ids}))
        }
        ("tasks", "{id}/dependencies") => {
            let (parent, child) = (maker.task().await?, maker.task().await?);
            ready(route.replace("{id}", &child), json!({"depends_on": [parent]}))
        }
        ("tasks", "{id}/cancel" | "{id}/pause") => ready(route.replace("{id}", &maker.task().await?), json!({})),
        ("tasks", "{id}/resume") => ready(route.replace("{id}", &maker.task_after("pause").await?), json!({})),
        ("tasks", "{id}/retry") => ready(route.replace("{id}", &maker.task_after("cancel").await?), json!({})),
        ("tasks", "{id}/land") => ready(route.replace("{id}", &maker.done_task().await?), json!({"how": "push"})),
        ("tasks", "{id}/discard") => ready(route.replace("{id}", &maker.dead_task().await?), json!({})),
        ("tasks", "{id}/approve" | "{id}/reject") => {
            let run = maker.run().await?;
            let gates = run["steps"].as_array().into_iter().flatten().filter(|step| step["kind"] == "approval");
            let gate = gates.filter_map(|step| step["task"].as_str()).next().context("the run has no gate")?.to_owned();
            ready(route.replace("{id}", &gate), json!({}))
        }
        ("tasks", "{id}/session/messages") => ready(route.replace("{id}", &maker.task_with_an_agent().await?), json!({"text": "Go on"})),
        ("approvals", "{id}/answer") => ready(route.replace("{id}", &maker.question().await?), json!({"decision": "allow"})),
        ("/api/v1/approval-rules", "") => ready(route.into(), json!({"kind": "command", "pattern": new_name("make")})),
        ("/api/v1/workflows", "") => ready(route.into(), json!({"source": maker.definition()})),
        ("workflows", "{name}/runs") => ready(route.replace("{name}", &maker.workflow().await?), json!({})),
        ("runs", "{id}/cancel" | "{id}/pause") => ready(route.replace("{id}", &maker.run_id().await?), json!({})),
        ("runs", "{id}/events") => ready(route.replace("{id}", &maker.run_id().await?), json!({"name": "built"})),
        ("runs", "{id}/change") => {
            let source = "add: [{id: later, title: Later, needs: [built], approval: {}}]";
            ready(route.replace("{id}", &maker.run_id().await?), json!({"source": source}))
        }
        ("runs", "{id}/resume") => ready(route.replace("{id}", &maker.run_after("pause").await?), json!({})),
        ("runs", "{id}/restart") => ready(route.replace("{id}", &maker.run_after("cancel").await?), json!({})),
        ("/api/v1/views", "") => ready(route.into(), json!({"name": new_name("view"), "filter": {"state": "failed"}})),
        ("workspace", "isolation") => {
            maker.made(route, &json!({"isolation": "sandbox"})).await?;
            ready(route.into(), json!({"isolation": "none"}))
        }
        ("workspace", "auto-pull") => {
            maker.made(route, &json!({"auto_pull": false})).await?;
            ready(route.into(), json!({"auto_pull": true}))
        }
        ("queue", "pause") => {
            maker.queue("resume").await?;
            ready(route.into(), json!({}))
        }
        ("queue", "resume") => {
            maker.queue("pause").await?;
            ready(route.into(), json!({}))
        }
        ("runners", "{id}/drain") => ready(route.replace("{id}", &maker.runner().await?), json!({})),
        ("runners", "{id}/resume") => ready(route.replace("{id}", &maker.drained_runner().await?), json!({})),
        ("/api/v1/endpoints", "") => ready(route.into(), json!({"name": new_name("endpoint"), "url": new_url()})),
        ("endpoints", "{id}/pulls") => ready(route.replace("{id}", &maker.endpoint().await?), json!({"model": "tiny"})),
        ("pulls", "{id}/cancel") => {
            // held by a server that there is not, or one of these would find that nobody answers before it is left off
            let pull = "insert into endpoint_pull (id, workspace_id, endpoint_id, model, state, asked_by, asked_at, held_until)
                        select gen_random_uuid(), workspace_id, id, 'tiny:1b', 'pulling', 'system', now(), now() + interval '1 day'
                        from endpoint where id = $1::uuid returning id::text";
            let pull: String = sqlx::query_scalar(pull).bind(maker.endpoint().await?).fetch_one(pool).await?;
            ready(route.replace("{id}", &pull), json!({}))
        }
        _ => Ok(None),
    }
}

/// The runner of what no runner has done here.
const PLAYED: &str = "insert into runner (id, name, slots, created_at, last_seen_at)
                      values ('00000000-0000-7000-8000-0000000000aa', 'played', 1, now(), now()) on conflict (id) do nothing";

struct Maker<'a> {
    world: &'a World,
    pool: &'a PgPool,
    api: &'a Api,
    address: &'a str,
}

impl Maker<'_> {
    async fn made(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let answer = self.api.post_until_answered(self.address, path, body, None).await?;
        ensure!(answer.is_success(), "{path} answered {}: {}", answer.status, answer.text);
        Ok(answer.json())
    }

    fn new_task(&self) -> Value {
        json!({"title": "A task", "repository": self.world.machine.repository(), "command": "true"})
    }

    async fn task(&self) -> anyhow::Result<String> {
        let task = self.made("/api/v1/tasks", &self.new_task()).await?;
        Ok(task["id"].as_str().context("a task without an id")?.to_owned())
    }

    async fn task_after(&self, act: &str) -> anyhow::Result<String> {
        let id = self.task().await?;
        self.made(&format!("/api/v1/tasks/{id}/{act}"), &json!({})).await?;
        Ok(id)
    }

    /// Nobody takes a task here, so that one cannot come to this by itself.
    async fn dead_task(&self) -> anyhow::Result<String> {
        let id = self.task().await?;
        let set_aside = r#"update task set state = 'dead', queued_at = null, turn = null, ended_at = now(),
                             failure = '{"code": "queue_expired", "message": "nobody took it"}' where id = $1::uuid"#;
        sqlx::query(set_aside).bind(&id).execute(self.pool).await?;
        Ok(id)
    }

    /// As a runner would leave it that has saved something: nobody takes a task here. What is to land waits for it.
    async fn done_task(&self) -> anyhow::Result<String> {
        let id = self.task().await?;
        let mut tx = self.pool.begin().await?;
        sqlx::query(PLAYED).execute(&mut *tx).await?;
        for statement in [
            "insert into attempt (id, workspace_id, task_id, number, runner_id, state, claimed_at, lease_until, log_start, branch, commit_id)
             select gen_random_uuid(), workspace_id, id, 1, '00000000-0000-7000-8000-0000000000aa', 'verifying', now(), now(), 0, 'muster/x-1',
                    '0123456789abcdef' from task where id = $1::uuid",
            "update attempt set state = 'succeeded', ended_at = now() where task_id = $1::uuid",
            "update task set state = 'running', queued_at = null, turn = null, attempts = 1 where id = $1::uuid",
            "update task set state = 'verifying' where id = $1::uuid",
            "update task set state = 'succeeded', ended_at = now() where id = $1::uuid",
        ] {
            sqlx::query(statement).bind(&id).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(id)
    }

    /// As a runner would leave it that carries out a prompt: nobody does here.
    async fn task_with_an_agent(&self) -> anyhow::Result<String> {
        let new = json!({"title": "A prompt", "repository": self.world.machine.repository(), "prompt": "Go"});
        let task = self.made("/api/v1/tasks", &new).await?;
        let id = task["id"].as_str().context("a task without an id")?.to_owned();
        let mut tx = self.pool.begin().await?;
        sqlx::query(PLAYED).execute(&mut *tx).await?;
        for statement in [
            "insert into attempt (id, workspace_id, task_id, number, runner_id, state, claimed_at, started_at, lease_until, log_start)
             select gen_random_uuid(), workspace_id, id, 1, '00000000-0000-7000-8000-0000000000aa', 'running', now(), now(),
                    now() + interval '1 day', 0 from task where id = $1::uuid",
            "update task set state = 'running', queued_at = null, attempts = 1 where id = $1::uuid",
            r#"insert into session_event (workspace_id, attempt_id, number, at, kind, payload, bytes, total)
               select workspace_id, id, 1, now(), 'message', '{"type": "message", "text": "I look around"}', 1, 1
               from attempt where task_id = $1::uuid"#,
        ] {
            sqlx::query(statement).bind(&id).execute(&mut *tx).await?;
        }
        tx.commit().await?;
        Ok(id)
    }

    /// As a runner would leave it whose agent asks.
    async fn question(&self) -> anyhow::Result<String> {
        let asks = r#"insert into approval (id, workspace_id, task_id, attempt_id, question, kind, tool, subject, input, backend, isolation,
                                            asked_at, deadline)
                      select gen_random_uuid(), workspace_id, task_id, id, 1, 'command', 'Bash', 'ls', '{"command": "ls"}', 'claude-code', 'none',
                             now(), now() + interval '1 day' from attempt where task_id = $1::uuid returning id::text"#;
        Ok(sqlx::query_scalar(asks).bind(self.task_with_an_agent().await?).fetch_one(self.pool).await?)
    }

    /// Of a name that there was not before.
    fn definition(&self) -> String {
        let steps = json!([{"id": "ask", "title": "Ask", "approval": {}}, {"id": "built", "title": "Built", "event": {"name": "built"}}]);
        json!({"name": new_name("gates"), "repository": self.world.machine.repository(), "steps": steps}).to_string()
    }

    async fn workflow(&self) -> anyhow::Result<String> {
        let made = self.made("/api/v1/workflows", &json!({"source": self.definition()})).await?;
        Ok(made["name"].as_str().context("a workflow without a name")?.to_owned())
    }

    async fn run(&self) -> anyhow::Result<Value> {
        let name = self.workflow().await?;
        self.made(&format!("/api/v1/workflows/{name}/runs"), &json!({})).await
    }

    async fn run_id(&self) -> anyhow::Result<String> {
        Ok(self.run().await?["id"].as_str().context("a run without an id")?.to_owned())
    }

    async fn run_after(&self, act: &str) -> anyhow::Result<String> {
        let id = self.run_id().await?;
        self.made(&format!("/api/v1/runs/{id}/{act}"), &json!({})).await?;
        Ok(id)
    }

    async fn queue(&self, act: &str) -> anyhow::Result<()> {
        // It may be as it is to be already.
        self.api.post_until_answered(self.address, &format!("/api/v1/queue/{act}"), &json!({}), None).await.map(drop)
    }

    /// Of a machine that has joined, and was never heard.
    async fn runner(&self) -> anyhow::Result<String> {
        let token = self.made("/api/v1/runner-tokens", &json!({})).await?["token"].clone();
        let name = new_name("runner");
        // 32 bytes as base64, others each time: with the same key it would be the same runner
        let public_key = format!("{:0>42}A=", name.replace('-', ""));
        let joined = self.made("/api/v1/runners", &json!({"token": token, "public_key": public_key, "name": name})).await?;
        Ok(joined["id"].as_str().context("a runner without an id")?.to_owned())
    }

    /// Where nobody answers.
    async fn endpoint(&self) -> anyhow::Result<String> {
        let endpoint = self.made("/api/v1/endpoints", &json!({"name": new_name("endpoint"), "url": new_url()})).await?;
        Ok(endpoint["id"].as_str().context("an endpoint without an id")?.to_owned())
    }

    async fn drained_runner(&self) -> anyhow::Result<String> {
        let id = self.runner().await?;
        self.made(&format!("/api/v1/runners/{id}/drain"), &json!({})).await?;
        Ok(id)
    }
}

/// Of a machine that there is not: the name is for no machine (RFC 2606).
fn new_url() -> String {
    format!("http://{}.invalid:11434", new_name("endpoint"))
}

/// One that there was not before.
fn new_name(kind: &str) -> String {
    static NAMES: AtomicU32 = AtomicU32::new(0);
    format!("{kind}-{}", NAMES.fetch_add(1, Ordering::Relaxed))
}

/// How many rows each table has that holds what people asked for. Left out are the answers to them, and what a tick writes down by itself.
pub async fn rows(pool: &PgPool) -> anyhow::Result<Value> {
    let tables = "select table_name::text from information_schema.tables
                  where table_schema = 'public' and table_type = 'BASE TABLE' and table_name not in
                    ('idempotency', 'session', '_sqlx_migrations', 'runner_horizon', 'runner_period')
                  order by 1";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(pool).await?;
    let counts: Vec<_> = tables.iter().map(|table| format!("select '{table}' as name, count(*) as rows from \"{table}\"")).collect();
    let statement = format!("select jsonb_object_agg(name, rows)::text from ({}) as counted", counts.join(" union all "));
    let counted: String = sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_one(pool).await?;
    Ok(serde_json::from_str(&counted)?)
}

/// What was added, by table.
pub fn added(before: &Value, after: &Value) -> Vec<(String, i64)> {
    let tables = after.as_object().into_iter().flatten();
    let grown = tables.map(|(table, rows)| (table.clone(), rows.as_i64().unwrap_or(0) - before[table].as_i64().unwrap_or(0)));
    grown.filter(|(_, more)| *more != 0).collect()
}
