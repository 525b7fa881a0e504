//! How a turn has ended, what it has used, and what that says about the work.

use domain::{
    Failure, FailureCode, SessionEventKind as Event,
    session::{SessionEnd, kept_text},
};
use serde_json::{Value, json};

use crate::backend::json::{micros, number, shortened, some_text, text};

pub(super) struct Last {
    pub end: SessionEnd,
    why: Why,
}

enum Why {
    /// As the protocol calls it.
    Reason(String),
    Error(Value),
    /// It was not let begin: by whom and why is said elsewhere.
    NotBegun,
}

impl Last {
    /// It counts its turns where it was told how many it may take. It gives the same reason when it finds that it goes in circles.
    pub fn of(reason: &str, counts_turns: bool) -> Self {
        let end = match reason {
            "end_turn" => SessionEnd::Completed,
            "max_turn_requests" if counts_turns => SessionEnd::TurnsUsedUp,
            _ => SessionEnd::Failed,
        };
        Self { end, why: Why::Reason(kept_text(reason)) }
    }

    pub fn failed(error: Value) -> Self {
        Self { end: SessionEnd::Failed, why: Why::Error(error) }
    }

    pub fn refused() -> Self {
        Self { end: SessionEnd::Failed, why: Why::NotBegun }
    }

    pub fn was_cancelled(&self) -> bool {
        matches!(&self.why, Why::Reason(reason) if reason == "cancelled")
    }

    /// What it says went wrong.
    pub fn error(&self) -> Option<String> {
        match &self.why {
            Why::Error(error) => Some(kept_text(&message_of(error))),
            _ => None,
        }
    }

    /// Whether the agent has said that all went well.
    pub fn verdict(&self, title: &str) -> Result<(), Failure> {
        let failed = |code, what: &str| Err(Failure::new(code, format!("{title} {what}")));
        let reason = match &self.why {
            Why::NotBegun => return Ok(()),
            Why::Error(error) => return Err(failure(title, error)),
            Why::Reason(reason) => reason.as_str(),
        };
        match reason {
            "end_turn" => Ok(()),
            "max_turn_requests" if self.end == SessionEnd::TurnsUsedUp => {
                failed(FailureCode::AgentCapped, "has used up the turns that it was allowed, or went in circles")
            }
            "max_turn_requests" => failed(FailureCode::AgentCapped, "has stopped itself, as it went in circles"),
            "max_tokens" => failed(FailureCode::AgentCapped, "has used up the tokens that its model has for it"),
            "refusal" => failed(FailureCode::ProviderRefused, "was refused by its model"),
            "cancelled" => failed(FailureCode::CommandFailed, "was interrupted"),
            _ => failed(FailureCode::CommandFailed, "failed"),
        }
    }
}

fn failure(title: &str, error: &Value) -> Failure {
    let (code, what) = match provider_says(error) {
        Some(FailureCode::ProviderLimit) => (FailureCode::ProviderLimit, "was told to come back later"),
        Some(code) => (code, "was refused by its provider"),
        None => (FailureCode::CommandFailed, "failed"),
    };
    let message = match shortened(&message_of(error)) {
        message if message.is_empty() => format!("{title} {what}"),
        message => format!("{title} {what}: {message}"),
    };
    Failure::new(code, message)
}

/// What the answers of its model used, as far as it says that with the turn's end: OpenCode of the last one, Gemini CLI of all of them, by
/// model.
pub(super) fn usage(result: &Value, model: Option<&str>) -> Vec<Event> {
    let by_model = result.pointer("/_meta/quota/model_usage").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if !by_model.is_empty() {
        let of = |used: &Value, name: &str| number(used, &format!("/token_count/{name}")).unwrap_or(0);
        let used = |used: &Value| Event::Usage {
            model: some_text(used, "/model"),
            input: of(used, "input_tokens"),
            cached: 0,
            cache_written: 0,
            output: of(used, "output_tokens"),
            cost: None,
            is_part: false,
        };
        return by_model.iter().take(MOST_MODELS).map(used).collect();
    }
    let of = |name: &str| number(result, &format!("/usage/{name}")).unwrap_or(0);
    let (cached, cache_written) = (of("cachedReadTokens"), of("cachedWriteTokens"));
    let input = of("inputTokens").saturating_add(cache_written).saturating_add(cached);
    let output = of("outputTokens").saturating_add(of("thoughtTokens"));
    if input == 0 && output == 0 {
        return vec![];
    }
    // how many answers came before the last one nobody says
    vec![Event::Usage { model: model.map(str::to_owned), input, cached, cache_written, output, cost: None, is_part: true }]
}

