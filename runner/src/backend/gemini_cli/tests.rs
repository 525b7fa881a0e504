//! How it is started. What it says is in the tests of the protocol.

use domain::{AgentTerms, Ask};

use super::*;
use crate::backend::{Spent, question::Leave};

fn beginning<'a>(terms: &'a AgentTerms, session: Option<&str>, leave: Leave) -> Beginning<'a> {
    Beginning {
        worktree: "/home/dev/run".into(),
        more: None,
        config: "/home/dev/.gemini-cli".into(),
        session: session.map(Into::into),
        spent: Spent::default(),
        terms,
        leave,
        in_sandbox: true,
        given: &[],
    }
}

fn opening(terms: &AgentTerms, session: Option<&str>, leave: Leave) -> Opening {
    open(beginning(terms, session, leave), "tidy up").0
}

#[test]
fn its_tools_reach_further_repositories() {
    let terms = AgentTerms::default();
    let arguments = |more: &str| open(Beginning { more: Some(more.into()), ..beginning(&terms, None, Leave::Anything) }, "x").0.arguments;
    assert_eq!(arguments("/home/dev/more"), ["--acp", "--include-directories", "/home/dev/more"]);
    assert_eq!(arguments("/home/dev,eve/more"), ["--acp"], "it would take that for two");
}

#[test]
fn it_does_not_trust_the_repository_and_asks_before_it_does_anything() {
    let opening = opening(&AgentTerms::default(), None, Leave::Anything);
    assert_eq!(opening.arguments, ["--acp"]);
    let variable = |name: &str| opening.variables.iter().find(|(own, _)| *own == name).and_then(|(_, value)| value.to_str());
    assert_eq!(variable("GEMINI_CLI_TRUST_WORKSPACE"), Some("false"), "or its settings start programs");
    assert_eq!(variable("GEMINI_CLI_HOME"), Some("/home/dev/.gemini-cli"));
    let (name, text) = &opening.files[0];
    let settings: Value = serde_json::from_str(text).unwrap();
    assert_eq!(*name, ".gemini/settings.json");
    assert_eq!(settings["security"]["auth"]["selectedType"], "gemini-api-key");
    assert_eq!((&settings["hooksConfig"]["enabled"], &settings["telemetry"]["enabled"]), (&json!(false), &json!(false)));
    assert_eq!(settings["model"], Value::Null);
    assert_eq!(settings["experimental"]["enableAgents"], false, "what a helper asks comes to nobody");
}

#[test]
fn where_people_are_asked_it_has_nothing_that_it_uses_unasked() {
    let excluded = |leave| {
        let settings: Value = serde_json::from_str(&opening(&AgentTerms::default(), None, leave).files[0].1).unwrap();
        settings["tools"]["exclude"].clone()
    };
    assert_eq!((excluded(Leave::Ask(Ask::Commands)), excluded(Leave::Anything)), (json!(["google_web_search"]), Value::Null));
    assert_eq!(excluded(Leave::Look), json!(["google_web_search"]));
}

#[test]
fn its_model_and_its_turns_are_as_the_task_says() {
    let terms = AgentTerms { model: Some("gemini-2.5-flash".into()), max_turns: Some(7), ..AgentTerms::default() };
    let opening = opening(&terms, Some("s1"), Leave::Anything);
    assert_eq!(opening.arguments, ["--acp", "--model", "gemini-2.5-flash"]);
    let settings: Value = serde_json::from_str(&opening.files[0].1).unwrap();
    assert_eq!(settings["model"]["maxSessionTurns"], 7);
}
