//! What the runner reads of its machine, and sees of an endpoint there, again and again for as long as it lives; the last one goes down
//! whichever link there is.
//!
//! Nothing is decided by it here; a server gives nothing new to a machine whose disk is full. What cannot be read is left out, and never told as 0.

mod gpu;
mod host;

use std::{convert::Infallible, time::Duration};

use domain::{
    endpoint::{EndpointLook, Looked, address},
    protocol::ToServer,
    runner::{HostReading, reading::SlotsReading},
};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use crate::{
    OllamaConfig,
    clock::Moment,
    life::Runner,
    ollama::{Asker, Ollama, Reach},
    process::program_path,
};
use gpu::Gpus;
use host::Host;

/// How busy processors are is read over a stretch of time; so long is the first one.
const FIRST: Duration = Duration::from_secs(1);

/// What was seen at one look.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub host: HostReading,
    /// Absent when there is no endpoint on this machine.
    pub endpoint: Option<EndpointLook>,
    pub at: Moment,
}

impl Seen {
    /// As a server is told of it, with how old it is by now, the machine's sleep included.
    pub fn told(self) -> ToServer {
        let Self { host, endpoint, at } = self;
        let age_seconds = u32::try_from(at.elapsed().as_secs()).unwrap_or(u32::MAX);
        ToServer::Reading { reading: Box::new(host), endpoint: endpoint.map(Box::new), age_seconds, optional: true }
    }
}

/// For as long as the runner lives.
pub(crate) async fn keep_looking(runner: &Runner) -> Infallible {
    // of a machine that is played there is nothing to be read, and what is on this one is not the seed's
    #[cfg(test)]
    if crate::simulation::is_on() {
        return std::future::pending().await;
    }
    let (mut host, mut gpus) = (Host::new(&runner.folders.state_dir).await, Gpus::default());
    let mut neighbour = runner.config.agents.ollama.clone().and_then(Neighbour::at);
    sleep(FIRST.min(runner.limits.reading)).await;
    let mut looks = interval(runner.limits.reading);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        let see = async {
            match &mut neighbour {
                Some(neighbour) => neighbour.look().await,
                None => None,
            }
        };
        let (host, endpoint) = tokio::join!(look(runner, &mut host, &mut gpus), see);
        runner.reading.send_replace(Some(Seen { host, endpoint, at: Moment::now() }));
    }
}

/// The endpoint on this machine.
struct Neighbour {
    url: String,
    ollama: Ollama,
    /// The settings name it.
    is_said: bool,
    /// It is expected to be there, or has been.
    is_known: bool,
}

impl Neighbour {
    fn at(config: OllamaConfig) -> Option<Self> {
        // it is told to others, so what is wrong with it is said without it
        let checked = address::checked(&config.url).map_err(|(_, why)| format!("its address {why}"));
        let found = checked.and_then(|url| Ok((Asker::new(Reach::Anybody)?.at(&url)?, url)));
        match found {
            Ok((ollama, url)) => Some(Self { url, ollama, is_said: config.is_said, is_known: config.is_said }),
            Err(why) => {
                warn!("No endpoint is looked for on this machine: {why}");
                None
            }
        }
    }

    /// Nothing where nobody has ever answered, and nobody said that somebody would.
    async fn look(&mut self) -> Option<EndpointLook> {
        let looked = self.ollama.look().await;
        if matches!(looked, Looked::Answers { .. }) && !self.is_known {
            info!("There is an Ollama at {}. It is given no prompts unless MUSTER_OLLAMA_URL names it", self.url);
            self.is_known = true;
        }
        self.is_known.then(|| EndpointLook { url: self.url.clone(), is_said: self.is_said, looked }.kept()).flatten()
    }
}

async fn look(runner: &Runner, host: &mut Host, gpus: &mut Gpus) -> HostReading {
    let places = program_path();
    let ((gpus, gpus_unread), (cpu, memory, disk)) = tokio::join!(gpus.look(&places), host.look());
    let used = u32::try_from(runner.held.keys().len()).unwrap_or(u32::MAX);
    let slots = Some(SlotsReading { used, total: runner.slots.most() });
    HostReading { cpu, memory, disk, gpus, gpus_unread, slots }.kept()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_long_ago_is_told_as_that() {
        let age = |by: Duration| match (Seen { host: HostReading::default(), endpoint: None, at: Moment::now().before(by) }).told() {
            ToServer::Reading { age_seconds, .. } => age_seconds,
            other => panic!("{other:?}"),
        };
        assert!(age(Duration::ZERO) < 7);
        // no machine that builds this was started a moment ago
        assert!((7..60).contains(&age(Duration::from_secs(7))));
    }
}
