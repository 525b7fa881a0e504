//! Whether the tests that `auto` has run are any: a run of none says nothing, and most programs that run tests call it well.
//!
//! What they print is the work's to write as well. So this finds the run of which nobody noticed that it ran nothing, and is no proof of the opposite:
//! only where all that is printed is known to be of no test, nothing has passed.

use domain::CheckStatus;

use super::Checked;

const NOTHING_RAN: &str = "no test was run: what ended well has tested nothing. Add tests, or give the command itself instead of auto";

/// The same, unless it passed and its own words are that it ran no test.
pub(super) fn or_nothing_ran(command: &str, checked: Checked) -> Checked {
    if checked.status != CheckStatus::Passed || !ran_nothing(command, &checked.output) {
        return checked;
    }
    let gap = if checked.output.is_empty() || checked.output.ends_with('\n') { "" } else { "\n" };
    Checked { status: CheckStatus::Error, output: format!("{}{gap}[{NOTHING_RAN}]\n", checked.output), ..checked }
}

/// Of output of which the middle is left out nobody knows.
fn ran_nothing(command: &str, output: &str) -> bool {
    let lines: Vec<_> = output.lines().map(plain).collect();
    let lines: Vec<_> = lines.iter().map(|line| line.trim()).collect();
    if lines.iter().any(|line| line.starts_with('[') && line.ends_with(" bytes left out]")) {
        return false;
    }
    match command {
        "cargo test" => cargo_ran_nothing(&lines),
        "go test ./..." => go_ran_nothing(&lines),
        "python3 -m pytest" => {
            lines.iter().any(|line| line.starts_with("collected 0 items")) && !lines.iter().any(|line| line.contains(" passed"))
        }
        // what a script of the project's calls, each in its own words
        _ => said_by_a_script(&lines),
    }
}

/// Each binary and the tests in the documentation say how many they are. Without any such line nothing is known.
fn cargo_ran_nothing(lines: &[&str]) -> bool {
    let results: Vec<_> = lines.iter().filter(|line| line.starts_with("test result: ")).collect();
    !results.is_empty() && results.iter().all(|line| line.contains(" 0 passed; 0 failed;"))
}

/// A line for each package.
fn go_ran_nothing(lines: &[&str]) -> bool {
    let is_without = |line: &str| line.starts_with('?') && line.ends_with("[no test files]") || line.ends_with("[no tests to run]");
    let packages: Vec<_> = lines.iter().filter(|line| line.starts_with("ok ") || line.starts_with("ok\t") || is_without(line)).collect();
    !packages.is_empty() && packages.iter().all(|line| is_without(line))
}

/// Those that node's own runner, Vitest, Jest and Mocha say, and those of the others where a script calls these.
fn said_by_a_script(lines: &[&str]) -> bool {
    let is = |words: &[&str]| lines.iter().any(|line| words.contains(line));
    let begins = |words: &[&str]| lines.iter().any(|line| words.iter().any(|start| line.starts_with(start)));
    let nodes = is(&["# tests 0", "ℹ tests 0"]) && !lines.iter().any(|line| counts(line, &["# tests ", "ℹ tests "]));
    let others = begins(&["No test files found, exiting with code 0", "No tests found, exiting with code 0"]) || begins(&["0 passing"]);
    let something = begins(&["Tests:", "Tests  ", "ok ", "✓", "✔", "PASS"])
        || lines.iter().any(|line| line.contains(" passing") && !line.starts_with("0 passing"));
    let passed_elsewhere = lines.iter().any(|line| line.starts_with("test result: ") && !line.contains(" 0 passed; 0 failed;"));
    (nodes || others || cargo_ran_nothing(lines) || go_ran_nothing(lines)) && !something && !passed_elsewhere
}

/// Whether one of these stands before a number that is not 0.
fn counts(line: &str, before: &[&str]) -> bool {
    before.iter().filter_map(|start| line.strip_prefix(start)).any(|rest| rest.trim().parse::<u64>().is_ok_and(|count| count > 0))
}

/// Without the colours of a terminal, which some print into a pipe as well.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut pieces = line.split("\u{1b}[");
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let rest = piece.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        text.push_str(rest.strip_prefix(|c: char| c.is_ascii_alphabetic()).unwrap_or(rest));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const CARGO_NONE: &str =
        "running 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";
    const CARGO_ONE: &str =
        "running 1 test\ntest it_works ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";

    #[test]
    fn a_run_of_no_test_is_known_by_what_is_said_of_it() {
        let coloured = CARGO_NONE.replace("ok.", "\u{1b}[32mok\u{1b}[0m.");
        let twice = CARGO_NONE.repeat(2);
        let ignored = CARGO_NONE.replace("0 ignored", "3 ignored");
        for (command, output) in [
            ("cargo test", CARGO_NONE),
            ("cargo test", coloured.as_str()),
            ("cargo test", ignored.as_str()),
            ("cargo test", twice.as_str()),
            ("go test ./...", "?   \texample.org/a\t[no test files]\n"),
            ("go test ./...", "?   \ta\t[no test files]\nok  \tb\t0.002s [no tests to run]\n"),
            ("python3 -m pytest", "collected 0 items\n\n==== no tests ran in 0.01s ====\n"),
            ("npm test", "> test\n> node --test\n\n# tests 0\n# suites 0\n# pass 0\n"),
            ("npm test", "ℹ tests 0\nℹ pass 0\n"),
            ("pnpm test", "No test files found, exiting with code 0\n"),
            ("yarn test", "No tests found, exiting with code 0\n"),
            ("npm test", "\n  0 passing (1ms)\n"),
            ("make test", CARGO_NONE),
        ] {
            assert!(ran_nothing(command, output), "{command}: {output}");
        }
    }

    #[test]
    fn what_ran_something_or_does_not_say_is_left_alone() {
        let both = format!("{CARGO_NONE}{CARGO_ONE}");
        let cut = format!("{CARGO_NONE}\n[3000 bytes left out]\n{CARGO_NONE}");
        for (command, output) in [
            ("cargo test", CARGO_ONE),
            ("cargo test", both.as_str()),
            ("cargo test", cut.as_str()),
            ("cargo test", ""),
            ("go test ./...", "?   \ta\t[no test files]\nok  \tb\t0.002s\n"),
            ("go test ./...", "ok  \tb\t(cached)\n"),
            ("python3 -m pytest", "collected 3 items\n\n==== 3 passed in 0.01s ====\n"),
            ("npm test", "# tests 0\n# tests 4\n"),
            ("npm test", "all is well\n"),
            ("npm test", "No test files found, exiting with code 0\n✓ src/a.test.ts (3 tests)\n"),
            ("make test", "from make\n"),
            ("make test", both.as_str()),
        ] {
            assert!(!ran_nothing(command, output), "{command}: {output}");
        }
    }

    #[test]
    fn only_what_would_have_passed_is_an_error_then() {
        let came = |status, output: &str| or_nothing_ran("cargo test", Checked::new(status, output));
        let none = came(CheckStatus::Passed, CARGO_NONE);
        assert_eq!(none.status, CheckStatus::Error);
        assert!(none.output.starts_with(CARGO_NONE) && none.output.ends_with("instead of auto]\n"), "{}", none.output);
        assert_eq!(came(CheckStatus::Failed, CARGO_NONE).status, CheckStatus::Failed);
        assert_eq!(came(CheckStatus::Passed, CARGO_ONE).status, CheckStatus::Passed);
    }
}
