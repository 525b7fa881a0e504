//! A runner as its server sees it: real processes and real git repositories, with the test playing the server.

mod checks;
mod ending;
mod harness;
mod link;
mod lives;
mod logs;
mod saving;
mod work;
