use super::*;
use crate::backend::manifest::Manifest;
use domain::{
    AttemptId, AttemptKey, CheckKind, Isolation, JudgeTerms, TaskId,
    agent::words::{PROMPTS, words_of},
    endpoint::ModelFormat,
    protocol::AssignedEndpoint,
    task,
};
use uuid::Uuid;

fn assignment(work: Work, backend: Option<Backend>) -> Assignment {
    Assignment {
        attempt: AttemptKey { task_id: TaskId(Uuid::nil()), attempt_id: AttemptId(Uuid::nil()), number: 1 },
        title: "Tidy up".into(),
        correlation_id: None,
        work,
        agent: AgentTerms { backend, ..AgentTerms::default() },
        repository: "/srv/app".into(),
        base_ref: None,
        repositories: vec![],
        submodules: false,
        lfs: false,
        files: vec![],
        success_criteria: vec![],
        checks: vec![],
        inputs: task::Inputs::default(),
        timeout_seconds: 60,
        tier: task::Tier::default(),
        failed_checks: vec![],
        isolation: Isolation::Sandbox,
        credentials: domain::protocol::Credentials::Machine,
        endpoint: None,
        continues: None,
    }
}

fn found(backend: Backend) -> Found {
    Found { backend, version: "2".into(), program: "/c".into(), needs: "/c".into(), manifest: None, is_simple: false }
}

#[test]
fn a_prompt_is_for_the_agent_it_names_or_for_the_one_that_there_is() {
    let claude = [found(Backend::ClaudeCode)];
    let subject = |work: &str, backend, agents: &[Found], command: Option<&str>| {
        let work = if work == "prompt" { Work::Prompt("tidy up".into()) } else { Work::Command("true".into()) };
        let assignment = assignment(work, backend);
        match Doing::of(&assignment, agents, command) {
            Ok(Doing::Script(script)) => Ok(script.subject().to_owned()),
            Ok(Doing::Agent { found, .. }) => Ok(found.backend.title().into_owned()),
            Err(failure) => Err(failure.code),
        }
    };
    let said = |who: &str| Ok::<_, FailureCode>(who.to_owned());
    assert_eq!(subject("prompt", Some(Backend::ClaudeCode), &claude, Some("agent")), said("Claude Code"));
    assert_eq!(subject("prompt", Some(Backend::ClaudeCode), &[], Some("agent")), Err(FailureCode::BackendMissing));
    assert_eq!(subject("prompt", None, &claude, Some("agent")), said("the agent"));
    assert_eq!(subject("prompt", None, &claude, None), said("Claude Code"));
    assert_eq!(subject("prompt", None, &[], None), Err(FailureCode::BackendMissing));
    assert_eq!(subject("command", None, &claude, Some("agent")), said("the command"));
}

#[test]
fn what_may_cost_so_much_is_for_who_counts_it() {
    let mut assignment = assignment(Work::Prompt("tidy up".into()), None);
    assignment.agent.max_cost_cents = Some(100);
    let both = [found(Backend::Codex), found(Backend::ClaudeCode)];
    let chosen = |agents: &[Found]| match Doing::of(&assignment, agents, Some("agent")) {
        Ok(Doing::Agent { found, .. }) => Ok(found.backend.clone()),
        Ok(Doing::Script(_)) => panic!("nobody would stop it"),
        Err(failure) => Err(failure.code),
    };
    assert_eq!(chosen(&both), Ok(Backend::ClaudeCode));
    assert_eq!(chosen(&both[..1]), Err(FailureCode::BackendMissing));
}

#[test]
fn what_may_take_so_many_turns_is_for_who_counts_them() {
    let mut assignment = assignment(Work::Prompt("tidy up".into()), None);
    let both = [found(Backend::OpenCode), found(Backend::GeminiCli)];
    let chosen = |assignment: &Assignment| match Doing::of(assignment, &both, None) {
        Ok(Doing::Agent { found, .. }) => found.backend.clone(),
        _ => panic!("there are two of them"),
    };
    assert_eq!(chosen(&assignment), Backend::OpenCode);
    assignment.agent.max_turns = Some(3);
    assert_eq!(chosen(&assignment), Backend::GeminiCli);
    let with_a_command = Doing::of(&assignment, &both, Some("agent"));
    assert!(matches!(with_a_command, Ok(Doing::Agent { found, .. }) if found.backend == Backend::GeminiCli), "a command counts none");
}

