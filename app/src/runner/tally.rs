//! How the attempts of a runner have ended, in words.

use domain::runner::{HISTORY_COUNTED, RunnerTally};

use crate::text::{capitalised, grouped};

/// Nothing where none has ended.
pub(super) fn tally_words(tally: RunnerTally) -> Option<String> {
    let RunnerTally { succeeded, failed, lost, cancelled } = tally;
    let by_themselves = succeeded + failed;
    let all = by_themselves + lost + cancelled;
    if all == 0 {
        return None;
    }
    let themselves = if by_themselves == 1 { "itself" } else { "themselves" };
    let success = match tally.success_percent() {
        Some(percent) => {
            format!("{} of {} that ended by {themselves} succeeded ({percent} %)", number(succeeded), number(by_themselves))
        }
        None => "none ended by itself".to_owned(),
    };
    // there may have been more before these
    let success = if all == HISTORY_COUNTED { format!("of its latest {}, {success}", number(all)) } else { success };
    let others: Vec<_> = [were(lost, "lost"), were(cancelled, "cancelled")].into_iter().flatten().collect();
    let others = if others.is_empty() { String::new() } else { format!(" {}.", others.join(", ")) };
    Some(format!("{}.{others}", capitalised(&success)))
}

/// Nothing where it is none.
fn were(how_many: i64, what: &str) -> Option<String> {
    let verb = if how_many == 1 { "was" } else { "were" };
    (how_many > 0).then(|| format!("{} {verb} {what}", number(how_many)))
}

fn number(of: i64) -> String {
    grouped(of.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(succeeded: i64, failed: i64, lost: i64, cancelled: i64) -> Option<String> {
        tally_words(RunnerTally { succeeded, failed, lost, cancelled })
    }

    #[test]
    fn success_is_counted_of_what_ended_by_itself() {
        assert_eq!(words(0, 0, 0, 0), None);
        assert_eq!(words(12, 3, 0, 0).as_deref(), Some("12 of 15 that ended by themselves succeeded (80 %)."));
        assert_eq!(words(1, 0, 0, 0).as_deref(), Some("1 of 1 that ended by itself succeeded (100 %)."));
        assert_eq!(words(0, 2, 1, 3).as_deref(), Some("0 of 2 that ended by themselves succeeded (0 %). 1 was lost, 3 were cancelled."));
        assert_eq!(words(0, 0, 2, 0).as_deref(), Some("None ended by itself. 2 were lost."));
    }

    #[test]
    fn more_than_are_counted_are_only_the_latest() {
        assert_eq!(
            words(800, 100, 60, 40).as_deref(),
            Some("Of its latest 1,000, 800 of 900 that ended by themselves succeeded (88 %). 60 were lost, 40 were cancelled.")
        );
        assert_eq!(words(0, 0, 1000, 0).as_deref(), Some("Of its latest 1,000, none ended by itself. 1,000 were lost."));
    }
}
