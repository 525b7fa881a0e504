//! What moved in the last hour, minute by minute. SVG built as text; the table beside it says the same in words.

use std::fmt::Write as _;

use domain::queue::Minute;
use leptos::prelude::*;

use crate::components::Time;

/// Pixels of one minute, in which two bars stand side by side.
const MINUTE: usize = 12;
const BAR: usize = 5;
/// Pixels of the highest bar.
const HEIGHT: usize = 120;
/// So high is a bar at least, so that one of many is seen.
const LOWEST: usize = 2;
/// Minutes of one row of the table.
const ROW: usize = 10;

pub fn chart(minutes: &[Minute]) -> impl IntoView + use<> {
    let (started, ended) = sums(minutes);
    let about = format!("Minute by minute: {started} attempts started and {ended} tasks ended in the last hour; the table says the same");
    view! {
        <figure class="c-chart">
            <figcaption class="c-chart__legend">
                <span class="c-chart__key" data-series="started">"Attempts started"</span>
                <span class="c-chart__key" data-series="ended">"Tasks ended"</span>
                <span class="c-chart__most">{format!("at most {} a minute", most(minutes))}</span>
            </figcaption>
            <div role="img" aria-label=about inner_html=svg(minutes)></div>
            <div class="c-chart__times" aria-hidden="true"><span>"an hour ago"</span> <span>"half an hour ago"</span> <span>"now"</span></div>
        </figure>
    }
}

fn most(minutes: &[Minute]) -> i64 {
    minutes.iter().map(|minute| minute.started.max(minute.ended)).max().unwrap_or(0)
}

fn sums(minutes: &[Minute]) -> (i64, i64) {
    minutes.iter().fold((0, 0), |(started, ended), minute| (started + minute.started, ended + minute.ended))
}

fn svg(minutes: &[Minute]) -> String {
    let (most, width) = (most(minutes), minutes.len() * MINUTE);
    let mut svg = String::with_capacity(8000);
    _ = write!(svg, "<svg class=\"c-chart__svg\" viewBox=\"0 0 {width} {HEIGHT}\" preserveAspectRatio=\"none\">");
    for (index, minute) in minutes.iter().enumerate() {
        for (place, (series, count)) in [("started", minute.started), ("ended", minute.ended)].into_iter().enumerate() {
            let height = bar_height(count, most);
            if height > 0 {
                let (x, y) = (index * MINUTE + 1 + place * BAR, HEIGHT - height);
                _ = write!(
                    svg,
                    "<rect class=\"c-chart__bar\" data-series=\"{series}\" x=\"{x}\" y=\"{y}\" width=\"{BAR}\" height=\"{height}\"/>"
                );
            }
        }
    }
    svg.push_str("</svg>");
    svg
}

fn bar_height(count: i64, most: i64) -> usize {
    if count <= 0 || most <= 0 {
        return 0;
    }
    usize::try_from(count.saturating_mul(HEIGHT as i64) / most).unwrap_or(HEIGHT).clamp(LOWEST, HEIGHT)
}

/// The same by ten minutes, the newest first.
pub fn table(minutes: &[Minute]) -> impl IntoView + use<> {
    let rows: Vec<_> = minutes
        .chunks(ROW)
        .rev()
        .filter_map(|minutes| {
            let (started, ended) = sums(minutes);
            let at = minutes.first()?.at;
            Some(view! { <tr><th scope="row"><Time at=at /></th><td>{started}</td><td>{ended}</td></tr> })
        })
        .collect();
    view! {
        <table class="c-chart__table">
            <caption class="u-unseen">"What moved in the last hour, by ten minutes"</caption>
            <thead><tr><th scope="col">"Ten minutes from"</th><th scope="col">"Started"</th><th scope="col">"Ended"</th></tr></thead>
            <tbody>{rows}</tbody>
        </table>
    }
}

#[cfg(test)]
mod tests {
    use domain::queue::{first_minute, minutes_from};

    use super::*;

    #[test]
    fn every_minute_that_moved_has_its_bar() {
        let now = chrono::DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let minutes: Vec<_> = minutes_from(first_minute(now))
            .enumerate()
            .map(|(index, at)| Minute { at, started: if index == 3 { 500 } else { 0 }, ended: i64::from(index == 59) })
            .collect();
        let svg = svg(&minutes);
        assert_eq!(svg.matches("data-series=\"started\"").count(), 1);
        assert!(svg.contains("x=\"37\" y=\"0\" width=\"5\" height=\"120\""), "the highest reaches the top: {svg}");
        assert!(svg.contains("x=\"714\" y=\"118\" width=\"5\" height=\"2\""), "one of 500 is seen: {svg}");
        assert_eq!(most(&minutes), 500);
        assert_eq!(sums(&minutes), (500, 1));
    }
}
