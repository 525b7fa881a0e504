//! Endpoints from the outside: two that play Ollama, looked at and made to pull by the server, share the work.

use chrono::TimeDelta;
use domain::{
    Role, RunnerId,
    endpoint::CHECK_SECONDS,
    protocol::{Hello, ToRunner, ToServer, VERSION},
    runner::{
        HostReading,
        reading::{CpuReading, STALE_AFTER_SECONDS},
    },
};
use engine::{Entrance, Service};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use server::{
    endpoint_keeper::EndpointKeeper,
    fake_provider::{Scenarios, serve},
};
use sqlx::PgPool;
use tests::{Client, TestApp};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// A fake provider, which speaks Ollama's API among others.
struct Fake {
    address: String,
    stop: CancellationToken,
    served: JoinHandle<std::io::Result<()>>,
}

impl Fake {
    async fn start() -> Self {
        Self::at("127.0.0.1:0").await
    }

    async fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let stop = CancellationToken::new();
        let served = TaskTracker::new().spawn(serve(listener, Scenarios::built_in().unwrap(), stop.clone()));
        Self { address, stop, served }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Asks a model something, so that it is loaded.
    async fn loads(&self, model: &str) {
        let body = json!({"model": model, "stream": false, "messages": [{"role": "user", "content": "Hello"}]}).to_string();
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let head = format!("POST /api/chat HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// Where it listens, once nobody does any more.
    async fn goes_away(self) -> String {
        self.stop.cancel();
        self.served.await.unwrap().unwrap();
        self.address
    }
}

/// A server's keeper, stepped by hand.
struct Keeper {
    keeper: EndpointKeeper,
    begun: TaskTracker,
}

impl Keeper {
    fn new(own_machine: bool) -> Self {
        let begun = TaskTracker::new();
        Self { keeper: EndpointKeeper::new(own_machine, begun.clone(), CancellationToken::new()), begun }
    }

    /// Until what it has begun to look at, and to pull, has ended.
    async fn looks(&mut self, app: &TestApp) {
        self.keeper.tick(&app.test.engine).await.unwrap();
        self.begun.close();
        self.begun.wait().await;
        self.begun.reopen();
    }
}

/// A machine whose runner says over its link how busy the processors are.
async fn machine(app: &TestApp, number: u32, percent: u32) -> RunnerId {
    let (to_server, from_runner) = mpsc::channel(9);
    let (to_runner, mut told) = mpsc::channel(9);
    TaskTracker::new().spawn(engine::serve_runner(app.test.engine.clone(), Entrance::Here, from_runner, to_runner));
    assert!(matches!(told.recv().await, Some(ToRunner::Opened { .. })));
    let runner_id = format!("00000000-0000-7000-8000-{number:012}").parse().unwrap();
    let hello = Hello {
        version: VERSION,
        runner_id,
        name: format!("machine {number}"),
        slots: 1,
        capabilities: vec![],
        attempts: vec![],
        lost: vec![],
        proof: String::new(),
        no_sandbox: None,
        lands: false,
        backends: vec![],
        rooms: None,
        left_behind: None,
        takes_slots: false,
        keeps: vec![],
    };
    to_server.send(ToServer::Hello(hello)).await.unwrap();
    assert!(matches!(told.recv().await, Some(ToRunner::Welcome { .. })));
    let cpu = CpuReading { percent, millicores: 4000, is_limited: false, load_percent: None };
    let reading = Box::new(HostReading { cpu: Some(cpu), ..HostReading::default() });
    to_server.send(ToServer::Reading { reading, endpoint: None, age_seconds: 0, optional: true }).await.unwrap();
    to_server.send(ToServer::Heartbeat { beat: 1, attempts: vec![], left_behind: None }).await.unwrap();
    assert!(matches!(told.recv().await, Some(ToRunner::Renewed { .. })), "the reading is kept by now");
    runner_id
}

async fn register(admin: &Client, name: &str, url: &str) -> String {
    register_as(admin, &json!({"name": name, "url": url})).await
}

async fn register_as(admin: &Client, new: &Value) -> String {
    let answer = admin.post("/api/v1/endpoints", new).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), format!("/api/v1/endpoints/{id}"));
    id
}

async fn endpoint(client: &Client, id: &str) -> Value {
    client.get(&format!("/api/v1/endpoints/{id}")).await.json()
}

