//! The frame around every page of those who are signed in: where one can go, who one is, and whether what one sees is live.

pub mod shortcuts;

use domain::{Identity, Isolation};
use leptos::{html, prelude::*};
use leptos_router::{LazyRoute, components::Outlet, hooks::use_location};

use crate::{
    account::identity,
    approval::{is_about_approvals, pending_approvals},
    components::{Icon, ThemeSwitch, icon, toast::ToastCorner},
    live::{provide_live, use_live},
    overview::overview_page::OverviewPage,
    page_json::{Fetched, fetch},
    task::{detail_page::TaskDetailPage, handed::provide_handed, new_page::NewTaskPage},
};
use shortcuts::Shortcuts;

/// Who is signed in, for pages that say "you".
pub type Who = Fetched<Identity>;

#[component]
pub fn Frame() -> impl IntoView {
    let who: Who = fetch(|| (), |()| identity());
    provide_context(who);
    let live = provide_live();
    let waiting = fetch(|| (), |()| pending_approvals());
    use_live(waiting, is_about_approvals);
    let main = NodeRef::<html::Main>::new();
    focus_after_navigation(main);
    load_ahead();
    provide_handed();
    view! {
        <a class="l-skip" href="#main" rel="external">"Skip to the content"</a>
        <div class="l-frame">
            <header class="l-side">
                <a class="l-side__brand" href="/" aria-label="Muster, overview"><Mark /><span class="l-side__name">"Muster"</span></a>
                <nav class="l-side__nav" aria-label="Main">
                    <Place shape=Icon::Home name="Overview" pages=&["/"] />
                    <Place shape=Icon::List name="Tasks" pages=&["/tasks", "/board", "/views"] />
                    <Place shape=Icon::Ask name="Approvals" pages=&["/approvals"] waiting=waiting />
                    <Place shape=Icon::Flow name="Workflows" pages=&["/workflows", "/runs"] />
                    <Place shape=Icon::Dots name="Queue" pages=&["/queue"] />
                    <Place shape=Icon::Square name="Set aside" pages=&["/dead"] />
                    <Place shape=Icon::Machine name="Runners" pages=&["/runners"] />
                    <Place shape=Icon::Gauge name="Endpoints" pages=&["/endpoints"] />
                </nav>
                <div class="l-side__foot">
                    <p class="l-side__lost" role="status">
                        {move || live.is_lost().get().then(|| view! { {icon(Icon::Ring)} <span>"Reconnecting…"</span> })}
                    </p>
                    <Shortcuts />
                    <a class="l-side__link l-side__link--docs" href="/api/docs" rel="external">{icon(Icon::File)}<span>"API"</span></a>
                    <PersonMenu who=who />
                </div>
            </header>
            <main class="l-main" id="main" tabindex="-1" node_ref=main>
                <Outlet />
            </main>
            <Suspense>{move || runs_open(who).then(open_work)}</Suspense>
        </div>
        <p class="u-unseen" role="status">{waiting_said(waiting)}</p>
        <ToastCorner />
    }
}

/// Whether the work of this workspace runs without a sandbox.
fn runs_open(who: Who) -> bool {
    matches!(who.get(), Some(Ok(Identity { workspace, .. })) if workspace.isolation == Isolation::None)
}

/// On every page, as whoever hands in work or reads it has to know.
fn open_work() -> impl IntoView {
    view! {
        <aside class="l-open" aria-label="Isolation">
            {icon(Icon::Alert)}
            <span>"Work in this workspace runs without a sandbox: it can do what the user can that runs the runner."</span>
            <a href="/runners#isolation">"Change"</a>
        </aside>
    }
}

/// The way to the first of these pages. It is marked on all of them and on what is below them.
#[component]
fn Place(
    shape: Icon,
    name: &'static str,
    pages: &'static [&'static str],
    /// How much there waits for somebody.
    #[prop(optional)]
    waiting: Option<Fetched<i64>>,
) -> impl IntoView {
    let path = use_location().pathname;
    let current = move || path.with(|path| pages.iter().any(|page| is_at(path, page))).then_some("page");
    view! {
        <a href=pages[0] class="l-side__link" aria-current=current>{icon(shape)}<span>{name}</span>{waiting.map(count_waiting)}</a>
    }
}

