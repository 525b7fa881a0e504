//! Calls of the git command line: with arguments, never through a shell; with the runner's own settings, never those of the user
//! or the machine; with a bound on time and output; never asking anybody anything.

pub(crate) mod version;

use std::{
    ffi::OsStr,
    fs::File,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
};
use tokio_util::sync::CancellationToken;

use crate::{
    process::{self, program_path},
    sandbox::{Guest, Made, Meter, Program, Room, Running},
};

/// The settings of all calls. Whoever runs the runner adds theirs, such as a credential helper, in `gitconfig.local` beside it.
pub(crate) const SETTINGS: &str = r#"# Written by Muster at every start. Your own settings belong in gitconfig.local, in this folder.
[user]
	name = Muster
	email = muster@localhost
[safe]
	directory = *
[core]
	hooksPath = /dev/null
	fsmonitor = false
	excludesFile = /dev/null
	attributesFile = /dev/null
	quotePath = false
	packedRefsTimeout = 10000
	filesRefLockTimeout = 10000
[init]
	defaultBranch = main
[commit]
	gpgSign = false
[gc]
	auto = 0
[maintenance]
	auto = false
[protocol "ext"]
	allow = never
[submodule]
	recurse = false
[advice]
	detachedHead = false
	addEmbeddedRepo = false
	defaultBranchName = false
[http]
	lowSpeedLimit = 1000
	lowSpeedTime = 60
"#;

/// What only the machine's own git has beside them.
pub(crate) const OWN_SETTINGS: &str = "[include]\n\tpath = gitconfig.local\n\tpath = gitconfig.credentials\n";

/// Repeated where a repository's own settings cannot override them, as those run commands of somebody else's choice.
const FORCED: [(&str, &str); 3] = [("core.hooksPath", "/dev/null"), ("core.fsmonitor", "false"), ("protocol.ext.allow", "never")];
/// The same for who is not to be the machine's user: ssh finds that user's keys whatever the environment says, and Kerberos its tickets.
const FORCED_ON_GUESTS: &[(&str, &str)] = &[("protocol.ssh.allow", "never"), ("http.emptyAuth", "false")];
/// The same for what git starts: git-lfs asks none of these settings, runs the command for ssh itself and looks for tickets where they are by
/// default. Without any home that would be looked up, and passwords read there.
const ENVIRONMENT_OF_GUESTS: [(&str, &str); 4] =
    [("HOME", "/dev/null"), ("GIT_SSH_COMMAND", "false"), ("KRB5CCNAME", "FILE:/dev/null"), ("KRB5_CLIENT_KTNAME", "FILE:/dev/null")];

