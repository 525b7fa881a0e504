//! The hosts that a room may reach.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
    sync::Arc,
};

use domain::endpoint::address::not_asked;
use serde::{Deserialize, Serialize};

use super::door::Door;

/// Hosts with their ports, as in `example.org,*.example.net:8443,10.0.0.5:5000`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetworkList(Arc<[Entry]>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    host: Host,
    ports: Ports,
    /// Whoever runs the machine has said that a model is there, of which a name may lead into a network that is not the internet. What is on
    /// the machine's loopback is found by agents at its own address ([`Door`]): not each of them asks a proxy for that.
    is_said: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Name(String),
    /// Every name below this one.
    Below(String),
    Address(IpAddr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ports {
    /// The usual ones of HTTP and HTTPS.
    Web,
    One(u16),
    All,
}

/// Longer is no name (RFC 1035, 2.3.4).
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;
const LOCALHOST: &str = "localhost";
/// With a lower one nobody listens who has no rights.
const FIRST_FREE_PORT: u16 = 1024;

impl NetworkList {
    pub(crate) fn nothing() -> Self {
        Self(Arc::default())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The host and the port of the address of a model, and nothing beside; nothing when it is no such address, or one from which machines of
    /// clouds have their credentials. Whether somebody has said where it is, or it is where such models are for everybody.
    pub(crate) fn of_a_model(url: &str, is_said: bool) -> Self {
        Self::of_url(url, is_said).unwrap_or_else(Self::nothing)
    }

    fn of_url(url: &str, is_said: bool) -> Option<Self> {
        let url = reqwest::Url::parse(url).ok().filter(|url| ["http", "https"].contains(&url.scheme()))?;
        let ports = Ports::One(url.port_or_known_default().filter(|port| *port > 0)?);
        let host = url.host_str()?.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
        let entry = |host| Entry { host, ports, is_said };
        match host.parse::<IpAddr>() {
            Ok(address) if not_asked(address, true).is_some() => None,
            Ok(address) => Some(Self([entry(Host::Address(address.to_canonical()))].into())),
            Err(_) if host == LOCALHOST => {
                let address = Host::Address(Ipv4Addr::LOCALHOST.into());
                Some(Self([entry(Host::Name(host)), entry(address)].into()))
            }
            Err(_) if is_name(&host) => Some(Self([entry(Host::Name(host))].into())),
            Err(_) => None,
        }
    }

    /// The same, as whoever runs the machine has said it of an agent.
    pub(crate) fn said(&self) -> Self {
        Self(self.0.iter().map(|entry| Entry { is_said: true, ..entry.clone() }).collect())
    }

    /// With what the other one has as well.
    pub(crate) fn and(&self, other: &Self) -> Self {
        let mut all = self.0.to_vec();
        for entry in other.0.iter() {
            if !all.contains(entry) {
                all.push(entry.clone());
            }
        }
        Self(all.into())
    }

    /// Whether it names this host and port. An address is found however it is written, and by itself alone: what a name stands for is
    /// somebody else's to say.
    pub(crate) fn has(&self, host: &str, port: u16) -> bool {
        self.0.iter().any(|entry| entry.host.is(host) && entry.ports.include(port))
    }

    /// Whether programs have to ask the proxy for this host, with any port.
    pub(crate) fn knows(&self, host: &str) -> bool {
        self.0.iter().any(|entry| entry.host.is(host) && !entry.is_door())
    }

    /// Whether this name may lead to an address that is not the internet's.
    pub(crate) fn trusts(&self, host: &str, port: u16) -> bool {
        self.0.iter().any(|entry| entry.is_said && entry.host.is(host) && entry.ports.include(port))
    }

    /// What of the machine's loopback is to be found at its own address inside.
    pub(crate) fn doors(&self) -> Vec<Door> {
        let doors = self.0.iter().filter(|entry| entry.is_door());
        let mut all: Vec<Door> = vec![];
        for (entry, port) in doors.filter_map(|entry| entry.ports.one().map(|port| (entry, port))) {
            let Host::Address(address) = entry.host else { continue };
            let at = SocketAddr::new(address, port);
            // by its name it may be at either of the two
            let is_named = self.0.iter().any(|other| other.is_door() && other.host.is(LOCALHOST) && other.ports == entry.ports);
            let other = is_named.then_some(SocketAddr::new(Ipv6Addr::LOCALHOST.into(), port));
            if all.iter().all(|door| door.inside != at) {
                all.push(Door { inside: at, outside: [at].into_iter().chain(other).collect() });
            }
        }
        all
    }
}

impl Entry {
    fn is_door(&self) -> bool {
        let is_of_the_machine = match &self.host {
            Host::Address(address) => address.is_loopback(),
            Host::Name(name) => name == LOCALHOST,
            Host::Below(_) => false,
        };
        self.is_said && is_of_the_machine && self.ports.one().is_some_and(|port| port >= FIRST_FREE_PORT)
    }
}

impl Host {
    fn is(&self, host: &str) -> bool {
        match self {
            Self::Name(name) => name == host,
            Self::Below(name) => {
                is_name(host) && host.strip_suffix(name.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            Self::Address(address) => host.parse::<IpAddr>().is_ok_and(|host| host.to_canonical() == *address),
        }
    }
}

impl Ports {
    fn one(self) -> Option<u16> {
        match self {
            Self::One(port) => Some(port),
            Self::Web | Self::All => None,
        }
    }

    fn include(self, port: u16) -> bool {
        match self {
            Self::Web => [80, 443].contains(&port),
            Self::One(one) => one == port,
            Self::All => true,
        }
    }
}

impl FromStr for NetworkList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let entries: Result<Vec<_>, _> = text.split(',').map(|entry| parse(entry.trim())).collect();
        Ok(Self(entries?.into()))
    }
}

fn parse(text: &str) -> Result<Entry, String> {
    let wrong = |why: &str| Err(format!("{text:?} is no host of a network list: {why}"));
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, _)) if address.parse::<Ipv6Addr>().is_err() => return wrong("what is in brackets is an address of version 6"),
        Some((address, "")) => (address, None),
        Some((address, rest)) => match rest.strip_prefix(':') {
            Some(port) => (address, Some(port)),
            None => return wrong("between an address in brackets and its port is a colon"),
        },
        // an address of version 6 has colons of its own
        None if text.matches(':').count() > 1 => (text, None),
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let ports = match port {
        None => Ports::Web,
        Some("*") => Ports::All,
        Some(port) => match port.parse() {
            Ok(port) if port > 0 => Ports::One(port),
            _ => return wrong("its port is a number up to 65535, or * for all"),
        },
    };
    let lower = host.to_ascii_lowercase();
    let host = match (lower.parse::<IpAddr>(), lower.strip_prefix("*.")) {
        (Ok(address), _) => Host::Address(address.to_canonical()),
        (Err(_), _) if ["", "*", "none", "open"].contains(&lower.as_str()) => {
            return wrong("it is a name, *.name or an address; none and open stand alone");
        }
        (Err(_), Some(name)) if is_name(name) => Host::Below(name.to_owned()),
        (Err(_), None) if is_name(&lower) => Host::Name(lower.clone()),
        _ => return wrong("a name has letters, digits, - and dots, an address all of its numbers, and there is no scheme and no path"),
    };
    Ok(Entry { host, ports, is_said: false })
}

