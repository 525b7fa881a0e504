//! A view as a form sends it. Pure.

use domain::{SaveView, SavedView, TaskFilter};
use serde::{Deserialize, Serialize};

use crate::task::filter::{LIST, parts, path_of, read_filter};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ViewForm {
    pub name: String,
    /// Sent when its box is ticked.
    pub shared: String,
    pub state: String,
    pub text: String,
    pub tag: String,
    pub priority: String,
}

impl ViewForm {
    pub fn to_save_view(&self) -> SaveView {
        let filter = read_filter(|name| match name {
            "state" => Some(&self.state),
            "text" => Some(&self.text),
            "tag" => Some(&self.tag),
            "priority" => Some(&self.priority),
            _ => None,
        });
        SaveView { name: self.name.trim().to_owned(), filter, shared: !self.shared.is_empty() }
    }
}

/// What a form that saves these filters carries along: names and values.
pub fn carried(filter: &TaskFilter) -> Vec<(String, String)> {
    let filter = TaskFilter { cursor: None, ..filter.clone() };
    parts(&filter).into_iter().map(|(name, value)| (format!("form[{name}]"), value)).collect()
}

/// Where a view is looked at.
pub fn path_of_view(view: &SavedView) -> String {
    path_of(LIST, &view.filter, Some(view.id))
}

#[cfg(test)]
mod tests {
    use domain::{Priority, TaskStateName};

    use super::*;

    #[test]
    fn a_form_is_a_view() {
        let form = ViewForm {
            name: " Broken ".into(),
            state: "failed".into(),
            priority: "low".into(),
            shared: "on".into(),
            ..ViewForm::default()
        };
        let filter = TaskFilter { state: Some(TaskStateName::Failed), priority: Some(Priority::Low), ..TaskFilter::default() };
        assert_eq!(form.to_save_view(), SaveView { name: "Broken".into(), filter: filter.clone(), shared: true });
        let carried = carried(&TaskFilter { cursor: Some("x".into()), ..filter });
        assert_eq!(carried, [("form[state]".into(), "failed".into()), ("form[priority]".into(), "low".into())]);
    }
}
