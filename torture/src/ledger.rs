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
        self.write_all(&[entry])
    }

    pub fn write_all(&self, entries: &[impl Serialize]) -> io::Result<()> {
        let mut lines = vec![];
        for entry in entries {
            serde_json::to_writer(&mut lines, entry)?;
            lines.push(b'\n');
        }
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&lines)?;
        file.sync_data()
    }
}

/// Every entry; a last line that was cut off in the middle never counted.
pub fn read<T: DeserializeOwned>(path: &Path) -> io::Result<Vec<T>> {
    let Ok(file) = File::open(path) else { return Ok(vec![]) };
    let lines = BufReader::new(file).lines();
    Ok(lines.map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok()).collect())
}

/// One line more in a record for people.
pub fn append_line(path: &Path, line: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(format!("{line}\n").as_bytes())?;
    file.sync_data()
}
