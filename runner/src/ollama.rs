//! Asking an endpoint what it has, and having it pull a model, by Ollama's API.
//!
//! A runner asks the one on its own machine, wherever its settings say that is. A server asks what people have registered, and nobody that
//! [`not_asked`] names: not by a redirect, not by a proxy, and not by a name that stands for another machine the next time.

mod pulled;

use std::{
    error::Error,
    fmt,
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use domain::endpoint::{
    Looked,
    address::{OWN_MACHINE, not_asked, plain},
    ollama::{self, Pulling},
    pull::PullProgress,
};
pub use pulled::Pulled;
use pulled::Way;
use reqwest::{
    Client, ClientBuilder, RequestBuilder, Response, StatusCode, Url,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect,
};
use serde_json::{Value, json};
use tokio::time::timeout;

/// For an endpoint to say what it has.
const ANSWERS: Duration = Duration::from_secs(5);
/// For a pull to come any further: while it verifies what has come it says nothing, and of the largest models that takes long. An Ollama whose
/// registry hangs says the same again and again, so that what it says is no sign that it goes on.
const SILENT: Duration = Duration::from_mins(30);
/// For all of a pull. What has come stays, and another pull goes on from there.
const LASTS: Duration = Duration::from_hours(24);
/// Bytes of an answer.
const ANSWER_BYTES: usize = 1024 * 1024;
/// Bytes of a line of a pull.
const LINE_BYTES: usize = 64 * 1024;
const TOO_LONG: &str = "it takes too long";
/// Of what another service may have answered.
const NOT_AS_OLLAMA: &str = "it does not answer as Ollama does";

/// Whom whoever asks may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Whomever the settings of this machine name.
    Anybody,
    /// Machines elsewhere, and this one when it was told so: people name them who may know nothing of this machine.
    Others { own_machine: bool },
}

/// Whoever asks endpoints.
#[derive(Clone)]
pub struct Asker {
    http: Client,
    reach: Reach,
}

impl Asker {
    /// The reason when nobody can be asked on this machine.
    pub fn new(reach: Reach) -> Result<Self, String> {
        // The one TLS provider of the process; it can only be refused when there is one already, which is then as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // Without certificates of authorities on this machine it can still ask by http.
        let built = client(reach).build().or_else(|_| client(reach).tls_certs_only([]).build());
        let http = built.map_err(|error| format!("nobody can be asked from here: {}", root_cause(&error)))?;
        Ok(Self { http, reach })
    }

    /// Nobody is asked yet; the reason when nobody will be.
    pub fn at(&self, url: &str) -> Result<Ollama, String> {
        let url: Url = url.parse().map_err(|error| format!("its address cannot be read: {error}"))?;
        if let Reach::Others { own_machine } = self.reach {
            // an address is not looked up; however it is written, here it is in its one form
            let host = url.host_str().unwrap_or_default();
            if let Ok(ip) = host.trim_matches(['[', ']']).parse::<IpAddr>()
                && let Some(why) = refused(ip, own_machine)
            {
                return Err(format!("{host} {why}"));
            }
        }
        Ok(Ollama { http: self.http.clone(), url, reach: self.reach })
    }
}

fn client(reach: Reach) -> ClientBuilder {
    // between two looks a connection would only lie idle
    let builder = Client::builder().no_proxy().redirect(redirect::Policy::none()).pool_max_idle_per_host(0);
    let builder = builder.connect_timeout(ANSWERS).read_timeout(SILENT);
    match reach {
        Reach::Anybody => builder,
        Reach::Others { own_machine } => builder.dns_resolver(Guarded { own_machine }),
    }
}

/// As [`not_asked`], also for the addresses by which others reach this machine.
fn refused(ip: IpAddr, own_machine: bool) -> Option<&'static str> {
    not_asked(ip, own_machine).or_else(|| (!own_machine && is_own(plain(ip))).then_some(OWN_MACHINE))
}

/// What this machine sends to one of its own addresses it sends from that address. Nothing is sent to find that out.
fn is_own(ip: IpAddr) -> bool {
    let any = match ip {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    let from = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((ip, 9))?;
        socket.local_addr()
    });
    from.is_ok_and(|from| from.ip() == ip)
}

/// One endpoint.
pub struct Ollama {
    http: Client,
    url: Url,
    reach: Reach,
}

