//! Which repository a person means.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use domain::{RepositoryId, repository::check_location};

use super::{client::Client, error::CliError, output::on_one_line};

/// What can be a URL is taken as one; everything else is a path, and made absolute.
pub fn location(text: &str) -> Result<String, CliError> {
    if !text.starts_with('/') && !Path::new(text).exists() && check_location(text).is_ok() {
        return Ok(text.to_owned());
    }
    let absolute = std::fs::canonicalize(text).or_else(|_| std::path::absolute(text)).map_err(|error| CliError::Usage {
        message: format!("'{text}' is neither a path nor a URL: {error}"),
        remedy: "give a path such as . or /srv/app, or an https or ssh URL".into(),
    })?;
    as_text(absolute)
}

/// The one around the current folder.
pub fn current_repository() -> Result<String, CliError> {
    let outside = || CliError::Usage {
        message: "the current folder is not inside a git repository".into(),
        remedy: "name the repository with --repo PATH or --repo URL".into(),
    };
    let found = Command::new("git").args(["rev-parse", "--show-toplevel"]).output().map_err(|error| CliError::Usage {
        message: format!("git cannot be started to find the repository: {error}"),
        remedy: "name the repository with --repo PATH or --repo URL".into(),
    })?;
    let path = String::from_utf8(found.stdout).map_err(|_| outside())?;
    match path.trim_end_matches('\n') {
        path if found.status.success() && !path.is_empty() => Ok(path.to_owned()),
        _ => Err(outside()),
    }
}

/// What to say of a repository on this machine that holds what is committed nowhere: a task starts from commits. Nothing when there is none, and
/// when nobody can tell, as of a URL or of a path on another machine.
pub fn uncommitted_remark(location: &str) -> Option<String> {
    if !Path::new(location).is_absolute() {
        return None;
    }
    // whoever is merely looked at is not written to, and no program is started that watches its files; its filters git may run
    let mut look = Command::new("git");
    look.args(["--no-optional-locks", "-c", "core.fsmonitor=false", "-C", location]);
    look.args(["status", "--porcelain", "-z", "--no-renames", "--untracked-files=all"]);
    let looked = look.stdin(Stdio::null()).output().ok().filter(|looked| looked.status.success())?;
    let files = looked.stdout.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()).count();
    let (files, are) = match files {
        0 => return None,
        1 => ("1 file".to_owned(), "is"),
        more => (format!("{more} files"), "are"),
    };
    let place = on_one_line(location);
    Some(format!("{files} in {place} {are} not committed, and {are} not part of what the task starts from"))
}

/// One that tasks have named already, by the path or URL that they name.
pub async fn known_repository(client: &Client, wanted: &str) -> Result<RepositoryId, CliError> {
    let known = client.repositories().await?;
    let found = known.into_iter().find(|repository| repository.location == wanted);
    found.map(|repository| repository.id).ok_or_else(|| CliError::Failed {
        message: format!("no task names the repository {wanted}"),
        remedy: Some("name it as its tasks do; `muster task show` says how".into()),
    })
}

fn as_text(path: PathBuf) -> Result<String, CliError> {
    path.into_os_string().into_string().map_err(|path| CliError::Usage {
        message: format!("the path {} is not UTF-8, which Muster needs", path.display()),
        remedy: "give the repository a name in UTF-8".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_stays_and_a_path_becomes_absolute() {
        for url in ["https://example.org/app.git", "git@example.org:team/app.git", "ssh://git@example.org/app"] {
            assert_eq!(location(url).unwrap(), url);
        }
        assert!(Path::new(&location("./not/there").unwrap()).is_absolute());
        assert_eq!(location("/").unwrap(), "/");
    }

    #[test]
    fn what_is_not_committed_is_counted_by_its_files() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().to_str().unwrap();
        let git = |arguments: &[&str]| {
            let settings = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgSign=false"];
            let done = Command::new("git").args(settings).arg("-C").arg(place).args(arguments).status().unwrap();
            assert!(done.success(), "{arguments:?}");
        };
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        assert_eq!(uncommitted_remark(place), None, "it is no repository");
        git(&["init", "--quiet"]);
        for (name, text) in [("a", "1"), (".gitignore", "ignored\n")] {
            write(name, text);
        }
        git(&["add", "."]);
        git(&["commit", "--quiet", "--message", "first"]);
        write("ignored", "x");
        assert_eq!(uncommitted_remark(place), None);
        write("a", "2");
        let one = format!("1 file in {place} is not committed, and is not part of what the task starts from");
        assert_eq!(uncommitted_remark(place), Some(one));
        std::fs::create_dir(folder.path().join("new")).unwrap();
        write("new/c", "");
        write("new/d", "");
        git(&["add", "new/d"]);
        let three = format!("3 files in {place} are not committed, and are not part of what the task starts from");
        assert_eq!(uncommitted_remark(place), Some(three));
        let elsewhere = ["https://example.org/app.git", "git@example.org:app.git", "/no/such/folder", "."];
        assert!(elsewhere.into_iter().all(|location| uncommitted_remark(location).is_none()), "nobody can tell");
    }
}
