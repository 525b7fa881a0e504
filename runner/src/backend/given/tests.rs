use super::*;
use crate::backend::manifest::Manifest;

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Vec<(OsString, OsString)> {
    pairs.map(|(name, value)| (OsString::from(name), OsString::from(value))).into()
}

fn lines(given: Vec<(OsString, OsString)>) -> Vec<String> {
    given.into_iter().map(|(name, value)| format!("{}={}", name.display(), value.display())).collect()
}

fn at(url: &str, format: ModelFormat) -> Endpoint<'_> {
    Endpoint { url, format, model: "llama3:8b" }
}

/// What a runner has, with a key for each provider that there is.
fn environment() -> Vec<(OsString, OsString)> {
    pairs([
        ("ANTHROPIC_API_KEY", "secret"),
        ("ANTHROPIC_AUTH_TOKEN", "secret"),
        ("ANTHROPIC_BASE_URL", "https://api.example.org"),
        ("ANTHROPIC_CUSTOM_HEADERS", "x-key: secret"),
        ("ANTHROPIC_DEFAULT_HAIKU_MODEL", "haiku"),
        ("CLAUDE_CODE_OAUTH_TOKEN", "secret"),
        ("CLAUDE_CODE_USE_BEDROCK", "1"),
        ("OPENAI_API_KEY", "secret"),
        ("OPENAI_BASE_URL", "https://api.example.org/v1"),
        ("OPENAI_ORGANIZATION", "secret"),
        ("GEMINI_API_KEY", "secret"),
        ("GOOGLE_GEMINI_BASE_URL", "https://api.example.org"),
        ("HTTPS_PROXY", "http://proxy"),
    ])
}

#[test]
fn nobody_is_given_the_keys_of_others() {
    let names = ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL", "HTTPS_PROXY"];
    let given = |backend: Backend| names.map(|name| is_for(&backend, OsStr::new(name)));
    assert_eq!(given(Backend::ClaudeCode), [true, false, false, false, true]);
    assert_eq!(given(Backend::Codex), [false, true, false, false, true]);
    assert_eq!(given(Backend::GeminiCli), [false, false, true, true, true]);
    assert_eq!(given(Backend::OpenCode), given(Backend::Codex));
}

#[test]
fn each_agent_is_told_of_its_endpoint_and_given_no_key_of_the_runners() {
    let told = |backend: Backend| {
        let format = backend.endpoint_format().unwrap();
        lines(given_to(&backend, &environment(), Some(at("http://box:11434/", format))))
    };
    let claude = [
        "HTTPS_PROXY=http://proxy",
        "ANTHROPIC_BASE_URL=http://box:11434",
        "ANTHROPIC_AUTH_TOKEN=none",
        "ANTHROPIC_MODEL=llama3:8b",
        "ANTHROPIC_SMALL_FAST_MODEL=llama3:8b",
        "ANTHROPIC_DEFAULT_HAIKU_MODEL=llama3:8b",
        "ANTHROPIC_DEFAULT_SONNET_MODEL=llama3:8b",
        "ANTHROPIC_DEFAULT_OPUS_MODEL=llama3:8b",
        "ANTHROPIC_DEFAULT_FABLE_MODEL=llama3:8b",
        "CLAUDE_CODE_SUBAGENT_MODEL=llama3:8b",
    ];
    assert_eq!(told(Backend::ClaudeCode), claude, "it asks no other model");
    let openai = ["HTTPS_PROXY=http://proxy", "OPENAI_BASE_URL=http://box:11434/v1", "OPENAI_API_KEY=none"];
    assert_eq!([told(Backend::Codex), told(Backend::OpenCode)], [openai, openai]);
    for backend in [Backend::ClaudeCode, Backend::Codex, Backend::OpenCode] {
        assert!(lines(given_to(&backend, &environment(), None)).iter().any(|line| line.ends_with("=secret")), "elsewhere it has its key");
    }
}

/// Its keys may have any name.
#[test]
fn an_agent_of_a_manifest_is_told_of_its_endpoint_by_the_names_that_it_gives_to_that() {
    let text = r#"
        speaks = "text"
        command = ["mine"]
        model = "small"
        environment = ["ACME_*", "OTHER_KEY", "HTTPS_PROXY"]
        variables = { ACME_URL = "https://api.example.org", TONE = "plain" }
        [provider]
        format = "openai-chat"
        url = "ACME_URL"
        model = "ACME_MODEL"
        key = "ACME_KEY"
    "#;
    let manifest = Manifest::parse(text).unwrap();
    let all =
        || pairs([("ACME_KEY", "secret"), ("ACME_MODEL", "mine"), ("OTHER_KEY", "secret"), ("HTTPS_PROXY", "http://proxy")]).into_iter();
    let given = |model, endpoint| lines(manifest.given(all(), model, endpoint));
    let elsewhere = |model: &str| {
        let same = ["ACME_KEY=secret", "OTHER_KEY=secret", "HTTPS_PROXY=http://proxy", "ACME_URL=https://api.example.org", "TONE=plain"];
        same.map(str::to_owned).into_iter().chain([format!("ACME_MODEL={model}")]).collect::<Vec<_>>()
    };
    assert_eq!([given(None, None), given(Some("large"), None)], [elsewhere("small"), elsewhere("large")]);
    let endpoint = at("http://box:11434", ModelFormat::OpenaiChat);
    let told = ["HTTPS_PROXY=http://proxy", "TONE=plain", "ACME_URL=http://box:11434/v1", "ACME_KEY=none", "ACME_MODEL=llama3:8b"];
    assert_eq!(given(Some("llama3:8b"), Some(endpoint)), told);
}

#[test]
fn no_proxy_is_asked_for_an_endpoint() {
    let told = |given: Vec<(OsString, OsString)>, url: &str| lines(past_proxies(given, url));
    assert_eq!(told(pairs([]), "http://box:11434/"), ["NO_PROXY=box", "no_proxy=box"]);
    assert_eq!(told(pairs([("no_proxy", "a,.b")]), "http://[fd12::7]:80"), ["NO_PROXY=a,.b,fd12::7", "no_proxy=a,.b,fd12::7"]);
    assert_eq!(told(pairs([("NO_PROXY", "a"), ("no_proxy", "b")]), "http://box"), ["NO_PROXY=a,box", "no_proxy=b,box"]);
}
