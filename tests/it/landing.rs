//! Results land: on a forge that plays GitHub and one that plays GitLab, over real git and http, with the token of the runner's machine.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use domain::{
    PullRequest, Role,
    crash::LANDING_POINTS,
    protocol::{Landed, Trouble},
};
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, PgPool};
use tests::{
    TestApp,
    machine::{Client, Machine, Server, stderr, stdout},
    their_postgres::TheirCluster,
};

/// Long for a busy machine, and never reached when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

struct Scene<'a> {
    client: Client<'a>,
}

impl<'a> Scene<'a> {
    fn at(machine: &'a Machine, server: &'a Server) -> Self {
        Self { client: Client { machine, url: &server.url, key: machine.creates_key("member") } }
    }

    /// A task that has succeeded; its id.
    fn done(&self, location: &str, more: &[&str]) -> String {
        let command = "echo x > made.txt";
        let run =
            ["task", "run", "--repo", location, "--command", command, "--check", "file_exists=made.txt", "--title", "Make it", "--watch"];
        let ran = self.client.run(&[&run[..], more].concat());
        assert_eq!(ran.status.code(), Some(0), "{}{}", stdout(&ran), stderr(&ran));
        stdout(&self.client.run(&["task", "list"])).split('\t').next().unwrap().to_owned()
    }

    fn task(&self, id: &str) -> Value {
        let shown = self.client.run(&["task", "show", id, "--json"]);
        serde_json::from_str(&stdout(&shown)).unwrap_or_else(|_| panic!("{}", stderr(&shown)))
    }

    /// The landing, once that is so.
    fn landing(&self, id: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let landing = self.task(id)["landing"].clone();
            if is_so(&landing) {
                return landing;
            }
            assert!(Instant::now() < deadline, "{landing}");
            std::thread::yield_now();
        }
    }

    /// Why its first attempt has failed, once it has.
    fn failure(&self, id: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let task = self.task(id);
            if let Some(message) = task.pointer("/attempt_list/0/failure/message").and_then(Value::as_str) {
                return message.to_owned();
            }
            assert!(Instant::now() < deadline, "{task}");
            std::thread::yield_now();
        }
    }

    fn lands(&self, id: &str) -> Value {
        self.landing(id, |landing| landing["state"] == "landed")
    }

    fn asks(&self, id: &str, how: &str) {
        let asked = self.client.run(&["task", "land", id, "--how", how]);
        assert_eq!(asked.status.code(), Some(0), "{}", stderr(&asked));
    }
}

fn git(repository: &Path, arguments: &[&str]) -> String {
    let done = Command::new("git").arg("-C").arg(repository).args(arguments).output().unwrap();
    assert!(done.status.success(), "git {arguments:?}: {}", stderr(&done));
    stdout(&done).trim().to_owned()
}

