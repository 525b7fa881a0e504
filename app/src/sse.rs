//! One stream of server-sent events that comes back by itself. Browser only: open it from an effect.
//!
//! It asks for its address anew whenever it connects, so a reader says there where to go on from. While the tab is hidden it is
//! closed after a moment, because a browser gives a site only a few connections for all of its tabs.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
    time::Duration,
};

use leptos::{ev, prelude::*};
use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{EventSource, MessageEvent};

/// The wait before the first attempt to reconnect; it doubles up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(400);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// How long a tab may be hidden before its stream is closed.
const HIDDEN_FOR: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamState {
    Open,
    /// The connection is gone; it is being tried again.
    Lost,
    /// Closed on purpose until the tab is seen again.
    Resting,
}

/// What is done with the data of an event.
pub type Handler = Box<dyn Fn(String)>;

pub struct StreamOptions {
    pub url: Box<dyn Fn() -> String>,
    /// Names of events, and what to do with their data.
    pub events: Vec<(&'static str, Handler)>,
    pub on_state: Box<dyn Fn(StreamState)>,
}

/// Keeps a stream going; ends it when the last clone is dropped or [`close`](Self::close) is called.
#[derive(Clone)]
pub struct Stream(Rc<Inner>);

struct Inner {
    options: StreamOptions,
    source: RefCell<Option<Source>>,
    failures: Cell<u32>,
    timer: RefCell<Option<TimeoutHandle>>,
    visibility: RefCell<Option<WindowListenerHandle>>,
    closed: Cell<bool>,
}

/// An open connection with the callbacks that have to live as long.
struct Source {
    source: EventSource,
    _on_message: Vec<Closure<dyn Fn(MessageEvent)>>,
    _on_state: [Closure<dyn Fn()>; 2],
}

impl Drop for Source {
    fn drop(&mut self) {
        self.source.close();
    }
}

impl Stream {
    pub fn open(options: StreamOptions) -> Self {
        let inner = Rc::new(Inner {
            options,
            source: RefCell::default(),
            failures: Cell::new(0),
            timer: RefCell::default(),
            visibility: RefCell::default(),
            closed: Cell::new(false),
        });
        let weak = Rc::downgrade(&inner);
        let listener = window_event_listener(ev::visibilitychange, move |_| with(&weak, visibility_changed));
        *inner.visibility.borrow_mut() = Some(listener);
        if !document().hidden() {
            connect(&inner);
        }
        Self(inner)
    }

    /// Ends it for good.
    pub fn close(&self) {
        self.0.close();
    }

    /// Connects anew at once, with a new address.
    pub fn reopen(&self) {
        later(&self.0, Duration::ZERO);
    }
}

impl Inner {
    fn close(&self) {
        self.closed.set(true);
        self.forget_timer();
        if let Some(listener) = self.visibility.take() {
            listener.remove();
        }
        if let Some(source) = self.source.borrow().as_ref() {
            source.source.close();
        }
    }

    fn forget_timer(&self) {
        if let Some(timer) = self.timer.take() {
            timer.clear();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

fn with(weak: &Weak<Inner>, act: impl FnOnce(&Rc<Inner>)) {
    if let Some(inner) = weak.upgrade().filter(|inner| !inner.closed.get()) {
        act(&inner);
    }
}

fn connect(inner: &Rc<Inner>) {
    let Ok(source) = EventSource::new(&(inner.options.url)()) else { return };
    let on_message = inner.options.events.iter().enumerate().map(|(index, (name, _))| {
        let weak = Rc::downgrade(inner);
        let closure = Closure::<dyn Fn(MessageEvent)>::new(move |event: MessageEvent| {
            let Some(data) = event.data().as_string() else { return };
            with(&weak, |inner| {
                if let Some((_, act)) = inner.options.events.get(index) {
                    act(data);
                }
            });
        });
        _ = source.add_event_listener_with_callback(name, closure.as_ref().unchecked_ref());
        closure
    });
    let on_message = on_message.collect();
    let weak = Rc::downgrade(inner);
    let on_open = Closure::<dyn Fn()>::new(move || {
        with(&weak, |inner| {
            inner.failures.set(0);
            (inner.options.on_state)(StreamState::Open);
        });
    });
    let weak = Rc::downgrade(inner);
    let on_error = Closure::<dyn Fn()>::new(move || with(&weak, lost));
    source.set_onopen(Some(on_open.as_ref().unchecked_ref()));
    source.set_onerror(Some(on_error.as_ref().unchecked_ref()));
    *inner.source.borrow_mut() = Some(Source { source, _on_message: on_message, _on_state: [on_open, on_error] });
}

/// The connection broke or the server ended it. The browser would retry by itself, but with the old address.
fn lost(inner: &Rc<Inner>) {
    if let Some(source) = inner.source.borrow().as_ref() {
        source.source.close();
    }
    (inner.options.on_state)(StreamState::Lost);
    let failures = inner.failures.get();
    inner.failures.set(failures + 1);
    later(inner, (RETRY_MIN * (1 << failures.min(5))).min(RETRY_MAX));
}

fn later(inner: &Rc<Inner>, wait: Duration) {
    inner.forget_timer();
    let weak = Rc::downgrade(inner);
    let timer = set_timeout_with_handle(
        move || {
            with(&weak, |inner| {
                if !document().hidden() {
                    connect(inner)
                }
            })
        },
        wait,
    );
    *inner.timer.borrow_mut() = timer.ok();
}

fn visibility_changed(inner: &Rc<Inner>) {
    inner.forget_timer();
    if !document().hidden() {
        let is_open = inner.source.borrow().as_ref().is_some_and(|source| source.source.ready_state() == EventSource::OPEN);
        if !is_open {
            connect(inner);
        }
        return;
    }
    let weak = Rc::downgrade(inner);
    let rest = move || {
        with(&weak, |inner| {
            if let Some(source) = inner.source.borrow().as_ref() {
                source.source.close();
            }
            (inner.options.on_state)(StreamState::Resting);
        });
    };
    *inner.timer.borrow_mut() = set_timeout_with_handle(rest, HIDDEN_FOR).ok();
}
