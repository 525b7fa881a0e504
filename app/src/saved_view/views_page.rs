//! The saved views: what is looked at is saved under a name, and what was saved gets another name, another audience, or goes.

use domain::{SavedView, SavedViewId, TaskFilter, saved_view::NAME_LIMIT};
use leptos::{form::ActionForm, prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::LazyRoute;

use super::{
    CreateView, DeleteView, UpdateView, list_views,
    view_form::{carried, path_of_view},
};
use crate::{
    components::{Button, ButtonKind, DataTable, Empty, Icon, Notice, Reveal, TextField, Time, Tone, icon, toast::tell},
    fetched::fetched,
    page_json::fetch,
    part::{NotLoaded, part},
    problem::Problem,
    task::{
        filter::{BOARD, LIST, is_narrow, path_of, sentence, without_place},
        filter_bar::Looking,
    },
    text::capitalised,
};

pub struct ViewsPage;

impl LazyRoute for ViewsPage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("places", views_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

/// What a person can do with views.
#[derive(Clone, Copy)]
struct ViewActs {
    create: ServerAction<CreateView>,
    update: ServerAction<UpdateView>,
    delete: ServerAction<DeleteView>,
}

#[wasm_split(places, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn views_page() -> Result<AnyView, NotLoaded> {
    let looking = Looking::at(LIST);
    let views = fetch(|| (), |()| list_views());
    let acts = ViewActs { create: ServerAction::new(), update: ServerAction::new(), delete: ServerAction::new() };
    let refresh = Callback::new(move |()| views.refetch());
    tell(acts.create.value(), |view| format!("Saved as {}", view.name), refresh);
    tell(acts.update.value(), |view| format!("{} is saved", view.name), refresh);
    tell(acts.delete.value(), |()| "The view is gone".into(), refresh);
    let refused = move || {
        let made = acts.create.value().get().and_then(Result::err);
        let problem = made.or_else(|| acts.update.value().get().and_then(Result::err));
        problem.or_else(|| acts.delete.value().get().and_then(Result::err)).map(refusal)
    };
    Ok(view! {
        <Title text="Saved views · Muster" />
        <div class="l-head">
            <div class="l-head__text">
                <p><a href="/tasks">"Tasks"</a></p>
                <h1 class="l-head__title">"Saved views"</h1>
                <p class="u-quiet">"A view is a name for what you look for in the task list and on the board."</p>
            </div>
        </div>
        {refused}
        {fetched(views, 6, move |views| content(looking, views, acts))}
    }
    .into_any())
}

/// The server's no, at its place in the page.
fn refusal(problem: Problem) -> impl IntoView {
    let detail = match problem.field("/name") {
        Some(message) => format!("The name {message}."),
        None => format!("{}.", capitalised(problem.detail.trim_end_matches('.'))),
    };
    view! { <Notice tone=Tone::Bad title="The view was not saved"><p>{detail}</p></Notice> }
}

fn content(looking: Looking, views: Signal<Vec<SavedView>>, acts: ViewActs) -> impl IntoView {
    let is_empty = Memo::new(move |_| views.with(Vec::is_empty));
    view! {
        {move || looking.filter.with(|filter| {
            let filter = without_place(filter);
            let begun = views.with(|views| views.iter().find(|view| Some(view.id) == looking.view.get()).cloned());
            is_narrow(&filter).then(|| save_form(&filter, begun, acts))
        })}
        <section class="l-part" aria-labelledby="views">
            <h2 class="l-part__title" id="views">"Views that you see"</h2>
            {move || {
                if is_empty.get() {
                    return view! { <Empty title="No view yet" shape=Icon::Eye><p>"Look for something in the task list, then choose “Save as…” above it."</p></Empty> }.into_any();
                }
                view! {
                    <DataTable caption="Saved views, your own first" columns=COLUMNS>
                        <For each=move || views.get() key=|view| (view.id, view.changed_at) let:view>{row(view, acts)}</For>
                    </DataTable>
                }
                .into_any()
            }}
        </section>
    }
}

/// What is looked at becomes a view of its own, or what the view that it began from shows from now on.
fn save_form(filter: &TaskFilter, begun: Option<SavedView>, acts: ViewActs) -> impl IntoView + use<> {
    let update = begun.filter(|view| view.changeable && view.filter != *filter).map(|view| {
        let text = format!("Update {}", view.name);
        let fields = fields(&view.name, view.shared, filter);
        view! {
            <ActionForm action=acts.update>
                <input type="hidden" name="id" value=view.id.to_string() />
                {fields}
                <Button text=text shape=Icon::Retry busy=acts.update.pending() />
            </ActionForm>
        }
    });
    let hidden = hidden(filter);
    view! {
        <section class="p-views__save" aria-labelledby="save">
            <h2 class="l-part__title" id="save">"Save what you look at"</h2>
            <p>{sentence(filter)} " " <a href=path_of(LIST, filter, None)>"See them"</a></p>
            <ActionForm action=acts.create>
                <div class="p-views__fields">
                    <TextField id="view-name" label="Name" name="form[name]" required=true max=NAME_LIMIT />
                    {shared_box("view-shared".to_owned(), false)}
                </div>
                {hidden}
                <Button text="Save as a new view" kind=ButtonKind::Primary busy=acts.create.pending() />
            </ActionForm>
            {update}
        </section>
    }
}

fn shared_box(id: String, shared: bool) -> impl IntoView {
    let labels = id.clone();
    view! {
        <label class="p-views__shared" for=labels>
            <input id=id type="checkbox" name="form[shared]" value="on" checked=shared />
            "Share it with everybody in the workspace"
        </label>
    }
}

/// The filters that a form saves.
fn hidden(filter: &TaskFilter) -> impl IntoView + use<> {
    carried(filter).into_iter().map(|(name, value)| view! { <input type="hidden" name=name value=value /> }).collect_view()
}

/// All that a view is, when nothing of it is typed.
fn fields(name: &str, shared: bool, filter: &TaskFilter) -> impl IntoView + use<> {
    let name = name.to_owned();
    view! {
        <input type="hidden" name="form[name]" value=name />
        {shared.then(|| view! { <input type="hidden" name="form[shared]" value="on" /> })}
        {hidden(filter)}
    }
}

const COLUMNS: &[(&str, &str)] =
    &[("View", ""), ("Looks for", ""), ("Seen by", "c-table__place"), ("Saved", "c-table__time"), ("Change", "c-table__acts")];

fn row(view: SavedView, acts: ViewActs) -> impl IntoView {
    let seen_by = match (view.shared, view.own) {
        (true, true) => "Everybody".to_owned(),
        (true, false) => format!("Everybody, by {}", view.created_by),
        (false, _) => "You alone".to_owned(),
    };
    let shape = if view.shared { Icon::Eye } else { Icon::Key };
    view! {
        <tr class="c-table__row">
            <td class="c-table__main" data-label="View"><a class="c-table__link" href=path_of_view(&view)>{view.name.clone()}</a></td>
            <td data-label="Looks for">
                {sentence(&view.filter)} " "
                <a class="c-table__other" href=path_of(BOARD, &view.filter, Some(view.id))>"Board"<span class="u-unseen">{format!(" of {}", view.name)}</span></a>
            </td>
            <td class="c-table__place" data-label="Seen by">{icon(shape)} " " {seen_by}</td>
            <td class="c-table__time" data-label="Saved"><Time at=view.changed_at /></td>
            <td class="c-table__act c-table__wide">{view.changeable.then(|| change(&view, acts))}</td>
        </tr>
    }
}

/// Opens without scripts, and asks before anything is lost.
fn change(view: &SavedView, acts: ViewActs) -> impl IntoView + use<> {
    let SavedView { id, name, filter, shared, .. } = view.clone();
    let own = view.own;
    let about = name.clone();
    let delete = delete_form(id, name.clone(), acts);
    view! {
        <Reveal text="Change" shape=Icon::Dots about=about>
                <ActionForm action=acts.update>
                    <input type="hidden" name="id" value=id.to_string() />
                    <TextField id=format!("name-{id}") label="Name" name="form[name]" value=name required=true max=NAME_LIMIT />
                    {if own {
                        shared_box(format!("shared-{id}"), shared).into_any()
                    } else {
                        view! { <input type="hidden" name="form[shared]" value="on" /> }.into_any()
                    }}
                    {hidden(&filter)}
                    <Button text="Save" kind=ButtonKind::Primary busy=acts.update.pending() />
                </ActionForm>
                {delete}
        </Reveal>
    }
}

fn delete_form(id: SavedViewId, name: String, acts: ViewActs) -> impl IntoView {
    view! {
        <ActionForm action=acts.delete>
            <input type="hidden" name="id" value=id.to_string() />
            <Button text=format!("Delete {name}") kind=ButtonKind::Danger busy=acts.delete.pending() />
        </ActionForm>
    }
}
