//! What is said over one link: hello, everything that the server has not heard, signs of life; and what the server says.
//!
//! A hello names as held what this life carries out, and what an earlier one has left to be said. Only what was never spoken of is lost.

use std::{sync::Arc, time::Duration};

use domain::{
    AttemptKey, crash,
    protocol::{Assignment, Heard, Hello, Refusal, SPOKEN, Said, ToRunner, ToServer, VERSION},
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use tracing::{info, warn};

use crate::{
    Link, RunnerError, attempt,
    backend::{agent, found::Found},
    clock::Moment,
    heartbeat::Beats,
    held::{Order, Why},
    interrupted::TOLD_AGAIN,
    landing, lfs,
    life::Runner,
    pulls::pull_what_is_wanted,
};

/// For the last word of a runner that stops, and for the server to close the link after it.
const GOODBYE: Duration = Duration::from_secs(2);

/// What outlives the links.
pub(crate) struct Talk {
    /// What earlier lives left and had not said anything about, until the server knows.
    lost: Vec<AttemptKey>,
}

/// How many slots a hello speaks of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Places {
    /// As many as the machine says, unless the server says another number.
    All,
    /// The fewest there are, whatever the server says: what is held takes them all, and nothing is given beside it.
    Fewest,
}

/// How a link came to its end.
pub(crate) enum Ended {
    /// By itself; another one is needed.
    Closed,
    /// What the runner has said of itself is so no more: the next hello says what is.
    Outdated,
    /// The runner was to stop, and everything has been said.
    Left,
}

impl Talk {
    pub fn new(lost: Vec<AttemptKey>) -> Self {
        Self { lost }
    }

    pub async fn over(&mut self, runner: &Arc<Runner>, link: Link) -> Result<Ended, RunnerError> {
        let Link { to_server, mut from_server } = link;
        // before the hello says them: what changes from here on is news
        let (mut known, mut others) = (runner.known.subscribe(), runner.others.subscribe());
        let Some(every) = self.hello(runner, Places::All, &to_server, &mut from_server).await? else { return Ok(Ended::Closed) };
        let beats = Beats::default();
        let mut never_begun = vec![];
        {
            let speak = speak(runner, &to_server, &beats, every);
            let all_is_over = async {
                runner.tracker.wait().await;
                // what was ended has no last word to wait for, and is heard to where it breaks off
                let _ = timeout(runner.limits.last_report, runner.outbox.heard_out()).await;
            };
            tokio::pin!(speak, all_is_over);
            let mut stops = false;
            loop {
                tokio::select! {
                    biased;
                    () = runner.stop.cancelled(), if !stops => {
                        stops = true;
                        // What has only its last word left to say has a moment to hear that it is stored.
                        runner.held.order_all(Order::Abandon(Why::Stopping));
                        runner.tracker.close();
                    }
                    () = &mut all_is_over, if stops => break,
                    // what runs goes on, and what is not answered is said again
                    Ok(()) = known.changed(), if !stops => return Ok(Ended::Outdated),
                    Ok(()) = others.changed(), if !stops => return Ok(Ended::Outdated),
                    () = &mut speak => return Ok(Ended::Closed),
                    message = from_server.recv() => match message {
                        None => return Ok(Ended::Closed),
                        Some(ToRunner::Assign { assignment }) if stops => {
                            attempt::leave_to_the_next_life(runner, &assignment).await;
                            // said with the last word, which gives it back: a runner that rejects something is one that does not take work
                            never_begun.push(assignment.attempt);
                        }
                        Some(ToRunner::Assign { assignment }) => take(runner, *assignment),
                        // the next life is told again
                        Some(ToRunner::Land { order, .. }) if !stops => landing::begin(runner, *order),
                        Some(ToRunner::Refused { why, message }) => return Err(refused(why, message)),
                        Some(ToRunner::Pulls { wanted, .. }) if !stops => pull_what_is_wanted(runner, wanted),
                        Some(message) => hear(runner, &beats, message),
                    },
                }
            }
        }
        // a server that does not hear it misses the runner a little later
        let ended = runner.outbox.cut_short().into_iter().chain(never_begun).collect();
        let _ = timeout(GOODBYE, to_server.send(ToServer::Stops { ended, optional: true })).await;
        drop(to_server);
        // it closes the link when it has heard it
        while let Ok(Some(message)) = timeout(GOODBYE, from_server.recv()).await {
            if let ToRunner::Assign { assignment } = message {
                attempt::leave_to_the_next_life(runner, &assignment).await;
            }
        }
        Ok(Ended::Left)
    }

