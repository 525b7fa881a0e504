//! The door.

use leptos::{prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::{LazyRoute, hooks::use_query_map};

use super::{SignIn, local_path, needs_owner};
use crate::{
    components::{Button, ButtonKind, Notice, TextField, Tone},
    layout::Brand,
    page_json::fetch,
    part::{NotLoaded, part},
};

pub struct SignInPage;

impl LazyRoute for SignInPage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("door", sign_in_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

#[wasm_split(door, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn sign_in_page() -> Result<AnyView, NotLoaded> {
    let query = use_query_map();
    let next = move || local_path(&query.with(|query| query.get_str("next").unwrap_or_default().to_owned()));
    let sign_in = ServerAction::<SignIn>::new();
    let problem = move || sign_in.value().get().and_then(Result::err);
    Ok(view! {
        <Title text="Sign in · Muster" />
        <main class="p-door">
            <div class="p-door__card">
                <Brand />
                <h1 class="p-door__title">"Sign in"</h1>
                <NoOwnerYet />
                {move || {
                    problem()
                        .map(|problem| {
                            view! {
                                <Notice tone=Tone::Bad title="That did not work">
                                    <p>{problem.detail}</p>
                                </Notice>
                            }
                        })
                }}
                <ActionForm action=sign_in attr:class="p-door__form">
                    <input type="hidden" name="next" value=next />
                    <TextField id="email" label="E-mail" name="email" kind="email" required=true autofocus=true autocomplete="username" />
                    <TextField
                        id="password"
                        label="Password"
                        name="password"
                        kind="password"
                        required=true
                        autocomplete="current-password"
                    />
                    <Button text="Sign in" kind=ButtonKind::Primary busy=sign_in.pending() />
                </ActionForm>
            </div>
        </main>
    }
    .into_any())
}

/// Says what to do while there is nobody who could sign in.
#[component]
fn NoOwnerYet() -> impl IntoView {
    let needed = fetch(|| (), |()| needs_owner());
    view! {
        <Suspense>
            {move || {
                (needed.get() == Some(Ok(true)))
                    .then(|| {
                        view! {
                            <Notice tone=Tone::Info title="Nobody can sign in yet">
                                <p>
                                    "Open the one-time link that the server printed when it started, or run "
                                    <code>"muster admin create-owner"</code> " on its machine."
                                </p>
                            </Notice>
                        }
                    })
            }}
        </Suspense>
    }
}
