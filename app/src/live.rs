//! Live pages: one stream of events per tab, and resources that are fetched again when an event concerns them.
//!
//! An event is never merged into what a page shows; it only says "fetch again". After a break everything is fetched again, so
//! nothing depends on having seen every event.

use std::{sync::Arc, time::Duration};

use domain::Event;
use leptos::prelude::*;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    components::time::now,
    page_json::{Fetched, read},
    sse::{Stream, StreamOptions, StreamState},
};

/// Milliseconds between two fetches of the same resource, however many events come.
pub const PAUSE: i64 = 250;
/// How long a connection may be gone before the frame says so.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the subscribers are told.
enum News<'a> {
    Event(&'a Event),
    /// Something may have been missed.
    Everything,
}

type Subscriber = Arc<dyn Fn(&News) + Send + Sync>;

/// The tab's stream of events. Shared by the frame and the pages in it.
#[derive(Clone, Copy)]
pub struct Live {
    subscribers: StoredValue<Vec<(u32, Subscriber)>>,
    last_id: StoredValue<u32>,
    /// True when the connection has been gone for a while.
    lost: RwSignal<bool>,
}

/// Opens the stream once the page is alive. Called by the frame, which exists only for those who are signed in.
pub fn provide_live() -> Live {
    let live = Live { subscribers: StoredValue::new(vec![]), last_id: StoredValue::new(0), lost: RwSignal::new(false) };
    provide_context(live);
    // All of the stream is made in the effect: a server must not hold what only a browser's one thread may touch.
    Effect::new(move |_| {
        let stream = StoredValue::new_local(Stream::open(live.options()));
        on_cleanup(move || _ = stream.try_with_value(Stream::close));
    });
    live
}

impl Live {
    /// Whether what the page shows may be old because the server cannot be reached.
    pub fn is_lost(self) -> Signal<bool> {
        self.lost.into()
    }

    fn options(self) -> StreamOptions {
        let event = move |data: String| {
            if let Some(event) = read::<Event>(&data) {
                self.tell(&News::Event(&event));
            }
        };
        let is_open = StoredValue::new(false);
        let on_state = move |state| {
            is_open.try_set_value(state == StreamState::Open);
            match state {
                StreamState::Open => {
                    self.lost.try_set(false);
                    self.tell(&News::Everything);
                }
                StreamState::Resting => {}
                StreamState::Lost => set_timeout(
                    move || {
                        if is_open.try_get_value() == Some(false) {
                            self.lost.try_set(true);
                        }
                    },
                    PATIENCE,
                ),
            }
        };
        StreamOptions {
            url: Box::new(|| "/api/v1/events".to_owned()),
            events: vec![("event", Box::new(event)), ("resync", Box::new(move |_| self.tell(&News::Everything)))],
            on_state: Box::new(on_state),
        }
    }

    fn tell(self, news: &News) {
        let subscribers = self.subscribers.try_get_value().unwrap_or_default();
        for (_, subscriber) in subscribers {
            subscriber(news);
        }
    }

    fn subscribe(self, subscriber: Subscriber) {
        self.last_id.update_value(|id| *id += 1);
        let id = self.last_id.get_value();
        self.subscribers.update_value(|subscribers| subscribers.push((id, subscriber)));
        on_cleanup(move || {
            self.subscribers.try_update_value(|subscribers| subscribers.retain(|(other, _)| *other != id));
        });
    }
}

/// Fetches a resource again whenever an event matches: at once, then at most every [`PAUSE`] milliseconds.
pub fn use_live<T>(resource: Fetched<T>, matches: impl Fn(&Event) -> bool + Send + Sync + 'static)
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    use_live_every(resource, || PAUSE, matches);
}

/// Fetches a resource again every so often: for what changes without an event.
pub fn look_every<T>(resource: Fetched<T>, every: Duration)
where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    Effect::new(move || {
        if let Ok(look) = set_interval_with_handle(move || resource.refetch(), every) {
            on_cleanup(move || look.clear());
        }
    });
}

/// Looks again every so often for as long as something is so.
pub fn look_while(is_so: Memo<bool>, look: impl Fn() + Clone + 'static, every: Duration) {
    Effect::new(move || {
        if !is_so.get() {
            return;
        }
        if let Ok(looking) = set_interval_with_handle(look.clone(), every) {
            on_cleanup(move || looking.clear());
        }
    });
}

/// As [`use_live`], for what is so large that it should be asked for less often.
pub fn use_live_every<T>(
    resource: Fetched<T>,
    pause: impl Fn() -> i64 + Send + Sync + 'static,
    matches: impl Fn(&Event) -> bool + Send + Sync + 'static,
) where
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
{
    let Some(live) = use_context::<Live>() else { return };
    let last = StoredValue::new(0_i64);
    let waiting = StoredValue::new(false);
    let fetch = move || {
        waiting.try_set_value(false);
        if last.try_set_value(now()).is_none() {
            resource.refetch();
        }
    };
    let subscriber = move |news: &News| {
        let concerns = match news {
            News::Event(event) => matches(event),
            News::Everything => true,
        };
        if !concerns || waiting.try_get_value() != Some(false) {
            return;
        }
        let wait = pause() - (now() - last.get_value());
        if wait <= 0 {
            return fetch();
        }
        waiting.set_value(true);
        set_timeout(fetch, Duration::from_millis(wait.unsigned_abs()));
    };
    live.subscribe(Arc::new(subscriber));
}
