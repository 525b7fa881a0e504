//! The proxy of a room: HTTP, and with CONNECT whatever speaks through it, to the hosts of a list. It looks up names itself and connects to an
//! address that it has looked at, so that a name cannot lead elsewhere afterwards. What is not on the list is refused with 403, and told.

use std::{
    collections::HashSet,
    convert::Infallible,
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::{Arc, Mutex},
    time::Duration,
};

use domain::endpoint::address::not_asked;
use http_body_util::{BodyExt, Empty, Full, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    client::conn::http1 as client,
    header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue},
    server::conn::http1 as server,
    service::service_fn,
    upgrade::OnUpgrade,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit, mpsc::UnboundedSender},
    task::{JoinSet, spawn_blocking},
    time::{sleep, timeout},
};

use super::{NetworkList, address::is_public, patient::Patient};
use crate::lock;

/// Connections of a room at one time, by its proxy and its doors together; the next one waits. Each takes two descriptors of the runner, and inside
/// a server those are the server's.
pub(super) const MOST_CONNECTIONS: usize = 64;
/// The same of all rooms together: few systems give a program more than 1024 descriptors unasked.
static CONNECTIONS: Semaphore = Semaphore::const_new(200);
/// Names of a room that are looked up at one time. The system's look-up cannot be told to end, and each has a thread until it does.
const MOST_LOOKUPS: usize = 4;
/// The same of all rooms together, as the runner has work of its own for its threads.
static LOOKUPS: Semaphore = Semaphore::const_new(32);
/// For the head of a request to come.
const HEAD: Duration = Duration::from_secs(30);
/// For a name to be looked up, and for each of its addresses to answer.
pub(super) const CONNECTS: Duration = Duration::from_secs(15);
/// A connection over which nothing comes or goes. Models think for minutes before they say a word.
pub(super) const IDLE: Duration = Duration::from_secs(900);
/// The same of one from inside: whoever asks there is told that nothing came.
pub(super) const IDLE_INSIDE: Duration = Duration::from_secs(960);
/// After an error of the socket itself, such as that too many files are open.
pub(super) const PAUSE: Duration = Duration::from_millis(100);
/// Of what was refused, as the log has no need of more.
const TOLD: usize = 50;
/// As long as a name can be.
const LONGEST_HOST: usize = 255;
/// What is between two who speak with each other, and for nobody behind them (RFC 9110, 7.6.1).
const OF_THE_CONNECTION: [&str; 8] =
    ["connection", "keep-alive", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

/// Of a connection, in its room and among all of them.
pub(super) type Place = (Option<OwnedSemaphorePermit>, Option<SemaphorePermit<'static>>);
type Answer = Response<BoxBody<Bytes, hyper::Error>>;
type Upstream = Patient<TcpStream>;

struct Proxy {
    list: NetworkList,
    refused: UnboundedSender<String>,
    told: Mutex<HashSet<String>>,
    lookups: Arc<Semaphore>,
}

/// One connection from inside.
#[derive(Default)]
struct Connection {
    /// What is not spoken with by requests any more.
    tunnel: Mutex<Option<(OnUpgrade, Upstream)>>,
    /// What answers its requests.
    answering: Mutex<JoinSet<()>>,
}

/// Whom a request is for.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    host: String,
    port: u16,
}

/// For as long as somebody waits for it: all connections end with this.
pub(super) async fn serve(
    listener: TcpListener,
    list: NetworkList,
    refused: UnboundedSender<String>,
    places: Arc<Semaphore>,
) -> Infallible {
    let proxy = Arc::new(Proxy::new(list, refused));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let place = place_in(&places).await;
                    connections.spawn(serve_one(stream, Arc::clone(&proxy), place));
                }
                Err(_) => sleep(PAUSE).await,
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

/// The room's first: one that has none left takes none from other rooms while it waits. Nobody closes either.
pub(super) async fn place_in(room: &Arc<Semaphore>) -> Place {
    let of_the_room = Arc::clone(room).acquire_owned().await.ok();
    (of_the_room, CONNECTIONS.acquire().await.ok())
}

/// Its place is another's when this ends.
async fn serve_one(stream: TcpStream, proxy: Arc<Proxy>, _place: Place) {
    at_once(&stream);
    let connection = Arc::new(Connection::default());
    let about = Arc::clone(&connection);
    let service = service_fn(move |request: Request<Incoming>| {
        let (proxy, connection) = (Arc::clone(&proxy), Arc::clone(&about));
        async move { proxy.answer(request, &connection).await }
    });
    let mut speaks = server::Builder::new();
    speaks.timer(TokioTimer::new()).header_read_timeout(HEAD).preserve_header_case(true);
    let inside = TokioIo::new(Patient::new(stream, IDLE_INSIDE));
    // whoever does not speak HTTP is not answered
    let _ = speaks.serve_connection(inside, service).with_upgrades().await;
    let Some((upgrade, mut upstream)) = lock(&connection.tunnel).take() else { return };
    let Ok(inside) = upgrade.await else { return };
    // one of the two has ended it, or both have said nothing for too long
    let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(inside), &mut upstream).await;
}

