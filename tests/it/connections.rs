//! Real sockets: what a connection may take its time over, and how open ones end when the server stops.

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    routing::get,
};
use domain::Role;
use server::http_server::{self, Limits};
use sqlx::PgPool;
use tests::TestApp;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Short ones, so that a test waits little; what is not under test is out of reach.
const SHORT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(3600);
const UNBOUNDED: Limits = Limits { head: LONG, still: LONG, drain: LONG };

struct Served {
    addr: SocketAddr,
    stop: CancellationToken,
    ended: JoinHandle<()>,
}

async fn serve(router: Router, limits: Limits, stop: CancellationToken) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let ended = TaskTracker::new().spawn(http_server::serve(listener, router, limits, stop.clone()));
    Served { addr, stop, ended }
}

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

impl Served {
    async fn says(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn has_ended(self) {
        timeout(Duration::from_secs(30), self.ended).await.expect("the server ends").unwrap();
    }
}

/// All that still comes, until the other side closes. The bound only keeps a broken test from hanging.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = vec![];
    // a reset is an end as well
    let _ = timeout(Duration::from_secs(30), stream.read_to_end(&mut bytes)).await.expect("the connection is closed");
    String::from_utf8(bytes).unwrap()
}

async fn until(stream: &mut TcpStream, text: &str) -> String {
    let mut seen = String::new();
    while !seen.contains(text) {
        let mut bytes = [0; 4096];
        let count = timeout(Duration::from_secs(30), stream.read(&mut bytes)).await.expect("something comes").unwrap();
        assert!(count > 0, "it ended after {seen:?}");
        seen.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    seen
}

#[tokio::test]
async fn a_head_that_does_not_come_whole_ends_the_connection() {
    let served = serve(hello(), Limits { head: SHORT, ..UNBOUNDED }, CancellationToken::new()).await;
    for part in ["", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", "PRI * HTTP/2.0\r\n"] {
        let mut client = served.says(part).await;
        assert!(!rest(&mut client).await.contains("200 OK"), "{part:?}");
    }
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_ends_the_connection() {
    let served = serve(hello(), Limits { head: SHORT, ..UNBOUNDED }, CancellationToken::new()).await;
    let (mut reader, mut writer) = served.says("GET / HTTP/1.1\r\nHost: x\r\n").await.into_split();
    let drips = TaskTracker::new().spawn(async move {
        while writer.write_all(b"X-Slow: 1\r\n").await.is_ok() {
            tokio::time::sleep(SHORT / 4).await;
        }
    });
    let mut seen = vec![];
    let _ = timeout(Duration::from_secs(30), reader.read_to_end(&mut seen)).await.expect("the connection is closed");
    assert!(!String::from_utf8_lossy(&seen).contains("200 OK"));
    drips.await.unwrap();
}

#[tokio::test]
async fn a_connection_without_a_next_request_is_closed() {
    let served = serve(hello(), Limits { still: SHORT, ..UNBOUNDED }, CancellationToken::new()).await;
    let mut client = served.says("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until(&mut client, "hello").await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    until(&mut client, "hello").await;
    assert_eq!(rest(&mut client).await, "", "kept for the next request, then closed");
}

#[tokio::test]
async fn the_next_head_has_its_own_time_from_its_first_byte() {
    let served = serve(hello(), Limits { head: SHORT, ..UNBOUNDED }, CancellationToken::new()).await;
    let mut client = served.says("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until(&mut client, "hello").await;
    // a pause is no head that is late
    assert!(timeout(SHORT * 4, client.read_u8()).await.is_err());
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    until(&mut client, "hello").await;
    client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ").await.unwrap();
    assert!(!rest(&mut client).await.contains("200 OK"));
}

#[tokio::test]
async fn clients_are_told_to_let_go_of_an_idle_connection_before_the_server_does() {
    let limits = Limits::default();
    let served = serve(hello(), limits, CancellationToken::new()).await;
    let mut client = served.says("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let answer = until(&mut client, "hello").await.to_lowercase();
    let told = answer.split_once("keep-alive: timeout=").unwrap_or_else(|| panic!("{answer}")).1;
    let told: u64 = told.split("\r\n").next().unwrap().parse().unwrap();
    assert!((30..limits.still.as_secs()).contains(&told), "{told} s of {:?}", limits.still);
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_let_go() {
    let gone = CancellationToken::new();
    let given_up = gone.clone();
    let endless = Router::new().route(
        "/",
        get(move || async move {
            let held = given_up.drop_guard();
            let chunk = Bytes::from_static(&[b'x'; 65536]);
            Body::from_stream(futures::stream::repeat_with(move || {
                let _held = &held;
                Ok::<_, std::io::Error>(chunk.clone())
            }))
        }),
    );
    let served = serve(endless, Limits { still: SHORT, ..UNBOUNDED }, CancellationToken::new()).await;
    let _client = served.says("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    timeout(Duration::from_secs(30), gone.cancelled()).await.expect("what is not read is dropped");
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let served = serve(hello(), UNBOUNDED, CancellationToken::new()).await;
    let mut client = served.says(&format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(40_000))).await;
    assert!(rest(&mut client).await.starts_with("HTTP/1.1 431 "));
    let many: String = (0..200).map(|n| format!("X-{n}: 1\r\n")).collect();
    let mut client = served.says(&format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n")).await;
    assert!(rest(&mut client).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn what_is_being_answered_is_finished_and_what_never_ends_is_cut_off() {
    let (begun, mut has_begun) = tokio::sync::mpsc::channel::<()>(2);
    let go_on = CancellationToken::new();
    let wait = go_on.clone();
    let slow = Router::new()
        .route("/slow", {
            let begun = begun.clone();
            get(move || async move {
                begun.send(()).await.unwrap();
                wait.cancelled().await;
                "done"
            })
        })
        .route(
            "/never",
            get(move || async move {
                begun.send(()).await.unwrap();
                std::future::pending::<()>().await;
            }),
        );
    let served = serve(slow, Limits { drain: Duration::from_secs(1), ..UNBOUNDED }, CancellationToken::new()).await;
    let mut finished = served.says("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut cut_off = served.says("GET /never HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let mut idle = served.says("").await;
    for _ in 0..2 {
        has_begun.recv().await.unwrap();
    }
    served.stop.cancel();
    assert_eq!(rest(&mut idle).await, "", "nothing was asked, so it closes at once");
    go_on.cancel();
    assert!(rest(&mut finished).await.ends_with("done"));
    assert_eq!(rest(&mut cut_off).await, "");
    served.has_ended().await;
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn an_open_stream_of_events_does_not_hold_the_stop(pool: PgPool) {
    let app = TestApp::new(&pool).await;
    let key = app.test.engine.create_key_here("script", Role::Viewer).await.unwrap();
    let served = serve(app.router.clone(), UNBOUNDED, app.stop.clone()).await;
    let request = format!("GET /api/v1/events HTTP/1.1\r\nHost: muster.test\r\nAuthorization: Bearer {}\r\n\r\n", key.reveal());
    let mut client = served.says(&request).await;
    until(&mut client, ": following").await;
    served.stop.cancel();
    assert!(rest(&mut client).await.ends_with("0\r\n\r\n"), "it ends as a whole answer, so that the browser comes back");
    served.has_ended().await;
}
