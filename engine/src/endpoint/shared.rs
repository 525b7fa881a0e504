//! Endpoints whose disk is everybody's: those that serve every workspace, as that on the server's own machine does, and that one where a workspace
//! has registered it. What is pulled there is not for one workspace alone to say, as soon as there is another.

use domain::{Endpoint, endpoint::address::is_local};
use sqlx::PgConnection;

use crate::{Engine, Result};

/// When a workspace may have models pulled at an endpoint that serves every one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SharedPulls {
    /// As long as it is the only one.
    #[default]
    Alone,
    Allowed,
    Refused,
}

/// Whether what is pulled there is on everybody's disk: it serves every workspace, or one has registered the server's own machine by an address
/// that leads to whatever machine reads it. By which others that is reached nobody knows here.
pub(super) fn is_everybodys(endpoint: &Endpoint) -> bool {
    endpoint.is_shared || endpoint.runner_id.is_none() && is_local(&endpoint.url)
}

/// For whoever is refused it.
pub(super) fn refused(endpoint: &str) -> String {
    format!(
        "what {endpoint} pulls is on a disk that is everybody's: whoever runs the server lets workspaces pull models there, by MUSTER_SHARED_PULLS=allowed"
    )
}

impl Engine {
    /// As the settings of the server say; what is said first counts.
    pub fn set_shared_pulls(&self, when: SharedPulls) {
        let _ = self.shared_pulls.set(when);
    }

    /// Of whichever workspace; by a connection that sees them all.
    pub(super) async fn may_pull_where_all_are_served(&self, conn: &mut PgConnection) -> Result<bool> {
        match self.shared_pulls.get().copied().unwrap_or_default() {
            SharedPulls::Allowed => Ok(true),
            SharedPulls::Refused => Ok(false),
            SharedPulls::Alone => {
                let is_alone =
                    sqlx::query_scalar!(r#"select not exists (select from workspace offset 1) as "is_alone!""#).fetch_one(conn).await?;
                Ok(is_alone)
            }
        }
    }
}