#[test]
fn who_says_that_it_has_what_a_prompt_needs_carries_it_out() {
    let found =
        |backend| Found { backend, version: "1".into(), program: "/o".into(), needs: "/o".into(), manifest: None, is_simple: false };
    let all: Vec<_> = Backend::KNOWN.map(found).into_iter().chain([Found { is_simple: true, ..found(Backend::Codex) }]).collect();
    let mut tried = (0, 0);
    for bits in 0..=255_u8 {
        let is = |place: u8| bits & (1 << place) > 0;
        let agents: Vec<_> = (0..).zip(&all).filter(|(place, _)| is(*place)).map(|(_, found)| found.clone()).collect();
        for command in [None, Some("agent")] {
            let mut assignment = assignment(Work::Prompt("tidy up".into()), None);
            assignment.agent.ask = is(5).then_some(domain::Ask::Commands);
            assignment.agent.max_turns = is(6).then_some(3);
            assignment.agent.max_cost_cents = is(7).then_some(100);
            let mut has = words_of(&agents.iter().map(Found::about).collect::<Vec<_>>());
            has.extend(command.map(|_| PROMPTS));
            let says_so = assignment.agent.needed_words().iter().all(|word| has.contains(word));
            let does = Doing::of(&assignment, &agents, command).is_ok();
            assert_eq!(says_so, does, "{has:?}, {command:?}, {:?}", assignment.agent);
            tried = if does { (tried.0 + 1, tried.1) } else { (tried.0, tried.1 + 1) };
        }
    }
    assert!(tried.0 > 50 && tried.1 > 50, "both are tried: {tried:?}");
}

#[test]
fn a_judge_is_the_one_that_is_named_or_one_that_may() {
    let all = [Backend::OpenCode, Backend::Codex, Backend::GeminiCli, Backend::ClaudeCode].map(found);
    let judges = |backend, agents: &[Found]| {
        let judge = JudgeTerms { backend, ..JudgeTerms::default() };
        let check = CheckSpec { judge, ..CheckSpec::new(CheckKind::Review, None) };
        super::judge(&check, agents).map(|found| found.backend.clone())
    };
    assert_eq!(judges(None, &all), Ok(Backend::ClaudeCode));
    assert_eq!(judges(Some(Backend::ClaudeCode), &all), Ok(Backend::ClaudeCode));
    assert_eq!(judges(Some(Backend::ClaudeCode), &all[..3]), Err("this runner has no Claude Code".to_owned()));
    assert_eq!(judges(None, &all[..3]), Err("this runner has no agent that judges".to_owned()));
    assert_eq!(judges(Some(Backend::Codex), &all), Err("Codex judges nothing".to_owned()), "whatever a server says");
}

#[test]
fn nobody_works_for_what_nobody_could_judge() {
    let (open_code, claude) = ([found(Backend::OpenCode)], [found(Backend::ClaudeCode)]);
    let mut assignment = assignment(Work::Command("true".into()), None);
    assert_eq!(has_judges(&assignment, &[]), Ok(false));
    assignment.checks = vec![CheckSpec::new(CheckKind::Model, Some("Is it well?".into()))];
    assert_eq!(has_judges(&assignment, &claude), Ok(true));
    let refused = |assignment: &Assignment| has_judges(assignment, &open_code).map_err(|failure| failure.code);
    assert_eq!(refused(&assignment), Err(FailureCode::BackendMissing), "it judges nothing");
    assignment.checks[0].required = false;
    assert_eq!(refused(&assignment), Ok(false), "what need not pass stands in nobody's way");
}

#[test]
fn what_asks_people_is_no_command_that_asks_nobody() {
    let claude = [found(Backend::ClaudeCode)];
    let mut assignment = assignment(Work::Prompt("tidy up".into()), None);
    assignment.agent.ask = Some(domain::Ask::Commands);
    assert!(matches!(Doing::of(&assignment, &claude, Some("agent")), Ok(Doing::Agent { .. })));
    assert!(matches!(Doing::of(&assignment, &[], Some("agent")), Err(failure) if failure.code == FailureCode::BackendMissing));
}

