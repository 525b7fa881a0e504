//! What a runner has read of its machine: a bar for each part, the same in words, and how old that is.

use domain::runner::{
    RunnerDetail, RunnerReading,
    reading::{Part, STALE_AFTER_SECONDS},
};
use leptos::prelude::*;

use crate::components::{Badge, Empty, Icon, Notice, Time, Tone};

/// On the runner's own page.
pub(super) fn machine_part(runner: Signal<RunnerDetail>) -> impl IntoView {
    let reading = Memo::new(move |_| runner.with(|detail| detail.runner.reading.clone()));
    view! {
        <section class="l-part" aria-labelledby="machine">
            <h2 class="l-part__title" id="machine">"Machine"</h2>
            {move || match reading.get() {
                Some(reading) => whole(&reading).into_any(),
                None => view! {
                    <Empty title="No reading" shape=Icon::Machine>
                        <p>"A runner tells every ten seconds how its machine is. This one never has; one of an earlier version does not."</p>
                    </Empty>
                }
                .into_any(),
            }}
        </section>
    }
}

fn whole(reading: &RunnerReading) -> impl IntoView + use<> {
    let at = reading.at;
    let stale = reading.is_stale.then(|| {
        view! {
            <Notice tone=Tone::Warn title="Stale">
                <p>{format!("Nothing newer has come for more than {STALE_AFTER_SECONDS} s: this is how the machine was.")}</p>
            </Notice>
        }
    });
    let slots = reading.host.slots.map(|slots| format!(", with {} of its {} slots in use", slots.used, slots.total));
    view! {
        {stale}
        <dl class="c-gauges">{reading.host.parts().into_iter().map(gauge).collect_view()}</dl>
        <p class="u-quiet">"Read " <Time at=at /> {slots} "."</p>
    }
}

/// In a cell of the list.
pub(super) fn machine_cell(reading: Option<&RunnerReading>) -> AnyView {
    let Some(reading) = reading else { return view! { <span class="u-quiet">"no reading"</span> }.into_any() };
    let parts = reading.host.parts_in_short().into_iter().map(|part| {
        let words = match part.percent {
            Some(percent) => format!("{percent} %"),
            None => part.words,
        };
        gauge(Part { words, ..part })
    });
    let at = reading.at;
    let age = match reading.is_stale {
        true => view! { <Badge tone=Tone::Warn shape=Icon::Clock text="Stale" /> " " <Time at=at /> }.into_any(),
        false => view! { <span class="u-quiet">"read " <Time at=at /></span> }.into_any(),
    };
    view! { <dl class="c-gauges c-gauges--small">{parts.collect_view()}</dl> {age} }.into_any()
}

fn gauge(part: Part) -> impl IntoView {
    let Part { name, percent, words } = part;
    let name = name.into_owned();
    let bar = percent.map(|percent| {
        let label = format!("{name}: {percent} %");
        view! { <meter class="c-meter" min="0" max="100" value=percent aria-label=label></meter> }
    });
    view! {
        <div class="c-gauges__gauge">
            <dt>{name}</dt>
            <dd>{bar} <span class="c-gauges__words">{words}</span></dd>
        </div>
    }
}
