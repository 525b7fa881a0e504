//! `muster endpoint`: servers of models that speak Ollama's API.

use clap::{Args, Subcommand};
use domain::{
    Endpoint, Pull, Timestamp,
    endpoint::{EndpointChoice, EndpointDetail, EndpointHealth, EndpointModel, ModelState, NewEndpoint},
    exact_text::in_a_line,
};

use super::{
    client::Client,
    connection::ConnectionArgs,
    endpoint_pull,
    error::{CliError, Exit},
    facts::{field, section},
    output::{Cell, Output, OutputArgs, print_json, print_tab_separated, print_table, print_text, remark},
    runner::find_runner,
    words::{age, bold, dim, moment, now},
};

#[derive(Subcommand)]
pub enum EndpointCommand {
    /// List those that runners have found on their machines, and those that were registered.
    List(ListArgs),
    /// Show one: whether it answers, its models, and what it pulls.
    Show(ShowArgs),
    /// Register an Ollama that the server reaches. Only admins may.
    Add(AddArgs),
    /// Remove one that was registered. Only admins may.
    Remove(RemoveArgs),
    /// Have one pull a model, and see it through. Only admins may.
    Pull(endpoint_pull::PullArgs),
    /// Say which one would be chosen for a model now, and why.
    Choose(ChooseArgs),
}

#[derive(Args)]
#[command(after_help = "\
What a runner merely found is given no prompts until somebody says that it is an Ollama: by
MUSTER_OLLAMA_URL where that runner runs, or by registering it.

In a pipe each line holds, separated by tabs: id, name, health, address, how many models it has, how
many of those are warm, attempts that work with it, when it was looked at, why it does not answer,
confirmed or found.")]
pub struct ListArgs {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Args)]
#[command(after_help = "\
In a pipe each line holds a name and a value, separated by a tab. After them comes a line for each
model, with model, its name, warm or cold, bytes, quantization; and one for each pull, with pull, its
id, model, state, bytes that are there, bytes in all, why it failed.")]
pub struct ShowArgs {
    /// Its name, or its id.
    name: String,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Args)]
#[command(after_help = "\
The server asks nobody on its own machine unless it was started with --endpoints-here allowed; what is
there its own runner finds. It never asks the addresses from which machines of clouds have their credentials.

Examples:
  muster endpoint add gpu-box http://gpu-box:11434
  muster endpoint add gpu-box http://gpu-box:11434 --runner gpu-box")]
pub struct AddArgs {
    /// What it is called.
    name: String,
    /// Where the server reaches it.
    #[arg(value_name = "URL")]
    address: String,
    /// The runner on whose machine it is: its name, or its id. How busy that machine is counts then.
    #[arg(long, value_name = "RUNNER")]
    runner: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Args)]
pub struct RemoveArgs {
    /// Its name, or its id.
    name: String,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Args)]
#[command(after_help = "\
What does not answer, was not looked at for 90 s, or was merely found by a runner is never chosen. Of
the others those come first that have the model loaded, then those with less to do. It exits 1 when there is none.

In a pipe each line holds, separated by tabs: id, name, chosen, fits or unfit, warm or cold, load,
reasons.")]
pub struct ChooseArgs {
    /// As Ollama names it, such as llama3:8b.
    model: String,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
}

pub async fn run(command: &EndpointCommand) -> Result<Exit, CliError> {
    match command {
        EndpointCommand::List(args) => list(args).await,
        EndpointCommand::Show(args) => show(args).await,
        EndpointCommand::Add(args) => add(args).await,
        EndpointCommand::Remove(args) => remove(args).await,
        EndpointCommand::Pull(args) => endpoint_pull::pull(args).await,
        EndpointCommand::Choose(args) => choose(args).await,
    }
}

