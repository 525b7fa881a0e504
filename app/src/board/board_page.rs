//! Tasks side by side by where they stand, live. The filters are in the address and the same as in the list.

use domain::{
    Board, Priority, TaskFilter, TaskStateName,
    board::{Card, ColumnKind, Pile},
};
use leptos::{prelude::*, wasm_split::wasm_split};
use leptos_meta::Title;
use leptos_router::LazyRoute;

use super::{card::card, get_board};
use crate::{
    components::{ButtonKind, Icon, LinkButton, icon},
    fetched::fetched,
    live::use_live_every,
    page_json::fetch,
    part::{NotLoaded, part},
    task::{
        filter::{BOARD, list_path, without_place},
        filter_bar::{Looking, Looks, Search, Views},
        state_badge::{state_label, state_shape},
    },
    text::capitalised,
};

/// Milliseconds between two fetches, however much happens.
const PAUSE: i64 = 1000;

pub struct BoardPage;

impl LazyRoute for BoardPage {
    fn data() -> Self {
        Self
    }

    async fn view(_page: Self) -> AnyView {
        part("places", board_page()).await
    }

    async fn preload() {
        _ = load().await;
    }
}

#[wasm_split(places, wasm_split_path = leptos::wasm_split, preload(load), fallible)]
fn board_page() -> Result<AnyView, NotLoaded> {
    let looking = Looking::at(BOARD);
    let board = fetch(move || looking.filter.with(|filter| TaskFilter { state: None, ..without_place(filter) }), get_board);
    use_live_every(board, || PAUSE, |_| true);
    Ok(view! {
        <Title text="Board · Muster" />
        <div class="l-head">
            <h1 class="l-head__title">"Board"</h1>
            <Looks looking=looking />
            <div class="l-head__acts">
                <LinkButton href="/tasks/new".to_owned() text="New task" kind=ButtonKind::Primary shape=Icon::Plus />
            </div>
        </div>
        <div class="p-tasks__bar">
            <Search looking=looking />
            <Views looking=looking />
        </div>
        {fetched(board, 10, move |board| view! {
            <div class="c-board">{ColumnKind::ALL.map(|kind| column(kind, board, looking.filter))}</div>
        })}
    }
    .into_any())
}

type PileName = (TaskStateName, Option<Priority>);

fn column(kind: ColumnKind, board: Signal<Board>, filter: Memo<TaskFilter>) -> impl IntoView {
    let column = Memo::new(move |_| board.with(|board| board.columns.iter().find(|column| column.kind == kind).cloned()));
    let count = move || column.with(|column| column.as_ref().map(|column| count_text(column.tasks())).unwrap_or_default());
    let names = move || -> Vec<PileName> {
        column.with(|column| column.iter().flat_map(|column| &column.piles).map(|pile| (pile.state, pile.priority)).collect())
    };
    let has_any = Memo::new(move |_| column.with(|column| column.as_ref().is_some_and(|column| !column.piles.is_empty())));
    let pile = move |name: PileName| {
        let pile = Memo::new(move |before: Option<&Option<Pile>>| {
            let now = column.with(|column| column.as_ref()?.piles.iter().find(|pile| (pile.state, pile.priority) == name).cloned());
            now.or_else(|| before.cloned().flatten())
        });
        view! { {move || kind_heading(kind, name)} {cards(pile)} {move || pile.with(|pile| pile.as_ref().and_then(|pile| rest(pile, filter)))} }
    };
    let id = format!("column-{}", kind.title().to_lowercase().replace(' ', "-"));
    let labelled_by = id.clone();
    view! {
        <section class="c-board__column" aria-labelledby=labelled_by data-empty=move || (!has_any.get()).then_some("true")>
            <h2 class="c-board__title" id=id>{kind.title()} " " <span class="c-board__count">{count}</span></h2>
            <For each=names key=|name| *name let:name>{pile(name)}</For>
            {move || (!has_any.get()).then(|| view! { <p class="c-board__none">"None"</p> })}
        </section>
    }
}

/// Where a column holds more than one kind of thing, each has its name above it.
fn kind_heading(kind: ColumnKind, (state, lane): PileName) -> Option<impl IntoView> {
    let text = match lane {
        Some(lane) => capitalised(lane.name()),
        None => state_label(state).to_owned(),
    };
    let shape = if lane.is_some() { Icon::Fast } else { state_shape(state) };
    (kind.states().len() > 1 || lane.is_some()).then(|| view! { <h3 class="c-board__pile">{icon(shape)} {text}</h3> })
}

fn cards(pile: Memo<Option<Pile>>) -> impl IntoView {
    let ids = move || pile.with(|pile| pile.iter().flat_map(|pile| &pile.cards).map(|card| card.task.id).collect::<Vec<_>>());
    let one = move |id| {
        let card_now = Memo::new(move |before: Option<&Option<Card>>| {
            let now = pile.with(|pile| pile.as_ref()?.cards.iter().find(|card| card.task.id == id).cloned());
            now.or_else(|| before.cloned().flatten())
        });
        move || card_now.get().map(card)
    };
    view! { <ul class="c-board__cards"><For each=ids key=|id| *id let:id>{one(id)}</For></ul> }
}

/// The way to those that have no card here.
fn rest(pile: &Pile, filter: Memo<TaskFilter>) -> Option<impl IntoView + use<>> {
    let left = pile.tasks - pile.cards.len() as i64;
    let href = filter.with(|filter| {
        let priority = pile.priority.or(filter.priority);
        list_path(&TaskFilter { state: Some(pile.state), priority, ..without_place(filter) })
    });
    let what = pile.priority.map_or_else(|| state_label(pile.state).to_lowercase(), |lane| format!("{} in the queue", lane.name()));
    (left > 0 || pile.more).then(|| {
        view! {
            <a class="c-board__more" href=href>{count_text((left, pile.more))} " more" <span class="u-unseen">{format!("({what})")}</span></a>
        }
    })
}

/// `12`, or `1000+` where counting stopped.
fn count_text((tasks, more): (i64, bool)) -> String {
    if more { format!("{tasks}+") } else { tasks.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_says_when_it_stopped() {
        assert_eq!((count_text((12, false)), count_text((1000, true))), ("12".to_owned(), "1000+".to_owned()));
    }
}
