//! A place on a room's loopback that leads to the same place on the machine's, where the model of an agent is. Whoever connects to it inside
//! is connected to that one outside, and asks no proxy: agents speak with themselves over the loopback as well, and not each of them tells the
//! two apart.

use std::{convert::Infallible, future::pending, net::SocketAddr};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::SemaphorePermit,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    patient::Patient,
    proxy::{CONNECTIONS, CONNECTS, IDLE, IDLE_INSIDE, MOST_CONNECTIONS, PAUSE, at_once},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Door {
    pub inside: SocketAddr,
    /// The first of these that answers.
    pub outside: Vec<SocketAddr>,
}

/// For as long as somebody waits for it, as the proxy is.
pub(super) async fn serve_all(doors: Vec<(TcpListener, Door)>) -> Infallible {
    futures::future::join_all(doors.into_iter().map(|(listener, door)| serve(listener, door))).await;
    // there was none
    pending().await
}

async fn serve(listener: TcpListener, door: Door) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < MOST_CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    // nobody closes it
                    let place = CONNECTIONS.acquire().await.ok();
                    connections.spawn(carry(stream, door.outside.clone(), place));
                }
                Err(_) => sleep(PAUSE).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// Its place among all connections is another's when this ends. Where nobody answers outside, the connection ends.
async fn carry(inside: TcpStream, outside: Vec<SocketAddr>, _place: Option<SemaphorePermit<'static>>) {
    for address in outside {
        let Ok(Ok(stream)) = timeout(CONNECTS, TcpStream::connect(address)).await else { continue };
        at_once(&inside);
        at_once(&stream);
        // one of the two has ended it, or both have said nothing for too long
        let _ = tokio::io::copy_bidirectional(&mut Patient::new(inside, IDLE_INSIDE), &mut Patient::new(stream, IDLE)).await;
        return;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        (listener, at)
    }

    #[tokio::test]
    async fn who_comes_in_is_connected_to_who_answers_outside_and_to_nobody_where_none_does() {
        let ((gone, nowhere), (model, at)) = (listener().await, listener().await);
        drop(gone);
        let (inside, door) = listener().await;
        let mut running = JoinSet::new();
        running.spawn(serve_all(vec![(inside, Door { inside: door, outside: vec![nowhere, at] })]));
        let mut asks = TcpStream::connect(door).await.unwrap();
        asks.write_all(b"asks").await.unwrap();
        let (mut answers, _) = model.accept().await.unwrap();
        let mut asked = [0; 4];
        answers.read_exact(&mut asked).await.unwrap();
        answers.write_all(b"answer").await.unwrap();
        drop(answers);
        let mut said = String::new();
        asks.read_to_string(&mut said).await.unwrap();
        assert_eq!((&asked, said.as_str()), (b"asks", "answer"));
        drop(model);
        let mut nothing = vec![];
        // the end, or that it was broken off
        let _ = TcpStream::connect(door).await.unwrap().read_to_end(&mut nothing).await;
        assert!(nothing.is_empty());
    }
}
