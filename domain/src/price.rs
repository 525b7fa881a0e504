//! What models cost in a workspace, as its admins have said, and what an answer of a model costs by that. Money is counted in whole millionths
//! of a dollar, never in fractions.
//!
//! Muster brings no prices along: it could not say where they are from, or whether they still hold. A model without a price has none, which
//! is another thing than costing nothing.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Invalid, SessionEventKind, endpoint::MODEL_MAX, error::Errors, session::dollars, usage::COUNTED_MAX};

/// The highest price of a million tokens: ten thousand dollars.
pub const PRICE_MAX: u64 = 10_000_000_000;
/// Models of one workspace that have a price.
pub const PRICES_MAX: i64 = 500;
/// What prices are for.
const A_MILLION: u128 = 1_000_000;

/// What an answer of a model has cost, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepCost {
    /// Millionths of a dollar.
    pub micros: u64,
    pub source: CostSource,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum CostSource {
    /// At list price, as the agent counts it.
    Agent,
    /// At the price that the workspace had set for its model then.
    Workspace,
}

impl CostSource {
    /// As it stands behind the amount.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Agent => "at list price, as the agent counts it",
            Self::Workspace => "at the workspace's price",
        }
    }
}

impl StepCost {
    /// `$0.0013 at the workspace's price`
    pub fn in_words(self) -> String {
        format!("{} {}", dollars(self.micros), self.source.in_words())
    }
}

/// What is said in place of a cost that nobody knows.
pub const UNKNOWN: &str = "price unknown";

/// What tokens of a model cost: millionths of a dollar for a million of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TokenPrices {
    pub input_micros: u64,
    pub output_micros: u64,
    /// Of input that is read from a cache; as other input when absent.
    pub cache_read_micros: Option<u64>,
    /// Of input that is written to a cache; as other input when absent.
    pub cache_write_micros: Option<u64>,
}

/// The tokens of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tokens {
    /// All of it.
    pub input: u64,
    /// Of the input, read from a cache.
    pub cached: u64,
    /// Of the input, written to a cache.
    pub cache_written: u64,
    pub output: u64,
}

impl TokenPrices {
    /// Rounded once, in the end, to the next millionth of a dollar; a half of one goes up.
    pub fn cost(&self, tokens: Tokens) -> u64 {
        // an agent may say more of its parts than of all
        let cached = tokens.cached.min(tokens.input);
        let written = tokens.cache_written.min(tokens.input - cached);
        let plain = tokens.input - cached - written;
        let of = |tokens: u64, price: u64| u128::from(tokens.min(COUNTED_MAX)) * u128::from(price.min(PRICE_MAX));
        let sum = of(plain, self.input_micros)
            + of(cached, self.cache_read_micros.unwrap_or(self.input_micros))
            + of(written, self.cache_write_micros.unwrap_or(self.input_micros))
            + of(tokens.output, self.output_micros);
        let rounded = (sum + A_MILLION / 2) / A_MILLION;
        u64::try_from(rounded).unwrap_or(COUNTED_MAX).min(COUNTED_MAX)
    }

    /// `$3 in, $15 out, $0.30 from a cache, $3.75 to a cache`
    pub fn in_words(&self) -> String {
        let more = [(self.cache_read_micros, "from a cache"), (self.cache_write_micros, "to a cache")];
        let more = more.into_iter().filter_map(|(micros, what)| Some(format!(", ${} {what}", decimal(micros?))));
        format!("${} in, ${} out{}", decimal(self.input_micros), decimal(self.output_micros), more.collect::<String>())
    }
}

impl SessionEventKind {
    /// The model and the tokens of an answer of which nobody has said what it cost; also of a judge's.
    pub fn uncosted(&self) -> Option<(&str, Tokens)> {
        match self {
            Self::Judge { event, .. } => event.uncosted(),
            Self::Usage { model: Some(model), input, cached, cache_written, output, cost: None, .. } => {
                Some((model.as_str(), Tokens { input: *input, cached: *cached, cache_written: *cache_written, output: *output }))
            }
            _ => None,
        }
    }

    /// What an answer has cost; also one of a judge's.
    pub fn set_cost(&mut self, new: StepCost) {
        match self {
            Self::Judge { event, .. } => event.set_cost(new),
            Self::Usage { cost, .. } => *cost = Some(new),
            _ => {}
        }
    }