impl Proxy {
    fn new(list: NetworkList, refused: UnboundedSender<String>) -> Self {
        Self { list, refused, told: Mutex::default(), lookups: Arc::new(Semaphore::new(MOST_LOOKUPS)) }
    }

    async fn answer(&self, request: Request<Incoming>, connection: &Connection) -> Result<Answer, Infallible> {
        let target = match Target::of(request.method(), request.uri()) {
            Ok(target) => target,
            Err(why) => return Ok(said(StatusCode::BAD_REQUEST, why)),
        };
        let upstream = match self.reach(&target).await {
            Ok(upstream) => upstream,
            Err((status, why)) => return Ok(said(status, &why)),
        };
        if request.method() == Method::CONNECT {
            *lock(&connection.tunnel) = Some((hyper::upgrade::on(request), upstream));
            return Ok(Response::new(Empty::<Bytes>::new().map_err(|never| match never {}).boxed()));
        }
        let answered = forward(request, upstream, &connection.answering).await;
        Ok(answered.unwrap_or_else(|error| said(StatusCode::BAD_GATEWAY, &format!("{} has not answered: {error}", target.host))))
    }

    async fn reach(&self, target: &Target) -> Result<Upstream, (StatusCode, String)> {
        let Target { host, port } = target;
        if !self.list.has(host, *port) {
            return Err((StatusCode::FORBIDDEN, self.refuse(&format!("The network list does not have {host}:{port}"))));
        }
        let unreachable = |why: &dyn std::fmt::Display| (StatusCode::BAD_GATEWAY, format!("{host}:{port} cannot be reached: {why}"));
        let found = timeout(CONNECTS, self.addresses(host, *port)).await;
        let found = found.map_err(|_| unreachable(&"its name was not found in time"))?.map_err(|error| unreachable(&error))?;
        let may_be_reached = |address: &SocketAddr| is_public(address.ip()) || self.names(*address) || self.may_lead_in(host, *address);
        let Some(first) = found.first() else { return Err(unreachable(&"its name has no address")) };
        if !found.iter().any(may_be_reached) {
            let at = first.ip();
            let why = format!("{host} stands for {at}, which is not the internet's, and the network list does not have {at}:{port}");
            return Err((StatusCode::FORBIDDEN, self.refuse(&why)));
        }
        let mut why = String::new();
        for address in found.iter().filter(|address| may_be_reached(address)) {
            match timeout(CONNECTS, TcpStream::connect(address)).await {
                Ok(Ok(stream)) if self.leads_home(&stream) && !self.may_lead_in(host, *address) => {
                    let at = address.ip();
                    let why = format!("{host} stands for {at}, which is this machine's, and the network list does not have {at}:{port}");
                    return Err((StatusCode::FORBIDDEN, self.refuse(&why)));
                }
                Ok(Ok(stream)) => {
                    at_once(&stream);
                    return Ok(Patient::new(stream, IDLE));
                }
                Ok(Err(error)) => why = error.to_string(),
                Err(_) => why = "it does not answer".into(),
            }
        }
        Err(unreachable(&why))
    }

    /// Whether the list has the address itself, whatever name stands for it.
    fn names(&self, address: SocketAddr) -> bool {
        self.list.has(&address.ip().to_string(), address.port())
    }

    /// Whether the model of an agent may be there, by the name that whoever runs the machine has said. Nobody's name leads to the loopback, nor to
    /// where clouds keep keys.
    fn may_lead_in(&self, host: &str, address: SocketAddr) -> bool {
        self.list.trusts(host, address.port()) && not_asked(address.ip(), false).is_none()
    }

