//! Real agent programs at an endpoint: what plays it speaks Ollama's API where it is looked at, and beside that the formats of agents, as an Ollama
//! does.

use serde_json::Value;
use tests::{
    machine::{Client, FakeProvider, Machine, Server, stderr, stdout},
    work::{Work, file, says_so, until},
};

/// Whoever sends it is the runner's.
const KEY: &str = "of-the-runner";

/// A runner with keys, and where they are for.
fn serves(machine: &Machine, provider: &FakeProvider) -> Server {
    let headers = format!("api-key: {KEY}");
    let keys = [
        ("ANTHROPIC_API_KEY", KEY),
        ("ANTHROPIC_CUSTOM_HEADERS", headers.as_str()),
        ("ANTHROPIC_DEFAULT_HAIKU_MODEL", "fake-small"),
        ("OPENAI_API_KEY", KEY),
        ("MUSTER_ENDPOINTS_HERE", "allowed"),
    ];
    machine.serves_agents_set(provider, &keys)
}

/// Registered, and seen to have its models.
fn is_registered(machine: &Machine, server: &Server, ollama: &FakeProvider) {
    let admin = Client { machine, url: &server.url, key: machine.creates_key("admin") };
    says_so(&admin, &["endpoint", "add", "box", &ollama.url]);
    until("it can be asked", || {
        let said = admin.run(&["endpoint", "choose", "fake-large", "--json"]);
        serde_json::from_str::<Value>(&stdout(&said)).ok().filter(|choice| choice["chosen"].is_string())
    });
}

/// Nobody asks it for another model, or in another format, or with a key that is one.
fn assert_asked_only_for_the_work(ollama: &FakeProvider, wire: &str) {
    assert_eq!(ollama.answered("edit"), [200, 200, 200], "each of its three steps: {:#?}", ollama.requests());
    for asked in ollama.requests() {
        assert_eq!((&asked["model"], &asked["wire"], &asked["keyless"]), (&"fake-large".into(), &wire.into(), &true.into()), "{asked:#}");
    }
}

fn works_at_the_endpoint_and_sends_no_key_there(agent: &str, wire: &str) {
    let machine = Machine::new();
    let (provider, ollama) = (machine.plays(r#"{"scenarios": []}"#), machine.plays(r#"{"scenarios": []}"#));
    let server = serves(&machine, &provider);
    is_registered(&machine, &server, &ollama);
    let work = Work::at(&machine, &server);
    let task = work.hands_to(agent, "fake:edit", &["--model", "fake-large", "--check", "file_exists=made.txt"]);
    let ended = work.waits_for(&task);
    assert_eq!(ended["state"], "succeeded", "{}", work.log(&task));
    let endpoint = &ended["attempt_list"][0]["endpoint"];
    assert_eq!((&endpoint["name"], &endpoint["url"]), (&"box".into(), &ollama.url.as_str().into()));
    assert_eq!(file(&machine, &ended, "made.txt"), "made by a fake\n");
    assert_asked_only_for_the_work(&ollama, wire);
    assert_eq!(provider.requests(), Vec::<Value>::new(), "what the runner's environment names is not asked");

    // a model that no endpoint has is where the runner says, with its key
    let elsewhere = work.hands_to(agent, "fake:edit", &["--model", "nobody-has-it", "--check", "file_exists=made.txt"]);
    let ended = work.waits_for(&elsewhere);
    assert_eq!(ended["state"], "succeeded", "{}", work.log(&elsewhere));
    assert_eq!(ended["attempt_list"][0]["endpoint"], Value::Null);
    assert_eq!(provider.answered("edit"), [200, 200, 200]);
    assert!(provider.requests().iter().all(|asked| asked["keyless"] == false), "{:#?}", provider.requests());
    assert_asked_only_for_the_work(&ollama, wire);
}

#[test]
fn claude_code_works_at_the_endpoint_that_was_chosen_and_sends_no_key_there() {
    works_at_the_endpoint_and_sends_no_key_there("claude-code", "anthropic");
}

#[test]
fn codex_works_at_the_endpoint_that_was_chosen_and_sends_no_key_there() {
    works_at_the_endpoint_and_sends_no_key_there("codex", "responses");
}

#[test]
fn a_prompt_that_names_no_agent_is_done_by_one_that_can_ask_its_endpoint() {
    let machine = Machine::new();
    let (provider, ollama) = (machine.plays(r#"{"scenarios": []}"#), machine.plays(r#"{"scenarios": []}"#));
    let server = serves(&machine, &provider);
    is_registered(&machine, &server, &ollama);
    let work = Work::at(&machine, &server);
    let new =
        ["task", "run", "fake:edit", "--repo", &work.repository, "--model", "fake-large", "--check", "file_exists=made.txt", "--json"];
    let created = work.client.run(&new);
    let task: Value = serde_json::from_str(&stdout(&created)).unwrap_or_else(|_| panic!("{}", stderr(&created)));
    let id = task["id"].as_str().unwrap();
    let ended = work.waits_for(id);
    assert_eq!(ended["state"], "succeeded", "{}", work.log(id));
    assert_eq!(ended["attempt_list"][0]["endpoint"]["name"], "box");
    assert_asked_only_for_the_work(&ollama, "anthropic");
    assert_eq!(provider.requests(), Vec::<Value>::new());
}