#[test]
fn codex_in_its_simple_mode_asks_nobody_and_counts_no_turns() {
    let spoken_with = found(Backend::Codex);
    let simple = Found { is_simple: true, ..spoken_with.clone() };
    let task = |named: bool, terms: AgentTerms| {
        let backend = named.then_some(Backend::Codex);
        Assignment { agent: AgentTerms { backend, ..terms }, ..assignment(Work::Prompt("tidy up".into()), None) }
    };
    let asks = || AgentTerms { ask: Some(domain::Ask::Commands), ..AgentTerms::default() };
    let turns = || AgentTerms { max_turns: Some(3), ..AgentTerms::default() };
    let refused = |task: &Assignment, found: &Found| Doing::of(task, std::slice::from_ref(found), None).err();
    assert_eq!(refused(&task(true, AgentTerms::default()), &simple), None);
    for (terms, why) in [(asks(), "asks nobody in the simple mode"), (turns(), "does not count its turns in the simple mode")] {
        assert_eq!(refused(&task(true, terms.clone()), &spoken_with), None);
        let failure = refused(&task(true, terms.clone()), &simple).unwrap();
        assert_eq!(failure.code, FailureCode::BackendMissing);
        assert!(failure.message.contains(why), "{}", failure.message);
        assert_eq!(refused(&task(false, terms.clone()), &simple).map(|failure| failure.code), Some(FailureCode::BackendMissing));
        let both = [simple.clone(), found(Backend::ClaudeCode)];
        let task = task(false, terms);
        assert!(matches!(Doing::of(&task, &both, None), Ok(Doing::Agent { found, .. }) if found.backend == Backend::ClaudeCode));
    }
}

/// An agent of a manifest.
fn own(word: &str, manifest: &str) -> Found {
    let manifest = Some(Manifest::parse(manifest).unwrap().into());
    Found { manifest, ..found(Backend::parse(word).unwrap()) }
}

const GOOSE: &str = "speaks = \"acp\"\ncommand = [\"goose\", \"acp\"]\n";

#[test]
fn an_agent_of_a_manifest_is_given_what_names_it_and_nothing_else() {
    let agents = [own("acp:goose", GOOSE)];
    let named = assignment(Work::Prompt("tidy up".into()), Some(Backend::parse("acp:goose").unwrap()));
    assert!(matches!(Doing::of(&named, &agents, Some("agent")), Ok(Doing::Agent { .. })));
    let any = assignment(Work::Prompt("tidy up".into()), None);
    assert!(matches!(Doing::of(&any, &agents, Some("agent")), Ok(Doing::Script(_))));
    let failure = Doing::of(&any, &agents, None).err().unwrap();
    assert_eq!(failure.code, FailureCode::BackendMissing);
    assert!(failure.message.ends_with("the task has to say acp:goose"), "{}", failure.message);
    let known = Found { backend: Backend::OpenCode, manifest: None, ..own("acp:goose", GOOSE) };
    let both = [own("acp:goose", GOOSE), known];
    assert!(matches!(Doing::of(&any, &both, None), Ok(Doing::Agent { found, .. }) if found.backend == Backend::OpenCode));
    let asks = Assignment { agent: AgentTerms { ask: Some(domain::Ask::Commands), ..any.agent.clone() }, ..any };
    assert!(Doing::of(&asks, &agents, None).is_err(), "nor when people are to be asked");
}

#[test]
fn an_agent_of_a_manifest_judges_nothing() {
    let goose = own("acp:goose", GOOSE);
    let mut check = CheckSpec::new(CheckKind::Review, None);
    let why = |check: &CheckSpec, agents: &[Found]| super::judge(check, agents).err();
    assert!(why(&check, std::slice::from_ref(&goose)).is_some_and(|why| why.starts_with("this runner has no agent")));
    let known = Found { backend: Backend::ClaudeCode, manifest: None, ..goose.clone() };
    let both = [goose.clone(), known];
    assert!(super::judge(&check, &both).is_ok_and(|found| found.backend == Backend::ClaudeCode), "another can");
    check.judge.backend = Some(goose.backend);
    assert_eq!(why(&check, &both).as_deref(), Some("goose (acp) judges nothing"), "whatever a server says");
}

