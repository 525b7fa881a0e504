//! GitHub and GitHub Enterprise, as far as a pull request needs them: REST of 2022-11-28.

use domain::{PullRequest, protocol::Trouble};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    forge::Wanted,
    http::{Api, NoAnswer},
    remote::Remote,
    trouble,
};

pub(super) struct GitHub {
    pub api: Api,
    owner: String,
    repository: String,
}

impl GitHub {
    pub fn new(remote: &Remote, base: &str, token: &str) -> Result<Self, Trouble> {
        let parts = remote.path.split_once('/').filter(|(_, repository)| !repository.contains('/'));
        let (owner, repository) = parts.ok_or_else(|| {
            trouble(format!("{} is no repository of GitHub's", remote.path), "Name it as OWNER/REPOSITORY on its host, in a new task.")
        })?;
        let api = Api::new(&remote.host, base, "application/vnd.github+json", token)?;
        Ok(Self { api, owner: owner.to_owned(), repository: repository.to_owned() })
    }

    pub async fn about(&self) -> Result<Value, NoAnswer> {
        self.api.get(&["repos", &self.owner, &self.repository], &[]).await
    }

    pub async fn find(&self, branch: &str) -> Result<Option<PullRequest>, NoAnswer> {
        let head = format!("{}:{branch}", self.owner);
        let list = self.api.get(&["repos", &self.owner, &self.repository, "pulls"], &[("head", head.as_str()), ("state", "open")]).await?;
        // a head that it does not understand it passes over, and lists them all, those of forks as well
        let own = format!("{}/{}", self.owner, self.repository);
        let is = |one: &Value, place: &str, what: &str| {
            one.pointer(place).and_then(Value::as_str).is_some_and(|said| said.eq_ignore_ascii_case(what))
        };
        let is_ours =
            |one: &&Value| one.pointer("/head/ref").and_then(Value::as_str) == Some(branch) && is(one, "/head/repo/full_name", &own);
        Ok(list.as_array().into_iter().flatten().find(is_ours).and_then(pull_request))
    }

    pub async fn create(&self, wanted: &Wanted<'_>) -> Result<PullRequest, NoAnswer> {
        let body = json!({"title": wanted.title, "body": wanted.body, "head": wanted.branch, "base": wanted.base});
        let made = self.api.send(Method::POST, &["repos", &self.owner, &self.repository, "pulls"], &body).await?;
        understood(&made)
    }

    pub async fn update(&self, open: &PullRequest, wanted: &Wanted<'_>) -> Result<PullRequest, NoAnswer> {
        let number = open.number.to_string();
        let body = json!({"title": wanted.title, "body": wanted.body});
        let updated = self.api.send(Method::PATCH, &["repos", &self.owner, &self.repository, "pulls", &number], &body).await?;
        understood(&updated)
    }
}

fn pull_request(answer: &Value) -> Option<PullRequest> {
    Some(PullRequest { number: answer.get("number")?.as_i64()?, url: answer.get("html_url")?.as_str()?.to_owned() })
}

fn understood(answer: &Value) -> Result<PullRequest, NoAnswer> {
    let nothing =
        || trouble("GitHub's answer names no pull request", "See that MUSTER_FORGES names the address of its API, and try again.");
    pull_request(answer).ok_or_else(|| NoAnswer::Trouble(nothing()))
}
