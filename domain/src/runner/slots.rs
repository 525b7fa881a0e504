//! How many attempts a runner carries out at once, as somebody may set it.

use serde::{Deserialize, Serialize};

use crate::error::{Errors, Invalid};

/// The most that one runner carries out at once.
pub const SLOTS_MAX: u32 = 1000;

/// What there is to be set about a runner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RunnerChange {
    /// How many attempts it carries out at once, 1 to 1000; `null` for as many as its machine says.
    // named, so that it is never left out by mistake
    #[serde(deserialize_with = "Option::deserialize")]
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub slots: Option<i32>,
}

impl RunnerChange {
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut errors = Errors::default();
        if self.slots.is_some_and(|slots| !(1..=SLOTS_MAX.cast_signed()).contains(&slots)) {
            errors.add("/slots", "out_of_range", format!("must be 1 to {SLOTS_MAX}"));
        }
        errors.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_slots_is_one_that_a_runner_may_say() {
        let says = |slots| RunnerChange { slots }.validate().map_err(|invalid| invalid.errors[0].pointer.clone());
        for right in [None, Some(1), Some(1000)] {
            assert_eq!(says(right), Ok(()), "{right:?}");
        }
        for wrong in [i32::MIN, -1, 0, 1001, i32::MAX] {
            assert_eq!(says(Some(wrong)), Err("/slots".to_owned()), "{wrong}");
        }
    }

    #[test]
    fn as_many_as_the_machine_says_is_said_in_so_many_words() {
        let read = |text| serde_json::from_str::<RunnerChange>(text).map_err(|error| error.to_string());
        assert_eq!(read(r#"{"slots":8}"#), Ok(RunnerChange { slots: Some(8) }));
        assert_eq!(read(r#"{"slots":null}"#), Ok(RunnerChange { slots: None }));
        assert!(read("{}").unwrap_err().contains("missing field `slots`"));
        assert!(read(r#"{"slots":8,"name":"far"}"#).is_err());
    }
}
