//! Pulling a model that an endpoint does not have: what is wanted, how far it has come, and how it ended.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{MODEL_MAX, clean, whole_name};
use crate::{EndpointId, Invalid, PullId, error::Errors};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Pull {
    pub id: PullId,
    pub endpoint_id: EndpointId,
    pub model: String,
    pub state: PullState,
    /// What Ollama says that it does.
    pub status: Option<String>,
    /// Bytes of those that are known to be needed. More may turn out to be.
    pub completed: u64,
    pub total: u64,
    /// Who wants it, by name.
    pub asked_by: String,
    pub asked_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    /// Why it failed.
    pub why: Option<String>,
}

impl Pull {
    /// How much of what is known to be needed is there; nothing before that is known.
    pub fn percent(&self) -> Option<u64> {
        let percent = u128::from(self.completed) * 100 / u128::from((self.total > 0).then_some(self.total)?);
        Some(u64::try_from(percent).unwrap_or(100).min(100))
    }
}

/// The pull that a task waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AwaitedPull {
    /// The endpoint's name.
    pub endpoint: String,
    pub pull: Pull,
}

impl AwaitedPull {
    /// `box pulls llama3:8b: 40 % of 4.7 GiB`
    pub fn in_words(&self) -> String {
        let Self { endpoint, pull } = self;
        let model = &pull.model;
        match (pull.state, pull.percent()) {
            (PullState::Waiting, _) => format!("{endpoint} is to pull {model}, and has not begun"),
            (PullState::Pulling, Some(percent)) => {
                format!("{endpoint} pulls {model}: {percent} % of {}", crate::runner::reading::bytes(pull.total))
            }
            (PullState::Pulling, None) => format!("{endpoint} pulls {model}"),
            (PullState::Done, _) => format!("{endpoint} has pulled {model}, and is looked at again"),
            (PullState::Failed | PullState::Cancelled, _) => format!("{endpoint} pulls {model} no more"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PullState {
    /// For whoever is to do it.
    Waiting,
    Pulling,
    Done,
    Failed,
    Cancelled,
}

impl PullState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Pulling => "pulling",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn is_open(self) -> bool {
        matches!(self, Self::Waiting | Self::Pulling)
    }
}

/// A model that an endpoint is to have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewPull {
    /// As Ollama names it: `llama3:8b`.
    pub model: String,
}

impl NewPull {
    /// By its one name, so that it is not pulled twice at once by two.
    pub fn validated(self) -> Result<Self, Invalid> {
        let asked = self.model.trim();
        let whole = if asked.is_empty() { String::new() } else { whole_name(asked) };
        let model = whole.as_str();
        let mut errors = Errors::default();
        errors.required_text("/model", model, MODEL_MAX);
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-:/".contains(c);
        if !model.is_empty() && (!model.chars().all(fits) || !model.starts_with(|c: char| c.is_ascii_alphanumeric())) {
            errors.add("/model", "malformed", "must be letters, digits and . _ - : /, as in llama3:8b");
        }
        errors.finish()?;
        Ok(Self { model: whole })
    }
}

/// What a runner is to pull.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedPull {
    pub id: PullId,
    pub model: String,
}

/// How far a pull has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullProgress {
    pub status: String,
    pub completed: u64,
    pub total: u64,
    /// Present exactly when it has ended.
    #[serde(default)]
    pub end: Option<PullEnd>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "snake_case")]
pub enum PullEnd {
    Done,
    Failed { why: String },
}

impl PullProgress {
    /// As far as it is kept: whoever says it may say anything.
    pub fn kept(self) -> Self {
        const MOST: u64 = i64::MAX.unsigned_abs();
        let end = self.end.map(|end| match end {
            PullEnd::Done => PullEnd::Done,
            PullEnd::Failed { why } => {
                let why = clean(&why, super::WHY_MAX);
                PullEnd::Failed { why: if why.is_empty() { "it does not say why".to_owned() } else { why } }
            }
        });
        let total = self.total.min(MOST);
        Self { status: clean(&self.status, MODEL_MAX), completed: self.completed.min(total), total, end }
    }

    pub fn state(&self) -> PullState {
        match self.end {
            None => PullState::Pulling,
            Some(PullEnd::Done) => PullState::Done,
            Some(PullEnd::Failed { .. }) => PullState::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_named_as_ollama_names_it() {
        let errors = |model: &str| match (NewPull { model: model.into() }).validated() {
            Ok(_) => vec![],
            Err(invalid) => invalid.errors.into_iter().map(|error| error.code).collect(),
        };
        for good in ["llama3", " llama3:8b ", "hf.co/me/model.gguf:Q4_K_M"] {
            assert_eq!(errors(good), Vec::<String>::new(), "{good}");
        }
        assert_eq!(errors(""), ["required"]);
        assert_eq!([errors("two words"), errors("-x"), errors("a\"b")], [["malformed"], ["malformed"], ["malformed"]]);
        assert_eq!(errors(&"x".repeat(MODEL_MAX)), ["too_long"], "with its tag");
        assert_eq!(errors("registry.ollama.ai/"), ["malformed"]);
        let kept = NewPull { model: " library/llama3 ".into() }.validated().unwrap();
        assert_eq!(kept.model, "llama3:latest");
    }

    #[test]
    fn progress_is_what_can_be_kept() {
        let mad =
            PullProgress { status: "a\0b".into(), completed: u64::MAX, total: u64::MAX, end: Some(PullEnd::Failed { why: String::new() }) };
        let kept = mad.kept();
        assert_eq!((kept.status.as_str(), kept.completed, kept.total), ("ab", i64::MAX.unsigned_abs(), i64::MAX.unsigned_abs()));
        assert_eq!((kept.state(), kept.end), (PullState::Failed, Some(PullEnd::Failed { why: "it does not say why".into() })));
        let more_than_all = PullProgress { completed: 9, total: 4, ..PullProgress::default() }.kept();
        assert_eq!((more_than_all.completed, more_than_all.state()), (4, PullState::Pulling));
    }

    #[test]
    fn a_percentage_needs_a_whole() {
        let pull = |completed, total| Pull {
            id: PullId(uuid::Uuid::nil()),
            endpoint_id: EndpointId(uuid::Uuid::nil()),
            model: "llama3".into(),
            state: PullState::Pulling,
            status: None,
            completed,
            total,
            asked_by: "Ada".into(),
            asked_at: DateTime::UNIX_EPOCH,
            ended_at: None,
            why: None,
        };
        assert_eq!([pull(0, 0).percent(), pull(1, 3).percent(), pull(9, 3).percent()], [None, Some(33), Some(100)]);
        let awaited = |pull| AwaitedPull { endpoint: "box".into(), pull }.in_words();
        assert_eq!(awaited(pull(1 << 30, 4 << 30)), "box pulls llama3: 25 % of 4.0 GiB");
        assert_eq!(awaited(pull(0, 0)), "box pulls llama3");
        assert_eq!(awaited(Pull { state: PullState::Waiting, ..pull(0, 0) }), "box is to pull llama3, and has not begun");
    }
}
