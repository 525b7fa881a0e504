//! What keeps work from the rest of the machine that it runs on.

use serde::{Deserialize, Serialize};

/// How the attempts of a workspace run, their checks included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "sqlx", derive(sqlx::Type), sqlx(type_name = "text", rename_all = "snake_case"))]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Isolation {
    /// In a sandbox: an attempt writes in its own folder alone and sees nothing of anybody's. Where that cannot be, it fails.
    #[default]
    Sandbox,
    /// As the user that runs the runner, with what that user can read, write and reach. The runner's machine has to allow it as well.
    None,
}

impl Isolation {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::None => "none",
        }
    }
}