    /// Whether a name has led to this machine, which can have addresses of the internet: whoever speaks with it from here has the same one.
    fn leads_home(&self, stream: &TcpStream) -> bool {
        // of one that has ended nothing is learned any more
        let (Ok(own), Ok(peer)) = (stream.local_addr(), stream.peer_addr()) else { return true };
        own.ip() == peer.ip() && !self.names(peer)
    }

    /// Its places are free again only when the system has answered, however long anybody waits for that.
    async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address.to_canonical(), port)]);
        }
        let of_the_room = Arc::clone(&self.lookups).acquire_owned().await.map_err(io::Error::other)?;
        let of_all = LOOKUPS.acquire().await.map_err(io::Error::other)?;
        let host = host.to_owned();
        let looked = spawn_blocking(move || {
            let found: io::Result<Vec<_>> = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
            drop((of_the_room, of_all));
            found
        });
        looked.await.map_err(io::Error::other)?
    }

    /// Each is told once.
    fn refuse(&self, why: &str) -> String {
        let mut told = lock(&self.told);
        if told.len() < TOLD && told.insert(why.to_owned()) {
            let more = if told.len() == TOLD { "; what else is refused is not told any more" } else { "" };
            // whoever is not listened to has ended
            let _ = self.refused.send(format!("{why}{more}"));
        }
        why.to_owned()
    }
}

/// Whoever waits for the next word does not wait for a whole packet.
pub(super) fn at_once(stream: &TcpStream) {
    // without that it is as right, and later
    let _ = stream.set_nodelay(true);
}

impl Target {
    fn of(method: &Method, uri: &Uri) -> Result<Self, &'static str> {
        let authority = uri.authority().ok_or("This is a proxy: say the whole address of what is asked for")?;
        let port = match (method == Method::CONNECT, uri.scheme_str()) {
            (true, _) => authority.port_u16().ok_or("CONNECT takes a port")?,
            (false, Some("http")) => authority.port_u16().unwrap_or(80),
            (false, _) => return Err("This proxy is asked for http; everything else is for CONNECT"),
        };
        if authority.as_str().contains('@') {
            return Err("This proxy takes no names of users");
        }
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        if host.is_empty() || host.len() > LONGEST_HOST || port == 0 {
            return Err("There is no such host");
        }
        Ok(Self { host, port })
    }
}

/// One request and its answer; the next request comes to the proxy again.
async fn forward(request: Request<Incoming>, upstream: Upstream, answering: &Mutex<JoinSet<()>>) -> Result<Answer, hyper::Error> {
    let (mut head, body) = request.into_parts();
    let authority = head.uri.authority().map(|authority| HeaderValue::from_str(authority.as_str()));
    head.uri = head.uri.path_and_query().map_or_else(|| Uri::from_static("/"), |path| path.clone().into());
    only_what_goes_on(&mut head.headers);
    if let Some(Ok(authority)) = authority {
        head.headers.insert(HOST, authority);
    }
    let (mut asks, speaking) = client::Builder::new().preserve_header_case(true).handshake(TokioIo::new(upstream)).await?;
    {
        let mut answering = lock(answering);
        while answering.try_join_next().is_some() {}
        // an error of it is the answer's as well
        answering.spawn(async move { drop(speaking.await) });
    }
    let mut answer = asks.send_request(Request::from_parts(head, body)).await?;
    only_what_goes_on(answer.headers_mut());
    Ok(answer.map(BodyExt::boxed))
}

fn only_what_goes_on(headers: &mut HeaderMap) {
    let named = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let named: Vec<_> = named.filter_map(|name| name.trim().parse::<HeaderName>().ok()).collect();
    for name in named {
        headers.remove(name);
    }
    for name in OF_THE_CONNECTION {
        headers.remove(name);
    }
}

