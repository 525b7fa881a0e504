//! Waiting for an end, so that a script need not ask again and again.

use std::time::Duration;

use app::problem::Problem;
use domain::Invalid;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

/// A request is answered well before the server gives up on it.
const WAIT_SECONDS_MAX: u8 = 25;

#[derive(Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Wait {
    /// Seconds to wait at most for it to end, up to 25; not at all unless given. Ask again while it has not ended.
    #[serde(default)]
    wait: u8,
}

impl Wait {
    /// Nothing when it is not to be waited for.
    pub fn at_most(&self) -> Result<Option<Duration>, Problem> {
        if self.wait > WAIT_SECONDS_MAX {
            let error = Invalid::field("/wait", "out_of_range", format!("must be 0 to {WAIT_SECONDS_MAX}"));
            return Err(engine::Error::from(error).into());
        }
        Ok((self.wait > 0).then(|| Duration::from_secs(self.wait.into())))
    }
}