fn text<'a>(value: &'a Value, place: &str) -> &'a str {
    value.pointer(place).and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn a_task_with_two_repositories_becomes_two_pull_requests_that_name_each_other() {
    let machine = Machine::new();
    let (hub, lab) = (machine.forges("hub"), machine.forges("lab"));
    let server = machine.serves_landing(&[(&hub, "github"), (&lab, "gitlab")], &[]);
    let scene = Scene::at(&machine, &server);
    let (first, beside) = (hub.location(), format!("lab={}#main", lab.location()));
    let command = "echo x > made.txt; echo y > ../more/lab/made.txt";
    let check = "command_succeeds=grep x made.txt && grep y \"$MUSTER_MORE/lab/made.txt\"";
    let run = ["task", "run", "--repo", &first, "--also", &beside, "--command", command, "--check", check, "--title", "Make both"];
    let ran = scene.client.run(&[&run[..], &["--land", "pull_request", "--watch"]].concat());
    assert_eq!(ran.status.code(), Some(0), "{}{}", stdout(&ran), stderr(&ran));
    let id = stdout(&scene.client.run(&["task", "list"])).split('\t').next().unwrap().to_owned();
    scene.lands(&id);
    let deadline = Instant::now() + PATIENCE;
    let (task, bodies) = loop {
        let task = scene.task(&id);
        let urls = ["/landing/pull_request/url", "/more_landings/0/pull_request/url"].map(|place| text(&task, place).to_owned());
        let bodies = [&hub, &lab].map(|forge| forge.pulls().first().map(|pull| text(pull, "/body").to_owned()).unwrap_or_default());
        let is_linked = urls.iter().all(|url| !url.is_empty()) && bodies[0].contains(&urls[1]) && bodies[1].contains(&urls[0]);
        if is_linked {
            break (task, bodies);
        }
        assert!(Instant::now() < deadline, "{task} {bodies:?}");
        std::thread::yield_now();
    };
    let branch = text(&task, "/landing/branch");
    for (forge, commit) in [(&hub, "/attempt_list/0/commit"), (&lab, "/attempt_list/0/repositories/0/commit")] {
        assert_eq!(git(&forge.repository(), &["rev-parse", &format!("refs/heads/{branch}")]), text(&task, commit));
        assert_eq!(forge.pulls().len(), 1, "{bodies:?}");
    }
    assert_eq!(git(&lab.repository(), &["show", &format!("{branch}:made.txt")]), "y");
    let shown = stdout(&scene.client.run(&["task", "show", &id]));
    assert!(shown.contains(&format!("repositories\t{beside}\n")) && shown.contains("more_landing\tlab landed http"), "{shown}");
    server.stops();
}

#[test]
fn a_result_becomes_one_pull_request_on_github_and_on_gitlab() {
    let machine = Machine::new();
    let forges = [(machine.forges("hub"), "github"), (machine.forges("lab"), "gitlab")];
    let server = machine.serves_landing(&[(&forges[0].0, forges[0].1), (&forges[1].0, forges[1].1)], &[]);
    let scene = Scene::at(&machine, &server);
    for (forge, kind) in &forges {
        let id = scene.done(&forge.location(), &["--land", "pull_request"]);
        let landing = scene.lands(&id);
        let task = scene.task(&id);
        let (branch, commit) = (text(&landing, "/branch"), text(&task, "/attempt_list/0/commit"));
        assert_eq!(git(&forge.repository(), &["rev-parse", &format!("refs/heads/{branch}")]), commit, "{kind}");
        let pulls = forge.pulls();
        assert_eq!(pulls.len(), 1, "{kind}");
        let hash = text(&task, "/attempt_list/0/report_hash");
        let words = text(&pulls[0], "/body");
        for part in [format!("SHA-256 `{hash}`"), format!("{}/tasks/{id}?view=checks&attempt=1", server.url), "1 of 1 passed".to_owned()] {
            assert!(words.contains(&part), "{kind}: {part} is not in {words}");
        }
        assert_eq!((text(&pulls[0], "/title"), text(&pulls[0], "/base"), text(&pulls[0], "/head")), ("Make it", "main", branch));
        let shown = stdout(&scene.client.run(&["task", "show", &id]));
        let url = text(&landing, "/pull_request/url");
        assert!(url.starts_with(&forge.url) && shown.contains(&format!("pull_request\t{url}\n")), "{kind}: {shown}");

        // once more it is brought up to date, and stays the same one
        scene.asks(&id, "pull_request");
        scene.lands(&id);
        assert_eq!(forge.pulls(), pulls, "{kind}");
        assert!(forge.requests().iter().all(|request| request["authorized"] == true || request["status"] == 401), "{kind}");
    }
    server.stops();
}

#[test]
fn what_somebody_opens_from_a_fork_is_not_taken_for_it() {
    let machine = Machine::new();
    let (forge, other) = (machine.forges("hub"), machine.forges("lab"));
    let server = machine.serves_landing(&[(&forge, "github"), (&other, "gitlab")], &[]);
    let scene = Scene::at(&machine, &server);
    for forge in [&forge, &other] {
        let id = scene.done(&forge.location(), &["--land", "push"]);
        let branch = text(&scene.lands(&id), "/branch").to_owned();
        forge.is_forked(&branch);
        scene.asks(&id, "pull_request");
        let landing = scene.landing(&id, |landing| landing["pull_request"].is_object());
        assert_eq!(landing["pull_request"]["number"], 2, "{landing}");
        let pulls = forge.pulls();
        assert_eq!((text(&pulls[0], "/title"), text(&pulls[0], "/body")), ("From a fork", "Please"), "it is left alone");
    }
    server.stops();
}

