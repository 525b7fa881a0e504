//! How a machine becomes a runner and stops being one: a token that works once, for an hour, and a key pair of which the server sees the
//! public half alone.

use std::sync::Arc;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::TimeDelta;
use domain::{
    Actor, ActorKind, Invalid, Permission, Runner, RunnerId, Sandboxes,
    error::Errors,
    protocol::Hello,
    runner::{JoinRunner, JoinedRunner, NewRunnerToken, RunnerFilter, link_proof},
};
use sha2::{Digest, Sha256};

use super::{RunnerSession, Taker, check, store};
use crate::{Engine, Error, Result, account::random_text, endpoint::cancel_pulls_of};

const KIND: &str = "mst_join_";
const SECRET_LENGTH: usize = 40;
/// How long a token works.
const TOKEN_LASTS: TimeDelta = TimeDelta::hours(1);
const NOT_KNOWN: &str = "this token has been used, has expired or never was; make another one";
const NOT_PROVEN: &str = "this runner is not known here: it was removed, or has not joined this server";

impl Engine {
    /// At most [`RUNNERS_LISTED`](domain::runner::RUNNERS_LISTED), by name.
    pub async fn list_runners(&self, actor: &Actor, filter: RunnerFilter) -> Result<Vec<Runner>> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        let now = tx.now();
        let after = match filter.after {
            Some(id) => Some((store::name(&mut tx, id).await?.ok_or_else(|| Invalid::field("/after", "not_found", "is no runner"))?, id)),
            None => None,
        };
        let runners = store::list_after(&mut tx, now, None, after.as_ref().map(|(name, id)| (name.as_str(), *id))).await?;
        tx.commit(runners).await
    }

    /// A token with which one machine may join the workspace. It is shown this once.
    pub async fn create_runner_token(&self, actor: &Actor) -> Result<NewRunnerToken> {
        actor.may(Permission::ManageRunners)?;
        let token = format!("{KIND}{}", random_text(SECRET_LENGTH));
        let mut tx = self.begin(actor).await?;
        let expires_at = tx.now() + TOKEN_LASTS;
        store::insert_token(&mut tx, self.new_id(), actor, &hash(&token), expires_at).await?;
        tx.commit(NewRunnerToken { token, expires_at }).await
    }

    /// Takes a machine in. The same token with the same key is the same runner: the answer to it may have been lost.
    pub async fn join_runner(&self, join: JoinRunner) -> Result<JoinedRunner> {
        let mut errors = Errors::default();
        let public_key = public_key(&mut errors, &join.public_key);
        if let Some(name) = &join.name {
            errors.required_text("/name", name, 100);
        }
        errors.finish()?;
        let mut tx = self.begin_system(None).await?;
        let token = store::lock_token(&mut tx, &hash(join.token.trim())).await?.ok_or(Error::Unauthorized(NOT_KNOWN))?;
        if let Some(runner) = token.runner_id {
            let joined = store::joined(&mut tx, runner, &public_key).await?.ok_or(Error::Unauthorized(NOT_KNOWN))?;
            return tx.commit(joined).await;
        }
        // The answer to it may have been lost, and the machine come with another token.
        if let Some(known) = store::with_key(&mut tx, &public_key).await? {
            if known.workspace_id != token.workspace_id {
                return Err(Invalid::field("/public_key", "taken", "is the key of a runner of another workspace; make another one").into());
            }
            store::use_token(&mut tx, &token, known.id).await?;
            let joined = store::joined(&mut tx, known.id, &public_key).await?.ok_or(Error::Unauthorized(NOT_KNOWN))?;
            return tx.commit(joined).await;
        }
        let name = join.name.as_deref().map(str::trim);
        let joined = store::insert_joined(&mut tx, RunnerId(self.new_id()), &token, name, &public_key, join.paths).await?;
        tx.commit(joined).await
    }

    /// A machine that has joined with this token, for as long as the token lasts.
    pub(crate) async fn actor_of_join_token(&self, token: &str) -> Result<Option<Actor>> {
        let mut conn = self.database.system.acquire().await?;
        let found = store::runner_of_token(&mut conn, &hash(token), self.clock.by_hand()).await?;
        Ok(found.map(|(workspace, id)| Actor::new(workspace, ActorKind::Runner { id })))
    }

    /// Its key is dead from now on, and what it holds goes back into the queue. A link to another server ends with its next heartbeat.
    pub async fn remove_runner(&self, actor: &Actor, id: RunnerId) -> Result<()> {
        actor.may(Permission::ManageRunners)?;
        let mut tx = self.begin(actor).await?;
        store::remove(&mut tx, id).await?;
        cancel_pulls_of(&mut tx, id).await?;
        tx.commit(()).await?;
        self.hub.remove(id);
        self.take_back_from(id).await.map(drop)
    }

    /// As [`remove_runner`](Self::remove_runner), by the runner itself, over its link.
    pub(super) async fn runner_leaves(&self, session: &RunnerSession) -> Result<()> {
        let mut tx = self.begin_system(Some(session.label())).await?;
        store::leave(&mut tx, session).await?;
        cancel_pulls_of(&mut tx, session.id()).await?;
        tx.commit(()).await?;
        self.take_back_from(session.id()).await.map(drop)
    }

    /// The runner that has the key, over the link with this ticket, and has this for tasks that need it. Its name is the one that it was given
    /// when it joined.
    pub(super) async fn prove_runner(&self, ticket: i64, nonce: &str, hello: &Hello, capabilities: &[String]) -> Result<RunnerSession> {
        check(&hello.name, hello.slots, capabilities)?;
        let mut tx = self.begin_system(None).await?;
        let known = store::lock_joined(&mut tx, hello.runner_id).await?;
        let known = known.filter(|known| is_proof(&known.public_key, nonce, hello)).ok_or(Error::Unauthorized(NOT_PROVEN))?;
        if known.ticket > ticket {
            return Err(Error::Conflict(format!("runner {} has opened a newer link than this one", known.name)));
        }
        store::arrive(&mut tx, ticket, hello, capabilities).await?;
        let (workspace, capabilities) = (Some(known.workspace_id), capabilities.to_vec());
        let taker = Taker { workspace, paths: known.paths, capabilities, sandboxes: Sandboxes::Made };
        let Hello { runner_id: id, slots, version, takes_slots, .. } = *hello;
        tx.commit(RunnerSession { id, ticket, name: known.name, slots, taker, version, takes_slots, agents: Arc::default() }).await
    }
}

/// Whether this is a token with which a machine joins.
pub(crate) fn is_join_token(text: &str) -> bool {
    text.starts_with(KIND)
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

fn public_key(errors: &mut Errors, text: &str) -> Vec<u8> {
    match BASE64_STANDARD.decode(text) {
        Ok(key) if key.len() == 32 => key,
        _ => {
            errors.add("/public_key", "malformed", "must be an Ed25519 public key: 32 bytes as base64");
            vec![]
        }
    }
}

/// Whether whoever says hello has the key, and signed for this link.
fn is_proof(public_key: &[u8], nonce: &str, hello: &Hello) -> bool {
    let Ok(signature) = BASE64_STANDARD.decode(&hello.proof) else { return false };
    UnparsedPublicKey::new(&ED25519, public_key).verify(link_proof(nonce, hello.runner_id).as_bytes(), &signature).is_ok()
}
