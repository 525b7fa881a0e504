//! What a rule allows: exactly one thing, or whatever begins in one way, as far as that is safe.
//!
//! A star stands at the end alone. In a command it stands for words, and not for anything that makes a second command of it: `cargo test *`
//! allows `cargo test --release` and not `cargo test; rm -r /`. In a change it stands for files below, and not for a way out of the repository.

use super::{AskedKind, PATTERN_MAX};

/// What a shell makes more of than words.
const NOT_PLAIN: &str = ";&|<>$`\\(){}!#*?[]~^\n\r\0";

/// Whether it can be a rule.
///
/// # Errors
/// With what is wrong about it, for people.
pub fn check(kind: AskedKind, pattern: &str) -> Result<(), &'static str> {
    if pattern.trim().is_empty() {
        return Err("must not be empty");
    }
    if pattern.trim() != pattern {
        return Err("must not begin or end with a space");
    }
    if pattern.chars().count() > PATTERN_MAX {
        return Err("must be at most 1000 characters");
    }
    if pattern.chars().any(|c| c.is_control() && c != '\n') {
        return Err("must not contain control characters");
    }
    match (kind, start(kind, pattern)) {
        (AskedKind::Command, Some("")) => Err("would allow every command; name the program before the star"),
        _ => Ok(()),
    }
}

/// Whether a rule with this pattern allows this.
pub fn matches(kind: AskedKind, pattern: &str, subject: &str) -> bool {
    match kind {
        AskedKind::Command => is_command(pattern, subject) || is_command(pattern, inner(subject)),
        AskedKind::Edit => subject.lines().count() > 0 && subject.lines().all(|file| is_file(pattern, file)),
        AskedKind::Tool => pattern == subject || start(kind, pattern).is_some_and(|start| subject.starts_with(start)),
    }
}

/// As [`matches`], of an agent of which nobody has measured where it takes its orders from. That is often behind a dot at the root of a
/// repository, where only a rule reaches that says so.
pub fn matches_unmeasured(kind: AskedKind, pattern: &str, subject: &str) -> bool {
    let is_behind_a_dot = kind == AskedKind::Edit && subject.lines().any(|file| file.starts_with('.'));
    matches(kind, pattern, subject) && (!is_behind_a_dot || pattern.starts_with('.'))
}

/// The narrowest first.
pub fn suggested(kind: AskedKind, subject: &str) -> Vec<String> {
    let candidates = match kind {
        AskedKind::Command => {
            let command = inner(subject);
            vec![Some(command.to_owned()), beginning(command)]
        }
        AskedKind::Edit => {
            let folder = subject.lines().next().and_then(|file| file.rsplit_once('/')).map(|(folder, _)| format!("{folder}/*"));
            let one = (subject.lines().count() == 1).then(|| subject.to_owned());
            vec![one, folder, Some("*".to_owned())]
        }
        AskedKind::Tool => vec![Some(subject.to_owned())],
    };
    let mut fitting: Vec<String> = vec![];
    for pattern in candidates.into_iter().flatten() {
        if check(kind, &pattern).is_ok() && matches(kind, &pattern, subject) && !fitting.contains(&pattern) {
            fitting.push(pattern);
        }
    }
    fitting
}

/// The program and what it is to do, with a star; nothing where that would be more than anybody can mean.
fn beginning(command: &str) -> Option<String> {
    // of these more files or words do no more harm than the ones that are asked for
    const LOOKS: [&str; 8] = ["ls", "cat", "head", "tail", "wc", "grep", "mkdir", "touch"];
    const RUNS_ANYTHING: [&str; 37] = [
        "bash", "sh", "zsh", "dash", "ksh", "fish", "busybox", "env", "sudo", "su", "xargs", "eval", "exec", "timeout", "nice", "nohup",
        "time", "ssh", "docker", "npx", "node", "perl", "ruby", "php", "doas", "podman", "uv", "uvx", "bunx", "setsid", "command", "watch",
        "strace", "chroot", "parallel", "find", "awk",
    ];
    // the same, as what a program is to do
    const DOES_ANYTHING: [&str; 6] = ["exec", "run", "x", "dlx", "eval", "shell"];
    let mut words = command.split(' ').filter(|word| !word.is_empty());
    let program = words.next()?;
    if LOOKS.contains(&program) {
        return Some(format!("{program} *"));
    }
    let name = program.rsplit('/').next()?;
    if program.contains('=') || RUNS_ANYTHING.contains(&name) || name.starts_with("python") {
        return None;
    }
    // what it is to do, as in `cargo test`; an option may change what that means
    let does = words.next().filter(|word| word.starts_with(|c: char| c.is_ascii_alphabetic()))?;
    if DOES_ANYTHING.contains(&does) {
        return None;
    }
    let is_word = does.chars().all(|c| c.is_ascii_alphanumeric() || "-_:".contains(c));
    (is_word && is_plain(program)).then(|| format!("{program} {does} *"))
}