fn states(endpoint: &Value) -> Vec<(&str, &str)> {
    let models = endpoint["models"].as_array().unwrap().iter();
    models.map(|model| (model["name"].as_str().unwrap(), model["state"].as_str().unwrap())).collect()
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn two_hosts_with_the_same_warm_model_share_the_work_towards_the_less_loaded_one(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let (admin, script) = (app.script(Role::Admin).await, app.script(Role::Member).await);
    let (one, other) = (Fake::start().await, Fake::start().await);
    let ids = [register(&admin, "one", &one.url()).await, register(&admin, "other", &other.url()).await];
    let mut keeper = Keeper::new(true);
    one.loads("fake-large").await;
    keeper.looks(&app).await;
    assert_eq!(states(&endpoint(&script, &ids[0]).await), [("fake-large", "warm"), ("fake-small", "cold")]);
    assert_eq!(states(&endpoint(&script, &ids[1]).await), [("fake-large", "cold"), ("fake-small", "cold")]);
    let choice = script.get("/api/v1/endpoints/choose?model=fake-large").await.json();
    assert_eq!((&choice["chosen"], &choice["considered"][0]["reasons"][0]), (&json!(ids[0]), &json!("it has the model loaded")));

    other.loads("fake-large").await;
    app.test.advance(TimeDelta::seconds(CHECK_SECONDS));
    keeper.looks(&app).await;
    let runner = app.test.runner_with("able", &["opencode"]).await;
    let agent = json!({"backend": "opencode", "model": "fake-large"});
    for number in 0..6 {
        let new = json!({"title": format!("Task {number}"), "repository": "/srv/app", "prompt": "Tidy up", "agent": agent});
        assert_eq!(script.post("/api/v1/tasks", &new).await.status, StatusCode::CREATED);
    }
    let claimed = runner.claims(6).await;
    let given: Vec<_> = claimed.iter().map(|assignment| assignment.endpoint.as_ref().unwrap().url.clone()).collect();
    let in_turn: Vec<_> = (0..6).map(|number| if number % 2 == 0 { one.url() } else { other.url() }).collect();
    assert_eq!(given, in_turn);

    // what is given next goes where there is less to do
    for assignment in claimed.iter().filter(|assignment| assignment.endpoint.as_ref().unwrap().url == other.url()) {
        runner.succeeds(assignment).await.unwrap();
    }
    for number in 0..3 {
        let new = json!({"title": format!("More {number}"), "repository": "/srv/app", "prompt": "Tidy up", "agent": agent});
        assert_eq!(script.post("/api/v1/tasks", &new).await.status, StatusCode::CREATED);
    }
    let next = runner.claims(3).await;
    assert!(next.iter().all(|assignment| assignment.endpoint.as_ref().unwrap().url == other.url()), "{next:?}");
    let task = script.get(&format!("/api/v1/tasks/{}", next[0].attempt.task_id)).await.json();
    let kept = &task["attempt_list"][0]["endpoint"];
    assert_eq!((&kept["name"], kept["reasons"].as_array().unwrap().len()), (&json!("other"), 2), "{task}");
    let ada = app.ada().await.with("accept", "text/html");
    let page = ada.get(&format!("/tasks/{}?view=attempts", next[0].attempt.task_id)).await.text;
    assert!(page.contains(", as it has the model loaded; load 50: "), "why it was chosen is read without a pointer: {page}");
}

/// By what the runners of their machines read, with real Ollamas' answers on both sides.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn six_tasks_go_where_the_processors_have_less_to_do(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let (admin, script) = (app.script(Role::Admin).await, app.script(Role::Member).await);
    let (idle, busy) = (Fake::start().await, Fake::start().await);
    for (fake, name, percent) in [(&busy, "busy", 90), (&idle, "idle", 5)] {
        let runner = machine(&app, percent, percent).await;
        register_as(&admin, &json!({"name": name, "url": fake.url(), "machine_of": runner.to_string()})).await;
        fake.loads("fake-large").await;
    }
    Keeper::new(true).looks(&app).await;
    let runner = app.test.runner_with("able", &["opencode"]).await;
    for number in 0..6 {
        let agent = json!({"backend": "opencode", "model": "fake-large"});
        let new = json!({"title": format!("Task {number}"), "repository": "/srv/app", "prompt": "Tidy up", "agent": agent});
        assert_eq!(script.post("/api/v1/tasks", &new).await.status, StatusCode::CREATED);
    }
    let given: Vec<_> = runner.claims(6).await.into_iter().map(|assignment| assignment.endpoint.unwrap().name).collect();
    // 5, 30, 55 and 80 are less than 90, and then 105 is more
    assert_eq!(given, ["idle", "idle", "idle", "idle", "busy", "idle"]);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_machine_of_which_nothing_newer_has_come_is_shown_as_stale(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.ada().await.with("accept", "text/html");
    let id = machine(&app, 5, 35).await;
    let pages = ["/runners".to_owned(), format!("/runners/{id}")];
    let says = format!("Nothing newer has come for more than {STALE_AFTER_SECONDS} s");
    for page in &pages {
        let text = ada.get(page).await.text;
        assert!(text.contains("35 %") && !text.contains("Stale"), "{text}");
    }
    app.test.advance(TimeDelta::seconds(STALE_AFTER_SECONDS + 1));
    for page in &pages {
        let text = ada.get(page).await.text;
        assert!(text.contains("35 %") && text.contains("Stale"), "what was read last is shown as that: {text}");
        assert_eq!(text.contains(&says), *page != pages[0], "{text}");
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn one_that_goes_away_is_unhealthy_within_one_cycle_and_back_within_one(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let admin = app.script(Role::Admin).await;
    let fake = Fake::start().await;
    let (id, mut keeper) = (register(&admin, "box", &fake.url()).await, Keeper::new(true));
    assert_eq!(endpoint(&admin, &id).await["health"], "unknown");
    keeper.looks(&app).await;
    assert_eq!(endpoint(&admin, &id).await["health"], "healthy");
    let address = fake.goes_away().await;
    app.test.advance(TimeDelta::seconds(CHECK_SECONDS));
    keeper.looks(&app).await;
    let gone = endpoint(&admin, &id).await;
    assert_eq!((&gone["health"], &gone["why"]), (&json!("unhealthy"), &json!("Connection refused")));
    let choice = admin.get("/api/v1/endpoints/choose?model=fake-large").await.json();
    assert_eq!((&choice["chosen"], &choice["considered"][0]["fits"]), (&Value::Null, &json!(false)));
    let _back = Fake::at(&address).await;
    app.test.advance(TimeDelta::seconds(CHECK_SECONDS));
    keeper.looks(&app).await;
    let back = endpoint(&admin, &id).await;
    assert_eq!((&back["health"], &back["why"], &back["version"]), (&json!("healthy"), &Value::Null, &json!("0.0.0-fake")));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_missing_model_is_pulled_or_it_is_said_why_not(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let admin = app.script(Role::Admin).await;
    let fake = Fake::start().await;
    let (id, mut keeper) = (register(&admin, "box", &fake.url()).await, Keeper::new(true));
    let pull = async |model: &str| admin.post(&format!("/api/v1/endpoints/{id}/pulls"), &json!({"model": model})).await;
    let waiting = pull("tiny").await;
    assert_eq!((waiting.status, &waiting.json()["state"]), (StatusCode::CREATED, &json!("waiting")));
    let place = waiting.header("location").to_owned();
    assert_eq!(admin.get(&place).await.json(), waiting.json(), "{place}");
    assert_eq!(pull("Tiny:Latest").await.problem(), ["409 /problems/conflict"]);
    assert_eq!(pull("two words").await.problem(), ["422 /problems/invalid", "/model malformed"]);
    assert_eq!(pull("missing").await.status, StatusCode::CREATED);
    assert_eq!(app.stranger(&pool).await.get(&place).await.problem(), ["404 /problems/not-found"]);
    keeper.looks(&app).await;
    let open = endpoint(&admin, &id).await["pulls"].as_array().unwrap().iter().filter(|pull| pull["state"] == "waiting").count();
    assert_eq!(open, 2, "before it was looked at, nobody knows that it answers");
    keeper.looks(&app).await;
    let pulls = endpoint(&admin, &id).await["pulls"].clone();
    let of = |model: &str| pulls.as_array().unwrap().iter().find(|pull| pull["model"] == format!("{model}:latest")).unwrap();
    assert_eq!(
        (&of("tiny")["state"], &of("tiny")["completed"], &of("tiny")["total"]),
        (&json!("done"), &json!(1_000_000), &json!(1_000_000))
    );
    assert_eq!(of("missing")["state"], "failed");
    assert_eq!(admin.get(&place).await.json()["state"], "done");
    assert_eq!(of("missing")["why"], "pull model manifest: file does not exist");
    app.test.advance(TimeDelta::seconds(CHECK_SECONDS));
    keeper.looks(&app).await;
    assert!(states(&endpoint(&admin, &id).await).contains(&("tiny:latest", "cold")));
    let ended = of("tiny")["id"].as_str().unwrap();
    assert_eq!(admin.post(&format!("/api/v1/pulls/{ended}/cancel"), &json!({})).await.problem(), ["409 /problems/conflict"]);
}

/// As one that is updated: it is down for seconds, and was seen healthy just before.
#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_line_of_pulls_outlives_an_endpoint_that_is_away_for_a_moment(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let admin = app.script(Role::Admin).await;
    let fake = Fake::start().await;
    let (id, mut keeper) = (register(&admin, "box", &fake.url()).await, Keeper::new(true));
    keeper.looks(&app).await;
    assert_eq!(endpoint(&admin, &id).await["health"], "healthy");
    for model in ["tiny", "small", "third"] {
        let answer = admin.post(&format!("/api/v1/endpoints/{id}/pulls"), &json!({"model": model})).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    }
    let states = async || {
        let endpoint = endpoint(&admin, &id).await;
        let mut states: Vec<_> =
            endpoint["pulls"].as_array().unwrap().iter().map(|pull| pull["state"].as_str().unwrap().to_owned()).collect();
        states.sort();
        states
    };
    let address = fake.goes_away().await;
    keeper.looks(&app).await;
    assert_eq!(states().await, ["pulling", "pulling", "waiting"], "nobody answered, so nothing has ended");
    let away = endpoint(&admin, &id).await;
    assert_eq!((&away["health"], &away["why"]), (&json!("unhealthy"), &json!("Connection refused")), "nor is the next one tried");
    keeper.looks(&app).await;
    assert_eq!(states().await, ["pulling", "pulling", "waiting"]);

    let _back = Fake::at(&address).await;
    app.test.advance(engine::PULL_HELD);
    for _ in 0..3 {
        keeper.looks(&app).await;
    }
    assert_eq!(states().await, ["done", "done", "done"]);
}

/// As an Ollama behind a proxy that lets nobody pull: it says what it has.
async fn lets_nobody_pull(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let mut asked = vec![0; 4096];
        let read = stream.read(&mut asked).await.unwrap_or(0);
        let status = if asked[..read].starts_with(b"POST /api/pull") { "503 Service Unavailable" } else { "200 OK" };
        let body = json!({"models": [], "version": "0.9.1"}).to_string();
        let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        // who has gone away is told nothing more
        let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
        let _ = stream.shutdown().await;
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn one_that_only_does_not_pull_is_healthy_for_everybody(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let admin = app.script(Role::Admin).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    TaskTracker::new().spawn(lets_nobody_pull(listener));
    let (id, mut keeper) = (register(&admin, "box", &url).await, Keeper::new(true));
    keeper.looks(&app).await;
    let asked = admin.post(&format!("/api/v1/endpoints/{id}/pulls"), &json!({"model": "tiny"})).await;
    assert_eq!(asked.status, StatusCode::CREATED, "{}", asked.text);
    keeper.looks(&app).await;
    let there = endpoint(&admin, &id).await;
    assert_eq!((&there["health"], &there["why"], &there["pulls"][0]["state"]), (&json!("healthy"), &Value::Null, &json!("pulling")));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_task_waits_for_a_model_that_is_pulled_by_itself_and_its_page_says_so(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let (admin, script) = (app.script(Role::Admin).await, app.script(Role::Member).await);
    let ada = app.ada().await.with("accept", "text/html");
    let fake = Fake::start().await;
    register(&admin, "box", &fake.url()).await;
    let mut keeper = Keeper::new(true);
    keeper.looks(&app).await;
    assert_eq!(admin.post("/api/v1/workspace/auto-pull", &json!({"auto_pull": true})).await.problem(), ["403 /problems/forbidden"]);
    let allowed = ada.form("/_fn/set_auto_pull", &[("auto_pull", "true")]).await;
    assert_eq!((allowed.status, allowed.header("location")), (StatusCode::FOUND, "/endpoints"), "{}", allowed.text);
    assert!(ada.get("/endpoints").await.text.contains("Pull models by hand"));

    let runner = app.test.runner_with("able", &["opencode"]).await;
    let created = async |model: &str| {
        let agent = json!({"backend": "opencode", "model": model});
        let new = json!({"title": model, "repository": "/srv/app", "prompt": "Tidy up", "agent": agent});
        script.post("/api/v1/tasks", &new).await.json()["id"].as_str().unwrap().to_owned()
    };
    let (tiny, missing) = (created("tiny").await, created("missing").await);
    assert!(runner.claims(2).await.is_empty());
    let page = ada.get(&format!("/tasks/{tiny}")).await.text;
    assert!(page.contains("Waits for its model") && page.contains("box is to pull tiny:latest, and has not begun"), "{page}");
    let waiting = script.get(&format!("/api/v1/tasks/{tiny}")).await.json();
    assert_eq!(
        (&waiting["state"], &waiting["awaits_model"], &waiting["awaited_pull"]["endpoint"]),
        (&json!("queued"), &json!(true), &json!("box"))
    );

    keeper.looks(&app).await;
    app.test.keep_time().await;
    assert!(runner.claims(2).await.is_empty(), "nobody has seen it there");
    let failed = script.get(&format!("/api/v1/tasks/{missing}")).await.json();
    assert_eq!((&failed["state"], &failed["failure"]["code"]), (&json!("failed"), &json!("model_unavailable")));
    assert_eq!(failed["failure"]["message"], "missing could not be pulled at box: pull model manifest: file does not exist");
    app.test.advance(TimeDelta::seconds(CHECK_SECONDS));
    keeper.looks(&app).await;
    app.test.keep_time().await;
    let begun = runner.claims_one().await;
    assert_eq!((begun.title.as_str(), begun.endpoint.map(|endpoint| endpoint.url)), ("tiny", Some(fake.url())));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_servers_own_machine_is_asked_only_when_it_may_be(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let admin = app.script(Role::Admin).await;
    let fake = Fake::start().await;
    let id = register(&admin, "box", &fake.url()).await;
    Keeper::new(false).looks(&app).await;
    let refused = endpoint(&admin, &id).await;
    assert_eq!(refused["health"], "unhealthy");
    assert!(refused["why"].as_str().unwrap().contains("own machine"), "{refused}");
    for (url, code) in [
        ("http://169.254.169.254/latest", "refused"),
        ("file:///etc/passwd", "malformed"),
        ("http://ada:secret@box", "malformed"),
        ("http://box?x", "malformed"),
        ("http://box:6379", "refused"),
        ("http://2852039166", "refused"),
    ] {
        let answer = admin.post("/api/v1/endpoints", &json!({"name": "other", "url": url})).await;
        assert_eq!(answer.problem(), ["422 /problems/invalid".to_owned(), format!("/url {code}")], "{url}");
    }
    let member = app.script(Role::Member).await;
    let new = json!({"name": "other", "url": "http://other"});
    assert_eq!(member.post("/api/v1/endpoints", &new).await.problem(), ["403 /problems/forbidden"]);
    assert_eq!(member.get("/api/v1/endpoints/choose").await.problem(), ["422 /problems/invalid", "/model required"]);
    let removed = admin.send(Method::DELETE, &format!("/api/v1/endpoints/{id}"), None, axum::body::Body::empty()).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    assert_eq!(member.get("/api/v1/endpoints").await.json(), json!([]));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn the_pages_tell_of_endpoints_and_carry_out_what_is_asked_without_scripts(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let ada = app.ada().await.with("accept", "text/html");
    let fake = Fake::start().await;
    assert!(ada.get("/endpoints").await.text.contains("No endpoint yet"));
    let made = ada.form("/_fn/register_endpoint", &[("name", "box"), ("url", &fake.url())]).await;
    assert_eq!(made.status, StatusCode::FOUND, "{}", made.text);
    let page = made.header("location").to_owned();
    assert!(page.starts_with("/endpoints/"), "{page}");
    fake.loads("fake-large").await;
    Keeper::new(true).looks(&app).await;
    let text = ada.get(&page).await.text;
    for words in ["Healthy", "fake-large", "Warm", "Cold", "registered by Ada"] {
        assert!(text.contains(words), "{words}");
    }
    let lacking = ada.get("/endpoints?model=nobody-has-it").await.text;
    assert!(lacking.contains("None for nobody-has-it") && lacking.contains(&format!("{page}?pull=nobody-has-it#pulls")), "{lacking}");
    assert!(ada.get(&format!("{page}?pull=nobody-has-it")).await.text.contains("value=\"nobody-has-it\""));
    let id = page.trim_start_matches("/endpoints/");
    assert_eq!(ada.form("/_fn/pull_model", &[("id", id), ("model", "tiny")]).await.header("location"), page);
    let text = ada.get(&page).await.text;
    assert!(text.contains("<progress") && text.contains("Leave it off"), "{text}");
    let chosen = ada.get("/endpoints?model=fake-large").await.text;
    assert!(chosen.contains("box for fake-large") && chosen.contains("it has the model loaded"), "{chosen}");
    assert_eq!(ada.get("/endpoints/01a1f914-724f-71f2-8061-72d06c3f9299").await.status, StatusCode::NOT_FOUND);
}
