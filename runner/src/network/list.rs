//! The hosts that a room may reach.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

/// Hosts with their ports, as in `example.org,*.example.net:8443,10.0.0.5:5000`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetworkList(Arc<[Entry]>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    host: Host,
    ports: Ports,
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

impl NetworkList {
    /// Whether it names this host and port. An address is found however it is written, and by itself alone: what a name stands for is
    /// somebody else's to say.
    pub(crate) fn has(&self, host: &str, port: u16) -> bool {
        self.0.iter().any(|entry| entry.host.is(host) && entry.ports.include(port))
    }

    /// Whether it names this host with any port.
    pub(crate) fn knows(&self, host: &str) -> bool {
        self.0.iter().any(|entry| entry.host.is(host))
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
    Ok(Entry { host, ports })
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
