//! Judges: checks that read a change instead of running something. Who judges, what it says, and how that is read.
//!
//! What a judge says is data. It counts as a verdict only as one block that begins with a word that nobody else has, and that ends what it
//! says; whatever is not exactly that is no verdict, and no verdict never passes anything.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    Backend, CheckKind,
    agent::{COST_CENTS_MAX, TURNS_MAX, check_model},
    error::Errors,
    verification::LARGEST,
};

/// What a runner has that can have changes judged, and what a task needs that wants that. An older runner does not have it.
pub const JUDGES: &str = "judges";
/// The most that one task may have judge.
pub const JUDGES_MAX: usize = 5;
/// Answers of its model after which a review is stopped unless its check says otherwise.
pub const REVIEW_TURNS: u32 = 30;

/// Who judges, and how far it may go.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JudgeTerms {
    /// No runner without it is given the task. One that its runner has when absent. So far Claude Code alone judges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<Backend>,
    /// As the agent knows it; its own choice when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Answers of the model after which a `review` is stopped, 30 when absent. A `model` answers once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    /// What one judgement may cost at most, in cents (US), as the agent itself counts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_cents: Option<u32>,
    /// How sure it has to be, in percent, for the change to pass. However sure it is when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<u8>,
}

impl JudgeTerms {
    /// Whether it says nothing.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Answers of the model after which it is stopped.
    pub fn turns(&self, kind: CheckKind) -> u32 {
        if kind == CheckKind::Model { 1 } else { self.max_turns.unwrap_or(REVIEW_TURNS) }
    }

    /// "Codex, gpt-5.2, at most 10 turns, at least 80 % sure"; nothing when it says nothing.
    pub fn in_words(&self) -> Option<String> {
        let said = [
            self.backend.as_ref().map(|backend| backend.title().into_owned()),
            self.model.clone(),
            self.max_turns.map(|turns| if turns == 1 { "at most 1 turn".to_owned() } else { format!("at most {turns} turns") }),
            self.max_cost_cents.map(|cents| format!("at most {}", crate::agent::dollars(cents))),
            self.at_least.map(|percent| format!("at least {percent} % sure")),
        ];
        let said: Vec<_> = said.into_iter().flatten().collect();
        (!said.is_empty()).then(|| said.join(", "))
    }

    pub(crate) fn validate(&self, kind: CheckKind, pointer: &str, errors: &mut Errors) {
        if let Some(model) = &self.model {
            check_model(&format!("{pointer}/model"), model, errors);
        }
        for (field, value, most) in [("max_turns", self.max_turns, TURNS_MAX), ("max_cost_cents", self.max_cost_cents, COST_CENTS_MAX)] {
            if value.is_some_and(|value| value == 0 || value > most) {
                errors.add(format!("{pointer}/{field}"), "out_of_range", format!("must be 1 to {most}"));
            }
        }
        if self.at_least.is_some_and(|percent| percent == 0 || percent > 100) {
            errors.add(format!("{pointer}/at_least"), "out_of_range", "must be 1 to 100");
        }
        if kind == CheckKind::Model && self.max_turns.is_some() {
            errors.add(format!("{pointer}/max_turns"), "unexpected", "a model answers once; only a review takes turns");
        }
        if let Some(backend) = self.backend.as_ref().filter(|backend| !backend.may_judge()) {
            let title = backend.title();
            let message = format!("{title} judges nothing: what in a change could lead it was not measured; name claude-code, or nobody");
            errors.add(format!("{pointer}/backend"), "unexpected", message);
        }
    }
}

/// What came of a judge that was asked. It is hashed with the report that it is in: see [`VerificationReport`](crate::VerificationReport).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Judgement {
    /// The agent that judged.
    pub backend: Backend,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Absent when it gave none, or none that could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Answers of its model, as the agent counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turns: Option<u64>,
    /// Tokens, as far as they were told; `cached` are part of `input`.
    pub input: u64,
    pub cached: u64,
    pub output: u64,
    /// Millionths of a dollar, at list prices, as the agent counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_micros: Option<u64>,
    /// Where it is in the session of the attempt; absent when there was no room for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<EventRange>,
}

