//! How many attempts a runner carries out at once, as somebody may set it.

use serde::{Deserialize, Serialize};

use super::Runner;
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

impl Runner {
    /// How many slots were set, where it has fewer: a runner of an older version takes none beyond those that its machine says.
    pub fn slots_to_come(&self) -> Option<i32> {
        self.slots_set.filter(|set| *set > self.slots)
    }

    /// Why it has as many as it has; nothing where that is as its machine says.
    pub fn slots_in_words(&self) -> Option<String> {
        let (slots, own, set) = (self.slots, self.slots_own, self.slots_set?);
        Some(match self.slots_to_come() {
            Some(_) => format!("{set} were set; it has {slots} until its machine has a version of Muster that takes more from here"),
            None => format!("as was set; its machine says {own}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runner(slots: i32, slots_own: i32, slots_set: Option<i32>) -> Runner {
        serde_json::from_value(serde_json::json!({
            "id": uuid::Uuid::nil(), "name": "far", "slots": slots, "slots_own": slots_own, "slots_set": slots_set, "busy": 0, "blocked": 0,
            "capabilities": [], "online": true, "state": "idle", "draining": null, "joined": true, "last_seen_at": "1970-01-01T00:00:00Z",
            "no_sandbox": null, "backends": [],
        }))
        .unwrap()
    }

    #[test]
    fn whoever_looks_is_told_why_it_has_so_many() {
        assert_eq!(runner(2, 2, None).slots_in_words(), None);
        for slots in [1, 8] {
            let set = runner(slots, 2, Some(slots));
            assert_eq!((set.slots_to_come(), set.slots_in_words().as_deref()), (None, Some("as was set; its machine says 2")));
        }
        let older = runner(2, 2, Some(8));
        assert_eq!(older.slots_to_come(), Some(8));
        let words = older.slots_in_words().unwrap();
        assert!(words.starts_with("8 were set; it has 2 until its machine has a version of Muster"), "{words}");
    }

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
