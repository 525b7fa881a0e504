//! Workflows, their runs, and the gates of runs.

use domain::{
    Page, TaskId, TaskView, WorkflowRunId,
    workflow::{
        ChangeOutcome, ChangeRun, CheckWorkflow, GateAnswer, GateEvent, NewRun, RestartRun, RunFilter, RunSummary, RunView, SaveWorkflow,
        Validation, WorkflowSummary, WorkflowView,
    },
};
use reqwest::Url;

use super::{CliError, Client, below};

impl Client {
    pub async fn check_workflow(&self, source: String) -> Result<Validation, CliError> {
        self.json(self.http.post(self.api(&["workflows", "check"])).json(&CheckWorkflow { source })).await
    }

    pub async fn save_workflow(&self, source: String) -> Result<WorkflowView, CliError> {
        self.json(self.http.post(self.api(&["workflows"])).json(&SaveWorkflow { source })).await
    }

    pub async fn list_workflows(&self) -> Result<Vec<WorkflowSummary>, CliError> {
        self.json(self.http.get(self.api(&["workflows"]))).await
    }

    pub async fn workflow(&self, name: &str, version: Option<i32>) -> Result<WorkflowView, CliError> {
        let mut url = self.api(&["workflows", name]);
        if let Some(version) = version {
            url.query_pairs_mut().append_pair("version", &version.to_string());
        }
        self.json(self.http.get(url)).await
    }

    pub async fn start_run(&self, workflow: &str, new: &NewRun) -> Result<RunView, CliError> {
        self.json(self.http.post(self.api(&["workflows", workflow, "runs"])).json(new)).await
    }

    pub async fn list_runs(&self, filter: &RunFilter) -> Result<Page<RunSummary>, CliError> {
        let mut url = self.api(&["runs"]);
        let limit = filter.limit.map(|limit| limit.to_string());
        for (name, value) in [("workflow", &filter.workflow), ("cursor", &filter.cursor), ("limit", &limit)] {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        self.json(self.http.get(url)).await
    }

    pub async fn run(&self, id: WorkflowRunId) -> Result<RunView, CliError> {
        self.json(self.http.get(self.of_run(id, &[]))).await
    }

    pub async fn cancel_run(&self, id: WorkflowRunId) -> Result<RunView, CliError> {
        self.json(self.http.post(self.of_run(id, &["cancel"]))).await
    }

    pub async fn pause_run(&self, id: WorkflowRunId) -> Result<RunView, CliError> {
        self.json(self.http.post(self.of_run(id, &["pause"]))).await
    }

    pub async fn resume_run(&self, id: WorkflowRunId) -> Result<RunView, CliError> {
        self.json(self.http.post(self.of_run(id, &["resume"]))).await
    }

    pub async fn restart_run(&self, id: WorkflowRunId, restart: &RestartRun) -> Result<RunView, CliError> {
        self.json(self.http.post(self.of_run(id, &["restart"])).json(restart)).await
    }

    pub async fn change_run(&self, id: WorkflowRunId, change: &ChangeRun) -> Result<ChangeOutcome, CliError> {
        self.json(self.http.post(self.of_run(id, &["change"])).json(change)).await
    }

    pub async fn send_event(&self, id: WorkflowRunId, event: &GateEvent) -> Result<RunView, CliError> {
        self.json(self.http.post(self.of_run(id, &["events"])).json(event)).await
    }

    pub async fn approve_task(&self, id: TaskId, answer: &GateAnswer) -> Result<TaskView, CliError> {
        self.json(self.http.post(self.of_task(id, &["approve"])).json(answer)).await
    }

    pub async fn reject_task(&self, id: TaskId, answer: &GateAnswer) -> Result<TaskView, CliError> {
        self.json(self.http.post(self.of_task(id, &["reject"])).json(answer)).await
    }

    /// Where a person sees the run.
    pub fn page_of_run(&self, id: WorkflowRunId) -> Url {
        below(&self.url, &["runs", &id.to_string()])
    }

    fn of_run(&self, id: WorkflowRunId, rest: &[&str]) -> Url {
        let id = id.to_string();
        self.api(&[&["runs", id.as_str()], rest].concat())
    }
}