#[test]
fn an_answer_that_got_lost_makes_no_second_pull_request() {
    let machine = Machine::new();
    let (forge, other) = (machine.forges("hub"), machine.forges("lab"));
    let server = machine.serves_landing(&[(&forge, "github"), (&other, "gitlab")], &[]);
    let scene = Scene::at(&machine, &server);
    for (forge, list) in [(&forge, "/pulls"), (&other, "/merge_requests")] {
        forge.fails(&json!({"path": list, "method": "POST", "status": 502, "done": true}));
        let id = scene.done(&forge.location(), &["--land", "pull_request"]);
        let landing = scene.landing(&id, |landing| landing["trouble"].is_object());
        assert_eq!((text(&landing, "/state"), landing["pull_request"].is_null()), ("waiting", true), "{landing}");
        assert_eq!(text(&landing, "/remote"), forge.location(), "the push is done");
        scene.asks(&id, "pull_request");
        let landing = scene.lands(&id);
        assert_eq!((forge.pulls().len(), &landing["pull_request"]["number"]), (1, &json!(1)));
    }
    server.stops();
}

#[test]
fn what_a_forge_says_is_told_with_what_to_do() {
    let machine = Machine::new();
    let forge = machine.forges("hub");
    let server = machine.serves_landing(&[(&forge, "github")], &[]);
    let scene = Scene::at(&machine, &server);
    let id = scene.done(&forge.location(), &[]);
    assert!(scene.task(&id)["landing"].is_null() && forge.pulls().is_empty(), "nobody wants it to land");
    let limited =
        json!({"path": "/pulls", "method": "GET", "status": 429, "headers": {"retry-after": "1900"}, "body": {"message": "slow down"}});
    forge.fails(&limited);
    scene.asks(&id, "pull_request");
    let landing = scene.landing(&id, |landing| landing["trouble"].is_object());
    let at = |place: &str| text(&landing, place).parse::<domain::Timestamp>().unwrap();
    assert!(at("/again_at") - at("/asked_at") >= chrono::TimeDelta::seconds(1900), "{landing}");
    let refused =
        json!({"path": "/pulls", "method": "POST", "status": 403, "body": {"message": "Resource not accessible by personal access token"}});
    forge.fails(&refused);
    scene.asks(&id, "pull_request");
    let landing = scene.landing(&id, |landing| landing["state"] == "failed");
    assert!(text(&landing, "/trouble/message").contains("Resource not accessible"), "{landing}");
    assert!(text(&landing, "/trouble/advice").contains("contents and pull requests"), "{landing}");
    assert_eq!(scene.task(&id)["state"], "succeeded", "that is not undone");

    // another token in the place of the one that is good
    let token = machine.tokens().join(forge.host());
    let good = fs::read(&token).unwrap();
    fs::write(&token, "another").unwrap();
    scene.asks(&id, "pull_request");
    let landing =
        scene.landing(&id, |landing| landing["state"] == "failed" && text(landing, "/trouble/advice").contains("MUSTER_GIT_TOKENS"));
    assert!(!landing.to_string().contains("another"), "{landing}");
    fs::write(&token, good).unwrap();
    scene.asks(&id, "pull_request");
    scene.lands(&id);

    // somebody has pushed to its branch
    let branch = text(&scene.task(&id), "/landing/branch").to_owned();
    let main = git(&forge.repository(), &["rev-parse", "main"]);
    git(&forge.repository(), &["update-ref", &format!("refs/heads/{branch}"), &main]);
    scene.asks(&id, "push");
    let landing = scene.landing(&id, |landing| landing["state"] == "failed");
    assert!(text(&landing, "/trouble/message").contains("where Muster has not left it"), "{landing}");
    assert_eq!(git(&forge.repository(), &["rev-parse", &format!("refs/heads/{branch}")]), main, "what they did is still there");
    server.stops();
}

