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
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::{Arc, Mutex},
};

use domain::{
    PullRequest, TaskId, crash,
    protocol::{Credentials, Landed, LandingOrder, ToServer, Trouble},
};
use tokio::sync::{Notify, Semaphore};
use tracing::{info, warn};

use crate::{credentials::whose_tokens, git::Git, life::Runner, lock};
use push::{Pushed, push};
pub(crate) use remote::is_here;

/// The environment variable that marks what git starts for a landing.
const MARKER: &str = "MUSTER_LANDING";
/// At once; the rest waits, and is told again meanwhile.
const AT_ONCE: usize = 4;
/// Before the first try again, where nobody says how long.
const AGAIN_IN: u32 = 60;

pub(crate) struct Landings {
    /// Told again meanwhile, they are not begun anew.
    at_work: Mutex<HashMap<Which, Turn>>,
    said: Mutex<VecDeque<Landed>>,
    to_say: Notify,
    turns: Semaphore,
}

/// The result of a task in one of its repositories.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Which {
    task: TaskId,
    position: i32,
}

/// What is at work for one.
struct Turn {
    number: i32,
    /// Somebody has asked for it anew meanwhile.
    next: Option<LandingOrder>,
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
        // without a link it waits; of each result the last word counts
        said.retain(|earlier| (earlier.attempt.task_id, earlier.position) != (landed.attempt.task_id, landed.position));
        said.push_back(landed);
        self.to_say.notify_one();
    }
}

/// Lets go of it also when what it does panics.
struct AtWork {
    runner: Arc<Runner>,
    which: Which,
    is_over: bool,
}

impl AtWork {
    /// What was asked for meanwhile; without anything it is let go of.
    fn next(&mut self) -> Option<LandingOrder> {
        let mut at_work = lock(&self.runner.landings.at_work);
        if let Some(turn) = at_work.get_mut(&self.which)
            && let Some(next) = turn.next.take()
        {
            turn.number = next.number;
            return Some(next);
        }
        at_work.remove(&self.which);
        self.is_over = true;
        None
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        if !self.is_over {
            lock(&self.runner.landings.at_work).remove(&self.which);
        }
    }
}

pub(crate) fn begin(runner: &Arc<Runner>, order: LandingOrder) {
    let task = order.attempt.task_id;
    let which = Which { task, position: order.position };
    match lock(&runner.landings.at_work).entry(which) {
        Entry::Occupied(mut turn) => {
            if order.number > turn.get().number {
                turn.get_mut().next = Some(order);
            }
            return;
        }
        Entry::Vacant(place) => place.insert(Turn { number: order.number, next: None }),
    };
    let mut at_work = AtWork { runner: Arc::clone(runner), which, is_over: false };
    runner.tracker.spawn(async move {
        let runner = Arc::clone(&at_work.runner);
        let mut order = order;
        loop {
            // the server tells the next life
            let Some(landed) = carry_out(&runner, &order).await else { return };
            match &landed.trouble {
                None => info!(task.id = %task, "The result of task {task} has landed"),
                Some(trouble) => warn!(task.id = %task, "The result of task {task} has not landed: {}", trouble.message),
            }
            crash::point("landing.done");
            runner.landings.say(landed);
            match at_work.next() {
                Some(next) => order = next,
                None => return,
            }
        }
    });
}

/// Nothing when the runner stops. Git is ended with all that it has started, and not left alone.
async fn carry_out(runner: &Runner, order: &LandingOrder) -> Option<Landed> {
    let _turn = tokio::select! {
        turn = runner.landings.turns.acquire() => turn.ok()?,
        () = runner.stop.cancelled() => return None,
    };
    let git = runner.git_for(&order.credentials).for_attempt((MARKER, order.attempt.attempt_id.to_string()), runner.stop.clone());
    let landed = |remote: Option<String>, pull_request: Option<PullRequest>, trouble: Option<Trouble>| {
        Some(Landed { attempt: order.attempt, number: order.number, position: order.position, remote, pull_request, trouble })
    };
    if order.says_anew {
        let said = tokio::select! {
            said = say_anew(&git, runner, order) => said,
            () = runner.stop.cancelled() => Err(NotDone::Stopped),
        };
        return match said {
            Ok(pull_request) => landed(None, pull_request, None),
            Err(NotDone::Trouble(trouble) | NotDone::NoToken(trouble)) => landed(None, None, Some(trouble)),
            Err(NotDone::Stopped) => None,
        };
    }
    let Pushed { remote, base } = match push(&git, runner, order).await {
        Ok(pushed) => pushed,
        Err(NotDone::Trouble(trouble)) => return landed(None, None, Some(trouble)),
        Err(NotDone::NoToken(trouble)) => return landed(None, None, Some(of_whom(trouble, &order.credentials))),
        Err(NotDone::Stopped) => return None,
    };
    crash::point("landing.pushed");
    let Some(wanted) = &order.pull_request else { return landed(Some(remote), None, None) };
    let opened = tokio::select! {
        opened = forge::open(&git, runner, &remote, &order.branch, base.as_deref(), wanted) => opened,
        () = runner.stop.cancelled() => Err(NotDone::Stopped),
    };
    match opened {
        Ok(pull_request) => landed(Some(remote), Some(pull_request), None),
        Err(NotDone::Trouble(trouble)) => landed(Some(remote), None, Some(trouble)),
        Err(NotDone::NoToken(trouble)) => landed(Some(remote), None, Some(of_whom(trouble, &order.credentials))),
        Err(NotDone::Stopped) => None,
    }
}

/// Nothing where its pull request is open no more.
async fn say_anew(git: &Git, runner: &Runner, order: &LandingOrder) -> Result<Option<PullRequest>, NotDone> {
    let Some(wanted) = &order.pull_request else { return Ok(None) };
    let remote = push::remote(git, runner, order).await?;
    forge::say_anew(git, runner, &remote, &order.branch, wanted).await
}

/// What helps a workspace that this machine is not for is another thing.
fn of_whom(trouble: Trouble, credentials: &Credentials) -> Trouble {
    let Credentials::Workspace { slug } = credentials else { return trouble };
    let advice = format!(
        "{} To mend that, whoever runs it puts a token into {slug}/HOST there and starts it again, or you join a machine of your own; then \
         try again.",
        whose_tokens(slug)
    );
    Trouble { advice, ..trouble }
}

/// Why a part of it is not done.
#[derive(Debug)]
enum NotDone {
    Trouble(Trouble),
    /// The other side wants to know who it is, and there is nothing to prove it with.
    NoToken(Trouble),
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
