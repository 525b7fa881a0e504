//! How it is started. What it says is in the tests of the protocol.

use std::path::PathBuf;

use domain::{AgentTerms, Ask, FailureCode};

use super::*;
use crate::backend::{Dialogue, Spent};

fn begins(terms: &AgentTerms, worktree: PathBuf, leave: Leave, given: &[(OsString, OsString)]) -> (Opening, Acp) {
    let config = "/home/dev/.opencode".into();
    let place = Beginning { worktree, more: None, config, session: None, spent: Spent::default(), terms, leave, in_sandbox: true, given };
    open(place, "tidy up")
}

fn settings(opening: &Opening) -> Value {
    let (_, text) = opening.variables.iter().find(|(name, _)| *name == "OPENCODE_CONFIG_CONTENT").unwrap();
    serde_json::from_str(text.to_str().unwrap()).unwrap()
}

#[test]
fn its_provider_is_where_the_agents_are_told_and_knows_the_model_of_the_task() {
    let terms = AgentTerms { model: Some("acme/large-2".into()), ..AgentTerms::default() };
    let given: [(OsString, OsString); 2] =
        [("OPENAI_BASE_URL".into(), "http://127.0.0.1:4010/v1".into()), ("OPENAI_MODEL".into(), "small".into())];
    let (opening, _) = begins(&terms, "/home/dev/run".into(), Leave::Anything, &given);
    assert_eq!(opening.arguments, ["acp"]);
    let own = settings(&opening);
    assert_eq!(own["provider"]["muster"]["options"]["baseURL"], "http://127.0.0.1:4010/v1");
    assert_eq!((&own["model"], &own["provider"]["muster"]["models"]["acme/large-2"]), (&json!("muster/acme/large-2"), &json!({})));
    assert!(!own.to_string().contains("sk-") && own["provider"]["muster"]["options"]["apiKey"] == "{env:OPENAI_API_KEY}");
    let usual = AgentTerms::default();
    let model =
        |given: &[(OsString, OsString)]| settings(&begins(&usual, "/home/dev/run".into(), Leave::Anything, given).0)["model"].clone();
    assert_eq!([model(&given), model(&[])], ["muster/small", "muster/gpt-5.2"]);
}

#[test]
fn it_asks_before_it_does_anything_but_look_around_the_repository() {
    let terms = AgentTerms::default();
    let own = settings(&begins(&terms, "/home/dev/run".into(), Leave::Anything, &[]).0);
    assert_eq!((&own["permission"]["*"], &own["permission"]["read"]), (&json!("ask"), &json!("allow")));
    assert_eq!(own["permission"]["task"], "deny", "what a helper asks comes to nobody");
    assert_eq!(own["instructions"][0], "/home/dev/run/AGENTS.md");
    let judge = settings(&begins(&terms, "/home/dev/run".into(), Leave::Look, &[]).0);
    assert_eq!(judge["instructions"], json!([]), "what it judges does not tell it how");
}

#[test]
fn where_people_are_asked_the_repository_brings_no_programs() {
    let terms = AgentTerms::default();
    let refuses = |worktree: &Path, leave| {
        let mut dialogue = begins(&terms, worktree.to_owned(), leave, &[]).1;
        let heard = dialogue.hear(r#"{"jsonrpc": "2.0", "id": 0, "result": {"protocolVersion": 1}}"#);
        let code = dialogue.verdict(None).err().map(|failure| failure.code);
        assert_eq!(heard.answers.is_empty(), code == Some(FailureCode::AgentDenied), "it is told nothing");
        heard.is_over
    };
    let asks = Leave::Ask(Ask::Commands);
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::write(root.join("opencode.json"), r#"{"model": "x"}"#).unwrap();
    assert!(!refuses(root, asks));
    for settings in [r#"{"plugin": ["./a.ts"]}"#, r#"{"\u0070lugin": ["./a.ts"]}"#] {
        fs::write(root.join("opencode.json"), settings).unwrap();
        assert!(refuses(root, asks) && !refuses(root, Leave::Anything), "{settings}: a sandbox holds it");
        assert!(refuses(root, Leave::Look), "a plugin of what it judges would judge with it");
    }
    fs::remove_file(root.join("opencode.json")).unwrap();
    assert!(!refuses(root, asks));
    std::os::unix::fs::symlink("/dev/zero", root.join("opencode.jsonc")).unwrap();
    assert!(refuses(root, asks), "and is not read");
    fs::remove_file(root.join("opencode.jsonc")).unwrap();
    fs::create_dir_all(root.join(".opencode/plugins")).unwrap();
    assert!(refuses(root, asks));
}
