//! Muster from the outside: over HTTP, on the command line, and as a set of files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod agent_endpoints;
mod agent_faults;
mod agents;
mod approval_pages;
mod approvals;
mod architecture;
mod auth;
mod cli;
mod connections;
mod crash;
mod database_url;
mod endpoints;
mod http;
mod idempotency;
mod landing;
mod lfs;
mod migrations;
mod model;
#[cfg(target_os = "linux")]
mod network;
mod older;
mod prices;
mod private_postgres;
mod purge;
mod queue;
mod runner_link;
mod runner_log;
mod runner_slots;
mod runners;
mod session_pages;
mod stop;
mod streams;
mod tasks;
mod versions;
mod views;
mod workflows;
mod workflows_command_line;
