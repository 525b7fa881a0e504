//! `muster runner leave`: a machine is a runner no longer.

use std::{
    fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use domain::crash;
use runner::RunnerError;

use super::{
    error::{CliError, Exit},
    output::remark,
    runner::FolderArgs,
    runner_folder::{Membership, cannot_use, is_a_runners, is_for_a_runner},
    runner_run::{config, ended, known, link_url},
    runner_service,
};
use crate::{config::LogFormat, telemetry};

#[derive(Args)]
#[command(after_help = "\
What still runs is ended and saved. Branches that attempts have left in the runner's copies of repositories stay
on the disk unless --purge is there. Manifests of agents that lie in its folder stay in any case; the file
`environment` with what its service was given goes.

Examples:
  muster runner leave
  muster runner leave --yes --purge")]
pub struct LeaveArgs {
    /// Do not ask.
    #[arg(long, short)]
    yes: bool,
    /// Also delete what attempts have left on this machine.
    #[arg(long)]
    purge: bool,
    /// Leave also when the server cannot be told. `muster runner remove` there makes the key dead.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    folder: FolderArgs,
}

/// Seconds for the server to hear of it.
const PATIENCE: u32 = 30;

/// [`PATIENCE`], unless a test has little time.
fn patience() -> Duration {
    Duration::from_secs(crash::setting("MUSTER_LEAVE_SECONDS").unwrap_or(PATIENCE).into())
}

pub async fn leave(args: &LeaveArgs) -> Result<Exit, CliError> {
    let folder = &args.folder.place();
    let known = known(folder)?;
    if !args.yes && !is_wanted(&known)? {
        remark("Nothing was changed.");
        return Ok(Exit::Failed);
    }
    let service = runner_service::stop(&known)?;
    telemetry::start(LogFormat::Text, telemetry::SERVER);
    if let Err(error) = tell(args, folder, &known).await {
        if service {
            runner_service::start(&known)?;
        }
        return Err(error);
    }
    runner_service::remove(&known)?;
    let kept = clear(folder, args.purge).map_err(|error| cannot_use(folder, &error))?;
    remark(&format!("This machine is no runner of {} any more.", known.url));
    for kept in kept {
        let what = if kept.file_name().is_some_and(is_for_a_runner) { ", with the manifests of agents," } else { "" };
        remark(&format!("{}{what} is still there.", kept.display()));
    }
    Ok(Exit::Done)
}

/// Tells the server, as far as it is to be told.
async fn tell(args: &LeaveArgs, folder: &Path, known: &Membership) -> Result<(), CliError> {
    let link = link_url(&known.url);
    let config = config(folder, known, known.settings.clone());
    match runner::leave(config, || runner::dial(link.clone()), patience()).await {
        Ok(()) => Ok(()),
        Err(RunnerError::Unknown(reason)) => {
            remark(&format!("The server does not know it any more: {reason}"));
            Ok(())
        }
        Err(RunnerError::NotHeard(_) | RunnerError::Unfit(_)) if args.force => {
            remark(&format!("The server was not told. `muster runner remove '{}'` there makes its key dead.", known.name));
            Ok(())
        }
        Err(RunnerError::InUse(folder)) => Err(CliError::Failed {
            message: format!("the runner is at work in {}", folder.display()),
            remedy: Some("end it first, as with Ctrl-C in its terminal".into()),
        }),
        Err(error @ (RunnerError::NotHeard(_) | RunnerError::Unfit(_))) => Err(CliError::Failed {
            message: ended(&error).to_string(),
            remedy: Some("try again when that is mended, or leave with --force and remove the runner on the server".into()),
        }),
        Err(error) => Err(ended(&error)),
    }
}

fn is_wanted(known: &Membership) -> Result<bool, CliError> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(CliError::Usage {
            message: format!("{} would leave {}, and there is no terminal to ask on", known.name, known.url),
            remedy: "add --yes".into(),
        });
    }
    let terminal = console::Term::stderr();
    terminal.write_str(&format!("Make this machine, {}, no runner of {} any more? [y/N] ", known.name, known.url))?;
    Ok(matches!(terminal.read_line()?.trim(), "y" | "Y" | "yes"))
}

/// Removes the runner's folder; says what of it stays: what is not the runner's, and, unless all is to go, what attempts have left.
fn clear(folder: &Path, purge: bool) -> io::Result<Vec<PathBuf>> {
    let mut kept = vec![];
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        let holds_work = (name == "mirrors" || name == "attempts") && fs::read_dir(&path)?.next().is_some();
        if !is_a_runners(&name) || holds_work && !purge {
            kept.push(path);
            continue;
        }
        runner::remove(&path)?;
    }
    if kept.is_empty() {
        fs::remove_dir(folder)?;
    }
    Ok(kept)
}
