//! What a link bears: real sockets, and clients that do what no runner does.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use domain::{
    Actor, RunnerId,
    protocol::{Hello, TO_SERVER_BYTES, ToRunner, ToServer, VERSION},
    runner::{JoinRunner, link_proof},
};
use futures::{SinkExt, StreamExt};
use server::{http_server, runner_link::Limits};
use sqlx::PgPool;
use tests::TestApp;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{timeout, timeout_at},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        protocol::frame::{
            Frame,
            coding::{Data, OpCode},
        },
    },
};
use tokio_util::task::TaskTracker;

/// Out of reach for what is not under test.
const LONG: Duration = Duration::from_secs(3600);
const SHORT: Duration = Duration::from_millis(300);
pub const UNBOUNDED: Limits = Limits { hello: LONG, ping: LONG, silent: LONG, writes: LONG };
/// Only reached when something is broken.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server with one runner that has joined.
pub struct Site {
    pub app: TestApp,
    pub ada: Actor,
    addr: SocketAddr,
    key: Ed25519KeyPair,
    pub runner: RunnerId,
}

impl Site {
    pub async fn new(pool: &PgPool, limits: Limits) -> Self {
        let app = TestApp::with_links(pool, limits).await;
        let ada = app.owner().await;
        let key = Ed25519KeyPair::generate().unwrap();
        let token = app.test.engine.create_runner_token(&ada).await.unwrap().token;
        let public_key = BASE64_STANDARD.encode(key.public_key());
        let runner = app.test.engine.join_runner(JoinRunner { token, public_key, name: None, paths: false }).await.unwrap().id;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        TaskTracker::new().spawn(http_server::serve(listener, app.router.clone(), http_server::Limits::default(), app.stop.clone()));
        Self { app, ada, addr, key, runner }
    }

    fn url(&self) -> String {
        format!("ws://{}/api/v1/runners/link", self.addr)
    }

    /// A link over which nothing was said.
    pub async fn opens(&self) -> Socket {
        Socket(connect_async(self.url()).await.unwrap().0)
    }

    /// Of the link that was opened with this.
    pub fn proof(&self, nonce: &str) -> String {
        BASE64_STANDARD.encode(self.key.sign(link_proof(nonce, self.runner).as_bytes()))
    }

    fn hello(&self, nonce: &str) -> ToServer {
        let proof = self.proof(nonce);
        let (version, runner_id, name) = (VERSION, self.runner, "box".to_owned());
        ToServer::Hello(Hello {
            version,
            runner_id,
            name,
            slots: 1,
            capabilities: vec![],
            attempts: vec![],
            lost: vec![],
            proof,
            no_sandbox: None,
            lands: false,
            backends: vec![],
            rooms: None,
            left_behind: None,
            takes_slots: false,
            keeps: vec![],
        })
    }

    /// The runner's link, with its hello said.
    async fn says_hello(&self) -> Socket {
        let mut socket = self.opens().await;
        let ToRunner::Opened { nonce, .. } = socket.hears().await else { panic!("it is not opened") };
        socket.says(&serde_json::to_string(&self.hello(&nonce)).unwrap()).await;
        socket
    }

    async fn is_welcome(&self) -> Socket {
        let mut socket = self.says_hello().await;
        let welcome = socket.hears().await;
        assert!(matches!(welcome, ToRunner::Welcome { .. }), "{welcome:?}");
        socket
    }
}

pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub async fn says(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    async fn hears(&mut self) -> ToRunner {
        serde_json::from_str(&self.hears_text().await).unwrap()
    }

    /// The next message, whatever pings come before it.
    pub async fn hears_text(&mut self) -> String {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("something comes") {
                Some(Ok(Message::Text(text))) => return text.to_string(),
                Some(Ok(Message::Ping(_))) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// With what code it is closed; nothing when it just ends.
    pub async fn closes_with(mut self) -> Option<u16> {
        loop {
            match timeout(PATIENCE, self.0.next()).await.expect("the link is closed") {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| u16::from(frame.code)),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }
}

const BEAT: &str = r#"{"type":"heartbeat","beat":1,"attempts":[]}"#;

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn browsers_open_no_links(pool: PgPool) {
    let site = Site::new(&pool, UNBOUNDED).await;
    let mut request = site.url().into_client_request().unwrap();
    request.headers_mut().insert("origin", "http://muster.test".parse().unwrap());
    match connect_async(request).await {
        Err(Error::Http(answer)) => assert_eq!(answer.status(), 403),
        other => panic!("{other:?}"),
    }
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn whoever_does_not_say_who_it_is_is_sent_away(pool: PgPool) {
    let site = Site::new(&pool, Limits { hello: SHORT, ..UNBOUNDED }).await;
    assert_eq!(site.opens().await.closes_with().await, Some(4408));
    // whatever keeps a link open says nothing
    let mut socket = site.opens().await;
    let closed = loop {
        let _ = socket.0.send(Message::Ping("here".into())).await;
        let _ = socket.0.send(Message::text(r#"{"type":"gossip","optional":true}"#)).await;
        let soon = tokio::time::Instant::now() + SHORT / 4;
        let ended = loop {
            match timeout_at(soon, socket.0.next()).await {
                Ok(Some(Ok(Message::Close(frame)))) => break Some(frame.map(|frame| u16::from(frame.code))),
                Ok(None | Some(Err(_))) => break Some(None),
                Ok(_) => {}
                Err(_) => break None,
            }
        };
        if let Some(code) = ended {
            break code;
        }
    };
    assert!(matches!(closed, Some(4408) | None), "{closed:?}");
    let mut socket = site.opens().await;
    socket.says(BEAT).await;
    assert_eq!(socket.closes_with().await, Some(4401), "nothing is heard before a hello");
    let mut socket = site.opens().await;
    socket.says(r#"{"type":"hello"}"#).await;
    assert_eq!(socket.closes_with().await, Some(4400));
    let mut socket = site.opens().await;
    socket.says(&serde_json::to_string(&site.hello("a nonce of another link")).unwrap()).await;
    let _opened = socket.hears().await;
    let refused = socket.hears().await;
    assert!(matches!(refused, ToRunner::Refused { .. }), "{refused:?}");
    assert_eq!(socket.closes_with().await, Some(1000));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_no_text_or_too_long_ends_the_link(pool: PgPool) {
    let site = Site::new(&pool, UNBOUNDED).await;
    let mut socket = site.is_welcome().await;
    socket.0.send(Message::binary(BEAT.as_bytes().to_vec())).await.unwrap();
    assert_eq!(socket.closes_with().await, Some(1003));

    let frame = |payload: Vec<u8>, code, last| Message::Frame(Frame::message(payload, OpCode::Data(code), last));
    let mut socket = site.is_welcome().await;
    socket.0.send(frame(vec![0xff; 10], Data::Text, true)).await.unwrap();
    assert_eq!(socket.closes_with().await, Some(1007), "invalid UTF-8");

    let mut socket = site.is_welcome().await;
    // it may be closed before all of it was written
    let _ = socket.0.send(Message::text("x".repeat(2 * 1024 * 1024))).await;
    assert_ne!(socket.closes_with().await, Some(1000), "one frame of 2 MiB");

    let mut socket = site.is_welcome().await;
    let mut sent = socket.0.feed(frame(vec![b'x'; 200], Data::Text, false)).await;
    for _ in 0..10_000 {
        if sent.is_err() {
            break;
        }
        sent = socket.0.feed(frame(vec![b'x'; 200], Data::Continue, false)).await;
    }
    let _ = socket.0.flush().await;
    assert_ne!(socket.closes_with().await, Some(1000), "2 MiB in small pieces");

    let mut socket = site.is_welcome().await;
    let half = vec![b' '; TO_SERVER_BYTES / 2];
    for (piece, code, last) in [(half.clone(), Data::Text, false), (half, Data::Continue, false), (b"1".to_vec(), Data::Continue, true)] {
        socket.0.send(frame(piece, code, last)).await.unwrap();
    }
    // nothing of it is still on its way, so that the last word comes for certain
    assert_eq!(socket.closes_with().await, Some(1009), "one byte more than there may be");
    let mut socket = site.is_welcome().await;
    socket.says(BEAT).await;
    assert!(matches!(socket.hears().await, ToRunner::Renewed { beat: 1, .. }), "the runner itself is as welcome as before");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn what_is_not_understood_is_told_and_who_goes_on_stays_away(pool: PgPool) {
    let site = Site::new(&pool, UNBOUNDED).await;
    let mut socket = site.is_welcome().await;
    socket.says(r#"{"type":"gossip","optional":true}"#).await;
    for _ in 0..10 {
        socket.says(r#"{"type":"heartbeat","beat":1}"#).await;
        match socket.hears().await {
            ToRunner::NotUnderstood { message } => assert!(message.contains("missing field `attempts`"), "{message}"),
            other => panic!("{other:?}"),
        }
    }
    socket.says(BEAT).await;
    assert!(matches!(socket.hears().await, ToRunner::Renewed { beat: 1, .. }), "what is understood goes on");
    socket.says("[]").await;
    assert_eq!(socket.closes_with().await, Some(4400));
    assert_eq!(site.says_hello().await.closes_with().await, Some(4429));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn nobody_keeps_a_runner_away_by_saying_its_id(pool: PgPool) {
    let site = Site::new(&pool, UNBOUNDED).await;
    for _ in 0..3 {
        let mut stranger = site.opens().await;
        let _opened = stranger.hears().await;
        stranger.says(&serde_json::to_string(&site.hello("guessed")).unwrap()).await;
        for _ in 0..20 {
            let _ = stranger.0.send(Message::text("[]")).await;
        }
        stranger.closes_with().await;
    }
    site.is_welcome().await;
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn pings_are_answered_but_not_without_end(pool: PgPool) {
    let site = Site::new(&pool, UNBOUNDED).await;
    let mut socket = site.is_welcome().await;
    socket.0.send(Message::Ping("here".into())).await.unwrap();
    let pong = loop {
        match timeout(PATIENCE, socket.0.next()).await.unwrap() {
            Some(Ok(Message::Ping(_))) => {}
            other => break other,
        }
    };
    assert!(matches!(&pong, Some(Ok(Message::Pong(text))) if text.as_ref() == b"here"), "{pong:?}");
    for _ in 0..1000 {
        if socket.0.send(Message::Ping("here".into())).await.is_err() {
            break;
        }
    }
    let closed = socket.closes_with().await;
    // what is still on its way when it closes can make the connection end without a word
    assert!(matches!(closed, Some(4429) | None), "{closed:?}");
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_that_gives_no_sign_of_life_is_let_go(pool: PgPool) {
    let site = Site::new(&pool, Limits { silent: SHORT, ..UNBOUNDED }).await;
    let began = Instant::now();
    assert_eq!(site.is_welcome().await.closes_with().await, Some(1000));
    assert!(began.elapsed() >= SHORT);
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_runner_that_answers_pings_is_there(pool: PgPool) {
    let site = Site::new(&pool, Limits { silent: SHORT, ping: SHORT / 4, ..UNBOUNDED }).await;
    let mut socket = site.is_welcome().await;
    let began = Instant::now();
    while began.elapsed() < SHORT * 3 {
        let next = timeout(PATIENCE, socket.0.next()).await.unwrap();
        assert!(matches!(next, Some(Ok(Message::Ping(_)))), "{next:?}");
    }
    socket.says(BEAT).await;
    assert!(matches!(socket.hears().await, ToRunner::Renewed { beat: 1, .. }));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn a_server_that_stops_says_so(pool: PgPool) {
    let site = Site::new(&pool, UNBOUNDED).await;
    let (known, unknown) = (site.is_welcome().await, site.opens().await);
    site.app.stop.cancel();
    assert_eq!(known.closes_with().await, Some(1012));
    assert_eq!(unknown.closes_with().await, Some(1012));
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn few_may_be_unknown_at_once(pool: PgPool) {
    let site = Site::new(&pool, Limits { hello: SHORT * 4, ..UNBOUNDED }).await;
    let runner = site.is_welcome().await;
    let unknown = futures::future::join_all((0..32).map(|_| site.opens())).await;
    let one_more = site.opens();
    tokio::pin!(one_more);
    assert!(timeout(SHORT, &mut one_more).await.is_err(), "it waits");
    let one_more = one_more.await;
    // it was let in when the others were sent away
    for socket in unknown {
        assert_eq!(socket.closes_with().await, Some(4408));
    }
    assert_eq!(one_more.closes_with().await, Some(4408));
    drop(runner);
}
