//! The runners that were heard of lately, for whatever waits for one.

use chrono::TimeDelta;
use domain::{
    Isolation, Sandboxes,
    runner::{HostReading, OFFLINE_AFTER_SECONDS, Rooms, own_word, reading::is_stale},
    task::{RunnerAtHand, RunnerStanding},
};
use sqlx::types::Json;

use crate::{Result, tx::Tx};

/// The runners that were heard of lately, whichever process they are connected to, as they are for the workspace. Of one that serves others as
/// well, only what it carries out for this one is seen, and not whether this one is its guest.
pub(crate) async fn at_hand(tx: &mut Tx) -> Result<Vec<RunnerAtHand>> {
    let since = tx.now() - TimeDelta::seconds(OFFLINE_AFTER_SECONDS);
    let rows = sqlx::query!(
        r#"select id, capabilities, paths, no_sandbox is not null as "makes_none!", rooms as "rooms: Json<Rooms>",
                  (select isolation from workspace where workspace.id = (select current_workspace())) as "isolation!: Isolation",
                  draining_since is not null as "is_draining!", unresponsive_since is not null as "is_unresponsive!",
                  slots_now <= (select count(*) from attempt where runner_id = runner.id and state in ('claimed', 'running', 'verifying')) as "is_full!",
                  workspace_id is null as "is_the_installations!", reading.at as "read_at?", reading.host as "host?: Json<HostReading>"
           from runner left join runner_reading reading on reading.runner_id = runner.id
           where ticket > 0 and last_seen_at > $1 and coalesce(stopped_at < last_seen_at, true) and removed_at is null"#,
        since
    )
    .fetch_all(&mut **tx)
    .await?;
    let now = tx.now();
    let at_hand = rows.into_iter().map(|row| {
        let sandboxes = Sandboxes::of(row.makes_none, row.rooms.as_ref().map(|rooms| &rooms.0));
        let runs_so = sandboxes.carry_out(row.isolation, false);
        let reading = row.read_at.zip(row.host).filter(|(at, _)| !is_stale(*at, now));
        let lacks_disk = reading.is_some_and(|(_, host)| host.0.lacks_disk().is_some());
        RunnerAtHand {
            capabilities: row.capabilities.into_iter().chain([own_word(row.id)]).collect(),
            takes_paths: row.paths,
            runs_so,
            not_for_guests: row.is_the_installations && runs_so && !sandboxes.carry_out(row.isolation, true),
            standing: match (row.is_draining, row.is_unresponsive, lacks_disk, row.is_full) {
                (true, ..) => RunnerStanding::Drained,
                (false, true, ..) => RunnerStanding::Unresponsive,
                (false, false, true, _) => RunnerStanding::DiskFull,
                (false, false, false, true) => RunnerStanding::Full,
                (false, false, false, false) => RunnerStanding::Takes,
            },
        }
    });
    Ok(at_hand.collect())
}

/// What those of them have that take work.
pub(crate) fn capabilities_of(runners: &[RunnerAtHand]) -> Vec<Vec<String>> {
    let taking = runners.iter().filter(|runner| runner.standing != RunnerStanding::Drained);
    taking.map(|runner| runner.capabilities.clone()).collect()
}
