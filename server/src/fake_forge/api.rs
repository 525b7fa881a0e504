//! The APIs: GitHub's below `/api/v3`, GitLab's below `/api/v4`.

use std::process::Stdio;

use axum::response::Response;
use http::{Method, StatusCode, request::Parts};
use serde_json::{Value, json};
use tokio::process::Command;

use super::{Forge, Pull, refused};
use crate::fake_provider::json_response;

/// How a forge calls things.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manner {
    GitHub,
    GitLab,
}

/// What is asked for, of which repository.
struct Asked<'a> {
    manner: Manner,
    repository: String,
    rest: Vec<&'a str>,
}

impl<'a> Asked<'a> {
    fn of(path: &'a str) -> Option<Self> {
        let mut parts = path.trim_matches('/').split('/').skip(1);
        match (parts.next()?, parts.next()?) {
            ("v3", "repos") => {
                let repository = format!("{}/{}", parts.next()?, parts.next()?);
                Some(Self { manner: Manner::GitHub, repository, rest: parts.collect() })
            }
            ("v4", "projects") => {
                let repository = parts.next()?.replace("%2F", "/").replace("%2f", "/");
                Some(Self { manner: Manner::GitLab, repository, rest: parts.collect() })
            }
            _ => None,
        }
    }
}

pub(super) async fn answer(forge: &Forge, parts: &Parts, body: &[u8]) -> Response {
    let Some(asked) = Asked::of(parts.uri.path()) else { return refused(StatusCode::NOT_FOUND, "Not Found") };
    let git_dir = forge.folder.join(format!("{}.git", asked.repository));
    if asked.repository.contains("..") || !git_dir.is_dir() {
        return refused(StatusCode::NOT_FOUND, "Not Found");
    }
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let list = match asked.manner {
        Manner::GitHub => "pulls",
        Manner::GitLab => "merge_requests",
    };
    match (&parts.method, asked.rest.as_slice()) {
        (&Method::GET, []) => {
            let head = std::fs::read_to_string(git_dir.join("HEAD")).unwrap_or_default();
            let branch = head.trim().strip_prefix("ref: refs/heads/").unwrap_or_default();
            json_response(StatusCode::OK, &json!({"default_branch": branch}))
        }
        (&Method::GET, [name]) if *name == list => found(forge, &asked, parts.uri.query().unwrap_or_default()),
        (&Method::POST, [name]) if *name == list => create(forge, &asked, &git_dir, &body).await,
        (&Method::PATCH | &Method::PUT, [name, number]) if *name == list => update(forge, &asked, number, &body),
        _ => refused(StatusCode::NOT_FOUND, "Not Found"),
    }
}

fn found(forge: &Forge, asked: &Asked<'_>, query: &str) -> Response {
    let parameter = |name: &str| form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    let branch = match asked.manner {
        Manner::GitHub => parameter("head").and_then(|head| head.split_once(':').map(|(_, branch)| branch.to_owned())),
        Manner::GitLab => parameter("source_branch"),
    };
    let kept = forge.kept();
    let of_it = kept.pulls.iter().filter(|pull| pull.repository == asked.repository && pull.open);
    // as GitHub, which lists them all where it does not understand the head
    let listed: Vec<_> =
        of_it.filter(|pull| branch.as_ref().is_none_or(|branch| pull.head == *branch)).map(|pull| shown(forge, asked, pull)).collect();
    json_response(StatusCode::OK, &json!(listed))
}

async fn create(forge: &Forge, asked: &Asked<'_>, git_dir: &std::path::Path, body: &Value) -> Response {
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (head, base, words) = match asked.manner {
        Manner::GitHub => (text("head"), text("base"), text("body")),
        Manner::GitLab => (text("source_branch"), text("target_branch"), text("description")),
    };
    for (field, branch) in [("head", &head), ("base", &base)] {
        if !has_branch(git_dir, branch).await {
            return match asked.manner {
                Manner::GitHub => {
                    let errors = json!([{"resource": "PullRequest", "field": field, "code": "invalid"}]);
                    json_response(StatusCode::UNPROCESSABLE_ENTITY, &json!({"message": "Validation Failed", "errors": errors}))
                }
                Manner::GitLab => json_response(StatusCode::BAD_REQUEST, &json!({"message": {field: ["does not exist"]}})),
            };
        }
    }
    let mut kept = forge.kept();
    let of_it = kept.pulls.iter().filter(|pull| pull.repository == asked.repository);
    if of_it.clone().any(|pull| pull.open && !pull.is_forks && pull.head == head) {
        return match asked.manner {
            Manner::GitHub => {
                let owner = asked.repository.split('/').next().unwrap_or_default();
                let errors = json!([{"message": format!("A pull request already exists for {owner}:{head}.")}]);
                json_response(StatusCode::UNPROCESSABLE_ENTITY, &json!({"message": "Validation Failed", "errors": errors}))
            }
            Manner::GitLab => json_response(
                StatusCode::CONFLICT,
                &json!({"message": ["Another open merge request already exists for this source branch"]}),
            ),
        };
    }
    let number = of_it.count() as u64 + 1;
    let (repository, title) = (asked.repository.clone(), text("title"));
    let pull = Pull { repository, number, title, body: words, head, base, open: true, is_forks: false };
    let answer = shown(forge, asked, &pull);
    kept.pulls.push(pull);
    json_response(StatusCode::CREATED, &answer)
}

fn update(forge: &Forge, asked: &Asked<'_>, number: &str, body: &Value) -> Response {
    let mut kept = forge.kept();
    let found = kept.pulls.iter_mut().find(|pull| pull.repository == asked.repository && pull.number.to_string() == number);
    let Some(pull) = found else { return refused(StatusCode::NOT_FOUND, "Not Found") };
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    pull.title = text("title").unwrap_or_else(|| pull.title.clone());
    pull.body = text("body").or_else(|| text("description")).unwrap_or_else(|| pull.body.clone());
    // for tests: as when somebody has merged or closed it
    if body.get("state").and_then(Value::as_str).is_some_and(|state| state.starts_with("close")) {
        pull.open = false;
    }
    let answer = shown(forge, asked, pull);
    json_response(StatusCode::OK, &answer)
}

fn shown(forge: &Forge, asked: &Asked<'_>, pull: &Pull) -> Value {
    let Pull { repository, number, title, body, head, base, is_forks, .. } = pull;
    let origin = &forge.origin;
    let source = if *is_forks { "somebody/fork" } else { repository };
    match asked.manner {
        Manner::GitHub => json!({
            "number": number, "html_url": format!("{origin}/{repository}/pull/{number}"), "title": title, "body": body,
            "head": {"ref": head, "repo": {"full_name": source}}, "base": {"ref": base}
        }),
        Manner::GitLab => json!({
            "iid": number, "web_url": format!("{origin}/{repository}/-/merge_requests/{number}"), "title": title, "description": body,
            "source_branch": head, "target_branch": base, "source_project_id": u8::from(*is_forks) + 1, "target_project_id": 1
        }),
    }
}

async fn has_branch(git_dir: &std::path::Path, branch: &str) -> bool {
    let name = format!("refs/heads/{branch}");
    let mut command = Command::new("git");
    command.args(["-c", "safe.directory=*", "show-ref", "--verify", "--quiet", &name]).env("GIT_DIR", git_dir);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command.status().await.is_ok_and(|status| status.success())
}
