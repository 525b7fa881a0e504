//! What can be reached from inside a room: nothing, all that the machine reaches, or what a list has.
//!
//! With a list the room has a loopback of its own and nothing else. On it listens a proxy that runs outside ([`proxy`]): the room hands it the
//! socket before anything of the work runs ([`bridge`]). What of the machine's loopback an agent has its model on is found at its own address
//! inside ([`door`]). Whatever does not ask the proxy reaches nobody, names are looked up outside alone, and
//! all of it ends with the program.

mod address;
mod agents;
pub(crate) mod bridge;
mod door;
mod list;
mod patient;
mod proxy;

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

pub use agents::AgentNetwork;
pub use list::NetworkList;

/// What can be reached from inside a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// A loopback of its own.
    None,
    /// What is on the list.
    Listed(NetworkList),
    /// What the machine reaches.
    Open,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "none" => Ok(Self::None),
            "open" => Ok(Self::Open),
            list => list.parse().map(Self::Listed),
        }
    }
}

/// As it is said.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Listed(list) => list.fmt(f),
            Self::Open => f.write_str("open"),
        }
    }
}
