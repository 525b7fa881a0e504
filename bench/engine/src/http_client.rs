//! One connection to the server, kept open, with an API key: as a program that hands in tasks has it.

use anyhow::{Context, ensure};
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

pub struct HttpClient {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
    authorization: String,
    /// What moves the bytes; the connection closes with it.
    _driver: AbortOnDropHandle<()>,
}

impl HttpClient {
    pub async fn connect(address: &str, key: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // A connection that breaks fails the request that waits for it.
        let driver = TaskTracker::new().spawn(async move { drop(connection.await) });
        let authorization = format!("Bearer {key}");
        Ok(Self { sender, authority: address.to_owned(), authorization, _driver: AbortOnDropHandle::new(driver) })
    }

    /// The server closes what it has not heard of for some seconds.
    pub fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    /// The answer's body. Anything but 201 is an error: a figure of refused requests would say nothing.
    pub async fn create(&mut self, path: &str, body: Bytes) -> anyhow::Result<Bytes> {
        self.post(path, body, 201).await
    }

    /// As [`create`](Self::create), of what is answered in another way.
    pub async fn post(&mut self, path: &str, body: Bytes, expected: u16) -> anyhow::Result<Bytes> {
        let answer = self.send(Method::POST, path, body).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        ensure!(status == expected, "{path} answered {status}: {}", String::from_utf8_lossy(&body));
        Ok(body)
    }

    /// The body of an answer that goes on.
    pub async fn follow(&mut self, path: &str) -> anyhow::Result<Incoming> {
        let answer = self.send(Method::GET, path, Bytes::new()).await?;
        ensure!(answer.status() == 200, "{path} answered {}", answer.status());
        Ok(answer.into_body())
    }

    async fn send(&mut self, method: Method, path: &str, body: Bytes) -> anyhow::Result<http::Response<Incoming>> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority)
            .header(header::AUTHORIZATION, &self.authorization)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        self.sender.ready().await.context("the server has closed the connection")?;
        Ok(self.sender.send_request(request).await?)
    }
}

/// Several at once.
pub async fn connect_many(address: &str, key: &str, count: usize) -> anyhow::Result<Vec<HttpClient>> {
    let mut clients = Vec::with_capacity(count);
    for _ in 0..count {
        clients.push(HttpClient::connect(address, key).await?);
    }
    Ok(clients)
}
