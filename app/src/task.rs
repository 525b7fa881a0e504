//! Tasks: what the pages ask the server for. Each server function is one call of the engine's method of the same name.

pub mod agents;
pub mod bulk;
pub mod change_page;
pub mod dead_page;
pub mod detail;
pub mod detail_page;
pub mod edit_form;
pub mod edit_page;
pub mod filter;
pub mod filter_bar;
pub mod form;
pub mod handed;
pub mod list_page;
pub mod new_checks;
pub mod new_more;
pub mod new_page;
pub mod row;
pub mod state_badge;
mod terms_fields;

use domain::{
    Event, Land, Page, Priority, TaskFilter, TaskId, TaskSummary, TaskView,
    session::{OnItsWay, SessionPart},
    task::{BulkAct, BulkOutcome},
};
use leptos::prelude::*;

use crate::{components::log_view::LogStart, problem::Problem};
use detail::diff::DiffText;
use edit_form::EditForm;
use form::TaskForm;

#[server(prefix = "/_fn", endpoint = "list_tasks")]
pub async fn list_tasks(#[server(default)] filter: TaskFilter) -> Result<Page<TaskSummary>, Problem> {
    crate::ssr::call(async |engine, actor| engine.list_tasks(&actor, filter).await).await
}

#[server(prefix = "/_fn", endpoint = "get_task")]
pub async fn get_task(id: TaskId) -> Result<TaskView, Problem> {
    crate::ssr::call(async |engine, actor| engine.get_task(&actor, id).await).await
}

/// The task of a page, by what stands in its address. When there is none, the answer's status says so as well.
#[server(prefix = "/_fn", endpoint = "find_task")]
pub async fn find_task(id: String) -> Result<TaskView, Problem> {
    match id.parse() {
        Ok(id) => get_task(id).await,
        Err(_) => Err(Problem::not_found("There is no task of that id.")),
    }
    .inspect_err(crate::ssr::answer_with_status)
}

/// Creates what the form describes and goes on to its page.
#[server(prefix = "/_fn", endpoint = "create_task")]
pub async fn create_task(#[server(default)] form: TaskForm) -> Result<TaskView, Problem> {
    let created = async {
        let new = form.to_new_task()?;
        crate::ssr::call(async |engine, actor| engine.create_task(&actor, new).await).await.map_err(|problem| form.locate(problem))
    };
    match created.await {
        Ok(task) => {
            leptos_axum::redirect(&format!("/tasks/{}", task.summary.id));
            Ok(task)
        }
        Err(problem) => {
            // Without scripts what was typed comes back with the answer.
            crate::ssr::go_back(form.back_path(&problem));
            Err(problem)
        }
    }
}

/// Changes what the form says, on the version that it was opened with, and goes back to the task's page.
#[server(prefix = "/_fn", endpoint = "edit_task")]
pub async fn edit_task(#[server(default)] form: EditForm) -> Result<TaskView, Problem> {
    let edited = async {
        let (id, change) = form.to_change()?;
        let if_match = Some(domain::IfMatch::Versions(vec![form.version()]));
        crate::ssr::call(async |engine, actor| engine.edit_task(&domain::Actor { if_match, ..actor }, id, change).await)
            .await
            .map_err(edit_form::locate)
    };
    match edited.await {
        Ok(task) => {
            leptos_axum::redirect(&format!("/tasks/{}", task.summary.id));
            Ok(task)
        }
        Err(problem) => {
            let now = match (problem.status, form.id.parse()) {
                (412, Ok(id)) => get_task(id).await.ok(),
                _ => None,
            };
            let form = now.map_or_else(|| form.clone(), |task| form.clone().onto(&task));
            crate::ssr::go_back(form.back_path(&problem));
            Err(problem)
        }
    }
}

#[server(prefix = "/_fn", endpoint = "cancel_task")]
pub async fn cancel_task(id: TaskId) -> Result<TaskView, Problem> {
    crate::ssr::call(async |engine, actor| engine.cancel_task(&actor, id).await).await
}

#[server(prefix = "/_fn", endpoint = "retry_task")]
pub async fn retry_task(id: TaskId) -> Result<TaskView, Problem> {
    crate::ssr::call(async |engine, actor| engine.retry_task(&actor, id).await).await
}

#[server(prefix = "/_fn", endpoint = "land_task")]
pub async fn land_task(id: TaskId, how: Land) -> Result<TaskView, Problem> {
    crate::ssr::call(async |engine, actor| engine.land_task(&actor, id, domain::LandTask { how }).await).await
}

