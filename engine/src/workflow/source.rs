//! Reads what people write: YAML or JSON of ours, or an orchestration of Claude Worker.

use domain::{
    Invalid,
    workflow::{Definition, GraphChange},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The longest text of a definition, in bytes.
const SOURCE_MAX: usize = 1_000_000;

pub(super) fn read(source: &str) -> Result<Definition, Invalid> {
    let value = value(source)?;
    if let Some(imported) = domain::workflow::from_claude_worker(value.clone()) {
        return imported;
    }
    typed(value)
}

/// What is to be changed of a run.
pub(super) fn read_change(source: &str) -> Result<GraphChange, Invalid> {
    // a text of comments alone says nothing
    match value(source)? {
        Value::Null => typed(Value::Object(Default::default())),
        value => typed(value),
    }
}

fn value(source: &str) -> Result<Value, Invalid> {
    if source.len() > SOURCE_MAX {
        return Err(Invalid::field("/source", "too_long", format!("is {} bytes long; at most {SOURCE_MAX} are allowed", source.len())));
    }
    if source.trim().is_empty() {
        return Err(Invalid::field("/source", "required", "must not be empty"));
    }
    // JSON is YAML as well
    let options = serde_saphyr::options! { strict_booleans: true };
    let value: Value = serde_saphyr::from_str_with_options(source, options).map_err(|error| malformed(&error))?;
    if value.to_string().contains("\\u0000") || source.contains('\0') {
        return Err(Invalid::field("/source", "nul", "must not contain a NUL character"));
    }
    Ok(value)
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T, Invalid> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let pointer = pointer(error.path());
        Invalid::field(pointer, "malformed", error.inner().to_string())
    })
}

fn malformed(error: &serde_saphyr::Error) -> Invalid {
    let message = error.without_snippet().to_string();
    let first = message.lines().next().unwrap_or("cannot be read").to_owned();
    let place = error.location().map(|place| format!("line {}, column {}: ", place.line(), place.column())).unwrap_or_default();
    Invalid::field("/source", "malformed", format!("{place}{first}"))
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{key}")),
            Segment::Enum { variant } => pointer.push_str(&format!("/{variant}")),
            Segment::Unknown => {}
        }
    }
    if pointer.is_empty() { "/source".into() } else { pointer }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(source: &str) -> String {
        let error = read(source).unwrap_err().errors.remove(0);
        format!("{} {}: {}", error.pointer, error.code, error.message)
    }

    #[test]
    fn yaml_and_json_say_the_same() {
        let yaml = read("name: x\nsteps:\n  - id: a\n    command: |\n      make\n      make install\n").unwrap();
        let json = read(r#"{"name": "x", "steps": [{"id": "a", "command": "make\nmake install\n"}]}"#).unwrap();
        assert_eq!(yaml, json);
        let words = read("{name: no, steps: [{id: y, command: yes}]}").unwrap();
        assert_eq!((words.name.as_str(), words.steps[0].command.as_deref()), ("no", Some("yes")));
    }

    #[test]
    fn what_cannot_be_read_says_where() {
        assert!(refused("name: x\nsteps: [\n").starts_with("/source malformed: line "), "{}", refused("name: x\nsteps: [\n"));
        assert!(refused("name: x\nsteps:\n  - id: a\n    comand: make\n").starts_with("/steps/0/comand malformed: unknown field `comand`"));
        assert!(refused("name: x\nsteps:\n  - id: a\n    timeout_seconds: soon\n").starts_with("/steps/0/timeout_seconds malformed"));
        assert!(refused("just words").starts_with("/source malformed"));
        assert!(refused(" ").starts_with("/source required"));
    }

    #[test]
    fn a_text_that_unfolds_is_refused() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let earlier = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{earlier}]\n"));
        }
        assert!(refused(&bomb).starts_with("/source malformed"));
    }
}
