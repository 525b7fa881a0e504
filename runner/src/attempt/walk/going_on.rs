//! Going on from an earlier attempt that was interrupted: its work is put back into the fresh worktree, as changes that nobody has committed, and
//! its session to where the agent looks for it. The worktree begins at the same commit as that of the earlier attempt, or it is no going on.
//!
//! So what comes of it is what comes of any attempt: what there is in the worktree at its end, beside the commit that it began from. Where anything
//! is missing or is another by now the attempt begins anew, and its session says why.

use std::fs;

use domain::FailureCode;
use tracing::warn;

use super::{Attempt, Ended};
use crate::{
    attempt::{folder::AttemptFolder, round::Round},
    backend::agent::{self, Doing},
    disk::on_disk,
    folders::{private_folder, remove},
    git::{Git, GitError},
    held::{Order, Orders},
    interrupted::Kept,
    journal::Checkout,
    mirror::{self, Refused},
    save::{SaveError, would_be},
    worktree,
};

enum Not {
    /// It begins anew, for this reason.
    GoneOn(String),
    Prepared(Refused),
}

impl From<Refused> for Not {
    fn from(refused: Refused) -> Self {
        Self::Prepared(refused)
    }
}

impl From<&str> for Not {
    fn from(why: &str) -> Self {
        Self::GoneOn(why.to_owned())
    }
}

impl Attempt {
    /// From now on checks run where the work was done, and what they leave there is nobody's to go on from.
    pub(super) async fn is_not_gone_on_from(&mut self) {
        if self.entry.spoken.take().is_none() {
            return;
        }
        if let Err(error) = self.runner.journal.write(&self.entry).await {
            warn!("The journal takes attempt {} for one that may be gone on from: {error}", self.entry.attempt.attempt_id);
        }
    }

    /// Where the server says so. The worktree is there, and nothing has been done in it.
    pub(super) async fn go_on(&mut self, git: &Git, own: &Git, checkout: &Checkout) -> Result<(), Refused> {
        let Some(earlier) = self.assignment.continues else { return Ok(()) };
        match self.put_back(git, own, checkout).await {
            Ok(kept) => {
                self.entry.spoken = Some(kept.spoken.clone());
                self.goes_on = Some(kept);
            }
            Err(Not::GoneOn(why)) => {
                self.afresh = Some(format!("attempt {} was interrupted, and this one begins anew: {why}", earlier.number))
            }
            Err(Not::Prepared(refused)) => return Err(refused),
        }
        Ok(())
    }

    async fn put_back(&self, git: &Git, own: &Git, checkout: &Checkout) -> Result<Kept, Not> {
        let of_this_task = self.assignment.continues.filter(|earlier| earlier.task_id == self.entry.attempt.task_id);
        let earlier = of_this_task.ok_or("it is another task's")?;
        let (kept, session) = self.runner.interrupted.take(earlier).await.ok_or("nothing of it is kept on this runner any more")?;
        let Ok(Doing::Agent { found, .. }) = Doing::of(&self.assignment, &self.agents, self.runner.config.agent_command.as_deref()) else {
            return Err("the task is for no agent any more".into());
        };
        if let Some(why) = kept.refusal(found, &self.assignment) {
            return Err(Not::GoneOn(why));
        }
        if kept.base_commit != checkout.base_commit {
            return Err("what it began from has moved".into());
        }
        if self.entry.lfs || self.assignment.submodules || !self.entry.beside.is_empty() {
            return Err("there are submodules, files of Git LFS or further repositories now".into());
        }
        let place = kept.place(&checkout.path).ok_or("nobody knows where its agent would look for its session")?;
        if let Some(commit) = &kept.commit {
            self.bring(git, &kept, commit).await?;
            self.change_to(git, own, checkout, commit).await?;
        }
        let file = AttemptFolder::of(&self.entry.folder).home().join(agent::own_folder(&found.backend)).join(place);
        let written = on_disk(move || {
            if let Some(folder) = file.parent() {
                private_folder(folder)?;
            }
            fs::write(file, session)
        });
        written.await.map_err(Refused::from)?;
        Ok(kept)
    }