#[server(prefix = "/_fn", endpoint = "pause_task")]
pub async fn pause_task(id: TaskId) -> Result<TaskView, Problem> {
    crate::ssr::call(async |engine, actor| engine.pause_task(&actor, id).await).await
}

#[server(prefix = "/_fn", endpoint = "resume_task")]
pub async fn resume_task(id: TaskId) -> Result<TaskView, Problem> {
    crate::ssr::call(async |engine, actor| engine.resume_task(&actor, id).await).await
}

#[server(prefix = "/_fn", endpoint = "discard_task")]
pub async fn discard_task(id: TaskId) -> Result<TaskView, Problem> {
    crate::ssr::call(async |engine, actor| engine.discard_task(&actor, id).await).await
}

/// These tasks, or those like that when none is named.
#[server(prefix = "/_fn", endpoint = "tasks_to_change")]
pub async fn tasks_to_change(
    #[server(default)] ids: Vec<TaskId>,
    #[server(default)] filter: TaskFilter,
) -> Result<Page<TaskSummary>, Problem> {
    match ids.is_empty() {
        true => list_tasks(filter).await,
        false => crate::ssr::call(async |engine, actor| engine.pick_tasks(&actor, &ids).await).await,
    }
}

/// One act on these tasks, or on every task like that when none is named, when they are as many as expected.
#[server(prefix = "/_fn", endpoint = "change_tasks")]
pub async fn change_tasks(
    act: BulkAct,
    expected: i64,
    #[server(default)] priority: Option<Priority>,
    #[server(default)] ids: Vec<TaskId>,
    #[server(default)] filter: TaskFilter,
) -> Result<BulkOutcome, Problem> {
    let filter = ids.is_empty().then_some(filter);
    let bulk = domain::task::BulkTasks { act, priority, ids, filter, preview: false, expected: Some(expected) };
    crate::ssr::call(async |engine, actor| engine.change_tasks(&actor, bulk).await).await
}

/// How many of these tasks, or of those like that when none is named, each act is about.
#[server(prefix = "/_fn", endpoint = "count_changes")]
pub async fn count_changes(
    #[server(default)] ids: Vec<TaskId>,
    #[server(default)] filter: TaskFilter,
) -> Result<Vec<(BulkAct, i64)>, Problem> {
    crate::ssr::call(async |engine, actor| engine.count_changes(&actor, ids, filter).await).await
}

#[server(prefix = "/_fn", endpoint = "task_events")]
pub async fn task_events(id: TaskId) -> Result<Vec<Event>, Problem> {
    crate::ssr::call(async |engine, actor| engine.task_events(&actor, id).await).await
}

/// The log from a byte on, rendered as far as it goes. Asked for by the server itself; a browser reads the stream.
#[server(prefix = "/_fn", endpoint = "task_log")]
pub async fn task_log(id: TaskId, from: i64) -> Result<LogStart, Problem> {
    crate::ssr::call(async |engine, actor| engine.task_log(&actor, id, from).await).await.map(|chunks| detail::log::start(from, &chunks))
}

/// What an attempt changed in each repository, cut where it gets too long for a page.
#[server(prefix = "/_fn", endpoint = "task_diffs")]
pub async fn task_diffs(id: TaskId, attempt: i32) -> Result<Vec<DiffText>, Problem> {
    crate::ssr::call(async |engine, actor| engine.task_diffs(&actor, id, attempt).await).await.map(DiffText::all)
}

/// What an agent said and did in an attempt, after the event of that number.
#[server(prefix = "/_fn", endpoint = "task_session")]
pub async fn task_session(id: TaskId, attempt: i32, after: i64) -> Result<SessionPart, Problem> {
    crate::ssr::call(async |engine, actor| engine.session(&actor, id, Some(attempt), after).await).await
}

/// Tells the agent of a task something while it is at work.
#[server(prefix = "/_fn", endpoint = "tell_agent")]
pub async fn tell_agent(id: TaskId, text: String, #[server(default)] interrupt: bool) -> Result<OnItsWay, Problem> {
    let tell = domain::session::TellAgent { text: text.replace("\r\n", "\n"), interrupt };
    let told = crate::ssr::call(async |engine, actor| engine.tell_agent(&actor, id, tell).await).await;
    if let Err(problem) = &told {
        let path = <TellAgent as server_fn::ServerFn>::PATH;
        // Without scripts what was typed comes back with the answer.
        crate::ssr::go_back(crate::draft::back_path(&format!("/tasks/{id}"), &text, path, problem));
    }
    told
}
