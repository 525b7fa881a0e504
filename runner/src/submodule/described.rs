//! What a commit says of its submodules: which folders are commits of other repositories, and what its `.gitmodules` says of them.
//!
//! It is git that reads the file, from the commit and not from a worktree, as settings that include no others. Of all that may stand there
//! the name, the path and the address count.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
};

use domain::{Failure, FailureCode};

use super::{Around, refused};
use crate::{
    git::{Argument, Bounds, Git, GitError, Place},
    mirror::Refused,
};

/// Bytes of a path or a name.
const LONGEST: usize = 500;
/// Bytes that are read of a file that the work may have written.
const LONGEST_FILE: u64 = 1024 * 1024;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Described {
    pub name: String,
    /// In the repository that describes it.
    pub path: String,
    pub url: String,
    pub commit: String,
}

/// What the file says of one of them, which may be anything.
#[derive(Default)]
struct Said {
    path: Option<String>,
    url: Option<String>,
    /// It is to be brought up to date by a command. Git itself reads no repository that says so.
    has_command: bool,
}

/// None where there is no such file: what else git has recorded by mistake stays an empty folder.
pub(super) async fn in_commit(git: &Git, around: &Around) -> Result<Vec<Described>, Refused> {
    let place = Place::Repository(&around.mirror);
    let file = listed(git, place, &[&"ls-tree", &"-z", &"--full-tree", &around.commit, &"--", &".gitmodules"]).await?;
    let Some((mode, ..)) = entries(&file).next() else { return Ok(vec![]) };
    let unfit = |why: &str| {
        let of = if around.path.is_empty() { String::new() } else { format!(" of the submodule {}", super::shown(&around.path)) };
        Refused::Task(Failure::new(FailureCode::SubmoduleUnavailable, format!("the file .gitmodules{of} {why}")))
    };
    if !mode.starts_with("100") {
        return Err(unfit("is no file"));
    }
    let blob = format!("{}:.gitmodules", around.commit);
    let settings: [Argument<'_>; 6] = [&"config", &"--blob", &blob, &"--no-includes", &"-z", &"--list"];
    let said = match git.run(place, &settings, Bounds::LOCAL).await {
        Ok(output) if output.cut => return Err(unfit("is too long")),
        Ok(output) => said(&output.bytes),
        Err(GitError::Failed { .. }) => return Err(unfit("cannot be read")),
        Err(error) => return Err(error.into()),
    };
    let all = listed(git, place, &[&"ls-tree", &"-r", &"-z", &"--full-tree", &around.commit]).await?;
    let links = entries(&all).filter(|(mode, ..)| *mode == "160000");
    links.map(|(_, commit, path)| described(&said, commit, path).map_err(|why| refused(path, why))).collect()
}

/// Whether a `.gitmodules` of the work's names a submodule at this path. One that cannot be read, or is longer than anybody's, may name any; what is no
/// file names none.
pub(crate) async fn names(git: &Git, mirror: &Path, file: &Path, path: &str) -> Result<bool, GitError> {
    match fs::symlink_metadata(file) {
        // git has a value in memory several times, and outside of the bounds of the work
        Ok(about) if about.is_file() && about.len() > LONGEST_FILE => return Ok(true),
        Ok(about) if about.is_file() => {}
        _ => return Ok(false),
    }
    let settings: [Argument<'_>; 6] = [&"config", &"--file", &"-", &"--no-includes", &"-z", &"--list"];
    match git.run_from(Place::Repository(mirror), &settings, File::open(file)?, Bounds::LOCAL).await {
        Ok(output) => Ok(output.cut || said(&output.bytes).values().any(|one| one.path.as_deref() == Some(path))),
        Err(GitError::Failed { .. }) => Ok(true),
        Err(error) => Err(error),
    }
}

async fn listed(git: &Git, place: Place<'_>, arguments: &[Argument<'_>]) -> Result<String, Refused> {
    let output = git.whole(place, arguments, b"", Bounds::LISTING).await?;
    // a path that is no text matches nothing that is described
    Ok(String::from_utf8_lossy(&output.bytes).into_owned())
}

/// The mode, the object and the path of each line of a tree.
fn entries(listed: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    listed.split('\0').filter_map(|entry| {
        let (about, path) = entry.split_once('\t')?;
        let mut about = about.split(' ');
        Some((about.next()?, about.nth(1)?, path))
    })
}

/// By name, of what is said twice the first, as git has it.
fn said(listed: &[u8]) -> BTreeMap<String, Said> {
    let mut all: BTreeMap<String, Said> = BTreeMap::new();
    for item in String::from_utf8_lossy(listed).split('\0') {
        let (key, value) = item.split_once('\n').unwrap_or((item, ""));
        let Some((name, variable)) = key.strip_prefix("submodule.").and_then(|rest| rest.rsplit_once('.')) else { continue };
        let one = all.entry(name.to_owned()).or_default();
        match variable {
            "path" if one.path.is_none() => one.path = Some(value.to_owned()),
            "update" if value.starts_with('!') => one.has_command = true,
            "url" if one.url.is_none() => one.url = Some(value.to_owned()),
            _ => {}
        }
    }
    all
}

fn described(said: &BTreeMap<String, Said>, commit: &str, path: &str) -> Result<Described, &'static str> {
    check_path(path)?;
    let mut fitting = said.iter().filter(|(_, one)| one.path.as_deref() == Some(path));
    let (name, one) = fitting.next().ok_or("is not described in .gitmodules")?;
    if fitting.next().is_some() {
        return Err("is described twice in .gitmodules");
    }
    check_name(name)?;
    if one.has_command {
        return Err("is to be brought up to date by a command");
    }
    let url = one.url.clone().ok_or("has no address in .gitmodules")?;
    Ok(Described { name: name.clone(), path: path.to_owned(), url, commit: commit.to_owned() })
}

