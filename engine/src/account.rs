//! Who is there: the first owner, signing in, sessions, API keys. What a request may do is decided from what is stored here at
//! that moment; nothing is cached, so a removal holds from the next request on.

mod api_key;
mod auto_pull;
mod isolation;
mod owner;
mod password;
mod session;
mod store;

use domain::{Actor, ActorKind, Forbidden, Identity, Permission, UserId};

pub use api_key::ApiKeySecret;
pub(crate) use api_key::{KeyLookUps, random_text};
pub(crate) use isolation::Isolations;
pub(crate) use password::Passwords;
pub use session::SessionRow;
pub(crate) use store::role_of;

use crate::{Engine, Error, Result};

impl Engine {
    /// The person whose e-mail address and password these are. One answer, after the same work, for all that is wrong.
    pub async fn sign_in(&self, email: &str, password: &str) -> Result<UserId> {
        const REFUSED: Error = Error::Unauthorized("the e-mail address or the password is wrong");
        if password.len() > domain::account::PASSWORD_MAX_BYTES {
            return Err(REFUSED);
        }
        let mut conn = self.database.system.acquire().await?;
        let found = store::password_of(&mut conn, email.trim()).await?;
        drop(conn);
        let (user, hash) = found.map_or((None, None), |(user, hash)| (Some(user), Some(hash)));
        let right = self.passwords.verify(password, hash).await?;
        user.filter(|_| right).ok_or(REFUSED)
    }

    /// What a signed-in person is in the workspace they work in, or nothing when they are in none any more.
    pub async fn actor_of_user(&self, user: UserId) -> Result<Option<Actor>> {
        let mut conn = self.database.system.acquire().await?;
        let member = store::first_membership(&mut conn, user).await?;
        Ok(member.map(|(workspace_id, role)| Actor::new(workspace_id, ActorKind::User { id: user, role })))
    }

    /// Who is asking, for the frame of the pages.
    pub async fn identity(&self, actor: &Actor) -> Result<Identity> {
        let role = match actor.kind {
            ActorKind::User { role, .. } | ActorKind::ApiKey { role, .. } => role,
            ActorKind::Runner { .. } => return Err(Forbidden(Permission::ReadTasks).into()),
        };
        let mut tx = self.begin(actor).await?;
        let workspace =
            store::workspace(&mut tx, actor.workspace_id).await?.ok_or_else(|| Error::not_found("workspace", actor.workspace_id))?;
        let user = match &actor.kind {
            ActorKind::User { id, .. } => store::user(&mut tx, *id).await?,
            ActorKind::ApiKey { .. } | ActorKind::Runner { .. } => None,
        };
        tx.commit(Identity { workspace, user, role }).await
    }
}
