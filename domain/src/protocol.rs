//! What the server and a runner say to each other, whatever carries it.
//!
//! A link may close at any time and another take its place, while attempts run on. So what a runner says about an attempt has a number of
//! its own, from 1 on, and the log its offset in bytes; both are kept until the server has answered that they are committed, and are said
//! again over the next link from where the server's [`Welcome`](ToRunner::Welcome) says that it stopped. What comes twice counts once.

use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    AgentTerms, ArtifactKind, AttemptKey, Backend, BackendFound, CheckResult, CheckSpec, EndpointId, Failure, Finding, Isolation,
    LogStream, PullId, PullRequest, RunnerId, SessionEvent, VerificationReport, Work,
    approval::{Answer, Asked},
    endpoint::{
        EndpointLook, ModelFormat, format,
        pull::{PullProgress, WantedPull},
    },
    runner::{HostReading, Rooms},
    task::{Inputs, RepositoryResult, TaskRepository, Tier},
};

/// Raised when a message changes in a way that an older side would misread. What is only added raises nothing: an older side leaves it out,
/// as a field has a default and a message is marked `optional`. With 8 there are agents that a side of version 7 has no words for.
pub const VERSION: u32 = 8;
/// The oldest that a server hears and gives work to, the second before. All that these runners say can be read as they meant it.
pub const OLDEST: u32 = VERSION - 2;
/// The oldest whose agents ask people and are told something while they work. 6 cannot read that an agent is to ask anybody, and closes its link
/// over it each time: it is given commands, and prompts that say nothing of their agent.
pub const HEARS_PEOPLE: u32 = 7;
/// The oldest server that a runner goes on with; with an older one it is refused, and told which of the two to update.
pub const SPOKEN: u32 = 8;
/// The last that does not say which one it is when a link is opened.
const UNSAID: u32 = 7;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToServer {
    /// The first message on every link, after [`ToRunner::Opened`].
    Hello(Hello),
    /// Number `sequence` of what is said about this attempt.
    Said { attempt: AttemptKey, sequence: u64, said: Said },
    /// A piece of the log; `offset` counts the bytes of this attempt's log alone.
    Log {
        attempt: AttemptKey,
        offset: u64,
        stream: LogStream,
        #[serde(with = "bytes_as_text")]
        bytes: Vec<u8>,
    },
    /// Names everything that is held, and renews its leases as of when it was sent. `beat` is the runner's own number for it.
    Heartbeat {
        beat: u64,
        attempts: Vec<AttemptKey>,
        /// What attempts have left on its machine that should be gone; empty in the first few after it is, and else absent. A server that does
        /// not know it leaves it out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        left_behind: Option<String>,
    },
    /// The machine is a runner no longer: its key is to be dead. It holds nothing.
    Leave,
    /// The last word of a life that is stopped in order. `optional` is true, so that a server that does not know it leaves it out.
    Stops {
        /// Attempts that it has ended, or never begun, and has said all about that there is to say: nothing of them runs any more, and there
        /// will be no result. What else it held its next life has something to say about. A server that does not know it waits for that with
        /// all of them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ended: Vec<AttemptKey>,
        optional: bool,
    },
    /// What the runner has read of its machine, and sees of the endpoint there, if there is one; the last one counts. `optional` is true: a
    /// server that does not know it shows none.
    Reading {
        reading: Box<HostReading>,
        #[serde(default)]
        endpoint: Option<Box<EndpointLook>>,
        /// How long ago that was, as a link begins with the last one there is. Of a runner that does not say so it counts as of now.
        #[serde(default)]
        age_seconds: u32,
        optional: bool,
    },
    /// How far a pull has come that the server wants. `optional` is true, as whoever wants it knows this.
    Pulling { pull: PullId, progress: PullProgress, optional: bool },
    /// The answer to what [`Renewed`](ToRunner::Renewed) has named in vain: these are not here. `optional` as above.
    Lacks { attempts: Vec<AttemptKey>, optional: bool },
    /// What came of [`ToRunner::Land`]. It has no answer: a server that has not taken it down tells the runner again.
    Landed { landed: Landed, optional: bool },
    /// It does not take what it was assigned, and nothing of it was begun or will be. `optional` is true: a server that does not know it misses
    /// that the attempt is named, and takes it back a little later.
    Rejects { attempt: AttemptKey, reason: String, optional: bool },
    /// Of these attempts, which were interrupted, it keeps what it takes to go on from them: all of them, after each welcome, as that changes, and
    /// each minute while there is any. What a hello has said of that (`keeps`) is said again. `optional` is true: a server that does not know it has their tasks begin anew.
    Keeps { attempts: Vec<AttemptKey>, optional: bool },
}