    /// Says over this link what earlier lives have left to be said, as long as there is time, and that the machine is a runner no longer;
    /// whether the server knows it now.
    pub async fn leave(&mut self, runner: &Runner, link: Link, rest_until: Instant) -> Result<bool, RunnerError> {
        let Link { to_server, mut from_server } = link;
        let Some(every) = self.hello(runner, Places::Fewest, &to_server, &mut from_server).await? else { return Ok(false) };
        let beats = Beats::default();
        {
            let speak = speak(runner, &to_server, &beats, every);
            tokio::pin!(speak);
            // each of them ends with the answer to its last word
            runner.tracker.close();
            loop {
                tokio::select! {
                    () = runner.tracker.wait() => break,
                    () = sleep_until(rest_until) => {
                        let left = runner.held.keys().len();
                        warn!(left, "The server does not answer what is said about {left} attempts, and takes them back");
                        break;
                    }
                    () = &mut speak => return Ok(false),
                    message = from_server.recv() => match message {
                        None => return Ok(false),
                        Some(ToRunner::Refused { why, message }) => return Err(refused(why, message)),
                        Some(message) => hear(runner, &beats, message),
                    },
                }
            }
        }
        if to_server.send(ToServer::Leave).await.is_err() {
            return Ok(false);
        }
        loop {
            match from_server.recv().await {
                Some(ToRunner::Left) => return Ok(true),
                Some(ToRunner::Refused { why, message }) => return Err(refused(why, message)),
                // What is still given is not begun; the server takes it back.
                Some(_) => {}
                None => return Ok(false),
            }
        }
    }

