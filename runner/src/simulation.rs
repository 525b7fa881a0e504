//! The runner's half of the protocol as it is, over a network, a clock and a disk that a seed plays, against a server that keeps in memory
//! what the engine keeps. The same seed is the same order of everything.
//!
//! What is real: links and their WebSockets, hello and welcome, signs of life and the fence, what is held, the journal, the outbox with its
//! pages on a disk, the first heartbeat, logs, tellings, last words, and what the next life makes of all that. What is played: the machine
//! under it. Its clock is the simulation's ([`Moment`](crate::clock::Moment)), its disk takes a time that is drawn and is on the same thread
//! ([`on_disk`](crate::disk::on_disk)), so is its [`fence`](crate::heartbeat::fence), its luck is the seed's, and its work is [`work`] without
//! processes, rooms and repositories.
//!
//!     MUSTER_SIMULATION_SEEDS=100000 cargo test --profile torture --package runner --lib simulation

mod faults;
mod judge;
mod ledger;
mod run;
mod server;
mod store;
pub(crate) mod work;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    ffi::OsStr,
    fs::File,
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::TimeDelta;
use domain::{AttemptKey, RunnerId, Timestamp};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::lock;
use ledger::{Ledger, Work};
use run::{Outcome, run};
use store::Store;

const SERVER: &str = "server";
const PORT: u16 = 80;
const RUNNERS: [&str; 2] = ["anvil", "bellows"];
/// Of each runner.
const SLOTS: u32 = 2;
/// Tasks that there are at the beginning.
const TASKS: usize = 4;
const HEARTBEAT_SECONDS: u32 = 1;
const LEASE_SECONDS: u32 = 6;
/// So long something goes wrong, and people want something.
const FAULTS: Duration = Duration::from_secs(40);

/// What all that take part in a run have in common.
pub(crate) struct Scene {
    seed: u64,
    /// Where the disks are.
    folder: TempDir,
    luck: Mutex<StdRng>,
    store: Mutex<Store>,
    ledger: Mutex<Ledger>,
    /// With what each runner is asked to end.
    stops: Mutex<[CancellationToken; RUNNERS.len()]>,
    /// Whose links the server is to close.
    cuts: Mutex<Vec<RunnerId>>,
    /// That anybody has asked a clock for.
    moments: AtomicU64,
    /// How much of each file survives its machine, by its number.
    synced: Mutex<BTreeMap<u64, u64>>,
}

thread_local! {
    /// The run that is played on this thread.
    static SCENE: RefCell<Option<Arc<Scene>>> = const { RefCell::new(None) };
}

fn on_scene(scene: Arc<Scene>) {
    SCENE.set(Some(scene));
}

fn leave_scene() {
    SCENE.set(None);
}

pub(crate) fn is_on() -> bool {
    SCENE.with_borrow(Option::is_some)
}

fn scene() -> Arc<Scene> {
    SCENE.with_borrow(|scene| scene.clone().expect("a run is played on this thread"))
}

/// On the clock of a machine that is played. No two moments of it are the same, as of any other.
pub(crate) fn since_start() -> Option<Duration> {
    let elapsed = turmoil::sim_elapsed()?;
    Some(elapsed + Duration::from_nanos(scene().moments.fetch_add(1, Ordering::Relaxed)))
}

/// From 0 to 1, of a machine that is played.
pub(crate) fn luck() -> Option<f64> {
    is_on().then(|| scene().draw(|luck| luck.random_range(0.0..=1.0)))
}

/// Somewhere in the time that the disk takes for it.
pub(crate) async fn on_disk<T>(act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let scene = scene();
    scene.disk().await;
    let done = act();
    scene.disk().await;
    done
}

/// All that is in this file survives its machine.
pub(crate) fn synced(file: &File) {
    if let (true, Ok(about)) = (is_on(), file.metadata()) {
        lock(&scene().synced).insert(about.ino(), about.len());
    }
}

/// Since the beginning of the run.
fn elapsed() -> Duration {
    turmoil::sim_elapsed().unwrap_or_default()
}

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH + TimeDelta::milliseconds(i64::try_from(elapsed().as_millis()).unwrap_or(i64::MAX))
}

impl Scene {
    fn new(seed: u64) -> Self {
        // nothing here has to survive this machine
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let mut store = Store::default();
        (0..TASKS).for_each(|_| store.create_task(Timestamp::UNIX_EPOCH));
        Self {
            seed,
            folder: folder.unwrap(),
            luck: Mutex::new(StdRng::seed_from_u64(seed)),
            store: Mutex::new(store),
            ledger: Mutex::default(),
            stops: Mutex::default(),
            cuts: Mutex::default(),
            moments: AtomicU64::new(0),
            synced: Mutex::default(),
        }
    }

