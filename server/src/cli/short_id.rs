//! Ids as people name them: in full, or by the last eight digits that lists and pages show.

use std::{fmt::Display, str::FromStr};

use uuid::Uuid;

use super::error::CliError;

/// Something as it was named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name<T> {
    Full(T),
    /// The last digits of an id, at least eight.
    Short(String),
}

const SHORT_DIGITS: usize = 8;
/// How many of the newest are looked through for a short id.
pub const LOOK_AT_MOST: usize = 20_000;

/// Nothing when the text is neither an id nor the end of one.
pub fn parse<T: FromStr>(text: &str) -> Option<Name<T>> {
    if let Ok(id) = text.parse() {
        return Some(Name::Full(id));
    }
    let digits = text.to_ascii_lowercase().replace('-', "");
    let fits = (SHORT_DIGITS..32).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    fits.then_some(Name::Short(digits))
}

pub fn ends_with(id: Uuid, digits: &str) -> bool {
    id.simple().to_string().ends_with(digits)
}

/// What a search for a short id came to.
pub struct Found<'a, T> {
    /// What is looked for: "task".
    pub noun: &'a str,
    /// The command that lists them all.
    pub list: &'a str,
    pub digits: &'a str,
    /// What the digits fit, with their titles.
    pub matches: Vec<(T, String)>,
    pub looked_at: usize,
    /// Whether there are older ones that were not looked at.
    pub more: bool,
}

impl<T: Copy + Display> Found<'_, T> {
    pub fn only_one(self) -> Result<T, CliError> {
        let Self { noun, list, digits, matches, looked_at, more } = self;
        match matches.as_slice() {
            [(id, _)] => Ok(*id),
            [] => Err(CliError::Failed {
                message: match more {
                    false => format!("there is no {noun} {digits}"),
                    true => format!("there is no {noun} {digits} among the newest {looked_at}"),
                },
                remedy: Some(format!("see which {noun}s there are with `{list}`, or give the full id")),
            }),
            several => {
                let lines: Vec<_> = several.iter().map(|(id, title)| format!("{id} ({title})")).collect();
                Err(CliError::Failed {
                    message: format!("{digits} fits {} {noun}s: {}", several.len(), lines.join(", ")),
                    remedy: Some("give the full id of the one you mean".into()),
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::TaskId;

    #[test]
    fn a_thing_is_named_in_full_or_in_short() {
        let full = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
        assert_eq!(parse(full), Some(Name::Full(full.parse::<TaskId>().unwrap())));
        assert_eq!(parse::<TaskId>("2E3F4A5B"), Some(Name::Short("2e3f4a5b".into())));
        assert!(ends_with(full.parse().unwrap(), "2e3f4a5b"));
        for bad in ["", "4a5b", "not-a-task", "2e3f4a5g", "2e3f4a5b2e3f4a5b2e3f4a5b2e3f4a5b0"] {
            assert_eq!(parse::<TaskId>(bad), None, "{bad}");
        }
    }
}