/// Nothing where nothing waits.
fn count_waiting(waiting: Fetched<i64>) -> impl IntoView {
    let count = move || waiting.get().and_then(Result::ok).filter(|count| *count > 0);
    view! {
        <Transition>
            {move || count().map(|count| view! { <strong class="l-side__count">{count}<span class="u-unseen">" waiting"</span></strong> })}
        </Transition>
    }
}

/// For people who do not see the count: they hear of it when it changes, wherever they are, as what nobody answers in time is denied.
fn waiting_said(waiting: Fetched<i64>) -> impl IntoView {
    let words = move || waiting.get().and_then(Result::ok).and_then(questions);
    view! { <Transition>{words}</Transition> }
}

/// Nothing where there is none.
fn questions(count: i64) -> Option<String> {
    match count {
        ..1 => None,
        1 => Some("1 question of an agent waits for an answer".to_owned()),
        more => Some(format!("{more} questions of agents wait for an answer")),
    }
}

/// Whether an address is a page or below it; nothing is below the overview.
fn is_at(path: &str, page: &str) -> bool {
    path.strip_prefix(page).is_some_and(|rest| rest.is_empty() || page != "/" && rest.starts_with('/'))
}

/// Once the first page has come to rest: the parts of the program for the pages that are likely to be opened next, so that opening one
/// waits for its content alone.
fn load_ahead() {
    Effect::new(|| {
        request_idle_callback(|| {
            leptos::task::spawn_local(async {
                TaskDetailPage::preload().await;
                NewTaskPage::preload().await;
                OverviewPage::preload().await;
            });
        });
    });
}

/// After going to another page the keyboard continues in its content, as it would after a page load.
fn focus_after_navigation(main: NodeRef<html::Main>) {
    let path = use_location().pathname;
    Effect::new(move |before: Option<String>| {
        let path = path.get();
        if before.is_some_and(|before| before != path)
            && let Some(main) = main.get_untracked()
        {
            _ = main.focus();
        }
        path
    });
}

/// Opens without scripts, as it is a `<details>`.
#[component]
fn PersonMenu(who: Who) -> impl IntoView {
    let name = move || match who.get() {
        Some(Ok(Identity { user: Some(user), .. })) => user.name,
        Some(Ok(identity)) => identity.workspace.name,
        _ => String::new(),
    };
    let about = move || match who.get() {
        Some(Ok(Identity { user: Some(user), workspace, .. })) => format!("{} · {}", user.email, workspace.name),
        _ => String::new(),
    };
    view! {
        <details class="l-person" name="menu">
            <summary class="l-side__link">
                <span class="l-person__face" aria-hidden="true">
                    <Suspense>{move || name().chars().next().unwrap_or('·').to_string()}</Suspense>
                </span>
                <span class="l-person__name"><Suspense fallback=|| "Account">{name}</Suspense></span>
            </summary>
            <div class="l-person__menu">
                <p class="l-person__about"><Suspense>{about}</Suspense></p>
                <ThemeSwitch />
                <form method="post" action="/_fn/sign_out">
                    <button class="c-button" type="submit">"Sign out"</button>
                </form>
            </div>
        </details>
    }
}

/// The mark and the name, for pages that stand alone.
#[component]
pub fn Brand() -> impl IntoView {
    view! { <p class="l-brand"><Mark /><span>"Muster"</span></p> }
}

/// Three in a row, and the last one has passed. Also `public/favicon.svg`.
#[component]
pub fn Mark() -> impl IntoView {
    view! {
        <svg class="l-mark" viewBox="0 0 32 32" aria-hidden="true">
            <rect class="l-mark__ground" width="32" height="32" rx="8" />
            <path class="l-mark__row" d="M8 10v12M14 10v12" />
            <path class="l-mark__tick" d="M18.5 17.5l3 4L26 10" />
        </svg>
    }
}

#[cfg(test)]
mod tests {
    use super::{is_at, questions};

    #[test]
    fn a_place_is_marked_on_its_pages_and_below() {
        assert!(is_at("/tasks", "/tasks") && is_at("/tasks/new", "/tasks") && is_at("/", "/"));
        assert!(!is_at("/taskless", "/tasks") && !is_at("/tasks", "/") && !is_at("/", "/tasks"));
    }

    #[test]
    fn what_waits_is_said_in_words() {
        assert_eq!(questions(0), None);
        assert_eq!(questions(1).as_deref(), Some("1 question of an agent waits for an answer"));
        assert_eq!(questions(12).as_deref(), Some("12 questions of agents wait for an answer"));
    }
}
