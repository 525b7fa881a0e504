//! What was seen of endpoints: told by a runner along with what it reads of its machine, or by the server that looks at those that are
//! registered. Either way one that does not answer is unhealthy within one look, with the reason, and so is one that answers again.

use domain::{
    EndpointId,
    endpoint::{CHECK_SECONDS, EndpointLook, Looked},
    protocol::ToRunner,
};
use tracing::warn;

use super::store;
use crate::{Engine, Result, RunnerSession};

const NOTHING_THERE: &str = "its runner finds nothing where it was";

impl Engine {
    /// Keeps what a runner has seen of the endpoint on its machine so many seconds ago, and answers what that is to pull. Nothing is pulled where there is none.
    pub(crate) async fn answer_look(&self, session: &RunnerSession, look: Option<&EndpointLook>, age: f64) -> Option<ToRunner> {
        match self.keep_look(session, look, age).await {
            Ok(()) => {}
            Err(error) => {
                warn!(runner.id = %session.id(), "What runner {} sees of its endpoint could not be kept: {error}", session.name());
                return None;
            }
        }
        look?;
        match self.wanted_of(session.id()).await {
            Ok(wanted) => Some(ToRunner::Pulls { wanted, optional: true }),
            Err(error) => {
                warn!(runner.id = %session.id(), "What runner {} is to pull could not be read: {error}", session.name());
                None
            }
        }
    }

    async fn keep_look(&self, session: &RunnerSession, look: Option<&EndpointLook>, age: f64) -> Result<()> {
        let by_hand = self.clock.by_hand();
        let mut conn = self.database.system.acquire().await?;
        let Some(look) = look else { return store::note_nothing_found(&mut conn, session, NOTHING_THERE, age, by_hand).await };
        let Some(look) = look.clone().kept() else { return Ok(()) };
        store::note_found(&mut conn, session, self.new_id(), &look, age, by_hand).await
    }

    /// The registered endpoints that it is time to look at, so many at most, each for one server alone, with where they are.
    pub async fn due_endpoints(&self, most: usize) -> Result<Vec<(EndpointId, String)>> {
        if most == 0 {
            return Ok(vec![]);
        }
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let mut conn = self.database.system.acquire().await?;
        store::take_due(&mut conn, CHECK_SECONDS, most, self.clock.by_hand()).await
    }

    /// What was seen of one of these.
    pub async fn endpoint_looked(&self, id: EndpointId, looked: Looked) -> Result<()> {
        let mut conn = self.database.system.acquire().await?;
        store::note_registered(&mut conn, id, &looked.kept(), self.clock.by_hand()).await
    }
}
