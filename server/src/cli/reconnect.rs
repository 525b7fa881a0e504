//! When to try a lost connection again, and when to give up.

use std::time::{Duration, Instant};

use super::error::CliError;

/// First wait after a lost connection; each further one is twice as long.
const WAIT_FIRST: Duration = Duration::from_millis(250);
const WAIT_LONGEST: Duration = Duration::from_secs(10);
/// How long a server may stay away.
const GIVE_UP_AFTER: Duration = Duration::from_secs(600);
/// A connection that stood this long was a good one: its loss starts a new outage.
const STEADY_AFTER: Duration = Duration::from_secs(5);

/// Whether there is a connection, and for how long there has been none.
#[derive(Debug, Default)]
pub enum Connection {
    #[default]
    New,
    Up {
        since: Instant,
        /// The outage before, which goes on when this connection breaks at once.
        before: Option<Outage>,
    },
    Lost(Outage),
}

#[derive(Clone, Copy, Debug)]
pub struct Outage {
    since: Instant,
    wait: Duration,
    is_told: bool,
}

/// What to do before the next try.
#[derive(Debug, PartialEq, Eq)]
pub struct Pause {
    pub wait: Duration,
    /// Whether a person should know now. Not at the first loss: servers end streams now and then, and take them up again.
    pub tell: bool,
}

impl Connection {
    pub fn is_up(&mut self, now: Instant) {
        let before = match self {
            Self::Lost(outage) => Some(*outage),
            Self::New | Self::Up { .. } => None,
        };
        *self = Self::Up { since: now, before };
    }

    /// It broke, or could not be made because of `error`. What will not pass, a first try, and a server that stays away are errors.
    pub fn lost(&mut self, error: Option<CliError>, now: Instant) -> Result<Pause, CliError> {
        let error = match error {
            Some(error) if matches!(self, Self::New) || !error.may_pass() => return Err(error),
            other => other,
        };
        let earlier = match self {
            Self::Lost(outage) => Some(*outage),
            Self::Up { since, before } if now - *since < STEADY_AFTER => *before,
            Self::New | Self::Up { .. } => None,
        };
        let outage = earlier.unwrap_or(Outage { since: now, wait: WAIT_FIRST, is_told: false });
        if now - outage.since > GIVE_UP_AFTER {
            return Err(error.unwrap_or_else(|| CliError::failed("the server ends every connection at once")));
        }
        let tell = earlier.is_some_and(|outage| !outage.is_told);
        *self = Self::Lost(Outage { wait: (outage.wait * 2).min(WAIT_LONGEST), is_told: outage.is_told || tell, ..outage });
        Ok(Pause { wait: outage.wait, tell })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unreachable() -> Option<CliError> {
        Some(CliError::Unreachable { url: "http://127.0.0.1:1".parse().unwrap(), cause: "refused".into() })
    }

    #[test]
    fn a_server_that_was_never_there_is_not_waited_for() {
        assert!(Connection::default().lost(unreachable(), Instant::now()).is_err());
    }

    #[test]
    fn a_lost_server_is_waited_for_longer_and_longer_and_then_given_up() {
        let mut now = Instant::now();
        let mut connection = Connection::default();
        connection.is_up(now);
        assert_eq!(connection.lost(None, now).unwrap(), Pause { wait: WAIT_FIRST, tell: false });
        assert_eq!(connection.lost(unreachable(), now).unwrap(), Pause { wait: WAIT_FIRST * 2, tell: true });
        for _ in 0..10 {
            assert!(!connection.lost(unreachable(), now).unwrap().tell);
        }
        assert_eq!(connection.lost(unreachable(), now).unwrap().wait, WAIT_LONGEST);
        now += GIVE_UP_AFTER + Duration::from_secs(1);
        assert!(connection.lost(unreachable(), now).is_err());
    }

    #[test]
    fn a_connection_that_breaks_at_once_does_not_start_anew() {
        let start = Instant::now();
        let mut connection = Connection::default();
        connection.is_up(start);
        assert_eq!(connection.lost(None, start).unwrap(), Pause { wait: WAIT_FIRST, tell: false });
        connection.is_up(start);
        assert_eq!(connection.lost(None, start + Duration::from_secs(1)).unwrap(), Pause { wait: WAIT_FIRST * 2, tell: true });
        connection.is_up(start);
        assert_eq!(connection.lost(None, start + Duration::from_secs(9)).unwrap(), Pause { wait: WAIT_FIRST, tell: false });
    }

    #[test]
    fn a_refusal_ends_the_waiting() {
        let mut connection = Connection::default();
        connection.is_up(Instant::now());
        assert!(connection.lost(Some(CliError::NoKey), Instant::now()).is_err());
    }
}