async fn list(args: &ListArgs) -> Result<Exit, CliError> {
    let endpoints = args.connection.client()?.endpoints().await?;
    match args.output.output() {
        Output::Json => print_json(&endpoints)?,
        Output::Pipe => print_tab_separated(&endpoints.iter().map(fields).collect::<Vec<_>>())?,
        Output::Terminal if endpoints.is_empty() => {
            remark("There is none. A runner finds an Ollama on its machine; `muster endpoint add` registers one elsewhere.")
        }
        Output::Terminal => {
            let now = now();
            let rows: Vec<_> = endpoints.iter().map(|endpoint| row(endpoint, now)).collect();
            print_table(&["NAME", "HEALTH", "MODELS", "WARM", "ATTEMPTS", "LOOKED AT", "ADDRESS"], &rows)?;
            for endpoint in endpoints.iter().filter(|endpoint| endpoint.health == EndpointHealth::Unhealthy) {
                let why = endpoint.why.as_deref().unwrap_or_default();
                remark(&format!("{} does not answer: {}", in_a_line(&endpoint.name), in_a_line(why)));
            }
            for endpoint in endpoints.iter().filter(|endpoint| !endpoint.is_confirmed) {
                let (name, how) = (in_a_line(&endpoint.name), in_a_line(&endpoint.how_to_confirm()));
                remark(&format!("{name} was found, not confirmed, and is given no prompts: {how}"));
            }
        }
    }
    Ok(Exit::Done)
}

fn fields(endpoint: &Endpoint) -> Vec<String> {
    vec![
        endpoint.id.to_string(),
        endpoint.name.clone(),
        endpoint.health.name().to_owned(),
        endpoint.url.clone(),
        endpoint.model_count.to_string(),
        endpoint.warm_count.to_string(),
        endpoint.attempts.to_string(),
        endpoint.checked_at.map(moment).unwrap_or_default(),
        endpoint.why.clone().unwrap_or_default(),
        (if endpoint.is_confirmed { "confirmed" } else { "found" }).to_owned(),
    ]
}

fn row(endpoint: &Endpoint, now: Timestamp) -> Vec<Cell> {
    vec![
        Cell::styled(in_a_line(&endpoint.name), bold()),
        Cell::plain(endpoint.health.name()),
        Cell::plain(endpoint.model_count.to_string()),
        Cell::plain(endpoint.warm_count.to_string()),
        Cell::plain(endpoint.attempts.to_string()),
        Cell::styled(endpoint.checked_at.map(|at| format!("{} ago", age(at, now))).unwrap_or_default(), dim()),
        Cell::styled(in_a_line(&endpoint.url), dim()),
    ]
}

async fn show(args: &ShowArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let detail = client.endpoint(find_endpoint(&client, &args.name).await?.id).await?;
    match args.output.output() {
        Output::Json => print_json(&detail)?,
        Output::Pipe => print_tab_separated(&lines(&detail))?,
        Output::Terminal => print_text(&page(&detail, now()))?,
    }
    Ok(Exit::Done)
}

fn lines(detail: &EndpointDetail) -> Vec<Vec<String>> {
    let EndpointDetail { endpoint, models, pulls } = detail;
    let names = ["id", "name", "health", "url", "models", "warm", "attempts", "checked_at", "why", "origin"];
    let mut lines: Vec<_> = names.into_iter().map(str::to_owned).zip(fields(endpoint)).map(|(name, value)| vec![name, value]).collect();
    let more = [
        ("runner_id", endpoint.runner_id.map(|id| id.to_string())),
        ("machine_of", endpoint.machine_of.map(|id| id.to_string())),
        ("registered_by", endpoint.registered_by.clone()),
        ("version", endpoint.version.clone()),
        ("unhealthy_since", endpoint.unhealthy_since.map(moment)),
        ("busy_percent", endpoint.busy_percent.map(|percent| percent.to_string())),
    ];
    lines.extend(more.into_iter().map(|(name, value)| vec![name.to_owned(), value.unwrap_or_default()]));
    let model = |model: &EndpointModel| {
        let quantization = model.quantization.clone().unwrap_or_default();
        vec!["model".to_owned(), model.name.clone(), model.state.name().to_owned(), model.size.to_string(), quantization]
    };
    lines.extend(models.iter().map(model));
    let pull = |pull: &Pull| {
        let (completed, total) = (pull.completed.to_string(), pull.total.to_string());
        let (id, model, state) = (pull.id.to_string(), pull.model.clone(), pull.state.name().to_owned());
        vec!["pull".to_owned(), id, model, state, completed, total, pull.why.clone().unwrap_or_default()]
    };
    lines.extend(pulls.iter().map(pull));
    lines
}

