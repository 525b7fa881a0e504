//! Addresses of endpoints: what one may look like, and which machines a server does not ask on behalf of others.
//!
//! Whoever registers an endpoint has the server send requests. So it asks nobody on its own link, where clouds hand out credentials, and
//! nobody on its own machine unless it was told that it may. What a name stands for is judged when it is looked up, each time.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Characters of an address.
const URL_MAX: usize = 500;

/// Why a server does not ask its own machine.
pub const OWN_MACHINE: &str = "is the server's own machine, which it was not told to ask (MUSTER_ENDPOINTS_HERE=allowed)";

/// Where machines of clouds hand out credentials, beside their own links: Alibaba, Azure, Oracle, Amazon, Google, Scaleway.
const METADATA: [IpAddr; 6] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)),
];

/// Where something else listens that nobody asks by HTTP on behalf of others: remote shells, mail, directories, databases, queues, and what
/// rules containers.
const PORTS: [u16; 35] = [
    21, 22, 23, 25, 53, 110, 111, 135, 139, 143, 389, 445, 465, 587, 636, 873, 993, 995, 1433, 1521, 2049, 2375, 2376, 2379, 2380, 3306,
    3389, 5432, 5672, 6379, 6443, 9042, 9092, 11211, 27017,
];

/// As it is kept, or a code and why it is none.
pub fn checked(text: &str) -> Result<String, (&'static str, String)> {
    let malformed = |message: &str| Err(("malformed", message.to_owned()));
    let text = text.trim();
    if text.chars().count() > URL_MAX {
        return Err(("too_long", format!("is longer than {URL_MAX} characters")));
    }
    let Some((scheme, rest)) = text.split_once("://") else { return malformed("must be an address such as http://gpu-box:11434") };
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "http" && scheme != "https" {
        return malformed("must begin with http:// or https://");
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.contains('@') {
        return malformed("must not hold a name or a password");
    }
    let Some((host, port)) = split_port(authority) else { return malformed("must name a machine, with a port if need be") };
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    if !path.chars().all(fits) || path.split('/').any(|part| part == "..") {
        return malformed("must end with its path, without a query");
    }
    if let Some(why) = ip_of(host).and_then(never_asked) {
        return Err(("refused", format!("names {host}, which {why}")));
    }
    if let Some(port) = port.filter(|port| PORTS.contains(port)) {
        return Err(("refused", format!("has port {port}, which is for something else than an Ollama")));
    }
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let path = path.trim_end_matches('/');
    let path = if path.is_empty() { String::new() } else { format!("/{path}") };
    Ok(format!("{scheme}://{}{port}{path}", host.to_ascii_lowercase()))
}

/// A host, and a port when there is one.
fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let (host, port) = match authority.rfind(':') {
        Some(at) if !authority[at..].contains(']') => {
            (&authority[..at], Some(authority[at + 1..].parse::<u16>().ok().filter(|port| *port > 0)?))
        }
        _ => (authority, None),
    };
    let is_v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).is_some_and(|host| host.parse::<Ipv6Addr>().is_ok());
    let is_name = !host.is_empty() && host.len() <= 253 && host.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
    (is_v6 || is_name).then_some((host, port))
}

/// Why a server does not ask whoever is there; nothing when it does. On its own machine it asks when it was told that it may.
pub fn not_asked(ip: IpAddr, own_machine: bool) -> Option<&'static str> {
    never_asked(ip).or((plain(ip).is_loopback() && !own_machine).then_some(OWN_MACHINE))
}

fn never_asked(ip: IpAddr) -> Option<&'static str> {
    let ip = plain(ip);
    let (is_link_local, is_of_nobody) = match ip {
        IpAddr::V4(ip) => (ip.is_link_local(), ip.is_broadcast() || ip.octets()[0] == 0),
        // what a translator makes of an address that is meant for it alone nobody knows
        IpAddr::V6(ip) => (ip.is_unicast_link_local(), matches!(ip.segments(), [0x64, 0xff9b, 1, ..])),
    };
    if is_link_local || METADATA.contains(&ip) {
        return Some("is an address that machines of clouds have their credentials from");
    }
    (is_of_nobody || ip.is_unspecified() || ip.is_multicast()).then_some("is no machine's address")
}

/// What is written as an address of the other kind, and leads to this one: mapped, translated, in the compatible form of old, or by 6to4.
pub fn plain(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(ip) = ip.to_canonical() else { return ip.to_canonical() };
    let of = |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)));
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => IpAddr::V6(ip),
        [0, 0, 0, 0, 0, 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => of(high, low),
        _ => IpAddr::V6(ip),
    }
}

/// The address that this is, however it is written; nothing when it is a name.
fn ip_of(host: &str) -> Option<IpAddr> {
    let host = host.trim_matches(['[', ']']);
    let host = host.strip_suffix('.').unwrap_or(host);
    host.parse().ok().or_else(|| loose_v4(host).map(IpAddr::V4))
}

