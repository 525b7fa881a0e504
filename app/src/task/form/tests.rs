use domain::{Backend, CheckSpec};

use super::*;

fn filled() -> TaskForm {
    TaskForm { title: " Tidy up ".into(), command: "make tidy\r\nmake test".into(), repository: "/srv/app".into(), ..TaskForm::default() }
}

fn row(kind: &str, target: &str) -> CheckRow {
    CheckRow { kind: kind.into(), target: target.into(), required: "yes".into(), ..CheckRow::default() }
}

fn wrong(form: &TaskForm) -> Vec<(String, String)> {
    match form.to_new_task() {
        Ok(_) => vec![],
        Err(problem) => problem.errors.into_iter().map(|error| (error.pointer, error.message)).collect(),
    }
}

#[test]
fn what_is_typed_becomes_a_task() {
    let form = TaskForm {
        base_ref: " main ".into(),
        repositories: "/srv/api\r\n\n web=https://example.org/site.git#v2 ".into(),
        also_fetched: "submodules lfs".into(),
        files: "src/a.rs\n\n  src/b.rs  \n".into(),
        success_criteria: "It builds\nIt is quick".into(),
        checks: vec![row("", ""), row("test_passes", " auto "), CheckRow { required: String::new(), ..row("git_clean", "") }],
        priority: "high".into(),
        depends_on: "0190a2b4-7d34-7c11-8a52-0123456789ab, 0190a2b4-7d34-7c11-8a52-0123456789ac".into(),
        inputs: "version=1.2.x\ncount=3".into(),
        timeout: "90s".into(),
        max_attempts: "2".into(),
        retry: "linear".into(),
        retry_base: "10s".into(),
        retry_cap: "5m".into(),
        retry_by_class: "provider_limit=linear,5m,1h\n\ninfrastructure=none".into(),
        capabilities: "gpu docker".into(),
        tier: "complex".into(),
        estimate: "10m".into(),
        land: "pull_request".into(),
        run_at: "2026-12-01T08:00".into(),
        complete_by: "2026-12-01T09:00".into(),
        queue_time: "30m".into(),
        share: "staging=3".into(),
        tags: "nightly, team/web".into(),
        correlation_id: " OPS-1 ".into(),
        ..filled()
    };
    let new = form.to_new_task().unwrap();
    assert_eq!(new.title, "Tidy up");
    assert_eq!(new.command.as_deref(), Some("make tidy\nmake test"));
    assert_eq!((new.prompt, new.base_ref), (None, Some("main".into())));
    assert_eq!(new.repositories.iter().map(NewRepository::folder).collect::<Vec<_>>(), ["api", "web"]);
    assert_eq!((new.repositories[1].url.as_str(), new.repositories[1].base_ref.as_deref()), ("https://example.org/site.git", Some("v2")));
    assert_eq!((new.submodules, new.lfs), (true, true));
    assert_eq!(new.files, ["src/a.rs", "src/b.rs"]);
    assert_eq!(new.success_criteria.len(), 2);
    assert_eq!(new.checks[0], CheckSpec::new(CheckKind::TestPasses, Some("auto".into())));
    assert_eq!(new.checks[1], CheckSpec { required: false, ..CheckSpec::new(CheckKind::GitClean, None) });
    assert_eq!((new.priority, new.timeout_seconds, new.max_attempts, new.depends_on.len()), (Priority::High, 90, 2, 2));
    assert_eq!((&new.inputs["version"], &new.inputs["count"]), (&"1.2.x".into(), &3.into()));
    assert_eq!((new.retry.strategy, new.retry.base_seconds, new.retry.cap_seconds), (RetryStrategy::Linear, 10, 300));
    let limit = new.retry.by_class.provider_limit.unwrap();
    assert_eq!((limit.base_seconds, limit.cap_seconds), (Some(300), Some(3600)));
    assert_eq!(new.retry.by_class.infrastructure.unwrap().strategy, Some(RetryStrategy::None));
    assert_eq!((new.capabilities.join("+").as_str(), new.tier, new.estimate_seconds), ("gpu+docker", Some(Tier::Complex), Some(600)));
    assert_eq!(new.land, Land::PullRequest);
    assert_eq!(new.run_at.unwrap().to_rfc3339(), "2026-12-01T08:00:00+00:00");
    assert_eq!(new.complete_by.unwrap().to_rfc3339(), "2026-12-01T09:00:00+00:00");
    assert_eq!((new.queue_seconds, new.concurrency.as_ref().map(Concurrency::text).as_deref()), (Some(1800), Some("staging=3")));
    assert_eq!((new.tags, new.correlation_id.as_deref()), (vec!["nightly".to_owned(), "team/web".to_owned()], Some("OPS-1")));
}

#[test]
fn only_the_chosen_kind_of_work_counts() {
    let form = TaskForm { work: "prompt".into(), prompt: "Tidy up.".into(), ..filled() };
    let new = form.to_new_task().unwrap();
    assert_eq!((new.command, new.prompt.as_deref()), (None, Some("Tidy up.")));
    assert_eq!(wrong(&TaskForm { command: "  ".into(), ..filled() })[0].0, "/command");
    assert_eq!(wrong(&TaskForm { also_fetched: "everything".into(), ..filled() })[0].0, "/also_fetched");
    let fetched = |word: &str| TaskForm { also_fetched: word.into(), ..filled() }.to_new_task().map(|new| (new.submodules, new.lfs));
    assert_eq!(["", "submodules", "lfs"].map(|word| fetched(word).unwrap()), [(false, false), (true, false), (false, true)]);
    assert_eq!(wrong(&TaskForm { work: "prompt".into(), ..filled() })[0].0, "/prompt");
    let beside = wrong(&TaskForm { repositories: "/srv/api\n\n/srv/app\n-x=/lib/api\n".into(), ..filled() });
    let expected = [
        ("/repositories".to_owned(), "line 3: the repository is named twice; a task has one worktree of each repository".to_owned()),
        ("/repositories".to_owned(), "line 4: the repository must not start with a dash".to_owned()),
    ];
    assert_eq!(beside, expected);
}

