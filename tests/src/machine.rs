//! A machine on which the real `muster` binary is run.

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        OnceLock,
        mpsc::{Receiver, channel},
    },
};

use rustix::process::{Pid, Signal, kill_process};

/// A machine with nothing of Muster on it. Root's Postgres runs as another user, who must be able to reach the folder.
pub struct Machine {
    pub folder: tempfile::TempDir,
}

impl Machine {
    #[expect(clippy::new_without_default, reason = "a new machine is a folder on the disk, not a default")]
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("muster-cli-").permissions(Permissions::from_mode(0o755)).tempdir_in("/tmp").unwrap();
        fs::create_dir(folder.path().join("signs")).unwrap();
        Self { folder }
    }

    /// Leaves what is there for a person to look at.
    pub fn keep(&self) -> PathBuf {
        let kept = self.folder.path().with_extension("kept");
        // When it cannot be copied the report is all there is.
        let _ = Command::new("cp").arg("-a").arg(self.folder.path()).arg(&kept).status();
        kept
    }

    pub fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// A file by which a test tells work in a sandbox to go on.
    pub fn sign(&self, name: &str) -> PathBuf {
        self.folder.path().join("signs").join(name)
    }

    /// The command line with an environment of its own, in a folder outside any repository.
    pub fn muster(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(muster());
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.folder.path());
        // whatever listens on this machine is no part of a test
        command.env("MUSTER_OLLAMA_URL", "none");
        command.env("MUSTER_STATE_DIR", self.state_dir()).env("MUSTER_SANDBOX_READ", self.folder.path().join("signs"));
        command
    }

    pub fn serves(&self) -> Server {
        self.serves_on(None)
    }

    /// On its own Postgres, or on the one with this address. The machine has `paint`.
    pub fn serves_on(&self, database_url: Option<&str>) -> Server {
        self.serves_with(database_url, &["--addr", "127.0.0.1:0"])
    }

    /// With the agents that the tests drive, whose models are played by this provider.
    pub fn serves_agents(&self, provider: &FakeProvider) -> Server {
        self.serves_agents_set(provider, &[])
    }

    /// As [`serves_agents`](Self::serves_agents), with these settings as well.
    pub fn serves_agents_set(&self, provider: &FakeProvider, settings: &[(&str, &str)]) -> Server {
        let given = agents_of(provider);
        let given: Vec<_> = given.iter().map(|(name, value)| (*name, value.as_str())).chain(settings.iter().copied()).collect();
        self.serves_given(None, &["--addr", "127.0.0.1:0"], &given)
    }

    /// As [`serves_agents`](Self::serves_agents), with those that `make agents-test` alone drives.
    pub fn serves_more_agents(&self, provider: &FakeProvider) -> Server {
        self.serves_more_agents_set(provider, &[])
    }

    /// The same, with these settings as well.
    pub fn serves_more_agents_set(&self, provider: &FakeProvider, settings: &[(&str, &str)]) -> Server {
        let given = more_agents_of(provider);
        let given: Vec<_> = given.iter().map(|(name, value)| (*name, value.as_str())).chain(settings.iter().copied()).collect();
        self.serves_given(None, &["--addr", "127.0.0.1:0"], &given)
    }

    /// A provider of models that plays these scenarios, beside those that it comes with.
    pub fn plays(&self, scenarios: &str) -> FakeProvider {
        let file = self.folder.path().join("scenarios.json");
        fs::write(&file, scenarios).unwrap();
        let mut command = self.muster(&["fake-provider", "--listen", "127.0.0.1:0", "--scenarios", file.to_str().unwrap()]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let line = wait_for_line(BufReader::new(process.stdout.take().unwrap()), "Fake provider on ");
        FakeProvider { process, url: line.split_once(" on ").unwrap().1.trim().to_owned() }
    }

    /// A forge that takes pushes and pull requests, with the repository of this machine as `acme/app`. Its token is in this machine's folder
    /// of tokens.
    pub fn forges(&self, name: &str) -> FakeForge {
        let folder = self.folder.path().join(name);
        let repositories = folder.join("repositories");
        fs::create_dir_all(repositories.join("acme")).unwrap();
        let source = self.repository();
        let clone = Command::new("git").args(["clone", "--quiet", "--bare"]).arg(&source).arg(repositories.join("acme/app.git")).status();
        assert!(clone.unwrap().success(), "git clone");
        let (token, token_file) = (format!("tok-{name}-5e1f9c07"), folder.join("token"));
        fs::write(&token_file, &token).unwrap();
        let paths = [&repositories, &token_file].map(|path| path.to_str().unwrap());
        let mut command = self.muster(&["fake-forge", "--listen", "127.0.0.1:0", "--repositories", paths[0], "--token-file", paths[1]]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let line = wait_for_line(BufReader::new(process.stdout.take().unwrap()), "Fake forge on ");
        let url = line.split_once(" on ").unwrap().1.trim().to_owned();
        fs::create_dir_all(self.tokens()).unwrap();
        let own = self.tokens().join(url.trim_start_matches("http://"));
        fs::write(&own, format!("{token}\n")).unwrap();
        fs::set_permissions(&own, Permissions::from_mode(0o600)).unwrap();
        FakeForge { process, url, folder, token }
    }

    pub fn tokens(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    /// With the tokens of forges, each of which is what its word says.
    pub fn serves_landing(&self, forges: &[(&FakeForge, &str)], more: &[(&str, &str)]) -> Server {
        self.serves_landing_on(None, forges, more)
    }

    /// The same on the Postgres with this address.
    pub fn serves_landing_on(&self, database_url: Option<&str>, forges: &[(&FakeForge, &str)], more: &[(&str, &str)]) -> Server {
        let known: Vec<_> = forges.iter().map(|(forge, kind)| format!("{}={kind}", forge.host())).collect();
        let (tokens, known) = (self.tokens(), known.join(" "));
        let own = [("MUSTER_GIT_TOKENS", tokens.to_str().unwrap()), ("MUSTER_FORGES", known.as_str())];
        self.serves_given(database_url, &["--addr", "127.0.0.1:0"], &[&own[..], &NO_AGENTS[..], more].concat())
    }

    /// At this port, while runners elsewhere do the work.
    pub fn serves_others_at(&self, port: u16) -> Server {
        self.serves_with(None, &["--addr", &format!("127.0.0.1:{port}"), "--slots", "0"])
    }

    fn serves_with(&self, database_url: Option<&str>, arguments: &[&str]) -> Server {
        self.serves_given(database_url, arguments, &NO_AGENTS)
    }

    /// With these settings, and no agent program.
    pub fn serves_set(&self, settings: &[(&str, &str)]) -> Server {
        let none = ["MUSTER_CLAUDE_CODE", "MUSTER_CODEX", "MUSTER_GEMINI_CLI", "MUSTER_OPENCODE"].map(|name| (name, "none"));
        self.serves_given(None, &["--addr", "127.0.0.1:0"], &[&none[..], settings].concat())
    }

    fn serves_given(&self, database_url: Option<&str>, arguments: &[&str], given: &[(&str, &str)]) -> Server {
        let mut command = self.muster(&[&["serve"], arguments].concat());
        command.env("MUSTER_CAPABILITIES", "paint,").envs(given.iter().copied());
        command.envs(database_url.map(|url| ("DATABASE_URL", url)));
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let line = wait_for_line(&mut log, "Muster serves at ");
        // read on, or a full pipe would stop it
        let (sender, lines) = channel();
        std::thread::spawn(move || log.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        Server { process, url: line.split_once("serves at ").unwrap().1.trim().to_owned(), lines }
    }

    pub fn creates_key(&self, role: &str) -> String {
        let output = self.muster(&["admin", "create-key", "--name", "tests", "--role", role]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output).trim().to_owned()
    }

    /// For tests that look at what the work does from outside, or let it reach them.
    pub fn works_without_a_sandbox(&self, url: &str) {
        let client = Client { machine: self, url, key: self.creates_key("owner") };
        let said = client.run(&["workspace", "isolation", "none"]);
        assert_eq!(said.status.code(), Some(0), "{}", stderr(&said));
    }

    /// The process that is Muster's own Postgres.
    pub fn postmaster(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.state_dir().join("postgres/postmaster.pid")).ok()?;
        Pid::from_raw(text.lines().next()?.parse().ok()?)
    }

    pub fn repository(&self) -> PathBuf {
        let folder = self.folder.path().join("repository");
        if !folder.exists() {
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("README.md"), "# A repository\n").unwrap();
            for arguments in ["init --quiet --initial-branch main", "add .", "commit --quiet --message first"] {
                let settings = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "commit.gpgSign=false"];
                let done = Command::new("git").args(settings).args(arguments.split(' ')).current_dir(&folder).status().unwrap();
                assert!(done.success(), "git {arguments}");
            }
        }
        folder
    }
}

