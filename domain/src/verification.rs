//! The report that gates a task. It is made by the runner after the work's processes are gone, and by nobody else.

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{CheckSpec, Judgement, canonical_json::canonical};

/// The largest number that every reader of JSON reads as it was written. As milliseconds about 285,000 years.
pub(crate) const LARGEST: u64 = (1 << 53) - 1;

/// It is hashed as JSON: a field that comes later, here or in what is in it, has to be left out where it says nothing, or the hashes of older
/// reports are no longer theirs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VerificationReport {
    pub checks: Vec<CheckResult>,
    pub started_at: DateTime<Utc>,
    pub duration_ms: u64,
    /// What was checked, the first repository first. Nothing where the runner was of a version that did not say it, or there was no check.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checked: Vec<CheckedTree>,
}

/// What lands of one repository, as it was when its work had ended and no check had begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckedTree {
    /// What its worktree is called; absent for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// The commit that has these files: that which the work began from where it changed nothing.
    pub commit: String,
    /// The id of its files, as git gives it.
    pub tree: String,
}

/// How one check went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CheckResult {
    pub spec: CheckSpec,
    pub status: CheckStatus,
    /// What it printed, or why it failed; at most [`OUTPUT_LIMIT`] bytes, the middle left out with a marker.
    pub output: String,
    /// The command that was run, where `auto` chose it.
    pub command: Option<String>,
    pub duration_ms: u64,
    /// What came of the judge that was asked; absent when none was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judgement: Option<Judgement>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CheckStatus {
    Passed,
    Failed,
    /// It took longer than it may.
    TimedOut,
    /// It could not be carried out, for example because no test command was found, or a judge gave no verdict. Never counts as passed.
    Error,
    /// Nobody was asked to judge, as something else did not pass that has to. Never counts as passed.
    Skipped,
}

impl CheckResult {
    /// Whether it can be so: that a judge lets something pass stands in a verdict, and nothing else has one.
    pub fn is_sound(&self) -> bool {
        match (&self.judgement, self.spec.kind.is_judge()) {
            (judgement, false) => judgement.is_none() && self.status != CheckStatus::Skipped,
            (Some(judgement), true) => self.status != CheckStatus::Passed || judgement.passes(&self.spec.judge),
            (None, true) => self.status != CheckStatus::Passed,
        }
    }
}

impl CheckStatus {
    pub const ALL: [Self; 5] = [Self::Passed, Self::Failed, Self::TimedOut, Self::Error, Self::Skipped];

    pub fn name(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
            Self::Error => "error",
            Self::Skipped => "skipped",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }
}

/// Bytes of a check's output that are kept.
pub const OUTPUT_LIMIT: usize = 64 * 1024;

/// What a verification says about the task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// Every required check passed; or the task defines none, and is then shown as unverified.
    Passed,
    /// Some required checks passed, some did not.
    Partial,
    Failed,
}

impl VerificationReport {
    pub fn conclusion(&self) -> Conclusion {
        let required = self.checks.iter().filter(|check| check.spec.required);
        let (mut passed, mut failed) = (0, 0);
        for check in required {
            if check.status == CheckStatus::Passed { passed += 1 } else { failed += 1 }
        }
        match (passed, failed) {
            (_, 0) => Conclusion::Passed,
            (0, _) => Conclusion::Failed,
            _ => Conclusion::Partial,
        }
    }

    /// Whether it can be so; see [`CheckResult::is_sound`].
    pub fn is_sound(&self) -> bool {
        self.checks.iter().all(CheckResult::is_sound)
    }

    pub fn passed(&self) -> usize {
        self.checks.iter().filter(|check| check.status == CheckStatus::Passed).count()
    }

    /// What did not pass, without what nobody was asked about.
    pub fn failed(&self) -> impl Iterator<Item = &CheckResult> {
        self.checks.iter().filter(|check| !matches!(check.status, CheckStatus::Passed | CheckStatus::Skipped))
    }

    /// As it is kept: the database knows no smaller time than a microsecond, and no NUL, and JSON no longer number than this.
    pub fn kept(&self) -> Self {
        let mut kept = self.clone();
        kept.started_at = kept.started_at.trunc_subsecs(6);
        kept.duration_ms = kept.duration_ms.min(LARGEST);
        for one in &mut kept.checked {
            for text in one.folder.iter_mut().chain([&mut one.commit, &mut one.tree]) {
                *text = text.replace('\0', "\u{fffd}");
            }
        }
        for check in &mut kept.checks {
            check.duration_ms = check.duration_ms.min(LARGEST);
            check.output = check.output.replace('\0', "\u{fffd}");
            check.judgement = check.judgement.take().map(Judgement::kept);
        }
        kept
    }

