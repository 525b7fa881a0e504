//! Prices of models.

use domain::price::{ModelPrice, ModelPrices, SetModelPrice};

use super::{ANSWER_TIMEOUT, CliError, Client};

impl Client {
    pub async fn model_prices(&self) -> Result<ModelPrices, CliError> {
        self.json(self.http.get(self.api(&["model-prices"]))).await
    }

    pub async fn set_model_price(&self, model: &str, set: SetModelPrice) -> Result<ModelPrice, CliError> {
        self.json(self.http.put(self.api(&["model-prices", model])).json(&set)).await
    }

    pub async fn remove_model_price(&self, model: &str) -> Result<(), CliError> {
        self.answer(self.http.delete(self.api(&["model-prices", model])).timeout(ANSWER_TIMEOUT)).await.map(drop)
    }
}