impl Ollama {
    /// What it has at this moment.
    pub async fn look(&self) -> Looked {
        match timeout(ANSWERS, self.ask_all()).await {
            Ok(Ok(looked)) => looked,
            Ok(Err(why)) => Looked::Fails { why: why.told(self.reach) },
            Err(_) => Looked::Fails { why: format!("it does not answer within {} s", ANSWERS.as_secs()) },
        }
    }

    async fn ask_all(&self) -> Result<Looked, Why> {
        let (tags, running, version) = tokio::join!(self.get("api/tags"), self.get("api/ps"), self.get("api/version"));
        let models = ollama::models(&tags?, &running?).map_err(Why::OfOthers)?;
        // one that does not say may have another way of saying it
        let version = version.ok().and_then(|text| ollama::version(&text));
        Ok(Looked::Answers { version, models })
    }

    async fn get(&self, path: &str) -> Result<Vec<u8>, Why> {
        let mut response = sent(self.http.get(self.below(path))).await?;
        // what it says of that is not told: it may be another service
        if let Some(no) = refusal(&response) {
            return Err(Why::OfOthers(no));
        }
        let mut body = vec![];
        while let Some(piece) = response.chunk().await.map_err(|error| broke_off(&error))? {
            body.extend_from_slice(&piece);
            if body.len() > ANSWER_BYTES {
                return Err(Why::OfOthers(format!("/{path} goes on for more than {ANSWER_BYTES} bytes")));
            }
        }
        Ok(body)
    }

    /// Has it pull a model, and tells how far that has come with whatever comes of it. Whoever does not wait for the end has it left off.
    pub async fn pull(&self, model: &str, mut told: impl FnMut(PullProgress) + Send) -> Pulled {
        match timeout(LASTS, self.pull_telling(model, &mut told)).await {
            Ok(pulled) => pulled,
            Err(_) => Pulled::failed(format!("it was not done within {} h; another pull goes on from there", LASTS.as_secs() / 3600)),
        }
    }

    async fn pull_telling(&self, model: &str, told: &mut (impl FnMut(PullProgress) + Send)) -> Pulled {
        // an earlier Ollama knows it by its name
        let body = json!({ "model": model, "name": model, "stream": true });
        let mut response = match self.http.post(self.below("api/pull")).json(&body).send().await {
            Ok(response) => response,
            // it was reached, and says nothing
            Err(error) if error.is_timeout() && !error.is_connect() => return Pulled::failed(TOO_LONG),
            Err(error) => return Pulled::Unanswered(broke_off(&error).told(self.reach)),
        };
        if let Some(no) = refusal(&response) {
            // whatever stands before it has found nobody there
            let is_away =
                matches!(response.status(), StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT);
            return match is_away {
                true => Pulled::Unanswered(Why::OfOthers(no).told(self.reach)),
                false => Pulled::failed(self.why_not(&mut response, no).await),
            };
        }
        let (mut pulling, mut waiting, mut way) = (Pulling::default(), Vec::<u8>::new(), Way::begun());
        loop {
            let piece = match response.chunk().await {
                Ok(Some(piece)) => piece,
                Err(error) if error.is_timeout() => return Pulled::failed(TOO_LONG),
                Ok(None) | Err(_) => return Pulled::BrokeOff,
            };
            let whole = piece.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| waiting.len() + last + 1);
            waiting.extend_from_slice(&piece);
            let (mut lines, mut last) = (0, None::<PullProgress>);
            for line in waiting[..whole].split(|byte| *byte == b'\n') {
                lines += 1;
                if last.as_ref().is_some_and(|progress| progress.end.is_some()) {
                    break;
                }
                if !line.trim_ascii().is_empty() {
                    last = Some(pulling.line(line));
                }
            }
            waiting.drain(..whole);
            way.hears(lines, piece.len());
            if let Some(progress) = last {
                way.comes_to(&progress);
                let end = progress.end.clone();
                // a part that it fetches anew is no step back: only a pull that was begun again takes one
                told(PullProgress { completed: way.most(), ..progress });
                if let Some(end) = end {
                    return Pulled::Ended(end);
                }
            }
            if let Some(why) = way.leads_nowhere() {
                return Pulled::failed(why);
            }
            if waiting.len() > LINE_BYTES {
                return Pulled::failed(format!("a line goes on for more than {LINE_BYTES} bytes"));
            }
        }
    }

    /// In Ollama's own words where these are all that it says. It may be another service: what that answers is not for whoever names its address.
    async fn why_not(&self, response: &mut Response, no: String) -> String {
        let said = timeout(ANSWERS, said_why(response)).await.ok().flatten();
        match (self.reach, said) {
            (Reach::Anybody, Some(why)) => format!("{no}: {why}"),
            (Reach::Anybody, None) => no,
            (Reach::Others { .. }, Some(why)) => why,
            (Reach::Others { .. }, None) => NOT_AS_OLLAMA.to_owned(),
        }
    }

    fn below(&self, path: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/{path}", self.url.path().trim_end_matches('/')));
        url
    }
}

