//! What must be so when all is whole again and nothing more happens.

use std::fs;

use domain::{
    AttemptState, LogStream,
    protocol::{AttemptReport, Said},
};

use super::{
    RUNNERS, Scene,
    ledger::Work,
    store::{Attempt, End, Store},
};
use crate::{lock, outbox::BROKE_OFF};

/// Every promise that was broken.
pub(super) fn judge(scene: &Scene) -> Vec<String> {
    let (store, ledger) = (lock(&scene.store), lock(&scene.ledger));
    let mut wrong = vec![];
    for task in store.tasks.values().filter(|task| !task.state.is_final()) {
        wrong.push(format!("task {} has not ended: {:?}", task.id.short(), task.state));
    }
    for (place, name) in RUNNERS.into_iter().enumerate() {
        for folder in ["journal", "outbox"] {
            let left = fs::read_dir(scene.state_dir(place).join(folder)).map_or(0, Iterator::count);
            if left > 0 {
                wrong.push(format!("{left} files are left in the {folder} of {name}"));
            }
        }
    }
    for (id, attempt) in &store.attempts {
        let name = format!("attempt {} of task {}", attempt.key.number, attempt.key.task_id.short());
        let found = match ledger.works.get(id) {
            Some(work) => of_a_work(&store, attempt, work),
            None => of_none(attempt),
        };
        wrong.extend(found.into_iter().map(|what| format!("{name}: {what}")));
    }
    let works: Vec<_> = ledger.works.values().collect();
    for (place, one) in works.iter().enumerate() {
        for other in &works[place + 1..] {
            if one.key.task_id == other.key.task_id && one.overlaps(other) {
                let task = one.key.task_id.short();
                wrong.push(format!(
                    "attempts {} and {} of task {task} were at work at once: from {:?} to {:?}, and from {:?} to {:?}",
                    one.key.number, other.key.number, one.from, one.to, other.from, other.to
                ));
            }
        }
    }
    wrong
}

/// Of an attempt that was never begun nothing can have been said but that.
fn of_none(attempt: &Attempt) -> Vec<String> {
    let mut wrong = vec![];
    if attempt.end.is_none() {
        wrong.push("it has not ended".into());
    }
    if attempt.said.iter().any(|said| matches!(said, Said::Started { .. } | Said::Verifying)) || attempt.state == AttemptState::Succeeded {
        wrong.push("its work was spoken of, and never began".into());
    }
    wrong
}

fn of_a_work(store: &Store, attempt: &Attempt, work: &Work) -> Vec<String> {
    let mut wrong = vec![];
    let last = attempt.said.last();
    let is_given_up = matches!(last, Some(Said::GivenUp { .. }));
    let report = last.and_then(|last| report_in(store, attempt, last));
    match attempt.end {
        None => wrong.push("it has not ended".into()),
        Some(End::Absent) if !work.lost_power => wrong.push("it had begun, and its runner did not say that it had it".into()),
        Some(End::Said) if !is_given_up && report.is_none() => wrong.push(format!("its last word was {last:?}")),
        Some(_) => {}
    }
    if attempt.end == Some(End::Said) && !is_given_up && report != work.report {
        wrong.push(format!("its result is {report:?}, and was {:?}", work.report));
    }
    if attempt.end == Some(End::Stopped) && work.report.is_some() {
        wrong.push("it was given back by a stop, and had a result".into());
    }
    if is_given_up && work.report.is_some() && !work.lost_power && !work.was_cut_off {
        wrong.push("it was given up, and had a result".into());
    }
    // nothing that was said is missing where its runner had the last word about it and kept its disk
    let has_ended = matches!(attempt.end, Some(End::Said | End::Stopped));
    let is_whole = report.is_some() || (has_ended && !work.lost_power);
    wrong.extend(of_what_was_said(attempt, work, is_whole));
    wrong.extend(of_the_log(attempt, work, is_whole));
    let mut told = work.told.clone();
    told.sort_unstable();
    told.dedup();
    if told.len() < work.told.len() {
        wrong.push(format!("its agent was told the same twice: {:?}", work.told));
    }
    wrong
}

fn report_in(store: &Store, attempt: &Attempt, last: &Said) -> Option<AttemptReport> {
    match last {
        Said::Report { report, .. } => Some((**report).clone()),
        Said::ReportInParts { length, .. } => store.in_parts(attempt.key, *length),
        _ => None,
    }
}

fn of_what_was_said(attempt: &Attempt, work: &Work, is_whole: bool) -> Option<String> {
    let is_last =
        |said: &&Said| matches!(said, Said::Part { .. } | Said::Report { .. } | Said::ReportInParts { .. } | Said::GivenUp { .. });
    let stored: Vec<_> = attempt.said.iter().filter(|said| !is_last(said)).collect();
    let begins = stored.len() <= work.said.len() && stored.iter().zip(&work.said).all(|(stored, said)| *stored == said);
    let is_missing = is_whole && stored.len() < work.said.len();
    (!begins || is_missing)
        .then(|| format!("it said {} things, and {} are stored, in their order: {begins}", work.said.len(), stored.len()))
}

fn of_the_log(attempt: &Attempt, work: &Work, is_whole: bool) -> Vec<String> {
    let mut wrong = vec![];
    let marks = attempt.log.iter().rev().take_while(|piece| is_mark(piece)).count();
    let pieces = &attempt.log[..attempt.log.len() - marks];
    let stored: Vec<u8> = pieces.iter().flat_map(|(_, bytes)| bytes).copied().collect();
    if !work.log.starts_with(&stored) {
        let same = stored.iter().zip(&work.log).take_while(|(stored, written)| stored == written).count();
        wrong.push(format!("its log is another from byte {same} on: {} bytes are stored, {} were written", stored.len(), work.log.len()));
    } else if is_whole && stored.len() < work.log.len() {
        wrong.push(format!("of its log {} bytes are stored, and {} were written", stored.len(), work.log.len()));
    }
    // a machine can forget that it has said so
    if marks > 1 && !work.lost_power {
        wrong.push(format!("its log says {marks} times that it broke off"));
    }
    // that of who was fenced its own life can have said
    if matches!(attempt.said.last(), Some(Said::GivenUp { .. })) && !work.was_fenced && marks == 0 {
        wrong.push("its runner died, and its log does not say that it broke off".into());
    }
    if marks > 0 && matches!(attempt.said.last(), Some(Said::Report { .. } | Said::ReportInParts { .. })) {
        wrong.push("it came to its end, and its log says that it broke off".into());
    }
    wrong
}

/// Whether the last that its log says is that its runner died.
pub(super) fn broke_off(attempt: &Attempt) -> bool {
    attempt.log.last().is_some_and(is_mark)
}

fn is_mark((stream, bytes): &(LogStream, Vec<u8>)) -> bool {
    *stream == LogStream::Muster && bytes.ends_with(BROKE_OFF.as_bytes())
}
