//! A check as it is typed: a row of the form. Pure.

use domain::{Backend, CheckKind, CheckSpec, JudgeTerms};
use serde::{Deserialize, Serialize};

/// A row without a kind is no check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckRow {
    pub kind: String,
    pub target: String,
    /// Not empty: it has to pass.
    pub required: String,
    /// Who judges, where that is what the check does: the agent's name, its model, and how sure it has to be, in percent.
    pub judge: String,
    pub judge_model: String,
    pub at_least: String,
}

impl CheckRow {
    pub(super) fn of(spec: &CheckSpec) -> Self {
        Self {
            kind: spec.kind.name().into(),
            target: spec.target.clone().unwrap_or_default(),
            required: if spec.required { "yes".into() } else { String::new() },
            judge: spec.judge.backend.map(Backend::name).unwrap_or_default().into(),
            judge_model: spec.judge.model.clone().unwrap_or_default(),
            at_least: spec.judge.at_least.map(|percent| percent.to_string()).unwrap_or_default(),
        }
    }

    /// What is said of judges counts where one judges.
    pub(super) fn judge(&self, kind: CheckKind) -> Result<JudgeTerms, &'static str> {
        if !kind.is_judge() {
            return Ok(JudgeTerms::default());
        }
        let backend = match (self.judge.as_str(), Backend::parse(&self.judge)) {
            ("", _) => None,
            (_, Some(backend)) => Some(backend),
            (_, None) => return Err("is not an agent that Muster knows"),
        };
        let model = Some(self.judge_model.trim().to_owned()).filter(|model| !model.is_empty());
        let at_least = match self.at_least.trim().trim_end_matches('%').trim_end() {
            "" => None,
            text => Some(text.parse::<u8>().map_err(|_| "must be sure by a whole number from 1 to 100, in percent")?),
        };
        Ok(JudgeTerms { backend, model, at_least, ..JudgeTerms::default() })
    }

    pub(super) fn spec(&self, kind: CheckKind) -> CheckSpec {
        let target = Some(self.target.trim().to_owned()).filter(|target| !target.is_empty());
        CheckSpec { required: !self.required.is_empty(), ..CheckSpec::new(kind, target) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: &str) -> CheckRow {
        CheckRow {
            kind: kind.into(),
            judge: "codex".into(),
            judge_model: " gpt-5.2 ".into(),
            at_least: "80 %".into(),
            ..CheckRow::default()
        }
    }

    #[test]
    fn who_judges_counts_where_one_does() {
        let expected =
            JudgeTerms { backend: Some(Backend::Codex), model: Some("gpt-5.2".into()), at_least: Some(80), ..JudgeTerms::default() };
        assert_eq!(row("review").judge(CheckKind::Review), Ok(expected.clone()));
        assert_eq!(row("git_clean").judge(CheckKind::GitClean), Ok(JudgeTerms::default()), "what was typed before is kept, and no more");
        for bad in [CheckRow { judge: "nobody".into(), ..row("model") }, CheckRow { at_least: "very".into(), ..row("model") }] {
            assert!(bad.judge(CheckKind::Model).is_err(), "{bad:?}");
        }
        let again = CheckRow::of(&CheckSpec { judge: expected, ..CheckSpec::new(CheckKind::Review, None) });
        assert_eq!((again.judge.as_str(), again.judge_model.as_str(), again.at_least.as_str()), ("codex", "gpt-5.2", "80"));
    }
}
