//! Views: a name for a set of filters, private or shared.

mod store;

use domain::{Actor, Invalid, Permission, SavedView, SavedViewId, saved_view};

use crate::{Engine, Error, Result, tx::Tx};

impl Engine {
    /// What this actor sees: its own, then those of others that are shared; each by name.
    pub async fn list_views(&self, actor: &Actor) -> Result<Vec<SavedView>> {
        actor.may(Permission::ReadTasks)?;
        let mut tx = self.begin(actor).await?;
        let views = store::list(&mut tx, actor, None).await?;
        tx.commit(views).await
    }

    pub async fn create_view(&self, actor: &Actor, new: domain::SaveView) -> Result<SavedView> {
        actor.may(new.permission())?;
        new.validate()?;
        let mut tx = self.begin(actor).await?;
        let id = SavedViewId(self.new_id());
        if store::count_of(&mut tx, actor).await? >= saved_view::VIEWS_MAX {
            let most = saved_view::VIEWS_MAX;
            return Err(Error::Conflict(format!("you have {most} views, which is the most; delete one you no longer use")));
        }
        store::insert(&mut tx, actor, id, &new).await.map_err(taken)?;
        let view = find(&mut tx, actor, id).await?;
        tx.answer(actor, view).await
    }

    /// Another name, other filters, another audience.
    pub async fn update_view(&self, actor: &Actor, id: SavedViewId, new: domain::SaveView) -> Result<SavedView> {
        actor.may(new.permission())?;
        new.validate()?;
        let mut tx = self.begin(actor).await?;
        let maker = maker(&mut tx, actor, id).await?;
        if !new.shared && maker != actor.label() {
            return Err(Invalid::field("/shared", "not_own", "a view of somebody else stays shared; delete it, or leave it shared").into());
        }
        store::update(&mut tx, id, &new).await.map_err(taken)?;
        let view = find(&mut tx, actor, id).await?;
        tx.answer(actor, view).await
    }

    pub async fn delete_view(&self, actor: &Actor, id: SavedViewId) -> Result<()> {
        let mut tx = self.begin(actor).await?;
        maker(&mut tx, actor, id).await?;
        store::delete(&mut tx, id).await?;
        tx.commit(()).await
    }
}

/// Who made a view that this actor is about to change, with its row locked. One that the actor does not see is not there.
async fn maker(tx: &mut Tx, actor: &Actor, id: SavedViewId) -> Result<String> {
    let (maker, shared) = store::lock(tx, id).await?.ok_or_else(|| Error::not_found("view", id))?;
    if !saved_view::may_see(actor, &maker, shared) {
        return Err(Error::not_found("view", id));
    }
    saved_view::may_change(actor, &maker)?;
    Ok(maker)
}

async fn find(tx: &mut Tx, actor: &Actor, id: SavedViewId) -> Result<SavedView> {
    store::list(tx, actor, Some(id)).await?.pop().ok_or_else(|| Error::not_found("view", id))
}

/// The name belongs to another view that this one would stand beside.
fn taken(error: Error) -> Error {
    match &error {
        Error::Database(sqlx::Error::Database(inner)) if inner.is_unique_violation() => {
            Invalid::field("/name", "taken", "is taken by another view; choose another one").into()
        }
        _ => error,
    }
}
