//! Where the work happens: a git repository, by path on the runner's machine or by URL.

mod address;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::RepositoryId;

pub(crate) use address::without_ending;
pub use address::{Address, key};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Repository {
    pub id: RepositoryId,
    /// An absolute path or a URL, as it was given.
    pub location: String,
    pub created_at: DateTime<Utc>,
}

/// What a runner has that fetches a repository's submodules.
pub const SUBMODULES: &str = "submodules";
/// What a runner has that has found the program `git-lfs`.
pub const LFS: &str = "git-lfs";
/// What a runner has that gives a task worktrees of several repositories.
pub const SEVERAL: &str = "several-repositories";

/// What of a repository is fetched beside its files and their history, for people.
pub fn also_fetched(submodules: bool, lfs: bool) -> Option<&'static str> {
    match (submodules, lfs) {
        (true, true) => Some("submodules and the files of Git LFS"),
        (true, false) => Some("submodules"),
        (false, true) => Some("the files of Git LFS"),
        (false, false) => None,
    }
}

/// Schemes git is allowed to speak for us. `ext::` and friends run commands, so they are not here.
const SCHEMES: [&str; 4] = ["https://", "http://", "ssh://", "git://"];

/// Whether git may be pointed at this, or why not.
pub fn check_location(location: &str) -> Result<(), &'static str> {
    if location.starts_with('-') {
        return Err("must not start with a dash");
    }
    if location.starts_with('/') {
        return Ok(());
    }
    if SCHEMES.iter().any(|scheme| location.starts_with(scheme)) {
        return match location.split_once("://").map(|(_, rest)| rest.split(['/', '?']).next().unwrap_or_default()) {
            // what stands behind the name is a port
            Some(authority) if authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) => {
                Err("must not hold a password; give the runner's git a credential helper instead")
            }
            Some("") | None => Err("names no host"),
            Some(_) => Ok(()),
        };
    }
    let scp_like = location
        .split_once(':')
        .is_some_and(|(host, path)| host.contains('@') && !host.contains('/') && !path.is_empty() && !path.starts_with(':'));
    if scp_like { Ok(()) } else { Err("must be an absolute path, or an https, ssh or git URL") }
}

/// A branch, tag or commit name that is safe to hand to git as an argument.
pub fn check_ref(name: &str) -> Result<(), &'static str> {
    let bad = |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    if name.starts_with('-') || name.contains(bad) || name.contains("..") || name.ends_with(".lock") || name.ends_with('/') {
        return Err("is not a name that git accepts for a branch, tag or commit");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations() {
        for good in [
            "/srv/git/app",
            "https://example.org/a.git",
            "https://me@example.org:8443/a.git",
            "ssh://git@example.org/a",
            "ssh://git@example.org:22/a",
            "git@example.org:a/b.git",
        ] {
            assert_eq!(check_location(good), Ok(()), "{good}");
        }
        for bad in
            ["relative/path", "--upload-pack=x", "ext::sh -c id", "https://me:secret@example.org/a", "https://", "file:///etc", "fd::17"]
        {
            assert!(check_location(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn refs() {
        for good in ["main", "feature/x-1", "v1.2.3", "0123abcd"] {
            assert_eq!(check_ref(good), Ok(()), "{good}");
        }
        for bad in ["-x", "a..b", "a b", "main~1", "x:y", "a.lock", "a/"] {
            assert!(check_ref(bad).is_err(), "{bad}");
        }
    }
}
