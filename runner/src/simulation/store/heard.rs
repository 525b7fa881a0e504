//! What a runner says about an attempt, and the answers to it.

use domain::{
    AttemptKey, AttemptState, Failure, FailureCode, LogStream, TaskState, Timestamp,
    protocol::{Arrival, AttemptReport, Said, ToRunner, ToServer, WorkOutcome},
    task::AttemptEnd,
};

use super::{End, Session, Store, lease_until};

/// Why something had no effect.
enum Refused {
    Stale,
    Missing,
}

impl Store {
    /// Carries out what came over this link; the answer to it.
    pub fn hear(&mut self, session: Session, message: &ToServer, now: Timestamp) -> Option<ToRunner> {
        match message {
            ToServer::Heartbeat { beat, attempts, .. } => {
                let renewal = self.heartbeat(session, attempts, now)?;
                let (stale, cancel, tell, believed) = (renewal.stale, renewal.cancel, renewal.tell, renewal.believed);
                Some(ToRunner::Renewed { beat: *beat, stale, cancel, tell, believed })
            }
            ToServer::Said { attempt, sequence, said } => {
                let done = self.take_in(session, *attempt, *sequence, said, now);
                Some(self.answer(session, *attempt, done, ToRunner::Stored { attempt: *attempt, sequence: *sequence }))
            }
            ToServer::Log { attempt, offset, stream, bytes } => {
                let done = self.append(session, *attempt, *offset, *stream, bytes);
                let end = offset + bytes.len() as u64;
                Some(self.answer(session, *attempt, done, ToRunner::Logged { attempt: *attempt, end }))
            }
            ToServer::Lacks { attempts, .. } => {
                self.lost(session, attempts, now);
                None
            }
            ToServer::Rejects { attempt, .. } => {
                self.rejected(session, *attempt, now);
                None
            }
            // no machine is looked at, nothing is pulled, nothing lands, and no agent has a session
            ToServer::Reading { .. } | ToServer::Pulling { .. } | ToServer::Landed { .. } | ToServer::Keeps { .. } => None,
            ToServer::Stops { ended, .. } => {
                self.stopped(session, ended, now);
                None
            }
            ToServer::Hello(_) | ToServer::Leave => None,
        }
    }

    fn answer(&self, session: Session, attempt: AttemptKey, done: Result<(), Refused>, well: ToRunner) -> ToRunner {
        match done {
            Ok(()) => well,
            Err(Refused::Stale) => ToRunner::Stale { attempt },
            Err(Refused::Missing) => match self.heard(session, &[attempt]).pop() {
                Some(heard) => ToRunner::Missing(heard),
                None => ToRunner::Stale { attempt },
            },
        }
    }

    fn take_in(&mut self, session: Session, key: AttemptKey, sequence: u64, said: &Said, now: Timestamp) -> Result<(), Refused> {
        let known = self.attempts.get(&key.attempt_id).filter(|attempt| attempt.key == key && attempt.runner == session.runner);
        let known = known.ok_or(Refused::Stale)?;
        match Arrival::of(sequence, known.said.len() as u64) {
            // an answer that was lost is given again, also when the attempt has ended
            Arrival::Again => {
                let place = sequence.checked_sub(1).and_then(|place| usize::try_from(place).ok());
                let is_the_same = place.and_then(|place| known.said.get(place)) == Some(said);
                self.tally.again += 1;
                if !is_the_same {
                    self.wrong.push(format!("number {sequence} of attempt {} was said twice, and not the same", key.attempt_id));
                }
                return Ok(());
            }
            Arrival::TooEarly if known.end.is_none() => return Err(Refused::Missing),
            Arrival::TooEarly | Arrival::Next => {}
        }
        if self.held(key, Some(session.runner)).is_none() {
            return Err(Refused::Stale);
        }
        self.carry_out(key, said, now)?;
        if let Some(attempt) = self.attempts.get_mut(&key.attempt_id) {
            attempt.said.push(said.clone());
        }
        Ok(())
    }

