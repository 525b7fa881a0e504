//! A terminal's output, live.
//!
//! Lines are built as HTML (escaped, see [`screen::line_html`]) in blocks, by the server for what is there when the page is asked
//! for and by the browser for what comes after; no view is made per line, so a long log stays quick. The newest
//! [`LINES_SHOWN`] lines are kept on the page, the rest is in the raw log.

pub mod ansi;
pub mod screen;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use leptos::{html, prelude::*};
use serde::{Deserialize, Serialize};

use super::{
    copy_button::copy,
    icon::{Icon, icon},
};
use screen::{Line, Screen, line_html};

/// Lines on the page at most.
pub const LINES_SHOWN: usize = 5000;
/// Lines of one block, the unit in which old ones are taken away.
const BLOCK: u32 = 250;
/// Pixels from the end within which a reader counts as being at the end.
const NEAR_END: i32 = 40;

/// What the server rendered, and where it stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogStart {
    pub screen: Screen,
    /// The first lines are not on the page.
    begins_later: bool,
    /// Stays behind: it is in the page already.
    #[serde(skip)]
    html: String,
    #[serde(skip)]
    open_html: String,
}

impl LogStart {
    /// The newest lines of these, with what has begun. `begins_later` when there were others before them.
    pub fn new(screen: Screen, lines: &[Line], begins_later: bool) -> Self {
        let left_out = lines.len().saturating_sub(LINES_SHOWN);
        let lines = &lines[left_out..];
        let mut html = String::new();
        for block in lines.chunks(BLOCK as usize) {
            html.push_str("<div class=\"c-log__block\">");
            block.iter().for_each(|line| line_html(line, &mut html));
            html.push_str("</div>");
        }
        let open_html = lines_html(&screen.open_lines());
        Self { screen, begins_later: begins_later || left_out > 0, html, open_html }
    }
}

/// How the stream behind a log stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogState {
    #[default]
    Quiet,
    Live,
    Reconnecting,
    Ended,
}

impl LogState {
    pub fn text(self) -> &'static str {
        match self {
            Self::Quiet => "Log",
            Self::Live => "Live",
            Self::Reconnecting => "Reconnecting",
            Self::Ended => "Complete",
        }
    }
}

