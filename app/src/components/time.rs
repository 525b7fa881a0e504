//! Moments and spans of time.
//!
//! The server knows neither the reader's clock nor their zone, so it writes moments in UTC; once the page is alive they become
//! "3 min ago" and keep up with the clock. One clock ticks for the whole page.

use std::time::Duration;

use chrono::{DateTime, Datelike, TimeDelta, Timelike, Utc};
use leptos::prelude::*;

/// The reader's clock in milliseconds since 1970; nothing on the server and until the page is alive.
#[derive(Clone, Copy)]
struct Clock(RwSignal<Option<i64>>);

/// Starts the page's clock. Called once, at the root.
pub fn provide_clock() {
    let clock = Clock(RwSignal::new(None));
    provide_context(clock);
    Effect::new(move |_| {
        let tick = move || {
            clock.0.try_set(Some(now()));
        };
        tick();
        set_interval(tick, Duration::from_secs(1));
    });
}

/// The browser's clock, in milliseconds since 1970.
pub fn now() -> i64 {
    js_sys::Date::now() as i64
}

/// The reader's clock, every second; nothing on the server and until the page is alive.
pub fn clock() -> Signal<Option<i64>> {
    use_context::<Clock>().map(|clock| clock.0.into()).unwrap_or_default()
}

/// A moment. Its exact time is in the tool tip.
#[component]
pub fn Time(at: DateTime<Utc>) -> impl IntoView {
    let clock = clock();
    let text = move || match clock.get() {
        Some(now) => relative(at.timestamp_millis() - now),
        None => short(at),
    };
    view! { <time class="c-time" datetime=iso(at) title=exact(at)>{text}</time> }
}

/// A moment to the second, in the reader's zone: for moments that are told apart from each other rather than from now.
#[component]
pub fn TimeOfDay(at: DateTime<Utc>) -> impl IntoView {
    let clock = clock();
    let is_alive = Memo::new(move |_| clock.get().is_some());
    let text = move || {
        if !is_alive.get() {
            return of_day(at);
        }
        // Minutes that the reader's clock is behind UTC, at that moment.
        let behind = js_sys::Date::new(&(at.timestamp_millis() as f64).into()).get_timezone_offset();
        of_day(at - TimeDelta::minutes(behind as i64))
    };
    view! { <time class="c-time" datetime=iso(at) title=exact(at)>{text}</time> }
}

/// How long something took, or has taken so far.
#[component]
pub fn Elapsed(from: DateTime<Utc>, #[prop(into)] to: Option<DateTime<Utc>>) -> impl IntoView {
    let clock = clock();
    let text = move || match (to, clock.get()) {
        (Some(to), _) => span((to - from).num_milliseconds()),
        (None, Some(now)) => span(now - from.timestamp_millis()),
        (None, None) => "…".to_owned(),
    };
    view! { <span class="c-time">{text}</span> }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `20 Nov, 12:19`: short enough for a column.
fn short(at: DateTime<Utc>) -> String {
    let month = MONTHS.get(at.month0() as usize).copied().unwrap_or_default();
    format!("{} {month}, {:02}:{:02}", at.day(), at.hour(), at.minute())
}

/// `20 Nov, 12:19:03`
fn of_day(at: DateTime<Utc>) -> String {
    format!("{}:{:02}", short(at), at.second())
}

/// `2026-11-20 12:19:03 UTC`
pub fn exact(at: DateTime<Utc>) -> String {
    format!("{:04}-{:02}-{:02} {:02}:{:02}:{:02} UTC", at.year(), at.month(), at.day(), at.hour(), at.minute(), at.second())
}

fn iso(at: DateTime<Utc>) -> String {
    format!("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", at.year(), at.month(), at.day(), at.hour(), at.minute(), at.second())
}

/// A moment seen from now: `3 min ago`, `in 20 s`.
fn relative(milliseconds: i64) -> String {
    let seconds = milliseconds.abs() / 1000;
    let amount = match seconds {
        0..5 => return "just now".to_owned(),
        5..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    };
    if milliseconds < 0 { format!("{amount} ago") } else { format!("in {amount}") }
}

/// A span: `840 ms`, `4.2 s`, `3 min 20 s`, `2 h 5 min`.
pub fn span(milliseconds: i64) -> String {
    let milliseconds = milliseconds.max(0);
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds} ms"),
        1..10 => format!("{seconds}.{} s", milliseconds % 1000 / 100),
        10..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_told_from_now() {
        let told = |seconds: i64| relative(seconds * 1000);
        assert_eq!(told(0), "just now");
        assert_eq!(told(-4), "just now");
        assert_eq!(told(-59), "59 s ago");
        assert_eq!(told(-60), "1 min ago");
        assert_eq!(told(-7200), "2 h ago");
        assert_eq!(told(-200_000), "2 d ago");
        assert_eq!(told(20), "in 20 s");
    }

    #[test]
    fn spans_are_as_exact_as_people_need() {
        assert_eq!(span(-5), "0 ms");
        assert_eq!(span(840), "840 ms");
        assert_eq!(span(4_250), "4.2 s");
        assert_eq!(span(59_999), "59 s");
        assert_eq!(span(200_000), "3 min 20 s");
        assert_eq!(span(7_500_000), "2 h 5 min");
        assert_eq!(span(200_000_000), "2 d 7 h");
    }

    #[test]
    fn the_server_writes_utc() {
        assert_eq!(short(DateTime::UNIX_EPOCH), "1 Jan, 00:00");
        assert_eq!(of_day(DateTime::UNIX_EPOCH), "1 Jan, 00:00:00");
        assert_eq!(exact(DateTime::UNIX_EPOCH), "1970-01-01 00:00:00 UTC");
        assert_eq!(iso(DateTime::UNIX_EPOCH), "1970-01-01T00:00:00Z");
    }
}
