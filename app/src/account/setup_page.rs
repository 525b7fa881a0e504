//! The first owner, by the one-time link that the first start printed.

use domain::account::{PASSWORD_MAX_BYTES, PASSWORD_MIN};
use leptos::{prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::{LazyRoute, hooks::use_query_map};

use super::{CreateOwner, needs_owner};
use crate::{
    components::{Button, ButtonKind, ErrorView, Loading, Notice, TextField, Tone},
    layout::Brand,
    page_json::fetch,
    part::{NotLoaded, part},
    problem::Problem,
    text::capitalised,
};

pub struct SetupPage;

impl LazyRoute for SetupPage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("door", setup_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

#[wasm_split(door, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn setup_page() -> Result<AnyView, NotLoaded> {
    let needed = fetch(|| (), |()| needs_owner());
    Ok(view! {
        <Title text="First owner · Muster" />
        <main class="p-door">
            <div class="p-door__card">
                <Brand />
                <h1 class="p-door__title">"Welcome to Muster"</h1>
                <Suspense fallback=|| view! { <Loading lines=5 /> }>
                    {move || {
                        needed
                            .get()
                            .map(|needed| match needed {
                                Ok(true) => view! { <SetupForm /> }.into_any(),
                                Ok(false) => {
                                    view! {
                                        <p>"This Muster already has its owner."</p>
                                        <p><a class="c-button c-button--primary" href="/sign-in">"Sign in"</a></p>
                                    }
                                        .into_any()
                                }
                                Err(problem) => view! { <ErrorView title=problem.title detail=problem.detail /> }.into_any(),
                            })
                    }}
                </Suspense>
            </div>
        </main>
    }
    .into_any())
}

#[component]
fn SetupForm() -> impl IntoView {
    let query = use_query_map();
    let token = move || query.with(|query| query.get_str("token").unwrap_or_default().to_owned());
    let create = ServerAction::<CreateOwner>::new();
    let problem = Memo::new(move |_| create.value().get().and_then(Result::err));
    let errors = move |pointer: &'static str| Signal::derive(move || problem.with(|problem| messages(problem.as_ref(), pointer)));
    view! {
        <p>"You are the first here. This makes you the owner of the workspace."</p>
        {move || {
            problem
                .get()
                .map(|problem| {
                    let detail = if problem.errors.is_empty() { problem.detail } else { "See what is said at the fields below.".to_owned() };
                    view! {
                        <Notice tone=Tone::Bad title=problem.title>
                            <p>{detail}</p>
                        </Notice>
                    }
                })
        }}
        <ActionForm action=create attr:class="p-door__form">
            <input type="hidden" name="token" value=token />
            <TextField id="name" label="Name" name="name" required=true autofocus=true autocomplete="name" max=100_u32 errors=errors("/name") />
            <TextField id="email" label="E-mail" name="email" kind="email" required=true autocomplete="username" max=254_u32 errors=errors("/email") />
            <TextField
                id="password"
                label="Password"
                name="password"
                kind="password"
                required=true
                autocomplete="new-password"
                min=PASSWORD_MIN as u32
                max=PASSWORD_MAX_BYTES as u32
                hint=format!("At least {PASSWORD_MIN} characters; a sentence does well. No rules about digits or signs.")
                errors=errors("/password")
            />
            <Button text="Create the owner" kind=ButtonKind::Primary busy=create.pending() />
        </ActionForm>
    }
}

fn messages(problem: Option<&Problem>, pointer: &str) -> Vec<String> {
    problem.and_then(|problem| problem.field(pointer)).map(|message| vec![format!("{}.", capitalised(message))]).unwrap_or_default()
}
