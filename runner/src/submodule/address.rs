//! Where a submodule is: at an address that a task might name, or at one that begins where the repository around it is.

use domain::repository::check_location;

/// Characters of an address.
const LONGEST: usize = 2000;

/// Its location, by the address that the repository at `around` gives it, or why that is not followed.
pub(super) fn resolve(around: &str, url: &str) -> Result<String, &'static str> {
    if url.len() > LONGEST || url.contains(char::is_control) {
        return Err("has an address that is none: it is too long, or not one line");
    }
    let location = match url.strip_prefix("file://") {
        Some(path) => path.to_owned(),
        None if url.split('/').next().is_some_and(|first| matches!(first, "." | "..")) => beside(around, url)?,
        None => url.to_owned(),
    };
    if check_location(&location).is_err() {
        return Err("has an address that is not followed: it must be an absolute path, an https, ssh or git URL, or begin with ./ or ../");
    }
    // whoever writes to a repository elsewhere has no say in what of this machine is read
    if location.starts_with('/') && !around.starts_with('/') {
        return Err("is a path on the runner's machine, and the repository around it is not");
    }
    Ok(location)
}

/// As git does it, but for steps that lead off the host.
fn beside(around: &str, url: &str) -> Result<String, &'static str> {
    let (head, path) = parts(around).ok_or("has an address that begins where its repository is, and that has none")?;
    let mut names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
    for step in url.split('/') {
        match step {
            "" | "." => {}
            ".." if names.pop().is_none() => return Err("has an address that leads up further than there is anything"),
            ".." => {}
            name => names.push(name),
        }
    }
    if names.is_empty() {
        return Err("has an address that names no repository");
    }
    Ok(format!("{head}{}", names.join("/")))
}

/// Up to where the path begins, with what stands between, and the path.
fn parts(location: &str) -> Option<(&str, &str)> {
    if location.starts_with('/') {
        return Some(location.split_at(1));
    }
    let begin = match location.split_once("://") {
        Some((scheme, rest)) => scheme.len() + "://".len() + rest.find('/')? + 1,
        None => {
            let colon = location.find(':')? + 1;
            colon + usize::from(location[colon..].starts_with('/'))
        }
    };
    Some(location.split_at(begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_begin_where_the_repository_is() {
        for (around, url, location) in [
            ("https://example.org/acme/app.git", "../lib.git", "https://example.org/acme/lib.git"),
            ("https://example.org/acme/app.git/", "../../other/lib", "https://example.org/other/lib"),
            ("https://example.org/acme/app", "./parts/lib", "https://example.org/acme/app/parts/lib"),
            ("ssh://git@example.org:22/acme/app", "../lib", "ssh://git@example.org:22/acme/lib"),
            ("git@example.org:acme/app.git", "../lib.git", "git@example.org:acme/lib.git"),
            ("git@example.org:/srv/app.git", "../lib.git", "git@example.org:/srv/lib.git"),
            ("git@example.org:app.git", "../lib.git", "git@example.org:lib.git"),
            ("/srv/git/app", "../lib", "/srv/git/lib"),
            ("/srv/git/app", "./inner", "/srv/git/app/inner"),
            ("/srv/git/app", "/srv/other", "/srv/other"),
            ("/srv/git/app", "file:///srv/other", "/srv/other"),
            ("/srv/git/app", "https://example.org/lib", "https://example.org/lib"),
            ("https://example.org/acme/app", "git@example.org:lib", "git@example.org:lib"),
        ] {
            assert_eq!(resolve(around, url).as_deref(), Ok(location), "{url} from {around}");
        }
    }

    #[test]
    fn an_address_leads_to_no_option_no_program_and_no_file_of_the_machine() {
        let elsewhere = "https://example.org/acme/app.git";
        for url in [
            "-u./payload",
            "--upload-pack=touch /tmp/x",
            "ext::sh -c id",
            "fd::17",
            "file:///etc",
            "file://host/srv/x",
            "/etc",
            "lib",
            "",
            "../..",
            "../../../lib",
            "https://example.org/a\nhost=other",
            "https://me:secret@example.org/a",
            "ssh://-oProxyCommand=id/x\0",
        ] {
            assert!(resolve(elsewhere, url).is_err(), "{url}");
        }
        for url in ["ext::sh -c id", "-u./payload", "../../../../..", "file://host/srv/x"] {
            assert!(resolve("/srv/git/app", url).is_err(), "{url}");
        }
        assert!(resolve("git@example.org:app.git", "../../lib").is_err());
    }
}
