//! Whether something is in what was taken: asked of the tree that lands, by the runner's own copy, and never of the worktree.

use super::{Taken, link::is_link};
use crate::{
    attempt::folder::AttemptFolder,
    git::{Argument, Bounds, Git, GitError, Place},
    journal::Entry,
};

/// What there is of a path in a result. A symbolic link counts as what it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    There,
    Missing,
    LeadsOut,
    /// It lies in a repository within this one, of which the result says only where that is.
    InAnother,
}

/// In the first of an attempt's repositories. The path leads out by nothing but links.
pub(crate) async fn find(outside: &Git, entry: &Entry, taken: &[Taken], path: &str) -> Result<Found, GitError> {
    let Some(tree) = taken.first().and_then(Taken::tree) else { return Ok(Found::Missing) };
    let store = AttemptFolder::of(&entry.folder).kept_store(0);
    let place = Place::Repository(&store);
    let parts: Vec<_> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let path = parts.join("/");
    // git is asked with a line
    if path.contains('\n') {
        return Ok(Found::Missing);
    }
    let arguments: [Argument<'_>; 3] = [&"cat-file", &"--batch-check", &"--follow-symlinks"];
    let said = outside.run_with_input(place, &arguments, format!("{tree}:{path}\n").as_bytes(), Bounds::LOCAL).await?.text();
    match said_of(&said) {
        Found::Missing if !parts.is_empty() => {}
        found => return Ok(found),
    }
    let ways: Vec<_> = (1..=parts.len()).map(|count| parts[..count].join("/")).collect();
    let mut arguments: Vec<Argument<'_>> = vec![&"--literal-pathspecs", &"ls-tree", &"-z", &tree, &"--"];
    arguments.extend(ways.iter().map(|way| way as Argument<'_>));
    let listed = outside.run(place, &arguments, Bounds::LOCAL).await?.text();
    let is_in_another = listed.split('\0').any(|entry| is_link(entry.as_bytes()));
    Ok(if is_in_another { Found::InAnother } else { Found::Missing })
}

/// What `git cat-file --batch-check --follow-symlinks` says of one path.
fn said_of(said: &str) -> Found {
    let first: Vec<_> = said.lines().next().unwrap_or_default().split(' ').collect();
    match first[..] {
        ["symlink", _] => Found::LeadsOut,
        [id, "blob" | "tree", _] if id.bytes().all(|byte| byte.is_ascii_hexdigit()) => Found::There,
        _ => Found::Missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_of_a_path_is_understood() {
        let id = "587be6b4c3f93f93c489c0111bba5596147a26cb";
        assert_eq!(said_of(&format!("{id} blob 2")), Found::There);
        assert_eq!(said_of(&format!("{id} tree 29")), Found::There);
        assert_eq!(said_of("symlink 6\n../out"), Found::LeadsOut);
        for missing in ["", &format!("{id}:nope missing"), &format!("dangling 45\n{id}:link"), &format!("{id}:a blob 2"), "notdir 4\nx:y"] {
            assert_eq!(said_of(missing), Found::Missing, "{missing}");
        }
    }
}
