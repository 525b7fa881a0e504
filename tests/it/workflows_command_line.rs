//! Workflows on the command line, carried out by the real runner.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tests::machine::{Client, Machine, stderr, stdout, wait_for_line};

const RELEASE: &str = "
name: release
title: Release ${{ version }}
parameters:
  version: {}
  hosts: {type: list, default: []}
steps:
  - id: build
    command: printf '{\"artifact\":\"app-%s\"}' \"$MUSTER_INPUT_VERSION\" > \"$MUSTER_OUTPUT\"
  - id: test
    needs: [build]
    matrix: {suite: [unit, http]}
    command: printf '\"%s passed\"' \"$MUSTER_INPUT_SUITE\" > \"$MUSTER_OUTPUT\"
  - id: ask
    needs: [test]
    approval: {message: 'Ship ${{ version }}?'}
  - id: ship
    needs: [ask]
    inputs:
      artifact: {from: build, pointer: /output/artifact}
      hosts: {value: [a, b]}
    for_each: {in: hosts}
    command: test \"$MUSTER_INPUT_ARTIFACT to $MUSTER_INPUT_ITEM\" = \"app-1.4.0 to $(printf 'a\\nb\\n' | sed -n \"$((MUSTER_INPUT_INDEX + 1))p\")\"
";

#[test]
fn a_workflow_from_its_file_to_its_end() {
    let machine = Machine::new();
    let server = machine.serves();
    let client = Client { machine: &machine, url: &server.url, key: machine.creates_key("member") };
    a_file_is_validated_and_saved(&client);
    a_run_is_watched_and_approved(&client);
    a_failed_run_is_started_again(&client);
    a_run_is_changed_and_a_judge_chooses(&client);
    what_runs_can_be_left_and_ended(&client);
    what_makes_no_sense_is_refused(&client);
    server.stops();
}

fn file(client: &Client<'_>, name: &str, text: &str) -> PathBuf {
    let file = client.machine.folder.path().join(name);
    fs::write(&file, text).unwrap();
    file
}

fn done(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    stdout(output)
}

fn a_file_is_validated_and_saved(client: &Client<'_>) {
    let good = file(client, "release.yaml", RELEASE);
    let levels = done(&client.run(&["workflow", "validate", good.to_str().unwrap()]));
    assert_eq!(
        levels,
        "1\tbuild\tcommand\t\n2\ttest\tcommand ×2\tbuild\n3\task\tapproval\ttest\n4\tship\tcommand for each of hosts\task,build\n"
    );
    let bad = RELEASE.replace("needs: [build]", "needs: [biuld]").replace("approval:", "aproval:");
    let refused = client.run(&["workflow", "validate", file(client, "bad.yaml", &bad).to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stdout(&refused).contains("aproval"), "{}", stdout(&refused));
    let bad = RELEASE.replace("needs: [build]", "needs: [biuld]").replace("command: printf", "prompt: ${{ printer }}");
    let mut piped = client.command(&["workflow", "validate", "-"]);
    let mut piped = piped.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    piped.stdin.take().unwrap().write_all(bad.as_bytes()).unwrap();
    let refused = piped.wait_with_output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let places: Vec<_> = stdout(&refused).lines().map(|line| line.split('\t').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(places, ["/steps/0/prompt unknown_input", "/steps/1/needs/0 not_found", "/steps/1/prompt unknown_input"]);
    assert!(done(&client.run(&["workflow", "list"])).is_empty(), "nothing was stored");

    assert_eq!(done(&client.run(&["workflow", "save", good.to_str().unwrap()])), "release\t1\n");
    assert!(done(&client.run(&["workflow", "list"])).starts_with("release\t1\t4\t"));
    assert_eq!(done(&client.run(&["workflow", "show", "release", "--source"])), RELEASE);
    assert_eq!(done(&client.run(&["workflow", "show", "release"])), levels);
    assert_eq!(client.run(&["workflow", "show", "release", "--version", "2"]).status.code(), Some(1));
}

fn a_run_is_watched_and_approved(client: &Client<'_>) {
    let repository = client.machine.repository();
    let run = ["workflow", "run", "release", "--param", "version=1.4.0", "--repo", repository.to_str().unwrap(), "--watch"];
    let mut watching = client.command(&run).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap());
    let waits = wait_for_line(&mut lines, "ask\tblocked\t");
    let task = waits.split('\t').nth(2).unwrap();
    assert!(waits.ends_with("\twaits for an approval"), "{waits}");
    let listed = done(&client.run(&["workflow", "runs", "--workflow", "release"]));
    let fields: Vec<_> = listed.trim_end().split('\t').collect();
    assert_eq!((fields[1], fields[7]), ("waiting", "Release 1.4.0"), "{listed}");
    let shown = done(&client.run(&["task", "show", &task[task.len() - 8..]]));
    assert!(shown.contains("kind\tapproval\n") && shown.contains("open_gate\ttrue\n") && shown.contains("step\task\n"), "{shown}");
    done(&client.run(&["task", "approve", task, "--comment", "go"]));
    assert_eq!(client.run(&["task", "approve", task]).status.code(), Some(1), "once is enough");
    let rest: Vec<_> = lines.lines().map(Result::unwrap).collect();
    let ended = watching.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
    assert!(rest.iter().any(|line| line.starts_with("ship\tsucceeded\t")), "{rest:?}");
    assert!(stderr(&ended).contains("succeeded  "), "{}", stderr(&ended));

    let id = fields[0];
    let status = done(&client.run(&["workflow", "status", &id[id.len() - 8..]]));
    let mut states: Vec<_> = status.lines().map(|line| line.split('\t').take(3).collect::<Vec<_>>().join(" ")).collect();
    states.sort();
    assert!(states.contains(&"test[suite=http] succeeded command".into()), "{states:?}");
    assert!(states.iter().all(|state| state.contains(" succeeded ")), "{states:?}");
    let run: Value = serde_json::from_str(&done(&client.run(&["workflow", "status", id, "--json"]))).unwrap();
    let built = run["steps"].as_array().unwrap().iter().find(|step| step["key"] == "build").unwrap()["task"].as_str().unwrap().to_owned();
    let built = done(&client.run(&["task", "show", &built]));
    assert!(built.contains("output\t{\"artifact\":\"app-1.4.0\"}\n"), "{built}");
    // one that has ended is watched to its end as well
    let again = client.run(&["workflow", "watch", id, "--json"]);
    let lines: Vec<Value> = done(&again).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["run"]["id"], &lines.last().unwrap()["run"]["state"]), (&id.into(), &"succeeded".into()));
}

