//! One run: a server and runners, each on a machine of its own, what goes wrong between them, and what has come of it at the end.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::MetadataExt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio_tungstenite::{WebSocketStream, client_async_with_config, tungstenite};
use tokio_util::sync::CancellationToken;
use turmoil::{Builder, Sim, net::TcpStream};

use super::{
    FAULTS, PORT, RUNNERS, SERVER, SLOTS, Scene,
    faults::{self, Fault},
    judge, leave_scene,
    ledger::Work,
    on_scene,
    server::serve,
    store::Tally,
};
use crate::{
    AgentConfig, LandingConfig, Limits, Paths, RunnerConfig, RunnerError, SandboxConfig,
    backend::identity::Identity,
    folders::{Folders, remember_identity},
    heartbeat,
    life::{self, Machine, Runner},
    lock,
    outbox::Outbox,
    recover,
    sandbox::Sandbox,
    socket,
};

/// Of the network's time, and how far the clocks of two machines differ at most. No message takes less.
const TICK: Duration = Duration::from_millis(100);
const SLOWEST_MESSAGE: Duration = Duration::from_millis(300);
/// Over a link that is slow: there and back, and from one sign of life to the next, it takes less than until everything is given up.
const SLOW_MESSAGE: Duration = Duration::from_millis(1900);
/// Long enough for every silence to be noticed, every lease to run out and every wait between links to be over, several times.
const LONGEST: Duration = Duration::from_secs(600);
const URL: &str = "ws://server/api/v1/runners/link";

/// What a run has come to.
pub(super) struct Outcome {
    pub wrong: Vec<String>,
    pub steps: Vec<String>,
    pub tally: Tally,
    pub lives: usize,
    /// Logs that say that their runner died.
    pub broke_off: usize,
}

pub(super) fn run(seed: u64) -> Outcome {
    let scene = Arc::new(Scene::new(seed));
    on_scene(Arc::clone(&scene));
    // whatever it is, the seed and the steps are to be known
    let played = catch_unwind(AssertUnwindSafe(|| play(&scene)));
    let wrong = match played {
        Ok(Ok(())) => judge::judge(&scene),
        Ok(Err(error)) => vec![format!("the run broke off: {error}")],
        Err(_) => vec!["the run panicked".into()],
    };
    leave_scene();
    let (store, mut ledger) = (lock(&scene.store), lock(&scene.ledger));
    let mut all = std::mem::take(&mut ledger.wrong);
    all.extend(store.wrong.iter().cloned());
    all.extend(wrong);
    let broke_off = store.attempts.values().filter(|attempt| judge::broke_off(attempt)).count();
    Outcome { wrong: all, steps: std::mem::take(&mut ledger.steps), tally: store.tally, lives: ledger.lives, broke_off }
}

fn play(scene: &Arc<Scene>) -> turmoil::Result {
    for (place, id) in scene.runners() {
        remember_identity(&scene.state_dir(place), id)?;
    }
    let mut builder = Builder::new();
    builder.rng_seed(scene.seed).epoch(SystemTime::UNIX_EPOCH).tick_duration(TICK).simulation_duration(LONGEST);
    let mut sim = builder.min_message_latency(TICK).max_message_latency(SLOWEST_MESSAGE).build();
    let at_server = Arc::clone(scene);
    sim.host(SERVER, move || serve(Arc::clone(&at_server)));
    for (place, name) in RUNNERS.into_iter().enumerate() {
        let at_runner = Arc::clone(scene);
        sim.host(name, move || one_life(Arc::clone(&at_runner), place));
    }
    let mut plan = faults::draw(&mut StdRng::seed_from_u64(!scene.seed)).into_iter().peekable();
    while sim.elapsed() < LONGEST {
        while let Some((_, fault)) = plan.next_if(|(at, _)| *at <= sim.elapsed()) {
            scene.step_at(sim.elapsed(), format!("{fault:?}"));
            strike(&mut sim, scene, fault)?;
        }
        sim.step()?;
        let is_second = sim.elapsed().subsec_millis() == 0;
        if is_second && sim.elapsed() >= FAULTS && plan.peek().is_none() && scene.is_over() {
            break;
        }
    }
    scene.step_at(sim.elapsed(), "the end".into());
    Ok(())
}

