//! `engine/.sqlx`: what Postgres says about each query of `engine`, committed, so that a build needs no database.
//!
//! The query macros write these files themselves when they see `DATABASE_URL` and `SQLX_OFFLINE_DIR`, so no further tool is needed:
//! a database with all migrations applied, one `cargo check`, and a comparison. Without `DATABASE_URL` a throw-away Postgres is
//! started; with one, an own database is made on that server and dropped again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::process::{cargo, root, run};

/// File name to content.
type Described = BTreeMap<String, Vec<u8>>;

/// Brings `engine/.sqlx` up to date.
pub fn prepare() -> Result<()> {
    let Some(described) = describe_queries()? else { return Ok(()) };
    let folder = committed_folder()?;
    fs::create_dir_all(&folder)?;
    for stale in files_in(&folder)?.keys().filter(|name| !described.contains_key(*name)) {
        fs::remove_file(folder.join(stale))?;
    }
    for (name, content) in &described {
        fs::write(folder.join(name), content)?;
    }
    eprintln!("{} queries described in {}", described.len(), folder.display());
    Ok(())
}

/// Fails when `engine/.sqlx` is not what [`prepare`] would write.
pub fn check() -> Result<()> {
    let Some(described) = describe_queries()? else { return Ok(()) };
    let committed = files_in(&committed_folder()?)?;
    let missing = described.keys().filter(|name| !committed.contains_key(*name)).count();
    let unused = committed.keys().filter(|name| !described.contains_key(*name)).count();
    let changed = described.iter().filter(|(name, content)| committed.get(*name).is_some_and(|old| old != *content)).count();
    if missing + unused + changed > 0 {
        bail!(
            "engine/.sqlx is out of date ({missing} missing, {unused} unused, {changed} changed): run `cargo xtask sqlx-prepare` and commit it"
        );
    }
    eprintln!("{} queries described, all up to date", described.len());
    Ok(())
}

fn committed_folder() -> Result<PathBuf> {
    Ok(root()?.join("engine/.sqlx"))
}

fn files_in(folder: &Path) -> Result<Described> {
    let mut files = Described::new();
    if !folder.exists() {
        return Ok(files);
    }
    for entry in fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let path = entry?.path();
        if let Some(name) = path.file_name() {
            files.insert(name.to_string_lossy().into_owned(), fs::read(&path)?);
        }
    }
    Ok(files)
}

/// What the macros say about every query; nothing when another process, which had a database, has done all of it.
fn describe_queries() -> Result<Option<Described>> {
    let Ok(server) = std::env::var("DATABASE_URL") else {
        let again = Command::new(root()?.join("scripts/test-database"))
            .arg("run")
            .arg(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .status()?;
        if !again.success() {
            bail!("the queries could not be described, or are not up to date; see above");
        }
        return Ok(None);
    };
    let name = format!("muster_sqlx_prepare_{}", std::process::id());
    psql(&server, &["--command", &format!("create database {name}")])?;
    let described = with_database(&server, &name).and_then(|url| {
        apply_migrations(&url)?;
        check_engine_against(&url)
    });
    psql(&server, &["--command", &format!("drop database {name} with (force)")])?;
    described.map(Some)
}

fn psql(url: &str, arguments: &[&str]) -> Result<()> {
    run(Command::new("psql").args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", url]).args(arguments))
}

/// The same server, another database.
fn with_database(url: &str, name: &str) -> Result<String> {
    let authority = url.find("://").context("DATABASE_URL is not a URL")? + 3;
    let (server, parameters) = match url[authority..].find('?') {
        Some(at) => url.split_at(authority + at),
        None => (url, ""),
    };
    let server = match server[authority..].find('/') {
        Some(at) => &server[..authority + at],
        None => server,
    };
    Ok(format!("{server}/{name}{parameters}"))
}

fn apply_migrations(url: &str) -> Result<()> {
    let folder = root()?.join("migrations");
    let names = files_in(&folder)?.into_keys().filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "sql"));
    for name in names {
        let file = folder.join(&name);
        psql(url, &["--single-transaction", "--file", &file.to_string_lossy()])?;
    }
    Ok(())
}

fn check_engine_against(url: &str) -> Result<Described> {
    let folder = std::env::temp_dir().join(format!("muster-sqlx-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let touched = Touched::new(root()?.join("engine/src/lib.rs"))?;
    let checked = run(cargo()
        .args(["check", "--quiet", "--package", "engine", "--all-features", "--all-targets"])
        .env("DATABASE_URL", url)
        .env("SQLX_OFFLINE", "false")
        .env("SQLX_OFFLINE_DIR", &folder));
    touched.restore()?;
    let described = files_in(&folder);
    fs::remove_dir_all(&folder)?;
    checked?;
    described
}

/// A source file made new, so that cargo expands the macros again, and given back its time, so that nobody else's build is stale.
struct Touched {
    file: File,
    before: SystemTime,
    now: SystemTime,
}

impl Touched {
    fn new(path: PathBuf) -> Result<Self> {
        let file = File::options().append(true).open(&path).with_context(|| format!("{} cannot be touched", path.display()))?;
        let (before, now) = (file.metadata()?.modified()?, SystemTime::now());
        file.set_modified(now)?;
        Ok(Self { file, before, now })
    }

    fn restore(self) -> Result<()> {
        // somebody may have edited it meanwhile
        if self.file.metadata()?.modified()? == self.now {
            self.file.set_modified(self.before)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_on_the_same_server() {
        for (url, expected) in [
            ("postgres://a@b:1/c?host=/tmp/d", "postgres://a@b:1/x?host=/tmp/d"),
            ("postgres://a@b/c", "postgres://a@b/x"),
            ("postgres://a@b", "postgres://a@b/x"),
            ("postgres://a@b?host=/tmp/d", "postgres://a@b/x?host=/tmp/d"),
        ] {
            assert_eq!(with_database(url, "x").unwrap(), expected);
        }
        assert!(with_database("b", "x").is_err());
    }
}
