//! How a room comes to a proxy that runs outside of it: before the program of the room begins, Muster's own program makes a socket on the
//! room's loopback, hands it out, says in the environment where it is, and becomes the program ([`enter`]). Whoever connects to it from inside is
//! answered from outside ([`Bridge`]). Nothing of it has a place on the disk, and nothing of it stays inside.

use std::{
    convert::Infallible,
    ffi::{OsStr, OsString},
    future::pending,
    io::{self, ErrorKind, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    net::Ipv4Addr,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    process::Command,
    sync::Arc,
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::{
    io::Interest,
    sync::{
        Semaphore,
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    },
};

use super::{
    NetworkList,
    door::{self, Door},
    proxy,
};
use crate::log::Log;

/// Where the room's end of it is when the room begins.
pub(crate) const ENTRANCE: i32 = 5;
/// What Muster's program is told first, so that it is known to be in a room.
pub(crate) const ENTER: &str = "--enter-room";
/// Comes behind it, and is another one once what follows means something else: the program that lies in a room is whatever stands where the runner
/// was started from, which may have been replaced since.
pub(crate) const TERMS: &str = "terms-1";
/// Run by a shell inside, with the program and what it is told: the entrance becomes its standard input, for which there is a name without a
/// number, and what was that is kept beside.
pub(crate) const WITH_ENTRANCE: &str = r#"exec "$0" "$@" 6<&0 <&5 5<&-"#;
/// The same back.
const WITH_INPUT: &str = r#"exec "$@" <&6 6<&-"#;

#[cfg(target_os = "linux")]
const NOT_INHERITED: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(not(target_os = "linux"))]
const NOT_INHERITED: RecvFlags = RecvFlags::empty();

/// The runner's end.
pub(crate) struct Bridge {
    end: UnixStream,
    list: NetworkList,
    /// The room's socket was here.
    came: bool,
    /// What was refused, for the log.
    refused: UnboundedSender<String>,
    lines: UnboundedReceiver<String>,
    /// What is being said in the log now.
    line: Option<String>,
}

impl Bridge {
    /// With the room's end.
    pub fn new(list: NetworkList) -> io::Result<(Self, OwnedFd)> {
        let (end, entrance) = UnixStream::pair()?;
        end.set_nonblocking(true)?;
        let (refused, lines) = unbounded_channel();
        Ok((Self { end, list, came: false, refused, lines, line: None }, entrance.into()))
    }

    /// Lets the room reach what its list has, for as long as somebody waits for this.
    pub async fn serve(&mut self, log: &Log) -> Infallible {
        // when the program never began, that is said by its end
        let Ok(listener) = self.listener().await else { return pending().await };
        let Ok(doors) = self.doors().await else { return pending().await };
        let (lines, line) = (&mut self.lines, &mut self.line);
        let telling = async {
            while let Some(said) = lines.recv().await {
                // whoever waits for this may stop while the log has no room
                log.say(line.insert(said)).await;
                *line = None;
            }
            pending::<Infallible>().await
        };
        let places = Arc::new(Semaphore::new(proxy::MOST_CONNECTIONS));
        let proxy = proxy::serve(listener, self.list.clone(), self.refused.clone(), Arc::clone(&places));
        tokio::join!(proxy, door::serve_all(doors, places), telling).0
    }

    /// The room hands them out in the order of the list.
    async fn doors(&mut self) -> io::Result<Vec<(tokio::net::TcpListener, Door)>> {
        let mut all = vec![];
        for door in self.list.doors() {
            all.push((self.listener().await?, door));
        }
        Ok(all)
    }

    /// What is not in the log yet. Asked when the room has ended.
    pub async fn say_the_rest(&mut self, log: &Log) {
        while let Some(line) = self.not_said() {
            log.say(&line).await;
        }
    }

    fn not_said(&mut self) -> Option<String> {
        self.line.take().or_else(|| self.lines.try_recv().ok())
    }

    async fn listener(&mut self) -> io::Result<tokio::net::TcpListener> {
        let end = tokio::net::UnixStream::from_std(self.end.try_clone()?)?;
        loop {
            end.readable().await?;
            match end.try_io(Interest::READABLE, || receive(&end)) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
                Ok(None) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(Some(socket)) => {
                    self.came = true;
                    let listener = std::net::TcpListener::from(socket);
                    listener.set_nonblocking(true)?;
                    return tokio::net::TcpListener::from_std(listener);
                }
            }
        }
    }

    /// Whether the room was connected. Asked when it has ended.
    pub fn was_made(&self) -> bool {
        self.came || matches!(receive(&self.end), Ok(Some(_)))
    }
}