#[test]
fn a_kill_in_the_middle_neither_loses_it_nor_does_it_twice() {
    for point in LANDING_POINTS {
        let machine = Machine::new();
        let forge = machine.forges("hub");
        let mut server = machine.serves_landing(&[(&forge, "github")], &[("MUSTER_CRASH_AT", point)]);
        let scene = Scene::at(&machine, &server);
        let run = ["task", "run", "--repo", &forge.location(), "--command", "echo x > made.txt", "--land", "pull_request"];
        let id = stdout(&scene.client.run(&run)).trim().to_owned();
        let key = scene.client.key.clone();
        assert!(!server.process.wait().unwrap().success(), "it has died at {point}");

        let server = machine.serves_landing(&[(&forge, "github")], &[]);
        let scene = Scene { client: Client { machine: &machine, url: &server.url, key } };
        let landing = scene.lands(&id);
        let branches = git(&forge.repository(), &["for-each-ref", "--format=%(refname)", "refs/heads/muster"]);
        assert_eq!(branches, format!("refs/heads/{}", text(&landing, "/branch")), "{point}");
        assert_eq!((forge.pulls().len(), scene.task(&id)["attempts"].as_i64()), (1, Some(1)), "{point}");
        server.stops();
    }
}

/// Every file below a folder, but for these.
fn files(folder: &Path, but_for: &[PathBuf]) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let kept = entries.filter(|path| !but_for.contains(path));
    kept.flat_map(|path| match fs::symlink_metadata(&path) {
        Ok(about) if about.is_dir() => files(&path, but_for),
        Ok(about) if about.is_file() => vec![path],
        _ => vec![],
    })
    .collect()
}

