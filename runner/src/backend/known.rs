//! Which of the agents that Muster knows by itself are on this machine. They are looked for again and again, so that one that is installed,
//! updated or taken away needs no other start of the runner; what is as it was is not asked for its version again, unless it did not answer.

use std::path::PathBuf;

use domain::Backend;
use tokio::time::Instant;
use tracing::{info, warn};

use super::found::{self, ASKED_AGAIN, Found, Stamp};
use crate::AgentConfig;

/// What such a program is called with to say its version.
const VERSION: [&str; 1] = ["--version"];

pub(crate) struct Known {
    seen: Vec<Seen>,
}

/// An agent that is wanted, as the last look has found it.
#[derive(Clone)]
struct Seen {
    backend: Backend,
    /// As it is named.
    program: PathBuf,
    /// It is told once, and not spoken with.
    is_simple: bool,
    stamp: Option<Stamp>,
    answer: Answer,
    /// At this look or an earlier one.
    was_there: bool,
}

#[derive(Clone)]
enum Answer {
    There(Found),
    Absent,
    /// It did not say its version, for this reason.
    Silent {
        why: String,
        until: Instant,
    },
}

/// An agent that is wanted, for whoever sets a runner up.
#[derive(Debug)]
pub struct AgentHere {
    pub backend: Backend,
    pub program: PathBuf,
    /// Its version and the whole path of its file; nothing when there is no such program; or why it counts as none.
    pub found: Result<Option<(String, PathBuf)>, String>,
}

impl Known {
    pub fn new(config: &AgentConfig) -> Self {
        let first = |(backend, program)| {
            let is_simple = backend == Backend::Codex && config.codex_is_simple;
            Seen { backend, program, is_simple, stamp: None, answer: Answer::Absent, was_there: false }
        };
        Self { seen: wanted(config).map(first).collect() }
    }

    /// Whether none is wanted.
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// Whether one is not there that was.
    pub fn misses_one(&self) -> bool {
        self.seen.iter().any(|seen| seen.was_there && seen.found().is_none())
    }

    /// Those that there are now.
    pub async fn look(&mut self, now: Instant) -> Vec<Found> {
        let programs: Vec<_> = self.seen.iter().map(|seen| seen.program.clone()).collect();
        let look = move || programs.iter().map(|program| found::stamp(program)).collect::<Vec<_>>();
        // where they lie a disk may take its time
        if let Ok(stamps) = tokio::task::spawn_blocking(look).await {
            let looked = self.seen.iter().zip(stamps).map(|(seen, stamp)| seen.look(stamp, now));
            let looked = futures::future::join_all(looked).await;
            self.seen = looked;
        }
        self.seen.iter().filter_map(Seen::found).cloned().collect()
    }
}

impl Seen {
    fn found(&self) -> Option<&Found> {
        if let Answer::There(found) = &self.answer { Some(found) } else { None }
    }

    async fn look(&self, stamp: Option<Stamp>, now: Instant) -> Self {
        let is_due = matches!(&self.answer, Answer::Silent { until, .. } if *until <= now);
        if stamp == self.stamp && !is_due {
            return self.clone();
        }
        let answer = self.ask(now).await;
        let was_there = self.was_there || matches!(answer, Answer::There(_));
        Self { stamp, answer, was_there, ..self.clone() }
    }

    async fn ask(&self, now: Instant) -> Answer {
        let title = self.backend.title();
        match found::ask(self.backend.clone(), &self.program, &VERSION).await {
            Ok(Some(found)) => {
                info!("{title} {} is at {}", found.version, found.program.display());
                Answer::There(Found { is_simple: self.is_simple, ..found })
            }
            Ok(None) => {
                if self.found().is_some() {
                    info!("{title} is there no more");
                }
                Answer::Absent
            }
            Err(why) => {
                if !matches!(&self.answer, Answer::Silent { why: before, .. } if *before == why) {
                    let again = ASKED_AGAIN.as_secs();
                    warn!("{title} at {} is left out, and asked again every {again} s: {why}", self.program.display());
                }
                Answer::Silent { why, until: now + ASKED_AGAIN }
            }
        }
    }
}

/// What a runner with this configuration finds, of those that Muster knows by itself.
pub async fn agents_here(config: &AgentConfig) -> Vec<AgentHere> {
    let asked = wanted(config).map(async |(backend, program)| {
        let answer = found::ask(backend.clone(), &program, &VERSION).await;
        AgentHere { backend, program, found: answer.map(|found| found.map(|found| (found.version, found.program))) }
    });
    futures::future::join_all(asked).await
}

