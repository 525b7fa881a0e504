//! A workflow: a versioned graph of steps, and runs of it.
//!
//! `definition` is what people write, `validate` what can be said about it without running it, `import` what else is accepted,
//! `run` what a run's tasks come to, `graph` where its steps are drawn, `view` what the API and the pages show.

mod definition;
mod graph;
mod import;
mod run;
mod validate;
mod view;

pub use definition::{
    Approval, Candidates, Definition, Each, EventGate, Kind, Matrix, Need, Parameter, ParameterType, Step, StepInput, SubWorkflow,
};
pub use graph::{Drawing, Edge, Node, draw};
pub use import::from_claude_worker;
pub use run::{RunCounts, RunState};
pub use validate::{STEPS_MAX, expressions, parameters_given, validate};
pub use view::{
    CheckWorkflow, GateAnswer, GateEvent, NewRun, RestartRun, RunFilter, RunStep, RunSummary, RunView, SaveWorkflow, Validation,
    WorkflowSummary, WorkflowView,
};
