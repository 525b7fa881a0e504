//! The forge as its clients see it, over http.

use std::process::Command;

use reqwest::Client;
use tokio_util::task::TaskTracker;

use super::*;

struct Running {
    url: String,
    http: Client,
    folder: tempfile::TempDir,
    _stop: tokio_util::sync::DropGuard,
}

fn git(folder: &std::path::Path, arguments: &[&str]) -> (bool, String) {
    let settings = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "safe.directory=*", "-c", "init.defaultBranch=main"];
    let output = Command::new("git").args(settings).args(arguments).current_dir(folder).env("GIT_TERMINAL_PROMPT", "0").output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

async fn start() -> Running {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    assert!(git(folder.path(), &["init", "--quiet", "--bare", "acme/app.git"]).0);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    TaskTracker::new().spawn(serve(listener, folder.path().to_owned(), "right".into(), stop.clone()));
    Running { url, http: Client::builder().no_proxy().build().unwrap(), folder, _stop: stop.drop_guard() }
}

impl Running {
    async fn ask(&self, method: Method, path: &str, token: &str, body: Value) -> (u16, Value) {
        let request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(token).json(&body);
        let response = request.send().await.unwrap();
        assert_eq!(response.headers()[FAKE.as_str()], "1");
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    /// A commit on a branch, pushed over http in a thread of its own.
    async fn pushes(&self, branch: &'static str, token: &str) -> bool {
        let url = format!("{}/acme/app.git", self.url.replace("http://", &format!("http://me:{token}@")));
        let folder = self.folder.path().to_owned();
        let pushed = tokio::task::spawn_blocking(move || {
            let work = folder.join("work");
            if !work.exists() {
                assert!(git(&folder, &["init", "--quiet", "work"]).0);
            }
            assert!(git(&work, &["commit", "--quiet", "--allow-empty", "--message", "One"]).0);
            git(&work, &["push", "--quiet", &url, &format!("HEAD:refs/heads/{branch}")]).0
        });
        pushed.await.unwrap()
    }
}

#[tokio::test]
async fn who_has_the_token_pushes_and_opens_one_pull_request_for_a_branch() {
    let forge = start().await;
    assert!(!forge.pushes("main", "wrong").await);
    assert!(forge.pushes("main", "right").await && forge.pushes("muster/x-1", "right").await);
    for (list, about, head, base, words) in [
        ("/api/v3/repos/acme/app/pulls", "/api/v3/repos/acme/app", "head", "base", "body"),
        ("/api/v4/projects/acme%2Fapp/merge_requests", "/api/v4/projects/acme%2Fapp", "source_branch", "target_branch", "description"),
    ] {
        assert_eq!(forge.ask(Method::GET, about, "wrong", Value::Null).await.0, 401);
        assert_eq!(forge.ask(Method::GET, about, "right", Value::Null).await.1["default_branch"], "main");
        let new = json!({"title": "One", head: "muster/x-1", base: "main", words: "Why"});
        let (status, made) = forge.ask(Method::POST, list, "right", new.clone()).await;
        assert_eq!(status, 201, "{made}");
        assert!(forge.ask(Method::POST, list, "right", new).await.0 >= 409, "there is one already");
        let absent = json!({"title": "One", head: "muster/x-2", base: "main", words: "Why"});
        assert!((400..=422).contains(&forge.ask(Method::POST, list, "right", absent).await.0));
        let number = made.get("number").or(made.get("iid")).unwrap().clone();
        let method = if list.contains("v3") { Method::PATCH } else { Method::PUT };
        let closed = json!({"title": "Two", "state": "closed"});
        assert_eq!(forge.ask(method, &format!("{list}/{number}"), "right", closed).await.1["title"], "Two");
        assert_eq!(forge.ask(Method::GET, list, "right", Value::Null).await.1, json!([]), "only what is open is listed");
    }
    assert_eq!(forge.ask(Method::GET, "/api/v3/repos/acme/none", "right", Value::Null).await.0, 404);
}

#[tokio::test]
async fn a_fault_comes_as_often_as_it_was_asked_for() {
    let forge = start().await;
    let fault =
        json!({"path": "/pulls", "method": "GET", "status": 429, "headers": {"retry-after": "3"}, "body": {"message": "slow down"}});
    assert_eq!(forge.ask(Method::POST, "/faults", "", fault).await.0, 204);
    assert_eq!(forge.ask(Method::POST, "/faults", "", json!({"status": 1000, "path": "/"})).await.0, 400);
    let list = || forge.ask(Method::GET, "/api/v3/repos/acme/app/pulls", "right", Value::Null);
    assert_eq!([list().await.0, list().await.0], [429, 200]);
    let (_, requests) = forge.ask(Method::GET, "/requests", "", Value::Null).await;
    assert_eq!(requests.as_array().unwrap().len(), 2);
    assert!(!requests.to_string().contains("right"), "which token it was is nobody's business");
}
