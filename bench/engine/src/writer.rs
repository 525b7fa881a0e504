//! Work that writes: so much, at once or in bursts, and then how long that took. It is a process of its own, in a sandbox or behind a pipe.

use std::{
    env,
    fs::{self, File},
    io::{self, Write},
    os::fd::AsFd,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::Args;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

use crate::serve::now_nanos;

/// Bytes of a line, with its end.
pub const LINE: usize = 16;
/// Bytes that a pipe takes at once.
pub const PIPE: usize = 64 * 1024;
/// The variable that says where work leaves its output.
pub const OUTPUT: &str = "MUSTER_OUTPUT";

/// Bytes after which it begins anew.
const LENGTH: usize = 1024 * 1024;
const SEED: u64 = 11;

/// How much is written, and how.
#[derive(Args, Clone, Copy, Debug)]
pub struct Amount {
    /// All of it, in bytes.
    #[arg(long)]
    pub bytes: usize,
    /// Lines, and not one without an end.
    #[arg(long)]
    pub lines: bool,
    /// So many bytes at once.
    #[arg(long)]
    pub piece: usize,
    /// From the beginning of one piece to that of the next, in microseconds; without a pause when 0.
    #[arg(long)]
    pub every: u64,
}

/// When it wrote, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Wrote {
    pub began: u64,
    pub ended: u64,
}

impl Amount {
    /// No more than this of it.
    pub fn shortened_to(self, bytes: usize) -> Self {
        Self { bytes: bytes.min(self.bytes), ..self }
    }

    /// As a shell has this program write it.
    pub fn command(&self, program: &Path) -> String {
        let Self { bytes, lines, piece, every } = *self;
        let lines = if lines { " --lines" } else { "" };
        format!("'{}' write --bytes {bytes} --piece {piece} --every {every}{lines}", program.display())
    }

    /// Bytes a second; nothing when it is as fast as it can.
    pub fn pace(&self) -> Option<f64> {
        (self.every > 0).then(|| self.piece as f64 * 1e6 / self.every as f64)
    }

    /// Bytes a second that it really was.
    pub fn rate(&self, wrote: Wrote) -> f64 {
        self.bytes as f64 * 1e9 / wrote.ended.saturating_sub(wrote.began) as f64
    }
}

pub fn write(amount: Amount) -> anyhow::Result<()> {
    let output = env::var_os(OUTPUT).context("nobody has said where the output goes")?;
    let pattern = pattern(amount.lines);
    // as it is: nothing is collected on the way
    let mut stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let began = u64::try_from(now_nanos())?;
    write_to(&mut stdout, &pattern, amount)?;
    let wrote = Wrote { began, ended: u64::try_from(now_nanos())? };
    fs::write(output, serde_json::to_vec(&wrote)?)?;
    Ok(())
}

/// So many characters that whoever stores them cannot make them fewer.
fn pattern(lines: bool) -> Vec<u8> {
    let mut random = StdRng::seed_from_u64(SEED);
    let mut bytes: Vec<u8> = (0..LENGTH).map(|_| random.random_range(b'!'..=b'~')).collect();
    if lines {
        bytes.iter_mut().skip(LINE - 1).step_by(LINE).for_each(|end| *end = b'\n');
    }
    bytes
}

fn write_to(output: &mut impl Write, pattern: &[u8], amount: Amount) -> io::Result<()> {
    let mut due = Instant::now();
    let mut wrote = 0;
    while wrote < amount.bytes {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        due += Duration::from_micros(amount.every);
        let end = amount.bytes.min(wrote + amount.piece.max(1));
        while wrote < end {
            let part = &pattern[wrote % pattern.len()..];
            let part = &part[..part.len().min(end - wrote)];
            output.write_all(part)?;
            wrote += part.len();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_writes_what_it_is_told() {
        let written = |amount: Amount| {
            let mut output = vec![];
            write_to(&mut output, &pattern(amount.lines), amount).unwrap();
            output
        };
        let amount = Amount { bytes: 3 * LENGTH / 2 + 5, lines: false, piece: 10_000, every: 0 };
        let wide = written(amount);
        assert_eq!((wide.len(), wide.contains(&b'\n')), (amount.bytes, false));
        let lines = written(Amount { bytes: 1000 * LINE, lines: true, ..amount });
        assert!(lines.split_inclusive(|byte| *byte == b'\n').all(|line| line.len() == LINE) && lines.ends_with(b"\n"));
    }

    #[test]
    fn a_pace_is_in_bytes_a_second() {
        let amount = Amount { bytes: 1_000_000, lines: true, piece: 10_000 * LINE, every: 10_000 };
        assert_eq!(amount.pace(), Some(16e6));
        assert_eq!(Amount { every: 0, ..amount }.pace(), None);
        assert_eq!(amount.rate(Wrote { began: 5, ended: 500_000_005 }), 2e6);
    }
}
