//! Agents of which nobody knows more than their manifests say.

use super::*;
use crate::backend::{Opening, any_acp, manifest::Manifest};

const GOOSE: &str = "speaks = \"acp\"\ncommand = [\"goose\", \"acp\"]\n";

/// One that only its manifest knows.
fn any(manifest: &str, place: Beginning<'_>, prompt: &str) -> (Opening, Acp) {
    any_acp::open(place, prompt, &Backend::parse("acp:goose").unwrap(), &Manifest::parse(manifest).unwrap())
}

fn goose(more: &str, leave: Leave) -> Acp {
    let terms = AgentTerms::default();
    at_work(any(&format!("{GOOSE}{more}"), Beginning { leave, ..beginning(&terms) }, "tidy up").1)
}

#[test]
fn an_agent_that_only_its_manifest_knows_is_told_whole() {
    let terms = AgentTerms::default();
    let mut dialogue = any(GOOSE, beginning(&terms), "fake:perm").1;
    let (events, said, is_over) = plays(&mut dialogue, &transcript("acp-opencode", 2));
    assert_eq!(names(&events), ROUND, "{events:#?}");
    assert!(matches!(&events[0], Event::Started { backend, .. } if backend.name() == "acp:goose"));
    assert!(is_over && dialogue.verdict(exit(0)).is_ok() && dialogue.session().is_some());
    let methods: Vec<_> = said.iter().filter_map(|line| line["method"].as_str()).collect();
    assert_eq!(methods, ["session/new", "session/prompt"]);
    let mut dialogue = any(&format!("{GOOSE}acp = {{ mode = \"default\" }}\n"), beginning(&terms), "fake:perm").1;
    let mut recorded = transcript("acp-gemini-cli", 2);
    // it was recorded without that
    recorded.insert(2, answers(MODE, json!({})));
    let (events, said, is_over) = plays(&mut dialogue, &recorded);
    assert_eq!(names(&events), ROUND, "{events:#?}");
    assert!(is_over && dialogue.verdict(exit(0)).is_ok());
    let set = said.iter().find(|line| line["method"] == "session/set_mode").unwrap();
    assert_eq!(set["params"]["modeId"], "default");
}

#[test]
fn a_session_goes_on_as_the_agent_says_that_it_can() {
    let terms = AgentTerms::default();
    let (both, load) = (json!({"loadSession": true, "sessionCapabilities": {"resume": {}}}), json!({"loadSession": true}));
    for (can, way) in
        [(both, Some("session/resume")), (load, Some("session/load")), (json!({"loadSession": false}), None), (json!({}), None)]
    {
        let says = answers(INITIALIZE, json!({"protocolVersion": 1, "agentCapabilities": can}));
        let mut first = any(GOOSE, beginning(&terms), "tidy up").1;
        first.hear(&says);
        first.hear(&answers(SESSION, json!({"sessionId": "s1"})));
        assert_eq!(first.session(), way.map(|_| "s1".to_owned()), "without a way back it has one round");
        let mut later = any(GOOSE, Beginning { session: Some("s1".into()), ..beginning(&terms) }, "It is wrong").1;
        let heard = later.hear(&says);
        match way {
            Some(way) => assert_eq!((&lines(&heard)[0]["method"], &lines(&heard)[0]["params"]["sessionId"]), (&json!(way), &json!("s1"))),
            None => assert!(heard.is_over && heard.answers.is_empty() && later.verdict(exit(0)).is_err(), "never another session instead"),
        }
    }
}

#[test]
fn of_a_command_counts_what_it_would_be_called_with_and_not_what_its_title_says() {
    let titled = || json!({"toolCallId": "c0", "kind": "execute", "title": "make all", "rawInput": {}});
    let mut dialogue = goose("", Leave::Ask(Ask::Commands));
    let heard = asks_alone(&mut dialogue, 0, titled());
    assert!(heard.questions.is_empty() && outcome(&heard) == selected("reject_once"), "nobody can be shown what would run");
    let heard = asks_alone(&mut dialogue, 1, command(1, "make all"));
    assert_eq!(heard.questions[0].asked.subject, "make all");
    let mut dialogue = goose("acp = { title_is_the_command = true }\n", Leave::Ask(Ask::Commands));
    assert_eq!(asks_alone(&mut dialogue, 0, titled()).questions[0].asked.subject, "make all");
    let mut dialogue = goose("", Leave::Nothing);
    assert_eq!(outcome(&asks_alone(&mut dialogue, 0, command(0, "make"))), selected("reject_once"));
}

