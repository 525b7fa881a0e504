//! Finds `initdb` and `postgres` on this machine, of a version that Muster works with and, where a cluster exists, of its version.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::error::{PostgresError, SUPPORTED};
use super::run_as::RunAs;

/// Where distributions put them: a folder whose entries carry the version, what the entry starts with, and what follows it.
const VERSIONED: [(&str, &str, &str); 6] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/lib", "postgresql", "bin"),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];
const PLAIN: [&str; 3] = ["/opt/homebrew/bin", "/usr/local/pgsql/bin", "/usr/local/bin"];

/// How deep below `<state_dir>/pgbin` an unpacked archive may hide its `bin`.
const UNPACKED_DEPTH: usize = 6;

/// A folder with `initdb` and `postgres`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binaries {
    pub folder: PathBuf,
    /// The major version.
    pub version: u32,
}

/// What decides where binaries are looked for.
pub(super) struct Search {
    /// `MUSTER_POSTGRES_BIN`: this folder or none.
    pub explicit: Option<PathBuf>,
    pub path: Option<OsString>,
    pub state_dir: PathBuf,
}

/// The first folder that fits. `cluster` is the version of the cluster in `data`, if there is one.
pub(super) async fn find(search: &Search, run_as: &RunAs, data: &Path, cluster: Option<u32>) -> Result<Binaries, PostgresError> {
    if let Some(folder) = &search.explicit {
        let problem = match probe(folder, run_as).await {
            Ok(version) if cluster.is_some_and(|cluster| cluster != version) => {
                return Err(mismatch(data, cluster, vec![(version, folder.clone())]));
            }
            Ok(version) if SUPPORTED.contains(&version) => return Ok(Binaries { folder: folder.clone(), version }),
            Ok(version) => format!("the Postgres there is of version {version}"),
            Err(problem) => problem,
        };
        return Err(PostgresError::ExplicitBinaries { folder: folder.clone(), problem });
    }

    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let mut looked = Vec::new();
    for (place, folders) in places(search) {
        let before = looked.len();
        for folder in folders.into_iter().filter(|folder| seen.insert(folder.clone())) {
            match probe(&folder, run_as).await {
                Ok(version) if SUPPORTED.contains(&version) && cluster.is_none_or(|cluster| cluster == version) => {
                    return Ok(Binaries { folder, version });
                }
                Ok(version) => {
                    looked.push(format!("{place}: {} is of version {version}", folder.display()));
                    found.push((version, folder));
                }
                Err(problem) => looked.push(format!("{place}: {problem}")),
            }
        }
        if looked.len() == before {
            looked.push(format!("{place}: nothing"));
        }
    }
    if found.is_empty() || cluster.is_none() {
        Err(PostgresError::NoBinaries { wanted: cluster.filter(|cluster| SUPPORTED.contains(cluster)), looked })
    } else {
        Err(mismatch(data, cluster, found))
    }
}

fn mismatch(data: &Path, cluster: Option<u32>, found: Vec<(u32, PathBuf)>) -> PostgresError {
    PostgresError::WrongVersion { data: data.to_path_buf(), cluster: cluster.unwrap_or_default(), found }
}

/// Every place in the order of preference, with the folders in it that hold a `postgres`. Lazy: most machines need the first only.
fn places(search: &Search) -> impl Iterator<Item = (String, Vec<PathBuf>)> {
    let path = std::iter::once_with(|| ("PATH".to_owned(), on_path(search.path.as_ref())));
    let versioned =
        VERSIONED.into_iter().map(|(parent, prefix, suffix)| (format!("{parent}/{prefix}*/{suffix}"), versioned(parent, prefix, suffix)));
    let plain = PLAIN.into_iter().map(|folder| (folder.to_owned(), vec![PathBuf::from(folder)]));
    let unpacked = std::iter::once_with(|| {
        let parent = search.state_dir.join("pgbin");
        let mut folders = Vec::new();
        collect_unpacked(&parent, UNPACKED_DEPTH, &mut folders);
        (format!("{}/**/bin", parent.display()), folders)
    });
    path.chain(versioned).chain(plain).chain(unpacked).map(|(place, mut folders)| {
        folders.retain(|folder| is_program(folder, "postgres"));
        (place, folders)
    })
}

/// `postgres` on the PATH is often a link; `initdb` wants its siblings, so the folder behind the link counts.
fn on_path(path: Option<&OsString>) -> Vec<PathBuf> {
    let folders = path.map(|path| std::env::split_paths(path).collect::<Vec<_>>()).unwrap_or_default();
    let behind = |folder: PathBuf| {
        let real = fs::canonicalize(folder.join("postgres")).ok()?;
        let real = real.parent()?.to_path_buf();
        Some(if is_program(&real, "initdb") { real } else { folder })
    };
    // a relative entry would let the folder one happens to be in decide what root runs
    folders.into_iter().filter(|folder| folder.is_absolute()).filter_map(behind).collect()
}

/// `<parent>/<prefix><version>/<suffix>`, the newest version first.
fn versioned(parent: impl AsRef<Path>, prefix: &str, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let mut folders: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = leading_number(name.strip_prefix(prefix)?)?;
            Some((version, entry.path().join(suffix)))
        })
        .collect();
    folders.sort_by(|one, other| other.cmp(one));
    folders.into_iter().map(|(_, folder)| folder).collect()
}

