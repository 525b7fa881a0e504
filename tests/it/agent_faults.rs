//! Real agent programs whose provider fails in one of the ways that it can: what they do about it themselves, within a time that has an end,
//! and what becomes of the task then.

use serde_json::{Value, json};
use tests::{
    machine::{FakeProvider, Machine},
    work::{Work, file},
};

/// With a model that it may be told.
const CLAUDE_CODE: [&str; 2] = ["claude-code", "claude-sonnet-4-5"];
const CODEX: [&str; 2] = ["codex", "gpt-5.2"];

/// What an agent does about it by itself takes seconds. One that never came to an end would be timed out, which is said of no task here.
const BOUNDED: [&str; 4] = ["--attempts", "1", "--timeout", "120"];

fn scenarios() -> String {
    let writes = |fault: Value| json!({"fault": fault, "say": [{"run": "printf 'made\\n' > made.txt"}]});
    let done = json!({"say": [{"text": "Done."}]});
    let scenario = |name: &str, steps: Value| json!({"name": name, "when": format!("fake:{name}"), "steps": steps});
    let hiccup = scenario("hiccup", json!([writes(json!({"status": 500, "times": 1, "message": "try again"})), done]));
    let failing = scenario("failing", json!([writes(json!({"status": 500, "message": "the machine is on fire"}))]));
    let closed = scenario("closed", json!([writes(json!({"status": 429, "retry_after": 1, "message": "come back later"}))]));
    let torn = scenario("torn", json!([{"fault": {"cut": true, "times": 1}, "say": [{"text": "All of this is to be heard in the end."}]}]));
    json!({"scenarios": [hiccup, failing, closed, torn]}).to_string()
}

fn given(work: &Work<'_>, [agent, model]: [&str; 2], prompt: &str, more: &[&str]) -> String {
    work.hands_to(agent, prompt, &[&["--model", model][..], more].concat())
}

fn is_failed_with(work: &Work<'_>, id: &str, code: &str) -> Value {
    let task = work.waits_for(id);
    assert_eq!((&task["state"], &task["failure"]["code"]), (&json!("failed"), &json!(code)), "{}", work.log(id));
    task
}

/// Once, and then no more.
fn gets_over_a_provider_that_fails_once(machine: &Machine, provider: &FakeProvider, work: &Work<'_>, agent: [&str; 2]) {
    let (hiccup, torn) = (given(work, agent, "fake:hiccup", &BOUNDED), given(work, agent, "fake:torn", &BOUNDED));
    let task = work.waits_for(&hiccup);
    assert_eq!(task["state"], "succeeded", "{}", work.log(&hiccup));
    assert_eq!(file(machine, &task, "made.txt"), "made\n");
    assert_eq!(provider.answered("hiccup"), [500, 200, 200], "it asks again by itself");
    assert_eq!(work.waits_for(&torn)["state"], "succeeded", "{}", work.log(&torn));
    assert!(provider.answered("torn").len() > 1, "it has seen that half an answer is none");
}

/// Every time.
fn gives_up_on_a_provider_that_fails_always(provider: &FakeProvider, work: &Work<'_>, agent: [&str; 2]) {
    let (failing, cut) = (given(work, agent, "fake:failing", &BOUNDED), given(work, agent, "fake:cut", &BOUNDED));
    is_failed_with(work, &failing, "command_failed");
    assert!(provider.answered("failing").len() > 1, "it has asked again");
    is_failed_with(work, &cut, "command_failed");
    let mut said = work.session(&cut).into_iter().filter(|event| event["type"] == "message").map(|event| event["text"].to_string());
    assert!(said.all(|text| !text.contains("then the connection ends")), "that half was never sent");
}

#[test]
fn claude_code_gets_over_a_provider_that_fails_once_and_gives_up_on_one_that_always_does() {
    let machine = Machine::new();
    let provider = machine.plays(&scenarios());
    let server = machine.serves_agents(&provider);
    let work = Work::at(&machine, &server);
    gets_over_a_provider_that_fails_once(&machine, &provider, &work, CLAUDE_CODE);
    gives_up_on_a_provider_that_fails_always(&provider, &work, CLAUDE_CODE);
}

#[test]
fn codex_gets_over_a_provider_that_fails_once_and_gives_up_on_one_that_always_does() {
    let machine = Machine::new();
    let provider = machine.plays(&scenarios());
    let server = machine.serves_agents(&provider);
    let work = Work::at(&machine, &server);
    gets_over_a_provider_that_fails_once(&machine, &provider, &work, CODEX);
    gives_up_on_a_provider_that_fails_always(&provider, &work, CODEX);
}

/// Claude Code waits as long as it is told and asks again. Codex does not: its task does, and is not charged for that.
#[test]
fn a_provider_that_has_too_much_to_do_is_asked_again_until_it_lets_them_in() {
    let machine = Machine::new();
    let provider = machine.plays(&scenarios());
    let server = machine.serves_agents(&provider);
    let work = Work::at(&machine, &server);
    let soon = [&BOUNDED[..], &["--retry-class", "provider_limit=linear,1s,1s"][..]].concat();
    let claude = given(&work, CLAUDE_CODE, "fake:limited", &soon);
    let task = work.waits_for(&claude);
    assert_eq!((&task["state"], &task["attempts"]), (&json!("succeeded"), &json!(1)), "{}", work.log(&claude));
    let told: Vec<_> = work.session(&claude).into_iter().filter(|event| event["type"] == "error").collect();
    assert!(told.iter().any(|event| event["message"].as_str().unwrap().contains("429")), "{told:#?}");
    assert_eq!(provider.answered("limited"), [429, 429, 200]);

    let codex = given(&work, CODEX, "fake:limited", &soon);
    let task = work.waits_for(&codex);
    assert_eq!(task["state"], "succeeded", "though one failure of its own would have been its last: {}", work.log(&codex));
    assert_eq!(provider.answered("limited")[3..], [429, 429, 200]);

    let at_once = [&BOUNDED[..], &["--retry-class", "provider_limit=none"][..]].concat();
    for agent in [CLAUDE_CODE, CODEX] {
        let id = given(&work, agent, "fake:closed", &at_once);
        let task = is_failed_with(&work, &id, "provider_limit");
        assert_eq!(task["attempts"], 1);
    }
}
