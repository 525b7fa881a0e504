//! Lands results: pushes the commit that an attempt has saved to where its repository came from, and opens a pull request for it.
//!
//! All of it happens outside of any sandbox, after the attempt is over, with the credentials of this machine (`credentials.rs`), which no work
//! ever sees. Nothing is written down here: the server tells what is to land until it has heard what came of it, and to land a result twice
//! changes nothing. A branch that somebody else has moved is left alone.

mod forge;
mod github;
mod gitlab;
mod http;
mod push;
mod remote;

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex},
};

use domain::{
    PullRequest, TaskId, crash,
    protocol::{Landed, LandingOrder, ToServer, Trouble},
};
use tokio::sync::{Notify, Semaphore};
use tracing::{info, warn};

use crate::{life::Runner, lock};
use push::{Pushed, push};
pub(crate) use remote::is_here;

/// The environment variable that marks what git starts for a landing.
const MARKER: &str = "MUSTER_LANDING";
/// At once; the rest waits.
const AT_ONCE: usize = 4;
/// Before the first try again, where nobody says how long.
const AGAIN_IN: u32 = 60;

pub(crate) struct Landings {
    /// Told again meanwhile, they are not begun anew.
    at_work: Mutex<HashSet<TaskId>>,
    said: Mutex<VecDeque<Landed>>,
    to_say: Notify,
    turns: Semaphore,
}

impl Default for Landings {
    fn default() -> Self {
        Self { at_work: Mutex::default(), said: Mutex::default(), to_say: Notify::new(), turns: Semaphore::new(AT_ONCE) }
    }
}

impl Landings {
    /// What is to be said to the server, once there is something. What is lost with a link is told again, and said again.
    pub async fn next(&self) -> ToServer {
        loop {
            let said = lock(&self.said).pop_front();
            match said {
                Some(landed) => return ToServer::Landed { landed, optional: true },
                None => self.to_say.notified().await,
            }
        }
    }

    fn say(&self, landed: Landed) {
        let mut said = lock(&self.said);
        // without a link it waits; of each task the last word counts
        said.retain(|earlier| earlier.attempt.task_id != landed.attempt.task_id);
        said.push_back(landed);
        self.to_say.notify_one();
    }
}

/// Lets go of the task also when what it does panics.
struct AtWork {
    runner: Arc<Runner>,
    task: TaskId,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        lock(&self.runner.landings.at_work).remove(&self.task);
    }
}

pub(crate) fn begin(runner: &Arc<Runner>, order: LandingOrder) {
    let task = order.attempt.task_id;
    if !lock(&runner.landings.at_work).insert(task) {
        return;
    }
    let at_work = AtWork { runner: Arc::clone(runner), task };
    runner.tracker.spawn(async move {
        let runner = &at_work.runner;
        let landed = tokio::select! {
            landed = carry_out(runner, &order) => landed,
            // the server tells the next life
            () = runner.stop.cancelled() => None,
        };
        let Some(landed) = landed else { return };
        match &landed.trouble {
            None => info!(task.id = %task, "The result of task {task} has landed"),
            Some(trouble) => warn!(task.id = %task, "The result of task {task} has not landed: {}", trouble.message),
        }
        crash::point("landing.done");
        runner.landings.say(landed);
    });
}

/// Nothing when the runner stops.
async fn carry_out(runner: &Runner, order: &LandingOrder) -> Option<Landed> {
    let _turn = runner.landings.turns.acquire().await.ok()?;
    let git = runner.git.for_attempt((MARKER, order.attempt.attempt_id.to_string()), runner.stop.clone());
    let landed = |remote: Option<String>, pull_request: Option<PullRequest>, trouble: Option<Trouble>| {
        Some(Landed { attempt: order.attempt, number: order.number, remote, pull_request, trouble })
    };
    let Pushed { remote, base } = match push(&git, runner, order).await {
        Ok(pushed) => pushed,
        Err(NotDone::Trouble(trouble)) => return landed(None, None, Some(trouble)),
        Err(NotDone::Stopped) => return None,
    };
    crash::point("landing.pushed");
    let Some(wanted) = &order.pull_request else { return landed(Some(remote), None, None) };
    match forge::open(&git, runner, &remote, &order.branch, base.as_deref(), wanted).await {
        Ok(pull_request) => landed(Some(remote), Some(pull_request), None),
        Err(NotDone::Trouble(trouble)) => landed(Some(remote), None, Some(trouble)),
        Err(NotDone::Stopped) => None,
    }
}

/// Why a part of it is not done.
#[derive(Debug)]
enum NotDone {
    Trouble(Trouble),
    /// The runner stops.
    Stopped,
}

impl From<Trouble> for NotDone {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// Somebody has to do something.
fn trouble(message: impl Into<String>, advice: impl Into<String>) -> Trouble {
    Trouble { message: message.into(), advice: advice.into(), again_in: None }
}

/// It may go well the next time.
fn passing(message: impl Into<String>, again_in: u32) -> Trouble {
    let advice = "It is tried again by itself; see that the machine of the runner reaches that host.";
    Trouble { message: message.into(), advice: advice.into(), again_in: Some(again_in) }
}
