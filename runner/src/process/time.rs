//! How long processes may take. While somebody else is waited for, no time passes.

use std::time::Duration;

use tokio::{sync::watch, time::Instant};

pub(crate) struct Time {
    left: Duration,
    /// Whether somebody else is waited for now.
    waits: Option<watch::Receiver<bool>>,
}

impl From<Duration> for Time {
    fn from(left: Duration) -> Self {
        Self { left, waits: None }
    }
}

impl Time {
    pub fn unless(left: Duration, waits: watch::Receiver<bool>) -> Self {
        Self { left, waits: Some(waits) }
    }

    /// Returns when it is used up.
    pub async fn used_up(mut self) {
        loop {
            let Some(waits) = &mut self.waits else { return tokio::time::sleep(self.left).await };
            if *waits.borrow_and_update() {
                if waits.changed().await.is_err() {
                    self.waits = None;
                }
                continue;
            }
            let began = Instant::now();
            tokio::select! {
                () = tokio::time::sleep(self.left) => return,
                changed = waits.changed() => {
                    self.left = self.left.saturating_sub(began.elapsed());
                    if changed.is_err() {
                        self.waits = None;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_time_passes_while_somebody_else_is_waited_for() {
        let (waits, watched) = watch::channel(false);
        let began = Instant::now();
        let others = async {
            for (seconds, waiting) in [(4, true), (100, false), (1, true), (100, false)] {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                waits.send_replace(waiting);
            }
        };
        tokio::join!(Time::unless(Duration::from_secs(10), watched).used_up(), others);
        assert_eq!(began.elapsed().as_secs(), 210);
        Time::from(Duration::from_secs(1)).used_up().await;
        assert_eq!(began.elapsed().as_secs(), 211);
    }
}
