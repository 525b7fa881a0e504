//! Changing only what one has seen: the `If-Match` header.
//!
//! A thing's version is a number that grows with everything that happens to it. Its `ETag` is that number and a digest of the answer, so
//! that it never stands for two answers; `If-Match` looks at the number alone, as output that grows makes no change stale.

use crate::Invalid;

/// The versions that whoever asks for a change has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: whatever it is.
    Any,
    Versions(Vec<i64>),
}

impl IfMatch {
    /// Reads a header: `*`, or tags with commas between them. Weak tags and those of others are well formed and match nothing.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if text.trim() == "*" {
            return Ok(Self::Any);
        }
        let mut versions = vec![];
        for tag in text.split(',').map(str::trim) {
            let is_weak = tag.starts_with("W/");
            let opaque = tag.trim_start_matches("W/").strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            let Some(opaque) = opaque.filter(|opaque| !opaque.contains('"')) else {
                return Err(Invalid::field("If-Match", "malformed", "must hold entity tags, such as the ETag of an answer: \"3\""));
            };
            versions.extend(opaque.split('-').next().and_then(|number| number.parse::<i64>().ok()).filter(|_| !is_weak));
        }
        Ok(Self::Versions(versions))
    }

    pub fn matches(&self, version: i64) -> bool {
        match self {
            Self::Any => true,
            Self::Versions(versions) => versions.contains(&version),
        }
    }

    /// The newest version that was seen.
    pub fn newest(&self) -> Option<i64> {
        match self {
            Self::Any => None,
            Self::Versions(versions) => versions.iter().copied().max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_strong_tag_counts() {
        for (text, matches) in [
            ("\"3\"", true),
            ("\"3-9f86d081884c7d65\"", true),
            (" \"2\" , \"3-00\"", true),
            ("*", true),
            ("\"4\"", false),
            ("\"33\"", false),
            ("W/\"3\"", false),
            ("\"theirs\"", false),
            ("\"\"", false),
        ] {
            assert_eq!(IfMatch::parse(text).map(|seen| seen.matches(3)), Ok(matches), "{text}");
        }
        assert_eq!(IfMatch::parse("\"2\", \"7-ab\"").map(|seen| seen.newest()), Ok(Some(7)));
    }

    #[test]
    fn what_is_no_tag_is_refused() {
        for bad in ["", "3", "\"3", "3\"", "\"3\",", "\"a\"b\"", "w/\"3\""] {
            assert!(IfMatch::parse(bad).is_err(), "{bad}");
        }
    }
}