pub struct Server {
    pub process: Child,
    pub url: String,
    lines: Receiver<String>,
}

impl Server {
    /// As a power cut stops it: Muster alone, whatever it has started goes on.
    pub fn is_killed(mut self) {
        kill_process(Pid::from_child(&self.process), Signal::KILL).unwrap();
        self.process.wait().unwrap();
    }

    pub fn is_sent(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Waits until its log has a line with this text.
    pub fn logs(&self, text: &str) {
        self.lines.iter().find(|line| line.contains(text)).unwrap_or_else(|| panic!("it ended without a line with {text:?}"));
    }

    /// As [`stops`](Self::stops), and looks at every line of its log.
    pub fn stops_saying(mut self, look: impl Fn(&str)) {
        kill_process(Pid::from_child(&self.process), Signal::INT).unwrap();
        assert_eq!(self.process.wait().unwrap().code(), Some(0));
        self.lines.iter().for_each(|line| look(&line));
    }

    /// As Ctrl-C stops it: in order, and with 0.
    pub fn stops(mut self) {
        kill_process(Pid::from_child(&self.process), Signal::INT).unwrap();
        assert_eq!(self.process.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.process.try_wait() {
            // in order, so that no Postgres is left behind by a test that failed
            let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
            let _ = self.process.wait();
        }
    }
}

/// A provider of models that plays scenarios.
pub struct FakeProvider {
    process: Child,
    pub url: String,
}

impl FakeProvider {
    /// Until it has been asked so often, all agents together.
    pub fn was_asked(&self, times: usize) {
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while self.requests().len() < times {
            assert!(std::time::Instant::now() < deadline, "it was asked {} times", self.requests().len());
            std::thread::yield_now();
        }
    }

    /// What it was asked, the newest last.
    pub fn requests(&self) -> Vec<serde_json::Value> {
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).unwrap();
        stream.write_all(b"GET /requests HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    /// How it has answered what was asked for a scenario, without what agents ask beside their work.
    pub fn answered(&self, scenario: &str) -> Vec<u64> {
        let asked = self.requests().into_iter().filter(|asked| asked["scenario"] == scenario && !asked["step"].is_null());
        asked.map(|asked| asked["status"].as_u64().unwrap()).collect()
    }
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        // it holds nothing that would be left behind
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whatever agents there are on the machine of the tests, they would cost money.
const NO_AGENTS: [(&str, &str); 4] =
    [("MUSTER_CLAUDE_CODE", "none"), ("MUSTER_CODEX", "none"), ("MUSTER_GEMINI_CLI", "none"), ("MUSTER_OPENCODE", "none")];

/// A forge that takes pushes and pull requests.
pub struct FakeForge {
    process: Child,
    pub url: String,
    folder: PathBuf,
    pub token: String,
}

impl FakeForge {
    pub fn host(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// Of `acme/app`, as a task names it.
    pub fn location(&self) -> String {
        format!("{}/acme/app.git", self.url)
    }

    /// The bare repository behind it.
    pub fn repository(&self) -> PathBuf {
        self.folder.join("repositories/acme/app.git")
    }

    /// All pull requests that there ever were.
    pub fn pulls(&self) -> Vec<serde_json::Value> {
        self.asks("GET", "/pulls", "")
    }

    pub fn requests(&self) -> Vec<serde_json::Value> {
        self.asks("GET", "/requests", "")
    }

    /// What is to go wrong next.
    pub fn fails(&self, fault: &serde_json::Value) {
        assert_eq!(self.asks("POST", "/faults", &fault.to_string()), Vec::<serde_json::Value>::new());
    }

    /// Somebody opens a pull request for a branch of that name in their own copy.
    pub fn is_forked(&self, head: &str) {
        let fork = serde_json::json!({"repository": "acme/app", "head": head, "base": "main"});
        assert_eq!(self.asks("POST", "/forks", &fork.to_string()), Vec::<serde_json::Value>::new());
    }

    /// Nothing when the answer is empty.
    fn asks(&self, method: &str, path: &str, body: &str) -> Vec<serde_json::Value> {
        let mut stream = TcpStream::connect(self.host()).unwrap();
        write!(stream, "{method} {path} HTTP/1.0\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.0 20"), "{answer}");
        if body.is_empty() { vec![] } else { serde_json::from_str(body).unwrap() }
    }
}

impl Drop for FakeForge {
    fn drop(&mut self) {
        // it holds nothing that would be left behind
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An agent in a folder of tools, as a script installs it.
fn agent_program(folder: &str, name: &str, script: &str) -> String {
    let home = std::env::var_os("HOME").unwrap();
    let program = Path::new(&home).join(".cache/muster/tools").join(folder).join("node_modules/.bin").join(name);
    assert!(program.exists(), "{} is not there: run {script}", program.display());
    program.to_str().unwrap().to_owned()
}

pub struct Client<'a> {
    pub machine: &'a Machine,
    pub url: &'a str,
    pub key: String,
}

impl Client<'_> {
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.machine.muster(arguments);
        command.env("MUSTER_URL", self.url).env("MUSTER_API_KEY", &self.key);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }
}

/// The binary of this build. Cargo makes it when it is missing or old, from the very packages the tests were made with, so that
/// all but the binary itself is there already. `MUSTER_BINARY` names another one to try.
pub fn muster() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(given) = std::env::var_os("MUSTER_BINARY") {
            return given.into();
        }
        // <target folder>/<profile's folder>/deps/<this test>, or a program beside it
        let program = std::env::current_exe().unwrap();
        let folder = program.parent().unwrap();
        let folder = if folder.ends_with("deps") { folder.parent().unwrap() } else { folder };
        let profile = match folder.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            other => other,
        };
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--workspace", "--exclude", "frontend", "--bin", "muster", "--profile", profile, "--target-dir"]);
        let built = build.arg(folder.parent().unwrap()).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(built.status.success(), "{}", stderr(&built));
        folder.join("muster")
    })
}