fn page(detail: &EndpointDetail, now: Timestamp) -> String {
    let EndpointDetail { endpoint, models, pulls } = detail;
    let mut lines =
        vec![format!("{bold}{}{bold:#}", in_a_line(&endpoint.name), bold = bold()), endpoint.health.name().to_owned(), String::new()];
    lines.push(field("address", &endpoint.url));
    lines.push(match &endpoint.registered_by {
        Some(by) => field("registered", &format!("{}, by {by}", moment(endpoint.created_at))),
        None if endpoint.is_confirmed => field("found", "by the runner on its machine, whose settings name it"),
        None => field("found", &format!("by the runner on its machine, not confirmed: {}", endpoint.how_to_confirm())),
    });
    lines.extend(endpoint.machine_of.map(|runner| field("machine of", &format!("runner {runner}"))));
    lines.extend(endpoint.why.as_ref().map(|why| field("why", why)));
    lines.extend(endpoint.unhealthy_since.map(|since| field("since", &moment(since))));
    lines.extend(endpoint.version.as_ref().map(|version| field("ollama", version)));
    lines.push(field("looked at", &endpoint.checked_at.map_or_else(|| "not yet".to_owned(), |at| format!("{} ago", age(at, now)))));
    lines.push(field("attempts", &endpoint.attempts.to_string()));
    lines.extend(endpoint.busy_percent.map(|percent| field("machine", &format!("{percent} % busy"))));
    let dim = dim();
    let model = |model: &EndpointModel| {
        format!("{:<4}  {}  {dim}{}{dim:#}", model.state.name(), in_a_line(&model.name), in_a_line(&model.in_words()))
    };
    lines.extend(section("Models", models.iter().map(model).collect()));
    lines.extend(section("Pulls", pulls.iter().map(endpoint_pull::line).collect()));
    lines.join("\n") + "\n"
}

async fn add(args: &AddArgs) -> Result<Exit, CliError> {
    // before anything is asked of the server, so that a wrong command line is told as one
    let new =
        NewEndpoint { name: args.name.clone(), url: args.address.clone(), machine_of: None }.validated().map_err(CliError::Invalid)?;
    let client = args.connection.client()?;
    let machine_of = match &args.runner {
        Some(runner) => Some(find_runner(&client, runner).await?.id),
        None => None,
    };
    let endpoint = client.register_endpoint(&NewEndpoint { machine_of, ..new }).await?;
    match args.output.output() {
        Output::Json => print_json(&endpoint)?,
        Output::Pipe => print_tab_separated(&[vec![endpoint.id.to_string()]])?,
        Output::Terminal => {
            let name = in_a_line(&endpoint.name);
            print_text(&format!("{name} is registered, and looked at now: muster endpoint show {name}\n"))?;
        }
    }
    Ok(Exit::Done)
}

async fn remove(args: &RemoveArgs) -> Result<Exit, CliError> {
    let client = args.connection.client()?;
    let endpoint = find_endpoint(&client, &args.name).await?;
    client.remove_endpoint(endpoint.id).await?;
    remark(&format!("{} is removed.", in_a_line(&endpoint.name)));
    Ok(Exit::Done)
}

async fn choose(args: &ChooseArgs) -> Result<Exit, CliError> {
    let choice = args.connection.client()?.choose_endpoint(&args.model).await?;
    match args.output.output() {
        Output::Json => print_json(&choice)?,
        Output::Pipe => print_tab_separated(&considered(&choice))?,
        Output::Terminal if choice.considered.is_empty() => remark("There is no endpoint."),
        Output::Terminal => {
            let row =
                |one: &Vec<String>| vec![Cell::styled(one[1].as_str(), bold()), Cell::plain(one[2].as_str()), Cell::plain(one[6].as_str())];
            print_table(&["NAME", "", "WHY"], &considered(&choice).iter().map(row).collect::<Vec<_>>())?;
        }
    }
    Ok(if choice.chosen.is_some() { Exit::Done } else { Exit::Failed })
}

fn considered(choice: &EndpointChoice) -> Vec<Vec<String>> {
    let line = |one: &domain::endpoint::choice::Considered| {
        let chosen = if choice.chosen == Some(one.id) { "chosen" } else { "" };
        let fits = if one.fits { "fits" } else { "unfit" };
        let state = one.state.map(ModelState::name).unwrap_or_default();
        let (id, name, reasons) = (one.id.to_string(), in_a_line(&one.name), in_a_line(&one.reasons.join("; ")));
        vec![id, name, chosen.to_owned(), fits.to_owned(), state.to_owned(), one.load.to_string(), reasons]
    };
    choice.considered.iter().map(line).collect()
}

