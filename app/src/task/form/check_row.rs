//! A check as it is typed: a row of the form. Pure.

use domain::{
    Backend, CheckKind, CheckSpec, FieldError, JudgeTerms,
    agent::{self, COST_CENTS_MAX},
    check::{CHECK_TIMEOUT_SECONDS, VERIFICATION_TIMEOUT_SECONDS},
};
use serde::{Deserialize, Serialize};

use crate::text::{duration, parse_duration};

/// A row without a kind is no check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckRow {
    pub kind: String,
    pub target: String,
    /// As people write times; empty for as usual.
    pub timeout: String,
    /// Not empty: it has to pass.
    pub required: String,
    /// Who judges, where that is what the check does: the agent's name, its model, how sure it has to be, in percent, how often its model may
    /// answer, and what that may cost, in dollars.
    pub judge: String,
    pub judge_model: String,
    pub at_least: String,
    pub judge_turns: String,
    pub judge_cost: String,
}

impl CheckRow {
    pub(super) fn of(spec: &CheckSpec) -> Self {
        let judge = &spec.judge;
        Self {
            kind: spec.kind.name().into(),
            target: spec.target.clone().unwrap_or_default(),
            timeout: Some(spec.timeout_seconds).filter(|time| *time != CHECK_TIMEOUT_SECONDS).map(duration).unwrap_or_default(),
            required: if spec.required { "yes".into() } else { String::new() },
            judge: judge.backend.as_ref().map(|backend| backend.name().into_owned()).unwrap_or_default(),
            judge_model: judge.model.clone().unwrap_or_default(),
            at_least: judge.at_least.map(|percent| percent.to_string()).unwrap_or_default(),
            judge_turns: judge.max_turns.map(|turns| turns.to_string()).unwrap_or_default(),
            judge_cost: judge.max_cost_cents.map(|cents| agent::dollars(cents).trim_start_matches('$').to_owned()).unwrap_or_default(),
        }
    }

    /// Nothing when it is empty. What cannot be read is noted: its JSON pointer, the code and the sentence for it.
    pub(super) fn read(&self, row: usize, note: &mut impl FnMut(&str, &str, &str)) -> Option<CheckSpec> {
        let Some(kind) = CheckKind::parse(&self.kind) else {
            if !self.kind.is_empty() || !self.target.trim().is_empty() {
                note(&format!("/checks/{row}/kind"), "required", "say what kind of check this is");
            }
            return None;
        };
        let mut wrong = |field: &str, message: &str| {
            let (pointer, message) = located(field, message);
            note(&format!("/checks/{row}/{pointer}"), "malformed", &message);
        };
        let target = Some(self.target.trim().to_owned()).filter(|target| !target.is_empty());
        let mut spec = CheckSpec { required: !self.required.is_empty(), ..CheckSpec::new(kind, target) };
        match self.timeout.trim() {
            "" => {}
            text => match parse_duration(text) {
                Ok(seconds) => spec.timeout_seconds = seconds,
                Err(message) => wrong("timeout_seconds", message),
            },
        }
        // what is said of judges counts where one judges
        if kind.is_judge() {
            spec.judge = self.judge(&mut wrong);
        }
        Some(spec)
    }

    fn judge(&self, wrong: &mut impl FnMut(&str, &str)) -> JudgeTerms {
        let mut terms = JudgeTerms { model: some(&self.judge_model).map(str::to_owned), ..JudgeTerms::default() };
        if let Some(name) = some(&self.judge) {
            terms.backend = Backend::parse(name).ok();
            if terms.backend.is_none() {
                wrong("judge/backend", "is not an agent that Muster knows");
            }
        }
        if let Some(percent) = some(self.at_least.trim().trim_end_matches('%')) {
            terms.at_least = percent.parse().ok();
            if terms.at_least.is_none() {
                wrong("judge/at_least", "must be a whole number from 1 to 100, in percent");
            }
        }
        if let Some(turns) = some(&self.judge_turns) {
            terms.max_turns = turns.parse().ok();
            if terms.max_turns.is_none() {
                wrong("judge/max_turns", "must be a number");
            }
        }
        if let Some(dollars) = some(&self.judge_cost) {
            terms.max_cost_cents = agent::cents(dollars);
            if terms.max_cost_cents.is_none() {
                wrong("judge/max_cost_cents", "must be dollars, such as 2.50");
            }
        }
        terms
    }
}

