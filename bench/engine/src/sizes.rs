//! How much is measured.

use std::time::Duration;

/// Clients that hand in one task after the other.
pub const CLIENTS: usize = 32;
/// Tasks handed in together.
pub const BATCH: usize = 100;
/// Clients that hand in batches.
pub const BATCH_CLIENTS: usize = 8;

#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// For figures that are a rate.
    pub rate: Duration,
    /// Tasks that are followed from their creation to their end: handed in singly, and in batches.
    pub lives: usize,
    pub batch_lives: usize,
    /// For figures that are a distribution.
    pub latency: Duration,
    pub stream: Duration,
    /// How long a transaction is held open.
    pub bloat: Duration,
    /// Tasks that wait while latency is measured again.
    pub rows: usize,
}

impl Sizes {
    pub const LONG: Self = Self {
        rate: Duration::from_secs(10),
        lives: 5_000,
        batch_lives: 10_000,
        latency: Duration::from_secs(30),
        stream: Duration::from_secs(20),
        bloat: Duration::from_mins(30),
        rows: 1_000_000,
    };

    pub const SHORT: Self = Self {
        rate: Duration::from_secs(3),
        lives: 2_000,
        batch_lives: 4_000,
        latency: Duration::from_secs(10),
        stream: Duration::from_secs(10),
        bloat: Duration::from_mins(1),
        rows: 50_000,
    };
}
