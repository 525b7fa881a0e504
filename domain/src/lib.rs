//! The words of Muster and the rules between them.
//!
//! Nothing here does I/O, knows HTTP or SQL, or reads a clock: time and ids come in as values. What is here can only fail by
//! saying "that is not allowed". It compiles to wasm, so the pages, the engine and the runners speak with the same types.

pub mod account;
pub mod agent;
pub mod approval;
pub mod artifact;
pub mod attempt;
pub mod board;
mod canonical_json;
pub mod check;
pub mod crash;
pub mod endpoint;
pub mod error;
pub mod event;
pub mod exact_text;
pub mod failure;
pub mod finding;
pub mod id;
pub mod idempotency;
pub mod if_match;
pub mod isolation;
pub mod judgement;
pub mod landing;
pub mod log;
pub mod overview;
pub mod page;
pub mod price;
pub mod protocol;
pub mod queue;
pub mod repository;
pub mod runner;
pub mod saved_view;
pub mod session;
pub mod task;
pub mod usage;
pub mod verification;
pub mod workflow;

pub use account::{Actor, ActorKind, Identity, Permission, Role, User, Workspace};
pub use agent::{AgentName, AgentTerms, Backend, BackendFound, KeptTerms};
pub use approval::{Approval, ApprovalRule, ApprovalStateName, Ask, AskedKind, Decision};
pub use artifact::{Artifact, ArtifactKind};
pub use attempt::{Attempt, AttemptKey, AttemptState};
pub use board::Board;
pub use check::{CheckKind, CheckSpec};
pub use endpoint::{Endpoint, Pull};
pub use error::{FieldError, Forbidden, Invalid, InvalidTransition};
pub use event::{Event, EventKind};
pub use failure::{Failure, FailureClass, FailureCode};
pub use finding::{Finding, FindingKind};
pub use id::{
    ApiKeyId, ApprovalId, ApprovalRuleId, ArtifactId, AttemptId, EndpointId, PullId, RepositoryId, RunnerId, SavedViewId, TaskId, UserId,
    WorkflowId, WorkflowRunId, WorkspaceId,
};
pub use idempotency::Idempotency;
pub use if_match::IfMatch;
pub use isolation::{Isolation, Sandboxes};
pub use judgement::{JudgeTerms, Judgement};
pub use landing::{Land, LandTask, Landing, LandingState, LandingTrouble, PullRequest};
pub use log::{LogChunk, LogStream};
pub use overview::Overview;
pub use page::{Page, TaskFilter};
pub use price::{CostSource, StepCost};
pub use queue::Queue;
pub use repository::Repository;
pub use runner::Runner;
pub use saved_view::{SaveView, SavedView};
pub use session::{SessionEvent, SessionEventKind};
pub use task::{NewTask, NewTasks, Priority, Task, TaskState, TaskStateName, TaskSummary, TaskView, Work};
pub use usage::{AttemptUsage, Usage};
pub use verification::{CheckResult, CheckStatus, VerificationReport};

/// A moment, always in UTC.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