/// Does something while a room reaches what its list has, where it has one.
pub(crate) async fn while_it_reaches<T>(bridge: Option<&mut Bridge>, log: &Log, work: impl Future<Output = T>) -> T {
    let Some(bridge) = bridge else { return work.await };
    let done = tokio::select! {
        done = work => done,
        never = bridge.serve(log) => match never {},
    };
    bridge.say_the_rest(log).await;
    done
}

/// Nothing when nobody will send any more.
fn receive(end: &impl AsFd) -> io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(end, &mut [IoSliceMut::new(&mut byte)], &mut control, NOT_INHERITED)?;
    Ok(control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut sockets) => sockets.next(),
        _ => None,
    }))
}

fn send(end: &impl AsFd, socket: &impl AsFd) -> io::Result<()> {
    let sockets = [socket.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&sockets));
    sendmsg(end, &[IoSlice::new(&[0])], &mut control, SendFlags::empty())?;
    Ok(())
}

/// What programs are told not to ask the proxy for: themselves, unless the list means something outside by that.
pub(crate) fn not_asked_for(list: &NetworkList) -> String {
    ["localhost", "127.0.0.1", "::1"].into_iter().filter(|host| !list.knows(host)).collect::<Vec<_>>().join(",")
}

/// When this program was started inside a room, as [`ENTER`] says: connects the room and becomes the program of the room. It returns only
/// with what went wrong.
pub fn enter(mut arguments: impl Iterator<Item = OsString>) -> Option<io::Error> {
    arguments.next();
    if arguments.next().as_deref() != Some(OsStr::new(ENTER)) {
        return None;
    }
    let Err(error) = connect(arguments);
    Some(error)
}

fn connect(mut arguments: impl Iterator<Item = OsString>) -> io::Result<Infallible> {
    if arguments.next().as_deref() != Some(OsStr::new(TERMS)) {
        let why = "Muster was updated while this runner ran, so that no sandbox with a network list can be made: start the runner again";
        return Err(io::Error::new(ErrorKind::InvalidInput, why));
    }
    let not_asked_for = arguments.next().ok_or(ErrorKind::InvalidInput)?;
    // before the proxy has one of their ports
    let doors = open_doors(&arguments.next().ok_or(ErrorKind::InvalidInput)?)?;
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let proxy = format!("http://{}", listener.local_addr()?);
    send(&io::stdin(), &listener)?;
    doors.iter().try_for_each(|door| send(&io::stdin(), door))?;
    let mut command = Command::new("sh");
    command.args(["-c", WITH_INPUT, "sh"]).args(arguments);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env(name, &proxy).env(name.to_ascii_lowercase(), &proxy);
    }
    command.env("NO_PROXY", &not_asked_for).env("no_proxy", &not_asked_for);
    // or Node would not look at these
    command.env("NODE_USE_ENV_PROXY", "1");
    Err(command.exec())
}

/// As [`doors_of`] names them.
fn open_doors(doors: &OsStr) -> io::Result<Vec<std::net::TcpListener>> {
    let doors = doors.to_str().ok_or(ErrorKind::InvalidInput)?;
    let open = |door: &str| {
        let listener = std::net::TcpListener::bind(door);
        listener.map_err(|error| {
            io::Error::new(error.kind(), format!("the model at {door} of this machine cannot be shown in the sandbox: {error}"))
        })
    };
    doors.split(',').filter(|door| !door.is_empty()).map(open).collect()
}