/// What the session has cost, as some tell it while they work.
#[derive(Default)]
pub(super) struct Money {
    /// As it was told last, and what was spent before it was counted anew.
    total: u64,
    before: u64,
    is_told: bool,
}

impl Money {
    /// In millionths of a dollar, by the end of the last round.
    pub fn after(spent: u64) -> Self {
        Self { total: spent, ..Self::default() }
    }

    /// The protocol has it counted over all rounds; where it is less than before, somebody counts anew. In dollars alone, and that it cost nothing
    /// say those that know no price of their model.
    pub fn told(&mut self, update: &Value) {
        let in_dollars = text(update, "/cost/currency") == "USD";
        let Some(total) = micros(&update["cost"]["amount"]).filter(|total| in_dollars && *total > 0) else { return };
        if total < self.total {
            self.before = self.before.saturating_add(self.total);
        }
        (self.total, self.is_told) = (total, true);
    }

    /// In all rounds; nothing before it has told anything in this one.
    pub fn spent(&self) -> Option<u64> {
        self.is_told.then(|| self.so_far())
    }

    /// As far as it was ever told.
    pub fn so_far(&self) -> u64 {
        self.before.saturating_add(self.total)
    }
}

/// Of one turn.
const MOST_MODELS: usize = 100;

/// Whether an error is its provider's, and what it says. Gemini CLI gives its status as the error's code. OpenCode gives none: it has asked
/// again by itself where that may help, and what it says then is known by its words.
fn provider_says(error: &Value) -> Option<FailureCode> {
    match (error["code"].as_i64(), text(error, "/data/errorName")) {
        (Some(429 | 503 | 529), _) => Some(FailureCode::ProviderLimit),
        // the last one is the protocol's own: no key, or a wrong one
        (Some(400..=404 | 413 | -32000), _) => Some(FailureCode::ProviderRefused),
        (_, "APIError") => match text(error, "/message").to_lowercase() {
            message if says(&message, &LATER) => Some(FailureCode::ProviderLimit),
            message if says(&message, &BROKEN) => None,
            _ => Some(FailureCode::ProviderRefused),
        },
        (_, "ProviderAuthError" | "ProviderModelNotFoundError" | "ContextOverflowError") => Some(FailureCode::ProviderRefused),
        _ => None,
    }
}

/// Of a provider that has too much to do.
const LATER: [&str; 6] = ["rate limit", "rate_limit", "too many requests", "overloaded", "service unavailable", "resource exhausted"];
/// Of one that could not be reached, or has failed.
const BROKEN: [&str; 14] = [
    "server error",
    "server_error",
    "bad gateway",
    "gateway timeout",
    "timed out",
    "timeout error",
    "fetch failed",
    "socket hang up",
    "socket connection",
    "econn",
    "unable to connect",
    "cannot connect",
    "connection refused",
    "connection reset",
];

fn says(message: &str, words: &[&str]) -> bool {
    words.iter().any(|word| message.contains(word))
}

