//! Work that reaches what a list has, with the real program: it is what begins in such a room.

use std::{
    fs::Permissions,
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
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

#[test]
fn work_reaches_what_the_list_has_and_nothing_beside() {
    let machine = Machine::new();
    let (listed, other) = (says("from the listed"), says("from the other"));
    let (list, agents_list) = (format!("127.0.0.1:{listed},example.org"), format!("127.0.0.1:{other}"));
    let agent = "cat > prompt.txt; echo the agent asks $https_proxy; bash ask.sh";
    let manifests = machine.folder.path().join("agents");
    std::fs::create_dir(&manifests).unwrap();
    let manifest = "speaks = \"text\"\ncommand = [\"bash\", \"-c\", \"cat > /dev/null; bash ask.sh > asked.txt\"]\n\
                    variables = { HTTP_PROXY = \"http://nowhere.example:1\" }\n";
    std::fs::write(manifests.join("asks.toml"), manifest).unwrap();
    for (path, mode) in [(manifests.clone(), 0o700), (manifests.join("asks.toml"), 0o600)] {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let server = machine.serves_set(&[
        ("MUSTER_AGENTS_DIR", manifests.to_str().unwrap()),
        ("MUSTER_SANDBOX_NETWORK", list.as_str()),
        ("MUSTER_SANDBOX_AGENT_NETWORK", agents_list.as_str()),
        ("MUSTER_AGENT_COMMAND", agent),
    ]);
    let repository = machine.repository();
    let script = format!(
        "ask() {{ exec 3<>\"/dev/tcp/127.0.0.1/${{HTTP_PROXY##*:}}\"; printf \"$1 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n\" >&3; \
         cat <&3; echo; }}\nask 'GET http://127.0.0.1:{listed}/'\nask 'GET http://127.0.0.1:{other}/'\nask 'CONNECT 169.254.169.254:80'\n\
         (exec 4<>/dev/tcp/127.0.0.1/{listed}) 2> /dev/null || echo nobody is reached but through it\n"
    );
    std::fs::write(repository.join("ask.sh"), script).unwrap();
    for arguments in [&["add", "."][..], &["-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "ask"]] {
        assert!(std::process::Command::new("git").args(arguments).current_dir(&repository).status().unwrap().success());
    }
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