    /// How often to give a sign of life; nothing when the link closes, or the runner is to stop, before it is welcome.
    async fn hello(
        &mut self,
        runner: &Runner,
        places: Places,
        to_server: &mpsc::Sender<ToServer>,
        from_server: &mut mpsc::Receiver<ToRunner>,
    ) -> Result<Option<Duration>, RunnerError> {
        let sent_at = Moment::now();
        let config = &runner.config;
        let (agents, no_sandbox) = (runner.agents_last_seen(), runner.sandbox.is_there().await.err());
        let has_lfs = lfs::is_here(&runner.git, &runner.folders.state_dir).await;
        let mut hello = Hello {
            version: VERSION,
            runner_id: runner.folders.identity,
            name: config.name.clone(),
            slots: if places == Places::All { runner.slots.own() } else { 1 },
            capabilities: config.all_capabilities(&agents, no_sandbox.is_none(), has_lfs),
            attempts: runner.held.named(),
            lost: self.lost.clone(),
            proof: String::new(),
            no_sandbox,
            lands: true,
            backends: agents.iter().map(Found::about).collect(),
            rooms: Some(runner.sandbox.about(&agent::models(&agents, config))),
            left_behind: runner.left_behind.now(),
            takes_slots: places == Places::All,
            // whoever leaves goes on from nothing
            keeps: if places == Places::All { runner.interrupted.attempts() } else { vec![] },
        };
        let answered = async {
            match from_server.recv().await? {
                ToRunner::Opened { nonce, version } => {
                    // an older server understands what was added since, or leaves it out
                    if version >= SPOKEN {
                        hello.version = version.min(VERSION);
                    }
                    hello.proof = runner.key.as_ref().map(|key| key.prove(&nonce, hello.runner_id)).unwrap_or_default();
                }
                other => return Some(other),
            }
            to_server.send(ToServer::Hello(hello)).await.ok()?;
            from_server.recv().await
        };
        let answer = tokio::select! {
            biased;
            answer = answered => answer,
            () = runner.stop.cancelled() => None,
        };
        match answer {
            Some(ToRunner::Welcome { heartbeat_seconds, lease_seconds, heard, stale, cancel, tell, .. }) => {
                // What is not held any more must not begin on the renewal below.
                stale.iter().for_each(|attempt| taken_away(runner, *attempt));
                cancel.iter().for_each(|attempt| runner.held.order(attempt.attempt_id, Order::Cancel));
                tell.into_iter().for_each(|telling| runner.held.tell(telling));
                heard.into_iter().for_each(|heard| go_back_to(runner, heard));
                runner.outbox.begin_again();
                runner.pulls.begin_again();
                runner.rejections.begin_again();
                // it is said next when it is otherwise
                runner.note_drained(false);
                runner.slots.set(None);
                runner.lease.send_replace(Some(Duration::from_secs(lease_seconds.into())));
                runner.renew(sent_at);
                for key in self.lost.drain(..) {
                    runner.journal.remove(key.attempt_id).await;
                }
                info!(runner = config.name, "Runner {} is ready", config.name);
                Ok(Some(Duration::from_secs(heartbeat_seconds.max(1).into())))
            }
            Some(ToRunner::Refused { why, message }) => Err(refused(why, message)),
            Some(other) => {
                warn!("Instead of a welcome, the server said {other:?}");
                Ok(None)
            }
            None => Ok(None),
        }
    }
}

/// Ends with the link.
async fn speak(runner: &Runner, to_server: &mpsc::Sender<ToServer>, beats: &Beats, every: Duration) {
    let mut beat = interval(every);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut readings = runner.reading.subscribe();
    // whoever listens now has not heard the last one
    readings.mark_changed();
    // the first time at once
    let mut kept = interval(TOLD_AGAIN);
    kept.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let may_speak = || runner.may_speak();
    // begun once: a disk that takes longer than from one beat to the next would never have synced anything
    let next = runner.outbox.next(may_speak);
    tokio::pin!(next);
    // First room, then what there is to say: nothing is taken out that does not go down the link.
    while let Ok(permit) = to_server.reserve().await {
        let message = tokio::select! {
            biased;
            _ = beat.tick() => beats.next(&runner.held, runner.left_behind.say()),
            () = runner.beat_now.notified() => beats.next(&runner.held, None),
            message = beats.lacking() => message,
            message = runner.rejections.next() => message,
            () = runner.interrupted.news() => runner.interrupted.told(),
            _ = kept.tick(), if !runner.interrupted.is_empty() => runner.interrupted.told(),
            message = runner.landings.next() => message,
            Ok(()) = readings.changed() => {
                let reading = readings.borrow_and_update().clone();
                // the first look may not be over
                let Some(seen) = reading else { continue };
                seen.told()
            }
            message = runner.pulls.next() => message,
            message = &mut next => {
                next.set(runner.outbox.next(may_speak));
                message
            }
        };
        let is_report = matches!(&message, ToServer::Said { said: Said::Report { .. } | Said::ReportInParts { .. }, .. });
        let is_piece = matches!(&message, ToServer::Log { .. });
        permit.send(message);
        if is_piece {
            crash::point("piece.sent");
        }
        if is_report {
            crash::point("report.sent");
        }
    }
}

