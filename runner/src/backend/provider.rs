//! Where the model of an agent is: the hosts that it has to reach, whatever else it may. They follow from what it is given, so that nobody has to
//! name them a second time.

use std::ffi::OsString;

use domain::Backend;

use super::{codex, found::Found, given::Endpoint, opencode};
use crate::NetworkList;

/// Where the models of Claude Code and of Gemini CLI are unless their environment says otherwise. A token of a subscription is for the same host.
const ANTHROPIC: &str = "https://api.anthropic.com";
const GOOGLE: &str = "https://generativelanguage.googleapis.com";

/// For an agent that is given this. Of one of a manifest nobody knows more than that says; whoever asks an endpoint reaches that alone.
pub(crate) fn hosts(found: &Found, given: &[(OsString, OsString)], endpoint: Option<Endpoint<'_>>) -> NetworkList {
    if let Some(endpoint) = endpoint {
        return NetworkList::of_a_model(endpoint.url, true);
    }
    let at = |name: &str, usual: &str| match given.iter().find(|(own, value)| own == name && !value.is_empty()) {
        Some((_, url)) => NetworkList::of_a_model(&url.to_string_lossy(), true),
        None => NetworkList::of_a_model(usual, false),
    };
    match (&found.backend, &found.manifest) {
        (Backend::ClaudeCode, _) => at("ANTHROPIC_BASE_URL", ANTHROPIC),
        (Backend::Codex, _) => at("OPENAI_BASE_URL", codex::PROVIDER),
        (Backend::OpenCode, _) => at("OPENAI_BASE_URL", opencode::PROVIDER),
        (Backend::GeminiCli, _) => at("GOOGLE_GEMINI_BASE_URL", GOOGLE),
        (_, Some(manifest)) => addresses(given).fold(manifest.hosts(), |all, one| all.and(&one)),
        (Backend::Acp(_) | Backend::Own(_), None) => NetworkList::nothing(),
    }
}

/// Of what is given to an agent of a manifest, what is an address. A proxy is nobody whom it has something to say to.
fn addresses(given: &[(OsString, OsString)]) -> impl Iterator<Item = NetworkList> {
    let is_a_proxy = |name: &OsString| name.to_string_lossy().to_lowercase().ends_with("_proxy");
    let others = given.iter().filter(move |(name, _)| !is_a_proxy(name));
    others.map(|(_, value)| NetworkList::of_a_model(&value.to_string_lossy(), true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::manifest::Manifest;

    fn reaches(backend: &str, manifest: Option<&str>, given: &[(&str, &str)]) -> String {
        let manifest = manifest.map(|text| Manifest::parse(text).unwrap().into());
        let backend = Backend::parse(backend).unwrap();
        let found = Found { backend, version: "1".into(), program: "/a".into(), needs: "/a".into(), manifest, is_simple: false };
        let given: Vec<_> = given.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
        hosts(&found, &given, None).to_string()
    }

    #[test]
    fn each_agent_reaches_its_own_provider_where_it_was_said_to_be_or_where_it_is_for_everybody() {
        for (agent, variable, usual) in [
            ("claude-code", "ANTHROPIC_BASE_URL", "api.anthropic.com:443"),
            ("codex", "OPENAI_BASE_URL", "api.openai.com:443"),
            ("opencode", "OPENAI_BASE_URL", "api.openai.com:443"),
            ("gemini-cli", "GOOGLE_GEMINI_BASE_URL", "generativelanguage.googleapis.com:443"),
        ] {
            assert_eq!(reaches(agent, None, &[("SOME_URL", "https://example.org")]), usual, "{agent}");
            assert_eq!(reaches(agent, None, &[(variable, "")]), usual, "{agent}");
            assert_eq!(reaches(agent, None, &[(variable, "http://127.0.0.1:4010/v1")]), "127.0.0.1:4010", "{agent}");
            assert_eq!(reaches(agent, None, &[(variable, "nowhere")]), "", "{agent}: what is wrong opens nothing");
        }
    }

    #[test]
    fn an_agent_of_a_manifest_reaches_what_that_names_and_the_addresses_that_it_is_given() {
        let manifest = "speaks = \"text\"\ncommand = [\"mine\"]\nhosts = [\"api.example.org\", \"10.0.0.5:8000\"]\n";
        assert_eq!(reaches("own:mine", Some(manifest), &[]), "api.example.org,10.0.0.5:8000");
        let bare = "speaks = \"text\"\ncommand = [\"mine\"]\n";
        assert_eq!(reaches("own:mine", Some(bare), &[("MINE_KEY", "secret"), ("HTTPS_PROXY", "http://proxy.example.org:3128")]), "");
        let given = [
            ("MINE_HOST", "http://gpu-box:8000"),
            ("https_proxy", "http://proxy.example.org:3128"),
            ("OTHER", "https://api.example.net/v1"),
        ];
        assert_eq!(reaches("own:mine", Some(bare), &given), "gpu-box:8000,api.example.net:443");
    }
}
