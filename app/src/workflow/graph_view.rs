//! A graph that can be moved and zoomed. Without scripts it can be scrolled; with them it is also dragged, and zoomed by buttons,
//! keys, or the wheel together with Ctrl, so that the wheel alone goes on scrolling the page.

use domain::workflow::Drawing;
use leptos::{
    ev::{KeyboardEvent, MouseEvent, PointerEvent, WheelEvent},
    html,
    prelude::*,
};
use leptos_router::hooks::use_navigate;
use wasm_bindgen::JsCast;

use super::graph::{Label, Mark, size, spoken, svg};

/// One press of a button or key.
const STEP: f64 = 1.25;
const SMALLEST: f64 = 0.1;
const LARGEST: f64 = 3.0;
/// Pixels that a pointer moves before it drags rather than clicks.
const DRAG_FROM: i32 = 4;

/// What is drawn, apart from how each node stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    pub drawing: Drawing,
    /// In the order of the drawing's nodes, as are the marks.
    pub labels: Vec<Label>,
}

#[component]
pub fn GraphView(shape: Memo<Shape>, marks: Memo<Vec<Mark>>) -> impl IntoView {
    let frame = NodeRef::<html::Div>::new();
    let scale = RwSignal::new(1.0_f64);
    let drag = Drag::new(frame);
    let navigate = use_navigate();
    let paper = move || {
        let html = shape.with(|shape| marks.with_untracked(|marks| svg(&shape.drawing, &shape.labels, marks)));
        view! { <div class="c-graph__paper" inner_html=html></div> }
    };
    Effect::new(move |before: Option<Vec<Mark>>| {
        let now = marks.get();
        if let (Some(frame), Some(before)) = (frame.get_untracked(), before) {
            shape.with_untracked(|shape| paint(&frame, &shape.labels, &before, &now));
        }
        now
    });
    Effect::new(move |_| {
        let (scale, (width, height)) = (scale.get(), shape.with(|shape| size(&shape.drawing)));
        let drawn = frame.get().and_then(|frame| frame.query_selector("svg").ok().flatten());
        if let Some(drawn) = drawn {
            _ = drawn.set_attribute("width", &format!("{:.0}", width as f64 * scale));
            _ = drawn.set_attribute("height", &format!("{:.0}", height as f64 * scale));
        }
    });
    let zoom = move |factor: f64| zoom(frame, scale, factor);
    let fit = move || {
        let Some(frame) = frame.get_untracked() else { return };
        let (width, height) = shape.with_untracked(|shape| size(&shape.drawing));
        let fits = f64::min(f64::from(frame.client_width()) / width as f64, f64::from(frame.client_height()) / height as f64);
        scale.set(fits.clamp(SMALLEST, 1.0));
    };
    let on_key = move |event: KeyboardEvent| {
        if event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        match event.key().as_str() {
            "+" | "=" => zoom(STEP),
            "-" => zoom(1.0 / STEP),
            "0" => fit(),
            _ => return,
        }
        event.prevent_default();
    };
    let on_wheel = move |event: WheelEvent| {
        if event.ctrl_key() || event.meta_key() {
            event.prevent_default();
            zoom(if event.delta_y() < 0.0 { STEP } else { 1.0 / STEP });
        }
    };
    // The router follows links of HTML only.
    let on_click = move |event: MouseEvent| {
        if drag.has_moved() {
            event.prevent_default();
            return;
        }
        let is_plain = event.button() == 0 && !event.ctrl_key() && !event.meta_key() && !event.shift_key() && !event.alt_key();
        let Some(href) = link_of(&event).filter(|href| is_plain && href.starts_with('/')) else { return };
        event.prevent_default();
        navigate(&href, Default::default());
    };
    view! {
        <div class="c-graph">
            <div
                class="c-graph__frame"
                node_ref=frame
                tabindex="0"
                role="region"
                aria-label="Graph of the steps"
                on:keydown=on_key
                on:wheel=on_wheel
                on:click=on_click
                on:pointerdown=move |event| drag.begin(&event)
                on:pointermove=move |event| drag.go_on(&event)
                on:pointerup=move |_| drag.end()
                on:pointerleave=move |_| drag.end()
                on:dragstart=move |event| event.prevent_default()
            >
                {paper}
            </div>
            <div class="c-graph__tools u-js">
                <button class="c-button c-button--quiet" type="button" title="Smaller (-)" on:click=move |_| zoom(1.0 / STEP)>
                    <span aria-hidden="true">"−"</span>
                    <span class="u-unseen">"Smaller"</span>
                </button>
                <button class="c-button c-button--quiet" type="button" title="All of it (0)" on:click=move |_| fit()>"Fit"</button>
                <button class="c-button c-button--quiet" type="button" title="Larger (+)" on:click=move |_| zoom(STEP)>
                    <span aria-hidden="true">"+"</span>
                    <span class="u-unseen">"Larger"</span>
                </button>
            </div>
        </div>
    }
}