fn take(runner: &Arc<Runner>, assignment: Assignment) {
    let key = assignment.attempt;
    let Some((orders, tellings)) = runner.held.take(key) else {
        warn!(attempt.id = %key.attempt_id, "Attempt {} of task {} was assigned twice", key.number, key.task_id);
        return;
    };
    runner.outbox.open(key);
    // before it is heard that there are fewer from now on: the server has given it by as many as there are
    let slot = runner.slots.try_take();
    runner.tracker.spawn(attempt::carry_out(Arc::clone(runner), assignment, (orders, tellings), Moment::now(), slot));
}

fn hear(runner: &Runner, beats: &Beats, message: ToRunner) {
    match message {
        ToRunner::Stored { attempt, sequence } => runner.outbox.stored(attempt, sequence),
        ToRunner::Logged { attempt, end } => runner.outbox.logged(attempt, end),
        ToRunner::Missing(heard) => go_back_to(runner, heard),
        ToRunner::Stale { attempt } => taken_away(runner, attempt),
        ToRunner::Cancel { attempt } => runner.held.order(attempt.attempt_id, Order::Cancel),
        ToRunner::Tell(telling) => runner.held.tell(telling),
        ToRunner::Renewed { beat, stale, cancel, tell, believed } => {
            // whoever stops leaves what is begun to its next life, and misses nothing
            if !runner.stop.is_cancelled() {
                beats.look_for(&runner.held, &believed);
            }
            tell.into_iter().for_each(|telling| runner.held.tell(telling));
            stale.iter().for_each(|attempt| taken_away(runner, *attempt));
            cancel.iter().for_each(|attempt| runner.held.order(attempt.attempt_id, Order::Cancel));
            if let Some(sent_at) = beats.answered(beat) {
                runner.renew(sent_at);
            }
        }
        ToRunner::Drain { on, .. } => drained(runner, on),
        ToRunner::Config { slots, .. } => set_slots(runner, slots),
        ToRunner::Forget { attempts, .. } => {
            let interrupted = Arc::clone(&runner.interrupted);
            runner.tracker.spawn(async move { interrupted.forget(&attempts).await });
        }
        ToRunner::NotUnderstood { message } => {
            warn!("The server does not understand what this runner says: {message}");
            runner.outbox.not_understood();
        }
        ToRunner::Opened { .. }
        | ToRunner::Welcome { .. }
        | ToRunner::Refused { .. }
        | ToRunner::Assign { .. }
        | ToRunner::Pulls { .. }
        | ToRunner::Land { .. }
        | ToRunner::Left => {}
    }
}

/// What it is given the server decides.
fn drained(runner: &Runner, on: bool) {
    let name = &runner.config.name;
    match (runner.note_drained(on), on) {
        (false, _) => {}
        (true, true) => info!("Runner {name} is drained: until `muster runner resume {name}` it is given nothing new and ends what it has"),
        (true, false) => info!("Runner {name} is given work again"),
    }
}

/// What is at work goes on.
fn set_slots(runner: &Runner, slots: Option<u32>) {
    if runner.slots.set(slots) {
        let (name, most) = (&runner.config.name, runner.slots.most());
        let whence = if slots.is_some() { "was set on the server" } else { "its machine says" };
        info!("Runner {name} carries out {most} attempts at once from now on, as {whence}");
    }
}

fn refused(why: Refusal, message: String) -> RunnerError {
    match why {
        Refusal::Unknown => RunnerError::Unknown(message),
        Refusal::Unfit => RunnerError::Unfit(message),
    }
}

/// A server that has forgotten what it had heard, as after a restore, cannot be told the end of it.
fn go_back_to(runner: &Runner, heard: Heard) {
    if !runner.outbox.go_back_to(heard) {
        let key = heard.attempt;
        warn!(attempt.id = %key.attempt_id, "The server has forgotten what attempt {} of task {} had said: it ends", key.number, key.task_id);
        taken_away(runner, key);
    }
}

fn taken_away(runner: &Runner, attempt: AttemptKey) {
    runner.held.order(attempt.attempt_id, Order::Abandon(Why::Stale));
    runner.outbox.stale(attempt.attempt_id);
}
