//! A judge that is a task: work that looks at the candidates whose checks passed and names the one to take.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Step;
use crate::{
    CheckSpec, Priority,
    task::{Concurrency, RetryPolicy},
};

/// What a judge is called among the tasks of its group, where candidates have numbers.
pub const JUDGE: &str = "judge";
/// The input in which it finds them.
pub const CANDIDATES_INPUT: &str = "candidates";
/// The longest reason that is kept, in characters.
const REASON_MAX: usize = 2000;

/// A command or a prompt that is done as any task is: checked, and tried again. It finds the candidates in the input `candidates`, and
/// leaves the number of the one to take as its output: the number, or an object with `winner` and a `reason`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JudgeTask {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// That of the candidates when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_ref: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub success_criteria: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryPolicy>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_seconds: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What happens when it fails, or names none that passed.
    #[serde(default, skip_serializing_if = "Otherwise::is_usual")]
    pub otherwise: Otherwise,
}

/// What happens when the judge gives no answer that can be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Otherwise {
    /// The step fails.
    #[default]
    Fail,
    /// Of those that passed the one with the lowest number is taken.
    First,
}

impl Otherwise {
    fn is_usual(&self) -> bool {
        *self == Self::Fail
    }
}

impl JudgeTask {
    /// As a step beside the candidates.
    pub fn step(&self, candidates: &Step) -> Step {
        let title = self.title.clone().unwrap_or_else(|| format!("Judge of {}", candidates.title()));
        Step {
            id: candidates.id.clone(),
            title: Some(title),
            command: self.command.clone(),
            prompt: self.prompt.clone(),
            repository: self.repository.clone().or_else(|| candidates.repository.clone()),
            base_ref: self.base_ref.clone(),
            files: self.files.clone(),
            success_criteria: self.success_criteria.clone(),
            checks: self.checks.clone(),
            priority: self.priority.or(candidates.priority),
            timeout_seconds: self.timeout_seconds,
            max_attempts: self.max_attempts,
            retry: self.retry,
            queue_seconds: self.queue_seconds,
            concurrency: self.concurrency.clone(),
            tags: self.tags.clone(),
            ..Step::default()
        }
    }
}

/// What a judge answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub winner: usize,
    pub reason: Option<String>,
}

/// Its answer among the numbers of those that passed; or why there is none.
pub fn verdict(output: Option<&Value>, passed: &[usize]) -> Result<Verdict, String> {
    let Some(output) = output else { return Err("left no output, so it named none".into()) };
    let Some(number) = output.as_u64().or_else(|| output.get("winner")?.as_u64()) else {
        return Err("left an output that is neither a number nor has a `winner` that is one".into());
    };
    let reason = output.get("reason").and_then(Value::as_str).map(str::trim).filter(|reason| !reason.is_empty());
    let reason = reason.map(|reason| reason.chars().take(REASON_MAX).collect());
    match passed.iter().find(|passed| **passed as u64 == number) {
        Some(winner) => Ok(Verdict { winner: *winner, reason }),
        None => {
            let numbers: Vec<_> = passed.iter().map(usize::to_string).collect();
            Err(format!("named {number}, which is none of those that passed ({})", numbers.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_judge_names_one_that_passed() {
        let passed = [1, 3];
        let said = |output: Value| verdict(Some(&output), &passed);
        assert_eq!(said(json!(3)), Ok(Verdict { winner: 3, reason: None }));
        assert_eq!(said(json!({"winner": 1, "reason": " shorter "})), Ok(Verdict { winner: 1, reason: Some("shorter".into()) }));
        assert!(said(json!({"winner": 2})).unwrap_err().contains("none of those that passed (1, 3)"));
        for nothing in [json!(null), json!("3"), json!({"winner": -1}), json!([1])] {
            assert!(said(nothing.clone()).unwrap_err().contains("neither a number"), "{nothing}");
        }
        assert!(verdict(None, &passed).unwrap_err().contains("no output"));
    }
}
