//! Every use case against real Postgres. Each test has a database of its own and a clock that it moves; services are stepped by hand.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod accounts;
mod attempts;
mod bulk;
mod events;
mod hold;
mod logs;
mod model;
mod queue;
mod races;
mod scenario;
mod tasks;
mod tenants;
mod together;
mod workflow;