    /// The saved work into the mirror, which does not fetch what attempts have left.
    async fn bring(&self, git: &Git, kept: &Kept, commit: &str) -> Result<(), Not> {
        let (mirror, location) = (&self.entry.mirror, &self.entry.repository);
        let _turn = self.runner.mirrors.turn_for(git, mirror).await?;
        if mirror::has_commit(git, mirror, commit).await.map_err(Refused::from)? {
            return Ok(());
        }
        if location.starts_with('/') {
            match mirror::bring(git, mirror, location, &kept.branch).await {
                Ok(()) | Err(GitError::Failed { .. }) => {}
                Err(error) => return Err(Refused::from(error).into()),
            }
        }
        match mirror::has_commit(git, mirror, commit).await.map_err(Refused::from)? {
            true => Ok(()),
            false => Err(Not::GoneOn(format!("what was saved of it is not on {} any more", kept.branch))),
        }
    }

    /// On an error everything is as it was.
    async fn change_to(&self, git: &Git, own: &Git, checkout: &Checkout, commit: &str) -> Result<(), Not> {
        let writes = if self.room.is_closed() { own.inside_to_write(&self.room) } else { git.clone() };
        let why = match self.stands_as_saved((git, own, &writes), checkout, commit).await {
            Ok(true) => return Ok(()),
            // what it had staged of what git ignores, and what was a repository within this one, would be missing, and nobody would say so
            Ok(false) => "not all of it would be saved again, as git ignores some of it or it holds another repository".to_owned(),
            Err(SaveError::Git(GitError::GivenUp)) => return Err(Refused::GivenUp.into()),
            Err(error) => error.to_string(),
        };
        let folders = [checkout.path.clone(), checkout.git_dir.clone()];
        on_disk(move || folders.iter().try_for_each(|folder| remove(folder))).await.map_err(Refused::from)?;
        AttemptFolder::of(&self.entry.folder).make().map_err(Refused::from)?;
        let refs = mirror::packed_refs(git, &self.entry.mirror).await?;
        worktree::add(git, &writes, &self.entry, checkout, &refs).await?;
        Err(Not::GoneOn(format!("what was saved of it could not be put back: {why}")))
    }

    /// Puts it back. Whether all of that would be saved again as the files that there are.
    async fn stands_as_saved(&self, (git, own, writes): (&Git, &Git, &Git), checkout: &Checkout, commit: &str) -> Result<bool, SaveError> {
        worktree::change_to(writes, &self.entry, checkout, commit).await?;
        let saved = mirror::tree(git, &self.entry.mirror, commit).await?;
        Ok(would_be(own, &self.room, (&self.entry, checkout)).await? == saved)
    }

    /// Why an agent that was to go on in the session of an earlier attempt has not begun, where it has said that itself.
    pub(super) fn not_gone_on(&self, round: &Round, ended: Option<&Ended>, orders: &Orders) -> Option<String> {
        match ended {
            Some(Ended::Failed(failure)) if failure.code == FailureCode::CommandFailed => {
                let has_not_begun = round.goes_on() && !self.written.has_begun && orders.current() == Order::Work;
                has_not_begun
                    .then(|| format!("the session of the earlier attempt is not gone on in, and another begins: {}", failure.message))
            }
            _ => None,
        }
    }
}

/// Through no fault of the work.
pub(super) fn is_interrupted(ended: &Ended) -> bool {
    match ended {
        Ended::Told(order) => matches!(order, Order::Abandon(_)),
        Ended::Failed(failure) => failure.code == FailureCode::ProviderLimit,
        Ended::Completed(..) | Ended::NotBegun(_) | Ended::TimedOut => false,
    }
}
