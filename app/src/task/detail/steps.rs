//! How far a task has come: its life as a strip of steps with their times.

use domain::{Attempt, TaskState, TaskStateName, TaskView, Timestamp, Work};
use leptos::prelude::*;

use crate::{
    components::{Elapsed, Icon, Time, icon},
    task::state_badge::{state_label, state_shape},
};

/// One step of the strip.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    label: &'static str,
    mark: Mark,
    at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Done,
    Now,
    Ahead,
    /// The last step, which is how it ended.
    End(TaskStateName),
}

/// The steps of the latest attempt, between the task's creation and its end.
fn steps(task: &TaskView) -> Vec<Step> {
    let state = &task.summary.state;
    let attempt = task.attempt_list.last();
    let created = Step { label: "Created", mark: Mark::Done, at: Some(task.summary.created_at) };
    let end = match state.ended_at() {
        Some(at) => Step { label: state_label(state.name()), mark: Mark::End(state.name()), at: Some(at) },
        None => Step { label: "Done", mark: Mark::Ahead, at: None },
    };
    if !task.work.is_executed() {
        return unexecuted(task, created, end);
    }
    let mut steps = vec![created, waiting(state, attempt)];
    let is_over = state.is_final();
    let working = attempt.filter(|_| !is_waiting(state));
    let started = working.and_then(|attempt| attempt.started_at);
    let checked = working.and_then(|attempt| attempt.verification.as_ref().map(|report| report.started_at));
    let now = |is_now: bool, was: Option<Timestamp>| match (is_now, was) {
        (true, _) => Mark::Now,
        (false, Some(_)) => Mark::Done,
        (false, None) => Mark::Ahead,
    };
    let is_verifying = matches!(state, TaskState::Verifying { .. });
    let work = now(matches!(state, TaskState::Running { .. }), started);
    steps.push(Step { label: "Working", mark: if is_verifying { Mark::Done } else { work }, at: started });
    steps.push(Step { label: "Checking", mark: now(is_verifying, checked), at: checked });
    // What it never came to is no step of what is over.
    steps.retain(|step| !(is_over && step.mark == Mark::Ahead));
    steps.push(end);
    steps
}

/// A gate waits for others, then for what passes it; a group for others, then for the tasks that it becomes.
fn unexecuted(task: &TaskView, created: Step, end: Step) -> Vec<Step> {
    let state = &task.summary.state;
    if state.is_final() {
        return vec![created, end];
    }
    let label = match (&task.work, state) {
        (_, TaskState::Scheduled { .. }) => "Waits for its time",
        (Work::Gate(_), _) if task.open_gate => "Open",
        (Work::Gate(_), _) => "Waits for others",
        _ => "Waits for tasks",
    };
    let at = if let TaskState::Scheduled { run_at } = state { Some(*run_at) } else { None };
    vec![created, Step { label, mark: Mark::Now, at }, end]
}

fn is_waiting(state: &TaskState) -> bool {
    matches!(state, TaskState::Blocked | TaskState::Scheduled { .. } | TaskState::Queued)
}

fn waiting(state: &TaskState, attempt: Option<&Attempt>) -> Step {
    match state {
        TaskState::Blocked => Step { label: "Waits for others", mark: Mark::Now, at: None },
        TaskState::Scheduled { run_at } => Step { label: "Waits for its time", mark: Mark::Now, at: Some(*run_at) },
        TaskState::Queued => Step { label: "Queued", mark: Mark::Now, at: None },
        _ => {
            let claimed = attempt.map(|attempt| attempt.claimed_at);
            Step { label: "Claimed", mark: if claimed.is_some() { Mark::Done } else { Mark::Ahead }, at: claimed }
        }
    }
}

#[component]
pub fn Steps(task: Signal<TaskView>) -> impl IntoView {
    let shown = Memo::new(move |_| task.with(|task| (steps(task), span(task))));
    view! {
        <div class="c-steps">
            <ol class="c-steps__list">{move || shown.get().0.into_iter().map(step).collect_view()}</ol>
            {move || {
                shown
                    .get()
                    .1
                    .map(|(from, to)| view! { <p class="c-steps__total">{if to.is_some() { "Took " } else { "For " }} <Elapsed from=from to=to /></p> })
            }}
        </div>
    }
}

/// From the first claim to the end.
fn span(task: &TaskView) -> Option<(Timestamp, Option<Timestamp>)> {
    let from = task.attempt_list.first()?.claimed_at;
    let to = task.summary.state.ended_at();
    (to.is_some() || !is_waiting(&task.summary.state)).then_some((from, to))
}

