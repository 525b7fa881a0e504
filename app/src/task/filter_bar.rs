//! What surrounds a list of tasks and the board alike: what is looked for, the views that were saved, and the way from one to the other.

use std::time::Duration;

use domain::{SavedView, SavedViewId, TaskFilter};
use leptos::{html, leptos_dom::helpers::debounce, prelude::*};
use leptos_router::{
    NavigateOptions,
    hooks::{use_navigate, use_query_map},
};

use super::filter::{BOARD, LIST, extras, is_narrow, parts, path_of, read_filter, without_place};
use crate::{
    components::{Icon, icon},
    page_json::fetch,
    saved_view::list_views,
};

/// How long a person pauses before what they type is looked for.
const TYPING_PAUSE: Duration = Duration::from_millis(250);

/// What the address asks for, and the view that it began from.
#[derive(Clone, Copy)]
pub struct Looking {
    /// The page that shows it.
    pub page: &'static str,
    pub filter: Memo<TaskFilter>,
    pub view: Memo<Option<SavedViewId>>,
}

impl Looking {
    pub fn at(page: &'static str) -> Self {
        let query = use_query_map();
        Self {
            page,
            filter: Memo::new(move |_| query.with(|query| read_filter(|name| query.get_str(name)))),
            view: Memo::new(move |_| query.with(|query| query.get_str("view").and_then(|id| id.parse().ok()))),
        }
    }

    fn path(self, filter: &TaskFilter) -> String {
        path_of(self.page, filter, self.view.get())
    }
}

/// List or board, of the same tasks.
#[component]
pub fn Looks(looking: Looking) -> impl IntoView {
    let look = move |page: &'static str, text: &'static str, shape: Icon| {
        let href = move || looking.filter.with(|filter| path_of(page, &without_place(filter), looking.view.get()));
        view! { <a class="c-chip" href=href aria-current=(page == looking.page).then_some("page")>{icon(shape)} {text}</a> }
    };
    view! {
        <nav class="p-tasks__looks" aria-label="Layout">
            {look(LIST, "List", Icon::List)}
            {look(BOARD, "Board", Icon::Board)}
        </nav>
    }
}

/// A form that asks for another address: with scripts while one types, without them when it is sent.
#[component]
pub fn Search(looking: Looking) -> impl IntoView {
    let input = NodeRef::<html::Input>::new();
    let navigate = use_navigate();
    let filter = looking.filter;
    let text = move || filter.with(|filter| filter.text.clone().unwrap_or_default());
    let mut look = debounce(TYPING_PAUSE, move |typed: String| {
        let text = Some(typed.trim().to_owned()).filter(|text| !text.is_empty());
        let path = filter.with_untracked(|filter| TaskFilter { text, ..without_place(filter) });
        navigate(
            &path_of(looking.page, &path, looking.view.get_untracked()),
            NavigateOptions { replace: true, scroll: false, ..Default::default() },
        );
    });
    // Another link may change the text; what a person is typing is left alone.
    Effect::new(move |_| {
        let text = text();
        let Some(input) = input.get() else { return };
        let is_focused = document().active_element().as_ref() == Some(input.as_ref());
        if !is_focused {
            input.set_value(&text);
        }
    });
    // What else is looked for goes along.
    let others = move || {
        let view = looking.view.get().map(|id| ("view", id.to_string()));
        let filter = filter.with(|filter| TaskFilter { text: None, ..without_place(filter) });
        parts(&filter).into_iter().chain(view).map(|(name, value)| view! { <input type="hidden" name=name value=value /> }).collect_view()
    };
    view! {
        <form class="p-tasks__search" method="get" action=looking.page role="search" on:submit=move |event| event.prevent_default()>
            {others}
            <label class="u-unseen" for="search">"Search tasks"</label>
            <span class="p-tasks__lens">{icon(Icon::Search)}</span>
            <input
                class="c-input"
                id="search"
                type="search"
                name="text"
                placeholder="Search titles, work and tags"
                maxlength="200"
                autocomplete="off"
                value=text
                data-search=""
                node_ref=input
                on:input=move |event| look(event_target_value(&event))
            />
            <button class="c-button u-no-js" type="submit">"Search"</button>
        </form>
    }
}

/// The saved views, what else is looked for and can be let go of, and the way to save what is looked at.
#[component]
pub fn Views(looking: Looking) -> impl IntoView {
    let views = fetch(|| (), |()| list_views());
    view! {
        <Transition>
            {move || {
                let views = views.get().and_then(Result::ok).unwrap_or_default();
                looking.filter.with(|filter| view_links(looking, &without_place(filter), &views))
            }}
        </Transition>
    }
}

fn view_links(looking: Looking, filter: &TaskFilter, views: &[SavedView]) -> AnyView {
    if views.is_empty() && !is_narrow(filter) {
        return ().into_any();
    }
    let page = looking.page;
    let begun = looking.view.get();
    let links = views.iter().map(|view| {
        // on the board a state means nothing
        let is_shown = view.filter == *filter;
        view! {
            <a class="c-chip" href=path_of(page, &view.filter, Some(view.id)) aria-current=is_shown.then_some("true")>
                {icon(if view.shared { Icon::Eye } else { Icon::Key })}
                {view.name.clone()}
                " "
                <span class="u-unseen">{if view.shared { "(shared view)" } else { "(private view)" }}</span>
            </a>
        }
    });
    let extras = extras(filter).into_iter().map(|(text, rest)| {
        view! {
            <a class="c-chip c-chip--on" href=looking.path(&rest)>
                {text.clone()} {icon(Icon::Close)} " " <span class="u-unseen">"(stop looking for it)"</span>
            </a>
        }
    });
    let is_saved = views.iter().any(|view| view.filter == *filter);
    let is_changed = views.iter().any(|view| Some(view.id) == begun && view.filter != *filter && view.changeable);
    let save = path_of("/views", filter, begun);
    let save = (is_narrow(filter) && !is_saved).then(|| {
        let text = if is_changed { "Save as or update…" } else { "Save as…" };
        view! { <a class="p-tasks__save" href=save>{text}</a> }
    });
    let manage = (!views.is_empty()).then(|| view! { <a class="p-tasks__save" href="/views">"Manage views"</a> });
    let extras = extras.collect_view();
    let links = (!views.is_empty()).then(|| view! { <nav class="p-tasks__states" aria-label="Saved views">{links.collect_view()}</nav> });
    view! {
        {(!filter_has_none(filter)).then(|| view! { <nav class="p-tasks__states" aria-label="Looked for">{extras}</nav> })}
        <div class="p-tasks__views">{links} {save} {manage}</div>
    }
    .into_any()
}

fn filter_has_none(filter: &TaskFilter) -> bool {
    filter.tag.is_none() && filter.priority.is_none()
}
