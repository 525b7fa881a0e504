//! Work that is played in the place of processes and repositories: it writes, says something, hears what it is told, is checked and ends, as
//! its attempt draws it. All that it says goes the way that real work's goes.

use std::{sync::Arc, time::Duration};

use domain::{
    ArtifactKind, AttemptId, Failure, FailureCode, LogStream, SessionEvent, SessionEventKind, Timestamp, VerificationReport,
    protocol::{Assignment, AttemptReport, NewArtifact, PART_BYTES, Said, WorkOutcome},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio::time::{Instant, sleep_until};

use super::{Scene, elapsed, scene};
use crate::{
    attempt::{first_heartbeat, note},
    held::{Order, Orders, Why},
    journal::Entry,
    life::Runner,
    lock,
    log::Log,
    tellings::Tellings,
};

/// What real work does as well, in its order: the journal, the first heartbeat, the work, its checks, the report.
pub(crate) async fn walk(
    runner: &Arc<Runner>,
    assignment: &Assignment,
    entry: &Entry,
    (mut orders, tellings): (Orders, Tellings),
) -> Option<AttemptReport> {
    let (scene, id) = (scene(), assignment.attempt.attempt_id);
    note(runner, entry).await;
    first_heartbeat(runner, id, &mut orders).await;
    let order = orders.current();
    if order != Order::Work {
        return (order == Order::Cancel).then(|| report(WorkOutcome::Cancelled, vec![]));
    }
    let at_work = AtWork { scene: Arc::clone(&scene), id };
    scene.begins(assignment.attempt, runner.folders.identity);
    let mut work = Work {
        scene: &scene,
        runner,
        id,
        log: Log::new(id, Arc::clone(&runner.outbox), orders.clone()),
        orders,
        tellings,
        luck: StdRng::seed_from_u64(scene.seed ^ (id.0.as_u128() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        events: 0,
    };
    let outcome = match work.work().await {
        Ok(outcome) => outcome,
        Err(Order::Abandon(why)) => {
            scene.work(id, |work| work.was_fenced = why == Why::Fenced);
            if why == Why::Fenced {
                scene.kills().await;
            }
            return None;
        }
        Err(Order::Cancel | Order::Work) => WorkOutcome::Cancelled,
    };
    drop(at_work);
    let report = report(outcome, work.artifacts());
    scene.work(id, |work| work.report = Some(report.clone()));
    Some(report)
}

fn report(outcome: WorkOutcome, artifacts: Vec<NewArtifact>) -> AttemptReport {
    let verification = matches!(outcome, WorkOutcome::Completed).then(nothing_to_check);
    AttemptReport {
        outcome,
        exit_code: Some(0),
        branch: None,
        commit: None,
        repositories: vec![],
        verification,
        artifacts,
        output: None,
        findings: vec![],
    }
}

fn nothing_to_check() -> VerificationReport {
    VerificationReport { checks: vec![], started_at: Timestamp::UNIX_EPOCH, duration_ms: 0, checked: vec![] }
}

/// Until it is dropped, by its own end or with its runner.
struct AtWork {
    scene: Arc<Scene>,
    id: AttemptId,
}

impl Drop for AtWork {
    fn drop(&mut self) {
        let now = elapsed();
        self.scene.work(self.id, |work| work.to = Some(now));
    }
}

struct Work<'a> {
    scene: &'a Scene,
    runner: &'a Runner,
    id: AttemptId,
    log: Log,
    orders: Orders,
    tellings: Tellings,
    luck: StdRng,
    events: i64,
}

impl Work<'_> {
    /// An error when it is told to end.
    async fn work(&mut self) -> Result<WorkOutcome, Order> {
        self.say(Said::Started { base_commit: "0123456789abcdef".into(), branch: format!("muster/{}", self.id), continues: None });
        let rounds = if self.luck.random_bool(0.2) { 2 } else { 1 };
        for round in 1..=rounds {
            for _ in 0..self.luck.random_range(0..16) {
                self.goes_on().await?;
                self.does_something().await?;
            }
            self.say(Said::Verifying);
            self.goes_on().await?;
            if round < rounds {
                self.say(Said::WorksAgain { round, verification: nothing_to_check() });
            }
        }
        let fails = self.luck.random_bool(0.15);
        let failed = || WorkOutcome::Failed { failure: Failure::new(FailureCode::CommandFailed, "exit 1") };
        Ok(if fails { failed() } else { WorkOutcome::Completed })
    }

    /// For a while, and hears meanwhile what it is told.
    async fn goes_on(&mut self) -> Result<(), Order> {
        let longest = if self.luck.random_bool(0.1) { 8000 } else { 700 };
        let until = Instant::now() + Duration::from_millis(self.luck.random_range(0..longest));
        loop {
            tokio::select! {
                biased;
                order = self.orders.told() => return Err(order),
                (number, _) = self.tellings.next() => {
                    self.scene.work(self.id, |work| work.told.push(number));
                    self.say(Said::Heard { telling: number });
                }
                () = sleep_until(until) => return Ok(()),
            }
        }
    }

    async fn does_something(&mut self) -> Result<(), Order> {
        if self.luck.random_bool(0.8) {
            self.writes().await
        } else {
            self.speaks().await
        }
        match self.orders.current() {
            Order::Work => Ok(()),
            order => Err(order),
        }
    }

    async fn writes(&mut self) {
        let length = self.luck.random_range(1..800);
        let bytes: Vec<u8> =
            (0..length).map(|_| if self.luck.random_bool(0.02) { b'\n' } else { self.luck.random_range(b'a'..=b'z') }).collect();
        let stream = if self.luck.random_bool(0.7) { LogStream::Stdout } else { LogStream::Stderr };
        self.log.output(stream, &bytes).await;
        // who is silenced has not written it
        if !matches!(self.orders.current(), Order::Abandon(_)) {
            self.scene.work(self.id, |work| work.log.extend_from_slice(&bytes));
        }
    }

    async fn speaks(&mut self) {
        let has_room = self.orders.unless_silenced(self.runner.outbox.room(self.id)).await.is_some_and(|room| room.is_ok());
        if has_room {
            self.events += 1;
            let kind = SessionEventKind::Message { text: format!("{} {}", self.events, "so ".repeat(self.luck.random_range(0..100))) };
            self.say(Said::Session { events: vec![SessionEvent { number: self.events, at: Timestamp::UNIX_EPOCH, kind }] });
        }
    }

    fn say(&self, said: Said) {
        self.scene.work(self.id, |work| work.said.push(said.clone()));
        self.runner.outbox.say(self.id, said);
    }

    /// Now and then more than fits into one message.
    fn artifacts(&mut self) -> Vec<NewArtifact> {
        if !self.luck.random_bool(0.01) {
            return vec![];
        }
        vec![NewArtifact { kind: ArtifactKind::Diff, name: "changes.diff".into(), content: vec![b'+'; PART_BYTES] }]
    }
}

impl Scene {
    /// Notes something about a work that has begun.
    fn work(&self, id: AttemptId, note: impl FnOnce(&mut super::ledger::Work)) {
        if let Some(work) = lock(&self.ledger).works.get_mut(&id) {
            note(work);
        }
    }
}
