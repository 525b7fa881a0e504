//! A stream that ends when nothing comes and nothing goes for too long.

use std::{
    io::{self, ErrorKind},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

pub(super) struct Patient<T> {
    stream: T,
    patience: Duration,
    over: Pin<Box<Sleep>>,
}

impl<T: Unpin> Patient<T> {
    pub fn new(stream: T, patience: Duration) -> Self {
        Self { stream, patience, over: Box::pin(sleep(patience)) }
    }

    /// What was done, unless it is still waited for and has been for too long.
    fn seen<R>(&mut self, done: Poll<io::Result<R>>, context: &mut Context<'_>) -> Poll<io::Result<R>> {
        if done.is_ready() {
            self.over.as_mut().reset(Instant::now() + self.patience);
            return done;
        }
        self.over.as_mut().poll(context).map(|()| Err(ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Patient<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.seen(read, context)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Patient<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.seen(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_moves_in_either_direction_is_waited_for() {
        let (mut far, near) = duplex(16);
        let mut near = Patient::new(near, Duration::from_secs(60));
        let began = Instant::now();
        for _ in 0..3 {
            tokio::time::advance(Duration::from_secs(50)).await;
            near.write_all(b"x").await.unwrap();
        }
        far.write_all(b"y").await.unwrap();
        assert_eq!(near.read_u8().await.unwrap(), b'y');
        assert_eq!(near.read_u8().await.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), 150 + 60);
    }
}