/// A part of an attempt's session, by the numbers of its first and its last event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventRange {
    pub first: i64,
    pub last: i64,
}

/// What a judge says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Verdict {
    pub verdict: Ruling,
    /// How sure it is, in percent.
    pub confidence: u8,
    pub reasons: Vec<String>,
    pub findings: Vec<Remark>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Ruling {
    Pass,
    Fail,
}

/// What a judge has found in one place of a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Remark {
    /// As the judge names it.
    pub file: String,
    /// From 1; absent when it is about the file as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    pub message: String,
}

/// Bytes of what is between the two ends of a verdict.
pub const VERDICT_BYTES: usize = 16 * 1024;
const REASONS_MAX: usize = 20;
const FINDINGS_MAX: usize = 50;
/// Characters.
const TEXT_MAX: usize = 2000;
const FILE_MAX: usize = 1000;
const NAME_MAX: usize = 200;
const WHY_MAX: usize = 200;

/// The word behind a fence with which every verdict begins.
const WORD: &str = "muster-verdict";
const FENCE: &str = "```";

/// The line with which a verdict begins. The nonce is this judgement's own, made when the work was over.
pub fn opening(nonce: &str) -> String {
    format!("{FENCE}{WORD} {nonce}")
}

/// The line that ends it.
pub fn closing() -> &'static str {
    FENCE
}

/// Why what a judge said is no verdict.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoVerdict {
    #[error("it gave no verdict")]
    Missing,
    #[error("it gave {0} verdicts, and one is wanted")]
    Several(usize),
    #[error("its verdict breaks off")]
    BrokenOff,
    #[error("its verdict is longer than {most} bytes", most = VERDICT_BYTES)]
    TooLong,
    #[error("it went on after its verdict")]
    NotTheEnd,
    #[error("its verdict cannot be read: {0}")]
    Unreadable(String),
}

/// The verdict in all that a judge has said: its one block with this nonce, at the very end.
pub fn read(said: &str, nonce: &str) -> Result<Verdict, NoVerdict> {
    let opening = opening(nonce);
    let opens = |line: &str| line.trim_end() == opening;
    match said.lines().filter(|line| opens(line)).count() {
        1 => {}
        0 => return Err(NoVerdict::Missing),
        several => return Err(NoVerdict::Several(several)),
    }
    let mut lines = said.lines().skip_while(|line| !opens(line)).skip(1);
    let (mut block, mut is_closed) = (String::new(), false);
    for line in lines.by_ref() {
        is_closed = line.trim_end() == FENCE;
        if is_closed {
            break;
        }
        block.push_str(line);
        block.push('\n');
        if block.len() > VERDICT_BYTES {
            return Err(NoVerdict::TooLong);
        }
    }
    if !is_closed {
        return Err(NoVerdict::BrokenOff);
    }
    if lines.any(|line| !line.trim().is_empty()) {
        return Err(NoVerdict::NotTheEnd);
    }
    let said: Said = serde_json::from_str(&block).map_err(|error| NoVerdict::Unreadable(briefly(&error.to_string())))?;
    said.verdict()
}

/// A verdict as a judge writes it. Nothing is guessed: a field that is not known, or is not what it has to be, makes it none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    verdict: Ruling,
    confidence: u8,
    reasons: Vec<String>,
    #[serde(default)]
    findings: Vec<SaidOf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SaidOf {
    file: String,
    #[serde(default)]
    line: Option<u32>,
    message: String,
}

