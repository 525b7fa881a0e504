//! Requests that take effect once, however often they are sent: the `Idempotency-Key` header.

use crate::{Invalid, error::Errors};

/// Longest key, in characters.
pub const KEY_MAX: usize = 255;
/// How long an answer is kept for a request that comes again, in hours.
pub const KEPT_HOURS: i64 = 24;

/// A request that names itself. Only the same actor on the same route can mean the same request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    pub key: String,
    /// Method and path, as they were sent.
    pub route: String,
    /// SHA-256 of the body: the same key with another body is a mistake of the sender.
    pub fingerprint: Vec<u8>,
    /// What the route answers with when it has done what was asked.
    pub status: u16,
}

/// A key is a few printable ASCII characters, so that it means the same to every proxy on the way.
pub fn check_key(key: &str) -> Result<(), Invalid> {
    let mut errors = Errors::default();
    if key.is_empty() || key.len() > KEY_MAX {
        errors.add("Idempotency-Key", "out_of_range", format!("must be 1 to {KEY_MAX} characters long"));
    }
    if !key.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        errors.add("Idempotency-Key", "malformed", "must consist of printable ASCII characters");
    }
    errors.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_short_and_printable() {
        assert_eq!(check_key("8e03978e-40d5-43e8-bc93-6894a57f9324"), Ok(()));
        for bad in [String::new(), "k".repeat(256), "a\tb".into(), "ü".into()] {
            assert!(check_key(&bad).is_err(), "{bad:?}");
        }
    }
}