/// `on_ready` is called in the browser once the page is alive, with the place to write lines to.
#[component]
pub fn LogView(
    start: LogStart,
    #[prop(into)] state: Signal<LogState>,
    /// Where the whole log can be fetched as a file.
    #[prop(into)]
    download: String,
    /// What is said while there is no line.
    #[prop(into)]
    empty: Signal<&'static str>,
    on_ready: impl Fn(LogSink) + 'static,
) -> impl IntoView {
    let scroller = NodeRef::<html::Div>::new();
    let lines = NodeRef::<html::Div>::new();
    let open = NodeRef::<html::Div>::new();
    let following = RwSignal::new(true);
    let wraps = RwSignal::new(true);
    let cut = RwSignal::new(start.begins_later);

    Effect::new(move |ready: Option<bool>| {
        if ready == Some(true) {
            return true;
        }
        let (Some(scroller), Some(lines), Some(open)) = (scroller.get(), lines.get(), open.get()) else { return false };
        let sink = LogSink::new(scroller.into(), lines.into(), open.into(), following, cut);
        sink.to_end();
        on_ready(sink);
        true
    });

    let to_end = move || {
        if let Some(scroller) = scroller.get_untracked() {
            scroller.set_scroll_top(scroller.scroll_height());
        }
    };
    let on_scroll = move |_| {
        let Some(scroller) = scroller.get_untracked() else { return };
        let at_end = scroller.scroll_height() - scroller.scroll_top() - scroller.client_height() < NEAR_END;
        if following.get_untracked() != at_end {
            following.set(at_end);
        }
    };
    let follow = move |_| {
        following.update(|following| *following = !*following);
        if following.get_untracked() {
            to_end();
        }
    };
    let copy_all = move |_| {
        if let Some(lines) = lines.get_untracked() {
            copy(&text_of(&lines));
        }
    };

    view! {
        <section class="c-log" aria-label="Log">
            <div class="c-log__bar">
                <span class="c-log__state" data-state=move || state.get().text() role="status">{move || state.get().text()}</span>
                <span class="c-log__hint u-no-js">"Reload the page for newer lines."</span>
                <span class="c-log__tools">
                    <button class="c-button c-button--quiet u-js" type="button" aria-pressed=move || following.get().to_string() on:click=follow>
                        {move || if following.get() { icon(Icon::Pause).into_any() } else { icon(Icon::Play).into_any() }}
                        <span class="c-button__text">{move || if following.get() { "Pause" } else { "Follow" }}</span>
                    </button>
                    <button
                        class="c-button c-button--quiet u-js"
                        type="button"
                        aria-pressed=move || wraps.get().to_string()
                        on:click=move |_| wraps.update(|wraps| *wraps = !*wraps)
                    >
                        {icon(Icon::Wrap)}
                        <span class="c-button__text">"Wrap"</span>
                    </button>
                    <button class="c-button c-button--quiet u-js" type="button" on:click=copy_all>
                        {icon(Icon::Copy)}
                        <span class="c-button__text">"Copy"</span>
                    </button>
                    <a class="c-button c-button--quiet" href=download.clone() rel="external" download>
                        {icon(Icon::Download)}
                        <span class="c-button__text">"Raw"</span>
                    </a>
                </span>
            </div>
            <div
                class=move || if wraps.get() { "c-log__scroll" } else { "c-log__scroll c-log__scroll--unwrapped" }
                node_ref=scroller
                tabindex="0"
                role="log"
                aria-live="off"
                aria-label="Output"
                on:scroll=on_scroll
            >
                <p class="c-log__cut" hidden=move || !cut.get()>
                    "Earlier lines are left out here. "
                    <a href=download rel="external" download>"The raw log"</a>
                    " has all of them."
                </p>
                <div class="c-log__lines" node_ref=lines inner_html=start.html></div>
                <div class="c-log__open" node_ref=open inner_html=start.open_html></div>
                <p class="c-log__empty">{move || Some(empty.get()).filter(|text| !text.is_empty())}</p>
            </div>
            <button
                class="c-button c-log__jump u-js"
                type="button"
                hidden=move || following.get()
                on:click=move |_| {
                    following.set(true);
                    to_end();
                }
            >
                {icon(Icon::ArrowDown)}
                <span class="c-button__text">"Jump to the end"</span>
            </button>
        </section>
    }
}

/// The lines as they were written. Not `innerText`, which leaves out what is not laid out.
fn text_of(lines: &web_sys::Element) -> String {
    let Ok(found) = lines.query_selector_all(".c-log__line") else { return String::new() };
    let texts = (0..found.length()).filter_map(|index| found.item(index)?.text_content());
    texts.collect::<Vec<_>>().join("\n")
}

fn lines_html(lines: &[Line]) -> String {
    let mut html = String::new();
    lines.iter().for_each(|line| line_html(line, &mut html));
    html
}

/// Where new lines go. Lines are gathered and painted once a frame.
#[derive(Clone)]
pub struct LogSink(Rc<Paper>);

struct Paper {
    scroller: web_sys::Element,
    lines: web_sys::Element,
    open: web_sys::Element,
    following: RwSignal<bool>,
    cut: RwSignal<bool>,
    waiting: RefCell<Vec<Line>>,
    waiting_open: RefCell<Option<Vec<Line>>>,
    asked_for_frame: Cell<bool>,
}

impl LogSink {
    fn new(
        scroller: web_sys::Element,
        lines: web_sys::Element,
        open: web_sys::Element,
        following: RwSignal<bool>,
        cut: RwSignal<bool>,
    ) -> Self {
        let (waiting, waiting_open) = (RefCell::default(), RefCell::default());
        Self(Rc::new(Paper { scroller, lines, open, following, cut, waiting, waiting_open, asked_for_frame: Cell::new(false) }))
    }

