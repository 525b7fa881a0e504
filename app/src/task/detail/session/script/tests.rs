use chrono::DateTime;
use domain::{CostSource, session::SessionEnd};
use serde_json::json;

use super::*;

fn events(from: i64, kinds: Vec<Kind>) -> Vec<SessionEvent> {
    (from..).zip(kinds).map(|(number, kind)| SessionEvent { number, at: DateTime::UNIX_EPOCH, kind }).collect()
}

fn call(call: &str) -> Kind {
    Kind::ToolCall { call: call.into(), tool: "Edit".into(), input: json!({}) }
}

fn result(call: &str) -> Kind {
    Kind::ToolResult { call: call.into(), output: "ok".into(), is_error: false }
}

fn usage(output: u64) -> Kind {
    Kind::Usage { model: Some("m".into()), input: 1200, cached: 1000, cache_written: 0, output, cost: None, is_part: false }
}

fn change(path: &str) -> Kind {
    Kind::FileChange { path: path.into(), change: FileChange::Edited, diff: None }
}

fn numbers(script: &Script) -> Vec<i64> {
    script.entries.iter().map(|entry| entry.event.number).collect()
}

#[test]
fn what_comes_of_a_call_stands_with_it() {
    let message = Kind::Message { text: "I look.".into() };
    let mut script = Script::new(0, events(1, vec![message, call("a"), call("b"), usage(40), result("b"), change("b.rs")]));
    assert_eq!(numbers(&script), [1, 2, 3]);
    let later = |script: &Script, place: usize| script.entries[place].later.clone();
    assert_eq!(later(&script, 2).answer.get_untracked().map(|answer| answer.number), Some(5));
    assert_eq!(later(&script, 2).changes.get_untracked()[0].path, "b.rs");
    let used = Used { number: 4, input: 1200, cached: 1000, output: 40, cost: None, is_told_later: false };
    assert_eq!(later(&script, 2).usage.get_untracked(), Some(used));
    assert_eq!(used.cost_in_words().as_deref(), Some("price unknown"));
    assert_eq!(later(&script, 1).answer.get_untracked(), None, "it is still at work");
    // what comes later finds the entry that is on the page, and comes once
    script.take(events(6, vec![change("b.rs"), result("a"), change("a.rs"), usage(2)]));
    assert_eq!((numbers(&script), script.last), (vec![1, 2, 3, 9], 9));
    assert_eq!(later(&script, 1).changes.get_untracked().len(), 1);
    assert_eq!(later(&script, 2).changes.get_untracked().len(), 1);
}

#[test]
fn from_the_middle_on_everything_is_shown() {
    let script = Script::new(500, events(500, vec![call("x"), result("a"), change("a.rs"), usage(1)]));
    assert_eq!(numbers(&script), [501, 502, 503]);
}

#[test]
fn a_judge_is_one_line_and_what_it_used_counts() {
    let judge = |check, event| Kind::Judge { round: 1, check, event: Box::new(event) };
    let ended = |cost| Kind::Ended { how: SessionEnd::Completed, turns: Some(1), cost_micros: Some(cost) };
    let says = || Kind::Message { text: "I look.".into() };
    let kinds = vec![usage(40), ended(1300), judge(2, says()), judge(2, usage(2)), judge(2, ended(700)), judge(3, says()), says()];
    let script = Script::new(0, events(1, kinds));
    assert_eq!(numbers(&script), [1, 2, 3, 6, 7]);
    let expected = ["m", "1 turn", "tokens: 2,400 in (2,000 cached), 42 out", "$0.0020 at list price, as the agent counts it"];
    assert_eq!(script.totals.words(), expected);
}

#[test]
fn what_a_judge_tells_says_nothing_of_the_steps_of_the_agent() {
    let judge = |event| Kind::Judge { round: 1, check: 1, event: Box::new(event) };
    let ended = |cost_micros| Kind::Ended { how: SessionEnd::Completed, turns: None, cost_micros };
    let script = Script::new(0, events(1, vec![usage(40), usage(2), ended(None), judge(usage(3)), judge(ended(Some(700)))]));
    let cost = "$0.0007 at list price, as the agent counts it (1 of 3 steps told)";
    assert_eq!(script.totals.words().last().map(String::as_str), Some(cost), "what the agent has cost nobody knows");
}

#[test]
fn what_is_told_of_a_step_and_of_its_turn_counts_once() {
    let cost = Some(StepCost { micros: 500, source: CostSource::Agent });
    let step = Kind::Usage { model: None, input: 100, cached: 0, cache_written: 0, output: 1, cost, is_part: false };
    let ended = Kind::Ended { how: SessionEnd::Completed, turns: None, cost_micros: Some(1000) };
    let script = Script::new(0, events(1, vec![step.clone(), step, ended]));
    assert_eq!(script.totals.words().last().map(String::as_str), Some("$0.0010 at list price, as the agent counts it"));
}

