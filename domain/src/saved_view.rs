//! A name for a set of filters of the task list and the board: its maker's alone, or shared with the workspace.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Actor, Forbidden, Permission, SavedViewId, TaskFilter, error::Errors, error::Invalid};

/// Characters of a name.
pub const NAME_LIMIT: u32 = 60;
/// Views that one person or key may have.
pub const VIEWS_MAX: i64 = 100;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SavedView {
    pub id: SavedViewId,
    pub name: String,
    /// What is looked for; without a place in the list.
    pub filter: TaskFilter,
    /// Whether everybody in the workspace sees it.
    pub shared: bool,
    /// The person's or key's name.
    pub created_by: String,
    /// Whether whoever asks made it.
    pub own: bool,
    /// Whether whoever asks may change and delete it.
    pub changeable: bool,
    pub changed_at: DateTime<Utc>,
}

/// A view as it is saved, and saved again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SaveView {
    pub name: String,
    #[serde(default)]
    pub filter: TaskFilter,
    /// Let everybody in the workspace see it.
    #[serde(default)]
    pub shared: bool,
}

impl SaveView {
    pub fn validate(&self) -> Result<(), Invalid> {
        let mut errors = Errors::default();
        errors.required_text("/name", self.name.trim(), NAME_LIMIT as usize);
        if let Err(invalid) = self.filter.validate() {
            errors.add_all(invalid.below("/filter"));
        }
        if self.filter.cursor.is_some() || self.filter.limit.is_some() {
            errors.add("/filter", "unexpected", "a place and a limit are for lists");
        }
        errors.finish()
    }

    /// Anybody who reads tasks may keep views of their own; what all see takes the permission to change tasks.
    pub fn permission(&self) -> Permission {
        if self.shared { Permission::ChangeTasks } else { Permission::ReadTasks }
    }
}

/// Whether somebody sees a view that `maker` made.
pub fn may_see(actor: &Actor, maker: &str, shared: bool) -> bool {
    shared || actor.label() == maker
}

/// Whether somebody who sees a view may change or delete it: its maker may, and whoever manages the views of others.
pub fn may_change(actor: &Actor, maker: &str) -> Result<(), Forbidden> {
    if actor.label() == maker { actor.may(Permission::ReadTasks) } else { actor.may(Permission::ManageViews) }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{ActorKind, Role, UserId, WorkspaceId};

    fn somebody(number: u128, role: Role) -> Actor {
        Actor::new(WorkspaceId(Uuid::nil()), ActorKind::User { id: UserId(Uuid::from_u128(number)), role })
    }

    #[test]
    fn a_private_view_is_its_makers_alone() {
        let (ada, bob) = (somebody(1, Role::Viewer), somebody(2, Role::Owner));
        assert!(may_see(&ada, &ada.label(), false) && !may_see(&bob, &ada.label(), false), "not even an owner sees it");
        assert!(may_see(&bob, &ada.label(), true));
    }

    #[test]
    fn a_view_is_changed_by_its_maker_or_an_admin() {
        let maker = somebody(1, Role::Member);
        let others = Role::ALL.map(|role| (role, may_change(&somebody(2, role), &maker.label()).is_ok()));
        assert_eq!(others, [(Role::Owner, true), (Role::Admin, true), (Role::Member, false), (Role::Viewer, false)]);
        assert!(may_change(&maker, &maker.label()).is_ok());
    }

    #[test]
    fn a_view_has_a_name_and_no_place() {
        let pointers = |view: SaveView| {
            let errors = view.validate().err().map(|invalid| invalid.errors).unwrap_or_default();
            errors.into_iter().map(|error| format!("{} {}", error.pointer, error.code)).collect::<Vec<_>>()
        };
        let good = SaveView { name: "Broken".into(), filter: TaskFilter::default(), shared: false };
        assert_eq!(pointers(good.clone()), Vec::<String>::new());
        assert_eq!(pointers(SaveView { name: "  ".into(), ..good.clone() }), ["/name required"]);
        assert_eq!(pointers(SaveView { name: "x".repeat(61), ..good.clone() }), ["/name too_long"]);
        let place = TaskFilter { cursor: Some("x".into()), tag: Some("No tag".into()), ..TaskFilter::default() };
        assert_eq!(pointers(SaveView { filter: place, ..good }), ["/filter/tag malformed", "/filter unexpected"]);
    }
}