/// As resolvers read it: up to four numbers, decimal, octal or hexadecimal, of which the last fills what is left.
fn loose_v4(host: &str) -> Option<Ipv4Addr> {
    let number = |part: &str| {
        let part = part.to_ascii_lowercase();
        let (digits, radix) = match part.strip_prefix("0x") {
            Some(hexadecimal) => (hexadecimal, 16),
            None if part.starts_with('0') => (part.as_str(), 8),
            None => (part.as_str(), 10),
        };
        u32::from_str_radix(digits, radix).ok()
    };
    let numbers = host.split('.').map(number).collect::<Option<Vec<_>>>()?;
    let (last, first) = numbers.split_last()?;
    let left = 32 - 8 * u32::try_from(first.len()).ok().filter(|count| *count < 4)?;
    if first.iter().any(|number| *number > 255) || (u64::from(*last) >> left) > 0 {
        return None;
    }
    let high = first.iter().fold(0, |high, number| (high << 8) | u64::from(*number));
    u32::try_from((high << left) | u64::from(*last)).ok().map(Ipv4Addr::from)
}

/// Whether it leads to the machine that reads it, whichever that is.
pub fn is_local(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    let Some((host, _)) = split_port(authority) else { return false };
    let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let is_named_so = name == "localhost" || name.ends_with(".localhost");
    is_named_so || ip_of(host).map(plain).is_some_and(|ip| ip.is_loopback() || ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_kept_in_one_form() {
        for (given, kept) in [
            ("http://gpu-box:11434", "http://gpu-box:11434"),
            (" HTTPS://GPU-Box.example.org/ollama/ ", "https://gpu-box.example.org/ollama"),
            ("http://192.168.1.7:11434/", "http://192.168.1.7:11434"),
            ("http://[2001:DB8::1]:80", "http://[2001:db8::1]:80"),
        ] {
            assert_eq!(checked(given).as_deref(), Ok(kept), "{given}");
        }
    }

    #[test]
    fn what_is_no_address_of_an_endpoint_is_refused() {
        for bad in [
            "",
            "gpu-box:11434",
            "ftp://gpu-box",
            "http://",
            "http://:80",
            "http://ada:secret@gpu-box",
            "http://gpu-box:0",
            "http://gpu-box:99999",
            "http://gpu-box/x?y=z",
            "http://gpu-box/#x",
            "http://gpu-box/../x",
            "http://gpu box",
            "http://[::1",
        ] {
            assert!(matches!(checked(bad), Err(("malformed", _))), "{bad}");
        }
        assert!(matches!(checked(&format!("http://{}", "x".repeat(600))), Err(("too_long", _))));
        for refused in [
            "http://169.254.169.254",
            "http://2852039166",
            "http://0xa9.254.169.254.",
            "http://[fe80::1]",
            "http://0.0.0.0:11434",
            "http://[::ffff:169.254.1.1]/x",
            "http://gpu-box:22",
            "http://gpu-box:6379/x",
        ] {
            assert!(matches!(checked(refused), Err(("refused", _))), "{refused}");
        }
    }

    #[test]
    fn a_server_asks_others_and_itself_only_when_it_may() {
        let asks = |ip: &str, own_machine| not_asked(ip.parse().unwrap(), own_machine).is_none();
        for other in ["10.0.0.7", "192.168.1.7", "203.0.113.9", "2001:db8::1", "fd12::7"] {
            assert!(asks(other, false), "{other}");
        }
        for own in ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"] {
            assert!(!asks(own, false) && asks(own, true), "{own}");
        }
        for never in ["169.254.169.254", "fd00:ec2::254", "100.100.100.200", "::", "224.0.0.1", "255.255.255.255", "64:ff9b::a9fe:a9fe"] {
            assert!(!asks(never, true), "{never}");
        }
        for never in ["168.63.129.16", "192.0.0.192", "fd20:ce::254", "fd00:42::42", "0.1.2.3"] {
            assert!(!asks(never, true), "{never}");
        }
        for another_form in ["::169.254.169.254", "2002:a9fe:a9fe::1", "64:ff9b:1::1", "64:ff9b:1:a9fe:a9:fe00::"] {
            assert!(!asks(another_form, true), "{another_form}");
        }
        assert!(!asks("::127.0.0.1", false) && asks("2002:cb00:7109::1", false));
    }

    #[test]
    fn where_it_leads_is_seen_of_some_addresses() {
        for local in [
            "http://127.0.0.1:11434",
            "http://localhost",
            "http://LocalHost.:80",
            "http://ollama.localhost",
            "http://[::1]:80/x",
            "http://2130706433",
            "http://0x7f.1:11434",
            "http://127.1",
            "http://0177.0.0.1",
            "http://0.0.0.0:11434",
        ] {
            assert!(is_local(local), "{local}");
        }
        for elsewhere in
            ["http://gpu-box:11434", "http://10.0.0.7", "http://10.1", "http://127.0.0.1.example.org", "http://1.2.3.4.5", "nothing"]
        {
            assert!(!is_local(elsewhere), "{elsewhere}");
        }
    }
}