    /// Whether the server's lines are on the page, so that there is something to go on from.
    pub fn is_rendered(&self) -> bool {
        self.0.lines.child_element_count() > 0 || self.0.open.child_element_count() > 0
    }

    /// Adds complete lines and shows those that have begun.
    pub fn write(&self, lines: Vec<Line>, open: Vec<Line>) {
        self.0.waiting.borrow_mut().extend(lines);
        *self.0.waiting_open.borrow_mut() = Some(open);
        if self.0.asked_for_frame.replace(true) {
            return;
        }
        let sink = self.clone();
        request_animation_frame(move || sink.paint());
    }

    fn paint(&self) {
        let paper = &self.0;
        paper.asked_for_frame.set(false);
        for line in paper.waiting.take().chunks(BLOCK as usize) {
            self.add(line);
        }
        if let Some(open) = paper.waiting_open.take() {
            paper.open.set_inner_html(&lines_html(&open));
        }
        if paper.following.try_get_untracked().unwrap_or(false) {
            self.drop_oldest();
            self.to_end();
        }
    }

    /// Into the last block while it has room, else into a new one.
    fn add(&self, lines: &[Line]) {
        let lines_element = &self.0.lines;
        let block = match lines_element.last_element_child() {
            Some(last) if last.child_element_count() < BLOCK => last,
            _ => {
                let Ok(new) = document().create_element("div") else { return };
                new.set_class_name("c-log__block");
                _ = lines_element.append_child(&new);
                new
            }
        };
        _ = block.insert_adjacent_html("beforeend", &lines_html(lines));
    }

    fn drop_oldest(&self) {
        let most = LINES_SHOWN as u32 / BLOCK;
        while self.0.lines.child_element_count() > most {
            let Some(oldest) = self.0.lines.first_element_child() else { return };
            oldest.remove();
            self.0.cut.try_set(true);
        }
    }

    fn to_end(&self) {
        self.0.scroller.set_scroll_top(self.0.scroller.scroll_height());
    }
}

/// A text that a program printed, whole, as the inside of a `<pre>`.
pub fn output_html(text: &str) -> String {
    let (mut html, mut style) = (String::new(), ansi::Style::default());
    for line in text.trim_end().split('\n') {
        let (spans, end) = ansi::parse_line(line, style);
        style = end;
        screen::spans_html(&spans, &mut html);
        html.push('\n');
    }
    html
}

#[cfg(test)]
mod tests {
    use domain::{LogChunk, LogStream};

    use super::*;

    #[test]
    fn of_a_long_log_the_newest_lines_are_on_the_page() {
        let text: String = (1..=LINES_SHOWN + 10).map(|number| format!("row {number}\n")).collect();
        let (mut screen, mut lines) = (Screen::from_offset(0), vec![]);
        screen.take(&LogChunk { offset: 0, end: text.len() as i64, attempt: 1, stream: LogStream::Stdout, text }, &mut lines);
        let start = LogStart::new(screen, &lines, false);
        assert!(start.begins_later);
        assert_eq!(start.html.matches("c-log__line").count(), LINES_SHOWN);
        assert!(start.html.ends_with(&format!("row {}</div></div>", LINES_SHOWN + 10)));
        let few = LogStart::new(Screen::from_offset(0), &lines[..10], false);
        assert!(!few.begins_later);
    }

    #[test]
    fn what_a_check_printed_keeps_its_colours_over_lines() {
        assert_eq!(
            output_html("\x1b[32mok\nstill <green>\x1b[0m\nplain\n\n"),
            concat!("<span class=\"f2 \">ok</span>\n", "<span class=\"f2 \">still &lt;green&gt;</span>\n", "plain\n",)
        );
    }
}
