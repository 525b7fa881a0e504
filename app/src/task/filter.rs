//! Which tasks are looked for, in the address: so that every view has a link. Pure.

use domain::{Priority, SavedViewId, TaskFilter, TaskStateName};

use super::state_badge::state_label;
use crate::text::{capitalised, query_value};

pub const LIST: &str = "/tasks";
pub const BOARD: &str = "/board";

/// What an address asks for. What makes no sense is passed over.
pub fn read_filter<T: AsRef<str>>(query: impl Fn(&'static str) -> Option<T>) -> TaskFilter {
    let text = |name| query(name).map(|value| value.as_ref().trim().to_owned()).filter(|value| !value.is_empty());
    TaskFilter {
        state: text("state").and_then(|name| TaskStateName::parse(&name)),
        text: text("text"),
        tag: text("tag"),
        priority: text("priority").and_then(|name| Priority::parse(&name)),
        cursor: text("cursor"),
        limit: None,
    }
}

/// What a filter is in an address and in a form: names and values.
pub fn parts(filter: &TaskFilter) -> Vec<(&'static str, String)> {
    let parts = [
        ("state", filter.state.map(|state| state.name().to_owned())),
        ("text", filter.text.clone()),
        ("tag", filter.tag.clone()),
        ("priority", filter.priority.map(|priority| priority.name().to_owned())),
        ("cursor", filter.cursor.clone()),
    ];
    parts.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect()
}

/// The address of a filter on a page, and the view that it began from.
pub fn path_of(page: &str, filter: &TaskFilter, view: Option<SavedViewId>) -> String {
    let view = view.map(|id| ("view", id.to_string()));
    let query: Vec<String> = parts(filter).into_iter().chain(view).map(|(name, value)| format!("{name}={}", query_value(&value))).collect();
    if query.is_empty() { page.to_owned() } else { format!("{page}?{}", query.join("&")) }
}

/// The address of a filter in the list.
pub fn list_path(filter: &TaskFilter) -> String {
    path_of(LIST, filter, None)
}

/// The same tasks, from the first one on.
pub fn without_place(filter: &TaskFilter) -> TaskFilter {
    TaskFilter { cursor: None, limit: None, ..filter.clone() }
}

/// Whether it leaves anything out.
pub fn is_narrow(filter: &TaskFilter) -> bool {
    without_place(filter) != TaskFilter::default()
}

/// What a filter looks for besides a state and a text, which have places of their own: how that reads, and the filter without it.
pub fn extras(filter: &TaskFilter) -> Vec<(String, TaskFilter)> {
    let rest = without_place(filter);
    let tag = filter.tag.as_ref().map(|tag| (format!("Tag {tag}"), TaskFilter { tag: None, ..rest.clone() }));
    let lane = filter.priority.map(|lane| (format!("Lane {}", lane.name()), TaskFilter { priority: None, ..rest.clone() }));
    tag.into_iter().chain(lane).collect()
}

/// How a filter reads: "Failed, with “login” in the title, tag nightly".
pub fn sentence(filter: &TaskFilter) -> String {
    let state = filter.state.map(|state| state_label(state).to_owned());
    let text = filter.text.as_ref().map(|text| format!("with “{text}” in the title"));
    let tag = filter.tag.as_ref().map(|tag| format!("tag {tag}"));
    let lane = filter.priority.map(|lane| format!("lane {}", lane.name()));
    let words: Vec<_> = [state, text, tag, lane].into_iter().flatten().collect();
    if words.is_empty() { "All tasks".to_owned() } else { capitalised(&words.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> TaskFilter {
        TaskFilter {
            state: Some(TaskStateName::Failed),
            text: Some("a & b".into()),
            tag: Some("team/web".into()),
            priority: Some(Priority::Low),
            cursor: Some("x=".into()),
            limit: None,
        }
    }

    #[test]
    fn a_filter_and_its_address_are_the_same() {
        assert_eq!(list_path(&everything()), "/tasks?state=failed&text=a%20%26%20b&tag=team%2Fweb&priority=low&cursor=x%3D");
        assert_eq!(list_path(&TaskFilter::default()), "/tasks");
        let read = read_filter(|name| match name {
            "state" => Some("failed"),
            "text" => Some(" a & b "),
            "tag" => Some("team/web"),
            "priority" => Some("low"),
            "cursor" => Some("x="),
            _ => None,
        });
        assert_eq!(read, everything());
        let view = "00000000-0000-0000-0000-000000000000".parse::<SavedViewId>().ok();
        assert_eq!(path_of(BOARD, &TaskFilter::default(), view), "/board?view=00000000-0000-0000-0000-000000000000");
    }

    #[test]
    fn an_address_that_makes_no_sense_shows_everything() {
        let read = read_filter(|name| ["state", "priority"].contains(&name).then_some("sleeping"));
        assert_eq!(read, TaskFilter::default());
        assert!(!is_narrow(&read) && is_narrow(&everything()));
        assert!(!is_narrow(&TaskFilter { cursor: Some("x".into()), ..TaskFilter::default() }), "a place leaves nothing out");
    }

    #[test]
    fn a_filter_reads_as_a_sentence() {
        assert_eq!(sentence(&TaskFilter::default()), "All tasks");
        assert_eq!(sentence(&everything()), "Failed, with “a & b” in the title, tag team/web, lane low");
        assert_eq!(sentence(&TaskFilter { tag: Some("x".into()), ..TaskFilter::default() }), "Tag x");
        let extras: Vec<_> = extras(&everything()).into_iter().map(|(text, rest)| (text, list_path(&rest))).collect();
        assert_eq!(extras[0], ("Tag team/web".into(), "/tasks?state=failed&text=a%20%26%20b&priority=low".into()));
        assert_eq!(extras[1], ("Lane low".into(), "/tasks?state=failed&text=a%20%26%20b&tag=team%2Fweb".into()));
    }
}
