//! What runners keep of attempts that were interrupted, so that the next attempt at the task goes on from there: which of it is still of use, and
//! who is given that attempt.
//!
//! It is a wish, and nobody waits for it: who keeps something and has a free slot is given the task before others are, and where that does not
//! come together the task begins anew. What is kept is known to the process that the runner is connected to, from what it says over its link;
//! whether it may be gone on from the database says.

use domain::{
    AttemptKey, RunnerId,
    protocol::{Assignment, ToRunner},
};
use tracing::warn;

use super::{RunnerSession, serve::until_answered};
use crate::{Engine, Result, attempt::store};

/// Of what one runner says to keep; it keeps fewer.
const MOST: usize = 100;

impl Engine {
    /// It keeps these; the answer says of which nobody will go on.
    pub(crate) async fn note_kept(&self, session: &RunnerSession, attempts: &[AttemptKey]) -> Option<ToRunner> {
        let of_use = self.of_use(session, attempts).await?;
        let forget: Vec<_> = attempts.iter().take(MOST).filter(|attempt| !of_use.contains(attempt)).copied().collect();
        self.hub.note_kept(session, of_use);
        (!forget.is_empty()).then_some(ToRunner::Forget { attempts: forget, optional: true })
    }

    /// Those of these that it may go on from; nothing when nobody can say.
    pub(super) async fn of_use(&self, session: &RunnerSession, attempts: &[AttemptKey]) -> Option<Vec<AttemptKey>> {
        let attempts = &attempts[..attempts.len().min(MOST)];
        match until_answered(session.name(), || self.resumable(session.id(), attempts)).await {
            Ok(of_use) => Some(of_use),
            Err(error) => {
                warn!("Whether what runner {} keeps is of use could not be seen: {error}", session.name());
                None
            }
        }
    }

    async fn resumable(&self, runner: RunnerId, attempts: &[AttemptKey]) -> Result<Vec<AttemptKey>> {
        if attempts.is_empty() {
            return Ok(vec![]);
        }
        let mut conn = self.database.system.acquire().await?;
        store::resumable(&mut conn, runner, attempts).await
    }

    /// Says in these assignments from which earlier attempt their runner is to go on.
    pub(crate) async fn go_on(&self, assignments: &mut [(RunnerSession, Assignment)]) {
        for (runner, assignment) in assignments {
            let Some(kept) = self.hub.kept_of(runner, assignment.attempt.task_id) else { continue };
            match self.resumable(runner.id(), &[kept]).await {
                Ok(found) => assignment.continues = found.into_iter().next(),
                Err(error) => {
                    warn!(task.id = %kept.task_id, "Task {} begins anew, as what is kept of it could not be seen: {error}", kept.task_id)
                }
            }
        }
    }
}
