//! Pages, components and server functions: everything a person sees of Muster. Isomorphic: the server renders the pages, the
//! browser takes them over, and every flow works without it.
//!
//! A page asks through a server function of one expression, and the server function asks the engine. Server-only code is in
//! `ssr` and in the bodies of server functions; browser-only code runs in effects and event handlers. A page never merges what an
//! event says into what it shows: it fetches again.

pub mod account;
pub mod approval;
mod board;
pub mod components;
mod dev;
mod document_title;
mod draft;
pub mod endpoint;
mod fetched;
mod layout;
mod live;
mod not_found;
mod overview;
pub mod page_json;
mod part;
pub mod price;
pub mod problem;
pub mod queue;
mod repository;
pub mod runner;
pub mod saved_view;
mod shell;
mod sse;
#[cfg(feature = "ssr")]
pub mod ssr;
pub mod task;
pub mod text;
pub mod workflow;

pub use shell::{SiteAssets, shell};

use leptos::prelude::*;
use leptos_meta::provide_meta_context;
use leptos_router::{
    Lazy, SsrMode,
    components::{ParentRoute, Route, Router, Routes},
    path,
};

use account::{setup_page::SetupPage, sign_in_page::SignInPage};
use approval::{answer_page::AnswerPage, inbox_page::ApprovalsPage};
use board::board_page::BoardPage;
use components::{time::provide_clock, toast::Toasts};
use dev::ComponentsPage;
use endpoint::{endpoint_page::EndpointPage, endpoints_page::EndpointsPage};
use layout::Frame;
use not_found::NotFoundPage;
use overview::overview_page::OverviewPage;
use queue::queue_page::QueuePage;
use runner::{runner_page::RunnerPage, runners_page::RunnersPage};
use saved_view::views_page::ViewsPage;
use task::{
    change_page::ChangePage, dead_page::DeadPage, detail_page::TaskDetailPage, edit_page::EditTaskPage, list_page::TaskListPage,
    new_page::NewTaskPage,
};
use workflow::{
    detail_page::WorkflowPage,
    edit_page::EditPage,
    list_page::WorkflowListPage,
    run::{change_page::ChangeRunPage, detail_page::RunPage, list_page::RunListPage},
    start_page::StartPage,
};

/// Every page and its address. All but the list belong to a part of the program that is fetched along with the document when the page is
/// the first one, else when it is opened, or before that, once the first page has come to rest. All are rendered whole before the first
/// byte is sent, so that they are complete without scripts and can answer with a redirect.
#[component]
pub fn App() -> impl IntoView {
    provide_meta_context();
    provide_clock();
    Toasts::provide();
    view! {
        <Router>
            <Routes fallback=NotFoundPage>
                <Route path=path!("/sign-in") view={Lazy::<SignInPage>::new()} ssr=SsrMode::Async />
                <Route path=path!("/setup") view={Lazy::<SetupPage>::new()} ssr=SsrMode::Async />
                <Route path=path!("/answer") view={Lazy::<AnswerPage>::new()} ssr=SsrMode::Async />
                <ParentRoute path=path!("") view=Frame ssr=SsrMode::Async>
                    <Route path=path!("") view={Lazy::<OverviewPage>::new()} ssr=SsrMode::Async />
                    <Route path=path!("tasks") view=TaskListPage ssr=SsrMode::Async />
                    <Route path=path!("tasks/new") view={Lazy::<NewTaskPage>::new()} ssr=SsrMode::Async />
                    <Route path=path!("tasks/change") view={Lazy::<ChangePage>::new()} ssr=SsrMode::Async />
                    <Route path=path!("tasks/:id/edit") view={Lazy::<EditTaskPage>::new()} ssr=SsrMode::Async />
                    <Route path=path!("tasks/:id") view={Lazy::<TaskDetailPage>::new()} ssr=SsrMode::Async />
                    <Route path=path!("approvals") view={Lazy::<ApprovalsPage>::new()} ssr=SsrMode::Async />
                    <Route path=path!("board") view={Lazy::<BoardPage>::new()} ssr=SsrMode::Async />
                    <Route path=path!("views") view={Lazy::<ViewsPage>::new()} ssr=SsrMode::Async />
                    <Route path=path!("workflows") view={Lazy::<WorkflowListPage>::new()} ssr=SsrMode::Async />
                    <Route path=path!("workflows/new") view={Lazy::<EditPage>::new()} ssr=SsrMode::Async />
                    <Route path=path!("workflows/:name") view={Lazy::<WorkflowPage>::new()} ssr=SsrMode::Async />
                    <Route path=path!("workflows/:name/edit") view={Lazy::<EditPage>::new()} ssr=SsrMode::Async />
                    <Route path=path!("workflows/:name/run") view={Lazy::<StartPage>::new()} ssr=SsrMode::Async />
                    <Route path=path!("runs") view={Lazy::<RunListPage>::new()} ssr=SsrMode::Async />
                    <Route path=path!("runs/:id") view={Lazy::<RunPage>::new()} ssr=SsrMode::Async />
                    <Route path=path!("runs/:id/change") view={Lazy::<ChangeRunPage>::new()} ssr=SsrMode::Async />
                    <Route path=path!("queue") view={Lazy::<QueuePage>::new()} ssr=SsrMode::Async />
                    <Route path=path!("runners") view={Lazy::<RunnersPage>::new()} ssr=SsrMode::Async />
                    <Route path=path!("runners/:id") view={Lazy::<RunnerPage>::new()} ssr=SsrMode::Async />
                    <Route path=path!("endpoints") view={Lazy::<EndpointsPage>::new()} ssr=SsrMode::Async />
                    <Route path=path!("endpoints/:id") view={Lazy::<EndpointPage>::new()} ssr=SsrMode::Async />
                    <Route path=path!("dead") view={Lazy::<DeadPage>::new()} ssr=SsrMode::Async />
                    <Route path=path!("dev/components") view={Lazy::<ComponentsPage>::new()} ssr=SsrMode::Async />
                </ParentRoute>
            </Routes>
        </Router>
    }
}