#[test]
fn the_token_is_nowhere_but_in_its_file() {
    let machine = Machine::new();
    let forge = machine.forges("hub");
    // whatever git is called with, and what it is given, is written down
    let (programs, calls) = (machine.folder.path().join("programs"), machine.folder.path().join("calls"));
    fs::create_dir(&programs).unwrap();
    let path = std::env::var("PATH").unwrap();
    let real = std::env::split_paths(&path).map(|folder| folder.join("git")).find(|git| git.is_file()).unwrap();
    let script = format!("#!/bin/sh\n{{ printf '%s\\n' \"$@\"; env; }} >> '{}'\nexec '{}' \"$@\"\n", calls.display(), real.display());
    fs::write(programs.join("git"), script).unwrap();
    fs::set_permissions(programs.join("git"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{path}", programs.display());
    let server = machine
        .serves_landing(&[(&forge, "github")], &[("PATH", &path), ("MUSTER_LOG", "debug,hyper=trace,hyper_util=trace,reqwest=trace")]);
    machine.works_without_a_sandbox(&server.url);
    let scene = Scene::at(&machine, &server);
    // the work looks for it as well, wherever whoever runs Muster may look but into the file
    let look = "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2> /dev/null | tr '\\0' '\\n' | grep -e '^MUSTER_' -e '^tok-' -e 'x-access' | sort -u";
    let run = ["task", "run", "--repo", &forge.location(), "--command", &format!("{look}; echo x > made.txt"), "--land", "pull_request"];
    let id = stdout(&scene.client.run(&run)).trim().to_owned();
    let landing = scene.lands(&id);
    let log = stdout(&scene.client.run(&["task", "logs", &id]));
    assert!(log.contains("MUSTER_FORGES=") && !log.contains(&forge.token), "{log}");
    let git_calls = fs::read_to_string(&calls).unwrap();
    assert!(git_calls.contains("push\n") && git_calls.contains("credential\n"), "its calls were written down");
    assert!(!git_calls.contains(&forge.token), "it is in an argument or the environment of git");
    assert!(!scene.task(&id).to_string().contains(&forge.token) && !landing.to_string().contains(&forge.token));
    let events = scene.client.run(&["task", "show", &id]);
    assert!(!stdout(&events).contains(&forge.token));
    server.stops_saying(|line| assert!(!line.contains(&forge.token), "{line}"));

    // stopped in order, the database has written down all it knows
    let own = [machine.tokens(), machine.folder.path().join("hub").join("token")];
    let all = files(machine.folder.path(), &own);
    assert!(all.len() > 500, "the database and the mirrors are among them: {}", all.len());
    let needle = forge.token.as_bytes();
    let found: Vec<_> =
        all.iter().filter(|path| fs::read(path).unwrap_or_default().windows(needle.len()).any(|part| part == needle)).collect();
    assert_eq!(found, Vec::<&PathBuf>::new());
    let secret = fs::read(machine.tokens().join(forge.host())).unwrap();
    assert!(secret.windows(needle.len()).any(|part| part == needle), "what is looked for is what there is");
}

#[test]
fn a_repository_that_is_a_path_lands_where_its_origin_leads() {
    let machine = Machine::new();
    let forge = machine.forges("hub");
    let server = machine.serves_landing(&[(&forge, "github")], &[]);
    let scene = Scene::at(&machine, &server);
    let repository = machine.repository();
    git(&repository, &["remote", "add", "origin", &forge.location()]);
    let id = scene.done(repository.to_str().unwrap(), &["--land", "pull_request"]);
    let landing = scene.lands(&id);
    assert_eq!((text(&landing, "/remote"), forge.pulls().len()), (forge.location().as_str(), 1));
    let branch = text(&landing, "/branch");
    assert_eq!(git(&repository, &["rev-parse", branch]), git(&forge.repository(), &["rev-parse", branch]));
    server.stops();
}

/// The id of the second workspace.
const ACME: &str = "019a0000-0000-7000-8000-00000000acce";

#[tokio::test]
async fn what_the_servers_machine_has_is_for_its_first_workspace_alone() {
    let machine = Machine::new();
    let forge = machine.forges("hub");
    let repository = machine.repository();
    git(&repository, &["remote", "add", "origin", &forge.location()]);
    let theirs = TheirCluster::create(&machine).await;
    let _postgres = theirs.start(&[]);
    let url = theirs.url();
    while PgConnection::connect(url).await.is_err() {}
    let server = machine.serves_landing_on(Some(url), &[(&forge, "github")], &[]);
    let key = |name: &str| {
        let made = machine.muster(&["admin", "create-key", "--name", name]).env("DATABASE_URL", url).output().unwrap();
        stdout(&made).trim().to_owned()
    };
    let (first_key, acme_key) = (key("first"), key("acme"));
    let mut sql = PgConnection::connect(url).await.unwrap();
    let later = "insert into workspace (id, slug, name, created_at) values ($1::uuid, 'acme', 'Acme', now() + interval '1 hour')";
    sqlx::query(later).bind(ACME).execute(&mut sql).await.unwrap();
    sqlx::query("update api_key set workspace_id = $1::uuid where name = 'acme'").bind(ACME).execute(&mut sql).await.unwrap();
    let first = Scene { client: Client { machine: &machine, url: &server.url, key: first_key } };
    let acme = Scene { client: Client { machine: &machine, url: &server.url, key: acme_key.clone() } };
    let hands_in = |scene: &Scene, repository: &str| {
        let run = scene.client.run(&["task", "run", "--repo", repository, "--command", "cat README.md", "--attempts", "1"]);
        assert_eq!(run.status.code(), Some(0), "{}", stderr(&run));
        stdout(&run).trim().to_owned()
    };
    let id = first.done(&forge.location(), &["--land", "push"]);
    first.lands(&id);

    // the other may not read it, neither from the forge nor where it lies now
    let why = acme.failure(&hands_in(&acme, &forge.location()));
    assert!(why.contains("cannot fetch") && why.contains("the folder acme of its MUSTER_GIT_TOKENS"), "{why}");
    let mirrors = fs::read_dir(machine.state_dir().join("runner/mirrors")).unwrap();
    let mirrors: Vec<_> = mirrors.map(|mirror| mirror.unwrap().path()).filter(|path| path.extension().is_some()).collect();
    assert!(!mirrors.is_empty());
    for mirror in mirrors {
        let why = acme.failure(&hands_in(&acme, mirror.to_str().unwrap()));
        assert!(why.contains("what Muster keeps for itself"), "{why}");
    }
    // nor write there, by the origin of what it may read
    let id = acme.done(repository.to_str().unwrap(), &["--land", "pull_request"]);
    let failed = acme.landing(&id, |landing| landing["state"] == "failed");
    assert!(text(&failed, "/trouble/advice").contains("puts a token into acme/HOST"), "{failed}");
    assert!(forge.pulls().is_empty());
    server.stops();

    // what was put there for it is for it
    fs::create_dir(machine.tokens().join("acme")).unwrap();
    let own = machine.tokens().join("acme").join(forge.host());
    fs::write(&own, &forge.token).unwrap();
    fs::set_permissions(&own, fs::Permissions::from_mode(0o600)).unwrap();
    let server = machine.serves_landing_on(Some(url), &[(&forge, "github")], &[]);
    let acme = Scene { client: Client { machine: &machine, url: &server.url, key: acme_key } };
    let id = acme.done(&forge.location(), &["--land", "pull_request"]);
    acme.lands(&id);
    assert_eq!(forge.pulls().len(), 1);
    server.stops();
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_page_lands_a_result_and_says_what_came_of_it_without_scripts(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let (ada, script) = (app.ada().await, app.script(Role::Member).await);
    let new = json!({"title": "Make it", "repository": "https://example.org/a.git", "command": "make it"});
    let id = script.post("/api/v1/tasks", &new).await.json()["id"].as_str().unwrap().to_owned();
    let land = async |how: &str| script.post(&format!("/api/v1/tasks/{id}/land"), &json!({"how": how})).await;
    assert_eq!(land("push").await.problem(), ["409 /problems/conflict"], "it has not succeeded");
    let mut runner = app.test.connected_runner("r1", 1).await;
    runner.runner.succeeds(&runner.runner.claims_one().await).await.unwrap();
    let page = async || ada.get(&format!("/tasks/{id}")).await.text;
    assert!(page().await.contains("Its result is on its branch alone."));
    assert_eq!(land("none").await.problem(), ["422 /problems/invalid", "/how unexpected"]);
    assert_eq!(land("merge").await.status, StatusCode::UNPROCESSABLE_ENTITY);

    let browser = ada.with("accept", "text/html").with("referer", &format!("http://muster.test/tasks/{id}"));
    let posted = browser.form("/_fn/land_task", &[("id", &id), ("how", "pull_request")]).await;
    assert_eq!(
        (posted.status, posted.header("location").trim_end_matches('?')),
        (StatusCode::FOUND, &*format!("http://muster.test/tasks/{id}"))
    );
    assert!(page().await.contains("On its way"));
    app.test.land().await;
    let order = runner.told_to_land().remove(0);
    let trouble = Trouble { message: "example.org says no".into(), advice: "Ask it why.".into(), again_in: None };
    let failed = Landed {
        attempt: order.attempt,
        number: 1,
        position: 0,
        remote: Some(order.repository.clone()),
        pull_request: None,
        trouble: Some(trouble),
    };
    runner.runner.has_landed(&failed).await.unwrap();
    let shown = page().await;
    for words in ["It has not landed", "Example.org says no.", "Ask it why.", "Try again", "https://example.org/a.git"] {
        assert!(shown.contains(words), "{words}");
    }
    // who may only look is not offered what would be refused
    let act_as = async |role: &str| {
        sqlx::query("update member set role = $1").bind(role).execute(&pool).await.unwrap();
    };
    act_as("viewer").await;
    let seen = page().await;
    assert!(seen.contains("Example.org says no.") && !seen.contains("Try again"), "{seen}");
    act_as("owner").await;
    browser.form("/_fn/land_task", &[("id", &id), ("how", "pull_request")]).await;
    let url = "https://example.org/a/pull/7";
    let done = Landed { number: 2, pull_request: Some(PullRequest { number: 7, url: url.into() }), trouble: None, ..failed };
    runner.runner.has_landed(&done).await.unwrap();
    assert!(page().await.contains(&format!("href=\"{url}\"")));
    let task = script.get(&format!("/api/v1/tasks/{id}")).await.json();
    assert_eq!((&task["state"], &task["landing"]["pull_request"]["url"]), (&json!("succeeded"), &json!(url)));
}
