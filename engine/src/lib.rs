//! The use cases of Muster, all of its SQL, and its background services.
//!
//! Nothing else changes state. Every use case is one method of [`Engine`], takes the [`Actor`](domain::Actor) first, and is one
//! transaction: authorise, lock, transition (pure, in `domain`), save, event, follow-up work, commit. There is no HTTP server and
//! no page here.

mod account;
mod approval;
mod artifact;
mod attempt;
mod board;
mod clock;
mod database;
mod endpoint;
mod error;
mod event;
mod expression;
mod hints;
mod idempotency;
mod landing;
mod log;
mod overview;
mod price;
mod queue;
mod repository;
mod retention;
mod runner;
mod saved_view;
mod service;
mod task;
#[cfg(feature = "testing")]
pub mod testing;
mod together;
mod tx;
mod workflow;

use std::{
    future::Future,
    ops::Deref,
    sync::{Arc, OnceLock},
};

pub use account::{ApiKeySecret, SessionRow};
pub use approval::ApprovalKeeper;
pub use attempt::Overseer;
pub use clock::Clock;
pub use database::{APP_CONNECTIONS, Database, DatabaseError};
pub use endpoint::{HeldPull, PULL_FALLS, PULL_HELD, PULL_LASTS, PULL_WAITS, SharedPulls};
pub use error::{Error, Result};
pub use event::{EventBatch, EventCursor, EventStream, Followed, Tailer};
pub use hints::Hint;
pub use idempotency::EarlierAnswer;
pub use landing::Lander;
pub use log::RawLogChunk;
pub use retention::{Forgotten, Keep, Retention};
pub use runner::{Chronicler, Entrance, RunnerSession, serve_runner};
pub use service::{Service, Tick, supervise};
pub use task::{Dispatcher, Rescuer, Timekeeper};
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use account::{KeyLookUps, Passwords};
use hints::Hints;
use runner::Hub;
use task::Intake;

/// All migrations, once; tests use this one too, or each would carry a copy of its own.
pub static MIGRATOR: sqlx::migrate::Migrator = sqlx::migrate!("../migrations");

/// The one door to the state of Muster. Cheap to clone: whatever surrounds a request does so many times.
#[derive(Clone)]
pub struct Engine(Arc<Parts>);

impl Deref for Engine {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// What an engine consists of.
pub struct Parts {
    database: Database,
    clock: Clock,
    hints: Arc<Hints>,
    hub: Arc<Hub>,
    passwords: Arc<Passwords>,
    keys: Arc<KeyLookUps>,
    answers: Arc<idempotency::Answers>,
    intake: Arc<Intake>,
    lines: task::line::Known,
    /// What is carried through even when whoever asked for it has gone away.
    undisturbed: TaskTracker,
    /// When this process became able to hear its runners: no lease is taken away within one lease of it.
    listening_since: domain::Timestamp,
    /// Once the settings have said.
    shared_pulls: OnceLock<SharedPulls>,
    stuck_seconds: OnceLock<u32>,
}

impl Engine {
    pub async fn new(database: Database, clock: Clock) -> Result<Self> {
        let listening_since = clock.now(&database).await?;
        Ok(Self(Arc::new(Parts {
            database,
            clock,
            hints: Arc::default(),
            hub: Arc::default(),
            passwords: Arc::default(),
            keys: Arc::default(),
            answers: Arc::default(),
            intake: Arc::default(),
            lines: Default::default(),
            undisturbed: TaskTracker::new(),
            listening_since,
            shared_pulls: OnceLock::new(),
            stuck_seconds: OnceLock::new(),
        })))
    }

    /// Opens connections beside what goes on, for a server that is about to be asked for much.
    pub fn open_connections_ahead(&self) {
        let database = self.database.clone();
        self.undisturbed.spawn(async move { database.open_ahead().await });
    }

    /// Whether the database answers.
    pub async fn ready(&self) -> Result<()> {
        self.clock.now(&self.database).await.map(drop)
    }

    /// Wakes on every commit of this process; a hint, never the truth.
    pub fn hints(&self) -> tokio::sync::broadcast::Receiver<Hint> {
        self.hints.subscribe()
    }

    /// Work that goes on when whoever asked for it has gone away.
    pub fn carry_through<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.undisturbed.spawn(work)
    }

    /// Waits for all of that; when the engine is not asked for anything any more.
    pub async fn settled(&self) {
        self.undisturbed.close();
        self.undisturbed.wait().await;
    }

    /// Ids are made here and nowhere else, so that tests own them.
    pub(crate) fn new_id(&self) -> uuid::Uuid {
        new_id()
    }
}

/// As [`Engine::new_id`], inside a transaction.
pub(crate) fn new_id() -> uuid::Uuid {
    uuid::Uuid::now_v7()
}
