//! Committed facts, append-only. A page treats an event as "fetch again what you show"; the timeline shows them as they are.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    ApprovalId, ApprovalStateName, AttemptState, Failure, Land, LandingState, TaskId, WorkflowRunId,
    task::{FieldChange, Priority, TaskStateName, Tier},
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// Opaque position in the workspace's stream; what a reader resumes from.
    pub cursor: String,
    pub at: DateTime<Utc>,
    /// `user:<id>`, `api_key:<id>`, `runner:<id>` or `system`.
    pub actor: String,
    pub task_id: TaskId,
    /// Consecutive within the task, from 1.
    pub number: i64,
    /// Whoever is told by a newer server than itself, a page that was open meanwhile or a command line, reads it as it is read where it is kept.
    #[serde(flatten, deserialize_with = "as_kept")]
    pub kind: EventKind,
}

fn as_kept<'de, D: Deserializer<'de>>(deserializer: D) -> Result<EventKind, D::Error> {
    KeptKind::deserialize(deserializer).map(|kept| kept.0)
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum EventKind {
    TaskCreated {
        state: TaskStateName,
    },
    /// All it waited for is there.
    TaskReleased {
        state: TaskStateName,
    },
    /// Its time has come.
    TaskDue,
    /// All it waited for is there, and it waits to be passed.
    GateOpened,
    GatePassed {
        comment: Option<String>,
    },
    /// It has become several tasks.
    GroupExpanded {
        tasks: usize,
    },
    /// Whoever handed it in said another tier than how it is written speaks for. What they said counts.
    ComplexityDisputed {
        given: Tier,
        inferred: Tier,
    },
    DependencyAdded {
        depends_on: TaskId,
    },
    /// Somebody put it into a run that was under way.
    StepAdded {
        run: WorkflowRunId,
    },
    /// Somebody took it out of its run.
    StepRemoved {
        run: WorkflowRunId,
    },
    /// Somebody made it wait for other tasks, or take other things from them.
    StepRewired {
        run: WorkflowRunId,
        /// What it waits for besides, and what it no longer waits for.
        added: Vec<TaskId>,
        removed: Vec<TaskId>,
    },
    /// One of its candidates was taken.
    CandidateChosen {
        task: TaskId,
        /// From 1. The event around it has a `number` of its own.
        candidate: usize,
        why: String,
    },
    AttemptClaimed {
        attempt: i32,
        runner: String,
    },
    AttemptStarted {
        attempt: i32,
    },
    AttemptVerifying {
        attempt: i32,
    },
    /// It has gone on for longer than it may, and its runner is asked to end it.
    AttemptOverdue {
        attempt: i32,
        /// What it was at: not begun, at work, or at its checks.
        state: AttemptState,
    },
    /// The checks did not pass, and the agent was told so in its session.
    AttemptWorksAgain {
        attempt: i32,
        /// From 1: the round that has ended.
        round: i32,
        checks_passed: usize,
        checks: usize,
    },
    /// Its agent asks for leave, and waits. The question's text is with the approval.
    ApprovalAsked {
        attempt: i32,
        approval: ApprovalId,
        tool: String,
    },
    /// It waits for that no longer.
    ApprovalClosed {
        attempt: i32,
        approval: ApprovalId,
        state: ApprovalStateName,
        /// Who or what answered, for people.
        by: Option<String>,
        /// How long it has waited.
        seconds: i64,
    },
    /// Somebody tells its agent something.
    AgentTold {
        attempt: i32,
        /// What it does is to end at once.
        interrupt: bool,
    },
    AttemptEnded {
        attempt: i32,
        state: AttemptState,
        failure: Option<Failure>,
        checks_passed: usize,
        checks: usize,
    },
    /// Its result is to land.
    LandingAsked {
        attempt: i32,
        how: Land,
    },
    /// What came of that.
    LandingTried {
        attempt: i32,
        how: Land,
        state: LandingState,
        /// Where its pull request is.
        pull_request: Option<String>,
        why: Option<String>,
        /// Of the repository in which it is, as the task calls it; absent for the first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        folder: Option<String>,
    },
    CancelRequested,
    /// Somebody holds it.
    TaskPaused,
    TaskResumed,
    /// It is being stopped, because a more urgent task needs its slot.
    PreEmptionRequested {
        for_task: TaskId,
    },
    /// It is being stopped, because it was to be complete by now.
    DeadlinePassed,
    /// Its lane was changed by hand.
    PriorityChanged {
        priority: Priority,
    },
    /// Somebody changed what it says or how it is to be done.
    TaskChanged {
        changes: Vec<FieldChange>,
    },
    /// A failed or lost attempt is followed by another.
    TaskRequeued {
        state: TaskStateName,
    },
    TaskEnded {
        state: TaskStateName,
        reason: Option<String>,
    },
    /// A person brought an ended task back.
    TaskRetried {
        state: TaskStateName,
    },
    /// What a later version of Muster has taken down: the one that tells of it does not know what it is. Look at the task again.
    #[serde(other)]
    Unknown,
}

/// A kind as it is kept. While servers are updated one after the other, a later version may have kept one that this one does not know, or says
/// more of it than this one can read: then it is [`EventKind::Unknown`], and what follows is told all the same.
#[derive(Clone, Debug)]
pub struct KeptKind(pub EventKind);

impl<'de> Deserialize<'de> for KeptKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let kept = serde_json::Value::deserialize(deserializer)?;
        Ok(Self(serde_json::from_value(kept).unwrap_or(EventKind::Unknown)))
    }
}

