//! What agents reach: their model has to be reached by whatever else they may not reach.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Network, NetworkList};

/// What agents reach from inside a sandbox.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentNetwork {
    /// A loopback of their own, and not even their model.
    None,
    /// Each the hosts where its model is, and nothing beside.
    #[default]
    Provider,
    /// What is on the list as well.
    Listed(NetworkList),
    /// What the machine reaches.
    Open,
}

/// For whom nobody has said anything of a network.
const PROVIDER: &str = "provider";

impl AgentNetwork {
    /// For an agent whose model is at these hosts.
    pub(crate) fn with(&self, model: &NetworkList) -> Network {
        let list = match self {
            Self::None => return Network::None,
            Self::Open => return Network::Open,
            Self::Provider => model.clone(),
            Self::Listed(list) => list.and(model),
        };
        if list.is_empty() { Network::None } else { Network::Listed(list) }
    }

    /// "none", "open", or what all agents reach, and where the model of each is: of those that there are, by name.
    pub(crate) fn in_words(&self, models: &[(String, NetworkList)]) -> String {
        let of_all = match self {
            Self::None => return "none".into(),
            Self::Open => return "open".into(),
            Self::Provider => None,
            Self::Listed(list) => Some(list.to_string()),
        };
        let named = models.iter().map(|(name, model)| match model.is_empty() {
            true => format!("{name}: none"),
            false => format!("{name}: {model}"),
        });
        let all: Vec<_> = of_all.into_iter().chain(named).collect();
        if all.is_empty() { "none".into() } else { all.join("; ") }
    }

    /// What everybody reaches, whoever it is.
    pub(crate) fn list(&self) -> Option<Network> {
        match self {
            Self::Listed(list) => Some(Network::Listed(list.clone())),
            Self::None | Self::Provider | Self::Open => None,
        }
    }
}

impl FromStr for AgentNetwork {
    type Err = String;

    /// What is there and empty says nothing.
    fn from_str(text: &str) -> Result<Self, String> {
        if ["", PROVIDER].contains(&text.trim()) {
            return Ok(Self::Provider);
        }
        Ok(match text.parse::<Network>()? {
            Network::None => Self::None,
            Network::Listed(list) => Self::Listed(list),
            Network::Open => Self::Open,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_reaches_its_model_and_what_the_list_has_unless_all_or_nothing_was_said() {
        let (model, nothing) = (NetworkList::of_a_model("https://api.example.org", false), NetworkList::nothing());
        let reaches = |said: &str, model: &NetworkList| said.parse::<AgentNetwork>().map(|network| network.with(model).to_string());
        let ok = |text: &str| Ok::<_, String>(text.to_owned());
        for said in ["", "provider", " provider "] {
            assert_eq!(reaches(said, &model), ok("api.example.org:443"));
            assert_eq!(reaches(said, &nothing), ok("none"), "nobody knows where its model is");
        }
        assert_eq!(reaches("packages.example.org", &model), ok("packages.example.org,api.example.org:443"));
        assert_eq!(reaches("packages.example.org", &nothing), ok("packages.example.org"));
        assert_eq!([reaches("none", &model), reaches("open", &model)], [ok("none"), ok("open")]);
        assert!(reaches("open,example.org", &model).is_err());
    }

    #[test]
    fn what_was_kept_of_a_machine_is_read_by_the_same_words() {
        let read = |text: &str| serde_json::from_str::<AgentNetwork>(text).unwrap();
        assert_eq!(
            [read(r#""open""#), read(r#""none""#), read(r#""provider""#)],
            [AgentNetwork::Open, AgentNetwork::None, AgentNetwork::Provider]
        );
        assert_eq!(read(r#"{"listed":"example.org"}"#), AgentNetwork::Listed("example.org".parse().unwrap()));
    }

    #[test]
    fn what_agents_reach_is_told_of_each() {
        let models = [("claude-code", "https://api.anthropic.com"), ("own:mine", "")];
        let models = models.map(|(name, url)| (name.to_owned(), NetworkList::of_a_model(url, false)));
        let each = "claude-code: api.anthropic.com:443; own:mine: none";
        assert_eq!(AgentNetwork::Provider.in_words(&models), each);
        let listed = AgentNetwork::Listed("packages.example.org,10.0.0.5:5000".parse().unwrap());
        assert_eq!(listed.in_words(&models), format!("packages.example.org,10.0.0.5:5000; {each}"));
        assert_eq!([AgentNetwork::Provider.in_words(&[]), AgentNetwork::Open.in_words(&models)], ["none", "open"]);
        assert_eq!(AgentNetwork::None.in_words(&models), "none");
    }
}