fn a_failed_run_is_started_again(client: &Client<'_>) {
    let mended = client.machine.sign("mended");
    let source = format!(
        "name: fragile\nrepository: {}\nsteps:\n  - {{id: prepare, command: echo prepared}}\n  - id: work\n    needs: [prepare]\n    \
         max_attempts: 1\n    command: test -e '{}'\n  - {{id: deployed, needs: [work], event: {{name: deployed}}}}\n  \
         - {{id: after, needs: [{{step: work, on: end}}], command: 'true'}}\n",
        client.machine.repository().display(),
        mended.display()
    );
    let source = file(client, "fragile.yaml", &source);
    let failed = client.run(&["workflow", "run", source.to_str().unwrap(), "--watch"]);
    assert_eq!(failed.status.code(), Some(1), "{}", stderr(&failed));
    let said = stdout(&failed);
    assert!(said.contains("work\tfailed\t") && said.contains("deployed\tskipped\t") && said.contains("after\tsucceeded\t"), "{said}");
    let id = done(&client.run(&["workflow", "runs", "--workflow", "fragile"])).split('\t').next().unwrap().to_owned();
    fs::write(&mended, "").unwrap();
    let again = done(&client.run(&["workflow", "restart", &id, "--from", "work"]));
    let again = again.split('\t').next().unwrap();
    assert_ne!(again, id);
    let mut watching = client.command(&["workflow", "watch", again]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let lines = BufReader::new(watching.stdout.take().unwrap());
    wait_for_line(lines, "deployed\tblocked\t");
    let status = done(&client.run(&["workflow", "status", again]));
    let prepared = status.lines().find(|line| line.starts_with("prepare\t")).unwrap();
    assert!(prepared.ends_with("\ttaken over from the run before"), "{prepared}");
    assert_eq!(client.run(&["workflow", "event", again, "shipped"]).status.code(), Some(1), "nothing waits for it");
    done(&client.run(&["workflow", "event", again, "deployed", "--payload", r#"{"address": "here"}"#]));
    assert_eq!(watching.wait().unwrap().code(), Some(0));
}

const JUDGED: &str = r#"
name: judged
steps:
  - {id: hold, event: {name: never}}
  - id: try
    needs: [hold]
    command: printf '%s' "$MUSTER_INPUT_CANDIDATE" > "$MUSTER_OUTPUT"
    candidates:
      count: 2
      judge:
        task:
          command: |
            echo "$MUSTER_INPUT_CANDIDATES" | grep -q '"number":2' &&
              echo '{"winner": 2, "reason": "it is more"}' > "$MUSTER_OUTPUT"
"#;

/// Two real candidates and a real judge, behind a gate that a change takes away.
fn a_run_is_changed_and_a_judge_chooses(client: &Client<'_>) {
    let source = file(client, "judged.yaml", JUDGED);
    let repository = client.machine.repository();
    let run = ["workflow", "run", source.to_str().unwrap(), "--repo", repository.to_str().unwrap()];
    let id = done(&client.run(&run)).trim_end().to_owned();
    let change = "add: [{id: after, needs: [try], command: 'true'}]\nremove: [hold]\nrewire: [{step: try, needs: []}]\n";
    let change = file(client, "change.yaml", change);
    let change = ["workflow", "change", &id[id.len() - 8..], "-f", change.to_str().unwrap()];
    let refused = client.run(&change);
    assert_eq!(refused.status.code(), Some(1), "an open gate has begun");
    assert!(stderr(&refused).contains("/remove/0: “hold” has begun already"), "{}", stderr(&refused));
    let change =
        "add: [{id: after, needs: [try], command: 'true'}, {id: idle, needs: [hold], command: x}]\nrewire: [{step: try, needs: []}]\n";
    let change = file(client, "change.yaml", change);
    let change = ["workflow", "change", &id, "-f", change.to_str().unwrap()];
    let preview = done(&client.run(&[&change[..], &["--preview"]].concat()));
    let made = done(&client.run(&change));
    assert_eq!(preview, made);
    let lines: Vec<_> = made.lines().map(|line| line.split('\t').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(lines, ["added after", "added idle", "rewired try", "follows try[1]", "follows try[2]"]);
    let removes = file(client, "remove.yaml", "remove: [idle]");
    done(&client.run(&["workflow", "change", &id, "-f", removes.to_str().unwrap()]));
    let mut watching = client.command(&["workflow", "watch", &id]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    wait_for_line(BufReader::new(watching.stdout.take().unwrap()), "after\tsucceeded\t");
    kill_process(Pid::from_child(&watching), Signal::INT).unwrap();
    watching.wait().unwrap();
    let status = done(&client.run(&["workflow", "status", &id]));
    let line = |key: &str| status.lines().find(|line| line.starts_with(&format!("{key}\t"))).unwrap().to_owned();
    assert!(line("idle").ends_with("\tremoved from the run"), "{status}");
    assert!(line("try[judge]").contains("\tsucceeded\t"), "{status}");
    let run: Value = serde_json::from_str(&done(&client.run(&["workflow", "status", &id, "--json"]))).unwrap();
    assert_eq!(run["changes"].as_array().unwrap().len(), 2);
    let tried = run["steps"].as_array().unwrap().iter().find(|step| step["key"] == "try").unwrap()["task"].as_str().unwrap().to_owned();
    let shown = done(&client.run(&["task", "show", &tried]));
    assert!(shown.contains("\"winner\":2") && shown.contains("the judge named it: it is more"), "{shown}");
    done(&client.run(&["workflow", "cancel", &id]));
}

fn what_runs_can_be_left_and_ended(client: &Client<'_>) {
    let source = "name: long\nsteps:\n  - {id: work, command: sleep 600}\n  - {id: rest, needs: [work], command: 'true'}\n";
    let source = file(client, "long.yaml", source);
    let repository = client.machine.repository();
    let run = ["workflow", "run", source.to_str().unwrap(), "--repo", repository.to_str().unwrap(), "--watch"];
    let mut watching = client.command(&run).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_line(BufReader::new(watching.stdout.take().unwrap()), "work\trunning\t");
    kill_process(Pid::from_child(&watching), Signal::INT).unwrap();
    let left = watching.wait_with_output().unwrap();
    assert_eq!(left.status.code(), Some(130));
    let said = stderr(&left);
    let (_, id) = said.trim_end().rsplit_once("goes on; cancel it with: muster workflow cancel ").unwrap();
    done(&client.run(&["workflow", "pause", id]));
    assert_eq!(client.run(&["workflow", "pause", id]).status.code(), Some(1), "it is held already");
    done(&client.run(&["workflow", "resume", id]));
    done(&client.run(&["workflow", "cancel", id]));
    let ended = client.run(&["workflow", "watch", id]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(stderr(&ended).contains("cancelled  "), "{}", stderr(&ended));
}

fn what_makes_no_sense_is_refused(client: &Client<'_>) {
    for (arguments, code, said) in [
        (&["workflow", "run", "release"][..], 1, "/parameters/version: has no default"),
        (&["workflow", "run", "release", "--param", "version=1", "--param", "hosts=a"], 2, "/parameters/hosts: must be a list"),
        (&["workflow", "run", "release", "--param", "version=1", "--param", "colour=red"], 1, "/parameters/colour: "),
        (&["workflow", "run", "nothing"], 1, "muster workflow list"),
        (&["workflow", "run", "./nothing.yaml"], 2, "cannot be read"),
        (&["workflow", "run", "release.yaml", "--version", "1"], 2, "name the workflow to run an earlier version"),
        (&["workflow", "status", "00000000"], 1, "there is no run 00000000"),
        (&["workflow", "status", "x"], 2, "eight digits"),
        (&["workflow", "event", "00000000", "x", "--payload", "{"], 2, "is not JSON"),
        (&["task", "approve", "00000000"], 1, "there is no task 00000000"),
        (&["task", "run", "--command", "true", "--after", "00000000:never"], 2, "TASK:end"),
    ] {
        let output = client.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(said), "{arguments:?}: {}", stderr(&output));
    }
}