fn said(status: StatusCode, why: &str) -> Answer {
    let mut answer = Response::new(Full::<Bytes>::from(format!("muster: {why}\n")).map_err(|never| match never {}).boxed());
    *answer.status_mut() = status;
    answer
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::mpsc::{UnboundedReceiver, unbounded_channel},
    };

    use super::*;

    /// A proxy with this list, and all that it was asked for.
    struct Scene {
        at: SocketAddr,
        told: UnboundedReceiver<String>,
        _running: JoinSet<Infallible>,
    }

    async fn proxy(list: &str) -> Scene {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let (refused, told) = unbounded_channel();
        let mut running = JoinSet::new();
        running.spawn(serve(listener, list.parse().unwrap(), refused, Arc::new(Semaphore::new(MOST_CONNECTIONS))));
        Scene { at, told, _running: running }
    }

    /// Says what it was asked, to one after the other.
    async fn echo(others: &mut JoinSet<()>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        others.spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut asked = vec![0; 4096];
                let length = stream.read(&mut asked).await.unwrap();
                let asked = &asked[..length];
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
                stream.write_all(&[head.as_bytes(), asked].concat()).await.unwrap();
            }
        });
        at
    }

    impl Scene {
        async fn connects(&self) -> TcpStream {
            TcpStream::connect(self.at).await.unwrap()
        }

        /// All that comes until the proxy closes.
        async fn asked(&self, request: &str) -> String {
            let mut stream = self.connects().await;
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut said = String::new();
            stream.read_to_string(&mut said).await.unwrap();
            said
        }

        async fn get(&self, url: &str) -> String {
            self.asked(&format!(
                "GET {url} HTTP/1.1\r\nHost: nobody\r\nX-Kept: 1\r\nProxy-Authorization: secret\r\nConnection: close\r\n\r\n"
            ))
            .await
        }

        async fn connect(&self, target: &str) -> String {
            self.asked(&format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n")).await
        }
    }

    #[tokio::test]
    async fn a_request_goes_to_whom_it_names_without_what_is_the_proxys() {
        let mut others = JoinSet::new();
        let at = echo(&mut others).await;
        let scene = proxy(&format!("127.0.0.1:{}", at.port())).await;
        let said = scene.get(&format!("http://{at}/path?q=1")).await;
        assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
        let asked = said.split_once("\r\n\r\n").unwrap().1;
        assert!(asked.starts_with("GET /path?q=1 HTTP/1.1\r\n"), "{asked}");
        assert!(asked.to_lowercase().contains(&format!("host: {at}\r\n")) && asked.contains("X-Kept: 1"), "{asked}");
        assert!(!asked.contains("secret") && !asked.contains("nobody"), "{asked}");
    }

    #[tokio::test]
    async fn a_tunnel_carries_what_is_said_both_ways() {
        let mut others = JoinSet::new();
        let at = echo(&mut others).await;
        let scene = proxy(&format!("127.0.0.1:{}", at.port())).await;
        let mut stream = scene.connects().await;
        stream.write_all(format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n").as_bytes()).await.unwrap();
        let mut head = vec![];
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
        stream.write_all(b"whatever this is").await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        assert!(said.ends_with("whatever this is"), "{said}");
    }

    #[tokio::test]
    async fn who_is_not_listed_is_refused_and_that_is_told_once() {
        let mut others = JoinSet::new();
        let at = echo(&mut others).await;
        let mut scene = proxy("example.org").await;
        let why = format!("The network list does not have {at}");
        for said in [scene.connect(&at.to_string()).await, scene.get(&format!("http://{at}/")).await] {
            assert!(said.starts_with("HTTP/1.1 403") && said.contains(&why), "{said}");
        }
        let other = scene.connect("example.net:443").await;
        assert!(
            other.starts_with("HTTP/1.1 403") && other.ends_with("muster: The network list does not have example.net:443\n"),
            "{other}"
        );
        let other_port = scene.connect("example.org:22").await;
        assert!(other_port.starts_with("HTTP/1.1 403"), "{other_port}");
        let told = std::iter::from_fn(|| scene.told.try_recv().ok()).collect::<Vec<_>>();
        let expected = [why.as_str(), "The network list does not have example.net:443", "The network list does not have example.org:22"];
        assert_eq!(told, expected);
    }

    #[tokio::test]
    async fn a_name_does_not_lead_to_this_machine_unless_its_address_is_listed() {
        let mut others = JoinSet::new();
        let at = echo(&mut others).await;
        let (port, url) = (at.port(), format!("http://LocalHost.:{}/", at.port()));
        let mut scene = proxy(&format!("localhost:{port}")).await;
        let said = scene.get(&url).await;
        assert!(said.starts_with("HTTP/1.1 403") && said.contains("which is not the internet's"), "{said}");
        assert!(scene.told.try_recv().unwrap().contains("localhost stands for"));
        let both = proxy(&format!("localhost:{port},127.0.0.1:{port}")).await;
        assert!(both.get(&url).await.starts_with("HTTP/1.1 200"));
        // however an address is written
        for host in ["127.1", "2130706433", "0x7f.0.0.1", "[::ffff:127.0.0.1]", "0"] {
            let said = scene.connect(&format!("{host}:{port}")).await;
            assert!(said.starts_with("HTTP/1.1 403") || said.starts_with("HTTP/1.1 400"), "{host}: {said}");
        }
    }

    #[test]
    fn only_where_a_model_was_said_to_be_a_name_leads_into_the_machines_network() {
        let proxy = |list: NetworkList| Proxy::new(list, unbounded_channel().0);
        let model = |is_said| proxy(NetworkList::of_a_model("https://models.example.org", is_said));
        let leads_in = |proxy: &Proxy, at: &str| proxy.may_lead_in("models.example.org", at.parse().unwrap());
        for at in ["10.0.0.5:443", "[fd00::5]:443", "192.168.1.7:443"] {
            assert!(leads_in(&model(true), at), "{at}");
            assert!(!leads_in(&model(false), at) && !leads_in(&proxy("models.example.org".parse().unwrap()), at), "{at}");
        }
        for at in
            ["127.0.0.1:443", "[::1]:443", "169.254.169.254:443", "[fd00:ec2::254]:443", "168.63.129.16:443", "0.0.0.0:443", "10.0.0.5:80"]
        {
            assert!(!leads_in(&model(true), at), "{at}");
        }
    }

    #[tokio::test]
    async fn whoever_speaks_with_this_machine_has_its_address() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let leads_home = |list: String| Proxy::new(list.parse().unwrap(), unbounded_channel().0).leads_home(&stream);
        let port = listener.local_addr().unwrap().port();
        assert!(leads_home(format!("localhost:{port}")) && leads_home(format!("127.0.0.1:{}", port ^ 1)));
        assert!(!leads_home(format!("127.0.0.1:{port}")));
    }

    #[tokio::test]
    async fn one_connection_too_many_waits_for_another_to_end() {
        let scene = proxy("example.org").await;
        let mut open = vec![];
        for _ in 0..MOST_CONNECTIONS {
            open.push(scene.connects().await);
        }
        let asks = scene.get("/");
        tokio::pin!(asks);
        assert!(timeout(PAUSE, &mut asks).await.is_err());
        drop(open.pop());
        assert!(asks.await.starts_with("HTTP/1.1 400"));
    }

    #[tokio::test]
    async fn a_name_is_not_looked_up_while_a_room_has_as_many_as_it_may() {
        let proxy = Proxy::new("localhost:80".parse().unwrap(), unbounded_channel().0);
        let places = Arc::clone(&proxy.lookups).acquire_many_owned(u32::try_from(MOST_LOOKUPS).unwrap()).await.unwrap();
        assert!(timeout(PAUSE, proxy.addresses("localhost", 80)).await.is_err());
        assert!(proxy.addresses("127.0.0.1", 80).await.is_ok(), "an address has to be looked up nowhere");
        drop(places);
        assert!(!proxy.addresses("localhost", 80).await.unwrap().is_empty());
        assert_eq!(proxy.lookups.available_permits(), MOST_LOOKUPS);
    }

    #[tokio::test]
    async fn what_is_no_request_to_a_proxy_is_told_so() {
        let scene = proxy("example.org").await;
        for url in ["/", "https://example.org/", "http://user:word@example.org/", "ftp://example.org/"] {
            let said = scene.get(url).await;
            assert!(said.starts_with("HTTP/1.1 400"), "{url}: {said}");
        }
        let without_a_port = scene.connect("example.org").await;
        assert!(without_a_port.starts_with("HTTP/1.1 400"), "{without_a_port}");
    }

    #[tokio::test]
    async fn nothing_of_it_is_left_when_nobody_waits_for_it_any_more() {
        let mut others = JoinSet::new();
        let at = echo(&mut others).await;
        let Scene { at: proxy, _running: running, .. } = proxy(&format!("127.0.0.1:{}", at.port())).await;
        let mut stream = TcpStream::connect(proxy).await.unwrap();
        stream.write_all(format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n").as_bytes()).await.unwrap();
        stream.read_exact(&mut [0; 12]).await.unwrap();
        let mut running = running;
        running.shutdown().await;
        let mut rest = vec![];
        // the end, or that it was broken off
        let _ = stream.read_to_end(&mut rest).await;
        assert!(TcpStream::connect(proxy).await.is_err());
    }
}
