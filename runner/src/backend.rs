//! What does the work inside an attempt. A backend says which processes to start and with what around them, and what their words mean;
//! starting, logging and ending them is the same for all.

mod acp;
pub(crate) mod agent;
mod any_acp;
pub(crate) mod claude_code;
pub(crate) mod codex;
pub(crate) mod environment;
pub(crate) mod found;
pub(crate) mod gemini_cli;
pub(crate) mod given;
pub(crate) mod identity;
mod json;
pub(crate) mod known;
pub(crate) mod manifest;
pub(crate) mod opencode;
pub(crate) mod own;
pub(crate) mod prompt;
pub(crate) mod provider;
pub(crate) mod question;
pub(crate) mod shell;
pub(crate) mod transcript;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitStatus,
};

use domain::{
    AgentTerms, Failure, SessionEventKind,
    approval::Answer,
    session::{kept_text, kept_value},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::process::how_it_ended;
use question::{Leave, Question};

/// With what a conversation is begun.
pub(crate) struct Beginning<'a> {
    pub worktree: PathBuf,
    /// The folder around the worktrees of further repositories, where the work has any.
    pub more: Option<PathBuf>,
    /// Where the program keeps what is its own: settings, what was said.
    pub config: PathBuf,
    /// The session of an earlier round, which goes on.
    pub session: Option<String>,
    /// What that has come to so far.
    pub spent: Spent,
    pub terms: &'a AgentTerms,
    pub leave: Leave,
    pub in_sandbox: bool,
    /// What agents are given of the runner's environment.
    pub given: &'a [(OsString, OsString)],
}

/// What a session has come to in all its rounds, as its agent counts it. What it does not count is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spent {
    /// Millionths of a dollar, and how many of them before this attempt went on in it.
    pub micros: u64,
    pub earlier_micros: u64,
    /// Tokens. Those that were cached are part of the input.
    pub input: u64,
    pub cached: u64,
    /// Written to a cache: of the input as well.
    pub cache_written: u64,
    pub output: u64,
}

/// What a line of an agent program comes to.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Heard {
    pub events: Vec<SessionEventKind>,
    /// Lines for its standard input.
    pub answers: Vec<String>,
    /// What people are to be asked. It waits for the answers.
    pub questions: Vec<Question>,
    /// What it no longer waits for, by its own names.
    pub withdrawn: Vec<String>,
    /// Its turn is over: nothing more is said to it.
    pub is_over: bool,
    /// It is no message of the agent's, but something that it printed.
    pub is_output: bool,
}

impl Heard {
    fn events(events: Vec<SessionEventKind>) -> Self {
        Self { events, ..Self::default() }
    }

    fn output() -> Self {
        Self { is_output: true, ..Self::default() }
    }
}

