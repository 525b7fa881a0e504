//! Of a group of candidates: which one was taken, by whom, and why.

use domain::{TaskView, Work, task::Group};
use leptos::prelude::*;
use serde_json::Value;

use crate::{
    components::{Notice, Tone},
    text::capitalised,
};

/// Nothing before the choice, and for any other task.
pub fn chosen(task: &TaskView) -> Option<impl IntoView + use<>> {
    let Work::Group(Group::Candidates { .. }) = &task.work else { return None };
    let output = task.output.as_ref()?;
    let winner = output.get("winner")?.as_u64()?;
    let text = |name: &str| output.get(name).and_then(Value::as_str).map(str::to_owned);
    let why = text("why").map(|why| format!("{}.", capitalised(why.trim_end_matches('.'))));
    let candidate = text("task").map(|task| format!("/tasks/{task}"));
    let judge = text("judge").map(|task| format!("/tasks/{task}"));
    let by = who(text("by").as_deref().unwrap_or_default());
    Some(view! {
        <Notice tone=Tone::Good title=format!("Candidate {winner} was chosen{by}")>
            <p class="p-task__message">{why}</p>
            <p>
                {candidate.map(|href| view! { <a href=href>"See the candidate"</a> })}
                {judge.map(|href| view! { " · " <a href=href>"See the judge"</a> })}
            </p>
        </Notice>
    })
}

fn who(by: &str) -> &'static str {
    match by {
        "judge" => " by the judge",
        "score" => " by its score",
        "otherwise" => ", as the judge gave no answer",
        _ => "",
    }
}
