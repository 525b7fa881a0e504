//! Carrying out what a runner has said, and the answers to it.

use std::collections::HashSet;

use domain::{
    AttemptKey,
    protocol::{Heard, Landed, Refusal, Said as Told, ToRunner, ToServer},
    runner::{
        HostReading,
        reading::{AGE_MAX_SECONDS, STALE_AFTER_SECONDS},
    },
    session::EVENT_MAX,
};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    RunnerSession, clean,
    serve::{until_answered, wait_for_the_database},
};
use crate::{
    Engine, Error, Result,
    attempt::{
        batch::{Message, Said},
        store::Heartbeat,
    },
};

/// How much of what attempts left is stored together, about.
const BYTES_TOGETHER: usize = 16 * 1024 * 1024;

impl Engine {
    /// Carries out what a runner has said, in its order and all of it after `heard_after`; the answers to it.
    pub(super) async fn answer(&self, session: &RunnerSession, said: &[ToServer], heard_after: Instant) -> Vec<ToRunner> {
        let mut answers = Vec::with_capacity(said.len());
        // A heartbeat is about many attempts, as they stand between what was said before it and after it.
        for part in said.chunk_by(|one, next| is_of_one(one) && is_of_one(next)) {
            match &part[0] {
                ToServer::Heartbeat { beat, attempts, left_behind } => {
                    // the lease first, which the attempts live by
                    answers.extend(self.answer_heartbeat(session, *beat, attempts, heard_after).await);
                    if let Some(left_behind) = left_behind {
                        self.hear_of_remains(session, left_behind).await;
                    }
                }
                ToServer::Landed { landed, .. } => self.note_landing(session, landed).await,
                ToServer::Said { attempt, sequence, said: Told::ReportInParts { log_end, length } } => {
                    answers.extend(self.answer_in_parts(session, *attempt, *sequence, *log_end, *length).await);
                }
                ToServer::Leave => answers.push(self.answer_leave(session).await),
                ToServer::Stops { ended, .. } => self.note_stop(session, ended).await,
                ToServer::Reading { reading, endpoint, age_seconds, .. } if self.hub.takes_reading(session, self.clock.by_hand()) => {
                    let age = f64::from((*age_seconds).min(AGE_MAX_SECONDS));
                    self.note_disk(session, reading, *age_seconds);
                    self.note_reading(session, reading, age).await;
                    answers.extend(self.answer_look(session, endpoint.as_deref(), age).await);
                }
                ToServer::Reading { .. } => {}
                // an end is heard whenever it comes
                ToServer::Pulling { pull, progress, .. }
                    if progress.end.is_some() || self.hub.takes_pulling(session, *pull, self.clock.by_hand()) =>
                {
                    self.note_pulling(session, *pull, progress).await;
                }
                ToServer::Pulling { .. } => {}
                ToServer::Lacks { attempts, .. } => self.note_lacking(session, attempts).await,
                ToServer::Rejects { attempt, reason, .. } => self.note_rejection(session, *attempt, reason).await,
                ToServer::Keeps { attempts, .. } => answers.extend(self.note_kept(session, attempts).await),
                _ => answers.extend(self.answer_about_attempts(session, part).await),
            }
        }
        answers
    }

    /// Nothing when it had no effect: the leases are not renewed. A link that is no longer this runner's ends with its answer.
    async fn answer_heartbeat(
        &self,
        session: &RunnerSession,
        beat: u64,
        attempts: &[AttemptKey],
        heard_after: Instant,
    ) -> Option<ToRunner> {
        match until_answered(session.name(), || self.heartbeat(session, attempts, heard_after)).await {
            Ok(held) => {
                // a slot that is still being ended is at no moment a free one
                self.hub.note_lingering(session, held.lingering);
                held.stale.iter().for_each(|attempt| self.hub.release(session, *attempt));
                let Heartbeat { stale, cancel, tell, believed, .. } = held;
                Some(ToRunner::Renewed { beat, stale, cancel, tell, believed })
            }
            // It was removed, or is at another server. A hello tells which.
            Err(error @ Error::Unauthorized(_)) => {
                info!(runner.id = %session.id, "A link of runner {} is over: {error}", session.name());
                self.hub.end(session.id(), session.ticket());
                None
            }
            Err(error) => {
                warn!("A heartbeat of runner {} had no effect: {error}", session.name());
                None
            }
        }
    }

