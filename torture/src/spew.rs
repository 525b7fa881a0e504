//! Work that writes, and whose every byte can be told from its seed: nothing of its log can be missing, doubled or moved unseen.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use domain::TaskId;
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

use crate::ledger::Ledger;

/// How long a pattern is before it begins anew: of no size that anybody cuts at.
const LENGTH: usize = 1_000_003;
const LINES: usize = 62_501;
/// Of a line, with its end.
pub const LINE: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// One line without an end.
    Wide,
    Lines,
    /// Any bytes at all, most of which are no characters.
    Bytes,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::Lines => "lines",
            Self::Bytes => "bytes",
        }
    }
}

/// How much is written, and how.
#[derive(Args, Clone, Copy, Debug)]
pub struct Amount {
    kind: Kind,
    seed: u64,
    /// All of it, in bytes.
    #[arg(long)]
    bytes: usize,
    /// So many at once.
    #[arg(long)]
    piece: usize,
    /// From the beginning of one piece to that of the next, in microseconds; without a pause when 0.
    #[arg(long)]
    every: u64,
    /// Writes down each piece, and not only the last.
    #[arg(long)]
    tells: bool,
    /// As much again goes to the standard error.
    #[arg(long)]
    both: bool,
}

impl Amount {
    /// At once, in pieces as they fit into a pipe.
    pub fn of(kind: Kind, seed: u64, bytes: usize) -> Self {
        Self { kind, seed, bytes, piece: 64 * 1024, every: 0, tells: false, both: false }
    }

    /// The same, and no more than this of it.
    pub fn shortened_to(self, bytes: usize) -> Self {
        Self { bytes: bytes.min(self.bytes), ..self }
    }

    pub fn in_pieces(self, piece: usize, every: Duration) -> Self {
        Self { piece, every: u64::try_from(every.as_micros()).unwrap_or(u64::MAX), ..self }
    }

    pub fn that_tells(self) -> Self {
        Self { tells: true, ..self }
    }

    pub fn to_both(self) -> Self {
        Self { both: true, ..self }
    }

    /// As the command line of this program has it.
    pub fn arguments(&self) -> String {
        let Self { kind, seed, bytes, piece, every, tells, both } = *self;
        let flag = |given, flag| if given { flag } else { "" };
        let (tells, both) = (flag(tells, " --tells"), flag(both, " --both"));
        format!("{} {seed} --bytes {bytes} --piece {piece} --every {every}{tells}{both}", kind.name())
    }

    /// What goes to the standard output, and what to the standard error.
    pub fn patterns(&self) -> [Pattern; 2] {
        [self.seed, !self.seed].map(|seed| Pattern::new(self.kind, seed))
    }
}

#[derive(Args)]
pub struct SpewArgs {
    /// Where the ledger of the work is.
    ledger: PathBuf,
    #[command(flatten)]
    amount: Amount,
}

/// So much was written, and taken by the pipe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpewEntry {
    pub task: TaskId,
    pub attempt: i32,
    pub stdout: usize,
    pub stderr: usize,
    pub is_all: bool,
}

pub const LEDGER: &str = "spew";

pub fn spew(args: &SpewArgs) -> anyhow::Result<()> {
    let task: TaskId = std::env::var("MUSTER_TASK_ID")?.parse()?;
    let attempt: i32 = std::env::var("MUSTER_ATTEMPT")?.parse()?;
    let (ledger, amount) = (Ledger::open(&args.ledger.join(LEDGER))?, &args.amount);
    let [out, err] = amount.patterns();
    // as they are: nothing is collected on the way
    let mut stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let mut due = Instant::now();
    let mut wrote = 0;
    while wrote < amount.bytes {
        let end = amount.bytes.min(wrote + amount.piece.max(1));
        out.write(wrote, end, &mut stdout)?;
        if amount.both {
            err.write(wrote, end, &mut stderr)?;
        }
        wrote = end;
        let is_all = wrote == amount.bytes;
        if is_all || amount.tells {
            ledger.write(&SpewEntry { task, attempt, stdout: wrote, stderr: if amount.both { wrote } else { 0 }, is_all })?;
        }
        due += Duration::from_micros(amount.every);
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    Ok(())
}

pub struct Pattern(Vec<u8>);

impl Pattern {
    fn new(kind: Kind, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        Self(match kind {
            Kind::Wide => (0..LENGTH).map(|_| random.random_range(b'!'..=b'~')).collect(),
            Kind::Lines => {
                (0..LINES).flat_map(|line| format!("{line:07} {:07x}\n", random.random_range(0..0x1000_0000)).into_bytes()).collect()
            }
            Kind::Bytes => {
                let mut bytes = vec![0; LENGTH];
                random.fill(&mut bytes[..]);
                bytes
            }
        })
    }

    /// As much of it as there is from a place on before it begins anew, and not beyond the end.
    fn part(&self, from: usize, to: usize) -> &[u8] {
        let part = &self.0[from % self.0.len()..];
        &part[..part.len().min(to - from)]
    }

    fn write(&self, mut from: usize, to: usize, output: &mut impl Write) -> io::Result<()> {
        while from < to {
            let part = self.part(from, to);
            output.write_all(part)?;
            from += part.len();
        }
        Ok(())
    }

    /// Where bytes that are said to be its beginning are others; nothing when they are.
    pub fn differs_at(&self, bytes: &[u8]) -> Option<usize> {
        let mut from = 0;
        while from < bytes.len() {
            let part = self.part(from, bytes.len());
            let there = &bytes[from..from + part.len()];
            if part != there {
                return part.iter().zip(there).position(|(one, other)| one != other).map(|place| from + place);
            }
            from += part.len();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_that_is_missing_doubled_or_moved_is_seen() {
        for kind in [Kind::Wide, Kind::Lines, Kind::Bytes] {
            let [pattern, other] = Amount::of(kind, 7, 0).patterns();
            let mut whole = vec![];
            pattern.write(0, 3 * LENGTH / 2, &mut whole).unwrap();
            assert_eq!(whole.len(), 3 * LENGTH / 2);
            assert_eq!(pattern.differs_at(&whole), None);
            assert_eq!(pattern.differs_at(&whole[..LENGTH / 3]), None, "the beginning of it is no other");
            assert!(other.differs_at(&whole).is_some());
            let without = [&whole[..1000], &whole[1000 + LINE..]].concat();
            assert!(pattern.differs_at(&without).is_some_and(|place| place >= 1000), "{kind:?}");
            let twice = [&whole[..1000], &whole[1000 - LINE..]].concat();
            assert!(pattern.differs_at(&twice).is_some_and(|place| place >= 1000), "{kind:?}");
        }
    }
}
