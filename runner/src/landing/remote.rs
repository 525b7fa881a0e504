//! Where a repository is, as far as its forge needs to be known.

use domain::repository::Address;

/// A repository on a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remote {
    /// With its port, where it is reached by http.
    pub host: String,
    /// As in `acme/app`.
    pub path: String,
    /// Unencrypted, which is so for tests on one machine.
    pub is_plain: bool,
}

impl Remote {
    /// Nothing when it is a path, or names no repository.
    pub fn parse(location: &str) -> Option<Self> {
        let address = Address::parse(location)?;
        let is_web = matches!(address.scheme, "http" | "https");
        // the port of ssh says nothing about the web
        let host = if is_web { address.host } else { address.host_and_port().0 };
        let path = address.path.split(['?', '#']).next().unwrap_or_default().trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        let is_whole = !host.is_empty() && path.contains('/') && path.split('/').all(|part| !part.is_empty() && part != "..");
        is_whole.then(|| Self { host: host.to_ascii_lowercase(), path: path.to_owned(), is_plain: address.scheme == "http" })
    }

    /// Whether it is on this very machine.
    pub fn is_here(&self) -> bool {
        is_here(&self.host)
    }

    pub fn scheme(&self) -> &'static str {
        if self.is_plain && self.is_here() { "http" } else { "https" }
    }
}

/// Whether a host, with or without a port, is this very machine.
pub(crate) fn is_here(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())).map_or(host, |(name, _)| name);
    ["127.0.0.1", "localhost", "[::1]"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_known_however_it_is_reached() {
        let remote = |host: &str, is_plain| Some(Remote { host: host.into(), path: "acme/app".into(), is_plain });
        for location in ["https://me@GitHub.com/acme/app.git", "ssh://git@github.com:22/acme/app.git", "git@github.com:acme/app"] {
            assert_eq!(Remote::parse(location), remote("github.com", false), "{location}");
        }
        assert_eq!(Remote::parse("http://127.0.0.1:3000/acme/app/"), remote("127.0.0.1:3000", true));
        assert_eq!(Remote::parse("https://git.example.org/a/b/c.git").unwrap().path, "a/b/c");
        for none in [
            "/srv/git/app.git",
            "https://example.org",
            "https://example.org/app",
            "https://example.org/../x",
            "host:app",
            "https://example.org/a/b\nhost=github.com",
            "https://evil.example.org#@github.com/a/b",
            "https://github.com?x/a/b",
        ] {
            assert_eq!(Remote::parse(none), None, "{none}");
        }
    }

    #[test]
    fn only_this_machine_is_spoken_to_in_the_clear() {
        for (location, scheme) in [
            ("http://127.0.0.1:3000/a/b", "http"),
            ("http://[::1]:3000/a/b", "http"),
            ("http://localhost/a/b", "http"),
            ("http://example.org/a/b", "https"),
            ("http://127.0.0.1.example.org/a/b", "https"),
            ("https://127.0.0.1/a/b", "https"),
        ] {
            assert_eq!(Remote::parse(location).unwrap().scheme(), scheme, "{location}");
        }
    }
}
