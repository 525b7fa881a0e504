//! What goes wrong in a run, drawn before it begins. What is done to the link or the machine of a runner is over before the next of its kind.

use std::time::Duration;

use rand::{Rng, rngs::StdRng};

use super::{FAULTS, RUNNERS};

/// Something that happens to a runner, by its place, or to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// What is said either way waits; then it comes all at once.
    Hold(usize),
    Release(usize),
    /// What is said either way is lost, and so the link, though nobody is told.
    Part(usize),
    /// The same of what the runner says.
    Deafen(usize),
    /// The same of what the server says.
    Mute(usize),
    Mend(usize),
    /// What is said either way takes almost a third of a lease.
    Slow(usize),
    Brisk(usize),
    /// The server closes the link.
    Cut(usize),
    /// The process dies; what it has written is there.
    Kill(usize),
    /// The machine dies: nobody is told, and what was not synced may be gone.
    PowerCut(usize),
    /// The process is asked to end.
    Stop(usize),
    Start(usize),
    KillServer,
    PowerCutServer,
    StartServer,
}

/// In their order. None begins after [`FAULTS`], and each is mended.
pub(super) fn draw(luck: &mut StdRng) -> Vec<(Duration, Fault)> {
    let mut plan = vec![];
    let (mut link_is_free, mut is_up, mut server_is_up) =
        ([Duration::ZERO; RUNNERS.len()], [Duration::ZERO; RUNNERS.len()], Duration::ZERO);
    let mut at = Duration::from_millis(500);
    loop {
        at += Duration::from_millis(luck.random_range(200..4000));
        let one = luck.random_range(0..RUNNERS.len());
        let short = Duration::from_millis(luck.random_range(100..3000));
        let long = Duration::from_millis(luck.random_range(3000..16_000));
        if at + short + long >= FAULTS {
            break;
        }
        let lasts = if luck.random_bool(0.5) { short } else { long };
        let (free, up) = (link_is_free[one] <= at, is_up[one] <= at);
        match luck.random_range(0..13) {
            0 | 1 if free => {
                plan.extend([(at, Fault::Hold(one)), (at + lasts, Fault::Release(one))]);
                link_is_free[one] = at + lasts;
            }
            // answers that are on their way still when nothing reaches the server any more
            2 | 3 if free => {
                let slow_for = Duration::from_millis(luck.random_range(5000..9000));
                let (deaf, over) = (at + slow_for, at + slow_for + long);
                plan.extend([(at, Fault::Slow(one)), (deaf, Fault::Deafen(one)), (over, Fault::Mend(one)), (over, Fault::Brisk(one))]);
                link_is_free[one] = over;
            }
            kind @ 4..=6 if free => {
                let fault = [Fault::Part(one), Fault::Deafen(one), Fault::Mute(one)][kind - 4];
                plan.extend([(at, fault), (at + lasts, Fault::Mend(one))]);
                link_is_free[one] = at + lasts;
            }
            7 => plan.push((at, Fault::Cut(one))),
            8 | 9 if up => {
                plan.extend([(at, Fault::Kill(one)), (at + short, Fault::Start(one))]);
                is_up[one] = at + short;
            }
            10 if up && free => {
                plan.extend([(at, Fault::PowerCut(one)), (at + lasts, Fault::Mend(one)), (at + lasts, Fault::Start(one))]);
                (link_is_free[one], is_up[one]) = (at + lasts, at + lasts);
            }
            11 if up => {
                plan.extend([(at, Fault::Stop(one)), (at + long, Fault::Start(one))]);
                is_up[one] = at + long;
            }
            12 if server_is_up <= at => {
                let dies = if luck.random_bool(0.5) { Fault::KillServer } else { Fault::PowerCutServer };
                // every link is in it
                if dies == Fault::KillServer || link_is_free.iter().all(|free| *free <= at) {
                    plan.push((at, dies));
                    if dies == Fault::PowerCutServer {
                        plan.extend((0..RUNNERS.len()).map(|each| (at + lasts, Fault::Mend(each))));
                        link_is_free = [at + lasts; RUNNERS.len()];
                    }
                    plan.push((at + lasts, Fault::StartServer));
                    server_is_up = at + lasts;
                }
            }
            _ => {}
        }
    }
    // stable: what was drawn first of two at the same moment is first
    plan.sort_by_key(|(at, _)| *at);
    plan
}
