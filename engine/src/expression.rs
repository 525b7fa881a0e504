//! Conditions and scores: CEL expressions over what tasks left behind. They are compiled when they are saved and asked later.
//!
//! Their text comes from people, their values from agents. So the length is bounded, at most one comprehension is allowed, as two
//! inside each other multiply, and each is asked on a thread of its own, with a stack for deep ones and an end to the waiting.

use std::{panic::catch_unwind, thread, time::Duration};

use cel::{Context, Program};
use serde_json::Value;
use tokio::{sync::oneshot, time::timeout};

const STACK_BYTES: usize = 64 * 1024 * 1024;
const TIME: Duration = Duration::from_secs(2);
const COMPREHENSIONS: [&str; 5] = [".map(", ".filter(", ".all(", ".exists(", ".exists_one("];

/// What is wrong with an expression, without asking it. `names` are the variables that it may use.
pub(crate) async fn check(text: &str, names: &'static [&'static str]) -> Result<(), String> {
    let text = text.to_owned();
    apart(move || {
        let program = compile(&text)?;
        let references = program.references();
        let own = own_name(&text);
        let known = |name: &&str| names.contains(name) || own.as_deref() == Some(*name);
        let unknown = references.variables().into_iter().find(|name| !known(name)).map(str::to_owned);
        match unknown {
            Some(name) => Err(format!("“{name}” is not known here; use {}", names.join(" or "))),
            None => Ok(()),
        }
    })
    .await
}

/// Whether the expression is true of this value.
pub(crate) async fn is_true(text: &str, name: &'static str, value: Value) -> Result<bool, String> {
    match ask(text, name, value).await? {
        Value::Bool(answer) => Ok(answer),
        other => Err(format!("is {other}, not true or false")),
    }
}

/// The number that the expression comes to.
pub(crate) async fn number(text: &str, name: &'static str, value: Value) -> Result<f64, String> {
    let answer = ask(text, name, value).await?;
    answer.as_f64().filter(|number| number.is_finite()).ok_or_else(|| format!("is {answer}, not a number"))
}

async fn ask(text: &str, name: &'static str, value: Value) -> Result<Value, String> {
    let text = text.to_owned();
    apart(move || {
        let program = compile(&text)?;
        let mut context = Context::default();
        context.add_variable(name, value).map_err(|error| error.to_string())?;
        let answer = program.execute(&context).map_err(|error| error.to_string())?;
        answer.json().map_err(|error| error.to_string())
    })
    .await
}

fn compile(text: &str) -> Result<Program, String> {
    let squeezed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let comprehensions: usize = COMPREHENSIONS.iter().map(|name| squeezed.matches(name).count()).sum();
    if comprehensions > 1 {
        return Err("at most one of map, filter, all, exists and exists_one is allowed".into());
    }
    Program::compile(text).map_err(|errors| errors.to_string().lines().next().unwrap_or("cannot be read").to_owned())
}

/// What a comprehension calls each item.
fn own_name(text: &str) -> Option<String> {
    let squeezed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let start = COMPREHENSIONS.iter().find_map(|name| squeezed.find(name).map(|start| start + name.len()))?;
    squeezed[start..].split_once(',').map(|(name, _)| name.to_owned())
}

async fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + std::panic::UnwindSafe + 'static) -> Result<T, String> {
    let (answer, answered) = oneshot::channel();
    let thread = thread::Builder::new().name("expression".into()).stack_size(STACK_BYTES).spawn(move || {
        let result = catch_unwind(work).unwrap_or_else(|_| Err("cannot be evaluated".into()));
        // whoever asked may have given up
        drop(answer.send(result));
    });
    thread.map_err(|error| error.to_string())?;
    match timeout(TIME, answered).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err("cannot be evaluated".into()),
        Err(_) => Err("takes too long".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn conditions_are_asked_of_results() {
        let result = || json!({"state": "failed", "exit_code": 2, "output": {"score": 0.75, "files": ["a", "b"]}, "failure": null});
        for (text, answer) in [
            ("result.exit_code == 2", true),
            ("result.exit_code > 2", false),
            ("result.output.score >= 0.5 && result.state == 'failed'", true),
            ("size(result.output.files) == 2", true),
            ("result.output.files.exists(file, file == 'b')", true),
            ("has(result.output.nothing)", false),
            ("result.failure == null", true),
        ] {
            assert_eq!(is_true(text, "result", result()).await, Ok(answer), "{text}");
        }
        assert!(is_true("result.output.nothing == 1", "result", result()).await.is_err());
        assert_eq!(is_true("result.exit_code", "result", result()).await, Err("is 2, not true or false".into()));
        assert_eq!(number("result.output.score * 2.0", "result", result()).await, Ok(1.5));
    }

    #[tokio::test]
    async fn what_cannot_be_right_is_refused_when_it_is_saved() {
        assert_eq!(check("inputs.a == 1", &["inputs"]).await, Ok(()));
        assert!(check("inputs.a ==", &["inputs"]).await.is_err());
        assert!(check("result.a == 1", &["inputs"]).await.unwrap_err().contains("“result” is not known here"));
        assert!(check("[1].map(x, [1] .map (y, x))", &["inputs"]).await.unwrap_err().contains("at most one"));
        assert_eq!(check("inputs.list.all(x, x > 1)", &["inputs"]).await, Ok(()));
    }

    #[tokio::test]
    async fn a_hostile_text_ends_nothing_but_itself() {
        let deep = format!("{}1{}", "(".repeat(2000), ")".repeat(2000));
        // whether it is refused or answered, the process goes on
        drop(check(&deep, &["inputs"]).await);
        drop(is_true(&"!".repeat(4000), "inputs", json!({})).await);
        assert_eq!(is_true("true", "inputs", json!({})).await, Ok(true));
    }
}
