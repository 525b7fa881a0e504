//! What becomes of a result: where it was pushed, its pull request, why it is not there, and a way to have it tried again. Forms, so they work
//! without scripts.

use domain::{Attempt, Land, LandingState, LandingTrouble, Permission, PullRequest, TaskId, TaskState, TaskView, landing};
use leptos::{form::ActionForm, prelude::*};

use super::name_of_first_repository;
use crate::{
    approval::acts::use_role,
    components::{Notice, Time, Tone, toast::tell},
    task::LandTask,
    text::{capitalised, short_commit},
};

#[component]
pub fn Landing(id: TaskId, task: Signal<TaskView>, refresh: Callback<()>) -> impl IntoView {
    let land = ServerAction::<LandTask>::new();
    tell(land.value(), |_| "The result is to land".into(), refresh);
    let refusal = move || {
        let problem = land.value().with(|answer| answer.as_ref().and_then(|answer| answer.as_ref().err().cloned()));
        problem.map(|problem| view! { <Notice tone=Tone::Bad title=problem.title><p>{capitalised(&problem.detail)}</p></Notice> })
    };
    // while it is fetched again, what is there stays
    let landings = Memo::new(move |_| task.with(|task| task.landing.iter().chain(&task.more_landings).cloned().collect::<Vec<_>>()));
    let first = name_of_first_repository(task);
    let can_land = Memo::new(move |_| task.with(can_land));
    // a no from before says nothing of what has come of it since
    Effect::new(move |before: Option<Vec<landing::Landing>>| {
        let now = landings.get();
        if before.is_some_and(|before| before != now) {
            land.clear();
        }
        now
    });
    let role = use_role();
    let may_land = Memo::new(move |_| role.get().is_some_and(|role| role.may(Permission::ChangeTasks)));
    view! {
        {refusal}
        {move || match landings.get() {
            all if !all.is_empty() => {
                // to have one tried again leaves alone those that have landed
                let all_landed = all.iter().all(|landing| landing.state == LandingState::Landed);
                let may = |landing: &landing::Landing| may_land.get() && (all_landed || landing.state != LandingState::Landed);
                let one = |landing: landing::Landing| {
                    let land = may(&landing).then_some(land);
                    shown(id, landing, first.get(), land)
                };
                all.into_iter().map(one).collect_view().into_any()
            }
            _ if can_land.get() && may_land.get() => {
                let how = [(Land::Push, "Push it"), (Land::PullRequest, "Open a pull request")];
                view! { <div class="p-task__land"><span class="u-quiet">"Its result is on its branch alone."</span> {form(id, &how, land)}</div> }.into_any()
            }
            _ if can_land.get() => view! { <p class="u-quiet">"Its result is on its branch alone."</p> }.into_any(),
            _ => ().into_any(),
        }}
    }
}

/// A result that has passed, and that nobody has wanted to land.
fn can_land(task: &TaskView) -> bool {
    let has_succeeded = matches!(task.summary.state, TaskState::Succeeded { .. }) && task.work.is_executed();
    has_succeeded && task.attempt_list.last().is_some_and(has_changed)
}

/// Something, in any of its repositories.
fn has_changed(attempt: &Attempt) -> bool {
    attempt.commit.is_some() || attempt.repositories.iter().any(|one| one.commit.is_some())
}

/// With a way to have it tried for whoever may. `first` is what the first repository is called, where there are several.
fn shown(id: TaskId, landing: landing::Landing, first: Option<String>, land: Option<ServerAction<LandTask>>) -> AnyView {
    let name = landing.folder.clone().or(first);
    let of = |whole: &'static str, rest: &str| name.as_ref().map_or_else(|| whole.to_owned(), |name| format!("{name} {rest}"));
    let where_it_is = where_it_is(&landing);
    let act = move |how: Land, text: &'static str| land.map(|land| form(id, &[(how, text)], land));
    match (landing.state, landing.pull_request) {
        (LandingState::Landed, Some(request)) => view! {
            <Notice tone=Tone::Good title=of("It has a pull request", "has a pull request")>
                <p>{link(&request)}</p>
                {where_it_is}
                {act(Land::PullRequest, "Bring it up to date")}
            </Notice>
        }
        .into_any(),
        (LandingState::Landed, None) => view! {
            <Notice tone=Tone::Good title=of("Its branch is pushed", "is pushed")>
                {where_it_is}
                {act(Land::PullRequest, "Open a pull request")}
            </Notice>
        }
        .into_any(),
        (LandingState::Waiting, request) => {
            let runner = landing.runner;
            let again = landing.again_at.map(|at| view! { <p>"It is tried again " <Time at=at /> "."</p> });
            let at_it = landing.told_at.map(|at| view! { <p>"Its runner has been told to try, " <Time at=at /> "."</p> });
            match landing.trouble {
                None => view! {
                    <Notice tone=Tone::Info title=of("On its way", "is on its way")>
                        <p>"The runner " {runner} " has the commit, and is told to push it as soon as it is connected."</p>
                    </Notice>
                }
                .into_any(),
                Some(trouble) => view! {
                    <Notice tone=Tone::Warn title=of("It has not landed yet", "has not landed yet")>
                        {why(trouble)}
                        {again}
                        {at_it}
                        {where_it_is}
                        {request.as_ref().map(link)}
                        {act(landing.how, "Try now")}
                    </Notice>
                }
                .into_any(),
            }
        }
        (LandingState::Failed, request) => view! {
            <Notice tone=Tone::Bad title=of("It has not landed", "has not landed")>
                {landing.trouble.map(why)}
                {where_it_is}
                {request.as_ref().map(link)}
                {act(landing.how, "Try again")}
            </Notice>
        }
        .into_any(),
    }
}

fn why(trouble: LandingTrouble) -> impl IntoView {
    view! {
        <p class="p-task__message">{format!("{}.", capitalised(trouble.message.trim_end_matches('.')))}</p>
        <p>{trouble.advice}</p>
    }
}

/// Nothing as long as it was not pushed.
fn where_it_is(landing: &landing::Landing) -> Option<impl IntoView + use<>> {
    let remote = landing.remote.clone()?;
    let (branch, commit) = (landing.branch.clone(), short_commit(&landing.commit));
    Some(
        view! { <p>"Attempt " {landing.attempt} " is " <code>{branch}</code> " in " <code>{remote}</code> ", at " <code>{commit}</code> "."</p> },
    )
}

fn link(request: &PullRequest) -> impl IntoView + use<> {
    view! { <a href=request.url.clone() rel="external noreferrer">{request.url.clone()}</a> }
}

fn form(id: TaskId, choices: &[(Land, &'static str)], land: ServerAction<LandTask>) -> impl IntoView + use<> {
    let button = move |(how, text): &(Land, &'static str)| {
        view! {
            <button class="c-button" type="submit" name="how" value=how.name() disabled=land.pending()>
                <span class="c-button__text">{*text}</span>
            </button>
        }
    };
    let buttons = choices.iter().map(button).collect_view();
    view! {
        <ActionForm action=land attr:class="p-task__land">
            <input type="hidden" name="id" value=id.to_string() />
            {buttons}
        </ActionForm>
    }
}
