//! When each step of a run worked, as bars over one span of time. SVG built as text; the table of steps says the same in words.

use std::fmt::Write as _;

use domain::{
    Timestamp,
    workflow::{RunStep, RunView},
};
use leptos::prelude::*;

use super::state_badge::step_look;
use crate::components::{
    html::escape_into,
    time::{clock, span},
};

/// Pixels from one bar to the next, with and without its name.
const ROW: usize = 30;
const DENSE_ROW: usize = 7;
/// Bars that have room for their names.
const NAMED: usize = 100;
/// Above the bars, for the times.
const HEAD: usize = 22;
/// Milliseconds between two looks at the clock while something runs.
const EVERY: i64 = 5000;
/// So wide is a bar at least, in per cent, so that it is seen.
const NARROWEST: f64 = 0.4;

#[component]
pub fn Bars(run: Signal<RunView>) -> impl IntoView {
    let clock = clock();
    let now = Memo::new(move |_| {
        let is_over = run.with(|run| run.summary.ended_at.is_some());
        if is_over { None } else { clock.get().map(|now| now - now % EVERY) }
    });
    let svg = Memo::new(move |_| run.with(|run| svg(run, now.get())));
    let is_empty = Memo::new(move |_| run.with(|run| run.steps.iter().all(|step| step.started_at.is_none())));
    view! {
        <section class="l-part" aria-labelledby="timeline">
            <h2 class="l-part__title" id="timeline">"Timeline"</h2>
            {move || is_empty.get().then(|| view! { <p class="u-quiet">"Nothing has begun yet."</p> })}
            <div class="c-bars" role="img" aria-label="When each step worked; the table of steps says the same" inner_html=svg></div>
        </section>
    }
}

/// From the beginning of the run to its end, to `now`, or to the last that is known.
fn svg(run: &RunView, now: Option<i64>) -> String {
    let mut steps: Vec<(i64, &RunStep)> =
        run.steps.iter().filter_map(|step| step.started_at.map(|start| (start.timestamp_millis(), step))).collect();
    if steps.is_empty() {
        return String::new();
    }
    steps.sort_by_key(|(start, _)| *start);
    // what is taken over from an earlier run was before the beginning
    let begin = run.summary.created_at.timestamp_millis().min(steps[0].0);
    let known = steps.iter().flat_map(|(start, step)| [Some(*start), step.ended_at.map(|end| end.timestamp_millis())]).flatten().max();
    let end = run.summary.ended_at.map(|end: Timestamp| end.timestamp_millis()).max(known).max(now).unwrap_or(begin).max(begin + 1);
    let row = if steps.len() > NAMED { DENSE_ROW } else { ROW };
    let height = HEAD + steps.len() * row + 6;
    let mut svg = String::with_capacity(steps.len() * 300);
    _ = write!(svg, "<svg class=\"c-bars__svg\" width=\"100%\" height=\"{height}\">");
    axis(end - begin, height, &mut svg);
    for (index, (start, step)) in steps.into_iter().enumerate() {
        let place = Place { y: HEAD + index * row, from: start - begin, all: end - begin };
        bar(step, start, end, &place, row == ROW, &mut svg);
    }
    svg.push_str("</svg>");
    svg
}

/// Four parts of the whole, each with its time.
fn axis(all: i64, height: usize, svg: &mut String) {
    for (part, anchor) in [(0, "start"), (1, "middle"), (2, "middle"), (3, "middle"), (4, "end")] {
        let x = part * 25;
        _ = write!(svg, "<line class=\"c-bars__line\" x1=\"{x}%\" x2=\"{x}%\" y1=\"{HEAD}\" y2=\"{height}\"/>");
        _ = write!(svg, "<text class=\"c-bars__time\" x=\"{x}%\" y=\"12\" text-anchor=\"{anchor}\">{}</text>", span(all * part / 4));
    }
}

/// Where a bar begins.
struct Place {
    y: usize,
    from: i64,
    all: i64,
}

fn bar(step: &RunStep, start: i64, end: i64, place: &Place, is_named: bool, svg: &mut String) {
    let ended = step.ended_at.map(|end| end.timestamp_millis());
    let took = ended.unwrap_or(end) - start;
    let percent = |time: i64| time as f64 / place.all as f64 * 100.0;
    let width = percent(took).max(NARROWEST);
    let x = percent(place.from).min(100.0 - width).max(0.0);
    let (tone, _, word) = step_look(step);
    let (top, thick) = if is_named { (place.y + 16, 9) } else { (place.y, DENSE_ROW - 2) };
    if is_named {
        // a name that would run out at the end stands before it
        let (x, anchor) = if x > 40.0 { (100.0, "end") } else { (x, "start") };
        _ = write!(svg, "<text class=\"c-bars__name\" x=\"{x:.2}%\" y=\"{}\" text-anchor=\"{anchor}\">", place.y + 12);
        escape_into(svg, &step.title);
        svg.push_str("</text>");
    }
    _ = write!(
        svg,
        "<rect class=\"c-bars__bar\" data-tone=\"{}\" x=\"{x:.2}%\" y=\"{top}\" width=\"{width:.2}%\" height=\"{thick}\" rx=\"2\"><title>",
        tone.name()
    );
    escape_into(svg, &step.title);
    let took = ended.map(|_| format!(", {}", span(took))).unwrap_or_default();
    _ = write!(svg, ": {word}{took}</title></rect>");
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use domain::workflow::{RunCounts, RunState, RunSummary};

    use super::*;
    use crate::workflow::run::tree::tests::step;

    #[test]
    fn bars_lie_where_their_steps_worked() {
        let at = |seconds: i64| Timestamp::UNIX_EPOCH + TimeDelta::seconds(seconds);
        let id = "0190a2b4-7d34-7c11-8a52-0123456789ab";
        let summary = RunSummary {
            id: id.parse().unwrap(),
            workflow: "x".into(),
            version: 1,
            title: "x".into(),
            state: RunState::Running,
            counts: RunCounts::default(),
            paused_by: None,
            created_at: at(0),
            ended_at: None,
        };
        let first = RunStep { title: "<b>".into(), started_at: Some(at(10)), ended_at: Some(at(20)), ..step("a", None) };
        let second = RunStep { started_at: Some(at(20)), ..step("b", None) };
        let steps = vec![second, step("c", None), first];
        let run = RunView {
            summary,
            parameters: Default::default(),
            repository: "/srv/app".into(),
            created_by: "Ada".into(),
            restart_of: None,
            changes: vec![],
            steps,
            drawing: Default::default(),
        };
        let svg = svg(&run, Some(40_000));
        assert!(svg.contains("x=\"25.00%\" y=\"38\" width=\"25.00%\"") && svg.contains("x=\"50.00%\" y=\"68\" width=\"50.00%\""), "{svg}");
        assert!(svg.contains("&lt;b&gt;: Succeeded, 10 s") && !svg.contains("<b>"), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 2);
        assert!(svg.contains(">40 s</text>"), "{svg}");
    }
}
