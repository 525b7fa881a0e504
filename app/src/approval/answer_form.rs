//! An answer and a rule as forms send them, and as what was typed comes back after a no to a browser without scripts. Pure.

use domain::{ApprovalId, AskedKind, Decision, approval::AnswerApproval};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerForm {
    pub decision: Decision,
    #[serde(default)]
    pub message: String,
    /// One of those that the form offers.
    #[serde(default)]
    pub pattern: String,
    /// Counts in place of it when anything is typed.
    #[serde(default)]
    pub own_pattern: String,
}

/// What was typed about a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerDraft {
    pub id: ApprovalId,
    pub form: AnswerForm,
}

/// What was typed as a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleDraft {
    pub kind: AskedKind,
    pub pattern: String,
    pub repository: Option<String>,
}

impl AnswerForm {
    pub fn to_answer(&self) -> AnswerApproval {
        let own = said(self.own_pattern.trim());
        AnswerApproval { decision: self.decision, message: said(&self.message), always: own.or_else(|| said(&self.pattern)) }
    }
}

/// Nothing when it says nothing. A browser ends lines in its own way, whatever they were.
fn said(text: &str) -> Option<String> {
    (!text.trim().is_empty()).then(|| text.replace("\r\n", "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(decision: Decision, [message, pattern, own]: [&str; 3]) -> AnswerForm {
        AnswerForm { decision, message: message.into(), pattern: pattern.into(), own_pattern: own.into() }
    }

    #[test]
    fn a_form_is_an_answer() {
        assert_eq!(form(Decision::Allow, ["", "", " "]).to_answer(), AnswerApproval::new(Decision::Allow));
        let denied = form(Decision::Deny, ["not\r\nnow", "", ""]).to_answer();
        assert_eq!(denied, AnswerApproval { message: Some("not\nnow".into()), ..AnswerApproval::new(Decision::Deny) });
        let always = |pattern, own| form(Decision::Allow, ["", pattern, own]).to_answer().always;
        assert_eq!(always("cat a\r\ncat b", "").as_deref(), Some("cat a\ncat b"));
        assert_eq!(always("ls -l", " ls * ").as_deref(), Some("ls *"), "what is typed counts");
    }
}
