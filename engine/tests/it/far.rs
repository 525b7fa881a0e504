//! Machines elsewhere that are runners, as far as the engine knows: a key, and what is said over a link.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use domain::{
    Actor, AttemptKey, CheckStatus, RunnerId,
    protocol::{Assignment, Hello, Said, ToRunner, ToServer, VERSION},
    runner::{JoinRunner, JoinedRunner, link_proof},
};
use engine::{
    Entrance,
    testing::{TestEngine, report},
};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// A machine with a key of its own.
pub struct Machine(Ed25519KeyPair);

impl Machine {
    pub fn new() -> Self {
        Self(Ed25519KeyPair::generate().unwrap())
    }

    /// As the runner signs what it is asked to.
    pub fn proves(&self, nonce: &str, id: RunnerId) -> String {
        BASE64_STANDARD.encode(self.0.sign(link_proof(nonce, id).as_bytes()))
    }

    pub fn asks(&self, token: &str, name: &str) -> JoinRunner {
        JoinRunner { token: token.into(), public_key: BASE64_STANDARD.encode(self.0.public_key()), name: Some(name.into()), paths: false }
    }

    pub async fn joins(&self, test: &TestEngine, actor: &Actor, name: &str) -> JoinedRunner {
        let token = test.engine.create_runner_token(actor).await.unwrap().token;
        test.engine.join_runner(self.asks(&token, name)).await.unwrap()
    }
}

/// Over a socket, as far as the engine knows.
pub struct Link {
    pub to_server: mpsc::Sender<ToServer>,
    pub told: mpsc::Receiver<ToRunner>,
}

impl Link {
    pub async fn open(test: &TestEngine) -> (Self, String) {
        let (to_server, from_runner) = mpsc::channel(64);
        let (to_runner, mut told) = mpsc::channel(64);
        TaskTracker::new().spawn(engine::serve_runner(test.engine.clone(), Entrance::Far, from_runner, to_runner));
        let Some(ToRunner::Opened { nonce, .. }) = told.recv().await else { panic!("it is not opened") };
        (Self { to_server, told }, nonce)
    }

    pub async fn says_hello(&mut self, id: RunnerId, proof: String) -> Option<ToRunner> {
        self.says_hello_with(id, proof, 1, &[], true).await
    }

    async fn says_hello_with(
        &mut self,
        id: RunnerId,
        proof: String,
        slots: u32,
        attempts: &[AttemptKey],
        takes_slots: bool,
    ) -> Option<ToRunner> {
        let (name, capabilities) = ("who knows".to_owned(), vec!["linux".to_owned()]);
        let hello = Hello {
            version: VERSION,
            runner_id: id,
            name,
            slots,
            capabilities,
            attempts: attempts.to_vec(),
            lost: vec![],
            proof,
            no_sandbox: None,
            lands: false,
            backends: vec![],
            rooms: None,
            left_behind: None,
            takes_slots,
            keeps: vec![],
        };
        self.to_server.send(ToServer::Hello(hello)).await.unwrap();
        self.told.recv().await
    }

    /// Of a machine that has joined a moment ago, and is welcome.
    pub async fn joined(test: &TestEngine, ada: &Actor) -> (Machine, RunnerId, Self) {
        let machine = Machine::new();
        let id = machine.joins(test, ada, "box").await.id;
        let link = Self::of(test, &machine, id).await;
        (machine, id, link)
    }

    /// Opened by this runner, and welcome.
    pub async fn of(test: &TestEngine, machine: &Machine, id: RunnerId) -> Self {
        Self::of_slots(test, machine, id, 1).await
    }

    pub async fn of_slots(test: &TestEngine, machine: &Machine, id: RunnerId, slots: u32) -> Self {
        Self::comes_with(test, machine, id, slots, &[]).await
    }

    /// It holds these.
    pub async fn comes_with(test: &TestEngine, machine: &Machine, id: RunnerId, slots: u32, attempts: &[AttemptKey]) -> Self {
        Self::greeted(test, machine, id, slots, attempts, true).await
    }

    /// Of a version that takes from nobody how many slots it has.
    pub async fn of_an_older(test: &TestEngine, machine: &Machine, id: RunnerId, slots: u32) -> Self {
        Self::greeted(test, machine, id, slots, &[], false).await
    }

    async fn greeted(test: &TestEngine, machine: &Machine, id: RunnerId, slots: u32, attempts: &[AttemptKey], takes_slots: bool) -> Self {
        let (mut link, nonce) = Self::open(test).await;
        let answer = link.says_hello_with(id, machine.proves(&nonce, id), slots, attempts, takes_slots).await;
        assert!(matches!(answer, Some(ToRunner::Welcome { .. })), "{answer:?}");
        link
    }

    /// The next, but for that it is drained, which is for people who look.
    pub async fn hears(&mut self) -> Option<ToRunner> {
        loop {
            match self.told.recv().await {
                Some(ToRunner::Drain { .. }) => {}
                other => return other,
            }
        }
    }

    /// From its first word to its last, and the server has stored them.
    pub async fn carries_out(&mut self, assignment: &Assignment) {
        let started = Said::Started { base_commit: "0123456789abcdef".into(), branch: "muster/trial-1".into(), continues: None };
        let report = Said::Report { log_end: 0, report: Box::new(report(assignment, CheckStatus::Passed)) };
        for (sequence, said) in [(1, started), (2, Said::Verifying), (3, report)] {
            self.to_server.send(ToServer::Said { attempt: assignment.attempt, sequence, said }).await.unwrap();
            assert_eq!(self.hears().await, Some(ToRunner::Stored { attempt: assignment.attempt, sequence }));
        }
    }

    /// A sign of life, and its answer.
    pub async fn beats(&mut self, attempts: &[AttemptKey]) {
        self.to_server.send(ToServer::Heartbeat { beat: 1, attempts: attempts.to_vec(), left_behind: None }).await.unwrap();
        let answer = self.hears().await;
        assert!(matches!(answer, Some(ToRunner::Renewed { .. })), "{answer:?}");
    }

    /// Whatever it has said is carried out, and the link closes.
    pub async fn beats_nothing_more(self) {
        let Self { to_server, mut told } = self;
        drop(to_server);
        while let Some(last) = told.recv().await {
            assert!(matches!(last, ToRunner::Drain { .. }), "{last:?}");
        }
    }

    pub async fn is_assigned(&mut self) -> Assignment {
        match self.hears().await {
            Some(ToRunner::Assign { assignment }) => *assignment,
            other => panic!("{other:?}"),
        }
    }
}

pub fn is_refused(answer: &Option<ToRunner>) -> bool {
    matches!(answer, Some(ToRunner::Refused { .. }))
}
