//! An Ollama that a test plays, as far as Muster asks one: what it has, what is loaded, and pulls that go on when the test says so.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
};
use tokio_util::task::TaskTracker;

/// Between two lines that say nothing new, about a model whose name begins with `hangs`.
const REPEATS: Duration = Duration::from_secs(10);
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
const HALF: &[u8] = b"{\"status\":\"pulling a1\",\"digest\":\"a1\",\"total\":100,\"completed\":50}\n";
const LESS: &[u8] = b"{\"status\":\"pulling a1\",\"digest\":\"a1\",\"total\":100,\"completed\":20}\n";

pub struct FakeOllama {
    pub url: String,
    known: Arc<Known>,
}

struct Known {
    /// Names, and whether they are loaded.
    models: Mutex<Vec<(String, bool)>>,
    is_broken: Mutex<bool>,
    go_on: Notify,
    /// What was asked of `/api/pull`, and how many of those who asked have gone away before the end.
    pulls: watch::Sender<(Vec<String>, usize)>,
}

impl FakeOllama {
    pub async fn with(models: &[(&str, bool)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let models = models.iter().map(|(name, loaded)| ((*name).to_owned(), *loaded)).collect();
        let known = Arc::new(Known {
            models: Mutex::new(models),
            is_broken: Mutex::new(false),
            go_on: Notify::new(),
            pulls: watch::Sender::new((vec![], 0)),
        });
        let tracker = TaskTracker::new();
        tracker.spawn(serve(listener, Arc::clone(&known), tracker.clone()));
        Self { url, known }
    }

    /// From now on it closes every connection without a word, or does so no more.
    pub fn breaks(&self, is_broken: bool) {
        *self.known.is_broken.lock().unwrap() = is_broken;
    }

    pub fn loads(&self, name: &str) {
        let mut models = self.known.models.lock().unwrap();
        models.iter_mut().filter(|(known, _)| known == name).for_each(|(_, loaded)| *loaded = true);
    }

    /// A pull that waits goes on to its end.
    pub fn goes_on(&self) {
        self.known.go_on.notify_one();
    }

    /// What was asked for, the first first.
    pub fn pulls(&self) -> Vec<String> {
        self.known.pulls.borrow().0.clone()
    }

    /// Until so many pulls were asked for, and so many of those who asked have gone away.
    pub async fn until_pulls(&self, asked: usize, gone: usize) {
        let mut pulls = self.known.pulls.subscribe();
        let came = tokio::time::timeout(crate::harness::PATIENCE, pulls.wait_for(|(models, left)| models.len() >= asked && *left >= gone));
        came.await.expect("they come").unwrap();
    }
}

async fn serve(listener: TcpListener, known: Arc<Known>, tracker: TaskTracker) {
    while let Ok((stream, _)) = listener.accept().await {
        let known = Arc::clone(&known);
        tracker.spawn(async move {
            if !*known.is_broken.lock().unwrap() {
                // who has gone away is told nothing more
                let _ = answer(stream, &known).await;
            }
        });
    }
}

async fn answer(mut stream: TcpStream, known: &Known) -> std::io::Result<()> {
    let (path, body) = request(&mut stream).await?;
    // what is refused, with what the model's name says
    if let Some(said) = body["model"].as_str().and_then(|model| model.strip_prefix("refused")) {
        let (status, said) = said.split_once(' ').unwrap_or_default();
        stream.write_all(format!("HTTP/1.1 {status} No\r\nconnection: close\r\n\r\n{said}").as_bytes()).await?;
        return stream.shutdown().await;
    }
    stream.write_all(OK).await?;
    let models = known.models.lock().unwrap().clone();
    let listed = |name: &str| json!({"name": name, "size": 1024, "size_vram": 512, "details": {"quantization_level": "Q4_0"}});
    let text = match path.as_str() {
        "/api/tags" => json!({"models": models.iter().map(|(name, _)| listed(name)).collect::<Vec<_>>()}).to_string(),
        "/api/ps" => {
            json!({"models": models.iter().filter(|(_, loaded)| *loaded).map(|(name, _)| listed(name)).collect::<Vec<_>>()}).to_string()
        }
        "/api/version" => json!({"version": "0.9.1"}).to_string(),
        "/api/pull" => return pull(stream, known, &body).await,
        other => json!({"error": format!("there is no {other}")}).to_string(),
    };
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}

async fn pull(mut stream: TcpStream, known: &Known, body: &Value) -> std::io::Result<()> {
    let model = body["model"].as_str().unwrap_or_default().to_owned();
    known.pulls.send_modify(|(asked, _)| asked.push(model.clone()));
    stream.write_all(b"{\"status\":\"pulling manifest\"}\n").await?;
    if model == "missing" {
        stream.write_all(b"{\"error\":\"file does not exist\"}\n").await?;
        return stream.shutdown().await;
    }
    stream.write_all(HALF).await?;
    // as one that is begun anew
    if model == "cut" && known.pulls.borrow().0.iter().filter(|asked| **asked == model).count() == 1 {
        return stream.shutdown().await;
    }
    // as one that fetches a part of it anew
    if model == "fetches-anew" {
        known.go_on.notified().await;
        stream.write_all(LESS).await?;
    }
    // as an Ollama does whose registry sends nothing more, or as whoever wants to be listened to for ever
    let again: Option<&[&[u8]]> = match model.as_str() {
        "hangs" => Some(&[HALF]),
        "hangs-in-turn" => Some(&[HALF, b"{\"status\":\"waiting\"}\n"]),
        "hangs-silently" => Some(&[b"\n"]),
        _ => None,
    };
    if let Some(again) = again {
        for line in again.iter().cycle() {
            tokio::time::sleep(REPEATS).await;
            stream.write_all(line).await?;
        }
    }
    if model == "floods" {
        loop {
            stream.write_all(&[b'\n'; 64 * 1024]).await?;
        }
    }
    let mut nothing = [0];
    tokio::select! {
        () = known.go_on.notified() => {}
        _ = stream.read(&mut nothing) => {
            known.pulls.send_modify(|(_, gone)| *gone += 1);
            return Ok(());
        }
    }
    known.models.lock().unwrap().push((model, false));
    stream.write_all(b"{\"status\":\"pulling a1\",\"digest\":\"a1\",\"total\":100,\"completed\":100}\n{\"status\":\"success\"}\n").await?;
    stream.shutdown().await
}

/// Its path, and its body where there is one.
async fn request(stream: &mut TcpStream) -> std::io::Result<(String, Value)> {
    let mut bytes = vec![];
    loop {
        let mut piece = [0; 1024];
        let read = stream.read(&mut piece).await?;
        if read == 0 {
            return Err(std::io::Error::other("it has gone away"));
        }
        bytes.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:").map(|rest| rest.trim().to_owned()));
        let length: usize = length.and_then(|length| length.parse().ok()).unwrap_or(0);
        if body.len() >= length {
            let path = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
            return Ok((path, serde_json::from_str(body).unwrap_or_default()));
        }
    }
}
