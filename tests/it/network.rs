//! Work that reaches what a list has, with the real program: it is what begins in such a room.

use std::{
    fs::Permissions,
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

use tests::machine::{Client, Machine, stderr, stdout};

/// Answers every request with this word; the port it listens at.
fn says(word: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{word}", word.len());
        }
    });
    port
}

/// Agents of manifests, with what each has of its own, which run the script of the repository and keep what it says.
fn has_agents(machine: &Machine, agents: &[(&str, &str)]) -> PathBuf {
    let folder = machine.folder.path().join("agents");
    std::fs::create_dir(&folder).unwrap();
    std::fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
    for (name, own) in agents {
        let file = folder.join(format!("{name}.toml"));
        let command = "command = [\"bash\", \"-c\", \"cat > /dev/null; bash ask.sh > asked.txt\"]";
        std::fs::write(&file, format!("speaks = \"text\"\n{command}\n{own}")).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    }
    folder
}

/// The repository of the machine, with this script in it.
fn has_a_script(machine: &Machine, script: &str) -> PathBuf {
    let repository = machine.repository();
    std::fs::write(repository.join("ask.sh"), script).unwrap();
    for arguments in [&["add", "."][..], &["-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "ask"]] {
        assert!(std::process::Command::new("git").args(arguments).current_dir(&repository).status().unwrap().success());
    }
    repository
}

#[test]
fn work_reaches_what_the_list_has_and_nothing_beside() {
    let machine = Machine::new();
    let (listed, other) = (says("from the listed"), says("from the other"));
    let (list, agents_list) = (format!("127.0.0.1:{listed},example.org"), format!("127.0.0.1:{other}"));
    let agent = "cat > prompt.txt; echo the agent asks $https_proxy; bash ask.sh";
    let manifests = has_agents(&machine, &[("asks", "variables = { HTTP_PROXY = \"http://nowhere.example:1\" }\n")]);
    let server = machine.serves_set(&[
        ("MUSTER_AGENTS_DIR", manifests.to_str().unwrap()),
        ("MUSTER_SANDBOX_NETWORK", list.as_str()),
        ("MUSTER_SANDBOX_AGENT_NETWORK", agents_list.as_str()),
        ("MUSTER_AGENT_COMMAND", agent),
    ]);
    let script = format!(
        "ask() {{ exec 3<>\"/dev/tcp/127.0.0.1/${{HTTP_PROXY##*:}}\"; printf \"$1 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n\" >&3; \
         cat <&3; echo; }}\nask 'GET http://127.0.0.1:{listed}/'\nask 'GET http://127.0.0.1:{other}/'\nask 'CONNECT 169.254.169.254:80'\n\
         (exec 4<>/dev/tcp/127.0.0.1/{listed}) 2> /dev/null || echo nobody is reached but through it\n"
    );
    let repository = has_a_script(&machine, &script);
    let client = Client { machine: &machine, url: &server.url, key: machine.creates_key("member") };
    let run = ["task", "run", "--repo", repository.to_str().unwrap(), "--watch"];
    let with = |more: &[&str]| client.run(&[&run[..], more].concat());

    let asked = with(&["--command", "bash ask.sh", "--check", "command_succeeds=bash ask.sh | grep -q 'from the listed'"]);
    assert_eq!(asked.status.code(), Some(0), "{}{}", stdout(&asked), stderr(&asked));
    let log = stdout(&asked);
    assert!(log.contains(&format!("In a sandbox that reaches what the network list has: {list}")), "{log}");
    assert!(log.contains("from the listed") && !log.contains("from the other"), "{log}");
    assert!(log.contains("nobody is reached but through it"), "{log}");
    for refused in [format!("127.0.0.1:{other}"), "169.254.169.254:80".into()] {
        let lines = log.lines().filter(|line| line.trim_end().ends_with(&format!("The network list does not have {refused}")));
        // what the program was answered, and what Muster says of it
        assert!(lines.count() >= 2, "{refused}: {log}");
    }

    let prompted = with(&["Say hello", "--check", "command_succeeds=grep -q 'Say hello' prompt.txt"]);
    assert_eq!(prompted.status.code(), Some(0), "{}{}", stdout(&prompted), stderr(&prompted));
    let log = stdout(&prompted);
    assert!(log.contains("the agent asks http://127.0.0.1:") && log.contains("from the other"), "{log}");
    assert!(!log.contains("from the listed"), "{log}");

    // one that a manifest describes, whatever that says of proxies
    let check = "command_succeeds=grep -q 'from the other' asked.txt && grep -q 'but through it' asked.txt && ! grep -q 'from the listed' asked.txt";
    let described = with(&["Ask around", "--agent", "own:asks", "--check", check]);
    assert_eq!(described.status.code(), Some(0), "{}{}", stdout(&described), stderr(&described));
    let log = stdout(&described);
    assert!(log.contains(&format!("In a sandbox that reaches what the network list has: {agents_list}")), "{log}");
    server.stops();
}

/// Nobody has said anything of a network.
#[test]
fn an_agent_reaches_its_model_and_nothing_else() {
    let machine = Machine::new();
    let (model, other) = (says("from the model"), says("from the other"));
    let given = "environment = [\"MODELS_URL\"]\n";
    let named = format!("hosts = [\"127.0.0.1:{model}\"]\n");
    let manifests = has_agents(&machine, &[("given", given), ("named", &named), ("mute", "")]);
    let url = format!("http://127.0.0.1:{model}/v1");
    let agents = [("MUSTER_AGENTS_DIR", manifests.to_str().unwrap()), ("MODELS_URL", url.as_str())];
    let server = machine.serves_set(&[&agents[..], &[("MUSTER_AGENT_COMMAND", "cat > /dev/null; bash ask.sh > asked.txt")]].concat());
    let script = format!(
        "get() {{ (exec 3<>\"/dev/tcp/$1/$2\" && printf \"$3 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n\" >&3 && cat <&3 && echo) 2> /dev/null; }}\n\
         get 127.0.0.1 {model} 'GET /'\nget 127.0.0.1 {other} 'GET /'\nget 169.254.169.254 80 'GET /' || echo no keys of a cloud\n\
         get example.org 80 'GET /' || echo no names\n\
         for asked in 'CONNECT 127.0.0.1:{other}' 'CONNECT 169.254.169.254:80' 'CONNECT example.org:443'; do\n\
         get 127.0.0.1 \"${{HTTP_PROXY##*:}}\" \"$asked\"\ndone\necho \"asks nobody for $NO_PROXY\"\n"
    );
    let repository = has_a_script(&machine, &script);
    let client = Client { machine: &machine, url: &server.url, key: machine.creates_key("member") };
    let run = ["task", "run", "Ask around", "--repo", repository.to_str().unwrap(), "--watch"];
    let nobody_else = "! grep -q 'from the other' asked.txt && grep -q 'no keys of a cloud' asked.txt && grep -q 'no names' asked.txt";

    for agent in ["own:given", "own:named"] {
        let reached = format!("command_succeeds=grep -q 'from the model' asked.txt && {nobody_else}");
        let done = client.run(&[&run[..], &["--agent", agent, "--check", &reached]].concat());
        assert_eq!(done.status.code(), Some(0), "{agent}: {}{}", stdout(&done), stderr(&done));
        let log = stdout(&done);
        assert!(log.contains(&format!("In a sandbox that reaches what the network list has: 127.0.0.1:{model}")), "{log}");
        for refused in [format!("127.0.0.1:{other}"), "169.254.169.254:80".into(), "example.org:443".into()] {
            assert!(log.contains(&format!("The network list does not have {refused}")), "{refused}: {log}");
        }
        let own =
            client.run(&[&run[..], &["--agent", agent, "--check", "command_succeeds=grep -q 'nobody for.*127.0.0.1' asked.txt"]].concat());
        assert_eq!(own.status.code(), Some(0), "what it has started itself it asks no proxy for: {}", stdout(&own));
    }

    // of whom nobody knows where its model is
    for agent in [&["--agent", "own:mute"][..], &[]] {
        let nothing = format!("command_succeeds=! grep -q 'from the model' asked.txt && {nobody_else}");
        let done = client.run(&[&run[..], agent, &["--check", &nothing]].concat());
        assert_eq!(done.status.code(), Some(0), "{}{}", stdout(&done), stderr(&done));
        let log = stdout(&done);
        assert!(log.contains("the agent reaches nothing") && log.contains("set MUSTER_SANDBOX_AGENT_NETWORK"), "{log}");
    }

    let told = stdout(&client.run(&["runner", "list", "--json"]));
    for each in [format!("own:given: 127.0.0.1:{model}"), "own:mute: none".into(), "MUSTER_AGENT_COMMAND: none".into()] {
        assert!(told.contains(&each), "{each}: {told}");
    }
    server.stops();
}

#[test]
fn a_list_that_makes_no_sense_is_said_before_anything_starts() {
    let machine = Machine::new();
    for (variable, list) in [("MUSTER_SANDBOX_NETWORK", "https://example.org"), ("MUSTER_SANDBOX_AGENT_NETWORK", "open,example.org")] {
        let refused = machine.muster(&["serve", "--addr", "127.0.0.1:0"]).env(variable, list).output().unwrap();
        assert_eq!(refused.status.code(), Some(2));
        assert!(stderr(&refused).contains("is no host of a network list"), "{}", stderr(&refused));
        assert!(!machine.state_dir().exists(), "nothing was begun");
    }
}