    /// Who tells of an answer can tell what its agent says of the cost, and nothing of what the workspace's price comes to. That an answer or a
    /// turn cost nothing is said by agents that know no price of its model.
    pub fn cost_is_its_agents(&mut self) {
        match self {
            Self::Judge { event, .. } => event.cost_is_its_agents(),
            Self::Usage { cost, .. } => {
                *cost = cost
                    .filter(|cost| cost.micros > 0)
                    .map(|cost| StepCost { micros: cost.micros.min(COUNTED_MAX), source: CostSource::Agent });
            }
            Self::Ended { cost_micros, .. } => *cost_micros = cost_micros.filter(|micros| *micros > 0),
            _ => {}
        }
    }
}

/// The price of a model in a workspace, and when it holds. What is used then keeps it, whatever is set later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelPrice {
    /// Exactly as agents name it when they tell what they have used.
    pub model: String,
    #[serde(flatten)]
    pub prices: TokenPrices,
    pub valid_from: DateTime<Utc>,
    /// Who has set it, by name.
    pub set_by: String,
    /// Absent while it holds.
    pub valid_until: Option<DateTime<Utc>>,
    /// Who has set another one, or removed it.
    pub ended_by: Option<String>,
}

/// A model that was used and had no price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnpricedModel {
    pub model: String,
    /// Attempts that have used it, of the latest ten thousand that used one without a price.
    pub attempts: i64,
}

/// The prices that hold in a workspace, by model, and what has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ModelPrices {
    pub prices: Vec<ModelPrice>,
    /// Used and without a price to this day, those of the most attempts first; at most fifty.
    pub unpriced: Vec<UnpricedModel>,
}

/// What a model is to cost from now on: millionths of a dollar for a million tokens, so that $3 is 3000000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SetModelPrice {
    pub input_micros: i64,
    pub output_micros: i64,
    /// Of input that is read from a cache; as other input when absent.
    #[serde(default)]
    pub cache_read_micros: Option<i64>,
    /// Of input that is written to a cache; as other input when absent.
    #[serde(default)]
    pub cache_write_micros: Option<i64>,
}

impl SetModelPrice {
    /// With the model's name as it is kept.
    pub fn validated(self, model: &str) -> Result<(String, TokenPrices), Invalid> {
        let mut errors = Errors::default();
        errors.required_text("/model", model, MODEL_MAX);
        let input_micros = checked(&mut errors, "/input_micros", self.input_micros);
        let output_micros = checked(&mut errors, "/output_micros", self.output_micros);
        let cache_read_micros = self.cache_read_micros.map(|price| checked(&mut errors, "/cache_read_micros", price));
        let cache_write_micros = self.cache_write_micros.map(|price| checked(&mut errors, "/cache_write_micros", price));
        errors.finish()?;
        Ok((model.trim().to_owned(), TokenPrices { input_micros, output_micros, cache_read_micros, cache_write_micros }))
    }
}

fn checked(errors: &mut Errors, pointer: &str, price: i64) -> u64 {
    match u64::try_from(price) {
        Ok(price) if price <= PRICE_MAX => return price,
        Ok(_) => errors.add(pointer, "out_of_range", format!("is more than ${} for a million tokens", decimal(PRICE_MAX))),
        Err(_) => errors.add(pointer, "out_of_range", "must not be negative"),
    }
    0
}

/// Dollars as people write them, `3`, `0.075` or `$3.75`, in millionths. Why not, where they are none.
pub fn micros_of(dollars: &str) -> Result<i64, &'static str> {
    const FORM: &str = "must be dollars for a million tokens, such as 3 or 0.075";
    let text = dollars.trim();
    let text = text.strip_prefix('$').unwrap_or(text);
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.len() <= 12 && digits.bytes().all(|digit| digit.is_ascii_digit());
    if !is_number(whole) || !is_number(part) {
        return Err(FORM);
    }
    if part.trim_end_matches('0').len() > 6 {
        return Err("must not be more exact than a millionth of a dollar");
    }
    let part: i64 = format!("{part:0<6}")[..6].parse().map_err(|_| FORM)?;
    let whole: i64 = whole.parse().map_err(|_| FORM)?;
    Ok(whole.saturating_mul(1_000_000).saturating_add(part))
}

/// All of an amount in dollars, with cents where there is more than dollars: `3`, `0.30`, `0.075`.
pub fn decimal(micros: u64) -> String {
    let (whole, rest) = (micros / 1_000_000, micros % 1_000_000);
    if rest == 0 {
        return whole.to_string();
    }
    let part = format!("{rest:06}");
    format!("{whole}.{:0<2}", part.trim_end_matches('0'))
}

#[cfg(test)]
mod tests;
