//! What a session has used and cost, as it is told with its turns.

use super::*;

#[test]
fn what_a_session_has_cost_is_told_with_its_end() {
    let terms = AgentTerms::default();
    let mut dialogue = at_work(opencode::open(beginning(&terms), "tidy up").1);
    let cost = json!({"amount": 0.0125, "currency": "USD"});
    let update = json!({"sessionUpdate": "usage_update", "used": 9, "size": 100, "cost": cost});
    let told = json!({"jsonrpc": "2.0", "method": "session/update", "params": {"sessionId": "s1", "update": update}});
    assert_eq!(dialogue.hear(&told.to_string()), Heard::default());
    let heard = dialogue.hear(&answers(TURN, json!({"stopReason": "end_turn"})));
    assert_eq!(heard.events, [Event::Ended { how: SessionEnd::Completed, turns: None, cost_micros: Some(12_500) }]);
    assert_eq!(dialogue.spent().micros, 12_500, "a later round goes on from there");
}

#[test]
fn the_model_that_it_names_itself_is_that_of_what_it_uses() {
    let terms = AgentTerms::default();
    let mut dialogue = gemini_cli::open(beginning(&terms), "tidy up").1;
    dialogue.hear(&answers(INITIALIZE, json!({"protocolVersion": 1})));
    dialogue.hear(&answers(SESSION, json!({"sessionId": "s1", "models": {"currentModelId": "large"}})));
    dialogue.hear(&answers(MODE, json!({})));
    let heard = dialogue.hear(&answers(TURN, json!({"stopReason": "end_turn", "usage": {"inputTokens": 5, "outputTokens": 1}})));
    assert!(matches!(&heard.events[0], Event::Usage { model: Some(model), input: 5, .. } if model == "large"), "{heard:?}");
}