#[test]
fn what_its_manifest_says_is_what_it_is_started_with() {
    let terms = AgentTerms { model: Some("large".into()), ..AgentTerms::default() };
    let manifest = "speaks = \"acp\"\ncommand = [\"goose\", \"acp\", \"--model\", \"{model}\"]\nmodel = \"small\"\n";
    let started = |terms: &AgentTerms| any(manifest, beginning(terms), "x").0.arguments;
    assert_eq!(started(&terms), ["acp", "--model", "large"]);
    assert_eq!(started(&AgentTerms::default()), ["acp", "--model", "small"]);
    let model = |terms: &AgentTerms| {
        let mut dialogue = any(manifest, beginning(terms), "x").1;
        dialogue.hear(&answers(INITIALIZE, json!({"protocolVersion": 1})));
        match dialogue.hear(&answers(SESSION, json!({"sessionId": "s1"}))).events.remove(0) {
            Event::Started { model, .. } => model,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([model(&terms), model(&AgentTerms::default())], [Some("large".to_owned()), Some("small".to_owned())], "its session says so");
    let told = |manifest: &str, prompt: &str| {
        let mut dialogue = any(manifest, beginning(&terms), prompt).1;
        dialogue.hear(&answers(INITIALIZE, json!({"protocolVersion": 1})));
        lines(&dialogue.hear(&answers(SESSION, json!({"sessionId": "s1"}))))[0]["params"]["prompt"][0]["text"].clone()
    };
    for prompt in ["/exit", "!rm", "# Title", "@file"] {
        assert_eq!(told(manifest, prompt), format!("This is to be done:\n\n{prompt}"));
    }
    assert_eq!(told(&format!("{manifest}command_marks = \"/\"\n"), "# Title"), "# Title");
}

/// It has told of a call, and repeats some of that when it asks leave for it.
fn asks_for(dialogue: &mut Acp, id: u64, mut tells: Value, mut repeats: Value) -> Heard {
    tells["sessionUpdate"] = json!("tool_call");
    for one in [&mut tells, &mut repeats] {
        one["toolCallId"] = json!(format!("c{id}"));
    }
    told(dialogue, tells);
    asks_alone(dialogue, id, repeats)
}

#[test]
fn what_an_unmeasured_agent_has_told_of_a_call_belongs_to_what_it_asks_for() {
    let mut dialogue = goose("", Leave::Ask(Ask::Commands));
    let run = json!({"kind": "execute", "title": "Runs it", "rawInput": {"command": "rm -r build", "cwd": "/home/dev/run/sub"}});
    let asked = asks_for(&mut dialogue, 0, run, json!({"title": "Tidies up"})).questions.remove(0).asked;
    assert_eq!((asked.kind, asked.subject.as_str()), (AskedKind::Command, "rm -r build\nin sub"), "its title may say anything");
    let edit = json!({"kind": "edit", "title": "Writes", "locations": [{"path": "/etc/passwd"}], "rawInput": {"text": "x"}});
    let asked = asks_for(&mut dialogue, 1, edit, json!({"locations": [{"path": "/home/dev/run/a.rs"}]})).questions.remove(0).asked;
    assert_eq!((asked.kind, asked.subject.as_str()), (AskedKind::Edit, "a.rs\n/etc/passwd"));
    let fetch = json!({"kind": "fetch", "title": "Looks it up", "rawInput": {"url": "https://docs.rs", "send": "all"}});
    let asked = asks_for(&mut dialogue, 2, fetch, json!({"rawInput": {"url": "https://docs.rs"}})).questions.remove(0).asked;
    assert_eq!((asked.kind, &asked.input["send"]), (AskedKind::Tool, &json!("all")));
    let long = json!({"kind": "execute", "title": "x", "rawInput": {"command": "x".repeat(70_000)}});
    let heard = asks_for(&mut dialogue, 3, long.clone(), json!({}));
    assert_eq!(outcome(&heard), selected("reject_once"), "of what it has told there is not all to be shown");
    let heard = asks_for(&mut dialogue, 4, long, json!({"rawInput": {"command": "ls"}}));
    assert_eq!(heard.questions[0].asked.subject, "ls", "it says itself what it asks for");
    let heard = asks_alone(&mut dialogue, 5, json!({"toolCallId": "c5"}));
    assert_eq!(outcome(&heard), selected("reject_once"), "nobody could see what it is");
}

#[test]
fn a_command_that_is_called_with_more_is_shown_with_all_of_it() {
    let mut dialogue = goose("", Leave::Ask(Ask::Commands));
    let run = |id: u64, input: &Value| json!({"toolCallId": format!("c{id}"), "kind": "execute", "title": "make all", "rawInput": input});
    for (id, input) in [
        (0, json!({"command": "ls", "env": {"LD_PRELOAD": "/tmp/x.so"}})),
        (1, json!({"command": "sh", "args": ["-c", "rm -r /"]})),
        (2, json!({"command": ["sh", "-c", "ls"]})),
        (3, json!({"command": "ls", "cwd": "/a", "workdir": "/b"})),
        (4, json!({"command": "ls", "cwd": {"path": "/etc"}})),
        (5, json!(["ls"])),
    ] {
        let asked = asks_alone(&mut dialogue, id, run(id, &input)).questions.remove(0).asked;
        assert_eq!((asked.kind, asked.subject), (AskedKind::Tool, format!("execute {input}")));
    }
    let plain = json!({"command": "ls", "cwd": "sub", "description": "looks", "timeout": 5});
    let asked = asks_alone(&mut dialogue, 6, run(6, &plain)).questions.remove(0).asked;
    assert_eq!((asked.kind, asked.subject.as_str()), (AskedKind::Command, "ls\nin sub"));
    let mut titled = goose("acp = { title_is_the_command = true }\n", Leave::Ask(Ask::Commands));
    let input = json!({"env": {"A": "b"}});
    let asked = asks_alone(&mut titled, 0, run(0, &input)).questions.remove(0).asked;
    assert_eq!((asked.kind, asked.subject.as_str()), (AskedKind::Tool, r#"execute make all {"env":{"A":"b"}}"#));
    assert_eq!(asked.input, json!({"title": "make all", "input": input}));
}

#[test]
fn behind_a_dot_an_unmeasured_agent_asks_for_what_it_changes() {
    let (plain, settings) = ("/home/dev/run/a.rs", "/home/dev/run/.goose/config.yaml");
    let mut dialogue = goose("", Leave::Ask(Ask::Commands));
    assert_eq!(outcome(&asks(&mut dialogue, 0, change(0, plain))), selected("allow_once"));
    assert_eq!(asks(&mut dialogue, 1, change(1, settings)).questions[0].asked.subject, ".goose/config.yaml");
    let mut known = gemini(Leave::Ask(Ask::Commands));
    assert_eq!(outcome(&asks(&mut known, 0, change(0, settings))), selected("allow_once"), "where that one takes its orders from is known");
    let mut unasked = goose("", Leave::Anything);
    assert_eq!(outcome(&asks(&mut unasked, 0, change(0, settings))), selected("allow_once"), "its sandbox is around it");
}

#[test]
fn a_prompt_is_no_command_of_its_own() {
    let terms = AgentTerms::default();
    let told = |mut dialogue: Acp| {
        dialogue.hear(&answers(INITIALIZE, json!({"protocolVersion": 1})));
        let heard = [dialogue.hear(&answers(SESSION, json!({"sessionId": "s1"}))), dialogue.hear(&answers(MODE, json!({})))];
        let said = heard.iter().flat_map(lines).find(|line| line["method"] == "session/prompt").unwrap();
        said["params"]["prompt"][0]["text"].as_str().unwrap().to_owned()
    };
    assert_eq!(told(gemini_cli::open(beginning(&terms), " /memory list").1), "This is to be done:\n\n /memory list");
    assert_eq!(told(gemini_cli::open(beginning(&terms), "\u{feff}/memory list").1), "This is to be done:\n\n\u{feff}/memory list");
    assert_eq!(told(gemini_cli::open(beginning(&terms), "$x").1), "This is to be done:\n\n$x");
    assert_eq!(told(opencode::open(beginning(&terms), "/init").1), "This is to be done:\n\n/init");
    assert_eq!(told(opencode::open(beginning(&terms), "tidy up").1), "tidy up");
}
