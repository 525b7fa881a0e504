//! One act on all tasks that a filter shows, or on those that were picked. The button says how many; when there are others by the
//! time it is pressed, nothing happens and the page says so.

use domain::{
    Priority, TaskFilter, TaskId,
    task::{BulkAct, BulkOutcome},
};
use leptos::{form::ActionForm, prelude::*};

use super::{ChangeTasks, filter::parts};
use crate::components::{Button, ButtonKind, Icon, toast::tell};

pub type ChangeAction = ServerAction<ChangeTasks>;

/// An act that tells how it went and has the page fetched again.
pub fn change_action(refresh: Callback<()>) -> ChangeAction {
    let action = ChangeAction::new();
    tell(action.value(), sentence, refresh);
    action
}

fn sentence(outcome: &BulkOutcome) -> String {
    let mut text = format!("{} changed", tasks(outcome.changed));
    if outcome.passed_over > 0 {
        text.push_str(&format!(", {} passed over", outcome.passed_over));
    }
    if outcome.left > 0 {
        text.push_str(&format!(", {} are left: press again", outcome.left));
    }
    text
}

fn tasks(count: i64) -> String {
    if count == 1 { "1 task".to_owned() } else { format!("{count} tasks") }
}

fn label(act: BulkAct, count: i64) -> (String, Icon) {
    let tasks = tasks(count);
    match act {
        BulkAct::Cancel => (format!("Cancel {tasks}"), Icon::Ban),
        BulkAct::Retry => (format!("Retry {tasks}"), Icon::Retry),
        BulkAct::Pause => (format!("Pause {tasks}"), Icon::Pause),
        BulkAct::Resume => (format!("Resume {tasks}"), Icon::Play),
        BulkAct::Prioritise => (format!("Make {tasks} urgent"), Icon::Fast),
        BulkAct::Discard => (format!("Discard {tasks}"), Icon::Close),
    }
}

/// A form that works without scripts: what it is about and the number it was shown with travel along.
pub fn change_form(action: ChangeAction, act: BulkAct, ids: &[TaskId], filter: &TaskFilter, count: i64) -> impl IntoView + use<> {
    let (text, shape) = label(act, count);
    let kind = if matches!(act, BulkAct::Cancel | BulkAct::Discard) { ButtonKind::Danger } else { ButtonKind::Plain };
    let filter = parts(filter).into_iter().map(|(name, value)| (format!("filter[{name}]"), value));
    let ids = ids.iter().enumerate().map(|(index, id)| (format!("ids[{index}]"), id.to_string()));
    let lane = (act == BulkAct::Prioritise).then(|| ("priority".to_owned(), Priority::Urgent.name().to_owned()));
    let fields: Vec<_> = filter.chain(ids).chain(lane).collect();
    let fields = fields.into_iter().map(|(name, value)| view! { <input type="hidden" name=name value=value /> });
    view! {
        <ActionForm action=action>
            <input type="hidden" name="act" value=act.name() />
            <input type="hidden" name="expected" value=count.to_string() />
            {fields.collect_view()}
            <Button text=text kind=kind shape=shape busy=action.pending() />
        </ActionForm>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_one_sentence() {
        let outcome = |changed, passed_over, left| BulkOutcome { matched: 0, changed, passed_over, left };
        assert_eq!(sentence(&outcome(1, 0, 0)), "1 task changed");
        assert_eq!(sentence(&outcome(1000, 3, 40)), "1000 tasks changed, 3 passed over, 40 are left: press again");
    }
}
