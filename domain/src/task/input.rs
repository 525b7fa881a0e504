//! What a task is given by others: values by name, and how they stand in its text.
//!
//! Data never becomes code: a command reads its inputs from its environment (`MUSTER_INPUT_NAME`), and only text that nothing
//! executes may hold them in place (`${{ name }}`).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::Errors;

/// By name.
pub type Inputs = BTreeMap<String, Value>;

/// All inputs of a task as JSON, in bytes.
pub const INPUTS_MAX: usize = 256 * 1024;
/// What a task may leave as its output, as JSON, in bytes.
pub const OUTPUT_MAX: usize = 64 * 1024;

/// Lower case letters, digits and `_`, with a letter in front.
pub fn is_input_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (1..=40).contains(&name.len()) && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(fits)
}

/// As a variable of the environment.
pub fn variable(name: &str) -> String {
    format!("MUSTER_INPUT_{}", name.to_ascii_uppercase())
}

/// Text as it is, anything else as JSON.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The text with every `${{ name }}` that is known in its place.
pub fn fill(text: &str, inputs: &Inputs) -> String {
    let mut filled = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Name { name, whole } => match inputs.get(name) {
                Some(value) => filled.push_str(&plain(value)),
                None => filled.push_str(whole),
            },
        }
    }
    filled
}

/// The names that a text asks for.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).into_iter().filter_map(|piece| match piece {
        Piece::Name { name, .. } => Some(name),
        Piece::Text(_) => None,
    })
}

/// Says of every name in a text that nobody gives it.
pub fn check_names(errors: &mut Errors, pointer: &str, text: &str, known: &dyn Fn(&str) -> bool) {
    for name in names(text).filter(|name| !known(name)) {
        errors.add(pointer, "unknown_input", format!("“${{{{ {name} }}}}” is neither a parameter nor an input of this step"));
    }
}

enum Piece<'a> {
    Text(&'a str),
    Name { name: &'a str, whole: &'a str },
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = vec![];
    let mut rest = text;
    while let Some(start) = rest.find("${{") {
        let Some(length) = rest[start..].find("}}") else { break };
        pieces.push(Piece::Text(&rest[..start]));
        let whole = &rest[start..start + length + 2];
        pieces.push(Piece::Name { name: whole[3..whole.len() - 2].trim(), whole });
        rest = &rest[start + length + 2..];
    }
    pieces.push(Piece::Text(rest));
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn inputs_stand_in_text() {
        let inputs = Inputs::from([("version".into(), json!("1.2")), ("count".into(), json!(3))]);
        assert_eq!(fill("v${{ version }} × ${{count}}", &inputs), "v1.2 × 3");
        assert_eq!(fill("${{ nothing }} ${{ open", &inputs), "${{ nothing }} ${{ open");
        assert_eq!(names("a ${{ b }} ${{c}}").collect::<Vec<_>>(), ["b", "c"]);
    }

    #[test]
    fn what_an_input_says_is_not_read_again() {
        let inputs = Inputs::from([("a".into(), json!("${{ b }}")), ("b".into(), json!("secret"))]);
        assert_eq!(fill("${{ a }}", &inputs), "${{ b }}");
    }

    #[test]
    fn names_fit_an_environment() {
        assert!(is_input_name("artifact_2"));
        for bad in ["", "2x", "A", "a-b", "_a"] {
            assert!(!is_input_name(bad), "{bad}");
        }
        assert_eq!(variable("os"), "MUSTER_INPUT_OS");
    }
}