#[test]
fn only_an_agent_of_a_manifest_can_be_gone() {
    let agents = [own("acp:goose", GOOSE)];
    let is_gone = |work: Work, word: Option<&str>| is_gone(&assignment(work, word.and_then(|word| Backend::parse(word).ok())), &agents);
    let prompt = || Work::Prompt("tidy up".into());
    assert!(is_gone(prompt(), Some("own:goose")) && is_gone(prompt(), Some("acp:mine")));
    assert!(!is_gone(prompt(), Some("acp:goose")) && !is_gone(prompt(), None));
    assert!(!is_gone(prompt(), Some("codex")), "it is found by each runner itself, and missing where somebody took it away");
    assert!(!is_gone(Work::Command("true".into()), Some("own:goose")));
}

#[test]
fn what_a_task_says_has_to_be_possible_by_the_manifest() {
    let strict = own("acp:goose", GOOSE);
    let able = own("acp:goose", "speaks = \"acp\"\ncommand = [\"goose\", \"{model}\"]\nmodel = \"small\"\nacp = { asks = true }\n");
    let mut task = assignment(Work::Prompt("tidy up".into()), Some(strict.backend.clone()));
    let refused = |task: &Assignment, found: &Found| Doing::of(task, std::slice::from_ref(found), None).err().map(|why| why.message);
    assert_eq!((refused(&task, &strict), refused(&task, &able)), (None, None));
    task.agent.ask = Some(domain::Ask::Commands);
    assert!(refused(&task, &strict).is_some_and(|why| why.contains("does not say that it asks")), "it may do things unasked");
    assert_eq!(refused(&task, &able), None);
    task.agent = AgentTerms { model: Some("large".into()), backend: task.agent.backend.clone(), ..AgentTerms::default() };
    assert!(refused(&task, &strict).is_some_and(|why| why.contains("no {model}")));
    assert_eq!(refused(&task, &able), None);
}

#[test]
fn an_agent_of_a_manifest_is_told_nothing_without_a_sandbox_nor_what_no_argument_holds() {
    let found = own("own:mine", "speaks = \"text\"\ncommand = [\"mine\", \"{prompt}\"]\n");
    assert_eq!(refusal(&found, "tidy up", true), None);
    assert!(refusal(&found, "tidy up", false).is_some_and(|why| why.message.contains("in a sandbox alone")));
    assert!(refusal(&found, &"x".repeat(100_001), true).is_some_and(|why| why.message.contains("standard input")));
    let listens = own("own:mine", "speaks = \"text\"\ncommand = [\"mine\"]\n");
    assert_eq!(refusal(&listens, &"x".repeat(100_001), true), None);
}

/// As a server assigns it, which has chosen this endpoint.
fn at_an_endpoint(backend: Option<Backend>, formats: &[ModelFormat]) -> Assignment {
    let formats = formats.to_vec();
    let endpoint = AssignedEndpoint { id: domain::EndpointId(Uuid::nil()), name: "box".into(), url: "http://box:11434".into(), formats };
    let agent = AgentTerms { backend, model: Some("llama3".into()), ..AgentTerms::default() };
    Assignment { agent, endpoint: Some(endpoint), ..assignment(Work::Prompt("tidy up".into()), None) }
}

#[test]
fn a_prompt_whose_model_is_at_an_endpoint_is_for_the_first_agent_that_can_ask_it() {
    let all = [Backend::GeminiCli, Backend::ClaudeCode, Backend::Codex, Backend::OpenCode].map(found);
    let does = |assignment: &Assignment, agents: &[Found]| match Doing::of(assignment, agents, Some("agent")) {
        Ok(Doing::Agent { found, .. }) => Some(found.backend.clone()),
        Ok(Doing::Script(_)) => None,
        Err(failure) => panic!("{failure:?}"),
    };
    let for_any = |formats: &[ModelFormat]| at_an_endpoint(None, formats);
    assert_eq!(does(&for_any(&ModelFormat::ALL), &all), Some(Backend::ClaudeCode), "a command is told of no model");
    assert_eq!(does(&for_any(&[ModelFormat::OpenaiChat]), &all), Some(Backend::OpenCode), "it is too old for the others");
    assert_eq!(does(&for_any(&[ModelFormat::OpenaiResponses]), &all[..2]), None, "none of them can ask it");
    let mut asks = for_any(&ModelFormat::ALL);
    asks.agent.ask = Some(domain::Ask::Commands);
    let simple = [Found { is_simple: true, ..found(Backend::Codex) }, found(Backend::OpenCode)];
    assert_eq!(does(&asks, &simple), Some(Backend::OpenCode), "it asks people, as it is to");
    assert_eq!(does(&at_an_endpoint(Some(Backend::GeminiCli), &ModelFormat::ALL), &all), Some(Backend::GeminiCli), "who is named does it");
    let nowhere = Assignment { endpoint: None, ..for_any(&[]) };
    assert_eq!(does(&nowhere, &all), None);
}

