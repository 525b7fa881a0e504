//! Which step of which scenario answers a request, and how.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::StatusCode;

use super::{
    asked::Asked,
    reply::{Block, Call, Reply},
    scenario::{Fault, FaultKind, Say, Scenarios, Step, Usage},
    sending::End,
    tools,
};

const ASIDE: &str = "This is an aside of Muster's fake model provider.";
const OVER: &str = "There is nothing more to do.";

/// What comes of a request.
pub struct Played {
    pub scenario: Option<String>,
    pub step: Option<usize>,
    pub outcome: Result<Playing, Refusal>,
}

pub struct Playing {
    pub reply: Reply,
    pub pace: Duration,
    pub end: End,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    pub status: StatusCode,
    pub message: String,
    /// Seconds.
    pub retry_after: Option<u64>,
}

impl Refusal {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), retry_after: None }
    }
}

impl Played {
    /// Before any scenario was looked at.
    pub fn refused(refusal: Refusal) -> Self {
        Self { scenario: None, step: None, outcome: Err(refusal) }
    }
}

/// How often each fault has happened, by scenario, step, path and first prompt: runs do not use up each other's.
#[derive(Debug, Default)]
pub struct Faults(Mutex<HashMap<FaultKey, u32>>);

type FaultKey = (String, usize, String, String);

impl Faults {
    /// Whether a fault still happens; then it has happened once more.
    fn happens(&self, key: FaultKey, times: Option<u32>) -> bool {
        let Some(times) = times else { return true };
        let mut happened = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = happened.entry(key).or_default();
        let happens = *count < times;
        *count += u32::from(happens);
        happens
    }
}

/// `name`: of the scenario that the path names.
pub fn play(scenarios: &Scenarios, faults: &Faults, name: Option<&str>, path: &str, asked: &Asked, number: u64) -> Played {
    let Some(scenario) = scenarios.choose(name, &asked.prompts) else {
        let names = scenarios.names().join(", ");
        let message = format!("There is no scenario `{}`; there are: {names}.", name.unwrap_or_default());
        return Played::refused(Refusal::new(StatusCode::NOT_FOUND, message));
    };
    let says =
        |text: &str| Reply { number, model: asked.model.clone(), blocks: vec![Block::Text(text.to_owned())], usage: Usage::default() };
    let whole = |reply| Ok(Playing { reply, pace: Duration::ZERO, end: End::Whole });
    if asked.tools.is_empty() && !scenario.plays_asides {
        return Played { scenario: Some(scenario.name.clone()), step: None, outcome: whole(says(ASIDE)) };
    }
    let outcome = match scenario.steps.get(asked.turns) {
        Some(step) => {
            let key = (scenario.name.clone(), asked.turns, path.to_owned(), asked.first_prompt().to_owned());
            let fault = step.fault.as_ref().filter(|fault| faults.happens(key, fault.times));
            play_step(step, fault, asked, number)
        }
        None => whole(says(OVER)),
    };
    Played { scenario: Some(scenario.name.clone()), step: Some(asked.turns), outcome }
}

fn play_step(step: &Step, fault: Option<&Fault>, asked: &Asked, number: u64) -> Result<Playing, Refusal> {
    let end = match fault.map(|fault| &fault.kind) {
        None => End::Whole,
        Some(FaultKind::Stall) => End::Stall,
        Some(FaultKind::Cut) => End::Cut,
        Some(FaultKind::Refuse { status, message, retry_after }) => {
            return Err(Refusal { status: *status, message: message.clone(), retry_after: *retry_after });
        }
    };
    let blocks = step.say.iter().enumerate().map(|(index, say)| block(say, asked, number, index));
    let blocks = blocks.collect::<Result<_, _>>().map_err(|message| Refusal::new(StatusCode::BAD_REQUEST, message))?;
    let reply = Reply { number, model: asked.model.clone(), blocks, usage: step.usage };
    Ok(Playing { reply, pace: Duration::from_millis(step.pace_ms), end })
}

