//! The skeleton of a page's content: loading, then the content, or what went wrong; and the way to the sign-in page for those who
//! are not signed in.

use leptos::prelude::*;
use leptos_router::{components::Redirect, hooks::use_location};

use crate::{
    account::sign_in_path,
    components::{ErrorView, Loading},
    not_found::NotHere,
    page_json::{Asked, Fetched},
    problem::Problem,
};

#[derive(Clone, PartialEq)]
enum Stage {
    Pending,
    Ready,
    Failed(Problem),
}

/// Shows `content` of what was fetched. The content is made once and given a signal, so that fetching again changes only what
/// changed and nothing in it loses its state. When fetching again fails for a passing reason, what is there stays.
pub fn fetched<T, V>(resource: Fetched<T>, lines: usize, content: impl Fn(Signal<T>) -> V + Clone + Send + Sync + 'static) -> impl IntoView
where
    T: Clone + PartialEq + Send + Sync + 'static,
    V: IntoView + 'static,
{
    view! {
        <Transition fallback=move || view! { <Loading lines=lines /> }>
            {
                let content = content.clone();
                inner(resource, move |value| content(value).into_any())
            }
        </Transition>
    }
}

fn inner<T: Clone + PartialEq + Send + Sync + 'static>(
    resource: Fetched<T>,
    content: impl Fn(Signal<T>) -> AnyView + Send + Sync + 'static,
) -> impl IntoView {
    let stage = Memo::new(move |previous: Option<&Stage>| {
        resource.with(|result| match result {
            None => Stage::Pending,
            Some(Ok(_)) => Stage::Ready,
            Some(Err(problem)) if previous == Some(&Stage::Ready) && is_passing(problem) => Stage::Ready,
            Some(Err(problem)) => Stage::Failed(problem.clone()),
        })
    });
    let asked = is_server().then(Asked::default);
    move || match stage.get() {
        Stage::Pending => ().into_any(),
        Stage::Failed(problem) => problem_view(&problem).into_any(),
        Stage::Ready => {
            // Below a `Transition` even an untracked read of a resource tracks it, and would make the content anew at every fetch.
            let Some(Ok(first)) = untrack(|| resource.get_untracked()) else { return ().into_any() };
            let value = Memo::new(move |previous: Option<&T>| {
                resource.with(|result| match (result, previous) {
                    (Some(Ok(value)), _) => value.clone(),
                    (_, Some(previous)) => previous.clone(),
                    _ => first.clone(),
                })
            });
            if let Some(asked) = &asked {
                asked.provide_from_the_start();
            }
            content(value.into())
        }
    }
}

/// A server that restarts or a network that is away is no reason to take the page from its reader.
fn is_passing(problem: &Problem) -> bool {
    matches!(problem.status, 0 | 429 | 500..)
}

/// Lets the status of the server's answer say what its page says.
#[derive(Clone, Copy)]
pub struct SetStatus(pub fn(&Problem));

/// A problem as a page shows it; for those who are not signed in, the way to do so and back.
pub fn problem_view(problem: &Problem) -> impl IntoView + use<> {
    let here = here();
    if let (true, Some(SetStatus(set))) = (is_passing(problem), use_context()) {
        set(problem);
    }
    if problem.status == 401 {
        return view! { <Redirect path=sign_in_path(&here) /> }.into_any();
    }
    if problem.status == 404 {
        return view! { <NotHere detail=problem.detail.clone() /> }.into_any();
    }
    let retry = is_passing(problem).then_some(here);
    view! { <ErrorView title=problem.title.clone() detail=problem.detail.clone() reference=problem.instance.clone() retry=retry /> }
        .into_any()
}

/// The address of this page, as it is written in links.
pub fn here() -> String {
    let location = use_location();
    format!("{}{}", location.pathname.get_untracked(), query(&location.search.get_untracked()))
}

fn query(search: &str) -> String {
    if search.is_empty() { String::new() } else { format!("?{}", search.trim_start_matches('?')) }
}