/// What comes before the star; nothing when there is none.
fn start(kind: AskedKind, pattern: &str) -> Option<&str> {
    let start = pattern.strip_suffix('*')?;
    // a star of the command's own, such as `rm src/*`, is one only after a space
    if kind == AskedKind::Command {
        return if start.is_empty() { Some(start) } else { start.strip_suffix(' ') };
    }
    Some(start)
}

fn is_command(pattern: &str, command: &str) -> bool {
    if pattern == command {
        return true;
    }
    let rest = start(AskedKind::Command, pattern).and_then(|start| command.strip_prefix(start));
    rest.is_some_and(|rest| (rest.is_empty() || rest.starts_with(' ')) && is_plain(rest))
}

fn is_plain(words: &str) -> bool {
    let quotes_are_closed = |quote: char| words.matches(quote).count().is_multiple_of(2);
    !words.contains(|c: char| NOT_PLAIN.contains(c) || c.is_control()) && quotes_are_closed('"') && quotes_are_closed('\'')
}

fn is_file(pattern: &str, file: &str) -> bool {
    if pattern == file {
        return true;
    }
    // what git and agents take their orders from is more than a file
    const ORDERS: [&str; 9] = ["..", ".git", ".codex", ".claude", ".mcp.json", ".gemini", ".opencode", "opencode.json", "opencode.jsonc"];
    let leads_out = file.starts_with(['/', '~']) || file.split(['/', '\\']).any(|part| ORDERS.contains(&part));
    !leads_out && start(AskedKind::Edit, pattern).is_some_and(|start| file.starts_with(start))
}

