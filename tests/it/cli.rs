//! The `muster` binary as people and scripts meet it: what goes to stdout, what to stderr, and what the exit status says.

use std::{
    fs,
    io::{BufReader, Read, Write},
    os::unix::fs::PermissionsExt,
    process::Stdio,
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tests::machine::{Client, Machine, Server, stderr, stdout, wait_for_line};

#[test]
fn a_command_line_that_makes_no_sense_is_2_and_no_key_is_4() {
    let machine = Machine::new();
    for wrong in [
        &[][..],
        &["frobnicate"],
        &["task", "run"],
        &["task", "run", "--command", "true", "--check", "nope=x"],
        &["task", "run", "--command", "true", "--check", "file_exists=/etc/passwd"],
        &["task", "run", "--command", "true", "--timeout", "0"],
        &["task", "run", "--command", "true", "--repo", "/srv/app", "--title", " "],
        &["task", "run", "--command", "true"],
        &["task", "list", "--state", "finished"],
        &["task", "show", "x"],
        &["task", "list", "--url", "example.org"],
        &["admin", "create-owner", "--name", "Ada"],
    ] {
        let output = machine.muster(wrong).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{wrong:?}");
    }

    let no_key = machine.muster(&["task", "list"]).output().unwrap();
    assert_eq!(no_key.status.code(), Some(4));
    assert_eq!(
        stderr(&no_key),
        "muster: no API key: MUSTER_API_KEY is not set\n  \
         try: make a key with `muster admin create-key --name NAME` and set MUSTER_API_KEY to it\n"
    );

    // the port is free once more when the listener is dropped
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}");
    let nobody = machine.muster(&["task", "list", "--url", &url]).env("MUSTER_API_KEY", "mst_key_x").output().unwrap();
    assert_eq!(nobody.status.code(), Some(1));
    assert_eq!(
        stderr(&nobody),
        format!(
            "muster: nothing answers at {url}/: Connection refused\n  try: start it with `muster serve`, or set MUSTER_URL to where it runs\n"
        )
    );
}

#[test]
fn a_server_and_everything_the_command_line_does_with_it() {
    let machine = Machine::new();
    let server = machine.serves();
    port_in_use_is_one_line(&server);
    the_first_owner_needs_no_browser(&machine);
    keys_decide(&machine, &server);
    let client = Client { machine: &machine, url: &server.url, key: machine.creates_key("member") };
    watching_shows_the_log_and_tells_how_it_ended(&client);
    lists_and_pages_are_plain_in_a_pipe(&client);
    what_runs_can_be_left_cancelled_and_retried(&client);
    a_file_of_tasks_is_submitted_once_under_its_key(&client);
    a_task_for_later_waits_for_its_time(&client);
    a_task_says_what_it_needs_and_work_when_to_come_back(&client);
    what_runs_can_be_paused_and_goes_on(&client);
    queues_are_paused_and_what_is_set_aside_is_looked_after(&client);
    a_view_is_asked_for_by_name(&client);
    a_task_is_edited_as_it_was_seen(&client);
    what_is_not_committed_is_said_to_people(&client);
    crate::prices::are_set_in_dollars(&machine, &server);
    server.stops();
}

fn what_is_not_committed_is_said_to_people(client: &Client<'_>) {
    let repository = client.machine.repository();
    let hands_in = |more: &[&str]| {
        let arguments = ["task", "run", "--repo", repository.to_str().unwrap(), "--command", "true", "--in", "1h"];
        let done = client.run(&[&arguments[..], more].concat());
        assert_eq!(done.status.code(), Some(0), "{}", stderr(&done));
        done
    };
    assert_eq!(stderr(&hands_in(&["--preview"])), "", "all is committed");
    fs::write(repository.join("README.md"), "# Changed\n").unwrap();
    fs::write(repository.join("draft.md"), "").unwrap();
    let place = repository.display();
    let said = format!("2 files in {place} are not committed, and are not part of what the task starts from\n");
    assert_eq!(stderr(&hands_in(&["--preview"])), said);
    let task = hands_in(&[]);
    assert_eq!(stderr(&task), said);
    assert_eq!(client.run(&["task", "cancel", stdout(&task).trim()]).status.code(), Some(0), "it is not part of what is printed");
    assert_eq!(stderr(&hands_in(&["--preview", "--json"])), "", "a program has not asked");
}

