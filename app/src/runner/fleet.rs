//! All runners of a list in one sentence: how many there are, and how much of what they can carry out is taken. Pure.

use domain::Runner;

use crate::text::count;

pub(super) fn fleet(runners: &[Runner]) -> String {
    let online: Vec<_> = runners.iter().filter(|one| one.online).collect();
    let slots = online.iter().map(|one| i64::from(one.slots)).sum::<i64>();
    let (busy, blocked) = online.iter().fold((0_i64, 0_i64), |(busy, blocked), one| (busy + one.busy, blocked + one.blocked));
    words([runners.len(), online.len()], slots, busy, blocked)
}

fn words([all, online]: [usize; 2], slots: i64, busy: i64, blocked: i64) -> String {
    let slots = count(usize::try_from(slots).unwrap_or_default(), "slot");
    let waiting = match blocked {
        ..1 => String::new(),
        1 => ", 1 of them waits for an answer".to_owned(),
        more => format!(", {more} of them wait for an answer"),
    };
    format!("{}, {online} online: {busy} of {slots} busy{waiting}.", count(all, "runner"))
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn all_of_them_are_one_sentence() {
        assert_eq!(words([1, 1], 1, 0, 0), "1 runner, 1 online: 0 of 1 slot busy.");
        assert_eq!(words([5, 4], 16, 3, 1), "5 runners, 4 online: 3 of 16 slots busy, 1 of them waits for an answer.");
        assert_eq!(words([5, 4], 16, 3, 2), "5 runners, 4 online: 3 of 16 slots busy, 2 of them wait for an answer.");
        assert_eq!(words([2, 0], 0, 0, 0), "2 runners, 0 online: 0 of 0 slots busy.");
    }
}