/// Why nothing came of asking.
enum Why {
    /// This machine's own reason, which is told.
    Own(String),
    /// What was answered, or how that broke off: whoever names an address may learn by it what is there.
    OfOthers(String),
}

impl Why {
    /// To whoever has named the address.
    fn told(self, reach: Reach) -> String {
        match (self, reach) {
            (Self::Own(why), _) | (Self::OfOthers(why), Reach::Anybody) => why,
            (Self::OfOthers(_), Reach::Others { .. }) => NOT_AS_OLLAMA.to_owned(),
        }
    }
}

async fn sent(request: RequestBuilder) -> Result<Response, Why> {
    request.send().await.map_err(|error| broke_off(&error))
}

/// Nothing when it says yes.
fn refusal(response: &Response) -> Option<String> {
    let (status, path) = (response.status(), response.url().path());
    (!status.is_success()).then(|| format!("it answers {path} with {status}"))
}

/// An object with that one key, as Ollama writes it. The beginning is enough for these, and more is not read of anybody.
async fn said_why(response: &mut Response) -> Option<String> {
    let said = response.chunk().await.ok().flatten()?;
    match serde_json::from_slice::<Value>(&said).ok()? {
        Value::Object(said) if said.len() == 1 => Some(said.get("error")?.as_str()?.to_owned()),
        _ => None,
    }
}

fn broke_off(error: &reqwest::Error) -> Why {
    if error.is_timeout() {
        return Why::Own(TOO_LONG.to_owned());
    }
    let (cause, text) = (innermost(error), root_cause(error));
    let is_refused = cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::ConnectionRefused);
    match is_refused || cause.is::<NotLookedUp>() {
        true => Why::Own(text),
        false => Why::OfOthers(text),
    }
}

fn innermost(error: &reqwest::Error) -> &(dyn Error + 'static) {
    let mut cause: &(dyn Error + 'static) = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause
}

/// The innermost reason, which is the one a person can act on: "Connection refused".
fn root_cause(error: &reqwest::Error) -> String {
    let text = innermost(error).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// A name that leads to nobody who is asked.
#[derive(Debug)]
struct NotLookedUp(String);

impl fmt::Display for NotLookedUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for NotLookedUp {}

/// Looks names up, and leaves out the machines that are not asked.
struct Guarded {
    own_machine: bool,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let own_machine = self.own_machine;
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let looked_up = tokio::net::lookup_host((host.as_str(), 0)).await;
            let unknown = |_| NotLookedUp(format!("{host} is no name that this machine knows"));
            let found: Vec<SocketAddr> = looked_up.map_err(unknown)?.collect();
            let why_not = |address: &SocketAddr| refused(address.ip(), own_machine);
            let (good, bad): (Vec<_>, Vec<_>) = found.into_iter().partition(|address| why_not(address).is_none());
            if let (true, Some(why)) = (good.is_empty(), bad.first().and_then(why_not)) {
                return Err(NotLookedUp(format!("{host} {why}")).into());
            }
            let addresses: Addrs = Box::new(good.into_iter());
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_this_machine_is_known_as_one() {
        assert!(is_own(Ipv4Addr::LOCALHOST.into()));
        assert!(!is_own(Ipv4Addr::new(203, 0, 113, 9).into()), "nobody has it");
    }

    /// Also on a machine on which no authority is known, whose client is built so.
    #[test]
    fn a_client_that_trusts_no_authority_can_be_built() {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        assert!(client(Reach::Anybody).tls_certs_only([]).build().is_ok());
    }
}
