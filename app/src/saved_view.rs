//! Views: what the pages ask the server for. Each server function is one call of the engine's method of the same name.

pub mod view_form;
pub mod views_page;

use domain::{SavedView, SavedViewId};
use leptos::prelude::*;

use crate::problem::Problem;
use view_form::ViewForm;

#[server(prefix = "/_fn", endpoint = "list_views")]
pub async fn list_views() -> Result<Vec<SavedView>, Problem> {
    crate::ssr::call(async |engine, actor| engine.list_views(&actor).await).await
}

/// Saves a view and goes on to what it shows.
#[server(prefix = "/_fn", endpoint = "create_view")]
pub async fn create_view(form: ViewForm) -> Result<SavedView, Problem> {
    let new = form.to_save_view();
    let view = crate::ssr::call(async |engine, actor| engine.create_view(&actor, new).await).await?;
    leptos_axum::redirect(&view_form::path_of_view(&view));
    Ok(view)
}

/// Changes a view and goes on to what it shows.
#[server(prefix = "/_fn", endpoint = "update_view")]
pub async fn update_view(id: SavedViewId, form: ViewForm) -> Result<SavedView, Problem> {
    let new = form.to_save_view();
    let view = crate::ssr::call(async |engine, actor| engine.update_view(&actor, id, new).await).await?;
    leptos_axum::redirect(&view_form::path_of_view(&view));
    Ok(view)
}

#[server(prefix = "/_fn", endpoint = "delete_view")]
pub async fn delete_view(id: SavedViewId) -> Result<(), Problem> {
    crate::ssr::call(async |engine, actor| engine.delete_view(&actor, id).await).await?;
    leptos_axum::redirect("/views");
    Ok(())
}
