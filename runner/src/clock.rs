//! The one place where the runner reads the wall clock. Durations and leases are measured on the monotonic clock instead.

use domain::Timestamp;

/// Now, by this machine's clock; for people to read, never to decide by.
#[expect(clippy::disallowed_methods, reason = "this is the runner's clock")]
pub fn now() -> Timestamp {
    chrono::Utc::now()
}
