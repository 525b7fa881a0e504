//! Who is given a prompt, and how far it may go, as it is typed. Pure.

use domain::{AgentTerms, Ask, Backend, agent};

use super::TaskForm;

/// What cannot be read is noted: its JSON pointer, the code and the sentence for it.
pub fn read(form: &TaskForm, note: &mut impl FnMut(&str, &str, &str)) -> AgentTerms {
    let mut terms = AgentTerms::default();
    match (form.agent.as_str(), Backend::parse(&form.agent)) {
        ("", _) => {}
        (_, Ok(backend)) => terms.backend = Some(backend),
        (_, Err(error)) => note("/agent", "unknown", &error.to_string()),
    }
    terms.model = Some(form.model.trim().to_owned()).filter(|model| !model.is_empty());
    terms.max_turns = number(&form.max_turns, "/agent/max_turns", note);
    match (form.ask.as_str(), Ask::parse(&form.ask)) {
        ("", _) => {}
        (_, Some(ask)) => terms.ask = Some(ask),
        (_, None) => note("/agent/ask", "unknown", "is nothing that people are asked for"),
    }
    terms.answer_minutes = number(&form.answer_minutes, "/agent/answer_minutes", note);
    terms.max_verification_retries = number(&form.verification_retries, "/agent/max_verification_retries", note);
    match form.max_cost.trim() {
        "" => {}
        text => match agent::cents(text) {
            Some(cents) => terms.max_cost_cents = Some(cents),
            None => note("/agent/max_cost_cents", "malformed", "must be dollars, such as 2.50"),
        },
    }
    terms
}

fn number(text: &str, pointer: &str, note: &mut impl FnMut(&str, &str, &str)) -> Option<u32> {
    match text.trim() {
        "" => None,
        text => text.parse::<u32>().map_err(|_| note(pointer, "malformed", "must be a number")).ok(),
    }
}