/// What could be taken for an address is none.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let inside = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        inside && (1..=LONGEST_LABEL).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= LONGEST_NAME && text.split('.').all(is_label) && !last.starts_with(|first: char| first.is_ascii_digit())
}

/// As it is said.
impl fmt::Display for NetworkList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, entry) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            match &entry.host {
                Host::Name(name) => write!(f, "{comma}{name}")?,
                Host::Below(name) => write!(f, "{comma}*.{name}")?,
                Host::Address(IpAddr::V4(address)) => write!(f, "{comma}{address}")?,
                Host::Address(IpAddr::V6(address)) => write!(f, "{comma}[{address}]")?,
            }
            match entry.ports {
                Ports::Web => {}
                Ports::One(port) => write!(f, ":{port}")?,
                Ports::All => f.write_str(":*")?,
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for NetworkList {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<NetworkList> for String {
    fn from(list: NetworkList) -> Self {
        list.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> NetworkList {
        text.parse().unwrap()
    }

    #[test]
    fn a_list_has_what_it_names_and_nothing_beside() {
        let list = list("Example.org, *.example.net:8443,10.0.0.5:5000,[::1],git.example.com:*");
        for (host, port) in [
            ("example.org", 443),
            ("example.org", 80),
            ("a.example.net", 8443),
            ("a.b.example.net", 8443),
            ("10.0.0.5", 5000),
            ("::ffff:10.0.0.5", 5000),
            ("::1", 443),
            ("0:0:0:0:0:0:0:1", 80),
            ("git.example.com", 22),
        ] {
            assert!(list.has(host, port), "{host} {port}");
        }
        for (host, port) in [
            ("example.org", 22),
            ("www.example.org", 443),
            ("example.org.evil.example", 443),
            ("evilexample.org", 443),
            ("example.net", 8443),
            (".example.net", 8443),
            ("evilexample.net", 8443),
            ("a.example.net", 443),
            ("a..example.net", 8443),
            ("a b.example.net", 8443),
            ("a/b.example.net", 8443),
            ("10.0.0.5", 443),
            ("10.0.0.50", 5000),
            ("167772165", 5000),
            ("0x0a.0.0.5", 5000),
            ("", 443),
        ] {
            assert!(!list.has(host, port), "{host} {port}");
        }
        assert!(list.knows("10.0.0.5") && !list.knows("10.0.0.6"));
    }

    #[test]
    fn a_list_is_kept_as_it_was_said() {
        for text in ["example.org", "*.example.org:8443,localhost:3000", "[::1],[fd00::1]:8080,10.0.0.5:*"] {
            let written = serde_json::to_string(&list(text)).unwrap();
            assert_eq!(written, format!("{text:?}"));
            assert_eq!(serde_json::from_str::<NetworkList>(&written).unwrap(), list(text));
        }
        assert_eq!(list("EXAMPLE.org,fd00::1").to_string(), "example.org,[fd00::1]");
    }

    #[test]
    fn where_a_model_is_is_one_host_with_one_port() {
        let at = |url: &str| NetworkList::of_a_model(url, true).to_string();
        assert_eq!(at("https://api.example.org/v1"), "api.example.org:443");
        assert_eq!(at("http://GPU-box:11434/v1"), "gpu-box:11434");
        assert_eq!([at("http://10.0.0.5:8000"), at("http://[fd00::5]:8000/v1")], ["10.0.0.5:8000", "[fd00::5]:8000"]);
        for bad in ["", "api.example.org", "ftp://example.org", "http://169.254.169.254/", "http://[fd00:ec2::254]/", "http://2852039166/"]
        {
            assert!(NetworkList::of_a_model(bad, true).is_empty(), "{bad}");
        }
        let (said, usual) =
            (NetworkList::of_a_model("https://api.example.org", true), NetworkList::of_a_model("https://api.example.org", false));
        assert!(said.has("api.example.org", 443) && !said.has("api.example.org", 80) && !said.has("example.org", 443));
        assert!(said.trusts("api.example.org", 443) && !said.trusts("api.example.org", 80) && !usual.trusts("api.example.org", 443));
    }

    #[test]
    fn a_model_on_the_machine_is_found_at_its_own_address() {
        let doors = |list: &NetworkList| list.doors().into_iter().map(|door| door.inside.to_string()).collect::<Vec<_>>();
        let here = NetworkList::of_a_model("http://127.0.0.1:4010/v1", true);
        assert_eq!(doors(&here), ["127.0.0.1:4010"]);
        assert!(here.has("127.0.0.1", 4010) && !here.has("127.0.0.1", 4011));
        assert!(!here.knows("127.0.0.1") && !here.knows("localhost"), "nobody has to ask the proxy for it");
        let named = NetworkList::of_a_model("http://localhost:4010", true);
        let outside: Vec<_> = named.doors()[0].outside.iter().map(SocketAddr::to_string).collect();
        assert_eq!(outside, ["127.0.0.1:4010", "[::1]:4010"]);
        assert!(!named.knows("localhost"));
        assert_eq!(doors(&NetworkList::of_a_model("http://[::1]:4010", true)), ["[::1]:4010"]);
        // nobody may listen there inside, and what a list has is asked for by the proxy as ever
        let (low, asked) = (NetworkList::of_a_model("http://127.0.0.1:80", true), list("127.0.0.1:4010"));
        assert_eq!([doors(&low), doors(&asked)], [vec![], Vec::<String>::new()]);
        assert!(low.knows("127.0.0.1") && asked.knows("127.0.0.1") && asked.and(&here).knows("127.0.0.1"));
        assert_eq!(doors(&asked.said()), ["127.0.0.1:4010"]);
    }

    #[test]
    fn two_lists_have_what_each_has_once() {
        let both = list("example.org,10.0.0.5:5000").and(&list("10.0.0.5:5000,api.example.org"));
        assert_eq!(both.to_string(), "example.org,10.0.0.5:5000,api.example.org");
        assert!(NetworkList::nothing().is_empty() && NetworkList::nothing().and(&list("example.org")) == list("example.org"));
    }

    #[test]
    fn what_is_no_list_says_what_is_wrong_with_it() {
        for bad in [
            "",
            "example.org,",
            "https://example.org",
            "example.org/path",
            "*",
            "*:443",
            "open,example.org",
            "*.",
            "a.*.example.org",
            "example.org:0",
            "example.org:http",
            "example.org:70000",
            "127.1",
            "2130706433",
            "0x7f.1",
            "exa mple.org",
            "user@example.org",
            "-a.example.org",
            "example..org",
            "[::1",
            "[::1]8080",
            "[::1]:",
            "[example.org]:80",
            "[10.0.0.5]:80",
            "*.10.0.0.5",
        ] {
            let said = bad.parse::<NetworkList>().unwrap_err();
            assert!(said.contains("is no host of a network list"), "{bad}: {said}");
        }
        assert_eq!("none".parse::<crate::Network>(), Ok(crate::Network::None));
    }
}