    /// A machine without room is given nothing new, over its next links as well, until a reading that says otherwise. What is at work goes on.
    fn note_disk(&self, session: &RunnerSession, reading: &HostReading, age_seconds: u32) {
        // what was read long ago says nothing of how it is now
        let lacks = reading.lacks_disk().filter(|_| i64::from(age_seconds) <= STALE_AFTER_SECONDS);
        if !self.hub.note_disk(session, lacks.is_some()) {
            return;
        }
        let name = session.name();
        match lacks {
            Some(why) => warn!(runner.id = %session.id, "Runner {name} is given nothing new: {why}"),
            None => info!(runner.id = %session.id, "Runner {name} has room on its disk again, and is given work"),
        }
    }

    /// Said with every heartbeat for as long as it is so, so that it may be missed once.
    async fn hear_of_remains(&self, session: &RunnerSession, left_behind: &str) {
        if let Err(error) = self.note_left_behind(session, left_behind).await {
            warn!("What is left on the machine of runner {} could not be stored: {error}", session.name());
        }
    }

    async fn answer_about_attempts(&self, session: &RunnerSession, said: &[ToServer]) -> Vec<ToRunner> {
        let mut outcomes: Vec<Option<Result<()>>> = said.iter().map(|_| None).collect();
        // Logs first: what a runner writes about an attempt it writes before its last word, and changes nothing else. What comes after a
        // last word has to wait for what becomes of that.
        let mut over = HashSet::new();
        let mut afterwards = vec![];
        for (place, one) in said.iter().enumerate() {
            match one {
                ToServer::Said { attempt, said: Told::Report { .. } | Told::GivenUp { .. }, .. } => drop(over.insert(*attempt)),
                ToServer::Log { attempt, .. } if over.contains(attempt) => afterwards.push(place),
                ToServer::Log { .. } => outcomes[place] = Some(self.store_log(session, one).await),
                _ => {}
            }
        }
        let mut places: Vec<_> = (0..said.len()).filter(|place| message_of(&said[*place]).is_some()).collect();
        while !places.is_empty() {
            let mut bytes = 0;
            let fits = |place: &&usize| {
                bytes += bytes_of(&said[**place]);
                bytes <= BYTES_TOGETHER
            };
            let count = places.iter().take_while(fits).count().max(1);
            let messages: Vec<_> = places[..count].iter().filter_map(|place| message_of(&said[*place])).collect();
            let carried = self.carry_out(Some(session), &messages).await;
            for (place, outcome) in places.drain(..carried.outcomes.len()).zip(carried.outcomes) {
                outcomes[place] = Some(outcome);
            }
            if let Some(error) = carried.then {
                wait_for_the_database(session.name(), &error).await;
            }
        }
        for place in afterwards {
            outcomes[place] = Some(self.store_log(session, &said[place]).await);
        }
        let mut answers = Vec::with_capacity(said.len());
        for (one, outcome) in said.iter().zip(outcomes) {
            answers.extend(self.answer_to(session, one, outcome.unwrap_or(Ok(()))).await);
        }
        answers
    }