/// What a runner is given so that it has these agents, whose models are played by this provider.
pub fn agents_of(provider: &FakeProvider) -> [(&'static str, String); 8] {
    let program = |name| agent_program("agents", name, "scripts/setup --tests");
    [
        ("MUSTER_CLAUDE_CODE", program("claude")),
        ("ANTHROPIC_BASE_URL", provider.url.clone()),
        ("ANTHROPIC_API_KEY", "none".into()),
        ("MUSTER_CODEX", program("codex")),
        ("OPENAI_BASE_URL", format!("{}/v1", provider.url)),
        ("OPENAI_API_KEY", "none".into()),
        ("MUSTER_GEMINI_CLI", "none".into()),
        ("MUSTER_OPENCODE", "none".into()),
    ]
}

/// The same of those that `make agents-test` alone drives.
fn more_agents_of(provider: &FakeProvider) -> [(&'static str, String); 8] {
    let program = |name| agent_program("more-agents", name, "make agents-test");
    [
        ("MUSTER_CLAUDE_CODE", "none".into()),
        ("MUSTER_CODEX", "none".into()),
        ("MUSTER_GEMINI_CLI", program("gemini")),
        ("GOOGLE_GEMINI_BASE_URL", provider.url.clone()),
        ("GEMINI_API_KEY", "none".into()),
        ("MUSTER_OPENCODE", program("opencode")),
        ("OPENAI_BASE_URL", format!("{}/v1", provider.url)),
        ("OPENAI_API_KEY", "none".into()),
    ]
}

/// The first line that holds the text.
pub fn wait_for_line(lines: impl BufRead, text: &str) -> String {
    let mut seen = String::new();
    for line in lines.lines().map_while(Result::ok) {
        if line.contains(text) {
            return line;
        }
        seen.push_str(&line);
        seen.push('\n');
    }
    panic!("it ended without a line with {text:?}:\n{seen}");
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The command lines of running processes that hold one of these.
pub fn running(wanted: &[&str]) -> Vec<String> {
    processes().map(|process| process.line).filter(|line| wanted.iter().any(|text| line == text)).collect()
}

struct Process {
    id: u32,
    parent: u32,
    line: String,
}

/// Every one that runs; of one that ends in between nothing can be read.
fn processes() -> impl Iterator<Item = Process> {
    fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let folder = entry.ok()?.path();
        let id = folder.file_name()?.to_str()?.parse().ok()?;
        let line = String::from_utf8_lossy(&fs::read(folder.join("cmdline")).ok()?).replace('\0', " ").trim().to_owned();
        let status = fs::read_to_string(folder.join("status")).ok()?;
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()?;
        Some(Process { id, parent, line })
    })
}

/// The command lines of running processes in which this text is. A child that has not started its own program yet still has its
/// parent's line, and is not one more.
pub fn running_with(text: &str) -> Vec<String> {
    let found: Vec<_> = processes().filter(|process| process.line.contains(text)).collect();
    let is_before_its_own_program = |child: &Process| found.iter().any(|parent| parent.id == child.parent && parent.line == child.line);
    found.iter().filter(|process| !is_before_its_own_program(process)).map(|process| process.line.clone()).collect()
}
