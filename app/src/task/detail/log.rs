//! The task's log: what is there when the page is asked for is rendered by the server, what comes after arrives as a stream that
//! goes on at the exact byte.

use std::{cell::RefCell, rc::Rc};

use domain::{LogChunk, TaskId, TaskStateName, TaskView};
use leptos::prelude::*;

use crate::{
    components::{
        Loading, LogView,
        log_view::{
            LogSink, LogStart, LogState,
            screen::{Screen, Taken},
        },
    },
    fetched::problem_view,
    page_json::{fetch, read},
    sse::{Stream, StreamOptions, StreamState},
    task::task_log,
};

/// Bytes of a log that a page begins with; what is before them is in the raw log.
const TAIL: i64 = 256 * 1024;

/// What the page begins with, from the pieces that the engine has.
pub fn start(from: i64, chunks: &[LogChunk]) -> LogStart {
    let (mut screen, mut lines) = (Screen::from_offset(from), vec![]);
    for chunk in chunks {
        screen.take(chunk, &mut lines);
    }
    LogStart::new(screen, &lines, from != 0)
}

#[component]
pub fn Log(id: TaskId, task: Signal<TaskView>) -> impl IntoView {
    let from = task.with_untracked(|task| (task.log_bytes - TAIL).max(0));
    let rendered = fetch(
        || (),
        move |()| async move {
            // A browser that comes from another page has nothing rendered, and gets all of it from the stream.
            if is_server() { task_log(id, from).await } else { Ok(start(from, &[])) }
        },
    );
    let empty = Signal::derive(move || task.with(|task| nothing_yet(task.summary.state.name(), task.log_bytes)));
    view! {
        <Suspense fallback=|| view! { <Loading lines=8 /> }>
            {move || {
                rendered
                    .get()
                    .map(|rendered| match rendered {
                        Ok(start) => view! { <LiveLog id=id start=start from=from empty=empty /> }.into_any(),
                        Err(problem) => problem_view(&problem).into_any(),
                    })
            }}
        </Suspense>
    }
}

fn nothing_yet(state: TaskStateName, bytes: i64) -> &'static str {
    match state {
        _ if bytes > 0 => "",
        TaskStateName::Blocked => "The log begins when the tasks it waits for have succeeded.",
        TaskStateName::Scheduled | TaskStateName::Queued => "The log begins when a runner takes the task.",
        TaskStateName::Running | TaskStateName::Verifying => "Nothing has been written yet.",
        _ => "Nothing was written.",
    }
}

#[component]
fn LiveLog(id: TaskId, start: LogStart, from: i64, empty: Signal<&'static str>) -> impl IntoView {
    let state = RwSignal::new(LogState::Quiet);
    let screen = start.screen.clone();
    let owner = Owner::current();
    let on_ready = move |sink: LogSink| {
        // Lines that a browser did not get with the page are asked for again.
        let screen = if sink.is_rendered() { screen.clone() } else { Screen::from_offset(from) };
        // The stream lives as long as this component. It is made here, in the browser: a server must not hold it.
        let Some(owner) = &owner else { return };
        owner.with(|| {
            let kept = StoredValue::new_local(None::<Stream>);
            kept.set_value(Some(follow(id, screen, sink, state, kept)));
            on_cleanup(move || act(kept, Stream::close));
        });
    };
    let download = format!("/api/v1/tasks/{id}/log?download=1");
    view! { <LogView start=start state=state download=download empty=empty on_ready=on_ready /> }
}

pub type Kept = StoredValue<Option<Stream>, LocalStorage>;

/// Opens the stream where the screen ends, and again there after every break.
fn follow(id: TaskId, screen: Screen, sink: LogSink, state: RwSignal<LogState>, kept: Kept) -> Stream {
    let screen = Rc::new(RefCell::new(screen));
    let here = screen.clone();
    let out = sink.clone();
    let on_log = move |data: String| {
        let Some(chunk) = read::<LogChunk>(&data) else { return };
        let mut lines = vec![];
        let taken = here.borrow_mut().take(&chunk, &mut lines);
        match taken {
            Taken::Whole => out.write(lines, here.borrow().open_lines()),
            Taken::Known => {}
            Taken::OutOfPlace => act(kept, Stream::reopen),
        }
    };
    let last = screen.clone();
    let on_end = move |_| {
        let mut lines = vec![];
        last.borrow_mut().finish(&mut lines);
        sink.write(lines, vec![]);
        state.try_set(LogState::Ended);
        act(kept, Stream::close);
    };
    let on_state = move |stream| {
        let now = match stream {
            StreamState::Open => LogState::Live,
            StreamState::Lost => LogState::Reconnecting,
            StreamState::Resting => LogState::Quiet,
        };
        if state.try_get_untracked() != Some(LogState::Ended) {
            state.try_set(now);
        }
    };
    Stream::open(StreamOptions {
        url: Box::new(move || format!("/api/v1/tasks/{id}/log?offset={}", screen.borrow().end())),
        events: vec![("log", Box::new(on_log)), ("end", Box::new(on_end))],
        on_state: Box::new(on_state),
    })
}

pub fn act(kept: Kept, act: impl FnOnce(&Stream)) {
    if let Some(Some(stream)) = kept.try_get_value() {
        act(&stream);
    }
}
