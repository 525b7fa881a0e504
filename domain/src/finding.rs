//! What speaks against a result, whatever its checks say: looked for by Muster in what an attempt left, and never asked of the agent.
//!
//! Findings are for people. They do not decide: there are tasks that change nothing, and tests that are rightly removed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Finding {
    pub kind: FindingKind,
    /// Where and how much, in words.
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FindingKind {
    /// An agent changed nothing.
    NoChange,
    /// An agent used no tool: what it says, it has not looked at.
    NoToolCall,
    /// There are fewer tests than before.
    TestsRemoved,
    /// Tests are there that do not run.
    TestsSkipped,
    /// Inside a submodule something was changed that is no part of the result.
    SubmoduleChanged,
    /// An agent has committed, and left something beside that which it has not.
    DirtyTree,
    /// The diff is longer than what is kept of it, and in the rest nobody has looked for tests.
    DiffCut,
}

impl FindingKind {
    pub const ALL: [Self; 7] =
        [Self::NoChange, Self::NoToolCall, Self::TestsRemoved, Self::TestsSkipped, Self::SubmoduleChanged, Self::DirtyTree, Self::DiffCut];

    pub fn name(self) -> &'static str {
        match self {
            Self::NoChange => "no_change",
            Self::NoToolCall => "no_tool_call",
            Self::TestsRemoved => "tests_removed",
            Self::TestsSkipped => "tests_skipped",
            Self::SubmoduleChanged => "submodule_changed",
            Self::DirtyTree => "dirty_tree",
            Self::DiffCut => "diff_cut",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl Finding {
    pub fn new(kind: FindingKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

/// The most that are kept of one attempt.
pub const FINDINGS_MAX: usize = 20;
/// Characters of one.
pub const DETAIL_MAX: usize = 1000;
/// Files that a finding names.
const NAMED: usize = 5;

/// How a test begins, in the languages that are common: texts that are looked for in others' code.
const TESTS: [&str; 15] = [
    "#[test]",
    "#[tokio::test",
    "#[sqlx::test",
    "def test_",
    "async def test_",
    "func Test",
    "@Test",
    "[Fact]",
    "[Test]",
    "it(\"",
    "it('",
    "it(`",
    "test(\"",
    "test('",
    "test(`",
];
/// How a test is kept from running: as [`TESTS`].
const SKIPS: [&str; 16] = [
    "#[ignore",
    "@pytest.mark.skip",
    "@pytest.mark.xfail",
    "@unittest.skip",
    "pytest.skip(",
    "it.skip(",
    "test.skip(",
    "describe.skip(",
    "test.fixme(",
    "xit(",
    "xdescribe(",
    "t.Skip(",
    "t.Skipf(",
    "@Disabled",
    "@Ignore",
    "[Ignore",
];

/// What a diff, as git writes it, says about tests; `within` stands before the names of its files. A test that moves is none that is removed.
pub fn in_diff(diff: &str, within: &str) -> Vec<Finding> {
    let mut path = "";
    // by file: how many more there are than before
    let mut tests: BTreeMap<&str, i64> = BTreeMap::new();
    let mut skipped: BTreeMap<&str, i64> = BTreeMap::new();
    for line in diff.lines() {
        if let Some(name) = line.strip_prefix("diff --git a/") {
            // of the two names the old one, which is there for a file that goes as well
            path = name.split(" b/").next().unwrap_or(name);
            continue;
        }
        let (text, one) = match line.as_bytes().first() {
            Some(b'+') if !line.starts_with("+++ ") => (line[1..].trim_start(), 1),
            Some(b'-') if !line.starts_with("--- ") => (line[1..].trim_start(), -1),
            _ => continue,
        };
        if TESTS.iter().any(|start| text.starts_with(start)) {
            *tests.entry(path).or_default() += one;
        }
        if SKIPS.iter().any(|start| text.starts_with(start)) {
            *skipped.entry(path).or_default() += one;
        }
    }
    let mut found = vec![];
    let balance: i64 = tests.values().sum();
    if balance < 0 {
        let fewer = tests.iter().filter(|(_, more)| **more < 0).map(|(path, more)| (*path, -more));
        found.push(Finding::new(FindingKind::TestsRemoved, counted(-balance, ("test is gone", "tests are gone"), within, fewer)));
    }
    let balance: i64 = skipped.values().sum();
    if balance > 0 {
        let more = skipped.iter().filter(|(_, more)| **more > 0).map(|(path, more)| (*path, *more));
        found.push(Finding::new(FindingKind::TestsSkipped, counted(balance, ("test is skipped", "tests are skipped"), within, more)));
    }
    found
}

/// "3 tests are gone: src/a.rs (2), src/b.rs (1)"
fn counted<'a>(count: i64, (one, several): (&str, &str), within: &str, files: impl Iterator<Item = (&'a str, i64)>) -> String {
    let files: Vec<_> = files.map(|(path, count)| format!("{within}{path} ({count})")).collect();
    let named = files.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    let others = if files.len() > NAMED { format!(" and {} more files", files.len() - NAMED) } else { String::new() };
    let what = if count == 1 { one } else { several };
    format!("{count} {what}: {named}{others}").chars().take(DETAIL_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(diff: &str) -> Vec<(FindingKind, String)> {
        in_diff(diff, "").into_iter().map(|finding| (finding.kind, finding.detail)).collect()
    }

    #[test]
    fn tests_that_are_gone_or_do_not_run_are_found() {
        let diff = "diff --git a/src/a.rs b/src/a.rs\n--- a/src/a.rs\n+++ b/src/a.rs\n@@ -1,4 +1,3 @@\n-    #[test]\n-    fn one() {}\n+    #[ignore = \"later\"]\n \
                    diff --git a/tests/b.py b/tests/b.py\ndeleted file mode 100644\n--- a/tests/b.py\n+++ /dev/null\n-def test_a():\n-def test_b():\n";
        // the second header has to stand at the start of its line
        let diff = diff.replace("\n diff --git", "\ndiff --git");
        assert_eq!(
            found(&diff),
            [
                (FindingKind::TestsRemoved, "3 tests are gone: src/a.rs (1), tests/b.py (2)".into()),
                (FindingKind::TestsSkipped, "1 test is skipped: src/a.rs (1)".into())
            ]
        );
        // of one of several repositories
        assert_eq!(in_diff(&diff, "api/")[0].detail, "3 tests are gone: api/src/a.rs (1), api/tests/b.py (2)");
    }

    #[test]
    fn a_test_that_moves_or_runs_again_is_none() {
        let moved = "diff --git a/a.ts b/a.ts\n-  it(\"works\", () => {})\ndiff --git a/b.ts b/b.ts\n+  it(\"works\", () => {})\n-  it.skip(\"x\")\n+  it(\"x\")\n";
        assert_eq!(found(moved), []);
        assert_eq!(found("diff --git a/README.md b/README.md\n-a test\n+#[tests] are good\n"), []);
        assert_eq!(found(""), []);
    }

    #[test]
    fn of_many_files_some_are_named() {
        let one = |name: usize| format!("diff --git a/{name}.go b/{name}.go\n-func TestIt(t *testing.T) {{\n");
        let diff: String = (1..=7).map(one).collect();
        assert_eq!(found(&diff)[0].1, "7 tests are gone: 1.go (1), 2.go (1), 3.go (1), 4.go (1), 5.go (1) and 2 more files");
    }

    #[test]
    fn kinds_are_known_by_their_names() {
        for kind in FindingKind::ALL {
            assert_eq!(FindingKind::parse(kind.name()), Some(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
