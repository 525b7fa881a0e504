//! What a task has from others, as it is typed: which tasks it waits for, and the values it is given. Pure.

use domain::{
    TaskId,
    task::{Dependency, Inputs, On, RetryByClass, TaskDependency},
};
use serde_json::Value;

use crate::text::parse_duration;

/// Between the id of a task and the condition that has to hold for its result.
const IF: &str = "if";
/// Behind the id of a task that only has to end.
const END: &str = ":end";

/// Ids, separated by white space or commas. `<id>:end` waits for its end, however it ends; a line `<id> if <expression>` for an end
/// of which the expression is true.
pub fn read_dependencies(text: &str) -> Result<Vec<Dependency>, String> {
    let mut dependencies = vec![];
    for line in text.lines() {
        if let Some((id, condition)) = conditional(line) {
            dependencies.push(Dependency { on: On::Condition(condition.to_owned()), ..read_id(id)?.into() });
            continue;
        }
        for word in line.split([' ', ',', ';', '\t']).map(str::trim).filter(|word| !word.is_empty()) {
            let dependency = match word.strip_suffix(END) {
                Some(id) => Dependency { on: On::End, ..read_id(id)?.into() },
                None => read_id(word)?.into(),
            };
            dependencies.push(dependency);
        }
    }
    Ok(dependencies)
}

/// Separated by spaces or commas.
pub fn words(text: &str) -> Vec<String> {
    text.split([' ', ',', '\n', '\r', '\t']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// A class of failure with how it is waited for on each line: `provider_limit=linear,5m,1h`.
pub fn read_retry_classes(text: &str) -> Result<RetryByClass, String> {
    let mut by_class = RetryByClass::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        by_class.read(line, |time| parse_duration(time).ok())?;
    }
    Ok(by_class)
}

fn conditional(line: &str) -> Option<(&str, &str)> {
    let (id, rest) = line.trim().split_once(char::is_whitespace)?;
    let condition = rest.trim_start().strip_prefix(IF)?;
    condition.starts_with(char::is_whitespace).then(|| (id, condition.trim()))
}

fn read_id(text: &str) -> Result<TaskId, String> {
    text.parse().map_err(|_| format!("“{text}” is not the id of a task"))
}

/// The other way round.
pub fn write_dependencies(dependencies: &[TaskDependency]) -> String {
    let lines = dependencies.iter().map(|dependency| match &dependency.on {
        On::Success => dependency.link.id.to_string(),
        On::End => format!("{}{END}", dependency.link.id),
        On::Condition(condition) => format!("{} {IF} {}", dependency.link.id, condition.replace('\n', " ")),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// `name=value`, one per line. What reads as JSON is JSON, everything else a text.
pub fn read_inputs(text: &str) -> Result<Inputs, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (name, value) = line.split_once('=').ok_or_else(|| format!("“{line}” is not of the form name=value"))?;
            let value = value.trim();
            Ok((name.trim().to_owned(), serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()))))
        })
        .collect()
}

/// The other way round.
pub fn write_inputs(inputs: &Inputs) -> String {
    let lines = inputs.iter().map(|(name, value)| match value {
        // A text stands as it is where it is read as that text again.
        Value::String(text) if text.trim() == text && !text.contains('\n') && serde_json::from_str::<Value>(text).is_err() => {
            format!("{name}={text}")
        }
        other => format!("{name}={other}"),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use domain::{TaskStateName, task::TaskLink};
    use serde_json::json;

    use super::*;

    const ID: &str = "0190a2b4-7d34-7c11-8a52-0123456789ab";

    #[test]
    fn dependencies_go_both_ways() {
        let id: TaskId = ID.parse().unwrap();
        let link = TaskLink { id, title: "t".into(), state: TaskStateName::Queued };
        let all = [On::Success, On::End, On::Condition("result.exit_code == 0".into())];
        let written = write_dependencies(&all.clone().map(|on| TaskDependency { link: link.clone(), on }));
        assert_eq!(written, format!("{ID}\n{ID}:end\n{ID} if result.exit_code == 0"));
        let read = read_dependencies(&written).unwrap();
        assert_eq!(read.into_iter().map(|dependency| dependency.on).collect::<Vec<_>>(), all);
        assert_eq!(read_dependencies(&format!(" {ID}, {ID};{ID}:end\r\n")).unwrap().len(), 3);
        assert_eq!(read_dependencies("nonsense").unwrap_err(), "“nonsense” is not the id of a task");
        assert!(read_dependencies(&format!("{ID} iffy")).is_err());
    }

    #[test]
    fn inputs_go_both_ways() {
        let value = json!({"a": "plain = text", "b": 3, "c": "3", "d": [1, "x"], "e": "two\nlines", "f": "", "g": " x"});
        let inputs: Inputs = serde_json::from_value(value).unwrap();
        let written = write_inputs(&inputs);
        assert!(written.starts_with("a=plain = text\nb=3\nc=\"3\"\n"), "{written}");
        assert_eq!(read_inputs(&written).unwrap(), inputs);
        assert!(read_inputs("nothing").is_err());
    }
}
