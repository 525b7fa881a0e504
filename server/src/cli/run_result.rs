//! How a run and its steps stand, for a person.

use domain::{
    task::Gate,
    workflow::{RunStep, RunView},
};

use super::{
    task_result::shown,
    words::{between, dim, duration, run_state_style},
};

/// State, how many steps have ended, how long it took, and who holds it.
pub fn head_line(run: &RunView) -> String {
    let summary = &run.summary;
    let (style, dim) = (run_state_style(summary.state), dim());
    let mut line = format!("{style}{}{style:#}  {}", summary.state.name(), progress(run));
    if let Some(ended) = summary.ended_at {
        line.push_str(&format!("  {dim}after {}{dim:#}", duration(between(summary.created_at, ended))));
    }
    if let Some(who) = &summary.paused_by {
        line.push_str(&format!("  paused by {}", shown(who)));
    }
    line
}

/// `3 of 7 steps ended, 1 failed`
pub fn progress(run: &RunView) -> String {
    let counts = &run.summary.counts;
    let mut text = format!("{} of {} step{} ended", counts.ended(), counts.total, if counts.total == 1 { "" } else { "s" });
    for (count, word) in
        [(counts.failed, "failed"), (counts.skipped, "skipped"), (counts.not_chosen, "not chosen"), (counts.running, "at work")]
    {
        if count > 0 {
            text.push_str(&format!(", {count} {word}"));
        }
    }
    text
}

/// The steps, each followed by what it became.
pub fn in_order(run: &RunView) -> Vec<&RunStep> {
    let mut steps = vec![];
    members(run, None, &mut steps);
    steps
}

fn members<'a>(run: &'a RunView, group: Option<&str>, steps: &mut Vec<&'a RunStep>) {
    for step in run.steps.iter().filter(|step| step.group.as_deref() == group) {
        steps.push(step);
        // only what may become several is looked for
        if matches!(step.kind.as_str(), "each" | "candidates" | "workflow") {
            members(run, Some(&step.key), steps);
        }
    }
}

/// What is there to say about a step beside its state.
pub fn note(step: &RunStep) -> String {
    if let Some(reason) = &step.reason {
        return reason.clone();
    }
    match &step.open_gate {
        Some(gate) => gate.phrase(),
        None if step.removed => "removed from the run".into(),
        None if step.reused => "taken over from the run before".into(),
        None if step.paused => "paused".into(),
        None => String::new(),
    }
}

/// What a person can do about a gate that waits for an answer.
pub fn advice(run: &RunView, step: &RunStep) -> Option<String> {
    let dim = dim();
    match step.open_gate.as_ref()? {
        Gate::Approval { message } => {
            let asks = message.as_ref().map(|message| format!("  {dim}asks:{dim:#} {}\n", shown(message))).unwrap_or_default();
            Some(format!("{asks}  {dim}answer:{dim:#} muster task approve {}, or reject", step.task.short()))
        }
        Gate::Event { name } => Some(format!("  {dim}send it:{dim:#} muster workflow event {} '{}'", run.summary.id.short(), shown(name))),
        Gate::Wait => None,
    }
}