fn collect_unpacked(folder: &Path, depth: usize, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.file_name()));
    for entry in entries.into_iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        if entry.file_name() == "bin" {
            into.push(entry.path());
        } else if depth > 0 {
            collect_unpacked(&entry.path(), depth - 1, into);
        }
    }
}

/// The major version, told by the program itself, run as the user who will run it: that user must be able to.
async fn probe(folder: &Path, run_as: &RunAs) -> Result<u32, String> {
    for name in ["postgres", "initdb"] {
        if !is_program(folder, name) {
            return Err(format!("{} has no `{name}`", folder.display()));
        }
    }
    let program = folder.join("postgres");
    let output = run_as.command(&program).arg("--version").kill_on_drop(true).output().await;
    let output = output.map_err(|error| format!("{} cannot be run: {error}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    version_in(&text).ok_or_else(|| format!("{} does not tell its version", program.display()))
}

/// Whether `name` is in `folder` and something that can be executed.
fn is_program(folder: &Path, name: &str) -> bool {
    fs::metadata(folder.join(name)).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Out of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
fn version_in(text: &str) -> Option<u32> {
    let mut words = text.split_whitespace();
    words.find(|word| *word == "(PostgreSQL)")?;
    leading_number(words.next()?)
}

fn leading_number(text: &str) -> Option<u32> {
    let digits = text.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn fake(folder: &Path, version: &str) {
        fs::create_dir_all(folder).unwrap();
        for name in ["postgres", "initdb"] {
            let program = folder.join(name);
            fs::write(&program, format!("#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    fn scratch(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("muster-binaries-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        fs::canonicalize(&folder).unwrap()
    }

    #[test]
    fn the_version_is_read_from_what_postgres_says() {
        assert_eq!(version_in("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(version_in("postgres (PostgreSQL) 18beta2"), Some(18));
        assert_eq!(version_in("postgres (EnterpriseDB) 15"), None);
        assert_eq!(version_in(""), None);
    }

    #[test]
    fn the_newest_version_comes_first_and_numbers_are_not_words() {
        let folder = scratch("versioned");
        for name in ["pg@9", "pg@17", "pg@15", "other", "pg@x"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        let names: Vec<_> = versioned(&folder, "pg@", "bin").iter().map(|path| path.strip_prefix(&folder).unwrap().to_owned()).collect();
        assert_eq!(names, [Path::new("pg@17/bin"), Path::new("pg@15/bin"), Path::new("pg@9/bin")]);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_link_on_the_path_leads_to_the_folder_with_the_siblings() {
        let folder = scratch("path");
        fake(&folder.join("real/bin"), "16.1");
        fs::create_dir_all(folder.join("links")).unwrap();
        symlink(folder.join("real/bin/postgres"), folder.join("links/postgres")).unwrap();
        let path = OsString::from(format!("relative:{}:/nowhere", folder.join("links").display()));
        assert_eq!(on_path(Some(&path)), [folder.join("real/bin")]);
        fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn an_explicit_folder_is_used_or_refused_but_never_passed_over() {
        let folder = scratch("explicit");
        fake(&folder.join("old"), "13.4");
        fake(&folder.join("good"), "17.2");
        let data = folder.join("postgres");
        let ask = async |name: &str, cluster| {
            let search = Search { explicit: Some(folder.join(name)), path: std::env::var_os("PATH"), state_dir: folder.clone() };
            find(&search, &RunAs::Myself, &data, cluster).await.map_err(|error| error.to_string().replace(&*folder.to_string_lossy(), "…"))
        };
        assert_eq!(ask("good", None).await, Ok(Binaries { folder: folder.join("good"), version: 17 }));
        assert_eq!(ask("good", Some(17)).await, Ok(Binaries { folder: folder.join("good"), version: 17 }));
        let texts = [ask("old", None).await, ask("none", None).await, ask("good", Some(16)).await].map(|answer| answer.unwrap_err());
        assert!(texts[0].starts_with("MUSTER_POSTGRES_BIN is …/old, and the Postgres there is of version 13."), "{}", texts[0]);
        assert!(texts[1].starts_with("MUSTER_POSTGRES_BIN is …/none, and …/none has no `postgres`."), "{}", texts[1]);
        assert!(texts[2].contains("is of version 16, and the binaries found here are of version 17 (…/good)"), "{}", texts[2]);
        fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn binaries_that_were_unpacked_into_the_state_dir_are_found_by_version() {
        let folder = scratch("unpacked");
        fake(&folder.join("pgbin/wheel-16/pgserver/pginstall/bin"), "16.14");
        // a version that no distribution has, so that only the unpacked one can be found
        let search = Search { explicit: None, path: None, state_dir: folder.clone() };
        let mut folders = Vec::new();
        collect_unpacked(&folder.join("pgbin"), UNPACKED_DEPTH, &mut folders);
        assert_eq!(folders, [folder.join("pgbin/wheel-16/pgserver/pginstall/bin")]);
        let refused = find(&search, &RunAs::Myself, &folder.join("postgres"), Some(14)).await.unwrap_err().to_string();
        assert!(refused.contains("16 (") && refused.contains("pginstall/bin"), "{refused}");
        fs::remove_dir_all(folder).unwrap();
    }
}