fn block(say: &Say, asked: &Asked, number: u64, index: usize) -> Result<Block, String> {
    let (tool, input) = match say {
        Say::Thinking(text) => return Ok(Block::Thinking(text.clone())),
        Say::Text(text) => return tools::text(text, asked).map(Block::Text),
        Say::Run(command) => tools::run(command, asked)?,
        Say::Write { path, content } => tools::write(path, content, asked)?,
        Say::Tool { name, input } => tools::named(name, input, asked)?,
    };
    Ok(Block::Call(Call { id: format!("call_{number}_{index}"), tool, input }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{"scenarios": [
        {"name": "work", "steps": [
            {"say": [{"thinking": "Hm."}, {"text": "I look."}, {"run": "ls"}], "pace_ms": 5, "usage": {"input": 7}},
            {"say": [{"text": "Done."}], "fault": {"status": 529, "times": 2, "retry_after": 3, "message": "busy"}},
            {"fault": {"stall": true}},
            {"say": [{"text": "half"}], "fault": {"cut": true, "times": 1}}]},
        {"name": "all", "plays_asides": true, "steps": [{"say": [{"text": "no aside"}]}]}]}"#;

    fn asked(turns: usize) -> Asked {
        Asked { model: "m".into(), turns, prompts: vec!["Work".into()], tools: vec!["Bash".into()], ..Asked::default() }
    }

    fn played(faults: &Faults, name: &str, asked: &Asked) -> Played {
        play(&Scenarios::with_file("f", FILE).unwrap(), faults, Some(name), "/s/x/v1/messages", asked, 9)
    }

    fn playing(name: &str, asked: &Asked) -> Playing {
        played(&Faults::default(), name, asked).outcome.unwrap_or_else(|refusal| panic!("{refusal:?}"))
    }

    #[test]
    fn the_step_follows_from_the_turns_so_far() {
        let first = playing("work", &asked(0));
        let input = serde_json::json!({ "command": "ls", "description": "Play a step of a scenario" });
        let call = Call { id: "call_9_2".into(), tool: "Bash".into(), input };
        assert_eq!(first.reply.blocks, [Block::Thinking("Hm.".into()), Block::Text("I look.".into()), Block::Call(call)]);
        assert_eq!((first.pace, first.reply.usage.input, first.reply.usage.output), (Duration::from_millis(5), 7, 20));
        assert_eq!(playing("work", &asked(4)).reply.text(), OVER);
        let played = played(&Faults::default(), "work", &asked(4));
        assert_eq!((played.scenario.as_deref(), played.step), (Some("work"), Some(4)));
    }

    #[test]
    fn a_fault_happens_as_often_as_it_says_for_each_run() {
        let faults = Faults::default();
        let refused =
            |asked: &Asked| played(&faults, "work", asked).outcome.err().map(|refusal| (refusal.status.as_u16(), refusal.retry_after));
        let other = Asked { prompts: vec!["Other work".into()], ..asked(1) };
        assert_eq!(refused(&asked(1)), Some((529, Some(3))));
        assert_eq!(refused(&other), Some((529, Some(3))));
        assert_eq!(refused(&asked(1)), Some((529, Some(3))));
        assert_eq!(refused(&asked(1)), None);
        assert_eq!(refused(&other), Some((529, Some(3))));
    }

    #[test]
    fn a_stall_is_for_ever_and_a_cut_as_often_as_it_says() {
        let faults = Faults::default();
        let end = |turns| played(&faults, "work", &asked(turns)).outcome.map(|playing| playing.end).ok();
        assert_eq!([end(2), end(2), end(3), end(3)].map(Option::unwrap), [End::Stall, End::Stall, End::Cut, End::Whole]);
    }

    #[test]
    fn without_tools_it_is_an_aside_and_no_step() {
        let aside = Asked { tools: vec![], ..asked(0) };
        assert_eq!((playing("work", &aside).reply.text().as_str(), playing("all", &aside).reply.text().as_str()), (ASIDE, "no aside"));
        assert_eq!(played(&Faults::default(), "work", &aside).step, None);
    }

    #[test]
    fn what_cannot_be_played_is_refused() {
        let refusal = played(&Faults::default(), "none", &asked(0)).outcome.err().unwrap();
        assert_eq!(refusal.status, StatusCode::NOT_FOUND);
        assert!(refusal.message.starts_with("There is no scenario `none`; there are: work, all, default"), "{}", refusal.message);
        let reads_only = Asked { tools: vec!["Read".into()], ..asked(0) };
        assert_eq!(played(&Faults::default(), "work", &reads_only).outcome.err().unwrap().status, StatusCode::BAD_REQUEST);
    }
}
