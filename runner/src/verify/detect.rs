//! What `auto` runs: the test command that the project's files call for, as they were at the base commit.

use std::path::Path;

use serde_json::Value;

use crate::git::{Argument, Bounds, Git, GitError, Place};

pub(super) const NOTHING_FOUND: &str = "no test command was found at the base commit. Looked for, in this order: Cargo.toml; \
package.json with a test script; pyproject.toml, pytest.ini or Python files below tests/; go.mod; a Makefile with a target named test. \
Give the command itself instead of auto.";

/// The first that fits. The order is that of [`NOTHING_FOUND`].
pub(super) async fn test_command(git: &Git, mirror: &Path, commit: &str) -> Result<Option<&'static str>, GitError> {
    let place = Place::Repository(mirror);
    let listing = git.whole(place, &[&"ls-tree", &"-z", &"--name-only", &commit], b"", Bounds::LISTING).await?;
    let names: Vec<_> = listing.bytes.split(|byte| *byte == 0).filter_map(|name| std::str::from_utf8(name).ok()).collect();
    let has = |name: &str| names.contains(&name);
    let content = async |name: &str| {
        let object = format!("{commit}:{name}");
        Ok::<_, GitError>(git.run(place, &[&"cat-file", &"blob", &object], Bounds::LOCAL).await?.text())
    };
    if has("Cargo.toml") {
        return Ok(Some("cargo test"));
    }
    if has("package.json") && has_test_script(&content("package.json").await?) {
        return Ok(Some(script_runner(&names)));
    }
    if has("pyproject.toml") || has("pytest.ini") || (has("tests") && has_python_tests(git, place, commit).await?) {
        return Ok(Some("python3 -m pytest"));
    }
    if has("go.mod") {
        return Ok(Some("go test ./..."));
    }
    // In the order in which make looks for them.
    if let Some(name) = ["GNUmakefile", "makefile", "Makefile"].into_iter().find(|name| has(name))
        && has_test_target(&content(name).await?)
    {
        return Ok(Some("make test"));
    }
    Ok(None)
}

async fn has_python_tests(git: &Git, place: Place<'_>, commit: &str) -> Result<bool, GitError> {
    let arguments: [Argument<'_>; 7] = [&"ls-tree", &"-r", &"-z", &"--name-only", &commit, &"--", &"tests/"];
    let listing = git.whole(place, &arguments, b"", Bounds::LISTING).await?;
    Ok(listing.bytes.split(|byte| *byte == 0).any(|name| name.ends_with(b".py")))
}

/// What `npm init` writes into every package is no test.
fn has_test_script(package: &str) -> bool {
    let package: Value = serde_json::from_str(package).unwrap_or_default();
    package.pointer("/scripts/test").and_then(Value::as_str).is_some_and(|script| {
        let script = script.trim();
        !script.is_empty() && !script.contains("no test specified")
    })
}

fn script_runner(names: &[&str]) -> &'static str {
    let locks = [("pnpm-lock.yaml", "pnpm test"), ("yarn.lock", "yarn test"), ("bun.lock", "bun run test"), ("bun.lockb", "bun run test")];
    locks.iter().find(|(lock, _)| names.contains(lock)).map_or("npm test", |(_, command)| command)
}

fn has_test_target(makefile: &str) -> bool {
    makefile.lines().any(|line| {
        let Some((targets, rest)) = line.split_once(':') else { return false };
        let is_rule = !line.starts_with(['\t', '#', '.']) && !rest.trim_start_matches(':').starts_with('=') && !targets.contains('=');
        is_rule && targets.split_whitespace().any(|target| target == "test")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_makefile_has_a_target_named_test() {
        for with in ["test:\n\tcargo test", "all: build\ntest : build", "lint test: x", "test::\n\ttrue"] {
            assert!(has_test_target(with), "{with}");
        }
        for without in ["", "tests:\n", "\ttest: x", "# test:", "test := x", "test ::= y", ".PHONY: test", "x = test: y"] {
            assert!(!has_test_target(without), "{without}");
        }
    }

    #[test]
    fn what_npm_writes_by_itself_is_no_test() {
        assert!(has_test_script(r#"{"scripts": {"test": "vitest run"}}"#));
        for without in
            [r#"{"scripts": {"test": "echo \"Error: no test specified\" && exit 1"}}"#, "{}", "not json", r#"{"scripts": {"test": ""}}"#]
        {
            assert!(!has_test_script(without), "{without}");
        }
    }

    #[test]
    fn the_lock_file_tells_who_runs_the_script() {
        assert_eq!(script_runner(&["package.json", "yarn.lock"]), "yarn test");
        assert_eq!(script_runner(&["package.json", "package-lock.json"]), "npm test");
    }
}