/// How a conversation with an agent program is begun.
pub(crate) struct Opening {
    pub arguments: Vec<OsString>,
    pub variables: Vec<(&'static str, OsString)>,
    /// What it finds in its own folder when it is begun for the first time: names below that, with what is in them.
    pub files: Vec<(&'static str, String)>,
    /// The first lines for its standard input.
    pub lines: Vec<String>,
}

/// A conversation with an agent program, without any I/O: what is said to it, what its lines mean, and how it went.
pub(crate) trait Dialogue: Send {
    fn hear(&mut self, line: &str) -> Heard;
    /// To what it asks, by its own name for it.
    fn answer(&mut self, key: &str, answer: &Answer) -> Heard;
    /// What somebody says to it while it works; nothing when it cannot be told now. Its turn goes on until it has heard that.
    fn tell(&mut self, text: &str, interrupt: bool) -> Option<Heard>;
    /// Whether a message that was too long to be read may have been its last, by how it begins and ends.
    fn may_be_the_last(&self, ends: &str) -> bool;
    /// What the agent calls its session, once that is known; with it a later round goes on.
    fn session(&self) -> Option<String>;
    /// What the session has come to so far, earlier rounds included, where a later one has to know it.
    fn spent(&self) -> Spent {
        Spent::default()
    }
    /// Whether anything is said to it after its first lines. Where nothing is, its input ends with them.
    fn listens(&self) -> bool {
        true
    }
    /// What there is to tell once its process is gone, and how it ended, where it has said all that it will.
    fn gone(&mut self, _ended: Option<ExitStatus>) -> Vec<SessionEventKind> {
        vec![]
    }
    /// Whether the work is done, as far as the agent goes. How its process ended is the least of what counts; it is absent when it had said
    /// all and would not go.
    fn verdict(&self, ended: Option<ExitStatus>) -> Result<(), Failure>;
}

/// For messages.
fn how(ended: Option<ExitStatus>) -> String {
    ended.map_or_else(|| "was ended".to_owned(), |ended| how_it_ended(ended).to_string())
}

/// A file below the worktree as it is named in the repository; where the attempt lies on its runner says nothing to anybody.
fn in_the_worktree(worktree: &Path, path: &str) -> String {
    let own = Path::new(path).strip_prefix(worktree);
    kept_text(&own.map_or(path.to_owned(), |path| path.display().to_string()))
}

/// As [`in_the_worktree`], whatever links lead to it: where it is, and not where its name says that it is. It need not be there yet.
fn where_it_is(worktree: &Path, path: &str) -> String {
    let Ok(root) = worktree.canonicalize() else { return in_the_worktree(worktree, path) };
    let real = followed(&worktree.join(path), MOST_LINKS);
    let own = real.strip_prefix(&root).unwrap_or(&real);
    own.display().to_string()
}

/// As the kernel has it, a link to a link to itself is none.
const MOST_LINKS: usize = 40;

/// The links in the longest beginning of it that is there, and those that lead nowhere yet.
fn followed(path: &Path, links: usize) -> PathBuf {
    let joined = |start: PathBuf, rest: &Path| if rest.as_os_str().is_empty() { start } else { start.join(rest) };
    for start in path.ancestors() {
        let rest = path.strip_prefix(start).unwrap_or(Path::new(""));
        if let Ok(real) = start.canonicalize() {
            return joined(real, rest);
        }
        if let (Ok(target), true) = (start.read_link(), links > 0) {
            let target = start.parent().unwrap_or(Path::new("/")).join(target);
            return followed(&joined(target, rest), links - 1);
        }
    }
    path.to_owned()
}

/// What a tool is called with, its files as [`in_the_worktree`].
fn input_in_the_worktree(worktree: &Path, input: &Value) -> Value {
    let mut input = kept_value(input);
    for name in ["file_path", "notebook_path", "path"] {
        if let Some(Value::String(path)) = input.get_mut(name) {
            *path = in_the_worktree(worktree, path);
        }
    }
    input
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_where_the_links_lead() {
        let (worktree, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (root, out) = (worktree.path().canonicalize().unwrap(), outside.path().canonicalize().unwrap());
        std::fs::create_dir_all(root.join(".claude")).unwrap();
        std::fs::create_dir_all(root.join("src")).unwrap();
        symlink(&out, root.join("docs")).unwrap();
        symlink(out.join("new"), root.join("dangles")).unwrap();
        symlink(".claude", root.join("notes")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let is_at = |path: &str| where_it_is(&root, path);
        let absolute = |path: &str| root.join(path).display().to_string();
        let far = |path: &str| out.join(path).display().to_string();
        assert_eq!([is_at("src/a.rs"), is_at(&absolute("src/a.rs")), is_at("new/b/c.rs")], ["src/a.rs", "src/a.rs", "new/b/c.rs"]);
        assert_eq!([is_at("docs/a"), is_at("docs/new/a"), is_at(&absolute("dangles"))], [far("a"), far("new/a"), far("new")]);
        assert_eq!([is_at("notes/settings.json"), is_at("src/../src/b")], [".claude/settings.json", "src/b"]);
        assert_eq!([is_at("/etc/passwd"), is_at("loop")], ["/etc/passwd", "loop"]);
    }
}
