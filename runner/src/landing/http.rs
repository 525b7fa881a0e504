//! What is asked of a forge over its API, and what its answers come to. The token is in a header alone: in no address, error or log.

use std::time::Duration;

use domain::{landing::AGAIN_SECONDS_MAX, protocol::Trouble};
use reqwest::{
    Client, Method, Response, Url,
    header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER},
    redirect,
};
use serde_json::Value;

use super::{AGAIN_IN, passing, trouble};
use crate::clock;

const CONNECTS: Duration = Duration::from_secs(10);
const ANSWERS: Duration = Duration::from_secs(30);
/// Bytes of an answer.
const ANSWER: usize = 4 * 1024 * 1024;
/// Characters of what a forge says that are shown.
const COMPLAINT: usize = 300;

pub(super) struct Api {
    http: Client,
    base: Url,
    headers: HeaderMap,
    /// As people know it.
    host: String,
}

/// An answer that says no.
#[derive(Debug)]
pub(super) struct Refused {
    pub status: u16,
    /// What it says, without what could steer anything.
    pub message: String,
    again_in: Option<u32>,
}

/// Why there is no answer, or not the one that was wanted.
#[derive(Debug)]
pub(super) enum NoAnswer {
    Refused(Refused),
    Trouble(Trouble),
}

