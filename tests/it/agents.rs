//! Real agent programs, whose models are played: what Muster makes of them from the prompt to the proven result.

use rustix::process::Signal;
use serde_json::{Value, json};
use tests::{
    machine::{Client, Machine, running_with, stderr},
    work::{Work, file},
};

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).filter(|kind| *kind != "usage").collect()
}

#[test]
fn claude_code_edits_a_repository_fails_its_check_and_repairs_it_in_its_session() {
    let machine = Machine::new();
    let provider = machine.plays(r#"{"scenarios": []}"#);
    let server = machine.serves_agents(&provider);
    let work = Work::at(&machine, &server);
    let id = work.hands_in("fake:repair", &["--model", "claude-sonnet-4-5", "--check", "command_succeeds=grep -q right answer.txt"]);
    let task = work.waits_for(&id);
    assert_eq!(task["state"], "succeeded", "{}", work.log(&id));
    assert_eq!(file(&machine, &task, "answer.txt"), "right\n");
    let attempts = task["attempt_list"].as_array().unwrap();
    assert_eq!((attempts.len(), attempts[0]["earlier_rounds"].as_array().unwrap().len()), (1, 1));
    let events = work.session(&id);
    let round = ["prompt", "started", "message", "tool_call", "tool_result", "message", "ended"];
    assert_eq!(types(&events), [round, round].concat(), "{events:#?}");
    let sessions: Vec<_> = events.iter().filter(|event| event["type"] == "started").map(|event| &event["session"]).collect();
    assert_eq!(sessions[0], sessions[1], "it was told in its own session");
    assert_eq!(events[1]["version"], "2.1.328");
    let used: u64 = events.iter().filter(|event| event["type"] == "usage").map(|event| event["output"].as_u64().unwrap()).sum();
    assert_eq!(used, 80, "20 for each of its four answers, each once");
    assert!(work.log(&id).contains("1 check has not passed; the agent is told so and goes on, round 2"));
}

/// As a scenario says it.
fn verdict(verdict: &str, reason: &str) -> String {
    let findings = json!([{"file": "answer.txt", "line": 1, "message": reason}]);
    let block = json!({"verdict": verdict, "confidence": 90, "reasons": [reason], "findings": findings});
    format!("I have read it.\n\n```muster-verdict {{{{nonce}}}}\n{block}\n```")
}

/// What its judge is told to say follows from the change that it is shown.
#[test]
fn claude_code_is_judged_in_a_session_of_its_own_and_repairs_what_the_judge_says() {
    let machine = Machine::new();
    let judge = |name: &str, when: &str, says: String| {
        let reads = json!({"tool": {"name": "Read", "input": {"file_path": "{{cwd}}/answer.txt"}}});
        json!({"name": name, "when": when, "steps": [{"say": [reads]}, {"say": [{"text": says}]}]})
    };
    let first = judge("judge-of-the-first", "+wrong", verdict("fail", "It is not what was asked for."));
    let second = judge("judge-of-the-second", "+right", verdict("pass", "It is what was asked for."));
    let provider = machine.plays(&json!({"scenarios": [first, second]}).to_string());
    let server = machine.serves_agents(&provider);
    let work = Work::at(&machine, &server);
    let checks = ["--check", "review=Is the answer what was asked for?", "--check", "file_exists=answer.txt"];
    let id = work.hands_in("fake:repair", &[&checks[..], &["--judge", "claude-code", "--judge-at-least", "80"]].concat());
    let task = work.waits_for(&id);
    assert_eq!(task["state"], "succeeded", "{}", work.log(&id));
    assert_eq!(file(&machine, &task, "answer.txt"), "right\n");
    let attempts = task["attempt_list"].as_array().unwrap();
    assert_eq!(attempts.len(), 1);
    let reports = [&attempts[0]["earlier_rounds"][0], &attempts[0]["verification"]];
    let judged = reports.map(|report| &report["checks"][0]["judgement"]);
    assert_eq!(judged.map(|one| one["verdict"]["verdict"].as_str().unwrap()), ["fail", "pass"], "{task:#}");
    assert_eq!((&judged[0]["verdict"]["findings"][0]["file"], &judged[0]["version"]), (&json!("answer.txt"), &json!("2.1.328")));
    assert_eq!(judged.map(|one| one["output"].as_u64().unwrap()), [40, 40], "20 for each of its two answers");
    let events = work.session(&id);
    let told = events.iter().filter(|event| event["type"] == "prompt").nth(1).unwrap()["text"].as_str().unwrap();
    assert!(told.contains("It is not what was asked for.") && told.contains("a judge's opinion"), "{told}");
    let sessions = |of_judges: bool| -> Vec<&Value> {
        let kinds = events.iter().map(|event| if of_judges { &event["event"] } else { event });
        kinds.filter(|event| event["type"] == "started").map(|event| &event["session"]).collect()
    };
    let (own, of_judges) = (sessions(false), sessions(true));
    assert_eq!((own.len(), of_judges.len()), (2, 2));
    assert!(own[0] == own[1] && of_judges[0] != of_judges[1] && !of_judges.contains(&own[0]), "{events:#?}");
    assert!(events.iter().any(|event| event["event"]["type"] == "tool_call" && event["event"]["tool"] == "Read"), "{events:#?}");
}

#[test]
fn a_model_is_asked_about_a_change_without_any_tools() {
    let machine = Machine::new();
    let says = json!([{"say": [{"text": verdict("pass", "It does.")}]}]);
    let asked = json!({"name": "asked", "when": "Answer this question about the change", "plays_asides": true, "steps": says});
    let provider = machine.plays(&json!({"scenarios": [asked]}).to_string());
    let server = machine.serves_agents(&provider);
    let work = Work::at(&machine, &server);
    let id = work.hands_in("fake:edit", &["--check", "model=Does the change keep the public API?", "--judge", "claude-code"]);
    let task = work.waits_for(&id);
    assert_eq!(task["state"], "succeeded", "{}", work.log(&id));
    let check = &task["attempt_list"][0]["verification"]["checks"][0];
    assert_eq!((&check["status"], &check["judgement"]["verdict"]["reasons"]), (&json!("passed"), &json!(["It does."])), "{check:#}");
    let used = work.session(&id).into_iter().filter(|event| event["event"]["type"] == "tool_call").count();
    assert_eq!(used, 0);
    let unfit = ["task", "run", "x", "--repo", &work.repository, "--judge", "claude-code"];
    let said = stderr(&work.client.run(&unfit));
    assert!(said.contains("are for a check that judges"), "{said}");
}

#[test]
fn what_claude_codes_provider_says_decides_what_becomes_of_its_task() {
    let machine = Machine::new();
    let wrong = json!({"name": "wrong", "when": "fake:wrong-key", "steps": [{"fault": {"status": 401, "message": "no such key"}, "say": [{"text": "x"}]}]});
    let busy = json!({"name": "busy", "when": "fake:busy", "steps": [{"fault": {"status": 529, "times": 2, "message": "overloaded"}, "say": [{"text": "Done."}]}]});
    let provider = machine.plays(&json!({"scenarios": [wrong, busy]}).to_string());
    let server = machine.serves_agents(&provider);
    let work = Work::at(&machine, &server);
    let refused = work.hands_in("fake:broken", &[]);
    let busy = work.hands_in("fake:busy", &[]);
    let refused = work.waits_for(&refused);
    assert_eq!((&refused["failure"]["code"], &refused["attempts"]), (&json!("provider_refused"), &json!(1)), "nobody tries in vain");
    let wrong = work.hands_in("fake:wrong-key", &[]);
    assert_eq!(work.waits_for(&busy)["state"], "succeeded", "it asks again by itself: {}", work.log(&busy));
    assert!(types(&work.session(&busy)).contains(&"error"), "and what happened is told");
    let wrong = work.waits_for(&wrong);
    assert_eq!(wrong["failure"]["code"], "provider_refused");
}

#[test]
fn claude_code_is_stopped_when_its_turns_are_used_up_and_what_it_did_is_kept() {
    let machine = Machine::new();
    let step = |number: usize| json!({"say": [{"write": {"path": format!("{number}.txt"), "content": "x\n"}}]});
    let steps: Vec<_> = (1..=9).map(step).collect();
    let provider = machine.plays(&json!({"scenarios": [{"name": "long", "when": "fake:long", "steps": steps}]}).to_string());
    let server = machine.serves_agents(&provider);
    let work = Work::at(&machine, &server);
    let id = work.hands_in("fake:long", &["--max-turns", "3"]);
    let task = work.waits_for(&id);
    assert_eq!((&task["state"], &task["failure"]["code"]), (&json!("failed"), &json!("agent_capped")), "{}", work.log(&id));
    assert_eq!(file(&machine, &task, "1.txt"), "x\n");
    let events = work.session(&id);
    assert_eq!(events.last().unwrap()["how"], "turns_used_up");
    assert!(types(&events).contains(&"file_change"), "{events:#?}");
}

#[test]
fn claude_code_that_says_nothing_more_is_cancelled_and_nothing_of_it_is_left() {
    let machine = Machine::new();
    let provider = machine.plays(r#"{"scenarios": []}"#);
    let server = machine.serves_agents(&provider);
    let work = Work::at(&machine, &server);
    let id = work.hands_in("fake:stalled", &[]);
    let mut follower = work.client.command(&["task", "logs", &id, "--follow"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    tests::machine::wait_for_line(std::io::BufReader::new(follower.stdout.take().unwrap()), "Claude Code 2.1.328");
    let ours = machine.state_dir().to_str().unwrap().to_owned();
    assert!(!running_with(&ours).is_empty());
    assert!(work.client.run(&["task", "cancel", &id]).status.success());
    follower.kill().unwrap();
    follower.wait().unwrap();
    assert_eq!(work.waits_for(&id)["state"], "cancelled");
    let left: Vec<_> = running_with("--session-id").into_iter().filter(|line| line.contains(&ours)).collect();
    assert!(left.is_empty(), "{left:#?}");
}

#[test]
fn claude_code_survives_a_kill_of_muster_in_the_middle() {
    let machine = Machine::new();
    let first = json!({"say": [{"write": {"path": "made.txt", "content": "made\n"}}]});
    let stalls_once = json!({"fault": {"stall": true, "times": 1}, "say": [{"text": "Done."}]});
    let scenario = json!({"name": "stalls-once", "when": "fake:stalls-once", "steps": [first, stalls_once]});
    let provider = machine.plays(&json!({"scenarios": [scenario]}).to_string());
    let server = machine.serves_agents(&provider);
    let work = Work::at(&machine, &server);
    let id = work.hands_in("fake:stalls-once", &["--check", "file_exists=made.txt"]);
    let mut follower = work.client.command(&["task", "logs", &id, "--follow"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    tests::machine::wait_for_line(std::io::BufReader::new(follower.stdout.take().unwrap()), "wrote made.txt");
    // it stalls now, and would do so once
    provider.was_asked(2);
    follower.kill().unwrap();
    follower.wait().unwrap();
    let key = work.client.key.clone();
    server.is_killed();
    let server = machine.serves_agents(&provider);
    let work = Work { client: Client { machine: &machine, url: &server.url, key }, repository: String::new() };
    let task = work.waits_for(&id);
    assert_eq!((&task["state"], &task["attempts"]), (&json!("succeeded"), &json!(2)), "{}", work.log(&id));
    assert_eq!(file(&machine, &task, "made.txt"), "made\n");
    server.is_sent(Signal::TERM);
}

/// Without a sandbox there is nobody yet who could be asked, and a repository does not answer.
#[test]
fn claude_code_without_a_sandbox_may_edit_and_nothing_else() {
    let machine = Machine::new();
    let scenario = |name: &str, block: Value| json!({"name": name, "when": format!("fake:{name}"), "steps": [{"say": [block]}, {"say": [{"text": "Done."}]}]});
    let edits = scenario("edits", json!({"write": {"path": "made.txt", "content": "made\n"}}));
    let runs = scenario("runs", json!({"run": "sh -c 'id > ran.txt'"}));
    let provider = machine.plays(&json!({"scenarios": [edits, runs]}).to_string());
    let server = machine.serves_agents(&provider);
    machine.works_without_a_sandbox(&server.url);
    let repository = machine.repository();
    let hook = machine.folder.path().join("hooked");
    let hooked = json!({"hooks": [{"type": "command", "command": format!("touch {}", hook.display())}]});
    let settings = json!({"permissions": {"allow": ["Bash"], "defaultMode": "bypassPermissions"}, "hooks": {"SessionStart": [hooked], "UserPromptSubmit": [hooked]}});
    std::fs::create_dir(repository.join(".claude")).unwrap();
    std::fs::write(repository.join(".claude/settings.json"), settings.to_string()).unwrap();
    for arguments in [["add", "."].as_slice(), &["-c", "user.name=Eve", "-c", "user.email=eve@example.org", "commit", "-qm", "Trust me"]] {
        let done = std::process::Command::new("git").arg("-C").arg(&repository).args(arguments).status().unwrap();
        assert!(done.success());
    }
    let work = Work::at(&machine, &server);
    let (edits, runs) = (work.hands_in("fake:edits", &[]), work.hands_in("fake:runs", &["--attempts", "1"]));
    let task = work.waits_for(&edits);
    assert_eq!(task["state"], "succeeded", "{}", work.log(&edits));
    assert_eq!(file(&machine, &task, "made.txt"), "made\n");
    let task = work.waits_for(&runs);
    assert_eq!((&task["state"], &task["failure"]["code"]), (&json!("failed"), &json!("agent_denied")), "{}", work.log(&runs));
    let events = work.session(&runs);
    let denied = events.iter().find(|event| event["type"] == "permission").unwrap();
    assert_eq!((&denied["subject"], &denied["allowed"]), (&json!("sh -c 'id > ran.txt'"), &json!(false)));
    assert!(!hook.exists(), "what the repository says is not run");
    let codex = work.hands_to("codex", "fake:edits", &["--model", "gpt-5.2"]);
    let refused = work.waits_for(&codex);
    assert_eq!(refused["failure"]["code"], "backend_missing", "it would trust the repository: {refused:#}");
}

#[test]
fn codex_fails_its_check_and_repairs_it_in_its_session() {
    let machine = Machine::new();
    let provider = machine.plays(r#"{"scenarios": []}"#);
    let server = machine.serves_agents(&provider);
    let work = Work::at(&machine, &server);
    let id = work.hands_to("codex", "fake:repair", &["--model", "gpt-5.2", "--check", "command_succeeds=grep -q right answer.txt"]);
    let task = work.waits_for(&id);
    assert_eq!(task["state"], "succeeded", "{}", work.log(&id));
    assert_eq!(file(&machine, &task, "answer.txt"), "right\n");
    let attempts = task["attempt_list"].as_array().unwrap();
    assert_eq!((attempts.len(), attempts[0]["earlier_rounds"].as_array().unwrap().len()), (1, 1));
    let events = work.session(&id);
    let round = ["prompt", "started", "message", "tool_call", "tool_result", "message", "ended"];
    assert_eq!(types(&events), [round, round].concat(), "{events:#?}");
    let sessions: Vec<_> = events.iter().filter(|event| event["type"] == "started").map(|event| &event["session"]).collect();
    assert_eq!(sessions[0], sessions[1], "it was told in its own session");
    assert_eq!((&events[1]["backend"], &events[1]["version"]), (&json!("codex"), &json!("0.169.0")));
    let used: u64 = events.iter().filter(|event| event["type"] == "usage").map(|event| event["output"].as_u64().unwrap()).sum();
    assert_eq!(used, 80, "20 for each of its four answers, each once");
}

#[test]
fn codex_is_refused_capped_and_cancelled_as_any_agent_is() {
    let machine = Machine::new();
    let steps: Vec<_> = (1..=9).map(|number| json!({"say": [{"run": format!("echo {number} > {number}.txt")}]})).collect();
    let provider = machine.plays(&json!({"scenarios": [{"name": "long", "when": "fake:long", "steps": steps}]}).to_string());
    let server = machine.serves_agents(&provider);
    let work = Work::at(&machine, &server);
    let refused = work.hands_to("codex", "fake:broken", &["--model", "gpt-5.2"]);
    let capped = work.hands_to("codex", "fake:long", &["--model", "gpt-5.2", "--max-turns", "3"]);
    let refused = work.waits_for(&refused);
    assert_eq!((&refused["failure"]["code"], &refused["attempts"]), (&json!("provider_refused"), &json!(1)), "{refused:#}");
    let task = work.waits_for(&capped);
    assert_eq!((&task["state"], &task["failure"]["code"]), (&json!("failed"), &json!("agent_capped")), "{}", work.log(&capped));
    assert_eq!(file(&machine, &task, "1.txt"), "1\n", "what it did is kept");
    let stalled = work.hands_to("codex", "fake:stalled", &["--model", "gpt-5.2"]);
    let mut follower = work.client.command(&["task", "logs", &stalled, "--follow"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    tests::machine::wait_for_line(std::io::BufReader::new(follower.stdout.take().unwrap()), "Codex 0.169.0");
    assert!(running_with("app-server").iter().any(|line| line.contains(&provider.url)), "so it is seen");
    assert!(work.client.run(&["task", "cancel", &stalled]).status.success());
    follower.kill().unwrap();
    follower.wait().unwrap();
    assert_eq!(work.waits_for(&stalled)["state"], "cancelled");
    let left: Vec<_> = running_with("app-server").into_iter().filter(|line| line.contains(&provider.url)).collect();
    assert!(left.is_empty(), "{left:#?}");
    let unfit = ["task", "run", "x", "--repo", &work.repository, "--agent", "codex", "--max-cost", "1"];
    let said = stderr(&work.client.run(&unfit));
    assert!(said.contains("does not count what it costs"), "{said}");
}

/// It is told once what to do, and what it has done is its session all the same.
#[test]
fn codex_in_its_simple_mode_repairs_what_did_not_pass_and_asks_nobody() {
    let machine = Machine::new();
    let provider = machine.plays(r#"{"scenarios": []}"#);
    let server = machine.serves_agents_set(&provider, &[("MUSTER_CODEX_MODE", "exec")]);
    let work = Work::at(&machine, &server);
    let model = ["--model", "gpt-5.2"].as_slice();
    let check = ["--check", "command_succeeds=grep -q right answer.txt"].as_slice();
    let id = work.hands_to("codex", "fake:repair", &[model, check].concat());
    let refused = work.hands_to("codex", "fake:broken", model);
    let asks = work.hands_to("codex", "fake:repair", &[model, &["--ask", "commands"][..]].concat());
    let capped = work.hands_to("codex", "fake:repair", &[model, &["--max-turns", "3"][..]].concat());
    let task = work.waits_for(&id);
    assert_eq!(task["state"], "succeeded", "{}", work.log(&id));
    assert_eq!(file(&machine, &task, "answer.txt"), "right\n");
    let attempts = task["attempt_list"].as_array().unwrap();
    assert_eq!((attempts.len(), attempts[0]["earlier_rounds"].as_array().unwrap().len()), (1, 1));
    let events = work.session(&id);
    let told: Vec<_> = types(&events).into_iter().filter(|kind| *kind != "error").collect();
    let round = ["prompt", "started", "message", "tool_call", "tool_result", "message", "ended"];
    assert_eq!(told, [round, round].concat(), "{events:#?}");
    let started: Vec<_> = events.iter().filter(|event| event["type"] == "started").collect();
    assert_eq!(started[0]["session"], started[1]["session"], "it was told in its own session");
    assert_eq!((&started[0]["backend"], &started[0]["version"]), (&json!("codex"), &json!("0.169.0")));
    let used: Vec<_> = events.iter().filter(|event| event["type"] == "usage").map(|event| event["output"].as_u64().unwrap()).collect();
    assert_eq!(used, [40, 40], "in each round 20 for each of its two answers");
    let refused = work.waits_for(&refused);
    assert_eq!((&refused["failure"]["code"], &refused["attempts"]), (&json!("provider_refused"), &json!(1)), "{refused:#}");
    for (id, why) in [(asks, "asks nobody in the simple mode"), (capped, "does not count its turns in the simple mode")] {
        let unfit = work.waits_for(&id);
        assert_eq!(unfit["failure"]["code"], "backend_missing", "{unfit:#}");
        assert!(unfit["failure"]["message"].as_str().unwrap().contains(why), "{unfit:#}");
    }
}
