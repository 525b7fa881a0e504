//! The `muster` binary: serving, the local runner, and the command line.
//!
//! There are no decisions about tasks here. Handlers extract, call one engine method, and return.

// A page is one type as deep as its elements.
#![recursion_limit = "256"]

mod activity;
pub mod admin;
pub mod api;
mod assets;
mod auth;
pub mod cli;
pub mod config;
mod editor;
pub mod endpoint_keeper;
pub mod fake_forge;
pub mod fake_provider;
pub mod http_server;
mod local_runner;
mod metrics;
mod middleware;
pub mod postgres;
mod rendering;
pub mod router;
pub mod runner_link;
pub mod serve;
mod session_store;
pub mod signals;
mod sse;
mod state;
mod telemetry;
