//! What agents ask people for, the rules that answer by themselves, and what agents are told.

use domain::{
    Approval, ApprovalId, ApprovalRule, ApprovalRuleId, ApprovalStateName, Page, TaskId,
    approval::{AnswerApproval, ApprovalFilter, ApprovalLink, NewApprovalRule},
    session::{OnItsWay, TellAgent},
};

use super::{ANSWER_TIMEOUT, CliError, Client};

impl Client {
    pub async fn list_approvals(&self, filter: &ApprovalFilter) -> Result<Page<Approval>, CliError> {
        let mut url = self.api(&["approvals"]);
        let (task, limit) = (filter.task.map(|task| task.to_string()), filter.limit.map(|limit| limit.to_string()));
        let parameters = [
            ("state", filter.state.map(ApprovalStateName::name)),
            ("task", task.as_deref()),
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

    pub async fn approval(&self, id: ApprovalId) -> Result<Approval, CliError> {
        self.json(self.http.get(self.api(&["approvals", &id.to_string()]))).await
    }

    pub async fn answer_approval(&self, id: ApprovalId, answer: &AnswerApproval) -> Result<Approval, CliError> {
        self.json(self.http.post(self.api(&["approvals", &id.to_string(), "answer"])).json(answer)).await
    }

    pub async fn create_approval_link(&self, id: ApprovalId) -> Result<ApprovalLink, CliError> {
        self.json(self.http.post(self.api(&["approvals", &id.to_string(), "links"]))).await
    }

    pub async fn approval_rules(&self) -> Result<Vec<ApprovalRule>, CliError> {
        self.json(self.http.get(self.api(&["approval-rules"]))).await
    }

    pub async fn make_approval_rule(&self, new: &NewApprovalRule) -> Result<ApprovalRule, CliError> {
        self.json(self.http.post(self.api(&["approval-rules"])).json(new)).await
    }

    pub async fn remove_approval_rule(&self, id: ApprovalRuleId) -> Result<(), CliError> {
        self.answer(self.http.delete(self.api(&["approval-rules", &id.to_string()])).timeout(ANSWER_TIMEOUT)).await.map(drop)
    }

    pub async fn tell_agent(&self, id: TaskId, tell: &TellAgent) -> Result<OnItsWay, CliError> {
        self.json(self.http.post(self.of_task(id, &["session", "messages"])).json(tell)).await
    }

    /// Where a path of the server's pages is found from here.
    pub fn address_of(&self, path: &str) -> String {
        format!("{}{path}", self.url.as_str().trim_end_matches('/'))
    }
}