fn some(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

/// What is wrong with a field of the check in this row, said of the row.
pub(super) fn relocate(error: FieldError, row: usize, field: &str) -> FieldError {
    let range = match (field, error.code.as_str()) {
        ("timeout_seconds", "out_of_range") => Some((duration(1), duration(VERIFICATION_TIMEOUT_SECONDS))),
        ("judge/max_cost_cents", "out_of_range") => Some((agent::dollars(1), agent::dollars(COST_CENTS_MAX))),
        _ => None,
    };
    let message = range.map_or(error.message, |(least, most)| format!("must be {least} to {most}"));
    let (field, message) = located(field, &message);
    FieldError { pointer: format!("/checks/{row}/{field}"), code: error.code, message }
}

/// One row has several fields, and one place for what is wrong with them: which it is about is said.
fn located<'a>(field: &'a str, message: &str) -> (&'a str, String) {
    let name = match field {
        "timeout_seconds" => "its time",
        "judge/backend" => "who judges",
        "judge/model" => "the model of its judge",
        "judge/at_least" => "how sure its judge has to be",
        "judge/max_turns" => "the turns of its judge",
        "judge/max_cost_cents" => "what its judge may cost",
        _ => return (field, message.to_owned()),
    };
    (field.split('/').next().unwrap_or(field), format!("{name}: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: &str) -> CheckRow {
        CheckRow {
            kind: kind.into(),
            timeout: "15m".into(),
            judge: "codex".into(),
            judge_model: " gpt-5.2 ".into(),
            at_least: "80 %".into(),
            judge_turns: "9".into(),
            judge_cost: "$1.50".into(),
            ..CheckRow::default()
        }
    }

    fn read(row: &CheckRow) -> (Option<CheckSpec>, Vec<String>) {
        let mut wrong = vec![];
        let spec = row.read(2, &mut |pointer: &str, _: &str, message: &str| wrong.push(format!("{pointer} {message}")));
        (spec, wrong)
    }

    #[test]
    fn who_judges_counts_where_one_does() {
        let judge = JudgeTerms {
            backend: Some(Backend::Codex),
            model: Some("gpt-5.2".into()),
            max_turns: Some(9),
            max_cost_cents: Some(150),
            at_least: Some(80),
        };
        let spec = CheckSpec { judge, required: false, timeout_seconds: 900, ..CheckSpec::new(CheckKind::Review, None) };
        assert_eq!(read(&row("review")), (Some(spec.clone()), vec![]));
        let plain = CheckSpec { required: false, timeout_seconds: 900, ..CheckSpec::new(CheckKind::GitClean, None) };
        assert_eq!(read(&row("git_clean")), (Some(plain), vec![]), "what was typed before is kept, and no more");
        // one that is like another has all that it says
        assert_eq!(read(&CheckRow::of(&spec)), (Some(spec), vec![]));
        let usual = CheckSpec::new(CheckKind::Review, None);
        assert_eq!(CheckRow::of(&usual), CheckRow { kind: "review".into(), required: "yes".into(), ..CheckRow::default() });
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let wrong = |change: fn(&mut CheckRow)| {
            let mut row = row("review");
            change(&mut row);
            read(&row).1
        };
        assert_eq!(wrong(|row| row.judge = "nobody".into()), ["/checks/2/judge who judges: is not an agent that Muster knows"]);
        assert_eq!(
            wrong(|row| row.at_least = "very".into()),
            ["/checks/2/judge how sure its judge has to be: must be a whole number from 1 to 100, in percent"]
        );
        assert_eq!(wrong(|row| row.judge_turns = "few".into()), ["/checks/2/judge the turns of its judge: must be a number"]);
        assert_eq!(
            wrong(|row| row.judge_cost = "little".into()),
            ["/checks/2/judge what its judge may cost: must be dollars, such as 2.50"]
        );
        assert_eq!(
            wrong(|row| row.timeout = "soon".into()),
            ["/checks/2/timeout_seconds its time: must be a time such as 90s, 15m or 1h 30m"]
        );
        assert_eq!(wrong(|row| row.kind = "other".into()), ["/checks/2/kind say what kind of check this is"]);
    }

    #[test]
    fn what_the_engine_says_of_a_check_is_said_of_its_row() {
        let relocated = |field: &str, code: &str, message: &str| {
            let error = FieldError { pointer: "/checks/0".into(), code: code.into(), message: message.into() };
            let error = relocate(error, 2, field);
            format!("{} {}", error.pointer, error.message)
        };
        assert_eq!(relocated("target", "required", "must not be empty"), "/checks/2/target must not be empty");
        assert_eq!(
            relocated("judge/max_turns", "unexpected", "OpenCode does not count its turns; give it time instead"),
            "/checks/2/judge the turns of its judge: OpenCode does not count its turns; give it time instead"
        );
        assert_eq!(
            relocated("timeout_seconds", "out_of_range", "must be 1 to 1800"),
            "/checks/2/timeout_seconds its time: must be 1s to 30m"
        );
        let cost = relocated("judge/max_cost_cents", "out_of_range", "must be 1 to 1000000");
        assert_eq!(cost, "/checks/2/judge what its judge may cost: must be $0.01 to $10000.00");
    }
}
