//! `muster runner join`: a machine becomes a runner of a workspace, and shows that it works. Each step is on the disk before the next, so
//! that `--resume` goes on from wherever it was cut short.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::Args;
use domain::{
    TaskStateName, TaskView, crash,
    runner::{JoinRunner, JoinedRunner, NewTrial},
};
use reqwest::Url;
use runner::{AgentConfig, Key};
use tokio_util::sync::CancellationToken;

use super::{
    client::Client,
    connection::{is_local, parse_url},
    error::{CliError, Exit, Problem},
    output::{print_text, remark},
    runner::RunArgs,
    runner_agents::agent_lines,
    runner_folder::{
        Joining, Membership, Settings, cannot_use, forget_joining, is_a_runners, is_for_a_runner, joining, membership, remember_joining,
        remember_membership, trial_folder,
    },
    runner_run, runner_service,
    sample_repository::make_sample_repository,
    spinner::spinner,
    task_result::{failed_check_lines, result_lines},
};
use crate::signals::Signals;

#[derive(Args)]
#[command(after_help = "\
The machine makes a key pair; the private half stays on it. Where systemd runs services for users the runner
becomes one, else it works in this terminal. Then it carries out a small task, and says what came of it, and
which agents are there. The service finds programs where this terminal does; keys that are set here it has only
when they are put into the file `environment` in the runner's folder.

Examples:
  muster runner join https://muster.example.org mst_join_…
  muster runner join http://127.0.0.1:7878 mst_join_… --name gpu-box --capability gpu --slots 2
  muster runner join --resume")]
pub struct JoinArgs {
    /// The server.
    #[arg(value_name = "URL", value_parser = parse_url, required_unless_present = "resume")]
    url: Option<Url>,
    /// What `muster runner token` printed. It works once.
    #[arg(required_unless_present = "resume")]
    token: Option<String>,
    /// Go on with a join that was cut short.
    #[arg(long, conflicts_with_all = ["url", "token", "name", "paths"])]
    resume: bool,
    /// What the runner is called; the name of this machine when absent.
    #[arg(long)]
    name: Option<String>,
    /// Also take tasks whose repository is a path: this machine shares its disk with whoever names them.
    #[arg(long)]
    paths: bool,
    /// Send everything unencrypted, also to another machine.
    #[arg(long)]
    plaintext: bool,
    /// Work in this terminal, and install no service.
    #[arg(long)]
    foreground: bool,
    /// Only join; `muster runner run` works.
    #[arg(long, conflicts_with = "foreground")]
    no_run: bool,
    #[command(flatten)]
    run: RunArgs,
}

/// How often the trial is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// For the trial to come to its end: it waits for a free slot, and works for a minute at most.
const TRIAL: Duration = Duration::from_secs(420);

pub async fn join(args: JoinArgs) -> Result<Exit, CliError> {
    let folder = &args.run.folder.place();
    let joining = begin(&args, folder)?;
    // it is there now, and has one name
    let folder = &args.run.folder.place();
    crash::point("join.begun");
    let trial = make_sample_repository(&trial_folder(folder))?;
    let known = match membership(folder)? {
        Some(known) => known,
        None => register(folder, &joining).await?,
    };
    remark(&format!("This machine is the runner {} of the workspace {}.", known.name, known.workspace));
    if args.no_run {
        forget_joining(folder)?;
        remark("`muster runner run` works.");
        return Ok(Exit::Done);
    }
    let client = Client::new(joining.url.clone(), &joining.token)?;
    if !args.foreground && runner_service::is_possible() {
        let unit = runner_service::install(folder, &known)?;
        remark(&format!("It works as the service {unit}; `systemctl --user status {unit}` shows it."));
        let agents = known.settings.agents.config(folder);
        let tried = try_out(&client, trial, &agents).await.map_err(|error| cannot_be_tried(folder, error))?;
        return end(folder, &tried);
    }
    let agents = known.settings.with(&args.run).agents.config(folder);
    in_this_terminal(&args.run, folder, &client, (trial, &agents)).await
}

/// What is to be joined, on the disk from now on.
fn begin(args: &JoinArgs, folder: &Path) -> Result<Joining, CliError> {
    let begun = joining(folder)?;
    let (Some(url), Some(token)) = (&args.url, &args.token) else {
        return begun.ok_or_else(|| CliError::Failed {
            message: "there is no join to go on with".into(),
            remedy: Some("`muster runner token`, on a machine that is signed in, prints the command that joins this one".into()),
        });
    };
    if url.scheme() == "http" && !is_local(url) && !args.plaintext {
        return Err(CliError::Usage {
            message: format!("{url} is not encrypted, and whoever listens could read and change what the runner is told"),
            remedy: "use https, or --plaintext in a network that you trust".into(),
        });
    }
    let token = token.trim().to_owned();
    if let Some(known) = membership(folder)? {
        let same = begun.filter(|begun| begun.url == *url && begun.token == token);
        return same.ok_or_else(|| CliError::Failed {
            message: format!("this machine has joined {} already, as {}", known.url, known.name),
            remedy: Some("`muster runner run` works; `muster runner leave` makes it a runner no longer".into()),
        });
    }
    if begun.is_none() && holds_something_else(folder)? {
        return Err(CliError::Usage {
            message: format!("{} holds what is no runner's, and a runner has its folder for itself", folder.display()),
            remedy: "name an empty folder, or one that is not there yet, with --runner-dir".into(),
        });
    }
    let settings = Settings::default().with(&args.run);
    let joining = Joining { url: url.clone(), token, name: args.name.clone(), paths: args.paths, settings };
    remember_joining(folder, &joining)?;
    Ok(joining)
}