/// It goes back, and the server chooses again by what there is now.
#[test]
fn a_prompt_whose_endpoint_nobody_here_can_ask_is_not_done_at_another_provider() {
    let known = [Backend::ClaudeCode, Backend::Codex, Backend::OpenCode].map(found);
    let named = |backend: Backend, formats: &[ModelFormat]| is_gone(&at_an_endpoint(Some(backend), formats), &known);
    assert!(named(Backend::Codex, &[ModelFormat::OpenaiChat]), "it would ask whom its own key is for");
    assert!(!named(Backend::Codex, &[ModelFormat::OpenaiResponses]) && !named(Backend::OpenCode, &[ModelFormat::OpenaiChat]));
    assert!(!named(Backend::GeminiCli, &ModelFormat::ALL), "who is missing is told to be");
    let any = |formats: &[ModelFormat], agents: &[Found]| is_gone(&at_an_endpoint(None, formats), agents);
    assert!(any(&[ModelFormat::AnthropicMessages], &known[1..]) && any(&ModelFormat::ALL, &[]), "nor does a command do it");
    assert!(!any(&[ModelFormat::AnthropicMessages], &known));
    let goose = [own("acp:goose", GOOSE)];
    assert!(is_gone(&at_an_endpoint(Some(goose[0].backend.clone()), &ModelFormat::ALL), &goose), "its manifest says no provider any more");
    let command = Assignment { work: Work::Command("true".into()), ..at_an_endpoint(None, &ModelFormat::ALL) };
    assert!(!is_gone(&command, &[]) && !is_gone(&Assignment { endpoint: None, ..at_an_endpoint(None, &[]) }, &[]));
}

#[test]
fn the_work_reaches_its_endpoint_and_nothing_else() {
    let goose = own(
        "acp:goose",
        "speaks = \"acp\"\ncommand = [\"goose\"]\nhosts = [\"api.example.org\"]\nvariables = { WEB = \"https://example.net\" }\n[provider]\nformat = \"openai-chat\"\nurl = \"GOOSE_URL\"\nmodel = \"GOOSE_MODEL\"\n",
    );
    let given = ["ANTHROPIC_BASE_URL", "OPENAI_BASE_URL", "GOOGLE_GEMINI_BASE_URL"];
    let given = given.map(|name| (OsString::from(name), OsString::from("https://api.example.com/v1")));
    let reaches =
        |found: &Found, formats: &[ModelFormat]| hosts(found, &at_an_endpoint(Some(found.backend.clone()), formats), &given).to_string();
    for found in [found(Backend::ClaudeCode), found(Backend::Codex), found(Backend::OpenCode), goose.clone()] {
        assert_eq!(reaches(&found, &ModelFormat::ALL), "box:11434", "{:?}", found.backend);
    }
    assert_eq!(reaches(&found(Backend::GeminiCli), &ModelFormat::ALL), "api.example.com:443", "it cannot ask one");
    assert_eq!(reaches(&found(Backend::Codex), &[ModelFormat::OpenaiChat]), "api.example.com:443", "nor one that does not understand it");
    assert_eq!(reaches(&goose, &[]), "api.example.org,example.net:443");
}

#[test]
fn a_program_finds_its_first_files_in_its_own_folder() {
    let folder = tempfile::tempdir().unwrap();
    write_first(folder.path(), &[(".gemini/settings.json", "{}".into())]).unwrap();
    assert_eq!(fs::read_to_string(folder.path().join(".gemini/settings.json")).unwrap(), "{}");
}
