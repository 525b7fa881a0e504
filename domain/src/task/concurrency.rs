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
    pub(super) fn validate(&self, errors: &mut Errors) {
        errors.required_text("/concurrency/key", &self.key, 100);
        if self.limit == 0 || self.limit > CONCURRENCY_LIMIT_MAX {
            errors.add("/concurrency/limit", "out_of_range", format!("must be 1 to {CONCURRENCY_LIMIT_MAX}"));
        }
    }
}