/// It becomes a part of settings, and no folder. A name that leads somewhere is meant to.
fn check_name(name: &str) -> Result<(), &'static str> {
    let leads = name.split(['/', '\\']).any(|part| part == "..");
    match name.is_empty() || name.len() > LONGEST || name.starts_with('-') || name.contains(char::is_control) || leads {
        true => Err("has a name that no submodule may have"),
        false => Ok(()),
    }
}

/// Below the repository, and nowhere in what is git's own, however a file system writes that.
fn check_path(path: &str) -> Result<(), &'static str> {
    let is_unfit = |part: &str| {
        let plain: String = part.chars().filter(char::is_ascii_graphic).collect();
        let plain = plain.trim_end_matches('.').to_ascii_lowercase();
        part.trim_matches(['.', ' ']).is_empty() || plain == ".git" || plain.starts_with(".git:") || plain == "git~1"
    };
    let is_fit = path.len() <= LONGEST && !path.starts_with('-') && !path.contains(char::is_control) && !path.contains('\u{fffd}');
    match is_fit && !path.split(['/', '\\']).any(is_unfit) {
        true => Ok(()),
        false => Err("lies where no submodule may lie"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(settings: &[(&str, &str)]) -> Vec<u8> {
        settings.iter().flat_map(|(key, value)| format!("{key}\n{value}\0").into_bytes()).collect()
    }

    #[test]
    fn a_submodule_is_what_is_said_of_its_path() {
        let text = listed(&[
            ("submodule.the.lib.path", "vendor/lib"),
            ("submodule.the.lib.url", "../lib"),
            ("submodule.the.lib.url", "/etc"),
            ("submodule.the.lib.update", "rebase"),
            ("submodule.other.path", "other"),
            ("submodule.bad.path", "bad"),
            ("submodule.bad.url", "../bad"),
            ("submodule.bad.update", "!touch /tmp/x"),
            ("core.fsmonitor", "touch /tmp/x"),
        ]);
        let said = said(&text);
        let lib = Described { name: "the.lib".into(), path: "vendor/lib".into(), url: "../lib".into(), commit: "c0ffee".into() };
        assert_eq!(described(&said, "c0ffee", "vendor/lib"), Ok(lib));
        assert_eq!(described(&said, "c0ffee", "other"), Err("has no address in .gitmodules"));
        assert_eq!(described(&said, "c0ffee", "bad"), Err("is to be brought up to date by a command"));
        assert_eq!(described(&said, "c0ffee", "vendor"), Err("is not described in .gitmodules"));
    }

    #[test]
    fn neither_a_name_nor_a_path_leads_out() {
        for name in ["../../hooks", "a/../../b", "a\\..\\b", "-u", "", "a\nb"] {
            assert!(check_name(name).is_err(), "{name}");
        }
        for path in
            ["..", "../x", "a/../b", "/etc", "a//b", ".git", "a/.GIT/modules", ".git./x", "git~1", ".g\u{200c}it", "-x", "a\nb", "."]
        {
            assert!(check_path(path).is_err(), "{path}");
        }
        for (name, path) in [("lib", "lib"), ("vendor/my lib", "vendor/my lib"), ("a.b", ".github/x"), ("ü", "ünter/a..b")] {
            assert_eq!((check_name(name), check_path(path)), (Ok(()), Ok(())), "{name}");
        }
    }

    #[test]
    fn the_lines_of_a_tree_are_read_by_their_ends() {
        let text = "100644 blob aaaa\tREADME.md\x00160000 commit bbbb\tvendor/a b\tc\0";
        assert_eq!(entries(text).collect::<Vec<_>>(), [("100644", "aaaa", "README.md"), ("160000", "bbbb", "vendor/a b\tc")]);
    }
}
