//! A place on a room's loopback that leads to the same place on the machine's, where the model of an agent is. Whoever connects to it inside
//! is connected to that one outside, and asks no proxy: agents speak with themselves over the loopback as well, and not each of them tells the
//! two apart.

use std::{convert::Infallible, future::pending, net::SocketAddr, sync::Arc};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    patient::Patient,
    proxy::{CONNECTS, IDLE, IDLE_INSIDE, PAUSE, Place, at_once, place_in},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Door {
    pub inside: SocketAddr,
    /// The first of these that answers.
    pub outside: Vec<SocketAddr>,
}

/// For as long as somebody waits for it, as the proxy is.
pub(super) async fn serve_all(doors: Vec<(TcpListener, Door)>, places: Arc<Semaphore>) -> Infallible {
    futures::future::join_all(doors.into_iter().map(|(listener, door)| serve(listener, door, Arc::clone(&places)))).await;
    // there was none
    pending().await
}

async fn serve(listener: TcpListener, door: Door, places: Arc<Semaphore>) -> Infallible {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let place = place_in(&places).await;
                    connections.spawn(carry(stream, door.outside.clone(), place));
                }
                Err(_) => sleep(PAUSE).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// Its place is another's when this ends. Where nobody answers outside, the connection ends.
async fn carry(inside: TcpStream, outside: Vec<SocketAddr>, _place: Place) {
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
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::mpsc::unbounded_channel,
    };

    use super::*;
    use crate::network::proxy;

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
        running.spawn(serve_all(vec![(inside, Door { inside: door, outside: vec![nowhere, at] })], Arc::new(Semaphore::new(2))));
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

    #[tokio::test]
    async fn the_doors_and_the_proxy_of_a_room_have_its_places_together() {
        let ((model, outside), (inside, at), (proxied, proxy_at)) = (listener().await, listener().await, listener().await);
        let places = Arc::new(Semaphore::new(1));
        let mut running = JoinSet::new();
        running.spawn(serve_all(vec![(inside, Door { inside: at, outside: vec![outside] })], Arc::clone(&places)));
        running.spawn(proxy::serve(proxied, "example.org".parse().unwrap(), unbounded_channel().0, Arc::clone(&places)));
        let by_the_door = TcpStream::connect(at).await.unwrap();
        let carried = model.accept().await.unwrap();
        let mut asks = TcpStream::connect(proxy_at).await.unwrap();
        asks.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut said = String::new();
        assert!(timeout(PAUSE, asks.read_to_string(&mut said)).await.is_err(), "the door has the only one: {said}");
        drop((carried, by_the_door));
        asks.read_to_string(&mut said).await.unwrap();
        assert!(said.starts_with("HTTP/1.1 400"), "{said}");
    }
}
