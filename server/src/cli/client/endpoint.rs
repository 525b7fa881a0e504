//! Endpoints, which one would be chosen, and what they pull.

use domain::{
    Endpoint, EndpointId, Pull, PullId,
    endpoint::{EndpointChoice, EndpointDetail, NewEndpoint, NewPull},
};

use super::{ANSWER_TIMEOUT, CliError, Client};

impl Client {
    pub async fn endpoints(&self) -> Result<Vec<Endpoint>, CliError> {
        self.json(self.http.get(self.api(&["endpoints"]))).await
    }

    pub async fn endpoint(&self, id: EndpointId) -> Result<EndpointDetail, CliError> {
        self.json(self.http.get(self.api(&["endpoints", &id.to_string()]))).await
    }

    pub async fn register_endpoint(&self, new: &NewEndpoint) -> Result<Endpoint, CliError> {
        self.json(self.http.post(self.api(&["endpoints"])).json(new)).await
    }

    pub async fn remove_endpoint(&self, id: EndpointId) -> Result<(), CliError> {
        self.answer(self.http.delete(self.api(&["endpoints", &id.to_string()])).timeout(ANSWER_TIMEOUT)).await.map(drop)
    }

    pub async fn choose_endpoint(&self, model: &str) -> Result<EndpointChoice, CliError> {
        let mut url = self.api(&["endpoints", "choose"]);
        url.query_pairs_mut().append_pair("model", model);
        self.json(self.http.get(url)).await
    }

    pub async fn pull_model(&self, id: EndpointId, new: &NewPull) -> Result<Pull, CliError> {
        self.json(self.http.post(self.api(&["endpoints", &id.to_string(), "pulls"])).json(new)).await
    }

    pub async fn pull(&self, id: PullId) -> Result<Pull, CliError> {
        self.json(self.http.get(self.api(&["pulls", &id.to_string()]))).await
    }

    pub async fn cancel_pull(&self, id: PullId) -> Result<Pull, CliError> {
        self.json(self.http.post(self.api(&["pulls", &id.to_string(), "cancel"]))).await
    }
}
