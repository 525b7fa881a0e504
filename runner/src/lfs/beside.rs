//! Files of Git LFS that stand in no file that lands: one commit adds them, and the next takes them out again or puts others in their place. They
//! are pushed with the commits that name them, so who judges finds them in a folder of their own.

use std::{collections::BTreeSet, path::PathBuf};

use super::{Pointer, put_from, until_given_up};
use crate::{
    folders::private_folder,
    git::{Git, GitError},
};

/// Puts these into a new folder, each called by its hash. What is in neither of these repositories, is longer than the work's files may be, or
/// is not what its name says, is not there. Says which are.
pub(crate) async fn put_beside(
    git: &Git,
    folder: PathBuf,
    repositories: [PathBuf; 2],
    objects: BTreeSet<Pointer>,
    longest: Option<u64>,
) -> Result<BTreeSet<Pointer>, GitError> {
    until_given_up(git, move |give_up| {
        private_folder(&folder)?;
        let mut put = BTreeSet::new();
        for one in objects {
            if one.is_at_most(longest) && put_from(&repositories, &folder.join(&one.oid), &one, give_up)? {
                put.insert(one);
            }
        }
        Ok(put)
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::lfs::{
        tests::{git, one, put, sum},
        unseen,
    };

    #[tokio::test]
    async fn what_stands_in_no_file_is_put_beside_them_as_far_as_it_is_what_it_is_called() {
        let place = tempfile::tempdir().unwrap();
        let [own, mirror, beside] = ["own", "mirror", "beside"].map(|name| place.path().join(name));
        let (new, known, wrong, long) = (sum(b"new\n"), sum(b"known\n"), sum(b"wrong"), sum(b"longer\n"));
        put(&own, &new, b"new\n");
        put(&mirror, &known, b"known\n");
        put(&own, &wrong, b"other");
        put(&own, &long, b"longer\n");
        let [new, known, wrong, long] = [one(&new, 4), one(&known, 6), one(&wrong, 5), one(&long, 7)];
        let named = BTreeSet::from([new.clone(), known.clone(), wrong.clone(), long, one(&sum(b"nowhere"), 7)]);
        let unseen = |seen: &BTreeSet<_>| unseen(&named, seen, (&own, &mirror), Some(6));
        assert!(unseen(&BTreeSet::new()).is_some(), "without that this shows nothing");
        let mut seen = put_beside(&git(), beside.clone(), [own.clone(), mirror.clone()], named.clone(), Some(6)).await.unwrap();
        assert_eq!(seen, BTreeSet::from([new.clone(), known.clone()]));
        let read = |one: &Pointer| fs::read_to_string(beside.join(&one.oid)).unwrap();
        assert_eq!((read(&new), read(&known)), ("new\n".to_owned(), "known\n".to_owned()));
        assert_eq!(fs::read_dir(&beside).unwrap().count(), 2, "nothing else is there, and no draft of it");
        // what nobody can be shown is not passed over
        assert_eq!(unseen(&seen), Some(wrong.clone()));
        seen.insert(wrong);
        assert_eq!(unseen(&seen), None);
    }
}
