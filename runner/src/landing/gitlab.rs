//! GitLab, as far as a merge request needs it: REST, version 4.

use domain::{PullRequest, protocol::Trouble};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    forge::Wanted,
    http::{Api, NoAnswer},
    remote::Remote,
    trouble,
};

pub(super) struct GitLab {
    pub api: Api,
    /// With its groups: `acme/team/app`.
    project: String,
}

impl GitLab {
    pub fn new(remote: &Remote, base: &str, token: &str) -> Result<Self, Trouble> {
        Ok(Self { api: Api::new(&remote.host, base, "application/json", token)?, project: remote.path.clone() })
    }

    pub async fn about(&self) -> Result<Value, NoAnswer> {
        self.api.get(&["projects", &self.project], &[]).await
    }

    pub async fn find(&self, branch: &str) -> Result<Option<PullRequest>, NoAnswer> {
        let query = [("source_branch", branch), ("state", "opened")];
        let list = self.api.get(&["projects", &self.project, "merge_requests"], &query).await?;
        // those of forks go to this project as well
        let is_ours = |one: &&Value| {
            let (source, target) = (one.get("source_project_id"), one.get("target_project_id"));
            one.get("source_branch").and_then(Value::as_str) == Some(branch) && source.is_some() && source == target
        };
        Ok(list.as_array().into_iter().flatten().find(is_ours).and_then(merge_request))
    }

    pub async fn create(&self, wanted: &Wanted<'_>) -> Result<PullRequest, NoAnswer> {
        let body = json!({
            "title": wanted.title, "description": wanted.body, "source_branch": wanted.branch, "target_branch": wanted.base
        });
        let made = self.api.send(Method::POST, &["projects", &self.project, "merge_requests"], &body).await?;
        understood(&made)
    }

    pub async fn update(&self, open: &PullRequest, wanted: &Wanted<'_>) -> Result<PullRequest, NoAnswer> {
        let number = open.number.to_string();
        let body = json!({"title": wanted.title, "description": wanted.body});
        let updated = self.api.send(Method::PUT, &["projects", &self.project, "merge_requests", &number], &body).await?;
        understood(&updated)
    }
}

fn merge_request(answer: &Value) -> Option<PullRequest> {
    Some(PullRequest { number: answer.get("iid")?.as_i64()?, url: answer.get("web_url")?.as_str()?.to_owned() })
}

fn understood(answer: &Value) -> Result<PullRequest, NoAnswer> {
    let nothing =
        || trouble("GitLab's answer names no merge request", "See that MUSTER_FORGES names the address of its API, and try again.");
    merge_request(answer).ok_or_else(|| NoAnswer::Trouble(nothing()))
}