impl EventKind {
    pub fn name(&self) -> &'static str {
        match self {
            Self::TaskCreated { .. } => "task_created",
            Self::TaskReleased { .. } => "task_released",
            Self::TaskDue => "task_due",
            Self::GateOpened => "gate_opened",
            Self::GatePassed { .. } => "gate_passed",
            Self::GroupExpanded { .. } => "group_expanded",
            Self::ComplexityDisputed { .. } => "complexity_disputed",
            Self::DependencyAdded { .. } => "dependency_added",
            Self::StepAdded { .. } => "step_added",
            Self::StepRemoved { .. } => "step_removed",
            Self::StepRewired { .. } => "step_rewired",
            Self::CandidateChosen { .. } => "candidate_chosen",
            Self::AttemptClaimed { .. } => "attempt_claimed",
            Self::AttemptStarted { .. } => "attempt_started",
            Self::AttemptVerifying { .. } => "attempt_verifying",
            Self::AttemptOverdue { .. } => "attempt_overdue",
            Self::AttemptWorksAgain { .. } => "attempt_works_again",
            Self::ApprovalAsked { .. } => "approval_asked",
            Self::ApprovalClosed { .. } => "approval_closed",
            Self::AgentTold { .. } => "agent_told",
            Self::AttemptEnded { .. } => "attempt_ended",
            Self::LandingAsked { .. } => "landing_asked",
            Self::LandingTried { .. } => "landing_tried",
            Self::CancelRequested => "cancel_requested",
            Self::TaskPaused => "task_paused",
            Self::TaskResumed => "task_resumed",
            Self::PreEmptionRequested { .. } => "pre_emption_requested",
            Self::DeadlinePassed => "deadline_passed",
            Self::PriorityChanged { .. } => "priority_changed",
            Self::TaskChanged { .. } => "task_changed",
            Self::TaskRequeued { .. } => "task_requeued",
            Self::TaskEnded { .. } => "task_ended",
            Self::TaskRetried { .. } => "task_retried",
            Self::Unknown => "unknown",
        }
    }

    /// One line of the timeline.
    pub fn sentence(&self) -> String {
        match self {
            Self::TaskCreated { state } => format!("Created, {}", state.phrase()),
            Self::TaskReleased { state } => format!("Dependencies done, {}", state.phrase()),
            Self::TaskDue => "Its time has come, queued".into(),
            Self::GateOpened => "Dependencies done, waits to be passed".into(),
            Self::GatePassed { comment: Some(comment) } => format!("Passed: {comment}"),
            Self::GatePassed { comment: None } => "Passed".into(),
            Self::GroupExpanded { tasks } => format!("Became {tasks} task{}", if *tasks == 1 { "" } else { "s" }),
            Self::ComplexityDisputed { given, inferred } => {
                format!("Said to be {}, though it reads like a {} task", given.name(), inferred.name())
            }
            Self::DependencyAdded { depends_on } => format!("Now waits for task {}", depends_on.short()),
            Self::StepAdded { run } => format!("Added to run {} while it ran", run.short()),
            Self::StepRemoved { run } => format!("Removed from run {}", run.short()),
            Self::StepRewired { added, removed, .. } => {
                let of = |words: &str, tasks: &[TaskId]| {
                    let tasks: Vec<_> = tasks.iter().map(|task| task.short()).collect();
                    (!tasks.is_empty()).then(|| format!("{words} {}", tasks.join(", ")))
                };
                let parts: Vec<_> = [of("waits for", added), of("no longer for", removed)].into_iter().flatten().collect();
                if parts.is_empty() { "Takes other inputs than before".into() } else { format!("Rewired: {}", parts.join(", ")) }
            }
            Self::CandidateChosen { candidate, why, .. } => format!("Candidate {candidate} chosen: {why}"),
            Self::AttemptClaimed { attempt, runner } => format!("Attempt {attempt} given to {runner}"),
            Self::AttemptStarted { attempt } => format!("Attempt {attempt} started"),
            Self::AttemptVerifying { attempt } => format!("Attempt {attempt}: work done, checks running"),
            Self::AttemptOverdue { attempt, state } => {
                let what = match state {
                    AttemptState::Claimed => "not begun in time",
                    AttemptState::Verifying => "its checks take longer than they may",
                    _ => "it goes on for longer than it may",
                };
                format!("Attempt {attempt}: {what}, its runner is asked to end it")
            }
            Self::AttemptWorksAgain { attempt, round, checks_passed, checks } => {
                format!("Attempt {attempt}, round {round}: {checks_passed} of {checks} checks passed, the agent goes on")
            }
            Self::ApprovalAsked { attempt, tool, .. } => format!("Attempt {attempt}: the agent asks for leave to use {tool}, and waits"),
            Self::ApprovalClosed { attempt, state, by, seconds, .. } => {
                let by = by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
                let what = match state {
                    ApprovalStateName::Pending => "waits",
                    ApprovalStateName::Allowed => "allowed",
                    ApprovalStateName::Denied => "denied",
                    ApprovalStateName::Expired => "denied, as nobody answered in time",
                    ApprovalStateName::Withdrawn => "not asked any more",
                };
                format!("Attempt {attempt}: {what}{by}, after {seconds} s")
            }
            Self::AgentTold { attempt, interrupt: false } => format!("Attempt {attempt}: the agent is told something"),
            Self::AgentTold { attempt, interrupt: true } => format!("Attempt {attempt}: the agent is interrupted and told something"),
            Self::AttemptEnded { attempt, state, failure, checks_passed, checks } => {
                let checks = if *checks == 0 { String::new() } else { format!(", {checks_passed} of {checks} checks passed") };
                let why = failure.as_ref().map(|failure| format!(": {}", failure.message)).unwrap_or_default();
                format!("Attempt {attempt} {}{checks}{why}", state.name().replace('_', " "))
            }
            Self::LandingAsked { attempt, how } => {
                let what = if *how == Land::PullRequest { ", and a pull request opened" } else { "" };
                format!("Attempt {attempt}: its branch is to be pushed{what}")
            }
            Self::LandingTried { attempt, state, pull_request, why, folder, .. } => {
                let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                let what = folder.as_ref().map_or_else(|| format!("Attempt {attempt}"), |folder| format!("Attempt {attempt}, {folder}"));
                match (state, pull_request) {
                    (LandingState::Landed, Some(url)) => format!("{what}: its pull request is {url}"),
                    (LandingState::Landed, None) => format!("{what}: its branch is pushed"),
                    (LandingState::Waiting, _) => format!("{what}: not landed yet{why}"),
                    (LandingState::Failed, _) => format!("{what}: not landed{why}"),
                }
            }
            Self::CancelRequested => "Cancellation asked for".into(),
            Self::TaskPaused => "Paused".into(),
            Self::TaskResumed => "Resumed".into(),
            Self::PreEmptionRequested { for_task } => format!("Makes room for the urgent task {}", for_task.short()),
            Self::DeadlinePassed => "Its deadline has passed".into(),
            Self::PriorityChanged { priority } => format!("Priority is now {}", priority.name()),
            Self::TaskChanged { changes } => {
                format!("Changed {}", changes.iter().map(FieldChange::sentence).collect::<Vec<_>>().join(", "))
            }
            Self::TaskRequeued { state } => format!("To be tried again, {}", state.phrase()),
            Self::TaskEnded { state, reason } => match reason {
                Some(reason) => format!("Ended {}: {reason}", state.name()),
                None => format!("Ended {}", state.name()),
            },
            Self::TaskRetried { state } => format!("Brought back by hand, {}", state.phrase()),
            Self::Unknown => "Something that this version of Muster has no words for".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An event travels as one object with what its kind says: no kind may call something as the event calls its own.
    #[test]
    fn an_event_is_read_as_it_was_written() {
        let id = TaskId(uuid::Uuid::nil());
        let kinds = [
            EventKind::TaskCreated { state: TaskStateName::Queued },
            EventKind::ComplexityDisputed { given: Tier::Trivial, inferred: Tier::Complex },
            EventKind::TaskChanged { changes: vec![] },
            EventKind::StepAdded { run: WorkflowRunId(uuid::Uuid::nil()) },
            EventKind::StepRemoved { run: WorkflowRunId(uuid::Uuid::nil()) },
            EventKind::StepRewired { run: WorkflowRunId(uuid::Uuid::nil()), added: vec![id], removed: vec![] },
            EventKind::CandidateChosen { task: id, candidate: 2, why: "it is more".into() },
            EventKind::AttemptClaimed { attempt: 1, runner: "r1".into() },
            EventKind::DependencyAdded { depends_on: id },
            EventKind::AttemptOverdue { attempt: 1, state: AttemptState::Claimed },
            EventKind::AttemptWorksAgain { attempt: 1, round: 2, checks_passed: 0, checks: 1 },
            EventKind::ApprovalAsked { attempt: 1, approval: ApprovalId(uuid::Uuid::nil()), tool: "Bash".into() },
            EventKind::ApprovalClosed {
                attempt: 1,
                approval: ApprovalId(uuid::Uuid::nil()),
                state: ApprovalStateName::Allowed,
                by: Some("Ada".into()),
                seconds: 12,
            },
            EventKind::AgentTold { attempt: 1, interrupt: true },
            EventKind::LandingAsked { attempt: 1, how: Land::PullRequest },
            EventKind::LandingTried {
                attempt: 1,
                how: Land::Push,
                state: LandingState::Failed,
                pull_request: None,
                why: Some("no".into()),
                folder: Some("api".into()),
            },
            EventKind::Unknown,
        ];
        for kind in kinds {
            let event = Event { cursor: "1-1".into(), at: DateTime::UNIX_EPOCH, actor: "system".into(), task_id: id, number: 3, kind };
            let text = serde_json::to_string(&event).unwrap();
            assert_eq!(serde_json::from_str::<Event>(&text).map_err(|error| format!("{error}: {text}")), Ok(event));
        }
    }

    #[test]
    fn what_a_later_version_says_is_unknown_and_keeps_its_place() {
        let of = |kind: &str| {
            let id = uuid::Uuid::nil();
            format!(
                r#"{{"cursor":"1-1","at":"2026-11-28T10:00:00Z","actor":"system","task_id":"{id}","number":3,"kind":"{kind}","to":{{"a":1}}}}"#
            )
        };
        let event: Event = serde_json::from_str(&of("task_teleported")).unwrap();
        assert_eq!((event.number, event.kind), (3, EventKind::Unknown));
        let told: Event = serde_json::from_str(&of("task_released").replace(r#""to""#, r#""state""#)).unwrap();
        assert_eq!((told.number, told.kind), (3, EventKind::Unknown), "it says more of it than this one can read");
        let due: Event = serde_json::from_str(&of("task_due")).unwrap();
        assert_eq!(due.kind, EventKind::TaskDue);
        let kept = |text: &str| serde_json::from_str::<KeptKind>(text).unwrap().0;
        assert_eq!(kept(r#"{"kind":"task_teleported","to":"mars"}"#), EventKind::Unknown);
        assert_eq!(kept(r#"{"kind":"task_released","state":"on_mars"}"#), EventKind::Unknown, "a state that came later");
        assert_eq!(kept(r#"{"kind":"task_due","more":1}"#), EventKind::TaskDue);
        assert_eq!(kept(r#"{"kind":"task_released","state":"queued"}"#), EventKind::TaskReleased { state: TaskStateName::Queued });
    }
}