/// Who a runner is, and what it holds at this moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    pub version: u32,
    /// Kept in the runner's state folder.
    pub runner_id: RunnerId,
    pub name: String,
    /// How many attempts it carries out at once, as its machine says.
    pub slots: u32,
    /// What it has, for tasks that need it. What its agents can do a server tells by `backends`, so that older runners need not say it.
    pub capabilities: Vec<String>,
    /// What this life of the runner holds: what it carries out, and what an earlier one has left to be said. Whatever else the server
    /// believes to be with it was never begun.
    #[serde(default)]
    pub attempts: Vec<AttemptKey>,
    /// What an earlier life left without having said anything about it; nothing of it runs any more.
    #[serde(default)]
    pub lost: Vec<AttemptKey>,
    /// [`link_proof`](crate::runner::link_proof) signed with the runner's key, as base64; empty inside a server's own process.
    #[serde(default)]
    pub proof: String,
    /// Why its machine makes no sandbox; absent when it does.
    #[serde(default)]
    pub no_sandbox: Option<String>,
    /// Whether it understands [`ToRunner::Land`].
    #[serde(default)]
    pub lands: bool,
    /// The agent programs that it has found. Their names are among its capabilities as well.
    #[serde(default, deserialize_with = "known_backends")]
    pub backends: Vec<BackendFound>,
    /// What attempts may use and reach on its machine.
    #[serde(default)]
    pub rooms: Option<Rooms>,
    /// What attempts have left on its machine that should be gone; absent when there is nothing.
    #[serde(default)]
    pub left_behind: Option<String>,
    /// Whether it understands [`ToRunner::Config`]. One that does not is given no more than `slots`, whatever was set.
    #[serde(default)]
    pub takes_slots: bool,
    /// As [`ToServer::Keeps`], before it is given anything: what it comes back for may wait in the queue. An older server leaves it out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keeps: Vec<AttemptKey>,
}

