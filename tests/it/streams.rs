//! Those who follow events over real sockets and do not read them: what they cost, and that they lose nothing.

use std::{net::SocketAddr, time::Duration};

use domain::{NewTask, Role};
use serde_json::Value;
use server::http_server::{self, Limits};
use sqlx::PgPool;
use tests::TestApp;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Somebody who follows the events.
struct Follower {
    stream: TcpStream,
    text: String,
    has_begun: bool,
    /// The numbers of the events it has read.
    numbers: Vec<i64>,
}

impl Follower {
    async fn begins(addr: SocketAddr, key: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        // what it does not read is to wait on the server's side
        socket.set_recv_buffer_size(32 * 1024).unwrap();
        let mut stream = socket.connect(addr).await.unwrap();
        let request = format!("GET /api/v1/events HTTP/1.1\r\nHost: muster.test\r\nAuthorization: Bearer {key}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut follower = Self { stream, text: String::new(), has_begun: false, numbers: vec![] };
        while !follower.has_begun {
            follower.reads_a_little().await;
        }
        follower
    }

    /// The bound only keeps a broken test from hanging.
    async fn reads_a_little(&mut self) {
        let mut bytes = [0; 16 * 1024];
        let count = timeout(Duration::from_secs(30), self.stream.read(&mut bytes)).await.expect("something comes").unwrap();
        assert!(count > 0, "it ended");
        self.text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        while let Some((line, rest)) = self.text.split_once('\n') {
            self.has_begun |= line == ": following";
            if let Some(data) = line.strip_prefix("data: ") {
                self.numbers.push(serde_json::from_str::<Value>(data).unwrap()["number"].as_i64().unwrap());
            }
            self.text = rest.to_owned();
        }
    }

    async fn reads_until(&mut self, number: i64) {
        while self.numbers.last().is_none_or(|last| *last < number) {
            self.reads_a_little().await;
        }
    }
}

/// Until this reader has the last event.
async fn hand_out(app: &mut TestApp, reader: &mut Follower, last: i64) {
    loop {
        tokio::select! {
            () = reader.reads_until(last) => return,
            () = app.test.tail() => {}
        }
    }
}

fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[sqlx::test(migrator = "engine::MIGRATOR")]
async fn whoever_does_not_read_costs_little_slows_nobody_and_loses_nothing(pool: PgPool) {
    const SLOW: usize = 40;
    const MIB: u64 = 1024 * 1024;
    let mut app = TestApp::with_real_time(&pool).await;
    let ada = app.owner().await;
    let task = app.test.create(&ada, NewTask::command("Much happens to it", "/srv/app", "true")).await.summary.id;
    let key = app.test.engine.create_key_here("script", Role::Viewer).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
    let still = Limits { still: Duration::from_secs(3600), ..Limits::default() };
    let served = TaskTracker::new().spawn(http_server::serve(listener, app.router.clone(), still, stop.clone()));
    app.test.tail().await;

    let mut reads = Follower::begins(addr, key.reveal()).await;
    let mut slow = vec![];
    for _ in 0..SLOW {
        slow.push(Follower::begins(addr, key.reveal()).await);
    }
    let mut last = 1;
    let mut happens = async |count: i64, letters: i32| {
        let first = last + 1;
        last += count;
        sqlx::query(
            "insert into event (workspace_id, task_id, number, actor, kind, payload, at)
             select $1, $2, number, 'system', 'gate_passed', jsonb_build_object('kind', 'gate_passed', 'comment', repeat('x', $5)), now()
             from generate_series($3, $4) as number",
        )
        .bind(ada.workspace_id.0)
        .bind(task.0)
        .bind(first)
        .bind(last)
        .bind(letters)
        .execute(&pool)
        .await
        .unwrap();
        last
    };
    // eight megabytes for each of them
    let mut before = 0;
    for round in 0..17 {
        let last = happens(256, 1800).await;
        hand_out(&mut app, &mut reads, last).await;
        if round == 0 {
            before = memory();
        }
    }
    let grown = memory().saturating_sub(before);
    assert!(grown < SLOW as u64 * MIB, "{} kB more for {SLOW} who do not read", grown / 1024);
    // more than is kept for whoever is behind
    for _ in 0..140 {
        let last = happens(1, 10).await;
        hand_out(&mut app, &mut reads, last).await;
    }
    let all: Vec<_> = (2..=17 * 256 + 140 + 1).collect();
    assert_eq!(reads.numbers, all);
    slow[0].reads_until(*all.last().unwrap()).await;
    assert_eq!(slow[0].numbers, all, "it goes on where it stopped, once and in order");
    stop.cancel();
    drop((reads, slow));
    served.await.unwrap();
}
