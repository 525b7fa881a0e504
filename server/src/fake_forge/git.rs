//! Git over http, by git's own program for it.

use std::process::Stdio;

use axum::{
    body::Bytes,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, request::Parts};
use tokio::{io::AsyncWriteExt, process::Command};

use super::{Forge, refused};

pub(super) async fn answer(forge: &Forge, parts: &Parts, body: Bytes) -> Response {
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let mut command = Command::new("git");
    command.arg("http-backend").env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
    command
        .env("GIT_PROJECT_ROOT", &forge.folder)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("HTTP_GIT_PROTOCOL", header("git-protocol"))
        // whoever is known may push
        .env("REMOTE_USER", "fake")
        .env("REMOTE_ADDR", "127.0.0.1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).kill_on_drop(true);
    let Ok(mut child) = command.spawn() else { return refused(StatusCode::INTERNAL_SERVER_ERROR, "git could not be started.") };
    let stdin = child.stdin.take();
    let feed = async {
        if let Some(mut stdin) = stdin {
            // one that does not want all of it says so by its answer
            let _ = stdin.write_all(&body).await;
        }
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    match output {
        Ok(output) => response(&output.stdout),
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// From the form that such programs answer in: headers, an empty line, and the rest.
fn response(answer: &[u8]) -> Response {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return refused(StatusCode::NOT_FOUND, "There is no such repository.");
    };
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let mut response = Bytes::copy_from_slice(&answer[end + 4..]).into_response();
    for (name, value) in head.lines().filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            let status = value.split(' ').next().and_then(|code| code.parse::<u16>().ok()).and_then(|code| StatusCode::from_u16(code).ok());
            *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        } else if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
