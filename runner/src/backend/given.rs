//! What an agent is given of the runner's environment: where its model is, and with which key. Where that is at an endpoint, this is said in
//! place of whatever the environment holds of providers: no key of the runner's comes to an endpoint.

use std::ffi::{OsStr, OsString};

use domain::{AgentTerms, Backend, endpoint::ModelFormat, protocol::Assignment};

use super::found::Found;

/// In place of a key: an Ollama takes any, and clients want one.
pub(super) const NO_KEY: &str = "none";

/// The endpoint that was chosen for a task, as its agent asks it.
#[derive(Clone, Copy)]
pub(crate) struct Endpoint<'a> {
    pub url: &'a str,
    pub format: ModelFormat,
    pub model: &'a str,
}

impl Endpoint<'_> {
    /// As its agent takes it.
    pub fn base_url(&self) -> String {
        self.format.base_url(self.url)
    }
}

/// Nothing where none was chosen, or none that this agent can ask.
pub(super) fn endpoint_of<'a>(found: &Found, assignment: &'a Assignment) -> Option<Endpoint<'a>> {
    let endpoint = assignment.endpoint.as_ref()?;
    let format = found.endpoint_format().filter(|format| endpoint.formats.contains(format))?;
    Some(Endpoint { url: &endpoint.url, format, model: assignment.agent.model.as_deref()? })
}

/// Of this, which agents are given, what is this one's. One of a manifest is given what that says of all that there is.
pub(super) fn given(
    found: &Found,
    terms: &AgentTerms,
    endpoint: Option<Endpoint<'_>>,
    given: &[(OsString, OsString)],
) -> Vec<(OsString, OsString)> {
    let given = match &found.manifest {
        Some(manifest) => manifest.given(std::env::vars_os(), terms.model.as_deref(), endpoint),
        None => given_to(&found.backend, given, endpoint),
    };
    match endpoint {
        Some(endpoint) => past_proxies(given, endpoint.url),
        None => given,
    }
}

fn given_to(backend: &Backend, given: &[(OsString, OsString)], endpoint: Option<Endpoint<'_>>) -> Vec<(OsString, OsString)> {
    let own = given.iter().filter(|(name, _)| is_for(backend, name)).cloned();
    let Some(endpoint) = endpoint else { return own.collect() };
    let told = told(backend, endpoint).into_iter().map(|(name, value)| (name.into(), value.into()));
    own.filter(|(name, _)| !is_of_a_provider(name)).chain(told).collect()
}

/// All that Claude Code asks beside the model that it is told by its arguments, for a title or by helpers, it asks the same one: there is no
/// other. Of 2.1.328; the small one is the older name of Haiku.
const CLAUDES_MODELS: [&str; 7] = [
    "ANTHROPIC_MODEL",
    "ANTHROPIC_SMALL_FAST_MODEL",
    "ANTHROPIC_DEFAULT_HAIKU_MODEL",
    "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "ANTHROPIC_DEFAULT_OPUS_MODEL",
    "ANTHROPIC_DEFAULT_FABLE_MODEL",
    "CLAUDE_CODE_SUBAGENT_MODEL",
];

/// Where its model is, by its own names for that.
fn told(backend: &Backend, endpoint: Endpoint<'_>) -> Vec<(&'static str, String)> {
    let (url, key) = (endpoint.base_url(), NO_KEY.to_owned());
    match backend {
        Backend::ClaudeCode => {
            let models = CLAUDES_MODELS.map(|name| (name, endpoint.model.to_owned()));
            [("ANTHROPIC_BASE_URL", url), ("ANTHROPIC_AUTH_TOKEN", key)].into_iter().chain(models).collect()
        }
        Backend::Codex | Backend::OpenCode => vec![("OPENAI_BASE_URL", url), ("OPENAI_API_KEY", key)],
        // the one asks no endpoint, and what the others are told their manifests say
        Backend::GeminiCli | Backend::Acp(_) | Backend::Own(_) => vec![],
    }
}

/// Whom no proxy is asked for. Programs read the one or the other.
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// What proxies and certificates need, and no provider.
const ON_THE_WAY: [&str; 8] =
    ["HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy", NO_PROXY[0], NO_PROXY[1], "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE"];

/// Whether what is called so is nobody's key: of an agent of a manifest nobody here knows what it sends to whom.
pub(super) fn is_no_key(name: &str) -> bool {
    ON_THE_WAY.contains(&name)
}

/// With the machine of this address among those for which no proxy is asked, as none knows the way to it.
fn past_proxies(given: Vec<(OsString, OsString)>, url: &str) -> Vec<(OsString, OsString)> {
    let directly = directly(&given, url);
    let others = given.into_iter().filter(|(name, _)| !NO_PROXY.iter().any(|known| name == *known));
    others.chain(directly).collect()
}

/// Both of them, with the machine of this address beside those that were there.
fn directly(given: &[(OsString, OsString)], url: &str) -> [(OsString, OsString); 2] {
    let url = reqwest::Url::parse(url).ok();
    let host = url.as_ref().and_then(|url| url.host_str()).unwrap_or_default().trim_matches(['[', ']']);
    let before = |wanted: &str| given.iter().find(|(name, value)| name.as_os_str() == wanted && !value.is_empty()).map(|(_, value)| value);
    let with_it = |name: &str, other: &str| {
        let mut hosts = OsString::new();
        if let Some(before) = before(name).or_else(|| before(other)) {
            hosts.push(before);
            hosts.push(",");
        }
        hosts.push(host);
        (OsString::from(name), hosts)
    };
    let [upper, lower] = NO_PROXY;
    [with_it(upper, lower), with_it(lower, upper)]
}

/// Nobody is given the keys of others.
fn is_for(backend: &Backend, name: &OsStr) -> bool {
    let own: &[&str] = match backend {
        Backend::ClaudeCode => &["ANTHROPIC_", "CLAUDE_"],
        Backend::Codex | Backend::OpenCode => &["OPENAI_"],
        Backend::GeminiCli => &["GEMINI_", "GOOGLE_GEMINI_"],
        // its manifest says what it is given
        Backend::Acp(_) | Backend::Own(_) => &[],
    };
    !is_of_a_provider(name) || begins(name, own)
}

/// Keys, and all that goes with them.
fn is_of_a_provider(name: &OsStr) -> bool {
    begins(name, &["ANTHROPIC_", "CLAUDE_", "OPENAI_", "GEMINI_", "GOOGLE_GEMINI_"])
}

fn begins(name: &OsStr, starts: &[&str]) -> bool {
    name.to_str().is_some_and(|name| starts.iter().any(|start| name.starts_with(start)))
}

#[cfg(test)]
mod tests;