/// What git may know of the runner's environment: how to find programs, keys and proxies. Nothing of Muster's own.
const ENVIRONMENT: [&str; 17] = [
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
];
/// What of it leads to what its user can prove: keys, an agent that holds some, files with passwords.
const USERS_OWN: [&str; 6] = ["HOME", "USER", "LOGNAME", "SSH_AUTH_SOCK", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"];

/// From asking git to end until it is killed. Asked, it removes its lock files.
const PATIENCE: Duration = Duration::from_secs(5);
const MOST_ERROR_BYTES: usize = 64 * 1024;
const MEBIBYTE: usize = 1024 * 1024;

pub(crate) type Argument<'a> = &'a (dyn AsRef<OsStr> + Sync);

#[derive(Clone)]
pub(crate) struct Git {
    gitconfig: PathBuf,
    /// Marks the calls made for an attempt, so that a later life finds what a dead one left running.
    marker: Option<(&'static str, String)>,
    give_up: CancellationToken,
    /// Where it looks at worktrees.
    room: Room,
    /// There it writes the files of the worktree as well.
    writes: bool,
    /// It proves to nobody that it is the machine's user.
    is_guest: bool,
    /// The time of the commits that it makes, in seconds since 1970; now when absent.
    time: Option<i64>,
}

/// What a call is about.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    /// No repository yet: the folder to stand in.
    Folder(&'a Path),
    /// One without a worktree, or of which the worktree does not matter.
    Repository(&'a Path),
    /// A worktree with its repository, found by what the runner knows and not by files that the work could have changed.
    Worktree { git_dir: &'a Path, path: &'a Path, index: &'a Path },
    /// A repository of the runner's own, looked at where the work's worktree is. It is a worktree in which nothing is: neither the work's
    /// repository nor its files have a say in what is read there.
    Store(&'a Path),
}

impl<'a> Place<'a> {
    fn stands_in(self) -> &'a Path {
        match self {
            Self::Folder(path) | Self::Worktree { path, .. } | Self::Store(path) => path,
            // what is named from the root on is found from anywhere
            Self::Repository(_) => Path::new("/"),
        }
    }
}

/// How much time a call may take, and how many bytes of its output are kept.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub time: Duration,
    pub output: usize,
}

impl Bounds {
    /// For calls that stay on this machine and say little.
    pub const LOCAL: Self = Self { time: Duration::from_secs(600), output: 1024 * 1024 };
    /// For calls that move a repository. A transfer that stands still ends much earlier.
    pub const TRANSFER: Self = Self { time: Duration::from_secs(3600), output: 1024 * 1024 };
    /// For lists, which count as a whole: see [`whole`](Git::whole).
    pub const LISTING: Self = Self { output: 256 * MEBIBYTE, ..Self::LOCAL };
    /// For calls that ask another host for a few lines.
    pub const LOOK: Self = Self { time: Duration::from_secs(60), output: 1024 * 1024 };
}

#[derive(Debug)]
pub(crate) struct Output {
    pub bytes: Vec<u8>,
    /// More was said than was kept.
    pub cut: bool,
}

impl Output {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).trim().to_owned()
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    #[error("git could not be started: {0}")]
    NotStarted(#[from] io::Error),
    /// `said` is what it wrote to its standard error.
    #[error("{}", last_words(said))]
    Failed { code: Option<i32>, said: String },
    #[error("git took longer than {} seconds", .0.as_secs())]
    TimedOut(Duration),
    #[error("git was told to end")]
    GivenUp,
    #[error("git has more to say than the {} MiB that are read of a list", .0 / MEBIBYTE)]
    TooLong(usize),
    #[error("git, or what it was made to run, {0}, and was ended")]
    TookTooMuch(String),
    #[error("the sandbox in which git was to look could not be made: {0}")]
    NoRoom(String),
}

impl Git {
    pub fn new(gitconfig: PathBuf) -> Self {
        Self { gitconfig, marker: None, give_up: CancellationToken::new(), room: Room::Open, writes: false, is_guest: false, time: None }
    }

    /// The same with nothing but these settings to prove who it is: with no key, no helper and no file of the machine's user.
    pub fn for_guest(&self, gitconfig: PathBuf) -> Self {
        Self { gitconfig, is_guest: true, ..self.clone() }
    }

    /// The same for one attempt. Once `give_up` is cancelled, calls end early.
    pub fn for_attempt(&self, marker: (&'static str, String), give_up: CancellationToken) -> Self {
        Self { marker: Some(marker), give_up, room: Room::Open, ..self.clone() }
    }

    /// The same, of which calls end early once this is cancelled.
    pub fn until(&self, give_up: CancellationToken) -> Self {
        Self { give_up, ..self.clone() }
    }

    /// Until its calls end early.
    pub async fn given_up(&self) {
        self.give_up.cancelled().await;
    }

    /// What ends its calls early.
    pub fn give_up(&self) -> &CancellationToken {
        &self.give_up
    }

    /// Bytes of the longest file of whoever works where it looks.
    pub fn longest_file(&self) -> Option<u64> {
        self.room.longest_file()
    }

    /// The same, looking at the attempt's worktree from inside its room.
    pub fn inside(&self, room: &Room) -> Self {
        Self { room: room.clone(), ..self.clone() }
    }

    /// The same, which writes the worktree there: before the work begins, and to put back what a check has made of it.
    pub fn inside_to_write(&self, room: &Room) -> Self {
        Self { writes: true, ..self.inside(room) }
    }

    /// The same, for which it is another time.
    pub fn at(&self, seconds: i64) -> Self {
        Self { time: Some(seconds), ..self.clone() }
    }

    pub async fn run(&self, place: Place<'_>, arguments: &[Argument<'_>], bounds: Bounds) -> Result<Output, GitError> {
        self.run_with_input(place, arguments, b"", bounds).await
    }

    /// As [`run_with_input`](Self::run_with_input), for what counts as a whole. A list that ends too early says of all that follows that it is not
    /// there.
    pub async fn whole(&self, place: Place<'_>, arguments: &[Argument<'_>], input: &[u8], bounds: Bounds) -> Result<Output, GitError> {
        let output = self.run_with_input(place, arguments, input, bounds).await?;
        if output.cut { Err(GitError::TooLong(bounds.output)) } else { Ok(output) }
    }

    pub async fn run_with_input(
        &self,
        place: Place<'_>,
        arguments: &[Argument<'_>],
        input: &[u8],
        bounds: Bounds,
    ) -> Result<Output, GitError> {
        self.call(place, arguments, (input, None, None), bounds).await
    }

    /// As [`run_with_input`](Self::run_with_input), with an output that may be long.
    pub async fn run_into(
        &self,
        place: Place<'_>,
        arguments: &[Argument<'_>],
        input: &[u8],
        output: File,
        bounds: Bounds,
    ) -> Result<(), GitError> {
        self.call(place, arguments, (input, None, Some(output)), bounds).await.map(drop)
    }

    /// As [`run`](Self::run), with an input that may be long.
    pub async fn run_from(&self, place: Place<'_>, arguments: &[Argument<'_>], input: File, bounds: Bounds) -> Result<Output, GitError> {
        self.call(place, arguments, (b"", Some(input), None), bounds).await
    }

    async fn call(
        &self,
        place: Place<'_>,
        arguments: &[Argument<'_>],
        (input, from, into): (&[u8], Option<File>, Option<File>),
        bounds: Bounds,
    ) -> Result<Output, GitError> {
        // whoever makes a room ends when nobody hears it any more
        let Running { mut child, made, meter, bridge } = self.start(place, arguments, (from, into)).await?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let work = async {
            let feed = async {
                if let Some(mut stdin) = stdin {
                    // A git that does not want all of it says why by its exit status.
                    let _ = stdin.write_all(input).await;
                }
            };
            let ((), output, error) = tokio::join!(feed, read(stdout, bounds.output), read_to_its_end(stderr));
            (output, error, child.wait().await)
        };
        let result = tokio::select! {
            done = work => Ok(done),
            () = tokio::time::sleep(bounds.time) => Err(GitError::TimedOut(bounds.time)),
            () = self.give_up.cancelled() => Err(GitError::GivenUp),
            overrun = meter.too_much(group.map_or(0, Pid::as_raw_pid)) => Err(GitError::TookTooMuch(overrun.to_string())),
        };
        let (output, error, status) = match result {
            Ok(done) => done,
            Err(error) => {
                end(&mut child, group).await;
                return Err(error);
            }
        };
        let status = status?;
        if status.success() || output.cut {
            return Ok(output);
        }
        if made.fails(status, bridge.as_ref()) {
            return Err(GitError::NoRoom(last_words(&String::from_utf8_lossy(&error))));
        }
        Err(GitError::Failed { code: status.code(), said: String::from_utf8_lossy(&error).into_owned() })
    }

    async fn start(&self, place: Place<'_>, arguments: &[Argument<'_>], files: (Option<File>, Option<File>)) -> io::Result<Running> {
        match (place, &self.room) {
            (Place::Worktree { path, .. } | Place::Store(path), Room::Closed(_)) => {
                let Program { mut command, made, meter, bridge } = self.room.program("git", Guest::Git { writes: self.writes }, path)?;
                self.complete(&mut command, place, arguments, files);
                Ok(Running { child: process::start_alone(command).await?, made, meter, bridge })
            }
            _ => {
                let mut command = Command::new("git");
                self.complete(&mut command, place, arguments, files);
                command.current_dir(place.stands_in());
                // a group of its own, so that its helpers end with it
                command.process_group(0);
                Ok(Running { child: command.spawn()?, made: Made::Open, meter: Meter::off(), bridge: None })
            }
        }
    }

    fn complete(&self, command: &mut Command, place: Place<'_>, arguments: &[Argument<'_>], (from, into): (Option<File>, Option<File>)) {
        command.env_clear();
        for name in ENVIRONMENT.iter().filter(|name| !self.is_guest || !USERS_OWN.contains(name)) {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.env("PATH", program_path());
        command
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_GLOBAL", &self.gitconfig)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_SSH_COMMAND", "ssh -o BatchMode=yes")
            // what is shown is what is pushed
            .env("GIT_NO_REPLACE_OBJECTS", "1");
        let guests = if self.is_guest { FORCED_ON_GUESTS } else { &[] };
        if self.is_guest {
            command.envs(ENVIRONMENT_OF_GUESTS);
        }
        command.env("GIT_CONFIG_COUNT", (FORCED.len() + guests.len()).to_string());
        for (index, (key, value)) in FORCED.iter().chain(guests).enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{index}"), key).env(format!("GIT_CONFIG_VALUE_{index}"), value);
        }
        if let Some((name, value)) = &self.marker {
            command.env(name, value);
        }
        if let Some(seconds) = self.time {
            let time = format!("@{seconds} +0000");
            command.env("GIT_AUTHOR_DATE", &time).env("GIT_COMMITTER_DATE", &time);
        }
        match place {
            Place::Folder(_) => &mut *command,
            Place::Repository(git_dir) => command.env("GIT_DIR", git_dir).env("GIT_COMMON_DIR", git_dir),
            Place::Worktree { git_dir, path, index } => {
                command.env("GIT_DIR", git_dir).env("GIT_COMMON_DIR", git_dir).env("GIT_WORK_TREE", path).env("GIT_INDEX_FILE", index)
            }
            Place::Store(path) => command.env("GIT_DIR", path).env("GIT_COMMON_DIR", path).env("GIT_WORK_TREE", path),
        };
        command.args(arguments.iter().map(|argument| argument.as_ref()));
        command.stdin(from.map_or_else(Stdio::piped, Stdio::from)).stdout(into.map_or_else(Stdio::piped, Stdio::from));
        command.stderr(Stdio::piped());
        command.kill_on_drop(true);
    }
}

/// As a value in git's settings.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

/// Reads up to `most` bytes. What comes after is not waited for, and a git that wants to say it ends.
async fn read(pipe: Option<impl AsyncRead + Unpin>, most: usize) -> Output {
    let mut bytes = vec![];
    let Some(pipe) = pipe else { return Output { bytes, cut: false } };
    // A pipe that breaks has nothing more to say.
    let _ = pipe.take(most as u64 + 1).read_to_end(&mut bytes).await;
    let cut = bytes.len() > most;
    bytes.truncate(most);
    Output { bytes, cut }
}

/// Keeps the first bytes, and reads on, so that a git with much to complain about goes on.
async fn read_to_its_end(pipe: Option<impl AsyncRead + Unpin>) -> Vec<u8> {
    let mut kept = vec![];
    let Some(mut pipe) = pipe else { return kept };
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        let room = MOST_ERROR_BYTES - kept.len();
        kept.extend_from_slice(&buffer[..read.min(room)]);
    }
    kept
}