fn wanted(config: &AgentConfig) -> impl Iterator<Item = (Backend, PathBuf)> {
    let all = [
        (Backend::ClaudeCode, &config.claude_code),
        (Backend::Codex, &config.codex),
        (Backend::GeminiCli, &config.gemini_cli),
        (Backend::OpenCode, &config.opencode),
    ];
    all.into_iter().filter_map(|(backend, program)| Some((backend, program.clone()?)))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File, Permissions},
        os::unix::fs::PermissionsExt,
        path::Path,
        time::{Duration, SystemTime},
    };

    use tempfile::TempDir;

    use super::*;

    struct Place {
        root: TempDir,
        known: Known,
    }

    impl Place {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let config = AgentConfig { codex: Some(root.path().join("codex")), ..AgentConfig::default() };
            Self { known: Known::new(&config), root }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.root.path().join(name)
        }

        /// A program that counts how often it was asked.
        fn installs(&self, does: &str) {
            let script = format!("#!/bin/sh\necho asked >> {}\n{does}\n", self.at("asked").display());
            self.puts(&self.at("codex"), &script);
        }

        /// In one step, and as another file.
        fn puts(&self, place: &Path, text: &str) {
            let draft = self.at("draft");
            fs::write(&draft, text).unwrap();
            fs::set_permissions(&draft, Permissions::from_mode(0o755)).unwrap();
            fs::rename(draft, place).unwrap();
        }

        /// In the same file, which is said to be of that time.
        fn writes_over(&self, text: &str, at: SystemTime) {
            fs::write(self.at("codex"), text).unwrap();
            File::options().write(true).open(self.at("codex")).unwrap().set_modified(at).unwrap();
        }

        fn asked(&self) -> usize {
            fs::read_to_string(self.at("asked")).unwrap_or_default().lines().count()
        }

        async fn look_at(&mut self, now: Instant) -> Vec<String> {
            self.known.look(now).await.iter().map(|found| format!("{} {}", found.backend.name(), found.version)).collect()
        }

        async fn look(&mut self) -> Vec<String> {
            self.look_at(Instant::now()).await
        }
    }

    #[tokio::test]
    async fn codex_is_spoken_with_unless_its_simple_mode_is_wanted() {
        let place = Place::new();
        place.installs("echo codex-cli 0.169.0");
        let program = Some(place.at("codex"));
        for codex_is_simple in [false, true] {
            let both = AgentConfig { claude_code: program.clone(), codex: program.clone(), codex_is_simple, ..AgentConfig::default() };
            let found = Known::new(&both).look(Instant::now()).await;
            let found: Vec<_> = found.into_iter().map(|found| (found.backend.clone(), found.is_simple, found.asks())).collect();
            assert_eq!(found, [(Backend::ClaudeCode, false, true), (Backend::Codex, codex_is_simple, !codex_is_simple)]);
        }
    }

    #[tokio::test]
    async fn an_agent_that_is_installed_updated_or_taken_away_is_seen_at_the_next_look() {
        let mut place = Place::new();
        assert!(place.look().await.is_empty() && !place.known.misses_one());
        place.installs("echo codex-cli 0.169.0");
        assert_eq!([place.look().await, place.look().await], [["codex 0.169.0"], ["codex 0.169.0"]]);
        assert_eq!(place.asked(), 1, "it is as it was");
        place.installs("echo codex-cli 0.170.0");
        assert_eq!(place.look().await, ["codex 0.170.0"]);
        assert!(!place.known.misses_one());
        fs::remove_file(place.at("codex")).unwrap();
        assert!(place.look().await.is_empty() && place.known.misses_one());
        assert_eq!(place.asked(), 2);
    }

    #[tokio::test]
    async fn what_was_written_over_in_its_place_is_another() {
        let mut place = Place::new();
        place.installs("echo 1.0");
        assert_eq!(place.look().await, ["codex 1.0"]);
        let text = fs::read_to_string(place.at("codex")).unwrap();
        let at = SystemTime::now() - Duration::from_secs(3600);
        for (version, at) in [("1.1", at), ("1.2.0", at), ("1.3.0", at + Duration::from_secs(1))] {
            place.writes_over(&text.replace("1.0", version), at);
            assert_eq!(place.look().await, [format!("codex {version}")]);
        }
        assert_eq!(place.asked(), 4);
    }

    #[tokio::test]
    async fn one_that_does_not_answer_is_not_there_and_is_asked_again_after_a_while() {
        let mut place = Place::new();
        place.installs(&format!("cat {}", place.at("says").display()));
        let began = Instant::now();
        assert!(place.look_at(began).await.is_empty());
        assert!(place.look_at(began + Duration::from_secs(59)).await.is_empty());
        assert_eq!(place.asked(), 1, "not each time that somebody looks");
        fs::write(place.at("says"), "1.4").unwrap();
        assert_eq!(place.look_at(began + Duration::from_secs(60)).await, ["codex 1.4"], "its file is what it was");
        assert_eq!(place.look_at(began + Duration::from_secs(999)).await, ["codex 1.4"]);
        assert_eq!(place.asked(), 2);
    }

    #[tokio::test]
    async fn whoever_sets_a_runner_up_hears_what_is_there_what_is_not_and_what_does_not_answer() {
        let place = Place::new();
        place.installs("echo 0.169.0");
        place.puts(&place.at("gemini"), "#!/bin/sh\nexit 3\n");
        let config = AgentConfig {
            codex: Some(place.at("codex")),
            gemini_cli: Some(place.at("gemini")),
            opencode: Some(place.at("opencode")),
            ..AgentConfig::default()
        };
        let here = agents_here(&config).await;
        let backends: Vec<_> = here.iter().map(|agent| agent.backend.name()).collect();
        assert_eq!(backends, ["codex", "gemini-cli", "opencode"], "of one that is not wanted nothing is said");
        let version = here[0].found.as_ref().unwrap().as_ref().map(|(version, _)| version.as_str());
        assert_eq!((version, &here[2].found), (Some("0.169.0"), &Ok(None)));
        assert!(here[1].found.as_ref().is_err_and(|why| why.contains("exit status: 3")), "{:?}", here[1].found);
    }
}
