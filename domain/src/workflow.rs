//! A workflow: a versioned graph of steps, and runs of it.
//!
//! `definition` is what people write, `validate` what can be said about it without running it, `import` what else is accepted,
//! `run` what a run's tasks come to, `change` what its graph becomes while it runs, `judge` who chooses among candidates, `graph` where
//! steps are drawn, `view` what the API and the pages show.

mod change;
mod definition;
mod graph;
mod import;
mod judge;
mod run;
mod validate;
mod view;

pub use change::{ChangeOutcome, ChangeRun, Changed, ChangedStep, Fate, GraphChange, Rewire, RunChange, RunDefinition, has_begun};
pub use definition::{
    Approval, Candidates, Definition, Each, EventGate, Kind, Matrix, Need, Parameter, ParameterType, Step, StepInput, SubWorkflow,
};
pub use graph::{Drawing, Edge, Node, draw};
pub use import::from_claude_worker;
pub use judge::{CANDIDATES_INPUT, JUDGE, JudgeTask, Otherwise, Verdict, verdict};
pub use run::{RunCounts, RunState};
pub use validate::{STEPS_MAX, expressions, parameters_given, validate};
pub use view::{
    CheckWorkflow, GateAnswer, GateEvent, NewRun, RestartRun, RunFilter, RunStep, RunSummary, RunView, SaveWorkflow, Validation,
    WorkflowSummary, WorkflowView,
};