fn what_runs_can_be_paused_and_goes_on(client: &Client<'_>) {
    let go = client.machine.sign("go on");
    let repository = client.machine.repository();
    let command = format!("echo attempt $MUSTER_ATTEMPT of $MUSTER_CORRELATION_ID; until [ -e '{}' ]; do sleep 0.05; done", go.display());
    let run = ["task", "run", "--repo", repository.to_str().unwrap(), "--command", &command, "--correlation", "OPS-7", "--tag", "held"];
    let id = stdout(&client.run(&run)).trim().to_owned();
    let mut follower = client.command(&["task", "logs", &id, "--follow"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut log = BufReader::new(follower.stdout.take().unwrap());
    wait_for_line(&mut log, "attempt 1 of OPS-7");
    assert_eq!(client.run(&["task", "pause", &id]).status.code(), Some(0));
    let show = || -> Value { serde_json::from_str(&stdout(&client.run(&["task", "show", &id, "--json"]))).unwrap() };
    let mut task = show();
    while task["state"] != "queued" {
        task = show();
    }
    assert_eq!((task["attempts"].as_i64(), task["attempt_list"][0]["state"].as_str()), (Some(1), Some("cancelled")));
    assert!(stdout(&client.run(&["task", "list", "--tag", "held"])).starts_with(&id));
    fs::write(&go, "").unwrap();
    assert_eq!(client.run(&["task", "resume", &id]).status.code(), Some(0));
    wait_for_line(&mut log, "attempt 2 of OPS-7");
    assert_eq!(follower.wait().unwrap().code(), Some(0), "the log went on where it was");
    assert_eq!(show()["state"], "succeeded");
}

fn a_task_is_edited_as_it_was_seen(client: &Client<'_>) {
    let repository = client.machine.repository();
    let run = ["task", "run", "--repo", repository.to_str().unwrap(), "--command", "true", "--in", "1h", "--tag", "old", "--within", "5h"];
    let id = stdout(&client.run(&run)).trim().to_owned();
    assert_eq!(client.run(&["task", "edit", &id]).status.code(), Some(2), "what?");
    assert_eq!(client.run(&["task", "edit", &id, "--title", " "]).status.code(), Some(2));
    let edit = ["task", "edit", &id, "--title", "Renamed", "--priority", "urgent", "--tag", "new", "--no-deadline", "--retry", "none"];
    assert_eq!(stdout(&client.run(&edit)), format!("{id}\tscheduled\n"));
    let task: Value = serde_json::from_str(&stdout(&client.run(&["task", "show", &id, "--json"]))).unwrap();
    let shown = ["title", "priority", "version", "tags", "complete_by"].map(|field| task[field].clone());
    assert_eq!(serde_json::json!(shown), serde_json::json!(["Renamed", "urgent", 2, ["new"], null]));
    assert_eq!(task["retry"]["strategy"], "none");
    let stale = client.run(&["task", "edit", &id, "--no-tags", "--version", "1"]);
    assert_eq!(stale.status.code(), Some(1));
    assert!(stderr(&stale).contains("It has changed meanwhile: it has changed since version 1"), "{}", stderr(&stale));
    assert_eq!(client.run(&["task", "edit", &id, "--no-tags", "--version", "2"]).status.code(), Some(0));
    assert_eq!(client.run(&["task", "cancel", &id]).status.code(), Some(0));
}

fn queues_are_paused_and_what_is_set_aside_is_looked_after(client: &Client<'_>) {
    let repository = client.machine.repository();
    let location = repository.to_str().unwrap();
    assert_eq!(client.run(&["queue", "pause", "--repo", "/nowhere"]).status.code(), Some(1));
    let paused = stdout(&client.run(&["queue", "pause", "--repo", location]));
    assert!(paused.lines().any(|line| line.starts_with(&format!("repository\t{location}\t0\t0\t\ttests (API key)"))), "{paused}");
    let submit = |title: &str| {
        let arguments = ["task", "run", "--repo", location, "--command", "true", "--title", title, "--queue-time", "1s"];
        stdout(&client.run(&arguments)).trim().to_owned()
    };
    let ids = [submit("Nobody comes"), submit("Nobody came")];
    let mut listed = String::new();
    while listed.lines().count() < 2 {
        listed = stdout(&client.run(&["dead", "list"]));
    }
    assert!(listed.lines().all(|line| line.contains("\tqueue_expired\tno runner took it within 1 second\tNobody c")), "{listed}");
    assert_eq!(client.run(&["dead", "discard", &ids[0]]).status.code(), Some(0));
    assert_eq!(client.run(&["dead", "discard"]).status.code(), Some(2), "which ones?");
    client.run(&["queue", "resume", "--repo", location]);
    assert_eq!(stdout(&client.run(&["dead", "retry", "--all"])), "1\t0\n");
    assert_eq!(stdout(&client.run(&["dead", "list"])), "");
    assert_eq!(client.run(&["task", "logs", &ids[1], "--follow"]).status.code(), Some(0));
    let last: Value = serde_json::from_str(&stdout(&client.run(&["task", "show", &ids[1], "--json"]))).unwrap();
    assert_eq!(last["state"], "succeeded");
}

/// Views are saved on the pages and through the API.
fn save_view(client: &Client<'_>, body: &Value) {
    let address = client.url.trim_start_matches("http://");
    let body = body.to_string();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let (key, length) = (&client.key, body.len());
    let head = format!("POST /api/v1/views HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\nconnection: close");
    write!(stream, "{head}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

fn a_view_is_asked_for_by_name(client: &Client<'_>) {
    save_view(client, &serde_json::json!({"name": "Held", "filter": {"tag": "held", "state": "succeeded"}}));
    let listed = |more: &[&str]| stdout(&client.run(&[&["task", "list", "--view", "held"][..], more].concat()));
    let all = stdout(&client.run(&["task", "list", "--tag", "held"]));
    assert_eq!((listed(&[]), all.lines().count()), (all.clone(), 1), "whatever the case of its name");
    assert_eq!(listed(&["--state", "failed"]), "", "what is asked for beside it goes first");
    assert_eq!(listed(&["--priority", "low"]), "");
    let unknown = client.run(&["task", "list", "--view", "Heldd"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert_eq!(stderr(&unknown), "muster: there is no view named `Heldd`\n  try: one of `Held`\n");
    let queue = stdout(&client.run(&["queue", "show"]));
    assert_eq!(queue.lines().filter(|line| line.starts_with("minute\t")).count(), 60, "{queue}");
    assert!(queue.lines().any(|line| line == "empty\t0"), "nothing waits: {queue}");
}

fn a_file_of_tasks_is_submitted_once_under_its_key(client: &Client<'_>) {
    let file = client.machine.folder.path().join("tasks.json");
    let task = |title: &str| serde_json::json!({"title": title, "repository": client.machine.repository(), "command": "true"});
    fs::write(&file, serde_json::json!([task("First of two"), task("Second of two")]).to_string()).unwrap();
    let arguments = ["task", "submit", "-f", file.to_str().unwrap(), "--key", "two tasks"];
    let first = stdout(&client.run(&arguments));
    let titles: Vec<_> = first.lines().map(|line| line.split('\t').nth(2).unwrap()).collect();
    assert_eq!(titles, ["First of two", "Second of two"]);
    assert_eq!(stdout(&client.run(&arguments)), first, "the same file under the same key is the same submission");
    let listed = stdout(&client.run(&["task", "list", "--text", "of two"]));
    assert_eq!(listed.lines().count(), 2, "{listed}");

    fs::write(&file, serde_json::json!({"tasks": [task("Good"), task("")]}).to_string()).unwrap();
    let refused = client.run(&["task", "submit", "-f", file.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("/tasks/1/title: must not be empty"), "{}", stderr(&refused));
    assert_eq!(client.run(&["task", "submit", "-f", "/nowhere.json"]).status.code(), Some(2));
}

fn a_task_for_later_waits_for_its_time(client: &Client<'_>) {
    let repository = client.machine.repository();
    let run = ["task", "run", "--repo", repository.to_str().unwrap(), "--command", "true", "--json"];
    let later: Value =
        serde_json::from_str(&stdout(&client.run(&[&run[..], &["--at", "2999-01-01T00:00:00Z", "--retry", "none"]].concat()))).unwrap();
    assert_eq!((later["state"].as_str(), later["run_at"].as_str()), (Some("scheduled"), Some("2999-01-01T00:00:00Z")));
    assert_eq!(later["retry"]["strategy"], "none");
    let soon: Value = serde_json::from_str(&stdout(&client.run(&[&run[..], &["--in", "1s"]].concat()))).unwrap();
    assert_eq!(soon["state"], "scheduled");
    assert_eq!(client.run(&["task", "logs", soon["id"].as_str().unwrap(), "--follow"]).status.code(), Some(0));
    let ended: Value = serde_json::from_str(&stdout(&client.run(&["task", "show", soon["id"].as_str().unwrap(), "--json"]))).unwrap();
    assert_eq!(ended["state"], "succeeded");
}

fn a_task_says_what_it_needs_and_work_when_to_come_back(client: &Client<'_>) {
    let repository = client.machine.repository();
    let run = ["task", "run", "--repo", repository.to_str().unwrap()];
    let with = |more: &[&str]| client.run(&[&run[..], more].concat());
    let parsed = |output: &std::process::Output| -> Value { serde_json::from_str(&stdout(output)).unwrap() };
    let field = |id: &str, name: &str| {
        let shown = stdout(&client.run(&["task", "show", id]));
        shown.lines().find_map(|line| line.strip_prefix(&format!("{name}\t"))).map(str::to_owned).unwrap_or_default()
    };
    let needs = ["--command", "true", "--capability", "gpu", "--capability", "linux", "--tier", "complex", "--estimate", "10m", "--json"];
    let task = parsed(&with(&needs));
    assert_eq!((&task["capabilities"], &task["unmet_capabilities"]), (&serde_json::json!(["gpu", "linux"]), &serde_json::json!(["gpu"])));
    let id = task["id"].as_str().unwrap();
    let fields = ["tier", "capabilities", "unmet", "estimate_seconds"].map(|name| field(id, name));
    assert_eq!(fields, ["complex", "gpu linux", "gpu", "600"]);
    let queue = stdout(&client.run(&["queue", "show"]));
    assert!(queue.contains("unmet\tgpu linux\t1\tgpu\t"), "{queue}");
    assert_eq!(client.run(&["task", "cancel", id]).status.code(), Some(0));
    let preview = stdout(&with(&["--command", "true", "--capability", "tpu", "--preview"]));
    assert!(preview.contains("no runner has tpu, which it needs"), "{preview}");
    let here = ["--command", "true", "--capability", std::env::consts::OS, "--capability", std::env::consts::ARCH, "--watch"];
    let here = with(&[&here[..], &["--capability", "paint"]].concat());
    assert_eq!(here.status.code(), Some(0), "what this machine is needs no setting, and what it has is set: {}", stderr(&here));
    for wrong in [["--capability", "Not one"], ["--tier", "hard"], ["--estimate", "soon"], ["--retry-class", "luck=5m"]] {
        assert_eq!(with(&[&["--command", "true"], &wrong[..]].concat()).status.code(), Some(2), "{wrong:?}");
    }

    // told to come back at once, it comes back; not in vain, and not as a failure
    let command = "[ \"$MUSTER_ATTEMPT\" -gt 1 ] || { echo 1 > \"$MUSTER_RETRY_AFTER\"; exit 75; }";
    let limited = with(&["--command", command, "--attempts", "1", "--retry-class", "provider_limit=linear,1s,1s", "--watch", "--json"]);
    assert_eq!(limited.status.code(), Some(0), "{}", stderr(&limited));
    let listed = stdout(&client.run(&["task", "list", "--all", "--text", "MUSTER_RETRY_AFTER", "--json"]));
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let id = listed["items"][0]["id"].as_str().unwrap();
    let task: Value = serde_json::from_str(&stdout(&client.run(&["task", "show", id, "--json"]))).unwrap();
    let failure = &task["attempt_list"][0]["failure"];
    assert_eq!((&failure["code"], &failure["retry_after_seconds"]), (&Value::from("provider_limit"), &Value::from(1)));
    let at = |value: &Value| value.as_str().unwrap().parse::<domain::Timestamp>().unwrap();
    let waited = at(&task["attempt_list"][1]["claimed_at"]) - at(&task["attempt_list"][0]["ended_at"]);
    assert!(waited >= chrono::TimeDelta::seconds(1), "{waited}");

    let failed = with(&["--command", "exit 3", "--attempts", "1", "--watch"]);
    assert_eq!(failed.status.code(), Some(1));
    let list = stdout(&client.run(&["task", "list", "--state", "failed"]));
    let id = list.split('\t').next().unwrap();
    let fields = ["failure", "cause", "next"].map(|name| field(id, name));
    let code = domain::FailureCode::CommandFailed;
    assert_eq!(fields, [code.name(), code.cause(), code.advice()]);
}

#[test]
fn the_demo_ends_with_three_verified_results() {
    let machine = Machine::new();
    let output = machine.muster(&["demo", "--addr", "127.0.0.1:0"]).env("MUSTER_DEMO_EXIT", "1").output().unwrap();
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{text}\n{}", stderr(&output));
    assert!(!text.contains('\x1b'), "{text}");
    let (_, results) = text.split_once("Verified results").unwrap();
    let lines: Vec<_> = results.lines().filter(|line| line.contains("  succeeded  ")).collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].contains("3 of 3 checks passed") && lines[0].ends_with("1 attempt"), "{text}");
    assert!(lines[1].contains("3 of 3 checks passed") && lines[1].ends_with("1 attempt"), "{text}");
    assert!(lines[2].contains("2 of 2 checks passed") && lines[2].ends_with("2 attempts"), "{text}");
    assert!(!machine.state_dir().join("postgres/postmaster.pid").exists(), "its Postgres is stopped");
}

fn port_in_use_is_one_line(server: &Server) {
    let address = server.url.strip_prefix("http://").unwrap();
    let other = Machine::new();
    let refused = other.muster(&["serve", "--addr", address]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = stderr(&refused);
    assert!(said.starts_with(&format!("muster: {address} ")) && said.lines().count() == 1, "{said}");
}

fn the_first_owner_needs_no_browser(machine: &Machine) {
    let create = |password: &str| {
        let mut command =
            machine.muster(&["admin", "create-owner", "--name", "Ada", "--email", "ada@example.org", "--password-stdin", "--json"]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        writeln!(process.stdin.take().unwrap(), "{password}").unwrap();
        process.wait_with_output().unwrap()
    };
    let short = create("short");
    assert_eq!(short.status.code(), Some(2));
    assert!(stderr(&short).contains("  /password: needs at least 15 characters"), "{}", stderr(&short));
    let made = create("a quiet morning walk");
    assert_eq!(made.status.code(), Some(0), "{}", stderr(&made));
    assert_eq!(serde_json::from_slice::<Value>(&made.stdout).unwrap()["email"], "ada@example.org");
    assert_eq!(create("a quiet morning walk").status.code(), Some(1), "there is one already");
}

fn keys_decide(machine: &Machine, server: &Server) {
    let wrong = Client { machine, url: &server.url, key: "mst_key_wrong".into() };
    assert_eq!(wrong.run(&["task", "list"]).status.code(), Some(4));

    let viewer = Client { machine, url: &server.url, key: machine.creates_key("viewer") };
    assert_eq!(viewer.run(&["task", "list"]).status.code(), Some(0));
    let refused = viewer.run(&["task", "run", "--repo", "/srv/app", "--command", "true"]);
    assert_eq!(refused.status.code(), Some(4), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("the permission to create tasks"), "{}", stderr(&refused));

    // saved beside the state, a key is found without a word
    let saved = machine.muster(&["admin", "create-key", "--name", "here", "--save"]).output().unwrap();
    assert_eq!((saved.status.code(), saved.stdout.len()), (Some(0), 0), "{}", stderr(&saved));
    let mode = fs::metadata(machine.state_dir().join("cli-key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let listed = machine.muster(&["task", "list", "--url", &server.url]).output().unwrap();
    assert_eq!(listed.status.code(), Some(0), "{}", stderr(&listed));
}

fn watching_shows_the_log_and_tells_how_it_ended(client: &Client<'_>) {
    let repository = client.machine.repository();
    let task = ["task", "run", "--repo", repository.to_str().unwrap(), "--attempts", "1", "--watch"];
    let run = |rest: &[&str]| client.run(&[&task[..], rest].concat());

    let good = run(&["--command", "echo one; echo two >&2; touch done.txt", "--check", "file_exists=done.txt"]);
    assert_eq!(good.status.code(), Some(0), "{}", stderr(&good));
    for line in ["one", "two"] {
        assert_eq!(stdout(&good).lines().filter(|shown| *shown == line).count(), 1, "{}", stdout(&good));
    }
    assert!(stderr(&good).contains("succeeded  1 of 1 checks passed"), "{}", stderr(&good));

    let bad = run(&["--command", "true", "--check", "file_exists=missing.txt"]);
    assert_eq!(bad.status.code(), Some(1), "{}", stderr(&bad));
    assert!(stderr(&bad).contains("failed file_exists=missing.txt"), "{}", stderr(&bad));

    let watched = run(&["--command", "printf 'a\\nb'", "--json"]);
    assert_eq!(watched.status.code(), Some(0), "{}", stderr(&watched));
    let lines: Vec<Value> = stdout(&watched).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["task"]["title"], "printf 'a\\nb'");
    assert_eq!(lines.last().unwrap()["task"]["state"], "succeeded");
    let numbers: Vec<_> = lines.iter().filter_map(|line| line["event"]["number"].as_u64()).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "every event once, in order");
    let pieces: Vec<_> = lines.iter().filter(|line| line["log"]["stream"] == "stdout").collect();
    let text: String = pieces.iter().map(|piece| piece["log"]["text"].as_str().unwrap()).collect();
    assert_eq!(text, "a\nb");
}

fn lists_and_pages_are_plain_in_a_pipe(client: &Client<'_>) {
    let listed = stdout(&client.run(&["task", "list"]));
    assert!(!listed.contains('\x1b'), "{listed}");
    let rows: Vec<Vec<&str>> = listed.lines().map(|line| line.split('\t').collect()).collect();
    assert!(rows.len() == 3 && rows.iter().all(|row| row.len() == 7), "{listed}");
    assert_eq!(rows[1][1..4], ["failed", "0/1", "1/1"], "{listed}");

    let page: Value = serde_json::from_str(&stdout(&client.run(&["task", "list", "--json", "--limit", "2"]))).unwrap();
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    assert!(page["next_cursor"].is_string());
    let failed: Value = serde_json::from_str(&stdout(&client.run(&["task", "list", "--json", "--state", "failed"]))).unwrap();
    assert_eq!(failed["items"][0]["id"], rows[1][0]);

    let full = rows[0][0];
    let short = &full[full.len() - 8..];
    let shown: Value = serde_json::from_str(&stdout(&client.run(&["task", "show", short, "--json"]))).unwrap();
    assert_eq!(shown["id"], full);
    assert!(stdout(&client.run(&["task", "show", short])).contains("state\tsucceeded\n"));
    let text = stdout(&client.run(&["task", "report", short]));
    let report: domain::VerificationReport = serde_json::from_str(&text).unwrap();
    assert_eq!((report.canonical(), &shown["attempt_list"][0]["report_hash"]), (text, &Value::from(report.hash())));
    assert!(stdout(&client.run(&["task", "show", short])).contains(&format!("report_hash\t{}\n", report.hash())));
    let log = stdout(&client.run(&["task", "logs", short]));
    assert!(log.contains("a\nb"), "{log}");
    assert_eq!(stdout(&client.run(&["task", "logs", short, "--follow"])), log);

    let unknown = client.run(&["task", "show", "00000000"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(stderr(&unknown).starts_with("muster: there is no task 00000000\n"), "{}", stderr(&unknown));

    // a reader that goes away is no error
    let mut list = client.command(&["task", "list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(list.stdout.take());
    let mut said = String::new();
    list.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((list.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}

fn what_runs_can_be_left_cancelled_and_retried(client: &Client<'_>) {
    let repository = client.machine.repository();
    let arguments = ["task", "run", "--repo", repository.to_str().unwrap(), "--command", "echo working; sleep 600", "--watch"];
    let mut watching = client.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_line(BufReader::new(watching.stdout.take().unwrap()), "working");
    kill_process(Pid::from_child(&watching), Signal::INT).unwrap();
    let left = watching.wait_with_output().unwrap();
    assert_eq!(left.status.code(), Some(130));
    let said = stderr(&left);
    let (_, id) = said.trim_end().rsplit_once("goes on; cancel it with: muster task cancel ").unwrap();

    let state = || serde_json::from_str::<Value>(&stdout(&client.run(&["task", "show", id, "--json"]))).unwrap()["state"].clone();
    assert_eq!(state(), "running");
    assert_eq!(client.run(&["task", "cancel", id]).status.code(), Some(0));
    // it ends when the task does
    assert_eq!(client.run(&["task", "logs", id, "--follow"]).status.code(), Some(0));
    assert_eq!(state(), "cancelled");
    let again = client.run(&["task", "cancel", id]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("cannot cancel a task that is cancelled"), "{}", stderr(&again));

    let retried: Value = serde_json::from_str(&stdout(&client.run(&["task", "retry", id, "--json"]))).unwrap();
    assert_eq!(retried["id"], id);
    assert_eq!(client.run(&["task", "cancel", id]).status.code(), Some(0));
    assert_eq!(client.run(&["task", "logs", id, "--follow"]).status.code(), Some(0));
    assert_eq!(state(), "cancelled");
}