#[test]
fn a_prompt_says_who_is_given_it() {
    let form = TaskForm {
        work: "prompt".into(),
        prompt: "Tidy up.".into(),
        agent: "claude-code".into(),
        model: " claude-sonnet-4-5 ".into(),
        max_turns: "30".into(),
        ask: "commands".into(),
        answer_minutes: " 5 ".into(),
        verification_retries: "0".into(),
        max_cost: "$2.5".into(),
        ..filled()
    };
    let agent = form.to_new_task().unwrap().agent;
    assert_eq!((agent.backend, agent.model.as_deref()), (Some(Backend::ClaudeCode), Some("claude-sonnet-4-5")));
    assert_eq!((agent.max_turns, agent.max_verification_retries, agent.max_cost_cents), (Some(30), Some(0), Some(250)));
    assert_eq!((agent.ask, agent.answer_minutes), (Some(Ask::Commands), Some(5)));
    let own = TaskForm { agent: "acp:goose".into(), max_turns: String::new(), max_cost: String::new(), ..form.clone() };
    assert_eq!(own.to_new_task().unwrap().needed_capabilities(), ["acp:goose"], "no other runner is given it");
    assert!(TaskForm { work: "prompt".into(), prompt: "x".into(), ..filled() }.to_new_task().unwrap().agent.is_usual());
    assert_eq!(wrong(&TaskForm { work: "command".into(), ..form.clone() })[0].0, "/agent");
    assert_eq!(wrong(&TaskForm { ask: String::new(), ..form.clone() })[0].0, "/agent/answer_minutes", "it asks nobody");
    let dear = wrong(&TaskForm { max_cost: "10000.01".into(), max_turns: "0".into(), answer_minutes: "1441".into(), ..form });
    assert_eq!(dear[0], ("/agent/max_turns".to_owned(), "must be 1 to 10000".to_owned()));
    assert_eq!(dear[1], ("/agent/max_cost_cents".to_owned(), "must be $0.01 to $10000.00".to_owned()));
    assert_eq!(dear[2], ("/agent/answer_minutes".to_owned(), "must be 1 to 1440".to_owned()));
}

#[test]
fn everything_that_is_wrong_is_said_at_once_and_at_its_field() {
    let form = TaskForm {
        title: String::new(),
        repository: "here".into(),
        files: format!("ok\n\n{}", "x".repeat(1001)),
        checks: vec![row("", ""), row("file_exists", "../out"), row("", "cargo test")],
        priority: "asap".into(),
        depends_on: "nonsense".into(),
        timeout: "soon".into(),
        max_attempts: "many".into(),
        retry: "hopefully".into(),
        retry_base: "never".into(),
        retry_by_class: "sometimes".into(),
        capabilities: "Gpu".into(),
        tier: "odd".into(),
        estimate: "long".into(),
        agent: "nobody".into(),
        model: "a model".into(),
        max_turns: "few".into(),
        ask: "for money".into(),
        answer_minutes: "soon".into(),
        verification_retries: "some".into(),
        max_cost: "much".into(),
        run_at: "tomorrow".into(),
        ..filled()
    };
    let pointers: Vec<String> = wrong(&form).into_iter().map(|(pointer, _)| pointer).collect();
    assert_eq!(
        pointers,
        [
            "/priority",
            "/timeout_seconds",
            "/max_attempts",
            "/retry/strategy",
            "/retry/base_seconds",
            "/retry/by_class",
            "/run_at",
            "/tier",
            "/estimate_seconds",
            "/agent",
            "/agent/max_turns",
            "/agent/ask",
            "/agent/answer_minutes",
            "/agent/max_verification_retries",
            "/agent/max_cost_cents",
            "/depends_on",
            "/checks/2/kind",
            "/title",
            "/agent/model",
            "/repository",
            "/files",
            "/checks/1/target",
            "/capabilities",
        ]
    );
    let problem = form.to_new_task().unwrap_err();
    assert!(messages(Some(&problem), "/files")[0].starts_with("Line 3 is 1001 characters long"));
    assert_eq!(messages(Some(&problem), "/nothing"), Vec::<String>::new());
}

#[test]
fn without_scripts_what_was_typed_comes_back() {
    let form = TaskForm { title: "a & b <c>".into(), ..filled() };
    let problem = Problem::invalid(Invalid::field("/repository", "x", "is wrong").errors, "x");
    let path = form.back_path(&problem).unwrap();
    assert!(path.starts_with("/tasks/new?draft=") && path.is_ascii() && path.contains("&__path=%2F_fn%2Fcreate_task&__err="), "{path}");
    let long = TaskForm { command: "x".repeat(8000), ..form };
    assert_eq!(long.back_path(&problem), None);
}

#[test]
fn what_the_engine_says_leads_to_the_row_it_was_typed_in() {
    let form = TaskForm { checks: vec![row("", ""), row("git_clean", ""), row("", ""), row("test_passes", "x")], ..filled() };
    let invalid = Invalid::field("/checks/1/target", "x", "is wrong");
    let located = form.locate(Problem::invalid(invalid.errors, "x"));
    assert_eq!(located.errors[0].pointer, "/checks/3/target");
    let invalid = Invalid::field("/depends_on/0", "not_found", "does not exist");
    assert_eq!(form.locate(Problem::invalid(invalid.errors, "x")).errors[0].pointer, "/depends_on");
}