fn strike(sim: &mut Sim<'_>, scene: &Scene, fault: Fault) -> io::Result<()> {
    match fault {
        Fault::Hold(one) => sim.hold(RUNNERS[one], SERVER),
        Fault::Release(one) => sim.release(RUNNERS[one], SERVER),
        Fault::Part(one) => sim.partition(RUNNERS[one], SERVER),
        Fault::Deafen(one) => sim.partition_oneway(RUNNERS[one], SERVER),
        Fault::Mute(one) => sim.partition_oneway(SERVER, RUNNERS[one]),
        Fault::Mend(one) => sim.repair(RUNNERS[one], SERVER),
        Fault::Slow(one) => sim.set_link_latency(RUNNERS[one], SERVER, SLOW_MESSAGE),
        Fault::Brisk(one) => {
            sim.set_link_latency(RUNNERS[one], SERVER, TICK);
            sim.set_link_max_message_latency(RUNNERS[one], SERVER, SLOWEST_MESSAGE);
        }
        Fault::Cut(one) => lock(&scene.cuts).push(scene.id(one)),
        Fault::Kill(one) => {
            cut_off(scene, one, sim.elapsed());
            sim.crash(RUNNERS[one]);
        }
        Fault::PowerCut(one) => {
            sim.partition(RUNNERS[one], SERVER);
            cut_off(scene, one, sim.elapsed());
            sim.crash(RUNNERS[one]);
            lose_what_is_not_synced(scene, one)?;
        }
        Fault::Stop(one) => {
            cut_off(scene, one, sim.elapsed());
            lock(&scene.stops)[one].cancel();
        }
        Fault::Start(one) => sim.bounce(RUNNERS[one]),
        Fault::KillServer => sim.crash(SERVER),
        Fault::PowerCutServer => {
            RUNNERS.into_iter().for_each(|name| sim.partition(name, SERVER));
            sim.crash(SERVER);
        }
        Fault::StartServer => sim.bounce(SERVER),
    }
    Ok(())
}

/// Whose work has ended in this very moment may have had no time to say so.
fn cut_off(scene: &Scene, place: usize, now: Duration) {
    let id = scene.id(place);
    let just_now = |work: &&mut Work| work.runner == id && work.to.is_none_or(|to| to + TICK >= now);
    lock(&scene.ledger).works.values_mut().filter(just_now).for_each(|work| work.was_cut_off = true);
}

/// Of each file in its outbox a part of what was not synced.
fn lose_what_is_not_synced(scene: &Scene, place: usize) -> io::Result<()> {
    let id = scene.id(place);
    lock(&scene.ledger).works.values_mut().filter(|work| work.runner == id).for_each(|work| work.lost_power = true);
    let mut files = BTreeMap::new();
    // a machine can die before there is one
    let Ok(entries) = fs::read_dir(scene.state_dir(place).join("outbox")) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        files.insert(entry.path(), entry.metadata()?);
    }
    for (path, about) in files {
        let synced = lock(&scene.synced).get(&about.ino()).copied().unwrap_or(0).min(about.len());
        let left = scene.draw(|luck| luck.random_range(synced..=about.len()));
        if left == 0 {
            fs::remove_file(path)?;
        } else {
            OpenOptions::new().write(true).open(path)?.set_len(left)?;
        }
    }
    Ok(())
}

/// A life of a runner, as `life::run` leads it, but that its fence is in the same thread.
async fn one_life(scene: Arc<Scene>, place: usize) -> turmoil::Result {
    // the clock of a machine goes from its first tick on
    tokio::time::sleep(Duration::from_millis(1)).await;
    let stop = CancellationToken::new();
    lock(&scene.stops)[place] = stop.clone();
    lock(&scene.ledger).lives += 1;
    let runner = Arc::new(begin(&scene, place, stop).await?);
    let lost = recover::earlier_lives(&runner).await;
    let dial = || socket::link(URL, connect());
    let ended = life::live(&runner, lost, dial, heartbeat::fence(Arc::clone(&runner))).await;
    life::leave(&runner).await;
    scene.step(format!("{} has stopped", RUNNERS[place]));
    ended?;
    Ok(())
}

async fn begin(scene: &Scene, place: usize, stop: CancellationToken) -> Result<Runner, RunnerError> {
    let config = RunnerConfig {
        name: RUNNERS[place].into(),
        state_dir: scene.state_dir(place),
        slots: SLOTS,
        agent_command: None,
        agents: AgentConfig::default(),
        capabilities: vec![],
        paths: Paths::All,
        sandbox: SandboxConfig::default(),
        landing: LandingConfig::default(),
    };
    let folders = Folders::open(&config.state_dir).await?;
    let outbox = Arc::new(Outbox::with_little_room(folders.outbox.clone()));
    let sandbox = Arc::new(Sandbox::tried(config.sandbox.clone(), folders.state_dir.clone()));
    let machine = Machine { folders, key: None, identity: Identity::musters(), sandbox };
    let mut runner = Runner::on(machine, config, Limits::default(), stop);
    runner.outbox = outbox;
    Ok(runner)
}

type Connected = (WebSocketStream<TcpStream>, tungstenite::handshake::client::Response);

async fn connect() -> Result<Connected, tungstenite::Error> {
    let stream = TcpStream::connect((SERVER, PORT)).await?;
    client_async_with_config(URL, stream, Some(socket::config())).await
}
