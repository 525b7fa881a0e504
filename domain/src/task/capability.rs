//! What a task needs its runner to have, and what runners say they have: words such as `gpu`, `docker`, `linux`.

use super::check_tag;
use crate::error::Errors;

/// The most that one task may need.
pub const CAPABILITIES_MAX: usize = 20;
/// The most that one runner may have.
pub const RUNNER_CAPABILITIES_MAX: usize = 100;

pub fn check_capabilities(errors: &mut Errors, capabilities: &[String], most: usize) {
    if capabilities.len() > most {
        errors.add("/capabilities", "too_many", format!("at most {most} capabilities are allowed"));
    }
    for (index, capability) in capabilities.iter().enumerate() {
        let pointer = format!("/capabilities/{index}");
        if capabilities[..index].contains(capability) {
            errors.add(pointer, "duplicate", "is named twice");
        } else if let Err(reason) = check_tag(capability) {
            errors.add(pointer, "malformed", reason);
        }
    }
}

/// Of what is needed, what stands in the way: nothing when one runner has all of it, what no runner has, or all of it when each is
/// there but never together.
pub fn unmet(needed: &[String], runners: &[Vec<String>]) -> Vec<String> {
    if needed.is_empty() || runners.iter().any(|has| needed.iter().all(|one| has.contains(one))) {
        return vec![];
    }
    let nowhere: Vec<_> = needed.iter().filter(|one| !runners.iter().any(|has| has.contains(one))).cloned().collect();
    if nowhere.is_empty() { needed.to_vec() } else { nowhere }
}

/// "No runner has gpu", "No runner has gpu and docker"; nothing when nothing stands in the way.
pub fn no_runner_has(unmet: &[String]) -> Option<String> {
    let (last, others) = unmet.split_last()?;
    if others.is_empty() {
        return Some(format!("No runner has {last}"));
    }
    Some(format!("No runner has {} and {last}", others.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn what_stands_in_the_way_is_what_nobody_has_or_what_nobody_has_together() {
        let runners = [words("linux gpu"), words("linux docker")];
        for (needed, expected) in [
            ("", None),
            ("linux", None),
            ("linux gpu", None),
            ("tpu", Some("No runner has tpu")),
            ("gpu tpu", Some("No runner has tpu")),
            ("gpu docker", Some("No runner has gpu and docker")),
            ("tpu mac arm", Some("No runner has tpu, mac and arm")),
        ] {
            assert_eq!(no_runner_has(&unmet(&words(needed), &runners)).as_deref(), expected, "{needed}");
        }
        assert_eq!(unmet(&words("gpu"), &[]), words("gpu"), "without a runner nobody has it");
    }
}
