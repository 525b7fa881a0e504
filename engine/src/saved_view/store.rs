use domain::{Actor, SaveView, SavedView, SavedViewId, TaskFilter, Timestamp, saved_view};
use sqlx::{PgConnection, types::Json};

use crate::{Error, Result, error::hit_one, tx::Tx};

/// All that the actor sees, or one of them.
pub(super) async fn list(conn: &mut PgConnection, actor: &Actor, id: Option<SavedViewId>) -> Result<Vec<SavedView>> {
    let maker = actor.label();
    let rows = sqlx::query!(
        r#"select saved_view.id as "id: SavedViewId", saved_view.name, filter as "filter: Json<TaskFilter>", shared, created_by,
                  changed_at as "changed_at: Timestamp", coalesce(person.name, api_key.name || ' (API key)', created_by) as "maker!"
           from saved_view
           left join "user" person on created_by = 'user:' || person.id
           left join api_key on created_by = 'api_key:' || api_key.id
           where saved_view.workspace_id = (select current_workspace()) and (shared or created_by = $1)
             and ($2::uuid is null or saved_view.id = $2)
           order by created_by <> $1, lower(saved_view.name), saved_view.id"#,
        maker,
        id.map(|id| id.0)
    )
    .fetch_all(conn)
    .await?;
    let views = rows.into_iter().map(|row| SavedView {
        id: row.id,
        name: row.name,
        filter: row.filter.0,
        shared: row.shared,
        own: row.created_by == maker,
        changeable: saved_view::may_change(actor, &row.created_by).is_ok(),
        created_by: row.maker,
        changed_at: row.changed_at,
    });
    Ok(views.collect())
}

pub(super) async fn count_of(conn: &mut PgConnection, actor: &Actor) -> Result<i64> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from saved_view where workspace_id = (select current_workspace()) and created_by = $1"#,
        actor.label()
    )
    .fetch_one(conn)
    .await?;
    Ok(count)
}

pub(super) async fn insert(tx: &mut Tx, actor: &Actor, id: SavedViewId, new: &SaveView) -> Result<()> {
    let now = tx.now();
    sqlx::query!(
        "insert into saved_view (id, workspace_id, name, filter, shared, created_at, created_by, changed_at)
         values ($1, $2, $3, $4, $5, $6, $7, $6)",
        id.0,
        actor.workspace_id.0,
        new.name.trim(),
        Json(&new.filter) as _,
        new.shared,
        now,
        actor.label()
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Who made it, and whether it is shared.
pub(super) async fn lock(conn: &mut PgConnection, id: SavedViewId) -> Result<Option<(String, bool)>> {
    let row = sqlx::query!(
        "select created_by, shared from saved_view where workspace_id = (select current_workspace()) and id = $1 for update",
        id.0
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| (row.created_by, row.shared)))
}

pub(super) async fn update(tx: &mut Tx, id: SavedViewId, new: &SaveView) -> Result<()> {
    let now = tx.now();
    let done = sqlx::query!(
        "update saved_view set name = $2, filter = $3, shared = $4, changed_at = $5 where id = $1",
        id.0,
        new.name.trim(),
        Json(&new.filter) as _,
        new.shared,
        now
    )
    .execute(&mut **tx)
    .await?;
    hit_one(&done, || Error::not_found("view", id))
}

pub(super) async fn delete(conn: &mut PgConnection, id: SavedViewId) -> Result<()> {
    let done = sqlx::query!("delete from saved_view where id = $1", id.0).execute(conn).await?;
    hit_one(&done, || Error::not_found("view", id))
}
