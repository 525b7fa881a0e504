//! Which repository a person means.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use domain::{RepositoryId, repository::check_location};

use super::{client::Client, error::CliError};

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
}