impl Api {
    pub fn new(host: &str, base: &str, accept: &'static str, token: &str) -> Result<Self, Trouble> {
        let unfit = |what: &str| {
            let advice = "See what MUSTER_GIT_TOKENS, MUSTER_FORGES and the git settings of the runner's machine say about it.";
            trouble(format!("{what} for {host} on the runner's machine is none"), advice)
        };
        let base = Url::parse(base).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let base = base.ok_or_else(|| unfit("the address of the API"))?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| unfit("the token"))?;
        authorization.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, authorization), (ACCEPT, HeaderValue::from_static(accept))]);
        let is_here = base.host_str().is_some_and(super::remote::is_here);
        if base.scheme() == "http" && !is_here {
            let advice = "Give it an address with https: the token would go over the network for everybody to read.";
            return Err(trouble(format!("the API of {host} is not spoken to without encryption"), advice));
        }
        let builder = Client::builder()
            .user_agent(concat!("muster/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECTS)
            .timeout(ANSWERS)
            // a token goes nowhere else
            .redirect(redirect::Policy::none());
        let builder = if is_here { builder.no_proxy() } else { builder };
        let http = builder.build().map_err(|_| trouble("the runner cannot set up a connection", "See the runner's log, and try again."))?;
        Ok(Self { http, base, headers, host: host.to_owned() })
    }

    /// Each part of the path is one, whatever is in it.
    pub async fn get(&self, path: &[&str], query: &[(&str, &str)]) -> Result<Value, NoAnswer> {
        self.ask(Method::GET, path, query, None).await
    }

    pub async fn send(&self, method: Method, path: &[&str], body: &Value) -> Result<Value, NoAnswer> {
        self.ask(method, path, &[], Some(body)).await
    }

    async fn ask(&self, method: Method, path: &[&str], query: &[(&str, &str)], body: Option<&Value>) -> Result<Value, NoAnswer> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut request = self.http.request(method, url).headers(self.headers.clone());
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.map_err(|error| self.silent(&error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = read(response).await.map_err(|error| self.silent(&error))?;
        let answer: Option<Value> = serde_json::from_slice(&text).ok();
        if status.is_success() {
            return answer.ok_or_else(|| {
                let advice = "See that MUSTER_FORGES names the address of its API.";
                NoAnswer::Trouble(trouble(format!("{} does not answer as a forge does", self.host), advice))
            });
        }
        let message = complaint(answer.as_ref()).unwrap_or_else(|| status.to_string());
        let again_in = again_in(status.as_u16(), &headers, &message, clock::now().timestamp());
        Err(NoAnswer::Refused(Refused { status: status.as_u16(), message, again_in }))
    }

    fn silent(&self, error: &reqwest::Error) -> NoAnswer {
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let why = if error.is_timeout() { "it took too long".to_owned() } else { cause.to_string() };
        NoAnswer::Trouble(passing(format!("{} does not answer: {why}", self.host), AGAIN_IN))
    }

    /// What an answer that nobody expected comes to.
    pub fn why(&self, no: NoAnswer, what: &str) -> Trouble {
        let refused = match no {
            NoAnswer::Trouble(trouble) => return trouble,
            NoAnswer::Refused(refused) => refused,
        };
        let host = &self.host;
        if let Some(seconds) = refused.again_in {
            let message = match refused.status {
                403 | 429 => format!("{host} wants to be left alone for {seconds} s, as it was asked too often"),
                status => format!("{host} answers {status}: {}", refused.message),
            };
            return match seconds {
                0..=AGAIN_SECONDS_MAX => passing(message, seconds),
                _ => trouble(message, "Try again when that time is over."),
            };
        }
        let message = format!("{host} does not let {what}: {} ({})", refused.message, refused.status);
        let advice = match refused.status {
            300..=399 => "The repository has moved: name it by its new address in a new task.",
            401 => "The token of the runner's machine for that host is not good, or no longer: put another in its place, and try again.",
            403 | 404 => {
                "The token of the runner's machine for that host may not do that: on GitHub it has to read and write contents and pull \
                 requests, on GitLab it needs the scope api and the role of a developer."
            }
            _ => "See what it says, mend that, and try again.",
        };
        trouble(message, advice)
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut text = vec![];
    while let Some(piece) = response.chunk().await? {
        text.extend_from_slice(&piece);
        // what is longer is no answer
        if text.len() > ANSWER {
            text.clear();
            break;
        }
    }
    Ok(text)
}

/// Seconds after which it may be asked again, when that is all that is wrong.
fn again_in(status: u16, headers: &HeaderMap, message: &str, now: i64) -> Option<u32> {
    let number = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).and_then(|text| text.trim().parse::<i64>().ok());
    // of its second limit, GitHub may speak in words alone
    let says_so = || message.to_ascii_lowercase().contains("rate limit");
    let is_limited =
        status == 429 || status == 403 && (headers.contains_key(RETRY_AFTER) || number("x-ratelimit-remaining") == Some(0) || says_so());
    if !is_limited && status < 500 {
        return None;
    }
    let said = number("retry-after");
    // until when, where it does not say how long
    let until = ["x-ratelimit-reset", "ratelimit-reset"].into_iter().find_map(number).map(|at| at.saturating_sub(now));
    let seconds = said.or(until.filter(|_| is_limited)).unwrap_or(AGAIN_IN.into());
    Some(u32::try_from(seconds.max(1)).unwrap_or(u32::MAX))
}

/// What a forge says is wrong: GitHub in `message` and `errors`, GitLab in `message`, which may be a list or an object, or in `error`.
fn complaint(answer: Option<&Value>) -> Option<String> {
    let answer = answer?;
    let mut parts = vec![];
    for place in ["message", "error", "error_description", "errors"] {
        collect(answer.get(place), &mut parts);
    }
    parts.dedup();
    let text: String = parts.join("; ").chars().map(|c| if c.is_control() { ' ' } else { c }).take(COMPLAINT).collect();
    Some(text).filter(|text| !text.is_empty())
}

fn collect(value: Option<&Value>, parts: &mut Vec<String>) {
    match value {
        Some(Value::String(text)) => parts.push(text.clone()),
        Some(Value::Array(values)) => values.iter().for_each(|value| collect(Some(value), parts)),
        Some(Value::Object(fields)) => match fields.get("message") {
            Some(message) => collect(Some(message), parts),
            None => {
                let mut fields: Vec<_> =
                    fields.iter().filter(|(name, _)| !["resource", "documentation_url"].contains(&name.as_str())).collect();
                fields.sort_unstable_by_key(|(name, _)| *name);
                for (name, value) in fields {
                    let mut own = vec![];
                    collect(Some(value), &mut own);
                    parts.extend(own.into_iter().map(|text| format!("{name} {text}")));
                }
            }
        },
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    fn again_in(status: u16, headers: &HeaderMap, now: i64) -> Option<u32> {
        super::again_in(status, headers, "", now)
    }

    #[test]
    fn a_forge_is_left_alone_for_as_long_as_it_says() {
        assert_eq!(again_in(429, &headers(&[("retry-after", "17")]), 0), Some(17));
        assert_eq!(again_in(403, &headers(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1300")]), 1000), Some(300));
        assert_eq!(again_in(403, &headers(&[("retry-after", "5"), ("x-ratelimit-reset", "9999")]), 1000), Some(5));
        assert_eq!(again_in(429, &headers(&[]), 0), Some(AGAIN_IN));
        assert_eq!(again_in(429, &headers(&[("retry-after", "999999999999")]), 0), Some(u32::MAX), "and not sooner");
        assert_eq!(again_in(403, &headers(&[("x-ratelimit-remaining", "4999")]), 0), None, "that is no limit");
        assert_eq!(again_in(503, &headers(&[("x-ratelimit-reset", "9999")]), 0), Some(AGAIN_IN));
        assert_eq!(again_in(422, &headers(&[("retry-after", "5")]), 0), None);
        assert_eq!(again_in(403, &headers(&[("x-ratelimit-reset", "-9223372036854775808"), ("x-ratelimit-remaining", "0")]), 9), Some(1));
        let said = super::again_in(403, &headers(&[]), "You have exceeded a secondary rate limit.", 0);
        assert_eq!(said, Some(AGAIN_IN));
    }

    #[test]
    fn what_a_forge_complains_of_is_said() {
        let github = json!({"message": "Validation Failed", "errors": [{"resource": "PullRequest", "field": "base", "code": "invalid"}]});
        assert_eq!(complaint(Some(&github)).unwrap(), "Validation Failed; code invalid; field base");
        let exists = json!({"message": "Validation Failed", "errors": [{"message": "A pull request already exists for a:b."}]});
        assert_eq!(complaint(Some(&exists)).unwrap(), "Validation Failed; A pull request already exists for a:b.");
        let gitlab = json!({"message": {"target_branch": ["does not exist"]}});
        assert_eq!(complaint(Some(&gitlab)).unwrap(), "target_branch does not exist");
        assert_eq!(complaint(Some(&json!({"error": "insufficient\u{1b}[2J_scope"}))).unwrap(), "insufficient [2J_scope");
        assert_eq!(complaint(Some(&json!([]))), None);
    }
}
