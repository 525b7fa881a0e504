//! A connection that knows when a byte last went over it, and since when the head of a request is on its way.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// A connection and what is known of it.
pub struct Watched<S> {
    inner: S,
    activity: Arc<Activity>,
}

/// What goes on on a connection.
pub struct Activity {
    /// Bytes that went over it, in either direction.
    moved: AtomicU64,
    phase: Mutex<Phase>,
}

#[derive(Clone, Copy)]
enum Phase {
    /// The head of a request is on its way, since then.
    Head(Instant),
    /// A request is being answered.
    Served,
    /// It has its answer. The next byte begins the next head.
    Answered,
}

impl<S> Watched<S> {
    /// A first head is expected from now on.
    pub fn new(inner: S) -> (Self, Arc<Activity>) {
        let activity = Arc::new(Activity { moved: AtomicU64::new(0), phase: Mutex::new(Phase::Head(Instant::now())) });
        (Self { inner, activity: Arc::clone(&activity) }, activity)
    }
}

impl Activity {
    /// The head of a request is there.
    pub fn is_served(&self) {
        *self.phase() = Phase::Served;
    }

    fn is_answered(&self) {
        *self.phase() = Phase::Answered;
    }

    fn has_read(&self, bytes: usize) {
        self.count(bytes);
        let mut phase = self.phase();
        if let Phase::Answered = *phase
            && bytes > 0
        {
            *phase = Phase::Head(Instant::now());
        }
    }

    fn count(&self, bytes: usize) {
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Since when a head is on its way.
    fn head_since(&self) -> Option<Instant> {
        match *self.phase() {
            Phase::Head(since) => Some(since),
            Phase::Served | Phase::Answered => None,
        }
    }

    /// Returns when no byte has moved for this long, up to twice as late.
    pub async fn stands_still(&self, limit: Duration) {
        let mut seen = None;
        loop {
            let now = self.moved.load(Ordering::Relaxed);
            if seen == Some(now) {
                return;
            }
            seen = Some(now);
            tokio::time::sleep(limit).await;
        }
    }

    /// Returns when a head has been on its way for this long, up to twice as late.
    pub async fn head_is_late(&self, limit: Duration) {
        loop {
            let since = self.head_since();
            tokio::time::sleep_until(since.unwrap_or_else(Instant::now) + limit).await;
            if since.is_some() && self.head_since() == since {
                return;
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        self.activity.has_read(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
        self.activity.count(written);
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffers: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, buffers))?;
        self.activity.count(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// The body of an answer. When it has ended, or is not wanted any more, so has the answer.
pub struct Answering {
    body: Body,
    activity: Arc<Activity>,
}

impl Answering {
    pub fn new(body: Body, activity: &Arc<Activity>) -> Self {
        Self { body, activity: Arc::clone(activity) }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.activity.is_answered();
    }
}

impl hyper::body::Body for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