    /// All that it says, as JSON that is the same wherever it is written (RFC 8785).
    pub fn canonical(&self) -> String {
        canonical(self)
    }

    /// SHA-256 of [`canonical`](Self::canonical), in hexadecimal digits.
    pub fn hash(&self) -> String {
        Sha256::digest(self.canonical()).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Backend, CheckKind, JudgeTerms,
        judgement::{Ruling, Verdict},
    };

    fn report(checks: &[(CheckStatus, bool)]) -> VerificationReport {
        let checks = checks
            .iter()
            .map(|(status, required)| CheckResult {
                spec: CheckSpec { required: *required, ..CheckSpec::new(CheckKind::GitClean, None) },
                status: *status,
                output: String::new(),
                command: None,
                duration_ms: 0,
                judgement: None,
            })
            .collect();
        VerificationReport { checks, started_at: DateTime::UNIX_EPOCH, duration_ms: 0, checked: vec![] }
    }

    /// Every field, as its own path through the JSON.
    fn paths(value: &serde_json::Value, at: String, all: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(fields) => fields.iter().for_each(|(name, value)| paths(value, format!("{at}/{name}"), all)),
            serde_json::Value::Array(values) => {
                values.iter().enumerate().for_each(|(index, value)| paths(value, format!("{at}/{index}"), all))
            }
            _ => all.push(at),
        }
    }

    #[test]
    fn whatever_changes_changes_the_hash() {
        let mut report = report(&[(CheckStatus::Passed, true), (CheckStatus::Failed, false)]);
        report.checks[0].spec = CheckSpec::new(CheckKind::CommandSucceeds, Some("make test".into()));
        report.checks[0].command = Some("make test".into());
        report.checked = vec![CheckedTree { folder: Some("api".into()), commit: "1a".into(), tree: "2b".into() }];
        let (hash, facts) = (report.hash(), serde_json::to_value(&report).unwrap());
        let mut all = vec![];
        paths(&facts, String::new(), &mut all);
        assert_eq!(all.len(), 2 * 8 + 3 + 2, "two checks of eight fields, one repository of three, and two of the whole: {all:?}");
        for path in all {
            let mut changed = facts.clone();
            let place = changed.pointer_mut(&path).unwrap();
            *place = match path.rsplit('/').next().unwrap() {
                "kind" => "test_passes".into(),
                "status" => "timed_out".into(),
                "started_at" => "1970-01-01T00:00:00.000001Z".into(),
                "required" => (!place.as_bool().unwrap()).into(),
                "duration_ms" | "timeout_seconds" => (place.as_u64().unwrap() + 1).into(),
                _ => format!("{}!", place.as_str().unwrap_or_default()).into(),
            };
            let changed: VerificationReport = serde_json::from_value(changed).unwrap();
            assert_ne!(changed.hash(), hash, "{path}");
        }
        report.checks.swap(0, 1);
        assert_ne!(report.hash(), hash, "the order of the checks");
        report.checks.pop();
        assert_ne!(report.hash(), hash, "one that is left out");
    }

    #[test]
    fn anybody_can_tell_the_hash_again() {
        let report = VerificationReport { checks: vec![], started_at: DateTime::UNIX_EPOCH, duration_ms: 34, checked: vec![] };
        let text = r#"{"checks":[],"duration_ms":34,"started_at":"1970-01-01T00:00:00Z"}"#;
        assert_eq!(report.canonical(), text);
        let sum: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(report.hash(), sum);
    }

    #[test]
    fn what_is_kept_has_the_hash_of_what_is_read_again() {
        let mut report = report(&[(CheckStatus::Passed, true)]);
        report.started_at = DateTime::from_timestamp(1_800_000_000, 123_456_789).unwrap();
        report.checks[0].output = "a\0b".into();
        let kept = report.kept();
        assert_eq!((kept.checks[0].output.as_str(), kept.started_at.timestamp_subsec_nanos()), ("a\u{fffd}b", 123_456_000));
        assert_eq!(kept.kept(), kept);
        assert_ne!(kept.hash(), report.hash());
    }

    fn verdict(verdict: Ruling, confidence: u8) -> Verdict {
        Verdict { verdict, confidence, reasons: vec!["because".into()], findings: vec![] }
    }

    fn judged(kind: CheckKind, status: CheckStatus, verdict: Option<Verdict>) -> CheckResult {
        let judge = JudgeTerms { at_least: Some(80), ..JudgeTerms::default() };
        let judgement = Judgement {
            backend: Backend::ClaudeCode,
            version: None,
            model: None,
            verdict,
            turns: None,
            input: 0,
            cached: 0,
            output: 0,
            cost_micros: None,
            events: None,
        };
        let spec = CheckSpec { judge, ..CheckSpec::new(kind, None) };
        CheckResult { spec, status, output: String::new(), command: None, duration_ms: 0, judgement: Some(judgement) }
    }

    #[test]
    fn what_a_judge_has_said_is_hashed_as_it_is_kept() {
        let mut report = report(&[]);
        report.checks = vec![judged(CheckKind::Review, CheckStatus::Passed, Some(verdict(Ruling::Pass, 90)))];
        let of_the_judge =
            |report: &mut VerificationReport, change: fn(&mut Judgement)| change(report.checks[0].judgement.as_mut().unwrap());
        of_the_judge(&mut report, |judgement| {
            judgement.input = u64::MAX;
            judgement.verdict.as_mut().unwrap().reasons = vec!["a\nb".into()];
        });
        let kept = report.kept();
        assert!(
            !kept.canonical().contains("18446744073709551615") && kept.canonical().contains(r#""reasons":["a b"]"#),
            "{}",
            kept.canonical()
        );
        assert!(!kept.canonical().contains("cost_micros"), "what is not known is left out");
        let read: VerificationReport = serde_json::from_str(&kept.canonical()).unwrap();
        assert_eq!((read.hash(), read.kept()), (kept.hash(), kept.clone()));
        let changes: [fn(&mut Judgement); 4] = [
            |judgement| judgement.verdict.as_mut().unwrap().confidence = 91,
            |judgement| judgement.verdict.as_mut().unwrap().verdict = Ruling::Fail,
            |judgement| judgement.backend = Backend::Codex,
            |judgement| judgement.output = 1,
        ];
        for change in changes {
            let mut changed = kept.clone();
            of_the_judge(&mut changed, change);
            assert_ne!(changed.hash(), kept.hash(), "{}", changed.canonical());
        }
    }

    #[test]
    fn a_judge_has_passed_nothing_without_a_verdict() {
        use CheckStatus::{Error, Failed, Passed};
        let review = |status, verdict| judged(CheckKind::Review, status, verdict).is_sound();
        assert!(review(Passed, Some(verdict(Ruling::Pass, 80))));
        assert!(!review(Passed, Some(verdict(Ruling::Pass, 79))), "not sure enough");
        assert!(!review(Passed, Some(verdict(Ruling::Fail, 100))));
        assert!(!review(Passed, None));
        assert!(review(Failed, Some(verdict(Ruling::Fail, 100))) && review(Error, None));
        assert!(!judged(CheckKind::GitClean, Passed, Some(verdict(Ruling::Pass, 100))).is_sound(), "nobody judges that");
        let without = |kind, status| CheckResult { judgement: None, ..judged(kind, status, None) }.is_sound();
        assert!(!without(CheckKind::Model, Passed) && without(CheckKind::Model, CheckStatus::Skipped));
        assert!(without(CheckKind::GitClean, Passed) && !without(CheckKind::GitClean, CheckStatus::Skipped));
    }

    #[test]
    fn only_required_checks_decide_and_nothing_but_passed_counts() {
        use CheckStatus::{Error, Failed, Passed, Skipped, TimedOut};
        assert_eq!(report(&[]).conclusion(), Conclusion::Passed);
        assert_eq!(report(&[(Passed, true), (Failed, false)]).conclusion(), Conclusion::Passed);
        assert_eq!(report(&[(Passed, true), (Error, true)]).conclusion(), Conclusion::Partial);
        for status in [Failed, TimedOut, Error, Skipped] {
            assert_eq!(report(&[(status, true)]).conclusion(), Conclusion::Failed);
            assert_eq!(report(&[(Passed, false), (status, true)]).conclusion(), Conclusion::Failed);
        }
    }
}