/// Where the room is to listen for what is on the machine's loopback.
pub(crate) fn doors_of(list: &NetworkList) -> String {
    list.doors().iter().map(|door| door.inside.to_string()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
        time::Duration,
    };

    use domain::{AttemptId, AttemptKey, LogStream, TaskId};
    use uuid::Uuid;

    use super::*;
    use crate::{held::Held, outbox::Outbox};

    #[tokio::test]
    async fn a_socket_that_is_handed_out_is_answered_from_outside() {
        let (mut bridge, entrance) = Bridge::new("example.org".parse().unwrap()).unwrap();
        assert!(!bridge.was_made());
        let inside = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = inside.local_addr().unwrap();
        send(&entrance, &inside).unwrap();
        drop((inside, entrance));
        let outside = bridge.listener().await.unwrap();
        assert!(bridge.was_made());
        let client = std::thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"asks").unwrap();
            let mut said = String::new();
            stream.read_to_string(&mut said).unwrap();
            said
        });
        let (stream, _) = outside.accept().await.unwrap();
        let mut stream = stream.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        let mut asked = [0; 4];
        stream.read_exact(&mut asked).unwrap();
        stream.write_all(b"answer").unwrap();
        drop(stream);
        assert_eq!((&asked, client.join().unwrap().as_str()), (b"asks", "answer"));
    }

    #[tokio::test]
    async fn a_room_hands_out_its_doors_behind_its_proxy() {
        let model = TcpListener::bind("127.0.0.1:0").unwrap();
        let list = NetworkList::of_a_model(&format!("http://{}", model.local_addr().unwrap()), true);
        let (mut bridge, entrance) = Bridge::new(list.clone()).unwrap();
        let [proxy, door] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let at = door.local_addr().unwrap();
        send(&entrance, &proxy).unwrap();
        send(&entrance, &door).unwrap();
        drop((proxy, door));
        bridge.listener().await.unwrap();
        let doors = bridge.doors().await.unwrap();
        assert_eq!((doors.len(), doors[0].0.local_addr().unwrap(), &doors[0].1), (1, at, &list.doors()[0]));
        assert_eq!(doors_of(&list), model.local_addr().unwrap().to_string());
        assert_eq!(not_asked_for(&list), "localhost,127.0.0.1,::1", "nobody asks the proxy for it");
        let taken = open_doors(OsStr::new(&doors_of(&list))).unwrap_err();
        assert!(taken.to_string().contains(&doors_of(&list)), "{taken}");
        assert!(open_doors(OsStr::new("")).unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_room_that_hands_out_nothing_is_not_connected() {
        let (mut bridge, entrance) = Bridge::new("example.org".parse().unwrap()).unwrap();
        drop(entrance);
        assert_eq!(bridge.listener().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert!(!bridge.was_made());
    }

    #[tokio::test]
    async fn a_line_is_not_lost_when_the_work_ends_while_the_log_has_no_room() {
        let key = AttemptKey { task_id: TaskId(Uuid::now_v7()), attempt_id: AttemptId(Uuid::now_v7()), number: 1 };
        let folder = tempfile::tempdir().unwrap();
        // what fits into memory, and nothing more
        let outbox = Arc::new(Outbox::new(folder.path().to_owned(), u64::MAX));
        let held = Held::default();
        outbox.open(key);
        outbox.log(key.attempt_id, LogStream::Stdout, vec![b'x'; 1024 * 1024]);
        let log = Log::new(key.attempt_id, outbox, held.take(key).unwrap().0);
        let (mut bridge, entrance) = Bridge::new("example.org".parse().unwrap()).unwrap();
        send(&entrance, &TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
        for line in ["one", "two"] {
            bridge.refused.send(line.into()).unwrap();
        }
        assert!(tokio::time::timeout(Duration::from_millis(100), bridge.serve(&log)).await.is_err());
        assert_eq!(bridge.line.as_deref(), Some("one"), "it waits for room");
        let left: Vec<_> = std::iter::from_fn(|| bridge.not_said()).collect();
        assert_eq!(left, ["one", "two"]);
    }

    #[test]
    fn only_who_is_told_so_is_in_a_room() {
        let called = |words: &[&str]| enter(words.iter().map(OsString::from)).map(|error| error.kind());
        assert_eq!(called(&["muster"]), None);
        assert_eq!(called(&["muster", "serve", ENTER]), None);
        assert_eq!(called(&["muster", ENTER, TERMS]), Some(ErrorKind::InvalidInput));
    }

    #[test]
    fn a_runner_that_is_older_than_its_program_is_told_to_be_started_again() {
        for words in [&["muster", ENTER][..], &["muster", ENTER, "localhost,127.0.0.1,::1", "", "true"], &["muster", ENTER, "terms-0"]] {
            let error = enter(words.iter().map(OsString::from)).unwrap();
            assert!(error.to_string().contains("start the runner again"), "{words:?}: {error}");
        }
    }

    #[test]
    fn what_the_list_means_outside_is_asked_for() {
        let said = |list: &str| not_asked_for(&list.parse().unwrap());
        assert_eq!(said("example.org"), "localhost,127.0.0.1,::1");
        assert_eq!(said("127.0.0.1:8080,[::1]:*"), "localhost");
    }
}