    fn draw<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut lock(&self.luck))
    }

    /// Takes a moment, and now and then a long one.
    async fn takes(&self, long: f64) {
        let time = self.draw(|luck| if luck.random_bool(long) { luck.random_range(300..3000) } else { luck.random_range(0..20) });
        tokio::time::sleep(Duration::from_millis(time)).await;
    }

    async fn disk(&self) {
        self.takes(0.02).await;
    }

    async fn database(&self) {
        self.takes(0.01).await;
    }

    /// What is killed is not gone at once.
    async fn kills(&self) {
        tokio::time::sleep(Duration::from_millis(self.draw(|luck| luck.random_range(0..400)))).await;
    }

    fn id(&self, place: usize) -> RunnerId {
        RunnerId(Uuid::from_u128(place as u128 + 1))
    }

    fn runners(&self) -> impl Iterator<Item = (usize, RunnerId)> {
        (0..RUNNERS.len()).map(move |place| (place, self.id(place)))
    }

    fn name(&self, id: RunnerId) -> &'static str {
        self.runners().find(|(_, known)| *known == id).map_or("a stranger", |(place, _)| RUNNERS[place])
    }

    fn state_dir(&self, place: usize) -> PathBuf {
        self.folder.path().join(RUNNERS[place])
    }

    fn step(&self, what: String) {
        self.step_at(elapsed(), what);
    }

    fn step_at(&self, at: Duration, what: String) {
        lock(&self.ledger).steps.push(format!("{:>9.3} {what}", at.as_secs_f64()));
    }

    fn wrong(&self, what: String) {
        lock(&self.ledger).wrong.push(what);
    }

    /// Work begins.
    fn begins(&self, key: AttemptKey, runner: RunnerId) {
        let before = lock(&self.ledger).works.insert(key.attempt_id, Work::new(key, runner, elapsed()));
        if before.is_some() {
            self.wrong(format!("attempt {} of task {} was begun twice", key.number, key.task_id.short()));
        }
    }

    /// Whether nothing more is to be expected.
    fn is_over(&self) -> bool {
        let is_empty = |folder: PathBuf| std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none());
        let all_said = |place| ["journal", "outbox"].into_iter().all(|folder| is_empty(self.state_dir(place).join(folder)));
        lock(&self.store).all_ended() && (0..RUNNERS.len()).all(all_said)
    }
}

/// What the environment says instead of a constant.
fn setting(name: &str, usual: u64) -> u64 {
    std::env::var_os(name).map_or(usual, |said| number(name, &said))
}

/// What cannot be read is no wish for the usual: whoever has mistyped it would believe that it was played.
fn number(name: &str, said: &OsStr) -> u64 {
    let read = said.to_str().and_then(|text| text.parse().ok());
    read.unwrap_or_else(|| panic!("{name} is {}, and has to be a number", said.display()))
}

#[test]
#[should_panic(expected = "MUSTER_SIMULATION_SEEDS is 100_000, and has to be a number")]
fn seeds_that_cannot_be_read_are_not_the_usual_ones() {
    number("MUSTER_SIMULATION_SEEDS", OsStr::new("100_000"));
}

/// Of the seeds, which are as many as somebody asks for, those that are in this part of four; the parts run beside each other.
fn part(number: u64) {
    let (from, seeds) = (setting("MUSTER_SIMULATION_FROM", 1), setting("MUSTER_SIMULATION_SEEDS", 1000));
    let (mut broken, mut played) = (vec![], vec![]);
    for seed in (from..from + seeds).filter(|seed| seed % 4 == number) {
        let outcome = run(seed);
        if !outcome.wrong.is_empty() {
            tell(seed, &outcome);
            broken.push(seed);
        }
        // a few say as much as all
        if broken.len() == 3 {
            break;
        }
        played.push(Outcome { steps: vec![], ..outcome });
    }
    assert!(
        broken.is_empty(),
        "seeds {broken:?} have broken a promise, see above; MUSTER_SIMULATION_FROM=… MUSTER_SIMULATION_SEEDS=1 plays one"
    );
    if played.len() >= 100 {
        was_worth_something(&played);
    }
}

fn tell(seed: u64, outcome: &Outcome) {
    eprintln!("seed {seed}:");
    outcome.steps.iter().for_each(|step| eprintln!("{step}"));
    outcome.wrong.iter().for_each(|wrong| eprintln!("seed {seed} is wrong: {wrong}"));
}

/// What never happened has shown nothing.
fn was_worth_something(played: &[Outcome]) {
    let sum = |of: fn(&Outcome) -> usize| played.iter().map(of).sum::<usize>();
    let what = [
        ("results", sum(|one| one.tally.reports)),
        ("attempts that were given up", sum(|one| one.tally.given_up)),
        ("attempts that were not there", sum(|one| one.tally.absent)),
        ("attempts that a stop gave back", sum(|one| one.tally.stopped)),
        ("leases that ran out", sum(|one| one.tally.expired)),
        ("logs that broke off", sum(|one| one.broke_off)),
        ("later lives", sum(|one| one.lives.saturating_sub(RUNNERS.len()))),
    ];
    // a hello is told what has come, so that it takes two links at once; not each part has that
    eprintln!("{} runs: {what:?}, and {} messages that came once more", played.len(), sum(|one| one.tally.again));
    what.into_iter().for_each(|(what, count)| assert!(count > 0, "there were no {what}"));
}

#[test]
fn nothing_that_was_said_is_lost_or_doubled_in_the_first_part_of_the_seeds() {
    part(0);
}

#[test]
fn nothing_that_was_said_is_lost_or_doubled_in_the_second_part_of_the_seeds() {
    part(1);
}

#[test]
fn nothing_that_was_said_is_lost_or_doubled_in_the_third_part_of_the_seeds() {
    part(2);
}

#[test]
fn nothing_that_was_said_is_lost_or_doubled_in_the_fourth_part_of_the_seeds() {
    part(3);
}

#[test]
fn the_same_seed_is_the_same_order() {
    for seed in 1..=10 {
        let (first, second) = (run(seed), run(seed));
        let differs = first.steps.iter().zip(&second.steps).position(|(first, second)| first != second);
        assert_eq!(differs.map(|place| (&first.steps[place], &second.steps[place])), None, "seed {seed}");
        assert_eq!(first.steps.len(), second.steps.len(), "seed {seed}");
    }
}
