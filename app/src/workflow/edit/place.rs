//! Where in the text of a definition a JSON pointer leads. Told from how YAML is usually laid out, one thing to a line; where it is
//! laid out otherwise, or is JSON, nothing is said. Pure.

/// The number of a line, from 1, and the text on it.
pub fn find(source: &str, pointer: &str) -> Option<(usize, String)> {
    let lines: Vec<&str> = source.lines().collect();
    let mut range = 0..lines.len();
    let mut found = None;
    for part in pointer.split('/').skip(1) {
        let at = match part.parse::<usize>() {
            Ok(index) => item(&lines, range.clone(), index),
            Err(_) => key(&lines, range.clone(), part),
        };
        // what is not there is missing in what was found last
        let Some(at) = at else { break };
        found = Some(at);
        range = below(&lines, at, range.end);
    }
    found.map(|at| (at + 1, lines[at].trim().to_owned()))
}

/// What belongs to the line at `at`: itself, as the first key of an item stands beside its dash, and all that is indented further.
fn below(lines: &[&str], at: usize, end: usize) -> std::ops::Range<usize> {
    let own = indent(lines[at]);
    let is_item = lines[at].trim_start().starts_with('-');
    let belongs =
        |line: &str| is_blank(line) || indent(line) > own || (!is_item && indent(line) == own && line.trim_start().starts_with("- "));
    let length = lines[at + 1..end].iter().take_while(|line| belongs(line)).count();
    if is_item { at..at + 1 + length } else { at + 1..at + 1 + length }
}

fn key(lines: &[&str], range: std::ops::Range<usize>, name: &str) -> Option<usize> {
    let level = range.clone().filter(|at| !is_blank(lines[*at])).map(|at| key_indent(lines[at])).min()?;
    range.into_iter().find(|at| {
        let text = bare(lines[*at]);
        let is_key = text.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with(':'));
        is_key && key_indent(lines[*at]) == level
    })
}

fn item(lines: &[&str], range: std::ops::Range<usize>, index: usize) -> Option<usize> {
    let dash = |at: &usize| lines[*at].trim_start().starts_with("- ");
    let level = range.clone().filter(dash).map(|at| indent(lines[at])).min()?;
    range.filter(dash).filter(|at| indent(lines[*at]) == level).nth(index)
}

fn is_blank(line: &str) -> bool {
    matches!(line.trim_start().chars().next(), None | Some('#'))
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Where the key of a line begins, behind the dash of an item.
fn key_indent(line: &str) -> usize {
    line.len() - bare(line).len()
}

fn bare(line: &str) -> &str {
    let text = line.trim_start();
    text.strip_prefix("- ").map_or(text, str::trim_start).trim_start_matches(['"', '\''])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
name: release
parameters:
  version:
    type: number
# the steps
steps:
  - id: build
    command: make

  - id: ship
    needs:
    - build
    - nobody
    when: x
  - {id: last, command: x}
";

    #[test]
    fn pointers_lead_to_lines() {
        for (pointer, line) in [
            ("/name", 1),
            ("/parameters/version/type", 4),
            ("/parameters/version/default", 3),
            ("/steps", 6),
            ("/steps/0", 7),
            ("/steps/0/id", 7),
            ("/steps/0/command", 8),
            ("/steps/0/checks", 7),
            ("/steps/1/needs/1", 13),
            ("/steps/1/when", 14),
            ("/steps/2/command", 15),
        ] {
            assert_eq!(find(SOURCE, pointer).map(|(line, _)| line), Some(line), "{pointer}");
        }
        assert_eq!(find(SOURCE, "/steps/1/needs/1").unwrap().1, "- nobody");
    }

    #[test]
    fn what_cannot_be_told_is_not_said() {
        assert_eq!(find(SOURCE, ""), None);
        assert_eq!(find(SOURCE, "/title"), None);
        assert_eq!(find("", "/name"), None);
        assert_eq!(find("{\"name\": \"x\"}", "/name"), None);
    }
}
