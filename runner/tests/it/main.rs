//! A runner as its server sees it: real processes and real git repositories, with the test playing the server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agents;
mod approvals;
mod checks;
#[cfg(target_os = "linux")]
mod control_groups;
mod ending;
mod endpoint;
mod fake_ollama;
mod going_on;
mod harness;
#[cfg(target_os = "linux")]
mod judges;
mod landing;
#[cfg(target_os = "linux")]
mod limits;
mod link;
mod lives;
mod logs;
#[cfg(target_os = "linux")]
mod manifests;
mod outbox;
mod proven;
mod reading;
#[cfg(target_os = "linux")]
mod remains;
#[cfg(target_os = "linux")]
mod sandbox;
mod saving;
mod several;
mod slots;
mod submodules;
mod work;