    /// The parts came before, and are stored.
    async fn answer_in_parts(
        &self,
        session: &RunnerSession,
        attempt: AttemptKey,
        sequence: u64,
        log_end: u64,
        length: u64,
    ) -> Vec<ToRunner> {
        let whole = until_answered(session.name(), || self.report_in_parts(session, attempt, sequence, length)).await;
        let one = |said| ToServer::Said { attempt, sequence, said };
        let refused = match whole {
            Ok(Some(report)) => {
                let answers = self.answer_about_attempts(session, &[one(Told::Report { log_end, report })]).await;
                // what is still missing is said again, but for the parts
                let is_stored = answers.iter().any(|answer| matches!(answer, ToRunner::Stored { .. }));
                if is_stored && let Err(error) = self.forget_report_parts(attempt.attempt_id).await {
                    warn!("The parts of a report stay for now: {error}");
                }
                return answers;
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        self.answer_to(session, &one(Told::ReportInParts { log_end, length }), refused).await.into_iter().collect()
    }

    async fn answer_leave(&self, session: &RunnerSession) -> ToRunner {
        match until_answered(session.name(), || self.runner_leaves(session)).await {
            Ok(()) => ToRunner::Left,
            Err(error) => ToRunner::Refused { why: Refusal::Unknown, message: error.to_string() },
        }
    }

    /// Nothing is given over this link any more, and what it has ended goes to somebody else at once. Where the stop cannot be stored, the
    /// runner is missed a little later.
    pub(super) async fn note_stop(&self, session: &RunnerSession, ended: &[AttemptKey]) {
        self.hub.end(session.id(), session.ticket());
        match until_answered(session.name(), || self.give_back_these(session, ended)).await {
            Ok(0) => {}
            Ok(count) => info!(runner.id = %session.id, "{count} attempts that runner {} has ended are back in the queue", session.name()),
            Err(error) => warn!(runner.id = %session.id, "What runner {} has ended could not all be given back: {error}", session.name()),
        }
        if let Err(error) = self.runner_stops(session).await {
            warn!("That runner {} was stopped could not be stored: {error}", session.name());
        }
    }

    /// It does not take what it was given, and has begun nothing of it: that goes to somebody else at once, and the runner rests as one that
    /// has not taken something in time.
    async fn note_rejection(&self, session: &RunnerSession, attempt: AttemptKey, reason: &str) {
        // before its slot is free: it would be given the same again
        self.hub.rest(session);
        match until_answered(session.name(), || self.attempt_rejected(session, attempt)).await {
            Ok(true) => {
                // a heartbeat may have read its row in between, which did not say so yet
                self.hub.rest(session);
                let reason = clean(reason, 1000);
                warn!(runner.id = %session.id, "Runner {} does not take what it was given: {reason}", session.name());
            }
            // it was taken back before
            Ok(false) => {}
            Err(error) => warn!(runner.id = %session.id, "What runner {} does not take stays with it for now: {error}", session.name()),
        }
        self.hub.release(session, attempt);
    }

    /// It was asked for these and does not have them: they are lost, as those that it names in a hello.
    async fn note_lacking(&self, session: &RunnerSession, attempts: &[AttemptKey]) {
        match until_answered(session.name(), || self.attempts_lost(session, attempts)).await {
            Ok(count) => info!(runner.id = %session.id, "{count} attempts are not with runner {}, and are lost", session.name()),
            Err(error) => warn!(runner.id = %session.id, "What runner {} does not have could not be taken back: {error}", session.name()),
        }
        attempts.iter().for_each(|attempt| self.hub.release(session, *attempt));
    }

    /// It has no answer: as long as it has had no effect, the runner is told again, and says it again.
    async fn note_landing(&self, session: &RunnerSession, landed: &Landed) {
        if let Err(error) = until_answered(session.name(), || self.landed(session, landed)).await {
            warn!("What runner {} says of a landing had no effect: {error}", session.name());
        }
    }

    async fn store_log(&self, session: &RunnerSession, one: &ToServer) -> Result<()> {
        let ToServer::Log { attempt, offset, stream, bytes } = one else { return Ok(()) };
        until_answered(session.name(), || self.append_log(session, *attempt, *offset, *stream, bytes)).await
    }

    /// A second hello, which no runner says, has no answer.
    async fn answer_to(&self, session: &RunnerSession, one: &ToServer, outcome: Result<()>) -> Option<ToRunner> {
        let attempt = attempt_of(one)?;
        let is_last_word =
            matches!(one, ToServer::Said { said: Told::Report { .. } | Told::ReportInParts { .. } | Told::GivenUp { .. }, .. });
        match outcome {
            Ok(()) => {
                if is_last_word {
                    self.hub.release(session, attempt);
                }
                match one {
                    ToServer::Said { sequence, .. } => Some(ToRunner::Stored { attempt, sequence: *sequence }),
                    ToServer::Log { offset, bytes, .. } => Some(ToRunner::Logged { attempt, end: offset + bytes.len() as u64 }),
                    ToServer::Hello(_)
                    | ToServer::Heartbeat { .. }
                    | ToServer::Leave
                    | ToServer::Stops { .. }
                    | ToServer::Reading { .. }
                    | ToServer::Pulling { .. }
                    | ToServer::Lacks { .. }
                    | ToServer::Landed { .. }
                    | ToServer::Rejects { .. }
                    | ToServer::Keeps { .. } => None,
                }
            }
            Err(Error::Missing) => Some(self.what_is_there(session, attempt).await),
            Err(error) => {
                if !matches!(error, Error::StaleLease) {
                    warn!("Runner {} was refused: {error}", session.name());
                }
                self.hub.release(session, attempt);
                Some(ToRunner::Stale { attempt })
            }
        }
    }

    async fn what_is_there(&self, session: &RunnerSession, attempt: AttemptKey) -> ToRunner {
        let there: Result<Option<Heard>> =
            until_answered(session.name(), || async { Ok(self.heard(session, &[attempt]).await?.pop()) }).await;
        match there {
            Ok(Some(heard)) => ToRunner::Missing(heard),
            _ => ToRunner::Stale { attempt },
        }
    }
}

/// Whether it is about one attempt, and can be carried out with what comes before it.
fn is_of_one(one: &ToServer) -> bool {
    !matches!(
        one,
        ToServer::Heartbeat { .. }
            | ToServer::Leave
            | ToServer::Stops { .. }
            | ToServer::Reading { .. }
            | ToServer::Pulling { .. }
            | ToServer::Lacks { .. }
            | ToServer::Landed { .. }
            | ToServer::Rejects { .. }
            | ToServer::Keeps { .. }
            | ToServer::Said { said: Told::ReportInParts { .. }, .. }
    )
}

/// What is said about an attempt, but for its log.
fn message_of(one: &ToServer) -> Option<Message<'_>> {
    let ToServer::Said { attempt, sequence, said } = one else { return None };
    let said = match said {
        Told::Started { base_commit, branch, continues } => Said::Started { base_commit, branch, continues: *continues },
        Told::Session { events } => Said::Session { events },
        Told::Asks { question, isolation, backend, asked } => Said::Asks { question: *question, isolation: *isolation, backend, asked },
        Told::AsksNoMore { question } => Said::AsksNoMore { question: *question },
        Told::Heard { telling } => Said::Heard { telling: *telling },
        Told::Verifying => Said::Verifying,
        Told::WorksAgain { round, verification } => Said::WorksAgain { round: *round, verification },
        Told::Report { log_end, report } => Said::Report { report, log_end: *log_end },
        Told::GivenUp { artifacts } => Said::GivenUp { artifacts },
        Told::Part { bytes } => Said::Part { bytes },
        // it is put together first
        Told::ReportInParts { .. } => return None,
    };
    Some(Message { attempt: *attempt, sequence: Some(*sequence), said })
}

/// Of what an attempt left.
fn bytes_of(one: &ToServer) -> usize {
    match one {
        ToServer::Said { said: Told::Report { report, .. }, .. } => report.artifacts.iter().map(|new| new.content.len()).sum(),
        ToServer::Said { said: Told::GivenUp { artifacts }, .. } => artifacts.iter().map(|new| new.content.len()).sum(),
        ToServer::Said { said: Told::Part { bytes }, .. } => bytes.len(),
        // a message of a far runner is no longer than this, and the others are made here
        ToServer::Said { said: Told::Session { events }, .. } => events.len() * EVENT_MAX,
        ToServer::Said { said: Told::Asks { .. }, .. } => EVENT_MAX,
        _ => 0,
    }
}

fn attempt_of(one: &ToServer) -> Option<AttemptKey> {
    match one {
        ToServer::Said { attempt, .. } | ToServer::Log { attempt, .. } => Some(*attempt),
        ToServer::Hello(_)
        | ToServer::Heartbeat { .. }
        | ToServer::Leave
        | ToServer::Stops { .. }
        | ToServer::Reading { .. }
        | ToServer::Pulling { .. }
        | ToServer::Lacks { .. }
        | ToServer::Landed { .. }
        | ToServer::Rejects { .. }
        | ToServer::Keeps { .. } => None,
    }
}
