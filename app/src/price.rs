//! Prices of models: what the pages ask the server for, and the part of the page of endpoints that shows and changes them.

mod part;
pub mod typed;

use domain::price::{ModelPrice, ModelPrices};
use leptos::prelude::*;

use crate::problem::Problem;

pub use part::{PriceActs, prices_part};

#[server(prefix = "/_fn", endpoint = "list_model_prices")]
pub async fn list_model_prices() -> Result<ModelPrices, Problem> {
    crate::ssr::call(async |engine, actor| engine.list_model_prices(&actor).await).await
}

/// In dollars for a million tokens, as people write them. What is left empty of a cache costs as other input does.
#[server(prefix = "/_fn", endpoint = "set_model_price")]
pub async fn set_model_price(
    model: String,
    input: String,
    output: String,
    #[server(default)] cache_read: String,
    #[server(default)] cache_write: String,
) -> Result<ModelPrice, Problem> {
    let set =
        typed::read(&input, &output, &cache_read, &cache_write).map_err(|invalid| Problem::invalid(invalid.errors, "Nothing was set."))?;
    let price = crate::ssr::call(async |engine, actor| engine.set_model_price(&actor, &model, set).await).await?;
    leptos_axum::redirect("/endpoints");
    Ok(price)
}

#[server(prefix = "/_fn", endpoint = "remove_model_price")]
pub async fn remove_model_price(model: String) -> Result<(), Problem> {
    crate::ssr::call(async |engine, actor| engine.remove_model_price(&actor, &model).await).await?;
    leptos_axum::redirect("/endpoints");
    Ok(())
}