/// What a shell that is started for one command is given: `/bin/bash -lc 'cargo test'` is about `cargo test`.
fn inner(command: &str) -> &str {
    let shells = ["bash", "sh", "zsh", "/bin/bash", "/bin/sh", "/bin/zsh", "/usr/bin/bash", "/usr/bin/sh", "/usr/bin/zsh"];
    let Some((shell, rest)) = command.split_once(' ') else { return command };
    let Some(rest) = rest.strip_prefix("-lc ").or_else(|| rest.strip_prefix("-c ")).filter(|_| shells.contains(&shell)) else {
        return command;
    };
    let quoted = rest.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')).filter(|inner| !inner.contains('\''));
    let one_word = (!rest.contains(['\'', '"', ' '])).then_some(rest);
    quoted.or(one_word).unwrap_or(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_allowed_with_other_words_and_nothing_else() {
        let allows = |pattern: &str, command: &str| matches(AskedKind::Command, pattern, command);
        assert!(allows("cargo test", "cargo test"));
        assert!(!allows("cargo test", "cargo test --release"));
        for fine in ["cargo test", "cargo test --release -p engine", "cargo test \"a b\"", "/bin/bash -lc 'cargo test --release'"] {
            assert!(allows("cargo test *", fine), "{fine}");
        }
        for more in [
            "cargo tester",
            "cargo test; rm -r /",
            "cargo test && curl evil",
            "cargo test | sh",
            "cargo test $(id)",
            "cargo test `id`",
            "cargo test > /etc/passwd",
            "cargo test\nrm -r /",
            "cargo test \\; id",
            "cargo test 'a",
            "cargo test ~/x",
            "bash -c 'cargo test; id'",
            "bash -c 'cargo test' 'x' 'y'",
            "evil -lc 'cargo test'",
            "rm cargo test",
        ] {
            assert!(!allows("cargo test *", more), "{more}");
        }
        assert!(allows("rm src/*", "rm src/*") && !allows("rm src/*", "rm src/a"), "the star is the command's own");
    }

    #[test]
    fn a_change_is_allowed_below_and_nowhere_else() {
        let allows = |pattern: &str, files: &str| matches(AskedKind::Edit, pattern, files);
        assert!(allows("src/*", "src/lib.rs") && allows("*", "a\nb/c") && allows("a.md", "a.md"));
        for outside in
            ["README.md", "src/../../etc/passwd", "src/a\n/etc/passwd", "src/.git/hooks/pre-commit", "src/.codex/rules/a.rules", ""]
        {
            assert!(!allows("src/*", outside), "{outside}");
        }
        assert!(!allows("*", "/etc/passwd") && !allows("*", "~/.bashrc") && !allows("*", ".git/config"));
        for orders in [".gemini/settings.json", ".opencode/plugins/a.ts", "opencode.json", "app/opencode.jsonc"] {
            assert!(!allows("*", orders), "{orders}");
        }
    }

    #[test]
    fn behind_a_dot_only_a_rule_reaches_that_says_so_where_nobody_has_measured_the_agent() {
        let allows = |pattern: &str, files: &str| matches_unmeasured(AskedKind::Edit, pattern, files);
        assert!(allows("*", "a\nsrc/.hidden") && allows("src/*", "src/lib.rs"));
        for settings in [".goose/config.yaml", ".goosehints", "src/lib.rs\n.goose/hooks/a"] {
            assert!(!allows("*", settings), "{settings}");
        }
        assert!(allows(".goose/*", ".goose/config.yaml") && allows(".goosehints", ".goosehints"));
        assert!(!allows(".git*", ".git/config"), "what is everybody's orders stays that");
        assert!(matches_unmeasured(AskedKind::Command, "ls *", "ls .goose") && matches(AskedKind::Edit, "*", ".goosehints"));
    }

    #[test]
    fn other_tools_are_known_by_what_they_are_used_on() {
        assert!(matches(AskedKind::Tool, "WebFetch https://docs.rs/*", "WebFetch https://docs.rs/axum"));
        assert!(!matches(AskedKind::Tool, "WebFetch https://docs.rs/*", "WebFetch https://evil.example/"));
    }

    #[test]
    fn what_is_suggested_would_have_allowed_it() {
        let of = |kind, subject: &str| suggested(kind, subject);
        assert_eq!(of(AskedKind::Command, "cargo test --release"), ["cargo test --release", "cargo test *"]);
        assert_eq!(of(AskedKind::Command, "/bin/bash -lc 'touch a'"), ["touch a", "touch *"]);
        assert_eq!(of(AskedKind::Command, "ls -l"), ["ls -l", "ls *"]);
        for alone in [
            "make; id",
            "sudo apt update",
            "timeout 60 cargo test",
            "git -C x status",
            "python3.12 -c 'import x'",
            "FOO=1 cargo test",
            "docker run x",
            "uv run x",
            "npm exec x",
            "kubectl exec x",
            "npx -y x",
            "./a.sh b/c",
        ] {
            assert_eq!(of(AskedKind::Command, alone), [alone]);
        }
        assert_eq!(of(AskedKind::Edit, "src/a.rs"), ["src/a.rs", "src/*", "*"]);
        assert_eq!(of(AskedKind::Edit, "/etc/passwd"), ["/etc/passwd"]);
    }

    #[test]
    fn a_rule_says_something() {
        let wrong = |pattern: &str| check(AskedKind::Command, pattern).is_err();
        assert!(["", " ", " ls", "ls ", "*", "a\u{7}b"].into_iter().all(wrong));
        assert!(!["ls", "ls *", "rm src/*", "ls; id"].into_iter().any(wrong));
        assert!(wrong(&"x".repeat(PATTERN_MAX + 1)));
        assert!(check(AskedKind::Edit, "*").is_ok());
    }
}