fn step(step: Step) -> impl IntoView {
    let (class, shape, current) = match step.mark {
        Mark::Done => ("c-steps__step c-steps__step--done".to_owned(), Icon::Check, None),
        Mark::Now => ("c-steps__step c-steps__step--now".to_owned(), Icon::Ring, Some("step")),
        Mark::Ahead => ("c-steps__step".to_owned(), Icon::Dots, None),
        Mark::End(state) => (format!("c-steps__step c-steps__step--{}", state.name()), state_shape(state), Some("step")),
    };
    view! {
        <li class=class aria-current=current>
            <span class="c-steps__mark">{icon(shape)}</span>
            <span class="c-steps__label">{step.label}</span>
            <span class="c-steps__time">{step.at.map(|at| view! { <Time at=at /> })}</span>
        </li>
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{AttemptState, Failure, FailureCode, Priority, TaskSummary, task::Gate};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;
    const ID: &str = "0190a2b4-7d34-7c11-8a52-0123456789ab";

    fn attempt() -> Attempt {
        Attempt {
            id: ID.parse().unwrap(),
            number: 1,
            state: AttemptState::Running,
            runner: "local".into(),
            claimed_at: NOW,
            started_at: Some(NOW),
            ended_at: None,
            base_commit: None,
            repositories: vec![],
            branch: None,
            commit: None,
            exit_code: None,
            failure: None,
            verification: None,
            report_hash: None,
            artifacts: vec![],
            log_start: 0,
            log_end: 0,
            ends_by: None,
            taken_away: false,
            blocked_since: None,
            session_events: 0,
            usage: domain::AttemptUsage::default(),
            earlier_rounds: vec![],
            findings: vec![],
            endpoint: None,
            no_endpoint: None,
            continues: None,
        }
    }

    fn task(state: TaskState, attempts: Vec<Attempt>) -> TaskView {
        TaskView {
            summary: TaskSummary {
                id: ID.parse().unwrap(),
                title: "t".into(),
                state,
                priority: Priority::Normal,
                tags: vec![],
                paused: false,
                asks: false,
                parked: false,
                awaits_model: false,
                repository: "/srv/app".into(),
                attempts: 1,
                max_attempts: 3,
                checks: 0,
                checks_passed: None,
                created_at: NOW,
                started_at: None,
            },
            version: 1,
            work: Work::Command("true".into()),
            base_ref: None,
            repositories: vec![],
            submodules: false,
            lfs: false,
            files: vec![],
            success_criteria: vec![],
            check_specs: vec![],
            timeout_seconds: 60,
            retry: domain::task::RetryPolicy::default(),
            not_before: None,
            complete_by: None,
            queue_seconds: None,
            concurrency: None,
            capabilities: vec![],
            unmet_capabilities: vec![],
            runner_wait: None,
            awaited_pull: None,
            agent: domain::AgentTerms::default(),
            complexity: domain::task::Complexity::of(None, domain::task::Inferred::default()),
            estimate_seconds: None,
            land: domain::Land::None,
            landing: None,
            more_landings: vec![],
            correlation_id: None,
            paused_by: None,
            created_by: "Ada".into(),
            inputs: Default::default(),
            when: None,
            delay_seconds: None,
            output: None,
            open_gate: false,
            workflow_run: None,
            step: None,
            depends_on: vec![],
            dependents: vec![],
            attempt_list: attempts,
            log_bytes: 0,
        }
    }

    fn strip(state: TaskState, attempts: Vec<Attempt>) -> Vec<(&'static str, Mark)> {
        steps(&task(state, attempts)).into_iter().map(|step| (step.label, step.mark)).collect()
    }

    #[test]
    fn a_task_walks_the_strip() {
        use Mark::{Ahead, Done, End, Now};
        assert_eq!(
            strip(TaskState::Queued, vec![]),
            [("Created", Done), ("Queued", Now), ("Working", Ahead), ("Checking", Ahead), ("Done", Ahead)]
        );
        assert_eq!(
            strip(TaskState::Running { stop: None }, vec![attempt()]),
            [("Created", Done), ("Claimed", Done), ("Working", Now), ("Checking", Ahead), ("Done", Ahead)]
        );
        assert_eq!(
            strip(TaskState::Verifying { stop: None }, vec![attempt()]),
            [("Created", Done), ("Claimed", Done), ("Working", Done), ("Checking", Now), ("Done", Ahead)]
        );
        assert_eq!(
            strip(TaskState::Failed { at: NOW, failure: Failure::new(FailureCode::CommandFailed, "x") }, vec![attempt()]),
            [("Created", Done), ("Claimed", Done), ("Working", Done), ("Failed", End(TaskStateName::Failed))]
        );
    }

    #[test]
    fn what_never_ran_has_no_steps_in_between() {
        let cancelled = TaskState::Cancelled { at: NOW, by: "system".into() };
        assert_eq!(strip(cancelled, vec![]), [("Created", Mark::Done), ("Cancelled", Mark::End(TaskStateName::Cancelled))]);
    }

    #[test]
    fn a_gate_is_never_worked_on() {
        let gate = Work::Gate(Gate::Approval { message: None });
        let labels = |open_gate, state| -> Vec<_> {
            steps(&TaskView { open_gate, work: gate.clone(), ..task(state, vec![]) }).into_iter().map(|step| step.label).collect()
        };
        assert_eq!(labels(false, TaskState::Blocked), ["Created", "Waits for others", "Done"]);
        assert_eq!(labels(true, TaskState::Blocked), ["Created", "Open", "Done"]);
        assert_eq!(labels(false, TaskState::Succeeded { at: NOW }), ["Created", "Succeeded"]);
    }

    #[test]
    fn between_two_attempts_it_waits() {
        assert_eq!(
            strip(TaskState::Scheduled { run_at: NOW }, vec![attempt()]),
            [
                ("Created", Mark::Done),
                ("Waits for its time", Mark::Now),
                ("Working", Mark::Ahead),
                ("Checking", Mark::Ahead),
                ("Done", Mark::Ahead)
            ]
        );
    }
}
