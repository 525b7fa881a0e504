//! The harness of the black-box tests: a whole Muster on a test's own database, and the people and programs that talk to it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a harness fails loudly")]

pub mod machine;
pub mod their_postgres;
pub mod work;

use axum::{Router, body::Body};
use domain::{Actor, Role};
use engine::{
    Clock,
    testing::{PASSWORD, TestEngine},
};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use leptos::config::LeptosOptions;
use serde_json::Value;
use server::{
    router::{ServerState, router},
    runner_link::{Limits, Links},
};
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub const ORIGIN: &str = "http://muster.test";

/// A Muster without a network: requests go straight into its router.
pub struct TestApp {
    pub test: TestEngine,
    pub stop: CancellationToken,
    pub router: Router,
}

impl TestApp {
    pub async fn new(pool: &PgPool) -> Self {
        Self::on(TestEngine::new(pool).await, ORIGIN)
    }

    /// As [`new`](Self::new), by the database's clock, for what has to happen while the test waits.
    pub async fn with_real_time(pool: &PgPool) -> Self {
        Self::on(TestEngine::with_clock(pool, Clock::Database).await, ORIGIN)
    }

    /// As [`new`](Self::new), behind something that ends TLS.
    pub async fn reached_by_https(pool: &PgPool) -> Self {
        Self::on(TestEngine::new(pool).await, "https://muster.test")
    }

    /// As [`new`](Self::new), with little patience for runners.
    pub async fn with_links(pool: &PgPool, limits: Limits) -> Self {
        Self::with(TestEngine::new(pool).await, ORIGIN, limits)
    }

    fn on(test: TestEngine, origin: &str) -> Self {
        Self::with(test, origin, Limits::default())
    }

    fn with(test: TestEngine, origin: &str, limits: Limits) -> Self {
        let stop = CancellationToken::new();
        let state = ServerState {
            engine: test.engine.clone(),
            leptos_options: LeptosOptions::builder().output_name("muster").build(),
            assets: app::SiteAssets {
                script: "/assets/a.js".into(),
                wasm: "/assets/a.wasm".into(),
                style: "/assets/a.css".into(),
                parts: [("forms".to_owned(), vec!["/assets/shared.wasm".to_owned(), "/assets/new.wasm".to_owned()])].into(),
            },
            stop: stop.clone(),
            links: Links::new(limits, stop.clone()),
            origin: origin.into(),
        };
        Self { test, stop, router: router(state) }
    }

    /// Somebody who is not signed in.
    pub fn nobody(&self) -> Client {
        Client { router: self.router.clone(), headers: HeaderMap::new() }
    }

    /// The owner, made now.
    pub async fn owner(&self) -> Actor {
        self.test.owner().await
    }

    /// A program with a key of this role; the workspace is the first.
    pub async fn script(&self, role: Role) -> Client {
        let key = self.test.engine.create_key_here("script", role).await.expect("a key can be made");
        self.nobody().with(header::AUTHORIZATION.as_str(), &format!("Bearer {}", key.reveal()))
    }

    /// A program of another workspace, which must never see anything of the first.
    pub async fn stranger(&self, pool: &PgPool) -> Client {
        let key = self.test.engine.create_key_here("stranger", Role::Owner).await.expect("a key can be made");
        let elsewhere = self.test.stranger().await.workspace_id;
        let moved = "update api_key set workspace_id = $1 where name = 'stranger'";
        sqlx::query(moved).bind(elsewhere.0).execute(pool).await.expect("a key can be moved");
        self.nobody().with(header::AUTHORIZATION.as_str(), &format!("Bearer {}", key.reveal()))
    }

    /// The owner in a browser: signed in by the form, as people do it.
    pub async fn ada(&self) -> Client {
        self.owner().await;
        self.signed_in().await
    }