impl Said {
    fn verdict(self) -> Result<Verdict, NoVerdict> {
        let unreadable = |why: &str| Err(NoVerdict::Unreadable(why.to_owned()));
        let fits = |text: &str, most: usize| !text.trim().is_empty() && text.chars().count() <= most;
        if self.confidence > 100 {
            return unreadable("its confidence is more than 100 percent");
        }
        if self.reasons.is_empty() || self.reasons.len() > REASONS_MAX {
            return unreadable(&format!("it has {} reasons, and 1 to {REASONS_MAX} are wanted", self.reasons.len()));
        }
        if self.findings.len() > FINDINGS_MAX {
            return unreadable(&format!("it has {} findings, and at most {FINDINGS_MAX} are wanted", self.findings.len()));
        }
        if !self.reasons.iter().all(|reason| fits(reason, TEXT_MAX)) {
            return unreadable("one of its reasons is empty or too long");
        }
        let is_fit = |one: &SaidOf| fits(&one.file, FILE_MAX) && fits(&one.message, TEXT_MAX) && one.line != Some(0);
        if !self.findings.iter().all(is_fit) {
            return unreadable("one of its findings has no file or no message, or is too long");
        }
        let findings = self.findings.into_iter().map(|SaidOf { file, line, message }| Remark { file, line, message });
        let verdict = Verdict { verdict: self.verdict, confidence: self.confidence, reasons: self.reasons, findings: findings.collect() };
        Ok(verdict.kept())
    }
}

impl Verdict {
    /// Whether it lets the change pass, when that is what is asked for.
    pub fn passes(&self, terms: &JudgeTerms) -> bool {
        self.verdict == Ruling::Pass && terms.at_least.is_none_or(|least| self.confidence >= least)
    }

    /// As people and agents read it.
    pub fn in_words(&self) -> String {
        let word = match self.verdict {
            Ruling::Pass => "Passes",
            Ruling::Fail => "Does not pass",
        };
        let mut text = format!("{word}, {} % sure.\n", self.confidence);
        for reason in &self.reasons {
            text.push_str(&format!("- {reason}\n"));
        }
        for finding in &self.findings {
            text.push_str(&format!("{}: {}\n", finding.place(), finding.message));
        }
        text
    }

    /// Fit to be kept, whoever made it: without what no database takes, each text on one line, and not longer than it may be.
    fn kept(self) -> Self {
        let findings = self.findings.into_iter().take(FINDINGS_MAX).map(|one| Remark {
            file: cut(&one.file, FILE_MAX),
            line: one.line,
            message: cut(&one.message, TEXT_MAX),
        });
        Self {
            verdict: self.verdict,
            confidence: self.confidence.min(100),
            reasons: self.reasons.iter().take(REASONS_MAX).map(|reason| cut(reason, TEXT_MAX)).collect(),
            findings: findings.collect(),
        }
    }
}

impl Remark {
    /// `src/a.rs:12`
    pub fn place(&self) -> String {
        self.line.map_or_else(|| self.file.clone(), |line| format!("{}:{line}", self.file))
    }
}

impl Judgement {
    /// Whether a verdict says that the change passes, when that is what is asked for.
    pub fn passes(&self, terms: &JudgeTerms) -> bool {
        self.verdict.as_ref().is_some_and(|verdict| verdict.passes(terms))
    }

    /// "Claude Code 2.1.328 with opus"
    pub fn judge(&self) -> String {
        let version = self.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        let model = self.model.as_ref().map(|model| format!(" with {model}")).unwrap_or_default();
        format!("{}{version}{model}", self.backend.title())
    }

    /// Fit to be kept, whatever a runner says.
    pub fn kept(self) -> Self {
        let name = |text: Option<String>| text.map(|text| cut(&text, NAME_MAX));
        let number = |number: u64| number.min(LARGEST);
        let place = |number: i64| number.clamp(0, LARGEST as i64);
        Self {
            backend: self.backend,
            version: name(self.version),
            model: name(self.model),
            verdict: self.verdict.map(Verdict::kept),
            turns: self.turns.map(number),
            input: number(self.input),
            cached: number(self.cached),
            output: number(self.output),
            cost_micros: self.cost_micros.map(number),
            events: self.events.map(|events| EventRange { first: place(events.first), last: place(events.last) }),
        }
    }
}

/// Of what may hold a judge's own words, as what a reader of JSON complains about does: one line, and no more than says what it is.
pub fn briefly(text: &str) -> String {
    cut(text, WHY_MAX)
}

/// On one line: what a judge says must not look like what stands around it.
fn cut(text: &str, most: usize) -> String {
    let plain = |c: char| match c {
        '\0' => '\u{fffd}',
        c if c.is_control() => ' ',
        c => c,
    };
    text.chars().take(most).map(plain).collect()
}

#[cfg(test)]
mod tests;