/// What an error says: of an answer of the provider's, which may be in it as it came, the message alone.
fn message_of(error: &Value) -> String {
    let message = text(error, "/message");
    let inner = serde_json::from_str(message).unwrap_or_else(|_| json!({}));
    let parts = [text(&inner, "/error/message"), message.trim_start_matches("Internal error: "), text(error, "/data/details")];
    match parts {
        ["", "Internal error", details] if !details.is_empty() => details.to_owned(),
        ["", own, _] => own.to_owned(),
        [inner, ..] => inner.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(last: &Last) -> (Option<FailureCode>, String) {
        match last.verdict("OpenCode") {
            Ok(()) => (None, String::new()),
            Err(failure) => (Some(failure.code), failure.message),
        }
    }

    #[test]
    fn a_turn_is_judged_by_why_it_has_ended() {
        for (reason, expected) in [
            ("end_turn", None),
            ("max_turn_requests", Some(FailureCode::AgentCapped)),
            ("refused by Muster", Some(FailureCode::CommandFailed)),
            ("max_tokens", Some(FailureCode::AgentCapped)),
            ("refusal", Some(FailureCode::ProviderRefused)),
            ("cancelled", Some(FailureCode::CommandFailed)),
            ("of a later version", Some(FailureCode::CommandFailed)),
            ("", Some(FailureCode::CommandFailed)),
        ] {
            assert_eq!(verdict(&Last::of(reason, true)).0, expected, "{reason}");
        }
        let circles = Last::of("max_turn_requests", false);
        assert_eq!((circles.end, verdict(&circles).1.as_str()), (SessionEnd::Failed, "OpenCode has stopped itself, as it went in circles"));
        assert_eq!(verdict(&Last::refused()).0, None, "what it was refused is told with that");
    }

    /// As Gemini CLI 0.61.0 and OpenCode 1.18.33 send them.
    #[test]
    fn what_the_provider_says_is_read_out_of_its_errors() {
        let gemini =
            |status: i64| json!({"code": status, "message": format!("{{\"error\":{{\"code\":{status},\"message\":\"bad thing\"}}}}")});
        for (status, expected) in [
            (400, Some(FailureCode::ProviderRefused)),
            (401, Some(FailureCode::ProviderRefused)),
            (402, Some(FailureCode::ProviderRefused)),
            (413, Some(FailureCode::ProviderRefused)),
            (429, Some(FailureCode::ProviderLimit)),
            (503, Some(FailureCode::ProviderLimit)),
            (500, Some(FailureCode::CommandFailed)),
        ] {
            let (code, message) = verdict(&Last::failed(gemini(status)));
            assert_eq!(code, expected, "{status}");
            assert!(message.ends_with(": bad thing"), "{message}");
        }
        let opencode = |message: &str| json!({"code": -32603, "message": format!("Internal error: {message}"), "data": {"service": "session", "errorName": "APIError"}});
        for (message, expected) in [
            ("The budget of this account is used up.", FailureCode::ProviderRefused),
            ("Rate limit reached for gpt-5.2", FailureCode::ProviderLimit),
            ("Overloaded", FailureCode::ProviderLimit),
            ("Internal server error", FailureCode::CommandFailed),
            ("Unable to connect. Is the computer able to access the url?", FailureCode::CommandFailed),
            ("Invalid value for timeout in the connector", FailureCode::ProviderRefused),
        ] {
            let (code, said) = verdict(&Last::failed(opencode(message)));
            assert_eq!(code, Some(expected), "{message}");
            assert!(said.ends_with(message), "{said}");
        }
        let details = json!({"code": -32603, "message": "Internal error", "data": {"details": "No previous sessions found."}});
        assert_eq!(verdict(&Last::failed(details)).1, "OpenCode failed: No previous sessions found.");
    }

    #[test]
    fn what_a_session_has_cost_is_told_in_dollars_or_not_at_all() {
        let update = |amount: Value, currency: &str| json!({"used": 100, "size": 1000, "cost": {"amount": amount, "currency": currency}});
        let mut money = Money::default();
        for unknown in [json!({"used": 100, "size": 1000}), update(json!(0), "USD"), update(json!(0.5), "EUR"), update(json!("1"), "USD")] {
            money.told(&unknown);
            assert_eq!(money.spent(), None, "{unknown}");
        }
        money.told(&update(json!(0.01), "USD"));
        money.told(&update(json!(0.015), "USD"));
        assert_eq!(money.spent(), Some(15_000), "of the whole session");
        let mut later = Money::after(15_000);
        assert_eq!(later.spent(), None);
        later.told(&update(json!(0.02), "USD"));
        assert_eq!(later.spent(), Some(20_000));
        let mut anew = Money::after(15_000);
        anew.told(&update(json!(0.004), "USD"));
        assert_eq!(anew.spent(), Some(19_000));
    }

    #[test]
    fn what_was_used_is_told_as_they_say_it() {
        let opencode = json!({"usage": {"inputTokens": 60, "outputTokens": 20, "totalTokens": 120, "cachedReadTokens": 40}});
        let last =
            Event::Usage { model: Some("m".into()), input: 100, cached: 40, cache_written: 0, output: 20, cost: None, is_part: true };
        assert_eq!(usage(&opencode, Some("m")), [last]);
        let gemini = json!({"_meta": {"quota": {"token_count": {"input_tokens": 9}, "model_usage": [{"model": "m", "token_count": {"input_tokens": 200, "output_tokens": 40}}]}}});
        assert_eq!(
            usage(&gemini, None),
            [Event::Usage { model: Some("m".into()), input: 200, cached: 0, cache_written: 0, output: 40, cost: None, is_part: false }]
        );
        assert!(usage(&json!({"stopReason": "cancelled", "usage": {"inputTokens": 0}}), None).is_empty());
        let absurd = json!({"usage": {"inputTokens": u64::MAX, "cachedWriteTokens": 1, "outputTokens": u64::MAX, "thoughtTokens": 1}});
        assert_eq!(
            usage(&absurd, None),
            [Event::Usage { model: None, input: u64::MAX, cached: 0, cache_written: 1, output: u64::MAX, cost: None, is_part: true }]
        );
    }
}