/// What a runner says about an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Said {
    /// The worktree is there and the work begins.
    Started {
        base_commit: String,
        branch: String,
        /// The number of the earlier attempt that it goes on from. An older server leaves it out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        continues: Option<i32>,
    },
    /// What the agent said and did, in its order.
    Session { events: Vec<SessionEvent> },
    /// The agent asks for leave, and waits. The runner's own number for it, from 1 to [`QUESTIONS_MAX`] within the attempt.
    Asks { question: i32, isolation: Isolation, backend: Backend, asked: Asked },
    /// It waits for that no longer: it has its answer, or has gone on without.
    AsksNoMore { question: i32 },
    /// What the attempt was told with this number has come to its agent.
    Heard { telling: i64 },
    /// The work's processes are gone; the checks run now.
    Verifying,
    /// The checks did not pass, and the agent goes on with what they say. Their outputs are cut to [`ROUND_OUTPUT_LIMIT`].
    WorksAgain {
        /// The one that is over, from 1.
        round: i32,
        verification: VerificationReport,
    },
    /// The last word. `log_end` is how many bytes the attempt's log has: the outcome is not known before they are stored.
    Report { log_end: u64, report: Box<AttemptReport> },
    /// A part of a report that is too long for one message, at most [`PART_BYTES`].
    Part {
        #[serde(with = "bytes_as_text")]
        bytes: Vec<u8>,
    },
    /// The last word, as [`Report`](Self::Report): it is what the parts are together, as JSON of this length.
    ReportInParts { log_end: u64, length: u64 },
    /// The last word as well: it was given up without a result. Nothing of it runs any more, and what was done is saved.
    GivenUp {
        /// What it had changed, as far as that fits into one message. An older server leaves it out.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        artifacts: Vec<NewArtifact>,
    },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ToRunner {
    /// The first message on every link: it has its place among all others. Who says hello only now cannot be overtaken by the hello of an
    /// earlier link. Over a socket the hello is signed, and `nonce` is in what is signed. A newer runner speaks the server's version.
    Opened {
        nonce: String,
        #[serde(default = "unsaid")]
        version: u32,
    },
    /// The answer to [`ToServer::Hello`]. Renew every `heartbeat_seconds`; a lease lasts `lease_seconds`.
    Welcome {
        runner_id: RunnerId,
        heartbeat_seconds: u32,
        lease_seconds: u32,
        /// How much the server has of what the hello named.
        heard: Vec<Heard>,
        /// What of it this runner no longer holds, and what somebody wants to end.
        stale: Vec<AttemptKey>,
        cancel: Vec<AttemptKey>,
        /// What its attempts are told and have not said to have heard.
        #[serde(default)]
        tell: Vec<Telling>,
    },
    /// The hello was not accepted, and the same one will not be.
    Refused {
        why: Refusal,
        message: String,
    },
    Assign {
        assignment: Box<Assignment>,
    },
    /// End the work of this attempt and report it as cancelled.
    Cancel {
        attempt: AttemptKey,
    },
    /// This number and those before it are committed.
    Stored {
        attempt: AttemptKey,
        sequence: u64,
    },
    /// So many bytes of the log are committed.
    Logged {
        attempt: AttemptKey,
        end: u64,
    },
    /// The leases are renewed, but for these. What is in `cancel` somebody wants to end; `tell` is as in the welcome. What is in `believed`
    /// is at work there, as far as the server knows, and was not named.
    Renewed {
        beat: u64,
        stale: Vec<AttemptKey>,
        cancel: Vec<AttemptKey>,
        #[serde(default)]
        tell: Vec<Telling>,
        #[serde(default)]
        believed: Vec<AttemptKey>,
    },
    /// Something for the agent of an attempt.
    Tell(Telling),
    /// This runner no longer holds it: end it, say nothing more.
    Stale {
        attempt: AttemptKey,
    },
    /// Something that was said is no message that the server knows; it had no effect.
    NotUnderstood {
        message: String,
    },
    /// The answer to [`ToServer::Leave`]: its key is dead.
    Left,
    /// Something that came before is not there: say everything again from here.
    Missing(Heard),
    /// All that the endpoint on the runner's machine is to pull now; the answer to each reading that tells of one. What is pulled and not among
    /// these twice in a row is left off. `optional` is true: a runner that does not know it pulls nothing.
    Pulls {
        wanted: Vec<WantedPull>,
        optional: bool,
    },
    /// Push a result that was proven, and open a pull request for it. It comes until the runner has said what came of it; done twice, it is as
    /// done once. Only runners are told that say in their hello that they understand it; `optional` is true, so that others leave it out.
    Land {
        order: Box<LandingOrder>,
        optional: bool,
    },
    /// Whether the runner is given nothing new until somebody lets it take work again; said as that changes, and after the welcome when it is so.
    /// What it may be given the server decides alone. `optional` is true: a runner that does not know it shows nothing of it.
    Drain {
        on: bool,
        optional: bool,
    },
    /// How many attempts the runner carries out at once, as many as its hello says when absent; said as that is set, before it is given more,
    /// and after each welcome while it is set: until then a welcome is for as many as the hello says. What is at work goes on where that is fewer.
    /// Only runners are told that say in their hello that they understand it; `optional` is true, so that others leave it out.
    Config {
        slots: Option<u32>,
        optional: bool,
    },
    /// The answer to [`ToServer::Keeps`]: nobody will go on from these. `optional` is true, as whoever keeps something knows it.
    Forget {
        attempts: Vec<AttemptKey>,
        optional: bool,
    },
}

/// What is to land, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandingOrder {
    pub attempt: AttemptKey,
    /// Which time it is asked for, from 1 on, or that its pull request is to say something else; the answer carries it.
    pub number: i32,
    /// Which of the task's repositories it is: 0 is the first, and others are for runners alone that have
    /// [`SEVERAL`](crate::repository::SEVERAL). The answer carries it as well.
    #[serde(default)]
    pub position: i32,
    /// A path or URL.
    pub repository: String,
    pub commit: String,
    /// The branch on which the runner has saved the commit.
    pub saved_on: String,
    /// As it is to be called where it is pushed.
    pub branch: String,
    /// Where Muster has left that branch the last time. Who has moved it since is not overwritten.
    pub left_at: Option<String>,
    /// What Git LFS keeps for it goes there first.
    #[serde(default)]
    pub lfs: bool,
    #[serde(default)]
    pub pull_request: Option<WantedPullRequest>,
    /// It has landed. What its pull request says is brought up to date while that is open, and nothing else is done.
    #[serde(default)]
    pub says_anew: bool,
    #[serde(default)]
    pub credentials: Credentials,
}