/// By its name, or by its id.
pub async fn find_endpoint(client: &Client, name: &str) -> Result<Endpoint, CliError> {
    let mut endpoints = client.endpoints().await?.into_iter();
    endpoints.find(|endpoint| endpoint.id.to_string() == name || endpoint.name == name).ok_or_else(|| CliError::Failed {
        message: format!("there is no endpoint {name}"),
        remedy: Some("`muster endpoint list` shows those there are".into()),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::{
        EndpointId,
        endpoint::{Candidate, choose},
    };
    use uuid::Uuid;

    use super::*;

    fn endpoint() -> EndpointDetail {
        let model = |name: &str, state| EndpointModel {
            name: name.into(),
            state,
            size: 1 << 30,
            quantization: Some("Q4_0".into()),
            parameters: None,
            vram: None,
        };
        let endpoint = Endpoint {
            id: EndpointId(Uuid::from_u128(1)),
            name: "box".into(),
            url: "http://box:11434".into(),
            runner_id: None,
            machine_of: None,
            registered_by: Some("Ada".into()),
            created_at: Timestamp::UNIX_EPOCH,
            is_confirmed: true,
            is_shared: false,
            health: EndpointHealth::Healthy,
            why: None,
            unhealthy_since: None,
            checked_at: Some(Timestamp::UNIX_EPOCH),
            version: Some("0.9.1".into()),
            model_count: 2,
            warm_count: 1,
            attempts: 1,
            busy_percent: None,
        };
        let models = vec![model("llama3:latest", ModelState::Warm), model("tiny:1b", ModelState::Cold)];
        EndpointDetail { endpoint, models, pulls: vec![] }
    }

    #[test]
    fn a_person_sees_what_it_has() {
        let text = page(&endpoint(), Timestamp::UNIX_EPOCH + Duration::from_secs(4));
        let text = anstream::adapter::strip_str(&text).to_string();
        assert!(text.starts_with("box\nhealthy\n\naddress     http://box:11434\n"), "{text}");
        assert!(text.contains("\nlooked at   4 s ago\n"), "{text}");
        assert!(!text.contains("not confirmed"), "{text}");
        assert!(text.contains("\nModels\n  warm  llama3:latest  1.0 GiB, Q4_0\n  cold  tiny:1b  1.0 GiB, Q4_0\n"), "{text}");
    }

    #[test]
    fn a_person_sees_of_what_was_merely_found_how_that_is_confirmed() {
        let EndpointDetail { endpoint, .. } = endpoint();
        let found = Endpoint { registered_by: None, is_confirmed: false, ..endpoint };
        let text = page(&EndpointDetail { endpoint: found, models: vec![], pulls: vec![] }, Timestamp::UNIX_EPOCH);
        assert!(text.contains("not confirmed: ") && text.contains("MUSTER_OLLAMA_URL=http://box:11434"), "{text}");
    }

    #[test]
    fn a_program_gets_a_line_for_each_model() {
        let lines = lines(&endpoint());
        let value = |name: &str| lines.iter().find(|line| line[0] == name).map(|line| line[1].as_str());
        assert_eq!([value("health"), value("models"), value("warm")], [Some("healthy"), Some("2"), Some("1")]);
        assert_eq!([value("registered_by"), value("origin")], [Some("Ada"), Some("confirmed")]);
        let models: Vec<_> = lines.iter().filter(|line| line[0] == "model").map(|line| (&*line[1], &*line[2])).collect();
        assert_eq!(models, [("llama3:latest", "warm"), ("tiny:1b", "cold")]);
    }

    #[test]
    fn a_choice_is_told_with_its_reasons() {
        let EndpointDetail { endpoint, mut models, .. } = endpoint();
        let with = |model| [Candidate { endpoint: endpoint.clone(), model, of_others: 0 }];
        let told = considered(&choose("llama3", &[], &with(Some(models.remove(0)))));
        assert_eq!(told[0][1..6], ["box", "chosen", "fits", "warm", "75"]);
        let told = considered(&choose("other", &[], &with(None)));
        assert_eq!((told[0][2].as_str(), told[0][6].as_str()), ("", "it does not have the model"));
    }
}
