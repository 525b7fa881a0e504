//! Results of build steps, kept by what went in: a step whose inputs are known is not run again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::process::{files_below, target};

/// Raised when the steps themselves change, so that nothing made by older ones is taken.
const VERSION: u8 = 1;
/// Results kept of each step; going back and forth between two branches costs nothing.
const KEPT: usize = 4;

/// Everything that a step's result depends on.
pub struct Inputs(Sha256);

impl Inputs {
    pub fn new() -> Self {
        Self(Sha256::new_with_prefix([VERSION]))
    }

    pub fn add(mut self, content: &[u8]) -> Self {
        self.0.update((content.len() as u64).to_le_bytes());
        self.0.update(content);
        self
    }

    pub fn add_file(self, path: &Path) -> Result<Self> {
        let content = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(self.add(&content))
    }

    /// A large file that cargo writes only when it has changed: when and how large, not what.
    pub fn add_stamp(self, path: &Path) -> Result<Self> {
        let about = fs::metadata(path).with_context(|| format!("{} cannot be read", path.display()))?;
        let age = about.modified()?.duration_since(SystemTime::UNIX_EPOCH)?;
        Ok(self.add(path.as_os_str().as_encoded_bytes()).add(&about.len().to_le_bytes()).add(&age.as_nanos().to_le_bytes()))
    }

    /// Every file below a folder, with its name.
    pub fn add_folder(mut self, folder: &Path) -> Result<Self> {
        for path in files_below(folder)? {
            self = self.add(path.strip_prefix(folder)?.as_os_str().as_encoded_bytes()).add_file(&path)?;
        }
        Ok(self)
    }
}

/// The folder with the result of the step `name` for these inputs; `make` fills it when there is none.
pub fn step(name: &str, inputs: Inputs, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let all = target()?.join("muster-site");
    let folder = all.join(format!("{name}-{}", hex(&inputs.0.finalize())));
    if folder.exists() {
        // the age decides which results go
        fs::File::open(&folder)?.set_modified(SystemTime::now())?;
        return Ok(folder);
    }
    let unfinished = all.join(format!("unfinished-{name}-{}", std::process::id()));
    fs::create_dir_all(&unfinished)?;
    if let Err(error) = make(&unfinished) {
        fs::remove_dir_all(&unfinished)?;
        return Err(error);
    }
    fs::rename(&unfinished, &folder)?;
    forget_old(&all, name)?;
    Ok(folder)
}

fn forget_old(all: &Path, name: &str) -> Result<()> {
    let prefix = format!("{name}-");
    let mut results = vec![];
    for entry in fs::read_dir(all)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            results.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    results.sort();
    for (_, path) in results.iter().rev().skip(KEPT) {
        fs::remove_dir_all(path)?;
    }
    Ok(())
}

/// The first 16 hexadecimal digits of a hash, enough to tell contents apart in a file name.
pub fn short_hash(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
