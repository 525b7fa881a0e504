//! Landing: how a result that was proven gets to where its repository came from.
//!
//! What is to become of a result is said with the task, or by a person once it has succeeded. A landing is that act, with a state of its own:
//! whatever comes of it, the task stays what it is. It is its runner that lands a result, as it has the commit and the credentials.

mod words;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::Invalid;

pub use words::body;

/// What becomes of a result that has passed its checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Land {
    /// It stays on its branch, where its runner has saved it.
    #[default]
    None,
    /// Its branch is pushed.
    Push,
    /// Its branch is pushed, and a pull request is opened for it.
    PullRequest,
}

/// How the branches begin that are pushed: no other is ever touched.
pub const BRANCHES: &str = "muster/";
impl Land {
    pub const ALL: [Self; 3] = [Self::None, Self::Push, Self::PullRequest];

    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Push => "push",
            Self::PullRequest => "pull_request",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|land| land.name() == name)
    }

    /// What a person chooses.
    pub fn label(self) -> &'static str {
        match self {
            Self::None => "It stays on its branch",
            Self::Push => "Its branch is pushed",
            Self::PullRequest => "A pull request is opened",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum LandingState {
    /// For its runner, or for the time at which it is tried again.
    Waiting,
    Landed,
    /// It is not tried again unless somebody asks for that.
    Failed,
}

impl LandingState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Landed => "landed",
            Self::Failed => "failed",
        }
    }
}

/// A landing as the API and the pages show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Landing {
    /// Of the repository in which it is, as the task calls it; absent for the first.
    pub folder: Option<String>,
    pub how: Land,
    pub state: LandingState,
    /// The attempt whose result it is.
    pub attempt: i32,
    pub commit: String,
    /// As it is called where it is pushed.
    pub branch: String,
    /// Where the branch was pushed; absent as long as it was not.
    pub remote: Option<String>,
    pub pull_request: Option<PullRequest>,
    /// Why it has not landed, or not yet.
    pub trouble: Option<LandingTrouble>,
    /// When it is tried again, after a trouble that may pass; absent while its runner is at it.
    pub again_at: Option<DateTime<Utc>>,
    /// Since when its runner has been told; absent before, and once it has said what came of it.
    pub told_at: Option<DateTime<Utc>>,
    /// The runner that has the commit, by its name.
    pub runner: String,
    /// The person's or key's name.
    pub asked_by: String,
    pub asked_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PullRequest {
    /// As people call it: `#12`, `!12`.
    pub number: i64,
    pub url: String,
}

/// What went wrong, and what helps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LandingTrouble {
    pub message: String,
    pub advice: String,
}

/// What somebody wants to become of a task that has succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LandTask {
    pub how: Land,
}

/// Characters of a trouble's texts that are kept.
pub const TROUBLE_MAX: usize = 2000;
/// How often a landing is tried before somebody has to ask for it again.
pub const TRIES_MAX: i32 = 6;
/// How often the runner of a landing is told of one try, a minute apart, before it is taken for one that will not answer: longer than git and
/// forges may take for one. What has to wait there for its turn behind others has no more time, and may be given up before it begins. What its
/// runner is told at once, as it has come back, does not count.
pub const TELLS_MAX: i32 = 240;
/// The longest wait before the next try, in seconds: two hours. A forge that asks for more is not asked again by itself.
pub const AGAIN_SECONDS_MAX: u32 = 7200;

impl LandTask {
    pub fn validate(&self) -> Result<(), Invalid> {
        match self.how {
            Land::None => Err(Invalid::field("/how", "unexpected", "must be push or pull_request: what has landed stays there")),
            Land::Push | Land::PullRequest => Ok(()),
        }
    }
}

impl PullRequest {
    /// What a forge says of itself is only followed to where a browser may go.
    pub fn is_fit(&self) -> bool {
        let is_web = ["https://", "http://"].iter().any(|scheme| self.url.starts_with(scheme));
        is_web && self.url.len() <= 2000 && self.number > 0 && !self.url.contains(|c: char| c.is_control() || c.is_whitespace())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_asked_for_afterwards() {
        assert_eq!(Land::ALL.map(|how| LandTask { how }.validate().is_ok()), [false, true, true]);
        assert_eq!(Land::ALL.map(|how| Land::parse(how.name())), Land::ALL.map(Some));
        assert!(serde_json::from_str::<LandTask>(r#"{"how": "merge"}"#).is_err());
    }

    #[test]
    fn a_link_leads_to_the_web_alone() {
        let fit = |url: &str| PullRequest { number: 1, url: url.into() }.is_fit();
        assert!(fit("https://example.org/a/pull/1") && fit("http://127.0.0.1:3000/a/-/merge_requests/1"));
        assert!(!fit("javascript:alert(1)") && !fit("https://example.org/ a") && !fit(""));
        assert!(!PullRequest { number: 0, url: "https://example.org".into() }.is_fit());
    }
}
