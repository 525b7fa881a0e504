//! How the attempts of a runner have ended, in words.

use domain::runner::{HISTORY_COUNTED, RunnerTally};

use crate::{
    task::detail::session::words::tokens,
    text::{capitalised, duration, grouped},
};

/// Nothing where none has ended.
pub(super) fn tally_words(tally: RunnerTally) -> Option<String> {
    let RunnerTally { succeeded, failed, lost, cancelled, .. } = tally;
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
    let more: String = [mean(tally), used(tally)].into_iter().flatten().map(|sentence| format!(" {sentence}.")).collect();
    Some(format!("{}.{others}{more}", capitalised(&success)))
}

/// How long those took that ended by themselves; what is below a second is as good as one.
fn mean(tally: RunnerTally) -> Option<String> {
    let seconds = tally.mean_ms?.unsigned_abs().div_ceil(1000).max(1);
    let took = duration(u32::try_from(seconds).unwrap_or(u32::MAX));
    Some(if tally.succeeded + tally.failed == 1 { format!("It took {took}") } else { format!("They took {took} on average") })
}

/// By all of them.
fn used(tally: RunnerTally) -> Option<String> {
    let at_least = if tally.is_incomplete { "at least " } else { "" };
    tally.tells_tokens().then(|| format!("Tokens used: {at_least}{}", tokens(tally.input, tally.cached, tally.output)))
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
        tally_words(RunnerTally { succeeded, failed, lost, cancelled, ..RunnerTally::default() })
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
    fn how_long_they_took_and_what_they_used_is_said() {
        let tally = RunnerTally { succeeded: 2, mean_ms: Some(89_500), input: 2400, cached: 2000, output: 42, ..RunnerTally::default() };
        let expected =
            "2 of 2 that ended by themselves succeeded (100 %). They took 1m 30s on average. Tokens used: 2,400 in (2,000 cached), 42 out.";
        assert_eq!(tally_words(tally).as_deref(), Some(expected));
        let part = tally_words(RunnerTally { is_incomplete: true, ..tally }).unwrap();
        assert!(part.ends_with("Tokens used: at least 2,400 in (2,000 cached), 42 out."), "{part}");
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
