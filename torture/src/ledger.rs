//! What really happened, written down by whoever saw it: one line of JSON each, on the disk before it counts.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    path::Path,
    sync::{Mutex, PoisonError},
};

use serde::{Serialize, de::DeserializeOwned};

pub struct Ledger(Mutex<File>);

impl Ledger {
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(Mutex::new(OpenOptions::new().create(true).append(true).open(path)?)))
    }

    pub fn write(&self, entry: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&line)?;
        file.sync_data()
    }
}

/// Every entry; a last line that was cut off in the middle never counted.
pub fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Vec<T>> {
    let Ok(file) = File::open(path) else { return Ok(vec![]) };
    let lines = BufReader::new(file).lines();
    Ok(lines.map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok()).collect())
}