fn holds_something_else(folder: &Path) -> Result<bool, CliError> {
    match fs::read_dir(folder) {
        // what an earlier runner has left here was one's
        Ok(mut entries) => {
            Ok(entries.any(|entry| entry.is_ok_and(|entry| !is_a_runners(&entry.file_name()) && !is_for_a_runner(&entry.file_name()))))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(cannot_use(folder, &error)),
    }
}

/// The same token with the same key is the same runner, however often it is asked for.
async fn register(folder: &Path, joining: &Joining) -> Result<Membership, CliError> {
    let key = Key::open_or_make(folder).map_err(|error| cannot_use(folder, &error))?;
    let join = JoinRunner {
        token: joining.token.clone(),
        public_key: key.public(),
        name: Some(joining.name.clone().unwrap_or_else(crate::local_runner::host_name)),
        paths: joining.paths,
    };
    let joined = Client::without_key(joining.url.clone())?.join_runner(&join).await;
    let JoinedRunner { id, name, workspace } = joined.map_err(bad_token)?;
    crash::point("join.answered");
    runner::remember_identity(folder, id).map_err(|error| cannot_use(folder, &error))?;
    let (url, settings) = (joining.url.clone(), joining.settings.clone());
    let known = Membership { id, url, name, workspace, paths: joining.paths, settings };
    // last: whoever finds it finds everything else
    remember_membership(folder, &known)?;
    crash::point("join.remembered");
    Ok(known)
}

/// A token is no API key.
fn bad_token(error: CliError) -> CliError {
    match error {
        CliError::Refused(problem) if problem.status == 401 => {
            CliError::BadToken(problem.detail.filter(|detail| !detail.is_empty()).unwrap_or(problem.title))
        }
        other => other,
    }
}

/// The runner works while it is tried out, and goes on when that went well.
async fn in_this_terminal(
    args: &RunArgs,
    folder: &Path,
    client: &Client,
    (trial, agents): (PathBuf, &AgentConfig),
) -> Result<Exit, CliError> {
    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let running = runner_run::work(args, stop.clone())?;
    tokio::pin!(running);
    let tried = tokio::select! {
        ended = &mut running => return ended,
        () = signals.asked_to_stop() => None,
        tried = try_out(client, trial, agents) => Some(tried),
    };
    let ended = match tried {
        Some(Ok(tried)) => end(folder, &tried),
        Some(Err(error)) => Err(cannot_be_tried(folder, error)),
        None => {
            remark("`muster runner join --resume` goes on.");
            Ok(Exit::Interrupted)
        }
    };
    if !matches!(ended, Ok(Exit::Done)) {
        stop.cancel();
        running.await?;
        return ended;
    }
    remark("It works until Ctrl-C; `muster runner run` takes it up again.");
    runner_run::until_asked_to_stop(running, stop, signals).await
}

/// When the token has expired meanwhile, the machine has joined all the same.
fn cannot_be_tried(folder: &Path, error: CliError) -> CliError {
    let CliError::Refused(Problem { status: 401, .. }) = error else { return error };
    let forgotten = forget_joining(folder).err();
    forgotten.unwrap_or_else(|| CliError::Failed {
        message: "the token has expired, so the runner could not be tried out".into(),
        remedy: Some("it has joined; `muster runner run` works".into()),
    })
}

/// What came of trying a runner out.
struct Tried {
    task: TaskView,
    agents: Vec<String>,
}

/// A small task that this runner alone may take, to its end; and which agents there are for others.
async fn try_out(client: &Client, repository: PathBuf, agents: &AgentConfig) -> Result<Tried, CliError> {
    let started = Instant::now();
    let spinner = spinner("Trying it out with a task".into(), started);
    let new = NewTrial { repository: repository.to_string_lossy().into_owned() };
    let mut task = patiently(started, || client.try_runner(&new)).await?;
    crash::point("join.tried");
    while !task.summary.state.is_final() {
        if started.elapsed() > TRIAL {
            return Err(CliError::Failed {
                message: format!("the trial, task {}, has not ended within {} s", task.summary.id, TRIAL.as_secs()),
                remedy: Some("`muster runner list` shows whether the runner is online; `muster runner join --resume` tries again".into()),
            });
        }
        tokio::time::sleep(LOOK).await;
        task = patiently(started, || client.runner_trial()).await?;
    }
    let agents = agent_lines(agents).await;
    if let Some(spinner) = spinner {
        spinner.finish_and_clear();
    }
    Ok(Tried { task, agents })
}

/// A server that restarts meanwhile is waited for.
async fn patiently<T, F: Future<Output = Result<T, CliError>>>(started: Instant, act: impl Fn() -> F) -> Result<T, CliError> {
    loop {
        match act().await {
            Err(error) if error.may_pass() && started.elapsed() < TRIAL => tokio::time::sleep(LOOK * 4).await,
            answered => return answered,
        }
    }
}

/// Says what came of the trial. What did not go well can be tried again.
fn end(folder: &Path, Tried { task, agents }: &Tried) -> Result<Exit, CliError> {
    let went_well = task.summary.state.name() == TaskStateName::Succeeded;
    if went_well {
        forget_joining(folder)?;
    }
    let lines = [vec![format!("Trial, task {}", task.summary.id)], result_lines(task), failed_check_lines(task), agents.clone()].concat();
    print_text(&format!("{}\n", lines.join("\n")))?;
    if went_well {
        return Ok(Exit::Done);
    }
    Err(CliError::Failed {
        message: "the runner has joined, and its trial did not go well".into(),
        remedy: Some("`muster runner join --resume` tries again".into()),
    })
}
