//! Real agent programs that ask people, and people who tell them something while they work.

use std::path::{Path, PathBuf};

use domain::session::INTERRUPTED;
use serde_json::{Value, json};
use tests::{
    machine::{Machine, agents_of, stderr, stdout},
    work::{Work, asked, file, id, permissions, says_so, until},
};

use crate::runners::{Runner, Site};

/// For a model that makes two files by commands.
fn two_commands() -> String {
    let run = |command: &str| json!({"say": [{"run": command}]});
    let steps = [run("echo yes > allowed.txt"), run("echo yes > denied.txt"), json!({"say": [{"text": "Done."}]})];
    json!({"scenarios": [{"name": "two", "when": "fake:two", "steps": steps}]}).to_string()
}

#[test]
fn the_agents_do_what_people_allow_and_nothing_else() {
    for (agent, model) in [("claude-code", "claude-sonnet-4-5"), ("codex", "gpt-5.2")] {
        let machine = Machine::new();
        let provider = machine.plays(&two_commands());
        let server = machine.serves_agents(&provider);
        let work = Work::at(&machine, &server);
        let checks = ["--check", "command_succeeds=test -e allowed.txt && ! test -e denied.txt"];
        let task = work.hands_to(agent, "fake:two", &[&["--model", model, "--ask", "commands"], checks.as_slice()].concat());
        let first = asked(&work.client);
        assert!(first["subject"].as_str().unwrap().contains("echo yes > allowed.txt"), "{agent}: {first:#}");
        assert_eq!((&first["kind"], &first["task_id"], &first["isolation"]), (&json!("command"), &json!(task), &json!("sandbox")));
        assert_eq!(work.shows(&task)["asks"], true);
        says_so(&work.client, &["approval", "allow", id(&first)]);
        let second = asked(&work.client);
        assert!(second["subject"].as_str().unwrap().contains("echo yes > denied.txt"), "{agent}: {second:#}");
        says_so(&work.client, &["approval", "deny", id(&second), "--message", "Leave that one out"]);
        let ended = work.waits_for(&task);
        assert_eq!(ended["state"], "succeeded", "{agent}: {}", work.log(&task));
        assert_eq!(file(&machine, &ended, "allowed.txt"), "yes\n");
        let events = work.session(&task);
        assert_eq!(permissions(&events), [(true, "tests (API key)"), (false, "tests (API key)")], "{agent}: {events:#?}");
    }
}

/// An agent waits in the middle of a step, and is told something: that ends the step, or comes after it.
fn hears(agent: &str, model: &str, words: &str, interrupt: bool) {
    let machine = Machine::new();
    let waits = "touch it-works-now; until test -e go-on; do sleep 0.05; done; echo waited";
    let says = |text: &str| json!({"say": [{"text": text}]});
    let steps = [json!({"say": [{"run": waits}]}), says("I have heard it."), says("And that.")];
    let provider = machine.plays(&json!({"scenarios": [{"name": "waits", "when": "fake:waits", "steps": steps}]}).to_string());
    let server = machine.serves_agents(&provider);
    let work = Work::at(&machine, &server);
    let task = work.hands_to(agent, "fake:waits", &["--model", model, "--ask", "commands"]);
    let question = asked(&work.client);
    says_so(&work.client, &["approval", "allow", id(&question)]);
    let started = until("it works", || find(&machine.state_dir(), "it-works-now"));
    let more: &[&str] = if interrupt { &["--interrupt"] } else { &[] };
    let told: &[&str] = if words.is_empty() { &[] } else { &[words] };
    says_so(&work.client, &[&["task", "tell", &task][..], told, more].concat());
    // who interrupts it without a word has it told something all the same
    let heard = if words.is_empty() { INTERRUPTED } else { words };
    let said = |event: &Value| event["type"] == "prompt" && event["text"] == heard;
    let prompt = until("it is told", || work.session(&task).into_iter().find(said));
    assert_eq!(prompt["by"], "tests (API key)");
    if !interrupt {
        std::fs::write(started.with_file_name("go-on"), "").unwrap();
    }
    work.has_heard_it(&task);
}

#[test]
fn claude_code_hears_what_people_say_between_two_steps() {
    hears("claude-code", "claude-sonnet-4-5", "Mind the tests", false);
}

#[test]
fn claude_code_leaves_off_what_it_does_to_hear_what_people_say() {
    hears("claude-code", "claude-sonnet-4-5", "Mind the tests", true);
}

#[test]
fn codex_hears_what_people_say_between_two_steps() {
    hears("codex", "gpt-5.2", "Mind the tests", false);
}

#[test]
fn codex_leaves_off_what_it_does_to_hear_what_people_say() {
    hears("codex", "gpt-5.2", "Mind the tests", true);
}

#[test]
fn the_agents_end_their_turn_when_they_are_interrupted_without_a_word() {
    for (agent, model) in [("claude-code", "claude-sonnet-4-5"), ("codex", "gpt-5.2")] {
        hears(agent, model, "", true);
    }
}

/// The file of this name below a folder.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    // a link may lead back
    let inside = std::fs::read_dir(folder).ok()?.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink()));
    inside.map(|entry| entry.path()).find_map(|path| if path.ends_with(name) { Some(path) } else { find(&path, name) })
}

#[test]
fn a_question_outlives_the_server_and_its_answer_comes_after_it() {
    let machine = Machine::new();
    let provider = machine.plays(&two_commands());
    let site = Site::new(&machine);
    let mut join = site.join("far", &site.token(), &["--name", "far", "--paths", "--foreground"]);
    join.envs(agents_of(&provider));
    let runner = Runner::joins(join);
    let repository = machine.repository();
    let arguments =
        ["task", "run", "fake:two", "--repo", repository.to_str().unwrap(), "--agent", "claude-code", "--ask", "commands", "--json"];
    let created = site.client().run(&arguments);
    let task: Value = serde_json::from_str(&stdout(&created)).unwrap_or_else(|_| panic!("{}", stderr(&created)));
    let task = task["id"].as_str().unwrap().to_owned();
    let question = asked(&site.client());
    let site = site.dies_and_comes_back(|| {});
    assert_eq!(asked(&site.client())["id"], question["id"], "it waits as before");
    says_so(&site.client(), &["approval", "allow", id(&question)]);
    // the answer is told, and the server dies before it can know that it was heard
    let site = site.dies_and_comes_back(|| {});
    let second = asked(&site.client());
    assert_ne!(second["id"], question["id"], "the agent has gone on");
    says_so(&site.client(), &["approval", "deny", id(&second)]);
    site.client().run(&["task", "logs", &task, "--follow"]);
    let shown: Value = serde_json::from_str(&stdout(&site.client().run(&["task", "show", &task, "--json"]))).unwrap();
    assert_eq!((shown["state"].as_str(), shown["attempts"].as_i64()), (Some("succeeded"), Some(1)), "{shown:#}");
    drop(runner);
    site.server.stops();
}
