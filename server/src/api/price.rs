//! Prices of models: what they cost in a workspace, from when on, and which have none.

use app::problem::Problem;
use axum::{Json, extract::State};
use domain::price::{ModelPrice, ModelPrices, SetModelPrice};
use engine::Engine;
use http::StatusCode;

use super::extract::{ApiJson, Id};
use crate::auth::Who;

type Answer<T> = Result<Json<T>, Problem>;

/// What models cost here now, in millionths of a dollar for a million tokens, and the models that were used and have no price. Muster brings none
/// along: what a model without one has cost is unknown, which is not the same as nothing.
#[utoipa::path(
    get, path = "/model-prices", tag = "prices", operation_id = "list_model_prices",
    responses((status = 200, body = ModelPrices), (status = 401, body = Problem, content_type = "application/problem+json"))
)]
pub async fn list_model_prices(State(engine): State<Engine>, Who(actor): Who) -> Answer<ModelPrices> {
    Ok(Json(engine.list_model_prices(&actor).await?))
}

/// All that a model has cost here, the latest first, with who has set and ended each.
#[utoipa::path(
    get, path = "/model-prices/{model}", tag = "prices", operation_id = "get_model_price_history",
    params(("model" = String, Path, description = "As agents name it; a slash in it is written as %2F.")),
    responses(
        (status = 200, body = Vec<ModelPrice>),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get_model_price_history(State(engine): State<Engine>, Who(actor): Who, Id(model): Id<String>) -> Answer<Vec<ModelPrice>> {
    Ok(Json(engine.model_price_history(&actor, &model).await?))
}

/// Say what a model costs from now on. Admins may. What was used before keeps the price of its time. The same again changes nothing.
#[utoipa::path(
    put, path = "/model-prices/{model}", tag = "prices", operation_id = "set_model_price",
    params(("model" = String, Path, description = "As agents name it; a slash in it is written as %2F.")),
    request_body = SetModelPrice,
    responses(
        (status = 200, body = ModelPrice),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "As many models have a price as may, or somebody else has set it in this moment.", body = Problem,
         content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "Nothing has changed; `errors` names the fields.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn set_model_price(
    State(engine): State<Engine>,
    Who(actor): Who,
    Id(model): Id<String>,
    ApiJson(set): ApiJson<SetModelPrice>,
) -> Answer<ModelPrice> {
    Ok(Json(engine.set_model_price(&actor, &model, set).await?))
}

/// Remove the price of a model. Admins may. What it costs from now on is unknown; what was used before keeps the price of its time.
#[utoipa::path(
    delete, path = "/model-prices/{model}", tag = "prices", operation_id = "remove_model_price",
    params(("model" = String, Path, description = "As agents name it; a slash in it is written as %2F.")),
    responses(
        (status = 204),
        (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"),
        (status = 404, body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn remove_model_price(State(engine): State<Engine>, Who(actor): Who, Id(model): Id<String>) -> Result<StatusCode, Problem> {
    engine.remove_model_price(&actor, &model).await?;
    Ok(StatusCode::NO_CONTENT)
}