/// With what git may prove who it is. The server says it with each order; the runner has nothing else at hand for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "whose", rename_all = "snake_case")]
pub enum Credentials {
    /// All that the runner's machine has: it works for this workspace alone, or this is the workspace of whoever runs the server. An older
    /// server does not say; it is heard over a socket alone, by runners of one workspace.
    #[default]
    Machine,
    /// The runner works for every workspace, and may use what its machine has for this one, by its short name.
    Workspace { slug: String },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedPullRequest {
    pub title: String,
    /// In Markdown.
    pub body: String,
    /// What the work started from: the pull request goes there when it is a branch, and else to the default branch.
    pub base: Option<String>,
}

/// What came of a landing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Landed {
    pub attempt: AttemptKey,
    pub number: i32,
    #[serde(default)]
    pub position: i32,
    /// Where the branch was pushed: it is at the commit there. Absent when it was not.
    pub remote: Option<String>,
    pub pull_request: Option<PullRequest>,
    /// Absent when all is done.
    pub trouble: Option<Trouble>,
}

/// Why a landing was not done, or not to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    pub message: String,
    /// What helps.
    pub advice: String,
    /// Seconds after which the same may go well; absent when somebody has to do something first.
    pub again_in: Option<u32>,
}

/// Something for the agent of an attempt. It comes until the runner says that it has heard it; what comes twice counts once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Telling {
    pub attempt: AttemptKey,
    /// From 1 on, within its attempt.
    pub number: i64,
    pub what: Tell,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "tell", rename_all = "snake_case")]
pub enum Tell {
    /// To what it asks. One that is not open any more is of no use.
    Answer { question: i32, answer: Answer },
    /// What somebody says to it; it goes on with that. With `interrupt` it leaves off what it does first.
    Message { text: String, by: String, interrupt: bool },
}

/// Questions of one attempt. Whatever its agent asks after that is denied.
pub const QUESTIONS_MAX: i32 = 1000;

/// Why a hello is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Whoever says it is no runner here: it was removed, or has not proven who it is.
    Unknown,
    /// It says of itself what cannot be, or speaks another version.
    Unfit,
}

/// Whether a message that is not understood may be left out: whoever speaks a later version marks what is no loss with `"optional": true`.
pub fn leave_out(text: &str) -> bool {
    #[derive(Deserialize)]
    struct Mark {
        #[serde(default)]
        optional: bool,
    }
    serde_json::from_str::<Mark>(text).is_ok_and(|mark| mark.optional)
}

/// How much the server has of what was said about an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    pub attempt: AttemptKey,
    /// The number of the last that had its effect; 0 when nothing had.
    pub sequence: u64,
    /// Bytes of the log.
    pub log: u64,
}

/// What a message about an attempt is to whoever has heard a part of what was said about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// It had its effect before, and has no other.
    Again,
    Next,
    /// Something before it is missing.
    TooEarly,
}

impl Arrival {
    /// Of the message with this number, when those up to `heard` had their effect.
    pub fn of(sequence: u64, heard: u64) -> Self {
        if sequence > heard + 1 {
            return Self::TooEarly;
        }
        if sequence <= heard { Self::Again } else { Self::Next }
    }
}