    /// What is next about an attempt that holds its task.
    fn carry_out(&mut self, key: AttemptKey, said: &Said, now: Timestamp) -> Result<(), Refused> {
        match said {
            Said::Started { .. } => self.goes_on(key, AttemptState::Claimed, AttemptState::Running, now),
            Said::Session { .. } => self.only_in(key, AttemptState::Running),
            Said::Heard { telling } => {
                if let Some(attempt) = self.attempts.get_mut(&key.attempt_id) {
                    attempt.unheard.remove(telling);
                }
                Ok(())
            }
            Said::Verifying => {
                self.only_in(key, AttemptState::Running)?;
                let task = self.tasks[&key.task_id].clone().verify().map_err(|_| Refused::Stale)?;
                self.tasks.insert(key.task_id, task);
                self.goes_on(key, AttemptState::Running, AttemptState::Verifying, now)
            }
            Said::WorksAgain { .. } => {
                self.only_in(key, AttemptState::Verifying)?;
                let task = self.tasks[&key.task_id].clone().work_again().map_err(|_| Refused::Stale)?;
                self.tasks.insert(key.task_id, task);
                self.goes_on(key, AttemptState::Verifying, AttemptState::Running, now)
            }
            Said::Part { .. } => Ok(()),
            Said::Report { log_end, report } => self.report(key, *log_end, report, now),
            Said::ReportInParts { log_end, length } => {
                let report = self.in_parts(key, *length).ok_or(Refused::Stale)?;
                self.report(key, *log_end, &report, now)
            }
            Said::GivenUp { .. } => {
                self.tally.given_up += 1;
                self.end(key, AttemptState::Lost, AttemptEnd::Lost, End::Said, now);
                Ok(())
            }
            Said::Asks { .. } | Said::AsksNoMore { .. } => {
                self.wrong.push("somebody asked for leave, which nobody does here".into());
                Ok(())
            }
        }
    }

    fn only_in(&self, key: AttemptKey, state: AttemptState) -> Result<(), Refused> {
        match self.attempts.get(&key.attempt_id) {
            Some(attempt) if attempt.state == state => Ok(()),
            _ => Err(Refused::Stale),
        }
    }

    fn goes_on(&mut self, key: AttemptKey, from: AttemptState, to: AttemptState, now: Timestamp) -> Result<(), Refused> {
        self.only_in(key, from)?;
        if let Some(attempt) = self.attempts.get_mut(&key.attempt_id) {
            (attempt.state, attempt.lease_until) = (to, lease_until(now));
        }
        Ok(())
    }

    fn report(&mut self, key: AttemptKey, log_end: u64, report: &AttemptReport, now: Timestamp) -> Result<(), Refused> {
        if self.attempts.get(&key.attempt_id).is_some_and(|attempt| log_end > attempt.log_bytes) {
            return Err(Refused::Missing);
        }
        let is_verifying = matches!(self.tasks[&key.task_id].state, TaskState::Verifying { .. });
        let (state, end) = match &report.outcome {
            WorkOutcome::Cancelled => (AttemptState::Cancelled, AttemptEnd::Cancelled),
            WorkOutcome::Failed { failure } => (AttemptState::Failed, AttemptEnd::Failed(failure.clone())),
            WorkOutcome::Completed if is_verifying && report.verification.is_some() => (AttemptState::Succeeded, AttemptEnd::Succeeded),
            WorkOutcome::Completed | WorkOutcome::TimedOut { .. } => {
                let failure = Failure::new(FailureCode::RunnerFault, "a result without its checks");
                (AttemptState::Failed, AttemptEnd::Failed(failure))
            }
        };
        self.tally.reports += 1;
        self.end(key, state, end, End::Said, now);
        Ok(())
    }

    /// What the parts of a report are together.
    pub fn in_parts(&self, key: AttemptKey, length: u64) -> Option<AttemptReport> {
        let said = &self.attempts.get(&key.attempt_id)?.said;
        let parts = said.iter().filter_map(|said| if let Said::Part { bytes } = said { Some(bytes.as_slice()) } else { None });
        let whole = parts.collect::<Vec<_>>().concat();
        if whole.len() as u64 == length { serde_json::from_slice(&whole).ok() } else { None }
    }

    fn append(&mut self, session: Session, key: AttemptKey, offset: u64, stream: LogStream, bytes: &[u8]) -> Result<(), Refused> {
        let holds = self.held(key, Some(session.runner)).is_some();
        let known = self.attempts.get_mut(&key.attempt_id).filter(|attempt| attempt.key == key && attempt.runner == session.runner);
        let known = known.ok_or(Refused::Stale)?;
        let end = offset + bytes.len() as u64;
        if holds && offset == known.log_bytes {
            known.log.push((stream, bytes.to_vec()));
            known.log_bytes = end;
            return Ok(());
        }
        if end <= known.log_bytes {
            let stored: Vec<u8> = known.log.iter().flat_map(|(_, bytes)| bytes).copied().collect();
            let is_the_same = stored.get(offset as usize..end as usize) == Some(bytes);
            self.tally.again += 1;
            if !is_the_same {
                self.wrong.push(format!("byte {offset} of the log of attempt {} came twice, and not the same", key.attempt_id));
            }
            return Ok(());
        }
        Err(if known.end.is_none() { Refused::Missing } else { Refused::Stale })
    }
}
