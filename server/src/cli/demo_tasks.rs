//! The three tasks of the demo, as anybody could hand them in.

use std::path::Path;

use domain::{CheckKind, CheckSpec, NewTask, TaskId};

/// Work that simply succeeds.
pub fn plain(repository: &Path) -> NewTask {
    let checks = vec![
        check(CheckKind::FileExists, "lines.sh"),
        check(CheckKind::CommandSucceeds, "test \"$(printf 'a\\nb\\n' | sh lines.sh)\" = 2"),
        check(CheckKind::TestPasses, "sh test.sh"),
    ];
    NewTask { checks, ..task("Add a line counter", repository, LINE_COUNTER) }
}

/// Work that waits for other work.
pub fn dependent(repository: &Path, first: TaskId) -> NewTask {
    let checks = vec![
        check(CheckKind::FileExists, "CHANGELOG.md"),
        check(CheckKind::TestPasses, "sh test.sh"),
        CheckSpec::new(CheckKind::GitClean, None),
    ];
    NewTask { checks, depends_on: vec![first.into()], ..task("Write the change log", repository, CHANGE_LOG) }
}

/// Work whose checks fail at first, and that mends itself from what they said.
pub fn mended(repository: &Path) -> NewTask {
    let checks = vec![check(CheckKind::FileExists, "tests/empty.sh"), check(CheckKind::TestPasses, "sh test.sh")];
    NewTask { checks, ..task("Count an empty text", repository, EMPTY_TEXT) }
}

fn task(title: &str, repository: &Path, command: &str) -> NewTask {
    NewTask { timeout_seconds: 60, ..NewTask::command(title, repository.to_string_lossy(), command) }
}

fn check(kind: CheckKind, target: &str) -> CheckSpec {
    CheckSpec { timeout_seconds: 60, ..CheckSpec::new(kind, Some(target.into())) }
}

const LINE_COUNTER: &str = r#"set -eu
echo "Writing lines.sh and its test"
cat > lines.sh <<'END'
#!/bin/sh
# Prints how many lines come in on stdin.
wc -l | tr -d ' '
END
cat > tests/lines.sh <<'END'
counted=$(printf 'one\ntwo\n' | sh lines.sh)
[ "$counted" = 2 ] || { echo "expected 2 lines, got $counted"; exit 1; }
END
sh test.sh
"#;

const CHANGE_LOG: &str = r##"set -eu
echo "Collecting the history"
{
  echo "# Changes"
  echo
  git log --format='* %s (%an, %as)'
} > CHANGELOG.md
cat CHANGELOG.md
git add CHANGELOG.md
git -c commit.gpgSign=false commit --quiet --message 'Write the change log'
echo "Committed as $(git rev-parse --short HEAD)"
"##;

const EMPTY_TEXT: &str = r#"set -eu
cat > tests/empty.sh <<'END'
counted=$(printf '' | sh count.sh)
[ "$counted" = 0 ] || { echo "expected 0 words, got '$counted'"; exit 1; }
END
if [ -z "${MUSTER_FAILED_CHECKS:-}" ]; then
  echo "First idea: grep fails when it finds nothing, so say 0 in that case"
  sed 's/grep -c \./grep -c . || echo 0/' count.sh > count.new
else
  echo "The checks of the attempt before said:"
  echo "$MUSTER_FAILED_CHECKS_TEXT" | sed '/^$/d; s/^/  /'
  echo "So grep had said 0 already. Let wc count instead"
  sed 's/^tr .*/wc -w | tr -d " "/' count.sh > count.new
fi
mv count.new count.sh
cat count.sh
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_are_tasks_that_muster_accepts() {
        let (repository, first) = (Path::new("/srv/demo"), TaskId(uuid::Uuid::nil()));
        for task in [plain(repository), dependent(repository, first), mended(repository)] {
            assert!(task.validate().is_ok(), "{}: {:?}", task.title, task.validate());
            assert!(task.checks.iter().all(|check| check.required));
        }
    }
}
