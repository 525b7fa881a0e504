//! The cluster on disk: its version, its password, and how it is made.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::Instant;

use tracing::{info, warn};

use super::binaries::Binaries;
use super::error::{PostgresError, file_error, last_lines};
use super::places::Places;
use super::run_as::RunAs;
use super::settings::SUPERUSER;

/// What the folders in which a cluster is made start with.
const UNFINISHED: &str = "postgres.new-";

/// The best locale first. macOS has no C.UTF-8.
const LOCALES: [&str; 2] = ["C.UTF-8", "C"];

/// The major version of the cluster in `data`, or `None` where there is none yet.
pub(super) fn version(data: &Path) -> Result<Option<u32>, PostgresError> {
    let file = data.join("PG_VERSION");
    match fs::read_to_string(&file) {
        Ok(text) => text.trim().parse().map(Some).map_err(|_| PostgresError::NotACluster { data: data.into() }),
        Err(error) if error.kind() == ErrorKind::NotFound => match fs::read_dir(data).map(Iterator::count) {
            Ok(0) => Ok(None),
            Ok(_) => Err(PostgresError::NotACluster { data: data.into() }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file_error("read", data)(error)),
        },
        Err(error) if error.kind() == ErrorKind::NotADirectory => Err(PostgresError::NotACluster { data: data.into() }),
        Err(error) => Err(file_error("read", &file)(error)),
    }
}

/// The password of the superuser, made up where there is no cluster yet. It is on disk before the cluster that needs it.
pub(super) fn password(places: &Places) -> Result<String, PostgresError> {
    let file = places.password();
    match fs::read_to_string(&file) {
        Ok(text) if !text.trim().is_empty() => return Ok(text.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(file_error("read", &file)(error)),
    }
    if version(&places.data())?.is_some() {
        return Err(PostgresError::NoPassword { file, data: places.data() });
    }
    let password: String = rand::random::<[u8; 32]>().iter().map(|byte| format!("{byte:02x}")).collect();
    let unfinished = file.with_added_extension("new");
    write_secret(&unfinished, &password)?;
    fs::rename(&unfinished, &file).map_err(file_error("write", &file))?;
    sync_folder(&places.state_dir)?;
    Ok(password)
}

/// Removes what a creation that was killed left behind. Trouble with it is no reason not to start.
pub(super) fn sweep(places: &Places) {
    for entry in fs::read_dir(&places.state_dir).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            continue;
        }
        let path = entry.path();
        match fs::remove_dir_all(&path) {
            Ok(()) => info!("Removed {}, a cluster whose creation was interrupted", path.display()),
            Err(error) => warn!("Could not remove {}, a cluster whose creation was interrupted: {error}", path.display()),
        }
    }
}

/// Makes the cluster beside its place and moves it there when it is complete and on disk.
pub(super) async fn create(places: &Places, run_as: &RunAs, binaries: &Binaries, password: &str) -> Result<(), PostgresError> {
    let began = Instant::now();
    info!("Creating Muster's own Postgres cluster, version {}, in {}", binaries.version, places.data().display());
    let unfinished = places.state_dir.join(format!("{UNFINISHED}{}", std::process::id()));
    DirBuilder::new().mode(0o700).create(&unfinished).map_err(file_error("create", &unfinished))?;
    let _remove_on_failure = Remove(&unfinished);
    run_as.give(&unfinished)?;
    // a copy, because the user of Postgres may not read Muster's
    let password_file = unfinished.join("password");
    write_secret(&password_file, password)?;
    run_as.give(&password_file)?;

    let data = unfinished.join("data");
    initdb(run_as, binaries, &data, &password_file).await?;
    fs::rename(&data, places.data()).map_err(file_error("create", &places.data()))?;
    sync_folder(&places.state_dir)?;
    info!("Created it in {} ms", began.elapsed().as_millis());
    Ok(())
}

async fn initdb(run_as: &RunAs, binaries: &Binaries, data: &Path, password_file: &Path) -> Result<(), PostgresError> {
    let program = binaries.folder.join("initdb");
    let mut output = Vec::new();
    for locale in LOCALES {
        let mut command = run_as.command(&program);
        command.arg("--pgdata").arg(data).arg("--pwfile").arg(password_file).args([
            &format!("--username={SUPERUSER}"),
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=libc",
            &format!("--locale={locale}"),
            "--data-checksums",
        ]);
        let done = command.kill_on_drop(true).output().await.map_err(|reason| PostgresError::Spawn { program: program.clone(), reason })?;
        if done.status.success() {
            return Ok(());
        }
        output = [done.stdout, done.stderr].concat();
        if !String::from_utf8_lossy(&output).contains("invalid locale") {
            break;
        }
    }
    Err(PostgresError::Create { output: last_lines(&output, 12) })
}

struct Remove<'a>(&'a Path);

impl Drop for Remove<'_> {
    fn drop(&mut self) {
        // the next start sweeps what stays
        let _ = fs::remove_dir_all(self.0);
    }
}

fn write_secret(path: &Path, secret: &str) -> Result<(), PostgresError> {
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        writeln!(file, "{secret}")?;
        file.sync_all()
    };
    write().map_err(file_error("write", path))
}

fn sync_folder(folder: &Path) -> Result<(), PostgresError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(file_error("write", folder))
}
