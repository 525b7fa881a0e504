//! Every use case against real Postgres. Each test has a database of its own and a clock that it moves; services are stepped by hand.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod accounts;
mod approvals;
mod attempts;
mod auto_pull;
mod board;
mod bulk;
mod capabilities;
mod creates;
mod day;
mod draining;
mod edit;
mod endpoints;
mod events;
mod far;
mod hold;
mod isolation;
mod join;
mod judge;
mod judgement;
mod landing;
mod line;
mod link;
mod logs;
mod model;
mod older;
mod queue;
mod races;
mod reading;
mod resync;
mod retention;
mod retries;
mod run_change;
mod run_change_races;
mod runner_log;
mod saved_view;
mod scenario;
mod session;
mod stuck;
mod tasks;
mod tenants;
mod tiers;
mod together;
mod unreadable;
mod workflow;