async fn end(child: &mut Child, group: Option<Pid>) {
    for signal in [Signal::TERM, Signal::KILL] {
        if let Some(group) = group {
            // It may be gone by now.
            let _ = kill_process_group(group, signal);
        }
        if tokio::time::timeout(PATIENCE, child.wait()).await.is_ok() {
            return;
        }
    }
}

/// The line of git's complaint that says why, without what could be a secret in a URL.
pub(crate) fn last_words(said: &str) -> String {
    let noise = ["hint:", "warning:", "Cloning into", "Please make sure", "and the repository exists"];
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty() && !noise.iter().any(|start| line.starts_with(start)));
    let line = lines.next().unwrap_or("git gave no reason");
    let line = line.strip_prefix("fatal: ").or_else(|| line.strip_prefix("error: ")).unwrap_or(line);
    without_credentials(line).replace('\0', "")
}

pub(crate) fn without_credentials(line: &str) -> String {
    let mut clean = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("://") {
        clean.push_str(before);
        clean.push_str("://");
        let authority = after.split(|c: char| c == '/' || c == '\'' || c.is_whitespace()).next().unwrap_or_default();
        rest = match authority.rfind('@') {
            Some(at) => &after[at + 1..],
            None => after,
        };
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_first_line_that_says_something() {
        let said =
            "warning: redirecting\nfatal: '/srv/x' does not appear to be a git repository\nfatal: Could not read from remote repository.\n";
        assert_eq!(last_words(said), "'/srv/x' does not appear to be a git repository");
        assert_eq!(last_words(""), "git gave no reason");
    }

    #[test]
    fn credentials_are_left_out() {
        assert_eq!(
            last_words("fatal: unable to access 'https://me:secret@example.org/a.git/': Could not resolve host: example.org"),
            "unable to access 'https://example.org/a.git/': Could not resolve host: example.org"
        );
        assert_eq!(without_credentials("ssh://git@example.org/a and https://b/c@d"), "ssh://example.org/a and https://b/c@d");
    }

    #[test]
    fn a_location_cannot_add_settings() {
        assert_eq!(quoted("/srv/a\"\n[core]\n\\x"), r#""/srv/a\"\n[core]\n\\x""#);
    }

    #[tokio::test]
    async fn a_call_ends_when_it_is_given_up_and_when_its_time_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Folder(folder.path());
        let forever: [Argument<'_>; 2] = [&"hash-object", &"/dev/zero"];
        let give_up = CancellationToken::new();
        let git = Git::new(folder.path().join("gitconfig")).for_attempt(("MUSTER_ATTEMPT_ID", "x".into()), give_up.clone());
        let short = Bounds { time: Duration::from_millis(50), output: 100 };
        assert!(matches!(git.run(place, &forever, short).await, Err(GitError::TimedOut(_))));
        give_up.cancel();
        assert!(matches!(git.run(place, &forever, Bounds::LOCAL).await, Err(GitError::GivenUp)));
    }

    #[tokio::test]
    async fn output_beyond_the_bound_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let git = Git::new(folder.path().join("gitconfig"));
        let bounds = Bounds { output: 10, ..Bounds::LOCAL };
        let (place, arguments): (_, [Argument<'_>; 2]) = (Place::Folder(folder.path()), [&"help", &"--all"]);
        let output = git.run(place, &arguments, bounds).await.unwrap();
        assert_eq!((output.bytes.len(), output.cut), (10, true));
        assert!(matches!(git.whole(place, &arguments, b"", bounds).await, Err(GitError::TooLong(10))), "a list is not a part of it");
        assert!(git.whole(place, &arguments, b"", Bounds::LISTING).await.is_ok());
    }
}