/// What is in the middle stays there.
fn zoom(frame: NodeRef<html::Div>, scale: RwSignal<f64>, factor: f64) {
    let Some(frame) = frame.get_untracked() else { return };
    let before = scale.get_untracked();
    let after = (before * factor).clamp(SMALLEST, LARGEST);
    let half = (f64::from(frame.client_width()) / 2.0, f64::from(frame.client_height()) / 2.0);
    let middle = (f64::from(frame.scroll_left()) + half.0, f64::from(frame.scroll_top()) + half.1);
    scale.set(after);
    request_animation_frame(move || {
        frame.set_scroll_left((middle.0 * after / before - half.0) as i32);
        frame.set_scroll_top((middle.1 * after / before - half.1) as i32);
    });
}

/// Only the nodes whose state has changed are touched, so that what has the focus keeps it.
fn paint(frame: &web_sys::Element, labels: &[Label], before: &[Mark], now: &[Mark]) {
    let Ok(nodes) = frame.query_selector_all(".c-graph__node") else { return };
    for (index, (label, mark)) in labels.iter().zip(now).enumerate() {
        if before.get(index) == Some(mark) {
            continue;
        }
        let node = u32::try_from(index).ok().and_then(|index| nodes.item(index)?.dyn_into::<web_sys::Element>().ok());
        let Some(node) = node else { continue };
        _ = node.set_attribute("data-tone", mark.tone.name());
        _ = node.set_attribute("aria-label", &spoken(label, mark));
        if let Ok(Some(shape)) = node.query_selector(".c-graph__mark") {
            _ = shape.set_attribute("d", mark.shape.path());
        }
        if let Ok(Some(word)) = node.query_selector(".c-graph__word") {
            word.set_text_content(Some(&mark.word));
        }
    }
}

fn link_of(event: &MouseEvent) -> Option<String> {
    event.target()?.dyn_into::<web_sys::Element>().ok()?.closest("a").ok()??.get_attribute("href")
}

/// A mouse that pulls the paper along. Fingers scroll by themselves.
#[derive(Clone, Copy)]
struct Drag {
    frame: NodeRef<html::Div>,
    /// Where the pointer and the paper were.
    from: StoredValue<Option<(i32, i32, i32, i32)>>,
    moved: StoredValue<bool>,
}

impl Drag {
    fn new(frame: NodeRef<html::Div>) -> Self {
        Self { frame, from: StoredValue::new(None), moved: StoredValue::new(false) }
    }

    fn begin(self, event: &PointerEvent) {
        self.moved.set_value(false);
        let Some(frame) = self.frame.get_untracked() else { return };
        if event.pointer_type() == "mouse" && event.button() == 0 {
            self.from.set_value(Some((event.client_x(), event.client_y(), frame.scroll_left(), frame.scroll_top())));
        }
    }

    fn go_on(self, event: &PointerEvent) {
        let (Some(from), Some(frame)) = (self.from.get_value(), self.frame.get_untracked()) else { return };
        let by = (event.client_x() - from.0, event.client_y() - from.1);
        if by.0.abs().max(by.1.abs()) >= DRAG_FROM {
            self.moved.set_value(true);
        }
        if self.has_moved() {
            frame.set_scroll_left(from.2 - by.0);
            frame.set_scroll_top(from.3 - by.1);
        }
    }

    fn end(self) {
        self.from.set_value(None);
    }

    fn has_moved(self) -> bool {
        self.moved.get_value()
    }
}
