//! `muster price`: what models cost in the workspace.

use clap::{Args, Subcommand};
use domain::{
    Timestamp,
    exact_text::in_a_line,
    price::{ModelPrice, ModelPrices, SetModelPrice, micros_of},
};

use super::{
    connection::ConnectionArgs,
    error::{CliError, Exit},
    output::{Cell, Output, OutputArgs, print_json, print_tab_separated, print_table, print_text, remark},
    words::{age, bold, dim, moment, now},
};

#[derive(Subcommand)]
pub enum PriceCommand {
    /// List the prices that hold, and the models that were used without one.
    List(ListArgs),
    /// Say what a model costs from now on. Only admins may.
    Set(SetArgs),
    /// Remove the price of a model: what it costs from now on is unknown. Only admins may.
    Remove(RemoveArgs),
}

#[derive(Args)]
#[command(after_help = "\
What an answer of a model cost is counted when it comes, by the price of that time, and stays what it
is. A model without a price has an unknown cost, which is not the same as none.

In a pipe each line holds, separated by tabs: price, model, then in millionths of a dollar for a
million tokens input, output, from a cache, to a cache (empty: as input), since when, who set it. After
them comes a line for each model that was used and has none, with: unpriced, model, attempts.")]
pub struct ListArgs {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Args)]
#[command(after_help = "\
Prices are in dollars for a million tokens. What is read from a cache and written to one costs as other
input does where nothing is said of it. What was used before keeps the price of its time.

Examples:
  muster price set claude-sonnet-4-5 --input 3 --output 15 --cache-read 0.3 --cache-write 3.75
  muster price set qwen3-coder:30b --input 0 --output 0")]
pub struct SetArgs {
    /// The model, exactly as `muster task session` names it.
    model: String,
    /// What goes in.
    #[arg(long, value_name = "DOLLARS", value_parser = micros_of)]
    input: i64,
    /// What comes out.
    #[arg(long = "output", value_name = "DOLLARS", value_parser = micros_of)]
    output_price: i64,
    /// Of what goes in, what is read from a cache [default: as --input].
    #[arg(long, value_name = "DOLLARS", value_parser = micros_of)]
    cache_read: Option<i64>,
    /// Of what goes in, what is written to a cache [default: as --input].
    #[arg(long, value_name = "DOLLARS", value_parser = micros_of)]
    cache_write: Option<i64>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Args)]
pub struct RemoveArgs {
    /// The model, as `muster price list` names it.
    model: String,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn run(command: &PriceCommand) -> Result<Exit, CliError> {
    match command {
        PriceCommand::List(args) => list(args).await,
        PriceCommand::Set(args) => set(args).await,
        PriceCommand::Remove(args) => remove(args).await,
    }
}

async fn list(args: &ListArgs) -> Result<Exit, CliError> {
    let all = args.connection.client()?.model_prices().await?;
    match args.output.output() {
        Output::Json => print_json(&all)?,
        Output::Pipe => print_tab_separated(&lines(&all))?,
        Output::Terminal => {
            if all.prices.is_empty() {
                remark("No model has a price: what they cost is unknown where no agent tells it. `muster price set` sets one.");
            } else {
                let now = now();
                let rows: Vec<_> = all.prices.iter().map(|price| row(price, now)).collect();
                print_table(&["MODEL", "FOR A MILLION TOKENS", "SINCE", "SET BY"], &rows)?;
            }
            for one in &all.unpriced {
                let attempts = if one.attempts == 1 { "1 attempt".to_owned() } else { format!("{} attempts", one.attempts) };
                remark(&format!("{} has no price, and {attempts} used it", in_a_line(&one.model)));
            }
        }
    }
    Ok(Exit::Done)
}

fn lines(all: &ModelPrices) -> Vec<Vec<String>> {
    let price = |price: &ModelPrice| {
        let micros = |micros: Option<u64>| micros.map(|micros| micros.to_string()).unwrap_or_default();
        let of = &price.prices;
        vec![
            "price".to_owned(),
            in_a_line(&price.model),
            of.input_micros.to_string(),
            of.output_micros.to_string(),
            micros(of.cache_read_micros),
            micros(of.cache_write_micros),
            moment(price.valid_from),
            price.set_by.clone(),
        ]
    };
    let unpriced = all.unpriced.iter().map(|one| vec!["unpriced".to_owned(), in_a_line(&one.model), one.attempts.to_string()]);
    all.prices.iter().map(price).chain(unpriced).collect()
}

fn row(price: &ModelPrice, now: Timestamp) -> Vec<Cell> {
    vec![
        Cell::styled(in_a_line(&price.model), bold()),
        Cell::plain(price.prices.in_words()),
        Cell::styled(format!("{} ago", age(price.valid_from, now)), dim()),
        Cell::styled(in_a_line(&price.set_by), dim()),
    ]
}

async fn set(args: &SetArgs) -> Result<Exit, CliError> {
    let set = SetModelPrice {
        input_micros: args.input,
        output_micros: args.output_price,
        cache_read_micros: args.cache_read,
        cache_write_micros: args.cache_write,
    };
    // before anything is asked of the server, so that a wrong command line is told as one
    let (model, _) = set.validated(&args.model).map_err(CliError::Invalid)?;
    let price = args.connection.client()?.set_model_price(&model, set).await?;
    match args.output.output() {
        Output::Json => print_json(&price)?,
        Output::Pipe => print_tab_separated(&[vec![in_a_line(&price.model)]])?,
        Output::Terminal => {
            let (model, words) = (in_a_line(&price.model), price.prices.in_words());
            print_text(&format!("{model} costs {words} for a million tokens from now on\n"))?;
        }
    }
    Ok(Exit::Done)
}

async fn remove(args: &RemoveArgs) -> Result<Exit, CliError> {
    args.connection.client()?.remove_model_price(&args.model).await?;
    remark(&format!("{} has no price from now on. What was used before keeps its own.", in_a_line(&args.model)));
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use domain::price::{TokenPrices, UnpricedModel};

    use super::*;

    #[test]
    fn a_program_gets_a_line_for_each_model_with_a_price_and_without() {
        let prices =
            TokenPrices { input_micros: 3_000_000, output_micros: 15_000_000, cache_read_micros: Some(300_000), cache_write_micros: None };
        let price = ModelPrice {
            model: "acme/large".into(),
            prices,
            valid_from: Timestamp::UNIX_EPOCH,
            set_by: "Ada".into(),
            valid_until: None,
            ended_by: None,
        };
        let all = ModelPrices { prices: vec![price], unpriced: vec![UnpricedModel { model: "other".into(), attempts: 2 }] };
        let lines = lines(&all);
        assert_eq!(lines[0], ["price", "acme/large", "3000000", "15000000", "300000", "", "1970-01-01T00:00:00Z", "Ada"]);
        assert_eq!(lines[1], ["unpriced", "other", "2"]);
        let row = row(&all.prices[0], Timestamp::UNIX_EPOCH);
        assert_eq!(row[1].text, "$3 in, $15 out, $0.30 from a cache");
    }
}
