//! What the address of a repository consists of, and when two are of the same one.

/// One that is no path, in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address<'a> {
    /// `ssh` where none is written.
    pub scheme: &'a str,
    /// With its port where that is written; without who is asked for.
    pub host: &'a str,
    /// As it is written, without the `/` in front.
    pub path: &'a str,
    /// Whose home folder the path begins at. Nobody's for `git`, as which everybody asks a forge, and where nobody is named.
    pub at_home_of: Option<&'a str>,
}

impl<'a> Address<'a> {
    /// Nothing when it is a path, or no address.
    pub fn parse(location: &'a str) -> Option<Self> {
        // it goes into questions that are told apart by lines
        if location.starts_with('/') || location.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return None;
        }
        let (scheme, authority, path, is_at_home) = match location.split_once("://") {
            Some((scheme, rest)) => {
                let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
                (scheme, authority, path, scheme == "ssh" && path.starts_with('~'))
            }
            None => {
                let (authority, path) = location.split_once(':')?;
                ("ssh", authority, path, !path.starts_with('/') || path.starts_with("/~"))
            }
        };
        // git and the web do not agree on what these end
        if authority.contains(['#', '?', '\\']) {
            return None;
        }
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let at_home_of = Some(user).filter(|user| is_at_home && !matches!(*user, "" | "git"));
        (!host.is_empty()).then_some(Self { scheme, host, path, at_home_of })
    }

    /// The name of its host, and its port where one is written.
    pub fn host_and_port(&self) -> (&'a str, Option<&'a str>) {
        let written = self.host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        written.map_or((self.host, None), |(name, port)| (name, Some(port).filter(|port| !port.is_empty())))
    }

    fn usual_port(&self) -> &'static str {
        match self.scheme {
            "https" => "443",
            "http" => "80",
            "git" => "9418",
            _ => "22",
        }
    }
}

/// Where this is the same for two locations they are of one repository, as far as can be told by reading them: whoever is asked for, by
/// whatever scheme, in whatever letters the host is written, with or without `.git` at the end. What lies in somebody's home folder is theirs.
pub fn key(location: &str) -> String {
    let location = location.trim();
    if location.starts_with('/') {
        return format!("/{}", cleaned(location));
    }
    let Some(address) = Address::parse(location) else { return without_ending(location).to_owned() };
    let (name, port) = address.host_and_port();
    let port = port.filter(|port| *port != address.usual_port()).map(|port| format!(":{port}")).unwrap_or_default();
    let home = address.at_home_of.map(|user| format!("{user}@")).unwrap_or_default();
    format!("{home}{}{port}/{}", name.to_ascii_lowercase(), cleaned(address.path))
}

/// Without what leads nowhere.
fn cleaned(path: &str) -> String {
    let path = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/");
    without_ending(&path).to_owned()
}

/// Two that differ in this alone are one repository.
pub(crate) fn without_ending(location: &str) -> &str {
    let location = location.trim().trim_end_matches('/');
    location.strip_suffix(".git").unwrap_or(location).trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_repository_has_one_key_however_it_is_written() {
        for (key_of_all, locations) in [
            (
                "example.org/acme/app",
                [
                    "https://example.org/acme/app.git",
                    "https://me@Example.ORG:443//acme/./app/",
                    "http://example.org:80/acme/app",
                    "git@example.org:acme/app.git",
                    "ssh://git@example.org:22/acme/app.git/",
                    "git://example.org:9418/acme/app",
                ],
            ),
            ("/srv/app", ["/srv/app", " /srv/./app ", "/srv//app/", "/srv/app.git", "/srv/app/.git", "//srv/app/./"]),
        ] {
            for location in locations {
                assert_eq!(key(location), key_of_all, "{location}");
            }
        }
    }

    #[test]
    fn others_have_others() {
        let all = [
            "https://example.org/acme/app",
            "https://example.org/acme/App",
            "https://example.org:8443/acme/app",
            "https://example.org/app",
            "https://other.example.org/acme/app",
            "https://[::1]/acme/app",
            "https://[::1]:3000/acme/app",
            "/acme/app",
            "/srv/../acme/app",
            "alice@nas:app.git",
            "bob@nas:app.git",
            "alice@nas:/app.git",
            "ssh://alice@nas/~/app",
            "ssh://bob@nas/~/app",
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(all[..index].iter().all(|other| key(other) != key(one)), "{one}");
        }
    }

    #[test]
    fn what_is_no_address_has_no_parts() {
        let parts = |location| Address::parse(location).map(|address| (address.scheme, address.host_and_port(), address.path));
        assert_eq!(parts("https://me@[::1]:3000/a/b"), Some(("https", ("[::1]", Some("3000")), "a/b")));
        assert_eq!(parts("git@example.org:/a"), Some(("ssh", ("example.org", None), "/a")));
        for none in ["/srv/a:b", "nothing", "https://", "https://example.org/a b", "https://evil.example.org#@github.com/a/b", "git@:a"] {
            assert_eq!(parts(none), None, "{none}");
        }
    }
}
