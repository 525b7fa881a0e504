//! What the work has left beside its result: commits on other branches of its repository, and stashes.
//!
//! Each has a branch beside the attempt's own. Whether the repository has it already is asked of the mirror: of the references in the work's own
//! repository the work could have made any.

use super::{Branch, SaveError, Saving};
use crate::mirror;

/// How many stashes are saved.
const MOST_STASHES: usize = 100;

impl Saving<'_> {
    /// What neither the tip nor the repository has, each under a name beside the attempt's branch.
    pub(super) async fn left_elsewhere(&self, tip: &str, notes: &mut Vec<String>) -> Result<Vec<Branch>, SaveError> {
        let own = &self.checkout.branch;
        let merged = format!("--no-merged={tip}");
        let listed = self.ask(&[&"for-each-ref", &merged, &"--format=%(objectname) %(refname)", &"refs/heads"]).await?;
        let (mut others, mut before) = (vec![], None);
        for (commit, name) in listed.lines().filter_map(|line| line.split_once(" refs/heads/")) {
            match name == own {
                true => before = Some((name.to_owned(), "before", 0, commit.to_owned())),
                false => others.push((name.to_owned(), name, 0, commit.to_owned())),
            }
        }
        let stashes = self.stashes().await?.into_iter().enumerate().map(|(number, commit)| (called(number), "stash", number, commit));
        let mut left: Vec<Branch> = vec![];
        // git has kept the names of branches apart; those that are Muster's come last, and go out of their way
        for (called, name, number, commit) in others.into_iter().chain(before).chain(stashes) {
            if commit == self.checkout.base_commit || mirror::is_theirs(self.outside, self.mirror, &commit).await? {
                continue;
            }
            let name = free(&format!("{own}-left/{name}"), number, &left);
            notes.push(format!("The work left commits on {called} that are not part of its result; they are on {name}"));
            left.push(Branch { name, commit });
        }
        Ok(left)
    }

    /// All of them, the newest first, which alone has a reference.
    async fn stashes(&self) -> Result<Vec<String>, SaveError> {
        let newest = self.ask(&[&"for-each-ref", &"--format=%(objectname)", &"refs/stash"]).await?;
        if newest.is_empty() {
            return Ok(vec![]);
        }
        let most = format!("--max-count={}", MOST_STASHES + 1);
        let listed = self.ask(&[&"rev-list", &"--walk-reflogs", &most, &"refs/stash", &"--"]).await?;
        let older: Vec<_> = listed.lines().filter(|commit| *commit != newest).map(str::to_owned).collect();
        if older.len() >= MOST_STASHES {
            return Err(SaveError::LeftOver { what: format!("more than {MOST_STASHES} stashes"), advice: "drop those that nobody wants" });
        }
        Ok([vec![newest], older].concat())
    }
}

/// As git calls a stash.
fn called(number: usize) -> String {
    if number == 0 { "stash".to_owned() } else { format!("stash@{{{number}}}") }
}

/// The name with this number, or else the next one, that is nobody's yet, and below which nobody's is.
fn free(name: &str, mut number: usize, taken: &[Branch]) -> String {
    let numbered = |number: usize| if number == 0 { name.to_owned() } else { format!("{name}-{number}") };
    let stands_in_its_way =
        |one: &Branch, name: &str| one.name.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let mut own = numbered(number);
    while taken.iter().any(|one| stands_in_its_way(one, &own)) {
        number += 1;
        own = numbered(number);
    }
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_called_the_same() {
        let branch = |name: &&str| Branch { name: (*name).to_owned(), commit: String::new() };
        let taken = |names: &[&str]| names.iter().map(branch).collect::<Vec<_>>();
        assert_eq!(free("b-left/stash", 0, &taken(&["b-left/stashes", "b-left/x/stash"])), "b-left/stash");
        assert_eq!(free("b-left/stash", 0, &taken(&["b-left/stash", "b-left/stash-1"])), "b-left/stash-2");
        assert_eq!(free("b-left/stash", 3, &taken(&["b-left/stash"])), "b-left/stash-3");
        assert_eq!(free("b-left/before", 0, &taken(&["b-left/before/x"])), "b-left/before-1", "a branch is no folder");
    }
}
