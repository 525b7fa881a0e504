//! What a judge says of a change, and on demand what it did to come to that. Its session is its own, and is folded until somebody asks for it.

use domain::{
    CheckResult, Judgement, SessionEvent, SessionEventKind as Kind, TaskId,
    judgement::{EventRange, Remark, Ruling, Verdict},
    session::{SessionPart, dollars},
};
use leptos::prelude::*;

use super::{
    entry::entry,
    script::Script,
    words::{legible, tokens},
};
use crate::{fetched::fetched, page_json::fetch, task::task_session, text::count};

/// Where a check's result stands on its page.
#[derive(Clone, Copy)]
pub struct Spot {
    pub id: TaskId,
    pub attempt: i32,
    /// Both from 1.
    pub round: usize,
    pub check: usize,
}

impl Spot {
    /// By which a link finds it.
    pub fn name(self) -> String {
        format!("check-{}-{}", self.round, self.check)
    }

    /// The addresses at which what its judge did is unfolded, and is not.
    fn addresses(self) -> (String, String) {
        let Self { id, attempt, round, check } = self;
        let (page, name) = (format!("/tasks/{id}?view=checks&attempt={attempt}"), self.name());
        (format!("{page}&judge={round}.{check}#{name}"), format!("{page}#{name}"))
    }
}

/// `shows_all`: what the judge did is unfolded.
pub fn judgement(check: &CheckResult, judged: &Judgement, spot: Spot, shows_all: Memo<bool>) -> impl IntoView + use<> {
    let turns = judged.turns.map(|turns| count(usize::try_from(turns).unwrap_or(usize::MAX), "turn"));
    let used = (judged.input > 0 || judged.output > 0).then(|| format!("tokens: {}", tokens(judged.input, judged.cached, judged.output)));
    let cost = judged.cost_micros.map(|micros| format!("{} at list prices", dollars(micros)));
    let about = [Some(legible(&judged.judge())), turns, used, cost].into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let said = match &judged.verdict {
        Some(verdict) => said(verdict, check.spec.judge.at_least).into_any(),
        None => view! { <p class="c-judgement__text">{legible(&check.output)}</p> }.into_any(),
    };
    view! {
        <div class="c-judgement">
            {said}
            <p class="c-judgement__about">"Judged by " {about}". What a judge says is its opinion: Muster has checked none of it."</p>
            {what_it_did(judged.events, spot, shows_all)}
        </div>
    }
}

fn said(verdict: &Verdict, at_least: Option<u8>) -> impl IntoView + use<> {
    let word = match verdict.verdict {
        Ruling::Pass => "It lets the change pass",
        Ruling::Fail => "It does not let the change pass",
    };
    let least = at_least.map(|least| format!(" (at least {least} % is asked for)")).unwrap_or_default();
    let reasons = verdict.reasons.iter().map(|reason| view! { <li>{legible(reason)}</li> }).collect_view();
    let findings = (!verdict.findings.is_empty()).then(|| {
        view! { <ul class="c-judgement__findings" aria-label="Findings">{verdict.findings.iter().map(finding).collect_view()}</ul> }
    });
    view! {
        <p class="c-judgement__word">{word}", "{verdict.confidence}" % sure"{least}"."</p>
        <ul class="c-judgement__reasons" aria-label="Reasons">{reasons}</ul>
        {findings}
    }
}

fn finding(one: &Remark) -> impl IntoView + use<> {
    let (place, message) = (legible(&one.place()), legible(&one.message));
    view! { <li><code>{place}</code> " " {message}</li> }
}

fn what_it_did(events: Option<EventRange>, spot: Spot, shows_all: Memo<bool>) -> AnyView {
    let Spot { id, attempt, .. } = spot;
    let Some(events) = events else {
        return view! { <p class="c-judgement__about">"The session of the attempt had no room for what it did."</p> }.into_any();
    };
    let (unfolded, folded) = spot.addresses();
    let content = move || {
        if !shows_all.get() {
            return view! { <p><a href=unfolded.clone() data-noscroll="">"Show what it read and said"</a></p> }.into_any();
        }
        view! {
            <p><a href=folded.clone() data-noscroll="">"Fold what it read and said"</a></p>
            <JudgeSession id=id attempt=attempt events=events />
        }
        .into_any()
    };
    content.into_any()
}

#[component]
fn JudgeSession(id: TaskId, attempt: i32, events: EventRange) -> impl IntoView {
    let before = events.first - 1;
    let part = fetch(move || (), move |()| task_session(id, attempt, before));
    fetched(part, 4, move |part: Signal<SessionPart>| {
        let script = Script::new(before, part.with_untracked(|part| of_the_judge(part, events.last)));
        let entries = script.entries.into_iter().map(|one| entry(one, Signal::stored(false))).collect_view();
        view! { <ol class="c-session" aria-label="Session of the judge">{entries}</ol> }
    })
}

/// Its events up to that number, as those of a session of its own.
fn of_the_judge(part: &SessionPart, last: i64) -> Vec<SessionEvent> {
    let own = part.events.iter().filter(|event| event.number <= last).filter_map(|event| match &event.kind {
        Kind::Judge { event: own, .. } => Some(SessionEvent { number: event.number, at: event.at, kind: (**own).clone() }),
        _ => None,
    });
    own.collect()
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn its_place_has_an_address() {
        let spot = Spot { id: "00000000-0000-0000-0000-000000000000".parse().unwrap(), attempt: 2, round: 1, check: 3 };
        let page = "/tasks/00000000-0000-0000-0000-000000000000?view=checks&attempt=2";
        assert_eq!(spot.addresses(), (format!("{page}&judge=1.3#check-1-3"), format!("{page}#check-1-3")));
    }

    #[test]
    fn its_session_is_what_it_did_and_nothing_else() {
        let event = |number, kind| SessionEvent { number, at: DateTime::UNIX_EPOCH, kind };
        let message = |text: &str| Kind::Message { text: text.into() };
        let judge = |number, text: &str| event(number, Kind::Judge { round: 1, check: 2, event: Box::new(message(text)) });
        let events = vec![judge(3, "I look."), event(4, message("work")), judge(5, "Done."), judge(6, "of the next one")];
        let part = SessionPart { attempt: Some(1), events, ..SessionPart::default() };
        assert_eq!(of_the_judge(&part, 5), [event(3, message("I look.")), event(5, message("Done."))]);
    }
}
