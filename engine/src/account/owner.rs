//! The first owner: made from a one-time link that the first start prints, or by a command on the server's own machine.

use chrono::TimeDelta;
use domain::{Role, User, UserId, WorkspaceId, account::NewOwner};
use sha2::{Digest, Sha256};

use super::store;
use crate::{Engine, Error, Result};

/// How long a set-up link works.
const SETUP_LINK_LASTS: TimeDelta = TimeDelta::hours(24);

/// Proof that whoever sets up the first owner may: the link's token, or being on the server's machine.
pub enum SetupRight<'a> {
    Link(&'a str),
    Machine,
}

impl Engine {
    /// Whether there is nobody yet who could sign in.
    pub async fn needs_owner(&self) -> Result<bool> {
        let mut conn = self.database.system.acquire().await?;
        Ok(!store::owner_exists(&mut conn).await?)
    }

    /// A new token for the set-up link, which replaces every older one; nothing once there is an owner.
    pub async fn setup_token(&self) -> Result<Option<String>> {
        let mut tx = self.begin_system(None).await?;
        if store::lock_owner_exists(&mut tx).await? {
            return Ok(None);
        }
        let token = super::api_key::random_text(40);
        let expires_at = tx.now() + SETUP_LINK_LASTS;
        store::replace_setup_token(&mut tx, &Sha256::digest(&token), expires_at).await?;
        tx.commit(Some(token)).await
    }

    /// Makes the first owner and the first workspace with the token of the set-up link, which works once.
    pub async fn create_owner(&self, token: &str, new: NewOwner) -> Result<UserId> {
        self.make_owner(SetupRight::Link(token), new).await
    }

    /// As [`create_owner`](Self::create_owner), for a command that runs on the server's machine.
    pub async fn create_owner_here(&self, new: NewOwner) -> Result<UserId> {
        self.make_owner(SetupRight::Machine, new).await
    }

    async fn make_owner(&self, right: SetupRight<'_>, new: NewOwner) -> Result<UserId> {
        new.validate()?;
        let password_hash = self.passwords.hash(&new.password).await?;
        let mut tx = self.begin_system(None).await?;
        if store::lock_owner_exists(&mut tx).await? {
            return Err(Error::Conflict("Muster has an owner already; sign in instead".into()));
        }
        let now = tx.now();
        if let SetupRight::Link(token) = right
            && !store::use_setup_token(&mut tx, &Sha256::digest(token), now).await?
        {
            return Err(Error::Unauthorized("this set-up link is not valid any more; start Muster again to get a new one"));
        }
        let workspace = match store::first_workspace(&mut tx).await? {
            Some(id) => id,
            None => self.insert_first_workspace(&mut tx).await?,
        };
        let user = User { id: UserId(self.new_id()), name: new.name.trim().into(), email: new.email.trim().into(), created_at: now };
        store::insert_user(&mut tx, &user, &password_hash).await?;
        store::insert_member(&mut tx, workspace, user.id, Role::Owner, now).await?;
        tx.commit(user.id).await
    }

    /// The workspace that everything starts in.
    pub(super) async fn insert_first_workspace(&self, tx: &mut crate::tx::Tx) -> Result<WorkspaceId> {
        let (id, now) = (WorkspaceId(self.new_id()), tx.now());
        store::insert_workspace(tx, id, "main", "Main", now).await?;
        Ok(id)
    }
}
