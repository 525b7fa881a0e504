use serde::{Deserialize, Serialize};

use crate::error::Errors;

/// At most so many tasks of the workspace run with this key at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Concurrency {
    /// What is shared: a device, an environment, an account.
    pub key: String,
    /// How many may run with it, this one included.
    #[serde(default = "one")]
    pub limit: u32,
}

pub const CONCURRENCY_LIMIT_MAX: u32 = 1000;

fn one() -> u32 {
    1
}

impl Concurrency {
    /// `staging`, of which one at a time runs, or `staging=3`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (key, limit) = text.rsplit_once('=').map_or((text, Ok(1)), |(key, limit)| (key, limit.trim().parse()));
        let limit = limit.map_err(|_| "must be a key, or a key and a number such as staging=3")?;
        Ok(Self { key: key.trim().to_owned(), limit })
    }

    /// As [`parse`](Self::parse) reads it.
    pub fn text(&self) -> String {
        if self.limit == 1 { self.key.clone() } else { format!("{}={}", self.key, self.limit) }
    }

    pub(super) fn validate(&self, errors: &mut Errors) {
        errors.required_text("/concurrency/key", &self.key, 100);
        if self.limit == 0 || self.limit > CONCURRENCY_LIMIT_MAX {
            errors.add("/concurrency/limit", "out_of_range", format!("must be 1 to {CONCURRENCY_LIMIT_MAX}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_may_say_how_many() {
        assert_eq!(Concurrency::parse("staging"), Ok(Concurrency { key: "staging".into(), limit: 1 }));
        assert_eq!(Concurrency::parse("a=b=3"), Ok(Concurrency { key: "a=b".into(), limit: 3 }));
        assert!(Concurrency::parse("staging=many").is_err());
        for text in ["staging", "staging=3"] {
            assert_eq!(Concurrency::parse(text).unwrap().text(), text);
        }
    }
}
