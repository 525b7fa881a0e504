//! What a run waits for: its open gates, each with its answer, before everything else.

use domain::{TaskId, WorkflowRunId, task::Gate, workflow::RunView};
use leptos::prelude::*;

use crate::{
    components::{CopyButton, Notice, Tone},
    task::detail::gate::{GateActs, gate_form, question},
};

#[derive(Clone, PartialEq)]
struct Open {
    task: TaskId,
    title: String,
    gate: Gate,
}

/// A gate stays while the run is fetched again, so that nothing that is typed is lost.
#[component]
pub fn Gates(id: WorkflowRunId, run: Signal<RunView>, refresh: Callback<()>) -> impl IntoView {
    let acts = GateActs::new(refresh);
    let open = Memo::new(move |_| run.with(open_gates));
    view! {
        {acts.refusal()}
        <For each=move || open.get() key=|one| one.task let:one>
            <Notice tone=Tone::Warn title=format!("“{}” {}", one.title, one.gate.phrase())>
                <p class="p-task__message">{question(&one.gate)}</p>
                {gate_form(one.task, Some(id), &one.gate, acts)}
                {hint(id, &one.gate)}
                <p><a href=format!("/tasks/{}", one.task)>"See this gate"</a></p>
            </Notice>
        </For>
    }
}

fn open_gates(run: &RunView) -> Vec<Open> {
    let open = |step: &domain::workflow::RunStep| {
        let gate = step.open_gate.clone()?;
        Some(Open { task: step.task, title: step.title.clone(), gate })
    };
    run.steps.iter().filter_map(open).collect()
}

/// How whatever it waits for says that it has happened.
fn hint(id: WorkflowRunId, gate: &Gate) -> Option<impl IntoView + use<>> {
    let Gate::Event { name } = gate else { return None };
    let command = send_command(id, name);
    Some(view! {
        <p class="c-command"><code>{command.clone()}</code> <CopyButton text=command label="Copy the command" /></p>
    })
}

fn send_command(id: WorkflowRunId, name: &str) -> String {
    format!("muster workflow event {id} '{}'", name.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_pasted_into_a_shell() {
        let id = "0190a2b4-7d34-7c11-8a52-0123456789ab".parse().unwrap();
        assert_eq!(send_command(id, "it's up"), r"muster workflow event 0190a2b4-7d34-7c11-8a52-0123456789ab 'it'\''s up'");
    }
}