/// All that a runner needs to know to carry out an attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    pub attempt: AttemptKey,
    pub title: String,
    /// What the task belongs to elsewhere.
    #[serde(default)]
    pub correlation_id: Option<String>,
    pub work: Work,
    /// How an agent goes about it.
    #[serde(default)]
    pub agent: AgentTerms,
    /// A path or URL.
    pub repository: String,
    /// The repository's default branch when absent.
    pub base_ref: Option<String>,
    /// Those beside it, each with a worktree of its own. Only runners are given any that have [`SEVERAL`](crate::repository::SEVERAL), which older
    /// ones do not.
    #[serde(default)]
    pub repositories: Vec<TaskRepository>,
    /// What of the repository is fetched beside its files and their history. Only runners are given it that say that they have what it takes
    /// ([`SUBMODULES`](crate::repository::SUBMODULES), [`LFS`](crate::repository::LFS)), which older ones do not.
    #[serde(default)]
    pub submodules: bool,
    #[serde(default)]
    pub lfs: bool,
    pub files: Vec<String>,
    pub success_criteria: Vec<String>,
    pub checks: Vec<CheckSpec>,
    /// What the task is given by others, by name.
    #[serde(default)]
    pub inputs: Inputs,
    pub timeout_seconds: u32,
    /// How hard it is.
    pub tier: Tier,
    /// The checks that failed in the attempt before this one.
    pub failed_checks: Vec<CheckResult>,
    /// A server that does not say wants a sandbox.
    #[serde(default)]
    pub isolation: Isolation,
    #[serde(default)]
    pub credentials: Credentials,
    /// Where its model is; as the runner's own settings say when absent.
    #[serde(default)]
    pub endpoint: Option<AssignedEndpoint>,
    /// An earlier attempt at the task that was interrupted, and of which this runner keeps what it takes to go on from it. It begins anew where
    /// that does not go, and older runners do so always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<AttemptKey>,
}

/// The endpoint that was chosen for an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssignedEndpoint {
    pub id: EndpointId,
    pub name: String,
    /// As the runner reaches it.
    pub url: String,
    /// In which formats it may be asked. An older server has chosen it for OpenCode, and does not say so. Only runners are given one for another
    /// agent that say how that speaks ([`BackendFound::endpoint_format`]), which older ones do not.
    #[serde(default = "format::chat_alone", deserialize_with = "format::all_known")]
    pub formats: Vec<ModelFormat>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttemptReport {
    pub outcome: WorkOutcome,
    pub exit_code: Option<i32>,
    /// The branch and commit that hold what was changed; absent when nothing was.
    pub branch: Option<String>,
    pub commit: Option<String>,
    /// What it has come to in the repositories beside the first, in the order of the assignment.
    #[serde(default)]
    pub repositories: Vec<RepositoryResult>,
    /// Present exactly when the work completed.
    pub verification: Option<VerificationReport>,
    pub artifacts: Vec<NewArtifact>,
    /// What the work left for others in the file `MUSTER_OUTPUT`.
    #[serde(default)]
    pub output: Option<serde_json::Value>,
    /// What speaks against the result, whatever the checks say.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

/// Bytes of a check's output that are kept of a round after which the agent goes on: what is more would not fit into one message.
pub const ROUND_OUTPUT_LIMIT: usize = 4 * 1024;
/// The longest message to a server, as JSON. Logs come in pieces, long reports in parts. What is longer ends the link.
pub const TO_SERVER_BYTES: usize = 1024 * 1024;
/// The longest message to a runner, as JSON: an assignment, with the task's inputs and what failed before.
pub const TO_RUNNER_BYTES: usize = 8 * 1024 * 1024;
/// A report that is longer than this, as JSON, goes in parts of it.
pub const PART_BYTES: usize = 192 * 1024;
/// The longest report: 8 MiB of changes as base64, and what the checks have printed, with room to spare.
pub const REPORT_BYTES: u64 = 32 * 1024 * 1024;

/// How the work itself ended, before anything is said about its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum WorkOutcome {
    /// It ended by itself and without an error, and the checks were run.
    Completed,
    Failed {
        failure: Failure,
    },
    TimedOut {
        seconds: u32,
    },
    Cancelled,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewArtifact {
    pub kind: ArtifactKind,
    pub name: String,
    #[serde(with = "bytes_as_text")]
    pub content: Vec<u8>,
}

/// As they are kept. A newer server may have been told of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct KnownBackends(#[serde(deserialize_with = "known_backends")] pub Vec<BackendFound>);

fn unsaid() -> u32 {
    UNSAID
}

/// A runner may have found agents that came after this server.
fn known_backends<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<BackendFound>, D::Error> {
    let all = Vec::<serde_json::Value>::deserialize(deserializer)?;
    Ok(all.into_iter().filter_map(|found| serde_json::from_value(found).ok()).collect())
}

/// Bytes travel as base64.
mod bytes_as_text {
    use base64::{Engine, prelude::BASE64_STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64_STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        BASE64_STANDARD.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