#[test]
fn a_part_is_not_said_to_be_all() {
    let last = Kind::Usage { model: None, input: 100, cached: 0, cache_written: 0, output: 20, cost: None, is_part: true };
    assert_eq!(Script::new(0, events(1, vec![last])).totals.words(), ["tokens: at least 100 in, 20 out", "price unknown"]);
}

#[test]
fn a_later_part_knows_whose_session_it_is() {
    let kinds = || events(500, vec![Kind::Message { text: "I look.".into() }, usage(1)]);
    let cost = |script: &Script| script.entries[0].later.usage.get_untracked().unwrap().cost_in_words();
    let claudes = Script::of_agent(499, Some(Backend::ClaudeCode), kinds());
    assert_eq!(cost(&claudes), None, "it is told with the end of the turn");
    assert_eq!(claudes.totals.words(), ["Claude Code", "m", "tokens: 1,200 in (1,000 cached), 1 out"]);
    assert_eq!(cost(&Script::of_agent(499, Some(Backend::Codex), kinds())).as_deref(), Some("price unknown"));
}

#[test]
fn nothing_hides_in_what_an_agent_calls_itself() {
    let (version, model) = (Some("2\u{202e}1".into()), Some("son\u{7}net".into()));
    let started = Kind::Started { backend: Backend::ClaudeCode, version, model, session: None };
    assert_eq!(Script::new(0, events(1, vec![started])).totals.words(), ["Claude Code 2\u{fffd}1", "son\u{fffd}net"]);
}

#[test]
fn all_of_it_is_added_up() {
    let started =
        Kind::Started { backend: Backend::ClaudeCode, version: Some("2.1.328".into()), model: Some("sonnet".into()), session: None };
    let ended = |turns| Kind::Ended { how: SessionEnd::Completed, turns: Some(turns), cost_micros: Some(1300 * turns) };
    let script = Script::new(0, events(1, vec![started, usage(40), ended(1), usage(2), ended(2)]));
    let cost = "$0.0026 at list price, as the agent counts it";
    let expected = ["Claude Code 2.1.328", "sonnet", "3 turns", "tokens: 2,400 in (2,000 cached), 42 out", cost];
    assert_eq!(script.totals.words(), expected);
    assert_eq!(Script::default().totals.words(), Vec::<String>::new());
}

#[test]
fn each_step_has_its_cost_and_all_say_how_many_have_one() {
    let priced = |micros| Kind::Usage {
        model: Some("small".into()),
        input: 100,
        cached: 0,
        cache_written: 0,
        output: 1,
        cost: Some(StepCost { micros, source: CostSource::Workspace }),
        is_part: false,
    };
    let says = || Kind::Message { text: "I look.".into() };
    let script = Script::new(0, events(1, vec![says(), priced(1200), says(), usage(40), says(), priced(300)]));
    let cost = |place: usize| script.entries[place].later.usage.get_untracked().unwrap().cost_in_words().unwrap();
    assert_eq!([cost(0), cost(1)], ["$0.0012 at the workspace's price", "price unknown"]);
    let words = script.totals.words();
    assert_eq!(words.last().map(String::as_str), Some("$0.0015 at the workspace's price (2 of 3 steps priced)"));
}

#[test]
fn a_turn_has_cost_what_came_since_the_one_before() {
    let started = Kind::Started { backend: Backend::ClaudeCode, version: None, model: None, session: None };
    let ended = |cost| Kind::Ended { how: SessionEnd::Completed, turns: Some(1), cost_micros: Some(cost) };
    let says = || Kind::Message { text: "I look.".into() };
    let mut script = Script::new(0, events(1, vec![started, says(), usage(2)]));
    let step = script.entries[1].later.usage.get_untracked().unwrap();
    assert_eq!(step.cost_in_words(), None, "it is told with the end of the turn");
    assert_eq!(script.totals.words(), ["Claude Code", "m", "tokens: 1,200 in (1,000 cached), 2 out"]);
    script.take(events(4, vec![ended(1300), says(), ended(2000), ended(1900)]));
    let turns: Vec<_> = script.entries.iter().filter(|entry| matches!(entry.event.kind, Kind::Ended { .. })).collect();
    let told = |script: &Script| script.entries.iter().map(|entry| entry.turn).collect::<Vec<_>>();
    assert_eq!(turns.iter().map(|entry| entry.turn).collect::<Vec<_>>(), [TurnCost::AsTold, TurnCost::Since(700), TurnCost::AsTold]);
    let later = || events(500, vec![ended(2000), ended(2500)]);
    let of_agent = Script::of_agent(499, Some(Backend::ClaudeCode), later());
    assert_eq!(told(&of_agent), [TurnCost::WithAllBefore, TurnCost::Since(500)], "it is not the first turn of all");
    assert_eq!(told(&Script::new(499, later())), [TurnCost::AsTold, TurnCost::Since(500)], "a judge has a session of its own");
}
