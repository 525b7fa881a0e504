//! The REST API as the command line uses it: one method per endpoint, every refusal and every failure as a [`CliError`].

mod approval;
mod endpoint;
mod price;
mod workflow;

use std::{error::Error, time::Duration};

use domain::{
    Event, Identity, Isolation, Land, LandTask, NewTask, NewTasks, Page, Repository, Runner, RunnerId, SavedView, TaskFilter, TaskId,
    TaskSummary, TaskView, Workspace,
    account::{SetAutoPull, SetIsolation},
    queue::{Queue, QueueName},
    runner::{
        JoinRunner, JoinedRunner, NewRunnerToken, NewTrial, RUNNERS_LISTED, RunnerChange, RunnerDetail, RunnerLogEntry, RunnerLogFilter,
        RunnerTransition,
    },
    session::SessionPart,
    task::{BulkOutcome, BulkTasks, TaskChange, TaskLink, TaskPreview},
};
use futures::{StreamExt, stream::BoxStream};
use http::{
    HeaderValue,
    header::{ACCEPT, AUTHORIZATION, IF_MATCH},
};
use reqwest::{RequestBuilder, Response, Url, redirect};
use serde::de::DeserializeOwned;
use sse_stream::{Sse, SseByteStream};

use super::{
    connection::is_local,
    error::{CliError, Problem},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one answer may take, streams excepted.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// A stream that is silent for this long is dead; the server sends a sign of life more often.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(90);

/// Server-sent events as they arrive, until the connection ends.
pub type Events = BoxStream<'static, Result<Sse, sse_stream::Error>>;

pub struct Client {
    http: reqwest::Client,
    url: Url,
    /// Absent for who has no key yet.
    authorization: Option<HeaderValue>,
}

impl Client {
    pub fn new(url: Url, key: &str) -> Result<Self, CliError> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {key}")).map_err(|_| CliError::Usage {
            message: "the API key holds characters that no key has".into(),
            remedy: "set MUSTER_API_KEY to the key alone, as it was printed".into(),
        })?;
        authorization.set_sensitive(true);
        Self::with(url, Some(authorization))
    }

    /// For what needs no key.
    pub fn without_key(url: Url) -> Result<Self, CliError> {
        Self::with(url, None)
    }

    fn with(url: Url, authorization: Option<HeaderValue>) -> Result<Self, CliError> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("muster/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(SILENCE_TIMEOUT)
            .redirect(redirect::Policy::none());
        let builder = if is_local(&url) { builder.no_proxy() } else { builder };
        let http = builder.build().map_err(|error| CliError::failed(format!("cannot set up the connection: {}", root_cause(&error))))?;
        Ok(Self { http, url, authorization })
    }

    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Where a person sees the task.
    pub fn page_of(&self, id: TaskId) -> Url {
        below(&self.url, &["tasks", &id.to_string()])
    }

    pub async fn me(&self) -> Result<Identity, CliError> {
        self.json(self.http.get(self.api(&["me"]))).await
    }

    pub async fn set_isolation(&self, isolation: Isolation) -> Result<Workspace, CliError> {
        self.json(self.http.post(self.api(&["workspace", "isolation"])).json(&SetIsolation { isolation })).await
    }

    pub async fn set_auto_pull(&self, auto_pull: bool) -> Result<Workspace, CliError> {
        self.json(self.http.post(self.api(&["workspace", "auto-pull"])).json(&SetAutoPull { auto_pull })).await
    }

    pub async fn create_task(&self, new: &NewTask) -> Result<TaskView, CliError> {
        self.json(self.http.post(self.api(&["tasks"])).json(new)).await
    }

    pub async fn preview_task(&self, new: &NewTask) -> Result<TaskPreview, CliError> {
        self.json(self.http.post(self.api(&["tasks", "preview"])).json(new)).await
    }

    pub async fn create_tasks(&self, new: &NewTasks, key: Option<&str>) -> Result<Vec<TaskLink>, CliError> {
        let request = self.http.post(self.api(&["tasks", "batch"])).json(new);
        self.json(match key {
            Some(key) => request.header("idempotency-key", key),
            None => request,
        })
        .await
    }

    pub async fn list_tasks(&self, filter: &TaskFilter) -> Result<Page<TaskSummary>, CliError> {
        let mut url = self.api(&["tasks"]);
        let limit = filter.limit.map(|limit| limit.to_string());
        let parameters = [
            ("state", filter.state.map(|state| state.name())),
            ("text", filter.text.as_deref()),
            ("tag", filter.tag.as_deref()),
            ("priority", filter.priority.map(|priority| priority.name())),
            ("cursor", filter.cursor.as_deref()),
            ("limit", limit.as_deref()),
        ];
        for (name, value) in parameters {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        self.json(self.http.get(url)).await
    }

    pub async fn task(&self, id: TaskId) -> Result<TaskView, CliError> {
        self.json(self.http.get(self.of_task(id, &[]))).await
    }

    /// Only while the task is at this version.
    pub async fn edit_task(&self, id: TaskId, version: i64, change: &TaskChange) -> Result<TaskView, CliError> {
        self.json(self.http.patch(self.of_task(id, &[])).header(IF_MATCH, format!("\"{version}\"")).json(change)).await
    }

    pub async fn cancel_task(&self, id: TaskId) -> Result<TaskView, CliError> {
        self.json(self.http.post(self.of_task(id, &["cancel"]))).await
    }

    pub async fn retry_task(&self, id: TaskId) -> Result<TaskView, CliError> {
        self.json(self.http.post(self.of_task(id, &["retry"]))).await
    }

    pub async fn land_task(&self, id: TaskId, how: Land) -> Result<TaskView, CliError> {
        self.json(self.http.post(self.of_task(id, &["land"])).json(&LandTask { how })).await
    }

    pub async fn pause_task(&self, id: TaskId) -> Result<TaskView, CliError> {
        self.json(self.http.post(self.of_task(id, &["pause"]))).await
    }

    pub async fn resume_task(&self, id: TaskId) -> Result<TaskView, CliError> {
        self.json(self.http.post(self.of_task(id, &["resume"]))).await
    }

    pub async fn change_tasks(&self, bulk: &BulkTasks) -> Result<BulkOutcome, CliError> {
        self.json(self.http.post(self.api(&["tasks", "bulk"])).json(bulk)).await
    }

    pub async fn views(&self) -> Result<Vec<SavedView>, CliError> {
        self.json(self.http.get(self.api(&["views"]))).await
    }

    /// All of them, by name.
    pub async fn runners(&self) -> Result<Vec<Runner>, CliError> {
        let mut all: Vec<Runner> = vec![];
        loop {
            let mut url = self.api(&["runners"]);
            if let Some(last) = all.last() {
                url.query_pairs_mut().append_pair("after", &last.id.to_string());
            }
            let more: Vec<Runner> = self.json(self.http.get(url)).await?;
            // an older server knows no further ones, and says the first again
            let is_known = more.first().is_some_and(|first| all.iter().any(|one| one.id == first.id));
            if is_known {
                return Ok(all);
            }
            let is_last = more.len() < RUNNERS_LISTED;
            all.extend(more);
            if is_last {
                return Ok(all);
            }
        }
    }

    pub async fn runner(&self, id: RunnerId) -> Result<RunnerDetail, CliError> {
        self.json(self.http.get(self.api(&["runners", &id.to_string()]))).await
    }

    pub async fn runner_log(&self, id: RunnerId, filter: &RunnerLogFilter) -> Result<Page<RunnerLogEntry>, CliError> {
        self.json(self.http.get(self.runner_part(id, "log", filter))).await
    }

    pub async fn runner_periods(&self, id: RunnerId, filter: &RunnerLogFilter) -> Result<Page<RunnerTransition>, CliError> {
        self.json(self.http.get(self.runner_part(id, "periods", filter))).await
    }

    fn runner_part(&self, id: RunnerId, part: &str, filter: &RunnerLogFilter) -> Url {
        let mut url = self.api(&["runners", &id.to_string(), part]);
        let limit = filter.limit.map(|limit| limit.to_string());
        for (name, value) in [("cursor", filter.cursor.as_deref()), ("limit", limit.as_deref())] {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        url
    }

    pub async fn create_runner_token(&self) -> Result<NewRunnerToken, CliError> {
        self.json(self.http.post(self.api(&["runner-tokens"]))).await
    }

    pub async fn join_runner(&self, join: &JoinRunner) -> Result<JoinedRunner, CliError> {
        self.json(self.http.post(self.api(&["runners"])).json(join)).await
    }

    /// With the token that the runner has joined with as the key.
    pub async fn try_runner(&self, new: &NewTrial) -> Result<TaskView, CliError> {
        self.json(self.http.post(self.api(&["runners", "trial"])).json(new)).await
    }

    pub async fn runner_trial(&self) -> Result<TaskView, CliError> {
        self.json(self.http.get(self.api(&["runners", "trial"]))).await
    }

    pub async fn drain_runner(&self, id: RunnerId) -> Result<Runner, CliError> {
        self.json(self.http.post(self.api(&["runners", &id.to_string(), "drain"]))).await
    }

    pub async fn resume_runner(&self, id: RunnerId) -> Result<Runner, CliError> {
        self.json(self.http.post(self.api(&["runners", &id.to_string(), "resume"]))).await
    }

    pub async fn change_runner(&self, id: RunnerId, change: &RunnerChange) -> Result<Runner, CliError> {
        self.json(self.http.patch(self.api(&["runners", &id.to_string()])).json(change)).await
    }

    pub async fn remove_runner(&self, id: RunnerId) -> Result<(), CliError> {
        self.answer(self.http.delete(self.api(&["runners", &id.to_string()])).timeout(ANSWER_TIMEOUT)).await.map(drop)
    }

    pub async fn repositories(&self) -> Result<Vec<Repository>, CliError> {
        self.json(self.http.get(self.api(&["repositories"]))).await
    }

    pub async fn queue(&self) -> Result<Queue, CliError> {
        self.json(self.http.get(self.api(&["queue"]))).await
    }

    pub async fn pause_queue(&self, name: QueueName) -> Result<Queue, CliError> {
        self.json(self.http.post(self.api(&["queue", "pause"])).json(&name)).await
    }

    pub async fn resume_queue(&self, name: QueueName) -> Result<Queue, CliError> {
        self.json(self.http.post(self.api(&["queue", "resume"])).json(&name)).await
    }

    pub async fn task_events(&self, id: TaskId) -> Result<Vec<Event>, CliError> {
        self.json(self.http.get(self.of_task(id, &["events"]))).await
    }

    /// What the agent of an attempt, or of the latest, said and did after the event with this number.
    pub async fn session(&self, id: TaskId, attempt: Option<i32>, after: i64) -> Result<SessionPart, CliError> {
        let mut url = self.of_task(id, &["session"]);
        url.query_pairs_mut().append_pair("after", &after.to_string());
        if let Some(attempt) = attempt {
            url.query_pairs_mut().append_pair("attempt", &attempt.to_string());
        }
        self.json(self.http.get(url)).await
    }

    /// The log as plain bytes, as far as it goes now.
    pub async fn log(&self, id: TaskId) -> Result<Response, CliError> {
        self.answer(self.http.get(self.of_task(id, &["log"]))).await
    }

    /// The log in pieces from a byte offset on, until the task is final.
    pub async fn follow_log(&self, id: TaskId, offset: i64) -> Result<Events, CliError> {
        let mut url = self.of_task(id, &["log"]);
        url.query_pairs_mut().append_pair("offset", &offset.to_string());
        self.stream(url).await
    }

    /// What happens in the workspace, from now on.
    pub async fn follow_events(&self) -> Result<Events, CliError> {
        self.stream(self.api(&["events"])).await
    }

    fn of_task(&self, id: TaskId, rest: &[&str]) -> Url {
        let id = id.to_string();
        self.api(&[&["tasks", id.as_str()], rest].concat())
    }

    fn api(&self, path: &[&str]) -> Url {
        below(&self.url, &[&["api", "v1"], path].concat())
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, CliError> {
        let response = self.answer(request.timeout(ANSWER_TIMEOUT)).await?;
        response.json().await.map_err(|error| match error.is_decode() {
            true => self.not_muster(root_cause(&error)),
            false => self.unreachable(&error),
        })
    }

    async fn stream(&self, url: Url) -> Result<Events, CliError> {
        let request = self.http.get(url).header(ACCEPT, "text/event-stream");
        Ok(SseByteStream::new(self.answer(request).await?.bytes_stream()).boxed())
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Response, CliError> {
        let request = match &self.authorization {
            Some(authorization) => request.header(AUTHORIZATION, authorization.clone()),
            None => request,
        };
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        if response.status().is_redirection() {
            return Err(self.not_muster("a redirect to another address".into()));
        }
        let status = response.status();
        let body = response.bytes().await.unwrap_or_default();
        let problem = serde_json::from_slice(&body)
            .unwrap_or_else(|_| Problem { title: format!("{} answered {status}", self.url), ..Problem::default() });
        // The status line decides, whatever the body claims.
        Err(CliError::Refused(Problem { status: status.as_u16(), ..problem }))
    }

    fn not_muster(&self, got: String) -> CliError {
        CliError::Failed {
            message: format!("{} does not answer as Muster does: {got}", self.url),
            remedy: Some("see that MUSTER_URL is the address of a Muster server of this version".into()),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> CliError {
        let cause = if error.is_timeout() { "it took too long".into() } else { root_cause(error) };
        CliError::Unreachable { url: self.url.clone(), cause }
    }
}

/// An address below the server's own, which may have a path itself.
fn below(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    // Only addresses that cannot have a path refuse this, and those do not come past the parser.
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path);
    }
    url
}

/// The innermost reason, which is the one a person can act on: "Connection refused".
fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let text = cause.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_may_live_below_a_path() {
        for (base, expected) in [
            ("http://127.0.0.1:7878", "http://127.0.0.1:7878/api/v1/tasks"),
            ("https://example.org/muster/", "https://example.org/muster/api/v1/tasks"),
            ("https://example.org/muster", "https://example.org/muster/api/v1/tasks"),
        ] {
            assert_eq!(below(&base.parse().unwrap(), &["api", "v1", "tasks"]).as_str(), expected);
        }
    }
}
