//! Puts away what an attempt has left without coming to its end: after a life of the runner that was cut short, or after an error
//! of the runner's own.

use std::{io, sync::Arc};

use domain::AttemptKey;
use thiserror::Error;
use tracing::{error, info, warn};

use crate::{
    attempt,
    journal::Entry,
    life::Runner,
    outbox::Left,
    process::{self, MARKER, Survivors},
    sandbox::group,
    save::{NotSaved, Saved, save},
};

#[derive(Debug, Error)]
pub(crate) enum NotPutAway {
    #[error("{0}")]
    Survivors(#[from] Survivors),
    #[error("its work could not be saved: {0}")]
    Save(#[from] NotSaved),
    #[error("its work is to be looked at in a sandbox, and {0}")]
    NoSandbox(String),
    #[error("its control group could not be removed: {0}")]
    Group(io::Error),
    #[error("its folder could not be removed: {0}")]
    Folder(#[from] io::Error),
}

/// Ends, saves and removes what earlier lives have left. Says of which attempts nothing was ever said; of the others what was said is taken up,
/// and they are held until the server has heard it to the last word. Where that cannot be read the attempt is neither lost nor held, so that
/// the server gives it to somebody else, and what there is of it stays for a life that can.
pub(crate) async fn earlier_lives(runner: &Arc<Runner>) -> Vec<AttemptKey> {
    let entries = runner.journal.entries().await;
    runner.interrupted.load().await;
    runner.sandbox.clear_groups(&entries);
    // First of all, so that nothing of them writes any more while git works.
    for entry in &entries {
        if let Err(error) = process::kill(&entry.trace(), &runner.limits).await {
            warn!(attempt.id = %entry.attempt.attempt_id, "An earlier life's attempt still runs: {error}");
        }
    }
    runner.mirrors.clear_up(&runner.git).await;
    // what the journal has forgotten was answered
    runner.outbox.keep_what_is_in(&runner.journal).await;
    let mut lost = vec![];
    for entry in &entries {
        let id = entry.attempt.attempt_id;
        let census = |is_kept| drop(runner.tracker.spawn(attempt::census(Arc::clone(runner), id, is_kept)));
        match runner.outbox.take_up(entry.attempt).await {
            // its work was saved before, or its last word says where it is
            Ok(Some(Left::Ended)) => {
                info!(attempt.id = %id, "An earlier life ended before the last word about attempt {id} was answered: it is said again");
                attempt::say_the_rest(runner, entry.attempt);
                census(true);
                continue;
            }
            Ok(Some(Left::AtWork)) => attempt::say_the_rest(runner, entry.attempt),
            Ok(None) => lost.push(entry.attempt),
            Err(error) => error!(attempt.id = %id, "What was said about attempt {id} of an earlier life cannot be read: {error}"),
        }
        match put_away(runner, entry, true).await {
            Ok(saved) => {
                for commit in saved.iter().filter_map(|one| one.commit.as_ref()) {
                    info!(attempt.id = %id, "Saved the work of an earlier life as {commit}");
                }
                runner.outbox.leave(id, attempt::for_a_last_word(saved));
                census(false);
            }
            Err(error) => {
                census(true);
                warn!(attempt.id = %id, "Attempt {id} of an earlier life is not cleared up, its folder {} stays: {error}", entry.folder.display());
            }
        }
    }
    lost
}

/// Ends what runs of it, saves what it did, and removes its folder; what it takes to go on from it is kept where it was `interrupted`. On an error
/// the folder stays.
pub(crate) async fn put_away(runner: &Runner, entry: &Entry, interrupted: bool) -> Result<Vec<Saved>, NotPutAway> {
    process::kill(&entry.trace(), &runner.limits).await?;
    let mut saved = vec![];
    if entry.parts().iter().any(|part| part.entry.worktree.is_some() && part.work.exists()) {
        let marker = (MARKER, entry.attempt.attempt_id.to_string());
        let git = runner.git.for_attempt(marker, tokio_util::sync::CancellationToken::new());
        let room = runner.sandbox.same_room(entry).await.map_err(NotPutAway::NoSandbox)?;
        let done = save(&git, &room, entry).await;
        room.let_go(runner.limits.kill).await.map_err(NotPutAway::Group)?;
        saved = done?;
        if interrupted {
            runner.interrupted.keep(entry, &saved).await;
        }
    }
    if let Some(group) = &entry.group {
        group::remove(group, runner.limits.kill).await.map_err(NotPutAway::Group)?;
    }
    runner.folders.throw_away(&entry.folder, &runner.tracker).await?;
    Ok(saved)
}
