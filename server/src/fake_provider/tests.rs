//! The provider as its clients see it, over HTTP.

use std::time::Duration;

use reqwest::Client;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use super::*;

const SCENARIOS: &str = r#"{"scenarios": [{"name": "work", "when": "Work", "steps": [
    {"say": [{"text": "I look."}, {"run": "ls"}]},
    {"say": [{"text": "Done."}], "fault": {"status": 429, "times": 1, "retry_after": 2, "message": "slow down"}},
    {"say": [{"text": "one two three four"}], "fault": {"cut": true}},
    {"say": [{"text": "never"}], "fault": {"stall": true}}]}]}"#;

struct Running {
    url: String,
    http: Client,
    stop: CancellationToken,
    served: JoinHandle<io::Result<()>>,
}

async fn start() -> Running {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let scenarios = Scenarios::with_file("f", SCENARIOS).unwrap();
    let served = TaskTracker::new().spawn(serve(listener, scenarios, stop.clone()));
    Running { url, http: Client::builder().no_proxy().build().unwrap(), stop, served }
}

impl Running {
    /// A request of a conversation in which the model has spoken so often.
    async fn ask(&self, path: &str, turns: usize, stream: bool) -> reqwest::Response {
        let mut messages = vec![json!({ "role": "user", "content": "Work" })];
        for _ in 0..turns {
            messages.push(json!({ "role": "assistant", "content": "x" }));
            messages.push(json!({ "role": "user", "content": "go on" }));
        }
        let tools = json!([{ "name": "Bash", "type": "function", "function": { "name": "bash" } }]);
        let body = json!({ "model": "m", "stream": stream, "messages": messages, "tools": tools });
        let request =
            self.http.post(format!("{}{path}", self.url)).header("x-api-key", "secret").header("content-type", "application/json");
        request.body(body.to_string()).send().await.unwrap()
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let response = self.http.get(format!("{}{path}", self.url)).send().await.unwrap();
        assert_eq!(response.headers()[FAKE.as_str()], "1");
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn ends(self) {
        let Self { http, stop, served, .. } = self;
        // Its idle connections would be waited for.
        drop(http);
        stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), served).await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_step_is_streamed_and_recorded_without_the_key() {
    let fake = start().await;
    let response = fake.ask("/run/1/v1/messages?beta=true", 0, true).await;
    assert_eq!((response.status().as_u16(), &response.headers()["content-type"]), (200, &HeaderValue::from_static("text/event-stream")));
    assert_eq!(response.headers()[FAKE.as_str()], "1");
    let text = response.text().await.unwrap();
    assert!(
        text.starts_with("event: message_start\n") && text.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"),
        "{text}"
    );
    let whole = fake.ask("/v1/chat/completions", 0, false).await.text().await.unwrap();
    assert!(whole.contains(r#""id":"call_2_1""#) && whole.contains(r#""finish_reason":"tool_calls""#), "{whole}");

    let (_, requests) = fake.get("/requests").await;
    assert!(!requests.contains("secret"), "{requests}");
    let requests: Value = serde_json::from_str(&requests).unwrap();
    assert_eq!(
        requests[0],
        json!({
            "number": 1, "wire": "anthropic", "path": "/run/1/v1/messages", "scenario": "work", "step": 0, "model": "m",
            "prompt": "Work", "status": 200, "tools": 1, "authorization": true, "keyless": false,
        })
    );
    assert_eq!(requests[1]["wire"], "chat");
    fake.ends().await;
}

#[tokio::test]
async fn whether_a_key_came_along_that_is_one_is_told_of_each_request() {
    let fake = start().await;
    let ask = async |path: &str, headers: &[(&str, &str)]| {
        let request = fake.http.post(format!("{}{path}", fake.url)).body(json!({ "model": "m", "messages": [] }).to_string());
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap();
        let requests: Value = serde_json::from_str(&fake.get("/requests").await.1).unwrap();
        let last = requests.as_array().unwrap().last().unwrap();
        (last["authorization"].as_bool().unwrap(), last["keyless"].as_bool().unwrap())
    };
    assert_eq!(ask("/v1/messages", &[]).await, (false, true));
    assert_eq!(ask("/v1/messages", &[("authorization", "Bearer none"), ("x-api-key", "none")]).await, (true, true));
    for keys in [[("authorization", "Bearer secret"), ("x-api-key", "none")], [("authorization", "Bearer none"), ("api-key", "secret")]] {
        assert_eq!(ask("/v1/messages", &keys).await, (true, false), "{keys:?}");
    }
    assert_eq!(ask("/v1beta/models/m:generateContent?key=secret", &[]).await, (true, false));
    fake.ends().await;
}

#[tokio::test]
async fn a_refusal_has_the_shape_of_its_wire_and_passes() {
    let fake = start().await;
    let refused = fake.ask("/v1/messages", 1, true).await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (429, &HeaderValue::from_static("2")));
    let error: Value = serde_json::from_str(&refused.text().await.unwrap()).unwrap();
    assert_eq!(error, json!({ "type": "error", "error": { "type": "rate_limit_error", "message": "slow down" } }));
    assert_eq!(fake.ask("/v1/messages", 1, true).await.status(), 200);

    let unknown = fake.ask("/s/none/v1/chat/completions", 0, true).await;
    assert_eq!(unknown.status(), 404);
    assert!(unknown.text().await.unwrap().contains("There is no scenario `none`"));
    fake.ends().await;
}

#[tokio::test]
async fn an_ollama_has_what_was_pulled_and_has_loaded_what_was_asked() {
    let fake = start().await;
    let names = async |path: &str| {
        let (_, text) = fake.get(path).await;
        let models: Value = serde_json::from_str(&text).unwrap();
        models["models"].as_array().unwrap().iter().map(|model| model["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let pull = async |model: &str| {
        let body = json!({ "model": model }).to_string();
        fake.http.post(format!("{}/api/pull", fake.url)).body(body).send().await.unwrap().text().await.unwrap()
    };
    assert_eq!(names("/api/ps").await, Vec::<String>::new());
    assert!(pull("tiny").await.ends_with("{\"status\":\"success\"}\n"));
    assert!(pull("missing").await.ends_with("{\"error\":\"pull model manifest: file does not exist\"}\n"));
    assert_eq!(names("/api/tags").await, ["fake-large", "fake-small", "tiny"]);
    let ask = json!({ "model": "tiny", "messages": [{ "role": "user", "content": "Hello" }] }).to_string();
    fake.http.post(format!("{}/api/chat", fake.url)).body(ask).send().await.unwrap();
    assert_eq!(names("/api/ps").await, ["tiny"]);
    for (path, model) in [("/v1/messages", "fake-large"), ("/v1/responses", "fake-small")] {
        let body = json!({ "model": model, "messages": [], "input": [] }).to_string();
        fake.http.post(format!("{}{path}", fake.url)).body(body).send().await.unwrap();
    }
    assert_eq!(names("/api/ps").await, ["fake-large", "fake-small", "tiny"], "whichever of its formats somebody speaks");
    fake.ends().await;
}

#[tokio::test]
async fn a_cut_answer_breaks_off_after_half() {
    let fake = start().await;
    let mut response = fake.ask("/v1/chat/completions", 2, true).await;
    let mut text = String::new();
    let ended = loop {
        match response.chunk().await {
            Ok(Some(bytes)) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    assert!(!ended && text.contains(r#""content":"one ""#) && !text.contains("four"), "{text}");
    fake.ends().await;
}

#[tokio::test]
async fn a_stalled_answer_begins_and_ends_with_the_provider() {
    let fake = start().await;
    let mut response = fake.ask("/v1/messages", 3, true).await;
    let first = response.chunk().await.unwrap().unwrap();
    assert!(first.starts_with(b"event: message_start\n"));
    assert!(tokio::time::timeout(Duration::from_millis(200), response.chunk()).await.is_err(), "something more was sent");
    fake.stop.cancel();
    assert!(response.chunk().await.is_err());
    fake.ends().await;
}

#[tokio::test]
async fn the_rest_is_answered_too() {
    let fake = start().await;
    assert_eq!(fake.get("/healthz").await, (200, "ok".to_owned()));
    assert_eq!(fake.get("/v1/responses").await.0, 426);
    assert_eq!(fake.get("/nothing").await, (404, r#"{"error":{"message":"The fake provider has no GET /nothing."}}"#.to_owned()));
    let models: Value = serde_json::from_str(&fake.get("/x/v1/models").await.1).unwrap();
    assert_eq!(models["data"][0]["id"], "fake-large");
    let pulled = fake.http.post(format!("{}/api/pull", fake.url)).body(r#"{"model": "fake-large"}"#).send().await.unwrap();
    assert!(pulled.text().await.unwrap().ends_with("{\"status\":\"success\"}\n"));
    fake.ends().await;
}