    /// The owner, who is there already, in one more browser.
    pub async fn signed_in(&self) -> Client {
        let answer = self.nobody().form("/_fn/sign_in", &[("email", "ada@example.org"), ("password", PASSWORD)]).await;
        let cookie = answer.cookie().expect("signing in sets a cookie");
        self.nobody().with(header::COOKIE.as_str(), &cookie)
    }
}

/// Whoever sends requests.
#[derive(Clone)]
pub struct Client {
    router: Router,
    headers: HeaderMap,
}

impl Client {
    /// The same, with one header more.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.insert(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
        client
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None, Body::empty()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, Some("application/json"), Body::from(body.to_string())).await
    }

    /// A form as a browser without scripts posts it, from our own pages unless a header says otherwise.
    pub async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut client = self.clone();
        client.headers.entry("sec-fetch-site").or_insert("same-origin".parse().unwrap());
        client.send(Method::POST, path, Some("application/x-www-form-urlencoded"), Body::from(body)).await
    }

    pub async fn send(&self, method: Method, path: &str, kind: Option<&str>, body: Body) -> Answer {
        let response = self.stream(method, path, kind, body).await;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("the answer can be read").to_bytes();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8_lossy(&bytes).into_owned() }
    }

    /// The answer with its body still to come.
    pub async fn stream(&self, method: Method, path: &str, kind: Option<&str>, body: Body) -> http::Response<Body> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "muster.test").body(body).unwrap();
        request.headers_mut().extend(self.headers.clone());
        if let Some(kind) = kind {
            request.headers_mut().insert(header::CONTENT_TYPE, kind.parse().unwrap());
        }
        self.router.clone().oneshot(request).await.expect("the router never fails")
    }
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The cookie it sets, as a browser sends it back.
    pub fn cookie(&self) -> Option<String> {
        self.header("set-cookie").split(';').next().filter(|cookie| !cookie.is_empty()).map(str::to_owned)
    }

    /// `status type`, then `pointer code` of every field.
    pub fn problem(&self) -> Vec<String> {
        assert_eq!(self.header("content-type"), "application/problem+json", "{} {}", self.status, self.text);
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16(), "the document and the answer agree");
        assert!(problem["instance"].is_string(), "the request's id leads to the log");
        let fields = problem["errors"].as_array().cloned().unwrap_or_default();
        let fields = fields.iter().map(|field| format!("{} {}", field["pointer"].as_str().unwrap(), field["code"].as_str().unwrap()));
        std::iter::once(format!("{} {}", self.status.as_u16(), problem["type"].as_str().unwrap())).chain(fields).collect()
    }
}

/// The events of a stream, one by one.
pub struct EventReader {
    body: Body,
    buffer: String,
}

/// One event as it came.
#[derive(Debug, PartialEq, Eq)]
pub struct Received {
    pub event: String,
    pub id: String,
    pub data: String,
}

impl EventReader {
    pub async fn open(client: &Client, path: &str) -> Self {
        let client = client.with("accept", "text/event-stream");
        let response = client.stream(Method::GET, path, None, Body::empty()).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        Self { body: response.into_body(), buffer: String::new() }
    }

    /// The next event that has data; nothing when the stream has ended. The bound only keeps a broken test from hanging.
    pub async fn next(&mut self) -> Option<Received> {
        tokio::time::timeout(std::time::Duration::from_secs(30), self.read()).await.expect("an event arrives, or the stream ends")
    }

    async fn read(&mut self) -> Option<Received> {
        loop {
            while let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let received = parse(block);
                self.buffer = rest.to_owned();
                if !received.data.is_empty() {
                    return Some(received);
                }
            }
            let frame = self.body.frame().await?.ok()?;
            if let Ok(data) = frame.into_data() {
                self.buffer.push_str(&String::from_utf8_lossy(&data));
            }
        }
    }
}

fn parse(block: &str) -> Received {
    let field = |name: &str| {
        let lines = block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
        lines.collect::<Vec<_>>().join("\n")
    };
    Received { event: field("event"), id: field("id"), data: field("data") }
}
